//! What lines of maps become that are about more than one kind of record.

use crate::record::RuleRecord;

/// One change that a line of a map asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Accounts without a placement are at a store.
    Rule(RuleRecord),
}
