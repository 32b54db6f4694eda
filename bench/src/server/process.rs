//! A process of a server: started with its output in a file, ended by its pid.

use crate::procs;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// One that runs, until it is dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
}

/// What shows that a port is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Somebody says something first.
    Greeting,
    /// Somebody accepts connections: where TLS comes first, the client speaks first.
    Connection,
}

impl Process {
    /// Starts it; what it says goes to the end of that log.
    pub(super) fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log).context("making a server's log")?;
        let copy = log.try_clone().context("sharing a server's log")?;
        let child = command.stdout(copy).stderr(log).spawn().with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time that it and those it started used so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        procs::cpu(self.pid())
    }

    /// Waits until it serves there.
    pub(super) fn wait_for(&mut self, address: SocketAddr, sign: Sign) -> Result<()> {
        let deadline = Instant::now() + START_WAIT;
        while !serves(address, sign) {
            if let Some(status) = self.child.try_wait().context("asking whether the server runs")? {
                bail!("{} ended with {status}", self.name);
            }
            if Instant::now() > deadline {
                bail!("{} does not answer at {address}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Asks it to end, and waits.
    pub(super) fn end(&mut self) -> Result<()> {
        if self.child.try_wait().context("asking whether the server runs")?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a pid")?;
        kill_process(pid, Signal::TERM).context("ending a server")?;
        let deadline = Instant::now() + STOP_WAIT;
        while self.child.try_wait().context("waiting for a server to end")?.is_none() {
            if Instant::now() > deadline {
                self.child.kill().context("killing a server")?;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{}: {error:#}", self.name);
        }
    }
}

fn serves(address: SocketAddr, sign: Sign) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { return false };
    match sign {
        Sign::Connection => true,
        Sign::Greeting => {
            let timeout = stream.set_read_timeout(Some(Duration::from_secs(5)));
            timeout.is_ok() && matches!(stream.read(&mut [0; 64]), Ok(octets) if octets > 0)
        }
    }
}

const START_WAIT: Duration = Duration::from_secs(120);
/// After this a server that was asked to end is killed.
const STOP_WAIT: Duration = Duration::from_secs(20);
