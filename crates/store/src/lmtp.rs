//! LMTP into a store (RFC 2033): what a relay of the cluster, or an existing Postfix or Exim, speaks.
//!
//! ```text
//!   Postfix, Exim ─▶ Lmtp:       one store, the directory says who a recipient is ─┐
//!   a relay       ─▶ InsideLmtp: XSTORE says which store, RCPT names the account ──┴▶ Session ─▶ delivery ─▶ Durable<Lsn>
//! ```
//!
//! Each recipient hears for itself; a `250` takes the `Durable<Lsn>` of its record.

mod door;
#[cfg(test)]
mod tests;

use crate::delivery::Transaction;
use crate::engine::Store;
use crate::handover::LocalStores;
use door::Door;
use journal::Durable;
use mail_types::Lsn;
use ports::{Accounts, Badge, BoxFuture, DeliveryTransaction, Flow, Handler, Peer, Recipients};
use smtp_proto::server::{Event, Server};
use smtp_proto::{Mail, Rcpt, Refusal};
use std::sync::Arc;

/// One store's end of an LMTP connection from a server of another make.
pub struct Lmtp(Session);

/// The stores' end of an LMTP connection from a relay of the cluster (docs/format/cluster-lmtp.md). Who is connected is
/// trusted: its machine offers XPOSTHOUSE, and its listener lets nodes in only.
pub struct InsideLmtp(Session);

/// The machine of an LMTP connection: its one road to `250` takes a proof.
pub type Machine = Server<Durable<Lsn>>;

/// One LMTP connection.
struct Session {
    door: Door,
    peer: Peer,
    transaction: Option<Box<Transaction>>,
    /// Why the message under way cannot be stored; said at its end, as the protocol wants.
    failed: Option<Refusal>,
    /// What operators see.
    badge: Option<Arc<Badge>>,
}

impl Lmtp {
    /// A connection from `peer`.
    pub fn new(store: Arc<Store>, recipients: Arc<dyn Recipients>, peer: Peer) -> Self {
        Self(Session::new(Door::Store { store, recipients }, peer))
    }

    /// With a badge, on which its messages are counted.
    #[must_use]
    pub fn with_badge(mut self, badge: Arc<Badge>) -> Self {
        self.0.badge = Some(badge);
        self
    }
}

impl InsideLmtp {
    /// A connection from `peer`, a node of the cluster.
    pub fn new(stores: Arc<LocalStores>, accounts: Arc<dyn Accounts>, peer: Peer) -> Self {
        Self(Session::new(Door::Stores { stores, accounts, open: None }, peer))
    }

    /// With a badge, on which its messages are counted.
    #[must_use]
    pub fn with_badge(mut self, badge: Arc<Badge>) -> Self {
        self.0.badge = Some(badge);
        self
    }
}

impl Handler<Machine> for Lmtp {
    fn on_event<'a>(&'a mut self, machine: &'a mut Machine, event: Event) -> BoxFuture<'a, Flow> {
        Box::pin(self.0.decide(machine, event))
    }
}

impl Handler<Machine> for InsideLmtp {
    fn on_event<'a>(&'a mut self, machine: &'a mut Machine, event: Event) -> BoxFuture<'a, Flow> {
        Box::pin(self.0.decide(machine, event))
    }
}

impl Session {
    fn new(door: Door, peer: Peer) -> Self {
        Self { door, peer, transaction: None, failed: None, badge: None }
    }

    async fn decide(&mut self, machine: &mut Machine, event: Event) -> Flow {
        match event {
            Event::Hello(_) => machine.accept_hello(),
            Event::Mail(mail) => match self.begin(mail) {
                Ok(()) => machine.accept_mail(),
                Err(refusal) => machine.refuse(refusal),
            },
            Event::Rcpt(rcpt) => match self.add(&rcpt).await {
                Ok(()) => machine.accept_rcpt(),
                Err(refusal) => {
                    tracing::info!(client = %self.peer.address, rcpt = %rcpt.to, reply = %refusal, "recipient refused");
                    machine.refuse(refusal);
                }
            },
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

    fn begin(&mut self, mail: Mail) -> Result<(), Refusal> {
        let (store, envelope) = self.door.open(mail).inspect_err(|refusal| {
            tracing::warn!(client = %self.peer.address, reply = %refusal, "a node's mail is put off");
        })?;
        self.transaction = Some(Box::new(Transaction::new(store, envelope)));
        self.failed = None;
        Ok(())
    }

    async fn add(&mut self, rcpt: &Rcpt) -> Result<(), Refusal> {
        let transaction = self.transaction.as_mut().ok_or(Refusal::BAD_SEQUENCE)?;
        let recipient = self.door.who(rcpt).await?;
        transaction.rcpt(recipient).await
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
