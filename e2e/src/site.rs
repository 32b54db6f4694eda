//! A whole site: `posthouse quickstart` in a folder, started, stopped, killed and started again.

use crate::daemon::Daemon;
use crate::ports::Block;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// What quickstart says about itself in `D/site.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Description {
    /// The mail domain.
    pub domain: String,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// The accounts that were made at the first start.
    pub accounts: Vec<Account>,
}

/// One listener.
#[derive(Debug, Clone, Deserialize)]
pub struct Listener {
    /// smtp, submission, imap, imaps, pop3, pop3s, sieve, lmtp, http.
    pub name: String,
    /// A numeric address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The store that listens, where it is not the front.
    pub store: Option<String>,
}

/// One account.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    /// The address, which is the login name as well.
    pub address: String,
    /// Its password.
    pub password: String,
    /// The store where its mail is.
    pub store: String,
}

/// A site that runs, or that can be started again.
#[derive(Debug)]
pub struct Site {
    folder: PathBuf,
    description: Description,
    daemon: Daemon,
    _ports: Block,
}

impl Site {
    /// Starts a site in a folder and waits until every listener answers. The log goes beside the folder.
    pub fn start(folder: &Path, log: &Path) -> Result<Self> {
        let ports = Block::take()?;
        let base = ports.base().to_string();
        let arguments: [&OsStr; 5] =
            ["quickstart".as_ref(), "--dir".as_ref(), folder.as_ref(), "--port-base".as_ref(), base.as_ref()];
        let daemon = Daemon::new(arguments.map(OsStr::to_owned).to_vec(), log);
        let description = Description { domain: String::new(), listeners: Vec::new(), accounts: Vec::new() };
        let mut site = Self { folder: folder.to_owned(), description, daemon, _ports: ports };
        site.start_again()?;
        Ok(site)
    }

    /// Starts it again in the same folder, on the same ports.
    pub fn start_again(&mut self) -> Result<()> {
        let folder = self.folder.clone();
        self.description = self.daemon.start(|| look(&folder))?;
        Ok(())
    }

    /// Starts it and kills it after a while, ready or not; whether it was killed before it was ready.
    pub fn start_and_kill(&mut self, after: Duration) -> Result<bool> {
        self.daemon.start_and_kill(after)
    }

    /// Asks it to end (SIGTERM) and waits; after a bound it is killed, which is an error.
    pub fn stop(&mut self) -> Result<()> {
        self.daemon.stop()
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.daemon.kill()
    }

    /// How it ended, if it does so by itself within a bound.
    pub fn wait_for_end(&mut self, bound: Duration) -> Result<Option<ExitStatus>> {
        self.daemon.wait_for_end(bound)
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> Result<bool> {
        self.daemon.is_running()
    }

    /// Its resident memory in octets, as the kernel counts it.
    pub fn resident_octets(&self) -> Result<u64> {
        self.daemon.resident_octets()
    }

    /// The end of the log, for the report of a failure.
    pub fn log_tail(&self) -> String {
        self.daemon.log_tail()
    }

    /// What site.json says.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The front's listener of a name.
    pub fn address(&self, name: &str) -> Result<SocketAddr> {
        self.description.find(name, None)
    }

    /// A store's own listener.
    pub fn store_address(&self, name: &str, store: &str) -> Result<SocketAddr> {
        self.description.find(name, Some(store))
    }

    /// The accounts of one store.
    pub fn accounts_on(&self, store: &str) -> Vec<Account> {
        self.description.accounts.iter().filter(|account| account.store == store).cloned().collect()
    }

    /// Adds to its configuration, for the next start.
    pub fn configure(&self, name: &str, text: &str) -> Result<()> {
        let folder = self.folder.join("conf.d");
        std::fs::create_dir_all(&folder)?;
        Ok(std::fs::write(folder.join(format!("{name}.toml")), text)?)
    }

    /// Runs a command of the same program against this site.
    pub fn command(&self, arguments: &[&str]) -> Result<std::process::Output> {
        let output = Command::new(binary()?).args(arguments).arg("--dir").arg(&self.folder).output()?;
        Ok(output)
    }
}

impl Description {
    fn find(&self, name: &str, store: Option<&str>) -> Result<SocketAddr> {
        let found = self.listeners.iter().find(|listener| listener.name == name && listener.store.as_deref() == store);
        found.with_context(|| format!("site.json has no listener {name} of {store:?}"))?.address()
    }
}

impl Listener {
    fn address(&self) -> Result<SocketAddr> {
        let host: IpAddr = self.host.parse().with_context(|| format!("{} is not a numeric host", self.host))?;
        Ok(SocketAddr::new(host, self.port))
    }
}

/// The program under test: `POSTHOUSE_BIN`, as `cargo xtask test` sets it, or built now, in the profile that built us.
pub fn binary() -> Result<PathBuf> {
    static BINARY: std::sync::OnceLock<Result<PathBuf, String>> = std::sync::OnceLock::new();
    let found = BINARY.get_or_init(|| find_binary().map_err(|error| format!("{error:#}")));
    found.clone().map_err(anyhow::Error::msg)
}

fn find_binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("POSTHOUSE_BIN") {
        let path = PathBuf::from(named);
        ensure!(path.is_file(), "POSTHOUSE_BIN names {}, which is no file", path.display());
        return Ok(path);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "posthouse", "--bin", "posthouse"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().context("cannot run cargo")?;
    ensure!(status.success(), "posthouse does not build");
    Ok(profile_folder()?.join("posthouse"))
}

/// The folder of the profile that built us: `target/debug` for `target/debug/soak` and `target/debug/deps/e2e-…`.
fn profile_folder() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a program without a folder")?;
    let is_test = folder.file_name().is_some_and(|name| name == "deps");
    let folder = if is_test { folder.parent().context("deps without a folder")? } else { folder };
    Ok(folder.to_owned())
}

/// The target folder, where caches may be kept.
pub(crate) fn target_folder() -> Result<PathBuf> {
    Ok(profile_folder()?.parent().context("a profile without a target folder")?.to_owned())
}

/// Whether site.json is there and every listener in it accepts.
fn look(folder: &Path) -> Result<Description> {
    let text = std::fs::read(folder.join("site.json")).context("no site.json yet")?;
    let description: Description = serde_json::from_slice(&text).context("site.json")?;
    for listener in &description.listeners {
        let address = listener.address()?;
        TcpStream::connect_timeout(&address, CONNECT_MAX)
            .with_context(|| format!("{} at {address} does not answer", listener.name))?;
    }
    Ok(description)
}

const CONNECT_MAX: Duration = Duration::from_secs(2);
