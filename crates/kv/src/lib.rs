//! Driver: the index and the embedded directory on redb.
//!
//! ```text
//!   mailbox::Index    ◀── index.rs    (one redb file per shard)
//!   directory::Engine ◀── embedded.rs (one redb file per site)
//! ```
//!
//! Invariants:
//! 1. Every commit is durable on return; none is made without an fsync.
//! 2. Damage that is met is an error, and the file is not written to from then on: redb may panic, or abort, there.

pub mod embedded;
pub mod index;

pub use embedded::EmbeddedEngine;
pub use index::{Opened, RedbIndex};
