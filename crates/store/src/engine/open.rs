//! Opening a store: recovery, then replay through the same `apply` as ever.

use super::apply::{ApplyError, ApplyQueue, body_of};
use super::bodies::BodyFiles;
use super::checkpoint::Checkpoints;
use super::feed::Feeds;
use super::head::Heads;
use super::log::Log;
use super::spool::Spool;
use super::wait::Waiters;
use super::{Options, Store, StoreShard, World};
use journal::{Kind, ReadError, Start};
use mail_types::{Lsn, StoreName};
use mailbox::{Index, IndexError, Shard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
    /// Reading the journal again.
    #[error("replaying the journal")]
    Replay(#[from] ReadError),
    /// The index.
    #[error("opening the index")]
    Index(#[from] IndexError),
    /// A record that cannot be applied.
    #[error("replaying the journal: {0}")]
    Apply(String),
}

impl From<ApplyError> for OpenError {
    fn from(error: ApplyError) -> Self {
        Self::Apply(super::apply::report(&error))
    }
}

impl Store {
    /// Recovers the journal, and applies what the index does not hold yet. One index per shard; their number must not
    /// change.
    pub fn open(
        name: StoreName,
        world: World,
        indexes: Vec<Arc<dyn Index>>,
        options: Options,
    ) -> Result<Arc<Self>, OpenError> {
        let mut seed = [0; 8];
        world.random.fill(&mut seed);
        let seed = u64::from_le_bytes(seed);
        let mut shards = Vec::with_capacity(indexes.len());
        for index in indexes {
            let covered = index.applied()?;
            let bodies = BodyFiles::new(Arc::clone(&world.disk), seed);
            shards.push(StoreShard { rows: Shard::new(index), bodies, covered });
        }
        let covered: Vec<Lsn> = shards.iter().map(|shard| shard.covered).collect();
        let highest = covered.iter().copied().max().unwrap_or(Lsn::ZERO);
        let lowest = covered.iter().copied().min().unwrap_or(Lsn::ZERO);
        let start = Start { epoch: options.epoch, now: world.clock.now(), seed, applied: highest };
        let (journal, writer) = journal::open(Arc::clone(&world.journal_disk), &options.journal, &start)?;
        let recovered = journal.durable();
        let log = Log::new(journal, writer, options.epoch, Arc::clone(&world.clock));
        let store = Arc::new(Self {
            name,
            options,
            world,
            log,
            spool: Spool::new(seed),
            shards,
            heads: Heads::new(seed),
            feeds: Feeds::new(seed),
            waiters: Waiters::default(),
            applied: AtomicU64::new(lowest.number()),
            queue: ApplyQueue::default(),
            checkpoints: Checkpoints::new(covered),
            counts: super::Counts::default(),
        });
        store.log.watch_midnight(&*store.options.midnight);
        store.replay(lowest)?;
        store.applied.store(recovered.lsn().number(), Ordering::Release);
        store.waiters.advance(&recovered);
        Ok(store)
    }

    /// Applies what lies above `from`. Memory stays bounded: what it fills is written out on the way.
    fn replay(&self, from: Lsn) -> Result<(), OpenError> {
        let mut count = 0u64;
        let mut group = self.begin_group();
        for record in self.log.replay(from.next()) {
            let record = record?;
            self.log.seen(record.time);
            if record.kind == Kind::BODY {
                // Read again when a record needs it: most have been used before the crash.
                self.spool.replayed(body_of(record.stream, record.lsn), record.location);
            } else {
                group.apply(&record)?;
            }
            self.applied.store(record.lsn.number(), Ordering::Release);
            count += 1;
            if count.is_multiple_of(REPLAY_LOOK_EVERY) {
                std::mem::replace(&mut group, self.begin_group()).publish();
                self.freeze_what_is_due();
                while self.step_checkpoint() {}
            }
        }
        group.publish();
        self.spool.clear();
        if count > 0 {
            // A process that dies again and again must not have more to replay each time.
            self.write_out();
            tracing::info!(store = %self.name, records = count, "journal replayed");
        }
        Ok(())
    }

    /// Takes no more changes, makes durable and writes out what was taken. Completes when all is on disk.
    pub async fn close(&self) {
        self.log.close();
        self.log.wait_closed().await;
    }
}

/// How often replay looks whether memory must be written out.
const REPLAY_LOOK_EVERY: u64 = 1_000;
