//! Nodes without stores, and nodes whose directory is a file, as `posthouse serve` starts them.
#![expect(clippy::disallowed_methods, reason = "tests are worlds: they lay out files")]

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

const NODE: &str = "[node]\nname = 'one'\nhostname = 'one.example'\ndata = 'data'\n";
const RELAY: &str = "[relay]\nlisten = ['127.0.0.1:0']\n";
const FILE: &str = "[directory]\nengine = 'file'\npath = 'records'\n";
const HEADER: &str = r#"{"format":"posthouse-directory","version":1}"#;

fn site(config: &str, records: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("posthouse.toml"), config).expect("written");
    std::fs::write(folder.path().join("records"), records).expect("written");
    folder
}

fn program(folder: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posthouse"));
    command.args(words.split_whitespace()).arg("--config").arg(folder.join("posthouse.toml"));
    command
}

/// What a command says, without the folder.
fn run(folder: &Path, words: &str) -> String {
    let Output { status, stdout, stderr } = program(folder, words).output().expect("the program runs");
    let said = String::from_utf8([stdout, stderr].concat()).expect("UTF-8");
    let code = if status.success() { "" } else { "(failed) " };
    format!("{code}{}", said.replace(&format!("{}/", folder.display()), ""))
}

/// A node that serves until it is dropped.
struct Running(Child);

impl Running {
    fn start(folder: &Path) -> Self {
        let mut child = program(folder, "serve").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("runs");
        let mut line = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let running = Self(child);
        assert_eq!(line, "posthouse is ready\n");
        running
    }
}

impl Running {
    fn address(&self, folder: &Path, name: &str) -> SocketAddr {
        let status: Value = serde_json::from_str(&run(folder, "status --json")).expect("JSON");
        let listeners = status.get("listeners").and_then(Value::as_array).expect("a list");
        let found = listeners.iter().find(|listener| listener.get("name").is_some_and(|found| found == name));
        let address = found.and_then(|listener| listener.get("address")?.as_str()).expect("an address");
        address.parse().expect("an address")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; the test says more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_relay_without_stores_learns_of_its_default_store() {
    let site = site(&format!("{NODE}{RELAY}[directory]\ndefault_store = 'hedda'\n"), "");
    {
        let _node = Running::start(site.path());
        assert_eq!(run(site.path(), "site show"), "revision  0\n");
        assert_eq!(run(site.path(), "node add two --address two.example --role store"), "added node two\n");
        assert_eq!(run(site.path(), "store add hedda --node two"), "added store hedda\n");
    }
    let _node = Running::start(site.path());
    assert!(run(site.path(), "site show").contains("default_store  hedda"), "{}", run(site.path(), "site show"));
}

#[test]
fn a_relay_reads_its_directory_from_a_file() {
    let hedda = r#"{"key":"routing/store/hedda","value":{"v":1,"name":"hedda","kind":"posthouse","node":"two"}}"#;
    let records = format!("{HEADER}\n{hedda}\n{{\"records\":1}}\n");
    let site = site(&format!("{NODE}{RELAY}{FILE}"), &records);
    let _node = Running::start(site.path());
    let listed = run(site.path(), "store list");
    assert!(listed.contains("hedda") && listed.contains("two"), "{listed}");
    let refused = run(site.path(), "node add two");
    assert_eq!(
        refused,
        "(failed) posthouse: this node only reads its directory; it is kept in records: change it where that is made\n"
    );
}

/// Two nodes with a disk each must not both take mail for it.
#[test]
fn a_store_that_was_given_to_another_node_takes_nothing_any_more() {
    let config =
        format!("{NODE}{FILE}[[store]]\nname = 'ingrid'\nlmtp = '127.0.0.1:0'\n[proxy]\nimap = '127.0.0.1:0'\n");
    let records = |node: &str| {
        let store = format!(
            r#"{{"key":"routing/store/ingrid","value":{{"v":1,"name":"ingrid","kind":"posthouse","node":"{node}"}}}}"#
        );
        let domain = r#"{"key":"routing/domain/a.test","value":{"v":1,"name":"a.test"}}"#;
        let site = r#"{"key":"routing/site","value":{"v":1,"default_store":"ingrid"}}"#;
        let ann = r#"{"key":"routing/account/a.test/ann","value":{"v":1,"address":"ann@a.test","id":"00000000000000000000000000000001","created":0}}"#;
        let secret =
            r#"{"key":"secret/a.test/ann","value":{"v":1,"address":"ann@a.test","passwords":["{PLAIN}s3cret"]}}"#;
        format!("{HEADER}\n{ann}\n{domain}\n{site}\n{store}\n{secret}\n{{\"records\":5}}\n")
    };
    let site = site(&config, &records("one"));
    let node = Running::start(site.path());
    let lmtp = node.address(site.path(), "lmtp");
    let rcpt = || {
        let mut talk = BufReader::new(TcpStream::connect(lmtp).expect("somebody listens"));
        talk.get_mut().write_all(b"LHLO x.test\r\nMAIL FROM:<>\r\nRCPT TO:<ann@a.test>\r\nQUIT\r\n").expect("sent");
        let mut heard = String::new();
        talk.read_to_string(&mut heard).expect("text");
        heard.lines().rev().nth(1).expect("an answer to RCPT").to_owned()
    };
    assert!(rcpt().starts_with("250 "), "{}", rcpt());
    let mut imap = BufReader::new(TcpStream::connect(node.address(site.path(), "imap")).expect("somebody listens"));
    imap.get_mut().write_all(b"a LOGIN ann@a.test s3cret\r\nb SELECT INBOX\r\n").expect("sent");
    let mut line = String::new();
    while !line.starts_with("b OK") {
        line.clear();
        assert_ne!(imap.read_line(&mut line).expect("a line"), 0, "the end");
    }
    std::fs::write(site.path().join("new"), records("two")).expect("written");
    std::fs::rename(site.path().join("new"), site.path().join("records")).expect("renamed");
    while rcpt().starts_with("250 ") {}
    // Who is connected reads and writes there no more.
    let mut rest = String::new();
    imap.read_to_string(&mut rest).expect("text");
    assert!(rest.starts_with("* BYE"), "{rest}");
    assert!(rcpt().starts_with("451 ") && rcpt().contains("Another node serves this store"), "{}", rcpt());
}

#[test]
fn a_node_does_not_start_with_a_file_that_lacks_its_stores() {
    let config = format!("{NODE}[[store]]\nname = 'ingrid'\n[[store]]\nname = 'fritz'\n{FILE}");
    let fritz = r#"{"key":"routing/store/fritz","value":{"v":1,"name":"fritz","kind":"posthouse","node":"two"}}"#;
    let site = site(&config, &format!("{HEADER}\n{fritz}\n{{\"records\":1}}\n"));
    let said = run(site.path(), "serve");
    let expected = "\
posthouse: records does not name what this node runs:
  store ingrid is not there; the line would be
  {\"key\":\"routing/store/ingrid\",\"value\":{\"v\":1,\"name\":\"ingrid\",\"kind\":\"posthouse\",\"node\":\"one\"}}
  store fritz is of node two there; the line would be
  {\"key\":\"routing/store/fritz\",\"value\":{\"v\":1,\"name\":\"fritz\",\"kind\":\"posthouse\",\"node\":\"one\"}}
where the directory is edited: `posthouse store add NAME --node NODE`, then `posthouse export directory`
";
    assert!(said.starts_with("(failed)") && said.ends_with(expected), "{said}");
}

#[test]
fn a_malformed_file_is_named_with_its_line_at_the_start() {
    let site = site(&format!("{NODE}{RELAY}{FILE}"), &format!("{HEADER}\n{{\"key\":\"routing/site\"}}\n"));
    let said = run(site.path(), "serve");
    let expected = "the directory file cannot be used: records:2: column 22: missing field `value`\n";
    assert!(said.starts_with("(failed)") && said.ends_with(expected), "{said}");
}
