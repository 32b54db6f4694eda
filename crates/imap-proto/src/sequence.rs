//! Sets of message numbers (RFC 9051 §9 `sequence-set`), as ranges.

use mail_types::{Uid, UidSet};
use std::fmt;
use std::num::NonZeroU32;

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SeqBound {
    /// A sequence number or UID.
    Number(NonZeroU32),
    /// `*`: the highest in the mailbox.
    Last,
}

/// `2,4:7,9,12:*`: ranges in the order and direction they were written in, never empty when parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SequenceSet(Vec<(SeqBound, SeqBound)>);

/// The messages that a command is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MessageSet {
    /// As written.
    Set(SequenceSet),
    /// `$`: the result that SEARCH saved (RFC 5182).
    Saved,
}

impl SeqBound {
    fn parse(text: &[u8]) -> Option<Self> {
        if text == b"*" {
            return Some(Self::Last);
        }
        parse_nz_number(text).map(Self::Number)
    }

    /// Its number where the highest is `last`.
    pub fn resolve(self, last: u32) -> u32 {
        match self {
            Self::Number(number) => number.get(),
            Self::Last => last,
        }
    }
}

impl SequenceSet {
    /// Reads a set without `$`. How many ranges it has is bounded by the line that it stands on.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let range = |part: &[u8]| {
            let mut ends = part.splitn(2, |b| *b == b':');
            let first = SeqBound::parse(ends.next()?)?;
            let last = ends.next().map_or(Some(first), SeqBound::parse)?;
            Some((first, last))
        };
        text.split(|b| *b == b',').map(range).collect::<Option<Vec<_>>>().map(Self)
    }

    /// The runs of numbers, best given sorted; zeros are left out.
    pub fn from_numbers(numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut runs: Vec<(NonZeroU32, NonZeroU32)> = Vec::new();
        for number in numbers.into_iter().filter_map(NonZeroU32::new) {
            match runs.last_mut() {
                Some(run) if run.1.checked_add(1) == Some(number) => run.1 = number,
                Some(_) | None => runs.push((number, number)),
            }
        }
        Self(runs.into_iter().map(|(a, b)| (SeqBound::Number(a), SeqBound::Number(b))).collect())
    }

    /// As written.
    pub fn ranges(&self) -> &[(SeqBound, SeqBound)] {
        &self.0
    }

    /// Whether it holds nothing, which IMAP cannot write.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sorted, disjoint, non-adjacent ranges, given the highest number in the mailbox (zero when it is empty, where a
    /// range with `*` holds nothing). `7:3` is `3:7`, and `12:*` always holds the highest (RFC 9051 §9 `seq-range`).
    pub fn resolve(&self, last: u32) -> Vec<(u32, u32)> {
        let mut ranges: Vec<(u32, u32)> = self.0.iter().map(|(a, b)| (a.resolve(last), b.resolve(last))).collect();
        ranges.retain(|(a, b)| *a != 0 && *b != 0);
        for (a, b) in &mut ranges {
            if b < a {
                std::mem::swap(a, b);
            }
        }
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (first, end) in ranges {
            match merged.last_mut() {
                Some(run) if first <= run.1.saturating_add(1) => run.1 = run.1.max(end),
                Some(_) | None => merged.push((first, end)),
            }
        }
        merged
    }

    /// As UIDs, given the highest in the mailbox.
    pub fn uids(&self, last: Option<Uid>) -> UidSet {
        let ranges = self.resolve(last.map_or(0, Uid::number));
        UidSet::from_ranges(ranges.into_iter().filter_map(|(a, b)| Some((Uid::new(a)?, Uid::new(b)?))))
    }
}

impl From<&UidSet> for SequenceSet {
    fn from(uids: &UidSet) -> Self {
        let bound = |uid: Uid| NonZeroU32::new(uid.number()).map(SeqBound::Number);
        Self(uids.ranges().iter().filter_map(|(a, b)| Some((bound(*a)?, bound(*b)?))).collect())
    }
}

impl fmt::Display for SeqBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Last => f.write_str("*"),
        }
    }
}

impl fmt::Display for SequenceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}:{last}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for MessageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(set) => set.fmt(f),
            Self::Saved => f.write_str("$"),
        }
    }
}

/// `nz-number` (RFC 9051 §9): no leading zero, within 32 bits.
fn parse_nz_number(text: &[u8]) -> Option<NonZeroU32> {
    if !text.iter().all(u8::is_ascii_digit) || text.first() == Some(&b'0') {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(text: &str) -> SequenceSet {
        SequenceSet::parse(text.as_bytes()).expect(text)
    }

    #[test]
    fn examples_of_rfc_9051() {
        // §9: "2,4:7,9,12:*" of 15 messages is 2,4,5,6,7,9,12,13,14,15; "*:4,5:7" of 10 overlaps.
        assert_eq!(set("2,4:7,9,12:*").resolve(15), [(2, 2), (4, 7), (9, 9), (12, 15)]);
        assert_eq!(set("*:4,5:7").resolve(10), [(4, 10)]);
        assert_eq!(set("559:*").resolve(300), [(300, 559)]);
        assert_eq!(set("*").resolve(0), []);
        assert_eq!(set("1:*,4").resolve(0), [(4, 4)]);
        assert_eq!(set("1:4294967295").resolve(9), [(1, u32::MAX)]);
    }

    #[test]
    fn what_is_no_set() {
        for text in ["", "0", "01", "1,", ",1", "1:", ":1", "1:2:3", "a", "-1", "+1", "4294967296", "1 2", "**", "$"] {
            assert_eq!(SequenceSet::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn runs_of_numbers() {
        assert_eq!(SequenceSet::from_numbers([1, 2, 3, 7, 9, 10]).to_string(), "1:3,7,9:10");
        assert!(SequenceSet::from_numbers([0]).is_empty());
        let uids = set("3:1,*").uids(Uid::new(7));
        assert_eq!(uids.to_string(), "1:3,7");
        assert_eq!(SequenceSet::from(&uids).to_string(), "1:3,7");
    }

    proptest! {
        #[test]
        fn display_parses_back(ranges in proptest::collection::vec((0u32..50, 0u32..50), 1..20), last in 0u32..60) {
            let bound = |n| NonZeroU32::new(n).map_or(SeqBound::Last, SeqBound::Number);
            let set = SequenceSet(ranges.iter().map(|(a, b)| (bound(*a), bound(*b))).collect());
            prop_assert_eq!(SequenceSet::parse(set.to_string().as_bytes()), Some(set.clone()));
            // The same members as a walk over every number.
            let resolved = set.resolve(last);
            for n in 1..60 {
                let expected = set.ranges().iter().any(|(a, b)| {
                    let (a, b) = (a.resolve(last), b.resolve(last));
                    a != 0 && b != 0 && (a.min(b)..=a.max(b)).contains(&n)
                });
                prop_assert_eq!(resolved.iter().any(|(a, b)| (*a..=*b).contains(&n)), expected);
            }
        }
    }
}
