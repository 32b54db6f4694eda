//! The relay with its retry queue, over a simulated disk.

use super::site::{Talk, World, finish, relay, routing};
use super::stores::{Answer, Mail, Stores};
use super::{ENVELOPE, refusal};
use crate::retry::{HELD_SEGMENTS_MAX, Held};
use crate::{QueueWorld, Relay, RetryQueue};
use disk::SimDisk;
use proptest::prelude::*;
use smtp_proto::{Dialect, Refusal};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A relay whose queue is on a disk that survives it.
pub(super) struct Site {
    pub(super) stores: Stores,
    disk: SimDisk,
    pub(super) world: Arc<World>,
    pub(super) queue: Arc<RetryQueue>,
    pub(super) relay: Arc<Relay>,
}

impl Site {
    pub(super) fn new() -> Self {
        Self::on(SimDisk::new(7), Stores::new(), World::new())
    }

    fn on(disk: SimDisk, stores: Stores, world: Arc<World>) -> Self {
        let config = journal::Config {
            segment_octets: SEGMENT_OCTETS,
            pending_octets_max: SEGMENT_OCTETS,
            low_water_octets: 0,
            ..journal::Config::default()
        };
        let queue_world = QueueWorld {
            disk: Arc::new(disk.clone()),
            clock: world.clone(),
            random: world.clone(),
            // Whoever waits learns it from the queue.
            fatal: Arc::new(|_| {}),
        };
        let queue = Arc::new(RetryQueue::open(&config, queue_world).expect("a queue"));
        let routing = Arc::new(routing());
        let relay = relay(&stores, move || Some(Arc::clone(&routing)), world.clone());
        let relay = relay.with_queue(Arc::clone(&queue), Arc::new(stores.clone()));
        Self { stores, disk, world, queue, relay: Arc::new(relay) }
    }

    /// With another directory.
    pub(super) fn knowing(mut self, routing: directory::Routing) -> Self {
        let routing = Arc::new(routing);
        let relay = relay(&self.stores, move || Some(Arc::clone(&routing)), self.world.clone());
        self.relay = Arc::new(relay.with_queue(Arc::clone(&self.queue), Arc::new(self.stores.clone())));
        self
    }

    pub(super) fn talk(&self) -> Talk {
        Talk::at(Arc::clone(&self.relay), Some(Arc::clone(&self.queue)))
    }

    /// Sends a message to these; gives the answer to the final dot.
    pub(super) fn send(&self, rcpts: &[&str], text: &str) -> String {
        let mut talk = self.talk();
        talk.say(ENVELOPE.trim_end());
        for rcpt in rcpts {
            let said = talk.say(&format!("RCPT TO:<{rcpt}@a.example>"));
            assert!(said.starts_with("250"), "{said}");
        }
        assert!(talk.say("DATA").starts_with("354"));
        talk.say(&format!("{text}\n."))
    }

    pub(super) fn round(&self) {
        finish(self.relay.retry_round(), Some(&self.queue));
    }

    /// A time passes after which everything is tried again.
    pub(super) fn later(&self) {
        self.world.pass(queue::INTERVAL_MAX);
        self.round();
    }

    /// The power goes; the relay starts again.
    pub(super) fn crash(self) -> Self {
        self.disk.crash();
        Self::on(self.disk, self.stores, self.world)
    }

    /// Who has mail, sorted.
    pub(super) fn places(&self) -> String {
        let mut places: Vec<_> = self.stores.mail().iter().map(Mail::place).collect();
        places.sort();
        places.join(" ")
    }
}

const SEGMENT_OCTETS: u64 = 1 << 20;

#[test]
fn what_some_have_is_delivered_to_the_others_when_their_store_is_back() {
    let site = Site::new();
    site.stores.script("south", "commits", "cid", Answer::No(refusal("451 4.3.0 Later")));
    let said = site.send(&["all"], "Subject: x\n\nhello");
    assert!(said.starts_with("250 2.0.0 Ok: on stable storage as "), "{said}");
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann", 1));
    let since = site.queue.oldest();
    assert!(since.is_some());

    site.round();
    assert_eq!(site.queue.waiting_count(), 1, "not before its time");
    site.later();
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann", 1), "not while the store says no");
    assert_eq!(site.queue.oldest(), since);
    site.stores.recover();
    site.later();
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann south/cid", 0));
    assert_eq!((site.queue.oldest(), site.queue.applied_lsn()), (None, site.queue.appended()));
    let mail = site.stores.mail();
    assert_eq!((mail[0].id(), &mail[0].text), (mail[1].id(), &mail[1].text), "the same id, the same octets");
    assert_eq!(mail[1].envelope.from.to_string(), "<s@far.example>");
    assert_eq!(mail[1].recipient.recipient.to_string(), "cid@a.example");
    site.later();
    assert_eq!((site.places().as_str(), site.stores.repeated()), ("north/ann south/cid", 0));
    assert_eq!(site.stores.open_transactions(), 0);
}

/// RFC 2033 §4.2: each recipient has an answer of its own, so the queue takes only what an answer would leave open.
#[test]
fn in_lmtp_only_what_an_answer_would_leave_open_is_queued() {
    let site = Site::new();
    let send = |rcpts: &[&str]| {
        let mut talk = Talk::speaking(Dialect::Lmtp, Arc::clone(&site.relay), Some(Arc::clone(&site.queue)));
        talk.say("LHLO foo.example\nMAIL FROM:<s@far.example>");
        for rcpt in rcpts {
            assert!(talk.say(&format!("RCPT TO:<{rcpt}@a.example>")).starts_with("250"));
        }
        assert!(talk.say("DATA").starts_with("354"));
        let said = talk.say("x\n.");
        said.lines().map(|line| line.split_at(9).0.to_owned()).collect::<Vec<_>>()
    };
    // All have answered: nothing waits, the sender hears who has it not.
    site.stores.script("south", "commits", "cid", Answer::No(refusal("451 4.3.0 Later")));
    site.stores.script("north", "commits", "bob", Answer::No(refusal("552 5.2.2 Over quota")));
    assert_eq!(send(&["ann", "bob", "cid"]), ["250 2.0.0", "552 5.2.2", "451 4.3.0"]);
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann", 0));
    // One of the two accounts of a recipient has it: the other waits, and so nobody is told that it has to come again.
    assert_eq!(send(&["all", "bob", "cid"]), ["250 2.0.0", "552 5.2.2", "250 2.0.0"]);
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann north/ann", 1));
    // A store that is away: who is there waits here.
    site.stores.script("south", "opens", "*", Answer::Silence);
    assert_eq!(send(&["dan", "bob"]), ["250 2.0.0", "552 5.2.2"]);
    assert_eq!(site.queue.waiting_count(), 2);
    site.stores.recover();
    site.later();
    assert_eq!(site.places(), "north/ann north/ann south/cid south/dan");
}

#[test]
fn who_is_refused_for_good_while_others_have_it_waits_with_the_reason() {
    let site = Site::new();
    site.stores.script("south", "commits", "cid", Answer::No(refusal("552 5.3.4 Too big")));
    assert!(site.send(&["all"], "x").starts_with("250"));
    let entries = site.queue.entries_after(crate::QueueId::new(mail_types::Lsn::ZERO), 10);
    let reasons: Vec<_> =
        entries.iter().flat_map(|(_, entry)| &entry.waiting).map(|one| one.failed.as_deref()).collect();
    assert_eq!(reasons, [Some("552 5.3.4 Too big")]);
    site.stores.recover();
    site.world.pass(queue::INTERVAL_MIN);
    site.round();
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann", 1), "not before long");
    site.later();
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann south/cid", 0));
}

#[test]
fn what_nobody_has_stays_with_its_sender_when_all_have_answered() {
    let site = Site::new();
    site.stores.script("north", "commits", "ann", Answer::No(refusal("552 5.2.2 Over quota")));
    site.stores.script("south", "commits", "cid", Answer::No(refusal("451 4.3.0 Later")));
    assert!(site.send(&["all"], "x").starts_with("451 4.3.0 Later"));
    assert!(site.send(&["ann"], "x").starts_with("552 5.2.2 Over quota"));
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("", 0));
}

#[test]
fn who_is_silent_after_the_final_dot_gets_it_later_and_once() {
    for (answer, repeated) in [(Answer::Silence, 0), (Answer::Mute, 1)] {
        let site = Site::new();
        site.stores.script("north", "commits", "ann", answer);
        let said = site.send(&["ann"], "x");
        assert!(said.starts_with("250"), "{said}");
        assert_eq!(site.queue.waiting_count(), 1);
        site.later();
        assert_eq!(site.queue.waiting_count(), 1, "the store is still silent");
        site.stores.recover();
        site.later();
        assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann", 0));
        assert!(site.stores.repeated() >= repeated, "the store knew the id");
    }
}

#[test]
fn a_store_that_is_away_at_rcpt_gets_it_later() {
    for answer in [Answer::Silence, Answer::No(refusal("451 4.4.1 No answer from host"))] {
        for verb in ["opens", "takes"] {
            let site = Site::new();
            site.stores.script("south", verb, if verb == "opens" { "*" } else { "cid" }, answer.clone());
            let said = site.send(&["all", "dan"], "x");
            assert!(said.starts_with("250"), "{said}");
            assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann", 2));
            site.stores.recover();
            site.later();
            assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann south/cid south/dan", 0));
        }
    }
}

#[test]
fn a_store_that_answers_at_rcpt_is_not_away() {
    let site = Site::new();
    site.stores.script("north", "takes", "ann", Answer::No(Refusal::MAILBOX_FULL));
    site.stores.script("south", "opens", "*", Answer::No(Refusal::TRY_LATER));
    let mut talk = site.talk();
    talk.say(ENVELOPE.trim_end());
    assert!(talk.say("RCPT TO:<ann@a.example>").starts_with("452 4.2.2"));
    assert!(talk.say("RCPT TO:<cid@a.example>").starts_with("451 4.3.0"));
    assert!(talk.say("RCPT TO:<nobody@a.example>").starts_with("550 5.1.1"));
}

#[test]
fn a_store_that_gives_up_in_the_middle_gets_it_later() {
    let site = Site::new();
    site.stores.script("south", "writes", "*", Answer::NoAgain(Refusal::NO_SPACE));
    assert!(site.send(&["all"], &"0123456789\n".repeat(300)).starts_with("250"));
    assert_eq!(site.queue.waiting_count(), 1);
    site.stores.recover();
    site.later();
    assert_eq!(site.places(), "north/ann south/cid");
}

#[test]
fn who_is_refused_for_good_stays_and_is_tried_at_the_longest_interval() {
    let site = Site::new();
    site.stores.script("south", "commits", "cid", Answer::No(refusal("550 5.7.1 Not wanted")));
    assert!(site.send(&["all"], "x").starts_with("250"));
    site.world.pass(queue::INTERVAL_MIN);
    site.round();
    site.world.pass(queue::INTERVAL_MAX / 2);
    site.stores.recover();
    site.round();
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann", 1), "not yet");
    let site = site.crash();
    assert_eq!(site.queue.waiting_count(), 1);
    site.later();
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann south/cid", 0));
}

#[test]
fn one_store_that_is_away_does_not_hold_up_another() {
    let site = Site::new();
    for store in ["north", "south"] {
        site.stores.script(store, "opens", "*", Answer::Silence);
    }
    for text in ["1", "2", "3"] {
        assert!(site.send(&["bob", "dan"], text).starts_with("250"));
    }
    site.stores.recover();
    site.stores.script("north", "opens", "*", Answer::Silence);
    site.later();
    assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("south/dan south/dan south/dan", 3));
    site.stores.recover();
    site.later();
    assert_eq!(site.queue.waiting_count(), 0);
}

#[test]
fn a_store_that_hangs_later_is_asked_once_in_a_round() {
    for (verb, user) in [("takes", "bob"), ("writes", "*"), ("commits", "bob")] {
        let site = Site::new();
        for store in ["north", "south"] {
            site.stores.script(store, "opens", "*", Answer::Silence);
        }
        for text in ["1", "2", "3"] {
            assert!(site.send(&["bob", "dan"], text).starts_with("250"));
        }
        site.stores.recover();
        site.stores.script("north", verb, user, Answer::Silence);
        let before = site.stores.asked(verb);
        site.later();
        assert_eq!(site.stores.asked(verb) - before, 4, "{verb}: three for south, one for north");
        assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("south/dan south/dan south/dan", 3));
        site.stores.recover();
        site.later();
        assert_eq!(site.queue.waiting_count(), 0);
    }
}

#[test]
fn what_waits_for_one_store_takes_no_place_of_another() {
    let site = Site::new();
    for user in ["bob", "dan"] {
        let store = if user == "bob" { "north" } else { "south" };
        site.stores.script(store, "opens", "*", Answer::Silence);
        let count = if user == "bob" { 600 } else { 1 };
        for number in 0..count {
            keep(&site, number, user, store, 1).expect("it is durable");
        }
    }
    site.stores.recover();
    site.later();
    assert_eq!(site.places().matches("south/dan").count(), 1);
    assert_eq!(site.queue.waiting_count(), 100, "more than a round tries at a store");
    site.round();
    assert_eq!(site.queue.waiting_count(), 0);
}

fn owed(recipient: queue::Recipient) -> crate::retry::Owed {
    crate::retry::Owed { recipient, refused: None }
}

/// Puts a message for so many accounts of a store into the queue.
pub(super) fn keep(
    site: &Site,
    number: u16,
    user: &str,
    store: &str,
    accounts: u16,
) -> Result<(), crate::retry::NotQueued> {
    let address = mail_types::Address::parse(&format!("{user}@a.example")).expect("an address");
    let recipient = |number: u16| {
        let mut account = [user.as_bytes()[0]; 16];
        account[..2].copy_from_slice(&number.to_le_bytes());
        queue::Recipient {
            store: mail_types::StoreName::parse(store).expect("a name"),
            account: mail_types::AccountId::from_bytes(account),
            address: address.clone(),
            recipient: address.clone(),
        }
    };
    let mut id = [9; 16];
    id[..2].copy_from_slice(&number.to_le_bytes());
    let id = mail_types::DeliveryId::from_bytes(id);
    let mut held = Held::new(Arc::clone(&site.queue));
    finish(held.take(b"x\r\n"), Some(&site.queue));
    let recipients = (0..accounts).map(recipient).map(owed).collect();
    finish(held.keep(id, mail_types::ReversePath::Null, recipients), Some(&site.queue)).map(drop)
}

#[test]
fn a_message_of_many_recipients_waits_for_all_or_for_nobody() {
    let mut outcomes = std::collections::BTreeSet::new();
    for changes in 0..12 {
        let site = Site::new();
        site.disk.cut_power_after(changes);
        let kept = keep(&site, 0, "bob", "north", 1000).is_ok();
        let site = site.crash();
        let waiting = site.queue.waiting_count();
        assert!(waiting == 1000 || (waiting == 0 && !kept), "{waiting} wait after {changes} changes");
        outcomes.insert(waiting);
    }
    assert_eq!(outcomes.len(), 2, "the cuts come before and after that");
}

#[test]
fn a_sender_that_takes_very_long_does_not_keep_the_journal() {
    let site = Site::new();
    let mut slow = Held::new(Arc::clone(&site.queue));
    let octets = vec![b'x'; 600_000];
    finish(slow.take(&octets), Some(&site.queue));
    let mut sent = 0;
    while site.queue.sealed_count() <= HELD_SEGMENTS_MAX {
        let mut other = Held::new(Arc::clone(&site.queue));
        finish(other.take(&octets), Some(&site.queue));
        sent += 1;
        assert!(sent < 10_000);
    }
    site.round();
    assert!(site.queue.sealed_count() < 3, "{}", site.queue.sealed_count());
    finish(slow.take(&octets), Some(&site.queue));
    let kept = slow.keep(mail_types::DeliveryId::from_bytes([1; 16]), mail_types::ReversePath::Null, vec![]);
    assert!(finish(kept, Some(&site.queue)).is_err());
    assert_eq!(site.queue.waiting_count(), 0);
}

/// A message that stays, in a journal that goes on behind it until it is in the way.
pub(super) fn in_the_way() -> Site {
    let site = Site::new();
    site.stores.script("south", "commits", "cid", Answer::No(refusal("550 5.7.1 Not wanted")));
    let text = "0123456789 0123456789\n".repeat(20_000);
    assert!(site.send(&["all"], &text).starts_with("250"));
    while site.queue.sealed_count() < 12 {
        assert!(site.send(&["bob"], &text).starts_with("250"));
    }
    site
}

#[test]
fn what_cannot_be_read_is_not_moved_again_and_again() {
    let site = in_the_way();
    site.disk.rot("journal/0000000000000001.seg", 300_000, 0xff).expect("the first segment");
    site.round();
    let before = site.disk.operations();
    for _ in 0..20 {
        site.round();
    }
    assert_eq!((site.disk.operations() - before, site.queue.waiting_count()), (0, 1), "nothing is read or written");
}

#[test]
fn a_move_leaves_room_to_go_on() {
    let site = in_the_way();
    let all = u64::MAX / 2;
    site.disk.set_capacity(all);
    let used = all - journal::disk::Disk::free_bytes(&site.disk).expect("a disk that says");
    site.disk.set_capacity(used + 2 * SEGMENT_OCTETS);
    let before = site.queue.sealed_count();
    for _ in 0..20 {
        site.round();
    }
    assert_eq!((site.queue.sealed_count(), site.queue.waiting_count()), (before, 1), "it stays where it is");
    site.disk.set_capacity(all);
    site.round();
    assert!(site.queue.sealed_count() < 4);
}

#[test]
fn a_crash_at_any_moment_loses_nothing_that_was_promised() {
    let mut promised = 0;
    for changes in 0..12 {
        let site = Site::new();
        site.stores.script("south", "commits", "cid", Answer::Mute);
        site.disk.cut_power_after(changes);
        let said = site.send(&["all"], "x");
        site.stores.recover();
        let site = site.crash();
        if said.starts_with("250") {
            promised += 1;
            assert_eq!(site.queue.waiting_count(), 1, "after {changes} changes");
        } else {
            assert!(said.starts_with("451"), "{said}");
        }
        site.later();
        // The answer was lost, not the message: the retry is recognised, before and after a crash of the retry.
        assert_eq!(site.places(), "north/ann south/cid");
        let site = site.crash();
        site.later();
        assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("north/ann south/cid", 0));
    }
    assert!((1..12).contains(&promised), "{promised} of 12 were promised: the crashes come before and after that");
}

#[test]
fn a_crash_while_it_is_tried_again_makes_no_second_copy() {
    for changes in 0..6 {
        let site = Site::new();
        site.stores.script("south", "opens", "*", Answer::Silence);
        assert!(site.send(&["cid", "dan"], "x").starts_with("250"));
        site.stores.recover();
        site.disk.cut_power_after(changes);
        site.later();
        let site = site.crash();
        site.later();
        assert_eq!((site.places().as_str(), site.queue.waiting_count()), ("south/cid south/dan", 0), "{changes}");
    }
}

#[test]
fn a_large_message_is_kept_in_the_journal_and_delivered_whole() {
    let site = Site::new();
    site.stores.script("south", "opens", "*", Answer::Silence);
    let text = format!("Subject: x\n\n{}", "0123456789 0123456789\n".repeat(40_000));
    assert!(site.send(&["all"], &text).starts_with("250"));
    site.stores.recover();
    let site = site.crash();
    site.later();
    let mail = site.stores.mail();
    assert_eq!(mail.len(), 2);
    assert_eq!(mail[1].split().1, format!("{text}\n").replace('\n', "\r\n").as_bytes());
    assert_eq!(mail[0].text, mail[1].text);
}

#[test]
fn memory_holds_one_chunk_of_a_message() {
    let site = Site::new();
    let mut held = Held::new(Arc::clone(&site.queue));
    for size in [1, 1000, 200_000, 262_144, 3, 262_143, 600_000] {
        finish(held.take(&vec![b'x'; size]), Some(&site.queue));
        assert!(held.in_memory() <= 256 << 10, "{}", held.in_memory());
    }
}

#[test]
fn what_was_not_needed_leaves_nothing() {
    let site = Site::new();
    let text = "0123456789 0123456789\n".repeat(20_000);
    for _ in 0..12 {
        assert!(site.send(&["all"], &text).starts_with("250"));
    }
    assert!(site.queue.sealed_count() >= 3);
    site.round();
    assert_eq!((site.queue.entry_count(), site.queue.sealed_count()), (0, 0));
}

#[test]
fn one_message_that_stays_does_not_keep_the_journal() {
    let mut site = Site::new();
    site.stores.script("south", "commits", "cid", Answer::No(refusal("550 5.7.1 Not wanted")));
    let text = "0123456789 0123456789\n".repeat(20_000);
    assert!(site.send(&["all"], &text).starts_with("250"));
    for _ in 0..40 {
        assert!(site.send(&["bob"], &text).starts_with("250"));
        site.round();
        assert!(site.queue.sealed_count() <= 8, "{}", site.queue.sealed_count());
    }
    site = site.crash();
    assert_eq!((site.queue.entry_count(), site.queue.waiting_count()), (1, 1));
    site.stores.recover();
    site.later();
    let mail = site.stores.mail();
    let cid = mail.last().expect("some");
    assert_eq!((cid.place().as_str(), &cid.text), ("south/cid", &mail[0].text));
}

/// A message of very many recipients has several entries and one body, which is kept once.
#[test]
fn entries_of_one_body_are_moved_together() {
    let site = Site::new();
    let mut held = Held::new(Arc::clone(&site.queue));
    finish(held.take(&[b'x'; 420_000]), Some(&site.queue));
    let address = mail_types::Address::parse("cid@a.example").expect("an address");
    let recipient = |number: u16| queue::Recipient {
        store: mail_types::StoreName::parse("south").expect("a name"),
        account: mail_types::AccountId::from_bytes(u128::from(number).to_le_bytes()),
        address: address.clone(),
        recipient: address.clone(),
    };
    let id = mail_types::DeliveryId::from_bytes([0xee; 16]);
    let kept = held.keep(id, mail_types::ReversePath::Null, (0..300).map(recipient).map(owed).collect());
    finish(kept, Some(&site.queue)).expect("it is durable");
    let bodies = |site: &Site| {
        let entries = site.queue.entries_after(crate::QueueId::new(mail_types::Lsn::ZERO), 10);
        (entries.len(), entries.iter().map(|(_, entry)| entry.body.first).collect::<BTreeSet<_>>())
    };
    let (count, before) = bodies(&site);
    assert_eq!((count, before.len()), (3, 1));
    let text = "0123456789 0123456789\n".repeat(20_000);
    for _ in 0..40 {
        assert!(site.send(&["bob"], &text).starts_with("250"));
        site.round();
        assert!(site.queue.sealed_count() <= 8, "{}", site.queue.sealed_count());
    }
    let (count, after) = bodies(&site);
    assert_eq!((count, after.len()), (3, 1));
    assert_ne!(before, after, "it was moved");
    let site = site.crash();
    site.later();
    let copies = site.stores.mail().into_iter().filter(|mail| mail.id() == id);
    assert_eq!(copies.filter(|mail| mail.text == [b'x'; 420_000]).count(), 300);
    assert_eq!(site.queue.waiting_count(), 0);
}

#[test]
fn a_full_disk_leaves_mail_with_its_sender() {
    let site = Site::new();
    site.stores.script("south", "commits", "cid", Answer::No(refusal("451 4.3.0 Later")));
    site.disk.set_capacity(0);
    let text = "0123456789 0123456789\n".repeat(200_000);
    let said = site.send(&["all"], &text);
    assert!(said.starts_with("451 4.3.0 Stored for some recipients only"), "{said}");
    assert_eq!(site.queue.waiting_count(), 0);
}

#[test]
fn closing_ends_the_writer() {
    let site = Site::new();
    finish(site.queue.close(), Some(&site.queue));
    site.stores.script("south", "commits", "cid", Answer::No(refusal("451 4.3.0 Later")));
    assert!(site.send(&["all"], "x").starts_with("451"));
}

#[test]
fn a_thread_writes_and_ends() {
    let site = Site::new();
    site.queue.start(&Threads);
    let mut held = Held::new(Arc::clone(&site.queue));
    let text = vec![b'x'; 900_000];
    block_on(held.take(&text));
    let address = mail_types::Address::parse("cid@a.example").expect("an address");
    let recipient = queue::Recipient {
        store: mail_types::StoreName::parse("south").expect("a name"),
        account: mail_types::AccountId::from_bytes([3; 16]),
        address: address.clone(),
        recipient: address,
    };
    let id = mail_types::DeliveryId::from_bytes([9; 16]);
    let proof = block_on(held.keep(id, mail_types::ReversePath::Null, vec![owed(recipient)])).expect("it is durable");
    assert!(*proof.get() > mail_types::Lsn::ZERO);
    assert_eq!(site.queue.waiting_count(), 1);
    block_on(site.queue.close());
    let site = site.crash();
    site.later();
    let mail = site.stores.mail();
    assert_eq!((site.places().as_str(), mail[0].id()), ("south/cid", id));
    assert!(mail[0].text == text);
}

struct Threads;

impl ports::Spawn for Threads {
    fn task(&self, _future: ports::BoxFuture<'static, ()>) {
        panic!("the queue has no tasks of its own");
    }

    #[expect(clippy::disallowed_methods, reason = "a test is a world")]
    fn thread(&self, _name: &'static str, work: Box<dyn FnOnce() + Send>) {
        std::thread::spawn(work);
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

/// Waits for a future that another thread wakes.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return answer;
        }
        std::thread::park();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever the stores do, and whenever the power goes: who was promised a message has it once in the end, and
    /// nobody else has it.
    #[test]
    fn a_promise_is_kept_once(
        answers in proptest::collection::vec((0usize..2, 0usize..4, 0usize..3, 0usize..5), 0..6),
        rcpts in proptest::collection::vec(prop_oneof![Just("ann"), Just("bob"), Just("cid"), Just("all")], 1..5),
        crashes in any::<bool>(),
        rounds in 0usize..3,
    ) {
        let mut site = Site::new();
        for (store, verb, user, answer) in answers {
            let store = ["north", "south"][store];
            let verb = ["opens", "takes", "writes", "commits"][verb];
            let user = match verb { "opens" | "writes" => "*", _ => ["ann", "bob", "cid"][user] };
            let answer = match answer {
                0 => Answer::No(Refusal::NO_SUCH_USER),
                1 => Answer::NoAgain(Refusal::MAILBOX_FULL),
                2 => Answer::Silence,
                3 => Answer::Mute,
                _ => Answer::Short,
            };
            site.stores.script(store, verb, user, answer);
        }
        let mut talk = site.talk();
        talk.say(ENVELOPE.trim_end());
        let mut promised = std::collections::BTreeSet::new();
        for rcpt in &rcpts {
            if talk.say(&format!("RCPT TO:<{rcpt}@a.example>")).starts_with("250") {
                promised.extend(if *rcpt == "all" { vec!["ann", "cid"] } else { vec![*rcpt] });
            }
        }
        let said = if talk.say("DATA").starts_with("354") { talk.say("x\n.") } else { String::new() };
        talk.hang_up();
        let kept = said.starts_with("250");
        prop_assert!(kept || site.queue.waiting_count() == 0, "{}", said);
        for _ in 0..rounds {
            site.later();
        }
        if crashes {
            site = site.crash();
        }
        site.stores.recover();
        site.later();
        site.world.pass(Duration::from_secs(1));
        prop_assert_eq!(site.queue.waiting_count(), 0);
        let mut has: Vec<_> = site.stores.mail().iter().map(|mail| mail.recipient.address.local().to_string()).collect();
        has.sort();
        prop_assert!(!kept || has.iter().map(String::as_str).eq(promised.iter().copied()), "{:?} {:?}", has, promised);
        prop_assert!(has.iter().all(|user| promised.contains(user.as_str())), "{:?} {:?}", has, promised);
        let before = has.len();
        has.dedup();
        prop_assert_eq!(has.len(), before, "somebody has it twice");
        prop_assert_eq!(site.stores.open_transactions(), 0);
    }
}
