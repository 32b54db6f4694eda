//! The client's end, as far as a proxy needs it: the login at a back-end. What comes behind it passes through, and no
//! machine reads it.
//!
//! ```text
//!   Greeting ─▶ (StartTls ─tag OK─▶ Handshake ─tls_started─▶) (Asking ─tag OK─▶) Login ─tag OK─▶ (Telling ─tag─▶) LoggedIn
//!      │ * BYE     │ tag NO            │                        │               │ │ +: more       (the rest of the input
//!      │           │                   │                        │               └─┘               is left: take_unread)
//!      └───────────┴───────────────────┴────────────────────────┴─ * BYE, the end, a time-out: Closed; tag NO: Refused
//! ```
//!
//! STARTTLS is said where it must be. What the server offers is asked only where the login depends on it and neither the
//! greeting nor an earlier conversation has told: then a login is one round trip behind the greeting. What a session may use is
//! asked behind the login where somebody must know it, and the server has not told with its answer.

mod answer;
mod capabilities;
mod input;
mod login;
#[cfg(test)]
mod tests;

pub use answer::Refusal;
pub use capabilities::Capabilities;
pub use login::Login;

use crate::command::Secret;
use answer::{Condition, capability_list, code_list, condition, readable, split_code};
use bytes::Bytes;
use input::{Input, Line};
use login::{Parts, Said};
use machine::Machine;
use std::fmt;
use std::time::{Duration, Instant};

/// What comes of it: `StartTls` perhaps, and then one other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// STARTTLS was granted: the role lets the handshake begin, then calls [`Client::tls_started`].
    StartTls,
    /// It has told what it offers, and was asked for nothing more ([`Client::asking`]).
    Offered,
    /// The server let us in.
    LoggedIn {
        /// Its answer behind `OK `, without the end of the line: a code and a text, as it stood there. No CR, LF or NUL.
        welcome: Bytes,
        /// What it said to offer now in a line of its own, before its answer or when it was
        /// [asked](Client::telling_capabilities): the list behind `CAPABILITY `. Many servers say it in the code of their
        /// answer instead. No CR, LF or NUL.
        capabilities: Option<Bytes>,
    },
    /// It did not (NO or BAD).
    Refused {
        /// What it is about.
        kind: Refusal,
        /// The response code, in upper case and without its arguments.
        code: Option<String>,
        /// The text for people.
        text: String,
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
    /// The server said BYE, for this reason.
    Bye(String),
    /// The server does not start TLS, and says this. Nothing else was told to it.
    NoStartTls(String),
    /// The server offers no way for a login of this kind, whoever comes: no password was sent.
    NoLogin,
    /// This name, password or token cannot be said in any way that the server offers; what another has could. Nothing of it
    /// was sent.
    Unsayable,
    /// What came is no answer that IMAP has here.
    Protocol(&'static str),
}

/// The client's end of one connection.
pub struct Client {
    /// Until it is said; nothing where nobody wants in.
    login: Option<Login>,
    said_login: bool,
    /// Whether what a session may use must be known.
    must_tell: bool,
    /// What is said by ID before the login, where the server has it.
    id: Vec<(&'static str, String)>,
    /// The tag of that command, until it is answered.
    id_tag: Option<String>,
    start_tls: StartTls,
    /// What the server offers, as far as it can be trusted.
    known: Option<Capabilities>,
    phase: Phase,
    /// Commands that were sent: each has a tag of its own.
    command_count: u8,
    input: Input,
    output: Option<Bytes>,
    event: Option<Event>,
    /// Until when the server must have answered.
    due: Instant,
}

/// Whether TLS is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StartTls {
    Required,
    /// The connection is as private as it is meant to be.
    NotNeeded,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// The server has not greeted.
    Greeting,
    /// STARTTLS was sent.
    StartTls,
    /// It was granted; nobody reads what comes in clear.
    Handshake,
    /// CAPABILITY was sent.
    Asking,
    /// The login was sent, apart from these parts that wait for `+`.
    Login { unsent: Parts, token: TokenState, capabilities: Option<Bytes> },
    /// The server has let us in with this answer, and CAPABILITY was sent.
    Telling { welcome: Bytes, capabilities: Option<Bytes> },
    /// What comes is not for us.
    LoggedIn,
    /// Nothing more.
    Closed,
}

/// What becomes of a token, where the login is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenState {
    /// It is none.
    NoToken,
    /// Nothing was heard of it; whoever tells why it is worth nothing is answered this.
    Shown(&'static [u8]),
    /// The server has told why it is worth nothing. There is no way back from there.
    Failed,
}

/// The longest line that a server may send before it has let us in.
pub const LINE_OCTETS_MAX: usize = 8 << 10;

/// The most that it may send before it has let us in, its answer included.
pub const LOGIN_OCTETS_MAX: usize = 64 << 10;

/// How long it may take to greet, and again for each answer.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);

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
            must_tell: false,
            id: Vec::new(),
            id_tag: None,
            start_tls: StartTls::NotNeeded,
            known: None,
            phase: Phase::Greeting,
            command_count: 0,
            input: Input::new(LINE_OCTETS_MAX, LOGIN_OCTETS_MAX),
            output: None,
            event: None,
            due: now + ANSWER_MAX,
        }
    }

    /// Says STARTTLS before anything else, and logs in under TLS or not at all (RFC 9051 §6.2.1).
    pub fn with_starttls(self) -> Self {
        Self { start_tls: StartTls::Required, ..self }
    }

    /// With what an earlier conversation with this server has [taught](Self::learnt). Nobody asks the server again, unless
    /// its greeting tells: who is refused, or closed upon, should forget what may be old.
    pub fn knowing(self, capabilities: Capabilities) -> Self {
        Self { known: Some(capabilities), ..self }
    }

    /// Asks what a session may use where the answer to the login does not tell (RFC 9051 §6.2.3): Courier, for one, keeps
    /// silent about it. A client that goes on with what it was offered before the login could send a literal, say, whose
    /// octets this server would read as commands.
    pub fn telling_capabilities(self) -> Self {
        Self { must_tell: true, ..self }
    }

    /// What the server offers before a login and, where it must be, under TLS. What it said before TLS is not believed.
    pub fn learnt(&self) -> Option<Capabilities> {
        self.known.clone()
    }

    /// The handshake that [`Event::StartTls`] asked for is done.
    pub fn tls_started(&mut self, now: Instant) {
        if self.phase == Phase::Closed {
            return;
        }
        assert_eq!(self.phase, Phase::Handshake, "TLS starts after Event::StartTls");
        self.start_tls = StartTls::NotNeeded;
        self.begin(now);
    }

    /// Tells the server this by ID (RFC 2971) in one go with the login, if it has ID. What it answers does not matter.
    ///
    /// # Panics
    /// Where a value is not of printable ASCII, or has a quote or a backslash.
    pub fn introducing(self, id: Vec<(&'static str, String)>) -> Self {
        let plain = |octet: u8| matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\\');
        assert!(id.iter().all(|(_, value)| value.bytes().all(plain)), "what is said here is ours, and plain");
        Self { id, ..self }
    }

    /// Whether the server was told a login, or the first part of one: what it says from then on may be its word about it.
    pub fn has_said_login(&self) -> bool {
        self.said_login
    }

    /// What the server said behind its answer to the login, and nobody read.
    pub fn take_unread(&mut self) -> Bytes {
        self.input.take()
    }

    fn on_line(&mut self, now: Instant, line: &[u8]) {
        match (line.strip_prefix(b"* "), &self.phase) {
            (Some(rest), Phase::Greeting) => self.on_greeting(now, rest),
            (None, Phase::Greeting) => self.close(Closing::Protocol("the greeting is not of IMAP")),
            // RFC 9051 §7: at any time.
            (Some(rest), _) => self.on_untagged(rest),
            (None, _) if self.output.is_some() => {
                self.close(Closing::Protocol("the server answers what was not asked"));
            }
            (None, _) if line.starts_with(b"+") => self.on_continuation(now),
            (None, _) => self.on_tagged(now, line),
        }
    }

    /// RFC 9051 §7.1: OK, PREAUTH or BYE.
    fn on_greeting(&mut self, now: Instant, rest: &[u8]) {
        match condition(rest) {
            Some((Condition::Ok, _)) if self.start_tls == StartTls::Required => {
                self.say(now, Phase::StartTls, "STARTTLS");
            }
            Some((Condition::Ok, text)) => {
                self.learn(code_list(text));
                self.begin(now);
            }
            Some((Condition::Bye, text)) => self.close(Closing::Bye(readable(text))),
            // Somebody's session it is, but nobody knows whose; nor can TLS be started in it (RFC 9051 §11.1).
            Some((Condition::PreAuth, _)) => self.close(Closing::Protocol("the server greets with PREAUTH")),
            Some((Condition::No | Condition::Bad, _)) | None => {
                self.close(Closing::Protocol("the greeting is not of IMAP"));
            }
        }
    }

    fn on_untagged(&mut self, rest: &[u8]) {
        match condition(rest) {
            Some((Condition::Bye, text)) => self.close(Closing::Bye(readable(text))),
            Some((Condition::Ok, text)) => self.on_capabilities(code_list(text)),
            // Whatever else a server wants to tell. Who asks for it again gets it again.
            Some((Condition::No | Condition::Bad | Condition::PreAuth, _)) => {}
            None => self.on_capabilities(capability_list(rest)),
        }
    }

    fn on_capabilities(&mut self, list: Option<&[u8]>) {
        match &mut self.phase {
            Phase::Asking => self.learn(list),
            // Those of a session: they are for the client, and no knowledge for the next login.
            Phase::Login { capabilities, .. } | Phase::Telling { capabilities, .. } => {
                if let Some(list) = list {
                    *capabilities = Some(Bytes::copy_from_slice(list));
                }
            }
            // Nothing that comes in clear is believed (RFC 9051 §11.1).
            Phase::Greeting | Phase::StartTls | Phase::Handshake | Phase::LoggedIn | Phase::Closed => {}
        }
    }

    fn learn(&mut self, list: Option<&[u8]>) {
        if let Some(list) = list {
            self.known = Some(Capabilities::parse(list));
        }
    }

    fn on_continuation(&mut self, now: Instant) {
        let next = match &mut self.phase {
            Phase::Login { unsent, token, .. } => unsent.pop_front().or_else(|| token.fail()),
            Phase::Greeting
            | Phase::StartTls
            | Phase::Handshake
            | Phase::Asking
            | Phase::Telling { .. }
            | Phase::LoggedIn
            | Phase::Closed => None,
        };
        match next {
            Some(part) => self.send(now, part.expose()),
            None => self.close(Closing::Protocol("the server asks for more than the login has")),
        }
    }

    fn on_tagged(&mut self, now: Instant, line: &[u8]) {
        let of_id = |tag: &String| line.strip_prefix(tag.as_bytes()).is_some_and(|rest| rest.starts_with(b" "));
        if self.id_tag.as_ref().is_some_and(of_id) {
            self.id_tag = None;
            return;
        }
        let behind_tag = line.strip_prefix(self.tag().as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
        match behind_tag.and_then(condition) {
            Some((Condition::Ok, text)) => self.on_ok(now, text),
            Some((Condition::No, text)) => self.on_no(text, Refusal::of_code),
            // The command was not understood, so nobody has looked at the credentials.
            Some((Condition::Bad, text)) => self.on_no(text, |_| Refusal::Unavailable),
            Some((Condition::Bye | Condition::PreAuth, _)) | None => {
                self.close(Closing::Protocol("what came is no answer to the login"));
            }
        }
    }

    fn on_ok(&mut self, now: Instant, text: &[u8]) {
        match &mut self.phase {
            Phase::StartTls if self.input.is_empty() => {
                self.phase = Phase::Handshake;
                self.event = Some(Event::StartTls);
            }
            // It would be read as if it had come under TLS (RFC 9051 §11.1).
            Phase::StartTls => self.close(Closing::Protocol("octets behind the answer to STARTTLS")),
            Phase::Asking => {
                self.learn(code_list(text));
                match self.known {
                    Some(_) => self.proceed(now),
                    None => self.close(Closing::Protocol("the server does not tell what it offers")),
                }
            }
            // RFC 7628 §3.2.3: nothing but its failure comes behind.
            Phase::Login { token: TokenState::Failed, .. } => {
                self.close(Closing::Protocol("the server lets us in by a token that it has refused"));
            }
            Phase::Login { unsent, capabilities, .. } if unsent.is_empty() => {
                let (welcome, capabilities) = (Bytes::copy_from_slice(text), capabilities.take());
                if self.must_tell && capabilities.is_none() && code_list(text).is_none() {
                    return self.say(now, Phase::Telling { welcome, capabilities }, "CAPABILITY");
                }
                self.let_in(welcome, capabilities);
            }
            Phase::Login { .. } => self.close(Closing::Protocol("the server lets us in before it has the password")),
            Phase::Telling { .. } => {
                self.on_capabilities(code_list(text));
                self.on_told();
            }
            Phase::Greeting | Phase::Handshake | Phase::LoggedIn | Phase::Closed => {}
        }
    }

    fn let_in(&mut self, welcome: Bytes, capabilities: Option<Bytes>) {
        self.phase = Phase::LoggedIn;
        self.event = Some(Event::LoggedIn { welcome, capabilities });
    }

    /// It has answered CAPABILITY behind the login, with or without a list.
    fn on_told(&mut self) {
        if let Phase::Telling { welcome, capabilities } = &mut self.phase {
            let (welcome, capabilities) = (std::mem::take(welcome), capabilities.take());
            self.let_in(welcome, capabilities);
        }
    }

    /// NO or BAD.
    fn on_no(&mut self, text: &[u8], kind: fn(Option<&str>) -> Refusal) {
        match &self.phase {
            Phase::StartTls => self.close(Closing::NoStartTls(readable(text))),
            Phase::Asking => self.close(Closing::Protocol("the server does not tell what it offers")),
            Phase::Login { unsent, .. } => {
                let (code, text) = split_code(text);
                let code = code.map(|code| readable(code).to_ascii_uppercase());
                // What it has not heard it cannot have found wrong.
                let kind = if unsent.is_empty() { kind(code.as_deref()) } else { Refusal::Unavailable };
                self.end(Event::Refused { kind, code, text: readable(text) });
            }
            // The login was good, whatever it has against the question.
            Phase::Telling { .. } => self.on_told(),
            Phase::Greeting | Phase::Handshake | Phase::LoggedIn | Phase::Closed => {}
        }
    }

    /// The connection is as private as it is meant to be.
    fn begin(&mut self, now: Instant) {
        let asks = self.known.is_none() && self.login.as_ref().is_none_or(Login::needs_capabilities);
        if asks { self.say(now, Phase::Asking, "CAPABILITY") } else { self.proceed(now) }
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
        self.command_count += 1;
        let goodbye = format!("{} LOGOUT\r\n", self.tag());
        self.end(Event::Offered);
        self.output = Some(goodbye.into());
    }

    fn log_in(&mut self, now: Instant, login: Login) {
        let known = self.known.clone().unwrap_or_default();
        let introduction = self.introduction(&known);
        self.command_count += 1;
        let Said { parts: mut unsent, on_failure } = match login.said(&self.tag(), &known) {
            Ok(said) => said,
            Err(closing) => return self.close(closing),
        };
        let token = on_failure.map_or(TokenState::NoToken, TokenState::Shown);
        match unsent.pop_front() {
            Some(part) => {
                self.said_login = true;
                self.phase = Phase::Login { unsent, token, capabilities: None };
                let both = Secret::new([introduction.as_bytes(), part.expose()].concat());
                self.send(now, both.expose());
            }
            None => self.close(Closing::NoLogin),
        }
    }

    /// RFC 2971 §3.1; nothing where there is nothing to say.
    fn introduction(&mut self, known: &Capabilities) -> String {
        if self.id.is_empty() || !known.id {
            return String::new();
        }
        self.command_count += 1;
        let tag = self.tag();
        let fields: Vec<String> = self.id.iter().map(|(name, value)| format!("\"{name}\" \"{value}\"")).collect();
        let command = format!("{tag} ID ({})\r\n", fields.join(" "));
        self.id_tag = Some(tag);
        command
    }

    fn say(&mut self, now: Instant, phase: Phase, command: &str) {
        self.command_count += 1;
        self.phase = phase;
        self.send(now, format!("{} {command}\r\n", self.tag()).as_bytes());
    }

    fn send(&mut self, now: Instant, octets: &[u8]) {
        self.due = now + ANSWER_MAX;
        self.output = Some(Bytes::copy_from_slice(octets));
    }

    /// Of the command that was sent last.
    fn tag(&self) -> String {
        format!("P{}", self.command_count)
    }

    fn close(&mut self, closing: Closing) {
        self.end(Event::Closed(closing));
    }

    fn end(&mut self, event: Event) {
        self.phase = Phase::Closed;
        self.login = None;
        self.input.clear();
        self.output = None;
        self.event = Some(event);
    }

    /// For the server, or for its TLS.
    fn is_waiting(&self) -> bool {
        match self.phase {
            Phase::Greeting
            | Phase::StartTls
            | Phase::Handshake
            | Phase::Asking
            | Phase::Login { .. }
            | Phase::Telling { .. } => true,
            Phase::LoggedIn | Phase::Closed => false,
        }
    }
}

impl TokenState {
    /// The server tells why: what is answered, the first time.
    fn fail(&mut self) -> Option<Secret> {
        match std::mem::replace(self, Self::Failed) {
            Self::Shown(answer) => Some(Secret::new(answer.to_vec())),
            Self::NoToken | Self::Failed => None,
        }
    }
}

impl Machine for Client {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        if self.phase == Phase::Closed || bytes.is_empty() {
            return;
        }
        if self.phase == Phase::Handshake {
            return self.close(Closing::Protocol("octets in the clear before TLS"));
        }
        self.input.push(bytes);
        while self.wants_input() {
            match self.input.line() {
                Line::Part => return,
                Line::Whole(line) => self.on_line(now, &line),
                Line::TooMuch => self.close(Closing::Protocol("the server says too much")),
                Line::Malformed => self.close(Closing::Protocol("a CR or a NUL within a line")),
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
            | Phase::Login { .. }
            | Phase::Telling { .. } => {
                self.close(Closing::Eof);
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.is_waiting() && now >= self.due {
            self.close(Closing::Timeout);
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
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

/// Not its output, which may be a password.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("phase", &self.phase).field("known", &self.known).finish_non_exhaustive()
    }
}

impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eof => f.write_str("the server hung up"),
            Self::Timeout => f.write_str("the server did not answer in time"),
            Self::Bye(why) => write!(f, "the server said BYE: {why}"),
            Self::NoStartTls(why) => write!(f, "the server does not start TLS: {why}"),
            Self::NoLogin => f.write_str("the server offers no way to log in"),
            Self::Unsayable => f.write_str("the server offers no way to say this name, password or token"),
            Self::Protocol(what) => f.write_str(what),
        }
    }
}
