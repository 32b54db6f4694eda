//! One process of posthouse: started, asked to end, killed, frozen, started again.

use crate::site::binary;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A process that runs, or that can be started.
#[derive(Debug)]
pub struct Daemon {
    arguments: Vec<OsString>,
    /// The network namespace it runs in, where it is not ours.
    namespace: Option<String>,
    log: PathBuf,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// Ends when the process has closed its output and the log is written.
    copier: thread::JoinHandle<()>,
}

impl Daemon {
    /// A process that will be started with these arguments; what it says is appended to the log.
    pub fn new(arguments: Vec<OsString>, log: &Path) -> Self {
        Self { arguments, namespace: None, log: log.to_owned(), process: None }
    }

    /// The same in a network namespace.
    #[must_use]
    pub fn within(mut self, namespace: String) -> Self {
        self.namespace = Some(namespace);
        self
    }

    /// Starts it and waits until `look` finds it ready.
    pub fn start<T>(&mut self, look: impl Fn() -> Result<T>) -> Result<T> {
        let lines = self.spawn()?;
        let ready = self.wait_until_ready(&lines, look);
        ready.or_else(|error| {
            self.kill()?;
            Err(error.context(self.log_tail()))
        })
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

    /// Sends it a signal: SIGSTOP and SIGCONT freeze and thaw it.
    pub fn signal(&self, name: Signal) -> Result<()> {
        signal(&self.process.as_ref().context("it does not run")?.child, name)
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
        let process = self.process.as_ref().context("it does not run")?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024)
    }

    /// All that it has logged.
    pub fn log(&self) -> Result<String> {
        let log = std::fs::read(&self.log).with_context(|| format!("reading {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    /// The end of the log, for the report of a failure.
    pub fn log_tail(&self) -> String {
        match tail(&self.log) {
            Ok(text) => format!("--- end of {}\n{text}---", self.log.display()),
            Err(error) => format!("no log at {}: {error}", self.log.display()),
        }
    }

    /// Starts the process; the receiver is told of every line that it prints.
    fn spawn(&mut self) -> Result<Receiver<()>> {
        ensure!(self.process.is_none(), "it still runs");
        let (told, lines) = channel();
        let mut command = match &self.namespace {
            None => Command::new(binary()?),
            Some(namespace) => {
                // It becomes the program: its pid is the program's.
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(binary()?);
                command
            }
        };
        let mut child = command
            .args(&self.arguments)
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

    fn log_file(&self) -> Result<File> {
        let log = File::options().create(true).append(true).open(&self.log);
        log.with_context(|| format!("cannot write {}", self.log.display()))
    }

    /// Every line it prints, and every interval without one, is a reason to look again.
    fn wait_until_ready<T>(&mut self, lines: &Receiver<()>, look: impl Fn() -> Result<T>) -> Result<T> {
        let until = Instant::now() + START_MAX;
        loop {
            let last = match look() {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            if !self.is_running()? {
                return Err(last.context("it ended instead of getting ready"));
            }
            if Instant::now() >= until {
                return Err(last.context(format!("not ready within {START_MAX:?}")));
            }
            if lines.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Disconnected) {
                return Err(last.context("it closed its output instead of getting ready"));
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("posthouse was left running: {error:#}");
        }
    }
}

fn copy_lines(output: impl Read, mut log: File, told: &Sender<()>) {
    let mut lines = BufReader::new(output);
    let mut line = Vec::new();
    while matches!((&mut lines).take(LINE_OCTETS_MAX).read_until(b'\n', &mut line), Ok(read) if read > 0) {
        if log.write_all(&line).is_err() {
            return;
        }
        line.clear();
        // Nobody listens once it is ready; the log still gets every line.
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

/// The end of a log.
pub(crate) fn tail(log: &Path) -> Result<String> {
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
const LINE_OCTETS_MAX: u64 = 64 * 1024;
const TAIL_OCTETS: u64 = 8 * 1024;
