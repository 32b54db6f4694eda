//! A message's octets, kept until every store has answered.

use super::{EPOCH, NotQueued, RetryQueue, journal_kind};
use journal::{Append, Durable, RECORD_OCTETS_MAX, Space, StreamId};
use mail_types::{DeliveryId, Lsn, ReversePath};
use queue::{Body, Entry, QueueId, RECIPIENTS_PER_ENTRY_MAX, Recipient, Record, Waiting, again};
use std::sync::Arc;

/// The octets of one message. Memory holds one chunk; what is beyond goes into the queue's journal as it comes. Dropped,
/// it leaves chunks there that nobody names, which go with their segments.
pub(crate) struct Held {
    queue: Arc<RetryQueue>,
    chunk: Vec<u8>,
    octets: u64,
    /// The body's first chunk, once one has been written.
    first: Option<First>,
    /// The journal did not take a chunk: this message cannot be queued.
    lost: bool,
    /// Which part of the journal's disk it may use.
    space: Space,
}

/// Keeps the first chunk of a body from being purged while no entry names it.
struct First {
    lsn: Lsn,
    queue: Arc<RetryQueue>,
}

impl Held {
    /// For a message that comes in.
    pub(crate) fn new(queue: Arc<RetryQueue>) -> Self {
        Self { queue, chunk: Vec::new(), octets: 0, first: None, lost: false, space: Space::Ordinary }
    }

    /// For a message that is moved forward, so that what is behind it can be removed.
    pub(super) fn to_move(queue: Arc<RetryQueue>) -> Self {
        Self { space: Space::Reserve, ..Self::new(queue) }
    }

    /// How many octets are in memory.
    #[cfg(test)]
    pub(crate) fn in_memory(&self) -> usize {
        self.chunk.capacity()
    }

    /// Takes the next octets.
    pub(crate) async fn take(&mut self, octets: &[u8]) {
        for piece in octets.chunks(RECORD_OCTETS_MAX) {
            if !self.lost && self.chunk.len() + piece.len() > RECORD_OCTETS_MAX {
                self.spill().await;
            }
            if self.lost {
                return;
            }
            // Exactly: doubling would take more than is allowed.
            let wanted = self.chunk.len() + piece.len();
            if wanted > self.chunk.capacity() {
                let capacity = wanted.next_power_of_two().min(RECORD_OCTETS_MAX);
                self.chunk.reserve_exact(capacity - self.chunk.len());
            }
            self.chunk.extend_from_slice(piece);
            self.octets += u64::try_from(piece.len()).expect("a length fits 64 bits");
        }
    }

    /// The recipients wait in the queue: completes with the proof that they do.
    pub(crate) async fn keep(
        self,
        id: DeliveryId,
        from: ReversePath,
        recipients: Vec<Recipient>,
    ) -> Result<Durable<Lsn>, NotQueued> {
        if !self.queue.state().queue.has_room_for(recipients.len()) {
            return Err(NotQueued::Full);
        }
        // One moment for all, so that one attempt is made for all of a store.
        let again = again(self.queue.world.clock.now(), 1, self.queue.chance());
        let waiting = |recipient| Waiting { recipient, attempts: 1, again, failed: None };
        let waiting = recipients.into_iter().map(waiting).collect();
        self.write(id, from, waiting, None).await
    }

    /// Those who wait in an older entry wait in one with these octets.
    pub(super) async fn keep_moved(self, old: QueueId, entry: Entry) -> Result<Durable<Lsn>, NotQueued> {
        self.write(entry.id, entry.from, entry.waiting, Some(old)).await
    }

    async fn write(
        self,
        id: DeliveryId,
        from: ReversePath,
        waiting: Vec<Waiting>,
        replaces: Option<QueueId>,
    ) -> Result<Durable<Lsn>, NotQueued> {
        if self.lost {
            return Err(NotQueued::Lost);
        }
        let (queue, space) = (&self.queue, self.space);
        let mut entries = waiting.chunks(RECIPIENTS_PER_ENTRY_MAX).map(<[Waiting]>::to_vec);
        let Some(waiting) = entries.next() else { return Err(NotQueued::Lost) };
        let first = self.first.as_ref().map(|first| first.lsn);
        let body = |first| Body { first, octets: self.octets };
        let record = |entry| Record::Queue { entry, replaces };
        // Chunk and entry are in one group: both survive, or neither.
        let build = |next: Lsn| {
            let first = first.unwrap_or(next);
            let entry = Entry { id, from: from.clone(), body: body(first), waiting: waiting.clone() };
            vec![
                Append::chunk((first != next).then_some(first), self.chunk.as_slice()),
                append_of(&record(entry), first),
            ]
        };
        let now = || queue.world.clock.now();
        let chunk = queue.append(|| queue.journal.append_with(EPOCH, now(), space, build)).await?;
        let first = first.unwrap_or(chunk);
        let mut last = chunk.next();
        for waiting in entries {
            let record = record(Entry { id, from: from.clone(), body: body(first), waiting });
            let append = || queue.journal.append_all(EPOCH, now(), space, &[append_of(&record, first)]);
            last = queue.append(append).await?;
        }
        // `self`, and with it the hold on the first chunk, lasts until the entry is applied.
        queue.applied_to(last).await
    }

    async fn spill(&mut self) {
        let (queue, space) = (&self.queue, self.space);
        let first = self.first.as_ref().map(|first| first.lsn);
        let append = || {
            let record = Append::chunk(first, self.chunk.as_slice());
            // Under one lock, so that no purge comes between the chunk and the hold on it.
            let mut state = queue.state();
            let lsn = queue.journal.append_all(EPOCH, queue.world.clock.now(), space, &[record])?;
            if first.is_none() {
                state.held.insert(lsn);
            }
            Ok(lsn)
        };
        match queue.append(append).await {
            Ok(lsn) => {
                self.first.get_or_insert_with(|| First { lsn, queue: Arc::clone(queue) });
                self.chunk.clear();
            }
            Err(why) => {
                tracing::warn!(%why, "a large message cannot be kept for the queue");
                self.lost = true;
                self.chunk = Vec::new();
            }
        }
    }
}

impl Drop for First {
    fn drop(&mut self) {
        self.queue.state().held.remove(&self.lsn);
    }
}

fn append_of(record: &Record, body: Lsn) -> Append<'static> {
    Append::new(StreamId::ZERO, journal_kind(record), record.encode()).refs_body(body)
}
