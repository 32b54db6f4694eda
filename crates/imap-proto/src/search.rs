//! What SEARCH asks (RFC 9051 §6.4.4, RFC 4731, RFC 5032, RFC 5182, RFC 7162 §3.1.5).

use crate::command::Numbering;
use crate::sequence::MessageSet;
use mail_types::{Keyword, SystemFlag};

/// Arguments of SEARCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Whether UIDs are to be returned.
    pub by: Numbering,
    /// `RETURN (…)`; none when it was not there, and then RFC 3501's `* SEARCH` answers (unless IMAP4rev2 is enabled).
    pub returns: Option<SearchReturn>,
    /// What messages must match: the keys of the command, joined by [`SearchKey::And`] when there are several.
    pub key: SearchKey,
}

/// Result options of RFC 4731 and RFC 5182. `RETURN ()` is `RETURN (ALL)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchReturn {
    /// `MIN`
    pub min: bool,
    /// `MAX`
    pub max: bool,
    /// `ALL`
    pub all: bool,
    /// `COUNT`
    pub count: bool,
    /// `SAVE`
    pub save: bool,
}

/// One condition. Nesting is at most [`SearchKey::DEPTH_MAX`] deep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// `ALL`
    All,
    /// Every one of these: a parenthesised list, or the keys of the command.
    And(Vec<SearchKey>),
    /// `OR a b`
    Or(Box<SearchKey>, Box<SearchKey>),
    /// `NOT a`
    Not(Box<SearchKey>),
    /// A set of sequence numbers.
    Sequence(MessageSet),
    /// `UID set`
    Uid(MessageSet),
    /// `ANSWERED`, `DELETED`, `DRAFT`, `FLAGGED`, `SEEN`
    Flag(SystemFlag),
    /// `UNANSWERED`, …
    NotFlag(SystemFlag),
    /// `KEYWORD k`
    Keyword(Keyword),
    /// `UNKEYWORD k`
    Unkeyword(Keyword),
    /// `NEW` (RFC 3501): recent and not seen
    New,
    /// `OLD` (RFC 3501): not recent
    Old,
    /// `RECENT` (RFC 3501)
    Recent,
    /// A substring of an address or subject header of the envelope.
    Envelope(EnvelopeField, String),
    /// `HEADER name text`: an empty text asks whether the header is there
    Header(String, String),
    /// `BODY text`
    Body(String),
    /// `TEXT text`: header or body
    Text(String),
    /// By date: of arrival or of the header.
    Date(DateField, DateTest, SearchDate),
    /// `LARGER n`
    Larger(u64),
    /// `SMALLER n`
    Smaller(u64),
    /// `YOUNGER s`: arrived within so many seconds (RFC 5032)
    Younger(u32),
    /// `OLDER s` (RFC 5032)
    Older(u32),
    /// `MODSEQ n`: changed at or after (RFC 7162 §3.1.5). The optional entry name is checked and dropped: we keep one
    /// MODSEQ for all flags of a message, which that section allows.
    ModSeq(u64),
}

impl SearchKey {
    /// How deep `NOT`, `OR` and parentheses may nest: ours; clients build four or five levels.
    pub const DEPTH_MAX: usize = 32;
    /// How many keys one command may have: ours; clients OR a few hundred Message-IDs.
    pub const COUNT_MAX: usize = 4096;

    /// Whether a `MODSEQ` key is in it, which makes the command CONDSTORE-enabling (RFC 7162 §3.1).
    pub fn uses_modseq(&self) -> bool {
        self.any(&|key| matches!(key, Self::ModSeq(_)))
    }

    /// Whether a test holds for this key or one inside it.
    pub fn any(&self, test: &dyn Fn(&Self) -> bool) -> bool {
        if test(self) {
            return true;
        }
        match self {
            Self::And(keys) => keys.iter().any(|key| key.any(test)),
            Self::Or(a, b) => a.any(test) || b.any(test),
            Self::Not(key) => key.any(test),
            Self::All
            | Self::Sequence(_)
            | Self::Uid(_)
            | Self::Flag(_)
            | Self::NotFlag(_)
            | Self::Keyword(_)
            | Self::Unkeyword(_)
            | Self::New
            | Self::Old
            | Self::Recent
            | Self::Envelope(..)
            | Self::Header(..)
            | Self::Body(_)
            | Self::Text(_)
            | Self::Date(..)
            | Self::Larger(_)
            | Self::Smaller(_)
            | Self::Younger(_)
            | Self::Older(_)
            | Self::ModSeq(_) => false,
        }
    }
}

/// Which header of the envelope is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeField {
    /// `FROM`
    From,
    /// `TO`
    To,
    /// `CC`
    Cc,
    /// `BCC`
    Bcc,
    /// `SUBJECT`
    Subject,
}

/// Which date is compared, time and zone aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateField {
    /// INTERNALDATE: `BEFORE`, `ON`, `SINCE`
    Internal,
    /// The Date header: `SENTBEFORE`, `SENTON`, `SENTSINCE`
    Sent,
}

/// How dates are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateTest {
    /// Earlier.
    Before,
    /// The same day.
    On,
    /// The same day or later.
    Since,
}

/// A day on the calendar; ordered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SearchDate {
    /// Year, 1 to 9999.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day, 1 to 31, and one that the month has.
    pub day: u8,
}

impl DateTest {
    /// Whether a message's day passes against the asked one.
    pub fn holds(self, day: SearchDate, asked: SearchDate) -> bool {
        match self {
            Self::Before => day < asked,
            Self::On => day == asked,
            Self::Since => day >= asked,
        }
    }
}

impl From<mail_types::Civil> for SearchDate {
    /// The day alone: RFC 9051 §6.4.4 disregards time and zone.
    fn from(civil: mail_types::Civil) -> Self {
        Self { year: civil.year, month: civil.month, day: civil.day }
    }
}
