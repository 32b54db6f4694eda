//! From a recipient to the accounts behind it.

use crate::Relay;
use directory::{Deliver, Existence, MailBy, Routing, Silent};
use mail_types::{ForwardPath, StoreName};
use ports::Recipient;
use smtp_proto::{Refusal, Reply};

/// An account that is to get a message, and where it is.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) store: StoreName,
    pub(crate) make: Make,
    pub(crate) recipient: Recipient,
    /// Who knows that he is there.
    pub(crate) existence: Existence,
}

/// Who made a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    /// It knows a delivery by its id, and takes no message twice.
    Ours,
    /// It does not (RFC 1047).
    Another,
}

impl Relay {
    /// The accounts behind a recipient, each once; `Err` is the answer to its RCPT.
    pub(crate) fn resolve(&self, to: &ForwardPath) -> Result<Vec<Destination>, Refusal> {
        let routing = (self.routing)().ok_or(Refusal::DIRECTORY_UNAVAILABLE)?;
        match routing.delivery_path(to, &mut Silent) {
            directory::Delivery::Deliver(found) => destinations(to, &routing, found),
            directory::Delivery::NotOurs(reply)
            | directory::Delivery::Reject(reply)
            | directory::Delivery::TempFail(reply) => Err(refusal(reply)),
        }
    }

    /// Who made a store; without a directory, the one with whom we must be more careful.
    pub(crate) fn make(&self, store: &StoreName) -> Make {
        (self.routing)().map_or(Make::Another, |routing| make(&routing, store))
    }
}

fn make(routing: &Routing, store: &StoreName) -> Make {
    match routing.mail_by(store) {
        MailBy::Node => Make::Ours,
        MailBy::BackEnd(_) | MailBy::Nothing => Make::Another,
    }
}

fn destinations(to: &ForwardPath, routing: &Routing, found: Deliver) -> Result<Vec<Destination>, Refusal> {
    for (address, reply) in &found.dropped {
        tracing::warn!(rcpt = %to, %address, %reply, "an alias names an address that nobody has");
    }
    // All or nobody: to take the message for the others would lose it for these.
    if let Some(reply) = found.waits(routing) {
        tracing::warn!(rcpt = %to, %reply, "mail for a recipient is put off: posthouse route says why");
        return Err(refusal(reply));
    }
    let destination = |target: directory::Target| {
        let make = make(routing, &target.store);
        let (account, existence) = (target.id(), target.existence);
        let recipient = Recipient { account, address: target.address, recipient: target.recipient };
        Destination { store: target.store, make, recipient, existence }
    };
    Ok(found.targets.into_iter().map(destination).collect())
}

/// What the directory answers is never 2xx; should it be, the mail waits.
fn refusal(reply: directory::Reply) -> Refusal {
    let reply = Reply::new(reply.code(), Some(reply.enhanced()), reply.text());
    Refusal::try_from(reply).unwrap_or(Refusal::TRY_LATER)
}
