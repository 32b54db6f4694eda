//! What an account has of what it may have, for whoever asks.

use super::{Quota, Refusal, Store};
use mail_types::{AccountId, Address};

/// What an account has, and its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// How many messages it has.
    pub(crate) messages: u64,
    /// The sum of their sizes.
    pub(crate) octets: u64,
    /// What it may have.
    pub(crate) quota: Quota,
}

impl Store {
    /// Of applied state: what is on its way is not counted yet.
    pub(crate) fn usage(&self, account: AccountId, address: &Address) -> Result<Usage, Refusal> {
        let row = self.account(account)?.ok_or(Refusal::NoAccount)?;
        Ok(Usage { messages: row.messages, octets: row.octets, quota: (self.options.quota)(address) })
    }
}
