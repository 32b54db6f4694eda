//! A stored message as a multi-line response (RFC 1939 §3): lines end with CRLF, a line that begins with a dot gets
//! another one, `.` CRLF is the end.
//!
//! A stored message may hold bare LFs (an APPEND or an import brought them). They become CRLF: a client that takes LF
//! for a line's end would otherwise see lines, and perhaps the end, where we stuffed no dot. A bare CR stays.
//!
//! Where a piece needs nothing of this, which is nearly always, it is passed on without a copy.

use bytes::Bytes;
use memchr::memchr_iter;

/// Which part of a message the client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// RETR.
    Whole,
    /// TOP: the header, the empty line, and so many lines behind it (RFC 1939 §7).
    Top {
        /// Lines of the body.
        lines: u32,
    },
}

/// Whether more of the message is of use.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyWants {
    /// There may be more to send.
    More,
    /// The part that was asked for is complete; what follows would be ignored.
    Nothing,
}

/// Stuffs one message.
#[derive(Debug)]
pub struct Stuffer {
    at: At,
    cut: Cut,
}

/// What the last octet was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    /// A CR that began the line: LF now makes it an empty one.
    CrAtLineStart,
    Middle,
    Cr,
}

/// Where to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Never,
    /// In the header, and so many lines of the body to come.
    Header(u32),
    /// So many lines are to come.
    Body(u32),
}

impl Stuffer {
    /// Starts on a message.
    pub fn new(part: Part) -> Self {
        let cut = match part {
            Part::Whole => Cut::Never,
            Part::Top { lines } => Cut::Header(lines),
        };
        Self { at: At::LineStart, cut }
    }

    /// Whether more of the message is of use.
    pub fn wants(&self) -> BodyWants {
        match self.cut {
            Cut::Body(0) => BodyWants::Nothing,
            Cut::Never | Cut::Header(_) | Cut::Body(_) => BodyWants::More,
        }
    }

    /// Stuffs the next piece, in any split, and gives what to send to `send`, in order.
    pub fn piece(&mut self, piece: Bytes, mut send: impl FnMut(Bytes)) {
        let mut changed = Vec::new();
        // Up to here everything is in `changed`, if anything is.
        let mut copied = 0;
        let mut line_start = 0;
        for lf in memchr_iter(b'\n', &piece).map(Some).chain([None]) {
            if self.wants() == BodyWants::Nothing {
                break;
            }
            let line_end = lf.unwrap_or(piece.len());
            let line = piece.get(line_start..line_end).unwrap_or_default();
            if self.at == At::LineStart && line.first() == Some(&b'.') {
                changed.extend_from_slice(piece.get(copied..line_start).unwrap_or_default());
                changed.push(b'.');
                copied = line_start;
            }
            self.read(line);
            line_start = line_end;
            if lf.is_none() {
                break;
            }
            if !matches!(self.at, At::Cr | At::CrAtLineStart) {
                changed.extend_from_slice(piece.get(copied..line_end).unwrap_or_default());
                changed.push(b'\r');
                copied = line_end;
            }
            self.end_line();
            line_start = line_end + 1;
        }
        if !changed.is_empty() {
            changed.extend_from_slice(piece.get(copied..line_start).unwrap_or_default());
            send(Bytes::from(changed));
        } else if line_start > 0 {
            send(piece.slice(..line_start));
        }
    }

    /// The end of the response, behind a final CRLF that is added where it is missing.
    pub fn end(&self) -> &'static [u8] {
        match self.at {
            At::LineStart => b".\r\n",
            At::Cr | At::CrAtLineStart => b"\n.\r\n",
            At::Middle => b"\r\n.\r\n",
        }
    }

    /// Goes on by octets without LF.
    fn read(&mut self, octets: &[u8]) {
        self.at = match (octets, self.at) {
            ([], at) => at,
            ([b'\r'], At::LineStart) => At::CrAtLineStart,
            ([.., b'\r'], _) => At::Cr,
            _ => At::Middle,
        };
    }

    /// Goes on by a LF.
    fn end_line(&mut self) {
        let empty = matches!(self.at, At::LineStart | At::CrAtLineStart);
        self.at = At::LineStart;
        self.cut = match self.cut {
            Cut::Header(lines) if empty => Cut::Body(lines),
            Cut::Body(lines) => Cut::Body(lines.saturating_sub(1)),
            Cut::Never | Cut::Header(_) => self.cut,
        };
    }
}

#[cfg(test)]
mod tests;
