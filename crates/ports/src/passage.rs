//! A session whose other half is on another node: octets pass both ways, and are watched.

use bytes::Bytes;
use std::any::Any;
use std::fmt;
use std::io;
use std::task::{Context, Poll};

/// A connection, for who passes octets on. Each method has the contract of its namesake in `std::io`, and of `Future`
/// where it is pending. A driver knows its own again, and may have a shorter way between two of them.
pub trait Wire: Any + Send {
    /// Reads what there is; 0 octets are the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes what fits.
    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>>;

    /// Sees to it that what was written is on its way.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Says that nothing more will be written.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// What a handler gives the driver with [`Flow::Pass`](crate::Flow::Pass): from here on the back-end answers.
///
/// `unsaid`, then `unsent`, are shown to `track` before anything that comes later.
pub struct Passage {
    /// The connection to the back-end, logged in.
    pub wire: Box<dyn Wire>,
    /// What the client sent behind its login, and the back-end has not seen.
    pub unsent: Bytes,
    /// What the back-end said behind its answer to the login, and the client has not seen.
    pub unsaid: Bytes,
    /// Watches.
    pub track: Box<dyn Track>,
}

/// Follows a session that passes by: its state is explicit, so that it can be ended, and later resumed, at the right point.
#[expect(clippy::wrong_self_convention, reason = "octets from somewhere; nothing is made of them")]
pub trait Track: Send {
    /// The client sent this.
    fn from_client(&mut self, octets: &[u8]);

    /// The back-end said this.
    fn from_backend(&mut self, octets: &[u8]);

    /// How many octets the back-end says next that need not be shown: the rest of a literal, or whatever comes where the
    /// session cannot be followed any more. They may be shown nevertheless.
    fn opaque(&self) -> u64 {
        0
    }

    /// The back-end said so many octets, at most [`Track::opaque`], that were not shown.
    fn skipped(&mut self, octets: u64) {
        assert_eq!(octets, 0, "who wants to see everything is shown everything");
    }

    /// Whether something unasked may be said to the client here: no answer is half said, and no command but one that waits
    /// for what happens (IDLE) is under way.
    fn may_speak(&self) -> bool;

    /// What the client is told where the back-end goes without a good-bye; nothing where it cannot be told without being
    /// taken for part of an answer.
    fn farewell(&self) -> Bytes;

    /// The back-end is gone, and the client is not: why, unless it has simply ended.
    fn lost(&mut self, _why: Option<&str>) {}
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unsent, unsaid, .. } = self;
        f.debug_struct("Passage").field("unsent", &unsent.len()).field("unsaid", &unsaid.len()).finish_non_exhaustive()
    }
}
