//! The store role: mailboxes, on one journal, behind LMTP, IMAP and POP3.
//!
//! It does not know which accounts should be here (the directory does, and who asks has asked it), how users prove who
//! they are, or how bytes get to a peer or a disk.
//!
//! ```text
//!   lmtp ─┐
//!   relay ┴─▶ delivery ─┐                 ┌─▶ journal ─▶ apply ─▶ rows and body files
//!   imap ───────────────┼─▶ engine ───────┤
//!   pop3 ───────────────┘                 └─◀ reads of applied state
//! ```
//!
//! Invariants:
//! 1. A reply that says "stored" is made from a `Durable<Lsn>`.
//! 2. UIDs, MODSEQs and LSNs are drawn under one lock per account, so their orders agree.
//! 3. Sessions read applied state only; what is in flight is nobody's to see.
//! 4. An I/O error in apply or in a checkpoint ends the process: recovery is the one way back.
//!
//! RFCs: 2033 (LMTP), 3501 and 9051 (IMAP), 1939 (POP3) in their modules.

mod delivery;
mod engine;
mod handover;
mod imap;
mod lmtp;
mod pop3;
#[cfg(test)]
mod testing;

pub use delivery::Transaction;
pub use engine::{
    Append, Appended, COMMIT_SPANS, Commits, Copied, Counts, Deliveries, FlagChange, FlagNames, OpenError, Options,
    Quota, Refusal, Stopped, Store, Stored, Watch, World,
};
pub use handover::{LocalStores, imap_support};
pub use imap::ImapSession;
pub use lmtp::{InsideLmtp, Lmtp, Machine as LmtpMachine};
pub use pop3::Pop3Session;
