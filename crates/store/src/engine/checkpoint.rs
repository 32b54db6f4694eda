//! Checkpoints: what is in memory goes to disk, shard by shard, and then space is given back.
//!
//! ```text
//!  apply thread, between two commits    checkpoint thread
//!  freeze rows and bodies, C = applied ─▶ write frames ─▶ syncfs ─▶ commit rows and C ─▶ drop what was frozen
//!                                                                     ─▶ sweep accounts ─▶ purge segments
//! ```
//! A crash at any point leaves the shard at its former C with the journal from there, or at the new one: frames are
//! written to places that no committed row names yet.

use super::apply::report;
use super::{Options, Store, StoreShard};
use mail_types::{AccountId, Lsn, UnixTime};
use mailbox::key::Key;
use mailbox::rows::DELIVERY_WEEKS;
use mailbox::{Frozen, IndexError, Query};
use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Which shards are being written out.
pub(crate) struct Checkpoints {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    shards: Vec<Shard>,
    due: VecDeque<Due>,
    closed: bool,
}

struct Shard {
    /// Whether something is frozen.
    busy: bool,
    /// When its oldest change in memory was seen.
    since: Option<Instant>,
    /// When it was frozen last, or first looked at.
    frozen: Option<Instant>,
    /// What its index holds.
    covered: Lsn,
    /// Where the next sweep goes on.
    sweep: Option<AccountId>,
}

/// A shard whose memory is frozen.
struct Due {
    shard: usize,
    /// What the frozen rows are complete up to.
    applied: Lsn,
    rows: Frozen,
}

#[derive(Debug, thiserror::Error)]
enum CheckpointError {
    #[error("writing body files")]
    Bodies(#[source] io::Error),
    #[error("making body files durable")]
    Sync(#[source] io::Error),
    #[error("writing the index")]
    Index(#[source] IndexError),
    #[error("giving space back")]
    Punch(#[source] io::Error),
    #[error("purging the journal")]
    Purge(#[source] io::Error),
}

impl Shard {
    /// Whether it must be frozen, now that it holds so much and everything up to `applied` is applied.
    fn is_due(&mut self, octets: u64, applied: Lsn, now: Instant, options: &Options) -> bool {
        if self.busy {
            return false;
        }
        let frozen = *self.frozen.get_or_insert(now);
        if octets == 0 {
            // Nothing of it changed; but while it says it is behind, the journal cannot be purged.
            return self.covered < applied && now.saturating_duration_since(frozen) >= LAG_MAX;
        }
        let since = *self.since.get_or_insert(now);
        octets >= options.checkpoint_octets || now.saturating_duration_since(since) >= options.checkpoint_after
    }
}

impl Checkpoints {
    pub(crate) fn new(covered: Vec<Lsn>) -> Self {
        let shard = |covered| Shard { busy: false, since: None, frozen: None, covered, sweep: None };
        let shards = covered.into_iter().map(shard).collect();
        Self { state: Mutex::new(State { shards, due: VecDeque::new(), closed: false }), changed: Condvar::new() }
    }

    /// Everything is applied: write all out, then end.
    pub(crate) fn close(&self) {
        self.with(|state| state.closed = true);
        self.changed.notify_all();
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().expect("no holder of this lock panics"))
    }

    fn wait(&self) -> Option<Due> {
        let state = self.state.lock().expect("no holder of this lock panics");
        let idle = |state: &mut State| state.due.is_empty() && !state.closed;
        let mut state = self.changed.wait_while(state, idle).expect("no holder of this lock panics");
        state.due.pop_front()
    }

    /// Waits until nothing of a shard is frozen.
    fn wait_until_free(&self, at: usize) {
        let state = self.state.lock().expect("no holder of this lock panics");
        let busy = |state: &mut State| !state.closed && state.shards.get(at).is_some_and(|shard| shard.busy);
        drop(self.changed.wait_while(state, busy).expect("no holder of this lock panics"));
    }
}

impl Store {
    /// On the apply thread, between commits: freezes shards that hold much, or that hold something for long.
    pub(crate) fn freeze_what_is_due(&self) {
        self.log.watch_midnight(&*self.options.midnight);
        self.watch_space();
        let (now, applied) = (self.world.clock.instant(), self.applied());
        for at in 0..self.shards.len() {
            let Some(shard) = self.shards.get(at) else { continue };
            let octets = shard.rows.octets() as u64 + shard.bodies.octets();
            if octets >= 2 * self.options.checkpoint_octets {
                // Back-pressure: new mail waits until the checkpoint under way is through.
                self.checkpoints.wait_until_free(at);
            }
            let freeze = self.checkpoints.with(|state| {
                state.shards.get_mut(at).is_some_and(|its| its.is_due(octets, applied, now, &self.options))
            });
            if freeze {
                self.freeze(at);
            }
        }
    }

    /// What is in memory must still find its place when new mail is refused.
    fn watch_space(&self) {
        // A disk that does not say is taken to be as it was.
        if let Ok(free) = self.world.disk.free_bytes() {
            self.log.set_low(free < self.options.low_water_octets);
        }
    }

    fn freeze(&self, at: usize) {
        let Some(shard) = self.shards.get(at) else { return };
        let Some(rows) = shard.rows.freeze() else { return };
        shard.bodies.freeze();
        let applied = self.applied();
        self.checkpoints.with(|state| {
            if let Some(its) = state.shards.get_mut(at) {
                its.busy = true;
                its.since = None;
                its.frozen = Some(self.world.clock.instant());
            }
            state.due.push_back(Due { shard: at, applied, rows });
        });
        self.checkpoints.changed.notify_all();
    }

    /// The checkpoint thread's loop. A store that is closed is written out to the end, so that it starts quickly.
    pub(crate) fn run_checkpoints(&self) {
        while let Some(due) = self.checkpoints.wait() {
            if !self.checkpoint(&due) {
                return;
            }
        }
        self.write_out();
        self.log.closed();
    }

    /// One checkpoint, for a world with one thread; whether there was one.
    pub fn step_checkpoint(&self) -> bool {
        match self.checkpoints.with(|state| state.due.pop_front()) {
            Some(due) => self.checkpoint(&due),
            None => false,
        }
    }

    /// Freezes and writes every shard. Only where nothing applies at the same time.
    pub fn write_out(&self) {
        while let Some(due) = self.checkpoints.with(|state| state.due.pop_front()) {
            if !self.checkpoint(&due) {
                return;
            }
        }
        for at in 0..self.shards.len() {
            self.freeze(at);
            let next = self.checkpoints.with(|state| state.due.pop_front());
            if next.is_some_and(|due| !self.checkpoint(&due)) {
                return;
            }
        }
    }

    fn checkpoint(&self, due: &Due) -> bool {
        match self.try_checkpoint(due) {
            Ok(()) => true,
            Err(error) => {
                self.stop_now(&report(&error));
                false
            }
        }
    }

    fn try_checkpoint(&self, due: &Due) -> Result<(), CheckpointError> {
        let Due { shard: at, applied, rows } = due;
        let (at, applied) = (*at, *applied);
        let Some(shard) = self.shards.get(at) else { return Ok(()) };
        shard.bodies.write_frozen(&|chunk| self.log.chunk(chunk)).map_err(CheckpointError::Bodies)?;
        self.world.disk.sync_filesystem().map_err(CheckpointError::Sync)?;
        shard.rows.checkpoint(rows, applied).map_err(CheckpointError::Index)?;
        shard.bodies.drop_frozen();
        let lowest = self.checkpoints.with(|state| {
            if let Some(its) = state.shards.get_mut(at) {
                its.busy = false;
                its.covered = applied;
            }
            state.shards.iter().map(|shard| shard.covered).min().unwrap_or(Lsn::ZERO)
        });
        self.checkpoints.changed.notify_all();
        let floor = self.spool.oldest().map_or(lowest, |body| body.min(lowest));
        let older_than = self.world.clock.now().before(self.options.keep);
        if self.log.purge(floor, older_than).map_err(CheckpointError::Purge)? {
            self.sweep(at, applied)?;
        }
        Ok(())
    }

    /// Gives back what expunged messages held, once that is durable and old enough, for the next accounts in turn.
    fn sweep(&self, at: usize, covered: Lsn) -> Result<(), CheckpointError> {
        let Some(shard) = self.shards.get(at) else { return Ok(()) };
        let now = self.world.clock.now();
        let week = mailbox::key::week(now).saturating_sub(DELIVERY_WEEKS);
        let old = Aged { covered, freed: now.before(self.options.keep.max(FREED_AGE_MIN)), week };
        let behind = self.checkpoints.with(|state| state.shards.get(at).and_then(|shard| shard.sweep));
        let accounts = shard.rows.accounts(behind, ACCOUNTS_PER_SWEEP).map_err(CheckpointError::Index)?;
        for account in &accounts {
            sweep_account(shard, *account, &old)?;
        }
        let next = accounts.last().copied().filter(|_| accounts.len() == ACCOUNTS_PER_SWEEP);
        self.checkpoints.with(|state| {
            if let Some(its) = state.shards.get_mut(at) {
                its.sweep = next;
            }
        });
        Ok(())
    }
}

fn sweep_account(shard: &StoreShard, account: AccountId, old: &Aged) -> Result<(), CheckpointError> {
    let mut gone = Vec::new();
    let freed = shard.rows.free_extents(account, EXTENTS_PER_SWEEP).map_err(CheckpointError::Index)?;
    for free in freed.iter().filter(|free| free.lsn <= old.covered && free.time <= old.freed) {
        shard.bodies.punch(account, free.extent).map_err(CheckpointError::Punch)?;
        gone.push((Key::Free(free.lsn, free.extent.offset).of(account), None));
    }
    let forgotten = shard.rows.old_deliveries(account, old.week, EXTENTS_PER_SWEEP).map_err(CheckpointError::Index)?;
    gone.extend(forgotten.into_iter().map(|key| (key, None)));
    shard.rows.write(gone);
    Ok(())
}

/// What may be given back.
struct Aged {
    /// Durable in the index.
    covered: Lsn,
    /// Freed no later than this.
    freed: UnixTime,
    /// Delivery ids of earlier weeks are not looked for any more.
    week: u32,
}

/// How many accounts a checkpoint sweeps.
const ACCOUNTS_PER_SWEEP: usize = 500;
/// How long a shard without changes may hold the journal back.
const LAG_MAX: Duration = Duration::from_secs(600);
/// Sessions may still be sending a message that another has expunged.
const FREED_AGE_MIN: Duration = Duration::from_secs(3600);
/// How many extents and delivery ids of one account are looked at in one sweep.
const EXTENTS_PER_SWEEP: usize = 1_000;
