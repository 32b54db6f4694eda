//! What FETCH asks and tells (RFC 9051 §6.4.5, §7.5.2).

use crate::command::Flag;
use crate::encode::Encoder;
use crate::structure::{BodyStructure, Detail, Encoded, ImapEnvelope};
use bytes::Bytes;
use mail_types::{Civil, ModSeq, Uid};
use std::num::NonZeroU32;

/// One item that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchItem {
    /// `UID`
    Uid,
    /// `FLAGS`
    Flags,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822.SIZE`
    Size,
    /// `ENVELOPE`
    Envelope,
    /// `BODY`: BODYSTRUCTURE without extension data
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `MODSEQ` (RFC 7162 §3.1.4.2)
    ModSeq,
    /// `BODY[…]<…>` and `BODY.PEEK[…]<…>`
    Section(BodySection),
    /// `RFC822` (RFC 3501): sets `\Seen`
    Rfc822,
    /// `RFC822.HEADER` (RFC 3501): does not set `\Seen`
    Rfc822Header,
    /// `RFC822.TEXT` (RFC 3501): sets `\Seen`
    Rfc822Text,
    /// `BINARY[…]<…>` and `BINARY.PEEK[…]<…>` (RFC 3516)
    Binary(BinarySection),
    /// `BINARY.SIZE[…]`
    BinarySize(Vec<NonZeroU32>),
}

/// `BODY[section]<partial>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodySection {
    /// What part.
    pub section: Section,
    /// Whether `\Seen` stays as it is.
    pub peek: bool,
    /// Which octets of it.
    pub partial: Option<Partial>,
}

/// `BINARY[part]<partial>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinarySection {
    /// What part, decoded.
    pub part: Vec<NonZeroU32>,
    /// Whether `\Seen` stays as it is.
    pub peek: bool,
    /// Which octets of it.
    pub partial: Option<Partial>,
}

/// A section specification (RFC 9051 §6.4.5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Which part: `1.2.3`; empty for the whole message.
    pub part: Vec<NonZeroU32>,
    /// Which text of it; none for all of it (without its MIME header, when a part is named).
    pub text: Option<SectionText>,
}

/// Which text of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionText {
    /// `HEADER`
    Header,
    /// `HEADER.FIELDS (…)`
    HeaderFields(Vec<String>),
    /// `HEADER.FIELDS.NOT (…)`
    HeaderFieldsNot(Vec<String>),
    /// `TEXT`
    Text,
    /// `MIME`, only of a part
    Mime,
}

/// `<offset.octets>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The first octet.
    pub offset: u64,
    /// How many at most; not zero.
    pub octets: u64,
}

/// One item of a FETCH response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchData {
    /// `UID`
    Uid(Uid),
    /// `FLAGS`; `recent` adds `\Recent` (RFC 3501)
    Flags {
        /// All flags of the message.
        flags: Vec<Flag>,
        /// Whether it is recent in this session.
        recent: bool,
    },
    /// `INTERNALDATE`
    InternalDate(Civil),
    /// `RFC822.SIZE`
    Size(u64),
    /// `ENVELOPE`
    Envelope(Box<ImapEnvelope>),
    /// `ENVELOPE`, encoded before
    EnvelopeEncoded(Encoded),
    /// `BODY`
    Body(Box<BodyStructure>),
    /// `BODYSTRUCTURE`
    BodyStructure(Box<BodyStructure>),
    /// `BODY`, encoded before
    BodyEncoded(Encoded),
    /// `BODYSTRUCTURE`, encoded before
    BodyStructureEncoded(Encoded),
    /// `MODSEQ`
    ModSeq(ModSeq),
    /// Octets of the message; none is `NIL`, for a part that is not there
    Content(ContentName, Option<Bytes>),
    /// `BINARY.SIZE[…]`
    BinarySize(Vec<NonZeroU32>, u64),
}

/// Under which name octets of a message are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentName {
    /// `BODY[section]<origin>`
    Section(Section, Option<u64>),
    /// `RFC822`
    Rfc822,
    /// `RFC822.HEADER`
    Rfc822Header,
    /// `RFC822.TEXT`
    Rfc822Text,
    /// `BINARY[part]<origin>`: the only one that may hold NUL
    Binary(Vec<NonZeroU32>, Option<u64>),
}

impl FetchItem {
    /// How many items one command may ask: ours; each may read the message once more.
    pub const COUNT_MAX: usize = 256;

    /// Whether fetching it sets `\Seen` (RFC 9051 §6.4.5).
    pub fn sets_seen(&self) -> bool {
        match self {
            Self::Section(BodySection { peek, .. }) | Self::Binary(BinarySection { peek, .. }) => !peek,
            Self::Rfc822 | Self::Rfc822Text => true,
            Self::Uid
            | Self::Flags
            | Self::InternalDate
            | Self::Size
            | Self::Envelope
            | Self::Body
            | Self::BodyStructure
            | Self::ModSeq
            | Self::Rfc822Header
            | Self::BinarySize(_) => false,
        }
    }

    /// Under which name its octets are told; none for items that are no octets of the message.
    pub fn content_name(&self) -> Option<ContentName> {
        match self {
            Self::Section(asked) => {
                Some(ContentName::Section(asked.section.clone(), asked.partial.map(|partial| partial.offset)))
            }
            Self::Binary(asked) => {
                Some(ContentName::Binary(asked.part.clone(), asked.partial.map(|partial| partial.offset)))
            }
            Self::Rfc822 => Some(ContentName::Rfc822),
            Self::Rfc822Header => Some(ContentName::Rfc822Header),
            Self::Rfc822Text => Some(ContentName::Rfc822Text),
            Self::Uid
            | Self::Flags
            | Self::InternalDate
            | Self::Size
            | Self::Envelope
            | Self::Body
            | Self::BodyStructure
            | Self::ModSeq
            | Self::BinarySize(_) => None,
        }
    }
}

impl Section {
    /// How deep part numbers may go: ours; a message nests less.
    pub const PART_DEPTH_MAX: usize = 64;
    /// How many header fields one section may name: ours.
    pub const FIELD_COUNT_MAX: usize = 512;

    fn encode(&self, out: &mut Encoder) {
        encode_part(&self.part, out);
        let Some(text) = &self.text else { return };
        if !self.part.is_empty() {
            out.raw(b".");
        }
        match text {
            SectionText::Header => out.raw(b"HEADER"),
            SectionText::HeaderFields(fields) => encode_fields("HEADER.FIELDS", fields, out),
            SectionText::HeaderFieldsNot(fields) => encode_fields("HEADER.FIELDS.NOT", fields, out),
            SectionText::Text => out.raw(b"TEXT"),
            SectionText::Mime => out.raw(b"MIME"),
        }
    }
}

impl Partial {
    /// Which octets of `len` are meant: past the end, none (RFC 9051 §6.4.5 `<partial>`).
    pub fn range(self, len: u64) -> std::ops::Range<u64> {
        let start = self.offset.min(len);
        start..start.saturating_add(self.octets).min(len)
    }
}

impl ContentName {
    /// Whether NUL may stand in it, and a literal8 is written (RFC 3516 §4.2).
    pub fn is_binary(&self) -> bool {
        match self {
            Self::Binary(..) => true,
            Self::Section(..) | Self::Rfc822 | Self::Rfc822Header | Self::Rfc822Text => false,
        }
    }

    pub(crate) fn encode(&self, out: &mut Encoder) {
        match self {
            Self::Section(section, origin) => {
                out.raw(b"BODY[");
                section.encode(out);
                encode_origin(*origin, out);
            }
            Self::Binary(part, origin) => {
                out.raw(b"BINARY[");
                encode_part(part, out);
                encode_origin(*origin, out);
            }
            Self::Rfc822 => out.raw(b"RFC822"),
            Self::Rfc822Header => out.raw(b"RFC822.HEADER"),
            Self::Rfc822Text => out.raw(b"RFC822.TEXT"),
        }
    }
}

impl FetchData {
    pub(crate) fn encode(&self, out: &mut Encoder) {
        match self {
            Self::Uid(uid) => out.word("UID", uid),
            Self::Flags { flags, recent } => {
                out.raw(b"FLAGS ");
                out.flags(flags, recent.then_some("\\Recent"));
            }
            Self::InternalDate(civil) => {
                out.raw(b"INTERNALDATE ");
                out.string(civil.imap().as_bytes());
            }
            Self::Size(octets) => out.word("RFC822.SIZE", octets),
            Self::Envelope(envelope) => {
                out.raw(b"ENVELOPE ");
                envelope.encode(out);
            }
            Self::EnvelopeEncoded(encoded) => out.encoded("ENVELOPE ", encoded),
            Self::Body(structure) => {
                out.raw(b"BODY ");
                structure.encode(Detail::Body, out);
            }
            Self::BodyStructure(structure) => {
                out.raw(b"BODYSTRUCTURE ");
                structure.encode(Detail::BodyStructure, out);
            }
            Self::BodyEncoded(encoded) => out.encoded("BODY ", encoded),
            Self::BodyStructureEncoded(encoded) => out.encoded("BODYSTRUCTURE ", encoded),
            Self::ModSeq(modseq) => out.word("MODSEQ", format_args!("({modseq})")),
            Self::Content(name, content) => {
                name.encode(out);
                out.raw(b" ");
                match content {
                    None => out.raw(b"NIL"),
                    Some(content) if name.is_binary() => out.literal8(content.clone()),
                    Some(content) => out.literal(content.clone()),
                }
            }
            Self::BinarySize(part, octets) => {
                out.raw(b"BINARY.SIZE[");
                encode_part(part, out);
                out.word("]", octets);
            }
        }
    }
}

fn encode_part(part: &[NonZeroU32], out: &mut Encoder) {
    for (at, number) in part.iter().enumerate() {
        if at > 0 {
            out.raw(b".");
        }
        out.display(number);
    }
}

fn encode_origin(origin: Option<u64>, out: &mut Encoder) {
    out.raw(b"]");
    if let Some(origin) = origin {
        out.display(format_args!("<{origin}>"));
    }
}

fn encode_fields(name: &str, fields: &[String], out: &mut Encoder) {
    out.raw(name.as_bytes());
    out.raw(b" ");
    out.list(fields, |out, field| out.astring(field.as_bytes()));
}
