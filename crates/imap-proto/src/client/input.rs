//! What a server sent and nobody read yet.

use bytes::{Buf as _, Bytes, BytesMut};

#[derive(Debug)]
pub(super) struct Input {
    octets: BytesMut,
    /// How much of it holds no LF, so that a line that comes octet by octet is searched once.
    searched: usize,
    line_octets_max: usize,
    /// How much may still be read as lines.
    left: usize,
}

/// A line, as far as it is there.
#[derive(Debug)]
pub(super) enum Line {
    /// Not yet.
    Part,
    /// Without its end. A bare LF is one, as it is for servers.
    Whole(Bytes),
    /// Over a limit.
    TooMuch,
    /// It holds what no line holds (RFC 9051 §9: TEXT-CHAR).
    Malformed,
}

impl Input {
    pub(super) fn new(line_octets_max: usize, octets_max: usize) -> Self {
        Self { octets: BytesMut::new(), searched: 0, line_octets_max, left: octets_max }
    }

    pub(super) fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    pub(super) fn line(&mut self) -> Line {
        let limit = self.line_octets_max.min(self.left);
        let unseen = self.octets.get(self.searched..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', unseen).map(|at| at + self.searched) else {
            self.searched = self.octets.len();
            return if self.searched >= limit { Line::TooMuch } else { Line::Part };
        };
        // Counted with its end.
        if end >= limit {
            return Line::TooMuch;
        }
        self.searched = 0;
        self.left = self.left.saturating_sub(end + 1);
        let mut line = self.octets.split_to(end).freeze();
        self.octets.advance(1);
        if line.ends_with(b"\r") {
            line.truncate(line.len() - 1);
        }
        if memchr::memchr2(b'\r', 0, &line).is_some() { Line::Malformed } else { Line::Whole(line) }
    }

    /// Whether everything was read.
    pub(super) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Takes everything off.
    pub(super) fn take(&mut self) -> Bytes {
        self.searched = 0;
        std::mem::take(&mut self.octets).freeze()
    }

    pub(super) fn clear(&mut self) {
        self.octets = BytesMut::new();
        self.searched = 0;
    }
}
