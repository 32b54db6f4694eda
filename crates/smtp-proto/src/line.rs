//! Lines end with CR LF and with nothing else (RFC 5321 §2.3.8).
//!
//! Whoever took a lone LF or CR for a line end would read other commands out of a stream than the peer wrote: SMTP
//! smuggling. So a lone one is never skipped over; it is a fault that the callers answer.

use crate::limits::ENDLESS_LINE_OCTETS;
use bytes::{Buf, Bytes, BytesMut};

/// Why octets are not lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFault {
    /// A CR without LF.
    BareCr,
    /// A LF without CR.
    BareLf,
}

/// What stands at the front of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line, without its CRLF.
    Whole(Bytes),
    /// The end of a line that was over the limit; its octets are gone.
    TooLong,
    /// A line that has no end where each has one.
    Endless,
    /// A lone CR or LF.
    Fault(LineFault),
    /// Not yet a line.
    Partial,
}

/// Takes lines off the front of a buffer, which never keeps more than one line's limit.
#[derive(Debug, Default)]
pub(crate) struct LineReader {
    overlong: bool,
    /// Octets of this line that are gone already.
    discarded: usize,
}

impl LineReader {
    pub(crate) fn take(&mut self, input: &mut BytesMut, octets_max: usize) -> Line {
        let found = memchr::memchr2(b'\r', b'\n', input);
        if self.discarded + found.unwrap_or(input.len()) > ENDLESS_LINE_OCTETS {
            return Line::Endless;
        }
        let Some(end) = found else {
            if input.len() > octets_max {
                self.overlong = true;
                self.discarded += input.len();
                input.clear();
            }
            return Line::Partial;
        };
        self.overlong |= end > octets_max;
        match (input.get(end), input.get(end + 1)) {
            (Some(b'\n'), _) => Line::Fault(LineFault::BareLf),
            (_, Some(b'\n')) => self.whole(input, end),
            (_, Some(_)) => Line::Fault(LineFault::BareCr),
            (_, None) => {
                if self.overlong {
                    self.discarded += end;
                    input.advance(end);
                }
                Line::Partial
            }
        }
    }

    fn whole(&mut self, input: &mut BytesMut, end: usize) -> Line {
        let line = input.split_to(end).freeze();
        input.advance(2);
        self.discarded = 0;
        if std::mem::take(&mut self.overlong) { Line::TooLong } else { Line::Whole(line) }
    }
}

/// Checks octets that arrive in any split for lone CRs and LFs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CrlfCheck {
    after_cr: bool,
}

impl CrlfCheck {
    /// The first fault, with how many octets stand before it.
    pub(crate) fn check(&mut self, input: &[u8]) -> Result<(), (usize, LineFault)> {
        let mut at = 0;
        loop {
            if self.after_cr {
                match input.get(at) {
                    None => return Ok(()),
                    Some(b'\n') => at += 1,
                    Some(_) => return Err((at, LineFault::BareCr)),
                }
                self.after_cr = false;
            }
            let rest = input.get(at..).unwrap_or_default();
            let Some(next) = memchr::memchr2(b'\r', b'\n', rest) else { return Ok(()) };
            if rest.get(next) == Some(&b'\n') {
                return Err((at + next, LineFault::BareLf));
            }
            self.after_cr = true;
            at += next + 1;
        }
    }

    /// The stream ends here: a CR must not be waiting for its LF.
    pub(crate) fn finish(self) -> Result<(), LineFault> {
        if self.after_cr { Err(LineFault::BareCr) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &str, octets_max: usize) -> Vec<Line> {
        let (mut reader, mut buffer, mut lines) = (LineReader::default(), BytesMut::new(), Vec::new());
        for byte in input.bytes() {
            buffer.extend_from_slice(&[byte]);
            match reader.take(&mut buffer, octets_max) {
                Line::Partial => assert!(buffer.len() <= octets_max + 1),
                Line::Fault(fault) => {
                    lines.push(Line::Fault(fault));
                    break;
                }
                Line::Endless => {
                    lines.push(Line::Endless);
                    break;
                }
                line @ (Line::Whole(_) | Line::TooLong) => lines.push(line),
            }
        }
        lines
    }

    #[test]
    fn lines_of_any_split() {
        let whole = |text: &'static str| Line::Whole(Bytes::from_static(text.as_bytes()));
        assert_eq!(lines("NOOP\r\n\r\nQ", 10), [whole("NOOP"), whole("")]);
        assert_eq!(lines("0123456789\r\n01234567890\r\nab\r\n", 10), [whole("0123456789"), Line::TooLong, whole("ab")]);
        assert_eq!(lines("a\nb\r\n", 10), [Line::Fault(LineFault::BareLf)]);
        assert_eq!(lines("a\rb\r\n", 10), [Line::Fault(LineFault::BareCr)]);
        assert_eq!(lines("a\r\r\n", 10), [Line::Fault(LineFault::BareCr)]);
        assert_eq!(lines("012345678901234567890\n", 10), [Line::Fault(LineFault::BareLf)]);
    }

    #[test]
    fn a_line_without_end_ends_in_any_split() {
        let line = |octets: usize| [vec![b'x'; octets], b"\r\nab\r\n".to_vec()].concat();
        for step in [1000, 65_536, ENDLESS_LINE_OCTETS, 2 * ENDLESS_LINE_OCTETS] {
            for (octets, expected) in [(ENDLESS_LINE_OCTETS, Line::TooLong), (ENDLESS_LINE_OCTETS + 1, Line::Endless)] {
                let (mut reader, mut buffer) = (LineReader::default(), BytesMut::new());
                let line = line(octets);
                let mut taken = line.chunks(step).map(|piece| {
                    buffer.extend_from_slice(piece);
                    reader.take(&mut buffer, 10)
                });
                assert_eq!(taken.find(|line| *line != Line::Partial), Some(expected), "{octets} in pieces of {step}");
            }
        }
    }

    #[test]
    fn lone_line_ends_are_found() {
        let check = |parts: &[&str]| {
            let mut check = CrlfCheck::default();
            parts.iter().try_for_each(|part| check.check(part.as_bytes()).map_err(|(_, fault)| fault))?;
            check.finish()
        };
        assert_eq!(check(&["a\r\n", "b\r", "\nc"]), Ok(()));
        assert_eq!(check(&["a\r\n", "b\r"]), Err(LineFault::BareCr));
        assert_eq!(check(&["a\r\n", "b\r", "c"]), Err(LineFault::BareCr));
        assert_eq!(check(&["a\r\n\n"]), Err(LineFault::BareLf));
        assert_eq!(check(&["\n"]), Err(LineFault::BareLf));
        assert_eq!(check(&["", "\r", "", "\n"]), Ok(()));
    }
}
