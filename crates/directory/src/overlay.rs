//! Maps that others edit, read live: an engine that lays what their files say over the records of another engine.
//!
//! What it is: the reading of a map into records ([`LiveMap`]), the laying of it ([`Overlay::draft`], [`Overlay::take`]), and
//! the engine over both ([`Overlay`]). What it is not: it opens no file and does not know when one changes; drivers do. Why
//! a layer, and how each kind of record lies in it, is docs/decisions/0011-live-maps.md.
//!
//! ```text
//!   /etc/aliases  ─▶ LiveMap ─┐ the first that has a key
//!   /etc/popmap   ─▶ LiveMap ─┴▶ draft ─▶ pins to the base ─▶ FileEngine ──┐ its aliases and rules hide the base's, its
//!                                                                          │ placements stand beneath, domains get fields
//!   Editor ── what no map hides ──▶ base Engine ───────────────────────────┴▶ get, range, watch
//! ```
//!
//! Invariants:
//! 1. A map is taken whole or not at all: one bad line refuses it, and names itself.
//! 2. Nothing of a map is written to the base, but for pins (placements of accounts that another reading of a map would have
//!    had looked for elsewhere) and what an import takes over ([`Transaction::takes_over`]).
//! 3. Of two maps the earlier of the list has a key. A map has it before the base, but for placements, accounts and
//!    passwords: those the base has before any map, since with mail behind it a placement changes by a move only, and an
//!    account keeps its id. Of a domain that the base has, a map has
//!    the fields that it says, and no others; they never get into the base's record.
//! 4. Who writes a key that a map hides is told where to change it, unless he takes over just what the map says. All other
//!    writes are the base's.
//! 5. A copy that follows is the copy that a fresh load gives. What both sides have is told as it is when it is told, so a
//!    change may be told twice.

mod accounts;
mod commit;
mod differences;
mod fields;
mod kind;
mod lay;
mod map;
mod moment;
mod order;
mod pins;
mod rules;
mod seen;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use accounts::stand_in;
pub use differences::{Difference, Differences};
pub use kind::{MapKind, UnknownKind};
pub use lay::{Draft, TakeError, Taken};
pub(crate) use map::UNREAD_PREFIX;
pub use map::{LiveMap, MapError, MapNames};

use crate::engine::{
    BoxFuture, Commit, Engine, EngineError, Entry, Lease, LeaseId, Page, Range, Revision, Transaction, Watch,
};
use crate::file::FileEngine;
use fields::Field;
use moment::{Moment, NO_MAP, from_base, from_layer};
use seen::{Layered, Seen, page_of, seen};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use watch::OverlayWatch;

/// An engine with live maps over it. Clones share them.
#[derive(Clone)]
pub struct Overlay {
    base: Arc<dyn Engine>,
    layer: FileEngine,
    maps: Arc<Mutex<Maps>>,
    /// What nobody needs any more, until somebody has the time to drop it.
    remains: Arc<Mutex<Vec<Remains>>>,
}

/// The maps that are laid, the strongest first.
#[derive(Clone, Default)]
struct Maps {
    list: Vec<Arc<LiveMap>>,
    /// Counts how often they changed.
    version: u64,
}

/// What another reading of a map left behind. It may be as long as the maps.
struct Remains {
    _map: Arc<LiveMap>,
    _records: crate::file::Remains,
}

impl Overlay {
    /// Drops what readings of maps have replaced. Call it where that holds up nobody; [`Overlay::draft`] does so, too.
    pub fn sweep(&self) {
        let remains = std::mem::take(&mut *lock(&self.remains));
        drop(remains);
    }

    /// Where a key stands that a map has.
    fn kept_in(&self, key: &str) -> String {
        self.place(|nth, map| map.place_of(key, nth))
    }

    /// Where a field of a domain stands that a map says.
    fn kept_in_field(&self, key: &str, field: Field) -> String {
        self.place(|_, map| map.place_of_field(key, field))
    }

    fn place(&self, place: impl Fn(usize, &LiveMap) -> Option<String>) -> String {
        let maps = lock(&self.maps).clone();
        let mut maps = maps.list.iter().enumerate();
        maps.find_map(|(nth, map)| place(nth, map)).unwrap_or_else(|| "a map that is read live".to_owned())
    }
}

impl Engine for Overlay {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, EngineError>> {
        Box::pin(async move {
            match (Layered::of(key), self.layer.read(key)?) {
                (Layered::Over, held @ Some(_)) => seen(key, None, held),
                (Layered::Over | Layered::Under | Layered::Within, held) => seen(key, self.base.get(key).await?, held),
            }
        })
    }

    fn range<'a>(&'a self, range: Range<'a>) -> BoxFuture<'a, Result<Page, EngineError>> {
        Box::pin(async move {
            // The engine below may wait for nobody: who loads everything page by page lets others run in between.
            let_others_run().await;
            let (mut first, mut after) = (None, range.after.map(str::to_owned));
            loop {
                let range = Range { after: after.as_deref(), ..range };
                // The maps first: what they change meanwhile has a later revision than this page.
                let layer = self.layer.page(range)?;
                let (page, end) = page_of(self.base.range(range).await?, layer, range.limit)?;
                let revision = *first.get_or_insert(page.revision);
                // All that stood there may be nothing that is seen: then there is more to read.
                match end.filter(|_| page.entries.is_empty()) {
                    Some(end) => after = Some(end),
                    None => return Ok(Page { revision, ..page }),
                }
            }
        })
    }

    fn beneath(&self, key: &str) -> Result<Option<Entry>, EngineError> {
        match (Layered::of(key), self.layer.read(key)?) {
            (Layered::Under, Some(held)) => from_layer(held),
            (Layered::Over | Layered::Under | Layered::Within, _) => Ok(None),
        }
    }

    fn own<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, EngineError>> {
        Box::pin(async move {
            match self.base.get(key).await? {
                Some(entry) => from_base(entry),
                None => Ok(None),
            }
        })
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, EngineError>> {
        Box::pin(async move {
            transaction.check()?;
            // A map that is read again from here on counts as read after the commit.
            match self.for_base(transaction).await? {
                Err(conflict) => Ok(conflict),
                Ok(transaction) => match self.base.commit(transaction).await? {
                    Commit::Done(base) => Ok(Commit::Done(Moment { base, layer: NO_MAP }.revision()?)),
                    conflict @ Commit::Conflict { .. } => Ok(conflict),
                },
            }
        })
    }

    fn may_commit<'a>(&'a self, transaction: &'a Transaction) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            transaction.check()?;
            self.for_base(transaction.clone()).await.map(|_| ())
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

/// Gives way once: whoever looks at a million records would hold up a thread of the runtime.
pub(crate) async fn let_others_run() {
    let mut others_ran = false;
    poll_fn(|context| {
        if std::mem::replace(&mut others_ran, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code of ours panics while it holds such a lock half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
