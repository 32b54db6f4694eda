//! A whole site: `posthouse quickstart` in a folder, started, stopped, killed and started again.

use crate::ports::Block;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

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
    log: PathBuf,
    ports: Block,
    description: Description,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// Ends when the process has closed its output and the log is written.
    copier: thread::JoinHandle<()>,
}

impl Site {
    /// Starts a site in a folder and waits until every listener answers. The log goes beside the folder.
    pub fn start(folder: &Path, log: &Path) -> Result<Self> {
        let ports = Block::take()?;
        let description = Description { domain: String::new(), listeners: Vec::new(), accounts: Vec::new() };
        let mut site = Self { folder: folder.to_owned(), log: log.to_owned(), ports, description, process: None };
        site.start_again()?;
        Ok(site)
    }

    /// Starts it again in the same folder, on the same ports.
    pub fn start_again(&mut self) -> Result<()> {
        let lines = self.spawn()?;
        match self.wait_until_ready(&lines) {
            Ok(description) => {
                self.description = description;
                Ok(())
            }
            Err(error) => {
                self.kill()?;
                Err(error.context(self.log_tail()))
            }
        }
    }

    /// Starts it and kills it after a while, ready or not; whether it was killed before it was ready.
    pub fn start_and_kill(&mut self, after: Duration) -> Result<bool> {
        let lines = self.spawn()?;
        // The first line that it prints says that it is ready.
        let is_early = lines.recv_timeout(after).is_err();
        let is_running = self.is_running()?;
        self.kill()?;
        ensure!(is_running, "it ended instead of getting ready\n{}", self.log_tail());
        Ok(is_early)
    }

    /// Starts the process; the receiver is told of every line that it prints.
    fn spawn(&mut self) -> Result<Receiver<()>> {
        ensure!(self.process.is_none(), "the site still runs");
        let (told, lines) = channel();
        let mut child = Command::new(binary()?)
            .args(["quickstart", "--dir"])
            .arg(&self.folder)
            .args(["--port-base", &self.ports.base().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.log_file()?)
            .spawn()
            .context("cannot start posthouse")?;
        let output = child.stdout.take().context("stdout was set to a pipe above")?;
        let log = self.log_file()?;
        let copier = thread::spawn(move || copy_lines(output, log, &told));
        self.process = Some(Process { child, copier });
        Ok(lines)
    }

    /// Asks it to end (SIGTERM) and waits; after a bound it is killed, which is an error.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        signal(&process.child, Signal::TERM)?;
        let ended = wait_bounded(&mut process.child, STOP_MAX)?;
        if ended.is_none() {
            process.child.kill()?;
            process.child.wait()?;
        }
        join(process.copier)?;
        let status = ended.with_context(|| format!("did not end within {STOP_MAX:?} of SIGTERM"))?;
        ensure!(status.success(), "ended with {status} after SIGTERM\n{}", self.log_tail());
        Ok(())
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.child.kill()?;
        process.child.wait()?;
        join(process.copier)
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> Result<bool> {
        let Some(process) = &mut self.process else { return Ok(false) };
        Ok(process.child.try_wait()?.is_none())
    }

    /// How it ended, if it does so by itself within a bound.
    pub fn wait_for_end(&mut self, bound: Duration) -> Result<Option<ExitStatus>> {
        let Some(process) = &mut self.process else { return Ok(None) };
        wait_bounded(&mut process.child, bound)
    }

    /// Its resident memory in octets, as the kernel counts it.
    pub fn resident_octets(&self) -> Result<u64> {
        let process = self.process.as_ref().context("the site does not run")?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024)
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

    /// The end of the log, for the report of a failure.
    pub fn log_tail(&self) -> String {
        match tail(&self.log) {
            Ok(text) => format!("--- end of {}\n{text}---", self.log.display()),
            Err(error) => format!("no log at {}: {error}", self.log.display()),
        }
    }

    fn log_file(&self) -> Result<File> {
        let log = File::options().create(true).append(true).open(&self.log);
        log.with_context(|| format!("cannot write {}", self.log.display()))
    }

    /// Every line it prints, and every interval without one, is a reason to look again.
    fn wait_until_ready(&mut self, lines: &Receiver<()>) -> Result<Description> {
        let until = Instant::now() + START_MAX;
        let mut last;
        loop {
            match self.look() {
                Ok(description) => return Ok(description),
                Err(error) => last = error,
            }
            if !self.is_running()? {
                return Err(last.context("it ended instead of getting ready"));
            }
            if Instant::now() >= until {
                return Err(last.context(format!("not ready within {START_MAX:?}")));
            }
            if lines.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Disconnected) {
                bail!("it closed its output instead of getting ready");
            }
        }
    }

    /// Whether site.json is there and every listener in it accepts.
    fn look(&self) -> Result<Description> {
        let text = std::fs::read(self.folder.join("site.json")).context("no site.json yet")?;
        let description: Description = serde_json::from_slice(&text).context("site.json")?;
        for listener in &description.listeners {
            let address = listener.address()?;
            TcpStream::connect_timeout(&address, CONNECT_MAX)
                .with_context(|| format!("{} at {address} does not answer", listener.name))?;
        }
        Ok(description)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("posthouse was left running: {error:#}");
        }
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

fn copy_lines(output: impl Read, mut log: File, told: &Sender<()>) {
    let mut lines = BufReader::new(output);
    let mut line = Vec::new();
    while matches!((&mut lines).take(LINE_OCTETS_MAX).read_until(b'\n', &mut line), Ok(read) if read > 0) {
        if log.write_all(&line).is_err() {
            return;
        }
        line.clear();
        // Nobody listens once the site is ready; the log still gets every line.
        told.send(()).ok();
    }
}

fn join(copier: thread::JoinHandle<()>) -> Result<()> {
    copier.join().map_err(|_| anyhow::anyhow!("the thread that copies the log panicked"))
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
    rustix::process::kill_process(pid, signal).context("cannot send a signal")
}

/// Waits for the end of a child in a thread of ours, since the standard library has no bounded wait.
fn wait_bounded(child: &mut Child, bound: Duration) -> Result<Option<ExitStatus>> {
    let until = Instant::now() + bound;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        thread::park_timeout(LOOK_INTERVAL);
    }
}

fn tail(log: &Path) -> Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_OCTETS)))?;
    let mut text = Vec::new();
    file.take(TAIL_OCTETS).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// From the start of the process until everything answers, on a machine that compiles beside it.
const START_MAX: Duration = Duration::from_secs(60);

/// From SIGTERM to the end.
const STOP_MAX: Duration = Duration::from_secs(20);

const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const CONNECT_MAX: Duration = Duration::from_secs(2);
const LINE_OCTETS_MAX: u64 = 64 * 1024;
const TAIL_OCTETS: u64 = 8 * 1024;
