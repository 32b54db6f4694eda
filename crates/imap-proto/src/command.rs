//! What a client may ask (RFC 9051 §6 and the extensions named in [the crate](crate)).

use crate::fetch::FetchItem;
use crate::list::{ListCommand, ListPattern, StatusItem};
use crate::search::Search;
use crate::sequence::MessageSet;
use mail_types::{Keyword, MailboxName, ModSeq, SpecialUse, SystemFlag, UidSet, UidValidity};
use std::fmt;

/// A complete command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What the tagged reply repeats.
    pub tag: Tag,
    /// The command itself.
    pub body: CommandBody,
}

/// The client's name for a command (RFC 9051 §2.2.1).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tag(Box<str>);

/// The form of mailbox names and quoted strings on this connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// IMAP4rev1: names in modified UTF-7, quoted strings in ASCII (RFC 3501 §5.1.3).
    #[default]
    Rev1,
    /// After ENABLE of IMAP4rev2 or UTF8=ACCEPT: both in UTF-8 (RFC 9051 §5.1, RFC 6855 §3).
    Utf8,
}

/// How a command names messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Numbering {
    /// By sequence number.
    Sequence,
    /// By UID: the command came with the `UID` prefix (RFC 9051 §6.4.9).
    Uid,
}

/// A flag that a client may set or a server may list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flag {
    /// One with a backslash.
    System(SystemFlag),
    /// One without.
    Keyword(Keyword),
}

/// What must not reach a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// A command and its arguments. APPEND, AUTHENTICATE, IDLE and STARTTLS are conversations and come as events of their
/// own ([`crate::server::Event`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandBody {
    /// CAPABILITY (§6.1.1)
    Capability,
    /// NOOP (§6.1.2)
    Noop,
    /// LOGOUT (§6.1.3)
    Logout,
    /// ID (RFC 2971); none for `NIL`
    Id(Option<Vec<IdField>>),
    /// LOGIN (§6.2.3)
    Login {
        /// The user name, as sent.
        user: Vec<u8>,
        /// The password, as sent.
        password: Secret,
    },
    /// ENABLE (§6.3.1): capability names in upper case
    Enable(Vec<String>),
    /// COMPRESS (RFC 4978): the algorithm in upper case
    Compress(String),
    /// SELECT (§6.3.2)
    Select(Select),
    /// EXAMINE (§6.3.3)
    Examine(Select),
    /// CREATE (§6.3.4, RFC 6154 §3)
    Create {
        /// The new mailbox.
        mailbox: MailboxName,
        /// How its name was given, where that is another form of Unicode than ours.
        given: Option<String>,
        /// What it is for: `(USE (…))`.
        special_use: Vec<SpecialUse>,
    },
    /// DELETE (§6.3.5)
    Delete(MailboxName),
    /// RENAME (§6.3.6)
    Rename {
        /// The mailbox.
        from: MailboxName,
        /// Its new name.
        to: MailboxName,
    },
    /// SUBSCRIBE (§6.3.7)
    Subscribe(MailboxName),
    /// UNSUBSCRIBE (§6.3.8)
    Unsubscribe(MailboxName),
    /// LIST (§6.3.9, RFC 5258)
    List(ListCommand),
    /// LSUB (RFC 3501 §6.3.9)
    Lsub {
        /// The reference, in UTF-8.
        reference: String,
        /// The pattern, not yet joined with the reference.
        pattern: ListPattern,
    },
    /// NAMESPACE (§6.3.10)
    Namespace,
    /// STATUS (§6.3.11)
    Status {
        /// The mailbox.
        mailbox: MailboxName,
        /// What is asked, without repetition.
        items: Vec<StatusItem>,
    },
    /// GETQUOTA (RFC 9208 §4.1.1): the root's name
    GetQuota(Vec<u8>),
    /// GETQUOTAROOT (RFC 9208 §4.1.2)
    GetQuotaRoot(MailboxName),
    /// SETQUOTA (RFC 9208 §4.1.3)
    SetQuota {
        /// The root's name.
        root: Vec<u8>,
        /// Resource names in upper case, and their new limits.
        limits: Vec<(String, u64)>,
    },
    /// CHECK (RFC 3501 §6.4.1)
    Check,
    /// CLOSE (§6.4.1)
    Close,
    /// UNSELECT (§6.4.2)
    Unselect,
    /// EXPUNGE (§6.4.3)
    Expunge,
    /// UID EXPUNGE (§6.4.9, RFC 4315 §2.1)
    UidExpunge(MessageSet),
    /// SEARCH and UID SEARCH (§6.4.4)
    Search(Search),
    /// FETCH and UID FETCH (§6.4.5)
    Fetch(Fetch),
    /// STORE and UID STORE (§6.4.6)
    Store(Store),
    /// COPY and UID COPY (§6.4.7)
    Copy(Transfer),
    /// MOVE and UID MOVE (§6.4.8)
    Move(Transfer),
}

/// One pair of ID (RFC 2971 §3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdField {
    /// The field's name.
    pub name: Vec<u8>,
    /// Its value; none for `NIL`.
    pub value: Option<Vec<u8>>,
}

/// Arguments of SELECT and EXAMINE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// Whether `(CONDSTORE)` came (RFC 7162 §3.1.8).
    pub condstore: bool,
    /// `(QRESYNC (…))` (RFC 7162 §3.2.5).
    pub qresync: Option<Qresync>,
}

/// What a client remembers of a mailbox (RFC 7162 §3.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qresync {
    /// The UIDVALIDITY it knew.
    pub validity: UidValidity,
    /// The highest MODSEQ it knew.
    pub modseq: ModSeq,
    /// The UIDs it knew, when it says so. Never holds `*`.
    pub known_uids: Option<UidSet>,
    /// Sequence numbers and their UIDs, as ranges of equal length when well meant.
    pub seq_match: Option<(UidSet, UidSet)>,
}

/// Arguments of FETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Whether `set` has UIDs.
    pub by: Numbering,
    /// The messages.
    pub set: MessageSet,
    /// What is asked; macros are expanded.
    pub items: Vec<FetchItem>,
    /// `CHANGEDSINCE` (RFC 7162 §3.1.4.1).
    pub changed_since: Option<u64>,
    /// `VANISHED` (RFC 7162 §3.2.6), only with UID and CHANGEDSINCE.
    pub vanished: bool,
}

/// Arguments of STORE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Whether `set` has UIDs.
    pub by: Numbering,
    /// The messages.
    pub set: MessageSet,
    /// `UNCHANGEDSINCE` (RFC 7162 §3.1.3); zero means "never".
    pub unchanged_since: Option<u64>,
    /// What happens to the flags.
    pub op: StoreOp,
    /// Whether the new flags need not be reported.
    pub silent: bool,
    /// The flags.
    pub flags: Vec<Flag>,
}

/// What STORE does with its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOp {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// Arguments of COPY and MOVE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Whether `set` has UIDs.
    pub by: Numbering,
    /// The messages.
    pub set: MessageSet,
    /// Where they go.
    pub to: MailboxName,
}

impl Tag {
    /// Reads `1*<any ASTRING-CHAR except "+">` (RFC 9051 §9 `tag`), at most 255 octets.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let holds = (1..=TAG_OCTETS_MAX).contains(&text.len())
            && text.iter().all(|b| crate::parse::is_astring_char(*b) && *b != b'+');
        if holds { std::str::from_utf8(text).ok().map(|text| Self(text.into())) } else { None }
    }

    /// As sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.0)
    }
}

impl CommandBody {
    /// Its name, for logs and counters.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Capability => "CAPABILITY",
            Self::Noop => "NOOP",
            Self::Logout => "LOGOUT",
            Self::Id(_) => "ID",
            Self::Login { .. } => "LOGIN",
            Self::Enable(_) => "ENABLE",
            Self::Compress(_) => "COMPRESS",
            Self::Select(_) => "SELECT",
            Self::Examine(_) => "EXAMINE",
            Self::Create { .. } => "CREATE",
            Self::Delete(_) => "DELETE",
            Self::Rename { .. } => "RENAME",
            Self::Subscribe(_) => "SUBSCRIBE",
            Self::Unsubscribe(_) => "UNSUBSCRIBE",
            Self::List(_) => "LIST",
            Self::Lsub { .. } => "LSUB",
            Self::Namespace => "NAMESPACE",
            Self::Status { .. } => "STATUS",
            Self::GetQuota(_) => "GETQUOTA",
            Self::GetQuotaRoot(_) => "GETQUOTAROOT",
            Self::SetQuota { .. } => "SETQUOTA",
            Self::Check => "CHECK",
            Self::Close => "CLOSE",
            Self::Unselect => "UNSELECT",
            Self::Expunge => "EXPUNGE",
            Self::UidExpunge(_) => "UID EXPUNGE",
            Self::Search(_) => "SEARCH",
            Self::Fetch(_) => "FETCH",
            Self::Store(_) => "STORE",
            Self::Copy(_) => "COPY",
            Self::Move(_) => "MOVE",
        }
    }
}

impl Secret {
    /// Hides octets from `Debug`.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// The octets.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Flag {
    /// Reads a flag; `\Recent`, `\*` and unknown names with a backslash are none that a client may set.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('\\') {
            return SystemFlag::from_name(text).map(Self::System);
        }
        Keyword::parse(text).ok().map(Self::Keyword)
    }

    /// As IMAP writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::System(flag) => flag.name(),
            Self::Keyword(keyword) => keyword.as_str(),
        }
    }
}

/// Ours: real tags have a dozen octets.
const TAG_OCTETS_MAX: usize = 255;
