//! Records against a naive model, with checkpoints and crashes between them; and what the model cannot see.

mod model;

use self::model::{Account, Choice, Mailbox, Message, Model, account, address};
use super::*;
use crate::change::ChangeKind;
use crate::conformance::MemIndex;
use crate::index::Order;
use crate::row::{AccountRow, Extent, FreeExtent, MessageRow};
use crate::rows::{Rows, value};
use crate::shard::{Frozen, Shard};
use crate::testing::{MapBodies, MapRows, mailbox_name, modseq_of, uid_of};
use mail_types::{DeliveryId, FlagSet, Keyword, ModSeq, SystemFlag, Uid, UidSet, UidValidity};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;

fn at(lsn: u64) -> Stamp {
    Stamp { lsn: Lsn::new(lsn), time: UnixTime::from_secs(1_000_000 + i64::try_from(lsn).expect("small")) }
}

/// A store without its journal's disk: the log, a shard, body files.
#[derive(Debug)]
struct World {
    log: Vec<(Stamp, Record)>,
    index: Arc<MemIndex>,
    shard: Shard<Arc<MemIndex>>,
    bodies: MapBodies,
    pending: Option<(Frozen, Lsn)>,
}

impl World {
    fn new() -> Self {
        let index = Arc::new(MemIndex::default());
        let shard = Shard::new(Arc::clone(&index));
        Self { log: Vec::new(), index, shard, bodies: MapBodies::default(), pending: None }
    }

    fn next(&self) -> Stamp {
        at(self.log.len() as u64 + 1)
    }

    fn run(&mut self, record: Record) -> Vec<Change> {
        let stamp = self.next();
        let mut octets = Vec::new();
        record.encode(&mut octets);
        let read = Record::decode(record.kind(), &Bytes::from(octets)).expect("as written");
        let mut batch = self.shard.batch();
        let changes = apply(&mut batch, &read, stamp, &mut self.bodies).expect("the index is sound");
        batch.commit();
        self.log.push((stamp, read));
        changes
    }

    fn freeze(&mut self) {
        if let Some(frozen) = self.shard.freeze() {
            self.pending = Some((frozen, Lsn::new(self.log.len() as u64)));
        }
    }

    fn checkpoint(&mut self) {
        if let Some((frozen, applied)) = self.pending.take() {
            self.shard.checkpoint(&frozen, applied).expect("writable");
        }
    }

    /// A crash: the tables are lost, the records behind the last checkpoint are applied again, several at once.
    fn restart(&mut self) {
        self.pending = None;
        self.shard = Shard::new(Arc::clone(&self.index));
        let applied = self.shard.applied().expect("readable");
        let mut batch = self.shard.batch();
        for (stamp, record) in self.log.iter().filter(|(stamp, _)| stamp.lsn > applied) {
            apply(&mut batch, record, *stamp, &mut self.bodies).expect("the index is sound");
        }
        batch.commit();
    }
}

/// All rows.
fn dump(rows: &impl Rows) -> Vec<(Vec<u8>, Vec<u8>)> {
    let span = crate::Span::behind(None);
    let mut all = Vec::new();
    crate::rows::walk(rows, &span, Order::Ascending, |key, stored| {
        all.push((key.to_vec(), stored.to_vec()));
        Ok(true)
    })
    .expect("readable");
    all
}

fn message_row(message: &Message) -> MessageRow {
    MessageRow {
        modseq: modseq_of(message.modseq),
        created: modseq_of(message.created),
        flags: message.flags,
        date: message.date,
        size: message.size,
        extent: Extent { offset: message.offset, octets: message.octets },
    }
}

fn mailbox_row(mailbox: &Mailbox) -> MailboxRow {
    let count = |holds: fn(&Message) -> bool| {
        u32::try_from(mailbox.messages.values().filter(|message| holds(message)).count()).expect("few")
    };
    MailboxRow {
        name: mailbox_name(&mailbox.name),
        uid_validity: UidValidity::new(mailbox.uid_validity).expect("not zero"),
        uid_next: uid_of(mailbox.uid_next),
        modseq: modseq_of(mailbox.modseq),
        messages: count(|_| true),
        unseen: count(|message| !message.flags.has(SystemFlag::Seen)),
        deleted: count(|message| message.flags.has(SystemFlag::Deleted)),
        octets: mailbox.messages.values().map(|message| message.size).sum(),
        special_use: mailbox.special_use,
        keywords: mailbox.keywords.iter().map(|text| Keyword::parse(text).expect("an atom")).collect(),
    }
}

fn account_row(number: u8, model: &Model, account: &Account) -> AccountRow {
    let messages = || account.mailboxes.values().flat_map(|mailbox| mailbox.messages.values());
    AccountRow {
        address: address(number),
        mailbox_next: account.mailbox_next,
        uid_validity_next: UidValidity::new(model.uid_validity[&number]).expect("not zero"),
        modseq: modseq_of(account.modseq),
        messages: messages().count() as u64,
        octets: messages().map(|message| message.size).sum(),
        body_end: account.body_end,
    }
}

fn agree(rows: &impl Rows, model: &Model, now: UnixTime) -> Result<(), TestCaseError> {
    for number in 0..2u8 {
        let id = account(number);
        let expected = model.accounts.get(&id);
        prop_assert_eq!(
            rows.account(id).expect("readable"),
            expected.map(|expected| account_row(number, model, expected))
        );
        let counter = UidValidity::new(model.uid_validity.get(&number).copied().unwrap_or(1)).expect("not zero");
        prop_assert_eq!(rows.uid_validity_next(&address(number)).expect("readable"), counter);
        let free: Vec<(Lsn, Extent)> = model
            .free
            .iter()
            .filter(|((owner, _, _), _)| *owner == id)
            .map(|((_, lsn, offset), octets)| (Lsn::new(*lsn), Extent { offset: *offset, octets: *octets }))
            .collect();
        let found = rows.free_extents(id, 1_000).expect("readable");
        prop_assert!(found.iter().all(|free| free.time == at(free.lsn.number()).time));
        prop_assert_eq!(found.iter().map(|free| (free.lsn, free.extent)).collect::<Vec<_>>(), free);
        agree_account(rows, id, expected.unwrap_or(&Account::default()), now)?;
    }
    Ok(())
}

fn agree_account(rows: &impl Rows, id: AccountId, model: &Account, now: UnixTime) -> Result<(), TestCaseError> {
    let expected: Vec<(MailboxId, MailboxRow)> =
        model.mailboxes.iter().map(|(number, mailbox)| (MailboxId::new(*number), mailbox_row(mailbox))).collect();
    prop_assert_eq!(rows.mailboxes(id).expect("readable"), expected.clone());
    let mut names: Vec<_> = expected.iter().map(|(number, row)| (row.name.clone(), *number)).collect();
    names.sort();
    prop_assert_eq!(rows.mailbox_names(id).expect("readable"), names);
    let subscriptions: Vec<_> = model.subscriptions.iter().map(|name| mailbox_name(name)).collect();
    prop_assert_eq!(rows.subscriptions(id).expect("readable"), subscriptions);
    for (delivery, (mailbox, uid)) in &model.deliveries {
        let seen = rows.delivery_seen(id, *delivery, now).expect("readable");
        let seen = seen.map(|row| (row.mailbox.number(), row.uid.number()));
        prop_assert_eq!(seen, Some((*mailbox, *uid)));
    }
    for (number, mailbox) in &model.mailboxes {
        agree_mailbox(rows, id, MailboxId::new(*number), mailbox, model.modseq)?;
    }
    Ok(())
}

fn agree_mailbox(
    rows: &impl Rows,
    id: AccountId,
    number: MailboxId,
    mailbox: &Mailbox,
    highest: u64,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(rows.mailbox_by_name(id, &mailbox_name(&mailbox.name)).expect("readable"), Some(number));
    let expected: Vec<(Uid, MessageRow)> =
        mailbox.messages.iter().map(|(uid, message)| (uid_of(*uid), message_row(message))).collect();
    prop_assert_eq!(rows.messages(id, number, Uid::FIRST, 1_000).expect("readable"), expected);
    for since in 0..=highest {
        let changed: UidSet =
            mailbox.messages.iter().filter(|(_, m)| m.modseq > since).map(|(uid, _)| uid_of(*uid)).collect();
        let vanished: UidSet =
            mailbox.vanished.iter().filter(|(_, modseq)| **modseq > since).map(|(uid, _)| uid_of(*uid)).collect();
        let since = ModSeq::new(since);
        prop_assert_eq!(rows.messages_changed_since(id, number, since).expect("readable"), changed);
        prop_assert_eq!(rows.vanished_since(id, number, since).expect("readable"), vanished);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn records_lead_where_the_model_says(choices in vec(any::<Choice>(), 1..70)) {
        let mut world = World::new();
        let mut model = Model::default();
        let mut scratch = MapRows::default();
        for choice in choices {
            match choice.0 {
                250.. => world.freeze(),
                243..250 => world.checkpoint(),
                238..243 => {
                    let before = dump(&world.shard);
                    world.restart();
                    prop_assert_eq!(dump(&world.shard), before, "replay from a checkpoint is the live state");
                }
                _ => {
                    let stamp = world.next();
                    let Some(record) = model.decide(choice, stamp) else { continue };
                    let changes = world.run(record.clone());
                    prop_assert!(changes.iter().all(|change| change.account == record.account()));
                    apply(&mut scratch, &record, stamp, &mut MapBodies::default()).expect("the rows are sound");
                }
            }
        }
        agree(&world.shard, &model, world.next().time)?;
        prop_assert_eq!(dump(&world.shard), dump(&scratch), "with checkpoints or without");
        world.freeze();
        world.checkpoint();
        world.restart();
        agree(&world.shard, &model, world.next().time)?;
    }
}

/// An account with its INBOX.
fn settled() -> World {
    let mut world = World::new();
    world.run(Record::CreateAccount {
        account: account(1),
        address: address(1),
        uid_validity_next: UidValidity::FIRST,
    });
    world.run(create(1, "INBOX"));
    world
}

fn create(number: u32, name: &str) -> Record {
    Record::CreateMailbox {
        account: account(1),
        mailbox: MailboxId::new(number),
        name: mailbox_name(name),
        uid_validity: UidValidity::new(number).expect("not zero"),
        special_use: None,
        modseq: ModSeq::FIRST,
    }
}

fn deliver(mailbox: u32, uid: u32, delivery: Option<DeliveryId>) -> Record {
    Record::Deliver {
        account: account(1),
        mailbox: MailboxId::new(mailbox),
        uid: uid_of(uid),
        modseq: modseq_of(uid.into()),
        flags: FlagSet::EMPTY,
        date: UnixTime::EPOCH,
        head: Bytes::new(),
        body: BodyRef { first: Lsn::new(1), octets: 40 },
        delivery,
    }
}

#[test]
fn a_big_mailbox_goes_in_steps() {
    for whole_account in [false, true] {
        let mut world = settled();
        world.run(create(2, "Big"));
        for uid in 1..=2_500 {
            world.run(deliver(2, uid, None));
            let put = world.shard.cache_put(account(1), MailboxId::new(2), uid_of(uid), b"cached".to_vec());
            assert!(put.expect("readable"));
        }
        world.freeze();
        world.checkpoint();
        world.run(if whole_account {
            Record::DeleteAccount { account: account(1) }
        } else {
            Record::DeleteMailbox { account: account(1), mailbox: MailboxId::new(2), modseq: modseq_of(9_000) }
        });
        let free = world.shard.free_extents(account(1), 1_000).expect("readable");
        assert_eq!(free.len(), if whole_account { 1 } else { 1_000 });
        let left = dump(&world.shard).len() - if whole_account { 1 } else { 2_500 };
        // The counter of the name; and the account, its INBOX and that one's name.
        assert_eq!(left, if whole_account { 1 } else { 4 });
        assert_eq!(world.shard.accounts(None, 9).expect("readable"), [account(1)]);
    }
}

#[test]
fn expunging_much_keeps_counters_and_rows_together() {
    let mut world = settled();
    for uid in 1..=2_100 {
        world.run(deliver(1, uid, None));
    }
    let uids = UidSet::from_ranges([(Uid::FIRST, uid_of(2_050))]);
    let expunge = Record::Expunge {
        account: account(1),
        mailbox: MailboxId::INBOX,
        modseq: modseq_of(5_000),
        uids: uids.clone(),
    };
    /// Looks at what others see whenever a change settles.
    struct Watch<'a>(crate::Batch<'a, Arc<MemIndex>>, &'a Shard<Arc<MemIndex>>, usize);
    impl Rows for Watch<'_> {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
            self.0.get(key)
        }
        fn range(
            &self,
            from: &[u8],
            to: &[u8],
            order: Order,
            limit: usize,
        ) -> Result<Vec<crate::RowBytes>, IndexError> {
            self.0.range(from, to, order, limit)
        }
    }
    impl RowsMut for Watch<'_> {
        fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
            self.0.put(key, value);
        }
        fn remove(&mut self, key: Vec<u8>) {
            self.0.remove(key);
        }
        fn settle(&mut self) {
            self.0.settle();
            self.2 += 1;
            let row = self.1.mailbox(account(1), MailboxId::INBOX).expect("readable").expect("there");
            let mut seen = 0;
            let mut from = Some(Uid::FIRST);
            while let Some(first) = from {
                let page = self.1.messages(account(1), MailboxId::INBOX, first, 1_000).expect("readable");
                seen += page.len();
                from = page.last().and_then(|(uid, _)| uid.next());
            }
            assert_eq!(row.messages as usize, seen);
        }
    }
    let mut watch = Watch(world.shard.batch(), &world.shard, 0);
    let changes = apply(&mut watch, &expunge, at(9_999), &mut MapBodies::default()).expect("the index is sound");
    assert_eq!(watch.2, 3);
    watch.0.commit();
    let kind = ChangeKind::Expunged { mailbox: MailboxId::INBOX, uids, modseq: modseq_of(5_000) };
    assert_eq!(changes, [Change { account: account(1), kind }]);
    assert_eq!(world.shard.account(account(1)).expect("readable").expect("there").messages, 50);
}

#[test]
fn delivery_ids_are_forgotten_after_weeks() {
    let mut world = settled();
    let week = 7 * 86_400;
    let id = |n: u32| DeliveryId::from_bytes(u128::from(n).to_be_bytes());
    let run = |world: &mut World, uid: u32, weeks: i64| {
        let mut batch = world.shard.batch();
        let stamp = Stamp { lsn: Lsn::new(100 + u64::from(uid)), time: UnixTime::from_secs(weeks * week) };
        apply(&mut batch, &deliver(1, uid, Some(id(uid))), stamp, &mut world.bodies).expect("sound");
        batch.commit();
    };
    run(&mut world, 1, 100);
    let seen = |world: &World, n, weeks: i64| {
        world.shard.delivery_seen(account(1), id(n), UnixTime::from_secs(weeks * week)).expect("readable").is_some()
    };
    assert!(seen(&world, 1, 100) && seen(&world, 1, 102), "longer than a queue tries");
    assert!(!seen(&world, 1, 103) && !seen(&world, 2, 100));
    // Its row goes with some later delivery.
    run(&mut world, 64, 102);
    assert!(seen(&world, 1, 102));
    run(&mut world, 128, 103);
    assert!(!seen(&world, 1, 102) && seen(&world, 64, 103));
}

#[test]
fn a_name_keeps_its_uid_validity_counter() {
    let mut world = settled();
    world.run(create(7, "Seven"));
    world.run(Record::DeleteAccount { account: account(1) });
    assert_eq!(world.shard.account(account(1)).expect("readable"), None);
    let next = world.shard.uid_validity_next(&address(1)).expect("readable");
    assert_eq!(next.number(), 8);
    // Another account of the same name; a record that knows less does not lower the counter.
    world.run(Record::CreateAccount {
        account: account(3),
        address: address(1),
        uid_validity_next: UidValidity::FIRST,
    });
    assert_eq!(world.shard.uid_validity_next(&address(1)).expect("readable"), next);
    assert_eq!(world.shard.accounts(None, 9).expect("readable"), [account(3)]);
}

#[test]
fn an_account_that_comes_back_does_not_write_over_what_waits_to_be_freed() {
    let mut world = settled();
    world.run(deliver(1, 1, None));
    let end = world.shard.account(account(1)).expect("readable").expect("there").body_end;
    world.run(Record::DeleteAccount { account: account(1) });
    let free = world.shard.free_extents(account(1), 9).expect("readable");
    let lsn = Lsn::new(world.log.len() as u64);
    let extent = Extent { offset: 0, octets: end };
    assert_eq!(free, [FreeExtent { account: account(1), lsn, time: at(lsn.number()).time, extent }]);
    world.run(Record::CreateAccount {
        account: account(1),
        address: address(1),
        uid_validity_next: UidValidity::FIRST,
    });
    assert_eq!(world.shard.account(account(1)).expect("readable").expect("there").body_end, end);
}

#[test]
fn what_is_not_there_is_passed_over_unless_mail_would_be_lost() {
    let mut world = settled();
    let gone = MailboxId::new(99);
    let (account, modseq) = (account(1), modseq_of(5));
    let before = dump(&world.shard);
    for record in [
        Record::RenameMailbox { account, mailbox: gone, name: mailbox_name("x"), modseq },
        Record::DeleteMailbox { account, mailbox: gone, modseq },
        Record::DefineKeyword { account, mailbox: gone, keyword: Keyword::parse("k").expect("an atom") },
        Record::StoreFlags { account, mailbox: gone, modseq, messages: vec![(Uid::FIRST, FlagSet::EMPTY)] },
        Record::Expunge { account, mailbox: gone, modseq, uids: UidSet::from_iter([Uid::FIRST]) },
    ] {
        assert_eq!(world.run(record), []);
    }
    assert_eq!(dump(&world.shard), before);
    let mut batch = world.shard.batch();
    let error = apply(&mut batch, &deliver(99, 1, None), at(50), &mut world.bodies).expect_err("nowhere to put it");
    assert!(matches!(&error, IndexError::Damaged(what) if what.contains("mailbox 99")), "{error}");
}

#[test]
fn what_is_remembered_goes_with_its_message() {
    let mut world = settled();
    world.run(deliver(1, 1, None));
    world.run(deliver(1, 2, None));
    let (id, inbox) = (account(1), MailboxId::INBOX);
    let put = |world: &World, uid, octets| world.shard.cache_put(id, inbox, uid_of(uid), octets).expect("readable");
    assert!(put(&world, 1, b"one".to_vec()) && put(&world, 2, b"two".to_vec()));
    assert!(!put(&world, 3, b"nothing there".to_vec()));
    assert!(!put(&world, 2, vec![0; crate::rows::CACHE_OCTETS_MAX + 1]));
    let caches = world.shard.caches(id, inbox, Uid::FIRST, 9).expect("readable");
    assert_eq!(caches, [(uid_of(1), b"one".to_vec()), (uid_of(2), b"two".to_vec())]);
    let uids = UidSet::from_iter([uid_of(1)]);
    world.run(Record::Expunge { account: id, mailbox: inbox, modseq: modseq_of(9), uids });
    assert_eq!(world.shard.cache(id, inbox, uid_of(1)).expect("readable"), None);
    assert_eq!(world.shard.cache(id, inbox, uid_of(2)).expect("readable").as_deref(), Some(&b"two"[..]));
    let free = world.shard.free_extents(id, 9).expect("readable");
    world.shard.given_back(&free[0]);
    assert_eq!(world.shard.free_extents(id, 9).expect("readable"), []);
}

#[test]
fn damaged_rows_are_errors_and_name_themselves() {
    let mut world = settled();
    world.run(deliver(1, 1, None));
    let key = Key::Message(MailboxId::INBOX, Uid::FIRST).of(account(1));
    let mut stored = world.shard.get(&key).expect("readable").expect("there");
    stored[3] ^= 1;
    world.shard.write([(key, Some(stored))]);
    let error = world.shard.message(account(1), MailboxId::INBOX, Uid::FIRST).expect_err("the checksum differs");
    assert!(error.to_string().contains("message 1/1"), "{error}");
    assert!(world.shard.messages(account(1), MailboxId::INBOX, Uid::FIRST, 9).is_err());
}

#[test]
fn a_frame_is_freed_with_the_last_message_that_needs_it() {
    let mut world = settled();
    world.run(create(2, "Two"));
    world.run(deliver(1, 1, None));
    let (from, to) = (MailboxId::new(1), MailboxId::new(2));
    let messages = vec![(uid_of(1), uid_of(1), FlagSet::EMPTY), (uid_of(1), uid_of(2), FlagSet::EMPTY)];
    world.run(Record::Copy { account: account(1), from, to, modseq: modseq_of(9), messages });
    let share = |world: &World| value::<_, u64>(&world.shard, &Key::Share(0).of(account(1))).expect("readable");
    assert_eq!(share(&world), Some(3));
    for (mailbox, uid, left) in [(1, 1, Some(2)), (2, 2, None), (2, 1, None)] {
        assert_eq!(world.shard.free_extents(account(1), 9).expect("readable"), []);
        let uids = UidSet::from_iter([uid_of(uid)]);
        let mailbox = MailboxId::new(mailbox);
        world.run(Record::Expunge { account: account(1), mailbox, modseq: modseq_of(10 + u64::from(uid)), uids });
        assert_eq!(share(&world), left);
    }
    assert_eq!(world.shard.free_extents(account(1), 9).expect("readable").len(), 1);
}
