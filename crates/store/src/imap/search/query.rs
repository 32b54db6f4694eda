//! What SEARCH asks, made ready to be asked of many messages.
//!
//! A test answers yes, no, or "not without the text"; so what the row says comes before what only the text says, and
//! most texts are never read.

use super::super::content::Reader;
use super::super::selected::Selected;
use imap_proto::Numbering;
use imap_proto::search::{DateField, DateTest, EnvelopeField, SearchDate, SearchKey};
use mail_types::{FlagSet, Uid, UidSet, UnixTime};
use mailbox::MessageRow;
use std::time::Duration;

/// What the keys of a search refer to.
pub(super) struct Scope<'a> {
    pub(super) selected: &'a Selected,
    pub(super) saved: &'a UidSet,
    pub(super) now: UnixTime,
}

/// A search key, compiled.
#[derive(Clone, Debug)]
pub(super) enum Query {
    Always(bool),
    /// All of these, the cheap ones first.
    And(Vec<Query>),
    /// Any of these, the cheap ones first.
    Or(Vec<Query>),
    Not(Box<Query>),
    Uids(UidSet),
    Has(FlagSet),
    Larger(u64),
    Smaller(u64),
    ModSeq(u64),
    ArrivedAfter(UnixTime),
    Arrived(DateTest, SearchDate),
    Sent(DateTest, SearchDate),
    /// A field, and a text in lower case.
    Header(String, String),
    Body(String),
    Text(String),
}

impl Query {
    pub(super) fn compile(key: &SearchKey, scope: &Scope<'_>) -> Self {
        let selected = scope.selected;
        let negated = |query: Self| Self::Not(Box::new(query));
        let system = |flag| Self::Has(FlagSet::system(flag));
        match key {
            SearchKey::All | SearchKey::Old => Self::Always(true),
            // No message is recent: IMAP4rev2 has no such flag, and telling it to one session only costs a write.
            SearchKey::New | SearchKey::Recent => Self::Always(false),
            SearchKey::And(keys) => Self::And(sorted(keys.iter().map(|key| Self::compile(key, scope)).collect())),
            SearchKey::Or(a, b) => Self::Or(sorted(vec![Self::compile(a, scope), Self::compile(b, scope)])),
            SearchKey::Not(key) => negated(Self::compile(key, scope)),
            SearchKey::Sequence(set) => Self::Uids(selected.resolve_for_search(set, Numbering::Sequence, scope.saved)),
            SearchKey::Uid(set) => Self::Uids(selected.resolve_for_search(set, Numbering::Uid, scope.saved)),
            SearchKey::Flag(flag) => system(*flag),
            SearchKey::NotFlag(flag) => negated(system(*flag)),
            SearchKey::Keyword(keyword) => keyword_of(selected, keyword),
            SearchKey::Unkeyword(keyword) => negated(keyword_of(selected, keyword)),
            SearchKey::Envelope(field, text) => Self::Header(name(*field).into(), text.to_lowercase()),
            SearchKey::Header(name, text) => Self::Header(name.clone(), text.to_lowercase()),
            SearchKey::Body(text) => Self::Body(text.to_lowercase()),
            SearchKey::Text(text) => Self::Text(text.to_lowercase()),
            SearchKey::Date(DateField::Internal, test, date) => Self::Arrived(*test, *date),
            SearchKey::Date(DateField::Sent, test, date) => Self::Sent(*test, *date),
            SearchKey::Larger(octets) => Self::Larger(*octets),
            SearchKey::Smaller(octets) => Self::Smaller(*octets),
            SearchKey::Younger(seconds) => Self::ArrivedAfter(ago(scope.now, *seconds)),
            // RFC 5032 §2: OLDER is what is not YOUNGER, but for the very second.
            SearchKey::Older(seconds) => negated(Self::ArrivedAfter(ago(scope.now, *seconds))),
            SearchKey::ModSeq(modseq) => Self::ModSeq(*modseq),
        }
    }

    /// A bound of what can match, from the sets that every match must be in.
    pub(super) fn among(&self, all: &UidSet) -> UidSet {
        match self {
            Self::Uids(uids) => uids.clone(),
            Self::Always(false) => UidSet::new(),
            Self::And(parts) => {
                parts.iter().fold(all.clone(), |among, part| super::sets::intersection(&among, &part.among(all)))
            }
            Self::Or(parts) => {
                parts.iter().fold(UidSet::new(), |among, part| super::sets::union(&among, &part.among(all)))
            }
            Self::Always(true)
            | Self::Not(_)
            | Self::Has(_)
            | Self::Larger(_)
            | Self::Smaller(_)
            | Self::ModSeq(_)
            | Self::ArrivedAfter(_)
            | Self::Arrived(..)
            | Self::Sent(..)
            | Self::Header(..)
            | Self::Body(_)
            | Self::Text(_) => all.clone(),
        }
    }

    /// Whether everything within the bound matches, so that no row need be read.
    pub(super) fn holds_for_all(&self) -> bool {
        match self {
            Self::Always(_) | Self::Uids(_) => true,
            Self::And(parts) => parts.iter().all(Self::holds_for_all),
            Self::Or(_)
            | Self::Not(_)
            | Self::Has(_)
            | Self::Larger(_)
            | Self::Smaller(_)
            | Self::ModSeq(_)
            | Self::ArrivedAfter(_)
            | Self::Arrived(..)
            | Self::Sent(..)
            | Self::Header(..)
            | Self::Body(_)
            | Self::Text(_) => false,
        }
    }

    /// Whether a message matches; none when only its text can say and it is not here.
    pub(super) fn holds(&self, uid: Uid, row: &MessageRow, text: Option<&Reader<'_>>) -> Option<bool> {
        match self {
            Self::Always(holds) => Some(*holds),
            Self::And(parts) => first_or_all(parts, false, |part| part.holds(uid, row, text)),
            Self::Or(parts) => first_or_all(parts, true, |part| part.holds(uid, row, text)),
            Self::Not(part) => part.holds(uid, row, text).map(|holds| !holds),
            Self::Uids(uids) => Some(uids.contains(uid)),
            Self::Has(flag) => Some(row.flags.contains(*flag)),
            Self::Larger(octets) => Some(row.size > *octets),
            Self::Smaller(octets) => Some(row.size < *octets),
            Self::ModSeq(modseq) => Some(row.modseq.number() >= *modseq),
            Self::ArrivedAfter(time) => Some(row.date >= *time),
            Self::Arrived(test, date) => Some(test.holds(row.date.civil(0).into(), *date)),
            Self::Sent(test, date) => {
                text.map(|text| text.header().date().is_some_and(|sent| test.holds(sent.into(), *date)))
            }
            Self::Header(name, wanted) => text
                .map(|text| text.header().root().field_texts(name).any(|value| value.to_lowercase().contains(wanted))),
            Self::Body(wanted) => text.map(|text| in_body(text, wanted)),
            Self::Text(wanted) => text.map(|text| text.header_text().contains(wanted) || in_body(text, wanted)),
        }
    }

    /// What it costs to ask, roughly.
    fn cost(&self) -> u8 {
        match self {
            Self::Always(_) => 0,
            Self::Has(_)
            | Self::Uids(_)
            | Self::Larger(_)
            | Self::Smaller(_)
            | Self::ModSeq(_)
            | Self::ArrivedAfter(_)
            | Self::Arrived(..) => 1,
            Self::Sent(..) | Self::Header(..) => 2,
            Self::Body(_) | Self::Text(_) => 3,
            Self::Not(part) => part.cost(),
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::cost).max().unwrap_or(0),
        }
    }
}

/// The first part that decides (one that is `decisive`), else whether all are known.
fn first_or_all(parts: &[Query], decisive: bool, ask: impl Fn(&Query) -> Option<bool>) -> Option<bool> {
    let mut known = true;
    for part in parts {
        match ask(part) {
            Some(holds) if holds == decisive => return Some(decisive),
            Some(_) => {}
            None => known = false,
        }
    }
    known.then_some(!decisive)
}

fn sorted(mut parts: Vec<Query>) -> Vec<Query> {
    parts.sort_by_key(Query::cost);
    parts
}

fn keyword_of(selected: &Selected, keyword: &mail_types::Keyword) -> Query {
    let known = selected.keywords.iter().position(|known| known == keyword).and_then(FlagSet::keyword);
    known.map_or(Query::Always(false), Query::Has)
}

fn in_body(text: &Reader<'_>, wanted: &str) -> bool {
    // RFC 9051 §6.4.4: the empty text is in every body.
    wanted.is_empty() || text.body_texts().iter().any(|text| text.contains(wanted))
}

fn name(field: EnvelopeField) -> &'static str {
    match field {
        EnvelopeField::From => "from",
        EnvelopeField::To => "to",
        EnvelopeField::Cc => "cc",
        EnvelopeField::Bcc => "bcc",
        EnvelopeField::Subject => "subject",
    }
}

fn ago(now: UnixTime, seconds: u32) -> UnixTime {
    now.before(Duration::from_secs(u64::from(seconds)))
}
