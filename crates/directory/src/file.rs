//! The directory in one text file that something else makes: the read-only engine `file`.
//!
//! What it is: the text form of all records ([`Reader`]; [`collect`] and [`encode`]), and an engine ([`FileEngine`]) that
//! serves what was read last. What it is not: it opens no file and does not know when one changes; the driver `files` does. The layout
//! is docs/format/directory-file.md.
//!
//! ```text
//!   lines ─▶ Reader ─▶ Records ─▶ FileEngine::replace ─▶ what differs is one commit ─▶ watches
//!            (off the runtime)     the old records answer until the new ones are whole
//! ```
//!
//! Invariants:
//! 1. A file is taken whole or not at all: one bad line, a missing end or a wrong count refuses it.
//! 2. A file without password hashes never says that somebody has none ([`EngineError::Unavailable`]).
//! 3. Equal content read again is no change: nobody is told.
//!
//! [`EngineError::Unavailable`]: crate::EngineError::Unavailable

mod collect;
mod engine;
mod format;
#[cfg(test)]
mod tests;

pub use collect::collect;
pub(crate) use engine::{Compared, Differing, Remains};
pub use engine::{FileEngine, Replaced};
pub use format::{FORMAT_VERSION, FileError, LINE_OCTETS_MAX, RECORDS_MAX, Reader, Secrets, Unreadable, encode};

use crate::engine::Revision;
use std::sync::Arc;

/// What a file holds: all of it, in the order of keys, each key once.
#[derive(Debug, Default)]
pub struct Records {
    held: Vec<Held>,
    secrets: Secrets,
    strange: Option<Strange>,
}

/// Keys of no kind that this release knows: of a later one, or misspelt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strange {
    /// How many.
    pub count: usize,
    /// The first of them.
    pub key: String,
    /// Its line.
    pub line: usize,
}

/// A record with its line. A copy shares key and value.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) key: Arc<str>,
    pub(crate) value: Arc<[u8]>,
    pub(crate) revision: Revision,
    pub(crate) line: usize,
}

impl Records {
    /// These, which are in the order of keys, each key once.
    pub(crate) fn of(held: Vec<Held>) -> Self {
        Self { held, secrets: Secrets::Included, strange: None }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether password hashes are among them.
    pub fn secrets(&self) -> Secrets {
        self.secrets
    }

    /// Keys that this release does not know.
    pub fn strange(&self) -> Option<&Strange> {
        self.strange.as_ref()
    }
}
