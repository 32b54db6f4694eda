//! A machine on its line: what serving and calling have in common.

use crate::line::{Line, now};
use crate::session::SessionError;
use crate::stream::Stream;
use crate::timer::{Timer, within};
use crate::tls::{ClientTls, HandshakeError};
use bytes::Bytes;
use machine::Machine;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A machine, its line and its time-out.
#[derive(Debug)]
pub(crate) struct Exchange<M> {
    pub(crate) line: Line,
    pub(crate) machine: M,
    timer: Timer,
    /// Where TLS may follow: the machine gets one line at a time, and what came behind it waits here.
    held: Option<Bytes>,
}

impl<M: Machine> Exchange<M> {
    pub(crate) fn new(stream: Stream, machine: M) -> Self {
        Self { line: Line::new(stream), machine, timer: Timer::default(), held: None }
    }

    /// In clear, until the peer agrees to TLS: no octet behind that line is given to the machine.
    pub(crate) fn before_tls(stream: Stream, machine: M) -> Self {
        Self { held: Some(Bytes::new()), ..Self::new(stream, machine) }
    }

    /// Takes what the machine has to say, as far as there is room.
    pub(crate) fn take_output(&mut self) {
        while self.line.has_room()
            && let Some(piece) = self.machine.poll_output()
        {
            self.line.push(piece);
        }
    }

    /// Whether nothing more can come of it. A machine that does not close at the end of its input has nothing to say
    /// any more once its output is gone.
    pub(crate) fn is_over(&self) -> bool {
        self.machine.is_closed() || (self.line.has_ended() && self.line.is_idle())
    }

    /// Writes, reads (if the machine wants input) and looks at the clock, as far as each goes; whether any went.
    pub(crate) fn poll_moves(&mut self, cx: &mut Context<'_>) -> Result<bool, SessionError> {
        let mut moved = false;
        if !self.line.is_idle() {
            let before = self.line.waiting();
            moved |= self.line.poll_send(cx)?.is_ready() || self.line.waiting() < before;
        }
        if self.machine.wants_input() {
            moved |= self.poll_input(cx)?;
        }
        if !moved && self.timer.poll_at(cx, self.deadline()).is_ready() {
            self.on_deadline()?;
            moved = true;
        }
        Ok(moved)
    }

    /// Gives the machine what was held back, or else what comes; whether anything did.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Result<bool, SessionError> {
        if let Some(line) = self.held_line() {
            self.machine.handle_input(now(), &line);
            return Ok(true);
        }
        if self.line.has_ended() {
            return Ok(false);
        }
        let Self { line, machine, held, .. } = self;
        let received = line.poll_receive(cx, |bytes| match held {
            None => machine.handle_input(now(), bytes),
            Some(held) => *held = Bytes::copy_from_slice(bytes),
        })?;
        if matches!(received, Poll::Ready(0)) {
            self.machine.handle_eof(now());
        }
        Ok(received.is_ready())
    }

    /// The next line of what is held back, or all of it if no line ends there.
    fn held_line(&mut self) -> Option<Bytes> {
        let held = self.held.as_mut().filter(|held| !held.is_empty())?;
        let end = held.iter().position(|octet| *octet == b'\n').map_or(held.len(), |at| at + 1);
        Some(held.split_to(end))
    }

    /// Negotiates TLS as the client once all is said. Where nothing is held back any more, the rest of what the peer said in
    /// clear is still in the socket: it is read as TLS, which it is not.
    pub(crate) async fn start_tls(&mut self, tls: &ClientTls, server: &str) -> Result<(), SessionError> {
        let started = self.try_start_tls(tls, server).await;
        if started.is_err() {
            self.line.cut();
        }
        started
    }

    async fn try_start_tls(&mut self, tls: &ClientTls, server: &str) -> Result<(), SessionError> {
        if self.held.take().is_some_and(|held| !held.is_empty()) {
            return Err(HandshakeError::ClearText.into());
        }
        self.flush().await?;
        Ok(self.line.connect_tls(tls, server).await?)
    }

    /// Stream and machine. What was held back the machine gets after all: nothing that was received is lost.
    pub(crate) fn into_parts(mut self) -> (Stream, M) {
        if let Some(held) = self.held.take().filter(|held| !held.is_empty()) {
            self.machine.handle_input(now(), &held);
        }
        (self.line.into_stream(), self.machine)
    }

    /// From here on octets pass by the machine: what it waited for it waits for no more.
    pub(crate) fn rest(&mut self) {
        self.timer = Timer::default();
        self.held = None;
        self.line.rest();
    }

    fn deadline(&self) -> Option<Instant> {
        [self.machine.poll_timeout(), self.stall_deadline()].into_iter().flatten().min()
    }

    /// When the peer must have read something, if there is something to read.
    fn stall_deadline(&self) -> Option<Instant> {
        (!self.line.is_idle()).then(|| self.line.progress() + OUTPUT_STALL_MAX)
    }

    fn on_deadline(&mut self) -> Result<(), SessionError> {
        let now = now();
        if self.stall_deadline().is_some_and(|at| at <= now) {
            return Err(SessionError::Stalled);
        }
        if self.machine.poll_timeout().is_some_and(|at| at <= now) {
            self.machine.handle_timeout(now);
        }
        Ok(())
    }

    /// Sends all that the machine has to say, and reads nothing meanwhile.
    pub(crate) async fn flush(&mut self) -> Result<(), SessionError> {
        let flushing = async {
            loop {
                self.take_output();
                if self.line.is_idle() {
                    return Ok(());
                }
                self.line.send().await?;
            }
        };
        within(CLOSE_SPAN_MAX, flushing).await.unwrap_or(Err(SessionError::Stalled))
    }

    /// Ends the connection politely.
    pub(crate) async fn hang_up(&mut self) {
        let _broken_or_too_slow = within(LINGER_SPAN_MAX, self.line.hang_up()).await;
    }
}

/// How long a peer may take nothing of what waits for it. RFC 5321 §4.5.3.2 gives a peer 3 to 10 minutes for a step;
/// what it does not even read in 5 it will not answer.
pub const OUTPUT_STALL_MAX: Duration = Duration::from_secs(5 * 60);
/// How long the last output may take before the connection is cut.
pub const CLOSE_SPAN_MAX: Duration = Duration::from_secs(2 * 60);
/// How long we wait for the peer's end after ours.
pub(crate) const LINGER_SPAN_MAX: Duration = Duration::from_secs(2);
