//! What differs between those who bring mail: which store it is for, and who a recipient is.

use crate::engine::Store;
use crate::handover::LocalStores;
use mail_types::{ForwardPath, StoreName};
use ports::{Accounts, Envelope, Recipient, Recipients};
use smtp_proto::{Mail, Rcpt, Refusal, Relayed};
use std::sync::Arc;

/// Who comes in here, and what is believed.
pub(super) enum Door {
    /// Any server that may connect; the directory says who its recipients are.
    Store { store: Arc<Store>, recipients: Arc<dyn Recipients> },
    /// A relay of the cluster: it has asked the directory.
    Stores {
        stores: Arc<LocalStores>,
        accounts: Arc<dyn Accounts>,
        /// The store of the message under way.
        open: Option<StoreName>,
    },
}

impl Door {
    /// The store that a message is for.
    pub(super) fn open(&mut self, mail: Mail) -> Result<(Arc<Store>, Envelope), Refusal> {
        let Mail { from, size, relayed, .. } = mail;
        match self {
            Self::Store { store, .. } => Ok((Arc::clone(store), Envelope { from, id: None, size })),
            Self::Stores { stores, open, .. } => {
                let Relayed { store: name, delivery } = relayed.ok_or(NO_STORE)?;
                let store = stores.store(&name).filter(|_| stores.serves(&name)).ok_or(NOT_HERE)?;
                *open = Some(name);
                Ok((Arc::clone(store), Envelope { from, id: delivery, size }))
            }
        }
    }

    /// Who gets it.
    pub(super) async fn who(&self, rcpt: &Rcpt) -> Result<Recipient, Refusal> {
        match self {
            Self::Store { recipients, .. } => recipients.resolve(&rcpt.to).await,
            Self::Stores { accounts, open, .. } => {
                let store = open.as_ref().ok_or(Refusal::BAD_SEQUENCE)?;
                let ForwardPath::Address(address) = &rcpt.to else { return Err(NO_ACCOUNT) };
                let mut recipient = accounts.account(store, address).await?;
                if let Some(received_as) = &rcpt.received_as {
                    recipient.recipient = received_as.clone();
                }
                Ok(recipient)
            }
        }
    }
}

// What is wrong between two nodes is never the sender's matter: their copies of the directory may differ for a while.
const NO_STORE: Refusal = Refusal::of(451, (4, 3, 0), "XSTORE is missing, try again later");
const NOT_HERE: Refusal = Refusal::of(451, (4, 3, 0), "This store is not served here, try again later");
const NO_ACCOUNT: Refusal = Refusal::of(451, (4, 3, 0), "This is no account, try again later");
