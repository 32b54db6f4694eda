//! Which command it is, and its arguments.

use super::cursor::{Cursor, Fault, Parsed};
use super::{fetch, list, search};
use crate::command::{
    Command, CommandBody, Dialect, Flag, IdField, Numbering, Qresync, Secret, Select, Store, StoreOp,
};
use crate::command::{Tag, Transfer};
use crate::response::Reply;
use crate::sequence::{MessageSet, SeqBound};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_types::{ModSeq, SpecialUse, Uid, UidSet, UidValidity};

/// A command, or the start of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Complete.
    Command(Box<Command>),
    /// STARTTLS (RFC 9051 §6.2.1)
    StartTls(Tag),
    /// AUTHENTICATE (RFC 9051 §6.2.2)
    Authenticate {
        /// Its tag.
        tag: Tag,
        /// The mechanism, in upper case.
        mechanism: String,
        /// The initial response (RFC 4959), decoded.
        initial: Option<Vec<u8>>,
    },
    /// IDLE (RFC 9051 §6.3.13)
    Idle(Tag),
}

/// A command that is answered at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its tag, if it has one.
    pub tag: Option<Tag>,
    /// BAD, or NO.
    pub reply: Reply,
}

/// Reads one command: its lines and literals as they came, without the last line end. APPEND is not read here, because
/// its message is not collected: without a message to follow, it is malformed.
pub fn request(text: &[u8], dialect: Dialect) -> Result<Request, Rejected> {
    let mut cursor = Cursor::new(text, dialect);
    let tag = cursor.tag().map_err(|fault| Rejected { tag: None, reply: fault.reply() })?;
    let rejected = |fault: Fault| Rejected { tag: Some(tag.clone()), reply: fault.reply() };
    let request = after_tag(&mut cursor, &tag).map_err(rejected)?;
    cursor.end().map_err(rejected)?;
    Ok(request)
}

fn after_tag(cursor: &mut Cursor<'_>, tag: &Tag) -> Parsed<Request> {
    cursor.expect(b' ', "a command follows its tag")?;
    let name = cursor.keyword()?;
    let tag = tag.clone();
    Ok(match name.as_str() {
        "STARTTLS" => Request::StartTls(tag),
        "IDLE" => Request::Idle(tag),
        "AUTHENTICATE" => {
            let (mechanism, initial) = authenticate(cursor)?;
            Request::Authenticate { tag, mechanism, initial }
        }
        _ => Request::Command(Box::new(Command { tag, body: body(&name, cursor)? })),
    })
}

fn body(name: &str, cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    Ok(match name {
        "CAPABILITY" => CommandBody::Capability,
        "NOOP" => CommandBody::Noop,
        "LOGOUT" => CommandBody::Logout,
        "NAMESPACE" => CommandBody::Namespace,
        "CHECK" => CommandBody::Check,
        "CLOSE" => CommandBody::Close,
        "UNSELECT" => CommandBody::Unselect,
        "EXPUNGE" => CommandBody::Expunge,
        "APPEND" => return Err(Fault::Bad("APPEND ends with a message as a literal")),
        _ => {
            if cursor.at_end() {
                return Err(without_arguments(name));
            }
            cursor.sp()?;
            return with_arguments(name, cursor);
        }
    })
}

fn without_arguments(name: &str) -> Fault {
    if WITH_ARGUMENTS.contains(&name) { Fault::Bad("arguments are missing") } else { UNKNOWN }
}

fn with_arguments(name: &str, cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    Ok(match name {
        "ID" => CommandBody::Id(id_fields(cursor)?),
        "LOGIN" => {
            let user = cursor.login_argument()?.into_owned();
            cursor.sp()?;
            CommandBody::Login { user, password: Secret::new(cursor.login_argument()?.into_owned()) }
        }
        "ENABLE" => CommandBody::Enable(words(cursor)?),
        "COMPRESS" => CommandBody::Compress(cursor.keyword()?),
        "SELECT" => CommandBody::Select(select(cursor)?),
        "EXAMINE" => CommandBody::Examine(select(cursor)?),
        "CREATE" => create(cursor)?,
        "DELETE" => CommandBody::Delete(cursor.mailbox()?),
        "RENAME" => {
            let from = cursor.mailbox()?;
            cursor.sp()?;
            CommandBody::Rename { from, to: cursor.mailbox()? }
        }
        "SUBSCRIBE" => CommandBody::Subscribe(cursor.mailbox()?),
        "UNSUBSCRIBE" => CommandBody::Unsubscribe(cursor.mailbox()?),
        "LIST" => CommandBody::List(list::list(cursor)?),
        "LSUB" => {
            let reference = cursor.reference()?;
            cursor.sp()?;
            CommandBody::Lsub { reference, pattern: cursor.pattern()? }
        }
        "STATUS" => {
            let mailbox = cursor.mailbox()?;
            cursor.sp()?;
            CommandBody::Status { mailbox, items: list::status_items(cursor)? }
        }
        "GETQUOTA" => CommandBody::GetQuota(cursor.astring()?.into_owned()),
        "GETQUOTAROOT" => CommandBody::GetQuotaRoot(cursor.mailbox()?),
        "SETQUOTA" => set_quota(cursor)?,
        "UID" => {
            let name = cursor.keyword()?;
            cursor.sp()?;
            match name.as_str() {
                "EXPUNGE" => CommandBody::UidExpunge(cursor.message_set()?),
                _ => on_messages(&name, Numbering::Uid, cursor)?,
            }
        }
        _ => on_messages(name, Numbering::Sequence, cursor)?,
    })
}

fn on_messages(name: &str, by: Numbering, cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    Ok(match name {
        "SEARCH" => CommandBody::Search(search::search(by, cursor)?),
        "FETCH" => CommandBody::Fetch(fetch::fetch(by, cursor)?),
        "STORE" => CommandBody::Store(store(by, cursor)?),
        "COPY" => CommandBody::Copy(transfer(by, cursor)?),
        "MOVE" => CommandBody::Move(transfer(by, cursor)?),
        _ => return Err(UNKNOWN),
    })
}

fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<(String, Option<Vec<u8>>)> {
    cursor.sp()?;
    let mechanism = cursor.keyword()?;
    if !cursor.more() {
        return Ok((mechanism, None));
    }
    let text = cursor.take_while(|b| b != b' ');
    Ok((mechanism, Some(base64_response(text).ok_or(Fault::Bad("the initial response is not base64"))?)))
}

/// A client's part of a SASL exchange; `=` is an empty initial response (RFC 4959 §3).
pub(crate) fn base64_response(text: &[u8]) -> Option<Vec<u8>> {
    if text == b"=" { Some(Vec::new()) } else { STANDARD.decode(text).ok() }
}

/// The server's part (RFC 9051 §6.2.2).
pub(crate) fn base64_challenge(data: &[u8]) -> String {
    STANDARD.encode(data)
}

fn id_fields(cursor: &mut Cursor<'_>) -> Parsed<Option<Vec<IdField>>> {
    if cursor.peek() != Some(b'(') {
        return if cursor.keyword()? == "NIL" { Ok(None) } else { Err(Fault::Bad("ID takes a list or NIL")) };
    }
    cursor
        .list(ID_FIELD_COUNT_MAX, |cursor| {
            let name = cursor.string()?.into_owned();
            cursor.sp()?;
            Ok(IdField { name, value: cursor.nstring()?.map(std::borrow::Cow::into_owned) })
        })
        .map(Some)
}

fn words(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let mut words = vec![cursor.keyword()?];
    while cursor.more() {
        if words.len() >= ENABLE_COUNT_MAX {
            return Err(Fault::Bad("too many capabilities"));
        }
        words.push(cursor.keyword()?);
    }
    Ok(words)
}

fn select(cursor: &mut Cursor<'_>) -> Parsed<Select> {
    let mut select = Select { mailbox: cursor.mailbox()?, condstore: false, qresync: None };
    if !cursor.more() {
        return Ok(select);
    }
    let mut count = 0;
    cursor.list(SELECT_PARAM_COUNT_MAX, |cursor| {
        count += 1;
        match cursor.keyword()?.as_str() {
            "CONDSTORE" => select.condstore = true,
            "QRESYNC" => {
                cursor.sp()?;
                select.qresync = Some(qresync(cursor)?);
            }
            _ => return Err(Fault::Bad("no such parameter of SELECT")),
        }
        Ok(())
    })?;
    // RFC 4466 §2.1: one at least.
    if count == 0 { Err(Fault::Bad("an empty list of parameters")) } else { Ok(select) }
}

/// RFC 7162 §3.2.5: `(validity modseq [known-uids] [(seqs uids)])`.
fn qresync(cursor: &mut Cursor<'_>) -> Parsed<Qresync> {
    const BAD: Fault = Fault::Bad("QRESYNC is malformed");
    cursor.expect(b'(', "QRESYNC takes a list")?;
    let validity = UidValidity::new(cursor.number32()?).ok_or(BAD)?;
    cursor.sp()?;
    let modseq = ModSeq::new(cursor.number()?).ok_or(BAD)?;
    let (mut known_uids, mut seq_match) = (None, None);
    let mut more = cursor.eat(b' ');
    if more && cursor.peek() != Some(b'(') {
        known_uids = Some(plain_set(cursor)?);
        more = cursor.eat(b' ');
    }
    if more {
        cursor.expect(b'(', "QRESYNC is malformed")?;
        let seqs = plain_set(cursor)?;
        cursor.sp()?;
        seq_match = Some((seqs, plain_set(cursor)?));
        cursor.expect(b')', "QRESYNC is malformed")?;
    }
    cursor.expect(b')', "QRESYNC is malformed")?;
    Ok(Qresync { validity, modseq, known_uids, seq_match })
}

/// A set without `*` and `$` (RFC 7162 §7 `known-uids`).
fn plain_set(cursor: &mut Cursor<'_>) -> Parsed<UidSet> {
    const BAD: Fault = Fault::Bad("this set may not hold '*' or '$'");
    let MessageSet::Set(set) = cursor.message_set()? else { return Err(BAD) };
    if set.ranges().iter().any(|(a, b)| *a == SeqBound::Last || *b == SeqBound::Last) {
        return Err(BAD);
    }
    Ok(set.uids(Some(Uid::MAX)))
}

fn create(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let (mailbox, given) = cursor.new_mailbox()?;
    let mut special_use = Vec::new();
    if cursor.more() {
        cursor.list(1, |cursor| {
            if cursor.keyword()? != "USE" {
                return Err(Fault::Bad("no such parameter of CREATE"));
            }
            cursor.sp()?;
            special_use = cursor.list(SPECIAL_USE_COUNT_MAX, use_attribute)?;
            Ok(())
        })?;
    }
    Ok(CommandBody::Create { mailbox, given, special_use })
}

fn use_attribute(cursor: &mut Cursor<'_>) -> Parsed<SpecialUse> {
    cursor.expect(b'\\', "a special use starts with a backslash")?;
    let name = cursor.keyword()?;
    let named = |known: &SpecialUse| known.name().strip_prefix('\\').is_some_and(|n| n.eq_ignore_ascii_case(&name));
    SpecialUse::ALL.into_iter().find(named).ok_or(Fault::UseAttr)
}

fn set_quota(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let root = cursor.astring()?.into_owned();
    cursor.sp()?;
    let limits = cursor.list(QUOTA_RESOURCE_COUNT_MAX, |cursor| {
        let resource = cursor.keyword()?;
        cursor.sp()?;
        Ok((resource, cursor.number()?))
    })?;
    Ok(CommandBody::SetQuota { root, limits })
}

fn store(by: Numbering, cursor: &mut Cursor<'_>) -> Parsed<Store> {
    let set = cursor.message_set()?;
    cursor.sp()?;
    let unchanged_since = if cursor.peek() == Some(b'(') { Some(unchanged_since(cursor)?) } else { None };
    let name = store_word(cursor)?;
    let (name, silent) = name.strip_suffix(".SILENT").map_or((name.as_str(), false), |name| (name, true));
    let op = match name {
        "FLAGS" => StoreOp::Replace,
        "+FLAGS" => StoreOp::Add,
        "-FLAGS" => StoreOp::Remove,
        _ => return Err(Fault::Bad("STORE changes FLAGS, +FLAGS or -FLAGS")),
    };
    cursor.sp()?;
    Ok(Store { by, set, unchanged_since, op, silent, flags: store_flags(cursor)? })
}

fn store_word(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.keyword().map_err(|_| Fault::Bad("STORE changes FLAGS, +FLAGS or -FLAGS"))
}

/// RFC 7162 §3.1.3, with the space behind it.
fn unchanged_since(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    let modifiers = cursor.list(1, |cursor| {
        if cursor.keyword()? != "UNCHANGEDSINCE" {
            return Err(Fault::Bad("no such modifier of STORE"));
        }
        cursor.sp()?;
        cursor.number()
    })?;
    cursor.sp()?;
    modifiers.first().copied().ok_or(Fault::Bad("a modifier of STORE is missing"))
}

/// `flag-list` or flags without parentheses (RFC 9051 §9 `store-att-flags`).
fn store_flags(cursor: &mut Cursor<'_>) -> Parsed<Vec<Flag>> {
    if cursor.peek() == Some(b'(') {
        return cursor.flag_list();
    }
    let mut flags = vec![cursor.flag()?];
    while cursor.more() {
        flags.push(cursor.flag()?);
    }
    Ok(flags)
}

fn transfer(by: Numbering, cursor: &mut Cursor<'_>) -> Parsed<Transfer> {
    let set = cursor.message_set()?;
    cursor.sp()?;
    Ok(Transfer { by, set, to: cursor.mailbox()? })
}

const UNKNOWN: Fault = Fault::Bad("unknown command");
/// To tell "arguments are missing" from "unknown command".
const WITH_ARGUMENTS: [&str; 23] = [
    "ID",
    "LOGIN",
    "ENABLE",
    "COMPRESS",
    "SELECT",
    "EXAMINE",
    "CREATE",
    "DELETE",
    "RENAME",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "LIST",
    "LSUB",
    "STATUS",
    "GETQUOTA",
    "GETQUOTAROOT",
    "SETQUOTA",
    "UID",
    "SEARCH",
    "FETCH",
    "STORE",
    "COPY",
    "MOVE",
];
/// RFC 2971 §3.3.
const ID_FIELD_COUNT_MAX: usize = 30;
/// Ours: there are two parameters.
const SELECT_PARAM_COUNT_MAX: usize = 4;
/// Ours: there are fewer capabilities to enable.
const ENABLE_COUNT_MAX: usize = 32;
/// Ours: more than there are.
const SPECIAL_USE_COUNT_MAX: usize = 16;
/// Ours: more than RFC 9208 §5 has.
const QUOTA_RESOURCE_COUNT_MAX: usize = 16;
