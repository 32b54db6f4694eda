//! Octets between a client and a back-end on another node.
//!
//! ```text
//!   client ── Way up ────▶ back-end     each Way holds only what its destination did not take,
//!          ◀─── Way down ──             and reads no more while it holds anything; what nobody need look at
//!                                       (the text of a message) goes by a pipe, without being copied here
//! ```
//!
//! The end of the client's octets is passed on, and the back-end may go on. So is the end of the back-end's, with a farewell
//! if it gave none; what the client has sent by then still goes to it.
//! An end that is known before the octets in front of it were passed on goes with them, in one packet.

mod pipe;
mod way;

use crate::exchange::{CLOSE_SPAN_MAX, Exchange, LINGER_SPAN_MAX, OUTPUT_STALL_MAX};
use crate::line::{Line, now};
use crate::session::SessionError;
use crate::timer::{Timer, within};
use bytes::Bytes;
use machine::Machine;
use ports::{Flow, Handler, Passage, Track, Wire};
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use way::{Trouble, Watch, Way};

/// Passes octets until one of the ends, or the handler, ends it. The client is still to be hung up on.
///
/// Not an `async fn`: that would have room for the passage besides what it becomes, as long as the session lasts. For the same
/// reason what happens rarely is in boxes.
pub(crate) fn pass<M, H>(
    exchange: &mut Exchange<M>,
    handler: &mut H,
    passage: Passage,
) -> impl Future<Output = Result<(), SessionError>>
where
    M: Machine + Send,
    H: Handler<M>,
{
    exchange.rest();
    let mut passing = Passing::new(passage, exchange.line.has_ended());
    async move {
        loop {
            exchange.line.take_turns().await;
            match passing.wait(&mut exchange.line, handler).await? {
                Waited::Moved => {}
                Waited::Woken => {
                    if Box::pin(speak(exchange, handler)).await? == Flow::Close {
                        passing.leave().await;
                        return Ok(());
                    }
                }
                Waited::Gone => return Box::pin(passing.end(exchange)).await,
            }
        }
    }
}

/// Has the machine say to the client what the handler wants said.
async fn speak<M, H>(exchange: &mut Exchange<M>, handler: &mut H) -> Result<Flow, SessionError>
where
    M: Machine + Send,
    H: Handler<M>,
{
    let mut flow = handler.on_wake(&mut exchange.machine).await;
    exchange.flush().await?;
    while flow == Flow::Again {
        flow = handler.resume(&mut exchange.machine).await;
        exchange.flush().await?;
    }
    Ok(match flow {
        Flow::Next | Flow::Again => Flow::Next,
        // The machine hears the client no more: there is nothing that it could negotiate or pass on.
        Flow::StartTls | Flow::Pass | Flow::Close => Flow::Close,
    })
}

/// What the back-end says, on its way past whoever follows the session.
struct Answers<'a>(&'a mut dyn Track);

impl Watch for Answers<'_> {
    fn show(&mut self, octets: &[u8]) {
        self.0.from_backend(octets);
    }

    fn opaque(&self) -> u64 {
        self.0.opaque()
    }

    fn skipped(&mut self, octets: u64) {
        self.0.skipped(octets);
    }
}

/// How a wait ended.
enum Waited {
    /// Octets moved.
    Moved,
    /// The handler has something to say, and may.
    Woken,
    /// The back-end has ended, broken or stalled, and what it said has gone to the client.
    Gone,
}

struct Passing {
    wire: Box<dyn Wire>,
    track: Box<dyn Track>,
    /// From the client to the back-end.
    up: Way,
    /// From the back-end to the client.
    down: Way,
    /// Whether the back-end was told that the client has ended.
    shut: bool,
    /// The back-end takes nothing more; what it said before that is still to be passed on.
    deaf: bool,
    /// What is the matter with the back-end, where it did not simply end.
    why: Option<Box<str>>,
    timer: Timer,
}

impl Passing {
    fn new(passage: Passage, client_ended: bool) -> Self {
        let Passage { wire, unsent, unsaid, mut track } = passage;
        // In the order in which it happened: the back-end has not seen what is unsent.
        track.from_backend(&unsaid);
        track.from_client(&unsent);
        let (up, down) = (Way::new(unsent, client_ended), Way::new(unsaid, false));
        Self { wire, track, up, down, shut: false, deaf: false, why: None, timer: Timer::default() }
    }

    /// Waits for whatever comes first: octets that move, the handler (where it may speak), an end, a time-out.
    async fn wait<M: Machine, H: Handler<M>>(
        &mut self,
        line: &mut Line,
        handler: &mut H,
    ) -> Result<Waited, SessionError> {
        let may_wake = self.down.is_idle() && self.track.may_speak();
        let mut wake = may_wake.then(|| handler.wake());
        poll_fn(|cx| {
            if let Some(waited) = self.poll_moves(cx, line)? {
                return Poll::Ready(Ok(waited));
            }
            match &mut wake {
                Some(wake) => wake.as_mut().poll(cx).map(|()| Ok(Waited::Woken)),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn poll_moves(&mut self, cx: &mut Context<'_>, line: &mut Line) -> Result<Option<Waited>, SessionError> {
        let up = self.poll_up(cx, line)?;
        let down = self.poll_down(cx, line)?;
        line.count(up + down);
        if self.down.is_idle() && (self.down.has_ended() || (self.deaf && down == 0)) {
            return Ok(Some(Waited::Gone));
        }
        if up + down > 0 {
            return Ok(Some(Waited::Moved));
        }
        self.poll_patience(cx)
    }

    /// Moves octets to the back-end. Where it takes none any more, it may have said why: that is still read.
    fn poll_up(&mut self, cx: &mut Context<'_>, line: &mut Line) -> Result<usize, SessionError> {
        if self.deaf {
            return Ok(0);
        }
        let Self { wire, track, up, .. } = self;
        let moved = match up.poll(cx, line.stream(), &mut **wire, |octets: &[u8]| track.from_client(octets)) {
            Ok(moved) => moved,
            Err(Trouble::Source(error)) => return Err(error.into()),
            Err(Trouble::Destination(error)) => {
                self.lose(&error);
                return Ok(0);
            }
        };
        if !self.shut && self.up.has_ended() && self.up.is_idle() {
            // Where both have ended the connection is closed at once, which tells a socket's peer the same.
            if self.down.has_ended() && way::socket(&mut *self.wire).is_some() {
                self.shut = true;
                return Ok(moved);
            }
            match self.wire.poll_shutdown(cx) {
                Poll::Ready(Ok(())) => self.shut = true,
                Poll::Ready(Err(error)) => self.lose(&error),
                Poll::Pending => {}
            }
        }
        Ok(moved)
    }

    fn lose(&mut self, error: &io::Error) {
        tracing::debug!(%error, "the back-end takes no more");
        self.deaf = true;
        self.why = Some(error.to_string().into());
    }

    fn poll_down(&mut self, cx: &mut Context<'_>, line: &mut Line) -> Result<usize, SessionError> {
        let Self { wire, track, down, .. } = self;
        match down.poll(cx, &mut **wire, line.stream(), Answers(&mut **track)) {
            Ok(moved) => Ok(moved),
            Err(Trouble::Source(error)) => {
                tracing::debug!(%error, "the back-end is gone");
                down.end();
                self.deaf = true;
                self.why = Some(error.to_string().into());
                Ok(0)
            }
            Err(Trouble::Destination(error)) => Err(error.into()),
        }
    }

    /// Looks at the clock: who takes nothing for long, and who goes on for long after the other has ended.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Result<Option<Waited>, SessionError> {
        let stall = |way: &Way| (!way.is_idle()).then(|| way.progress() + OUTPUT_STALL_MAX);
        let client_reads = stall(&self.down);
        let backend_reads = stall(&self.up).filter(|_| !self.deaf);
        let only_backend_left = self.up.has_ended() && self.up.is_idle() && self.down.is_idle();
        let last = self.up.progress().max(self.down.progress());
        let backend_ends = only_backend_left.then(|| last + CLOSE_SPAN_MAX);
        // A system may go on to acknowledge for a process that hangs.
        let backend_lives = Some(last + PASS_SILENCE_MAX);
        let first = [client_reads, backend_reads, backend_ends, backend_lives].into_iter().flatten().min();
        if self.timer.poll_at(cx, first).is_pending() {
            return Ok(None);
        }
        let over = |at: Option<Instant>| at.is_some_and(|at| at <= now());
        if over(client_reads) {
            return Err(SessionError::Stalled);
        }
        let what = match () {
            () if over(backend_ends) => "end",
            () if over(backend_lives) => "say anything",
            () => "read",
        };
        tracing::debug!("the back-end does not {what}");
        self.why = Some(format!("it does not {what}").into());
        Ok(Some(Waited::Gone))
    }

    /// What the client is told now that the back-end is gone. A client that has ended expects no more.
    fn farewell(&self) -> Bytes {
        if self.up.has_ended() || !self.down.is_idle() { Bytes::new() } else { self.track.farewell() }
    }

    /// Tells the client that the back-end is gone.
    async fn end<M: Machine>(&mut self, exchange: &mut Exchange<M>) -> Result<(), SessionError> {
        if !self.up.has_ended() {
            self.track.lost(self.why.as_deref());
        }
        exchange.line.push(self.farewell());
        exchange.flush().await?;
        self.finish(&mut exchange.line).await;
        Ok(())
    }

    /// The back-end has ended: tells the client, and passes on what that still sends, as long as the back-end takes it.
    async fn finish(&mut self, line: &mut Line) {
        if !self.down.has_ended() || self.deaf || self.up.has_ended() {
            return;
        }
        let finishing = async {
            line.shut().await?;
            while !self.deaf && !self.shut {
                line.take_turns().await;
                let moving = poll_fn(|cx| match self.poll_up(cx, line) {
                    Ok(0) if !self.deaf && !self.shut => Poll::Pending,
                    Ok(moved) => {
                        line.count(moved);
                        Poll::Ready(Ok(()))
                    }
                    Err(error) => Poll::Ready(Err(error)),
                });
                within(LINGER_SPAN_MAX, moving).await.unwrap_or(Err(SessionError::Stalled))?;
            }
            Ok::<_, SessionError>(())
        };
        // Whatever comes of it: the session is over.
        let _outcome = tokio::time::timeout(CLOSE_SPAN_MAX, finishing).await;
        if self.up.has_ended() {
            line.end();
        }
    }

    /// Tells the back-end that this is the end, as far as that needs no waiting.
    async fn leave(&mut self) {
        poll_fn(|cx| {
            let _told_or_not = self.wire.poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
    }
}

/// How long nothing at all may pass. A store ends a session that is silent for 30 minutes itself (RFC 9051 §5.4), and says
/// something every two minutes while one waits in IDLE.
pub const PASS_SILENCE_MAX: Duration = Duration::from_secs(45 * 60);
