//! FETCH, piece by piece (RFC 9051 §6.4.5, §7.5.2, RFC 7162 §3.1.4, §3.2.6).

use super::content::{Reader, UnknownEncoding};
use super::selected::{Access, Selected};
use super::{Doing, ImapSession, STEP_OCTETS, reply, sets, tell_with};
use crate::engine::{FlagChange, FlagNames, Refusal, Store};
use bytes::Bytes;
use imap_proto::command::Fetch;
use imap_proto::fetch::{FetchData, FetchItem, SectionText};
use imap_proto::server::Server;
use imap_proto::{Numbering, Reply, Response, ResponseCode};
use mail_types::{AccountId, FlagSet, ModSeq, SystemFlag, Uid, UidSet};
use mailbox::MessageRow;
use ports::Flow;

/// A FETCH under way, or a STORE that tells what became of the flags.
pub(super) struct Fetching {
    by: Numbering,
    items: Vec<FetchItem>,
    targets: UidSet,
    /// The first message that was not looked at; none when all were.
    next: Option<Uid>,
    /// Only messages that this change changed.
    only: Option<ModSeq>,
    /// Told when all went well.
    reply: Reply,
    trouble: Option<Trouble>,
}

/// How much of a message an answer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Needs {
    /// The row says it.
    Row,
    /// The header, which is at the beginning.
    Header,
    /// All of it.
    Text,
}

fn needs(item: &FetchItem) -> Needs {
    match item {
        FetchItem::Uid | FetchItem::Flags | FetchItem::InternalDate | FetchItem::Size | FetchItem::ModSeq => Needs::Row,
        FetchItem::Envelope | FetchItem::Rfc822Header => Needs::Header,
        FetchItem::Section(asked) if asked.section.part.is_empty() => match &asked.section.text {
            Some(SectionText::Header | SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_)) => Needs::Header,
            Some(SectionText::Text | SectionText::Mime) | None => Needs::Text,
        },
        FetchItem::Section(_)
        | FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::Rfc822
        | FetchItem::Rfc822Text
        | FetchItem::Binary(_)
        | FetchItem::BinarySize(_) => Needs::Text,
    }
}

/// What kept an answer from being whole; the worst counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// A message is no longer in the mailbox.
    Missing,
    /// A part's encoding is unknown.
    Encoding,
    /// A message cannot be read.
    Damaged,
}

impl Fetching {
    pub(super) fn new(by: Numbering, mut items: Vec<FetchItem>, targets: UidSet, reply: Reply) -> Self {
        // RFC 9051 §6.4.9: UID commands tell UIDs.
        if by == Numbering::Uid && !items.contains(&FetchItem::Uid) {
            items.insert(0, FetchItem::Uid);
        }
        Self { by, items, targets, next: Some(Uid::FIRST), only: None, reply, trouble: None }
    }

    /// Tells only of messages that were last changed by `modseq`; without one, of none.
    pub(super) fn only_changed_by(&mut self, modseq: Option<ModSeq>) {
        match modseq {
            Some(modseq) => self.only = Some(modseq),
            None => self.next = None,
        }
    }

    /// How much of a message must be read.
    fn needs(&self) -> Needs {
        self.items.iter().map(needs).max().unwrap_or(Needs::Row)
    }

    fn reads_text(&self) -> bool {
        self.needs() > Needs::Row
    }

    fn meet(&mut self, trouble: Trouble) {
        self.trouble = self.trouble.max(Some(trouble));
    }

    fn reply(self) -> Reply {
        match self.trouble {
            // UIDs of messages that are not there are passed over (RFC 9051 §6.4.9); numbers may not be (RFC 2180 §4.1).
            Some(Trouble::Missing) if self.by == Numbering::Sequence => match self.reply.code {
                // RFC 7162 §3.1.3, example 11: which messages had changed must be told all the same.
                Some(code @ ResponseCode::Modified(_)) => Reply { code: Some(code), ..reply::expunged() },
                Some(_) | None => reply::expunged(),
            },
            None | Some(Trouble::Missing) => self.reply,
            Some(Trouble::Encoding) => Reply::no("A part has an unknown encoding").with(ResponseCode::UnknownCte),
            Some(Trouble::Damaged) => Reply::no("Some messages cannot be read; please tell your administrator")
                .with(ResponseCode::ContactAdmin),
        }
    }
}

impl ImapSession {
    pub(super) async fn fetch(&mut self, machine: &mut Server, fetch: Fetch) -> Flow {
        let Fetch { by, set, mut items, changed_since, vanished } = fetch;
        // RFC 7162 §3.2.6.
        if vanished && !self.enabled.qresync {
            return self.end(machine, Reply::bad("QRESYNC is not enabled"));
        }
        let mut targets = match self.targets(machine, &set, by, Access::Read) {
            Ok(targets) => targets,
            Err(reply) => return self.end(machine, reply),
        };
        if changed_since.is_some() && !items.contains(&FetchItem::ModSeq) {
            items.push(FetchItem::ModSeq);
        }
        if items.contains(&FetchItem::ModSeq) {
            self.use_condstore(machine);
        }
        if let Some(since) = changed_since.filter(|_| vanished)
            && let Err(refusal) = self.tell_vanished_earlier(machine, &set, since)
        {
            return self.refuse(machine, &refusal);
        }
        if let (Some(since), Some(selected)) = (changed_since.and_then(ModSeq::new), &self.selected) {
            match self.store.changed_since(self.account(), selected.id, since) {
                Ok(changed) => targets = sets::intersection(&targets, &changed),
                Err(refusal) => return self.refuse(machine, &refusal),
            }
        }
        let fetching = Fetching::new(by, items, targets, Reply::ok("FETCH completed"));
        self.fetch_on(machine, Box::new(fetching)).await
    }

    /// Answers until enough is queued or all is told.
    pub(super) async fn fetch_on(&mut self, machine: &mut Server, mut fetching: Box<Fetching>) -> Flow {
        loop {
            match self.fetch_batch(machine, &mut fetching).await {
                Ok(true) => {}
                Ok(false) => {
                    let tell = tell_with(fetching.by);
                    return self.finish(machine, fetching.reply(), tell);
                }
                Err(refusal) => return self.refuse(machine, &refusal),
            }
            if machine.output_octets() >= STEP_OCTETS || fetching.reads_text() {
                self.doing = Doing::Fetch(fetching);
                return Flow::Again;
            }
        }
    }

    /// Answers for one batch of rows, or a part of it; false when nothing is left.
    async fn fetch_batch(&mut self, machine: &mut Server, fetching: &mut Fetching) -> Result<bool, Refusal> {
        let Some((from, last)) = fetching.next.and_then(|next| sets::range_from(&fetching.targets, next)) else {
            return Ok(false);
        };
        let Some(selected) = &mut self.selected else { return Ok(false) };
        let account = self.who.account;
        let batch_rows = if fetching.reads_text() { TEXT_ROWS } else { mailbox::index::ROWS_PER_READ_MAX };
        let wanted = usize::try_from(sets::count_of((from, last))).unwrap_or(usize::MAX).min(batch_rows);
        let mut rows = self.store.messages(account, selected.id, from, wanted)?;
        if selected.access == Access::Write && fetching.items.iter().any(FetchItem::sets_seen) {
            let seen_last = rows.last().map_or(last, |(uid, _)| (*uid).min(last));
            if mark_seen(&self.store, account, selected, (from, seen_last), &rows).await {
                // With what others changed at the same time.
                rows = self.store.messages(account, selected.id, from, wanted)?;
                self.stale = true;
            }
        }
        let full = rows.len() >= wanted;
        rows.retain(|(uid, _)| *uid <= last);
        let tells_flags = fetching.items.contains(&FetchItem::Flags) && fetching.only.is_none();
        let mut at = Some(from);
        for (uid, row) in &rows {
            if at != Some(*uid) {
                fetching.meet(Trouble::Missing);
            }
            tell_message(&self.store, account, selected, machine, fetching, (*uid, row));
            at = uid.next();
            fetching.next = at;
            if tells_flags {
                selected.told_flags(*uid, *uid);
            }
            if machine.output_octets() >= STEP_OCTETS {
                return Ok(true);
            }
        }
        // Rows beyond the range, or none: the rest of the range is not there.
        if !full || rows.len() < wanted {
            if at.is_some_and(|at| at <= last) {
                fetching.meet(Trouble::Missing);
            }
            fetching.next = last.next();
        }
        Ok(true)
    }
}

/// Sets `\Seen` where it is not, before the messages are sent (RFC 9051 §6.4.5). That it cannot be set keeps nobody
/// from reading.
async fn mark_seen(
    store: &Store,
    account: AccountId,
    selected: &mut Selected,
    (first, last): (Uid, Uid),
    rows: &[(Uid, MessageRow)],
) -> bool {
    let unseen = rows.iter().filter(|(_, row)| !row.flags.has(SystemFlag::Seen)).map(|(uid, _)| *uid);
    let uids: UidSet = unseen.filter(|uid| (first..=last).contains(uid)).collect();
    if uids.is_empty() {
        return false;
    }
    let seen = FlagNames { system: FlagSet::system(SystemFlag::Seen), keywords: Vec::new() };
    match store.store_flags(account, selected.id, &uids, FlagChange::Add, &seen, None).await {
        Ok(stored) => stored.modseq.into_iter().for_each(|modseq| selected.own_change(modseq)),
        Err(refusal) => tracing::warn!(why = %refusal, "a message that is read cannot be marked as seen"),
    }
    true
}

fn tell_message(
    store: &Store,
    account: AccountId,
    selected: &Selected,
    machine: &mut Server,
    fetching: &mut Fetching,
    (uid, row): (Uid, &MessageRow),
) {
    if fetching.only.is_some_and(|only| only != row.modseq) {
        return;
    }
    let Some(seq) = selected.view.seq(uid) else { return };
    let read = match fetching.needs() {
        Needs::Row => Ok(None),
        Needs::Header => store.read_header(account, row).map(Some),
        Needs::Text => store.read(account, row).map(Some),
    };
    let text = match read {
        Ok(text) => text,
        Err(refusal) => return fetching.meet(unreadable(store, account, selected, uid, &refusal)),
    };
    match items(selected, fetching, uid, row, text.as_ref()) {
        Ok(items) => machine.send(&Response::Fetch(seq, items)),
        Err(UnknownEncoding) => fetching.meet(Trouble::Encoding),
    }
}

/// A text that cannot be read may be one whose message has just been expunged.
fn unreadable(store: &Store, account: AccountId, selected: &Selected, uid: Uid, refusal: &Refusal) -> Trouble {
    match store.message(account, selected.id, uid) {
        Ok(None) => Trouble::Missing,
        Ok(Some(_)) | Err(_) => {
            reply::log(refusal);
            Trouble::Damaged
        }
    }
}

fn items(
    selected: &Selected,
    fetching: &Fetching,
    uid: Uid,
    row: &MessageRow,
    text: Option<&Bytes>,
) -> Result<Vec<FetchData>, UnknownEncoding> {
    let reader = text.map(Reader::new);
    let mut told = Vec::with_capacity(fetching.items.len() + 1);
    // RFC 9051 §6.4.5: `\Seen` that this command set is told with it.
    let marked = selected.is_own(row.modseq) && fetching.items.iter().any(FetchItem::sets_seen);
    if marked && !fetching.items.contains(&FetchItem::Flags) {
        told.push(selected.flags(row));
    }
    for item in &fetching.items {
        let data = match item {
            FetchItem::Uid => Some(FetchData::Uid(uid)),
            FetchItem::Flags => Some(selected.flags(row)),
            FetchItem::InternalDate => Some(FetchData::InternalDate(row.date.civil(0))),
            FetchItem::Size => Some(FetchData::Size(row.size)),
            FetchItem::ModSeq => Some(FetchData::ModSeq(row.modseq)),
            FetchItem::Envelope
            | FetchItem::Body
            | FetchItem::BodyStructure
            | FetchItem::Section(_)
            | FetchItem::Rfc822
            | FetchItem::Rfc822Header
            | FetchItem::Rfc822Text
            | FetchItem::Binary(_)
            | FetchItem::BinarySize(_) => match &reader {
                Some(reader) => reader.data(item)?,
                None => None,
            },
        };
        told.extend(data);
    }
    Ok(told)
}

/// Rows of one read where texts are read too: few messages of usual size fill [`STEP_OCTETS`].
const TEXT_ROWS: usize = 32;
