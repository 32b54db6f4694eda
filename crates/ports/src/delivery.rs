//! A message on its way into a store.

use crate::BoxFuture;
use bytes::Bytes;
use journal::Durable;
use mail_types::{AccountId, Address, DeliveryId, ForwardPath, Lsn, ReversePath, StoreName};
use smtp_proto::Refusal;
use smtp_proto::client::Accepted;

/// What is known of a message before its recipients.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Where bounces go; becomes the Return-Path.
    pub from: ReversePath,
    /// Names this message for all its recipients, so that a repeated delivery is recognised.
    pub id: Option<DeliveryId>,
    /// What MAIL declared with SIZE=, in octets (RFC 1870 §3).
    pub size: Option<u64>,
}

/// One recipient at a store.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// Whose mailbox.
    pub account: AccountId,
    /// The account's address, under which the store creates it when it is new.
    pub address: Address,
    /// The recipient as received, which becomes Delivered-To.
    pub recipient: Address,
}

/// Proof that a store has a message for one recipient. There is no other way to one than through a journal of this
/// process, or through the reply that its store's node gave to the end of the message.
#[derive(Clone, Debug)]
pub enum Receipt {
    /// On stable storage in this process.
    Here(Durable<Lsn>),
    /// Promised by the node of the store (RFC 5321 §4.2.5, RFC 2033 §4.2).
    There(Accepted),
}

/// Who at a store a recipient is.
pub trait Recipients: Send + Sync {
    /// The account behind a recipient; `Err` is the reply, temporary where the directory could not be asked.
    fn resolve<'a>(&'a self, to: &'a ForwardPath) -> BoxFuture<'a, Result<Recipient, Refusal>>;
}

/// Which accounts live on which store, for a relay of another node that has expanded aliases already.
pub trait Accounts: Send + Sync {
    /// The account of exactly this address, if it lives on that store. `Err` is temporary in any case: the relay knows the
    /// account, and our copy of the directory may be the older one.
    fn account<'a>(&'a self, store: &'a StoreName, address: &'a Address) -> BoxFuture<'a, Result<Recipient, Refusal>>;
}

/// The way into stores, in this process or over LMTP.
pub trait Delivery: Send + Sync {
    /// Begins a message at a store. `Err` is the answer for every recipient there.
    fn open<'a>(
        &'a self,
        store: &'a StoreName,
        envelope: Envelope,
    ) -> BoxFuture<'a, Result<Box<dyn DeliveryTransaction>, Refusal>>;

    /// What is the matter with a store that does not answer, for log lines: what a sender hears tells nothing of our hosts.
    /// Nothing where it is not known, or nothing is.
    fn trouble(&self, _store: &StoreName) -> Option<String> {
        None
    }
}

/// One message at one store. Dropped before [`DeliveryTransaction::commit`], it leaves nothing.
pub trait DeliveryTransaction: Send {
    /// Adds a recipient, or says why not (quota, unknown here).
    fn rcpt(&mut self, recipient: Recipient) -> BoxFuture<'_, Result<(), Refusal>>;

    /// Whether the last refusal was that of the sender, or of the whole message: no word about the recipient who was named.
    fn has_failed(&self) -> bool {
        false
    }

    /// The next piece of the message, at most 256 kB. `Err` is final for the transaction.
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), Refusal>>;

    /// The message is complete: makes it durable, and answers each recipient in the order they were added.
    fn commit<'a>(self: Box<Self>) -> BoxFuture<'a, Vec<Result<Receipt, Refusal>>>
    where
        Self: 'a;
}
