//! LMTP into a store (RFC 2033): what a relay of the cluster, or an existing Postfix or Exim, speaks.
//!
//! Each recipient hears for itself; a `250` takes the `Durable<Lsn>` of its record.

use crate::delivery::Transaction;
use crate::engine::Store;
use journal::Durable;
use mail_types::Lsn;
use ports::{Badge, BoxFuture, DeliveryTransaction, Envelope, Flow, Handler, Peer, Recipients};
use smtp_proto::server::{Event, Server};
use smtp_proto::{Mail, Refusal};
use std::sync::Arc;

/// The store's end of one LMTP connection.
pub struct Lmtp {
    store: Arc<Store>,
    recipients: Arc<dyn Recipients>,
    peer: Peer,
    transaction: Option<Box<Transaction>>,
    /// Why the message under way cannot be stored; said at its end, as the protocol wants.
    failed: Option<Refusal>,
    /// What operators see.
    badge: Option<Arc<Badge>>,
}

/// The machine of an LMTP connection: its one road to `250` takes a proof.
pub type Machine = Server<Durable<Lsn>>;

impl Lmtp {
    /// A connection from `peer`.
    pub fn new(store: Arc<Store>, recipients: Arc<dyn Recipients>, peer: Peer) -> Self {
        Self { store, recipients, peer, transaction: None, failed: None, badge: None }
    }

    /// With a badge, on which its messages are counted.
    #[must_use]
    pub fn with_badge(mut self, badge: Arc<Badge>) -> Self {
        self.badge = Some(badge);
        self
    }

    fn begin(&mut self, mail: Mail) {
        let envelope = Envelope { from: mail.from, id: None, size: mail.size };
        self.transaction = Some(Box::new(Transaction::new(Arc::clone(&self.store), envelope)));
        self.failed = None;
    }

    async fn decide(&mut self, machine: &mut Machine, event: Event) -> Flow {
        match event {
            Event::Hello(_) => machine.accept_hello(),
            Event::Mail(mail) => {
                self.begin(mail);
                machine.accept_mail();
            }
            Event::Rcpt(rcpt) => {
                let Some(transaction) = &mut self.transaction else {
                    machine.refuse(Refusal::BAD_SEQUENCE);
                    return Flow::Next;
                };
                let added = match self.recipients.resolve(&rcpt.to).await {
                    Ok(recipient) => transaction.rcpt(recipient).await,
                    Err(refusal) => Err(refusal),
                };
                match added {
                    Ok(()) => machine.accept_rcpt(),
                    Err(refusal) => {
                        tracing::info!(client = %self.peer.address, rcpt = %rcpt.to, reply = ?refusal, "recipient refused");
                        machine.refuse(refusal);
                    }
                }
            }
            Event::Data => machine.accept_data(),
            Event::Body(chunk) => {
                if let (Some(transaction), None) = (&mut self.transaction, &self.failed) {
                    self.failed = transaction.write(chunk).await.err();
                }
            }
            Event::End => self.end(machine).await,
            Event::Auth { .. } | Event::AuthResponse(_) => machine.refuse(Refusal::NOT_IMPLEMENTED),
            Event::StartTls => machine.refuse(Refusal::TLS_UNAVAILABLE),
            Event::AuthAborted | Event::Reset(_) | Event::Closed(_) => self.transaction = None,
        }
        Flow::Next
    }

    async fn end(&mut self, machine: &mut Machine) {
        let transaction = self.transaction.take();
        if let Some(refusal) = self.failed.take() {
            machine.refuse(refusal);
            return;
        }
        let Some(transaction) = transaction else {
            machine.refuse(Refusal::BAD_SEQUENCE);
            return;
        };
        let outcomes = transaction.commit_here().await;
        if let Some(badge) = &self.badge
            && outcomes.iter().any(Result::is_ok)
        {
            badge.brought_message();
        }
        for outcome in outcomes {
            machine.answer_recipient(outcome);
        }
    }
}

impl Handler<Machine> for Lmtp {
    fn on_event<'a>(&'a mut self, machine: &'a mut Machine, event: Event) -> BoxFuture<'a, Flow> {
        Box::pin(self.decide(machine, event))
    }
}
