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
