//! What sessions ask of applied state. All of it is short: batches of at most 1,000 rows, one frame at a time.

use super::head::{Counters, Head, Slot};
use super::{Refusal, Store};
use bytes::Bytes;
use mail_types::{
    AccountId, Address, DeliveryId, Lsn, MailboxId, MailboxName, ModSeq, SystemFlag, Uid, UidSet, UidValidity,
};
use mailbox::{AccountRow, MailboxRow, MessageRow, Query};
use std::sync::Arc;

/// What an account may have; none is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Messages.
    pub messages: Option<u64>,
    /// Octets.
    pub octets: Option<u64>,
}

impl Store {
    /// The account, when it has mailboxes here.
    pub fn account(&self, account: AccountId) -> Result<Option<AccountRow>, Refusal> {
        Ok(self.rows(account).account(account)?)
    }

    /// How many accounts have mailboxes here. Walks over all of them: for an operator's question, not for a session.
    pub fn account_count(&self) -> Result<u64, Refusal> {
        let mut count = 0;
        for shard in &self.shards {
            let mut behind = None;
            loop {
                let accounts = shard.rows.accounts(behind, mailbox::index::ROWS_PER_READ_MAX)?;
                count += accounts.len() as u64;
                behind = accounts.last().copied();
                if accounts.len() < mailbox::index::ROWS_PER_READ_MAX {
                    break;
                }
            }
        }
        Ok(count)
    }

    /// All mailboxes of an account, by number.
    pub fn mailboxes(&self, account: AccountId) -> Result<Vec<(MailboxId, MailboxRow)>, Refusal> {
        Ok(self.rows(account).mailboxes(account)?)
    }

    /// One mailbox.
    pub fn mailbox(&self, account: AccountId, mailbox: MailboxId) -> Result<Option<MailboxRow>, Refusal> {
        Ok(self.rows(account).mailbox(account, mailbox)?)
    }

    /// One mailbox, by its name.
    pub fn mailbox_by_name(
        &self,
        account: AccountId,
        name: &MailboxName,
    ) -> Result<Option<(MailboxId, MailboxRow)>, Refusal> {
        let rows = self.rows(account);
        let Some(mailbox) = rows.mailbox_by_name(account, name)? else { return Ok(None) };
        Ok(rows.mailbox(account, mailbox)?.map(|row| (mailbox, row)))
    }

    /// The names that are subscribed.
    pub fn subscriptions(&self, account: AccountId) -> Result<Vec<MailboxName>, Refusal> {
        Ok(self.rows(account).subscriptions(account)?)
    }

    /// One message.
    pub fn message(&self, account: AccountId, mailbox: MailboxId, uid: Uid) -> Result<Option<MessageRow>, Refusal> {
        Ok(self.rows(account).message(account, mailbox, uid)?)
    }

    /// Messages from a UID on, in the order of UIDs, at most `limit` and never more than 1,000.
    pub fn messages(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        from: Uid,
        limit: usize,
    ) -> Result<Vec<(Uid, MessageRow)>, Refusal> {
        Ok(self.rows(account).messages(account, mailbox, from, limit)?)
    }

    /// Calls `with` for every message of the set that the mailbox holds, in the order of UIDs.
    pub fn for_each_message(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &UidSet,
        mut with: impl FnMut(Uid, &MessageRow),
    ) -> Result<(), Refusal> {
        let mut walk = Walk::over(uids);
        loop {
            let rows = walk.next(self, account, mailbox, mailbox::index::ROWS_PER_READ_MAX)?;
            if rows.is_empty() {
                return Ok(());
            }
            for (uid, row) in &rows {
                with(*uid, row);
            }
        }
    }

    /// Messages with `\Deleted`, `among` those or all, of a mailbox whose row says how many there are.
    pub(crate) fn deleted(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        row: &MailboxRow,
        among: Option<&UidSet>,
    ) -> Result<UidSet, Refusal> {
        let count = usize::try_from(row.deleted).unwrap_or(usize::MAX);
        let marked = |row: &MessageRow| row.flags.has(SystemFlag::Deleted);
        // Mostly they were marked just now: then the mailbox, which may be huge, need not be walked.
        let looks = count.saturating_mul(LOOKS_PER_DELETED).min(mailbox::index::ROWS_PER_READ_MAX);
        let mut latest = Vec::new();
        for uid in self.rows(account).messages_changed_last(account, mailbox, looks)? {
            if latest.len() < count && self.message(account, mailbox, uid)?.is_some_and(|row| marked(&row)) {
                latest.push(uid);
            }
        }
        if latest.len() == count {
            return Ok(latest.into_iter().filter(|uid| among.is_none_or(|among| among.contains(*uid))).collect());
        }
        let all = UidSet::from_ranges([(Uid::FIRST, Uid::MAX)]);
        let mut found = UidSet::new();
        self.for_each_message(account, mailbox, among.unwrap_or(&all), |uid, row| {
            if marked(row) {
                found.push(uid);
            }
        })?;
        Ok(found)
    }

    /// UIDs of messages that came or changed after `since`.
    pub fn changed_since(&self, account: AccountId, mailbox: MailboxId, since: ModSeq) -> Result<UidSet, Refusal> {
        Ok(self.rows(account).messages_changed_since(account, mailbox, Some(since))?)
    }

    /// UIDs that went after `since`.
    pub fn vanished_since(&self, account: AccountId, mailbox: MailboxId, since: ModSeq) -> Result<UidSet, Refusal> {
        Ok(self.rows(account).vanished_since(account, mailbox, Some(since))?)
    }

    /// The whole message: what delivery put before it, and its content.
    pub fn read(&self, account: AccountId, row: &MessageRow) -> Result<Bytes, Refusal> {
        self.shard(account).bodies.read(account, row.extent, &|chunk| self.log.chunk(chunk)).map_err(Refusal::Body)
    }

    /// The message's header, with the empty line behind it, and perhaps more. Most headers are short: of a large message
    /// only its beginning is read.
    pub fn read_header(&self, account: AccountId, row: &MessageRow) -> Result<Bytes, Refusal> {
        let chunk = |chunk: &super::spool::Chunk| self.log.chunk(chunk);
        let start = self.shard(account).bodies.read_start(account, row.extent, HEADER_OCTETS_USUAL, &chunk);
        let start = start.map_err(Refusal::Body)?;
        let (header, body) = message::split_header(&start);
        if body.is_empty() && start.len() as u64 != row.size {
            return self.read(account, row);
        }
        let octets = header.len();
        Ok(start.slice(..octets))
    }

    /// What an earlier call kept about a message; gone with it.
    pub fn cached(&self, account: AccountId, mailbox: MailboxId, uid: Uid) -> Result<Option<Vec<u8>>, Refusal> {
        Ok(self.rows(account).cache(account, mailbox, uid)?)
    }

    pub(crate) fn slot(&self, account: AccountId) -> Arc<Slot> {
        self.heads.slot(account, self.applied())
    }

    /// Reads the rows into a fresh head. Nothing of the account is in flight then, so they say all.
    pub(crate) fn load(&self, account: AccountId, head: &mut Head) -> Result<(), Refusal> {
        if head.loaded {
            return Ok(());
        }
        head.account = self.account(account)?.map(|row| Counters {
            modseq: row.modseq,
            mailbox_next: row.mailbox_next,
            uid_validity_next: row.uid_validity_next,
            messages: row.messages,
            octets: row.octets,
            mailboxes: Vec::new(),
        });
        head.loaded = true;
        Ok(())
    }

    /// Reads the rows again where nothing of the account is in flight: they say all, and the head says what it counted.
    pub(crate) fn reload(&self, account: AccountId, head: &mut Head) -> Result<(), Refusal> {
        if head.last <= self.applied() {
            head.loaded = false;
        }
        self.load(account, head)
    }

    /// Draws the next UID of a mailbox.
    pub(crate) fn next_uid(&self, account: AccountId, head: &mut Head, mailbox: MailboxId) -> Result<Uid, Refusal> {
        let counters = head.account.as_mut().ok_or(Refusal::NoAccount)?;
        if counters.mailbox(mailbox).is_none() {
            let next = self.mailbox(account, mailbox)?.map(|row| row.uid_next);
            counters.mailboxes.push((mailbox, next));
        }
        let next = counters.mailbox(mailbox).expect("it is in the list now");
        let uid = next.ok_or(Refusal::NoMailbox)?;
        *next = Some(uid.next().ok_or(Refusal::TooMany("messages"))?);
        Ok(uid)
    }

    /// Whether `messages` more with `octets` in all are within the account's quota.
    pub(crate) fn check_quota(
        &self,
        account: AccountId,
        address: &Address,
        octets: u64,
        messages: u64,
    ) -> Result<(), Refusal> {
        let quota = (self.options.quota)(address);
        if quota == Quota::default() {
            return Ok(());
        }
        let slot = self.slot(account);
        let mut head = slot.lock();
        self.load(account, &mut head)?;
        let fits = |head: &Head| {
            let (used_messages, used_octets) = head.account.as_ref().map_or((0, 0), |c| (c.messages, c.octets));
            let within = |limit: Option<u64>, used: u64, more| limit.is_none_or(|limit| used + more <= limit);
            within(quota.messages, used_messages, messages) && within(quota.octets, used_octets, octets)
        };
        if fits(&head) {
            return Ok(());
        }
        // The head counts what went only when it is told; before a no, the rows are asked.
        self.reload(account, &mut head)?;
        if fits(&head) { Ok(()) } else { Err(Refusal::OverQuota) }
    }

    /// Whether so many octets would be within the quota of the account if it had no others.
    pub(crate) fn could_ever_hold(&self, address: &Address, octets: u64) -> bool {
        (self.options.quota)(address).octets.is_none_or(|limit| octets <= limit)
    }

    pub(crate) fn check_mailbox_count(&self, account: AccountId, more: usize) -> Result<(), Refusal> {
        if self.mailboxes(account)?.len() + more > mailbox::rows::MAILBOXES_PER_ACCOUNT_MAX {
            return Err(Refusal::TooMany("mailboxes"));
        }
        Ok(())
    }

    pub(crate) fn delivery_seen(&self, account: AccountId, id: DeliveryId) -> Result<bool, Refusal> {
        Ok(self.rows(account).delivery_seen(account, id, self.log.now())?.is_some())
    }

    pub(crate) fn uid_validity_next(&self, address: &Address) -> Result<UidValidity, Refusal> {
        // An earlier account of that name may have lived in any shard.
        let mut highest = UidValidity::FIRST;
        for shard in &self.shards {
            highest = highest.max(shard.rows.uid_validity_next(address)?);
        }
        Ok(highest)
    }

    /// The LSN up to which everything is applied.
    pub fn applied(&self) -> Lsn {
        Lsn::new(self.applied.load(std::sync::atomic::Ordering::Acquire))
    }
}

/// The way over the messages of a set, so that a change of a whole mailbox holds few of its rows at a time.
pub(crate) struct Walk<'s> {
    ranges: std::slice::Iter<'s, (Uid, Uid)>,
    /// What is left of the range it stands in.
    rest: Option<(Uid, Uid)>,
}

impl<'s> Walk<'s> {
    pub(crate) fn over(uids: &'s UidSet) -> Self {
        Self { ranges: uids.ranges().iter(), rest: None }
    }

    /// The next messages that the mailbox holds, in the order of UIDs, at most `limit`; none at the end.
    pub(crate) fn next(
        &mut self,
        store: &Store,
        account: AccountId,
        mailbox: MailboxId,
        limit: usize,
    ) -> Result<Vec<(Uid, MessageRow)>, Refusal> {
        let mut found = Vec::new();
        while found.len() < limit {
            let Some((from, last)) = self.rest.take().or_else(|| self.ranges.next().copied()) else { break };
            let there = usize::try_from(last.number() - from.number()).unwrap_or(usize::MAX).saturating_add(1);
            let wanted = there.min(limit - found.len()).min(mailbox::index::ROWS_PER_READ_MAX);
            let rows = store.messages(account, mailbox, from, wanted)?;
            let behind = rows.last().filter(|_| rows.len() >= wanted).and_then(|(uid, _)| uid.next());
            self.rest = behind.filter(|next| *next <= last).map(|next| (next, last));
            found.extend(rows.into_iter().take_while(|(uid, _)| *uid <= last));
        }
        Ok(found)
    }
}

/// How many of the latest changes are looked at for each message with `\Deleted`.
const LOOKS_PER_DELETED: usize = 16;
/// Nine headers in ten are shorter.
const HEADER_OCTETS_USUAL: usize = 8 * 1024;
