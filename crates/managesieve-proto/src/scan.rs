//! Where a line ends. A literal belongs to the line that announces it, and so does what stands behind it (RFC 5804 §4); what
//! it holds ends nothing, nor does what is quoted open a literal.

/// Walks over a stream, piece by piece, and keeps a few octets only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scanner {
    place: Place,
    /// The line has begun.
    within: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Text,
    Quoted,
    /// Behind a backslash in quotes.
    Escaped,
    /// Behind `{` and digits, with their value.
    Counting(Option<u64>),
    /// Behind the plus, with the count.
    Plus(u64),
    /// Behind `}`.
    Counted(u64),
    /// Behind `}` and CR.
    CountedCr(u64),
    /// So many octets of a literal are left.
    Literal(u64),
}

impl Scanner {
    /// How many of these octets belong to the line, where it ends in them.
    pub(crate) fn end_of_line(&mut self, octets: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(octet) = octets.get(at) {
            if let Place::Literal(left) = self.place {
                let there = octets.len() - at;
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(there);
                at += taken;
                // Fewer than were left, so that it does not go below zero.
                self.place = match left - taken as u64 {
                    0 => Place::Text,
                    left => Place::Literal(left),
                };
                continue;
            }
            at += 1;
            match self.place.behind(*octet) {
                Some(place) => (self.place, self.within) = (place, true),
                None => {
                    *self = Self::default();
                    return Some(at);
                }
            }
        }
        None
    }

    /// Whether a part of a line has passed.
    pub(crate) fn is_within_line(&self) -> bool {
        self.within
    }
}

impl Place {
    /// Nothing at the end of the line.
    fn behind(self, octet: u8) -> Option<Self> {
        let place = match (self, octet) {
            (Self::Counted(0) | Self::CountedCr(0), b'\n') => Self::Text,
            (Self::Counted(count) | Self::CountedCr(count), b'\n') => Self::Literal(count),
            (Self::Counted(count), b'\r') => Self::CountedCr(count),
            // No string goes over the end of a line: what is broken is broken for one line.
            (_, b'\n') => return None,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted, b'"') => Self::Text,
            (Self::Quoted | Self::Escaped, _) => Self::Quoted,
            (Self::Counting(count), b'0'..=b'9') => {
                let digit = u64::from(octet - b'0');
                Self::Counting(Some(count.unwrap_or(0).saturating_mul(10).saturating_add(digit)))
            }
            (Self::Counting(Some(count)), b'+') => Self::Plus(count),
            (Self::Counting(Some(count)) | Self::Plus(count), b'}') => Self::Counted(count),
            (_, b'"') => Self::Quoted,
            (_, b'{') => Self::Counting(None),
            _ => Self::Text,
        };
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(stream: &[u8], piece_octets: usize) -> Vec<usize> {
        let (mut scanner, mut ends, mut passed) = (Scanner::default(), Vec::new(), 0);
        for piece in stream.chunks(piece_octets) {
            let mut rest = piece;
            while let Some(end) = scanner.end_of_line(rest) {
                passed += end;
                ends.push(passed);
                rest = rest.split_at(end).1;
            }
            passed += rest.len();
        }
        ends
    }

    #[test]
    fn a_literal_is_part_of_its_line_in_any_split() {
        let each: [&[u8]; 8] = [
            b"NOOP\r\n",
            b"PUTSCRIPT \"a\" {5+}\r\n\"\r\n{3\r\n",
            b"A {2}\nx\n {0+}\r\n {1}\r\n\"\r\n",
            b"\"{3+}\"\r\n",
            b"\"a\\\"{9}\"\n",
            b"\"open {7}\r\n",
            b"{3}x\r\n",
            b"{+}\r\n",
        ];
        let ends: Vec<usize> = each
            .iter()
            .scan(0, |sum, line| {
                *sum += line.len();
                Some(*sum)
            })
            .collect();
        for size in [1, 2, 3, 7, 1000] {
            assert_eq!(lines(&each.concat(), size), ends, "pieces of {size}");
        }
    }

    #[test]
    fn a_count_beyond_all_numbers_never_ends() {
        let mut scanner = Scanner::default();
        assert_eq!(scanner.end_of_line(b"X {99999999999999999999999999+}\r\n\r\n\r\n"), None);
        assert!(scanner.is_within_line());
    }
}
