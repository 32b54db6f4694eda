//! Accounts, mailboxes, UIDs, flags and MODSEQs: the records that change them and what applying a record does.
//!
//! The crate decides nothing about durability and touches no file. The store role decides *what* happens, writes the
//! [`Record`] to the journal, and once it is durable calls [`apply()`]: live, in recovery, on a replica and for a moved
//! account alike. `apply` refuses nothing.
//!
//! ```text
//!   Record ──encode──▶ journal ──▶ Durable ──▶ apply(rows, record, stamp, bodies) ──▶ rows + Change feed
//!                                                 │                     │
//!                                    Shard: MemTable merged over        body placed in the account's body file
//!                                    an Index (redb behind a trait)     (Extent: local, never in a record)
//! ```
//!
//! One ordered key space per shard; every row of an account starts with its [`AccountId`](mail_types::AccountId), so an account's rows are
//! neighbours and a delivery touches one leaf.
//!
//! Invariants:
//! 1. Records hold effects: UIDs, MODSEQs, dates and flags are in them; `apply` looks up no clock and draws no number.
//! 2. UIDs and MODSEQs only grow; a row is written with the MODSEQ of its record.
//! 3. `apply` of a record at or below a shard's applied LSN is never asked: replay starts behind it.
//! 4. Rows from disk are checked: a broken one is an [`IndexError`], never a panic.
//! 5. All rows of a record are in one shard, and a [`Batch`] becomes visible at once; only a change of thousands of
//!    messages settles on its way, with counters that agree with the messages at every step.
//! 6. What stands outside of records (the cache, what was given back) can be lost in a crash without harm.
//!
//! Not here: who may do what, quotas, sequence numbers, what a message says, and the files that bodies stand in.
//!
//! Standards: RFC 9051 §2.3 (UIDs, flags), RFC 7162 §3.1 and §3.2 (MODSEQ, what changed and what vanished), RFC 6154
//! (special uses). Octets: `docs/format/mailbox.md`.

pub mod apply;
pub mod change;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod frame;
pub mod index;
pub mod key;
pub mod record;
pub mod row;
pub mod rows;
pub mod shard;

mod table;
#[cfg(test)]
mod testing;
mod wire;

pub use apply::{Bodies, Stamp, apply};
pub use change::{Change, ChangeKind};
pub use frame::{FrameHeader, frame_octets};
pub use index::{Index, IndexError, Order, RowBytes};
pub use key::{Key, Span, shard_of};
pub use record::{BodyRef, Record, RecordError};
pub use row::{AccountRow, DeliveryRow, Extent, FreeExtent, MailboxRow, MessageRow};
pub use rows::{Query, Rows, RowsMut};
pub use shard::{Batch, Frozen, Shard};
