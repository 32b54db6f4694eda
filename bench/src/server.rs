//! The servers, each in a folder of its own and ended by its pid.

mod dovecot;
mod nodes;
mod postfix;
mod posthouse;
mod process;
pub(crate) mod proxies;
mod records;
pub(crate) mod site;

use crate::args::Args;
use anyhow::{Context, Result, bail};
use process::{Process, Sign};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    kind: Kind,
    process: Process,
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
        let folder = base.join(format!("{}-{accounts}", self.name().to_lowercase()));
        self.start_in(folder, accounts, hash).await
    }

    async fn start_in(&self, folder: PathBuf, accounts: usize, hash: Hash) -> Result<Server> {
        let stored = hash.of_password()?;
        std::fs::create_dir_all(&folder).context("making the folder of a server")?;
        let ports = [free_port()?, free_port()?, free_port()?];
        let prepared = match self {
            Self::Posthouse(_) => posthouse::prepare(&folder, ports, accounts, &stored).await,
            Self::Dovecot => dovecot::prepare(&folder, ports, accounts, &stored),
        };
        prepared.with_context(|| format!("preparing {}", self.name()))?;
        let process = self.launch(&folder)?;
        let [lmtp, imap, pop3] = ports.map(loopback);
        let mut server = Server { kind: self.clone(), process, lmtp, imap, pop3, folder };
        server.wait()?;
        Ok(server)
    }

    /// Starts it with what is in its folder.
    fn launch(&self, folder: &Path) -> Result<Process> {
        match self {
            Self::Posthouse(program) => posthouse::launch(program, folder),
            Self::Dovecot => dovecot::launch(folder),
        }
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
        self.process.pid()
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds to the configuration of ours, which the next start reads.
    pub(crate) fn configure(&self, more: &str) -> Result<()> {
        posthouse::configure(&self.folder, more)
    }

    /// CPU time used so far, by all its processes.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.process.cpu()
    }

    /// Ends it and removes its mail.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.process.end()?;
        std::fs::remove_dir_all(&self.folder).context("removing the folder of a server")
    }

    /// Ends it and starts it again with its mail: what it kept in memory is gone.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.process.end()?;
        self.process = self.kind.launch(&self.folder)?;
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        [self.lmtp, self.imap, self.pop3].into_iter().try_for_each(|at| self.process.wait_for(at, Sign::Greeting))
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

/// A port that was free a moment ago; the system does not give it away again at once.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr().context("looking for a free port")?.port())
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The domain of all accounts.
pub(crate) const DOMAIN: &str = "bench.example";
/// The password of all accounts.
pub(crate) const PASSWORD: &str = "secret";
/// What is shown of a log when something went wrong.
const LOG_LINES: usize = 20;
