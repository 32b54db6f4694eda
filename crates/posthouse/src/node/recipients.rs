//! Who a recipient of LMTP is: the directory's answer for one store, or for a relay of another node.

use super::routing::Routes;
use directory::{Delivery, Origin, Silent, Target};
use mail_types::{Address, ForwardPath, StoreName};
use ports::{Accounts, BoxFuture, Recipient, Recipients};
use smtp_proto::{Refusal, Reply};

/// Answers for one store.
pub(super) struct StoreRecipients {
    pub(super) store: StoreName,
    pub(super) routes: Routes,
}

/// Answers for a relay of another node, which has expanded the recipient: neither aliases nor forwards are followed, and
/// whether the account is in use is not asked again.
pub(super) struct PlacedAccounts {
    pub(super) routes: Routes,
}

impl PlacedAccounts {
    fn answer(&self, store: &StoreName, address: &Address) -> Result<Recipient, Refusal> {
        let routing = self.routes.now();
        let Origin::Found(account) = routing.account(address) else {
            return Err(Refusal::TRY_LATER.with_text("This node does not know the account yet, try again later"));
        };
        // Where a new account of this address would be is where this one is.
        match routing.place_new_account(&account.address, &mut Silent) {
            Ok(home) if home == *store => {
                Ok(Recipient { account: account.id, recipient: account.address.clone(), address: account.address })
            }
            Ok(_) | Err(_) => Err(Refusal::TRY_LATER.with_text("This account lives on another store, try again later")),
        }
    }
}

impl Accounts for PlacedAccounts {
    fn account<'a>(&'a self, store: &'a StoreName, address: &'a Address) -> BoxFuture<'a, Result<Recipient, Refusal>> {
        Box::pin(std::future::ready(self.answer(store, address)))
    }
}

impl StoreRecipients {
    fn answer(&self, to: &ForwardPath) -> Result<Recipient, Refusal> {
        let reply = match self.routes.now().delivery_path(to, &mut Silent) {
            Delivery::Deliver(deliver) => match &*deliver.targets {
                [target] if deliver.remote.is_empty() => return self.here(target),
                // What expands to several accounts is the relay's to expand.
                _ => return Err(Refusal::TRY_LATER.with_text("This address is not a single account of this store")),
            },
            Delivery::NotOurs(reply) | Delivery::Reject(reply) | Delivery::TempFail(reply) => reply,
        };
        let wire = Reply::new(reply.code(), Some(reply.enhanced()), reply.text());
        Err(Refusal::try_from(wire).unwrap_or(Refusal::TRY_LATER))
    }

    fn here(&self, target: &Target) -> Result<Recipient, Refusal> {
        // An account lives on one store: another one refuses it for now, whoever sent the mail here.
        if target.store != self.store {
            return Err(Refusal::TRY_LATER.with_text("This account lives on another store"));
        }
        let account = target.account.ok_or(Refusal::NO_SUCH_USER)?;
        Ok(Recipient { account, address: target.address.clone(), recipient: target.recipient.clone() })
    }
}

impl Recipients for StoreRecipients {
    fn resolve<'a>(&'a self, to: &'a ForwardPath) -> BoxFuture<'a, Result<Recipient, Refusal>> {
        Box::pin(std::future::ready(self.answer(to)))
    }
}
