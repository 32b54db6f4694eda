//! A message and its parts, as others see them.

use crate::charset;
use crate::date::parse_date;
use crate::encoded_word;
use crate::envelope::ImapEnvelope;
use crate::header::{Field, Fields};
use crate::mime::{ContentType, Mime};
use crate::scan;
use crate::transfer::Decoded;
use mail_types::Civil;
use std::ops::Range;

/// A message: its octets, and where its parts are in them.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    raw: &'a [u8],
    /// In the order of the message: a part, then all inside it. There is always a first, the message itself.
    parts: Vec<Part<'a>>,
}

/// One part; the message itself is the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) start: usize,
    pub(crate) body_start: usize,
    pub(crate) end: usize,
    pub(crate) line_count: usize,
    pub(crate) index: usize,
    /// The index after those of all parts inside this one.
    pub(crate) index_end: usize,
    pub(crate) content: Content,
    pub(crate) fallback: Fallback,
}

/// What is inside a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Octets.
    Leaf,
    /// Parts, at least one.
    Multipart,
    /// A message with a header of its own: exactly one part.
    Message,
}

/// What a part is taken for where it does not say, or where what it says does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// Text, if it does not say.
    Text,
    /// A message, if it does not say (RFC 2046 §5.1.5).
    Message,
    /// Text, whatever it says: a multipart without parts.
    ForcedText,
    /// Octets, whatever it says: a multipart or message that was left closed.
    ForcedOctets,
}

impl<'a> Message<'a> {
    /// Reads any octets as a message: what has no header is text.
    pub fn parse(raw: &'a [u8]) -> Self {
        Self { raw, parts: scan::scan(raw) }
    }

    /// All of its octets.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The message itself as a part.
    pub fn root(&self) -> &Part<'a> {
        self.parts.first().expect("a scan gives at least the root")
    }

    /// All parts, each before those inside it, the message itself first.
    pub fn parts(&self) -> impl Iterator<Item = &Part<'a>> {
        self.parts.iter()
    }

    /// The parts directly inside one of this message's parts.
    pub fn children(&self, part: &Part<'a>) -> impl Iterator<Item = &Part<'a>> {
        let (mut next, end) = (part.index + 1, part.index_end);
        std::iter::from_fn(move || {
            let child = self.parts.get(next).filter(|_| next < end)?;
            next = child.index_end;
            Some(child)
        })
    }

    /// The root of the message inside a part that is [`Content::Message`].
    pub fn embedded(&self, part: &Part<'a>) -> Option<&Part<'a>> {
        match part.content {
            Content::Message => self.children(part).next(),
            Content::Leaf | Content::Multipart => None,
        }
    }

    /// The message's own ENVELOPE; for one inside it, ask [`Part::envelope`] of its root.
    pub fn envelope(&self) -> ImapEnvelope<'a> {
        self.root().envelope()
    }

    /// The `Date` field of the message as its sender wrote it; `to_unix` never fails on it.
    pub fn date(&self) -> Option<Civil> {
        parse_date(self.root().fields().named(b"date").next()?.raw_value())
    }
}

impl<'a> Part<'a> {
    /// What is inside.
    pub fn content(&self) -> Content {
        self.content
    }

    /// Where header and body are in the message.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Where the header is, with the empty line that ends it.
    pub fn header_range(&self) -> Range<usize> {
        self.start..self.body_start
    }

    /// Where the body is; the line end before a boundary belongs to the boundary (RFC 2046 §5.1.1).
    pub fn body_range(&self) -> Range<usize> {
        self.body_start..self.end
    }

    /// The header, with the empty line that ends it.
    pub fn header(&self) -> &'a [u8] {
        self.raw.get(self.header_range()).unwrap_or_default()
    }

    /// The body, still in its transfer encoding.
    pub fn body(&self) -> &'a [u8] {
        self.raw.get(self.body_range()).unwrap_or_default()
    }

    /// The size of the body in octets, as BODYSTRUCTURE gives it.
    pub fn octets(&self) -> usize {
        self.end - self.body_start
    }

    /// How many line ends the body has, as BODYSTRUCTURE gives it.
    pub fn lines(&self) -> usize {
        self.line_count
    }

    /// The fields of the header.
    pub fn fields(&self) -> Fields<'a> {
        Fields::of(self.header())
    }

    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<Field<'a>> {
        self.fields().find(|field| field.is(name))
    }

    /// The values of all fields of that name as text, encoded words decoded.
    pub fn field_texts<'n>(&self, name: &'n str) -> impl Iterator<Item = String> + use<'a, 'n> {
        self.fields().named(name.as_bytes()).map(|field| encoded_word::decode(field.raw_value()))
    }

    /// The MIME fields. Each call reads the header once.
    pub fn mime(&self) -> Mime<'a> {
        let otherwise = match self.fallback {
            Fallback::Message => ContentType::MESSAGE_RFC822,
            Fallback::Text | Fallback::ForcedText | Fallback::ForcedOctets => ContentType::TEXT_PLAIN,
        };
        let mime = Mime::read(self.header(), otherwise);
        match self.fallback {
            Fallback::Text | Fallback::Message => mime,
            Fallback::ForcedText => Mime { content_type: ContentType::TEXT_PLAIN, ..mime },
            Fallback::ForcedOctets => Mime { content_type: ContentType::OCTET_STREAM, ..mime },
        }
    }

    /// ENVELOPE of the message whose root this is.
    pub fn envelope(&self) -> ImapEnvelope<'a> {
        ImapEnvelope::read(self.header())
    }

    /// The body without its transfer encoding, at most so many octets (RFC 3516 `BINARY`); none when the encoding is
    /// unknown. Parts that hold parts have no encoding of their own (RFC 2045 §6.4).
    pub fn decode(&self, octets_max: usize) -> Option<Decoded> {
        let encoding = match self.content {
            Content::Leaf => self.mime().transfer_encoding()?,
            Content::Multipart | Content::Message => crate::TransferEncoding::Identity,
        };
        Some(encoding.decode(self.body(), octets_max))
    }

    /// The text of a `text/*` leaf in UTF-8, from at most so many octets; none when this is no text.
    pub fn text(&self, octets_max: usize) -> Option<String> {
        let mime = self.mime();
        if self.content != Content::Leaf || !mime.content_type.is_kind("text") {
            return None;
        }
        let decoded = mime.transfer_encoding()?.decode(self.body(), octets_max);
        let charset = mime.content_type.params.raw("charset").map_or(&b""[..], |name| name);
        Some(charset::decode(charset, &decoded.octets))
    }
}
