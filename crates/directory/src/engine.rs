//! What keeps the records: a small ordered key-value store with revisions.
//!
//! Three kinds of engine stand behind it: `embedded` (redb, one process) and `file` (read-only, [`crate::file`]) answer
//! at once, `etcd` over a network. Routing never waits for any of them: it answers from a copy in memory that
//! [`crate::Follower`] keeps. So the methods are futures; those of an embedded engine wait for nobody.
//!
//! ```text
//!   get, range ──▶ entries with the revision that wrote them
//!   commit ──────▶ all of a transaction or nothing, if every expected revision still holds
//!   watch ───────▶ everything after a revision, in order, each commit whole
//!   lease ───────▶ keys that go away when their owner stops saying it is alive
//! ```
//!
//! Rules for an engine (the conformance suite checks them):
//! 1. Revisions only grow; each commit that changes something has one, and all its writes share it.
//! 2. Whoever reads after a commit was answered sees it. A transaction sees either all or nothing of another.
//! 3. A watch gives every change after its revision exactly once and in order, or says [`EngineError::Compacted`].
//! 4. Dropping a future of [`Watch::next`] loses nothing.
//! 5. An engine that cannot be reached says [`EngineError::Unavailable`]; it never says that a key is missing.
//! 6. An engine that takes no writes says [`EngineError::ReadOnly`] to every transaction and lease.

mod memory;

pub use memory::MemoryEngine;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A future that can be named: engines are chosen by configuration, so [`Engine`] is used behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where the records are kept.
pub trait Engine: Send + Sync {
    /// The entry of a key.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, EngineError>>;

    /// The entries whose keys start with `range.prefix` and come after `range.after`, in the order of their octets.
    fn range<'a>(&'a self, range: Range<'a>) -> BoxFuture<'a, Result<Page, EngineError>>;

    /// Does all of a transaction or nothing.
    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, EngineError>>;

    /// Whether a commit would be refused, for whoever does something else before it: an error is the one that it would give.
    /// What is expected may be broken all the same.
    fn may_commit<'a>(&'a self, transaction: &'a Transaction) -> BoxFuture<'a, Result<(), EngineError>> {
        ready(transaction.check())
    }

    /// The changes after a revision of keys that start with `prefix`. The watch outlives this borrow: an engine
    /// shares what a watch needs.
    fn watch<'a>(&'a self, prefix: &'a str, after: Revision) -> BoxFuture<'a, Result<Box<dyn Watch>, EngineError>>;

    /// What a map that is read live says beneath a key ([`crate::overlay`]): it is seen while the key has no entry of its
    /// own. Other engines have no such thing.
    fn beneath(&self, _key: &str) -> Result<Option<Entry>, EngineError> {
        Ok(None)
    }

    /// What is kept of a key without what maps say of it that are read live; whoever takes that over asks.
    fn own<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, EngineError>> {
        self.get(key)
    }

    /// A new lease. Keys put under it are deleted when it ends.
    ///
    /// An engine of one process may end all leases when it starts: whoever held them is gone.
    fn grant_lease(&self, lifetime: Duration) -> BoxFuture<'_, Result<LeaseId, EngineError>>;

    /// Begins the lease's lifetime anew; [`Lease::Ended`] when it was too late.
    fn keep_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<Lease, EngineError>>;

    /// Ends a lease, and deletes its keys. One that has ended is no error.
    fn revoke_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), EngineError>>;
}

/// A running watch.
pub trait Watch: Send {
    /// The next changes; waits until there are some.
    fn next(&mut self) -> BoxFuture<'_, Result<Changes, EngineError>>;
}

/// A point in an engine's history; only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(u64);

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// Which commit wrote it last.
    pub revision: Revision,
}

/// Which keys to read.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// What the keys start with.
    pub prefix: &'a str,
    /// The last key of the page before; `None` for the first page.
    pub after: Option<&'a str>,
    /// At most this many entries; an engine may give fewer, but at least one when there is one.
    pub limit: usize,
}

/// Some entries in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Whether there are more after the last of them.
    pub more: bool,
    /// The engine's revision when this page was read: a watch after the *first* page's revision misses nothing.
    pub revision: Revision,
}

/// Writes that happen together if all expectations hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Keys with the revision they must have; [`Revision::ZERO`] for a key that must not exist.
    pub expected: Vec<(String, Revision)>,
    /// What to write; a key at most once.
    pub writes: Vec<Write>,
    /// Whether it takes over what maps say that are read live ([`crate::overlay`]): a write of just that value is kept
    /// beneath the map, and holds once the map has it no longer. Other engines have no maps.
    pub takes_over: bool,
}

/// One write of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Makes or replaces an entry.
    Put {
        /// Its key.
        key: String,
        /// Its value.
        value: Vec<u8>,
        /// It is deleted when this lease ends.
        lease: Option<LeaseId>,
    },
    /// Takes an entry away; one that is not there is no error.
    Delete {
        /// Its key.
        key: String,
    },
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// All of it happened, at this revision.
    Done(Revision),
    /// Nothing happened: this key had another revision than expected.
    Conflict {
        /// One of the keys that differ.
        key: String,
    },
}

/// One change that a watch saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An entry was made or replaced.
    Put(Entry),
    /// An entry is gone.
    Delete {
        /// Its key.
        key: String,
        /// When.
        revision: Revision,
    },
}

/// Changes in order; those of one commit are never split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The changes.
    pub changes: Vec<Change>,
    /// Everything up to here has been given: where to resume.
    pub revision: Revision,
}

/// Names a lease of one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(u64);

/// Whether a lease could be prolonged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It lives for its lifetime from now on.
    Alive,
    /// It has ended, and its keys are gone.
    Ended,
}

/// Why an engine could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It cannot be reached or is not ready. Try again; nothing is known about any key.
    #[error("the directory's engine does not answer: {why}")]
    Unavailable {
        /// What is known about it.
        why: String,
        /// What the engine's library said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The history that a watch asked for is gone: read everything again.
    #[error("the directory's history before revision {oldest} is gone")]
    Compacted {
        /// The oldest revision that a watch can still start after.
        oldest: Revision,
    },
    /// The engine takes no writes: its records are made elsewhere.
    #[error("this node only reads its directory; it is kept in {kept_in}: change it where that is made")]
    ReadOnly {
        /// Where its records come from.
        kept_in: String,
    },
    /// The key is one of a map that is read live ([`crate::overlay`]).
    #[error("{key} is read live from {kept_in}: change it there")]
    Live {
        /// The key, and the field where a map says no more than that.
        key: String,
        /// The map, and the line.
        kept_in: String,
    },
    /// The request breaks a limit or a rule of this module: a fault of the caller.
    #[error("not a valid request to the directory's engine: {why}")]
    Invalid {
        /// Which rule.
        why: &'static str,
    },
    /// What is kept is damaged.
    #[error("the directory's data is damaged: {why}")]
    Damaged {
        /// Where.
        why: String,
    },
}

impl Revision {
    /// Before the first commit; as an expectation, "there is no such key".
    pub const ZERO: Self = Self(0);

    /// From its number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl LeaseId {
    /// From its number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl Transaction {
    /// Adds an expectation.
    #[must_use]
    pub fn expect(mut self, key: impl Into<String>, revision: Revision) -> Self {
        self.expected.push((key.into(), revision));
        self
    }

    /// Adds a write of a value.
    #[must_use]
    pub fn put(mut self, key: impl Into<String>, value: Vec<u8>) -> Self {
        self.writes.push(Write::Put { key: key.into(), value, lease: None });
        self
    }

    /// Adds a deletion.
    #[must_use]
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.writes.push(Write::Delete { key: key.into() });
        self
    }

    /// Takes over what maps say that are read live.
    #[must_use]
    pub fn taking_over(self) -> Self {
        Self { takes_over: true, ..self }
    }

    /// Checks the limits of this module; every engine calls it first, so that all refuse the same.
    pub fn check(&self) -> Result<(), EngineError> {
        let invalid = |why| Err(EngineError::Invalid { why });
        if self.expected.len() > TRANSACTION_OPERATIONS_MAX || self.writes.len() > TRANSACTION_OPERATIONS_MAX {
            return invalid("a transaction has at most 128 expectations and 128 writes");
        }
        let keys = self.expected.iter().map(|(key, _)| key.as_str()).chain(self.writes.iter().map(Write::key));
        if keys.clone().any(|key| key.is_empty() || key.len() > KEY_OCTETS_MAX) {
            return invalid("a key has 1 to 1024 octets");
        }
        let mut written: Vec<&str> = self.writes.iter().map(Write::key).collect();
        written.sort_unstable();
        if written.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return invalid("a transaction writes a key at most once");
        }
        if self.octets() > TRANSACTION_OCTETS_MAX {
            return invalid("a transaction writes at most 1 MiB");
        }
        Ok(())
    }

    /// What it writes, keys and values.
    pub fn octets(&self) -> usize {
        self.writes.iter().map(Write::octets).sum()
    }
}

impl Write {
    /// The key that it writes.
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }

    fn octets(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Delete { key } => key.len(),
        }
    }
}

impl Change {
    /// The key that changed.
    pub fn key(&self) -> &str {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete { key, .. } => key,
        }
    }

    /// The commit that changed it.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Put(entry) => entry.revision,
            Self::Delete { revision, .. } => *revision,
        }
    }
}

/// What a future that is ready at once answers: the whole of an embedded engine.
pub fn ready<'a, T: Send + 'a>(answer: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(answer))
}

/// etcd's default limit of operations in a transaction.
pub const TRANSACTION_OPERATIONS_MAX: usize = 128;
/// Below etcd's default limit of a request, 1.5 MiB.
pub const TRANSACTION_OCTETS_MAX: usize = 1 << 20;
/// An address has at most 320 octets (RFC 5321 §4.5.3.1); folding may lengthen it, prefixes come before it.
pub const KEY_OCTETS_MAX: usize = 1024;
