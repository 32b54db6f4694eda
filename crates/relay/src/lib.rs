//! The relay role: mail from the world for accounts of ours, cut through to their stores.
//!
//! What this is: the answers to the events of an SMTP server on port 25, and of an LMTP server for a mail server of ours
//! in front. A recipient is resolved and asked for at its
//! store while the sender waits; the message goes to all its stores side by side; the sender hears `250` when it is on
//! stable storage for every recipient: in its store, or, where stores disagree or are silent, in the retry queue. In LMTP
//! each recipient has an answer of its own.
//!
//! What it is not: its queue only tries the stores of our accounts again (docs/decisions/0007-retry-queue.md), so nothing leaves for
//! other sites and nothing bounces. It filters nothing and authenticates nobody.
//!
//! ```text
//!   Event::Rcpt ─▶ Routing::delivery ─▶ targets ─▶ Delivery::open, rcpt      all of them, or the recipient is refused
//!   Event::Data ─▶ Received: ──┐
//!   Event::Body ─▶ hops ───────┴─▶ write ─▶ store A, store B …               side by side; a store that fails is out
//!   Event::End ──▶ commit A, B … ─▶ Durable<Lsn> of every recipient ─▶ Stored ─▶ Server::accept ─▶ 250
//!                                ├▶ some are missing, or silent ─▶ RetryQueue ─▶ its Durable<Lsn> ─▶ Stored ─▶ 250
//!                                └▶ nobody has it, all answered ─▶ Server::refuse ─▶ what the stores said
//! ```
//!
//! Invariants:
//! 1. A `250` after the end of data takes a [`Stored`], and its one constructor takes the outcomes of all recipients:
//!    promise 1 is checked by the compiler.
//! 2. A recipient is accepted only if all accounts behind it are, and an account gets one copy of a message however
//!    many names led to it.
//! 3. What is not known is `4xx`; "no such user" is said by a directory that was read, or by a store.
//! 4. The octets of a message are passed on as they came, behind one Received header of ours.
//! 5. The queue retries with the delivery id of the first attempt, so a store that has the message knows it again.
//! 6. What one client network may ask for in a minute has limits, and what is remembered of networks has one too.
//! 7. Of whom nobody but a back-end of another make knows, its word is needed before a recipient is accepted; while it is
//!    away, a word that is minutes old will do, and else the answer is `4xx`.
//! 8. A store that says `421`, or nothing, ends its own part and never the sender's connection.
//!
//! RFCs: 2033 §4.2 (an answer for each recipient); 5321 §3.6 (relaying), §4.4 (trace), §6.1 (what 250 means), §6.3 (loops); 3848 and 6531 §4.3 (`with`); 3207
//! §4.2 (what TLS makes us forget).

mod asked;
mod clients;
mod counts;
mod gate;
mod message;
mod received;
mod resolve;
mod retry;
mod session;
mod stored;
#[cfg(test)]
mod tests;
mod together;

pub use clients::ClientLimits;
pub use counts::{Counts, Outcome};
pub use gate::{Gate, Guest};
/// What waits in the retry queue.
pub use queue::{Entry as QueueEntry, QueueId, State as QueueState, Waiting as QueueWaiting};
pub use retry::{OrderError, QueueCount, QueueError, QueueOrder, QueueWorld, RetryQueue};
pub use session::{Machine, RelaySession};
pub use stored::Stored;

use directory::Routing;
use ports::{Clock, Delivery, Random};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the connections of a relay share.
pub struct Relay {
    delivery: Arc<dyn Delivery>,
    routing: Box<dyn Fn() -> Option<Arc<Routing>> + Send + Sync>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    store_wait: Duration,
    queue: Option<Arc<RetryQueue>>,
    /// The way of what waits in the queue.
    queue_delivery: Arc<dyn Delivery>,
    /// In milliseconds; changes while messages come in.
    commit_wait: AtomicU64,
    counts: Arc<Counts>,
    asked: asked::Asked,
}

impl Relay {
    /// A relay that asks `routing` for the copy of the directory as it is now; none is answered `451 4.4.3`.
    pub fn new(
        delivery: Arc<dyn Delivery>,
        routing: impl Fn() -> Option<Arc<Routing>> + Send + Sync + 'static,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let routing = Box::new(routing);
        let counts = Arc::default();
        let (store_wait, commit_wait) = (STORE_WAIT, AtomicU64::new(0));
        let queue_delivery = Arc::clone(&delivery);
        let (queue, asked) = (None, asked::Asked::default());
        let relay =
            Self { delivery, routing, clock, random, store_wait, queue, queue_delivery, commit_wait, counts, asked };
        relay.set_commit_wait(COMMIT_WAIT);
        relay
    }

    /// With a queue: a store that does not answer no longer keeps the sender waiting. What waits goes by `delivery`, which
    /// must have something left when senders use up all that they may have.
    #[must_use]
    pub fn with_queue(mut self, queue: Arc<RetryQueue>, delivery: Arc<dyn Delivery>) -> Self {
        (self.queue, self.queue_delivery) = (Some(queue), delivery);
        self
    }

    /// With counters that somebody else reads too.
    #[must_use]
    pub fn with_counts(mut self, counts: Arc<Counts>) -> Self {
        self.counts = counts;
        self
    }

    /// How long a store may think about one question before its mail goes to the queue.
    #[must_use]
    pub fn with_commit_wait(self, wait: Duration) -> Self {
        self.set_commit_wait(wait);
        self
    }

    /// The same for a relay that runs: from the next question on.
    pub fn set_commit_wait(&self, wait: Duration) {
        self.commit_wait.store(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long a store may think about one question before it counts as unavailable, where there is no queue.
    #[must_use]
    pub fn with_store_wait(mut self, wait: Duration) -> Self {
        self.store_wait = wait;
        self
    }

    /// How long a store may think about the end of a message. One that would take it a second time, where another attempt is made
    /// because the answer to this one was not awaited, gets as long as a sender can wait.
    fn patience_at_end(&self, make: resolve::Make) -> Duration {
        match make {
            resolve::Make::Ours => self.patience(),
            resolve::Make::Another => self.store_wait,
        }
    }

    /// How long a store may think about one question.
    fn patience(&self) -> Duration {
        match self.queue {
            Some(_) => Duration::from_millis(self.commit_wait.load(Ordering::Relaxed)),
            None => self.store_wait,
        }
    }
}

/// RFC 5321 §4.5.3.2.6: a sender waits 10 minutes after its final dot; we answer well before it leaves.
const STORE_WAIT: Duration = Duration::from_secs(5 * 60);
/// Long enough for a store that is only slow; a sender that waits longer may think us dead and send again.
const COMMIT_WAIT: Duration = Duration::from_secs(20);
