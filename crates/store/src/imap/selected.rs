//! The mailbox that a session has open: its view, and news of it.
//!
//! ```text
//!   rows ── look ──▶ view grows · gone · changed ── tell, as far as the command allows ──▶ EXPUNGE, EXISTS, FLAGS, FETCH
//! ```
//! A message that is gone keeps its sequence number until EXPUNGE, or VANISHED, has been told (RFC 9051 §7.5.1, RFC 7162
//! §3.2.10.2).

use super::view::View;
use super::{Enabled, flags, resync, sets};
use crate::engine::{Refusal, Store};
use imap_proto::fetch::FetchData;
use imap_proto::server::Server;
use imap_proto::{MessageSet, Numbering, Reply, Response, ResponseCode, SequenceSet};
use mail_types::{AccountId, Keyword, MailboxId, MailboxName, ModSeq, SeqNum, Uid, UidSet};
use mailbox::{MailboxRow, MessageRow};

/// A mailbox under SELECT or EXAMINE.
pub(super) struct Selected {
    pub(super) id: MailboxId,
    pub(super) access: Access,
    pub(super) view: View,
    /// In the order of their bits, as told by FLAGS.
    pub(super) keywords: Vec<Keyword>,
    /// Every UID below it that was there has been in the view.
    uid_next: Uid,
    /// Up to where changes have been looked at.
    modseq: ModSeq,
    /// What EXISTS said last, less the EXPUNGEs since.
    exists: u32,
    /// Whether FLAGS must be told again.
    keywords_news: bool,
    /// In the view, but no longer in the mailbox.
    gone: UidSet,
    /// In the view, with flags that were not told.
    changed: UidSet,
    /// Of those, what must be told whoever changed it last.
    owed: UidSet,
    /// Changes that this session made itself and has told, or was asked not to; sorted, they grow.
    own: Vec<ModSeq>,
}

/// Whether the session may change the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// SELECT
    Write,
    /// EXAMINE
    Read,
}

/// What may be told with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    /// Everything.
    All,
    /// FETCH, STORE and SEARCH by sequence number: no EXPUNGE, which would move the numbers (RFC 9051 §7.5.1).
    NoExpunge,
}

/// What a look at a mailbox found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It is there.
    There,
    /// It was deleted.
    Deleted,
}

impl Selected {
    /// Opens a mailbox.
    pub(super) async fn open(
        store: &Store,
        account: AccountId,
        name: &MailboxName,
        access: Access,
    ) -> Result<(Self, MailboxRow), Refusal> {
        let (id, row) = store.mailbox_by_name(account, name)?.ok_or(Refusal::NoMailbox)?;
        let view = read_view(store, account, id, &row).await?;
        let selected = Self {
            id,
            access,
            exists: view.count(),
            view,
            keywords: row.keywords.clone(),
            uid_next: row.uid_next,
            modseq: row.modseq,
            keywords_news: false,
            gone: UidSet::new(),
            changed: UidSet::new(),
            owed: UidSet::new(),
            own: Vec::new(),
        };
        Ok((selected, row))
    }

    /// Up to where changes have been looked at: HIGHESTMODSEQ to the client.
    pub(super) fn modseq(&self) -> ModSeq {
        self.modseq
    }

    /// A change of this session's own, of which its client is told by the command itself.
    pub(super) fn own_change(&mut self, modseq: ModSeq) {
        self.own.push(modseq);
    }

    /// A change of this session's own, of which its client wants to hear nothing. It must hear of what others changed
    /// before: what is known of that is owed, and where something may have come between, all is told.
    pub(super) fn own_silent_change(&mut self, modseq: ModSeq) {
        self.owed = sets::union(&self.owed, &self.changed);
        if self.own.last().unwrap_or(&self.modseq).next() == Some(modseq) {
            self.own.push(modseq);
        }
    }

    /// Whether a change is this session's own, within the command under way.
    pub(super) fn is_own(&self, modseq: ModSeq) -> bool {
        self.own.binary_search(&modseq).is_ok()
    }

    /// Reads what changed since the last look. The row comes first: what is newer than it is found by the next look.
    pub(super) fn look(&mut self, store: &Store, account: AccountId) -> Result<Look, Refusal> {
        let Some(row) = store.mailbox(account, self.id)? else { return Ok(Look::Deleted) };
        if row.keywords.len() > self.keywords.len() {
            self.keywords = row.keywords;
            self.keywords_news = true;
        }
        if row.modseq == self.modseq {
            return Ok(Look::There);
        }
        // From the last look's MODSEQ on, itself included: a long EXPUNGE is several records.
        let gone = store.vanished_since(account, self.id, before(self.modseq))?;
        self.gone = sets::union(&self.gone, &sets::intersection(self.view.uids(), &gone));
        let changed = store.changed_since(account, self.id, self.modseq)?;
        self.changed = sets::union(&self.changed, &sets::intersection(self.view.uids(), &changed));
        self.look_for_new(store, account, row.uid_next)?;
        self.modseq = row.modseq;
        Ok(Look::There)
    }

    fn look_for_new(&mut self, store: &Store, account: AccountId, uid_next: Uid) -> Result<(), Refusal> {
        while self.uid_next < uid_next {
            let batch = store.messages(account, self.id, self.uid_next, BATCH_ROWS)?;
            for (uid, _) in batch.iter().take_while(|(uid, _)| *uid < uid_next) {
                self.view.push(*uid);
            }
            let full = batch.last().filter(|_| batch.len() >= BATCH_ROWS).and_then(|(uid, _)| uid.next());
            self.uid_next = full.map_or(uid_next, |next| next.min(uid_next));
        }
        Ok(())
    }

    /// Whether there is something that [`Selected::tell`] would tell.
    fn has_news(&self, tell: Tell) -> bool {
        (tell == Tell::All && !self.gone.is_empty())
            || self.exists != self.view.count()
            || self.keywords_news
            || !self.changed.is_empty()
    }

    /// Tells a bounded part of the news; true when there is more.
    pub(super) fn tell(
        &mut self,
        machine: &mut Server,
        store: &Store,
        account: AccountId,
        tell: Tell,
        enabled: Enabled,
    ) -> Result<bool, Refusal> {
        if tell == Tell::All && !self.gone.is_empty() {
            self.tell_expunged(machine, enabled);
        }
        if tell == Tell::All && !self.gone.is_empty() {
            return Ok(true);
        }
        self.announce(machine);
        self.tell_flags(machine, store, account, enabled)?;
        if self.changed.is_empty() {
            self.own.clear();
        }
        Ok(self.has_news(tell))
    }

    /// Tells what must be known before a message is told of: that it is there (RFC 9051 §7.4.1), and its keywords
    /// (§7.3.5). Allowed with every command.
    pub(super) fn announce(&mut self, machine: &mut Server) {
        if self.exists != self.view.count() {
            self.exists = self.view.count();
            machine.send(&Response::Exists(self.exists));
        }
        if std::mem::take(&mut self.keywords_news) {
            machine.send(&Response::Flags(flags::all(&self.keywords)));
            machine.send(&Response::Untagged(self.permanent_flags()));
        }
    }

    /// Owes the client the flags of these messages, as far as they are in the view.
    pub(super) fn owe(&mut self, uids: &UidSet) {
        let owed = sets::intersection(self.view.uids(), uids);
        self.changed = sets::union(&self.changed, &owed);
        self.owed = sets::union(&self.owed, &owed);
    }

    /// Up to where the client knows all that happened, given that it knows what was expunged; none when there is other
    /// news for it.
    pub(super) fn told_but(&self, expunged: &UidSet) -> Option<ModSeq> {
        let others = sets::difference(&self.gone, expunged);
        let all = others.is_empty() && self.changed.is_empty() && self.exists == self.view.count();
        all.then_some(self.modseq)
    }

    /// The client has just been told the flags of these messages.
    pub(super) fn told_flags(&mut self, first: Uid, last: Uid) {
        if !self.changed.is_empty() {
            let told = UidSet::from_ranges([(first, last)]);
            self.changed = sets::difference(&self.changed, &told);
            self.owed = sets::difference(&self.owed, &told);
        }
    }

    /// In the view, and not known to be gone.
    pub(super) fn there(&self) -> UidSet {
        sets::difference(self.view.uids(), &self.gone)
    }

    fn tell_expunged(&mut self, machine: &mut Server, enabled: Enabled) {
        let part = sets::highest(&self.gone, NEWS_PER_STEP);
        // What came and went between two looks was never told of.
        let known = sets::intersection(&part, &UidSet::from_ranges(self.view.uids_of(1, self.exists)));
        let numbers = self.view.remove(&part);
        if enabled.qresync {
            resync::send_vanished(machine, &known, false);
        } else {
            for seq in numbers.into_iter().filter(|seq| seq.number() <= self.exists) {
                machine.send(&Response::Expunge(seq));
            }
        }
        self.exists = self.exists.saturating_sub(u32::try_from(known.len()).unwrap_or(u32::MAX));
        self.gone = sets::difference(&self.gone, &part);
        self.changed = sets::difference(&self.changed, &part);
        self.owed = sets::difference(&self.owed, &part);
    }

    fn tell_flags(
        &mut self,
        machine: &mut Server,
        store: &Store,
        account: AccountId,
        enabled: Enabled,
    ) -> Result<(), Refusal> {
        let mut left = BATCH_ROWS;
        while let Some((from, last)) = sets::range_from(&self.changed, Uid::FIRST).filter(|_| left > 0) {
            let wanted = usize::try_from(sets::count_of((from, last))).unwrap_or(usize::MAX).min(left);
            let rows = store.messages(account, self.id, from, wanted)?;
            for (uid, row) in rows.iter().take_while(|(uid, _)| *uid <= last) {
                let tells = self.owed.contains(*uid) || !self.is_own(row.modseq);
                if let Some(seq) = self.view.seq(*uid).filter(|_| tells) {
                    machine.send(&Response::Fetch(seq, self.flags_news(*uid, row, enabled)));
                }
            }
            left -= wanted;
            let read_to = rows.last().filter(|_| rows.len() >= wanted).map_or(last, |(uid, _)| (*uid).min(last));
            self.told_flags(from, read_to);
        }
        Ok(())
    }

    fn flags_news(&self, uid: Uid, row: &MessageRow, enabled: Enabled) -> Vec<FetchData> {
        let mut items = vec![FetchData::Uid(uid), self.flags(row)];
        if enabled.condstore {
            items.push(FetchData::ModSeq(row.modseq));
        }
        items
    }

    /// FLAGS of a message.
    pub(super) fn flags(&self, row: &MessageRow) -> FetchData {
        FetchData::Flags { flags: flags::told(row.flags, &self.keywords), recent: false }
    }

    /// PERMANENTFLAGS: all, and more to come while there is room for keywords (RFC 9051 §7.1).
    pub(super) fn permanent_flags(&self) -> Reply {
        let (flags, more) = match self.access {
            Access::Write => (flags::all(&self.keywords), self.keywords.len() < mail_types::FlagSet::KEYWORD_COUNT_MAX),
            Access::Read => (Vec::new(), false),
        };
        Reply::ok("Flags that last").with(ResponseCode::PermanentFlags { flags, more })
    }

    /// The messages of the view that a set names. `Err` for a sequence number that no message has, which in an empty
    /// mailbox is every number and `*` too (RFC 9051 §9 `seq-number`).
    pub(super) fn resolve(&self, set: &MessageSet, by: Numbering, saved: &UidSet) -> Result<UidSet, Reply> {
        let set = match set {
            MessageSet::Saved => return Ok(sets::intersection(saved, self.view.uids())),
            MessageSet::Set(set) => set,
        };
        match by {
            Numbering::Uid => Ok(sets::intersection(&set.uids(self.view.last()), self.view.uids())),
            Numbering::Sequence => {
                let (ranges, count) = (set.resolve(self.view.count()), self.view.count());
                if count == 0 || ranges.last().is_some_and(|(_, last)| *last > count) {
                    return Err(Reply::bad("No message has that number").with(ResponseCode::ClientBug));
                }
                Ok(self.uids_of(&ranges))
            }
        }
    }

    /// As [`Selected::resolve`], for SEARCH, where numbers that no message has match nothing.
    pub(super) fn resolve_for_search(&self, set: &MessageSet, by: Numbering, saved: &UidSet) -> UidSet {
        match (set, by) {
            (MessageSet::Set(set), Numbering::Sequence) => self.uids_of(&set.resolve(self.view.count())),
            (MessageSet::Set(_) | MessageSet::Saved, _) => self.resolve(set, by, saved).unwrap_or_default(),
        }
    }

    fn uids_of(&self, ranges: &[(u32, u32)]) -> UidSet {
        UidSet::from_ranges(ranges.iter().flat_map(|(first, last)| self.view.uids_of(*first, *last)))
    }

    /// UIDs as the numbers that a command used.
    pub(super) fn numbers(&self, uids: &UidSet, by: Numbering) -> SequenceSet {
        match by {
            Numbering::Uid => SequenceSet::from(uids),
            Numbering::Sequence => SequenceSet::from_numbers(self.seqs(uids)),
        }
    }

    /// The sequence numbers of those UIDs that the view holds.
    pub(super) fn seqs(&self, uids: &UidSet) -> impl Iterator<Item = u32> {
        let known = sets::intersection(uids, self.view.uids());
        known.iter().collect::<Vec<_>>().into_iter().filter_map(|uid| self.view.seq(uid)).map(SeqNum::number)
    }
}

/// The UIDs of a mailbox.
///
/// Without gaps they follow from the mailbox's row alone. With few gaps they are what was given out less what vanished;
/// else they are read, in short batches.
async fn read_view(store: &Store, account: AccountId, id: MailboxId, row: &MailboxRow) -> Result<View, Refusal> {
    let Some(last) = Uid::new(row.uid_next.number() - 1) else { return Ok(View::default()) };
    let given = UidSet::from_ranges([(Uid::FIRST, last)]);
    let missing = given.len().saturating_sub(u64::from(row.messages));
    if missing == 0 {
        return Ok(View::new(given));
    }
    if missing <= u64::from(row.messages) {
        let left = sets::difference(&given, &store.vanished_since(account, id, ModSeq::FIRST)?);
        // UIDs may also be missing because they were never used, or the mailbox has changed since its row was read.
        if left.len() == u64::from(row.messages) {
            return Ok(View::new(left));
        }
    }
    let there = read_uids(store, account, id, row.uid_next).await?;
    // An EXPUNGE that is being applied has raised the row's MODSEQ, while some of its messages can still be read.
    let going = store.vanished_since(account, id, before(row.modseq))?;
    Ok(View::new(sets::difference(&there, &going)))
}

async fn read_uids(store: &Store, account: AccountId, id: MailboxId, uid_next: Uid) -> Result<UidSet, Refusal> {
    let mut uids = UidSet::new();
    let mut from = Some(Uid::FIRST);
    while let Some(next) = from {
        let batch = store.messages(account, id, next, BATCH_ROWS)?;
        for (uid, _) in batch.iter().take_while(|(uid, _)| *uid < uid_next) {
            uids.push(*uid);
        }
        let full = batch.last().filter(|_| batch.len() >= BATCH_ROWS);
        from = full.and_then(|(uid, _)| uid.next()).filter(|next| *next < uid_next);
        if from.is_some() {
            super::pause().await;
        }
    }
    Ok(uids)
}

fn before(modseq: ModSeq) -> ModSeq {
    ModSeq::new(modseq.number() - 1).unwrap_or(ModSeq::FIRST)
}

/// Rows of one read.
const BATCH_ROWS: usize = mailbox::index::ROWS_PER_READ_MAX;
/// EXPUNGE responses queued before the client must have read them.
const NEWS_PER_STEP: u32 = 8_000;
