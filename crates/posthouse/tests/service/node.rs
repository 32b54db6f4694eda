//! A node with one store, started as its own process on free ports, and the plainest of clients.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// The password of [`ANNA`].
pub(crate) const PASSWORD: &str = "sea-shell-7";
/// The one account.
pub(crate) const ANNA: &str = "anna@site.test";
/// Nothing here takes that long unless it hangs.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// A running node.
pub(crate) struct Served {
    folder: TempDir,
    child: Child,
    /// Lines of its log as they come.
    log: Receiver<String>,
    readers: Vec<JoinHandle<()>>,
}

impl Served {
    /// Starts a node whose configuration begins with `head`, lines of `[node]`, and ends with `tail`; waits until it is
    /// ready. Has the domain site.test and the account anna.
    pub(crate) fn start(head: &str, tail: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), head, tail, environment)
    }

    /// The same in a folder that is there.
    pub(crate) fn start_in(folder: TempDir, head: &str, tail: &str, environment: &[(&str, &str)]) -> Self {
        let served = Self::serve_in(folder, head, tail, environment);
        served.say(&["domain", "add", "site.test"], "");
        served.say(&["account", "add", ANNA, "--password-stdin"], PASSWORD);
        served
    }

    /// A node without a domain.
    pub(crate) fn serve_in(folder: TempDir, head: &str, tail: &str, environment: &[(&str, &str)]) -> Self {
        let file = folder.path().join("posthouse.toml");
        std::fs::write(&file, configuration(head, tail)).expect("written");
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--config"]).arg(&file).envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (ready, said) = channel();
        let (tell, log) = channel();
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let err = BufReader::new(child.stderr.take().expect("a pipe"));
        let lines = |from: Box<dyn BufRead + Send>, to: std::sync::mpsc::Sender<String>| {
            std::thread::spawn(move || from.lines().map_while(Result::ok).for_each(|line| drop(to.send(line))))
        };
        let readers = vec![lines(Box::new(out), ready), lines(Box::new(err), tell)];
        let mut served = Self { folder, child, log, readers };
        if said.recv_timeout(BOUND).is_err() {
            let log = served.end_log();
            panic!("it is not ready\n{log}");
        }
        served
    }

    /// Starts a node that must not come up; gives whether it ended well, and what it said.
    pub(crate) fn refused(head: &str) -> (bool, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("posthouse.toml");
        std::fs::write(&file, configuration(head, "")).expect("written");
        let output = Command::new(PROGRAM).args(["serve", "--config"]).arg(&file).output().expect("the program runs");
        assert!(!folder.path().join("data").exists(), "nothing is opened before");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Writes another configuration; the node hears of it by a signal.
    pub(crate) fn configure(&self, head: &str, tail: &str) {
        std::fs::write(self.config(), configuration(head, tail)).expect("written");
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder().join("posthouse.toml")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs a command of ours that must succeed; gives what it prints.
    pub(crate) fn say(&self, words: &[&str], input: &str) -> String {
        let output = self.run(words, input);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// Runs a command of ours that must fail; gives its complaint.
    pub(crate) fn fail(&self, words: &[&str]) -> String {
        let output = self.run(words, "");
        assert!(!output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn run(&self, words: &[&str], input: &str) -> Output {
        let mut command = Command::new(PROGRAM);
        // By its data folder: the configuration may have a mistake just now.
        command.args(words).arg("--dir").arg(self.folder().join("data"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
        child.wait_with_output().expect("it ends")
    }

    pub(crate) fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.say(words, "")).expect("JSON")
    }

    /// Where a listener of that name is.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let status = self.json(&["status", "--json"]);
        let listeners = status["listeners"].as_array().expect("a list");
        let found = listeners.iter().find(|listener| listener["name"] == name);
        found.and_then(|listener| listener["address"].as_str()).expect("an address").parse().expect("an address")
    }

    /// A conversation with a listener, after its greeting.
    pub(crate) fn connect(&self, name: &str) -> Talk {
        let mut talk = Talk::open(self.address(name));
        talk.hear();
        talk
    }

    /// IMAP, logged in.
    pub(crate) fn log_in(&self) -> Talk {
        let mut imap = self.connect("imap");
        imap.ask(&format!("a LOGIN {ANNA} {PASSWORD}"), "a OK");
        imap
    }

    /// Sends anna a message of that many octets; gives the answer to its end.
    pub(crate) fn mail(&self, octets: usize) -> String {
        let mut smtp = self.connect("smtp");
        smtp.ask("EHLO far.example", "250 ");
        smtp.ask("MAIL FROM:<sender@far.example>", "250 ");
        smtp.ask(&format!("RCPT TO:<{ANNA}>"), "250 ");
        smtp.ask("DATA", "354 ");
        let line = format!("{}\r\n", "x".repeat(70));
        smtp.send(&format!("Subject: hello\r\n\r\n{}", line.repeat(octets / line.len())));
        let answer = smtp.ask(".", "250 ");
        smtp.ask("QUIT", "221 ");
        answer
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("it is there");
    }

    /// The next line of the log that contains `text`, waited for.
    pub(crate) fn log_line(&self, text: &str) -> String {
        let mut seen = String::new();
        while let Ok(line) = self.log.recv_timeout(BOUND) {
            if line.contains(text) {
                return line;
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        panic!("no {text:?} in\n{seen}")
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        // Its pipes close with it, so this waits for the end, too.
        for reader in self.readers.drain(..) {
            reader.join().expect("no panic");
        }
        self.child.wait().expect("a child")
    }

    /// Ends it at once, and starts it in the same folder with another configuration.
    pub(crate) fn start_again(mut self, head: &str, tail: &str) -> Self {
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"));
        drop(self);
        Self::serve_in(folder, head, tail, &[])
    }

    fn end_log(&mut self) -> String {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
        self.log.iter().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A connection that talks in lines.
pub(crate) struct Talk(BufReader<TcpStream>);

impl Talk {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(BOUND)).expect("a time-out");
        Self(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("sent");
    }

    /// A line; empty at the end.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line or the end");
        line.trim_end().to_owned()
    }

    /// Sends a line, and reads until one begins with `until`.
    pub(crate) fn ask(&mut self, line: &str, until: &str) -> String {
        self.send(&format!("{line}\r\n"));
        loop {
            let heard = self.hear();
            if heard.starts_with(until) {
                return heard;
            }
            let goes_on = heard.starts_with('*') || heard.as_bytes().get(3) == Some(&b'-');
            assert!(goes_on, "{line}: {heard:?} instead of {until}");
        }
    }

    /// All that comes until the end.
    pub(crate) fn rest(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("text");
        rest
    }
}

fn configuration(head: &str, tail: &str) -> String {
    format!(
        "[node]\nname = 'one'\nhostname = 'one.example'\ndata = 'data'\n{head}\n\
         [directory]\ndefault_store = 'ingrid'\n[[store]]\nname = 'ingrid'\n\
         [proxy]\nimap = '127.0.0.1:0'\npop3 = '127.0.0.1:0'\n\
         [admin]\nmetrics = '127.0.0.1:0'\n{tail}\n"
    )
}

/// Port 25 of the node, for the tail of a configuration.
pub(crate) const RELAY: &str = "[relay]\nlisten = '127.0.0.1:0'\nqueue = 'queue'\n";
const PROGRAM: &str = env!("CARGO_BIN_EXE_posthouse");
