//! APPEND: messages that a client brings, each in pieces, stored together.

use super::deliver::{Body, BodyWriter};
use super::head::Head;
use super::{FlagNames, Refusal, Store};
use bytes::Bytes;
use journal::Durable;
use mail_types::{AccountId, FlagSet, Keyword, Lsn, MailboxId, Uid, UidSet, UidValidity, UnixTime};
use mailbox::Record;
use std::sync::Arc;

/// A message being appended by a client.
pub struct Append {
    store: Arc<Store>,
    account: AccountId,
    body: BodyWriter,
}

/// A message that came whole, and what it is stored with.
pub struct Appended {
    /// The message.
    pub message: Append,
    /// Its flags.
    pub flags: FlagNames,
    /// Its INTERNALDATE.
    pub date: UnixTime,
}

impl Append {
    /// The next piece of the message.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), Refusal> {
        self.body.write(piece).await
    }

    /// How many octets came.
    pub fn octets(&self) -> u64 {
        self.body.octets()
    }

    /// The message is complete and the only one: stores it, and waits until it is durable.
    pub async fn finish(
        self,
        mailbox: MailboxId,
        flags: &FlagNames,
        date: UnixTime,
    ) -> Result<(Durable<Lsn>, UidValidity, Uid), Refusal> {
        let (store, account) = (Arc::clone(&self.store), self.account);
        let one = vec![Appended { message: self, flags: flags.clone(), date }];
        let (durable, validity, uids) = store.append_together(account, mailbox, one).await?;
        let (uid, _) = uids.ranges().first().copied().expect("a message that was stored has a UID");
        Ok((durable, validity, uid))
    }
}

impl Store {
    /// Begins an APPEND.
    pub fn append(self: &Arc<Self>, account: AccountId) -> Append {
        Append { store: Arc::clone(self), account, body: BodyWriter::new(Arc::clone(self)) }
    }

    /// Stores messages, at least one, and waits until they are durable: all of them or none, whatever is refused and
    /// whenever the power goes (RFC 3502 §3).
    pub async fn append_together(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        messages: Vec<Appended>,
    ) -> Result<(Durable<Lsn>, UidValidity, UidSet), Refusal> {
        if messages.len() > APPEND_MESSAGES_MAX {
            return Err(Refusal::TooMany("messages in one APPEND"));
        }
        let address = self.account(account)?.ok_or(Refusal::NoAccount)?.address;
        let octets = messages.iter().map(|appended| appended.message.octets()).sum();
        self.check_quota(account, &address, octets, messages.len() as u64)?;
        let flags = self.define_flags_of(account, mailbox, &messages).await?;
        let row = self.mailbox(account, mailbox)?.ok_or(Refusal::NoMailbox)?;
        let mut bodies = Vec::with_capacity(messages.len());
        for (Appended { message, date, .. }, flags) in messages.into_iter().zip(flags) {
            if !bodies.is_empty() {
                self.log.room_for_chunk().await;
            }
            bodies.push(New { body: message.body.finish(1)?, flags, date });
        }
        let (lsn, uids) = self.put_all(account, mailbox, bodies)?;
        Ok((self.applied_to(lsn).await?, row.uid_validity, uids))
    }

    /// The flags of each message in the bits of the mailbox. What is new of their keywords is defined for all at once.
    async fn define_flags_of(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        messages: &[Appended],
    ) -> Result<Vec<FlagSet>, Refusal> {
        let keywords: Vec<Keyword> =
            messages.iter().flat_map(|appended| appended.flags.keywords.iter().cloned()).collect();
        let slot = self.slot(account);
        let _change = self.begin(&slot).await?;
        self.define_keywords(account, mailbox, &FlagNames { system: FlagSet::EMPTY, keywords }).await?;
        messages.iter().map(|appended| self.known_flags(account, mailbox, &appended.flags)).collect()
    }

    /// Draws the UIDs of all messages under one lock and appends their records as one group.
    fn put_all(&self, account: AccountId, mailbox: MailboxId, mut new: Vec<New>) -> Result<(Lsn, UidSet), Refusal> {
        let slot = self.slot(account);
        let mut head = slot.lock();
        self.load(account, &mut head)?;
        let before = head.account.clone();
        let drawn = self.draw_all(account, mailbox, &new, &mut head);
        let put = drawn.and_then(|(records, uids)| Ok((self.log.append_group(&records)?, uids)));
        match &put {
            Ok((lsn, _)) => {
                head.given(*lsn, self.applied());
                new.iter_mut().for_each(|new| new.body.used());
            }
            // Nothing was appended: the numbers are free again, under the lock that drew them.
            Err(_) => head.account = before,
        }
        put
    }

    fn draw_all(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        new: &[New],
        head: &mut Head,
    ) -> Result<(Vec<Record>, UidSet), Refusal> {
        let (mut records, mut uids) = (Vec::with_capacity(new.len()), UidSet::new());
        for New { body, flags, date } in new {
            let uid = self.next_uid(account, head, mailbox)?;
            let counters = head.account.as_mut().ok_or(Refusal::NoAccount)?;
            counters.messages += 1;
            counters.octets += body.names().octets;
            uids.push(uid);
            records.push(Record::Deliver {
                account,
                mailbox,
                uid,
                modseq: counters.next_modseq(),
                flags: *flags,
                date: *date,
                head: Bytes::new(),
                body: body.names(),
                delivery: None,
            });
        }
        Ok((records, uids))
    }
}

/// A message whose body is in the journal, as the record that is about to name it needs it.
struct New {
    body: Body,
    flags: FlagSet,
    date: UnixTime,
}

/// Messages of one APPEND. Each may hold a chunk of 256 kB in memory until all are here, and their records, of about 100
/// octets, must fit into one group of the journal (RFC 3502 has no limit).
pub(crate) const APPEND_MESSAGES_MAX: usize = 64;
