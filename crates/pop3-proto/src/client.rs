//! The client's end, as far as a proxy needs it: the login at a back-end. What comes behind it passes through, and no
//! machine reads it.
//!
//! ```text
//!   Greeting ─▶ (StartTls ─+OK─▶ Handshake ─tls_started─▶) (Asking ─list─▶) (Moded, for UTF8 ─+OK─▶) the login
//!   the login: AUTH ─▶ (Challenged ─+─▶) Asked (─+, of a token ─▶ Asked), or USER ─▶ Named ─+OK─▶ PASS ─▶ Asked ─+OK─▶ LoggedIn (the rest: take_unread)
//!   everywhere: -ERR: Refused; the end, a time-out, anything else: Closed
//! ```
//!
//! STLS is said where it must be. What the server offers is asked only where the login depends on it and no earlier
//! conversation has told.

mod answer;
mod capabilities;
mod login;
#[cfg(test)]
mod tests;

pub use answer::RefusalKind;
pub use capabilities::Capabilities;
pub use login::Login;

use crate::capability::Mode;
use crate::limits::{ANSWER_MAX, AUTH_LINE_OCTETS_MAX, CAPA_LINE_COUNT_MAX, RESPONSE_LINE_OCTETS_MAX};
use crate::line::{Line, LineBuffer};
use crate::reply::Refusal;
use crate::words::Secret;
use answer::Answer;
use bytes::Bytes;
use login::Road;
use machine::Machine;
use std::fmt;
use std::time::Instant;

/// What comes of it: `StartTls` perhaps, and then one other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// STLS was granted: the role lets the handshake begin, then calls [`Client::tls_started`].
    StartTls,
    /// It has told what it offers, and was asked for nothing more ([`Client::asking`]).
    Offered,
    /// The server let us in, and has the maildrop.
    LoggedIn {
        /// Its answer behind `+OK `, without the end of the line. No CR, LF or NUL.
        welcome: Bytes,
    },
    /// It did not.
    Refused {
        /// What it is about.
        kind: RefusalKind,
        /// What it said.
        refusal: Refusal,
    },
    /// It is over without an answer.
    Closed(Closing),
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
    /// What came is no answer that POP3 has here.
    Protocol(&'static str),
}

/// The client's end of one connection.
pub struct Client {
    /// Until it is said; nothing where nobody wants in.
    login: Option<Login>,
    said_login: bool,
    is_personal: bool,
    /// What is said by XCLIENT before the login.
    xclient: Option<String>,
    start_tls: StartTls,
    mode: Mode,
    token: TokenState,
    /// What the server offers, as far as it can be trusted.
    known: Option<Capabilities>,
    phase: Phase,
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

#[derive(PartialEq, Eq)]
enum Phase {
    /// The server has not greeted.
    Greeting,
    /// STLS was sent.
    StartTls,
    /// It was granted; nobody reads what comes in clear.
    Handshake,
    /// CAPA was sent.
    Asking,
    /// Its list comes in.
    Listing { so_far: Capabilities, line_count: usize },
    /// XCLIENT was sent.
    Introduced,
    /// UTF8 was sent.
    Moded,
    /// AUTH was sent without its response, which is this.
    Challenged(Secret),
    /// USER was sent, and PASS with it or not yet.
    Named(Option<Secret>),
    /// All was sent.
    Asked,
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

    /// Nobody wants in: it is asked what it offers, and told goodbye.
    pub fn asking(now: Instant) -> Self {
        Self {
            login: None,
            said_login: false,
            is_personal: false,
            xclient: None,
            start_tls: StartTls::NotNeeded,
            mode: Mode::default(),
            token: TokenState::NoToken,
            known: None,
            phase: Phase::Greeting,
            input: LineBuffer::default(),
            output: None,
            event: None,
            due: now + ANSWER_MAX,
        }
    }

    /// As of a client that has asked for this mode before its login (RFC 6856 §2.1: behind it nobody can). A server that
    /// does not know it refuses us: the client was promised what it asked for.
    pub fn in_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Says STLS before anything else, and logs in under TLS or not at all (RFC 2595 §4).
    pub fn with_starttls(self) -> Self {
        Self { start_tls: StartTls::Required, ..self }
    }

    /// With what an earlier conversation with this server has [taught](Self::learnt), so that nobody asks the server again:
    /// who is refused, or closed upon, should forget what may be old.
    pub fn knowing(self, capabilities: Capabilities) -> Self {
        Self { known: Some(capabilities), ..self }
    }

    /// What the server offers before a login and, where it must be, under TLS.
    pub fn learnt(&self) -> Option<Capabilities> {
        self.known.clone()
    }

    /// The handshake that [`ClientEvent::StartTls`] asked for is done.
    pub fn tls_started(&mut self, now: Instant) {
        if self.phase == Phase::Closed {
            return;
        }
        assert!(self.phase == Phase::Handshake, "TLS starts after ClientEvent::StartTls");
        self.start_tls = StartTls::NotNeeded;
        self.begin(now);
    }

    /// Says this by XCLIENT before the login, as Dovecot's POP3 has it. What the server answers does not matter.
    ///
    /// # Panics
    /// Where it is not one line of printable ASCII.
    pub fn introducing(self, arguments: String) -> Self {
        assert!(arguments.bytes().all(|octet| matches!(octet, b' '..=b'~')), "what is said here is ours, and plain");
        Self { xclient: Some(arguments), ..self }
    }

    /// Whether the server was told a login, or the first part of one: what it says from then on may be its word about it.
    pub fn has_said_login(&self) -> bool {
        self.said_login
    }

    /// Whether the server was told anything that depends on who comes: what it says from then on may be no word about itself.
    pub fn is_personal(&self) -> bool {
        self.is_personal
    }

    /// What the server said behind its answer to the login, and nobody read.
    pub fn take_unread(&mut self) -> Bytes {
        Bytes::from(self.input.take().into_bytes())
    }

    fn on_line(&mut self, now: Instant, line: &[u8]) {
        if self.output.is_some() {
            return self.close(Closing::Protocol("the server answers what was not asked"));
        }
        if memchr::memchr2(b'\r', 0, line).is_some() {
            return self.close(Closing::Protocol(NO_ANSWER));
        }
        if let Phase::Listing { .. } = self.phase {
            return self.on_capability(now, line);
        }
        match Answer::parse(line) {
            Some(Answer::Ok(text)) => self.on_ok(now, text),
            Some(Answer::Err(refusal)) => self.on_err(now, refusal),
            Some(Answer::Challenge) => self.on_challenge(now),
            None => self.close(Closing::Protocol(NO_ANSWER)),
        }
    }

    fn on_ok(&mut self, now: Instant, text: &[u8]) {
        match &mut self.phase {
            Phase::Greeting if self.start_tls == StartTls::Required => self.send(now, Phase::StartTls, STLS),
            Phase::Greeting => self.begin(now),
            Phase::StartTls if self.input.is_empty() => {
                self.phase = Phase::Handshake;
                self.event = Some(ClientEvent::StartTls);
            }
            // It would be read as if it had come under TLS (RFC 2595 §4).
            Phase::StartTls => self.close(Closing::Protocol("octets behind the answer to STLS")),
            Phase::Asking => {
                self.phase = Phase::Listing { so_far: Capabilities::default(), line_count: 0 };
            }
            Phase::Introduced => self.begin(now),
            Phase::Moded => self.proceed(now),
            Phase::Named(pass) => match pass.take() {
                Some(pass) => self.send(now, Phase::Asked, pass.as_bytes()),
                None => {
                    self.phase = Phase::Asked;
                    self.due = now + ANSWER_MAX;
                }
            },
            // RFC 7628 §3.2.3: nothing but its failure comes behind.
            Phase::Asked if self.token == TokenState::Failed => {
                self.close(Closing::Protocol("the server lets us in by a token that it has refused"));
            }
            Phase::Asked => {
                self.phase = Phase::LoggedIn;
                self.event = Some(ClientEvent::LoggedIn { welcome: Bytes::copy_from_slice(text) });
            }
            Phase::Challenged(_) => self.close(Closing::Protocol(NO_ANSWER)),
            Phase::Listing { .. } | Phase::Handshake | Phase::LoggedIn | Phase::Closed => {}
        }
    }

    fn on_err(&mut self, now: Instant, refusal: Refusal) {
        match self.phase {
            Phase::StartTls => self.close(Closing::NoStartTls(refusal.text().to_owned())),
            // RFC 2449 §5: CAPA is younger than POP3.
            Phase::Asking => self.on_learnt(now, Capabilities::of_old_server()),
            Phase::Named(_) | Phase::Asked => {
                let kind = RefusalKind::of_code(refusal.code());
                self.end(ClientEvent::Refused { kind, refusal });
            }
            // It does not know us, or the command.
            Phase::Introduced => self.begin(now),
            // It has not heard any credentials: those it cannot have found wrong.
            Phase::Greeting | Phase::Moded | Phase::Challenged(_) => {
                self.end(ClientEvent::Refused { kind: RefusalKind::Unavailable, refusal });
            }
            Phase::Listing { .. } | Phase::Handshake | Phase::LoggedIn | Phase::Closed => {}
        }
    }

    fn on_challenge(&mut self, now: Instant) {
        match (&self.phase, self.token) {
            (Phase::Challenged(response), _) => {
                let response = response.clone();
                self.send(now, Phase::Asked, response.as_bytes());
            }
            (Phase::Asked, TokenState::Shown(answer)) => {
                self.token = TokenState::Failed;
                self.send(now, Phase::Asked, answer);
            }
            (_, _) => self.close(Closing::Protocol(NO_ANSWER)),
        }
    }

    /// RFC 2449 §5: a line of the list, or its end.
    fn on_capability(&mut self, now: Instant, line: &[u8]) {
        let Phase::Listing { so_far, line_count } = &mut self.phase else { return };
        if line == b"." {
            let learnt = std::mem::take(so_far);
            return self.on_learnt(now, learnt);
        }
        so_far.add_line(line);
        *line_count += 1;
        if *line_count > CAPA_LINE_COUNT_MAX {
            self.close(Closing::Protocol("the server offers too much"));
        }
    }

    fn on_learnt(&mut self, now: Instant, learnt: Capabilities) {
        self.known = Some(learnt);
        self.begin(now);
    }

    /// The connection is as private as it is meant to be.
    fn begin(&mut self, now: Instant) {
        let asks = self.known.is_none() && self.login.as_ref().is_none_or(Login::needs_capabilities);
        match self.mode {
            _ if asks => self.send(now, Phase::Asking, CAPA),
            Mode::Utf8 | Mode::Ascii if self.login.is_some() && self.xclient.is_some() => {
                self.is_personal = true;
                let arguments = self.xclient.take().unwrap_or_default();
                self.send(now, Phase::Introduced, format!("XCLIENT {arguments}\r\n").as_bytes());
            }
            Mode::Utf8 => {
                self.is_personal = true;
                self.send(now, Phase::Moded, UTF8);
            }
            Mode::Ascii => self.proceed(now),
        }
    }

    /// All that had to be known is.
    fn proceed(&mut self, now: Instant) {
        match self.login.take() {
            Some(login) => self.log_in(now, login),
            None => self.take_leave(),
        }
    }

    /// It closes, whatever it answers.
    fn take_leave(&mut self) {
        self.end(ClientEvent::Offered);
        self.output = Some(Bytes::from_static(QUIT));
    }

    fn log_in(&mut self, now: Instant, login: Login) {
        let known = self.known.clone().unwrap_or_default();
        self.token = login.on_failure(&known).map_or(TokenState::NoToken, TokenState::Shown);
        let road = login.road(&known);
        self.said_login = road.is_ok();
        self.is_personal |= self.said_login;
        match road {
            Ok(Road::Auth(command)) => self.send(now, Phase::Asked, command.as_bytes()),
            Ok(Road::Challenge { command, response }) => {
                self.send(now, Phase::Challenged(response), command.as_bytes());
            }
            // RFC 2449 §6.6: only where it says so.
            Ok(Road::UserPass { user, pass }) if known.pipelining => {
                let both = Secret::new([user.as_bytes(), pass.as_bytes()].concat());
                self.send(now, Phase::Named(None), both.as_bytes());
            }
            Ok(Road::UserPass { user, pass }) => self.send(now, Phase::Named(Some(pass)), user.as_bytes()),
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

    /// RFC 5034 §4: challenges are as long as the mechanism needs.
    fn line_octets_max(&self) -> usize {
        match self.token {
            TokenState::Shown(_) => AUTH_LINE_OCTETS_MAX,
            TokenState::NoToken | TokenState::Failed => RESPONSE_LINE_OCTETS_MAX,
        }
    }

    /// For the server, or for its TLS.
    fn is_waiting(&self) -> bool {
        !matches!(self.phase, Phase::LoggedIn | Phase::Closed)
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
            match self.input.next_line(self.line_octets_max()) {
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
            Phase::Greeting
            | Phase::StartTls
            | Phase::Handshake
            | Phase::Asking
            | Phase::Listing { .. }
            | Phase::Introduced
            | Phase::Moded
            | Phase::Challenged(_)
            | Phase::Named(_)
            | Phase::Asked => self.close(Closing::Eof),
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

/// RFC 2595 §4.
const STLS: &[u8] = b"STLS\r\n";
/// RFC 2449 §5.
const CAPA: &[u8] = b"CAPA\r\n";
/// RFC 6856 §2.1.
const UTF8: &[u8] = b"UTF8\r\n";
/// RFC 1939 §5.
const QUIT: &[u8] = b"QUIT\r\n";
