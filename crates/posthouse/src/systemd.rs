//! What a service manager is told, where one asked for it (sd_notify(3)).
//!
//! ```text
//!   NOTIFY_SOCKET ◀── READY=1 · RELOADING=1 · STOPPING=1 · STATUS=… · WATCHDOG=1
//! ```
//! The protocol is a datagram of lines to a Unix socket; nothing comes back.

use crate::node::Pulse;
use ports::Clock;
use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Whoever started us and wants to know; or nobody.
#[derive(Debug, Default)]
pub(crate) struct Manager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Manager {
    /// Who the environment names. A socket that cannot be used is none: what it would be told is no reason not to run.
    pub(crate) fn of_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        let socket = match connect(&name) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, "the service manager's socket cannot be used");
                return Self::default();
            }
        };
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| *micros > 0 && is_for_us).map(Duration::from_micros);
        Self { socket: Some(socket), watchdog }
    }

    /// How often it wants to hear that we are alive: twice as often as it gives up after (sd_watchdog_enabled(3)).
    pub(crate) fn watchdog_every(&self) -> Option<Duration> {
        self.watchdog.map(|span| span / 2)
    }

    /// Not ready yet; this is what takes so long.
    pub(crate) fn status(&self, text: &str) {
        self.tell(&format!("STATUS={text}"));
    }

    /// Whoever connects is served.
    pub(crate) fn ready(&self) {
        self.tell("READY=1\nSTATUS=serving");
    }

    /// The configuration is being read again; [`Manager::ready`] says when that is done.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1_000);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// Sessions end; then we do.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=draining: no new sessions, those there are end");
    }

    /// We are alive.
    pub(crate) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, lines: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(lines.as_bytes())
        {
            tracing::debug!(%error, lines, "the service manager was not told");
        }
    }
}

/// Tells it again and again that the node is alive, while it is.
pub(crate) async fn watch(manager: &Manager, every: Duration, mut pulse: Pulse, clock: &dyn Clock) {
    let mut told = false;
    loop {
        // One look that comes to nothing is no death: there is time for more before the manager gives up.
        clock.sleep(if told { every / 8 } else { every }).await;
        match pulse.missing().await {
            None => {
                manager.alive();
                told = false;
            }
            Some(why) if !told => {
                tracing::error!(why, "the node does not answer; the service manager hears nothing until it does");
                told = true;
            }
            Some(_) => {}
        }
    }
}

/// A path, or with `@` a name in the abstract namespace.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not hold us up.
    socket.set_nonblocking(true)?;
    match name.as_bytes() {
        [b'@', abstract_name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(abstract_name)?)?,
        _ => socket.connect(name)?,
    }
    Ok(socket)
}
