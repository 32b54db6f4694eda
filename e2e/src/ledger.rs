//! What was acknowledged, and whether it is still there after a crash.
//!
//! ```text
//!   rounds: start ─▶ load ─▶ death (SIGKILL, power cut, one after the other) ─▶ start again ─▶ check ─▶ next round
//!                     │                                                                          │
//!   senders  LMTP and SMTP into the receivers' accounts ──▶ receipts: (Message-ID, account) ─────┤ there exactly once
//!   movers   MOVE between mailboxes of those accounts   ──▶ uids: what each UID was given to ────┤ no UID comes back
//!   keepers  APPEND, COPY, MOVE, STORE, EXPUNGE         ──▶ a model of an account of their own ──┘ the model, or one
//!                                                                                                  step further
//! ```
//!
//! `run_nodes` does the same to a site of several nodes, of which each in turn dies while the others go on.
//!
//! Invariants:
//! 1. A receipt is noted after the 250 was read; an attempt is noted before its first octet is sent.
//! 2. A keeper has at most one command in flight: only that one may or may not have happened.
//! 3. A connection that is lost, or a refusal for good, while the site is not being ended is a violation by itself.

mod check;
mod keeper;
mod load;
mod nodes;
mod receipts;
mod rounds;
mod uids;

pub use nodes::run_nodes;
pub use rounds::{Death, Plan, Report, run};
