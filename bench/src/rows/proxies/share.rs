//! More sessions than a process may have files for: each share of them in a process of this program's, with a proxy and a
//! back-end of its own, and all at once on this machine.
//!
//! ```text
//!   hold                             serve, in `bench --share`
//!     start ───────────────────────▶ stub, proxy; the first sessions come and go
//!     the kernel's memory ◀─ ready ─
//!     a line ──────────────────────▶ all its sessions
//!     the kernel's memory ◀─ octets─ what its proxy holds more
//!     end of input ────────────────▶ ends the proxy
//! ```

use super::idle::{Held, Sessions};
use super::{Leg, MESSAGE_OCTETS};
use crate::procs::kernel;
use crate::server::proxies::Proxy;
use crate::stub::Stub;
use anyhow::{Context, Result, bail, ensure};
use net::ClientTls;
use rustix::process::{Resource, getrlimit};
use std::fmt;
use std::io::{BufRead, BufReader, Write, stdin};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::str::FromStr;

/// Some sessions of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    proxy: &'static str,
    leg: Leg,
    /// The number of its first session.
    first: usize,
    sessions: usize,
}

impl Share {
    /// As few as the files of a process allow, all of about one size.
    pub(super) fn of(proxy: &Proxy, leg: Leg, sessions: usize) -> Vec<Self> {
        let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
        Self::with_files(proxy, leg, sessions, files.unwrap_or(usize::MAX))
    }

    fn with_files(proxy: &Proxy, leg: Leg, sessions: usize, files: usize) -> Vec<Self> {
        let most = (files.saturating_sub(OTHER_FILES) / FILES_OF_A_SESSION).max(1);
        let count = sessions.div_ceil(most).max(1);
        let edge = |number: usize| sessions * number / count;
        let share = |number: usize| {
            let first = edge(number);
            Self { proxy: proxy.name(), leg, first, sessions: edge(number + 1) - first }
        };
        (0..count).map(share).collect()
    }
}

/// Starts a process for each, lets all of them have their sessions, and says what one holds.
pub(super) fn hold(shares: &[Share], proxy: &Proxy, base: &Path) -> Result<Held> {
    let helpers: Result<Vec<Helper>> = shares.iter().map(|share| Helper::start(share, proxy, base)).collect();
    let mut helpers = helpers?;
    for helper in &mut helpers {
        ensure!(helper.line()? == READY, "a share of the sessions has not begun");
    }
    let before = kernel()?;
    helpers.iter_mut().try_for_each(Helper::go_on)?;
    let mut user = 0;
    for helper in &mut helpers {
        user += helper.line()?.parse::<u64>().context("a share of the sessions has failed")?;
    }
    let kernel = kernel()?.saturating_sub(before);
    helpers.into_iter().try_for_each(Helper::end)?;
    Ok(Held::of(shares.iter().map(|share| share.sessions).sum(), user, kernel))
}

/// Another process of this program.
struct Helper {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Helper {
    fn start(share: &Share, proxy: &Proxy, base: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("the path of this program")?);
        command.arg("--share").arg(share.to_string()).arg("--dir").arg(base);
        if let Proxy::Posthouse(program) = proxy {
            command.arg("--posthouse").arg(program);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a process for a share of the sessions")?;
        let output = child.stdout.take().context("the output of a process")?;
        Ok(Self { child, output: BufReader::new(output) })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).context("reading what a share of the sessions says")?;
        Ok(line.trim_end().to_owned())
    }

    fn go_on(&mut self) -> Result<()> {
        let input = self.child.stdin.as_mut().context("the input of a process")?;
        input.write_all(b"\n").context("telling a share of the sessions to go on")
    }

    fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait().context("waiting for a share of the sessions")?;
        ensure!(status.success(), "a process for a share of the sessions has failed: {status}");
        Ok(())
    }
}

/// What such a process does.
pub(crate) async fn serve(share: &Share, program: Option<PathBuf>, base: &Path) -> Result<()> {
    let proxy = match (share.proxy, program) {
        (name, Some(program)) if name == Proxy::Posthouse(program.clone()).name() => Proxy::Posthouse(program),
        (name, _) => PEERS.into_iter().find(|peer| peer.name() == name).context("a share of an unknown proxy")?,
    };
    let (stub, tls) = (Stub::start(MESSAGE_OCTETS)?, ClientTls::unverified());
    let front = proxy.start(base, &stub).await?;
    let mut sessions = Sessions::none(&front, share.leg, &tls, share.first).await?;
    let before = front.pss()?;
    say(READY)?;
    // Without a line nobody is there any more.
    if wait()? {
        sessions.grow(share.sessions).await?;
        say(&front.pss()?.saturating_sub(before).to_string())?;
        wait()?;
    }
    drop(sessions);
    front.stop()
}

fn say(line: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).context("answering")
}

/// For a line, or for the end of the input. Idle sessions need nobody meanwhile, and the stub has a thread of its own.
fn wait() -> Result<bool> {
    Ok(stdin().lock().read_line(&mut String::new()).context("waiting for a line")? > 0)
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.proxy, self.leg.name(), self.first, self.sessions)
    }
}

impl FromStr for Share {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let fields: Vec<&str> = text.split(':').collect();
        let [proxy, leg, first, sessions] = fields.as_slice() else { bail!("{text} is no share") };
        let names = PEERS.iter().map(Proxy::name).chain([Proxy::Posthouse(PathBuf::new()).name()]);
        Ok(Self {
            proxy: names.into_iter().find(|name| name == proxy).context("a share of an unknown proxy")?,
            leg: [Leg::Plain, Leg::Tls].into_iter().find(|known| known.name() == *leg).context("an unknown leg")?,
            first: first.parse().context("the first session of a share")?,
            sessions: sessions.parse().context("the sessions of a share")?,
        })
    }
}

/// Those that have no process for each session.
const PEERS: [Proxy; 2] = [Proxy::Nginx, Proxy::DovecotReused];
const READY: &str = "ready";
/// A proxy's sockets to the client and to the back-end; the load and the stub, in one process, have two as well.
const FILES_OF_A_SESSION: usize = 2;
/// Listeners, logs, what polls.
const OTHER_FILES: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_all_sessions_and_none_is_too_large() {
        let sizes = |sessions, files| -> Vec<(usize, usize)> {
            let shares = Share::with_files(&Proxy::Nginx, Leg::Tls, sessions, files);
            shares.iter().map(|share| (share.first, share.sessions)).collect()
        };
        assert_eq!(sizes(9_500, 20_000), [(0, 9_500)]);
        assert_eq!(sizes(9_501, 20_000), [(0, 4_750), (4_750, 4_751)]);
        let many = sizes(50_000, 20_000);
        assert_eq!((many.len(), many.iter().map(|(_, sessions)| sessions).sum()), (6, 50_000));
        assert!(many.iter().all(|(_, sessions)| *sessions <= 9_500));
        assert_eq!(sizes(50_000, usize::MAX).len(), 1);
        assert_eq!(sizes(3, 0).len(), 3);
    }

    #[test]
    fn a_share_is_told_in_a_word() {
        for proxy in [Proxy::Posthouse("p".into()), Proxy::Nginx, Proxy::DovecotReused] {
            let shares = Share::with_files(&proxy, Leg::Plain, 20_000, 20_000);
            for share in shares {
                assert_eq!(share.to_string().parse::<Share>().expect("a share"), share);
            }
        }
        assert!("nginx:plain:0".parse::<Share>().is_err());
        assert!("Perdition:plain:0:1".parse::<Share>().is_err());
    }
}
