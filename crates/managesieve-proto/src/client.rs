//! The client's end, as far as a proxy needs it: the login at a back-end. What comes behind it passes through, and no
//! machine reads it.
//!
//! ```text
//!   Greeting ─OK─▶ (StartTls ─OK─▶ Handshake ─tls_started─▶ Greeting ─OK─▶) Asked ─OK─▶ LoggedIn (the rest: take_unread)
//!                                                                       a string, of a token: Asked, once
//!                                                                       or: LoggingOut ─▶ Told, for who only asks
//!   everywhere: NO, BYE: Refused; the end, a time-out, anything else: Closed
//! ```
//!
//! A server tells what it can do before anybody asks, in its greeting and again under TLS (RFC 5804 §1.7, §2.2), so that a
//! login takes one round trip. What it told in clear is forgotten where TLS was to come.

mod login;
#[cfg(test)]
mod tests;

pub use login::Login;

use crate::capability::{self, Offer};
use crate::limits::{ANSWER_MAX, CAPABILITY_COUNT_MAX, RESPONSE_OCTETS_MAX};
use crate::line::{Line, LineBuffer};
use crate::reply::{Answer, Refusal, ResponseCode, Status};
use crate::words::{Word, words};
use bytes::Bytes;
use login::Said;
use machine::Machine;
use std::fmt;
use std::time::Instant;

/// What comes of it: `StartTls` perhaps, and then one other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// STARTTLS was granted: the role lets the handshake begin, then calls [`Client::tls_started`].
    StartTls,
    /// The server let us in.
    LoggedIn {
        /// The text of its answer. No control characters.
        welcome: Bytes,
    },
    /// It told what it can do, and nobody wanted in. [`Client::learnt`] has it.
    Told,
    /// It did not let us in.
    Refused {
        /// What it is about.
        kind: RefusalKind,
        /// What it said.
        refusal: Refusal,
    },
    /// It is over without an answer.
    Closed(Closing),
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The credentials: asked again with the same, the server says the same.
    Credentials,
    /// Something that is no matter of these credentials: later, or in another way, it may go.
    Unavailable,
}

/// Why a conversation is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The server closed, or the connection broke.
    Eof,
    /// No answer in time.
    Timeout,
    /// The server does not start TLS, and says this. Nothing else was told to it.
    NoStartTls(String),
    /// The server offers no way for a login of this kind, whoever comes: no password was sent.
    NoLogin,
    /// This name, password or token cannot be said in any way that the server offers; what another has could. Nothing of it
    /// was sent.
    Unsayable,
    /// What came is no answer that ManageSieve has here.
    Protocol(&'static str),
}

/// What was learnt of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What it does with scripts.
    pub offer: Offer,
    /// SASL with PLAIN (RFC 4616).
    sasl_plain: bool,
    /// SASL with OAUTHBEARER (RFC 7628).
    sasl_oauthbearer: bool,
    /// SASL with XOAUTH2, which is older.
    sasl_xoauth2: bool,
    starttls: bool,
    /// Lines so far.
    count: usize,
}

/// The client's end of one connection.
pub struct Client {
    /// Until it is said; nothing where nobody wants in.
    login: Option<Login>,
    start_tls: StartTls,
    /// What is being told, or was.
    told: Capabilities,
    /// Whether that is all, and can be trusted.
    is_told: bool,
    phase: Phase,
    token: TokenState,
    said_login: bool,
    input: LineBuffer,
    output: Option<Bytes>,
    event: Option<ClientEvent>,
    /// Until when the server must have answered.
    due: Instant,
}

/// Whether TLS is still to come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StartTls {
    Required,
    /// The connection is as private as it is meant to be.
    NotNeeded,
}

/// What becomes of a token, where the login is one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenState {
    /// It is none.
    NoToken,
    /// Nothing was heard of it; whoever tells why it is worth nothing is answered this.
    Shown(&'static [u8]),
    /// The server has told why it is worth nothing. There is no way back from there.
    Failed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The server has not said all of its capabilities.
    Greeting,
    /// STARTTLS was sent.
    StartTls,
    /// It was granted; nobody reads what comes in clear.
    Handshake,
    /// AUTHENTICATE was sent.
    Asked,
    /// LOGOUT was sent.
    LoggingOut,
    /// What comes is not for us.
    LoggedIn,
    /// Nothing more.
    Closed,
}

impl Client {
    /// A connection that was just opened: waits for the greeting, then logs in.
    pub fn new(login: Login, now: Instant) -> Self {
        Self { login: Some(login), ..Self::asking(now) }
    }

    /// The same for somebody who only wants to know what the server can do.
    pub fn asking(now: Instant) -> Self {
        Self {
            login: None,
            start_tls: StartTls::NotNeeded,
            told: Capabilities::default(),
            is_told: false,
            phase: Phase::Greeting,
            token: TokenState::NoToken,
            said_login: false,
            input: LineBuffer::default(),
            output: None,
            event: None,
            due: now + ANSWER_MAX,
        }
    }

    /// Says STARTTLS before anything else, and logs in under TLS or not at all.
    pub fn with_starttls(self) -> Self {
        Self { start_tls: StartTls::Required, ..self }
    }

    /// What the server can do before a login and, where it must be, under TLS.
    pub fn learnt(&self) -> Option<Capabilities> {
        self.is_told.then(|| self.told.clone())
    }

    /// The handshake that [`ClientEvent::StartTls`] asked for is done. The server tells its capabilities again.
    pub fn tls_started(&mut self, now: Instant) {
        if self.phase == Phase::Closed {
            return;
        }
        assert!(self.phase == Phase::Handshake, "TLS starts after ClientEvent::StartTls");
        self.start_tls = StartTls::NotNeeded;
        self.told = Capabilities::default();
        self.phase = Phase::Greeting;
        self.due = now + ANSWER_MAX;
    }

    /// Whether the server was told a login: what it says from then on may be its word about it.
    pub fn has_said_login(&self) -> bool {
        self.said_login
    }

    /// What the server said behind its answer to the login, and nobody read.
    pub fn take_unread(&mut self) -> Bytes {
        Bytes::from(self.input.take().into_bytes())
    }

    fn on_line(&mut self, now: Instant, line: &[u8]) {
        if self.output.is_some() {
            return self.close(Closing::Protocol("the server answers what was not asked"));
        }
        let Ok(words) = words(line) else { return self.close(Closing::Protocol(NO_ANSWER)) };
        if let (Phase::Greeting, Some(Word::Text(_))) = (self.phase, words.first()) {
            return self.on_capability(words);
        }
        if let (Phase::Asked, TokenState::Shown(answer), [Word::Text(_)]) = (self.phase, self.token, words.as_slice()) {
            self.token = TokenState::Failed;
            return self.send(now, Phase::Asked, answer);
        }
        match Answer::parse(words) {
            Some(Answer { status: Status::Ok, refusal }) => self.on_ok(now, &refusal),
            Some(Answer { status, refusal }) => self.on_refusal(status, refusal),
            // A challenge too: PLAIN has none behind its message, and a token one at most.
            None => self.close(Closing::Protocol(NO_ANSWER)),
        }
    }

    fn on_capability(&mut self, words: Vec<Word>) {
        self.told.count += 1;
        if self.told.count > CAPABILITY_COUNT_MAX {
            return self.close(Closing::Protocol("the server offers too much"));
        }
        let Some((name, value)) = capability::read(words) else { return };
        match name.as_str() {
            "SASL" => {
                let names = |mechanism: &[u8]| {
                    let mut offered = value.as_bytes().split(|octet| *octet == b' ');
                    offered.any(|offered| offered.eq_ignore_ascii_case(mechanism))
                };
                self.told.sasl_plain = names(b"PLAIN");
                self.told.sasl_oauthbearer = names(b"OAUTHBEARER");
                self.told.sasl_xoauth2 = names(b"XOAUTH2");
            }
            "STARTTLS" => self.told.starttls = true,
            name => self.told.offer.add(name, value.as_bytes()),
        }
    }

    fn on_ok(&mut self, now: Instant, answer: &Refusal) {
        match self.phase {
            Phase::Greeting if self.start_tls == StartTls::NotNeeded => {
                self.is_told = true;
                self.begin(now);
            }
            Phase::Greeting if !self.told.starttls => self.close(Closing::NoStartTls("it offers none".to_owned())),
            Phase::Greeting => self.send(now, Phase::StartTls, STARTTLS),
            Phase::StartTls if self.input.is_empty() => {
                self.phase = Phase::Handshake;
                self.event = Some(ClientEvent::StartTls);
            }
            // It would be read as if it had come under TLS (RFC 5804 §2.2).
            Phase::StartTls => self.close(Closing::Protocol("octets behind the answer to STARTTLS")),
            // RFC 5804 §2.1: (SASL "…") holds what a mechanism says last, and PLAIN says nothing. Capabilities come again
            // behind a security layer only, which PLAIN has not.
            // RFC 7628 §3.2.3: nothing but its failure comes behind.
            Phase::Asked if self.token == TokenState::Failed => {
                self.close(Closing::Protocol("the server lets us in by a token that it has refused"));
            }
            Phase::Asked => {
                self.phase = Phase::LoggedIn;
                self.event = Some(ClientEvent::LoggedIn { welcome: Bytes::copy_from_slice(answer.text().as_bytes()) });
            }
            Phase::LoggingOut => self.end(ClientEvent::Told),
            Phase::Handshake | Phase::LoggedIn | Phase::Closed => {}
        }
    }

    fn on_refusal(&mut self, status: Status, refusal: Refusal) {
        match self.phase {
            Phase::StartTls => self.close(Closing::NoStartTls(refusal.text().to_owned())),
            // It has told what it was asked.
            Phase::LoggingOut => self.end(ClientEvent::Told),
            Phase::Asked => self.end(ClientEvent::Refused { kind: RefusalKind::of(status, refusal.code()), refusal }),
            // It has not heard any credentials: those it cannot have found wrong.
            Phase::Greeting => self.end(ClientEvent::Refused { kind: RefusalKind::Unavailable, refusal }),
            Phase::Handshake | Phase::LoggedIn | Phase::Closed => {}
        }
    }

    /// The connection is as private as it is meant to be, and all is known.
    fn begin(&mut self, now: Instant) {
        let Some(login) = self.login.take() else { return self.send(now, Phase::LoggingOut, LOGOUT) };
        match login.said(&self.told) {
            Ok(Said { command, on_failure }) => {
                self.said_login = true;
                self.token = on_failure.map_or(TokenState::NoToken, TokenState::Shown);
                self.send(now, Phase::Asked, command.as_bytes());
            }
            Err(closing) => self.close(closing),
        }
    }

    fn send(&mut self, now: Instant, phase: Phase, octets: &[u8]) {
        self.phase = phase;
        self.due = now + ANSWER_MAX;
        self.output = Some(Bytes::copy_from_slice(octets));
    }

    fn close(&mut self, closing: Closing) {
        self.end(ClientEvent::Closed(closing));
    }

    fn end(&mut self, event: ClientEvent) {
        self.phase = Phase::Closed;
        self.login = None;
        self.input.clear();
        self.output = None;
        self.event = Some(event);
    }

    /// For the server, or for its TLS.
    fn is_waiting(&self) -> bool {
        !matches!(self.phase, Phase::LoggedIn | Phase::Closed)
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            offer: Offer::untold(),
            sasl_plain: false,
            sasl_oauthbearer: false,
            sasl_xoauth2: false,
            starttls: false,
            count: 0,
        }
    }
}

impl RefusalKind {
    /// Of an answer to credentials. RFC 5804 §1.3: codes say what is not about them; who says BYE wants nobody now.
    fn of(status: Status, code: Option<ResponseCode>) -> Self {
        match (status, code) {
            (Status::Bye, _) => Self::Unavailable,
            (Status::No | Status::Ok, None) => Self::Credentials,
            (
                Status::No | Status::Ok,
                Some(
                    ResponseCode::AuthTooWeak
                    | ResponseCode::EncryptNeeded
                    | ResponseCode::Referral
                    | ResponseCode::TransitionNeeded
                    | ResponseCode::TryLater,
                ),
            ) => Self::Unavailable,
        }
    }
}

impl Machine for Client {
    type Event = ClientEvent;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        if self.phase == Phase::Closed || bytes.is_empty() {
            return;
        }
        if self.phase == Phase::Handshake {
            return self.close(Closing::Protocol("octets in the clear before TLS"));
        }
        self.input.push(bytes);
        while self.wants_input() {
            match self.input.next_line(RESPONSE_OCTETS_MAX) {
                None => return,
                Some(Line::Whole(line)) => self.on_line(now, line.as_bytes()),
                Some(Line::TooLong) => self.close(Closing::Protocol("a line is too long")),
            }
        }
    }

    /// What came behind the answer to the login stays to be taken.
    fn handle_eof(&mut self, _now: Instant) {
        match self.phase {
            Phase::LoggedIn => self.phase = Phase::Closed,
            Phase::Closed => {}
            Phase::LoggingOut => self.end(ClientEvent::Told),
            Phase::Greeting | Phase::StartTls | Phase::Handshake | Phase::Asked => self.close(Closing::Eof),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.is_waiting() && now >= self.due {
            self.close(Closing::Timeout);
        }
    }

    fn poll_event(&mut self) -> Option<ClientEvent> {
        self.event.take()
    }

    fn poll_output(&mut self) -> Option<Bytes> {
        self.output.take()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.is_waiting().then_some(self.due)
    }

    fn wants_input(&self) -> bool {
        self.is_waiting() && self.phase != Phase::Handshake
    }

    fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }
}

impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eof => f.write_str("the server hung up"),
            Self::Timeout => f.write_str("the server did not answer in time"),
            Self::NoStartTls(why) => write!(f, "the server does not start TLS: {why}"),
            Self::NoLogin => f.write_str("the server offers no way to log in"),
            Self::Unsayable => f.write_str("the server offers no way to say this name, password or token"),
            Self::Protocol(what) => f.write_str(what),
        }
    }
}

const NO_ANSWER: &str = "what came is no answer to the login";

/// RFC 5804 §2.2.
const STARTTLS: &[u8] = b"STARTTLS\r\n";
/// RFC 5804 §2.3.
const LOGOUT: &[u8] = b"LOGOUT\r\n";
