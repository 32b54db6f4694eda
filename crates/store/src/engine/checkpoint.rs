//! Checkpoints: what is in memory goes to disk, shard by shard, and then space is given back.
//!
//! ```text
//!  apply thread, between two commits    checkpoint thread
//!  freeze rows and bodies, C = applied ─▶ write frames ─▶ syncfs ─▶ commit rows and C ─▶ drop what was frozen
//!                                                                     ─▶ sweep accounts ─▶ purge segments
//! ```
//! A crash at any point leaves the shard at its former C with the journal from there, or at the new one: frames are
//! written to places that no committed row names yet.

use super::Store;
use super::apply::report;
use mail_types::{AccountId, Lsn, UnixTime};
use mailbox::IndexError;
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
    due: VecDeque<(usize, Lsn)>,
    closed: bool,
    /// Set by [`Store::close`]: everything is written out before the end.
    all: bool,
}

struct Shard {
    /// Whether something is frozen.
    busy: bool,
    /// When its oldest change in memory was seen.
    since: Option<Instant>,
    /// What its index holds.
    covered: Lsn,
    /// Where the next sweep goes on.
    sweep: AccountId,
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

impl Checkpoints {
    pub(crate) fn new(covered: Vec<Lsn>) -> Self {
        let shard = |covered| Shard { busy: false, since: None, covered, sweep: AccountId::from_bytes([0; 16]) };
        let shards = covered.into_iter().map(shard).collect();
        Self {
            state: Mutex::new(State { shards, due: VecDeque::new(), closed: false, all: false }),
            changed: Condvar::new(),
        }
    }

    /// Everything is applied: write all out, then end.
    pub(crate) fn close(&self) {
        self.with(|state| state.closed = true);
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let result = act(&mut self.state.lock().expect("no holder of this lock panics"));
        self.changed.notify_all();
        result
    }

    fn wait(&self) -> Option<(usize, Lsn)> {
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
        let now = self.world.clock.instant();
        for at in 0..self.shards.len() {
            let Some(shard) = self.shards.get(at) else { continue };
            let octets = shard.rows.octets() + shard.bodies.octets();
            if octets == 0 {
                continue;
            }
            if octets >= 2 * self.options.checkpoint_octets {
                // Back-pressure: new mail waits until the checkpoint under way is through.
                self.checkpoints.wait_until_free(at);
            }
            let freeze = self.checkpoints.with(|state| {
                let Some(its) = state.shards.get_mut(at) else { return false };
                let since = *its.since.get_or_insert(now);
                let due = octets >= self.options.checkpoint_octets
                    || now.saturating_duration_since(since) >= self.options.checkpoint_after;
                !its.busy && due
            });
            if freeze {
                self.freeze(at);
            }
        }
    }

    fn freeze(&self, at: usize) {
        let Some(shard) = self.shards.get(at) else { return };
        shard.rows.freeze();
        shard.bodies.freeze();
        let applied = self.applied();
        self.checkpoints.with(|state| {
            if let Some(its) = state.shards.get_mut(at) {
                its.busy = true;
                its.since = None;
            }
            state.due.push_back((at, applied));
        });
    }

    /// The checkpoint thread's loop. A store that is closed is written out to the end, so that it starts quickly.
    pub(crate) fn run_checkpoints(&self) {
        while let Some((at, applied)) = self.checkpoints.wait() {
            if !self.checkpoint(at, applied) {
                return;
            }
        }
        self.write_out();
        self.log.closed();
    }

    /// One checkpoint, for a world with one thread; whether there was one.
    pub fn step_checkpoint(&self) -> bool {
        match self.checkpoints.with(|state| state.due.pop_front()) {
            Some((at, applied)) => self.checkpoint(at, applied),
            None => false,
        }
    }

    /// Freezes and writes every shard. Only where nothing applies at the same time.
    pub fn write_out(&self) {
        while let Some((at, applied)) = self.checkpoints.with(|state| state.due.pop_front()) {
            if !self.checkpoint(at, applied) {
                return;
            }
        }
        for at in 0..self.shards.len() {
            self.freeze(at);
            let next = self.checkpoints.with(|state| state.due.pop_front());
            if next.is_some_and(|(at, applied)| !self.checkpoint(at, applied)) {
                return;
            }
        }
    }

    fn checkpoint(&self, at: usize, applied: Lsn) -> bool {
        match self.try_checkpoint(at, applied) {
            Ok(()) => true,
            Err(error) => {
                self.stop_now(&report(&error));
                false
            }
        }
    }

    fn try_checkpoint(&self, at: usize, applied: Lsn) -> Result<(), CheckpointError> {
        let Some(shard) = self.shards.get(at) else { return Ok(()) };
        shard.bodies.write_frozen().map_err(CheckpointError::Bodies)?;
        self.world.disk.sync_filesystem().map_err(CheckpointError::Sync)?;
        shard.rows.checkpoint(applied).map_err(CheckpointError::Index)?;
        shard.bodies.drop_frozen();
        let lowest = self.checkpoints.with(|state| {
            if let Some(its) = state.shards.get_mut(at) {
                its.busy = false;
                its.covered = applied;
            }
            state.shards.iter().map(|shard| shard.covered).min().unwrap_or(Lsn::ZERO)
        });
        self.sweep(at, applied)?;
        let floor = self.spool.oldest().map_or(lowest, |body| body.min(lowest));
        let now = self.world.clock.now();
        self.log.purge(floor, now.before(self.options.keep), now).map_err(CheckpointError::Purge)
    }

    /// Gives back what expunged messages held, once that is durable and old enough, for the next accounts in turn.
    fn sweep(&self, at: usize, covered: Lsn) -> Result<(), CheckpointError> {
        let Some(shard) = self.shards.get(at) else { return Ok(()) };
        let now = self.world.clock.now();
        let old = Aged { covered, freed: now.before(self.options.keep.max(FREED_AGE_MIN)), now };
        let mut account = self.checkpoints.with(|state| state.shards.get(at).map(|shard| shard.sweep));
        for _ in 0..ACCOUNTS_PER_SWEEP {
            let from = account.unwrap_or(AccountId::from_bytes([0; 16]));
            let Some(found) = shard.rows.next_account(from).map_err(CheckpointError::Index)? else {
                account = None;
                break;
            };
            self.sweep_account(at, found, &old)?;
            account = following(found);
        }
        let next = account.unwrap_or(AccountId::from_bytes([0; 16]));
        self.checkpoints.with(|state| {
            if let Some(its) = state.shards.get_mut(at) {
                its.sweep = next;
            }
        });
        Ok(())
    }

    fn sweep_account(&self, at: usize, account: AccountId, old: &Aged) -> Result<(), CheckpointError> {
        let Some(shard) = self.shards.get(at) else { return Ok(()) };
        let freed = shard.rows.freed(account, old.covered).map_err(CheckpointError::Index)?;
        for free in freed.iter().filter(|free| free.time <= old.freed) {
            shard.bodies.punch(account, free.extent).map_err(CheckpointError::Punch)?;
            shard.rows.forget_freed(account, free);
        }
        let seen_before = old.now.before(DELIVERY_IDS_KEPT);
        shard.rows.forget_deliveries(account, seen_before).map_err(CheckpointError::Index)
    }
}

/// What may be given back.
struct Aged {
    /// Durable in the index.
    covered: Lsn,
    /// Freed no later than this.
    freed: UnixTime,
    now: UnixTime,
}

fn following(account: AccountId) -> Option<AccountId> {
    u128::from_be_bytes(*account.as_bytes()).checked_add(1).map(|next| AccountId::from_bytes(next.to_be_bytes()))
}

/// How many accounts a checkpoint sweeps.
const ACCOUNTS_PER_SWEEP: usize = 500;
/// Sessions may still be sending a message that another has expunged.
const FREED_AGE_MIN: Duration = Duration::from_secs(3600);
/// Longer than any relay tries to deliver (RFC 5321 §4.5.4.1 asks for 4 to 5 days).
const DELIVERY_IDS_KEPT: Duration = Duration::from_secs(8 * 86_400);
