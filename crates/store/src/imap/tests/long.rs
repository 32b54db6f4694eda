//! Answers that are longer than what is queued at once, and what an idle session costs.

use super::super::{Doing, ImapSession, STEP_OCTETS};
use super::{Client, Site};
use crate::engine::{FlagChange, FlagNames};
use mail_types::{FlagSet, MailboxId, SystemFlag, Uid, UidSet};

fn ask(site: &Site, client: &mut Client, command: &str) -> Vec<u8> {
    client.send(site, format!("t {command}\r\n").as_bytes())
}

#[test]
fn big_messages_are_sent_piece_by_piece() {
    let site = Site::new();
    let text = [&b"Subject: big\r\n\r\n"[..], &b"0123456789abcde\n".repeat(10_000)].concat();
    for _ in 0..20 {
        site.put(MailboxId::INBOX, &text);
    }
    let mut client = site.client();
    ask(&site, &mut client, "SELECT INBOX");
    let answer = ask(&site, &mut client, "FETCH 1:* BODY[]");
    assert!(client.steps >= 9, "{} steps", client.steps);
    assert!(client.queued_octets_max < STEP_OCTETS + text.len() + 4096, "{} queued", client.queued_octets_max);
    assert_eq!(answer.windows(text.len()).filter(|window| *window == text).count(), 20);
    assert!(answer.ends_with(b"t OK FETCH completed\r\n"));
    // All of them are seen now, and each was told so once.
    let told = String::from_utf8_lossy(&answer).matches("FLAGS (\\Seen)").count();
    assert_eq!(told, 20);
    assert_eq!(ask(&site, &mut client, "SEARCH UNSEEN"), b"* SEARCH\r\nt OK SEARCH completed\r\n");
}

#[test]
fn many_messages_take_many_reads() {
    let site = Site::new();
    for _ in 0..2_300 {
        site.put(MailboxId::INBOX, b"Subject: a\r\n\r\nb");
    }
    let (mut first, mut second) = (site.client(), site.client());
    for client in [&mut first, &mut second] {
        ask(&site, client, "SELECT INBOX");
    }
    let answer = String::from_utf8(ask(&site, &mut first, "FETCH 1:* (UID FLAGS ENVELOPE)")).expect("text");
    assert_eq!(answer.lines().count(), 2_301);
    assert!(first.queued_octets_max < STEP_OCTETS + (32 << 10), "{} queued", first.queued_octets_max);

    // Every second one goes.
    let odd: UidSet = (0..1_150).filter_map(|n| Uid::new(2 * n + 1)).collect();
    let deleted = FlagNames { system: FlagSet::system(SystemFlag::Deleted), keywords: Vec::new() };
    let store = &site.store;
    let inbox = MailboxId::INBOX;
    let done = store.store_flags(site.account, inbox, &odd, FlagChange::Add, &deleted, None);
    site.world.run(store, done).expect("flags are stored");
    let told = String::from_utf8(ask(&site, &mut second, "NOOP")).expect("text");
    assert_eq!(told.lines().filter(|line| line.contains("\\Deleted")).count(), 1_150);
    let answer = String::from_utf8(ask(&site, &mut first, "EXPUNGE")).expect("text");
    assert_eq!(answer.lines().filter(|line| line.ends_with("EXPUNGE")).count(), 1_150);
    let found = ask(&site, &mut second, "UID SEARCH BODY b");
    let found = String::from_utf8(found).expect("text");
    assert!(found.starts_with("* SEARCH 2 4 6 8 ") && found.contains(" 2300\r\n* 2299 EXPUNGE\r\n"));

    // A third client opens what is left, which is read in batches because most UIDs are missing.
    let mut third = site.client();
    let opened = String::from_utf8(ask(&site, &mut third, "SELECT INBOX")).expect("text");
    assert!(opened.contains("* 1150 EXISTS\r\n"));
    let last = ask(&site, &mut third, "FETCH 1,1150 UID");
    assert!(last.starts_with(b"* 1 FETCH (UID 2)\r\n* 1150 FETCH (UID 2300)\r\n"));
}

#[test]
fn an_idle_session_is_small() {
    let site = Site::new();
    for _ in 0..50 {
        site.put(MailboxId::INBOX, b"Subject: a\r\n\r\nb");
    }
    let mut client = site.client();
    ask(&site, &mut client, "SELECT INBOX");
    ask(&site, &mut client, "FETCH 1:* (FLAGS ENVELOPE)");
    ask(&site, &mut client, "IDLE");
    assert!(matches!(client.session.doing, Doing::Idle));
    assert_eq!(client.machine.output_octets(), 0);
    // Beside it on the heap: the selected mailbox, whose view is one run of UIDs.
    assert!(size_of::<ImapSession>() < 512, "{} octets", size_of::<ImapSession>());
}
