//! The reference engine: everything in memory, for tests and the simulator.

use super::{
    BoxFuture, Change, Changes, Commit, Engine, EngineError, Entry, Lease, LeaseId, Page, Range, Revision, Transaction,
    Watch, Write, ready,
};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// An engine without a disk. Clones share their data.
///
/// Leases live until they are revoked, or until a test ends them with [`MemoryEngine::end_lease`]: there is no clock.
#[derive(Clone, Default)]
pub struct MemoryEngine {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<String, Held>,
    revision: Revision,
    history: Vec<Change>,
    /// Changes up to here are no longer in `history`.
    compacted: Revision,
    leases: BTreeMap<LeaseId, ()>,
    lease_last: u64,
    waiting: Vec<Waker>,
    away: bool,
}

struct Held {
    value: Vec<u8>,
    revision: Revision,
    lease: Option<LeaseId>,
}

struct MemoryWatch {
    engine: MemoryEngine,
    prefix: String,
    after: Revision,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on every request fails as if the engine could not be reached, until [`MemoryEngine::come_back`].
    pub fn go_away(&self) {
        let mut state = self.lock();
        state.away = true;
        state.wake();
    }

    /// Ends what [`MemoryEngine::go_away`] began.
    pub fn come_back(&self) {
        self.lock().away = false;
    }

    /// Forgets all history up to now, as etcd does when it is compacted.
    pub fn compact(&self) {
        let mut state = self.lock();
        state.history.clear();
        state.compacted = state.revision;
        state.wake();
    }

    /// Ends a lease as if its owner had died.
    pub fn end_lease(&self, lease: LeaseId) {
        self.lock().end_lease(lease);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of ours panics while it holds this lock half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reach(&self) -> Result<MutexGuard<'_, State>, EngineError> {
        let state = self.lock();
        if state.away {
            return Err(EngineError::Unavailable { why: "it was told to be away".into(), source: None });
        }
        Ok(state)
    }
}

impl Engine for MemoryEngine {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, EngineError>> {
        ready(self.reach().map(|state| {
            let held = state.entries.get(key)?;
            Some(Entry { key: key.to_owned(), value: held.value.clone(), revision: held.revision })
        }))
    }

    fn range<'a>(&'a self, range: Range<'a>) -> BoxFuture<'a, Result<Page, EngineError>> {
        ready(self.reach().map(|state| state.page(range)))
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, EngineError>> {
        let done = transaction.check().and_then(|()| self.reach()?.commit(transaction));
        ready(done)
    }

    fn watch<'a>(&'a self, prefix: &'a str, after: Revision) -> BoxFuture<'a, Result<Box<dyn Watch>, EngineError>> {
        let watch = MemoryWatch { engine: self.clone(), prefix: prefix.to_owned(), after };
        ready(self.reach().map(|_| Box::new(watch) as Box<dyn Watch>))
    }

    fn grant_lease(&self, _lifetime: Duration) -> BoxFuture<'_, Result<LeaseId, EngineError>> {
        ready(self.reach().map(|mut state| {
            state.lease_last += 1;
            let lease = LeaseId::new(state.lease_last);
            state.leases.insert(lease, ());
            lease
        }))
    }

    fn keep_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<Lease, EngineError>> {
        ready(self.reach().map(|state| match state.leases.contains_key(&lease) {
            true => Lease::Alive,
            false => Lease::Ended,
        }))
    }

    fn revoke_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), EngineError>> {
        ready(self.reach().map(|mut state| state.end_lease(lease)))
    }
}

impl Watch for MemoryWatch {
    fn next(&mut self) -> BoxFuture<'_, Result<Changes, EngineError>> {
        Box::pin(std::future::poll_fn(|context| {
            let mut state = match self.engine.reach() {
                Ok(state) => state,
                Err(error) => return Poll::Ready(Err(error)),
            };
            if self.after < state.compacted {
                return Poll::Ready(Err(EngineError::Compacted { oldest: state.compacted }));
            }
            let first = state.history.partition_point(|change| change.revision() <= self.after);
            let later = state.history.get(first..).unwrap_or_default();
            let changes: Vec<_> =
                later.iter().filter(|change| change.key().starts_with(&self.prefix)).cloned().collect();
            self.after = state.revision.max(self.after);
            if changes.is_empty() {
                if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.waiting.push(context.waker().clone());
                }
                return Poll::Pending;
            }
            Poll::Ready(Ok(Changes { changes, revision: self.after }))
        }))
    }
}

impl State {
    fn page(&self, range: Range<'_>) -> Page {
        let from = match range.after {
            Some(after) if after >= range.prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(range.prefix),
        };
        let mut rest = self
            .entries
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(range.prefix))
            .map(|(key, held)| Entry { key: key.clone(), value: held.value.clone(), revision: held.revision });
        let entries: Vec<_> = rest.by_ref().take(range.limit.max(1)).collect();
        Page { entries, more: rest.next().is_some(), revision: self.revision }
    }

    fn commit(&mut self, transaction: Transaction) -> Result<Commit, EngineError> {
        let differs = transaction
            .expected
            .iter()
            .find(|(key, revision)| self.entries.get(key).map_or(Revision::ZERO, |held| held.revision) != *revision);
        if let Some((key, _)) = differs {
            return Ok(Commit::Conflict { key: key.clone() });
        }
        let leases = transaction.writes.iter().filter_map(|write| match write {
            Write::Put { lease, .. } => *lease,
            Write::Delete { .. } => None,
        });
        if leases.into_iter().any(|lease| !self.leases.contains_key(&lease)) {
            return Err(EngineError::Invalid { why: "a key was put under a lease that has ended" });
        }
        self.write(transaction.writes);
        Ok(Commit::Done(self.revision))
    }

    /// Does the writes under one new revision; writes that change nothing take none.
    fn write(&mut self, writes: Vec<Write>) {
        let revision = self.revision.next();
        let before = self.history.len();
        for write in writes {
            let change = match write {
                Write::Put { key, value, lease } => {
                    self.entries.insert(key.clone(), Held { value: value.clone(), revision, lease });
                    Change::Put(Entry { key, value, revision })
                }
                Write::Delete { key } if self.entries.remove(&key).is_some() => Change::Delete { key, revision },
                Write::Delete { .. } => continue,
            };
            self.history.push(change);
        }
        if self.history.len() > before {
            self.revision = revision;
            self.wake();
        }
    }

    fn end_lease(&mut self, lease: LeaseId) {
        if self.leases.remove(&lease).is_none() {
            return;
        }
        let held = self.entries.iter().filter(|(_, held)| held.lease == Some(lease));
        let writes = held.map(|(key, _)| Write::Delete { key: key.clone() }).collect();
        self.write(writes);
    }

    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}
