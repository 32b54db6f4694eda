//! What a server may answer (RFC 9051 §7 and the extensions named in [the crate](crate)).

use crate::capability::CapabilitySet;
use crate::command::{Flag, IdField, Tag};
use crate::encode::Encoder;
use crate::fetch::FetchData;
use crate::list::StatusItem;
use crate::sequence::SequenceSet;
use mail_types::{MailboxName, ModSeq, SeqNum, SpecialUse, Uid, UidSet, UidValidity};
use std::borrow::Cow;

/// OK, NO or BAD with its text: tagged as the end of a command, untagged as news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Which.
    pub kind: ReplyKind,
    /// `[…]` before the text.
    pub code: Option<ResponseCode>,
    /// For people.
    pub text: Cow<'static, str>,
}

/// The three ends of a command (RFC 9051 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// Done.
    Ok,
    /// Refused or failed.
    No,
    /// Not understood.
    Bad,
}

/// Response codes (RFC 9051 §7.1, RFC 5530 and the extensions).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the RFCs, and each stands beside its name in `encode`")]
pub enum ResponseCode {
    Alert,
    AlreadyExists,
    AppendUid { validity: UidValidity, uids: UidSet },
    AuthenticationFailed,
    AuthorizationFailed,
    BadCharset,
    Cannot,
    Capability(CapabilitySet),
    ClientBug,
    Closed,
    CompressionActive,
    ContactAdmin,
    CopyUid { validity: UidValidity, from: UidSet, to: UidSet },
    Corruption,
    Expired,
    ExpungeIssued,
    HasChildren,
    HighestModSeq(ModSeq),
    InUse,
    Limit,
    Modified(SequenceSet),
    NoModSeq,
    NonExistent,
    NoPerm,
    NotSaved,
    OverQuota,
    Parse,
    PermanentFlags { flags: Vec<Flag>, more: bool },
    PrivacyRequired,
    ReadOnly,
    ReadWrite,
    ServerBug,
    TooBig,
    TryCreate,
    UidNext(Uid),
    UidNotSticky,
    UidValidity(UidValidity),
    Unavailable,
    UnknownCte,
    Unseen(SeqNum),
    UseAttr,
}

/// Everything that is told without a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// `* OK`, `* NO`, `* BAD`; a greeting is an OK
    Untagged(Reply),
    /// `* PREAUTH`: a greeting of who need not log in
    PreAuth(Reply),
    /// `* BYE`; prefer [`crate::server::Server::bye`], which also closes
    Bye(Reply),
    /// `* CAPABILITY`
    Capability(CapabilitySet),
    /// `* ENABLED`
    Enabled(Vec<Cow<'static, str>>),
    /// `* ID`; none is `NIL`
    Id(Option<Vec<IdField>>),
    /// `* LIST`
    List(ListItem),
    /// `* LSUB` (RFC 3501)
    Lsub(ListItem),
    /// `* NAMESPACE`: personal, other users', shared
    Namespace([Vec<NamespaceItem>; 3]),
    /// `* STATUS`
    Status(MailboxName, Vec<(StatusItem, u64)>),
    /// `* FLAGS`
    Flags(Vec<Flag>),
    /// `* n EXISTS`
    Exists(u32),
    /// `* n RECENT` (RFC 3501)
    Recent(u32),
    /// `* n EXPUNGE`
    Expunge(SeqNum),
    /// `* VANISHED` (RFC 7162 §3.2.10); nothing is sent for an empty set
    Vanished {
        /// `(EARLIER)`: news of before, which change no sequence number.
        earlier: bool,
        /// Which.
        uids: UidSet,
    },
    /// `* SEARCH` (RFC 3501, RFC 7162 §3.1.5)
    Search(Vec<u32>, Option<ModSeq>),
    /// `* ESEARCH`
    Esearch(Esearch),
    /// `* n FETCH`
    Fetch(SeqNum, Vec<FetchData>),
    /// `* QUOTA` (RFC 9208 §4.2.1)
    Quota {
        /// The root's name.
        root: Vec<u8>,
        /// Per resource its name, its usage and its limit.
        resources: Vec<(Cow<'static, str>, u64, u64)>,
    },
    /// `* QUOTAROOT` (RFC 9208 §4.2.2)
    QuotaRoot(MailboxName, Vec<Vec<u8>>),
}

/// One mailbox in LIST or LSUB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListItem {
    /// Its attributes.
    pub attributes: Vec<ListAttribute>,
    /// Its name, or, as the answer to `LIST "" ""`, the empty text.
    pub name: Cow<'static, str>,
    /// `CHILDINFO`: by which selection options names below it are found (RFC 5258 §3.5).
    pub child_info: Vec<&'static str>,
    /// `OLDNAME` (RFC 9051 §6.3.9.7): what it was before, or how else it was given.
    pub old_name: Option<Cow<'static, str>>,
}

/// An attribute in LIST (RFC 9051 §7.3.1, RFC 6154).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the RFCs with their backslash")]
pub enum ListAttribute {
    NoInferiors,
    NoSelect,
    NonExistent,
    Marked,
    Unmarked,
    HasChildren,
    HasNoChildren,
    Subscribed,
    Remote,
    SpecialUse(SpecialUse),
}

/// One namespace (RFC 2342 §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceItem {
    /// What its names start with, in UTF-8.
    pub prefix: String,
    /// Between levels.
    pub separator: char,
}

/// `* ESEARCH` (RFC 4731).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Esearch {
    /// The command it answers.
    pub tag: Option<Tag>,
    /// Whether the numbers are UIDs.
    pub uid: bool,
    /// `MIN`
    pub min: Option<u32>,
    /// `MAX`
    pub max: Option<u32>,
    /// `ALL`; left out when empty
    pub all: Option<SequenceSet>,
    /// `COUNT`
    pub count: Option<u32>,
    /// `MODSEQ` (RFC 7162 §3.1.10)
    pub modseq: Option<ModSeq>,
}

impl Reply {
    /// OK.
    pub fn ok(text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ReplyKind::Ok, code: None, text: text.into() }
    }

    /// NO.
    pub fn no(text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ReplyKind::No, code: None, text: text.into() }
    }

    /// BAD.
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ReplyKind::Bad, code: None, text: text.into() }
    }

    /// With a response code.
    #[must_use]
    pub fn with(self, code: ResponseCode) -> Self {
        Self { code: Some(code), ..self }
    }

    fn encode(&self, out: &mut Encoder) {
        out.raw(match self.kind {
            ReplyKind::Ok => b"OK ",
            ReplyKind::No => b"NO ",
            ReplyKind::Bad => b"BAD ",
        });
        self.encode_text(out);
    }

    fn encode_text(&self, out: &mut Encoder) {
        if let Some(code) = &self.code {
            out.raw(b"[");
            code.encode(out);
            out.raw(b"] ");
        }
        out.text(&self.text);
        out.raw(b"\r\n");
    }

    /// As the end of a command.
    pub fn encode_tagged(&self, tag: &Tag, out: &mut Encoder) {
        out.raw(tag.as_str().as_bytes());
        out.raw(b" ");
        self.encode(out);
    }
}

impl ResponseCode {
    fn encode(&self, out: &mut Encoder) {
        out.raw(match self {
            Self::Alert => b"ALERT",
            Self::AlreadyExists => b"ALREADYEXISTS",
            Self::AuthenticationFailed => b"AUTHENTICATIONFAILED",
            Self::AuthorizationFailed => b"AUTHORIZATIONFAILED",
            Self::BadCharset => b"BADCHARSET (US-ASCII UTF-8)",
            Self::Cannot => b"CANNOT",
            Self::ClientBug => b"CLIENTBUG",
            Self::Closed => b"CLOSED",
            Self::CompressionActive => b"COMPRESSIONACTIVE",
            Self::ContactAdmin => b"CONTACTADMIN",
            Self::Corruption => b"CORRUPTION",
            Self::Expired => b"EXPIRED",
            Self::ExpungeIssued => b"EXPUNGEISSUED",
            Self::HasChildren => b"HASCHILDREN",
            Self::InUse => b"INUSE",
            Self::Limit => b"LIMIT",
            Self::NoModSeq => b"NOMODSEQ",
            Self::NonExistent => b"NONEXISTENT",
            Self::NoPerm => b"NOPERM",
            Self::NotSaved => b"NOTSAVED",
            Self::OverQuota => b"OVERQUOTA",
            Self::Parse => b"PARSE",
            Self::PrivacyRequired => b"PRIVACYREQUIRED",
            Self::ReadOnly => b"READ-ONLY",
            Self::ReadWrite => b"READ-WRITE",
            Self::ServerBug => b"SERVERBUG",
            Self::TooBig => b"TOOBIG",
            Self::TryCreate => b"TRYCREATE",
            Self::UidNotSticky => b"UIDNOTSTICKY",
            Self::Unavailable => b"UNAVAILABLE",
            Self::UnknownCte => b"UNKNOWN-CTE",
            Self::UseAttr => b"USEATTR",
            Self::AppendUid { validity, uids } => return out.word("APPENDUID", format_args!("{validity} {uids}")),
            Self::Capability(set) => return set.encode(out),
            Self::CopyUid { validity, from, to } => {
                return out.word("COPYUID", format_args!("{validity} {from} {to}"));
            }
            Self::HighestModSeq(modseq) => return out.word("HIGHESTMODSEQ", modseq),
            Self::Modified(set) => return out.word("MODIFIED", set),
            Self::PermanentFlags { flags, more } => {
                out.raw(b"PERMANENTFLAGS ");
                return out.flags(flags, more.then_some("\\*"));
            }
            Self::UidNext(uid) => return out.word("UIDNEXT", uid),
            Self::UidValidity(validity) => return out.word("UIDVALIDITY", validity),
            Self::Unseen(seq) => return out.word("UNSEEN", seq),
        });
    }
}

impl Response {
    /// Writes it with its star and its line end.
    pub fn encode(&self, out: &mut Encoder) {
        if matches!(self, Self::Vanished { uids, .. } if uids.is_empty()) {
            return;
        }
        out.raw(b"* ");
        match self {
            Self::Untagged(reply) => return reply.encode(out),
            Self::PreAuth(reply) => {
                out.raw(b"PREAUTH ");
                return reply.encode_text(out);
            }
            Self::Bye(reply) => {
                out.raw(b"BYE ");
                return reply.encode_text(out);
            }
            Self::Capability(set) => set.encode(out),
            Self::Enabled(names) => {
                out.raw(b"ENABLED");
                for name in names {
                    out.raw(b" ");
                    out.raw(name.as_bytes());
                }
            }
            Self::Id(fields) => encode_id(fields.as_deref(), out),
            Self::List(item) => item.encode("LIST ", out),
            Self::Lsub(item) => item.encode("LSUB ", out),
            Self::Namespace(spaces) => encode_namespaces(spaces, out),
            Self::Status(name, values) => {
                out.raw(b"STATUS ");
                out.mailbox(name);
                out.raw(b" ");
                out.list(values, |out, (item, value)| out.word(item.name(), value));
            }
            Self::Flags(flags) => {
                out.raw(b"FLAGS ");
                out.flags(flags, None);
            }
            Self::Exists(count) => out.display(format_args!("{count} EXISTS")),
            Self::Recent(count) => out.display(format_args!("{count} RECENT")),
            Self::Expunge(seq) => out.display(format_args!("{seq} EXPUNGE")),
            Self::Vanished { earlier: true, uids } => out.word("VANISHED (EARLIER)", uids),
            Self::Vanished { earlier: false, uids } => out.word("VANISHED", uids),
            Self::Search(numbers, modseq) => encode_search(numbers, *modseq, out),
            Self::Esearch(result) => result.encode(out),
            Self::Fetch(seq, items) => {
                out.display(format_args!("{seq} FETCH "));
                out.list(items, |out, item| item.encode(out));
            }
            Self::Quota { root, resources } => {
                out.raw(b"QUOTA ");
                out.astring(root);
                out.raw(b" ");
                out.list(resources, |out, (name, usage, limit)| out.word(name, format_args!("{usage} {limit}")));
            }
            Self::QuotaRoot(name, roots) => {
                out.raw(b"QUOTAROOT ");
                out.mailbox(name);
                for root in roots {
                    out.raw(b" ");
                    out.astring(root);
                }
            }
        }
        out.raw(b"\r\n");
    }
}

impl ListItem {
    /// A mailbox with nothing but attributes.
    pub fn new(name: &MailboxName, attributes: Vec<ListAttribute>) -> Self {
        Self { attributes, name: name.as_str().to_owned().into(), child_info: Vec::new(), old_name: None }
    }

    /// The answer to `LIST "" ""` (RFC 9051 §6.3.9).
    pub fn separator() -> Self {
        Self { attributes: vec![ListAttribute::NoSelect], name: "".into(), child_info: Vec::new(), old_name: None }
    }

    fn encode(&self, word: &str, out: &mut Encoder) {
        out.raw(word.as_bytes());
        out.list(&self.attributes, |out, attribute| out.raw(attribute.name().as_bytes()));
        out.display(format_args!(" \"{}\" ", MailboxName::SEPARATOR));
        out.name(&self.name);
        let mut before = b" (".as_slice();
        if !self.child_info.is_empty() {
            out.raw(before);
            out.raw(b"\"CHILDINFO\" ");
            out.list(&self.child_info, |out, option| out.string(option.as_bytes()));
            before = b" ";
        }
        if let Some(old) = &self.old_name {
            out.raw(before);
            out.raw(b"\"OLDNAME\" (");
            out.name(old);
            out.raw(b")");
        }
        if !self.child_info.is_empty() || self.old_name.is_some() {
            out.raw(b")");
        }
    }
}

impl ListAttribute {
    /// With its backslash.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoInferiors => "\\NoInferiors",
            Self::NoSelect => "\\NoSelect",
            Self::NonExistent => "\\NonExistent",
            Self::Marked => "\\Marked",
            Self::Unmarked => "\\Unmarked",
            Self::HasChildren => "\\HasChildren",
            Self::HasNoChildren => "\\HasNoChildren",
            Self::Subscribed => "\\Subscribed",
            Self::Remote => "\\Remote",
            Self::SpecialUse(special_use) => special_use.name(),
        }
    }
}

impl Esearch {
    fn encode(&self, out: &mut Encoder) {
        out.raw(b"ESEARCH");
        if let Some(tag) = &self.tag {
            out.raw(b" (TAG ");
            out.string(tag.as_str().as_bytes());
            out.raw(b")");
        }
        if self.uid {
            out.raw(b" UID");
        }
        for (name, value) in [(" MIN", self.min), (" MAX", self.max)] {
            if let Some(value) = value {
                out.word(name, value);
            }
        }
        if let Some(all) = self.all.as_ref().filter(|all| !all.is_empty()) {
            out.word(" ALL", all);
        }
        if let Some(count) = self.count {
            out.word(" COUNT", count);
        }
        if let Some(modseq) = self.modseq {
            out.word(" MODSEQ", modseq);
        }
    }
}

fn encode_id(fields: Option<&[IdField]>, out: &mut Encoder) {
    out.raw(b"ID ");
    match fields {
        None | Some([]) => out.raw(b"NIL"),
        Some(fields) => out.list(fields, |out, field| {
            out.string(&field.name);
            out.raw(b" ");
            out.nstring(field.value.as_deref());
        }),
    }
}

fn encode_namespaces(spaces: &[Vec<NamespaceItem>; 3], out: &mut Encoder) {
    out.raw(b"NAMESPACE");
    for items in spaces {
        out.raw(b" ");
        if items.is_empty() {
            out.raw(b"NIL");
            continue;
        }
        out.raw(b"(");
        for item in items {
            out.raw(b"(");
            // The grammar has a string here, not an astring.
            match out.dialect() {
                crate::command::Dialect::Rev1 => out.string(mail_types::utf7::encode(&item.prefix).as_bytes()),
                crate::command::Dialect::Utf8 => out.string(item.prefix.as_bytes()),
            }
            out.display(format_args!(" \"{}\")", item.separator));
        }
        out.raw(b")");
    }
}

fn encode_search(numbers: &[u32], modseq: Option<ModSeq>, out: &mut Encoder) {
    out.raw(b"SEARCH");
    for number in numbers {
        out.display(format_args!(" {number}"));
    }
    // RFC 7162 §3.1.5: MODSEQ is told of a result that is not empty.
    if let Some(modseq) = modseq.filter(|_| !numbers.is_empty()) {
        out.display(format_args!(" (MODSEQ {modseq})"));
    }
}

#[cfg(test)]
mod tests;
