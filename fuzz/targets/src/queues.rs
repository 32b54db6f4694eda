//! What the queue crate reads back from its journal.

use crate::seeds::Seed;
use mail_types::{AccountId, Address, DeliveryId, Lsn, ReversePath, StoreName, UnixTime};
use queue::{Body, Entry, Order, Outcome, Queue, QueueId, Recipient, Record, State, Waiting};

/// A record; its kind is the first octet. What is accepted is written in a form that reads the same, and applying it
/// leaves a queue whose numbers agree.
pub fn queue_record(data: &[u8]) {
    let Some((kind, octets)) = data.split_first() else { return };
    let Ok(record) = Record::decode(*kind, octets) else { return };
    assert_eq!(record.kind(), *kind);
    assert_eq!(Record::decode(*kind, &record.encode()), Ok(record.clone()));
    let mut queue = Queue::default();
    queue.apply(Lsn::new(1), record);
    let waiting: usize = queue.entries().map(|(_, entry)| entry.waiting.len()).sum();
    assert_eq!(queue.waiting_count(), waiting);
    for (_, entry) in queue.entries() {
        let again = entry.again().expect("an entry has somebody who waits");
        let is_due = entry.state == State::Waiting;
        assert_eq!(queue.due(again).count(), usize::from(is_due), "its time comes, unless it is held");
        assert!(entry.due(again).next().is_some());
    }
}

/// Files of the corpus.
pub(crate) fn seeds() -> Vec<Seed> {
    let records = [
        ("queue", Record::Queue { entry: entry(), replaces: None }),
        ("moved", Record::Queue { entry: entry(), replaces: Some(QueueId::new(Lsn::new(7))) }),
        ("tried", Record::Tried { entry: QueueId::new(Lsn::new(258)), outcomes: outcomes() }),
        ("held", Record::Queue { entry: Entry { state: State::Held, ..entry() }, replaces: None }),
        ("released", ordered(Order::Release { again: UnixTime::from_secs(1_000_000_000) })),
        ("removed", ordered(Order::Remove)),
    ];
    let whole = records.map(|(name, record)| (name, [vec![record.kind()], record.encode()].concat()));
    let [(_, queue), _, (_, tried), ..] = &whole;
    let damaged = [
        ("bad-cut", queue.iter().copied().take(60).collect()),
        ("bad-octets-follow", [tried.as_slice(), b"x"].concat()),
        ("bad-version", [&[2, 9], tried.get(2..).unwrap_or_default()].concat()),
        ("bad-kind", [&[9], tried.get(1..).unwrap_or_default()].concat()),
    ];
    whole.iter().cloned().chain(damaged).map(|(name, octets)| ("queue_record", name.to_owned(), octets)).collect()
}

fn ordered(order: Order) -> Record {
    Record::Ordered { entry: QueueId::new(Lsn::new(258)), order }
}

fn entry() -> Entry {
    let address = |text: &str| Address::parse(text).expect("an address");
    let waiting = |number: u8, failed: Option<&str>| Waiting {
        recipient: Recipient {
            store: StoreName::parse("north").expect("a name"),
            account: AccountId::from_bytes([number; 16]),
            address: address("a@foo.example"),
            recipient: address("\"a b\"@foo.example"),
        },
        attempts: 3,
        again: UnixTime::from_secs(1_000_000_000),
        failed: failed.map(Into::into),
    };
    Entry {
        id: DeliveryId::from_bytes([0xdd; 16]),
        from: ReversePath::Address(address("s@far.example")),
        body: Body { first: Lsn::new(1 << 40), octets: 50 << 20 },
        since: Some(UnixTime::from_secs(999_999_000)),
        state: State::Waiting,
        waiting: vec![waiting(1, None), waiting(2, Some("550 5.1.1 No such user here"))],
    }
}

fn outcomes() -> Vec<(AccountId, Outcome)> {
    let again = UnixTime::from_secs(-1);
    let outcomes = [Outcome::Done, Outcome::Deferred { again }, Outcome::failed(again, "550 5.7.1 Not wanted")];
    (1..).zip(outcomes).map(|(number, outcome)| (AccountId::from_bytes([number; 16]), outcome)).collect()
}
