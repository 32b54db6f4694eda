//! From octets to lines. A line ends with LF; a CR before it is dropped, so that CRLF (RFC 1939 §3) and a person's
//! netcat both work. Nothing can be smuggled by it: no hop behind us reads the same octets.

use crate::words::Secret;
use memchr::memchr;

/// What arrived and was not yet read as a line.
#[derive(Default)]
pub(crate) struct LineBuffer {
    octets: Vec<u8>,
    /// Where the next line starts.
    start: usize,
    /// The line that is coming in was too long; what is left of it is dropped.
    overlong: bool,
}

/// The next line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A whole one. It may hold a password.
    Whole(Secret),
    /// One over the limit.
    TooLong,
}

impl LineBuffer {
    pub(crate) fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Takes the next line off; `octets_max` counts its CRLF.
    pub(crate) fn next_line(&mut self, octets_max: usize) -> Option<Line> {
        let waiting = self.octets.get(self.start..).unwrap_or_default();
        let Some(end) = memchr(b'\n', waiting) else {
            if waiting.len() >= octets_max || self.overlong {
                self.overlong = true;
                self.clear();
            }
            self.compact();
            return None;
        };
        let line = waiting.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // Counted as if CRLF ended it, so that it does not matter how the stream was split.
        let line = if std::mem::take(&mut self.overlong) || line.len() + 2 > octets_max {
            Line::TooLong
        } else {
            Line::Whole(Secret::new(line.to_vec()))
        };
        self.start += end + 1;
        if self.start == self.octets.len() {
            self.clear();
        }
        Some(line)
    }

    /// Whether what comes next begins with these letters, as far as it has arrived.
    pub(crate) fn starts_with_ignore_case(&self, prefix: &[u8]) -> bool {
        let waiting = self.octets.get(self.start..).unwrap_or_default();
        waiting.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    }

    /// Takes everything off that has arrived.
    pub(crate) fn take(&mut self) -> Secret {
        self.compact();
        Secret::new(std::mem::take(&mut self.octets))
    }

    /// Whether nothing has arrived that was not read.
    pub(crate) fn is_empty(&self) -> bool {
        self.octets.is_empty() && !self.overlong
    }

    /// Forgets what arrived, and gives the memory back.
    pub(crate) fn clear(&mut self) {
        // A password may have been in it.
        drop(Secret::new(std::mem::take(&mut self.octets)));
        self.start = 0;
    }

    /// Moves an unfinished line to the front, into a buffer of its own size.
    fn compact(&mut self) {
        if self.start > 0 {
            let rest = self.octets.get(self.start..).unwrap_or_default().to_vec();
            self.clear();
            self.octets = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &[u8]) -> Option<Line> {
        Some(Line::Whole(Secret::new(text.to_vec())))
    }

    #[test]
    fn lines_end_with_lf_and_lose_one_cr() {
        let mut buffer = LineBuffer::default();
        buffer.push(b"NOOP\r\nQUIT\nA\r\r\nrest");
        assert_eq!(buffer.next_line(255), whole(b"NOOP"));
        assert_eq!(buffer.next_line(255), whole(b"QUIT"));
        assert_eq!(buffer.next_line(255), whole(b"A\r"));
        assert_eq!(buffer.next_line(255), None);
        assert!(!buffer.is_empty());
        buffer.push(b"\r\n");
        assert_eq!(buffer.next_line(255), whole(b"rest"));
        assert!(buffer.is_empty());
        assert_eq!(buffer.octets.capacity(), 0, "an idle connection holds no buffer");
    }

    #[test]
    fn the_limit_counts_crlf_in_any_split() {
        for size in [1, 3, 9, 10, 11, 100] {
            let mut buffer = LineBuffer::default();
            let mut lines = Vec::new();
            for piece in b"12345678\r\n123456789\r\n12345678901234567890\r\nok\r\n".chunks(size) {
                buffer.push(piece);
                while let Some(line) = buffer.next_line(10) {
                    lines.push(line);
                }
                assert!(buffer.octets.len() <= 10 + size);
            }
            let expected = [whole(b"12345678"), Some(Line::TooLong), Some(Line::TooLong), whole(b"ok")];
            assert_eq!(lines, expected.into_iter().flatten().collect::<Vec<_>>(), "pieces of {size}");
        }
    }
}
