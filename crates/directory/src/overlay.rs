//! Maps that others edit, read live: an engine that lays what their files say over the records of another engine.
//!
//! What it is: the reading of a map into aliases ([`LiveMap`]), and the engine over both ([`Overlay`]). What it is not: it
//! opens no file and does not know when one changes, and no node runs one yet. Why a layer, and why aliases only, is
//! docs/decisions/0011-live-maps.md.
//!
//! ```text
//!   /etc/aliases  ─▶ LiveMap ─┐ the first that has a key
//!   …/virtusers   ─▶ LiveMap ─┴▶ FileEngine ──┐ hides what the base has under the same key
//!   Editor ── other keys ──▶ base Engine ─────┴▶ get, range, watch
//! ```
//!
//! Invariants:
//! 1. A map is taken whole or not at all: one bad line refuses it, and names itself.
//! 2. Nothing of a map is written to the base: without the file the base is what it was.
//! 3. Of two maps the earlier of the list has a key; any map has it before the base.
//! 4. Who writes a key that a map has is told where to change it. All other writes are the base's.
//! 5. A copy that follows is the copy that a fresh load gives. What a map gives back is told as the base has it then, so a
//!    change of the base may be told twice.

mod kind;
mod lay;
mod map;
#[cfg(test)]
mod tests;
mod watch;

pub use kind::{MapKind, UnknownKind};
pub use lay::{Draft, TakeError, Taken};
pub use map::{LiveMap, MapError, MapNames};

use crate::engine::{
    BoxFuture, Change, Commit, Engine, EngineError, Entry, Lease, LeaseId, Page, Range, Revision, Transaction, Watch,
};
use crate::file::FileEngine;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use watch::OverlayWatch;

/// An engine with live maps over it. Clones share them.
#[derive(Clone)]
pub struct Overlay {
    base: Arc<dyn Engine>,
    layer: FileEngine,
    maps: Arc<Mutex<Maps>>,
}

/// The maps that are laid, the strongest first.
#[derive(Clone, Default)]
struct Maps {
    list: Vec<Arc<LiveMap>>,
    /// Counts how often they changed.
    version: u64,
}

impl Overlay {
    /// Where a key stands that a map has.
    fn kept_in(&self, key: &str) -> String {
        let maps = lock(&self.maps).clone();
        maps.list.iter().find_map(|map| map.place_of(key)).unwrap_or_else(|| "a map that is read live".to_owned())
    }

    /// The entry of a key that a map has.
    fn of_map(&self, key: &str) -> Result<Option<Entry>, EngineError> {
        self.layer.read(key)?.map(from_layer).transpose()
    }

    /// What the base is asked to do, if the maps allow it.
    fn for_base(&self, transaction: Transaction) -> Result<Result<Transaction, Commit>, EngineError> {
        let Transaction { expected, writes } = transaction;
        for key in writes.iter().map(crate::engine::Write::key) {
            if self.layer.read(key)?.is_some() {
                return Err(EngineError::Live { kept_in: self.kept_in(key), key: key.to_owned() });
            }
        }
        let mut of_base = Vec::with_capacity(expected.len());
        for (key, revision) in expected {
            let Moment { base, layer } = Moment::of(revision);
            match self.of_map(&key)? {
                Some(entry) if entry.revision == revision => {}
                Some(_) => return Ok(Err(Commit::Conflict { key })),
                // A map had it when it was read, and has given it back.
                None if layer > NO_MAP => return Ok(Err(Commit::Conflict { key })),
                None => of_base.push((key, base)),
            }
        }
        Ok(Ok(Transaction { expected: of_base, writes }))
    }
}

impl Engine for Overlay {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, EngineError>> {
        Box::pin(async move {
            match self.of_map(key)? {
                Some(entry) => Ok(Some(entry)),
                None => self.base.get(key).await?.map(from_base).transpose(),
            }
        })
    }

    fn range<'a>(&'a self, range: Range<'a>) -> BoxFuture<'a, Result<Page, EngineError>> {
        Box::pin(async move {
            // The maps first: what they change meanwhile has a later revision than this page.
            let over = self.layer.page(range)?;
            let under = self.base.range(range).await?;
            merged(over, under, range.limit)
        })
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, EngineError>> {
        Box::pin(async move {
            transaction.check()?;
            // A map that is read again from here on counts as read after the commit.
            match self.for_base(transaction)? {
                Err(conflict) => Ok(conflict),
                Ok(transaction) => match self.base.commit(transaction).await? {
                    Commit::Done(base) => Ok(Commit::Done(Moment { base, layer: NO_MAP }.revision()?)),
                    conflict @ Commit::Conflict { .. } => Ok(conflict),
                },
            }
        })
    }

    fn watch<'a>(&'a self, prefix: &'a str, after: Revision) -> BoxFuture<'a, Result<Box<dyn Watch>, EngineError>> {
        Box::pin(async move {
            let watch = OverlayWatch::new(self, prefix, Moment::of(after)).await?;
            Ok(Box::new(watch) as Box<dyn Watch>)
        })
    }

    fn grant_lease(&self, lifetime: Duration) -> BoxFuture<'_, Result<LeaseId, EngineError>> {
        self.base.grant_lease(lifetime)
    }

    fn keep_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<Lease, EngineError>> {
        self.base.keep_lease(lease)
    }

    fn revoke_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), EngineError>> {
        self.base.revoke_lease(lease)
    }
}

/// One page of two. Past the end of the page that ends first nothing is known of the other.
fn merged(over: Page, under: Page, limit: usize) -> Result<Page, EngineError> {
    let revision = Moment { base: under.revision, layer: over.revision }.revision()?;
    let end = |page: &Page| page.entries.last().filter(|_| page.more).map(|last| last.key.clone());
    let end = [end(&over), end(&under)].into_iter().flatten().min();
    let mut entries = BTreeMap::new();
    for entry in under.entries {
        entries.insert(entry.key.clone(), from_base(entry)?);
    }
    for entry in over.entries {
        entries.insert(entry.key.clone(), from_layer(entry)?);
    }
    let mut left = entries.into_values();
    let is_known = |entry: &Entry| end.as_ref().is_none_or(|end| entry.key <= *end);
    let entries: Vec<_> = left.by_ref().take(limit.max(1)).take_while(is_known).collect();
    let more = end.is_some() || left.next().is_some();
    Ok(Page { entries, more, revision })
}

/// How far the base and the maps are. Neither goes back, so of two moments of one overlay the later has the higher number.
///
/// The base's revision stands in the upper bits. An entry has one half only: the base's with no map, or a map's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    base: Revision,
    layer: Revision,
}

impl Moment {
    fn of(revision: Revision) -> Self {
        let layer = revision.number() & (LAYER_REVISIONS_MAX - 1);
        Self { base: Revision::new(revision.number() >> LAYER_BITS), layer: Revision::new(layer + NO_MAP.number()) }
    }

    fn revision(self) -> Result<Revision, EngineError> {
        let layer = self.layer.number().saturating_sub(NO_MAP.number());
        if layer >= LAYER_REVISIONS_MAX || self.base.number() >= BASE_REVISIONS_MAX {
            return Err(EngineError::Invalid { why: "a directory under live maps has changed too often; start again" });
        }
        Ok(Revision::new((self.base.number() << LAYER_BITS) | layer))
    }
}

fn from_base(entry: Entry) -> Result<Entry, EngineError> {
    let revision = Moment { base: entry.revision, layer: NO_MAP }.revision()?;
    Ok(Entry { revision, ..entry })
}

fn from_layer(entry: Entry) -> Result<Entry, EngineError> {
    let revision = Moment { base: Revision::ZERO, layer: entry.revision }.revision()?;
    Ok(Entry { revision, ..entry })
}

fn change_from_base(change: Change) -> Result<Change, EngineError> {
    Ok(match change {
        Change::Put(entry) => Change::Put(from_base(entry)?),
        Change::Delete { key, revision } => {
            Change::Delete { key, revision: Moment { base: revision, layer: NO_MAP }.revision()? }
        }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code of ours panics while it holds such a lock half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The layer's revision before there was any map.
const NO_MAP: Revision = Revision::new(1);
/// Maps are looked at once a second: enough for eight years without a restart, and begun anew by each.
const LAYER_BITS: u32 = 28;
const LAYER_REVISIONS_MAX: u64 = 1 << LAYER_BITS;
/// A thousand commits a second for two years.
const BASE_REVISIONS_MAX: u64 = 1 << (u64::BITS - LAYER_BITS);
