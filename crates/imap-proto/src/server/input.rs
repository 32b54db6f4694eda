//! What the peer sent and nobody read yet, as lines and octets.

use bytes::{Buf as _, Bytes, BytesMut};

#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: BytesMut,
    /// How much of it holds no LF, so that a line that comes octet by octet is searched once.
    searched: usize,
    /// How much of a line over its limit was dropped.
    dropped: Option<usize>,
}

/// A line, as far as it is there.
#[derive(Debug)]
pub(super) enum Line {
    /// Not yet.
    Part,
    /// Without its line end.
    Whole(Bytes),
    /// Over its limit from now on; what it starts with.
    TooLong(Bytes),
    /// The end of a line that was over its limit: its last octets.
    TooLongEnd(Bytes),
    /// Over any limit.
    Endless,
}

impl Input {
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes what `fill` writes into room for `max` octets, and says how many they are.
    pub(super) fn fill(&mut self, max: usize, fill: impl FnOnce(&mut [u8]) -> usize) {
        let before = self.bytes.len();
        self.bytes.resize(before + max, 0);
        let count = self.bytes.get_mut(before..).map_or(0, fill).min(max);
        self.bytes.truncate(before + count);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Up to so many octets.
    pub(super) fn take(&mut self, max: usize) -> Bytes {
        self.searched = 0;
        let count = max.min(self.bytes.len());
        self.bytes.split_to(count).freeze()
    }

    /// The next line of at most `max` octets; of a longer one at most `skip_max` are dropped. A bare LF ends a line too.
    pub(super) fn line(&mut self, max: usize, skip_max: usize) -> Line {
        let unseen = self.bytes.get(self.searched..).unwrap_or_default();
        let line_end = memchr::memchr(b'\n', unseen).map(|at| at + self.searched);
        self.searched = line_end.unwrap_or(self.bytes.len());
        let text = self.bytes.get(..self.searched).unwrap_or_default();
        // A CR at the end is part of the line end, or not counted yet.
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        match self.dropped {
            None if text.len() > max => {
                self.dropped = Some(0);
                return Line::TooLong(Bytes::copy_from_slice(text.get(..max.min(START_OCTETS)).unwrap_or(text)));
            }
            Some(dropped) if dropped.saturating_add(text.len()) > skip_max => return Line::Endless,
            Some(_) | None => {}
        }
        let Some(line_end) = line_end else {
            self.drop_part();
            return Line::Part;
        };
        let octets = text.len();
        let mut line = self.bytes.split_to(line_end).freeze();
        line.truncate(octets);
        self.bytes.advance(1);
        self.searched = 0;
        if self.dropped.take().is_some() { Line::TooLongEnd(line) } else { Line::Whole(line) }
    }

    /// Of a line over its limit only the last octets are kept: they may announce a literal.
    fn drop_part(&mut self) {
        if let Some(dropped) = &mut self.dropped {
            let count = self.bytes.len().saturating_sub(ANNOUNCEMENT_OCTETS_MAX);
            self.bytes.advance(count);
            self.searched = self.bytes.len();
            *dropped = dropped.saturating_add(count);
        }
    }

    /// Gives the memory back when nothing is in it.
    pub(super) fn release(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > 0 {
            self.bytes = BytesMut::new();
        }
    }
}

/// `~{4294967295+}` and a CR.
const ANNOUNCEMENT_OCTETS_MAX: usize = 16;
/// Enough for a tag.
const START_OCTETS: usize = 300;

#[cfg(test)]
impl Input {
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
