//! Driver: the index and the embedded directory on redb.
//!
//! ```text
//!   mailbox::Index ◀── index.rs (one redb file per shard)
//! ```
//!
//! Invariants:
//! 1. Every commit is durable on return; none is made without an fsync.
//! 2. A file that redb cannot read is an error, never a panic of the process.

pub mod index;

pub use index::{Opened, RedbIndex};
