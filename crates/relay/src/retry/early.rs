//! Trying before its time: a store that kept silent answers again, so what waits for it need not wait for its turn.
//!
//! All of this is in memory and none of it in the journal: whether a store answers now is nothing that a restart should
//! believe. When an entry has its turn stays what the journal says.

use super::{RetryQueue, State};
use mail_types::{StoreName, UnixTime};
use queue::{Entry, Queue, QueueId, Waiting};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// Which stores are silent, and what is tried early.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// Stores that did not answer although something waits for them.
    silent: BTreeSet<StoreName>,
    /// What waited for a store when it answered again, until it has been tried.
    entries: BTreeMap<StoreName, BTreeSet<QueueId>>,
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
            let found = early.answers(store, queue);
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
        if let Some(entries) = self.state().early.entries.get_mut(store) {
            entries.remove(&id);
        }
    }
}

impl Early {
    /// After a start nobody knows which stores answer: those for which something waits count as silent.
    pub(super) fn after_start(queue: &Queue) -> Self {
        let waiting = queue.entries().flat_map(|(_, entry)| &entry.waiting);
        let silent = waiting.map(|waiting| waiting.recipient.store.clone()).collect();
        Self { silent, entries: BTreeMap::new() }
    }

    pub(super) fn any_silent(&self) -> bool {
        !self.silent.is_empty()
    }

    /// Gives how many entries are tried early for that.
    fn answers(&mut self, store: &StoreName, queue: &Queue) -> usize {
        if !self.silent.remove(store) {
            return 0;
        }
        let waits = |entry: &Entry| entry.waiting.iter().any(|waiting| may_hurry(waiting, store));
        let found: BTreeSet<QueueId> = queue.entries().filter(|(_, entry)| waits(entry)).map(|(id, _)| id).collect();
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

    /// Forgets entries that are gone, or have another place.
    pub(super) fn forget_gone(&mut self, queue: &Queue) {
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

/// Whether a store that answers again is a reason to try: whom it refuses for good, it refuses still.
fn may_hurry(waiting: &Waiting, store: &StoreName) -> bool {
    waiting.recipient.store == *store && waiting.failed.is_none()
}
