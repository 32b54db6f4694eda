//! Follows a session that passes by, from the login on, without a say in it: which commands wait for an answer, and
//! whether one is half said.
//!
//! Every line of a client gets an answer, in order (RFC 1939 §3, RFC 2449 §6.6); some answers have several lines. Whatever
//! passes, nothing here fails; where it cannot follow any more, it says so ([`TrackState::Unknown`]). POP3 has no word that
//! comes unasked, so there is nothing to say into a session; but there is a time at which its end breaks nothing.

#[cfg(test)]
mod tests;

use crate::limits::IN_FLIGHT_MAX;
use memchr::{memchr, memmem};
use std::collections::VecDeque;

/// Where a session is (RFC 1939 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackState {
    /// TRANSACTION.
    Transaction,
    /// QUIT was answered.
    Ended,
    /// We lost it: something passed that is not POP3, or too much at once.
    Unknown,
}

/// A session, as both ends have left it.
#[derive(Debug)]
pub struct Track {
    state: TrackState,
    in_flight: VecDeque<Answer>,
    /// How the client's line begins that is coming in.
    command: Beginning<COMMAND_OCTETS>,
    backend: Backend,
}

/// How a command is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// By one line.
    Line,
    /// By several, if it is positive.
    Lines,
    /// By the last line of the session.
    Last,
}

/// What the back-end's next octets are.
#[derive(Debug)]
enum Backend {
    /// The first line of an answer.
    Status(Beginning<STATUS_OCTETS>),
    /// More lines, up to a dot.
    Lines(Seam),
}

/// The beginning of a line, and whether there is one.
#[derive(Clone, Copy, Debug)]
struct Beginning<const N: usize> {
    octets: [u8; N],
    kept: usize,
    has_begun: bool,
}

/// The last octets that passed: the end of a body may be split.
#[derive(Clone, Copy, Debug)]
struct Seam {
    octets: [u8; SEAM_OCTETS],
    kept: usize,
}

/// Enough for a keyword, a space, and to see that an argument begins.
const COMMAND_OCTETS: usize = 16;
/// `-ERR`.
const STATUS_OCTETS: usize = 4;
/// RFC 1939 §3: a line of a dot ends an answer of several lines.
const LAST_LINE: &[u8] = b"\n.\r\n";
const SEAM_OCTETS: usize = 3;

impl Default for Track {
    fn default() -> Self {
        Self::new()
    }
}

impl Track {
    /// A session that just logged in.
    pub fn new() -> Self {
        let (command, backend) = (Beginning::default(), Backend::Status(Beginning::default()));
        Self { state: TrackState::Transaction, in_flight: VecDeque::new(), command, backend }
    }

    /// The client sent this.
    pub fn client_said(&mut self, mut octets: &[u8]) {
        while self.is_followed() {
            let Some(end) = memchr(b'\n', octets) else { return self.command.push(octets) };
            self.command.push(octets.get(..end).unwrap_or_default());
            octets = octets.get(end + 1..).unwrap_or_default();
            let answer = Answer::to(std::mem::take(&mut self.command).text());
            if self.in_flight.len() >= IN_FLIGHT_MAX {
                return self.lose();
            }
            self.in_flight.push_back(answer);
        }
    }

    /// The back-end said this.
    pub fn backend_said(&mut self, mut octets: &[u8]) {
        while self.is_followed() && !octets.is_empty() {
            match &mut self.backend {
                Backend::Lines(seam) => {
                    let Some(end) = seam.end_of_lines(octets) else { return };
                    octets = octets.get(end..).unwrap_or_default();
                    self.backend = Backend::Status(Beginning::default());
                }
                Backend::Status(status) => {
                    let Some(end) = memchr(b'\n', octets) else { return status.push(octets) };
                    status.push(octets.get(..end).unwrap_or_default());
                    octets = octets.get(end + 1..).unwrap_or_default();
                    let status = std::mem::take(status);
                    self.on_status(status.text());
                }
            }
        }
    }

    /// Where the session is.
    pub fn state(&self) -> TrackState {
        self.state
    }

    /// How many commands wait for an answer, or for the rest of one.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len() + usize::from(matches!(self.backend, Backend::Lines(_)))
    }

    /// Whether the session can be ended here: no command waits, and no answer is half said.
    pub fn may_speak(&self) -> bool {
        let is_between_answers = matches!(&self.backend, Backend::Status(status) if !status.has_begun);
        self.state == TrackState::Transaction && self.in_flight.is_empty() && is_between_answers
    }

    fn is_followed(&self) -> bool {
        self.state != TrackState::Unknown
    }

    fn lose(&mut self) {
        *self = Self { state: TrackState::Unknown, ..Self::new() };
    }

    fn on_status(&mut self, status: &[u8]) {
        let is_positive = status.starts_with(b"+OK");
        // What was not asked, or is no answer.
        let Some(answer) = self.in_flight.pop_front().filter(|_| is_positive || status == b"-ERR") else {
            return self.lose();
        };
        match answer {
            Answer::Lines if is_positive => self.backend = Backend::Lines(Seam::at_line()),
            Answer::Lines | Answer::Line => {}
            // RFC 1939 §6: also where not all could be removed.
            Answer::Last => self.state = TrackState::Ended,
        }
    }
}

impl Answer {
    fn to(command: &[u8]) -> Self {
        let (keyword, argument) = match memchr(b' ', command) {
            Some(at) => command.split_at(at),
            None => (command.trim_ascii_end(), &b""[..]),
        };
        let is = |known: &[u8]| keyword.eq_ignore_ascii_case(known);
        let is_bare = argument.trim_ascii().is_empty();
        match () {
            () if is(b"QUIT") => Self::Last,
            () if is(b"RETR") || is(b"TOP") || is(b"CAPA") => Self::Lines,
            // RFC 1939 §5 and §7, RFC 6856 §3: all of them, or one.
            () if is_bare && (is(b"LIST") || is(b"UIDL") || is(b"LANG")) => Self::Lines,
            () => Self::Line,
        }
    }
}

impl<const N: usize> Default for Beginning<N> {
    fn default() -> Self {
        Self { octets: [0; N], kept: 0, has_begun: false }
    }
}

impl<const N: usize> Beginning<N> {
    fn push(&mut self, octets: &[u8]) {
        self.has_begun |= !octets.is_empty();
        for (place, octet) in self.octets.iter_mut().skip(self.kept).zip(octets) {
            *place = *octet;
            self.kept += 1;
        }
    }

    fn text(&self) -> &[u8] {
        self.octets.get(..self.kept).unwrap_or_default()
    }
}

impl Seam {
    /// Behind the end of a line.
    fn at_line() -> Self {
        Self { octets: [b'\n', 0, 0], kept: 1 }
    }

    /// Where, in these octets, what comes behind the last line begins.
    fn end_of_lines(&mut self, octets: &[u8]) -> Option<usize> {
        let before = self.octets.get(..self.kept).unwrap_or_default();
        let across: Vec<u8> = before.iter().chain(octets.iter().take(SEAM_OCTETS)).copied().collect();
        if let Some(at) = memmem::find(&across, LAST_LINE) {
            return (at + LAST_LINE.len()).checked_sub(before.len());
        }
        if let Some(at) = memmem::find(octets, LAST_LINE) {
            return Some(at + LAST_LINE.len());
        }
        let last = if octets.len() >= SEAM_OCTETS { octets } else { &across };
        let last = last.get(last.len().saturating_sub(SEAM_OCTETS)..).unwrap_or(last);
        self.kept = last.len();
        self.octets.iter_mut().zip(last).for_each(|(place, octet)| *place = *octet);
        None
    }
}
