//! SIGHUP.

use crate::node::{RELAY, Served, Talk};
use rustix::process::Signal;

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
