//! Who a recipient of LMTP is: the directory's answer for one store, or for a relay of another node.

use super::backends::is_here;
use super::routing::Routes;
use directory::{Delivery, Origin, Routing, Silent, Target};
use mail_types::{Address, ForwardPath, NodeName, StoreName};
use ports::{Accounts, BoxFuture, Recipient, Recipients};
use smtp_proto::{Refusal, Reply};

/// Answers for one store.
pub(super) struct StoreRecipients {
    pub(super) store: StoreName,
    pub(super) own: NodeName,
    pub(super) routes: Routes,
}

/// Answers for a relay of another node, which has expanded the recipient: neither aliases nor forwards are followed, and
/// whether the account is in use is not asked again.
pub(super) struct PlacedAccounts {
    pub(super) routes: Routes,
}

impl Accounts for PlacedAccounts {
    fn account<'a>(&'a self, store: &'a StoreName, address: &'a Address) -> BoxFuture<'a, Result<Recipient, Refusal>> {
        Box::pin(std::future::ready(placed(&self.routes.now(), store, address)))
    }
}

impl StoreRecipients {
    fn answer(&self, to: &ForwardPath) -> Result<Recipient, Refusal> {
        let routing = self.routes.now();
        if !is_here(&routing, &self.own, &self.store) {
            return Err(Refusal::TRY_LATER.with_text("Another node serves this store"));
        }
        let reply = match routing.delivery_path(to, &mut Silent) {
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

/// The account of exactly this address, if it lives on that store.
fn placed(routing: &Routing, store: &StoreName, address: &Address) -> Result<Recipient, Refusal> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use directory::engine::{Entry, Revision};
    use directory::{
        AccountRecord, AccountState, AliasRecord, DomainRecord, PlacementRecord, Record, SiteRecord, StoreRecord,
    };
    use mail_types::{AccountId, Domain};

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    fn store(name: &str) -> StoreName {
        StoreName::parse(name).expect("a name")
    }

    /// Ann is on north by her placement, bob (disabled) on south by the site's default; `info` leads to ann.
    fn routing() -> Routing {
        let mut entries = Vec::new();
        let mut put = |key: String, value: Vec<u8>| entries.push(Entry { key, value, revision: Revision::new(1) });
        let domain = DomainRecord::new(Domain::parse("a.test").expect("a domain"));
        put(domain.key(), domain.encode());
        for name in ["north", "south"] {
            let record = StoreRecord::posthouse(store(name), NodeName::parse(name).expect("a name"));
            put(record.key(), record.encode());
        }
        let site = SiteRecord { default_store: Some(store("south")), ..SiteRecord::default() };
        put(site.key(), site.encode());
        let ann = AccountRecord::new(address("Ann@a.test"), AccountId::from_bytes([1; 16]));
        put(ann.key(), ann.encode());
        let placement = PlacementRecord { address: address("ann@a.test"), store: store("north"), user: None };
        put(placement.key(), placement.encode());
        let bob = AccountRecord::new(address("bob@a.test"), AccountId::from_bytes([2; 16]));
        let bob = AccountRecord { state: AccountState::Disabled, ..bob };
        put(bob.key(), bob.encode());
        let alias = AliasRecord { address: address("info@a.test"), targets: vec![address("ann@a.test")] };
        put(alias.key(), alias.encode());
        Routing::load(&entries, Revision::new(1))
    }

    #[test]
    fn a_relay_of_another_node_is_told_who_lives_here_and_never_that_nobody_does() {
        let routing = routing();
        let ann = placed(&routing, &store("north"), &address("ANN@a.test")).expect("she lives there");
        assert_eq!((ann.account, ann.address.to_string()), (AccountId::from_bytes([1; 16]), "Ann@a.test".to_owned()));
        // Whether an account is in use, the relay has asked.
        assert!(placed(&routing, &store("south"), &address("bob@a.test")).is_ok());
        for (name, text) in [
            ("south", "ann@a.test"),
            ("north", "bob@a.test"),
            ("north", "info@a.test"),
            ("north", "ann+x@a.test"),
            ("north", "nobody@a.test"),
            ("north", "ann@elsewhere.test"),
        ] {
            let refusal = placed(&routing, &store(name), &address(text)).expect_err(text);
            assert!(refusal.reply().code().is_transient(), "{name} {text}: {refusal}");
        }
        assert!(placed(&Routing::default(), &store("north"), &address("ann@a.test")).is_err());
    }
}
