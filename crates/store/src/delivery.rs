//! A message into the store, whoever brings it: the relay by a function call, another server by LMTP.

use crate::engine::{BodyWriter, NewMessage, Put, Refusal, Store, delivery_head};
use crate::handover::Owns;
use bytes::Bytes;
use journal::Durable;
use mail_types::{FlagSet, Lsn, MailboxId};
use ports::{BoxFuture, DeliveryTransaction, Envelope, Receipt, Recipient};
use std::sync::Arc;
use tracing::field::display;

/// One message for accounts of one store.
pub struct Transaction {
    store: Arc<Store>,
    envelope: Envelope,
    recipients: Vec<Recipient>,
    body: BodyWriter,
    /// Whether the store is still ours to write to; asked when the message is whole.
    owns: Option<Owns>,
}

impl Transaction {
    /// Begins a message.
    pub fn new(store: Arc<Store>, envelope: Envelope) -> Self {
        let body = BodyWriter::new(Arc::clone(&store));
        Self { store, envelope, recipients: Vec::new(), body, owns: None }
    }

    /// Taken only if the store is this node's when the message is whole, however long that took.
    pub(crate) fn owned_where(self, owns: Owns) -> Self {
        Self { owns: Some(owns), ..self }
    }

    /// Whether there is room for the message. Where its size was not declared it may be anything, so that only who is
    /// full already is refused: nobody is later (docs/decisions/0010-quota-is-not-reserved.md).
    fn check(&self, recipient: &Recipient) -> Result<(), smtp_proto::Refusal> {
        let (account, address) = (recipient.account, &recipient.address);
        let octets = self.envelope.size.unwrap_or(0).max(1);
        let refusal = match self.store.check_quota(account, address, octets, 1) {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        if let (Refusal::OverQuota, Some(id)) = (&refusal, self.envelope.id)
            && self.store.has_delivery(account, id).map_err(|refusal| reply(&refusal))?
        {
            // It has the message already, and that may be what filled it: whoever tries again must learn it.
            return Ok(());
        }
        // Waiting does not help (RFC 5321 §4.2.1: 5yz, do not repeat).
        if matches!(refusal, Refusal::OverQuota) && !self.store.could_ever_hold(address, octets) {
            return Err(smtp_proto::Refusal::BEYOND_QUOTA);
        }
        Err(reply(&refusal))
    }

    /// The message is complete: makes it durable, and answers each recipient in the order they were added.
    pub(crate) async fn commit_here(self) -> Vec<Result<Durable<Lsn>, smtp_proto::Refusal>> {
        let outcomes = self.store_for_all().await;
        outcomes.into_iter().map(|outcome| outcome.map_err(|refusal| reply(&refusal))).collect()
    }

    async fn store_for_all(self) -> Vec<Result<Durable<Lsn>, Refusal>> {
        let Self { store, envelope, recipients, body, owns } = self;
        store.wait_for_room().await;
        if owns.is_some_and(|owns| !owns.says(store.name())) {
            tracing::warn!(store = %store.name(), "a message was not taken: the store was given to another node meanwhile");
            return recipients.iter().map(|_| Err(Refusal::Unavailable("another node serves the store"))).collect();
        }
        let uses = u32::try_from(recipients.len()).expect("the protocol bounds the recipients of a message");
        let mut body = match body.finish(uses) {
            Ok(body) => body,
            Err(refusal) => {
                let why = refusal.to_string();
                tracing::warn!(store = %store.name(), why, "a message was not taken");
                return recipients.iter().map(|_| Err(refusal.again())).collect();
            }
        };
        let date = store.now();
        let puts: Vec<Result<Put, Refusal>> = recipients
            .iter()
            .map(|recipient| {
                store.ensure_account(recipient.account, &recipient.address)?;
                let message = NewMessage {
                    mailbox: MailboxId::INBOX,
                    flags: FlagSet::EMPTY,
                    date,
                    head: delivery_head(&envelope.from, &recipient.recipient),
                    delivery: envelope.id,
                };
                body.put(recipient.account, message)
            })
            .collect();
        drop(body);
        let mut outcomes = Vec::with_capacity(puts.len());
        for (put, recipient) in puts.into_iter().zip(&recipients) {
            let outcome = match put {
                Ok(put) => store.settle(put).await.map(|proof| (put, proof)),
                Err(refusal) => Err(refusal),
            };
            let (id, store_name, account) = (envelope.id.map(display), store.name(), &recipient.address);
            match &outcome {
                Ok((Put::New(_, uid), _)) => {
                    store.counts().stored();
                    tracing::info!(id, store = %store_name, %account, %uid, "in the mailbox");
                }
                Ok((Put::Repeated(_), _)) => {
                    store.counts().repeated();
                    tracing::info!(id, store = %store_name, %account, "in the mailbox since an earlier attempt");
                }
                Err(why) => {
                    store.counts().refused();
                    tracing::info!(id, store = %store_name, %account, %why, "not in the mailbox");
                }
            }
            outcomes.push(outcome.map(|(_, proof)| proof));
        }
        outcomes
    }
}

impl DeliveryTransaction for Transaction {
    fn rcpt(&mut self, recipient: Recipient) -> BoxFuture<'_, Result<(), smtp_proto::Refusal>> {
        Box::pin(async move {
            self.check(&recipient)?;
            self.recipients.push(recipient);
            Ok(())
        })
    }

    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), smtp_proto::Refusal>> {
        Box::pin(async move { self.body.write(chunk).await.map_err(|refusal| reply(&refusal)) })
    }

    fn commit<'a>(self: Box<Self>) -> BoxFuture<'a, Vec<Result<Receipt, smtp_proto::Refusal>>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            let outcomes = self.commit_here().await;
            outcomes.into_iter().map(|outcome| outcome.map(Receipt::Here)).collect()
        })
    }
}

/// What a sender hears. Only a full account is the recipient's matter; everything else is ours and passes.
pub(crate) fn reply(refusal: &Refusal) -> smtp_proto::Refusal {
    match refusal {
        Refusal::OverQuota => smtp_proto::Refusal::MAILBOX_FULL,
        Refusal::NoSpace => smtp_proto::Refusal::NO_SPACE,
        Refusal::NoAccount
        | Refusal::NoMailbox
        | Refusal::MailboxExists
        | Refusal::HasChildren
        | Refusal::Inbox
        | Refusal::BelowItself
        | Refusal::NameTooLong
        | Refusal::TooMany(_)
        | Refusal::Unavailable(_)
        | Refusal::Index(_)
        | Refusal::Body(_) => {
            tracing::warn!(why = %refusal, "a delivery is put off");
            smtp_proto::Refusal::TRY_LATER
        }
    }
}
