//! Driver: the index and the embedded directory on redb.
//!
//! ```text
//!   mailbox::Index    ◀── index.rs    (one redb file per shard)
//!   directory::Engine ◀── embedded.rs (one redb file per site)
//! ```
//!
//! Invariants:
//! 1. Every commit is durable on return; none is made without an fsync.
//! 2. A file that redb cannot read is an error, never a panic of the process.

pub mod embedded;
pub mod index;

pub use embedded::EmbeddedEngine;
pub use index::{Opened, RedbIndex};
