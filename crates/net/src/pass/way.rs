//! One direction of a session that passes through.

use crate::line::{TURN_OCTETS_MAX, now, with_scratch};
use bytes::{Buf, Bytes};
use ports::Wire;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// What the destination did not take yet, and how far the source is.
pub(super) struct Way {
    waiting: Bytes,
    flushed: bool,
    ended: bool,
    /// When the destination last took something, or had nothing to take. Without that: when something last came.
    progress: Instant,
}

/// Which end broke.
pub(super) enum Trouble {
    Source(io::Error),
    Destination(io::Error),
}

impl Way {
    pub(super) fn new(waiting: Bytes, ended: bool) -> Self {
        Self { waiting, flushed: true, ended, progress: now() }
    }

    /// Whether all that was read has gone to the operating system.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.flushed
    }

    /// Whether the source will send no more.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The source will send no more.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn progress(&self) -> Instant {
        self.progress
    }

    /// Moves octets until one of the ends would have to be waited for, or others should have their turn; how many moved
    /// (an end counts as one: it too is progress).
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut dyn Wire,
        destination: &mut dyn Wire,
        mut watch: impl FnMut(&[u8]),
    ) -> Result<usize, Trouble> {
        let mut moved = 0;
        while moved < TURN_OCTETS_MAX {
            match self.poll_deliver(cx, destination, &mut moved) {
                Poll::Ready(Ok(())) if !self.ended => {}
                Poll::Ready(Ok(())) | Poll::Pending => break,
                Poll::Ready(Err(error)) => return Err(Trouble::Destination(error)),
            }
            let Poll::Ready(taken) = self.poll_take(cx, source, destination, &mut watch) else { break };
            moved += taken?;
        }
        Ok(moved)
    }

    /// Gives the destination what waits for it.
    fn poll_deliver(&mut self, cx: &mut Context<'_>, to: &mut dyn Wire, moved: &mut usize) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let written = written(ready!(to.poll_write(cx, &self.waiting))?)?;
            self.waiting.advance(written);
            *moved += written;
            self.flushed = false;
            self.progress = now();
        }
        // Not an empty part of what was: that would keep its memory.
        self.waiting = Bytes::new();
        if !self.flushed {
            ready!(to.poll_flush(cx))?;
            self.flushed = true;
            self.progress = now();
            *moved += 1;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once into the thread's buffer, and writes from there at once; only what is not taken is kept.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut dyn Wire,
        destination: &mut dyn Wire,
        watch: &mut impl FnMut(&[u8]),
    ) -> Poll<Result<usize, Trouble>> {
        with_scratch(|scratch| {
            let taken = ready!(source.poll_read(cx, scratch)).map_err(Trouble::Source)?;
            let octets = scratch.get(..taken).unwrap_or_default();
            self.progress = now();
            if octets.is_empty() {
                self.ended = true;
                return Poll::Ready(Ok(1));
            }
            watch(octets);
            self.flushed = false;
            let taken_on = match destination.poll_write(cx, octets) {
                Poll::Ready(result) => result.and_then(written).map_err(Trouble::Destination)?,
                Poll::Pending => 0,
            };
            self.waiting = Bytes::copy_from_slice(octets.get(taken_on..).unwrap_or_default());
            Poll::Ready(Ok(octets.len()))
        })
    }
}

/// A destination that takes nothing, and says that it did, would be asked for ever.
fn written(octets: usize) -> io::Result<usize> {
    if octets == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(octets) }
}

#[cfg(test)]
mod tests;
