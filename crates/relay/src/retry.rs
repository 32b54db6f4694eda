//! The retry queue on its journal: mail that the sender need not keep although a store has not got it yet.
//!
//! ```text
//!   Held ──body chunks──▶ journal ─▶ writer thread ─▶ apply ─▶ queue::Queue ─▶ Relay::retry ─▶ stores
//!     └──▶ Queue record ──▶  │                          └─▶ Durable<Lsn> ─▶ Stored ─▶ 250        │
//!                            ◀──────────────────────── Tried record ◀───────────────────────────┘
//! ```
//! The state is changed by what the journal has committed and by nothing else, so it is at every moment what a restart
//! would find. docs/format/queue.md has the layout; docs/decisions/0007-retry-queue.md says why it is so.

mod attempt;
mod early;
mod held;
mod lanes;
mod orders;
mod tidy;

#[cfg(test)]
pub(crate) use attempt::DUE_PER_LANE_MAX;
use early::Early;
pub(crate) use held::{Held, Owed};
pub use orders::{OrderError, QueueCount, QueueOrder};
#[cfg(test)]
pub(crate) use tidy::HELD_SEGMENTS_MAX;

use crate::together::{pause, within};
use bytes::Bytes;
use journal::disk::Disk;
use journal::{Commit, Durable, Journal, Kind, ReadError, Refused, Replay, StreamId, Turn, Writer};
use mail_types::{Epoch, Lsn, StoreName, UnixTime};
use ports::{Clock, Random, Spawn};
use queue::{Body, Queue, QueueId, Record, RecordError};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Mail that waits for stores; durable.
pub struct RetryQueue {
    journal: Journal,
    writer: Mutex<Option<Writer>>,
    segment_octets: u64,
    world: QueueWorld,
    started: Instant,
    state: Mutex<State>,
    /// Woken when records have been applied, and when none will be any more.
    applied: Notify,
    /// Held by whoever names entries by their place, and by who gives an entry another one.
    changes: tokio::sync::Mutex<()>,
    /// Whether the state knows a store that is silent.
    some_silent: AtomicBool,
    /// Wakes the rounds before their time.
    wake: Notify,
}

/// What a queue gets from outside.
#[derive(Clone)]
pub struct QueueWorld {
    /// Where its journal is; nobody else's.
    pub disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Told why the journal cannot go on. The process has to end: recovery is the one way back.
    pub fatal: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Why a queue cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
    /// Reading it again.
    #[error("reading the queue's journal")]
    Replay(#[from] ReadError),
    /// A record that is none.
    #[error("record {lsn} of the queue's journal cannot be read")]
    Record {
        /// Its number.
        lsn: Lsn,
        /// Why.
        #[source]
        source: RecordError,
    },
}

/// Why something is not in the queue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotQueued {
    #[error("the queue is full")]
    Full,
    #[error("the message could not be kept while it came")]
    Lost,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the queue has stopped")]
    Stopped,
}

struct State {
    queue: Queue,
    applied: Durable<Lsn>,
    /// First chunks of bodies that are still coming.
    held: BTreeSet<Lsn>,
    /// First chunks of bodies that are complete, until the entries that name them are applied.
    kept: BTreeSet<Lsn>,
    /// First chunks of the bodies that are being sent, by store.
    in_hand: BTreeMap<StoreName, Lsn>,
    /// Entries whose body could not be read.
    unreadable: BTreeSet<QueueId>,
    early: Early,
    stopped: bool,
}

impl RetryQueue {
    /// Recovers the journal, and with it what waits.
    pub fn open(config: &journal::Config, world: QueueWorld) -> Result<Self, QueueError> {
        let mut seed = [0; 8];
        world.random.fill(&mut seed);
        let seed = u64::from_le_bytes(seed);
        let start = journal::Start { epoch: EPOCH, now: world.clock.now(), seed, applied: Lsn::ZERO };
        let (journal, writer) = journal::open(Arc::clone(&world.disk), config, &start)?;
        let mut queue = Queue::default();
        for record in journal.replay(journal.first_lsn()) {
            apply(&mut queue, &record?)?;
        }
        if queue.waiting_count() > 0 {
            let (messages, recipients) = (queue.entry_count(), queue.waiting_count());
            tracing::info!(messages, recipients, "mail waits for its stores");
        }
        let early = Early::after_start(&queue);
        let some_silent = AtomicBool::new(early.any_silent());
        let state = State {
            queue,
            applied: journal.durable(),
            held: BTreeSet::new(),
            kept: BTreeSet::new(),
            in_hand: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            early,
            stopped: false,
        };
        Ok(Self {
            journal,
            writer: Mutex::new(Some(writer)),
            segment_octets: config.segment_octets,
            started: world.clock.instant(),
            world,
            state: Mutex::new(state),
            applied: Notify::new(),
            changes: tokio::sync::Mutex::new(()),
            some_silent,
            wake: Notify::new(),
        })
    }

    /// Starts the writer thread.
    pub fn start(self: &Arc<Self>, spawn: &dyn Spawn) {
        let writer = Arc::clone(self);
        spawn.thread("queue", Box::new(move || writer.run_writer()));
    }

    /// One turn of the writer without waiting, for a world with one thread; whether something became durable.
    pub fn step_writer(&self) -> bool {
        let mut writer = self.writer.lock().expect(LOCK);
        match writer.as_mut().map(Writer::try_turn) {
            Some(Ok(Turn::Committed(commit))) => self.on_commit(&commit),
            Some(Ok(Turn::Idle)) | None => false,
            Some(Ok(Turn::Closed)) => self.stop(),
            Some(Err(error)) => self.fail(&error),
        }
    }

    /// The last record that was appended to its journal.
    pub fn appended(&self) -> Lsn {
        self.journal.last_lsn()
    }

    /// The last record that is durable and applied.
    pub fn applied_lsn(&self) -> Lsn {
        self.state().applied.lsn()
    }

    /// How many messages wait; one of very many recipients counts more than once.
    pub fn entry_count(&self) -> usize {
        self.state().queue.entry_count()
    }

    /// How many recipients wait.
    pub fn waiting_count(&self) -> usize {
        self.state().queue.waiting_count()
    }

    /// Since when the oldest of them waits, where that is known.
    pub fn oldest(&self) -> Option<UnixTime> {
        self.state().queue.entries().filter_map(|(_, entry)| entry.since).min()
    }

    /// How many segments the journal has beside the one that is written to.
    #[cfg(test)]
    pub(crate) fn sealed_count(&self) -> usize {
        self.journal.sealed_segments().len()
    }

    /// Takes nothing more. Completes when all is on disk and the writer has ended.
    pub async fn close(&self) {
        self.journal.close();
        loop {
            let mut woken = pin!(self.applied.notified());
            woken.as_mut().enable();
            if self.state().stopped {
                return;
            }
            woken.await;
        }
    }

    fn run_writer(&self) {
        let writer = self.writer.lock().expect(LOCK).take();
        let Some(mut writer) = writer else { return };
        loop {
            let goes_on = match writer.turn() {
                Ok(Turn::Committed(commit)) => self.on_commit(&commit),
                Ok(Turn::Idle) => true,
                Ok(Turn::Closed) => self.stop(),
                Err(error) => self.fail(&error),
            };
            if !goes_on {
                return;
            }
        }
    }

    /// What was committed is applied; whoever waits for it is woken.
    fn on_commit(&self, commit: &Commit) -> bool {
        {
            let mut state = self.state();
            for record in commit.records() {
                if let Err(error) = apply(&mut state.queue, &record) {
                    drop(state);
                    return self.fail(&error);
                }
            }
            state.applied = commit.durable();
        }
        self.applied.notify_waiters();
        true
    }

    fn stop(&self) -> bool {
        self.state().stopped = true;
        self.applied.notify_waiters();
        false
    }

    fn fail(&self, error: &dyn Error) -> bool {
        let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
        (self.world.fatal)(&format!("{error}{cause}"));
        self.stop()
    }

    /// Completes when the record is durable and applied.
    async fn applied_to(&self, lsn: Lsn) -> Result<Durable<Lsn>, NotQueued> {
        loop {
            let mut woken = pin!(self.applied.notified());
            woken.as_mut().enable();
            {
                let state = self.state();
                if let Some(proof) = state.applied.covering(lsn) {
                    return Ok(proof);
                }
                if state.stopped {
                    return Err(NotQueued::Stopped);
                }
            }
            woken.await;
        }
    }

    /// The right to name entries by their place, once all is applied that was appended before: whoever had it last may have
    /// gone before that.
    async fn settled(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, NotQueued> {
        let right = self.changes.lock().await;
        self.applied_to(self.appended()).await?;
        Ok(right)
    }

    /// Appends; waits and tries again while the journal is behind.
    async fn append(&self, append: impl Fn() -> Result<Lsn, Refused> + Send + Sync) -> Result<Lsn, Refused> {
        for _ in 0..BUSY_COUNT_MAX {
            let woken = self.applied.notified();
            match append() {
                Err(Refused::Busy) => {}
                answer => return answer,
            }
            // The writer may be through with its turn already, so not for ever.
            within(&*self.world.clock, BUSY_WAIT, Box::pin(woken)).await;
        }
        Err(Refused::Busy)
    }

    /// The chunks of a body, in order; ends early where the journal has not all of it.
    fn chunks(&self, body: Body) -> Chunks {
        Chunks { first: body.first, rest: body.octets, others: 0, records: self.journal.replay(body.first) }
    }

    /// A random number.
    fn chance(&self) -> u64 {
        let mut octets = [0; 8];
        self.world.random.fill(&mut octets);
        u64::from_le_bytes(octets)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(LOCK)
    }
}

/// Reads a body again. Its chunks stand between those of others that came at the same time.
struct Chunks {
    first: Lsn,
    rest: u64,
    /// Octets of others that were read since anybody else had a turn.
    others: u64,
    records: Replay,
}

impl Chunks {
    async fn next(&mut self) -> Option<Result<Bytes, ReadError>> {
        while self.rest > 0 {
            let record = match self.records.next()? {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            let octets = u64::from(record.location.octets());
            if belongs(&record, self.first) {
                self.rest = self.rest.saturating_sub(octets);
                return Some(Ok(record.body));
            }
            self.others = self.others.saturating_add(octets);
            if self.others >= OTHERS_OCTETS_MAX {
                self.others = 0;
                pause().await;
            }
        }
        None
    }
}

/// The same, live and in replay.
fn apply(queue: &mut Queue, record: &journal::Record) -> Result<(), QueueError> {
    if record.kind == Kind::BODY {
        return Ok(());
    }
    // A kind of the journal's own is none of the queue's, and 0 is no kind.
    let kind = record.kind.number().saturating_sub(KIND_OFFSET);
    let decoded = Record::decode(kind, &record.body);
    queue.apply(record.lsn, decoded.map_err(|source| QueueError::Record { lsn: record.lsn, source })?);
    Ok(())
}

/// Whether the record is a chunk of the body that begins at `first`.
fn belongs(record: &journal::Record, first: Lsn) -> bool {
    let its_body = if record.stream == StreamId::ZERO { record.lsn } else { Lsn::new(record.stream.number()) };
    record.kind == Kind::BODY && its_body == first
}

/// The journal's kind of a record: its own kinds come first.
fn journal_kind(record: &Record) -> Kind {
    Kind::new(KIND_OFFSET + record.kind())
}

const LOCK: &str = "nobody panics while holding a lock of the queue";
/// One process has the folder, which is locked: there are no reigns to tell apart.
const EPOCH: Epoch = Epoch::new(1);
/// Below are the journal's own kinds (docs/format/journal.md).
const KIND_OFFSET: u8 = 16;
/// How long to wait for a journal that is behind before looking again.
const BUSY_WAIT: Duration = Duration::from_millis(100);
/// Of others' records, so much is read in one go: what else runs on this thread must not wait for a gigabyte.
const OTHERS_OCTETS_MAX: u64 = 4 << 20;
/// How often to look.
const BUSY_COUNT_MAX: usize = 100;
