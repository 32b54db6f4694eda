//! The client's end, as far as a proxy needs it: the login at a back-end. What comes behind it passes through, and no
//! machine reads it.
//!
//! ```text
//!   Greeting ──* OK──▶ Asked ──tag OK──▶ LoggedIn (the rest of the input is left as it is: take_unread)
//!      │ * BYE           │ tag NO, tag BAD: Refused
//!      └─────────────────┴ * BYE, + …, the end, a time-out: Closed
//! ```

mod input;
#[cfg(test)]
mod tests;

use crate::parse;
use bytes::{BufMut as _, Bytes, BytesMut};
use input::{Input, Line};
use machine::Machine;
use std::fmt;
use std::time::{Duration, Instant};

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// AUTHENTICATE EXTERNAL (RFC 4422 App. A): who calls has proved by TLS who it is, and may act for others.
    External {
        /// As whom: the authorization identity.
        authorization: String,
    },
}

/// What comes of it: there is one event, and no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server let us in.
    LoggedIn {
        /// Its answer behind `OK `, without the end of the line: a code and a text, as it stood there. No CR, LF or NUL.
        welcome: Bytes,
    },
    /// It did not (NO or BAD).
    Refused {
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
    /// What came is no answer that IMAP has here.
    Protocol(&'static str),
}

/// The client's end of one connection.
#[derive(Debug)]
pub struct Client {
    login: Login,
    phase: Phase,
    input: Input,
    output: Option<Bytes>,
    event: Option<Event>,
    /// Until when the server must have answered.
    due: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The server has not greeted.
    Greeting,
    /// The login was sent.
    Asked,
    /// What comes is not for us.
    LoggedIn,
    /// Nothing more.
    Closed,
}

/// The longest line that a server may send before it has let us in.
pub const LINE_OCTETS_MAX: usize = 8 << 10;

/// The most that it may send before it has let us in, its answer included.
pub const LOGIN_OCTETS_MAX: usize = 64 << 10;

/// How long it may take to greet, and again to answer the login.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);

impl Client {
    /// A connection that was just opened: waits for the greeting, then logs in.
    pub fn new(login: Login, now: Instant) -> Self {
        Self {
            login,
            phase: Phase::Greeting,
            input: Input::new(LINE_OCTETS_MAX, LOGIN_OCTETS_MAX),
            output: None,
            event: None,
            due: now + ANSWER_MAX,
        }
    }

    /// What the server said behind its answer to the login, and nobody read.
    pub fn take_unread(&mut self) -> Bytes {
        self.input.take()
    }

    fn on_line(&mut self, now: Instant, line: &[u8]) {
        match (self.phase, line.split_at_checked(2)) {
            (Phase::Greeting, Some((b"* ", rest))) => self.on_greeting(now, rest),
            (Phase::Greeting, _) => self.close(Closing::Protocol("the greeting is not of IMAP")),
            // RFC 9051 §7.1.5: at any time.
            (Phase::Asked, Some((b"* ", rest))) => match condition(rest) {
                Some((Condition::Bye, text)) => self.close(Closing::Bye(readable(text))),
                // Whatever else a server wants to tell. Who asks for it again gets it again.
                Some((Condition::Ok | Condition::No | Condition::Bad | Condition::PreAuth, _)) | None => {}
            },
            (Phase::Asked, _) if self.output.is_some() => {
                self.close(Closing::Protocol("the server answers what was not asked"));
            }
            // EXTERNAL ends with its initial response (RFC 4422 App. A, RFC 4959).
            (Phase::Asked, _) if line.starts_with(b"+") => {
                self.close(Closing::Protocol("the server asks for more than EXTERNAL has"));
            }
            (Phase::Asked, _) => self.on_tagged(line),
            (Phase::LoggedIn | Phase::Closed, _) => {}
        }
    }

    /// RFC 9051 §7.1: OK, PREAUTH or BYE.
    fn on_greeting(&mut self, now: Instant, rest: &[u8]) {
        match condition(rest) {
            Some((Condition::Ok, _)) => {
                self.phase = Phase::Asked;
                self.due = now + ANSWER_MAX;
                self.output = Some(self.login.command());
            }
            Some((Condition::Bye, text)) => self.close(Closing::Bye(readable(text))),
            // Somebody's session it is, but nobody knows whose.
            Some((Condition::PreAuth, _)) => self.close(Closing::Protocol("the server greets with PREAUTH")),
            Some((Condition::No | Condition::Bad, _)) | None => {
                self.close(Closing::Protocol("the greeting is not of IMAP"));
            }
        }
    }

    fn on_tagged(&mut self, line: &[u8]) {
        let answer = line.strip_prefix(TAG).and_then(|rest| rest.strip_prefix(b" ")).and_then(condition);
        match answer {
            Some((Condition::Ok, text)) => {
                self.phase = Phase::LoggedIn;
                self.event = Some(Event::LoggedIn { welcome: Bytes::copy_from_slice(text) });
            }
            Some((Condition::No | Condition::Bad, text)) => {
                let (code, text) = split_code(text);
                let code = code.map(|code| readable(code).to_ascii_uppercase());
                self.end(Event::Refused { code, text: readable(text) });
            }
            Some((Condition::Bye | Condition::PreAuth, _)) | None => {
                self.close(Closing::Protocol("what came is no answer to the login"));
            }
        }
    }

    fn close(&mut self, closing: Closing) {
        self.end(Event::Closed(closing));
    }

    fn end(&mut self, event: Event) {
        self.phase = Phase::Closed;
        self.input.clear();
        self.event = Some(event);
    }

    fn is_waiting(&self) -> bool {
        match self.phase {
            Phase::Greeting | Phase::Asked => true,
            Phase::LoggedIn | Phase::Closed => false,
        }
    }
}

impl Machine for Client {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        if self.phase == Phase::Closed {
            return;
        }
        self.input.push(bytes);
        while self.is_waiting() {
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
            Phase::Greeting | Phase::Asked => self.close(Closing::Eof),
            Phase::LoggedIn => self.phase = Phase::Closed,
            Phase::Closed => {}
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
        self.is_waiting()
    }

    fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }
}

impl Login {
    /// With the initial response, which saves a round trip (RFC 4959).
    fn command(&self) -> Bytes {
        let Self::External { authorization } = self;
        let mut line = BytesMut::from(TAG);
        line.put_slice(b" AUTHENTICATE EXTERNAL ");
        match authorization.is_empty() {
            // RFC 4959 §3.
            true => line.put_u8(b'='),
            false => line.put_slice(parse::base64_challenge(authorization.as_bytes()).as_bytes()),
        }
        line.put_slice(b"\r\n");
        line.freeze()
    }
}

impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eof => f.write_str("the server hung up"),
            Self::Timeout => f.write_str("the server did not answer in time"),
            Self::Bye(why) => write!(f, "the server said BYE: {why}"),
            Self::Protocol(what) => f.write_str(what),
        }
    }
}

/// The beginning of a status response (RFC 9051 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Ok,
    No,
    Bad,
    Bye,
    PreAuth,
}

/// A status response without its tag: what it is, and what stands behind it.
fn condition(rest: &[u8]) -> Option<(Condition, &[u8])> {
    let (word, text) = match memchr::memchr(b' ', rest) {
        Some(at) => (rest.get(..at)?, rest.get(at + 1..)?),
        None => (rest, &b""[..]),
    };
    let words = [
        (Condition::Ok, &b"OK"[..]),
        (Condition::No, b"NO"),
        (Condition::Bad, b"BAD"),
        (Condition::Bye, b"BYE"),
        (Condition::PreAuth, b"PREAUTH"),
    ];
    let (condition, _) = words.into_iter().find(|(_, name)| word.eq_ignore_ascii_case(name))?;
    Some((condition, text))
}

/// `[CODE arguments] text`: the code's name, and the text.
fn split_code(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let coded = || {
        let inner = text.strip_prefix(b"[")?;
        let end = memchr::memchr(b']', inner)?;
        let code = inner.get(..end)?.split(|octet| *octet == b' ').next()?;
        Some((code, inner.get(end + 1..)?.trim_ascii_start()))
    };
    coded().map_or((None, text), |(code, text)| (Some(code), text))
}

/// For log lines.
fn readable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Of the one command that we send.
const TAG: &[u8] = b"P1";
