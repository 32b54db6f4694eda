//! Records about accounts, mailboxes and their names.

use super::{Apply, Told};
use crate::change::ChangeKind;
use crate::index::{IndexError, Order, ROWS_PER_READ_MAX};
use crate::key::{self, Key, Span};
use crate::row::{AccountRow, FreeValue, MailboxRow};
use crate::rows::{Query, RowsMut, free_extent, walk};
use mail_types::{Address, FlagSet, Keyword, MailboxId, MailboxName, ModSeq, SpecialUse, Uid, UidValidity};

impl<R: RowsMut + ?Sized> Apply<'_, R> {
    pub(super) fn create_account(&mut self, address: &Address, next: UidValidity) -> Told {
        let row = AccountRow {
            address: address.clone(),
            mailbox_next: MailboxId::INBOX.number(),
            uid_validity_next: next,
            modseq: ModSeq::FIRST,
            messages: 0,
            octets: 0,
            body_end: self.body_end_before()?,
        };
        self.put(Key::Account, &row);
        self.raise_uid_validity(address, next)?;
        Ok(Some(ChangeKind::AccountCreated))
    }

    /// Where the body file of an earlier life of this account ends, while parts of it wait to be given back.
    fn body_end_before(&self) -> Result<u64, IndexError> {
        let mut end = 0;
        walk(self.rows, &Span::free(self.account), Order::Ascending, |key, stored| {
            let extent = free_extent(key, stored)?.extent;
            end = end.max(extent.offset.saturating_add(extent.octets));
            Ok(true)
        })?;
        Ok(end)
    }

    /// The counter of the account's name, which outlives it.
    fn raise_uid_validity(&mut self, address: &Address, next: UidValidity) -> Result<(), IndexError> {
        let next = next.max(self.rows.uid_validity_next(address)?);
        let name = address.key();
        self.put_at(Key::UidValidity(&name).of(key::fold(&name)), &next);
        Ok(())
    }

    pub(super) fn delete_account(&mut self) -> Told {
        let row = self.rows.account(self.account)?;
        self.remove_all(Span::account(self.account))?;
        if let Some(row) = row.filter(|row| row.body_end > 0) {
            let all = FreeValue { time: self.at.time, octets: row.body_end };
            self.put(Key::Free(self.at.lsn, 0), &all);
        }
        Ok(Some(ChangeKind::AccountDeleted))
    }

    /// Removes all rows of a span, few at a time.
    pub(super) fn remove_all(&mut self, mut span: Span) -> Result<(), IndexError> {
        loop {
            let rows = self.rows.range(&span.from, &span.to, Order::Ascending, ROWS_PER_READ_MAX)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            span.from = key::after(last.clone());
            for (key, _) in rows {
                self.rows.remove(key);
            }
            self.rows.settle();
        }
    }

    pub(super) fn create_mailbox(
        &mut self,
        mailbox: MailboxId,
        name: &MailboxName,
        uid_validity: UidValidity,
        special_use: Option<SpecialUse>,
        modseq: ModSeq,
    ) -> Told {
        let mut account = self.account_row()?;
        account.mailbox_next = account.mailbox_next.max(mailbox.number().saturating_add(1));
        account.uid_validity_next = account.uid_validity_next.max(uid_validity.next().unwrap_or(UidValidity::MAX));
        account.modseq = account.modseq.max(modseq);
        self.put(Key::Account, &account);
        self.raise_uid_validity(&account.address, account.uid_validity_next)?;
        let row = MailboxRow {
            name: name.clone(),
            uid_validity,
            uid_next: Uid::FIRST,
            modseq,
            messages: 0,
            unseen: 0,
            deleted: 0,
            octets: 0,
            special_use,
            keywords: Vec::new(),
        };
        self.put(Key::Mailbox(mailbox), &row);
        self.put(Key::Name(name.as_str()), &mailbox);
        Ok(Some(ChangeKind::MailboxCreated { mailbox, name: name.clone() }))
    }

    pub(super) fn rename_mailbox(&mut self, mailbox: MailboxId, name: &MailboxName, modseq: ModSeq) -> Told {
        let Some(mut row) = self.rows.mailbox(self.account, mailbox)? else { return Ok(None) };
        self.forget_name(mailbox, &row.name)?;
        let from = std::mem::replace(&mut row.name, name.clone());
        row.modseq = row.modseq.max(modseq);
        self.put(Key::Mailbox(mailbox), &row);
        self.put(Key::Name(name.as_str()), &mailbox);
        self.raise_modseq(modseq)?;
        Ok(Some(ChangeKind::MailboxRenamed { mailbox, from, to: name.clone() }))
    }

    /// Removes a name unless another mailbox has taken it.
    fn forget_name(&mut self, mailbox: MailboxId, name: &MailboxName) -> Result<(), IndexError> {
        if self.rows.mailbox_by_name(self.account, name)? == Some(mailbox) {
            self.remove(Key::Name(name.as_str()));
        }
        Ok(())
    }

    fn raise_modseq(&mut self, modseq: ModSeq) -> Result<(), IndexError> {
        let mut account = self.account_row()?;
        if modseq > account.modseq {
            account.modseq = modseq;
            self.put(Key::Account, &account);
        }
        Ok(())
    }

    pub(super) fn delete_mailbox(&mut self, mailbox: MailboxId, modseq: ModSeq) -> Told {
        let Some(row) = self.rows.mailbox(self.account, mailbox)? else { return Ok(None) };
        let mut account = self.account_row()?;
        account.messages = account.messages.saturating_sub(row.messages.into());
        account.octets = account.octets.saturating_sub(row.octets);
        account.modseq = account.modseq.max(modseq);
        // First what others find it by: its messages may go in several steps.
        self.put(Key::Account, &account);
        self.remove(Key::Mailbox(mailbox));
        self.forget_name(mailbox, &row.name)?;
        self.remove_messages(mailbox)?;
        self.remove_all(Span::changed(self.account, mailbox, None))?;
        self.remove_all(Span::vanished(self.account, mailbox, None))?;
        self.remove_all(Span::cache(self.account, mailbox))?;
        Ok(Some(ChangeKind::MailboxDeleted { mailbox, name: row.name }))
    }

    pub(super) fn subscribe(&mut self, name: &MailboxName, subscribed: bool) -> ChangeKind {
        if subscribed {
            self.put(Key::Subscription(name.as_str()), &());
        } else {
            self.remove(Key::Subscription(name.as_str()));
        }
        ChangeKind::Subscribed { name: name.clone(), subscribed }
    }

    pub(super) fn define_keyword(&mut self, mailbox: MailboxId, keyword: &Keyword) -> Told {
        let Some(mut row) = self.rows.mailbox(self.account, mailbox)? else { return Ok(None) };
        if row.keywords.contains(keyword) || row.keywords.len() >= FlagSet::KEYWORD_COUNT_MAX {
            return Ok(None);
        }
        row.keywords.push(keyword.clone());
        self.put(Key::Mailbox(mailbox), &row);
        Ok(Some(ChangeKind::KeywordDefined { mailbox, keyword: keyword.clone() }))
    }
}
