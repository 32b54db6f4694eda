//! Follows a session that passes by, from the login on, without a say in it: what state it is in, and whether something
//! may be said into it.
//!
//! ```text
//!   client ──▶ lines and literals ──▶ tags in flight, IDLE, literals that wait ─┐
//!                                                                               ├─▶ State, may_speak, farewell
//!   back-end ▶ lines and literals ──▶ +, tagged answers, ENABLED, BYE ──────────┘
//! ```
//! Octets of literals are counted, not looked at. Whatever passes, it never fails; where it cannot follow any more, it says
//! so ([`State::Unknown`]). It reads as [`crate::server::Server`] does, which is at the other end.

mod lines;
mod session;
#[cfg(test)]
mod tests;

use lines::Lines;
use mail_types::MailboxName;
use session::{BackendAt, ClientAt, Session};

pub use session::Enabled;

/// Where a session is (RFC 9051 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// No mailbox is selected.
    Authenticated,
    /// One is.
    Selected {
        /// Which.
        mailbox: MailboxName,
        /// By EXAMINE, or because the server said so.
        read_only: bool,
    },
    /// The server has said BYE.
    LoggedOut,
    /// What passes is compressed (RFC 4978), and nobody can tell.
    Opaque,
    /// We lost it: something passed that we do not read as its ends do, or too much at once.
    Unknown,
}

/// A session, as both ends have left it.
#[derive(Debug)]
pub struct Track {
    client: Lines,
    backend: Lines,
    session: Session,
}

/// Commands under way that are followed; a client that pipelines more is lost sight of.
pub const IN_FLIGHT_MAX: usize = 128;

/// How much of an unfinished line, or of a SELECT, is kept.
pub const PART_OCTETS_MAX: usize = 8 << 10;

impl Default for Track {
    fn default() -> Self {
        Self::new()
    }
}

impl Track {
    /// A session that just logged in.
    pub fn new() -> Self {
        Self { client: Lines::default(), backend: Lines::default(), session: Session::new() }
    }

    /// The client sent this.
    pub fn client_said(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() && self.session.is_followed() {
            match &mut self.session.client_at {
                ClientAt::Literal { left } => {
                    octets = skip(left, octets);
                    if *left == 0 {
                        self.session.client_at = ClientAt::Command;
                    }
                }
                ClientAt::CollectedLiteral { left, text } => {
                    let (part, rest) = octets.split_at(octets.len().min(*left));
                    text.extend_from_slice(part);
                    *left = left.saturating_sub(part.len());
                    octets = rest;
                    self.session.literal_collected();
                }
                // It does not wait, so we do not know where its commands begin.
                ClientAt::AsksToSend { .. } => self.session.lose(),
                ClientAt::Line | ClientAt::Command | ClientAt::Collecting { .. } | ClientAt::Idle => {
                    if let Some(line) = self.client.take(&mut octets) {
                        self.session.on_client_line(&line);
                        continue;
                    }
                    if self.client.is_long() {
                        self.session.on_long_line(self.client.head());
                    }
                }
            }
        }
        self.forget_what_is_lost();
    }

    /// The back-end said this.
    pub fn backend_said(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() && self.session.is_followed() {
            match &mut self.session.backend_at {
                BackendAt::Literal { left } => {
                    octets = skip(left, octets);
                    if *left == 0 {
                        self.session.backend_at = BackendAt::Response;
                    }
                }
                BackendAt::Line | BackendAt::Response => {
                    if let Some(line) = self.backend.take(&mut octets) {
                        self.session.on_backend_line(&line);
                    }
                }
            }
        }
        self.forget_what_is_lost();
    }

    /// How many octets the back-end says next that tell nothing: the rest of a literal, or whatever comes where we do not
    /// follow any more.
    pub fn backend_opaque(&self) -> u64 {
        match &self.session.backend_at {
            _ if !self.session.is_followed() => u64::MAX,
            BackendAt::Literal { left } => *left,
            BackendAt::Line | BackendAt::Response => 0,
        }
    }

    /// The back-end said so many octets, at most [`Track::backend_opaque`], that we were not told.
    pub fn backend_skipped(&mut self, octets: u64) {
        if let BackendAt::Literal { left } = &mut self.session.backend_at {
            *left = left.saturating_sub(octets);
            if *left == 0 {
                self.session.backend_at = BackendAt::Response;
            }
        }
    }

    /// Where the session is.
    pub fn state(&self) -> &State {
        &self.session.state
    }

    /// What the server said it enabled.
    pub fn enabled(&self) -> Enabled {
        self.session.enabled
    }

    /// The commands that have no tagged answer yet.
    pub fn in_flight(&self) -> impl Iterator<Item = &str> {
        self.session.in_flight.iter().map(|command| command.tag.as_str())
    }

    /// Whether something unasked may be said to the client here: no response is half said, and no command is under way but
    /// an IDLE that the server granted.
    pub fn may_speak(&self) -> bool {
        self.is_between_responses() && self.session.is_idle()
    }

    /// BYE, where the back-end goes without one; nothing where it would be taken for a part of something else.
    pub fn farewell(&self) -> &'static [u8] {
        if self.is_between_responses() { FAREWELL } else { b"" }
    }

    fn is_between_responses(&self) -> bool {
        match self.session.state {
            State::Authenticated | State::Selected { .. } => {
                matches!(self.session.backend_at, BackendAt::Line) && self.backend.is_empty()
            }
            State::LoggedOut | State::Opaque | State::Unknown => false,
        }
    }

    fn forget_what_is_lost(&mut self) {
        if !self.session.is_followed() {
            self.client = Lines::default();
            self.backend = Lines::default();
        }
    }
}

/// What is left of these octets behind those of a literal.
fn skip<'o>(left: &mut u64, octets: &'o [u8]) -> &'o [u8] {
    let part = usize::try_from(*left).unwrap_or(usize::MAX).min(octets.len());
    *left = left.saturating_sub(u64::try_from(part).unwrap_or(u64::MAX));
    octets.get(part..).unwrap_or_default()
}

/// RFC 9051 §7.1.5, RFC 5530 §3.
const FAREWELL: &[u8] = b"* BYE [UNAVAILABLE] The server that has your mail is gone, come back later\r\n";
