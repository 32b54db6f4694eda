//! A stream with the output that waits for it.

use crate::stream::Stream;
use crate::tls::{ClientTls, HandshakeError, ServerTls};
use bytes::{Buf, Bytes};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream, what is still to be written to it, and whether the peer has ended.
#[derive(Debug)]
pub(crate) struct Line {
    stream: Stream,
    pieces: VecDeque<Bytes>,
    octets: usize,
    flushed: bool,
    /// A failure that was met where it could not be told.
    failure: Option<io::Error>,
    ended: bool,
    /// Whether the peer was told that we have ended.
    shut: bool,
    /// When the peer last took something, or had nothing to take.
    progress: Instant,
    /// Octets moved since the others last had their turn.
    moved: usize,
}

impl Line {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            pieces: VecDeque::new(),
            octets: 0,
            flushed: true,
            failure: None,
            ended: false,
            shut: false,
            progress: now(),
            moved: 0,
        }
    }

    /// The stream back; what waited is dropped.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }

    /// The stream itself, for who passes octets on; nothing may wait.
    pub(crate) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Gives back the room for pieces: for long none will wait here.
    pub(crate) fn rest(&mut self) {
        self.pieces.shrink_to_fit();
    }

    /// Octets have moved past this line: they count as its own.
    pub(crate) fn count(&mut self, octets: usize) {
        self.moved += octets;
    }

    /// Negotiates TLS as the server; nothing may wait.
    pub(crate) async fn accept_tls(&mut self, tls: &ServerTls) -> Result<(), HandshakeError> {
        self.stream = self.stream.take().accept_tls(tls).await?;
        Ok(())
    }

    /// Negotiates TLS as the client; nothing may wait.
    pub(crate) async fn connect_tls(&mut self, tls: &ClientTls, server: &str) -> Result<(), HandshakeError> {
        self.stream = self.stream.take().connect_tls(tls, server).await?;
        Ok(())
    }

    /// Drops the connection: whatever is tried with it fails.
    pub(crate) fn cut(&mut self) {
        drop(self.stream.take());
    }

    /// Whether more output may be taken from the machine.
    pub(crate) fn has_room(&self) -> bool {
        self.octets < OUTPUT_OCTETS_MAX
    }

    /// Whether all output has gone to the operating system.
    pub(crate) fn is_idle(&self) -> bool {
        self.pieces.is_empty() && self.flushed
    }

    /// The peer has ended, as whoever read in our place found.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// How many octets wait.
    pub(crate) fn waiting(&self) -> usize {
        self.octets
    }

    /// Whether the peer will send no more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// When the peer last took something, or had nothing to take.
    pub(crate) fn progress(&self) -> Instant {
        self.progress
    }

    /// Lets the other connections have their turn when this one has moved so much that they have waited long: a peer on
    /// a fast line always has more, and its task would keep the thread to itself.
    pub(crate) async fn take_turns(&mut self) {
        if self.moved >= TURN_OCTETS_MAX {
            self.moved = 0;
            tokio::task::yield_now().await;
        }
    }

    /// Queues a piece of output.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if self.is_idle() {
            self.progress = now();
        }
        if !piece.is_empty() {
            self.octets += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Writes until nothing waits.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Err(failure));
        }
        while !self.pieces.is_empty() {
            let written = ready!(self.poll_write(cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.flushed = true;
            self.progress = now();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what waits, or part of it.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self { stream, pieces, .. } = self;
        // Most answers are one piece, and the system does more for a list of one.
        if let (Some(only), 1) = (pieces.front(), pieces.len()) {
            return Pin::new(stream).poll_write(cx, only);
        }
        let mut slices = [IoSlice::new(&[]); PIECES_PER_WRITE_MAX];
        let count = pieces.len().min(PIECES_PER_WRITE_MAX);
        for (slice, piece) in slices.iter_mut().zip(&*pieces) {
            *slice = IoSlice::new(piece);
        }
        Pin::new(stream).poll_write_vectored(cx, slices.get(..count).unwrap_or(&[]))
    }

    fn advance(&mut self, written: usize) {
        self.flushed = false;
        self.progress = now();
        self.moved += written;
        self.octets = self.octets.saturating_sub(written);
        let mut left = written;
        while let Some(front) = self.pieces.front_mut() {
            if left < front.len() {
                front.advance(left);
                return;
            }
            left -= front.len();
            self.pieces.pop_front();
        }
        // A burst must not leave its queue behind in an idle connection.
        self.pieces.shrink_to(PIECES_KEPT);
    }

    /// Writes until nothing waits.
    pub(crate) async fn send(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_send(cx)).await
    }

    /// Runs a future to its end and writes meanwhile. A failure to write is told by the next write: who has begun a
    /// commit must see its end.
    pub(crate) async fn send_during<T>(&mut self, mut work: Pin<Box<dyn Future<Output = T> + Send + '_>>) -> T {
        poll_fn(|cx| {
            // Work first: an answer that needs no waiting leaves with those before it, in one packet.
            if let Poll::Ready(result) = work.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            if self.failure.is_none()
                && !self.is_idle()
                && let Poll::Ready(Err(failure)) = self.poll_send(cx)
            {
                self.failure = Some(failure);
            }
            Poll::Pending
        })
        .await
    }

    /// Reads once into the thread's buffer and hands over what came; 0 octets are the end.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>, take: impl FnOnce(&[u8])) -> Poll<io::Result<usize>> {
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let octets = buffer.filled().len();
            self.moved += octets;
            if octets == 0 {
                self.ended = true;
            } else {
                take(buffer.filled());
            }
            Poll::Ready(Ok(octets))
        })
    }

    /// Says that nothing more will come from us.
    pub(crate) async fn shut(&mut self) -> io::Result<()> {
        if !self.shut {
            poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await?;
            self.shut = true;
        }
        Ok(())
    }

    /// Says that nothing more will come from us, then reads what the peer still sends, and drops it, until it ends
    /// too: closing a socket with unread input sends a reset, which can overtake our last reply.
    pub(crate) async fn hang_up(&mut self) -> io::Result<()> {
        self.shut().await?;
        let mut left = LINGER_OCTETS_MAX;
        while !self.ended && left > 0 {
            let octets = poll_fn(|cx| self.poll_receive(cx, |_| {})).await?;
            left = left.saturating_sub(octets);
        }
        Ok(())
    }
}

/// Lends the buffer of the thread.
pub(crate) fn with_scratch<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| work(scratch))
}

/// The monotonic clock; tokio's, so that a test may stop it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

thread_local! {
    /// Where input lands. One for each worker thread, however many connections there are.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_OCTETS].into_boxed_slice());
}

/// Output that waits for a peer before the machine is asked for more, in octets.
pub const OUTPUT_OCTETS_MAX: usize = 256 * 1024;
/// What one read takes at most.
const SCRATCH_OCTETS: usize = 64 * 1024;
/// What a connection moves before the others have their turn: about a millisecond of work.
pub(crate) const TURN_OCTETS_MAX: usize = 256 * 1024;
/// Pieces that one system call writes (Linux takes up to 1,024).
const PIECES_PER_WRITE_MAX: usize = 64;
/// Room for pieces that an idle connection may keep.
const PIECES_KEPT: usize = 4;
/// What a peer may still send after we hung up.
const LINGER_OCTETS_MAX: usize = 1024 * 1024;
