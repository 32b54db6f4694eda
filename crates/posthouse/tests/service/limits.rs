//! What there may be of connections, logins and sessions: who is one too many hears so, and all others go on.

use crate::node::{ANNA, PASSWORD, Served};
use rustix::process::Signal;

fn limited(limits: &str) -> Served {
    Served::start("", &format!("[limits]\n{limits}"), &[])
}

fn login() -> String {
    format!("a LOGIN {ANNA} {PASSWORD}")
}

pub(crate) fn sessions_of_an_account() {
    let node = limited("sessions_per_account = 2\n");
    let first = node.log_in();
    let mut second = node.connect("pop3");
    second.ask(&format!("USER {ANNA}"), "+OK");
    second.ask(&format!("PASS {PASSWORD}"), "+OK");

    let mut third = node.connect("imap");
    third.ask(&login(), "a NO [LIMIT] ");
    let mut other = node.connect("pop3");
    other.ask(&format!("USER {ANNA}"), "+OK");
    other.ask(&format!("PASS {PASSWORD}"), "-ERR [SYS/TEMP] ");
    assert!(node.log_line("too many sessions of one account").contains(ANNA));
    // A place that was given back is there at once, also for who was refused before.
    drop(first);
    second.ask("QUIT", "+OK");
    while node.json(&["who", ANNA, "--json"]) != serde_json::json!([]) {}
    third.ask(&login(), "a OK ");
    third.ask("a NOOP", "a OK ");

    node.configure("", "[limits]\nsessions_per_account = 1\n");
    node.signal(Signal::HUP);
    let line = node.log_line("the configuration was read again");
    assert!(line.contains("changed=limits.sessions_per_account"), "{line}");
    third.ask("a NOOP", "a OK ");
}

pub(crate) fn logins() {
    let node = limited("logins_per_minute_per_address = 2\n");
    let (first, second) = (node.log_in(), node.log_in());
    let mut third = node.connect("imap");
    third.ask(&login(), "a NO [LIMIT] ");
    let mut other = node.connect("pop3");
    other.ask(&format!("USER {ANNA}"), "+OK");
    other.ask(&format!("PASS {PASSWORD}"), "-ERR [LOGIN-DELAY] ");
    for mut session in [first, second] {
        session.ask("a NOOP", "a OK ");
    }
    node.configure("", "[limits]\nlogins_per_minute_per_address = 0\n");
    node.signal(Signal::HUP);
    node.log_line("the configuration was read again");
    // Who follows the configuration is told after the log.
    while {
        third.send(&format!("{}\r\n", login()));
        !third.hear().starts_with("a OK ")
    } {
        third = node.connect("imap");
    }
}

pub(crate) fn strangers() {
    let node = limited("unauthenticated_connections = 2\n");
    let mut session = node.log_in();
    let (mut one, mut two) = (node.connect("imap"), node.connect("pop3"));
    // Who comes finds a place; who has been there longest leaves.
    let mut three = node.connect("imap");
    assert!(one.hear().starts_with("* BYE [UNAVAILABLE] "));
    assert_eq!(one.hear(), "");
    node.log_line("too many connections without a login");
    // Whoever is in is not among them, and whoever gets in leaves room.
    session.ask("a NOOP", "a OK ");
    three.ask(&login(), "a OK ");
    let _four = node.connect("imap");
    two.ask("CAPA", "+OK");
}
