//! One pass over the lines of a message that finds its parts (RFC 2046 §5.1.1).
//!
//! A line is compared with the boundaries of the multiparts that are open around it, at most [`DEPTH_MAX`], and looked
//! at once. Header fields are read once more when their header ends. So the work is linear in the size.

use crate::header::{HeaderLine, next_line};
use crate::mime::ContentType;
use crate::transfer::TransferEncoding;
use crate::tree::{Content, Fallback, Part};
use crate::work::spend;
use std::borrow::Cow;

/// The parts of a message, each before those inside it.
pub(crate) fn scan(raw: &[u8]) -> Vec<Part<'_>> {
    let mut scan = Scan { raw, at: 0, line_count: 0, parts: Vec::new(), open: Vec::new(), in_header: false };
    scan.open_part(Fallback::Text);
    while let Some(line) = next_line(raw, scan.at) {
        scan.line(line);
    }
    scan.finish();
    scan.parts
}

struct Scan<'a> {
    raw: &'a [u8],
    /// Where the line begins that is looked at.
    at: usize,
    /// How many line ends are before it.
    line_count: usize,
    parts: Vec<Part<'a>>,
    /// From the root to the innermost part that is being read.
    open: Vec<Open<'a>>,
    /// Whether the innermost part is in its header.
    in_header: bool,
}

struct Open<'a> {
    index: usize,
    /// How many line ends were before its body.
    body_line: usize,
    /// The boundary of a multipart that may still get parts.
    boundary: Option<Cow<'a, [u8]>>,
    /// What its parts are if they do not say.
    fallback: Fallback,
}

/// A line that separates parts.
struct Delimiter {
    /// The place in `open` of the multipart that it belongs to.
    level: usize,
    closes: bool,
}

impl<'a> Scan<'a> {
    fn line(&mut self, line: &'a [u8]) {
        loop {
            if let Some(delimiter) = self.delimiter(line) {
                return self.delimit(&delimiter, line);
            }
            if !self.in_header {
                return self.pass(line);
            }
            let is_first = self.innermost().is_some_and(|part| part.start == self.at);
            match HeaderLine::of(line, is_first) {
                HeaderLine::Field => return self.pass(line),
                HeaderLine::Empty => {
                    self.pass(line);
                    return self.end_header();
                }
                // The line is body, and looked at again: it may be the first boundary of a multipart, or the first
                // line of a message inside. This ends soon, as each needs a header of its own that said so.
                HeaderLine::Foreign => self.end_header(),
            }
        }
    }

    fn pass(&mut self, line: &[u8]) {
        self.at += line.len();
        self.line_count += usize::from(line.ends_with(b"\n"));
    }

    /// The innermost multipart counts: the same boundary may be used again further in.
    ///
    /// The whole line must be the boundary, with white space behind it (RFC 2046 §5.1.1, `transport-padding`): where
    /// one boundary is the start of another, a comparison of starts would take the inner for the outer.
    fn delimiter(&self, line: &[u8]) -> Option<Delimiter> {
        let text = line.strip_prefix(b"--").filter(|_| self.parts.len() < PART_COUNT_MAX)?;
        let text = trim_end(text);
        let opens = |boundary: &[u8]| text == boundary;
        let closes = |boundary: &[u8]| text.strip_suffix(b"--").is_some_and(|text| text == boundary);
        self.open.iter().enumerate().rev().find_map(|(level, open)| {
            let boundary = open.boundary.as_deref()?;
            spend(if boundary.len().abs_diff(text.len()) <= 2 { text.len() } else { 1 });
            let closes = !opens(boundary) && closes(boundary);
            (closes || opens(boundary)).then_some(Delimiter { level, closes })
        })
    }

    fn delimit(&mut self, delimiter: &Delimiter, line: &[u8]) {
        self.close_to(delimiter.level + 1, true);
        self.pass(line);
        let Some(multipart) = self.open.get_mut(delimiter.level) else { return };
        let fallback = multipart.fallback;
        if delimiter.closes {
            // What follows is the epilogue.
            multipart.boundary = None;
        } else {
            self.open_part(fallback);
        }
    }

    fn open_part(&mut self, fallback: Fallback) {
        let index = self.parts.len();
        let content = Content::Leaf;
        let (raw, start) = (self.raw, self.at);
        let (body_start, end, index_end) = (start, start, index + 1);
        self.parts.push(Part { raw, start, body_start, end, line_count: 0, index, index_end, content, fallback });
        self.open.push(Open { index, body_line: self.line_count, boundary: None, fallback: Fallback::Text });
        self.in_header = true;
    }

    fn innermost(&self) -> Option<&Part<'a>> {
        self.parts.get(self.open.last()?.index)
    }

    /// The body of the innermost part begins here: decides what is inside.
    fn end_header(&mut self) {
        self.in_header = false;
        let (at, line_count, has_room) = (self.at, self.line_count, self.open.len() < DEPTH_MAX);
        let part_count = self.parts.len();
        let Some(open) = self.open.last_mut() else { return };
        let Some(part) = self.parts.get_mut(open.index) else { return };
        (part.body_start, part.end, open.body_line) = (at, at, line_count);
        let mime = part.mime();
        if mime.content_type.is_kind("multipart") {
            match boundary_of(&mime.content_type) {
                Some(boundary) if has_room => {
                    part.content = Content::Multipart;
                    open.boundary = Some(boundary);
                    open.fallback = match mime.content_type.is("multipart", "digest") {
                        true => Fallback::Message,
                        false => Fallback::Text,
                    };
                }
                Some(_) => part.fallback = Fallback::ForcedOctets,
                None => part.fallback = Fallback::ForcedText,
            }
        } else if mime.content_type.is_message() {
            // An encoded one (RFC 6532 §3.7) cannot be shown in place.
            let is_plain = mime.transfer_encoding() == Some(TransferEncoding::Identity);
            if has_room && is_plain && part_count < PART_COUNT_MAX {
                part.content = Content::Message;
                self.open_part(Fallback::Text);
            } else {
                part.fallback = Fallback::ForcedOctets;
            }
        }
    }

    /// Closes all parts but the outermost `level`. Before a boundary, the line end is the boundary's.
    fn close_to(&mut self, level: usize, at_boundary: bool) {
        while self.in_header && self.open.len() > level {
            // The header ends with its part. A message inside is as empty as its body.
            self.end_header();
        }
        let body_start = self.innermost().map_or(0, |part| part.body_start);
        let line_end = if at_boundary { line_end_before(self.raw, self.at) } else { 0 };
        // The line end of a header stays with the header.
        let line_end = if self.at - line_end < body_start { 0 } else { line_end };
        let line_count = self.line_count - usize::from(line_end > 0);
        let index_end = self.parts.len();
        for open in self.open.drain(level.min(self.open.len())..) {
            let Some(part) = self.parts.get_mut(open.index) else { continue };
            part.end = self.at - line_end;
            part.line_count = line_count - open.body_line;
            part.index_end = index_end;
            if part.content == Content::Multipart && index_end == open.index + 1 {
                (part.content, part.fallback) = (Content::Leaf, Fallback::ForcedText);
            }
        }
    }

    fn finish(&mut self) {
        self.close_to(0, false);
    }
}

/// RFC 2046 §5.1.1: a boundary does not end in white space, and is not empty.
fn boundary_of<'a>(content_type: &ContentType<'a>) -> Option<Cow<'a, [u8]>> {
    let given = content_type.params.raw("boundary")?;
    let boundary = match given {
        Cow::Borrowed(text) => Cow::Borrowed(trim_end(text)),
        Cow::Owned(text) => Cow::Owned(trim_end(text).to_vec()),
    };
    (!boundary.is_empty()).then_some(boundary)
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|octet| !crate::lex::is_space(*octet)).map_or(0, |last| last + 1);
    text.get(..end).unwrap_or(text)
}

/// How long the line end before `at` is.
fn line_end_before(raw: &[u8], at: usize) -> usize {
    match raw.get(..at) {
        Some([.., b'\r', b'\n']) => 2,
        Some([.., b'\n']) => 1,
        _ => 0,
    }
}

/// How deep parts may lie inside each other; a deeper one stays closed and is `application/octet-stream`. A bound of
/// our own: RFC 2046 has none, and mail that people send stays under ten.
pub const DEPTH_MAX: usize = 64;
/// How many parts are found; what comes after the last belongs to it. A bound of our own.
pub const PART_COUNT_MAX: usize = 10_000;
