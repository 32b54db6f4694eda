//! What IMAP's `BODY[section]<partial>` names (RFC 3501 §6.4.5, RFC 9051 §6.4.5.1).

use crate::header::{Field, Fields};
use crate::tree::{Content, Message, Part};
use std::borrow::Cow;
use std::ops::Range;

/// The text that is meant of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section<'q> {
    /// `BODY[]`, `BODY[1.2]`: the whole message, or the body of a part.
    Whole,
    /// `HEADER`
    Header,
    /// `TEXT`
    Text,
    /// `MIME`
    Mime,
    /// `HEADER.FIELDS`: those of these names.
    Fields(&'q [&'q [u8]]),
    /// `HEADER.FIELDS.NOT`: those of no such name.
    FieldsNot(&'q [&'q [u8]]),
}

impl<'a> Message<'a> {
    /// The part of that number; the empty one is the message itself.
    ///
    /// A message that is no multipart has one part, 1, which is its own body. The parts of a message inside a part
    /// are numbered under that part, as those of a multipart are.
    pub fn part(&self, path: &[u32]) -> Option<&Part<'a>> {
        let mut container = Some(self.root());
        let mut part = self.root();
        for number in path {
            // Where only the body of a message is left, that is its part 1 and has none inside.
            let root = container?;
            part = match (root.content(), number) {
                (_, 0) => return None,
                (Content::Multipart, number) => self.children(root).nth(usize::try_from(number - 1).ok()?)?,
                (Content::Leaf | Content::Message, 1) => root,
                (Content::Leaf | Content::Message, _) => return None,
            };
            container = match part.content() {
                Content::Leaf => None,
                Content::Multipart => Some(part),
                Content::Message => self.embedded(part),
            };
        }
        Some(part)
    }

    /// Where a section is, if it is one stretch of the message; `Fields` and `FieldsNot` are none.
    pub fn section_range(&self, path: &[u32], section: &Section<'_>) -> Option<Range<usize>> {
        let part = self.part(path)?;
        match section {
            Section::Whole if path.is_empty() => Some(part.range()),
            Section::Whole => Some(part.body_range()),
            Section::Header => Some(self.message_at(path)?.header_range()),
            Section::Text => Some(self.message_at(path)?.body_range()),
            // RFC 3501 §6.4.5: MIME must have a part number before it.
            Section::Mime => (!path.is_empty()).then(|| part.header_range()),
            Section::Fields(_) | Section::FieldsNot(_) => None,
        }
    }

    /// The octets of a section; none when the message has no such part, or the part no such section.
    pub fn section(&self, path: &[u32], section: &Section<'_>) -> Option<Cow<'a, [u8]>> {
        let is_in = |names: &[&[u8]], field: &Field<'_>| names.iter().any(|name| field.is(name));
        match section {
            Section::Fields(names) => Some(filter(self.message_at(path)?, |field| is_in(names, field))),
            Section::FieldsNot(names) => Some(filter(self.message_at(path)?, |field| !is_in(names, field))),
            Section::Whole | Section::Header | Section::Text | Section::Mime => {
                Some(Cow::Borrowed(self.raw().get(self.section_range(path, section)?)?))
            }
        }
    }

    /// The root of the message that HEADER and TEXT of this part number speak of.
    fn message_at(&self, path: &[u32]) -> Option<&Part<'a>> {
        match path {
            [] => Some(self.root()),
            _ => self.embedded(self.part(path)?),
        }
    }
}

/// The octets of `<first.count>`; what lies beyond the end is left out (RFC 3501 §6.4.5).
pub fn partial(octets: &[u8], first: u64, count: u64) -> &[u8] {
    let clamp = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(octets.len());
    octets.get(clamp(first)..clamp(first.saturating_add(count))).unwrap_or_default()
}

/// The fields that `holds` picks and the empty line, which is there unless the message has neither it nor a body.
fn filter<'a>(part: &Part<'a>, holds: impl Fn(&Field<'a>) -> bool) -> Cow<'a, [u8]> {
    let header = part.header();
    let mut picked = Vec::new();
    for field in Fields::of(header).filter(holds) {
        picked.extend_from_slice(field.raw());
    }
    picked.extend_from_slice(empty_line(part));
    Cow::Owned(picked)
}

fn empty_line<'a>(part: &Part<'a>) -> &'a [u8] {
    match part.header() {
        b"\r\n" => b"\r\n",
        b"\n" => b"\n",
        [.., b'\n', b'\r', b'\n'] => b"\r\n",
        [.., b'\n', b'\n'] => b"\n",
        _ if part.body().is_empty() => b"",
        _ => b"\r\n",
    }
}
