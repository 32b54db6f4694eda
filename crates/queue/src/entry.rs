//! What waits.

use crate::backoff::is_due;
use mail_types::{AccountId, Address, DeliveryId, Lsn, ReversePath, StoreName, UnixTime};
use std::fmt;

/// Names an entry: the number of the record that queued it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueId(Lsn);

impl QueueId {
    /// The entry that the record of that number queued.
    pub const fn new(record: Lsn) -> Self {
        Self(record)
    }

    /// The record's number.
    pub const fn lsn(self) -> Lsn {
        self.0
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message with those of its recipients who have not got it. A message of very many recipients has several entries,
/// with one body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The delivery id under which stores know the message.
    pub id: DeliveryId,
    /// Where bounces go.
    pub from: ReversePath,
    /// The octets.
    pub body: Body,
    /// When it came into the queue; not known of entries that version 1 of the format wrote.
    pub since: Option<UnixTime>,
    /// Whether it is tried.
    pub state: State,
    /// Who waits; each account once, never nobody.
    pub waiting: Vec<Waiting>,
}

/// Whether an entry is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// When its time comes.
    #[default]
    Waiting,
    /// Not before an operator releases it.
    Held,
}

/// Where the octets of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    /// The journal's record of its first chunk.
    pub first: Lsn,
    /// How many octets it has.
    pub octets: u64,
}

/// One recipient, and how far trying has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Who.
    pub recipient: Recipient,
    /// Attempts so far, the first one, with the sender waiting, included.
    pub attempts: u32,
    /// When to try again.
    pub again: UnixTime,
    /// What the store said where it refused for good. It is tried all the same, since nobody can be told yet.
    pub failed: Option<Box<str>>,
}

/// An account at its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The store that the account was placed on when the message came.
    pub store: StoreName,
    /// Whose mailbox.
    pub account: AccountId,
    /// The account's address.
    pub address: Address,
    /// The recipient as received.
    pub recipient: Address,
}

impl Entry {
    /// When somebody is to be tried again.
    pub fn again(&self) -> Option<UnixTime> {
        self.waiting.iter().map(|waiting| waiting.again).min()
    }

    /// Everybody is tried again at that time.
    pub(crate) fn put_off(&mut self, again: UnixTime) {
        self.waiting.iter_mut().for_each(|waiting| waiting.again = again);
    }

    /// Those whose time has come.
    pub fn due(&self, now: UnixTime) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter().filter(move |waiting| waiting.is_due(now))
    }
}

impl Waiting {
    /// Whether its time has come.
    pub fn is_due(&self, now: UnixTime) -> bool {
        is_due(self.again, now)
    }
}
