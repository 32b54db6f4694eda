//! How rows are reached, and what they say.

use crate::index::{IndexError, Order, ROWS_PER_READ_MAX, RowBytes};
use crate::key::{self, Key, Span};
use crate::row::{AccountRow, DeliveryRow, Extent, FreeExtent, FreeValue, MailboxRow, MessageRow, Value};
use mail_types::{AccountId, Address, DeliveryId, MailboxId, MailboxName, ModSeq, Uid, UidSet, UidValidity, UnixTime};

/// Reads rows of one shard, as they are stored (sealed).
pub trait Rows {
    /// One row.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;

    /// Rows with `from <= key < to`, at most `limit` and never more than [`ROWS_PER_READ_MAX`]; fewer only at the end.
    fn range(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<RowBytes>, IndexError>;
}

/// Changes rows of one shard. Nothing here waits for a disk.
pub trait RowsMut: Rows {
    /// Puts a row, sealed.
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>);

    /// Takes a row out, if there is one.
    fn remove(&mut self, key: Vec<u8>);

    /// A long change has come to a point at which others may see it: what is held back need not be any longer.
    fn settle(&mut self) {}
}

/// What the rows of a shard say. Each question is a few short reads, not one view: a change may come between them.
pub trait Query: Rows {
    /// An account.
    fn account(&self, account: AccountId) -> Result<Option<AccountRow>, IndexError> {
        value(self, &Key::Account.of(account))
    }

    /// The next accounts of this shard, in the order of their ids.
    fn accounts(&self, behind: Option<AccountId>, limit: usize) -> Result<Vec<AccountId>, IndexError> {
        let mut found: Vec<AccountId> = Vec::new();
        let mut last = behind;
        while found.len() < limit.min(ROWS_PER_READ_MAX) {
            let span = Span::behind(last);
            let Some((key, _)) = self.range(&span.from, &span.to, Order::Ascending, 1)?.pop() else { break };
            let (account, parsed) = parsed(&key)?;
            if !matches!(parsed, Key::UidValidity(_)) {
                found.push(account);
            }
            last = Some(account);
        }
        Ok(found)
    }

    /// A mailbox.
    fn mailbox(&self, account: AccountId, mailbox: MailboxId) -> Result<Option<MailboxRow>, IndexError> {
        value(self, &Key::Mailbox(mailbox).of(account))
    }

    /// The mailbox of that name.
    fn mailbox_by_name(&self, account: AccountId, name: &MailboxName) -> Result<Option<MailboxId>, IndexError> {
        value(self, &Key::Name(name.as_str()).of(account))
    }

    /// All mailboxes, by number; at most [`MAILBOXES_PER_ACCOUNT_MAX`].
    fn mailboxes(&self, account: AccountId) -> Result<Vec<(MailboxId, MailboxRow)>, IndexError> {
        let mut found = Vec::new();
        walk(self, &Span::mailboxes(account), Order::Ascending, |key, stored| {
            if let (_, Key::Mailbox(mailbox)) = parsed(key)? {
                found.push((mailbox, MailboxRow::opened(key, stored)?));
            }
            Ok(found.len() < MAILBOXES_PER_ACCOUNT_MAX)
        })?;
        Ok(found)
    }

    /// All mailboxes by name, as LIST wants them; at most [`MAILBOXES_PER_ACCOUNT_MAX`].
    fn mailbox_names(&self, account: AccountId) -> Result<Vec<(MailboxName, MailboxId)>, IndexError> {
        let mut found = Vec::new();
        walk(self, &Span::names(account), Order::Ascending, |key, stored| {
            if let (_, Key::Name(text)) = parsed(key)? {
                found.push((name(key, text)?, MailboxId::opened(key, stored)?));
            }
            Ok(found.len() < MAILBOXES_PER_ACCOUNT_MAX)
        })?;
        Ok(found)
    }

    /// What the account is subscribed to, by name; at most [`SUBSCRIPTIONS_PER_ACCOUNT_MAX`].
    fn subscriptions(&self, account: AccountId) -> Result<Vec<MailboxName>, IndexError> {
        let mut found = Vec::new();
        walk(self, &Span::subscriptions(account), Order::Ascending, |key, stored| {
            <()>::opened(key, stored)?;
            if let (_, Key::Subscription(text)) = parsed(key)? {
                found.push(name(key, text)?);
            }
            Ok(found.len() < SUBSCRIPTIONS_PER_ACCOUNT_MAX)
        })?;
        Ok(found)
    }

    /// A message.
    fn message(&self, account: AccountId, mailbox: MailboxId, uid: Uid) -> Result<Option<MessageRow>, IndexError> {
        value(self, &Key::Message(mailbox, uid).of(account))
    }

    /// Messages from a UID on, by UID; at most `limit` and [`ROWS_PER_READ_MAX`].
    fn messages(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        from: Uid,
        limit: usize,
    ) -> Result<Vec<(Uid, MessageRow)>, IndexError> {
        self.messages_between(account, mailbox, (from, Uid::MAX), Order::Ascending, limit)
    }

    /// Messages with `first <= UID <= last`, from either end; at most `limit` and [`ROWS_PER_READ_MAX`].
    fn messages_between(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        (first, last): (Uid, Uid),
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Uid, MessageRow)>, IndexError> {
        let span = Span::messages(account, mailbox, first, last);
        let rows = self.range(&span.from, &span.to, order, limit)?;
        rows.iter().map(|(key, stored)| Ok((uid(key)?, MessageRow::opened(key, stored)?))).collect()
    }

    /// The UIDs of messages that came or changed later than `since` (RFC 7162 §3.1.4).
    fn messages_changed_since(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        since: Option<ModSeq>,
    ) -> Result<UidSet, IndexError> {
        let mut runs = Runs::default();
        walk(self, &Span::changed(account, mailbox, since), Order::Ascending, |key, stored| {
            <()>::opened(key, stored)?;
            if let (_, Key::Changed(_, _, uid)) = parsed(key)? {
                runs.add(uid);
            }
            Ok(true)
        })?;
        // MODSEQs of new messages grow with their UIDs, so those that came since are the last ones.
        walk(self, &Span::messages(account, mailbox, Uid::FIRST, Uid::MAX), Order::Descending, |key, stored| {
            let row = MessageRow::opened(key, stored)?;
            if since.is_some_and(|since| row.created <= since) {
                return Ok(false);
            }
            runs.add(uid(key)?);
            Ok(true)
        })?;
        Ok(UidSet::from_ranges(runs.ranges))
    }

    /// The UIDs of messages whose flags changed last, the latest first; at most `limit` and [`ROWS_PER_READ_MAX`]. A
    /// message as it came is not among them.
    fn messages_changed_last(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        limit: usize,
    ) -> Result<Vec<Uid>, IndexError> {
        let span = Span::changed(account, mailbox, None);
        let rows = self.range(&span.from, &span.to, Order::Descending, limit)?;
        rows.iter().map(|(key, stored)| <()>::opened(key, stored).and_then(|()| uid(key))).collect()
    }

    /// The UIDs that went later than `since` (RFC 7162 §3.2.10). None of them exists, nor ever will.
    fn vanished_since(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        since: Option<ModSeq>,
    ) -> Result<UidSet, IndexError> {
        let mut ranges = Vec::new();
        walk(self, &Span::vanished(account, mailbox, since), Order::Ascending, |key, stored| {
            ranges.extend_from_slice(UidSet::opened(key, stored)?.ranges());
            Ok(true)
        })?;
        Ok(UidSet::from_ranges(ranges))
    }

    /// Where the delivery of that id went. Ids are remembered for [`DELIVERY_WEEKS`] weeks before `now`, and the
    /// current one.
    fn delivery_seen(
        &self,
        account: AccountId,
        id: DeliveryId,
        now: UnixTime,
    ) -> Result<Option<DeliveryRow>, IndexError> {
        let week = key::week(now);
        for week in (week.saturating_sub(DELIVERY_WEEKS)..=week).rev() {
            let seen = value(self, &Key::Delivery(week, id).of(account))?;
            if seen.is_some() {
                return Ok(seen);
            }
        }
        Ok(None)
    }

    /// What the store remembers of a message.
    fn cache(&self, account: AccountId, mailbox: MailboxId, uid: Uid) -> Result<Option<Vec<u8>>, IndexError> {
        value(self, &Key::Cache(mailbox, uid).of(account))
    }

    /// What the store remembers of the messages from a UID on; at most `limit` and [`ROWS_PER_READ_MAX`].
    fn caches(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        from: Uid,
        limit: usize,
    ) -> Result<Vec<(Uid, Vec<u8>)>, IndexError> {
        let to = Span::cache(account, mailbox).to;
        let rows = self.range(&Key::Cache(mailbox, from).of(account), &to, Order::Ascending, limit)?;
        rows.iter().map(|(key, stored)| Ok((uid(key)?, Vec::opened(key, stored)?))).collect()
    }

    /// Parts of the account's body file to give back, oldest first; at most `limit` and [`ROWS_PER_READ_MAX`].
    /// The store removes the row ([`Key::Free`]) once it has given the octets back.
    fn free_extents(&self, account: AccountId, limit: usize) -> Result<Vec<FreeExtent>, IndexError> {
        let span = Span::free(account);
        let rows = self.range(&span.from, &span.to, Order::Ascending, limit)?;
        rows.iter().map(|(key, stored)| free_extent(key, stored)).collect()
    }

    /// Keys of delivery ids that were seen before a week and are not looked for any more; at most `limit` and
    /// [`ROWS_PER_READ_MAX`]. The store removes the rows.
    fn old_deliveries(&self, account: AccountId, week: u32, limit: usize) -> Result<Vec<Vec<u8>>, IndexError> {
        let span = Span::deliveries_before(account, week);
        let rows = self.range(&span.from, &span.to, Order::Ascending, limit)?;
        Ok(rows.into_iter().map(|(key, _)| key).collect())
    }

    /// The first UIDVALIDITY that an account of this name may give, as far as this shard knows. An account of the
    /// same name may have lived in another: whoever creates one takes the highest answer of all shards.
    fn uid_validity_next(&self, address: &Address) -> Result<UidValidity, IndexError> {
        let name = address.key();
        let next = value(self, &Key::UidValidity(&name).of(key::fold(&name)))?;
        Ok(next.unwrap_or(UidValidity::FIRST))
    }
}

impl<R: Rows + ?Sized> Query for R {}

/// Mailboxes of one account: more are not created, nor listed.
pub const MAILBOXES_PER_ACCOUNT_MAX: usize = 10_000;
/// Subscriptions of one account: more are not taken, nor listed.
pub const SUBSCRIPTIONS_PER_ACCOUNT_MAX: usize = 10_000;
/// For how many weeks before the current one a delivery id is remembered: longer than any queue retries.
pub const DELIVERY_WEEKS: u32 = 2;
/// Octets that the store may remember of one message.
pub const CACHE_OCTETS_MAX: usize = 65_536;

/// One row, opened.
pub(crate) fn value<R: Rows + ?Sized, V: Value>(rows: &R, key: &[u8]) -> Result<Option<V>, IndexError> {
    rows.get(key)?.map(|stored| V::opened(key, &stored)).transpose()
}

/// Shows the rows of a span one by one, in short reads, until `see` has enough.
pub(crate) fn walk<R: Rows + ?Sized>(
    rows: &R,
    span: &Span,
    order: Order,
    mut see: impl FnMut(&[u8], &[u8]) -> Result<bool, IndexError>,
) -> Result<(), IndexError> {
    let mut span = span.clone();
    // Most walks end soon.
    let mut limit = 32;
    loop {
        let page = rows.range(&span.from, &span.to, order, limit)?;
        for (key, stored) in &page {
            if !see(key, stored)? {
                return Ok(());
            }
        }
        let full = page.len() >= limit;
        let Some((last, _)) = page.into_iter().next_back().filter(|_| full) else { return Ok(()) };
        match order {
            Order::Ascending => span.from = key::after(last),
            Order::Descending => span.to = last,
        }
        limit = (limit * 4).min(ROWS_PER_READ_MAX);
    }
}

/// A key of ours from the index.
pub(crate) fn parsed(key: &[u8]) -> Result<(AccountId, Key<'_>), IndexError> {
    Key::parse(key).ok_or_else(|| IndexError::Damaged(format!("{}: not a key", key::describe(key))))
}

/// The UID in a key that ends with one.
pub(crate) fn uid(key: &[u8]) -> Result<Uid, IndexError> {
    match parsed(key)? {
        (_, Key::Message(_, uid) | Key::Changed(_, _, uid) | Key::Cache(_, uid)) => Ok(uid),
        (
            _,
            Key::Account
            | Key::Mailbox(_)
            | Key::Name(_)
            | Key::Subscription(_)
            | Key::Vanished(..)
            | Key::Delivery(..)
            | Key::Free(..)
            | Key::Share(_)
            | Key::UidValidity(_),
        ) => Err(IndexError::Damaged(format!("{}: not a message", key::describe(key)))),
    }
}

fn name(key: &[u8], text: &str) -> Result<MailboxName, IndexError> {
    MailboxName::parse(text).map_err(|_| IndexError::Damaged(format!("{}: not a name", key::describe(key))))
}

pub(crate) fn free_extent(key: &[u8], stored: &[u8]) -> Result<FreeExtent, IndexError> {
    let FreeValue { time, octets } = FreeValue::opened(key, stored)?;
    match parsed(key)? {
        (account, Key::Free(lsn, offset)) => Ok(FreeExtent { account, lsn, time, extent: Extent { offset, octets } }),
        (_, other) => Err(IndexError::Damaged(format!("{other}: not a free extent"))),
    }
}

/// UIDs in any order, neighbours kept as one range.
#[derive(Default)]
struct Runs {
    ranges: Vec<(Uid, Uid)>,
}

impl Runs {
    fn add(&mut self, uid: Uid) {
        match self.ranges.last_mut() {
            Some(run) if run.1.next() == Some(uid) => run.1 = uid,
            Some(run) if uid.next() == Some(run.0) => run.0 = uid,
            Some(_) | None => self.ranges.push((uid, uid)),
        }
    }
}
