//! SEARCH (RFC 9051 §9 `search`).

use super::cursor::{Cursor, Fault, Parsed};
use crate::command::Numbering;
use crate::search::{DateField, DateTest, EnvelopeField, Search, SearchDate, SearchKey, SearchReturn};
use mail_types::{Civil, Keyword, SystemFlag};

pub(super) fn search(by: Numbering, cursor: &mut Cursor<'_>) -> Parsed<Search> {
    let returns = if option(cursor, "RETURN")? { Some(returns(cursor)?) } else { None };
    if option(cursor, "CHARSET")? {
        let charset = cursor.astring()?;
        cursor.sp()?;
        if !CHARSETS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(&charset)) {
            return Err(Fault::Charset);
        }
    }
    let mut keys = Keys { count: 0 };
    let mut all = vec![keys.key(cursor, 0)?];
    while cursor.more() {
        all.push(keys.key(cursor, 0)?);
    }
    Ok(Search { by, returns, key: joined(all) })
}

/// Takes a word and the space behind it when it stands next.
fn option(cursor: &mut Cursor<'_>, word: &str) -> Parsed<bool> {
    let mut ahead = cursor.clone();
    if !ahead.keyword().is_ok_and(|found| found == word) {
        return Ok(false);
    }
    ahead.sp()?;
    *cursor = ahead;
    Ok(true)
}

fn returns(cursor: &mut Cursor<'_>) -> Parsed<SearchReturn> {
    let mut returns = SearchReturn::default();
    cursor.list(RETURN_COUNT_MAX, |cursor| {
        match cursor.keyword()?.as_str() {
            "MIN" => returns.min = true,
            "MAX" => returns.max = true,
            "ALL" => returns.all = true,
            "COUNT" => returns.count = true,
            "SAVE" => returns.save = true,
            _ => return Err(Fault::Bad("no such result option of SEARCH")),
        }
        Ok(())
    })?;
    cursor.sp()?;
    // RFC 4731 §3.1: an empty list is ALL.
    if returns == SearchReturn::default() {
        returns.all = true;
    }
    Ok(returns)
}

/// Counts the keys of one command.
struct Keys {
    count: usize,
}

impl Keys {
    fn key(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Parsed<SearchKey> {
        self.count += 1;
        if depth > SearchKey::DEPTH_MAX || self.count > SearchKey::COUNT_MAX {
            return Err(Fault::Bad("the search is too deep or too long"));
        }
        match cursor.peek() {
            Some(b'(') => {
                let keys = cursor.list(SearchKey::COUNT_MAX, |cursor| self.key(cursor, depth + 1))?;
                if keys.is_empty() { Err(Fault::Bad("an empty list of search keys")) } else { Ok(joined(keys)) }
            }
            Some(b'0'..=b'9' | b'*' | b'$') => cursor.message_set().map(SearchKey::Sequence),
            Some(_) | None => {
                let word = cursor.keyword()?;
                self.named(&word, cursor, depth)
            }
        }
    }

    fn named(&mut self, word: &str, cursor: &mut Cursor<'_>, depth: usize) -> Parsed<SearchKey> {
        match word {
            "OR" => {
                let first = self.next(cursor, depth)?;
                Ok(SearchKey::Or(Box::new(first), Box::new(self.next(cursor, depth)?)))
            }
            "NOT" => Ok(SearchKey::Not(Box::new(self.next(cursor, depth)?))),
            _ => match without_argument(word) {
                Some(key) => Ok(key),
                None => with_argument(word, cursor),
            },
        }
    }

    fn next(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Parsed<SearchKey> {
        cursor.sp()?;
        self.key(cursor, depth + 1)
    }
}

fn joined(mut keys: Vec<SearchKey>) -> SearchKey {
    match (keys.len(), keys.pop()) {
        (1, Some(only)) => only,
        (_, Some(last)) => {
            keys.push(last);
            SearchKey::And(keys)
        }
        (_, None) => SearchKey::All,
    }
}

fn without_argument(word: &str) -> Option<SearchKey> {
    Some(match word {
        "ALL" => SearchKey::All,
        "ANSWERED" => SearchKey::Flag(SystemFlag::Answered),
        "DELETED" => SearchKey::Flag(SystemFlag::Deleted),
        "DRAFT" => SearchKey::Flag(SystemFlag::Draft),
        "FLAGGED" => SearchKey::Flag(SystemFlag::Flagged),
        "SEEN" => SearchKey::Flag(SystemFlag::Seen),
        "UNANSWERED" => SearchKey::NotFlag(SystemFlag::Answered),
        "UNDELETED" => SearchKey::NotFlag(SystemFlag::Deleted),
        "UNDRAFT" => SearchKey::NotFlag(SystemFlag::Draft),
        "UNFLAGGED" => SearchKey::NotFlag(SystemFlag::Flagged),
        "UNSEEN" => SearchKey::NotFlag(SystemFlag::Seen),
        "NEW" => SearchKey::New,
        "OLD" => SearchKey::Old,
        "RECENT" => SearchKey::Recent,
        _ => return None,
    })
}

fn with_argument(word: &str, cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    if !WITH_ARGUMENT.contains(&word) {
        return Err(Fault::Bad("no such search key"));
    }
    cursor.sp()?;
    Ok(match word {
        "UID" => SearchKey::Uid(cursor.message_set()?),
        "KEYWORD" => SearchKey::Keyword(keyword(cursor)?),
        "UNKEYWORD" => SearchKey::Unkeyword(keyword(cursor)?),
        "FROM" => SearchKey::Envelope(EnvelopeField::From, cursor.text()?),
        "TO" => SearchKey::Envelope(EnvelopeField::To, cursor.text()?),
        "CC" => SearchKey::Envelope(EnvelopeField::Cc, cursor.text()?),
        "BCC" => SearchKey::Envelope(EnvelopeField::Bcc, cursor.text()?),
        "SUBJECT" => SearchKey::Envelope(EnvelopeField::Subject, cursor.text()?),
        "BODY" => SearchKey::Body(cursor.text()?),
        "TEXT" => SearchKey::Text(cursor.text()?),
        "HEADER" => {
            let name = cursor.text()?;
            cursor.sp()?;
            SearchKey::Header(name, cursor.text()?)
        }
        "LARGER" => SearchKey::Larger(cursor.number()?),
        "SMALLER" => SearchKey::Smaller(cursor.number()?),
        "YOUNGER" => SearchKey::Younger(interval(cursor)?),
        "OLDER" => SearchKey::Older(interval(cursor)?),
        "MODSEQ" => modseq(cursor)?,
        _ => dated(word, cursor)?,
    })
}

fn dated(word: &str, cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    let (field, test) = match word.strip_prefix("SENT") {
        Some(test) => (DateField::Sent, test),
        None => (DateField::Internal, word),
    };
    let test = match test {
        "BEFORE" => DateTest::Before,
        "ON" => DateTest::On,
        _ => DateTest::Since,
    };
    Ok(SearchKey::Date(field, test, date(cursor)?))
}

fn keyword(cursor: &mut Cursor<'_>) -> Parsed<Keyword> {
    const BAD: Fault = Fault::Bad("a keyword is missing or malformed");
    let text = cursor.text().map_err(|_| BAD)?;
    Keyword::parse(&text).map_err(|_| BAD)
}

/// RFC 5032 §3: not zero.
fn interval(cursor: &mut Cursor<'_>) -> Parsed<u32> {
    match cursor.number32()? {
        0 => Err(Fault::Bad("an interval is at least one second")),
        seconds => Ok(seconds),
    }
}

/// RFC 7162 §3.1.5: `MODSEQ ["/flags/\\Seen" all] 7`.
fn modseq(cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    if cursor.peek() == Some(b'"') {
        let entry = cursor.string()?;
        cursor.sp()?;
        let kind = cursor.keyword()?;
        cursor.sp()?;
        let known_kind = matches!(kind.as_str(), "ALL" | "PRIV" | "SHARED");
        if !known_kind || !entry.starts_with(b"/flags/") {
            return Err(Fault::Bad("MODSEQ is malformed"));
        }
    }
    cursor.number().map(SearchKey::ModSeq)
}

/// `1-Feb-1994`, in quotes or not, the day with one digit or two (RFC 9051 §9 `date`).
fn date(cursor: &mut Cursor<'_>) -> Parsed<SearchDate> {
    let text = cursor.text()?;
    parse_date(&text).ok_or(Fault::Bad("a date is missing or malformed"))
}

fn parse_date(text: &str) -> Option<SearchDate> {
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = text.split('-');
    let day = parts.next().filter(|day| matches!(day.len(), 1 | 2) && digits(day))?.parse().ok()?;
    let month = Civil::month_from_name(parts.next()?)?;
    let year = parts.next().filter(|year| year.len() == 4 && digits(year))?.parse().ok()?;
    let civil = Civil { year, month, day, hour: 0, minute: 0, second: 0, offset_minutes: 0 };
    civil.to_unix().ok()?;
    parts.next().is_none().then(|| civil.into())
}

const WITH_ARGUMENT: [&str; 22] = [
    "UID",
    "KEYWORD",
    "UNKEYWORD",
    "FROM",
    "TO",
    "CC",
    "BCC",
    "SUBJECT",
    "BODY",
    "TEXT",
    "HEADER",
    "LARGER",
    "SMALLER",
    "YOUNGER",
    "OLDER",
    "MODSEQ",
    "BEFORE",
    "ON",
    "SINCE",
    "SENTBEFORE",
    "SENTON",
    "SENTSINCE",
];
/// US-ASCII is UTF-8 too (RFC 9051 §6.4.4 asks for both).
const CHARSETS: [&str; 2] = ["UTF-8", "US-ASCII"];
/// Ours: there are five.
const RETURN_COUNT_MAX: usize = 16;
