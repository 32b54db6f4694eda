//! What lines of maps become that are about more than one kind of record.

use crate::record::{AliasRecord, PlacementRecord, RuleRecord};
use mail_types::{Address, Domain, StoreName};

/// One change that a line of a map asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Accounts without a placement are at a store.
    Rule(RuleRecord),
    /// An address is at a store.
    Placement(PlacementRecord),
    /// An address leads to others: an alias, or the forward of the account that has the address.
    Alias(AliasRecord),
    /// Whatever nobody of a domain has goes to one address.
    CatchAll {
        /// The domain.
        domain: Domain,
        /// Who gets it.
        reader: Address,
    },
    /// Accounts of a domain that no placement or rule gives a store are at this one.
    DomainStore {
        /// The domain.
        domain: Domain,
        /// The store.
        store: StoreName,
    },
}
