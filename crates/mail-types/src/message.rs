//! What IMAP calls a message's attributes (RFC 9051 §2.3, RFC 7162 §3.1).

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

macro_rules! nonzero {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $int:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name($inner);
        impl $name {
            /// The lowest.
            pub const FIRST: Self = Self(<$inner>::MIN);
            /// The highest.
            pub const MAX: Self = Self(<$inner>::MAX);
            /// From its number; zero is none.
            pub const fn new(number: $int) -> Option<Self> {
                match <$inner>::new(number) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }
            /// Its number.
            pub const fn number(self) -> $int {
                self.0.get()
            }
            /// The one after this; none after the highest.
            pub const fn next(self) -> Option<Self> {
                match self.0.checked_add(1) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

nonzero! {
    /// Unique identifier of a message in a mailbox; only grows (RFC 9051 §2.3.1.1).
    Uid, NonZeroU32, u32
}
nonzero! {
    /// A message's place in a session's view of a mailbox, from 1 (RFC 9051 §2.3.1.2).
    SeqNum, NonZeroU32, u32
}
nonzero! {
    /// Under which UIDs keep their meaning (RFC 9051 §2.3.1.1).
    UidValidity, NonZeroU32, u32
}
nonzero! {
    /// Modification sequence, at most 63 bits (RFC 7162 §3.1).
    ModSeq, NonZeroU64, u64
}

/// The flags of RFC 9051 §2.3.2 that are the same in every mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum SystemFlag {
    /// `\Seen`
    Seen = 0,
    /// `\Answered`
    Answered = 1,
    /// `\Flagged`
    Flagged = 2,
    /// `\Deleted`
    Deleted = 3,
    /// `\Draft`
    Draft = 4,
}

impl SystemFlag {
    /// All of them, in the order of their bits.
    pub const ALL: [Self; 5] = [Self::Seen, Self::Answered, Self::Flagged, Self::Deleted, Self::Draft];

    /// With its backslash.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seen => "\\Seen",
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Draft => "\\Draft",
        }
    }

    /// From its name with the backslash, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flag| flag.name().eq_ignore_ascii_case(name))
    }
}

/// The flags of one message as bits: five system flags, then the mailbox's keywords in the order it met them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlagSet(u64);

impl FlagSet {
    /// No flag.
    pub const EMPTY: Self = Self(0);
    /// How many keywords a mailbox may have.
    pub const KEYWORD_COUNT_MAX: usize = 59;

    /// From its bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Its bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// One system flag.
    pub const fn system(flag: SystemFlag) -> Self {
        Self(1 << flag as u8)
    }

    /// The mailbox's keyword of that index; none above [`Self::KEYWORD_COUNT_MAX`].
    pub const fn keyword(index: usize) -> Option<Self> {
        if index < Self::KEYWORD_COUNT_MAX { Some(Self(1 << (index + 5))) } else { None }
    }

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the system flag is set.
    pub const fn has(self, flag: SystemFlag) -> bool {
        self.contains(Self::system(flag))
    }

    /// With those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The indices of the keywords that are set.
    pub fn keyword_indices(self) -> impl Iterator<Item = usize> {
        (0..Self::KEYWORD_COUNT_MAX).filter(move |index| self.0 & (1 << (index + 5)) != 0)
    }
}

/// A flag that a client or a standard named: an atom without a backslash (RFC 9051 §2.3.2). Compared without case.
#[derive(Clone, Debug)]
pub struct Keyword(Box<str>);

/// Why a text is no keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a keyword is an atom of at most 128 octets")]
pub struct KeywordError;

impl Keyword {
    /// Reads an atom (RFC 9051 §9 `flag-keyword`).
    pub fn parse(text: &str) -> Result<Self, KeywordError> {
        let atom = !text.is_empty()
            && text.len() <= 128
            && text.bytes().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b));
        if atom { Ok(Self(text.into())) } else { Err(KeywordError) }
    }

    /// As it was first written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

/// UIDs as sorted, disjoint, non-adjacent inclusive ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UidSet(Vec<(Uid, Uid)>);

impl UidSet {
    /// No UID.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// From UIDs or ranges in any order, overlapping or not.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (Uid, Uid)>) -> Self {
        let mut sorted: Vec<(Uid, Uid)> = ranges.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
        sorted.sort_unstable();
        let mut merged: Vec<(Uid, Uid)> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match merged.last_mut() {
                Some(run) if run.1.next().is_none_or(|after| first <= after) => run.1 = run.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// Adds a UID above all that are in it, which is how they come; others are merged in.
    pub fn push(&mut self, uid: Uid) {
        match self.0.last_mut() {
            Some(run) if run.1.next() == Some(uid) => run.1 = uid,
            Some(run) if run.1 >= uid => {
                let ranges = std::mem::take(&mut self.0);
                *self = Self::from_ranges(ranges.into_iter().chain([(uid, uid)]));
            }
            _ => self.0.push((uid, uid)),
        }
    }

    /// Whether it holds a UID.
    pub fn contains(&self, uid: Uid) -> bool {
        let at = self.0.partition_point(|run| run.1 < uid);
        self.0.get(at).is_some_and(|run| run.0 <= uid)
    }

    /// The ranges, sorted.
    pub fn ranges(&self) -> &[(Uid, Uid)] {
        &self.0
    }

    /// Every UID, sorted. A set from a peer may hold four thousand million: walk only what the mailbox holds.
    pub fn iter(&self) -> impl Iterator<Item = Uid> {
        self.0.iter().flat_map(|(first, last)| (first.number()..=last.number()).filter_map(Uid::new))
    }

    /// How many UIDs it holds.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| u64::from(last.number() - first.number()) + 1).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        let mut set = Self::new();
        for uid in uids {
            set.push(uid);
        }
        set
    }
}

impl fmt::Display for UidSet {
    /// As a `sequence-set`: `1:3,7` (RFC 9051 §9); nothing for the empty set, which IMAP cannot write.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn uid(number: u32) -> Uid {
        Uid::new(number).expect("not zero")
    }

    #[test]
    fn flags_are_bits() {
        let flags = FlagSet::system(SystemFlag::Seen).with(FlagSet::keyword(3).expect("a keyword"));
        assert!(flags.has(SystemFlag::Seen) && !flags.has(SystemFlag::Deleted));
        assert_eq!(flags.keyword_indices().collect::<Vec<_>>(), [3]);
        assert_eq!(flags.without(FlagSet::system(SystemFlag::Seen)).bits(), 1 << 8);
        assert!(FlagSet::keyword(59).is_none());
        assert_eq!(SystemFlag::from_name("\\sEEN"), Some(SystemFlag::Seen));
        assert_eq!(Keyword::parse("$Junk"), Keyword::parse("$JUNK"));
        assert!(Keyword::parse("\\Seen").is_err() && Keyword::parse("").is_err());
    }

    proptest! {
        #[test]
        fn a_uid_set_is_a_set(uids in proptest::collection::vec(1u32..200, 0..60)) {
            let expected: BTreeSet<u32> = uids.iter().copied().collect();
            let set: UidSet = uids.iter().map(|n| uid(*n)).collect();
            prop_assert_eq!(set.iter().map(Uid::number).collect::<BTreeSet<_>>(), expected.clone());
            prop_assert_eq!(set.len(), expected.len() as u64);
            for n in 1..200 {
                prop_assert_eq!(set.contains(uid(n)), expected.contains(&n));
            }
            for pair in set.ranges().windows(2) {
                prop_assert!(pair[0].1.number() + 1 < pair[1].0.number());
            }
        }
    }
}
