//! One message that was read for a command: parsed as far as it is asked, and once.

use super::structure;
use bytes::Bytes;
use imap_proto::fetch::{FetchData, FetchItem, Section, SectionText};
use message::{Content, Message, Part};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::num::NonZeroU32;

/// The octets of a message, and what was found in them so far.
pub(super) struct Reader<'a> {
    raw: &'a Bytes,
    header: OnceCell<Message<'a>>,
    whole: OnceCell<Message<'a>>,
    header_text: OnceCell<String>,
    body_texts: OnceCell<Vec<String>>,
}

/// A part in an encoding that cannot be undone (RFC 3516 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnknownEncoding;

impl<'a> Reader<'a> {
    pub(super) fn new(raw: &'a Bytes) -> Self {
        Self {
            raw,
            header: OnceCell::new(),
            whole: OnceCell::new(),
            header_text: OnceCell::new(),
            body_texts: OnceCell::new(),
        }
    }

    /// What an item asks of the message's text; none for items that the row answers.
    pub(super) fn data(&self, item: &FetchItem) -> Result<Option<FetchData>, UnknownEncoding> {
        let content = |text: Option<Bytes>| item.content_name().map(|name| FetchData::Content(name, text));
        Ok(match item {
            FetchItem::Envelope => Some(FetchData::Envelope(Box::new(structure::envelope(&self.header().envelope())))),
            FetchItem::Body => Some(FetchData::Body(Box::new(self.structure()))),
            FetchItem::BodyStructure => Some(FetchData::BodyStructure(Box::new(self.structure()))),
            FetchItem::Section(asked) => content(self.section(&asked.section).map(|text| cut(&text, asked.partial))),
            FetchItem::Rfc822 => content(Some(self.raw.clone())),
            FetchItem::Rfc822Header => content(self.section(&section(SectionText::Header))),
            FetchItem::Rfc822Text => content(self.section(&section(SectionText::Text))),
            FetchItem::Binary(asked) => content(self.decoded(&asked.part)?.map(|text| cut(&text, asked.partial))),
            FetchItem::BinarySize(part) => {
                let octets = self.decoded(part)?.map_or(0, |text| text.len());
                Some(FetchData::BinarySize(part.clone(), u64::try_from(octets).unwrap_or(u64::MAX)))
            }
            FetchItem::Uid | FetchItem::Flags | FetchItem::InternalDate | FetchItem::Size | FetchItem::ModSeq => None,
        })
    }

    /// The message with its header alone parsed: what the header says needs no walk through the body.
    pub(super) fn header(&self) -> &Message<'a> {
        let (header, body) = message::split_header(self.raw);
        let closed =
            body.is_empty() || matches!(header, b"\r\n" | b"\n") || ENDS.iter().any(|end| header.ends_with(end));
        if closed { self.header.get_or_init(|| Message::parse(header)) } else { self.whole() }
    }

    fn whole(&self) -> &Message<'a> {
        self.whole.get_or_init(|| Message::parse(self.raw))
    }

    fn structure(&self) -> imap_proto::structure::BodyStructure {
        structure::body(self.whole(), self.whole().root())
    }

    /// The octets of a section; none when the message has no such part.
    fn section(&self, section: &Section) -> Option<Bytes> {
        let path: Vec<u32> = section.part.iter().map(|number| number.get()).collect();
        if path.is_empty() {
            let header = message::split_header(self.raw).0.len();
            match &section.text {
                None => return Some(self.raw.clone()),
                Some(SectionText::Header) => return Some(self.raw.slice(..header)),
                Some(SectionText::Text) => return Some(self.raw.slice(header..)),
                Some(SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_) | SectionText::Mime) => {}
            }
        }
        let message = if path.is_empty() { self.header() } else { self.whole() };
        let whole = match &section.text {
            None => message::Section::Whole,
            Some(SectionText::Header) => message::Section::Header,
            Some(SectionText::Text) => message::Section::Text,
            Some(SectionText::Mime) => message::Section::Mime,
            Some(SectionText::HeaderFields(names)) => return self.fields(message, &path, names, Pick::These),
            Some(SectionText::HeaderFieldsNot(names)) => return self.fields(message, &path, names, Pick::Others),
        };
        Some(self.raw.slice(message.section_range(&path, &whole)?))
    }

    fn fields(&self, message: &Message<'a>, path: &[u32], names: &[String], pick: Pick) -> Option<Bytes> {
        let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
        let section = match pick {
            Pick::These => message::Section::Fields(&names),
            Pick::Others => message::Section::FieldsNot(&names),
        };
        message.section(path, &section).map(|text| Bytes::from(text.into_owned()))
    }

    /// A part without its transfer encoding (RFC 3516 §4.2).
    fn decoded(&self, part: &[NonZeroU32]) -> Result<Option<Bytes>, UnknownEncoding> {
        if part.is_empty() {
            return Ok(Some(self.raw.clone()));
        }
        let path: Vec<u32> = part.iter().map(|number| number.get()).collect();
        let Some(found) = self.whole().part(&path) else { return Ok(None) };
        let decoded = found.decode(usize::MAX).ok_or(UnknownEncoding)?;
        Ok(Some(Bytes::from(decoded.octets)))
    }

    /// The whole header as text in lower case, encoded words decoded.
    pub(super) fn header_text(&self) -> &str {
        self.header_text.get_or_init(|| text_of_header(self.header().root()))
    }

    /// The texts of the body in lower case: what parts of it say, their own headers included.
    pub(super) fn body_texts(&self) -> &[String] {
        self.body_texts.get_or_init(|| {
            let message = self.whole();
            let root = message.root();
            let mut texts = Vec::new();
            for part in message.parts() {
                if part != root {
                    texts.push(text_of_header(part));
                }
                if part.content() == Content::Leaf {
                    texts.extend(part.text(SEARCHED_OCTETS_MAX).map(|text| text.to_lowercase()));
                }
            }
            texts
        })
    }
}

#[derive(Clone, Copy)]
enum Pick {
    These,
    Others,
}

fn section(text: SectionText) -> Section {
    Section { part: Vec::new(), text: Some(text) }
}

fn cut(text: &Bytes, partial: Option<imap_proto::fetch::Partial>) -> Bytes {
    let Some(partial) = partial else { return text.clone() };
    let range = partial.range(u64::try_from(text.len()).unwrap_or(u64::MAX));
    let at = |octets: u64| usize::try_from(octets).unwrap_or(usize::MAX).min(text.len());
    text.slice(at(range.start)..at(range.end))
}

fn text_of_header(part: &Part<'_>) -> String {
    let mut text = String::new();
    for field in part.fields() {
        let name: Cow<'_, str> = String::from_utf8_lossy(field.name());
        text.push_str(&name.to_lowercase());
        text.push_str(": ");
        text.push_str(&message::decode_words(field.raw_value()).to_lowercase());
        text.push('\n');
    }
    text
}

/// How a header ends that is followed by a body.
const ENDS: [&[u8]; 2] = [b"\n\r\n", b"\n\n"];
/// How much of one part SEARCH reads, undone of its encoding: ours. More text than that in one part is data.
const SEARCHED_OCTETS_MAX: usize = 16 << 20;
