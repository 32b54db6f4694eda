//! Driver: the index and the embedded directory on redb.
//!
//! ```text
//!   mailbox::Index ◀── index.rs (one redb file per shard)
//! ```
//!
//! Invariants:
//! 1. Every commit is durable on return; none is made without an fsync.
//! 2. Damage that is met is an error, and the file is not written to from then on: redb may panic, or abort, there.

pub mod index;

pub use index::{Opened, RedbIndex};
