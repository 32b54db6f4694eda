//! Keeping the copy in memory up to date.

use crate::engine::{Changes, Engine, EngineError, Range, Revision, Watch};
use crate::key::ROUTING_PREFIX;
use crate::overlay::let_others_run;
use crate::routing::{Filling, Routing};
use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, RwLock};

/// The copy that everybody asks. Readers take the whole copy at once and keep it as long as they need it.
#[derive(Debug, Default)]
pub struct Live {
    current: RwLock<Arc<Routing>>,
}

/// Loads routing from an engine and follows its changes.
///
/// It has no clock: whoever drives it waits as long as it likes before it calls [`Follower::step`] after an error. The
/// copy that was published last goes on answering meanwhile.
pub struct Follower {
    engine: Arc<dyn Engine>,
    live: Arc<Live>,
    routing: Routing,
    watch: Option<Box<dyn Watch>>,
    /// Changes that are being taken.
    taking: Option<Taking>,
    /// How many may load what nobody asks yet.
    threads: NonZeroUsize,
}

/// Changes, and how many of them are taken.
struct Taking {
    changes: Changes,
    taken: usize,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything was read anew.
    Loaded {
        /// How many entries.
        entries: usize,
        /// As of when.
        revision: Revision,
    },
    /// Changes were taken.
    Changed {
        /// How many.
        changes: usize,
        /// As of when.
        revision: Revision,
    },
}

impl Live {
    /// A copy that is not loaded yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The copy as it is now.
    pub fn routing(&self) -> Arc<Routing> {
        // The lock is held for one assignment, which cannot panic.
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everybody asks this copy from now on. Gives the one before, which may be long to drop: nobody waits for that here.
    pub fn publish(&self, routing: Routing) -> Arc<Routing> {
        let routing = Arc::new(routing);
        std::mem::replace(&mut *self.current.write().unwrap_or_else(PoisonError::into_inner), routing)
    }
}

impl Follower {
    /// Follows `engine` and publishes to `live`.
    pub fn new(engine: Arc<dyn Engine>, live: Arc<Live>) -> Self {
        let threads = NonZeroUsize::MIN;
        Self { engine, live, routing: Routing::default(), watch: None, taking: None, threads }
    }

    /// So many threads may load the first copy: nobody is served before there is one. Whatever is loaded later is loaded by
    /// one, with others in between.
    #[must_use]
    pub fn with_threads(self, threads: NonZeroUsize) -> Self {
        Self { threads, ..self }
    }

    /// Starts from a copy that was kept on disk: it is published, and the first step asks for what came after it.
    #[must_use]
    pub fn resume(mut self, routing: Routing) -> Self {
        self.live.publish(routing.clone());
        self.routing = routing;
        self
    }

    /// Loads if nothing is loaded; else waits for changes, takes them and publishes the new copy. Dropping the future
    /// loses nothing.
    pub async fn step(&mut self) -> Result<Progress, EngineError> {
        if self.taking.is_some() {
            return Ok(self.take().await);
        }
        let Some(revision) = self.routing.revision() else { return self.load().await };
        let watch = match &mut self.watch {
            Some(watch) => watch,
            None => self.watch.insert(self.engine.watch(ROUTING_PREFIX, revision).await?),
        };
        match watch.next().await {
            Ok(changes) => {
                self.taking = Some(Taking { changes, taken: 0 });
                Ok(self.take().await)
            }
            Err(EngineError::Compacted { .. }) => self.load().await,
            Err(error) => {
                self.watch = None;
                Err(error)
            }
        }
    }

    /// Takes changes, some at a time: others run in between, and nobody sees a part of them.
    async fn take(&mut self) -> Progress {
        while let Some(Taking { changes, taken }) = &mut self.taking {
            let left = changes.changes.get(*taken..).unwrap_or_default();
            let some = left.get(..CHANGES_AT_ONCE).unwrap_or(left);
            some.iter().for_each(|change| self.routing.apply_one(change));
            *taken += some.len();
            if *taken >= changes.changes.len() {
                break;
            }
            let_others_run().await;
        }
        let taken = self.taking.take().map(|taking| taking.changes);
        let (changes, revision) = taken.map_or_else(Default::default, |taken| (taken.changes.len(), taken.revision));
        self.routing.loaded(revision);
        self.live.publish(self.routing.clone());
        Progress::Changed { changes, revision }
    }

    /// Reads everything. Pages are read one after the other while others write; the watch, which starts after the
    /// revision of the first page, brings what the pages missed and repeats some of what they had.
    async fn load(&mut self) -> Result<Progress, EngineError> {
        (self.watch, self.taking) = (None, None);
        let is_first = self.live.routing().revision().is_none();
        let mut fresh = Filling::new(if is_first { self.threads } else { NonZeroUsize::MIN });
        let (mut entries, mut first, mut after) = (0, None, None::<String>);
        loop {
            let range = Range { prefix: ROUTING_PREFIX, after: after.as_deref(), limit: PAGE_ENTRIES };
            let page = self.engine.range(range).await?;
            first.get_or_insert(page.revision);
            entries += page.entries.len();
            after = page.entries.last().filter(|_| page.more).map(|last| last.key.clone());
            fresh.take(page.entries);
            if after.is_none() {
                break;
            }
        }
        let mut fresh = fresh.finish();
        while fresh.settle_some() {
            let_others_run().await;
        }
        let revision = first.unwrap_or_default();
        fresh.loaded(revision);
        self.routing = fresh;
        Routing::forget(self.live.publish(self.routing.clone())).await;
        Ok(Progress::Loaded { entries, revision })
    }
}

/// Changes taken at once: a millisecond or two.
const CHANGES_AT_ONCE: usize = 500;
/// Entries read at once: a few milliseconds, since others wait for it.
const PAGE_ENTRIES: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::finish;
    use crate::engine::{Commit, MemoryEngine, Transaction};
    use crate::record::{DomainRecord, Record};
    use mail_types::Domain;
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    fn put(engine: &MemoryEngine, name: &str) {
        let record = DomainRecord::new(Domain::parse(name).expect("a domain"));
        let commit = finish(engine.commit(Transaction::default().put(record.key(), record.encode())));
        assert!(matches!(commit, Ok(Commit::Done(_))));
    }

    fn domains(live: &Live) -> Vec<String> {
        live.routing().domains().map(|domain| domain.name.to_string()).collect()
    }

    #[test]
    fn loads_follows_and_goes_on_while_the_engine_is_away() {
        let engine = MemoryEngine::new();
        let live = Arc::new(Live::new());
        let mut follower = Follower::new(Arc::new(engine.clone()), live.clone());
        engine.go_away();
        assert!(matches!(finish(follower.step()), Err(EngineError::Unavailable { .. })));
        assert_eq!(live.routing().revision(), None);
        engine.come_back();
        put(&engine, "a.test");
        assert!(matches!(finish(follower.step()), Ok(Progress::Loaded { entries: 1, .. })));
        {
            let mut step = std::pin::pin!(follower.step());
            let mut context = Context::from_waker(Waker::noop());
            assert!(matches!(step.as_mut().poll(&mut context), Poll::Pending), "there is nothing to follow yet");
        }
        put(&engine, "b.test");
        assert!(matches!(finish(follower.step()), Ok(Progress::Changed { changes: 1, .. })));
        engine.go_away();
        assert!(finish(follower.step()).is_err());
        assert_eq!(domains(&live), ["a.test", "b.test"]);
        engine.come_back();
        put(&engine, "c.test");
        assert!(finish(follower.step()).is_ok());
        put(&engine, "d.test");
        engine.compact();
        assert!(matches!(finish(follower.step()), Ok(Progress::Loaded { entries: 4, .. })));
        assert_eq!(domains(&live), ["a.test", "b.test", "c.test", "d.test"]);
    }

    #[test]
    fn a_copy_from_disk_is_followed_from_its_revision() {
        let engine = MemoryEngine::new();
        put(&engine, "a.test");
        let live = Arc::new(Live::new());
        let mut first = Follower::new(Arc::new(engine.clone()), live.clone());
        assert!(finish(first.step()).is_ok());
        let kept = (*live.routing()).clone();
        put(&engine, "b.test");
        let live = Arc::new(Live::new());
        let mut follower = Follower::new(Arc::new(engine), live.clone()).resume(kept);
        assert_eq!(domains(&live), ["a.test"]);
        assert!(matches!(finish(follower.step()), Ok(Progress::Changed { changes: 1, .. })));
        assert_eq!(domains(&live), ["a.test", "b.test"]);
    }
}
