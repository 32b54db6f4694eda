//! The shape of one end of a conversation, without socket, clock or task.
//!
//! A machine takes bytes and time in and gives events and bytes out. Whoever drives it (the `net` driver, a test, the
//! simulator) may split the stream anywhere: the same bytes give the same events.
//!
//! ```text
//!   bytes ─▶ handle_input ─▶ ┌─────────┐ ─▶ poll_event  ─▶ the role decides, and tells the machine its answer
//!   time ──▶ handle_timeout ▶│ machine │ ─▶ poll_output ─▶ bytes to send
//!   end ───▶ handle_eof ────▶└─────────┘ ─▶ poll_timeout, wants_input
//! ```
//!
//! Invariants:
//! 1. Without input, time or an answer, the polls dry up.
//! 2. A machine that does not want input is waiting for an answer or for its output to be taken; it buffers at most
//!    what one `handle_input` brought.
//! 3. No input panics, and every buffer has a named limit.

use bytes::Bytes;
use std::time::Instant;

/// One end of a conversation.
pub trait Machine {
    /// What only the role can answer.
    type Event;

    /// Takes bytes that the peer sent, in any split.
    fn handle_input(&mut self, now: Instant, bytes: &[u8]);

    /// The peer will send no more.
    fn handle_eof(&mut self, now: Instant);

    /// The time that [`Machine::poll_timeout`] named has come.
    fn handle_timeout(&mut self, now: Instant);

    /// The next thing to decide. An event that needs an answer holds back the ones after it.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// The next bytes for the peer.
    fn poll_output(&mut self) -> Option<Bytes>;

    /// When to call [`Machine::handle_timeout`].
    fn poll_timeout(&self) -> Option<Instant>;

    /// Whether more bytes are welcome: back-pressure.
    fn wants_input(&self) -> bool;

    /// Whether the conversation is over once the output is sent.
    fn is_closed(&self) -> bool;

    /// Whether the peer is in the middle of something long that a good-bye would break off: a message on its way to us.
    fn is_receiving(&self) -> bool {
        false
    }
}
