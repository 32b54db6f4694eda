//! A node that was told to stop.

use crate::node::{ANNA, RELAY, Served};
use rustix::process::Signal;

pub(crate) fn status() {
    let mut node = Served::start("stop_seconds = 600", RELAY, &[]);
    assert_eq!(node.json(&["status", "--json"])["state"], "serving");
    node.mail(10 << 20);
    let mut imap = node.log_in();
    imap.ask("a SELECT INBOX", "a OK");
    // Far more than sockets hold, and we do not read: this session cannot end.
    imap.send(&"a FETCH 1 BODY.PEEK[]\r\n".repeat(4));
    while node.json(&["who", "imap", "--json"])[0]["state"] != "busy" {}
    node.signal(Signal::TERM);
    while node.json(&["status", "--json"])["state"] != "draining" {}
    let said = node.say(&["status"], "");
    assert!(said.contains("draining, 1 session left"), "{said}");
    assert!(!node.has_ended());
    // Asked again, it does not wait for the session any more.
    node.signal(Signal::TERM);
    assert!(node.wait().success());
    drop(imap);
}

/// A message that is on its way to us is taken, and then its sender hears good-bye.
pub(crate) fn messages_come_to_their_end() {
    let node = Served::start("stop_seconds = 600", RELAY, &[]);
    let mut smtp = node.connect("smtp");
    smtp.ask("EHLO far.example", "250 ");
    smtp.ask("MAIL FROM:<sender@far.example>", "250 ");
    smtp.ask(&format!("RCPT TO:<{ANNA}>"), "250 ");
    smtp.ask("DATA", "354 ");
    smtp.send("Subject: half\r\n\r\n");
    let mut imap = node.log_in();
    imap.send("a APPEND INBOX {20}\r\n");
    assert!(imap.hear().starts_with('+'));
    imap.send("Subject: h");
    node.signal(Signal::TERM);
    while node.json(&["status", "--json"])["state"] != "draining" {}
    // Both have had the time to hear of it.
    while node.json(&["who", "--json"]).as_array().expect("a list").len() != 2 {}
    smtp.send("the other half\r\n.\r\n");
    assert!(smtp.hear().starts_with("250 "), "the message was on its way");
    assert!(smtp.hear().starts_with("421 "));
    imap.send("alf\r\n\r\nhi\r\n\r\n");
    let heard = [imap.hear(), imap.hear()].join("; ");
    assert!(heard.contains("a OK [APPENDUID"), "{heard}");
    assert!(imap.rest().contains("* BYE"));
    assert!(node.wait().success());
}
