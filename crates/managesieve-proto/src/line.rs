//! From octets to lines, with the literals in them. LF ends one as CRLF does: no hop behind us reads the same octets.

use crate::scan::Scanner;
use crate::words::Secret;

/// What arrived and was not yet read.
#[derive(Default)]
pub(crate) struct LineBuffer {
    octets: Vec<u8>,
    /// Where the next line starts.
    start: usize,
    /// Up to here no line ends.
    scanned: usize,
    scanner: Scanner,
}

/// The next line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A whole one, its end included. It may hold a password.
    Whole(Secret),
    /// One over the limit: where it ends, nobody looks.
    TooLong,
}

impl LineBuffer {
    pub(crate) fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Takes the next line off.
    pub(crate) fn next_line(&mut self, octets_max: usize) -> Option<Line> {
        let unread = self.octets.get(self.scanned..).unwrap_or_default();
        let Some(octets) = self.scanner.end_of_line(unread) else {
            self.compact();
            self.scanned = self.octets.len();
            return (self.scanned > octets_max).then_some(Line::TooLong);
        };
        let end = self.scanned + octets;
        let line = self.octets.get(self.start..end).unwrap_or_default();
        let line = if line.len() > octets_max { Line::TooLong } else { Line::Whole(Secret::new(line.to_vec())) };
        (self.start, self.scanned) = (end, end);
        if end == self.octets.len() {
            self.clear();
        }
        Some(line)
    }

    /// Takes everything off that has arrived.
    pub(crate) fn take(&mut self) -> Secret {
        self.compact();
        (self.scanned, self.scanner) = (0, Scanner::default());
        Secret::new(std::mem::take(&mut self.octets))
    }

    /// Whether nothing has arrived that was not read.
    pub(crate) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Forgets what arrived, and gives the memory back.
    pub(crate) fn clear(&mut self) {
        // A password may have been in it.
        drop(self.take());
    }

    /// Moves an unfinished line to the front, into a buffer of its own size.
    fn compact(&mut self) {
        if self.start > 0 {
            let rest = self.octets.get(self.start..).unwrap_or_default().to_vec();
            drop(Secret::new(std::mem::replace(&mut self.octets, rest)));
            self.scanned = self.scanned.saturating_sub(self.start);
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &[u8]) -> Line {
        Line::Whole(Secret::new(text.to_vec()))
    }

    #[test]
    fn the_limit_is_the_same_in_any_split() {
        for size in [1, 3, 9, 10, 11, 100] {
            let (mut buffer, mut lines) = (LineBuffer::default(), Vec::new());
            'stream: for piece in b"{3}\r\na\n\r\n12345678\r\n\r\n123456789\r\n".chunks(size) {
                buffer.push(piece);
                while let Some(line) = buffer.next_line(10) {
                    let over = line == Line::TooLong;
                    lines.push(line);
                    if over {
                        break 'stream;
                    }
                }
                assert!(buffer.octets.len() <= 10 + size);
            }
            assert_eq!(
                lines,
                [whole(b"{3}\r\na\n\r\n"), whole(b"12345678\r\n"), whole(b"\r\n"), Line::TooLong],
                "{size}"
            );
        }
    }

    #[test]
    fn an_idle_connection_holds_no_buffer() {
        let mut buffer = LineBuffer::default();
        buffer.push(b"NOOP\r\n");
        assert_eq!(buffer.next_line(10), Some(whole(b"NOOP\r\n")));
        assert!(buffer.is_empty() && buffer.octets.capacity() == 0 && buffer.next_line(10).is_none());
    }
}
