//! One direction of a session that passes through.

use super::pipe::Pipe;
use crate::line::{TURN_OCTETS_MAX, now, with_scratch};
use crate::stream::Stream;
use bytes::{Buf, Bytes};
use ports::Wire;
use std::any::Any;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::net::TcpStream;

/// What the destination did not take yet, and how far the source is.
pub(super) struct Way {
    waiting: Bytes,
    /// Borrowed while octets are in it; then nothing else waits.
    pipe: Option<Pipe>,
    flushed: bool,
    ended: bool,
    /// When the destination last took something, or had nothing to take. Without that: when something last came.
    progress: Instant,
}

/// Who looks at what passes.
pub(super) trait Watch {
    fn show(&mut self, octets: &[u8]);

    /// How many octets from here on need not be shown.
    fn opaque(&self) -> u64 {
        0
    }

    /// So many of them came, and were not shown.
    fn skipped(&mut self, _octets: u64) {}
}

impl<F: FnMut(&[u8])> Watch for F {
    fn show(&mut self, octets: &[u8]) {
        self(octets);
    }
}

/// Which end broke.
pub(super) enum Trouble {
    Source(io::Error),
    Destination(io::Error),
}

impl Way {
    pub(super) fn new(waiting: Bytes, ended: bool) -> Self {
        Self { waiting, pipe: None, flushed: true, ended, progress: now() }
    }

    /// Whether all that was read has gone to the operating system.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.pipe.is_none() && self.flushed
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
        mut watch: impl Watch,
    ) -> Result<usize, Trouble> {
        let mut moved = 0;
        while moved < TURN_OCTETS_MAX {
            match self.poll_deliver(cx, destination, &mut moved) {
                Poll::Ready(Ok(())) if !self.ended => {}
                Poll::Ready(Ok(())) | Poll::Pending => break,
                Poll::Ready(Err(error)) => return Err(Trouble::Destination(error)),
            }
            let taken = match self.poll_pass_by(cx, source, destination, &mut watch) {
                Some(taken) => taken,
                None => self.poll_take(cx, source, destination, &mut watch),
            };
            let Poll::Ready(taken) = taken else { break };
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
        while let Some(pipe) = &mut self.pipe {
            let to = socket(to).expect("octets came into a pipe because both ends are sockets");
            *moved += ready!(pipe.poll_drain(cx, to))?;
            self.progress = now();
            if pipe.is_empty() {
                self.pipe.take().into_iter().for_each(Pipe::give_back);
            }
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

    /// Moves octets that nobody need see into a pipe, and on from there; nothing where they must be seen, where one of the
    /// ends is not a socket, or where there are too few of them, or of pipes.
    fn poll_pass_by(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut dyn Wire,
        destination: &mut dyn Wire,
        watch: &mut impl Watch,
    ) -> Option<Poll<Result<usize, Trouble>>> {
        let opaque = watch.opaque();
        if opaque < PASS_BY_OCTETS_MIN {
            return None;
        }
        let (from, _) = (socket(source)?, socket(destination)?);
        let mut pipe = Pipe::borrow()?;
        let filled = pipe.poll_fill(cx, from, opaque);
        if pipe.is_empty() {
            pipe.give_back();
        } else {
            self.pipe = Some(pipe);
        }
        Some(filled.map(|filled| {
            let octets = filled.map_err(Trouble::Source)?;
            self.progress = now();
            self.ended = octets == 0;
            watch.skipped(u64::try_from(octets).unwrap_or(u64::MAX));
            Ok(octets.max(1))
        }))
    }

    /// Reads once into the thread's buffer, and writes from there at once; only what is not taken is kept.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut dyn Wire,
        destination: &mut dyn Wire,
        watch: &mut impl Watch,
    ) -> Poll<Result<usize, Trouble>> {
        with_scratch(|scratch| {
            let taken = ready!(source.poll_read(cx, scratch)).map_err(Trouble::Source)?;
            let octets = scratch.get(..taken).unwrap_or_default();
            self.progress = now();
            if octets.is_empty() {
                self.ended = true;
                return Poll::Ready(Ok(1));
            }
            watch.show(octets);
            self.flushed = false;
            // A good-bye and the end: one packet instead of two, and whoever waits for both is woken once.
            let writing = match stream(source).is_some_and(|source| source.is_ending()) {
                true => poll_write_last(cx, destination, octets),
                false => destination.poll_write(cx, octets),
            };
            let taken_on = match writing {
                Poll::Ready(result) => result.and_then(written).map_err(Trouble::Destination)?,
                Poll::Pending => 0,
            };
            self.waiting = Bytes::copy_from_slice(octets.get(taken_on..).unwrap_or_default());
            Poll::Ready(Ok(octets.len()))
        })
    }
}

/// The socket behind a wire, where its octets are not encrypted.
pub(super) fn socket(wire: &mut dyn Wire) -> Option<&TcpStream> {
    stream(wire)?.socket()
}

/// The wire as one of ours.
fn stream(wire: &mut dyn Wire) -> Option<&mut Stream> {
    (wire as &mut dyn Any).downcast_mut()
}

/// Writes what the end is expected behind.
fn poll_write_last(cx: &mut Context<'_>, to: &mut dyn Wire, octets: &[u8]) -> Poll<io::Result<usize>> {
    match stream(to) {
        Some(stream) => stream.poll_write_last(cx, octets),
        None => to.poll_write(cx, octets),
    }
}

/// A destination that takes nothing, and says that it did, would be asked for ever.
fn written(octets: usize) -> io::Result<usize> {
    if octets == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(octets) }
}

/// Fewer octets are copied sooner than a pipe is filled and emptied.
const PASS_BY_OCTETS_MIN: u64 = 32 * 1024;

#[cfg(test)]
mod tests;
