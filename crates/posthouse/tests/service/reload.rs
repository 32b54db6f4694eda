//! SIGHUP.

use crate::metrics::scrape;
use crate::node::{RELAY, Served, Talk};
use net::{ClientTls, Stream};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) fn what_can_change_does() {
    let limits = |message: &str| format!("{RELAY}[limits]\nmessage = '{message}'\n");
    let node = Served::start("", &limits("1 MB"), &[]);
    let mut old = node.connect("smtp");
    assert_eq!(size(&node), 1_000_000);

    // A mistake anywhere changes nothing.
    node.configure("", &format!("{}mesage = '3 MB'\n", limits("2 MB")));
    node.signal(Signal::HUP);
    let line = node.log_line("mesage");
    assert!(line.contains("posthouse.toml:20:1: limits.mesage: unknown key (did you mean message?)"), "{line}");
    node.log_line("the node goes on with what it has");
    assert_eq!(size(&node), 1_000_000);

    let more = limits("2 MB").replace("'127.0.0.1:0'", "['127.0.0.1:0', '[::1]:0']") + "[log]\nlevel = 'debug'\n";
    node.configure("stop_seconds = 7", &more);
    node.signal(Signal::HUP);
    let line = node.log_line("the configuration was read again");
    assert!(line.contains("changed=\"limits.message, log.level, node.stop_seconds\""), "{line}");
    node.log_line("level=debug");
    let line = node.log_line("wait for a restart");
    assert!(line.contains("keys=relay.listen"), "{line}");
    // Who follows the configuration is told after the log, so the first look may be too early.
    while size(&node) != 2_000_000 {}
    // Whoever was there goes on, as it began.
    assert!(old.ask("EHLO far.example", "250-SIZE").ends_with(" 1000000"));
}

/// The size of a message that a new session offers (RFC 1870 §4).
fn size(node: &Served) -> u64 {
    let mut smtp = node.connect("smtp");
    let line = smtp.ask("EHLO far.example", "250-SIZE");
    line.rsplit(' ').next().expect("a size").parse().expect("a number")
}

/// What is told to wait for a restart waits, in every part of the node.
pub(crate) fn what_waits_changes_nothing() {
    let limits = |message: &str| format!("{RELAY}[limits]\nmessage = '{message}'\n");
    let node = Served::start("", &limits("1 MB"), &[]);
    let made = rcgen::generate_simple_self_signed(vec!["two.example".to_owned()]).expect("a certificate");
    std::fs::write(node.folder().join("cert.pem"), made.cert.pem()).expect("written");
    std::fs::write(node.folder().join("key.pem"), made.signing_key.serialize_pem()).expect("written");

    node.configure("", &format!("{}[tls]\ncertificate = 'cert.pem'\nkey = 'key.pem'\n", limits("2 MB")));
    let text = std::fs::read_to_string(node.config()).expect("read");
    let text = text.replace("one.example", "two.example").replace("[proxy]", "[proxy]\nclear_from = '0.0.0.0/0'");
    std::fs::write(node.config(), text).expect("written");
    node.signal(Signal::HUP);
    let line = node.log_line("wait for a restart");
    assert!(line.contains("keys=\"node.hostname, proxy.clear_from, tls.certificate, tls.key\""), "{line}");
    // All is told at once: whoever offers the new size has heard of the rest.
    while size(&node) != 2_000_000 {}
    let mut smtp = Talk::open(node.address("smtp"));
    let greeting = smtp.hear();
    assert!(greeting.starts_with("220 one.example"), "{greeting}");
    smtp.send("EHLO far.example\r\n");
    let mut offered = Vec::new();
    while offered.last().is_none_or(|line: &String| line.starts_with("250-")) {
        offered.push(smtp.hear());
    }
    assert!(!offered.iter().any(|line| line.contains("STARTTLS")), "{offered:?}");
}

/// RFC 6066 §3: each name has its certificate, and files that were renewed are read again.
pub(crate) fn certificates_follow_their_files() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["one", "two"] {
        issue(folder.path(), name);
    }
    std::fs::create_dir(folder.path().join("conf.d")).expect("a folder");
    std::fs::write(folder.path().join("conf.d/imaps.toml"), "proxy.imaps = '127.0.0.1:0'\n").expect("written");
    let node = Served::start_in(folder, "", TLS, &[]);
    let at = node.address("imaps");
    for name in ["one", "two"] {
        assert!(is_shown(node.folder(), at, name), "{name}");
    }
    // Kept beside the new one, for who still expects the old.
    std::fs::rename(node.folder().join("two.pem"), node.folder().join("old.pem")).expect("renamed");
    issue(node.folder(), "two");
    assert!(!is_shown(node.folder(), at, "two"));
    node.signal(Signal::HUP);
    node.log_line("the configuration was read again");
    assert!(is_shown(node.folder(), at, "two"));

    // One that has expired is told of, to the log and to monitors.
    let until = || {
        let file = format!("file=\"{}\"", node.folder().join("one.pem").display());
        let found = scrape(&node).into_iter().find(|(name, _)| name.starts_with(EXPIRY) && name.contains(&file));
        found.expect("a sample").1
    };
    assert!(until() > 1_900_000_000.0, "{}", until());
    issue_until(node.folder(), "one", 2021);
    node.signal(Signal::HUP);
    let line = node.log_line("has expired at 2021-01-01T00:00:00Z");
    assert!(line.contains("tls.certificate"), "{line}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while until() != 1_609_459_200.0 {
        assert!(Instant::now() < deadline, "{}", until());
    }

    // A mistake in one of them changes nothing.
    std::fs::write(node.folder().join("two.pem"), "").expect("written");
    issue(node.folder(), "one");
    node.signal(Signal::HUP);
    let line = node.log_line("tls.also.certificate");
    assert!(line.contains("two.pem holds no certificate"), "{line}");
    assert!(!is_shown(node.folder(), at, "one"));
}

/// Writes a certificate for `NAME.example` and its key.
fn issue(folder: &Path, name: &str) {
    issue_until(folder, name, 4000);
}

/// The same, which is valid until that year begins.
fn issue_until(folder: &Path, name: &str, year: i32) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut made = rcgen::CertificateParams::new(vec![format!("{name}.example")]).expect("a name");
    (made.not_before, made.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(year, 1, 1));
    std::fs::write(folder.join(format!("{name}.pem")), made.self_signed(&key).expect("signed").pem()).expect("written");
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("written");
}

/// Whether who asks for that name is shown exactly its certificate.
fn is_shown(folder: &Path, at: SocketAddr, name: &str) -> bool {
    let client = ClientTls::verified_by(&folder.join(format!("{name}.pem"))).expect("a certificate");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let socket = tokio::net::TcpStream::connect(at).await.expect("connected");
        Stream::plain(socket).connect_tls(&client, &format!("{name}.example")).await.is_ok()
    })
}

const EXPIRY: &str = "posthouse_tls_expiry_time_seconds";
const TLS: &str = "[tls]
certificate = 'one.pem'
key = 'one.key'
[[tls.also]]
certificate = 'two.pem'
key = 'two.key'
";
