//! A message in the log, from hop to hop.

use crate::node::{ANNA, RELAY, Served};

/// One id from the answer to the sender to the mailbox.
pub(crate) fn one_id() {
    let node = Served::start("", &format!("{RELAY}[log]\nlevel = 'info,relay=debug'\n"), &[]);
    let answer = node.mail(500);
    let id = answer.rsplit(' ').next().expect("an id");
    assert_eq!(id.len(), 32, "{answer}");
    let store = node.log_line("in the mailbox");
    let leg = node.log_line("the store has it");
    let accept = node.log_line("msg=message");
    for line in [&store, &leg, &accept] {
        assert!(line.contains(&format!(" id={id}")), "{line}");
    }
    assert!(
        store.contains("target=store::delivery") && store.contains(&format!("store=ingrid account={ANNA} uid=1")),
        "{store}"
    );
    assert!(leg.contains(&format!("store=ingrid account={ANNA}")), "{leg}");
    assert!(accept.contains("client=127.0.0.1 from=<sender@far.example>"), "{accept}");

    // The header of the message has it, too (RFC 5321 §4.4).
    let mut imap = node.log_in();
    imap.ask("b SELECT INBOX", "b OK");
    imap.send("c FETCH 1 BODY.PEEK[HEADER]\r\n");
    let mut heard = imap.hear();
    while !heard.contains(&format!("id {id}")) {
        assert!(!heard.starts_with("c "), "no id {id} in the header");
        heard = imap.hear();
    }
}
