//! Headers: where they end, and the fields in them (RFC 5322 §2.2).

use crate::lex::unfold;
use crate::work::spend;
use std::borrow::Cow;

/// One field of a header, as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
    raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// The name, without white space before its colon.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// What follows the colon, folds and last line end included.
    pub fn raw_value(&self) -> &'a [u8] {
        self.value
    }

    /// The value on one line, without white space at its ends. It may hold any octet, NUL included.
    pub fn value(&self) -> Cow<'a, [u8]> {
        unfold(self.value)
    }

    /// Name, colon, value and line end.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Whether it has this name, in any case.
    pub fn is(&self, name: impl AsRef<[u8]>) -> bool {
        self.name.eq_ignore_ascii_case(name.as_ref())
    }
}

/// The fields of a header in their order; lines that are no field are left out.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Of the octets of a header.
    pub fn of(header: &'a [u8]) -> Self {
        Self { rest: header }
    }

    /// Those of one name, in any case.
    pub fn named<'n>(self, name: &'n [u8]) -> impl Iterator<Item = Field<'a>> + use<'a, 'n> {
        self.filter(move |field| field.is(name))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let (raw, rest) = self.rest.split_at_checked(folded_len(self.rest)).unwrap_or((self.rest, &[]));
            self.rest = rest;
            if let Some((name, value)) = split_field(raw) {
                return Some(Field { name, value, raw });
            }
        }
    }
}

/// The octets of a message up to and with the empty line that ends its header, and the rest.
///
/// The header also ends, without an empty line, before a line that can be no part of it: what is no header at all is
/// body from its first octet.
pub fn split_header(raw: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while let Some(line) = next_line(raw, at) {
        match HeaderLine::of(line, at == 0) {
            HeaderLine::Field => at += line.len(),
            HeaderLine::Empty => {
                at += line.len();
                break;
            }
            HeaderLine::Foreign => break,
        }
    }
    raw.split_at_checked(at).unwrap_or((raw, &[]))
}

/// The header, and at most so many lines of the body (RFC 1939 §7 `TOP`).
pub fn top(raw: &[u8], line_count: usize) -> &[u8] {
    let mut end = split_header(raw).0.len();
    for _ in 0..line_count {
        let Some(line) = next_line(raw, end) else { break };
        end += line.len();
    }
    raw.get(..end).unwrap_or(raw)
}

/// What a line is to the header that it may stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderLine {
    /// A field or a part of one.
    Field,
    /// The end of the header, and part of it.
    Empty,
    /// No line of a header: the body starts with it.
    Foreign,
}

impl HeaderLine {
    pub(crate) fn of(line: &[u8], is_first: bool) -> Self {
        match line {
            b"\r\n" | b"\n" => Self::Empty,
            // The first field has nothing before it that it could continue.
            [b' ' | b'\t', ..] if !is_first => Self::Field,
            // Left by programs that keep mail in mbox files.
            _ if is_first && (line.starts_with(b"From ") || line.starts_with(b">From ")) => Self::Field,
            _ if split_field(line).is_some() => Self::Field,
            _ => Self::Foreign,
        }
    }
}

/// The line that starts at `at`, with its line end; the last one may have none.
pub(crate) fn next_line(raw: &[u8], at: usize) -> Option<&[u8]> {
    let rest = raw.get(at..).filter(|rest| !rest.is_empty())?;
    let line = match memchr::memchr(b'\n', rest) {
        Some(end) => rest.get(..=end).unwrap_or(rest),
        None => rest,
    };
    spend(line.len());
    Some(line)
}

/// How long the first line is, together with those that continue it.
fn folded_len(raw: &[u8]) -> usize {
    let mut end = 0;
    while let Some(line) = next_line(raw, end) {
        end += line.len();
        if !matches!(raw.get(end), Some(b' ' | b'\t')) {
            break;
        }
    }
    end
}

/// Name and value; white space before the colon is the obsolete syntax (RFC 5322 §4.5.8).
fn split_field(raw: &[u8]) -> Option<(&[u8], &[u8])> {
    let name_len = raw.iter().position(|octet| !is_name(*octet))?;
    spend(name_len);
    let (name, rest) = raw.split_at_checked(name_len)?;
    let space = rest.iter().position(|octet| !matches!(octet, b' ' | b'\t'))?;
    let value = rest.get(space..)?.strip_prefix(b":")?;
    (!name.is_empty()).then_some((name, value))
}

/// `ftext` (RFC 5322 §3.6.8).
fn is_name(octet: u8) -> bool {
    octet.is_ascii_graphic() && octet != b':'
}
