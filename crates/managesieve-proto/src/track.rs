//! Follows a session that passes by, from the login on, without a say in it: which commands wait for an answer, and whether
//! an answer is half said.
//!
//! Every command gets an answer in order: lines that begin with a string, and a last one that begins with OK, NO or BYE
//! (RFC 5804 §4). BYE may come unasked, and in place of any answer (§1.2): so wherever a line of the back-end's has ended it
//! can be said. Whatever passes, nothing here fails; where it cannot follow any more, it says so ([`TrackState::Unknown`]).

#[cfg(test)]
mod tests;

use crate::limits::IN_FLIGHT_MAX;
use crate::scan::Scanner;

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackState {
    /// Commands are answered.
    LoggedIn,
    /// LOGOUT was answered, or the back-end said BYE.
    Ended,
    /// We lost it: something passed that is not ManageSieve, or too much at once, or the client left its login (RFC 5804 has
    /// UNAUTHENTICATE, and a new exchange has lines of another form).
    Unknown,
}

/// A session, as both ends have left it.
#[derive(Debug)]
pub struct Track {
    state: TrackState,
    in_flight: usize,
    /// Which of the commands in flight, counted from the first, is a LOGOUT.
    logout_at: Option<usize>,
    client: Half,
    backend: Half,
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    scanner: Scanner,
    /// How the line begins.
    beginning: [u8; BEGINNING_OCTETS],
    kept: usize,
}

/// Enough for UNAUTHENTICATE, and to see that its word ends.
const BEGINNING_OCTETS: usize = 16;

impl Default for Track {
    fn default() -> Self {
        Self::new()
    }
}

impl Track {
    /// A session that just logged in.
    pub fn new() -> Self {
        let (client, backend) = (Half::default(), Half::default());
        Self { state: TrackState::LoggedIn, in_flight: 0, logout_at: None, client, backend }
    }

    /// The client sent this.
    pub fn client_said(&mut self, mut octets: &[u8]) {
        while self.is_followed() {
            let Some((word, behind)) = self.client.next(octets) else { return };
            octets = behind;
            match word.as_slice() {
                b"UNAUTHENTICATE" | b"AUTHENTICATE" | b"STARTTLS" => return self.lose(),
                b"LOGOUT" if self.logout_at.is_none() => self.logout_at = Some(self.in_flight),
                _ => {}
            }
            self.in_flight += 1;
            if self.in_flight > IN_FLIGHT_MAX {
                return self.lose();
            }
        }
    }

    /// The back-end said this.
    pub fn backend_said(&mut self, mut octets: &[u8]) {
        while self.is_followed() {
            let Some((word, behind)) = self.backend.next(octets) else { return };
            octets = behind;
            match word.as_slice() {
                b"BYE" => self.state = TrackState::Ended,
                b"OK" | b"NO" => self.on_answer(),
                // A name of a script or of a capability, or a script: of an answer that goes on.
                [b'"' | b'{', ..] if self.in_flight > 0 => {}
                _ => return self.lose(),
            }
        }
    }

    /// Where the session is.
    pub fn state(&self) -> TrackState {
        self.state
    }

    /// How many commands wait for an answer, or for the rest of one.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether the session can be ended here: no command waits, and no answer is half said.
    pub fn may_speak(&self) -> bool {
        self.in_flight == 0 && self.may_be_told()
    }

    /// Whether a BYE would be understood, be it in place of an answer: no line of the back-end's is half said.
    pub fn may_be_told(&self) -> bool {
        self.state == TrackState::LoggedIn && !self.backend.scanner.is_within_line()
    }

    fn on_answer(&mut self) {
        // What was not asked.
        let Some(left) = self.in_flight.checked_sub(1) else { return self.lose() };
        self.in_flight = left;
        match self.logout_at {
            Some(0) => self.state = TrackState::Ended,
            later => self.logout_at = later.map(|at| at - 1),
        }
    }

    fn is_followed(&self) -> bool {
        self.state != TrackState::Unknown
    }

    fn lose(&mut self) {
        *self = Self { state: TrackState::Unknown, ..Self::new() };
    }
}

impl Half {
    /// Where a line ends in these octets: its first word in upper case, and what is behind the line.
    fn next<'o>(&mut self, octets: &'o [u8]) -> Option<(Vec<u8>, &'o [u8])> {
        let end = self.scanner.end_of_line(octets);
        let (line, behind) = octets.split_at_checked(end.unwrap_or(octets.len()))?;
        for (place, octet) in self.beginning.iter_mut().skip(self.kept).zip(line) {
            *place = *octet;
            self.kept += 1;
        }
        end?;
        let beginning = self.beginning.get(..std::mem::take(&mut self.kept)).unwrap_or_default();
        let word = beginning.split(|octet| matches!(octet, b' ' | b'\r' | b'\n')).next().unwrap_or_default();
        Some((word.to_ascii_uppercase(), behind))
    }
}
