//! Records about messages.

use super::{Apply, Bodies, Told};
use crate::change::ChangeKind;
use crate::frame::FrameHeader;
use crate::index::{IndexError, Order, ROWS_PER_READ_MAX};
use crate::key::{self, Key, Span};
use crate::record::BodyRef;
use crate::row::{AccountRow, DeliveryRow, Extent, FreeValue, MailboxRow, MessageRow};
use crate::rows::{DELIVERY_WEEKS, Query, RowsMut, value};
use bytes::Bytes;
use mail_types::{DeliveryId, FlagSet, MailboxId, ModSeq, SystemFlag, Uid, UidSet, UnixTime};

/// What a `Deliver` record brings.
pub(super) struct Arrival<'a> {
    pub(super) mailbox: MailboxId,
    pub(super) uid: Uid,
    pub(super) modseq: ModSeq,
    pub(super) flags: FlagSet,
    pub(super) date: UnixTime,
    pub(super) head: &'a Bytes,
    pub(super) body: BodyRef,
    pub(super) delivery: Option<DeliveryId>,
}

/// The rows that count messages.
struct Counts {
    account: AccountRow,
    id: MailboxId,
    mailbox: MailboxRow,
}

impl<R: RowsMut + ?Sized> Apply<'_, R> {
    pub(super) fn deliver(&mut self, new: &Arrival<'_>, bodies: &mut dyn Bodies) -> Result<ChangeKind, IndexError> {
        let mut counts = self.counts(new.mailbox)?;
        let frame = FrameHeader {
            account: self.account,
            mailbox: new.mailbox,
            uid: new.uid,
            date: new.date,
            head_octets: u32::try_from(new.head.len()).expect("a head is at most HEAD_OCTETS_MAX octets"),
            body_octets: new.body.octets,
        };
        let extent = Extent { offset: counts.account.body_end, octets: frame.frame_octets() };
        bodies.place(extent.offset, &frame, new.head, new.body)?;
        counts.account.body_end = extent.offset.saturating_add(extent.octets);
        let row = MessageRow {
            modseq: new.modseq,
            created: new.modseq,
            flags: new.flags,
            date: new.date,
            size: frame.content_octets(),
            extent,
        };
        self.put(Key::Message(new.mailbox, new.uid), &row);
        counts.add(new.uid, &row);
        self.put_counts(&counts);
        if let Some(id) = new.delivery {
            self.remember(id, new)?;
        }
        Ok(ChangeKind::Delivered { mailbox: new.mailbox, uids: UidSet::from_iter([new.uid]), modseq: new.modseq })
    }

    /// Remembers a delivery id, and now and then forgets some that are too old to be asked for.
    fn remember(&mut self, id: DeliveryId, new: &Arrival<'_>) -> Result<(), IndexError> {
        let week = key::week(self.at.time);
        let row = DeliveryRow { mailbox: new.mailbox, uid: new.uid, time: self.at.time };
        self.put(Key::Delivery(week, id), &row);
        if new.modseq.number().is_multiple_of(DELIVERIES_PER_FORGETTING) {
            let old = Span::deliveries_before(self.account, week.saturating_sub(DELIVERY_WEEKS));
            for (key, _) in self.rows.range(&old.from, &old.to, Order::Ascending, FORGOTTEN_MAX)? {
                self.rows.remove(key);
            }
        }
        Ok(())
    }

    pub(super) fn copy(
        &mut self,
        from: MailboxId,
        to: MailboxId,
        modseq: ModSeq,
        messages: &[(Uid, Uid, FlagSet)],
    ) -> Told {
        let mut counts = self.counts(to)?;
        let mut uids = UidSet::new();
        for (source, copy, flags) in messages {
            let Some(original) = self.rows.message(self.account, from, *source)? else { continue };
            let row = MessageRow { modseq, created: modseq, flags: *flags, ..original };
            let shared = self.shares(row.extent)?.saturating_add(1);
            self.put(Key::Share(row.extent.offset), &shared);
            self.put(Key::Message(to, *copy), &row);
            counts.add(*copy, &row);
            uids.push(*copy);
        }
        counts.raise(modseq);
        self.put_counts(&counts);
        Ok((!uids.is_empty()).then_some(ChangeKind::Delivered { mailbox: to, uids, modseq }))
    }

    pub(super) fn store_flags(&mut self, mailbox: MailboxId, modseq: ModSeq, messages: &[(Uid, FlagSet)]) -> Told {
        let Some(mut counts) = self.counts_if_there(mailbox)? else { return Ok(None) };
        let mut uids = UidSet::new();
        for (uid, flags) in messages {
            let Some(mut row) = self.rows.message(self.account, mailbox, *uid)? else { continue };
            counts.reflag(row.flags, *flags);
            self.forget_change(mailbox, *uid, &row);
            row.flags = *flags;
            row.modseq = modseq;
            // Between the creation of two messages the walk from the end finds a message by its creation.
            if row.modseq != row.created {
                self.put(Key::Changed(mailbox, modseq, *uid), &());
            }
            self.put(Key::Message(mailbox, *uid), &row);
            uids.push(*uid);
        }
        counts.raise(modseq);
        self.put_counts(&counts);
        Ok((!uids.is_empty()).then_some(ChangeKind::Flags { mailbox, uids, modseq }))
    }

    fn forget_change(&mut self, mailbox: MailboxId, uid: Uid, row: &MessageRow) {
        if row.modseq != row.created {
            self.remove(Key::Changed(mailbox, row.modseq, uid));
        }
    }

    pub(super) fn expunge(&mut self, mailbox: MailboxId, modseq: ModSeq, uids: &UidSet) -> Told {
        let Some(mut counts) = self.counts_if_there(mailbox)? else { return Ok(None) };
        counts.raise(modseq);
        self.vanish(mailbox, modseq, &uids_below(uids, counts.mailbox.uid_next))?;
        let mut gone = UidSet::new();
        for range in uids.ranges() {
            self.expunge_range(&mut counts, *range, &mut gone)?;
        }
        self.put_counts(&counts);
        Ok((!gone.is_empty()).then_some(ChangeKind::Expunged { mailbox, uids: gone, modseq }))
    }

    /// Notes what QRESYNC will be told. Every UID given so far and named here is gone afterwards, whether it was
    /// there before or not.
    fn vanish(&mut self, mailbox: MailboxId, modseq: ModSeq, uids: &UidSet) -> Result<(), IndexError> {
        if uids.is_empty() {
            return Ok(());
        }
        let key = Key::Vanished(mailbox, modseq);
        let before: Option<UidSet> = value(self.rows, &key.of(self.account))?;
        let ranges = before.iter().flat_map(UidSet::ranges).chain(uids.ranges()).copied();
        let all = UidSet::from_ranges(ranges);
        self.put(key, &all);
        Ok(())
    }

    fn expunge_range(
        &mut self,
        counts: &mut Counts,
        (first, last): (Uid, Uid),
        gone: &mut UidSet,
    ) -> Result<(), IndexError> {
        let mut next = Some(first);
        while let Some(from) = next.filter(|from| *from <= last) {
            let found = self.messages_or_one(counts.id, (from, last))?;
            for (uid, row) in &found {
                self.forget_change(counts.id, *uid, row);
                self.remove_message(counts.id, *uid, row)?;
                self.remove(Key::Cache(counts.id, *uid));
                counts.remove(row);
                gone.push(*uid);
            }
            // Before anybody may see some of them gone.
            self.put_counts(counts);
            self.rows.settle();
            next = found.last().filter(|_| found.len() >= ROWS_PER_READ_MAX).and_then(|(uid, _)| uid.next());
        }
        Ok(())
    }

    /// Looking up one message is cheaper than a range.
    fn messages_or_one(
        &self,
        mailbox: MailboxId,
        (first, last): (Uid, Uid),
    ) -> Result<Vec<(Uid, MessageRow)>, IndexError> {
        if first == last {
            return Ok(self.rows.message(self.account, mailbox, first)?.map(|row| (first, row)).into_iter().collect());
        }
        self.rows.messages_between(self.account, mailbox, (first, last), Order::Ascending, ROWS_PER_READ_MAX)
    }

    /// Removes all messages of a mailbox that nobody finds any more.
    pub(super) fn remove_messages(&mut self, mailbox: MailboxId) -> Result<(), IndexError> {
        let mut next = Some(Uid::FIRST);
        while let Some(from) = next {
            let found = self.rows.messages(self.account, mailbox, from, ROWS_PER_READ_MAX)?;
            for (uid, row) in &found {
                self.remove_message(mailbox, *uid, row)?;
            }
            self.rows.settle();
            next = found.last().and_then(|(uid, _)| uid.next());
        }
        Ok(())
    }

    fn remove_message(&mut self, mailbox: MailboxId, uid: Uid, row: &MessageRow) -> Result<(), IndexError> {
        self.remove(Key::Message(mailbox, uid));
        self.release(row.extent)
    }

    /// One message less needs the frame; the last one frees it.
    fn release(&mut self, extent: Extent) -> Result<(), IndexError> {
        match self.shares(extent)? {
            0 | 1 => {
                let free = FreeValue { time: self.at.time, octets: extent.octets };
                self.put(Key::Free(self.at.lsn, extent.offset), &free);
            }
            2 => self.remove(Key::Share(extent.offset)),
            more => self.put(Key::Share(extent.offset), &(more - 1)),
        }
        Ok(())
    }

    /// How many messages need the frame.
    fn shares(&self, extent: Extent) -> Result<u64, IndexError> {
        let shared: Option<u64> = value(self.rows, &Key::Share(extent.offset).of(self.account))?;
        Ok(shared.unwrap_or(1))
    }

    fn counts(&self, id: MailboxId) -> Result<Counts, IndexError> {
        Ok(Counts { account: self.account_row()?, id, mailbox: self.mailbox_row(id)? })
    }

    fn counts_if_there(&self, id: MailboxId) -> Result<Option<Counts>, IndexError> {
        let Some(mailbox) = self.rows.mailbox(self.account, id)? else { return Ok(None) };
        Ok(Some(Counts { account: self.account_row()?, id, mailbox }))
    }

    fn put_counts(&mut self, counts: &Counts) {
        self.put(Key::Account, &counts.account);
        self.put(Key::Mailbox(counts.id), &counts.mailbox);
    }
}

impl Counts {
    fn add(&mut self, uid: Uid, row: &MessageRow) {
        let Self { account, mailbox, id: _ } = self;
        account.messages = account.messages.saturating_add(1);
        account.octets = account.octets.saturating_add(row.size);
        mailbox.messages = mailbox.messages.saturating_add(1);
        mailbox.octets = mailbox.octets.saturating_add(row.size);
        mailbox.uid_next = mailbox.uid_next.max(uid.next().unwrap_or(Uid::MAX));
        self.add_flags(row.flags);
        self.raise(row.modseq);
    }

    fn remove(&mut self, row: &MessageRow) {
        let Self { account, mailbox, id: _ } = self;
        account.messages = account.messages.saturating_sub(1);
        account.octets = account.octets.saturating_sub(row.size);
        mailbox.messages = mailbox.messages.saturating_sub(1);
        mailbox.octets = mailbox.octets.saturating_sub(row.size);
        self.remove_flags(row.flags);
    }

    fn reflag(&mut self, before: FlagSet, after: FlagSet) {
        self.remove_flags(before);
        self.add_flags(after);
    }

    fn add_flags(&mut self, flags: FlagSet) {
        let mailbox = &mut self.mailbox;
        mailbox.unseen = mailbox.unseen.saturating_add(u32::from(!flags.has(SystemFlag::Seen)));
        mailbox.deleted = mailbox.deleted.saturating_add(u32::from(flags.has(SystemFlag::Deleted)));
    }

    fn remove_flags(&mut self, flags: FlagSet) {
        let mailbox = &mut self.mailbox;
        mailbox.unseen = mailbox.unseen.saturating_sub(u32::from(!flags.has(SystemFlag::Seen)));
        mailbox.deleted = mailbox.deleted.saturating_sub(u32::from(flags.has(SystemFlag::Deleted)));
    }

    fn raise(&mut self, modseq: ModSeq) {
        self.mailbox.modseq = self.mailbox.modseq.max(modseq);
        self.account.modseq = self.account.modseq.max(modseq);
    }
}

/// The part of a set below a UID.
fn uids_below(uids: &UidSet, end: Uid) -> UidSet {
    let Some(last) = Uid::new(end.number() - 1) else { return UidSet::new() };
    UidSet::from_ranges(uids.ranges().iter().filter(|run| run.0 <= last).map(|run| (run.0, run.1.min(last))))
}

/// After so many MODSEQs, old delivery ids are looked for.
const DELIVERIES_PER_FORGETTING: u64 = 64;
/// How many of them are forgotten then.
const FORGOTTEN_MAX: usize = 256;
