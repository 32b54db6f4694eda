//! FETCH (RFC 9051 §9 `fetch`, RFC 3516 §7, RFC 7162 §7).

use super::cursor::{Cursor, Fault, Parsed};
use crate::command::{Fetch, Numbering};
use crate::fetch::{BinarySection, BodySection, FetchItem, Partial, Section, SectionText};
use std::num::NonZeroU32;

pub(super) fn fetch(by: Numbering, cursor: &mut Cursor<'_>) -> Parsed<Fetch> {
    let set = cursor.message_set()?;
    cursor.sp()?;
    let items = items(cursor)?;
    let mut fetch = Fetch { by, set, items, changed_since: None, vanished: false };
    if cursor.more() {
        modifiers(&mut fetch, cursor)?;
    }
    Ok(fetch)
}

fn modifiers(fetch: &mut Fetch, cursor: &mut Cursor<'_>) -> Parsed<()> {
    cursor.list(MODIFIER_COUNT_MAX, |cursor| {
        match cursor.keyword()?.as_str() {
            "CHANGEDSINCE" => {
                cursor.sp()?;
                fetch.changed_since = Some(cursor.number()?);
            }
            "VANISHED" => fetch.vanished = true,
            _ => return Err(Fault::Bad("no such modifier of FETCH")),
        }
        Ok(())
    })?;
    // RFC 7162 §3.2.6: VANISHED only with UID FETCH and CHANGEDSINCE.
    if fetch.vanished && (fetch.by == Numbering::Sequence || fetch.changed_since.is_none()) {
        return Err(Fault::Bad("VANISHED stands with UID FETCH and CHANGEDSINCE"));
    }
    Ok(())
}

fn items(cursor: &mut Cursor<'_>) -> Parsed<Vec<FetchItem>> {
    if cursor.peek() == Some(b'(') {
        let items = cursor.list(FetchItem::COUNT_MAX, |cursor| {
            let name = cursor.item_name();
            item(&name, cursor)
        })?;
        return if items.is_empty() { Err(Fault::Bad("FETCH without an item")) } else { Ok(items) };
    }
    let name = cursor.item_name();
    let fast = [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Size];
    Ok(match name.as_str() {
        "FAST" => fast.into(),
        "ALL" => fast.into_iter().chain([FetchItem::Envelope]).collect(),
        "FULL" => fast.into_iter().chain([FetchItem::Envelope, FetchItem::Body]).collect(),
        _ => vec![item(&name, cursor)?],
    })
}

fn item(name: &str, cursor: &mut Cursor<'_>) -> Parsed<FetchItem> {
    Ok(match name {
        "UID" => FetchItem::Uid,
        "FLAGS" => FetchItem::Flags,
        "INTERNALDATE" => FetchItem::InternalDate,
        "RFC822.SIZE" => FetchItem::Size,
        "ENVELOPE" => FetchItem::Envelope,
        "BODYSTRUCTURE" => FetchItem::BodyStructure,
        "MODSEQ" => FetchItem::ModSeq,
        "RFC822" => FetchItem::Rfc822,
        "RFC822.HEADER" => FetchItem::Rfc822Header,
        "RFC822.TEXT" => FetchItem::Rfc822Text,
        "BODY" if cursor.peek() != Some(b'[') => FetchItem::Body,
        "BODY" => FetchItem::Section(body_section(false, cursor)?),
        "BODY.PEEK" => FetchItem::Section(body_section(true, cursor)?),
        "BINARY" => FetchItem::Binary(binary_section(false, cursor)?),
        "BINARY.PEEK" => FetchItem::Binary(binary_section(true, cursor)?),
        "BINARY.SIZE" => FetchItem::BinarySize(binary_part(cursor)?),
        _ => return Err(Fault::Bad("no such item of FETCH")),
    })
}

fn body_section(peek: bool, cursor: &mut Cursor<'_>) -> Parsed<BodySection> {
    open(cursor)?;
    let (part, dangling) = part_number(cursor)?;
    let text = section_text(cursor)?;
    // `1.` names nothing, and MIME is the header of a part (RFC 9051 §6.4.5.1).
    if (dangling && text.is_none()) || (part.is_empty() && text == Some(SectionText::Mime)) {
        return Err(SECTION);
    }
    if !dangling && !part.is_empty() && text.is_some() {
        return Err(SECTION);
    }
    close(cursor)?;
    Ok(BodySection { section: Section { part, text }, peek, partial: partial(cursor)? })
}

fn binary_section(peek: bool, cursor: &mut Cursor<'_>) -> Parsed<BinarySection> {
    Ok(BinarySection { part: binary_part(cursor)?, peek, partial: partial(cursor)? })
}

fn binary_part(cursor: &mut Cursor<'_>) -> Parsed<Vec<NonZeroU32>> {
    open(cursor)?;
    let (part, dangling) = part_number(cursor)?;
    if dangling {
        return Err(SECTION);
    }
    close(cursor)?;
    Ok(part)
}

fn open(cursor: &mut Cursor<'_>) -> Parsed<()> {
    cursor.expect(b'[', "a section stands in brackets")
}

fn close(cursor: &mut Cursor<'_>) -> Parsed<()> {
    cursor.expect(b']', "a section stands in brackets")
}

/// `1.2.3`, and whether a dot follows that starts a text.
fn part_number(cursor: &mut Cursor<'_>) -> Parsed<(Vec<NonZeroU32>, bool)> {
    let mut part = Vec::new();
    while cursor.peek().is_some_and(|b| b.is_ascii_digit()) {
        if part.len() >= Section::PART_DEPTH_MAX {
            return Err(SECTION);
        }
        part.push(NonZeroU32::new(cursor.number32()?).ok_or(SECTION)?);
        if !cursor.eat(b'.') {
            return Ok((part, false));
        }
    }
    let dangling = !part.is_empty();
    Ok((part, dangling))
}

fn section_text(cursor: &mut Cursor<'_>) -> Parsed<Option<SectionText>> {
    Ok(match cursor.item_name().as_str() {
        "" => None,
        "HEADER" => Some(SectionText::Header),
        "TEXT" => Some(SectionText::Text),
        "MIME" => Some(SectionText::Mime),
        "HEADER.FIELDS" => Some(SectionText::HeaderFields(field_names(cursor)?)),
        "HEADER.FIELDS.NOT" => Some(SectionText::HeaderFieldsNot(field_names(cursor)?)),
        _ => return Err(SECTION),
    })
}

fn field_names(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    cursor.sp()?;
    let names = cursor.list(Section::FIELD_COUNT_MAX, Cursor::text)?;
    if names.is_empty() { Err(Fault::Bad("a list of header fields is empty")) } else { Ok(names) }
}

/// `<0.2048>`.
fn partial(cursor: &mut Cursor<'_>) -> Parsed<Option<Partial>> {
    if !cursor.eat(b'<') {
        return Ok(None);
    }
    let offset = cursor.number()?;
    cursor.expect(b'.', "a partial fetch has the form <offset.octets>")?;
    let octets = cursor.number()?;
    cursor.expect(b'>', "a partial fetch has the form <offset.octets>")?;
    // RFC 9051 §9 `partial`: the count is an nz-number.
    if octets == 0 { Err(Fault::Bad("a partial fetch of nothing")) } else { Ok(Some(Partial { offset, octets })) }
}

const SECTION: Fault = Fault::Bad("a section is malformed");
/// Ours: there are two.
const MODIFIER_COUNT_MAX: usize = 4;
