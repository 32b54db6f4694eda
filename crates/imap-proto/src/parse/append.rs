//! APPEND up to each of its messages (RFC 9051 §6.3.12, RFC 3502, RFC 3516 §4.4, RFC 6855 §4). The messages themselves
//! stream past.

use super::cursor::{Announced, Cursor, Fault, Parsed, announced_literal};
use crate::command::{Dialect, Flag, Tag};
use mail_types::{Civil, MailboxName};

/// What APPEND says of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendMessage {
    /// The flags it gets.
    pub flags: Vec<Flag>,
    /// Its INTERNALDATE; none means now.
    pub date: Option<Civil>,
    /// Its size.
    pub octets: u32,
    /// Whether it came as a literal8, which may hold NUL.
    pub binary: bool,
}

/// A line that ends with a literal, read so far.
#[derive(Debug)]
pub(crate) enum AppendHead {
    /// Not APPEND, or the literal is the mailbox: it is collected.
    Ordinary,
    /// The literal is a message.
    Message { tag: Tag, mailbox: MailboxName, message: AppendMessage, wrapped: bool },
    /// APPEND, but not one that can be carried out.
    Fault(Fault),
}

/// What follows a message.
#[derive(Debug)]
pub(crate) enum Tail {
    /// The end of the command.
    End,
    /// Another message (RFC 3502).
    Message { message: AppendMessage, wrapped: bool },
    /// Neither.
    Fault(Fault),
}

/// Reads a command whose last line announces a literal.
pub(crate) fn append_head(text: &[u8], announced: Announced, dialect: Dialect) -> AppendHead {
    let mut cursor = Cursor::new(text, dialect);
    let Ok(tag) = cursor.tag() else { return AppendHead::Ordinary };
    if cursor.sp().is_err() || !cursor.keyword().is_ok_and(|name| name == "APPEND") || cursor.sp().is_err() {
        return AppendHead::Ordinary;
    }
    // The literal that is announced is the next argument itself: the mailbox.
    if cursor.peek() == Some(b'{') && announced_literal(cursor.rest()).is_some_and(|_| !cursor.rest().contains(&b'\n'))
    {
        return AppendHead::Ordinary;
    }
    let read = (|| {
        let mailbox = cursor.mailbox()?;
        cursor.sp()?;
        let (message, wrapped) = message(&mut cursor, announced)?;
        Ok(AppendHead::Message { tag, mailbox, message, wrapped })
    })();
    read.unwrap_or_else(AppendHead::Fault)
}

/// Reads the line that follows a message.
pub(crate) fn append_tail(line: &[u8], wrapped: bool, dialect: Dialect) -> Tail {
    let mut cursor = Cursor::new(line, dialect);
    let read = (|| {
        if wrapped {
            cursor.expect(b')', "a parenthesis is missing behind the message")?;
        }
        if cursor.at_end() {
            return Ok(Tail::End);
        }
        let announced = announced_literal(line).ok_or(Fault::Bad("another message, or nothing, follows a message"))?;
        cursor.sp()?;
        let (message, wrapped) = message(&mut cursor, announced)?;
        Ok(Tail::Message { message, wrapped })
    })();
    read.unwrap_or_else(Tail::Fault)
}

/// `[(flags) ]["date" ]{n}`; wrapped when it is `UTF8 (~{n}` (RFC 6855 §4).
fn message(cursor: &mut Cursor<'_>, announced: Announced) -> Parsed<(AppendMessage, bool)> {
    let flags = if cursor.peek() == Some(b'(') {
        let flags = cursor.flag_list()?;
        cursor.sp()?;
        flags
    } else {
        Vec::new()
    };
    let date = if cursor.peek() == Some(b'"') {
        let text = cursor.string()?;
        cursor.sp()?;
        Some(date_time(&text).ok_or(Fault::Bad("a date-time is malformed"))?)
    } else {
        None
    };
    let wrapped = cursor.peek().is_some_and(|b| b.eq_ignore_ascii_case(&b'U'));
    if wrapped {
        if cursor.keyword()? != "UTF8" || !cursor.eat(b' ') {
            return Err(MESSAGE);
        }
        cursor.expect(b'(', "UTF8 takes a literal8 in parentheses")?;
    }
    let binary = cursor.eat(b'~');
    let alone = cursor.rest().starts_with(b"{") && !cursor.rest().contains(&b'\n');
    if !alone || announced_literal(cursor.rest()) != Some(announced) || (wrapped && !binary) {
        return Err(MESSAGE);
    }
    // Beyond 32 bits is beyond every limit, which is checked next.
    let octets = announced.octets.unwrap_or(u32::MAX);
    Ok((AppendMessage { flags, date, octets, binary }, wrapped))
}

/// ` 7-Feb-1994 21:52:25 -0800` (RFC 9051 §9 `date-time`); the day also with one digit, as clients send it.
fn date_time(text: &[u8]) -> Option<Civil> {
    let text = std::str::from_utf8(text).ok()?;
    let mut parts = text.trim_start_matches(' ').split(' ');
    let (date, time, zone) = (parts.next()?, parts.next()?, parts.next()?);
    let mut date = date.split('-');
    let day = digits(date.next()?, 1..=2)?;
    let month = Civil::month_from_name(date.next()?)?;
    let year = digits(date.next()?, 4..=4)?;
    let mut time = time.split(':');
    let (hour, minute, second) =
        (digits(time.next()?, 2..=2)?, digits(time.next()?, 2..=2)?, digits(time.next()?, 2..=2)?);
    let (sign, zone) = match zone.split_at_checked(1)? {
        ("+", zone) => (1, zone),
        ("-", zone) => (-1, zone),
        _ => return None,
    };
    let zone = digits(zone, 4..=4)?;
    let offset_minutes = i16::try_from(sign * (zone / 100 * 60 + zone % 100)).ok()?;
    let byte = |n: i32| u8::try_from(n).ok();
    let civil = Civil {
        year,
        month,
        day: byte(day)?,
        hour: byte(hour)?,
        minute: byte(minute)?,
        second: byte(second)?,
        offset_minutes,
    };
    let nothing_else = parts.next().is_none() && date.next().is_none() && time.next().is_none();
    (nothing_else && civil.to_unix().is_ok()).then_some(civil)
}

fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<i32> {
    let holds = length.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if holds { text.parse().ok() } else { None }
}

const MESSAGE: Fault = Fault::Bad("APPEND takes flags, a date-time and a message as a literal");
