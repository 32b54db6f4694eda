//! Cuts one direction of a session into lines. A line that comes whole is not copied.

use super::PART_OCTETS_MAX;
use std::fmt;

/// The line that is coming in.
#[derive(Default)]
pub(super) struct Lines {
    /// How it begins.
    head: Vec<u8>,
    /// How it ends so far.
    tail: Vec<u8>,
    octets: usize,
    /// It has ended; what is here belongs to the one that was given.
    ended: bool,
}

/// A line without its end, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// How it begins …
    pub(super) head: &'a [u8],
    /// … and how it ends.
    pub(super) tail: &'a [u8],
    /// Whether the head is all of it.
    pub(super) whole: bool,
}

impl Lines {
    /// Takes the line off that ends in these octets; if none does, keeps what it needs of them.
    pub(super) fn take<'s, 'o: 's>(&'s mut self, octets: &mut &'o [u8]) -> Option<Line<'s>> {
        if self.ended {
            // A buffer of a long line is given back, as idle sessions are many.
            *self = Self::default();
        }
        let Some(end) = memchr::memchr(b'\n', octets) else {
            self.push(octets);
            *octets = &[];
            return None;
        };
        let (line, rest) = octets.split_at(end);
        *octets = rest.get(1..).unwrap_or_default();
        if self.octets == 0 {
            let head = line.get(..line.len().min(PART_OCTETS_MAX)).unwrap_or(line);
            return Some(Line::new(head, last(line), line.len()));
        }
        self.push(line);
        self.ended = true;
        Some(Line::new(&self.head, &self.tail, self.octets))
    }

    /// Whether no line has begun.
    pub(super) fn is_empty(&self) -> bool {
        self.octets == 0 || self.ended
    }

    /// Whether the line that is coming in is longer than what is kept of it.
    pub(super) fn is_long(&self) -> bool {
        !self.ended && self.octets > PART_OCTETS_MAX
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    fn push(&mut self, octets: &[u8]) {
        let room = PART_OCTETS_MAX.saturating_sub(self.head.len()).min(octets.len());
        self.head.extend_from_slice(octets.get(..room).unwrap_or_default());
        self.tail.extend_from_slice(last(octets));
        let surplus = self.tail.len().saturating_sub(TAIL_OCTETS);
        self.tail.drain(..surplus);
        self.octets = self.octets.saturating_add(octets.len());
    }
}

impl<'a> Line<'a> {
    fn new(head: &'a [u8], tail: &'a [u8], octets: usize) -> Self {
        let whole = octets <= PART_OCTETS_MAX;
        let head = if whole { head.strip_suffix(b"\r").unwrap_or(head) } else { head };
        Self { head, tail: tail.strip_suffix(b"\r").unwrap_or(tail), whole }
    }
}

fn last(octets: &[u8]) -> &[u8] {
    octets.get(octets.len().saturating_sub(TAIL_OCTETS)..).unwrap_or(octets)
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("octets", &self.octets).field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// `~{4294967295+}` and a CR, with room for zeros.
const TAIL_OCTETS: usize = 32;
