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
}

impl Input {
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
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

    /// How much of an overlong line was dropped so far.
    pub(super) fn dropped(&self) -> usize {
        self.dropped.unwrap_or(0)
    }

    /// The next line of at most `max` octets. A bare LF ends a line too.
    pub(super) fn line(&mut self, max: usize) -> Line {
        let unseen = self.bytes.get(self.searched..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', unseen).map(|at| at + self.searched) else {
            self.searched = self.bytes.len();
            // One more for a CR whose LF is on its way.
            return if self.dropped.is_some() || self.searched > max.saturating_add(1) {
                self.drop_part()
            } else {
                Line::Part
            };
        };
        self.searched = 0;
        let line = self.bytes.split_to(end).freeze();
        self.bytes.advance(1);
        let line = line.strip_suffix(b"\r").map_or_else(|| line.clone(), |text| line.slice_ref(text));
        match self.dropped.take() {
            Some(_) => Line::TooLongEnd(line),
            None if line.len() > max => {
                // Told in the same two steps as when it comes in parts.
                let start = line.slice(..line.len().min(START_OCTETS));
                self.dropped = Some(0);
                let mut rest = BytesMut::with_capacity(ANNOUNCEMENT_OCTETS_MAX + 1 + self.bytes.len());
                rest.extend_from_slice(
                    line.get(line.len().saturating_sub(ANNOUNCEMENT_OCTETS_MAX)..).unwrap_or_default(),
                );
                rest.extend_from_slice(b"\n");
                rest.extend_from_slice(&self.bytes);
                self.bytes = rest;
                Line::TooLong(start)
            }
            None => Line::Whole(line),
        }
    }

    /// Drops all but the last octets, which may announce a literal.
    fn drop_part(&mut self) -> Line {
        let first = self.dropped.is_none();
        let start = Bytes::copy_from_slice(self.bytes.get(..START_OCTETS.min(self.bytes.len())).unwrap_or_default());
        let count = self.bytes.len().saturating_sub(ANNOUNCEMENT_OCTETS_MAX);
        self.bytes.advance(count);
        self.searched = self.bytes.len();
        self.dropped = Some(self.dropped().saturating_add(count));
        if first { Line::TooLong(start) } else { Line::Part }
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
