//! A message's octets, kept until every store has answered.

use super::{EPOCH, NotQueued, RetryQueue, State, journal_kind};
use journal::{Append, Durable, GROUP_OCTETS_MAX, RECORD_OCTETS_MAX, Space, StreamId};
use mail_types::{DeliveryId, Lsn, ReversePath};
use queue::{Body, Entry, QueueId, RECIPIENTS_PER_ENTRY_MAX, Recipient, Record, Waiting, again, much_later};
use std::sync::Arc;

/// Who has not got a message that others have.
#[derive(Clone, Debug)]
pub(crate) struct Owed {
    pub(crate) recipient: Recipient,
    /// What his store said, if it refuses it for good.
    pub(crate) refused: Option<Box<str>>,
}

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

/// An entry on its way into the journal.
pub(super) struct Parked {
    pub(super) entry: Entry,
    /// The older one that ends with it.
    pub(super) replaces: Option<QueueId>,
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

    /// Where it would wait.
    pub(crate) fn queue(&self) -> Arc<RetryQueue> {
        Arc::clone(&self.queue)
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
        owed: Vec<Owed>,
    ) -> Result<Durable<Lsn>, NotQueued> {
        if !self.queue.state().queue.has_room_for(owed.len()) {
            return Err(NotQueued::Full);
        }
        // One moment for all, so that one attempt is made for all of a store.
        let (now, chance) = (self.queue.world.clock.now(), self.queue.chance());
        let (soon, much_later) = (again(now, 1, chance), much_later(now, chance));
        let waiting = |Owed { recipient, refused }: Owed| {
            let again = if refused.is_some() { much_later } else { soon };
            Waiting { recipient, attempts: 1, again, failed: refused }
        };
        let waiting: Vec<Waiting> = owed.into_iter().map(waiting).collect();
        let since = Some(self.queue.world.clock.now());
        let entry = |waiting: &[Waiting]| Entry {
            id,
            from: from.clone(),
            body: Body { first: Lsn::ZERO, octets: 0 },
            since,
            state: queue::State::Waiting,
            waiting: waiting.to_vec(),
        };
        let entries = waiting.chunks(RECIPIENTS_PER_ENTRY_MAX).map(entry);
        self.write(entries.map(|entry| Parked { entry, replaces: None }).collect()).await
    }

    /// Those who wait in older entries of one body wait in others with these octets.
    pub(super) async fn keep_moved(self, entries: Vec<Parked>) -> Result<Durable<Lsn>, NotQueued> {
        self.write(entries).await
    }

    /// Entries with these octets, wherever they say that their body is.
    async fn write(self, mut entries: Vec<Parked>) -> Result<Durable<Lsn>, NotQueued> {
        if self.lost {
            return Err(NotQueued::Lost);
        }
        let (queue, space) = (&self.queue, self.space);
        let first = self.first.as_ref().map(|first| first.lsn);
        if first.is_some_and(|first| !queue.state().keep(first)) {
            return Err(NotQueued::Lost);
        }
        entries.iter_mut().for_each(|parked| parked.entry.body.octets = self.octets);
        let mut groups = groups(entries).into_iter();
        let Some(together) = groups.next() else { return Err(NotQueued::Lost) };
        let now = || queue.world.clock.now();
        // Chunk and entries are in one group: all survive, or none.
        let build = |next: Lsn| {
            let first = first.unwrap_or(next);
            let chunk = Append::chunk((first != next).then_some(first), self.chunk.as_slice());
            std::iter::once(chunk).chain(together.iter().map(|parked| append_of(parked, first))).collect()
        };
        let chunk = queue.append(|| queue.journal.append_with(EPOCH, now(), space, build)).await?;
        let first = first.unwrap_or(chunk);
        let mut last = after(chunk, together.len());
        for group in groups {
            let records: Vec<_> = group.iter().map(|parked| append_of(parked, first)).collect();
            // The first of them wait already, so a full disk must not stop the rest.
            let append = || queue.journal.append_all(EPOCH, now(), Space::Reserve, &records);
            last = after(queue.append(append).await?, records.len() - 1);
        }
        // `self`, and with it the hold on the first chunk, lasts until the entry is applied.
        queue.applied_to(last).await
    }

    async fn spill(&mut self) {
        let (queue, space) = (&self.queue, self.space);
        let first = self.first.as_ref().map(|first| first.lsn);
        if first.is_some_and(|first| !queue.state().held.contains(&first)) {
            tracing::warn!("a message took so long to come that it cannot be kept for the queue");
            self.lost = true;
            self.chunk = Vec::new();
            return;
        }
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
        let mut state = self.queue.state();
        state.held.remove(&self.lsn);
        state.kept.remove(&self.lsn);
    }
}

impl State {
    /// The body that begins there is complete, and stays until its entries are applied; `false` when it has been let go.
    fn keep(&mut self, first: Lsn) -> bool {
        let held = self.held.remove(&first);
        held && self.kept.insert(first)
    }
}

/// Entries that fit into one group of the journal, with a chunk beside the first ones.
fn groups(entries: Vec<Parked>) -> Vec<Vec<Parked>> {
    let mut groups: Vec<Vec<Parked>> = Vec::new();
    let mut room = 0;
    for parked in entries {
        let octets = append_octets(&parked);
        match groups.last_mut().filter(|_| octets <= room) {
            Some(group) => group.push(parked),
            None => {
                room = ENTRIES_OCTETS_MAX;
                groups.push(vec![parked]);
            }
        }
        room = room.saturating_sub(octets);
    }
    groups
}

fn append_octets(parked: &Parked) -> usize {
    parked.record(Lsn::ZERO).encode().len() + RECORD_OVERHEAD_OCTETS
}

fn append_of(parked: &Parked, first: Lsn) -> Append<'static> {
    let record = parked.record(first);
    Append::new(StreamId::ZERO, journal_kind(&record), record.encode()).refs_body(first)
}

impl Parked {
    /// With its body there.
    fn record(&self, first: Lsn) -> Record {
        let Self { entry, replaces } = self;
        let body = Body { first, ..entry.body };
        Record::Queue { entry: Entry { body, ..entry.clone() }, replaces: *replaces }
    }
}

/// The number of the record that comes so many after that one.
fn after(lsn: Lsn, records: usize) -> Lsn {
    Lsn::new(lsn.number() + u64::try_from(records).expect("a group has few records"))
}

/// What the entries of one group may take, so that a chunk fits beside them.
const ENTRIES_OCTETS_MAX: usize = GROUP_OCTETS_MAX - RECORD_OCTETS_MAX - 64 * 1024;
/// What a record costs beside its octets, generously.
const RECORD_OVERHEAD_OCTETS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use mail_types::{AccountId, Address, StoreName, UnixTime};

    fn parked(address: &str) -> Parked {
        let address = Address::parse(address).expect("an address");
        let recipient = Recipient {
            store: StoreName::parse("north").expect("a name"),
            account: AccountId::from_bytes([1; 16]),
            address: address.clone(),
            recipient: address,
        };
        let waiting = Waiting { recipient, attempts: 1, again: UnixTime::EPOCH, failed: None };
        let entry = Entry {
            id: DeliveryId::from_bytes([1; 16]),
            from: ReversePath::Null,
            body: Body { first: Lsn::ZERO, octets: 1 },
            since: None,
            state: queue::State::Waiting,
            waiting: vec![waiting; RECIPIENTS_PER_ENTRY_MAX],
        };
        Parked { entry, replaces: None }
    }

    #[test]
    fn entries_of_a_message_go_together_as_far_as_a_group_holds_them() {
        let many = |count, address: &str| (0..count).map(|_| parked(address)).collect();
        // A thousand recipients, which is what SMTP takes, survive together.
        assert_eq!(groups(many(8, "somebody@a.example")).len(), 1);
        let long = format!("{}@{}.example", "x".repeat(64), ["y"; 60].concat());
        let groups = groups(many(79, &long));
        assert!(groups.len() > 1);
        assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), 79);
        for group in &groups {
            let octets: usize = group.iter().map(append_octets).sum();
            assert!(octets + RECORD_OCTETS_MAX + 4096 <= GROUP_OCTETS_MAX, "{octets}");
        }
    }
}
