//! The server's end of SMTP and LMTP.
//!
//! ```text
//!            hello             MAIL                RCPT*, DATA | BDAT            end of data
//!   Fresh ─────────▶ Ready ───────────▶ Envelope ───────────────────▶ Content ──────────────▶ EndAsked
//!     ▲  tls_started   ▲ ◀── RSET, EHLO ────┘                           │ fault: drained, 5xx     │
//!     └── Handshake ◀──┤ ◀──────────────────────────────────────────────┘                        │
//!         Passed ◀─AUTH┤                                                                        │
//!                      └ ◀────────────── accept(receipt) = the only road to 250 ──────────────────┘
//! ```

mod answers;
mod config;
mod dialogue;
mod event;
mod intake;
mod phase;

pub use config::{Config, Extensions, Limits};
pub use event::{Closing, Event, Reset};

use crate::Security;
use crate::command::Hello;
use crate::dot::Decoded;
use crate::limits::{AUTH_LINE_OCTETS_MAX, INPUT_OCTETS_MAX, OUTPUT_OCTETS_MAX};
use crate::line::{Line, LineReader};
use crate::output::Output;
use crate::reply::{Refusal, Reply};
use crate::timer::Timer;
use bytes::{Buf, Bytes, BytesMut};
use machine::Machine;
use mail_types::ReplyCode;
use phase::{Phase, Source, Waits};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One connection, seen from the server. `Receipt` is the proof that a message is safe; without one there is no 250.
///
/// Answers that come when the connection is already over are ignored; the role cannot know better.
#[derive(Debug)]
pub struct Server<Receipt> {
    config: Arc<Config>,
    phase: Phase,
    security: Security,
    authenticated: bool,
    input: BytesMut,
    lines: LineReader,
    output: Output,
    events: VecDeque<Event>,
    timer: Timer,
    /// When an envelope must have come to its DATA; while it is open.
    envelope_until: Option<Instant>,
    /// When the octets of a message must be there; while they come.
    octets_until: Option<Instant>,
    /// When somebody must have logged in; until somebody has.
    login_until: Option<Instant>,
    eof: bool,
    bad_commands: u32,
    idle_commands: u32,
    receipt: PhantomData<fn(Receipt)>,
}

impl<Receipt> Server<Receipt> {
    /// A connection that was just opened; the greeting is in the output.
    pub fn new(config: Arc<Config>, security: Security, now: Instant) -> Self {
        // RFC 5321 §4.2: the greeting begins with our name. It has no enhanced code (RFC 2034 §4).
        let software = if config.dialect.is_lmtp() { "LMTP" } else { "ESMTP" };
        let login_until = config.limits.login_span.map(|span| now + span);
        let greeting = format!("{} {software} {}", config.host, config.greeting.replace('\n', " "));
        let mut server = Self {
            config,
            phase: Phase::Fresh,
            security,
            authenticated: false,
            input: BytesMut::new(),
            lines: LineReader::default(),
            output: Output::default(),
            events: VecDeque::new(),
            timer: Timer::new(now),
            envelope_until: None,
            octets_until: None,
            login_until,
            eof: false,
            bad_commands: 0,
            idle_commands: 0,
            receipt: PhantomData,
        };
        server.say(&Reply::new(ReplyCode::new(220), None, greeting));
        server.timer.start(now, server.span());
        server
    }

    /// A connection that is not served: the refusal stands in the place of the greeting (RFC 5321 §3.1), and that was all.
    pub fn refused(config: Arc<Config>, refusal: &Refusal, now: Instant) -> Self {
        let mut server = Self::new(config, Security::Plain, now);
        server.output = Output::default();
        server.say(refusal.reply());
        server.close(Closing::Role);
        server.settle();
        server
    }

    /// How the client introduced itself; forgotten when TLS starts.
    pub fn client(&self) -> Option<&Hello> {
        self.phase.client()
    }

    /// Whether the connection is encrypted.
    pub fn security(&self) -> Security {
        self.security
    }

    /// Whether AUTH succeeded; forgotten when TLS starts.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// What it was built from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn say(&mut self, reply: &Reply) {
        self.output.reply(reply);
    }

    /// Ends the conversation: the only place where `Event::Closed` is made.
    fn close(&mut self, closing: Closing) -> Phase {
        self.events.push_back(Event::Closed(closing));
        self.input.clear();
        self.timer.start_never();
        (self.envelope_until, self.octets_until, self.login_until) = (None, None, None);
        self.phase = Phase::Closed;
        Phase::Closed
    }

    /// Goes on as far as input and answers allow; says whether it moved.
    fn advance(&mut self) -> bool {
        let mut moved = false;
        while self.events.is_empty() && self.step() {
            moved = true;
        }
        if self.eof && self.events.is_empty() && !matches!(self.phase.waits(), Waits::Role | Waits::Nothing) {
            self.close(Closing::Eof);
        }
        moved
    }

    fn step(&mut self) -> bool {
        match self.phase.waits() {
            Waits::Line => self.step_line(),
            Waits::Octets => {
                let mut input = mem::take(&mut self.input);
                let taken = self.take_octets(&input);
                // A refused stream is gone; its input with it.
                if self.phase.waits() != Waits::Nothing {
                    input.advance(taken.octets);
                    self.input = input;
                }
                taken.moved
            }
            Waits::Role | Waits::Nothing => false,
        }
    }

    fn step_line(&mut self) -> bool {
        match self.lines.take(&mut self.input, AUTH_LINE_OCTETS_MAX) {
            Line::Partial => return false,
            Line::Whole(line) => self.on_line(&line),
            Line::TooLong => self.on_overlong_line(),
            Line::Endless => {
                self.say(Refusal::LINE_TOO_LONG.reply());
                self.say(Refusal::TOO_MANY_ERRORS.reply());
                self.close(Closing::TooManyErrors);
            }
            Line::Fault(_) => {
                // What follows cannot be told from commands that someone hid in a line: nothing more is read.
                self.say(Refusal::BARE_LINE_END.reply());
                self.close(Closing::Unsafe);
            }
        }
        true
    }

    /// Octets of a message, or of one that is refused.
    fn take_octets(&mut self, input: &[u8]) -> Taken {
        match &mut self.phase {
            Phase::Content(_, _, intake, source) => {
                let sound = intake.fault().is_none();
                let (octets, ended) = match source {
                    Source::Dots(decoder) => match decoder.decode(input, intake) {
                        Decoded::More => (input.len(), false),
                        Decoded::End(octets) => (octets, true),
                    },
                    Source::Chunks(chunks) => {
                        let octets = chunks.take(input, intake);
                        (octets, chunks.left == 0)
                    }
                };
                self.events.extend(intake.take_full());
                if let Some(refusal) = intake.fault().filter(|_| sound) {
                    self.events.push_back(Event::Reset(Reset::Content(refusal.clone())));
                }
                if ended {
                    self.on_content_end();
                }
                Taken { octets, moved: ended || octets > 0 }
            }
            Phase::Drain { left, .. } => {
                let octets = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= u64::try_from(octets).expect("a length fits 64 bits");
                let ended = *left == 0;
                if ended {
                    self.on_drained();
                }
                Taken { octets, moved: ended || octets > 0 }
            }
            Phase::Fresh
            | Phase::Ready(_)
            | Phase::Envelope(..)
            | Phase::Between(..)
            | Phase::AuthLine(_)
            | Phase::HelloAsked { .. }
            | Phase::MailAsked(..)
            | Phase::RcptAsked(..)
            | Phase::DataAsked(..)
            | Phase::EndAsked { .. }
            | Phase::AuthAsked(_)
            | Phase::TlsAsked(_)
            | Phase::Handshake
            | Phase::Passed
            | Phase::Closed => Taken { octets: 0, moved: false },
        }
    }

    /// How long the client may take for what we wait for.
    fn span(&self) -> Option<Duration> {
        match self.phase.waits() {
            Waits::Line => Some(self.config.limits.command_timeout),
            Waits::Octets => Some(self.config.limits.data_timeout),
            Waits::Role | Waits::Nothing => None,
        }
    }

    /// After an answer of the role.
    fn settle(&mut self) {
        self.advance();
        let span = self.span();
        self.timer.restart(span);
        self.watch_total();
    }

    /// An envelope has one time from its MAIL on, and the octets of a message have one from the first on, that nothing which
    /// comes meanwhile restarts.
    fn watch_total(&mut self) {
        let from = self.timer.heard();
        match self.phase {
            Phase::Envelope(..) | Phase::RcptAsked(..) | Phase::DataAsked(..) => {
                self.octets_until = None;
                self.envelope_until.get_or_insert(from + self.config.limits.envelope_timeout);
            }
            Phase::Content(..) | Phase::Between(..) => {
                self.envelope_until = None;
                self.octets_until.get_or_insert(from + self.config.data_span());
            }
            // Of a BDAT that was refused in an envelope, which goes on behind it.
            Phase::Drain { .. } => {
                self.octets_until.get_or_insert(from + self.config.data_span());
            }
            // If it is refused, what was before goes on.
            Phase::HelloAsked { .. } => {}
            Phase::Fresh
            | Phase::Ready(_)
            | Phase::AuthLine(_)
            | Phase::MailAsked(..)
            | Phase::EndAsked { .. }
            | Phase::AuthAsked(_)
            | Phase::TlsAsked(_)
            | Phase::Handshake
            | Phase::Passed
            | Phase::Closed => (self.envelope_until, self.octets_until) = (None, None),
        }
    }

    /// When what is under way must be complete. Time that the role takes counts, and ends nothing before it has answered.
    fn total_until(&self) -> Option<Instant> {
        match self.phase.waits() {
            Waits::Line | Waits::Octets => self.octets_until.or(self.envelope_until).or(self.login_until),
            Waits::Role | Waits::Nothing => None,
        }
    }
}

impl<Receipt> Machine for Server<Receipt> {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        self.timer.hear(now);
        // RFC 3207 §4.2: between STARTTLS and the handshake nothing may come in the clear.
        if matches!(self.phase, Phase::TlsAsked(_) | Phase::Handshake) && !bytes.is_empty() {
            self.refuse_injection();
        }
        if self.phase.waits() == Waits::Nothing {
            return;
        }
        if !self.wants_input() && self.input.len() + bytes.len() > INPUT_OCTETS_MAX {
            self.close(Closing::Flood);
            return;
        }
        // The text of a message goes from the socket's buffer to the chunk; only what is left over is kept here.
        let direct = self.input.is_empty() && self.events.is_empty() && self.phase.waits() == Waits::Octets;
        let taken = if direct { self.take_octets(bytes) } else { Taken { octets: 0, moved: false } };
        if self.phase.waits() != Waits::Nothing {
            self.input.extend_from_slice(bytes.get(taken.octets..).unwrap_or_default());
        }
        // A command has its time as a whole, so that nobody holds a connection by an octet a minute (RFC 5321 §4.5.3.2.7).
        if self.advance() || taken.moved {
            let span = self.span();
            self.timer.start(now, span);
        }
        self.watch_total();
    }

    fn handle_eof(&mut self, _now: Instant) {
        self.eof = true;
        if matches!(self.phase, Phase::Handshake) {
            self.close(Closing::Eof);
        }
        self.advance();
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.total_until().is_some_and(|until| now >= until) {
            let is_of_message = self.octets_until.or(self.envelope_until).is_some();
            let refusal = if is_of_message { Refusal::TOO_SLOW } else { Refusal::LOGIN_TOO_SLOW };
            self.say(refusal.reply());
            self.close(Closing::Slow);
        } else if self.timer.fires(now) {
            self.say(Refusal::IDLE.reply());
            self.close(Closing::Idle);
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if self.events.is_empty() {
            self.advance();
        }
        Some(event)
    }

    fn poll_output(&mut self) -> Option<Bytes> {
        self.output.take()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timer.deadline().into_iter().chain(self.total_until()).min()
    }

    fn wants_input(&self) -> bool {
        let waits = matches!(self.phase.waits(), Waits::Line | Waits::Octets);
        waits && !self.eof && self.events.is_empty() && self.output.octets() < OUTPUT_OCTETS_MAX
    }

    fn is_closed(&self) -> bool {
        self.phase.waits() == Waits::Nothing
    }

    fn is_receiving(&self) -> bool {
        self.phase.is_content()
    }
}

/// What a look at the input used.
struct Taken {
    octets: usize,
    moved: bool,
}
