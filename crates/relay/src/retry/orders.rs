//! What an operator sees of the queue, and wants of it.

use super::{EPOCH, RetryQueue, journal_kind};
use journal::{Append, Space, StreamId};
use mail_types::{DeliveryId, Lsn, UnixTime};
use queue::{Entry, Order, QueueId, Record, State};

/// What an operator may want of a message that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueOrder {
    /// Tried now, for everybody who waits.
    Retry,
    /// Not tried before it is released.
    Hold,
    /// Tried again.
    Release,
    /// Gone: those who wait do not get it.
    Remove,
}

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Nobody waits for it, by now or ever.
    #[error("no message {0} is in the retry queue")]
    Gone(DeliveryId),
    /// It is not tried while it is held.
    #[error("message {0} is held; release it")]
    Held(DeliveryId),
    /// Only what is held can be released.
    #[error("message {0} is not held")]
    NotHeld(DeliveryId),
    /// The journal does not take it.
    #[error("the retry queue cannot write it down: {0}")]
    NotWritten(String),
}

/// What a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCount {
    /// Messages; one of very many recipients counts more than once.
    pub messages: usize,
    /// Recipients who wait.
    pub recipients: usize,
    /// Messages that are held.
    pub held: usize,
    /// Since when the oldest waits, where that is known.
    pub oldest: Option<UnixTime>,
}

impl QueueOrder {
    const fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Remove => "remove",
        }
    }
}

impl RetryQueue {
    /// What it holds now.
    pub fn count(&self) -> QueueCount {
        let state = self.state();
        QueueCount {
            messages: state.queue.entry_count(),
            recipients: state.queue.waiting_count(),
            held: state.queue.entries().filter(|(_, entry)| entry.state == State::Held).count(),
            oldest: state.queue.entries().filter_map(|(_, entry)| entry.since).min(),
        }
    }

    /// So many entries younger than one, oldest first.
    pub fn entries_after(&self, after: QueueId, count_max: usize) -> Vec<(QueueId, Entry)> {
        let state = self.state();
        let entries = state.queue.entries_after(after).take(count_max);
        entries.map(|(id, entry)| (id, entry.clone())).collect()
    }

    /// The entries of a message, each with others of its recipients.
    pub fn message(&self, id: DeliveryId) -> Vec<(QueueId, Entry)> {
        self.state().queue.of_message(id).map(|(id, entry)| (id, entry.clone())).collect()
    }

    /// Carries out an order for all who wait for a message; gives what waited. When it completes, the order survives a
    /// crash. An attempt that is under way is not called back.
    pub async fn order(&self, id: DeliveryId, wanted: QueueOrder) -> Result<Vec<Entry>, OrderError> {
        // Nothing is moved forward meanwhile: the order names entries by their place.
        let _unmoved = self.settled().await.map_err(|why| OrderError::NotWritten(why.to_string()))?;
        let entries = self.message(id);
        let held = entries.iter().any(|(_, entry)| entry.state == State::Held);
        match wanted {
            _ if entries.is_empty() => return Err(OrderError::Gone(id)),
            QueueOrder::Retry if held => return Err(OrderError::Held(id)),
            QueueOrder::Release if !held => return Err(OrderError::NotHeld(id)),
            QueueOrder::Retry | QueueOrder::Hold | QueueOrder::Release | QueueOrder::Remove => {}
        }
        let again = self.world.clock.now();
        let order = match wanted {
            QueueOrder::Retry => Order::Retry { again },
            QueueOrder::Hold => Order::Hold,
            QueueOrder::Release => Order::Release { again },
            QueueOrder::Remove => Order::Remove,
        };
        let ids = entries.iter().map(|(id, _)| *id);
        let last = self.write_orders(ids.map(|entry| Record::Ordered { entry, order }).collect()).await;
        let applied = match last {
            Ok(last) => self.applied_to(last).await,
            Err(refused) => Err(refused.into()),
        };
        applied.map_err(|why| OrderError::NotWritten(why.to_string()))?;
        match order {
            Order::Retry { .. } | Order::Release { .. } => self.wake.notify_one(),
            Order::Hold | Order::Remove => {}
        }
        tracing::info!(%id, order = wanted.word(), entries = entries.len(), "an operator's order for queued mail");
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    /// In one group: all entries of a message, or none. A message has few.
    async fn write_orders(&self, records: Vec<Record>) -> Result<Lsn, journal::Refused> {
        let count = u64::try_from(records.len()).expect("a message has few entries");
        let appends = || -> Vec<Append<'static>> {
            records.iter().map(|record| Append::new(StreamId::ZERO, journal_kind(record), record.encode())).collect()
        };
        let append = || self.journal.append_all(EPOCH, self.world.clock.now(), Space::Reserve, &appends());
        let first = self.append(append).await?;
        Ok(Lsn::new(first.number() + count.saturating_sub(1)))
    }
}
