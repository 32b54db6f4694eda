//! The fields that say what a part is (RFC 2045, RFC 2183), with the values that the part gave.

use crate::header::Fields;
use crate::lex::{Cursor, is_space, trim};
use crate::param::Params;
use crate::transfer::TransferEncoding;
use std::borrow::Cow;

/// The MIME fields of one part, of each its first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mime<'a> {
    /// `Content-Type`, or what holds without a valid one.
    pub content_type: ContentType<'a>,
    /// `Content-Transfer-Encoding` as it was given; `7bit` where none was (RFC 2045 §6.1).
    pub encoding: &'a [u8],
    /// `Content-ID`
    pub id: Option<Cow<'a, [u8]>>,
    /// `Content-Description`
    pub description: Option<Cow<'a, [u8]>>,
    /// `Content-MD5` (RFC 1864)
    pub md5: Option<Cow<'a, [u8]>>,
    /// `Content-Disposition` (RFC 2183)
    pub disposition: Option<Disposition<'a>>,
    /// The tags of `Content-Language` (RFC 3282)
    pub language: Vec<&'a [u8]>,
    /// `Content-Location` (RFC 2557)
    pub location: Option<Cow<'a, [u8]>>,
}

/// `type/subtype` with parameters (RFC 2045 §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    /// As they were given.
    pub params: Params<'a>,
}

/// How a part wants to be shown (RFC 2183 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition<'a> {
    /// `inline`, `attachment`, or another word.
    pub kind: &'a [u8],
    /// As they were given.
    pub params: Params<'a>,
}

impl<'a> Mime<'a> {
    /// Reads a header in one pass. `otherwise` holds where it has no valid `Content-Type`.
    pub(crate) fn read(header: &'a [u8], otherwise: ContentType<'a>) -> Self {
        let mut content_type = None;
        let mut encoding = None;
        let mut disposition = None;
        let mut mime = Self {
            content_type: otherwise,
            encoding: b"7bit",
            id: None,
            description: None,
            md5: None,
            disposition: None,
            language: Vec::new(),
            location: None,
        };
        for field in Fields::of(header) {
            let Some(name) = field.name().get(..CONTENT.len()).filter(|start| start.eq_ignore_ascii_case(CONTENT))
            else {
                continue;
            };
            let rest = field.name().get(name.len()..).unwrap_or_default();
            let is = |name: &str| rest.eq_ignore_ascii_case(name.as_bytes());
            if is("type") {
                content_type.get_or_insert_with(|| ContentType::parse(field.raw_value()));
            } else if is("transfer-encoding") {
                encoding.get_or_insert_with(|| parse_encoding(field.raw_value()));
            } else if is("disposition") {
                disposition.get_or_insert_with(|| Disposition::parse(field.raw_value()));
            } else if is("id") {
                mime.id.get_or_insert_with(|| field.value());
            } else if is("description") {
                mime.description.get_or_insert_with(|| field.value());
            } else if is("md5") {
                mime.md5.get_or_insert_with(|| field.value());
            } else if is("location") {
                mime.location.get_or_insert_with(|| field.value());
            } else if is("language") && mime.language.is_empty() {
                mime.language = parse_languages(field.raw_value());
            }
        }
        // RFC 2045 §5.2: what is not valid counts as absent.
        if let Some(given) = content_type.flatten() {
            mime.content_type = given;
        }
        if let Some(given) = encoding.filter(|given| !given.is_empty()) {
            mime.encoding = given;
        }
        mime.disposition = disposition.flatten();
        mime
    }

    /// The encoding as one that can be undone; none when it is unknown.
    pub fn transfer_encoding(&self) -> Option<TransferEncoding> {
        TransferEncoding::parse(self.encoding)
    }
}

impl<'a> ContentType<'a> {
    /// `text/plain`, which holds where nothing else is said; its charset is then US-ASCII (RFC 2045 §5.2).
    pub const TEXT_PLAIN: Self = Self { kind: b"text", subtype: b"plain", params: Params::NONE };
    /// What a part of `multipart/digest` is when it does not say (RFC 2046 §5.1.5).
    pub const MESSAGE_RFC822: Self = Self { kind: b"message", subtype: b"rfc822", params: Params::NONE };
    /// Octets that nothing is known of (RFC 2046 §4.5.1).
    pub const OCTET_STREAM: Self = Self { kind: b"application", subtype: b"octet-stream", params: Params::NONE };

    /// Reads the value of the field.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        cursor.skip_cfws();
        let kind = token(&mut cursor);
        cursor.skip_cfws();
        let slash = cursor.take(b'/');
        cursor.skip_cfws();
        let subtype = token(&mut cursor);
        let valid = slash && !kind.is_empty() && !subtype.is_empty();
        valid.then(|| Self { kind, subtype, params: Params::read(&mut cursor) })
    }

    /// The part before the slash, in the case it was given in.
    pub fn kind(&self) -> &'a [u8] {
        self.kind
    }

    /// The part after the slash, in the case it was given in.
    pub fn subtype(&self) -> &'a [u8] {
        self.subtype
    }

    /// Whether it is of this type, in any case.
    pub fn is_kind(&self, kind: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
    }

    /// Whether it is this type and subtype, in any case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.is_kind(kind) && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// Whether it is a message with a header of its own (RFC 2046 §5.2.1, RFC 6532 §3.7).
    pub fn is_message(&self) -> bool {
        self.is("message", "rfc822") || self.is("message", "global")
    }
}

impl<'a> Disposition<'a> {
    /// Reads the value of the field.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        cursor.skip_cfws();
        let kind = token(&mut cursor);
        (!kind.is_empty()).then(|| Self { kind, params: Params::read(&mut cursor) })
    }
}

fn parse_encoding(value: &[u8]) -> &[u8] {
    let mut cursor = Cursor::new(value);
    cursor.skip_cfws();
    token(&mut cursor)
}

fn parse_languages(value: &[u8]) -> Vec<&[u8]> {
    let tags = value.split(|octet| *octet == b',').map(trim).filter(|tag| !tag.is_empty());
    tags.take(LANGUAGE_COUNT_MAX).collect()
}

/// `token` (RFC 2045 §5.1), with 8-bit octets let through.
pub(crate) fn token<'a>(cursor: &mut Cursor<'a>) -> &'a [u8] {
    cursor
        .take_while(|octet| octet > b' ' && octet != 0x7f && !is_space(octet) && !b"()<>@,;:\\\"/[]?=".contains(&octet))
}

/// What the names of all MIME fields start with (RFC 2045 §9).
const CONTENT: &[u8] = b"content-";
/// How many language tags of a part are read: a bound of our own, RFC 3282 has none.
pub const LANGUAGE_COUNT_MAX: usize = 64;
