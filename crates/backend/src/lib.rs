//! The way to stores that other nodes serve, and to back-ends of another make: a delivery goes by LMTP (or SMTP), a
//! session passes through by IMAP, POP3 or ManageSieve.
//!
//! What this is: the caller's side of the cluster's inside. What it is not: the router (the directory says which node
//! serves a store, see [`Nodes`]), a connection (the driver calls, see [`ports::Caller`]), the listener inside (the store
//! and proxy roles answer there).
//!
//! ```text
//!   relay ── ports::Delivery ─────────▶ Deliveries ─▶ a call to the store's node, kept for the next message ─▶ LMTP
//!   proxy ── ports::SessionHandover ──▶ Sessions ───▶ a call, AUTHENTICATE EXTERNAL as the account ─▶ octets pass
//!                                          └── Nodes: which node serves a store
//!   relay ── ports::Delivery ─────────▶ Deliveries ─▶ a call to the back-end's first host that answers ─▶ LMTP, SMTP
//!   proxy ── ports::BackEnds ─────────▶ Visits ─────▶ a call, a login that the back-end judges ─▶ octets pass
//!                                          └── Foreign: where a back-end of another make is
//! ```
//!
//! Invariants:
//! 1. A node that does not answer is unavailable: 451 4.4.1 or 4.4.2 for a delivery (which can then wait in the queue),
//!    `[UNAVAILABLE]` for a session. Of its own, nothing here ever says "no such user": a back-end of another make may, whose
//!    users they are.
//! 2. A delivery is promised only where the store's host said so behind the end of the message, recipient by recipient.
//! 3. A record that points back at this node is refused: no call goes round in circles.

mod breaker;
mod breakers;
mod deliveries;
mod foreign;
mod here;
mod nodes;
mod sessions;
#[cfg(test)]
mod testing;
mod visits;

pub use deliveries::Deliveries;
pub use foreign::{BackEnd, Foreign, Introducing, Master, MasterForm, Protocol, Telling};
pub use here::HereOrThere;
pub use nodes::{Inside, Nodes, Reach};
pub use sessions::{SESSION_LOGIN_MAX, Sessions};
pub use visits::{
    Callers, GREETING_MAX, HostReport, HostState, OFFERS_ANSWER_MAX, OFFERS_ASKED_MAX, VISIT_LOGIN_MAX, VisitOutcome,
    Visits,
};
