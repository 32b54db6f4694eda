//! The engine: decide, record, journal, apply.
//!
//! ```text
//!  sessions ─ decide under the head's lock ─▶ Log (journal core) ─▶ writer thread: one write, one fdatasync a group
//!     ▲                                                                    │ committed records
//!     └── Waiters: Durable<Lsn> ◀── apply thread: shards' memory tables ◀──┘
//!                                       │ full, or old
//!                                       ▼
//!                      checkpoint thread: bodies, syncfs, rows; then space is given back and segments purged
//! ```
//! Each of the three threads is a loop around a step; the simulator calls the steps itself.

mod append;
mod apply;
mod bodies;
mod change;
mod checkpoint;
mod counts;
mod deliver;
mod feed;
mod head;
mod log;
mod open;
mod read;
mod spool;
#[cfg(test)]
mod tests;
mod usage;
mod wait;

pub use append::{Append, Appended};
pub use change::{Copied, FlagChange, FlagNames, Stored};
pub use counts::{COMMIT_SPANS, Commits, Counts, Deliveries};
pub use feed::Watch;
pub use open::OpenError;
pub use read::Quota;
pub use wait::Stopped;

pub(crate) use append::APPEND_MESSAGES_MAX;
pub(crate) use deliver::{BodyWriter, NewMessage, Put, delivery_head};
pub(crate) use usage::Usage;

use apply::ApplyQueue;
use bodies::{BodyError, BodyFiles};
use checkpoint::Checkpoints;
use feed::Feeds;
use head::Heads;
use journal::Durable;
use journal::disk::Disk;
use log::Log;
use mail_types::{AccountId, Address, Epoch, Lsn, StoreName, UnixTime};
use mailbox::{Index, IndexError, Shard};
use ports::{Clock, Random, Spawn};
use spool::Spool;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use wait::Waiters;

/// A store: the mailboxes of its accounts, on one journal.
pub struct Store {
    name: StoreName,
    options: Options,
    world: World,
    log: Log,
    spool: Spool,
    shards: Vec<StoreShard>,
    heads: Heads,
    feeds: Arc<Feeds>,
    waiters: Waiters,
    /// The LSN up to which everything is applied.
    applied: AtomicU64,
    queue: ApplyQueue,
    checkpoints: Checkpoints,
    counts: Counts,
}

/// The accounts that hash to one index file.
pub(crate) struct StoreShard {
    pub(crate) rows: Shard<Arc<dyn Index>>,
    pub(crate) bodies: BodyFiles,
    /// What its index held at the start: replay passes over records up to there.
    pub(crate) covered: Lsn,
}

/// What a store takes from the world.
#[derive(Clone)]
pub struct World {
    /// Where bodies are.
    pub disk: Arc<dyn Disk>,
    /// Where the journal is: may be another disk.
    pub journal_disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Seeds.
    pub random: Arc<dyn Random>,
    /// Ends the process: something is wrong that only recovery mends.
    pub fatal: Arc<dyn Fn(&str) + Send + Sync>,
}

/// How a store is kept.
#[derive(Clone)]
pub struct Options {
    /// The journal's files.
    pub journal: journal::Config,
    /// The epoch of this process.
    pub epoch: Epoch,
    /// How long sealed segments and expunged bodies are kept (`journal.keep_days`).
    pub keep: Duration,
    /// How much a shard holds in memory before it is written out.
    pub checkpoint_octets: u64,
    /// With less than this free for bodies and index, new mail is refused for now. More than all shards hold in memory.
    pub low_water_octets: u64,
    /// How long a change stays in memory alone.
    pub checkpoint_after: Duration,
    /// What an account may have.
    pub quota: Arc<dyn Fn(&Address) -> Quota + Send + Sync>,
    /// When the journal's next segment must begin: the site's midnight after a time.
    pub midnight: Arc<dyn Fn(UnixTime) -> UnixTime + Send + Sync>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            journal: journal::Config::default(),
            epoch: Epoch::new(1),
            keep: Duration::from_secs(7 * 86_400),
            checkpoint_octets: CHECKPOINT_OCTETS,
            low_water_octets: 4 * 2 * CHECKPOINT_OCTETS + (64 << 20),
            checkpoint_after: Duration::from_secs(60),
            quota: Arc::new(|_| Quota::default()),
            midnight: Arc::new(|now| UnixTime::from_secs((now.secs().div_euclid(86_400) + 1) * 86_400)),
        }
    }
}

/// Why a change or a question was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The account is not here.
    #[error("no such account on this store")]
    NoAccount,
    /// The mailbox is not there, or no longer.
    #[error("no such mailbox")]
    NoMailbox,
    /// CREATE or RENAME onto a name that is taken.
    #[error("the mailbox exists")]
    MailboxExists,
    /// DELETE of a mailbox with others below it.
    #[error("the mailbox has mailboxes below it")]
    HasChildren,
    /// DELETE of INBOX.
    #[error("INBOX cannot be deleted")]
    Inbox,
    /// RENAME of a mailbox into itself.
    #[error("a mailbox cannot move below itself")]
    BelowItself,
    /// RENAME would make a name too long.
    #[error("the name of a mailbox would be too long")]
    NameTooLong,
    /// A named limit is reached.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// The account is full.
    #[error("the account is over its quota")]
    OverQuota,
    /// The disk is full: try later.
    #[error("no space is left for new mail")]
    NoSpace,
    /// Not now: the store stops, is behind, or has lost its right.
    #[error("the store takes no changes now: {0}")]
    Unavailable(&'static str),
    /// The index did not answer.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A body could not be read.
    #[error(transparent)]
    Body(BodyError),
}

impl Refusal {
    /// The same for another recipient. Causes do not travel: they have been logged.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::NoSpace => Self::NoSpace,
            Self::OverQuota => Self::OverQuota,
            Self::Unavailable(why) => Self::Unavailable(why),
            Self::NoAccount
            | Self::NoMailbox
            | Self::MailboxExists
            | Self::HasChildren
            | Self::Inbox
            | Self::BelowItself
            | Self::NameTooLong
            | Self::TooMany(_)
            | Self::Index(_)
            | Self::Body(_) => Self::Unavailable("the message could not be written"),
        }
    }
}

impl From<Stopped> for Refusal {
    fn from(_: Stopped) -> Self {
        Self::Unavailable("it is stopping")
    }
}

impl Store {
    /// Its name.
    pub fn name(&self) -> &StoreName {
        &self.name
    }

    /// What it has done.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The wall clock of the store's world.
    pub fn now(&self) -> UnixTime {
        self.world.clock.now()
    }

    /// Wakes when something of the account changes.
    pub fn watch(&self, account: AccountId) -> Watch {
        self.feeds.watch(account)
    }

    /// Starts the store's threads. They end with [`Store::close`].
    pub fn start(self: &Arc<Self>, spawn: &dyn Spawn) {
        let (writer, applier, checkpointer) = (Arc::clone(self), Arc::clone(self), Arc::clone(self));
        spawn.thread("journal", Box::new(move || writer.run_writer()));
        spawn.thread("apply", Box::new(move || applier.run_apply()));
        spawn.thread("checkpoint", Box::new(move || checkpointer.run_checkpoints()));
    }

    /// The last record that was appended to its journal.
    pub fn appended(&self) -> Lsn {
        self.log.last_lsn()
    }

    /// Waits until `lsn` is durable and applied.
    pub(crate) async fn applied_to(&self, lsn: Lsn) -> Result<Durable<Lsn>, Refusal> {
        Ok(self.waiters.applied(lsn).await?)
    }

    /// Waits while much is on its way to the disk.
    pub(crate) async fn wait_for_room(&self) {
        self.log.room(log::AHEAD_OCTETS_MAX).await;
    }

    pub(crate) fn shard(&self, account: AccountId) -> &StoreShard {
        let at = mailbox::key::shard_of(account, self.shards.len());
        self.shards.get(at).expect("shard_of stays below the number of shards")
    }

    pub(crate) fn rows(&self, account: AccountId) -> &Shard<Arc<dyn Index>> {
        &self.shard(account).rows
    }
}

/// A checkpoint writes the rows and frames of about 7,000 small messages, sorted; four shards come to 128 MB.
const CHECKPOINT_OCTETS: u64 = 32 << 20;
