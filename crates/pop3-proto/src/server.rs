//! The server's end: RFC 1939's three states, and in them whose turn it is.

mod answers;
mod commands;
mod timer;

use crate::capability::{Config, LoginMethods, Mode, Standing};
use crate::command::AUTH_PREFIX;
use crate::dots::{Part, Stuffer};
use crate::limits::{AUTH_LINE_OCTETS_MAX, COMMAND_LINE_OCTETS_MAX, OUTPUT_OCTETS_MAX};
use crate::line::{Line, LineBuffer};
use crate::output::Output;
use crate::reply::{Refusal, ok};
use crate::words::{MessageNumber, Secret};
use bytes::Bytes;
use machine::Machine;
use std::sync::Arc;
use std::time::Instant;
use timer::Timer;

pub use answers::Maildrop;

/// What only the role can answer. The methods of [`Server`] that answer each are named with it; besides,
/// [`Server::refuse`] answers every one that has an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// USER and PASS: [`Server::logged_in`].
    Login {
        /// UTF-8, without control characters.
        user: String,
        /// What followed PASS, spaces included.
        password: Secret,
    },
    /// AUTH: [`Server::challenge`] or [`Server::logged_in`]. The mechanism is one of those offered.
    Auth {
        /// Upper case.
        mechanism: String,
        /// Decoded; `=` gives no octets.
        initial: Option<Secret>,
    },
    /// The decoded answer to a challenge: as [`Event::Auth`].
    AuthResponse(Secret),
    /// The exchange is over (`*`, or not base64) and the client knows. Has no answer.
    AuthCancelled,
    /// STLS: [`Server::tls_ready`], and after the handshake [`Server::tls_started`].
    StartTls,
    /// STAT: [`Server::stat`].
    Stat,
    /// LIST: with a number [`Server::list_one`], else [`Server::list_begin`], items, [`Server::listing_end`].
    List(Option<MessageNumber>),
    /// UIDL: with a number [`Server::uidl_one`], else [`Server::uidl_begin`], items, [`Server::listing_end`].
    Uidl(Option<MessageNumber>),
    /// RETR: [`Server::message_begin`], [`Server::body`], [`Server::body_end`].
    Retr(MessageNumber),
    /// TOP: as RETR, from the message's start; the machine cuts it.
    Top {
        /// Of which message.
        number: MessageNumber,
        /// How many lines of its body.
        lines: u32,
    },
    /// DELE: [`Server::deleted`]. The role keeps the mark.
    Dele(MessageNumber),
    /// RSET: [`Server::unmarked`].
    Rset,
    /// QUIT after a login, RFC 1939 §6: carry out the marks, then [`Server::updated`]. A session that ends without
    /// this event removes nothing.
    Quit,
}

/// Who can read the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Everybody, and STLS is not offered.
    Clear,
    /// Everybody, until STLS.
    ClearWithStls,
    /// We and the client.
    Tls,
}

/// What [`Server::tls_ready`] led to.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsStart {
    /// Send the output, shake hands, call [`Server::tls_started`].
    Begin,
    /// Commands came behind STLS in clear (RFC 2595 §4): send the output and close.
    Refused,
}

/// The server's end of one connection.
pub struct Server {
    config: Arc<Config>,
    security: Security,
    phase: Phase,
    input: LineBuffer,
    output: Output,
    event: Option<Event>,
    timer: Timer,
    mode: Mode,
    eof: bool,
    bad_commands: u32,
    login_failures: u32,
}

/// Where we are and whose turn it is.
#[derive(Debug)]
enum Phase {
    /// AUTHORIZATION, the client's turn; `user` is what USER said.
    Authorization { user: Option<String> },
    /// AUTHORIZATION, the role's turn: it knows a name and a password.
    LoggingIn,
    /// AUTHORIZATION, the role's turn in an exchange.
    Exchange,
    /// AUTHORIZATION, the client's turn in an exchange.
    AwaitingResponse,
    /// AUTHORIZATION, the role's turn: STLS.
    TlsAsked,
    /// AUTHORIZATION: the driver shakes hands.
    Handshake,
    /// TRANSACTION, the client's turn.
    Transaction,
    /// TRANSACTION, the role's turn.
    Asked(Question),
    /// UPDATE, the role's turn.
    Update,
    /// A back-end answers; nothing is read here any more.
    Passed,
    /// Once the output is sent.
    Ended,
}

/// What the role was asked in TRANSACTION.
#[derive(Debug)]
enum Question {
    Stat,
    ListOne(MessageNumber),
    ListAll,
    UidlOne(MessageNumber),
    UidlAll,
    Message(Part),
    Dele(MessageNumber),
    Rset,
    /// An answer of several lines has begun: LIST's or UIDL's …
    Listing,
    /// … or a message.
    Body(Stuffer),
}

impl Server {
    /// A connection that was accepted: greets (RFC 1939 §4).
    pub fn new(config: Arc<Config>, security: Security, now: Instant) -> Self {
        let greeting = ok(&config.greeting);
        let mut server = Self::silent(config, security, now);
        server.output.push(&greeting);
        server
    }

    /// A connection that we cannot serve: says why instead of greeting, and ends.
    pub fn refused(config: Arc<Config>, security: Security, refusal: &Refusal, now: Instant) -> Self {
        let mut server = Self::silent(config, security, now);
        server.output.push(&refusal.encode());
        server.phase = Phase::Ended;
        server
    }

    fn silent(config: Arc<Config>, security: Security, now: Instant) -> Self {
        Self {
            config,
            security,
            phase: Phase::Authorization { user: None },
            input: LineBuffer::default(),
            output: Output::default(),
            event: None,
            timer: Timer::new(now),
            mode: Mode::default(),
            eof: false,
            bad_commands: 0,
            login_failures: 0,
        }
    }

    /// Whether the client asked for UTF-8 mode (RFC 6856 §2.1).
    pub fn is_utf8(&self) -> bool {
        self.mode == Mode::Utf8
    }

    /// In which form the client wants messages.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Who can read the connection now.
    pub fn security(&self) -> Security {
        self.security
    }

    /// Whether a login succeeded.
    pub fn is_logged_in(&self) -> bool {
        matches!(self.phase, Phase::Transaction | Phase::Asked(_) | Phase::Update | Phase::Passed)
    }

    fn methods(&self) -> &LoginMethods {
        match self.security {
            Security::Clear | Security::ClearWithStls => &self.config.in_clear,
            Security::Tls => &self.config.under_tls,
        }
    }

    fn standing(&self) -> Standing<'_> {
        let behind_login = self.config.behind_login.as_ref().filter(|_| self.is_logged_in());
        Standing {
            methods: behind_login.unwrap_or_else(|| self.methods()),
            // RFC 2595 §4: in AUTHORIZATION only.
            stls: self.security == Security::ClearWithStls && !self.is_logged_in(),
            logged_in: self.is_logged_in(),
        }
    }

    /// Reads on while it is the client's turn and there is room for what that leads to.
    fn advance(&mut self) {
        while self.event.is_none() && self.output.octets() < OUTPUT_OCTETS_MAX {
            let limit = match self.phase {
                Phase::AwaitingResponse => AUTH_LINE_OCTETS_MAX,
                Phase::Authorization { .. } if self.input.starts_with_ignore_case(AUTH_PREFIX) => AUTH_LINE_OCTETS_MAX,
                Phase::Authorization { .. } | Phase::Transaction => COMMAND_LINE_OCTETS_MAX,
                Phase::LoggingIn
                | Phase::Exchange
                | Phase::TlsAsked
                | Phase::Handshake
                | Phase::Asked(_)
                | Phase::Update
                | Phase::Passed
                | Phase::Ended => return,
            };
            match self.input.next_line(limit) {
                Some(Line::Whole(line)) => self.on_line(line.as_bytes()),
                Some(Line::TooLong) => self.on_overlong_line(),
                None if self.eof => self.end(),
                None => return,
            }
        }
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.input.clear();
    }
}

impl Machine for Server {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        // While the driver shakes hands, nothing that arrives here can have come through TLS.
        if matches!(self.phase, Phase::Handshake | Phase::Passed | Phase::Ended) {
            return;
        }
        self.timer.on_input(now);
        self.input.push(bytes);
        self.advance();
    }

    /// What came before is still answered; then it is over, and nothing that was marked is removed.
    fn handle_eof(&mut self, _now: Instant) {
        self.eof = true;
        if matches!(self.phase, Phase::Handshake) {
            // Nobody is left to shake hands with.
            self.end();
        }
        self.advance();
    }

    /// RFC 1939 §3: neither UPDATE nor any response.
    fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| due <= now) && self.timer.is_over(now, self.is_logged_in()) {
            self.output.clear();
            self.event = None;
            self.end();
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        let event = self.event.take()?;
        self.advance();
        Some(event)
    }

    fn poll_output(&mut self) -> Option<Bytes> {
        let octets = self.output.pop()?;
        self.timer.on_progress();
        self.advance();
        Some(octets)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Authorization { .. } | Phase::AwaitingResponse | Phase::Handshake => Some(self.timer.login_due()),
            Phase::Transaction => Some(self.timer.idle_due()),
            // The role's turn, unless it waits for the client to take what it said already.
            Phase::Asked(_) if self.output.octets() > 0 => Some(self.timer.idle_due()),
            Phase::Asked(_)
            | Phase::LoggingIn
            | Phase::Exchange
            | Phase::TlsAsked
            | Phase::Update
            | Phase::Passed
            | Phase::Ended => None,
        }
    }

    fn wants_input(&self) -> bool {
        let clients_turn =
            matches!(self.phase, Phase::Authorization { .. } | Phase::AwaitingResponse | Phase::Transaction);
        clients_turn && !self.eof && self.event.is_none() && self.output.octets() < OUTPUT_OCTETS_MAX
    }

    fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }
}
