//! The machine: bytes in, events out; answers in, bytes out.
//!
//! ```text
//!            ┌──── complete ◀──────────────────────────────────────────────┐
//!   Line ──▶ Command ───────────────────────────────────────────────────▶ Busy
//!     │      Authenticate ▶ challenge ▶ AuthLine ▶ AuthResponse … ───────▶ Busy
//!     │      IdleBegin ───▶ accept_idle ▶ Idle ▶ IdleDone ───────────────▶ Busy
//!     │      AppendBegin ─▶ accept_append ▶ AppendChunk… AppendEnd ▶┬────▶ AppendFinish ▶ Busy
//!     │                  ▲──────── another message (RFC 3502) ──────┘
//!     │      StartTls ────▶ accept_starttls ▶ (handshake) ▶ tls_started ▶ Line
//!     │      a login ─────▶ pass ▶ Passed: a back-end answers, and nothing is read here any more
//!     └ a literal ▶ Literal ▶ Line;   one that is refused ▶ Drain ▶ Line
//! ```
//! Once COMPRESS was accepted ([`Server::accept_compress`]), `deflate.rs` stands between all this and the bytes.
//!
//! Every arrow into `Busy` ends with one [`Server::complete`]; each conversation may also be refused by it at once.

mod answers;
mod deflate;
mod input;
mod steps;
#[cfg(test)]
mod tests;

use crate::command::{Command, Dialect, Tag};
use crate::encode::Encoder;
use crate::limits::Limits;
use crate::parse::AppendMessage;
use crate::response::{Reply, Response, ResponseCode};
use bytes::Bytes;
use deflate::{Deflate, History};
use input::Input;
use machine::Machine;
use mail_types::MailboxName;
use std::sync::Arc;
use std::time::Instant;

/// What only the session can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Carry it out, send what there is to tell, then [`Server::complete`].
    Command(Box<Command>),
    /// STARTTLS: [`Server::accept_starttls`], or refuse with [`Server::complete`].
    StartTls,
    /// AUTHENTICATE: [`Server::challenge`] or [`Server::complete`].
    Authenticate {
        /// The mechanism, in upper case.
        mechanism: String,
        /// The initial response, decoded (RFC 4959).
        initial: Option<Vec<u8>>,
    },
    /// The answer to a challenge, decoded: [`Server::challenge`] or [`Server::complete`].
    AuthResponse(Vec<u8>),
    /// The client gave up, or sent no base64: forget the exchange and [`Server::complete`] (with anything: BAD is sent).
    AuthCancelled,
    /// IDLE: [`Server::accept_idle`], or refuse with [`Server::complete`].
    IdleBegin,
    /// The end of IDLE: [`Server::complete`]. Where the client ended it with anything but DONE, BAD is sent instead.
    IdleDone,
    /// A message of APPEND is announced: [`Server::accept_append`], or refuse with [`Server::complete`]. Nothing is stored
    /// before [`Event::AppendFinish`]: a connection may close in the middle, without a further event.
    AppendBegin(Box<AppendBegin>),
    /// Content of that message, at most [`Server::CHUNK_OCTETS_MAX`]. Needs no answer, but may be refused with [`Server::complete`].
    AppendChunk(Bytes),
    /// The message is whole. Needs no answer: another [`Event::AppendBegin`] or [`Event::AppendFinish`] comes.
    AppendEnd,
    /// The command is whole: store all its messages or none (RFC 3502 §3), then [`Server::complete`].
    AppendFinish,
    /// The command is broken behind a message: drop its messages and [`Server::complete`] (with anything: NO or BAD is sent).
    AppendAbort,
}

/// A message of APPEND that is about to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendBegin {
    /// The command's tag, for the log.
    pub tag: Tag,
    /// Where it goes: the same for every message of one command.
    pub mailbox: MailboxName,
    /// Which message of the command it is, from zero.
    pub index: u32,
    /// What the client says of it.
    pub message: AppendMessage,
}

/// The server's end of one IMAP connection.
#[derive(Debug)]
pub struct Server {
    limits: Arc<Limits>,
    phase: Phase,
    input: Input,
    /// Lines and literals of the command that is being read, except its last line.
    frame: Vec<u8>,
    event: Option<Event>,
    out: Encoder,
    /// Once the client asked for COMPRESS.
    deflate: Option<Box<Deflate>>,
    /// How much content [`Server::content`] still owes, while a FETCH is open.
    owed: Option<Owed>,
    logged_in: bool,
    eof: bool,
    bad_count: u32,
    /// A literal that follows an APPEND which is being refused.
    unwanted_octets: Option<u64>,
    now: Instant,
    /// Until when there must be a login.
    login_due: Instant,
    /// Since when the peer is quiet.
    quiet_since: Instant,
    /// The session was at work, so the quiet began at a time that the next timeout tells.
    was_busy: bool,
}

#[derive(Clone, Copy, Debug)]
struct Owed {
    octets: u64,
    binary: bool,
}

/// What the next bytes are, or who must answer first.
#[derive(Debug)]
enum Phase {
    /// A line of a command.
    Line,
    /// A literal of a command, collected in the frame.
    Literal { left: usize },
    /// A refused literal that comes all the same.
    Drain { left: u64, budget: u64 },
    /// What follows a refused literal.
    DrainLine { budget: u64 },
    /// The session owes the tagged reply. A verdict of ours comes before its own.
    Busy { tag: Tag, verdict: Option<Reply> },
    /// The session owes an answer to STARTTLS.
    StartTlsAsked { tag: Tag },
    /// The driver's turn.
    Handshake,
    /// The client's part of a SASL exchange.
    AuthLine { tag: Tag },
    /// The session owes an answer to IDLE.
    IdleAsked { tag: Tag },
    /// DONE.
    Idle { tag: Tag, still_here: Instant },
    /// The session owes an answer to APPEND.
    AppendAsked { append: Box<Append>, waits: bool },
    /// A message.
    AppendBody { append: Box<Append> },
    /// What follows a message.
    AppendTail { append: Box<Append> },
    /// A back-end answers; of us the peer hears BYE at most.
    Passed,
    /// Nothing more.
    Closed,
}

/// An APPEND under way.
#[derive(Debug)]
struct Append {
    tag: Tag,
    mailbox: MailboxName,
    index: u32,
    /// What is still to come of the message.
    left: u32,
    /// Whether a parenthesis follows the message (RFC 6855 §4).
    wrapped: bool,
}

impl Server {
    /// The largest piece in which a message is handed on.
    pub const CHUNK_OCTETS_MAX: usize = 256 << 10;
    /// With so much output waiting, no input is taken; a session that streams should wait for the same mark.
    pub const OUTPUT_OCTETS_MAX: usize = 1 << 20;

    /// A connection that just began. The session sends the greeting.
    pub fn new(limits: Arc<Limits>, now: Instant) -> Self {
        Self {
            login_due: now + limits.login_max,
            limits,
            phase: Phase::Line,
            input: Input::default(),
            frame: Vec::new(),
            event: None,
            out: Encoder::default(),
            deflate: None,
            owed: None,
            logged_in: false,
            eof: false,
            bad_count: 0,
            unwanted_octets: None,
            now,
            quiet_since: now,
            was_busy: false,
        }
    }

    /// Somebody is logged in: wider limits and longer patience.
    pub fn logged_in(&mut self) {
        self.logged_in = true;
        self.bad_count = 0;
    }

    /// The client enabled IMAP4rev2 or UTF8=ACCEPT: names and quoted strings are UTF-8 from now on, both ways.
    pub fn enable_utf8(&mut self) {
        self.out.enable_utf8();
    }

    /// The form of names and quoted strings.
    pub fn dialect(&self) -> Dialect {
        self.out.dialect()
    }

    /// How much output waits: the session's back-pressure.
    pub fn output_octets(&self) -> usize {
        self.out.octets() + self.deflate.as_ref().map_or(0, |deflate| deflate.octets())
    }

    /// Whether the connection is compressed (RFC 4978).
    pub fn is_compressed(&self) -> bool {
        self.deflate.is_some()
    }

    /// When the peer has had its time; asked while it is its turn.
    fn peer_due(&self) -> Instant {
        if self.logged_in { self.quiet_since + self.limits.idle_max } else { self.login_due }
    }
}

impl Machine for Server {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        self.now = now;
        self.quiet_since = now;
        self.was_busy = false;
        match self.phase {
            Phase::Passed | Phase::Closed => return,
            // RFC 3207 §4.2 and RFC 9051 §6.2.1: nothing may come in the clear once TLS was promised.
            Phase::Handshake => return self.abort(),
            Phase::Line
            | Phase::Literal { .. }
            | Phase::Drain { .. }
            | Phase::DrainLine { .. }
            | Phase::Busy { .. }
            | Phase::StartTlsAsked { .. }
            | Phase::AuthLine { .. }
            | Phase::IdleAsked { .. }
            | Phase::Idle { .. }
            | Phase::AppendAsked { .. }
            | Phase::AppendBody { .. }
            | Phase::AppendTail { .. } => match &mut self.deflate {
                Some(deflate) => deflate.extend(bytes),
                None => self.input.extend(bytes),
            },
        }
        self.advance();
    }

    fn handle_eof(&mut self, now: Instant) {
        self.now = now;
        self.eof = true;
        self.advance();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        if !self.logged_in {
            // Whatever was said meanwhile: NOOPs keep no place that others need.
            self.bye(Reply::ok("Autologout; no login for too long"));
        } else if let Phase::Idle { still_here, .. } = &mut self.phase {
            *still_here = now + self.limits.still_here_every;
            // A client that does not read gets no heap of these.
            if self.output_octets() == 0 {
                Response::Untagged(Reply::ok("Still here")).encode(&mut self.out);
            }
        } else if self.was_busy {
            self.was_busy = false;
            self.quiet_since = now;
        } else {
            self.bye(Reply::ok("Autologout; idle for too long"));
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.advance();
        let event = self.event.take();
        self.release();
        event
    }

    fn poll_output(&mut self) -> Option<Bytes> {
        let Some(deflate) = &mut self.deflate else { return self.out.poll() };
        // A client in IDLE says and hears little for a long time.
        let history = if matches!(self.phase, Phase::Idle { .. }) { History::Forget } else { History::Keep };
        deflate.poll(&mut self.out, history)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Idle { still_here, .. } if self.logged_in => Some(*still_here),
            Phase::Idle { .. }
            | Phase::Line
            | Phase::Literal { .. }
            | Phase::Drain { .. }
            | Phase::DrainLine { .. }
            | Phase::AuthLine { .. }
            | Phase::AppendBody { .. }
            | Phase::AppendTail { .. } => Some(self.peer_due()),
            Phase::Busy { .. }
            | Phase::StartTlsAsked { .. }
            | Phase::Handshake
            | Phase::IdleAsked { .. }
            | Phase::AppendAsked { .. }
            | Phase::Passed
            | Phase::Closed => None,
        }
    }

    fn wants_input(&self) -> bool {
        !self.eof && !self.holds_input() && self.event.is_none() && self.may_read()
    }

    fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed) && self.event.is_none()
    }

    /// An APPEND comes in.
    fn is_receiving(&self) -> bool {
        match self.phase {
            Phase::AppendAsked { .. } | Phase::AppendBody { .. } | Phase::AppendTail { .. } => true,
            Phase::Line
            | Phase::Literal { .. }
            | Phase::Drain { .. }
            | Phase::DrainLine { .. }
            | Phase::Busy { .. }
            | Phase::StartTlsAsked { .. }
            | Phase::Handshake
            | Phase::AuthLine { .. }
            | Phase::IdleAsked { .. }
            | Phase::Idle { .. }
            | Phase::Passed
            | Phase::Closed => false,
        }
    }
}

impl Server {
    /// Whether it is the peer's turn: `poll_timeout` has a time exactly then. It must take what we say, too.
    fn may_read(&self) -> bool {
        self.output_octets() < Self::OUTPUT_OCTETS_MAX && self.poll_timeout().is_some()
    }

    /// Whether something came that is not inflated yet.
    fn holds_input(&self) -> bool {
        self.deflate.as_ref().is_some_and(|deflate| deflate.has_input())
    }

    /// The peer has lost us: nothing more is read, and only what waits is sent.
    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.input = Input::default();
        self.frame = Vec::new();
        self.owed = None;
        if let Some(deflate) = &mut self.deflate {
            deflate.close();
        }
    }

    /// Ends the connection without a word, as when half a literal was sent and the rest cannot be read.
    pub fn abort(&mut self) {
        self.close();
        self.event = None;
    }

    /// Says `* BYE` and ends the connection. Only code and text of the reply are used.
    pub fn bye(&mut self, reply: Reply) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        // Half a literal cannot be followed by a response.
        if self.owed.is_none() {
            Response::Bye(reply).encode(&mut self.out);
        }
        self.close();
    }

    fn bye_too_much(&mut self, text: &'static str) {
        self.bye(Reply::no(text).with(ResponseCode::TooBig));
    }
}

/// What a peer that waits may go on after.
const CONTINUE: &[u8] = b"+ OK\r\n";
