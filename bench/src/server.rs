//! The servers, each in a folder of its own and ended by its pid.

mod dovecot;
mod posthouse;

use crate::args::Args;
use crate::procs;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

/// Which server.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Ours; the program.
    Posthouse(PathBuf),
    /// Dovecot 2.3 with mdbox.
    Dovecot,
}

/// A server that runs.
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    /// Where it speaks LMTP.
    pub(crate) lmtp: SocketAddr,
    /// Where it speaks IMAP.
    pub(crate) imap: SocketAddr,
    /// Where it speaks POP3.
    pub(crate) pop3: SocketAddr,
    folder: PathBuf,
}

impl Kind {
    /// Those that can run here.
    pub(crate) fn available(args: &Args) -> Result<Vec<Self>> {
        let mut kinds = Vec::new();
        for (name, find) in [("posthouse", posthouse::find as fn(&Args) -> Result<Self>), ("dovecot", dovecot::find)] {
            if args.only.as_deref().is_some_and(|only| only != name) {
                continue;
            }
            match find(args) {
                Ok(kind) => kinds.push(kind),
                Err(error) => eprintln!("without {name}: {error:#}"),
            }
        }
        if kinds.is_empty() {
            bail!("there is no server to measure");
        }
        Ok(kinds)
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Posthouse(_) => "Posthouse",
            Self::Dovecot => "Dovecot",
        }
    }

    /// Starts it with accounts `u0`, `u1` … of `bench.example` and waits until it answers.
    pub(crate) async fn start(&self, base: &Path, accounts: usize, hash: Hash) -> Result<Server> {
        let stored = hash.of_password()?;
        let folder = base.join(format!("{}-{accounts}", self.name().to_lowercase()));
        std::fs::create_dir_all(&folder).context("making the folder of a server")?;
        let ports = [free_port()?, free_port()?, free_port()?];
        let started = match self {
            Self::Posthouse(program) => posthouse::start(program, &folder, ports, accounts, &stored).await,
            Self::Dovecot => dovecot::start(&folder, ports, accounts, &stored),
        };
        let child = started.with_context(|| format!("starting {}", self.name()))?;
        let [lmtp, imap, pop3] = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let mut server = Server { name: self.name(), child, lmtp, imap, pop3, folder };
        server.wait_for(lmtp)?;
        server.wait_for(imap)?;
        server.wait_for(pop3)?;
        Ok(server)
    }
}

/// How the servers keep the password.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hash {
    /// As it is: what is measured is the rest of a login.
    Plain,
    /// As sites should: 19 MiB and two passes for each login, on both sides the same hash.
    Argon2id,
}

impl Hash {
    fn of_password(self) -> Result<String> {
        match self {
            Self::Plain => Ok(format!("{{PLAIN}}{PASSWORD}")),
            Self::Argon2id => {
                let password = sasl::Password::new(PASSWORD.as_bytes().to_vec())?;
                Ok(sasl::StoredPassword::hash_argon2id(&password, b"a salt of sixteen")?.to_string())
            }
        }
    }
}

impl Server {
    /// Its first process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time used so far, by all its processes.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        procs::cpu(self.pid())
    }

    /// Ends it and removes its mail.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.end()?;
        std::fs::remove_dir_all(&self.folder).context("removing the folder of a server")
    }

    fn wait_for(&mut self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + START_WAIT;
        while !greets(address) {
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

    fn end(&mut self) -> Result<()> {
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

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{}: {error:#}", self.name);
        }
    }
}

/// The name of an account.
pub(crate) fn user(number: usize) -> String {
    format!("u{number}@{DOMAIN}")
}

/// The last lines of a log.
pub(crate) fn end_of(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_else(|error| error.to_string());
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n")
}

fn greets(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { return false };
    let timeout = stream.set_read_timeout(Some(Duration::from_secs(5)));
    timeout.is_ok() && matches!(stream.read(&mut [0; 64]), Ok(octets) if octets > 0)
}

/// A port that was free a moment ago; the system does not give it away again at once.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr().context("looking for a free port")?.port())
}

/// The domain of all accounts.
pub(crate) const DOMAIN: &str = "bench.example";
/// The password of all accounts.
pub(crate) const PASSWORD: &str = "secret";
/// What is shown of a log when something went wrong.
const LOG_LINES: usize = 20;
const START_WAIT: Duration = Duration::from_secs(30);
/// After this a server that was asked to end is killed.
const STOP_WAIT: Duration = Duration::from_secs(20);
