//! Clients that ask for too much.

use super::ENVELOPE;
use super::site::{Talk, World};
use super::stores::Stores;
use crate::{ClientLimits, Gate};
use std::net::IpAddr;
use std::sync::Arc;

const LIMITS: ClientLimits = ClientLimits {
    ipv4_prefix_bits: 24,
    ipv6_prefix_bits: 64,
    connections: 2,
    connections_per_minute: 0,
    messages_per_minute: 2,
    recipients_per_minute: 4,
    refused_recipients_per_minute: 2,
};

fn gate() -> Arc<Gate> {
    Gate::new(LIMITS, World::new())
}

fn from(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

#[test]
fn a_network_has_so_many_connections() {
    let gate = gate();
    let (one, _two) = (gate.admit(from("192.0.2.1")).expect("one"), gate.admit(from("192.0.2.2")).expect("two"));
    let refusal = gate.admit(from("192.0.2.3")).map(drop).expect_err("three");
    assert!(refusal.to_string().starts_with("421 4.7.0 Too many connections"), "{refusal}");
    assert!(gate.admit(from("198.51.100.1")).is_ok(), "another network");
    drop(one);
    assert!(gate.admit(from("192.0.2.3")).is_ok());
}

#[test]
fn messages_and_recipients_have_a_rate_and_others_go_on() {
    let (gate, stores) = (gate(), Stores::new());
    let talk = |address| Talk::new(&stores).by(gate.admit(from(address)).expect("it is let in"));
    let (mut fast, mut slow) = (talk("192.0.2.1"), talk("198.51.100.1"));
    for _ in 0..2 {
        let said = fast.say(&format!("{ENVELOPE}RCPT TO:<ann@a.example>\nRCPT TO:<bob@a.example>\nDATA\nx\n."));
        assert!(said.contains("250 2.0.0 Ok: on stable"), "{said}");
    }
    let said = fast.say("MAIL FROM:<>");
    assert!(said.starts_with("450 4.7.1 "), "{said}");
    // Another connection of the network makes no difference; the conversation goes on.
    assert!(talk("192.0.2.9").say(ENVELOPE.trim_end()).contains("\r\n450 4.7.1 "));
    assert!(fast.say("NOOP").starts_with("250"));
    let said = slow.say(&format!("{ENVELOPE}{}RCPT TO:<cid@a.example>", "RCPT TO:<ann@a.example>\n".repeat(4)));
    assert_eq!((said.matches("250 2.1.5").count(), said.matches("450 4.7.1").count()), (4, 1), "{said}");
    // Those who were accepted get it.
    assert!(slow.say("DATA\nx\n.").contains("250 2.0.0 Ok: on stable"));
}

#[test]
fn who_guesses_names_learns_no_more() {
    let (gate, stores) = (gate(), Stores::new());
    let mut talk = Talk::new(&stores).by(gate.admit(from("192.0.2.1")).expect("it is let in"));
    let said = talk.say(&format!("{ENVELOPE}RCPT TO:<x@a.example>\nRCPT TO:<y@a.example>\nRCPT TO:<ann@a.example>"));
    assert_eq!(said.matches("550 5.1.1").count(), 2, "{said}");
    assert!(said.ends_with("421 4.7.0 Too many unknown recipients from your network, try again later\r\n"), "{said}");
    assert_eq!(talk.say("NOOP"), "", "the connection is over");
    // A store that is away, or a full mailbox, is no guess.
    let mut other = Talk::new(&stores).by(gate.admit(from("198.51.100.1")).expect("it is let in"));
    stores.script("north", "takes", "ann", super::Answer::No(super::refusal("452 4.2.2 Mailbox full")));
    let said = other.say(&format!("{ENVELOPE}{}RCPT TO:<cid@a.example>", "RCPT TO:<ann@a.example>\n".repeat(3)));
    assert_eq!((said.matches("452 4.2.2").count(), said.matches("250 2.1.5").count()), (3, 1), "{said}");
    // Nor is a message that is too large for a mailbox which is there.
    let mut large = Talk::new(&stores).by(gate.admit(from("203.0.113.1")).expect("it is let in"));
    stores.script("north", "takes", "ann", super::Answer::No(super::refusal("552 5.2.3 Larger than the mailbox")));
    let said = large.say(&format!("{ENVELOPE}{}RCPT TO:<cid@a.example>", "RCPT TO:<ann@a.example>\n".repeat(3)));
    assert_eq!((said.matches("552 5.2.3").count(), said.matches("250 2.1.5").count()), (3, 1), "{said}");
}
