//! The apply thread: what the journal committed becomes mailbox state, in order, and whoever waits is woken.

use super::log::mailbox_kind;
use super::spool::Chunk;
use super::{Store, StoreShard};
use bytes::Bytes;
use journal::{Commit, Kind, Location, StreamId};
use mail_types::{AccountId, Lsn};
use mailbox::frame::FrameHeader;
use mailbox::{Batch, Bodies, Index, Stamp, apply, shard_of};
use mailbox::{BodyRef, IndexError, Record};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Commits on their way from the writer thread to the apply thread.
#[derive(Default)]
pub(crate) struct ApplyQueue {
    state: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    commits: VecDeque<Commit>,
    closed: bool,
}

/// What the apply thread is woken for.
pub(crate) enum Work {
    /// Apply this.
    Commit(Commit),
    /// Nothing came for a while: see whether a checkpoint is due.
    Idle,
    /// The writer has ended and everything is applied.
    Closed,
}

/// Applying a record failed: only recovery mends that.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("record {0} of the journal is of a kind that this version does not know")]
    Kind(Lsn),
    #[error("record {0} of the journal cannot be read as a mailbox record")]
    Record(Lsn, #[source] mailbox::record::RecordError),
    #[error("applying record {0}")]
    Index(Lsn, #[source] IndexError),
    #[error("placing the body of record {0}")]
    Body(Lsn, #[source] io::Error),
}

impl ApplyQueue {
    /// Puts a commit; waits while the apply thread is far behind.
    pub(crate) fn push(&self, commit: Commit) {
        let state = self.state.lock().expect("no holder of this lock panics");
        let mut state = self
            .changed
            .wait_while(state, |queue| queue.commits.len() >= COMMITS_WAITING_MAX)
            .expect("no holder of this lock panics");
        state.commits.push_back(commit);
        self.changed.notify_all();
    }

    /// No commit will follow.
    pub(crate) fn close(&self) {
        self.state.lock().expect("no holder of this lock panics").closed = true;
        self.changed.notify_all();
    }

    /// The next thing to do, waiting for it.
    fn wait(&self) -> Work {
        let state = self.state.lock().expect("no holder of this lock panics");
        let idle = |queue: &mut Queue| queue.commits.is_empty() && !queue.closed;
        let (mut state, _) =
            self.changed.wait_timeout_while(state, CHECKPOINT_LOOK_EVERY, idle).expect("no holder of this lock panics");
        self.take(&mut state)
    }

    /// The next thing to do, at once.
    fn poll(&self) -> Work {
        self.take(&mut self.state.lock().expect("no holder of this lock panics"))
    }

    fn take(&self, queue: &mut Queue) -> Work {
        match queue.commits.pop_front() {
            Some(commit) => {
                self.changed.notify_all();
                Work::Commit(commit)
            }
            None if queue.closed => Work::Closed,
            None => Work::Idle,
        }
    }
}

impl Store {
    /// The apply thread's loop.
    pub(crate) fn run_apply(&self) {
        loop {
            let work = self.queue.wait();
            if !self.apply_work(work) {
                break;
            }
        }
    }

    /// One step without waiting, for a world with one thread; whether there was something to apply.
    pub fn step_apply(&self) -> bool {
        let work = self.queue.poll();
        let worked = matches!(work, Work::Commit(_));
        self.apply_work(work);
        worked
    }

    fn apply_work(&self, work: Work) -> bool {
        match work {
            Work::Commit(commit) => match self.apply_commit(&commit) {
                Ok(()) => self.freeze_what_is_due(),
                Err(error) => {
                    self.stop_now(&report(&error));
                    return false;
                }
            },
            Work::Idle => self.freeze_what_is_due(),
            Work::Closed => {
                self.waiters.stop();
                self.checkpoints.close();
                return false;
            }
        }
        true
    }

    fn apply_commit(&self, commit: &Commit) -> Result<(), ApplyError> {
        let mut accounts = BTreeSet::new();
        let (mut octets, mut records, mut first) = (0, 0, None);
        let mut group = self.begin_group();
        for record in commit.records() {
            self.log.seen(record.time);
            records += 1;
            first.get_or_insert(record.time);
            octets += record.body.len() as u64;
            accounts.extend(group.apply(&record)?);
        }
        group.publish();
        let durable = commit.durable();
        self.applied.store(durable.lsn().number(), Ordering::Release);
        self.waiters.advance(&durable);
        for account in accounts {
            self.feeds.changed(account);
        }
        self.log.made_room(octets);
        if let Some(first) = first {
            self.counts.committed(records, self.log.now().since(first));
        }
        Ok(())
    }

    /// Begins records whose changes become visible together: one lock of a shard for many of them.
    pub(crate) fn begin_group(&self) -> Group<'_> {
        Group { store: self, batches: self.shards.iter().map(|shard| shard.rows.batch()).collect() }
    }

    /// Says why, and ends the process.
    pub(crate) fn stop_now(&self, why: &str) {
        self.waiters.stop();
        (self.world.fatal)(why);
    }
}

/// Records that are being applied.
pub(crate) struct Group<'a> {
    store: &'a Store,
    batches: Vec<Batch<'a, Arc<dyn Index>>>,
}

impl Group<'_> {
    /// Applies one record, whether it has just been committed or is met in replay; gives whose state changed.
    pub(crate) fn apply(&mut self, record: &journal::Record) -> Result<Option<AccountId>, ApplyError> {
        let store = self.store;
        if record.kind == Kind::BODY {
            store.spool.committed(body_of(record.stream, record.lsn), chunk(record));
            return Ok(None);
        }
        let kind = mailbox_kind(record.kind).ok_or(ApplyError::Kind(record.lsn))?;
        let change = Record::decode(kind, &record.body).map_err(|error| ApplyError::Record(record.lsn, error))?;
        let account = change.account();
        let at = shard_of(account, store.shards.len());
        let (Some(shard), Some(batch)) = (store.shards.get(at), self.batches.get_mut(at)) else { return Ok(None) };
        if record.lsn <= shard.covered {
            return Ok(None);
        }
        let mut placer = Placer { store, shard, failed: None };
        let stamp = Stamp { lsn: record.lsn, time: record.time };
        let applied = apply(batch, &change, stamp, &mut placer);
        if let Some(error) = placer.failed {
            return Err(ApplyError::Body(record.lsn, error));
        }
        applied.map_err(|error| ApplyError::Index(record.lsn, error))?;
        if let Record::Deliver { body, .. } = &change {
            store.spool.used(body.first);
        }
        Ok(Some(account))
    }

    /// Lets everybody see what was applied.
    pub(crate) fn publish(self) {
        self.batches.into_iter().for_each(Batch::commit);
    }
}

/// Puts a frame where `apply` wants it.
struct Placer<'a> {
    store: &'a Store,
    shard: &'a StoreShard,
    failed: Option<io::Error>,
}

impl Bodies for Placer<'_> {
    fn place(&mut self, offset: u64, header: &FrameHeader, head: &Bytes, body: BodyRef) -> Result<(), IndexError> {
        match self.try_place(header, offset, head, body) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.failed = Some(error);
                Err(IndexError::Damaged("the body could not be placed".into()))
            }
        }
    }
}

impl Placer<'_> {
    fn try_place(&self, header: &FrameHeader, offset: u64, head: &Bytes, body: BodyRef) -> io::Result<()> {
        let chunks = match self.store.spool.chunks(body.first) {
            Some(chunks) => chunks,
            None => self.store.log.chunks_of(body)?,
        };
        if chunks.iter().map(Chunk::octets).sum::<u64>() != body.octets {
            // A frame that lacks something must never be written.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the chunks of the body are not all there"));
        }
        if let [Chunk::Memory(content)] = &*chunks {
            self.shard.bodies.hold(header, offset, head, content);
            return Ok(());
        }
        self.shard.bodies.hold_large(header, offset, head, chunks);
        Ok(())
    }
}

/// The LSN of the first chunk of the body that a chunk belongs to.
pub(crate) fn body_of(stream: StreamId, lsn: Lsn) -> Lsn {
    if stream == StreamId::ZERO { lsn } else { Lsn::new(stream.number()) }
}

/// The first chunk of a small message is kept in memory until the checkpoint; the chunks of a large one are not.
fn chunk(record: &journal::Record) -> Chunk {
    let location: Location = record.location;
    if record.stream == StreamId::ZERO && record.body.len() < super::deliver::CHUNK_OCTETS_MAX {
        Chunk::Memory(record.body.clone())
    } else {
        Chunk::Journal(location)
    }
}

/// An error with its causes, on one line.
pub(crate) fn report(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

/// How far the apply thread may be behind the writer: 8 groups of at most 1 MB.
const COMMITS_WAITING_MAX: usize = 8;
/// How often an idle store looks whether a checkpoint is due.
const CHECKPOINT_LOOK_EVERY: Duration = Duration::from_secs(1);
