mod large;
mod together;

use super::*;
use crate::delivery::Transaction;
use crate::testing::{TestWorld, account};
use bytes::Bytes;
use mail_types::{DeliveryId, FlagSet, MailboxId, MailboxName, ReversePath, SystemFlag, Uid, UidSet};
use ports::{DeliveryTransaction, Envelope, Recipient};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

fn deliver(world: &TestWorld, store: &Arc<Store>, to: &[u8], content: &[u8], id: Option<u8>) -> Vec<bool> {
    let id = id.map(|n| DeliveryId::from_bytes([n; 16]));
    let envelope = Envelope { from: ReversePath::Null, id, size: None };
    let mut transaction = Box::new(Transaction::new(Arc::clone(store), envelope));
    world.run(store, async move {
        for number in to {
            let (id, address) = account(*number);
            let recipient = Recipient { account: id, recipient: address.clone(), address };
            if transaction.rcpt(recipient).await.is_err() {
                return vec![false];
            }
        }
        for piece in content.chunks(100_000) {
            if transaction.write(Bytes::copy_from_slice(piece)).await.is_err() {
                return vec![false];
            }
        }
        transaction.commit().await.into_iter().map(|outcome| outcome.is_ok()).collect()
    })
}

fn contents(store: &Store, number: u8, mailbox: MailboxId) -> BTreeMap<u32, Vec<u8>> {
    let (id, _) = account(number);
    let rows = store.messages(id, mailbox, Uid::FIRST, 1_000).expect("rows");
    rows.iter().map(|(uid, row)| (uid.number(), store.read(id, row).expect("a body").to_vec())).collect()
}

fn uids(numbers: &[u32]) -> UidSet {
    numbers.iter().map(|n| Uid::new(*n).expect("not zero")).collect()
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).expect("a name")
}

#[test]
fn a_delivery_is_there_with_its_head_before_and_after_a_restart() {
    let world = TestWorld::new(1);
    let store = world.open();
    assert_eq!(deliver(&world, &store, &[1, 2], b"Subject: x\r\n\r\nhello\r\n", None), [true, true]);
    let expected = b"Return-Path: <>\r\nDelivered-To: user2@bigisp.test\r\nSubject: x\r\n\r\nhello\r\n".to_vec();
    assert_eq!(contents(&store, 2, MailboxId::INBOX), BTreeMap::from([(1, expected.clone())]));
    drop(store);
    world.disk.crash();
    let store = world.open();
    assert_eq!(contents(&store, 2, MailboxId::INBOX), BTreeMap::from([(1, expected)]));
    let names: Vec<String> =
        store.mailboxes(account(1).0).expect("mailboxes").iter().map(|(_, row)| row.name.to_string()).collect();
    assert_eq!(names, ["INBOX", "Drafts", "Sent", "Trash", "Junk", "Archive"]);
}

#[test]
fn a_large_body_goes_through_the_journal_in_chunks() {
    let world = TestWorld::new(2);
    let store = world.open();
    let body: Vec<u8> = (0..700_000u32).map(|n| (n % 251) as u8).collect();
    assert_eq!(deliver(&world, &store, &[1, 2], &body, None), [true, true]);
    for _ in 0..2 {
        let read = contents(&store, 1, MailboxId::INBOX);
        assert!(read[&1].ends_with(&body) && read[&1].len() > body.len());
        store.write_out();
    }
    drop(store);
    world.disk.crash();
    assert!(contents(&world.open(), 2, MailboxId::INBOX)[&1].ends_with(&body));
}

#[test]
fn a_header_is_read_alone_and_whole() {
    let world = TestWorld::new(10);
    let store = world.open();
    let long = format!("Subject: {}\r\n\r\n", "x ".repeat(10_000));
    for header in ["Subject: short\r\n\r\n", &long] {
        let body = [header.as_bytes(), &[b'y'; 60_000]].concat();
        assert_eq!(deliver(&world, &store, &[1], &body, None), [true]);
    }
    let (id, _) = account(1);
    for _ in 0..2 {
        for (_, row) in store.messages(id, MailboxId::INBOX, Uid::FIRST, 9).expect("rows") {
            let whole = store.read(id, &row).expect("a body");
            let header = message::split_header(&whole).0;
            assert_eq!(message::split_header(&store.read_header(id, &row).expect("a header")).0, header);
            assert!(header.ends_with(b"\r\n\r\n"));
        }
        store.write_out();
    }
}

#[test]
fn a_repeated_delivery_id_is_stored_once() {
    let world = TestWorld::new(3);
    let store = world.open();
    for _ in 0..2 {
        assert_eq!(deliver(&world, &store, &[1], b"x\r\n", Some(7)), [true]);
    }
    store.write_out();
    drop(store);
    world.disk.crash();
    let store = world.open();
    // The second recipient is new for this id.
    assert_eq!(deliver(&world, &store, &[1, 2], b"x\r\n", Some(7)), [true, true]);
    assert_eq!(contents(&store, 1, MailboxId::INBOX).len(), 1);
    assert_eq!(contents(&store, 2, MailboxId::INBOX).len(), 1);
}

#[test]
fn copy_move_flags_and_expunge() {
    let world = TestWorld::new(4);
    let store = world.open();
    for n in 0..4 {
        deliver(&world, &store, &[1], format!("message {n}\r\n").as_bytes(), None);
    }
    let (id, _) = account(1);
    let (archive, _) = store.mailbox_by_name(id, &name("Archive")).expect("rows").expect("a default mailbox");
    let seen = FlagNames { system: FlagSet::system(SystemFlag::Seen), keywords: vec![] };
    let junk = FlagNames { system: FlagSet::EMPTY, keywords: vec![mail_types::Keyword::parse("$Junk").expect("atom")] };
    world.run(&store, async {
        store.store_flags(id, MailboxId::INBOX, &uids(&[1, 2, 9]), FlagChange::Add, &seen, None).await.expect("stored");
        store.store_flags(id, MailboxId::INBOX, &uids(&[2]), FlagChange::Add, &junk, None).await.expect("stored");
        let copied = store.copy(id, MailboxId::INBOX, archive, &uids(&[2, 3])).await.expect("copied");
        assert_eq!(copied.uids.iter().map(|(a, b)| (a.number(), b.number())).collect::<Vec<_>>(), [(2, 1), (3, 2)]);
        let moved = store.move_messages(id, MailboxId::INBOX, archive, &uids(&[4])).await.expect("moved");
        assert_eq!(moved.uids.len(), 1);
        let deleted = FlagNames { system: FlagSet::system(SystemFlag::Deleted), keywords: vec![] };
        store.store_flags(id, MailboxId::INBOX, &uids(&[2]), FlagChange::Add, &deleted, None).await.expect("stored");
        assert_eq!(store.expunge(id, MailboxId::INBOX, None).await.expect("expunged"), uids(&[2]));
    });
    for _ in 0..2 {
        let inbox = store.mailbox(id, MailboxId::INBOX).expect("rows").expect("INBOX");
        assert_eq!((inbox.messages, inbox.unseen, inbox.deleted, inbox.uid_next.number()), (2, 1, 0, 5));
        let row = store.mailbox(id, archive).expect("rows").expect("Archive");
        assert_eq!((row.messages, row.unseen), (3, 2));
        let first = store.message(id, archive, Uid::FIRST).expect("rows").expect("the copy");
        assert!(first.flags.has(SystemFlag::Seen) && row.keywords.len() == 1);
        assert!(contents(&store, 1, archive)[&1].ends_with(b"message 1\r\n"));
        assert_eq!(store.vanished_since(id, MailboxId::INBOX, mail_types::ModSeq::FIRST).expect("rows"), uids(&[2, 4]));
        store.write_out();
    }
}

#[test]
fn an_append_needs_its_mailbox_and_a_deleted_one_frees_its_name() {
    let world = TestWorld::new(5);
    let store = world.open();
    let (id, address) = account(1);
    store.ensure_account(id, &address).expect("created");
    world.settle(&store);
    world.run(&store, async {
        let work = store.create_mailbox(id, &name("work/2026/q4"), None).await.expect("created");
        assert!(store.mailbox_by_name(id, &name("work/2026")).expect("rows").is_some());
        let mut append = store.append(id);
        append.write(Bytes::from_static(b"Subject: a\r\n\r\n")).await.expect("taken");
        let (_, validity, uid) = append.finish(work, &FlagNames::default(), store.now()).await.expect("appended");
        assert_eq!(uid, Uid::FIRST);
        assert!(matches!(store.delete_mailbox(id, &name("work")).await, Err(Refusal::HasChildren)));
        store.delete_mailbox(id, &name("work/2026/q4")).await.expect("deleted");
        let append = store.append(id);
        assert!(matches!(append.finish(work, &FlagNames::default(), store.now()).await, Err(Refusal::NoMailbox)));
        store.create_mailbox(id, &name("work/2026/q4"), None).await.expect("created again");
        let (_, row) = store.mailbox_by_name(id, &name("work/2026/q4")).expect("rows").expect("there");
        assert!(row.uid_validity > validity);
        store.rename_mailbox(id, &name("work"), &name("play")).await.expect("renamed");
        assert!(store.mailbox_by_name(id, &name("play/2026/q4")).expect("rows").is_some());
    });
}

#[test]
fn over_quota_is_refused_and_frees_again() {
    let mut world = TestWorld::new(6);
    world.options.quota = Arc::new(|_| Quota { messages: Some(1), octets: None });
    let store = world.open();
    assert_eq!(deliver(&world, &store, &[1], b"x\r\n", None), [true]);
    assert_eq!(deliver(&world, &store, &[1], b"x\r\n", None), [false]);
    let (id, _) = account(1);
    world.run(&store, store.remove_messages(id, MailboxId::INBOX, &uids(&[1]))).expect("removed");
    assert_eq!(deliver(&world, &store, &[1], b"x\r\n", None), [true]);
}

/// docs/decisions/0010-quota-is-not-reserved.md.
#[test]
fn who_is_full_is_refused_at_rcpt_for_now_and_what_never_fits_for_good() {
    let mut world = TestWorld::new(23);
    world.options.quota = Arc::new(|_| Quota { messages: None, octets: Some(1000) });
    let store = world.open();
    let (account, address) = account(1);
    let ask = |size: Option<u64>| {
        let envelope = Envelope { from: ReversePath::Null, id: None, size };
        let mut transaction = Transaction::new(Arc::clone(&store), envelope);
        let recipient = Recipient { account, address: address.clone(), recipient: address.clone() };
        let asked = world.run(&store, transaction.rcpt(recipient));
        asked.map_or_else(|refusal| refusal.to_string().split_at(9).0.to_owned(), |()| "250".to_owned())
    };
    assert_eq!([None, Some(0), Some(1000), Some(1001)].map(ask), ["250", "250", "250", "552 5.2.3"]);
    let mail = [b'x'; 600];
    assert_eq!(deliver(&world, &store, &[1], &mail, None), [true]);
    assert_eq!(
        [None, Some(300), Some(500), Some(1000), Some(1001)].map(ask),
        ["250", "250", "452 4.2.2", "452 4.2.2", "552 5.2.3"]
    );
    // Whoever did not say how much comes may fill it, and beyond; then it is full for everybody.
    assert_eq!(deliver(&world, &store, &[1], &mail, None), [true]);
    assert_eq!([None, Some(0), Some(1), Some(1001)].map(ask), ["452 4.2.2", "452 4.2.2", "452 4.2.2", "552 5.2.3"]);
}

#[test]
fn who_is_full_with_a_message_hears_that_it_has_it() {
    let mut world = TestWorld::new(22);
    world.options.quota = Arc::new(|_| Quota { messages: Some(1), octets: None });
    let mut store = world.open();
    for _ in 0..2 {
        assert_eq!(deliver(&world, &store, &[1], b"x\r\n", Some(7)), [true]);
        assert_eq!(deliver(&world, &store, &[1], b"x\r\n", Some(7)), [true], "again, and not stored again");
        assert_eq!(deliver(&world, &store, &[1], b"y\r\n", Some(8)), [false]);
        assert_eq!(contents(&store, 1, MailboxId::INBOX).len(), 1);
        drop(store);
        world.disk.crash();
        store = world.open();
    }
}

#[test]
fn a_full_disk_refuses_mail_for_now_and_lets_expunge_through() {
    let mut world = TestWorld::new(7);
    world.options.journal.low_water_octets = 2 << 20;
    let store = world.open();
    assert_eq!(deliver(&world, &store, &[1], b"x\r\n", None), [true]);
    world.disk.set_capacity(1);
    world.settle(&store);
    let mut refused = false;
    for _ in 0..60 {
        refused |= deliver(&world, &store, &[1], &[b'x'; 50_000], None) == [false];
    }
    assert!(refused);
    let (id, _) = account(1);
    world.run(&store, store.remove_messages(id, MailboxId::INBOX, &uids(&[1]))).expect("expunge uses the reserve");
    assert!(!world.stopped.load(Ordering::SeqCst));
    // Space comes back: so does the mail.
    world.disk.set_capacity(1 << 40);
    world.settle(&store);
    let mut taken = false;
    for _ in 0..3 {
        taken |= deliver(&world, &store, &[1], b"y\r\n", None) == [true];
        world.settle(&store);
    }
    assert!(taken);
}

#[test]
fn a_full_disk_of_bodies_refuses_mail_while_the_journal_has_space() {
    let mut world = TestWorld::new(9);
    world.options.low_water_octets = 1 << 20;
    let store = world.open();
    assert_eq!(deliver(&world, &store, &[1], b"x\r\n", None), [true]);
    world.disk.set_capacity(1);
    // Seen with the next commit: expunge goes through, and from then on new mail is refused.
    let (id, _) = account(1);
    world.run(&store, store.remove_messages(id, MailboxId::INBOX, &uids(&[1]))).expect("expunge uses the reserve");
    assert_eq!(deliver(&world, &store, &[1], b"y\r\n", None), [false]);
    world.disk.set_capacity(1 << 40);
    world.settle(&store);
    assert_eq!(deliver(&world, &store, &[1], b"y\r\n", None), [true]);
}

/// A world whose journal has a disk of its own.
fn two_disks(seed: u64) -> TestWorld {
    let mut world = TestWorld::new(seed);
    world.journal_disk = Arc::new(disk::SimDisk::new(seed + 1000));
    world
}

#[test]
fn a_disk_of_bodies_that_fails_stops_the_store_and_loses_nothing() {
    for fault in [disk::Fault::Sync, disk::Fault::Write] {
        let world = two_disks(11);
        let store = world.open();
        assert_eq!(deliver(&world, &store, &[1], b"kept\r\n", None), [true]);
        world.disk.inject(fault, 0);
        store.write_out();
        assert!(world.stopped.load(Ordering::SeqCst), "{fault:?}");
        drop(store);
        world.disk.crash();
        world.journal_disk.crash();
        let store = world.open();
        assert!(contents(&store, 1, MailboxId::INBOX)[&1].ends_with(b"kept\r\n"), "{fault:?}");
        store.write_out();
        assert!(!world.stopped.load(Ordering::SeqCst));
        assert!(contents(&store, 1, MailboxId::INBOX)[&1].ends_with(b"kept\r\n"), "{fault:?}");
    }
}

#[test]
fn a_full_disk_of_the_journal_refuses_mail_while_bodies_have_space() {
    let mut world = two_disks(12);
    world.options.journal.low_water_octets = 2 << 20;
    let store = world.open();
    assert_eq!(deliver(&world, &store, &[1], b"x\r\n", None), [true]);
    world.journal_disk.set_capacity(1);
    world.settle(&store);
    assert!((0..60).any(|_| deliver(&world, &store, &[1], &[b'x'; 50_000], None) == [false]));
    // What was taken can still be written out, and read.
    store.write_out();
    assert!(!world.stopped.load(Ordering::SeqCst));
    assert!(contents(&store, 1, MailboxId::INBOX)[&1].ends_with(b"x\r\n"));
}

#[test]
fn a_disk_of_the_journal_that_fails_stops_the_store() {
    let world = two_disks(13);
    let store = world.open();
    assert_eq!(deliver(&world, &store, &[1], b"kept\r\n", None), [true]);
    world.journal_disk.inject(disk::Fault::Sync, 0);
    assert_eq!(deliver(&world, &store, &[1], b"never acknowledged\r\n", None), [false]);
    assert!(world.stopped.load(Ordering::SeqCst));
    drop(store);
    world.disk.crash();
    world.journal_disk.crash();
    assert!(contents(&world.open(), 1, MailboxId::INBOX)[&1].ends_with(b"kept\r\n"));
}

#[test]
fn a_waiter_hears_that_the_store_stopped() {
    let world = TestWorld::new(8);
    let store = world.open();
    assert_eq!(deliver(&world, &store, &[1], b"x\r\n", None), [true]);
    world.disk.inject(disk::Fault::Sync, 0);
    assert_eq!(deliver(&world, &store, &[1], b"y\r\n", None), [false]);
    assert!(world.stopped.load(Ordering::SeqCst));
    assert_eq!(deliver(&world, &store, &[1], b"z\r\n", None), [false]);
}

/// Draws numbers from a seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// What was acknowledged: content by mailbox and UID, and the highest UID seen.
#[derive(Default)]
struct Ledger {
    messages: BTreeMap<(u8, u32), Vec<u8>>,
    highest: BTreeMap<u8, u32>,
    /// Removals without an answer: either is right.
    unsure: BTreeMap<(u8, u32), Vec<u8>>,
    number: u32,
}

/// Random deliveries and expunges, with the power cut after any number of disk operations; then again, several times.
fn power_cuts(seed: u64) {
    let mut draw = Draw(seed);
    let world = TestWorld::new(seed);
    let mut ledger = Ledger::default();
    for _ in 0..6 {
        let store = match world.try_open() {
            Ok(store) => store,
            Err(error) => {
                assert!(world.disk.is_off(), "seed {seed}: {error:?}");
                world.disk.crash();
                continue;
            }
        };
        if world.disk.is_off() {
            drop(store);
            world.disk.crash();
            continue;
        }
        world.disk.cut_power_after(u64::MAX);
        check(&store, &mut ledger, seed);
        world.disk.cut_power_after(5 + draw.below(120));
        for _ in 0..25 {
            step_of_life(&world, &store, &mut draw, &mut ledger);
            if world.stopped.load(Ordering::SeqCst) {
                break;
            }
        }
        drop(store);
        world.disk.crash();
        // The next start may be cut as well: recovery within recovery.
        if draw.below(3) == 0 {
            world.disk.cut_power_after(draw.below(20));
        }
    }
    world.disk.crash();
    check(&world.open(), &mut ledger, seed);
}

fn step_of_life(world: &TestWorld, store: &Arc<Store>, draw: &mut Draw, ledger: &mut Ledger) {
    let who = u8::try_from(draw.below(3)).expect("small");
    let (id, address) = account(who);
    match draw.below(10) {
        0 => {
            let gone: Vec<u32> =
                ledger.messages.keys().filter(|(owner, _)| *owner == who).map(|(_, uid)| *uid).take(2).collect();
            if !gone.is_empty() {
                let result = world.run(store, store.remove_messages(id, MailboxId::INBOX, &uids(&gone)));
                for uid in gone {
                    let content = ledger.messages.remove(&(who, uid)).expect("it was in the ledger");
                    if result.is_err() {
                        ledger.unsure.insert((who, uid), content);
                    }
                }
            }
        }
        1 => store.write_out(),
        2 => {
            world.settle(store);
        }
        _ => {
            ledger.number += 1;
            let size = if draw.below(8) == 0 { 300_000 } else { usize::try_from(draw.below(6_000)).expect("small") };
            let mut content = format!("Message-ID: <{}@test>\r\n\r\n", ledger.number).into_bytes();
            content.resize(content.len() + size, b'a');
            if deliver(world, store, &[who], &content, None) == [true] {
                let row = store.mailbox(id, MailboxId::INBOX).expect("rows").expect("INBOX");
                let uid = row.uid_next.number() - 1;
                let mut stored = delivery_head(&ReversePath::Null, &address).to_vec();
                stored.extend_from_slice(&content);
                ledger.messages.insert((who, uid), stored);
                let highest = ledger.highest.entry(who).or_default();
                assert!(uid > *highest, "a UID came back");
                *highest = uid;
            }
        }
    }
}

fn contents_if_any(store: &Store, who: u8) -> BTreeMap<u32, Vec<u8>> {
    if store.account(account(who).0).expect("rows").is_none() {
        BTreeMap::new()
    } else {
        contents(store, who, MailboxId::INBOX)
    }
}

fn check(store: &Store, ledger: &mut Ledger, seed: u64) {
    for who in 0..3u8 {
        let mut found = contents_if_any(store, who);
        for ((_, uid), content) in ledger.messages.iter().filter(|((owner, _), _)| *owner == who) {
            let here = found.remove(uid);
            assert_eq!(here.as_ref(), Some(content), "seed {seed}: account {who} lost UID {uid}");
        }
        for (uid, content) in &found {
            // What else is there was not acknowledged, or its removal was not.
            assert!(ledger.unsure.get(&(who, *uid)).is_none_or(|unsure| unsure == content), "seed {seed}");
        }
        if let Some(row) = store.mailbox(account(who).0, MailboxId::INBOX).expect("rows") {
            let highest = ledger.highest.entry(who).or_default();
            assert!(row.uid_next.number() > *highest, "seed {seed}: UIDNEXT went back");
            *highest = row.uid_next.number() - 1;
            let all = contents(store, who, MailboxId::INBOX).len();
            assert_eq!(row.messages as usize, all, "seed {seed}: the counter is wrong");
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_in_power_cuts() {
    for seed in 0..60 {
        power_cuts(seed);
    }
}

/// the first chunk of a body is covered by a checkpoint, the others and the delivery are not.
#[test]
fn a_body_that_began_before_the_replay_is_whole() {
    let world = TestWorld::new(71);
    let store = world.open();
    assert_eq!(deliver(&world, &store, &[1], b"x\r\n", None), [true]);
    let (id, address) = account(1);
    let body: Vec<u8> = (0..700_000u32).map(|n| (n % 251) as u8).collect();
    let envelope = Envelope { from: ReversePath::Null, id: None, size: None };
    let mut transaction = Box::new(Transaction::new(Arc::clone(&store), envelope));
    world.run(&store, async {
        transaction.rcpt(Recipient { account: id, recipient: address.clone(), address }).await.expect("taken");
        for piece in body[..300_000].chunks(100_000) {
            transaction.write(Bytes::copy_from_slice(piece)).await.expect("taken");
        }
    });
    world.settle(&store);
    store.write_out();
    let outcome = world.run(&store, async {
        for piece in body[300_000..].chunks(100_000) {
            transaction.write(Bytes::copy_from_slice(piece)).await.expect("taken");
        }
        transaction.commit().await
    });
    assert!(outcome[0].is_ok());
    drop(store);
    world.disk.crash();
    assert!(contents(&world.open(), 1, MailboxId::INBOX)[&2].ends_with(&body));
}

/// an account over quota deletes the mailbox that holds its mail.
#[test]
fn deleting_a_mailbox_frees_quota() {
    let mut world = TestWorld::new(72);
    world.options.quota = Arc::new(|_| Quota { messages: Some(1), octets: None });
    let store = world.open();
    let (id, address) = account(1);
    store.ensure_account(id, &address).expect("created");
    world.settle(&store);
    world.run(&store, async {
        let work = store.create_mailbox(id, &name("work"), None).await.expect("created");
        let mut append = store.append(id);
        append.write(Bytes::from_static(b"Subject: a\r\n\r\n")).await.expect("taken");
        append.finish(work, &FlagNames::default(), store.now()).await.expect("appended");
        store.delete_mailbox(id, &name("work")).await.expect("deleted");
    });
    assert_eq!(store.account(id).expect("rows").expect("account").messages, 0);
    assert_eq!(deliver(&world, &store, &[1], b"x\r\n", None), [true]);
}

/// a shard without mail holds the journal of all others.
#[test]
fn an_idle_shard_does_not_keep_the_journal() {
    let world = TestWorld::new(73);
    let store = world.open();
    for _ in 0..200 {
        assert_eq!(deliver(&world, &store, &[1], &[b'x'; 50_000], None), [true]);
        world.settle(&store);
    }
    world.clock.pass(Duration::from_secs(3600));
    deliver(&world, &store, &[1], b"x\r\n", None);
    world.settle(&store);
    assert!(world.indexes.iter().all(|index| index.applied().expect("an LSN").number() > 0));
}

/// the client of a change goes away before it is applied; the next change decides on old state.
#[test]
fn a_change_whose_client_left_is_waited_for() {
    use std::task::{Context, Waker};
    let world = TestWorld::new(74);
    let store = world.open();
    assert_eq!(deliver(&world, &store, &[1], b"x\r\n", None), [true]);
    world.settle(&store);
    let (id, _) = account(1);
    let (archive, _) = store.mailbox_by_name(id, &name("Archive")).expect("rows").expect("there");
    let (trash, _) = store.mailbox_by_name(id, &name("Trash")).expect("rows").expect("there");
    {
        let one = uids(&[1]);
        let mut left = Box::pin(store.move_messages(id, MailboxId::INBOX, trash, &one));
        assert!(left.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let copied = world.run(&store, store.copy(id, MailboxId::INBOX, archive, &uids(&[1]))).expect("an answer");
    for (_, uid) in copied.uids {
        assert!(store.message(id, archive, uid).expect("rows").is_some(), "COPYUID names {uid:?}, which is not there");
    }
}

/// two of the same name.
#[test]
fn a_name_is_given_once() {
    use std::task::{Context, Waker};
    let world = TestWorld::new(75);
    let store = world.open();
    assert_eq!(deliver(&world, &store, &[1], b"x\r\n", None), [true]);
    world.settle(&store);
    let (id, _) = account(1);
    let work = name("work");
    {
        let mut left = Box::pin(store.create_mailbox(id, &work, None));
        assert!(left.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let _ = world.run(&store, store.create_mailbox(id, &work, None));
    let named = store.mailboxes(id).expect("rows").into_iter().filter(|(_, row)| row.name == work).count();
    assert_eq!(named, 1);
}

/// a transaction without recipients leaves nothing that holds the journal.
#[test]
fn a_body_for_nobody_is_forgotten() {
    let world = TestWorld::new(76);
    let store = world.open();
    deliver(&world, &store, &[], b"x\r\n", None);
    world.settle(&store);
    assert_eq!(store.spool.oldest(), None);
}

/// what is appended is taken off again, however late the appender gets to count it.
#[test]
fn room_is_exact() {
    let world = TestWorld::new(78);
    let store = world.open();
    let (id, address) = account(1);
    store.ensure_account(id, &address).expect("created");
    world.settle(&store);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (store, stop) = (&store, &stop);
        scope.spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                store.step_writer();
                store.step_apply();
                store.step_checkpoint();
            }
        });
        for _ in 0..6 {
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    std::hint::spin_loop();
                }
            });
        }
        let thread = scope.spawn(move || {
            for _ in 0..60_000 {
                while store.log.append_first_chunk(b"0123456789012345678901234567890123456789").is_err() {}
            }
        });
        thread.join().expect("no panic");
        stop.store(true, Ordering::SeqCst);
    });
    world.settle(&store);
    assert_eq!(store.log.ahead_now(), 0);
}

/// creating and deleting mailboxes leaves nothing in the head.
#[test]
fn deleted_mailboxes_are_forgotten() {
    let world = TestWorld::new(80);
    let store = world.open();
    let (id, address) = account(1);
    store.ensure_account(id, &address).expect("created");
    world.settle(&store);
    for _ in 0..300 {
        world.run(&store, async {
            store.create_mailbox(id, &name("x"), None).await.expect("created");
            store.delete_mailbox(id, &name("x")).await.expect("deleted");
        });
    }
    let known = store.slot(id).lock().account.as_ref().map_or(0, |counters| counters.mailboxes.len());
    assert!(known < 20, "{known} mailboxes in the head");
}

/// retried after the clock was set right.
#[test]
fn a_delivery_id_is_known_when_the_clock_went_back() {
    let world = TestWorld::new(81);
    let week = mail_types::UnixTime::from_secs(1_700_000_000 + 8 * 86_400);
    let store = world.open();
    world.clock.set(week);
    assert_eq!(deliver(&world, &store, &[1], b"x\r\n", Some(7)), [true]);
    world.clock.set(mail_types::UnixTime::from_secs(1_700_000_000));
    assert_eq!(deliver(&world, &store, &[1], b"another\r\n", Some(8)), [true]);
    assert_eq!(deliver(&world, &store, &[1], b"x\r\n", Some(7)), [true]);
    assert_eq!(contents(&store, 1, MailboxId::INBOX).len(), 2);
}

/// purging while the writer goes on to the next segment.
#[test]
fn purging_between_two_segments_keeps_used_bodies() {
    use journal::disk::{Disk, DiskFile};
    use journal::{Append, Config, Kind, Purge, Start, StreamId, Turn};
    use mail_types::{Epoch, Lsn, UnixTime};
    use std::sync::Mutex;

    struct Gate {
        disk: disk::SimDisk,
        at_rename: Mutex<Option<Box<dyn FnMut() + Send>>>,
    }
    impl std::fmt::Debug for Gate {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Gate")
        }
    }
    impl Disk for Gate {
        fn open(&self, path: &str) -> std::io::Result<Arc<dyn DiskFile>> {
            self.disk.open(path)
        }
        fn create(&self, path: &str) -> std::io::Result<Arc<dyn DiskFile>> {
            self.disk.create(path)
        }
        fn list(&self, dir: &str) -> std::io::Result<Vec<String>> {
            self.disk.list(dir)
        }
        fn create_dir_all(&self, dir: &str) -> std::io::Result<()> {
            self.disk.create_dir_all(dir)
        }
        fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
            if let Some(act) = &mut *self.at_rename.lock().expect("no panic") {
                act();
            }
            self.disk.rename(from, to)
        }
        fn remove(&self, path: &str) -> std::io::Result<()> {
            self.disk.remove(path)
        }
        fn sync_dir(&self, dir: &str) -> std::io::Result<()> {
            self.disk.sync_dir(dir)
        }
        fn sync_filesystem(&self) -> std::io::Result<()> {
            self.disk.sync_filesystem()
        }
        fn free_bytes(&self) -> std::io::Result<u64> {
            self.disk.free_bytes()
        }
    }

    let gate = Arc::new(Gate { disk: disk::SimDisk::new(1), at_rename: Mutex::new(None) });
    let config =
        Config { segment_octets: 64 << 10, pending_octets_max: 64 << 10, low_water_octets: 0, ..Config::default() };
    let now = UnixTime::from_secs(1_700_000_000);
    let start = Start { epoch: Epoch::new(1), now, seed: 7, applied: Lsn::ZERO };
    let (journal, mut writer) = journal::open(Arc::clone(&gate) as _, &config, &start).expect("opened");
    let mut put = |append: Append<'_>| {
        let lsn = journal.append(Epoch::new(1), now, append).expect("taken");
        while !matches!(writer.try_turn().expect("written"), Turn::Idle) {}
        lsn
    };
    let body = put(Append::chunk(None, &[b'b'; 1000][..]));
    let fill = vec![b'f'; 20_000];
    while journal.sealed_segments().is_empty() {
        put(Append::new(StreamId::ZERO, Kind::new(20), &fill[..]));
    }
    let deliver = put(Append::new(StreamId::ZERO, Kind::new(21), &b"uses the body"[..]).refs_body(body));
    let purging = journal.clone();
    *gate.at_rename.lock().expect("no panic") = Some(Box::new(move || {
        // The checkpoint covers all before the delivery: it would have to be replayed, with its body.
        let purge = Purge {
            floor: deliver,
            older_than: UnixTime::from_secs(1_800_000_000),
            now,
            monotonic: Default::default(),
        };
        purging.purge(&purge).expect("purged");
    }));
    while journal.sealed_segments().len() == 1 && journal.first_lsn() == body {
        put(Append::new(StreamId::ZERO, Kind::new(20), &fill[..]));
    }
    assert_eq!(journal.first_lsn(), body, "the body of a delivery that is still to be replayed was purged");
}
