//! The state of the queue.

use crate::backoff::is_due;
use crate::entry::{Entry, QueueId, State};
use crate::record::{Order, Outcome, Record};
use mail_types::{AccountId, DeliveryId, Lsn, UnixTime};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Who waits for what. Made by [`Queue::apply`] and by nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    entries: BTreeMap<QueueId, Entry>,
    /// When each entry is due that is not held.
    schedule: BTreeSet<(UnixTime, QueueId)>,
    /// Recipients of all entries.
    waiting: usize,
}

/// Entries that the queue takes: a few hundred octets of memory each. Mail beyond waits with its sender.
pub const ENTRY_COUNT_MAX: usize = 100_000;
/// Recipients of all entries together.
pub const WAITING_COUNT_MAX: usize = 500_000;

impl Queue {
    /// Takes the record of number `at`; the same function live and in replay. It refuses nothing: a record about an
    /// entry that is gone changes nothing.
    pub fn apply(&mut self, at: Lsn, record: Record) {
        match record {
            Record::Queue { entry, replaces } => {
                if let Some(old) = replaces {
                    self.take(old);
                }
                self.put(QueueId::new(at), entry);
            }
            Record::Tried { entry: id, outcomes } => {
                let Some(mut entry) = self.take(id) else { return };
                for (account, outcome) in outcomes {
                    note(&mut entry, account, outcome);
                }
                self.put(id, entry);
            }
            Record::Ordered { entry: id, order } => {
                let Some(mut entry) = self.take(id) else { return };
                match order {
                    Order::Retry { again } => entry.put_off(again),
                    Order::Hold => entry.state = State::Held,
                    Order::Release { again } => {
                        entry.state = State::Waiting;
                        entry.put_off(again);
                    }
                    Order::Remove => return,
                }
                self.put(id, entry);
            }
        }
    }

    /// An entry, while somebody waits.
    pub fn entry(&self, id: QueueId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// All of them, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = (QueueId, &Entry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// The entries with somebody whose time has come, longest due first.
    pub fn due(&self, now: UnixTime) -> impl Iterator<Item = (QueueId, &Entry)> {
        let is_due = move |(again, _): &&(UnixTime, QueueId)| is_due(*again, now);
        let behind = self.schedule.iter().take_while(move |(again, _)| *again <= now);
        // By their end those whose time a clock named that has gone back.
        let beyond = self.schedule.iter().rev().take_while(move |(again, _)| *again > now).take_while(is_due);
        behind.chain(beyond).filter_map(|(_, id)| Some((*id, self.entries.get(id)?)))
    }

    /// Those younger than this one, oldest first.
    pub fn entries_after(&self, id: QueueId) -> impl Iterator<Item = (QueueId, &Entry)> {
        self.entries.range((Bound::Excluded(id), Bound::Unbounded)).map(|(id, entry)| (*id, entry))
    }

    /// The entries of a message, each with others of its recipients.
    pub fn of_message(&self, id: DeliveryId) -> impl Iterator<Item = (QueueId, &Entry)> {
        self.entries().filter(move |(_, entry)| entry.id == id)
    }

    /// The oldest record that is still needed, and whose entry needs it. Nobody needs those below.
    pub fn floor(&self) -> Option<(Lsn, QueueId)> {
        self.entries.iter().map(|(id, entry)| (entry.body.first.min(id.lsn()), *id)).min()
    }

    /// How many entries there are.
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// How many recipients wait.
    pub fn waiting_count(&self) -> usize {
        self.waiting
    }

    /// Whether a message of so many recipients is still taken.
    pub fn has_room_for(&self, recipients: usize) -> bool {
        self.entries.len() < ENTRY_COUNT_MAX && self.waiting.saturating_add(recipients) <= WAITING_COUNT_MAX
    }

    fn take(&mut self, id: QueueId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.waiting -= entry.waiting.len();
        if let Some(again) = entry.again() {
            self.schedule.remove(&(again, id));
        }
        Some(entry)
    }

    /// An entry for whom nobody waits is gone.
    fn put(&mut self, id: QueueId, entry: Entry) {
        let Some(again) = entry.again() else { return };
        self.take(id);
        self.waiting += entry.waiting.len();
        match entry.state {
            State::Waiting => {
                self.schedule.insert((again, id));
            }
            State::Held => {}
        }
        self.entries.insert(id, entry);
    }
}

fn note(entry: &mut Entry, account: AccountId, outcome: Outcome) {
    let Some(at) = entry.waiting.iter().position(|waiting| waiting.recipient.account == account) else { return };
    let (again, failed) = match outcome {
        Outcome::Done => {
            entry.waiting.remove(at);
            return;
        }
        Outcome::Deferred { again } => (again, None),
        Outcome::Failed { again, reply } => (again, Some(reply)),
    };
    if let Some(waiting) = entry.waiting.get_mut(at) {
        waiting.attempts = waiting.attempts.saturating_add(1);
        (waiting.again, waiting.failed) = (again, failed);
    }
}
