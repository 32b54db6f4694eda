//! From a recipient to the accounts behind it.

use crate::Relay;
use directory::{Deliver, Silent};
use mail_types::{ForwardPath, StoreName};
use ports::Recipient;
use smtp_proto::{Refusal, Reply};

/// An account that is to get a message, and where it is.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) store: StoreName,
    pub(crate) recipient: Recipient,
}

impl Relay {
    /// The accounts behind a recipient, each once; `Err` is the answer to its RCPT.
    pub(crate) fn resolve(&self, to: &ForwardPath) -> Result<Vec<Destination>, Refusal> {
        let routing = (self.routing)().ok_or(Refusal::DIRECTORY_UNAVAILABLE)?;
        match routing.delivery_path(to, &mut Silent) {
            directory::Delivery::Deliver(found) => destinations(to, found),
            directory::Delivery::NotOurs(reply)
            | directory::Delivery::Reject(reply)
            | directory::Delivery::TempFail(reply) => Err(refusal(reply)),
        }
    }
}

fn destinations(to: &ForwardPath, found: Deliver) -> Result<Vec<Destination>, Refusal> {
    for (address, reply) in &found.dropped {
        tracing::warn!(rcpt = %to, %address, %reply, "an alias names an address that nobody has");
    }
    // All or nobody: to take the message for the others would lose it for these.
    if let Some(remote) = found.remote.first() {
        tracing::warn!(rcpt = %to, %remote, "mail cannot be sent to other sites yet");
        return Err(refusal(directory::Reply::NO_OUTBOUND));
    }
    let destination = |target: directory::Target| {
        let Some(account) = target.account else {
            tracing::warn!(rcpt = %to, store = %target.store, "a store cannot be asked who exists yet");
            return Err(refusal(directory::Reply::NOT_ASKED));
        };
        let recipient = Recipient { account, address: target.address, recipient: target.recipient };
        Ok(Destination { store: target.store, recipient })
    };
    found.targets.into_iter().map(destination).collect()
}

/// What the directory answers is never 2xx; should it be, the mail waits.
fn refusal(reply: directory::Reply) -> Refusal {
    let reply = Reply::new(reply.code(), Some(reply.enhanced()), reply.text());
    Refusal::try_from(reply).unwrap_or(Refusal::TRY_LATER)
}
