//! The write-ahead log of a store: framing, group commit and recovery of opaque records.
//!
//! A record that is answered with [`Durable`] survives a crash, a power cut and a second crash inside recovery. The
//! journal is also the redundant spool: sealed segments are kept for as long as the operator wants.
//!
//! It does not know what a record means (except which are chunks of a body), who reads it, what time it is, or what
//! a disk is: [`disk::Disk`] is the port, the `disk` driver the thing. It has no thread of its own: somebody takes
//! the turns of its one [`Writer`].
//!
//! ```text
//!   Journal::append ─▶ Core ─▶ open group ─▶ closed groups ─▶ in flight ─▶ write_at, sync_data ─▶ Commit ─▶ apply
//!     many threads     LSN      filled in      wait, ≤16 MiB     one          Writer::turn         Durable<Lsn>
//!                      place    place, once
//!
//!   0000000000000001.seg   header │ group │ group │ … │ footer          sealed, cut to its length
//!   00000000000012ab.seg   header │ group │ marker │ zeros ……………… │     written to, preallocated
//!   spare.tmp              zeros ………………………………………………………………………… │     the next one's space, reserved
//! ```
//!
//! Invariants:
//! 1. [`Durable`] is made by a completed sync and by nothing else; records are handed to apply only with it.
//! 2. A group is whole or it is nothing: records of one [`Core::append_all`] survive together.
//! 3. A segment is written by one run of one process. Its name appears only when its header, and whatever recovery
//!    copied into it, is durable; so a name proves that all records before it are committed.
//! 4. No committed sector is written again. What does not verify at or below `committed` is damage, never cut.
//! 5. After a failed write or sync nothing is written, retried or acknowledged: the journal is poisoned for good.
//! 6. A record that has a number has its space on the disk, in the current segment or in the spare file.
//! 7. LSNs have no gaps, times never go back, epochs never fall.
//!
//! Modules: [`disk`] the file port · `format` the layout · `group` building and reading groups · `core` decisions ·
//! `recover` what a crash left · `segments` the files · `journal` the executor · `replay` · `purge`.
//!
//! The layout, its version rule and the crash table are in `docs/format/journal.md`. No RFC applies except RFC 5321
//! §6.1 (a 250 is a promise), which invariant 1 serves.

mod core;
pub mod disk;
mod format;
mod group;
mod journal;
mod purge;
mod recover;
mod replay;
mod segments;
mod types;

pub use crate::core::{Commit, Core, Effect, Rotation, Seal};
pub use format::{Footer, GROUP_OCTETS_MAX, RECORD_OCTETS_MAX, SegmentHeader, SegmentId};
pub use group::Records;
pub use journal::{Journal, Turn, Writer, open};
pub use purge::{ClockGuard, JUMP_MAX, Purge, Purged};
pub use recover::{Recovery, Survey, TailGroup, recover};
pub use replay::Replay;
pub use segments::SealedSegment;
pub use types::{
    Append, Config, Damage, Durable, Failed, Kind, Location, OpenError, ReadError, Record, Refused, Space, Start,
    StreamId,
};
