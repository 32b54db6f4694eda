//! What a key leads to: an address, or a user at a store.

use super::{Entry, LineError, StoreMap};
use crate::key::parse_local;
use crate::record::{AliasRecord, PlacementRecord, Record};
use mail_types::{Address, Domain, LocalPart, StoreName};

/// What the names of a file are read against.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    /// The domains that names without one belong to.
    pub(super) own: &'a [Domain],
    /// The stores, by the hosts of the file.
    pub(super) stores: &'a StoreMap,
}

impl Names<'_> {
    /// The address that `text` means as the target of a key in `domain`.
    ///
    /// Without a domain it is of the key's, if that is one of the site's own, else of the only one that the site has.
    pub(super) fn target(self, text: &str, domain: &Domain) -> Result<Address, LineError> {
        let refused = |why| LineError::Refused { value: text.to_owned(), why };
        let (local, domain) = match text.rsplit_once('@') {
            Some((local, domain)) => (local, Domain::parse(domain).map_err(|_| refused(NO_ADDRESS))?),
            None => (text, self.home(domain).ok_or_else(|| refused(NO_HOME))?.clone()),
        };
        // A key may lack the quotes that it needs; what looks like two targets, or is quoted by half, is none.
        let is_doubtful = |c: char| c.is_whitespace() || matches!(c, ',' | '"');
        if local.contains(is_doubtful) && LocalPart::parse(local).is_err() {
            return Err(refused(NO_ADDRESS));
        }
        Ok(Address::new(parse_local(local).ok_or_else(|| refused(NO_ADDRESS))?, domain))
    }

    /// What an address leads to: `user@host` at a store is a placement, all else an alias.
    pub(super) fn leads(self, address: Address, text: &str) -> Result<Entry, LineError> {
        if let Some((user, store)) = self.user_at_store(text)? {
            let placement = PlacementRecord { address, store, user: Some(user.to_owned()) };
            let checked = placement.check().map_err(|_| LineError::BadField { field: "user".to_owned() });
            return checked.map(|()| Entry::Placement(placement));
        }
        let target = self.target(text, address.domain())?;
        Ok(Entry::Alias(AliasRecord { address, targets: vec![target] }))
    }

    /// The user and the store, if the host is that of a store. A domain of the site's own is none: it leads on.
    pub(super) fn user_at_store(self, text: &str) -> Result<Option<(&str, StoreName)>, LineError> {
        let Some((user, host)) = text.rsplit_once('@') else { return Ok(None) };
        if Domain::parse(host).is_ok_and(|domain| self.own.contains(&domain)) {
            return Ok(None);
        }
        match self.stores.find(host) {
            Ok(store) => Ok(Some((user, store))),
            // Any other host is that of an address.
            Err(LineError::UnknownStore { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn home<'a>(&'a self, domain: &'a Domain) -> Option<&'a Domain> {
        match self.own {
            own if own.contains(domain) => Some(domain),
            [only] => Some(only),
            _ => None,
        }
    }
}

const NO_ADDRESS: &str = "it is not an address";
const NO_HOME: &str = "it has no domain, and the key's is not one that was named for such names";
