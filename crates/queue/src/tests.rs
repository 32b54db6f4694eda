//! Records against their octets, and the queue against a model.

use crate::*;
use mail_types::{AccountId, Address, DeliveryId, Lsn, ReversePath, StoreName, UnixTime};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn waiting(account: u8, again: i64) -> Waiting {
    let address = |text: &str| Address::parse(text).expect("an address");
    let recipient = Recipient {
        store: StoreName::parse("north").expect("a name"),
        account: AccountId::from_bytes([account; 16]),
        address: address("ann@a.example"),
        recipient: address("\"Ann B\"@a.example"),
    };
    Waiting { recipient, attempts: 1, again: UnixTime::from_secs(again), failed: None }
}

fn entry(first: u64, waiting: Vec<Waiting>) -> Entry {
    let body = Body { first: Lsn::new(first), octets: 300_000 };
    let since = Some(UnixTime::from_secs(1));
    Entry { id: DeliveryId::from_bytes([9; 16]), from: ReversePath::Null, body, since, state: State::Waiting, waiting }
}

fn outcome(number: u8, again: i64) -> Outcome {
    let again = UnixTime::from_secs(again);
    match number % 3 {
        0 => Outcome::Done,
        1 => Outcome::Deferred { again },
        _ => Outcome::failed(again, "550 5.1.1 No such user here"),
    }
}

#[test]
fn the_example_of_the_format() {
    let record = Record::Tried {
        entry: QueueId::new(Lsn::new(0x0102)),
        outcomes: vec![
            (AccountId::from_bytes([0xaa; 16]), Outcome::Done),
            (AccountId::from_bytes([0xbb; 16]), Outcome::Deferred { again: UnixTime::from_micros(3) }),
        ],
    };
    let mut octets = vec![1, 2, 1, 0, 0, 0, 0, 0, 0, 2, 0];
    octets.extend([0xaa; 16]);
    octets.push(0);
    octets.extend([0xbb; 16]);
    octets.extend([1, 3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(record.encode(), octets);
    assert_eq!(Record::decode(2, &octets), Ok(record));
}

#[test]
fn what_is_newer_or_none_of_ours_is_refused() {
    let octets = Record::Queue { entry: entry(1, vec![waiting(1, 1)]), replaces: None }.encode();
    assert_eq!(Record::decode(4, &[&[1], &octets[1..]].concat()), Err(RecordError::Kind(4)));
    let mut newer = octets.clone();
    newer[0] = 3;
    assert_eq!(Record::decode(1, &newer), Err(RecordError::Version(3)));
    let ordered = Record::Ordered { entry: QueueId::new(Lsn::new(1)), order: Order::Hold }.encode();
    assert_eq!(Record::decode(3, &[&[2], &ordered[1..]].concat()), Err(RecordError::Version(2)));
    let longer = [octets.as_slice(), b"x"].concat();
    assert_eq!(Record::decode(1, &longer), Err(RecordError::Malformed("something follows")));
    for end in 0..octets.len() {
        assert!(Record::decode(1, &octets[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn the_largest_record_fits_into_the_journal() {
    let local =
        |letter: &str| format!("{}@{}.example", letter.repeat(64), format!("{}.", letter.repeat(60)).repeat(3) + "ab");
    let mut one = waiting(1, 1);
    one.recipient.address = Address::parse(&local("a")).expect("an address");
    one.recipient.recipient = one.recipient.address.clone();
    one.recipient.store = StoreName::parse(&"s".repeat(63)).expect("a name");
    one.failed = Some("x".repeat(REPLY_OCTETS_MAX).into());
    let record = Record::Queue { entry: entry(1, vec![one; RECIPIENTS_PER_ENTRY_MAX]), replaces: None };
    let octets = record.encode();
    assert!(octets.len() < 256 << 10, "{}", octets.len());
    assert_eq!(Record::decode(1, &octets), Ok(record));
}

#[test]
fn entries_of_version_1_are_read() {
    let now = Record::Queue { entry: entry(1, vec![waiting(1, 1)]), replaces: None };
    let octets = now.encode();
    // Version 2 has time and state behind the octets of the body, nine of them.
    let at = 1 + 8 + 16 + 2 + 8 + 8;
    let old = [&[1], &octets[1..at], &octets[at + 9..]].concat();
    let Record::Queue { entry: expected, .. } = now else { panic!("just made") };
    let read = Record::decode(1, &old).expect("version 1");
    assert_eq!(read, Record::Queue { entry: Entry { since: None, ..expected }, replaces: None });
    assert_eq!(Record::decode(1, &read.encode()), Ok(read));
}

#[test]
fn what_is_held_is_not_due_before_it_is_released() {
    let mut queue = Queue::default();
    let (id, at) = (QueueId::new(Lsn::new(2)), UnixTime::from_secs);
    let order = |order| Record::Ordered { entry: id, order };
    queue.apply(id.lsn(), Record::Queue { entry: entry(1, vec![waiting(1, 10), waiting(2, 90)]), replaces: None });
    queue.apply(Lsn::new(3), order(Order::Hold));
    assert_eq!((queue.due(at(1000)).count(), queue.entry_count(), queue.waiting_count()), (0, 1, 2));
    // An attempt that was under way, and a move forward, change nothing about it.
    let outcomes = vec![(AccountId::from_bytes([1; 16]), Outcome::Deferred { again: at(5) })];
    queue.apply(Lsn::new(4), Record::Tried { entry: id, outcomes });
    assert_eq!(queue.due(at(1000)).count(), 0);
    let held = queue.entry(id).expect("it waits").clone();
    queue.apply(Lsn::new(6), Record::Queue { entry: held, replaces: Some(id) });
    let moved = QueueId::new(Lsn::new(6));
    assert_eq!((queue.due(at(1000)).count(), queue.entry_count()), (0, 1));
    queue.apply(Lsn::new(7), Record::Ordered { entry: moved, order: Order::Release { again: at(20) } });
    assert_eq!((queue.due(at(19)).count(), queue.due(at(20)).count()), (0, 1));
    assert_eq!(queue.entry(moved).expect("it waits").due(at(20)).count(), 2);
    queue.apply(Lsn::new(8), Record::Ordered { entry: moved, order: Order::Retry { again: at(3) } });
    assert_eq!(queue.due(at(3)).count(), 1);
    queue.apply(Lsn::new(9), order(Order::Remove));
    assert_eq!(queue.entry_count(), 1, "an order about an entry that is gone changes nothing");
    queue.apply(Lsn::new(10), Record::Ordered { entry: moved, order: Order::Remove });
    assert_eq!(queue, Queue::default());
}

#[test]
fn a_long_reply_is_cut_between_letters() {
    let Outcome::Failed { reply, .. } = Outcome::failed(UnixTime::EPOCH, &"ü".repeat(400)) else { panic!("failed") };
    assert_eq!(reply.len(), REPLY_OCTETS_MAX);
    let Outcome::Failed { reply, .. } = Outcome::failed(UnixTime::EPOCH, "550 No") else { panic!("failed") };
    assert_eq!(&*reply, "550 No");
}

#[test]
fn who_is_due_and_when() {
    let mut queue = Queue::default();
    queue.apply(Lsn::new(7), Record::Queue { entry: entry(5, vec![waiting(1, 20), waiting(2, 10)]), replaces: None });
    queue.apply(Lsn::new(8), Record::Queue { entry: entry(6, vec![waiting(3, 5)]), replaces: None });
    let at = UnixTime::from_secs;
    assert_eq!(queue.due(at(4)).count(), 0);
    let due: Vec<u64> = queue.due(at(10)).map(|(id, _)| id.lsn().number()).collect();
    assert_eq!(due, [8, 7]);
    let entry = queue.entry(QueueId::new(Lsn::new(7))).expect("it waits");
    let who: Vec<u8> = entry.due(at(10)).map(|waiting| waiting.recipient.account.as_bytes()[0]).collect();
    assert_eq!(who, [2]);
    assert_eq!(queue.floor(), Some((Lsn::new(5), QueueId::new(Lsn::new(7)))));
}

#[test]
fn a_clock_that_has_gone_back_keeps_nobody_waiting() {
    let mut queue = Queue::default();
    let day = 86_400;
    for (number, again) in [(7, day), (8, day + 1_700), (9, 2 * day)] {
        let entry = entry(u64::from(number) - 1, vec![waiting(number, again)]);
        queue.apply(Lsn::new(u64::from(number)), Record::Queue { entry, replaces: None });
    }
    let due = |now| queue.due(UnixTime::from_secs(now)).map(|(id, _)| id.lsn().number()).collect::<Vec<_>>();
    assert_eq!(due(day - 1), [9]);
    assert_eq!(due(day), [7, 9]);
    assert_eq!(due(100), [9, 8, 7]);
    let far = queue.entry(QueueId::new(Lsn::new(9))).expect("it waits");
    assert_eq!(far.due(UnixTime::from_secs(100)).count(), 1);
}

#[test]
fn attempts_are_counted_and_failures_kept() {
    let mut queue = Queue::default();
    let id = QueueId::new(Lsn::new(2));
    queue.apply(id.lsn(), Record::Queue { entry: entry(1, vec![waiting(1, 1)]), replaces: None });
    for (number, expected) in [(1, None), (2, Some("550 5.1.1 No such user here")), (1, None)] {
        let outcomes = vec![(AccountId::from_bytes([1; 16]), outcome(number, 9))];
        queue.apply(Lsn::new(3), Record::Tried { entry: id, outcomes });
        let waiting = &queue.entry(id).expect("it waits").waiting[0];
        assert_eq!(waiting.failed.as_deref(), expected);
    }
    assert_eq!(queue.entry(id).expect("it waits").waiting[0].attempts, 4);
    queue.apply(
        Lsn::new(4),
        Record::Tried { entry: id, outcomes: vec![(AccountId::from_bytes([1; 16]), Outcome::Done)] },
    );
    assert_eq!(queue, Queue::default());
}

#[test]
fn the_queue_is_bounded() {
    let mut queue = Queue::default();
    assert!(queue.has_room_for(WAITING_COUNT_MAX) && !queue.has_room_for(WAITING_COUNT_MAX + 1));
    queue.apply(Lsn::new(2), Record::Queue { entry: entry(1, vec![waiting(1, 1)]), replaces: None });
    assert!(!queue.has_room_for(WAITING_COUNT_MAX));
}

/// What somebody does with a queue.
#[derive(Clone, Debug)]
enum Op {
    Queue {
        accounts: Vec<u8>,
        again: i64,
        body_before: u64,
    },
    /// The entry is chosen among all that ever were, so also one that is gone.
    Tried {
        which: usize,
        outcomes: Vec<(u8, u8, i64)>,
    },
    Move {
        which: usize,
    },
    Ordered {
        which: usize,
        order: Order,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let account = 0u8..6;
    prop_oneof![
        (proptest::collection::btree_set(account.clone(), 1..5), 0i64..100, 1u64..9).prop_map(
            |(accounts, again, body_before)| Op::Queue { accounts: accounts.into_iter().collect(), again, body_before }
        ),
        (0usize..30, proptest::collection::vec((account, any::<u8>(), 0i64..100), 1..6))
            .prop_map(|(which, outcomes)| Op::Tried { which, outcomes }),
        (0usize..30).prop_map(|which| Op::Move { which }),
        (0usize..30, 0i64..100, 0u8..4).prop_map(|(which, again, order)| {
            let again = UnixTime::from_secs(again);
            let orders = [Order::Retry { again }, Order::Hold, Order::Release { again }, Order::Remove];
            Op::Ordered { which, order: orders[usize::from(order)] }
        }),
    ]
}

proptest! {
    /// Replay from the floor is the live state, at every moment; and the live state is what a plain model says.
    #[test]
    fn replay_is_the_live_state(ops in proptest::collection::vec(op(), 0..40)) {
        let mut journal: Vec<(Lsn, u8, Vec<u8>)> = Vec::new();
        let mut live = Queue::default();
        let mut model: BTreeMap<u64, BTreeMap<u8, i64>> = BTreeMap::new();
        let mut held: BTreeSet<u64> = BTreeSet::new();
        let mut lsn = 10u64;
        for op in ops {
            let ids: Vec<u64> = journal.iter().filter(|(_, kind, _)| *kind == 1).map(|(lsn, _, _)| lsn.number()).collect();
            let chosen = |which: usize| ids.get(which % ids.len().max(1)).copied();
            lsn += 10;
            let record = match op {
                Op::Queue { accounts, again, body_before } => {
                    model.insert(lsn, accounts.iter().map(|account| (*account, again)).collect());
                    let waiting = accounts.iter().map(|account| waiting(*account, again)).collect();
                    Record::Queue { entry: entry(lsn - body_before, waiting), replaces: None }
                }
                Op::Tried { which, outcomes } => {
                    let Some(id) = chosen(which) else { continue };
                    for (account, number, again) in &outcomes {
                        let Some(waits) = model.get_mut(&id).and_then(|entry| entry.get_mut(account)) else { continue };
                        *waits = *again;
                        if number % 3 == 0 {
                            model.get_mut(&id).expect("just now").remove(account);
                        }
                    }
                    let outcomes = outcomes.into_iter().map(|(account, number, again)| {
                        (AccountId::from_bytes([account; 16]), outcome(number, again))
                    });
                    Record::Tried { entry: QueueId::new(Lsn::new(id)), outcomes: outcomes.collect() }
                }
                Op::Move { which } => {
                    let Some(id) = chosen(which).map(|id| QueueId::new(Lsn::new(id))) else { continue };
                    let Some(old) = live.entry(id) else { continue };
                    let body = Body { first: Lsn::new(lsn - 1), ..old.body };
                    let moved = model.remove(&id.lsn().number()).expect("the model has it");
                    model.insert(lsn, moved);
                    if held.remove(&id.lsn().number()) {
                        held.insert(lsn);
                    }
                    Record::Queue { entry: Entry { body, ..old.clone() }, replaces: Some(id) }
                }
                Op::Ordered { which, order } => {
                    let Some(id) = chosen(which) else { continue };
                    match order {
                        Order::Retry { .. } => {}
                        Order::Hold => drop(held.insert(id)),
                        Order::Release { .. } => drop(held.remove(&id)),
                        Order::Remove => drop(model.remove(&id)),
                    }
                    if let (Order::Retry { again } | Order::Release { again }, Some(entry)) = (order, model.get_mut(&id)) {
                        entry.values_mut().for_each(|waits| *waits = again.secs());
                    }
                    Record::Ordered { entry: QueueId::new(Lsn::new(id)), order }
                }
            };
            model.retain(|_, entry| !entry.is_empty());
            journal.push((Lsn::new(lsn), record.kind(), record.encode()));
            live.apply(Lsn::new(lsn), record);

            let floor = live.floor().map_or(Lsn::new(lsn).next(), |(floor, _)| floor);
            let mut replayed = Queue::default();
            for (lsn, kind, octets) in journal.iter().filter(|(lsn, _, _)| *lsn >= floor) {
                replayed.apply(*lsn, Record::decode(*kind, octets).expect("what was encoded"));
            }
            prop_assert_eq!(&replayed, &live);

            let shown: BTreeMap<u64, BTreeMap<u8, i64>> = live.entries().map(|(id, entry)| {
                let waits = entry.waiting.iter().map(|w| (w.recipient.account.as_bytes()[0], w.again.secs()));
                (id.lsn().number(), waits.collect())
            }).collect();
            prop_assert_eq!(&shown, &model);
            prop_assert_eq!(live.waiting_count(), model.values().map(BTreeMap::len).sum::<usize>());
            for now in 0..12 {
                let due = live.due(UnixTime::from_secs(now)).map(|(id, _)| id.lsn().number()).collect::<BTreeSet<_>>();
                let free = model.iter().filter(|(id, _)| !held.contains(id));
                let expected = free.filter(|(_, entry)| entry.values().any(|again| *again <= now));
                prop_assert_eq!(due, expected.map(|(id, _)| *id).collect::<BTreeSet<_>>());
            }
        }
    }

    /// Any octets are a record or an error; what was read can be written.
    #[test]
    fn any_octets_are_read(
        kind in 0u8..5, version in 1u8..3, octets in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let octets = [&[version], octets.as_slice()].concat();
        if let Ok(record) = Record::decode(kind, &octets) {
            prop_assert_eq!(Record::decode(kind, &record.encode()), Ok(record));
        }
    }
}
