//! The text of DATA: dots are stuffed, and only `<CRLF>.<CRLF>` ends it (RFC 5321 §4.5.2, §4.1.1.4).

use crate::line::{CrlfCheck, LineFault};
use bytes::{Bytes, BytesMut};

/// Where unstuffed text goes.
pub(crate) trait TextSink {
    /// The next octets.
    fn text(&mut self, octets: &[u8]);
    /// The text is wrong from here on. What follows is still read, to find the end.
    fn fault(&mut self, fault: TextFault);
}

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFault {
    Line(LineFault),
    LineTooLong,
}

/// Takes the stuffing out, in any split of the stream.
#[derive(Debug)]
pub(crate) struct DotDecoder {
    at: At,
    line_octets: usize,
    line_octets_max: usize,
}

#[derive(Clone, Copy, Debug)]
enum At {
    LineStart,
    /// Behind a dot that began a line.
    Dot,
    /// Behind that dot and a CR.
    DotCr,
    Inside,
    Cr,
}

/// How far a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// All octets are taken and the text goes on.
    More,
    /// The text ended; so many octets belong to it.
    End(usize),
}

impl DotDecoder {
    pub(crate) fn new(line_octets_max: usize) -> Self {
        Self { at: At::LineStart, line_octets: 0, line_octets_max }
    }

    /// One search per line, and one call of the sink per run without stuffing.
    pub(crate) fn decode(&mut self, input: &[u8], sink: &mut impl TextSink) -> Decoded {
        let (mut at, mut run) = (0, 0);
        while let Some(byte) = input.get(at) {
            match (self.at, byte) {
                (At::LineStart, b'.') => {
                    sink.text(between(input, run, at));
                    at += 1;
                    run = at;
                    self.at = At::Dot;
                }
                (At::LineStart, _) => self.at = At::Inside,
                (At::Dot, b'\r') => {
                    at += 1;
                    run = at;
                    self.at = At::DotCr;
                }
                (At::Dot, _) => self.at = At::Inside,
                (At::DotCr, b'\n') => return Decoded::End(at + 1),
                (At::Cr, b'\n') => {
                    at += 1;
                    self.line_octets = 0;
                    self.at = At::LineStart;
                }
                // The octet behind the lone CR is looked at again: it may be the next one.
                (At::DotCr | At::Cr, _) => {
                    sink.text(between(input, run, at));
                    run = at;
                    sink.fault(TextFault::Line(LineFault::BareCr));
                    self.at = At::Inside;
                }
                (At::Inside, _) => (at, run) = self.inside(input, at, run, sink),
            }
        }
        sink.text(between(input, run, at));
        Decoded::More
    }

    /// Goes on to behind the next CR or LF, or to the end.
    fn inside(&mut self, input: &[u8], at: usize, run: usize, sink: &mut impl TextSink) -> (usize, usize) {
        let rest = input.get(at..).unwrap_or_default();
        let found = memchr::memchr2(b'\r', b'\n', rest);
        let text = found.unwrap_or(rest.len());
        let room = self.line_octets_max.saturating_sub(self.line_octets);
        self.line_octets = self.line_octets.saturating_add(text);
        let mut run = run;
        if text > room {
            sink.text(between(input, run, at + room));
            run = at + room;
            sink.fault(TextFault::LineTooLong);
        }
        match found.and_then(|found| rest.get(found)) {
            None => (at + text, run),
            Some(b'\r') => {
                self.at = At::Cr;
                (at + text + 1, run)
            }
            // A dot behind a lone LF begins no line: `<LF>.<CRLF>` ends nothing.
            Some(_) => {
                sink.text(between(input, run, at + text));
                sink.fault(TextFault::Line(LineFault::BareLf));
                (at + text + 1, at + text)
            }
        }
    }
}

/// Stuffs dots into a text that comes in any split, and refuses one that is not lines.
#[derive(Debug, Default)]
pub(crate) struct DotEncoder {
    check: CrlfCheck,
    /// The last octets were CRLF, or there were none.
    mid_line: bool,
}

/// What becomes of a piece of text.
pub(crate) enum Stuffed {
    /// Nothing had to be stuffed.
    AsIs(Bytes),
    /// With dots doubled.
    Copy(BytesMut),
}

impl DotEncoder {
    pub(crate) fn encode(&mut self, text: Bytes) -> Result<Stuffed, LineFault> {
        self.check.check(&text).map_err(|(_, fault)| fault)?;
        let Some(last) = text.last() else { return Ok(Stuffed::AsIs(text)) };
        let leading = !self.mid_line && text.first() == Some(&b'.');
        // The check passed, so every LF ends a line.
        self.mid_line = *last != b'\n';
        let mut dots = memchr::memmem::find_iter(&text, b"\n.").map(|lf| lf + 1).peekable();
        if !leading && dots.peek().is_none() {
            return Ok(Stuffed::AsIs(text));
        }
        let mut out = BytesMut::with_capacity(text.len() + STUFFING_OCTETS_GUESS);
        let mut run = 0;
        for dot in leading.then_some(0).into_iter().chain(dots) {
            out.extend_from_slice(between(&text, run, dot));
            out.extend_from_slice(b".");
            run = dot;
        }
        out.extend_from_slice(between(&text, run, text.len()));
        Ok(Stuffed::Copy(out))
    }

    /// What ends the text: a CRLF is added where the last line has none (RFC 5321 §4.1.1.4).
    pub(crate) fn finish(&self) -> Result<&'static [u8], LineFault> {
        self.check.finish()?;
        Ok(if self.mid_line { b"\r\n.\r\n" } else { b".\r\n" })
    }
}

/// Room for dots, so that few texts need to grow their copy.
const STUFFING_OCTETS_GUESS: usize = 64;

fn between(octets: &[u8], start: usize, end: usize) -> &[u8] {
    octets.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
