//! Writing a body and the records that give it to recipients.

use super::head::Head;
use super::{Refusal, Store};
use bytes::{Bytes, BytesMut};
use journal::Durable;
use mail_types::{AccountId, Address, DeliveryId, FlagSet, Lsn, MailboxId, ModSeq, ReversePath, Uid, UnixTime};
use mailbox::{BodyRef, Record};
use std::sync::Arc;

/// A body on its way into the journal: chunks of 256 kB are written as they fill, so that a message of 50 MB neither
/// fills memory nor delays others; what is left goes with the records that use it. Dropped before
/// [`BodyWriter::finish`], it leaves only unused chunks in the journal.
pub(crate) struct BodyWriter {
    store: Arc<Store>,
    pending: Pending,
    first: Option<Lsn>,
    octets: u64,
}

/// What has not filled a chunk. The one piece of a small message is kept as it came.
enum Pending {
    Empty,
    One(Bytes),
    Many(BytesMut),
}

/// A body all of whose chunks are in the journal, for `uses` records; those not made give their use back.
pub(crate) struct Body {
    store: Arc<Store>,
    body: BodyRef,
    unused: u32,
}

/// A message that is delivered.
pub(crate) struct NewMessage {
    /// Which mailbox; if it has just gone, INBOX takes its place.
    pub(crate) mailbox: MailboxId,
    pub(crate) flags: FlagSet,
    pub(crate) date: UnixTime,
    pub(crate) head: Bytes,
    pub(crate) delivery: Option<DeliveryId>,
}

/// What became of a message that was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It has this UID, once the LSN is applied.
    New(Lsn, Uid),
    /// Its delivery id was here before: nothing was stored, wait for the LSN all the same.
    Repeated(Lsn),
}

impl BodyWriter {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, pending: Pending::Empty, first: None, octets: 0 }
    }

    /// How many octets came.
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// The next piece.
    pub(crate) async fn write(&mut self, piece: Bytes) -> Result<(), Refusal> {
        self.octets += piece.len() as u64;
        let mut buffer = match std::mem::replace(&mut self.pending, Pending::Empty) {
            Pending::Empty if piece.len() <= CHUNK_OCTETS_MAX => {
                self.pending = Pending::One(piece);
                return Ok(());
            }
            Pending::Empty => BytesMut::from(&*piece),
            Pending::One(first) => {
                let mut buffer = BytesMut::with_capacity(first.len() + piece.len());
                buffer.extend_from_slice(&first);
                buffer.extend_from_slice(&piece);
                buffer
            }
            Pending::Many(mut buffer) => {
                buffer.extend_from_slice(&piece);
                buffer
            }
        };
        while buffer.len() > CHUNK_OCTETS_MAX {
            let chunk = buffer.split_to(CHUNK_OCTETS_MAX).freeze();
            self.store.log.room_for_chunk().await;
            self.append(&chunk)?;
        }
        self.pending = Pending::Many(buffer);
        Ok(())
    }

    /// The last chunk goes in; `uses` records will name the body.
    pub(crate) fn finish(mut self, uses: u32) -> Result<Body, Refusal> {
        let last = match std::mem::replace(&mut self.pending, Pending::Empty) {
            Pending::Empty => Bytes::new(),
            Pending::One(piece) => piece,
            Pending::Many(buffer) => buffer.freeze(),
        };
        if !last.is_empty() || self.first.is_none() {
            self.append(&last)?;
        }
        let first = self.first.take().expect("at least one chunk was written");
        self.store.spool.expect_uses(first, uses);
        Ok(Body { store: Arc::clone(&self.store), body: BodyRef { first, octets: self.octets }, unused: uses })
    }

    fn append(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        match self.first {
            Some(first) => self.store.log.append_chunk(first, chunk).map(drop),
            None => {
                // Registered and appended under one lock, or the apply thread could meet the chunk unregistered.
                self.first = Some(self.store.spool.register(|| self.store.log.append_first_chunk(chunk))?);
                Ok(())
            }
        }
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if let Some(first) = self.first {
            self.store.spool.abandon(first);
        }
    }
}

impl Body {
    /// Gives the message to a mailbox: takes UID and MODSEQ, and an LSN with them.
    pub(crate) fn put(&mut self, account: AccountId, message: NewMessage) -> Result<Put, Refusal> {
        let slot = self.store.slot(account);
        let mut head = slot.lock();
        self.store.load(account, &mut head)?;
        if let Some(id) = message.delivery
            && let Some(lsn) = self.store.delivered(account, &head, id)?
        {
            return Ok(Put::Repeated(lsn));
        }
        let delivery = message.delivery;
        let (mailbox, uid) = self.next_uid(account, &mut head, message.mailbox)?;
        let counters = head.account.as_mut().ok_or(Refusal::NoAccount)?;
        let octets = message.head.len() as u64 + self.body.octets;
        let before = counters.modseq;
        let modseq = counters.next_modseq();
        let NewMessage { flags, date, head: prefix, .. } = message;
        let record =
            Record::Deliver { account, mailbox, uid, modseq, flags, date, head: prefix, body: self.body, delivery };
        match self.store.log.append(&record) {
            Ok(lsn) => {
                self.used();
                counters.messages += 1;
                counters.octets += octets;
                head.given(lsn, self.store.applied());
                head.deliveries.extend(delivery.map(|id| (lsn, id)));
                Ok(Put::New(lsn, uid))
            }
            Err(refusal) => {
                give_back(&mut head, mailbox, uid, before);
                Err(refusal)
            }
        }
    }
}

impl Body {
    fn next_uid(&self, account: AccountId, head: &mut Head, mailbox: MailboxId) -> Result<(MailboxId, Uid), Refusal> {
        match self.store.next_uid(account, head, mailbox) {
            Err(Refusal::NoMailbox) => Ok((MailboxId::INBOX, self.store.next_uid(account, head, MailboxId::INBOX)?)),
            drawn => Ok((mailbox, drawn?)),
        }
    }

    /// What a record names it by.
    pub(crate) fn names(&self) -> BodyRef {
        self.body
    }

    /// A record that names it was appended.
    pub(crate) fn used(&mut self) {
        self.unused -= 1;
    }
}

/// Nothing was appended: the numbers are free again. Under the lock that drew them, so nobody drew the next.
fn give_back(head: &mut Head, mailbox: MailboxId, uid: Uid, modseq: ModSeq) {
    if let Some(counters) = &mut head.account {
        counters.modseq = modseq;
        if let Some(next) = counters.mailbox(mailbox) {
            *next = Some(uid);
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.unused > 0 {
            self.store.spool.give_back_uses(self.body.first, self.unused);
        }
    }
}

impl Store {
    /// Whether the account has the delivery of that id, or soon will.
    pub(crate) fn has_delivery(&self, account: AccountId, id: DeliveryId) -> Result<bool, Refusal> {
        let slot = self.slot(account);
        let head = slot.lock();
        Ok(self.delivered(account, &head, id)?.is_some())
    }

    /// For what to wait where the delivery of that id was here before.
    fn delivered(&self, account: AccountId, head: &Head, id: DeliveryId) -> Result<Option<Lsn>, Refusal> {
        if let Some((lsn, _)) = head.deliveries.iter().find(|(_, known)| *known == id) {
            return Ok(Some(*lsn));
        }
        Ok(self.delivery_seen(account, id)?.then(|| self.applied()))
    }

    /// Waits until what was put is durable and applied.
    pub(crate) async fn settle(&self, put: Put) -> Result<Durable<Lsn>, Refusal> {
        let (Put::New(lsn, _) | Put::Repeated(lsn)) = put;
        self.applied_to(lsn).await
    }
}

/// What stands before a delivered message: where bounces go and for whom it was (RFC 5321 §4.4; Delivered-To also stops
/// loops).
pub(crate) fn delivery_head(from: &ReversePath, recipient: &Address) -> Bytes {
    Bytes::from(format!("Return-Path: {from}\r\nDelivered-To: {recipient}\r\n"))
}

/// The largest chunk of a body (DESIGN: body chunks of at most 256 kB).
pub(crate) const CHUNK_OCTETS_MAX: usize = 256 * 1024;
