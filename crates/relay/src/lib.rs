//! The relay role: mail from the world for accounts of ours, cut through to their stores.
//!
//! What this is: the answers to the events of an SMTP server on port 25. A recipient is resolved and asked for at its
//! store while the sender waits; the message goes to all its stores side by side; the sender hears `250` when it is on
//! stable storage for every recipient.
//!
//! What it is not: it has no queue, so nothing leaves for other sites, and a message that only a part of its recipients
//! got is answered `451` (docs/decisions/0005-mixed-outcome.md). It filters nothing and authenticates nobody.
//!
//! ```text
//!   Event::Rcpt ─▶ Routing::delivery ─▶ targets ─▶ Delivery::open, rcpt      all of them, or the recipient is refused
//!   Event::Data ─▶ Received: ──┐
//!   Event::Body ─▶ hops ───────┴─▶ write ─▶ store A, store B …               side by side; a store that fails is out
//!   Event::End ──▶ commit A, B … ─▶ Durable<Lsn> of every recipient ─▶ Stored ─▶ Server::accept ─▶ 250
//!                                └▶ one is missing ─▶ Server::refuse ─▶ 451, or what the stores said
//! ```
//!
//! Invariants:
//! 1. A `250` after the end of data takes a [`Stored`], and its one constructor takes the outcomes of all recipients:
//!    promise 1 is checked by the compiler.
//! 2. A recipient is accepted only if all accounts behind it are, and an account gets one copy of a message however
//!    many names led to it.
//! 3. What is not known is `4xx`; "no such user" is said by a directory that was read, or by a store.
//! 4. The octets of a message are passed on as they came, behind one Received header of ours.
//! 5. A store that says `421`, or nothing, ends its own part and never the sender's connection.
//!
//! RFCs: 5321 §3.6 (relaying), §4.4 (trace), §6.1 (what 250 means), §6.3 (loops); 3848 and 6531 §4.3 (`with`); 3207
//! §4.2 (what TLS makes us forget).

mod message;
mod received;
mod resolve;
mod session;
mod stored;
#[cfg(test)]
mod tests;
mod together;

pub use session::{Machine, RelaySession};
pub use stored::Stored;

use directory::Routing;
use ports::{Clock, Delivery, Random};
use std::sync::Arc;
use std::time::Duration;

/// What the connections of a relay share.
pub struct Relay {
    delivery: Arc<dyn Delivery>,
    routing: Box<dyn Fn() -> Option<Arc<Routing>> + Send + Sync>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    store_wait: Duration,
}

impl Relay {
    /// A relay that asks `routing` for the copy of the directory as it is now; none is answered `451 4.4.3`.
    pub fn new(
        delivery: Arc<dyn Delivery>,
        routing: impl Fn() -> Option<Arc<Routing>> + Send + Sync + 'static,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self { delivery, routing: Box::new(routing), clock, random, store_wait: STORE_WAIT }
    }

    /// How long a store may think about one question before it counts as unavailable.
    #[must_use]
    pub fn with_store_wait(mut self, wait: Duration) -> Self {
        self.store_wait = wait;
        self
    }
}

/// RFC 5321 §4.5.3.2.6: a sender waits 10 minutes after its final dot; we answer well before it leaves.
const STORE_WAIT: Duration = Duration::from_secs(5 * 60);
