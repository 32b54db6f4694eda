//! A file in pieces that are read beside one another.

use super::lines::{begins_entry, ends_of_lines};
use std::num::NonZeroUsize;

/// How a file's lines go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Each line stands for itself.
    Lines,
    /// Lines that begin with white space continue the one before.
    Continued,
}

/// How many threads read a file, and how little is worth a thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hands {
    /// At most.
    pub(crate) threads: NonZeroUsize,
    /// Of one piece, but for the last.
    pub(crate) piece_octets_min: usize,
}

/// Some lines of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'f> {
    pub(super) octets: &'f [u8],
    /// The number of its first line.
    pub(super) first: usize,
}

impl Hands {
    /// The caller alone.
    pub(crate) const ONE: Self = Self::of(NonZeroUsize::MIN);

    pub(crate) const fn of(threads: NonZeroUsize) -> Self {
        Self { threads, piece_octets_min: PIECE_OCTETS_MIN }
    }
}

impl<'f> Piece<'f> {
    pub(super) fn whole(octets: &'f [u8]) -> Self {
        Self { octets, first: 1 }
    }

    /// The same lines in pieces of about one size, one for each thread. None begins with a line that might continue one
    /// before it.
    pub(super) fn split(self, form: Form, hands: Hands) -> Vec<Self> {
        let pieces = hands.threads.get().min(self.octets.len() / hands.piece_octets_min.max(1)).max(1);
        let octets_each = self.octets.len().div_ceil(pieces);
        let (mut split, mut left) = (Vec::with_capacity(pieces), self);
        while let Some((piece, rest)) = left.split_after(octets_each, form) {
            split.push(piece);
            left = rest;
        }
        split.push(left);
        split
    }

    /// At the first line after so many octets where that may be; `None` where nothing would be left behind it.
    fn split_after(self, octets: usize, form: Form) -> Option<(Self, Self)> {
        let mut end = octets.saturating_sub(1);
        loop {
            end += self.octets.get(end..)?.iter().position(|octet| *octet == b'\n')? + 1;
            let (before, behind) = self.octets.split_at_checked(end)?;
            if behind.is_empty() {
                return None;
            }
            if form == Form::Lines || begins_entry(behind) {
                let rest = Self { octets: behind, first: self.first + ends_of_lines(before) };
                return Some((Self { octets: before, ..self }, rest));
            }
        }
    }
}

/// A millisecond of reading and more: less is read sooner than a thread starts.
const PIECE_OCTETS_MIN: usize = 256 << 10;

#[cfg(test)]
mod tests;
