//! The retry queue of a relay: mail for which the sender has heard `250` while some of its recipients' stores have not
//! got it yet.
//!
//! What this is: the state of such a queue (which message waits for whom, when it is tried again), the records from
//! which that state is made, and the intervals between attempts.
//!
//! What it is not: it opens no journal and no store, reads no clock and draws no random number; the relay does. It
//! sends nothing to other sites and makes no bounces.
//!
//! ```text
//!   relay ─▶ Record::Queue ──┐               ┌─▶ Queue::due ─▶ an attempt ─▶ Record::Tried ─┐
//!                            ├─▶ journal ─▶ apply                                           ├─▶ journal ─▶ apply
//!   body chunks ─────────────┘               └─▶ Queue::floor ─▶ what may be purged         ┘
//! ```
//!
//! Invariants:
//! 1. The state is made by [`Queue::apply`] alone, live and in replay, and `apply` decides nothing: times and outcomes
//!    are in the records.
//! 2. Replaying from [`Queue::floor`] on gives the same state as replaying everything.
//! 3. A recipient leaves the queue by [`Outcome::Done`], or by an operator's [`Order::Remove`], and by nothing else.
//! 4. A message keeps its delivery id from the sender's transaction through all attempts, so that a store which has it
//!    already knows it again.
//! 5. What an operator holds is not due before it is released.
//!
//! The layout and the crash table are in `docs/format/queue.md`. RFC 5321 §4.5.4.1 says how often to try again, §6.1
//! what was promised.

mod backoff;
mod entry;
mod record;
mod state;
#[cfg(test)]
mod tests;
mod wire;

pub use backoff::{INTERVAL_MAX, INTERVAL_MIN, again, much_later};
pub use entry::{Body, Entry, QueueId, Recipient, State, Waiting};
pub use record::{Order, Outcome, RECIPIENTS_PER_ENTRY_MAX, REPLY_OCTETS_MAX, Record, RecordError, kept};
pub use state::{ENTRY_COUNT_MAX, Queue, WAITING_COUNT_MAX};
