//! Trying before its time: a store that kept silent answers again, so what waits for it need not wait for its turn.
//!
//! All of this is in memory and none of it in the journal: whether a store answers now is nothing that a restart should
//! believe. When an entry has its turn stays what the journal says.

use super::{RetryQueue, State};
use mail_types::{StoreName, UnixTime};
use queue::{Entry, INTERVAL_MIN, Queue, QueueId, Waiting};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Which stores are silent, and what is tried early.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// Stores that did not answer although something waits for them.
    silent: BTreeSet<StoreName>,
    /// What waited for a store when it answered again, until it has been tried.
    entries: BTreeMap<StoreName, BTreeSet<QueueId>>,
    /// When entries were tried at a store, as long as that is no reason to hurry again.
    tried: BTreeMap<StoreName, BTreeMap<QueueId, Instant>>,
}

impl RetryQueue {
    /// A store took mail. Where it had been silent, what waits for it is tried in the next round, which begins now.
    pub(crate) fn store_answers(&self, store: &StoreName) {
        // Every delivery asks.
        if !self.some_silent.load(Ordering::Relaxed) {
            return;
        }
        let found = {
            let mut state = self.state();
            let State { queue, early, .. } = &mut *state;
            let found = early.answers(store, queue, self.world.clock.instant());
            self.some_silent.store(!early.silent.is_empty(), Ordering::Relaxed);
            found
        };
        if found > 0 {
            tracing::info!(%store, messages = found, "the store answers again: what waits for it is tried now");
            self.wake.notify_one();
        }
    }

    /// A store does not answer, and something waits for it.
    pub(crate) fn store_is_silent(&self, store: &StoreName) {
        let mut state = self.state();
        state.early.is_silent(store);
        self.some_silent.store(true, Ordering::Relaxed);
    }

    /// An entry was tried at a store.
    pub(super) fn was_tried(&self, store: &StoreName, id: QueueId) {
        let now = self.world.clock.instant();
        let mut state = self.state();
        let Early { entries, tried, .. } = &mut state.early;
        if let Some(entries) = entries.get_mut(store) {
            entries.remove(&id);
        }
        tried.entry(store.clone()).or_default().insert(id, now);
    }
}

impl Early {
    /// After a start nobody knows which stores answer: those for which something waits count as silent.
    pub(super) fn after_start(queue: &Queue) -> Self {
        let waiting = queue.entries().flat_map(|(_, entry)| &entry.waiting);
        let silent = waiting.map(|waiting| waiting.recipient.store.clone()).collect();
        Self { silent, ..Self::default() }
    }

    pub(super) fn any_silent(&self) -> bool {
        !self.silent.is_empty()
    }

    /// Gives how many entries are tried early for that.
    fn answers(&mut self, store: &StoreName, queue: &Queue, now: Instant) -> usize {
        if !self.silent.remove(store) {
            return 0;
        }
        let waits = |entry: &Entry| entry.waiting.iter().any(|waiting| may_hurry(waiting, store));
        // The store may keep silent about one message and take all others. That one would be tried without pause, each time
        // before those that wait behind it: it has its turn.
        let tried = self.tried.get(store);
        let just_tried = |id: &QueueId| tried.and_then(|tried| tried.get(id)).is_some_and(|at| is_recent(*at, now));
        let found = queue.entries().filter(|(id, entry)| waits(entry) && !just_tried(id));
        let found: BTreeSet<QueueId> = found.map(|(id, _)| id).collect();
        let count = found.len();
        if count > 0 {
            self.entries.insert(store.clone(), found);
        }
        count
    }

    fn is_silent(&mut self, store: &StoreName) {
        self.entries.remove(store);
        if !self.silent.contains(store) {
            self.silent.insert(store.clone());
        }
    }

    /// Forgets entries that are gone, or have another place, and attempts that are long ago.
    pub(super) fn forget(&mut self, queue: &Queue, now: Instant) {
        self.tried.retain(|_, tried| {
            tried.retain(|id, at| is_recent(*at, now) && queue.entry(*id).is_some());
            !tried.is_empty()
        });
        self.entries.retain(|_, ids| {
            ids.retain(|id| queue.entry(*id).is_some());
            !ids.is_empty()
        });
    }

    /// Who is tried early and not due by now, oldest entry first.
    pub(super) fn beside_due<'a>(
        &'a self,
        queue: &'a Queue,
        now: UnixTime,
    ) -> impl Iterator<Item = (QueueId, &'a Entry, &'a Waiting)> {
        let of_store = move |(store, ids): (&'a StoreName, &'a BTreeSet<QueueId>)| {
            let entries = ids.iter().filter_map(|id| Some((*id, queue.entry(*id)?)));
            let entries = entries.filter(|(_, entry)| entry.state == queue::State::Waiting);
            entries.flat_map(move |(id, entry)| {
                let waiting = entry.waiting.iter();
                let waiting = waiting.filter(move |waiting| may_hurry(waiting, store) && !waiting.is_due(now));
                waiting.map(move |waiting| (id, entry, waiting))
            })
        };
        self.entries.iter().flat_map(of_store)
    }
}

/// Whether an attempt is so short ago that an answer of its store is no reason for another.
fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < INTERVAL_MIN
}

/// Whether a store that answers again is a reason to try: whom it refuses for good, it refuses still.
fn may_hurry(waiting: &Waiting, store: &StoreName) -> bool {
    waiting.recipient.store == *store && waiting.failed.is_none()
}
