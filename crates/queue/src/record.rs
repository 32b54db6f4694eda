//! Records, and their octets: `docs/format/queue.md`.

use crate::entry::{Body, Entry, QueueId, Recipient, State, Waiting};
use crate::wire::{Malformed, Reader, put_count, put_text, put_time};
use mail_types::{AccountId, Address, DeliveryId, Lsn, ReversePath, StoreName, UnixTime};

/// One change of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A message waits; where it was moved forward in the journal, in the place of an older entry.
    Queue {
        /// What waits.
        entry: Entry,
        /// The entry that ends with it.
        replaces: Option<QueueId>,
    },
    /// An attempt was made.
    Tried {
        /// With which entry.
        entry: QueueId,
        /// What came of it, by account.
        outcomes: Vec<(AccountId, Outcome)>,
    },
    /// An operator wants something.
    Ordered {
        /// With which entry.
        entry: QueueId,
        /// What.
        order: Order,
    },
}

/// What an operator wants of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Tried for everybody at that time.
    Retry {
        /// When.
        again: UnixTime,
    },
    /// Not tried before it is released.
    Hold,
    /// Tried again, for everybody at that time.
    Release {
        /// When.
        again: UnixTime,
    },
    /// Gone: those who wait do not get it.
    Remove,
}

/// What an attempt brought a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The store has it on stable storage.
    Done,
    /// Not now.
    Deferred {
        /// When to try again.
        again: UnixTime,
    },
    /// Refused for good.
    Failed {
        /// When to try again all the same.
        again: UnixTime,
        /// What the store said.
        reply: Box<str>,
    },
}

/// Octets that are no record of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A kind that this version does not know.
    #[error("records of kind {0} are unknown to this version")]
    Kind(u8),
    /// An encoding that this version does not know.
    #[error("records of version {0} are unknown to this version")]
    Version(u8),
    /// Not what an encoder writes.
    #[error("the record is malformed: {0}")]
    Malformed(&'static str),
}

/// Recipients of one entry, so that its record fits into the journal's 256 kB whatever their addresses and replies.
pub const RECIPIENTS_PER_ENTRY_MAX: usize = 128;
/// What is kept of a store's reply; the rest is cut off.
pub const REPLY_OCTETS_MAX: usize = 512;

impl Record {
    /// [`Record::Queue`]
    pub const KIND_QUEUE: u8 = 1;
    /// [`Record::Tried`]
    pub const KIND_TRIED: u8 = 2;
    /// [`Record::Ordered`]
    pub const KIND_ORDERED: u8 = 3;

    /// The number of its variant, which the journal keeps beside the octets.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Queue { .. } => Self::KIND_QUEUE,
            Self::Tried { .. } => Self::KIND_TRIED,
            Self::Ordered { .. } => Self::KIND_ORDERED,
        }
    }

    /// The record without its kind.
    ///
    /// # Panics
    /// When there are no recipients or more than [`RECIPIENTS_PER_ENTRY_MAX`].
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Queue { entry, replaces } => {
                out.push(QUEUE_VERSION);
                out.extend_from_slice(&replaces.map_or(Lsn::ZERO, QueueId::lsn).number().to_le_bytes());
                put_entry(&mut out, entry);
            }
            Self::Tried { entry, outcomes } => {
                out.push(VERSION);
                out.extend_from_slice(&entry.lsn().number().to_le_bytes());
                put_recipient_count(&mut out, outcomes.len());
                for (account, outcome) in outcomes {
                    out.extend_from_slice(account.as_bytes());
                    put_outcome(&mut out, outcome);
                }
            }
            Self::Ordered { entry, order } => {
                out.push(VERSION);
                out.extend_from_slice(&entry.lsn().number().to_le_bytes());
                put_order(&mut out, *order);
            }
        }
        out
    }

    /// Reads what [`Record::encode`] wrote.
    pub fn decode(kind: u8, octets: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(octets);
        let version = reader.byte()?;
        if version == 0 || version > if kind == Self::KIND_QUEUE { QUEUE_VERSION } else { VERSION } {
            return Err(RecordError::Version(version));
        }
        let named = QueueId::new(Lsn::new(reader.u64()?));
        let record = match kind {
            Self::KIND_QUEUE => {
                let replaces = (named.lsn() != Lsn::ZERO).then_some(named);
                Self::Queue { entry: read_entry(&mut reader, version)?, replaces }
            }
            Self::KIND_TRIED => {
                let count = reader.count(RECIPIENTS_PER_ENTRY_MAX)?;
                let outcome = |_| Ok((AccountId::from_bytes(reader.array()?), read_outcome(&mut reader)?));
                let outcomes = (0..count).map(outcome).collect::<Result<_, Malformed>>()?;
                Self::Tried { entry: named, outcomes }
            }
            Self::KIND_ORDERED => Self::Ordered { entry: named, order: read_order(&mut reader)? },
            unknown => return Err(RecordError::Kind(unknown)),
        };
        reader.end()?;
        Ok(record)
    }
}

impl Outcome {
    /// [`Outcome::Failed`] with as much of the reply as is kept.
    pub fn failed(again: UnixTime, reply: &str) -> Self {
        Self::Failed { again, reply: kept(reply) }
    }
}

/// As much of a store's reply as is kept.
pub fn kept(reply: &str) -> Box<str> {
    let end = (0..=REPLY_OCTETS_MAX).rev().find(|end| reply.is_char_boundary(*end)).unwrap_or(0);
    reply.get(..end).unwrap_or(reply).into()
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    out.extend_from_slice(entry.id.as_bytes());
    let from = match &entry.from {
        ReversePath::Null => String::new(),
        ReversePath::Address(address) => address.to_string(),
    };
    put_text(out, &from);
    out.extend_from_slice(&entry.body.first.number().to_le_bytes());
    out.extend_from_slice(&entry.body.octets.to_le_bytes());
    put_time(out, entry.since.unwrap_or(UnixTime::EPOCH));
    out.push(match entry.state {
        State::Waiting => 0,
        State::Held => 1,
    });
    put_recipient_count(out, entry.waiting.len());
    for Waiting { recipient, attempts, again, failed } in &entry.waiting {
        put_text(out, recipient.store.as_str());
        out.extend_from_slice(recipient.account.as_bytes());
        put_text(out, &recipient.address.to_string());
        put_text(out, &recipient.recipient.to_string());
        out.extend_from_slice(&attempts.to_le_bytes());
        let outcome = match failed {
            None => Outcome::Deferred { again: *again },
            Some(reply) => Outcome::failed(*again, reply),
        };
        put_outcome(out, &outcome);
    }
}

fn read_entry(reader: &mut Reader<'_>, version: u8) -> Result<Entry, Malformed> {
    let id = DeliveryId::from_bytes(reader.array()?);
    let from = match reader.text()? {
        "" => ReversePath::Null,
        text => ReversePath::Address(address(text)?),
    };
    let body = Body { first: Lsn::new(reader.u64()?), octets: reader.u64()? };
    let (since, state) =
        if version < QUEUE_VERSION { (UnixTime::EPOCH, State::Waiting) } else { (reader.time()?, read_state(reader)?) };
    let since = (since != UnixTime::EPOCH).then_some(since);
    let count = reader.count(RECIPIENTS_PER_ENTRY_MAX)?;
    let waiting = (0..count).map(|_| read_waiting(reader)).collect::<Result<_, _>>()?;
    Ok(Entry { id, from, body, since, state, waiting })
}

fn read_waiting(reader: &mut Reader<'_>) -> Result<Waiting, Malformed> {
    let recipient = Recipient {
        store: StoreName::parse(reader.text()?).map_err(|_| Malformed("a store has no such name"))?,
        account: AccountId::from_bytes(reader.array()?),
        address: address(reader.text()?)?,
        recipient: address(reader.text()?)?,
    };
    let attempts = reader.u32()?;
    let (again, failed) = match read_outcome(reader)? {
        Outcome::Deferred { again } => (again, None),
        Outcome::Failed { again, reply } => (again, Some(reply)),
        Outcome::Done => return Err(Malformed("somebody waits who has it")),
    };
    Ok(Waiting { recipient, attempts, again, failed })
}

fn read_state(reader: &mut Reader<'_>) -> Result<State, Malformed> {
    match reader.byte()? {
        0 => Ok(State::Waiting),
        1 => Ok(State::Held),
        _ => Err(Malformed("an unknown state")),
    }
}

fn put_order(out: &mut Vec<u8>, order: Order) {
    match order {
        Order::Retry { again } => {
            out.push(1);
            put_time(out, again);
        }
        Order::Hold => out.push(2),
        Order::Release { again } => {
            out.push(3);
            put_time(out, again);
        }
        Order::Remove => out.push(4),
    }
}

fn read_order(reader: &mut Reader<'_>) -> Result<Order, Malformed> {
    match reader.byte()? {
        1 => Ok(Order::Retry { again: reader.time()? }),
        2 => Ok(Order::Hold),
        3 => Ok(Order::Release { again: reader.time()? }),
        4 => Ok(Order::Remove),
        _ => Err(Malformed("an unknown order")),
    }
}

fn put_outcome(out: &mut Vec<u8>, outcome: &Outcome) {
    match outcome {
        Outcome::Done => out.push(0),
        Outcome::Deferred { again } => {
            out.push(1);
            put_time(out, *again);
        }
        Outcome::Failed { again, reply } => {
            out.push(2);
            put_time(out, *again);
            put_text(out, reply);
        }
    }
}

fn read_outcome(reader: &mut Reader<'_>) -> Result<Outcome, Malformed> {
    match reader.byte()? {
        0 => Ok(Outcome::Done),
        1 => Ok(Outcome::Deferred { again: reader.time()? }),
        2 => Ok(Outcome::Failed { again: reader.time()?, reply: reply(reader.text()?)? }),
        _ => Err(Malformed("an unknown outcome")),
    }
}

fn reply(text: &str) -> Result<Box<str>, Malformed> {
    if text.len() <= REPLY_OCTETS_MAX { Ok(text.into()) } else { Err(Malformed("a reply is too long")) }
}

fn address(text: &str) -> Result<Address, Malformed> {
    Address::parse(text).map_err(|_| Malformed("no address"))
}

fn put_recipient_count(out: &mut Vec<u8>, count: usize) {
    assert!((1..=RECIPIENTS_PER_ENTRY_MAX).contains(&count), "a record has 1 to {RECIPIENTS_PER_ENTRY_MAX} recipients");
    put_count(out, count);
}

impl From<Malformed> for RecordError {
    fn from(Malformed(what): Malformed) -> Self {
        Self::Malformed(what)
    }
}

/// Of all records but [`Record::Queue`].
const VERSION: u8 = 1;
/// Of [`Record::Queue`]; 1 had neither time nor state.
const QUEUE_VERSION: u8 = 2;
