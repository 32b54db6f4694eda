//! ENVELOPE and BODYSTRUCTURE (RFC 9051 §7.5.2). Who reads messages fills these in; here they are only written.

use crate::command::Dialect;
use crate::encode::Encoder;
use bytes::Bytes;

/// ENVELOPE: header fields as they stand in the message, unfolded but not decoded. An absent field is `None`, an empty
/// one `Some` of nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImapEnvelope {
    /// `Date`
    pub date: Option<Vec<u8>>,
    /// `Subject`
    pub subject: Option<Vec<u8>>,
    /// `From`
    pub from: Vec<ImapAddress>,
    /// `Sender`; when empty, `From` is written (RFC 9051 §7.5.2)
    pub sender: Vec<ImapAddress>,
    /// `Reply-To`; when empty, `From` is written
    pub reply_to: Vec<ImapAddress>,
    /// `To`
    pub to: Vec<ImapAddress>,
    /// `Cc`
    pub cc: Vec<ImapAddress>,
    /// `Bcc`
    pub bcc: Vec<ImapAddress>,
    /// `In-Reply-To`
    pub in_reply_to: Option<Vec<u8>>,
    /// `Message-ID`
    pub message_id: Option<Vec<u8>>,
}

/// One address. A group starts with one that has no host and the group's name as mailbox, and ends with one that has
/// neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImapAddress {
    /// The display name.
    pub name: Option<Vec<u8>>,
    /// The source route of old mail.
    pub adl: Option<Vec<u8>>,
    /// The local part.
    pub mailbox: Option<Vec<u8>>,
    /// The domain.
    pub host: Option<Vec<u8>>,
}

/// BODY and BODYSTRUCTURE. How deep it nests is bounded by who reads messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyStructure {
    /// `multipart/*`
    Multipart(Multipart),
    /// Everything else.
    Single(Box<SinglePart>),
}

/// A `multipart/*` body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Multipart {
    /// Its parts. The grammar wants one at least: for none, an empty `text/plain` is written.
    pub parts: Vec<BodyStructure>,
    /// `mixed`, `alternative`, …
    pub subtype: Vec<u8>,
    /// Parameters of Content-Type.
    pub params: Vec<(Vec<u8>, Vec<u8>)>,
    /// The rest of the extension data.
    pub extension: BodyExtension,
}

/// A body that is not multipart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinglePart {
    /// `text`, `image`, …
    pub media_type: Vec<u8>,
    /// `plain`, `png`, …
    pub subtype: Vec<u8>,
    /// Parameters of Content-Type.
    pub params: Vec<(Vec<u8>, Vec<u8>)>,
    /// `Content-ID`
    pub id: Option<Vec<u8>>,
    /// `Content-Description`
    pub description: Option<Vec<u8>>,
    /// `Content-Transfer-Encoding`; `7BIT` is written for an empty one
    pub encoding: Vec<u8>,
    /// Size of the body as it stands in the message.
    pub octets: u64,
    /// What depends on the type.
    pub kind: PartKind,
    /// `Content-MD5`
    pub md5: Option<Vec<u8>>,
    /// The rest of the extension data.
    pub extension: BodyExtension,
}

/// What BODYSTRUCTURE tells of some types only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Any other type.
    Basic,
    /// `text/*`
    Text {
        /// Lines of the body as it stands in the message.
        lines: u64,
    },
    /// `message/rfc822` and `message/global`
    Message {
        /// The envelope of the message inside.
        envelope: Box<ImapEnvelope>,
        /// The structure of the message inside.
        body: Box<BodyStructure>,
        /// Its lines.
        lines: u64,
    },
}

/// Extension data, told by BODYSTRUCTURE only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyExtension {
    /// `Content-Disposition`
    pub disposition: Option<Disposition>,
    /// `Content-Language`
    pub language: Vec<Vec<u8>>,
    /// `Content-Location`
    pub location: Option<Vec<u8>>,
}

/// `Content-Disposition`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disposition {
    /// `inline`, `attachment`, …
    pub kind: Vec<u8>,
    /// Its parameters.
    pub params: Vec<(Vec<u8>, Vec<u8>)>,
}

/// How much of a structure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// `BODY`
    Body,
    /// `BODYSTRUCTURE`: with extension data
    BodyStructure,
}

/// An ENVELOPE or BODYSTRUCTURE in the bytes of IMAP4rev1, which IMAP4rev2 reads too: for caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(Bytes);

impl Encoded {
    /// Takes back what [`Encoded::bytes`] gave, from a cache that checks its bytes itself.
    pub fn from_cache(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// To be kept.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    fn of(write: impl FnOnce(&mut Encoder)) -> Self {
        let mut out = Encoder::new(Dialect::Rev1);
        write(&mut out);
        Self(out.into_bytes())
    }
}

impl ImapEnvelope {
    /// For a cache.
    pub fn encoded(&self) -> Encoded {
        Encoded::of(|out| self.encode(out))
    }

    pub(crate) fn encode(&self, out: &mut Encoder) {
        // RFC 9051 §7.5.2: the server sets sender and reply-to from From when they are absent or empty.
        let or_from = |list| if <[ImapAddress]>::is_empty(list) { self.from.as_slice() } else { list };
        out.raw(b"(");
        out.nstring(self.date.as_deref());
        out.raw(b" ");
        out.nstring(self.subject.as_deref());
        for list in [&self.from, or_from(&self.sender), or_from(&self.reply_to), &self.to, &self.cc, &self.bcc] {
            out.raw(b" ");
            encode_addresses(list, out);
        }
        out.raw(b" ");
        out.nstring(self.in_reply_to.as_deref());
        out.raw(b" ");
        out.nstring(self.message_id.as_deref());
        out.raw(b")");
    }
}

impl BodyStructure {
    /// For a cache.
    pub fn encoded(&self, detail: Detail) -> Encoded {
        Encoded::of(|out| self.encode(detail, out))
    }

    pub(crate) fn encode(&self, detail: Detail, out: &mut Encoder) {
        out.raw(b"(");
        match self {
            Self::Multipart(multipart) => multipart.encode(detail, out),
            Self::Single(part) => part.encode(detail, out),
        }
        out.raw(b")");
    }
}

impl Multipart {
    fn encode(&self, detail: Detail, out: &mut Encoder) {
        if self.parts.is_empty() {
            out.raw(EMPTY_PART);
        }
        for part in &self.parts {
            part.encode(detail, out);
        }
        out.raw(b" ");
        out.string(&self.subtype);
        if detail == Detail::BodyStructure {
            out.raw(b" ");
            encode_params(&self.params, out);
            self.extension.encode(out);
        }
    }
}

impl SinglePart {
    fn encode(&self, detail: Detail, out: &mut Encoder) {
        out.string(&self.media_type);
        out.raw(b" ");
        out.string(&self.subtype);
        out.raw(b" ");
        encode_params(&self.params, out);
        out.raw(b" ");
        out.nstring(self.id.as_deref());
        out.raw(b" ");
        out.nstring(self.description.as_deref());
        out.raw(b" ");
        out.string(if self.encoding.is_empty() { b"7BIT" } else { &self.encoding });
        out.display(format_args!(" {}", self.octets));
        match &self.kind {
            PartKind::Basic => {}
            PartKind::Text { lines } => out.display(format_args!(" {lines}")),
            PartKind::Message { envelope, body, lines } => {
                out.raw(b" ");
                envelope.encode(out);
                out.raw(b" ");
                body.encode(detail, out);
                out.display(format_args!(" {lines}"));
            }
        }
        if detail == Detail::BodyStructure {
            out.raw(b" ");
            out.nstring(self.md5.as_deref());
            self.extension.encode(out);
        }
    }
}

impl BodyExtension {
    fn encode(&self, out: &mut Encoder) {
        out.raw(b" ");
        match &self.disposition {
            None => out.raw(b"NIL"),
            Some(Disposition { kind, params }) => {
                out.raw(b"(");
                out.string(kind);
                out.raw(b" ");
                encode_params(params, out);
                out.raw(b")");
            }
        }
        out.raw(b" ");
        match self.language.as_slice() {
            [] => out.raw(b"NIL"),
            [one] => out.string(one),
            many => out.list(many, |out, language| out.string(language)),
        }
        out.raw(b" ");
        out.nstring(self.location.as_deref());
    }
}

/// Addresses stand without a space between them (RFC 9051 §9 `env-from`).
fn encode_addresses(list: &[ImapAddress], out: &mut Encoder) {
    if list.is_empty() {
        return out.raw(b"NIL");
    }
    out.raw(b"(");
    for address in list {
        out.raw(b"(");
        out.nstring(address.name.as_deref());
        for part in [&address.adl, &address.mailbox, &address.host] {
            out.raw(b" ");
            out.nstring(part.as_deref());
        }
        out.raw(b")");
    }
    out.raw(b")");
}

fn encode_params(params: &[(Vec<u8>, Vec<u8>)], out: &mut Encoder) {
    if params.is_empty() {
        return out.raw(b"NIL");
    }
    out.list(params, |out, (name, value)| {
        out.string(name);
        out.raw(b" ");
        out.string(value);
    });
}

const EMPTY_PART: &[u8] = br#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 0 0)"#;

#[cfg(test)]
mod tests;
