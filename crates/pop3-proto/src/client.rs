//! The client's end, as far as a proxy needs it: the login at a back-end. What comes behind it passes through, and no
//! machine reads it.
//!
//! ```text
//!   Greeting ─+OK─▶ (Moded, for UTF8 ─+OK─▶) Asked, or Challenged ─+─▶ Asked ─+OK─▶ LoggedIn (the rest: take_unread)
//!      │ -ERR                │ -ERR: Refused
//!      └─────────────────────┴ the end, a time-out, anything else: Closed
//! ```

#[cfg(test)]
mod tests;

use crate::capability::Mode;
use crate::command::encode_challenge;
use crate::limits::{ANSWER_MAX, COMMAND_LINE_OCTETS_MAX, RESPONSE_LINE_OCTETS_MAX};
use crate::line::{Line, LineBuffer};
use crate::reply::Refusal;
use bytes::Bytes;
use machine::Machine;
use std::fmt;
use std::time::Instant;

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// AUTH EXTERNAL (RFC 4422 App. A): who calls has proved by TLS who it is, and may act for others.
    External {
        /// As whom: the authorization identity.
        authorization: String,
    },
}

/// What comes of it: there is one event, and no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The server let us in, and has the maildrop.
    LoggedIn {
        /// Its answer behind `+OK `, without the end of the line. No CR, LF or NUL.
        welcome: Bytes,
    },
    /// It did not.
    Refused(Refusal),
    /// It is over without an answer.
    Closed(Closing),
}

/// Why a conversation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The server closed, or the connection broke.
    Eof,
    /// No answer in time.
    Timeout,
    /// What came is no answer that POP3 has here.
    Protocol(&'static str),
}

/// The client's end of one connection.
pub struct Client {
    login: Login,
    mode: Mode,
    phase: Phase,
    input: LineBuffer,
    output: Option<Bytes>,
    event: Option<ClientEvent>,
    /// Until when the server must have answered.
    due: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The server has not greeted.
    Greeting,
    /// UTF8 was sent.
    Moded,
    /// AUTH was sent without its initial response.
    Challenged,
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
        Self {
            login,
            mode: Mode::default(),
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

    /// What the server said behind its answer to the login, and nobody read.
    pub fn take_unread(&mut self) -> Bytes {
        Bytes::from(self.input.take().into_bytes())
    }

    fn on_line(&mut self, now: Instant, line: &[u8]) {
        if self.output.is_some() {
            return self.close(Closing::Protocol("the server answers what was not asked"));
        }
        match (self.phase, Answer::parse(line)) {
            (Phase::Greeting | Phase::Moded | Phase::Challenged | Phase::Asked, Some(Answer::Err(refusal))) => {
                self.end(ClientEvent::Refused(refusal));
            }
            (Phase::Greeting, Some(Answer::Ok(_))) => match self.mode {
                Mode::Utf8 => self.send(now, Phase::Moded, UTF8.to_owned()),
                Mode::Ascii => self.log_in(now),
            },
            (Phase::Moded, Some(Answer::Ok(_))) => self.log_in(now),
            (Phase::Challenged, Some(Answer::Challenge)) => {
                let response = format!("{}\r\n", self.login.response());
                self.send(now, Phase::Asked, response);
            }
            (Phase::Asked, Some(Answer::Ok(text))) => {
                self.phase = Phase::LoggedIn;
                self.event = Some(ClientEvent::LoggedIn { welcome: Bytes::copy_from_slice(text) });
            }
            (Phase::Asked | Phase::Moded | Phase::Greeting, Some(Answer::Challenge))
            | (Phase::Challenged, Some(Answer::Ok(_)))
            | (Phase::Greeting | Phase::Moded | Phase::Challenged | Phase::Asked, None) => {
                self.close(Closing::Protocol("what came is no answer to the login"));
            }
            (Phase::LoggedIn | Phase::Closed, _) => {}
        }
    }

    fn log_in(&mut self, now: Instant) {
        let command = self.login.command();
        // RFC 5034 §4: what does not fit into a command's line waits for a challenge.
        let fits = command.len() <= COMMAND_LINE_OCTETS_MAX;
        let (phase, octets) = if fits { (Phase::Asked, command) } else { (Phase::Challenged, BARE.to_owned()) };
        self.send(now, phase, octets);
    }

    fn send(&mut self, now: Instant, phase: Phase, line: String) {
        self.phase = phase;
        self.due = now + ANSWER_MAX;
        self.output = Some(line.into());
    }

    fn close(&mut self, closing: Closing) {
        self.end(ClientEvent::Closed(closing));
    }

    fn end(&mut self, event: ClientEvent) {
        self.phase = Phase::Closed;
        self.input.clear();
        self.event = Some(event);
    }

    fn is_waiting(&self) -> bool {
        match self.phase {
            Phase::Greeting | Phase::Moded | Phase::Challenged | Phase::Asked => true,
            Phase::LoggedIn | Phase::Closed => false,
        }
    }
}

impl Machine for Client {
    type Event = ClientEvent;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        if self.phase == Phase::Closed {
            return;
        }
        self.input.push(bytes);
        while self.is_waiting() {
            match self.input.next_line(RESPONSE_LINE_OCTETS_MAX) {
                None => return,
                Some(Line::Whole(line)) => self.on_line(now, line.as_bytes()),
                Some(Line::TooLong) => self.close(Closing::Protocol("a line is too long")),
            }
        }
    }

    /// What came behind the answer to the login stays to be taken.
    fn handle_eof(&mut self, _now: Instant) {
        match self.phase {
            Phase::Greeting | Phase::Moded | Phase::Challenged | Phase::Asked => self.close(Closing::Eof),
            Phase::LoggedIn => self.phase = Phase::Closed,
            Phase::Closed => {}
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
        self.is_waiting()
    }

    fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }
}

impl Login {
    /// With the initial response, which saves a round trip (RFC 5034 §4).
    fn command(&self) -> String {
        format!("AUTH EXTERNAL {}\r\n", self.response())
    }

    fn response(&self) -> String {
        let Self::External { authorization } = self;
        // RFC 5034 §4: `=` is one of no octets.
        if authorization.is_empty() { "=".to_owned() } else { encode_challenge(authorization.as_bytes()) }
    }
}

/// A line of a server.
enum Answer<'l> {
    Ok(&'l [u8]),
    Err(Refusal),
    Challenge,
}

impl<'l> Answer<'l> {
    fn parse(line: &'l [u8]) -> Option<Self> {
        if memchr::memchr2(b'\r', 0, line).is_some() {
            return None;
        }
        let behind = |word: &[u8]| {
            let rest = line.strip_prefix(word)?;
            if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b" ") }
        };
        behind(b"+OK")
            .map(Self::Ok)
            .or_else(|| Some(Self::Err(Refusal::parse(behind(b"-ERR")?))))
            .or_else(|| behind(b"+").map(|_| Self::Challenge))
    }
}

impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eof => "the server hung up",
            Self::Timeout => "the server did not answer in time",
            Self::Protocol(what) => what,
        })
    }
}

/// RFC 6856 §2.1.
const UTF8: &str = "UTF8\r\n";
/// AUTH without its initial response.
const BARE: &str = "AUTH EXTERNAL\r\n";
