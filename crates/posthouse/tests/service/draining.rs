//! A node that was told to stop.

use crate::node::{RELAY, Served};
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
    drop(imap);
    assert!(node.wait().success());
}
