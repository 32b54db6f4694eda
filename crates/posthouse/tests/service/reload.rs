//! SIGHUP.

use crate::node::{RELAY, Served};
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
