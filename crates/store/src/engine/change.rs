//! Changes of an account other than deliveries: what IMAP and POP3 ask for.
//!
//! Each takes the account's change lock, waits for the change before it, decides on applied state, appends its records
//! and waits until they are applied. Deliveries and appends go on meanwhile: they touch only UIDs that no decision here has seen.

use super::head::{Counters, Head, Slot};
use super::read::Walk;
use super::{Refusal, Store};
use mail_types::{
    AccountId, Address, FlagSet, Keyword, Lsn, MailboxId, MailboxName, ModSeq, SpecialUse, SystemFlag, Uid, UidSet,
    UidValidity,
};
use mailbox::record::MESSAGES_PER_RECORD_MAX;
use mailbox::{MailboxRow, Record};
use tokio::sync::MutexGuard;

/// Flags by name, as a client gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagNames {
    /// The system flags.
    pub system: FlagSet,
    /// The keywords.
    pub keywords: Vec<Keyword>,
}

/// What STORE does with the flags it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagChange {
    /// `FLAGS`: these and no others.
    Replace,
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
}

/// Which messages STORE left alone because they had changed since (RFC 7162 §3.1.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The highest MODSEQ of those that changed; none when nothing did.
    pub modseq: Option<ModSeq>,
    /// Those that failed the UNCHANGEDSINCE test.
    pub modified: UidSet,
}

/// For APPENDUID and COPYUID (RFC 4315 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Of the target.
    pub uid_validity: UidValidity,
    /// Source UID and the copy's UID, in order.
    pub uids: Vec<(Uid, Uid)>,
}

impl Store {
    /// Makes the account with its default mailboxes, unless it is here. Does not wait.
    pub(crate) fn ensure_account(&self, account: AccountId, address: &Address) -> Result<Lsn, Refusal> {
        let slot = self.slot(account);
        let mut head = slot.lock();
        self.load(account, &mut head)?;
        if head.account.is_some() {
            return Ok(head.last);
        }
        let first = self.uid_validity_next(address)?;
        let mut counters = Counters::new(first);
        let mut records = vec![Record::CreateAccount { account, address: address.clone(), uid_validity_next: first }];
        for (name, special_use) in default_mailboxes() {
            records.push(counters.create_mailbox(account, name, special_use)?);
        }
        let lsn = self.log.append_all(&records)?;
        head.account = Some(counters);
        head.given(lsn, self.applied());
        Ok(lsn)
    }

    /// CREATE, with the levels above it that are missing (RFC 9051 §6.3.4).
    pub async fn create_mailbox(
        &self,
        account: AccountId,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxId, Refusal> {
        let slot = self.slot(account);
        let _change = self.begin(&slot).await?;
        if self.mailbox_by_name(account, name)?.is_some() {
            return Err(Refusal::MailboxExists);
        }
        let mut missing = vec![name.clone()];
        let mut above = name.parent();
        while let Some(level) = above {
            if self.mailbox_by_name(account, &level)?.is_some() {
                break;
            }
            above = level.parent();
            missing.push(level);
        }
        self.check_mailbox_count(account, missing.len())?;
        let id = self.decide(account, &slot, |counters| {
            let mut records = Vec::with_capacity(missing.len());
            let mut id = MailboxId::INBOX;
            for level in missing.iter().rev() {
                id = MailboxId::new(counters.mailbox_next);
                let its_use = special_use.filter(|_| level == name);
                records.push(counters.create_mailbox(account, level.clone(), its_use)?);
            }
            Ok((id, records))
        });
        self.done(id).await
    }

    /// DELETE. INBOX stays, and so does a mailbox with others below it (RFC 9051 §6.3.5).
    pub async fn delete_mailbox(&self, account: AccountId, name: &MailboxName) -> Result<(), Refusal> {
        let slot = self.slot(account);
        let _change = self.begin(&slot).await?;
        let (mailbox, row) = self.mailbox_by_name(account, name)?.ok_or(Refusal::NoMailbox)?;
        if name.is_inbox() {
            return Err(Refusal::Inbox);
        }
        if self.mailboxes(account)?.iter().any(|(_, row)| row.name.is_below(name)) {
            return Err(Refusal::HasChildren);
        }
        let given = self.decide(account, &slot, |counters| {
            let modseq = counters.next_modseq();
            match counters.mailbox(mailbox) {
                Some(next) => *next = None,
                None => counters.mailboxes.push((mailbox, None)),
            }
            counters.messages = counters.messages.saturating_sub(u64::from(row.messages));
            counters.octets = counters.octets.saturating_sub(row.octets);
            Ok(((), vec![Record::DeleteMailbox { account, mailbox, modseq }]))
        });
        self.done(given).await
    }

    /// RENAME, with everything below. Of INBOX, only the messages move (RFC 9051 §6.3.6).
    pub async fn rename_mailbox(
        &self,
        account: AccountId,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<(), Refusal> {
        if from.is_inbox() {
            return self.rename_inbox(account, to).await;
        }
        let slot = self.slot(account);
        let _change = self.begin(&slot).await?;
        let (mailbox, _) = self.mailbox_by_name(account, from)?.ok_or(Refusal::NoMailbox)?;
        if self.mailbox_by_name(account, to)?.is_some() {
            return Err(Refusal::MailboxExists);
        }
        if to.is_below(from) || to == from {
            return Err(Refusal::BelowItself);
        }
        let mut renamed = vec![(mailbox, to.clone())];
        for (id, row) in self.mailboxes(account)? {
            if row.name.is_below(from) {
                let name = row.name.rebased(from, to).ok_or(Refusal::NameTooLong)?;
                if self.mailbox_by_name(account, &name)?.is_some() {
                    return Err(Refusal::MailboxExists);
                }
                renamed.push((id, name));
            }
        }
        let mut above = to.parent();
        let mut missing = Vec::new();
        while let Some(level) = above {
            if level == *from || self.mailbox_by_name(account, &level)?.is_some() {
                break;
            }
            above = level.parent();
            missing.push(level);
        }
        self.check_mailbox_count(account, missing.len())?;
        let given = self.decide(account, &slot, |counters| {
            let mut records = Vec::with_capacity(missing.len() + renamed.len());
            for level in missing.into_iter().rev() {
                records.push(counters.create_mailbox(account, level, None)?);
            }
            let modseq = counters.next_modseq();
            records.extend(renamed.into_iter().map(|(mailbox, name)| Record::RenameMailbox {
                account,
                mailbox,
                name,
                modseq,
            }));
            Ok(((), records))
        });
        self.done(given).await
    }

    /// SUBSCRIBE and UNSUBSCRIBE.
    pub async fn subscribe(&self, account: AccountId, name: &MailboxName, subscribed: bool) -> Result<(), Refusal> {
        let slot = self.slot(account);
        let _change = self.begin(&slot).await?;
        if self.subscriptions(account)?.len() >= mailbox::rows::SUBSCRIPTIONS_PER_ACCOUNT_MAX && subscribed {
            return Err(Refusal::TooMany("subscriptions"));
        }
        let name = name.clone();
        let given = self.decide(account, &slot, |_| Ok(((), vec![Record::Subscribe { account, name, subscribed }])));
        self.done(given).await
    }

    /// STORE. `uids` that the mailbox does not hold are passed over.
    pub async fn store_flags(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &UidSet,
        change: FlagChange,
        flags: &FlagNames,
        unchanged_since: Option<u64>,
    ) -> Result<Stored, Refusal> {
        let slot = self.slot(account);
        let _change = self.begin(&slot).await?;
        let bits = match change {
            // A keyword that nothing has cannot be taken away: it needs no bit.
            FlagChange::Remove => self.known_flags(account, mailbox, flags)?,
            FlagChange::Replace | FlagChange::Add => self.define_keywords(account, mailbox, flags).await?,
        };
        let mut stored = Stored::default();
        let mut walk = Walk::over(uids);
        loop {
            let rows = walk.next(self, account, mailbox, MESSAGES_PER_RECORD_MAX)?;
            if rows.is_empty() {
                return Ok(stored);
            }
            let mut changes: Vec<(Uid, FlagSet)> = Vec::new();
            for (uid, row) in rows {
                if unchanged_since.is_some_and(|since| row.modseq.number() > since) {
                    stored.modified.push(uid);
                    continue;
                }
                let after = match change {
                    FlagChange::Replace => bits,
                    FlagChange::Add => row.flags.with(bits),
                    FlagChange::Remove => row.flags.without(bits),
                };
                if after != row.flags {
                    changes.push((uid, after));
                }
            }
            if changes.is_empty() {
                continue;
            }
            let given = self.decide(account, &slot, |counters| {
                // A MODSEQ each: whoever looks between two records must not believe that he has seen both.
                let modseq = counters.next_modseq();
                Ok((modseq, vec![Record::StoreFlags { account, mailbox, modseq, messages: changes }]))
            });
            stored.modseq = Some(self.done(given).await?);
        }
    }

    /// EXPUNGE: removes messages with `\Deleted`, all of them or those of a set (UID EXPUNGE). Gives what went.
    pub async fn expunge(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        among: Option<&UidSet>,
    ) -> Result<UidSet, Refusal> {
        let slot = self.slot(account);
        let _change = self.begin(&slot).await?;
        let row = self.mailbox(account, mailbox)?.ok_or(Refusal::NoMailbox)?;
        if row.deleted == 0 {
            return Ok(UidSet::new());
        }
        let gone = self.deleted(account, mailbox, &row, among)?;
        self.remove(account, mailbox, &slot, gone.clone()).await?;
        Ok(gone)
    }

    /// Removes messages whatever their flags are (POP3's UPDATE state).
    pub async fn remove_messages(&self, account: AccountId, mailbox: MailboxId, uids: &UidSet) -> Result<(), Refusal> {
        let slot = self.slot(account);
        let _change = self.begin(&slot).await?;
        let mut present = UidSet::new();
        self.for_each_message(account, mailbox, uids, |uid, _| present.push(uid))?;
        self.remove(account, mailbox, &slot, present).await
    }

    /// COPY.
    pub async fn copy(
        &self,
        account: AccountId,
        from: MailboxId,
        to: MailboxId,
        uids: &UidSet,
    ) -> Result<Copied, Refusal> {
        let slot = self.slot(account);
        let _change = self.begin(&slot).await?;
        self.transfer(account, from, to, uids, &slot, Transfer::Copy).await
    }

    /// MOVE (RFC 6851): each copy and the removal of its source are one change.
    pub async fn move_messages(
        &self,
        account: AccountId,
        from: MailboxId,
        to: MailboxId,
        uids: &UidSet,
    ) -> Result<Copied, Refusal> {
        let slot = self.slot(account);
        let _change = self.begin(&slot).await?;
        self.transfer(account, from, to, uids, &slot, Transfer::Move).await
    }

    async fn rename_inbox(&self, account: AccountId, to: &MailboxName) -> Result<(), Refusal> {
        let target = self.create_mailbox(account, to, None).await?;
        let all = UidSet::from_ranges([(Uid::FIRST, Uid::MAX)]);
        self.move_messages(account, MailboxId::INBOX, target, &all).await.map(drop)
    }

    async fn remove(&self, account: AccountId, mailbox: MailboxId, slot: &Slot, uids: UidSet) -> Result<(), Refusal> {
        if uids.is_empty() {
            return Ok(());
        }
        let parts = split(&uids);
        let (messages, octets) = self.measure(account, mailbox, &uids)?;
        let given = self.decide(account, slot, |counters| {
            counters.messages = counters.messages.saturating_sub(messages);
            counters.octets = counters.octets.saturating_sub(octets);
            let expunge = |uids| Record::Expunge { account, mailbox, modseq: counters.next_modseq(), uids };
            Ok(((), parts.into_iter().map(expunge).collect()))
        });
        self.done(given).await
    }

    async fn transfer(
        &self,
        account: AccountId,
        from: MailboxId,
        to: MailboxId,
        uids: &UidSet,
        slot: &Slot,
        transfer: Transfer,
    ) -> Result<Copied, Refusal> {
        let source = self.mailbox(account, from)?.ok_or(Refusal::NoMailbox)?;
        let (mut count, mut octets, mut used) = (0, 0, FlagSet::EMPTY);
        self.for_each_message(account, from, uids, |_, row| {
            count += 1;
            octets += row.size;
            used = used.with(row.flags);
        })?;
        if transfer == Transfer::Copy {
            let address = self.account(account)?.ok_or(Refusal::NoAccount)?.address;
            self.check_quota(account, &address, octets, count)?;
        }
        self.define_keywords(account, to, &names_of(&source, used)).await?;
        let target = self.mailbox(account, to)?.ok_or(Refusal::NoMailbox)?;
        let mut walk = Walk::over(uids);
        let mut copies = Vec::new();
        loop {
            let mut part = walk.next(self, account, from, MESSAGES_PER_RECORD_MAX)?;
            // What came since is not meant; in a copy within one mailbox, that would be the copies.
            part.retain(|(uid, _)| *uid < source.uid_next);
            if part.is_empty() {
                return Ok(Copied { uid_validity: target.uid_validity, uids: copies });
            }
            let given = self.decide_with_head(account, slot, |head| {
                let mut pairs = Vec::with_capacity(part.len());
                for (uid, row) in &part {
                    let copy = self.next_uid(account, head, to)?;
                    pairs.push((*uid, copy, translate(row.flags, &source, &target)));
                }
                let counters = head.account.as_mut().ok_or(Refusal::NoAccount)?;
                let modseq = counters.next_modseq();
                let copied: Vec<(Uid, Uid)> = pairs.iter().map(|(uid, copy, _)| (*uid, *copy)).collect();
                let mut records = vec![Record::Copy { account, from, to, modseq, messages: pairs }];
                match transfer {
                    Transfer::Move => {
                        let modseq = counters.next_modseq();
                        let uids = part.iter().map(|(uid, _)| *uid).collect();
                        records.push(Record::Expunge { account, mailbox: from, modseq, uids });
                    }
                    Transfer::Copy => {
                        counters.messages += part.len() as u64;
                        counters.octets += part.iter().map(|(_, row)| row.size).sum::<u64>();
                    }
                }
                Ok((copied, records))
            });
            copies.extend(self.done(given).await?);
        }
    }

    /// Gives every keyword its bit, and waits for those that are new. Under the change lock.
    pub(super) async fn define_keywords(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        flags: &FlagNames,
    ) -> Result<FlagSet, Refusal> {
        let row = self.mailbox(account, mailbox)?.ok_or(Refusal::NoMailbox)?;
        let mut unknown: Vec<Keyword> = Vec::new();
        for keyword in &flags.keywords {
            if row.keyword(keyword).is_none() && !unknown.contains(keyword) {
                unknown.push(keyword.clone());
            }
        }
        if row.keywords.len() + unknown.len() > FlagSet::KEYWORD_COUNT_MAX {
            return Err(Refusal::TooMany("keywords"));
        }
        if !unknown.is_empty() {
            let slot = self.slot(account);
            let given = self.decide(account, &slot, |_| {
                let define = |keyword| Record::DefineKeyword { account, mailbox, keyword };
                Ok(((), unknown.into_iter().map(define).collect()))
            });
            self.done(given).await?;
        }
        self.known_flags(account, mailbox, flags)
    }

    pub(super) fn known_flags(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        flags: &FlagNames,
    ) -> Result<FlagSet, Refusal> {
        let row = self.mailbox(account, mailbox)?.ok_or(Refusal::NoMailbox)?;
        Ok(flags.keywords.iter().filter_map(|keyword| row.keyword(keyword)).fold(flags.system, FlagSet::with))
    }

    fn measure(&self, account: AccountId, mailbox: MailboxId, uids: &UidSet) -> Result<(u64, u64), Refusal> {
        let (mut messages, mut octets) = (0, 0);
        self.for_each_message(account, mailbox, uids, |_, row| {
            messages += 1;
            octets += row.size;
        })?;
        Ok((messages, octets))
    }

    /// Waits for the account's turn: one change at a time, and the one before it applied, also where nobody waited for
    /// its end.
    pub(super) async fn begin<'s>(&self, slot: &'s Slot) -> Result<MutexGuard<'s, ()>, Refusal> {
        let turn = slot.change.lock().await;
        let before = slot.lock().decided;
        self.applied_to(before).await?;
        Ok(turn)
    }

    /// Draws numbers and appends under the head's lock.
    fn decide<T>(
        &self,
        account: AccountId,
        slot: &Slot,
        draw: impl FnOnce(&mut Counters) -> Result<(T, Vec<Record>), Refusal>,
    ) -> Result<(T, Lsn), Refusal> {
        self.decide_with_head(account, slot, |head| draw(head.account.as_mut().ok_or(Refusal::NoAccount)?))
    }

    fn decide_with_head<T>(
        &self,
        account: AccountId,
        slot: &Slot,
        draw: impl FnOnce(&mut Head) -> Result<(T, Vec<Record>), Refusal>,
    ) -> Result<(T, Lsn), Refusal> {
        let mut head = slot.lock();
        self.reload(account, &mut head)?;
        let before = head.account.clone();
        let drawn = draw(&mut head).and_then(|(value, records)| Ok((value, self.log.append_all(&records)?)));
        match &drawn {
            Ok((_, lsn)) => {
                head.given(*lsn, self.applied());
                head.decided = *lsn;
            }
            // Nothing was appended, or the first of several runs was: its numbers must not come again.
            Err(_) => {
                let last = self.log.last_lsn();
                head.given(last, self.applied());
                head.decided = last;
                head.account = before.map(|before| before.ahead_of(head.account.as_ref()));
            }
        }
        drawn
    }

    async fn done<T>(&self, given: Result<(T, Lsn), Refusal>) -> Result<T, Refusal> {
        let (value, lsn) = given?;
        self.applied_to(lsn).await?;
        Ok(value)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Copy,
    Move,
}

impl Counters {
    pub(crate) fn new(uid_validity_next: UidValidity) -> Self {
        Self {
            modseq: ModSeq::FIRST,
            mailbox_next: MailboxId::INBOX.number(),
            uid_validity_next,
            messages: 0,
            octets: 0,
            mailboxes: Vec::new(),
        }
    }

    /// What was counted before, with the numbers that have been drawn since; gaps are allowed.
    fn ahead_of(mut self, drawn: Option<&Self>) -> Self {
        let Some(drawn) = drawn else { return self };
        self.modseq = drawn.modseq;
        self.mailbox_next = drawn.mailbox_next;
        self.uid_validity_next = drawn.uid_validity_next;
        for (mailbox, next) in &mut self.mailboxes {
            let later = drawn.mailboxes.iter().find(|(id, _)| id == mailbox).and_then(|(_, next)| *next);
            *next = (*next).max(later);
        }
        self
    }

    fn create_mailbox(
        &mut self,
        account: AccountId,
        name: MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<Record, Refusal> {
        let mailbox = MailboxId::new(self.mailbox_next);
        self.mailbox_next = self.mailbox_next.checked_add(1).ok_or(Refusal::TooMany("mailboxes"))?;
        let uid_validity = self.uid_validity_next;
        self.uid_validity_next = uid_validity.next().ok_or(Refusal::TooMany("mailboxes"))?;
        self.mailboxes.push((mailbox, Some(Uid::FIRST)));
        Ok(Record::CreateMailbox { account, mailbox, name, uid_validity, special_use, modseq: self.next_modseq() })
    }
}

/// The names of flags, to be found again in another mailbox.
pub(crate) fn names_of(row: &MailboxRow, flags: FlagSet) -> FlagNames {
    let keywords = flags.keyword_indices().filter_map(|index| row.keywords.get(index).cloned()).collect();
    let all_system = SystemFlag::ALL.into_iter().fold(FlagSet::EMPTY, |all, flag| all.with(FlagSet::system(flag)));
    FlagNames { system: FlagSet::from_bits(flags.bits() & all_system.bits()), keywords }
}

/// The same flags in the bits of another mailbox.
fn translate(flags: FlagSet, from: &MailboxRow, to: &MailboxRow) -> FlagSet {
    let names = names_of(from, flags);
    names.keywords.iter().filter_map(|keyword| to.keyword(keyword)).fold(names.system, FlagSet::with)
}

fn split(uids: &UidSet) -> Vec<UidSet> {
    let parts = uids.ranges().chunks(MESSAGES_PER_RECORD_MAX);
    parts.map(|ranges| UidSet::from_ranges(ranges.iter().copied())).collect()
}

/// What a new account has (RFC 6154 names the uses).
fn default_mailboxes() -> impl Iterator<Item = (MailboxName, Option<SpecialUse>)> {
    let named = [
        ("Drafts", SpecialUse::Drafts),
        ("Sent", SpecialUse::Sent),
        ("Trash", SpecialUse::Trash),
        ("Junk", SpecialUse::Junk),
        ("Archive", SpecialUse::Archive),
    ];
    let named = named.into_iter().map(|(name, special_use)| {
        (MailboxName::parse(name).expect("a default name is a mailbox name"), Some(special_use))
    });
    std::iter::once((MailboxName::inbox(), None)).chain(named)
}
