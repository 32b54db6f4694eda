//! Accounts that a map has: their ids, and what of a line has a place here.

use super::map::held_at;
use crate::file::Held;
use crate::import::{Line, PasswdUser};
use crate::key::AddressKey;
use crate::record::{AccountRecord, SecretRecord};
use mail_types::{AccountId, Address, Domain};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The records of a user: the account, its passwords, and where it is if the line says so.
pub(super) fn held(line: &Line<PasswdUser>) -> impl Iterator<Item = Held> {
    let user = &line.item;
    let account = AccountRecord {
        state: user.state,
        quota_bytes: user.quota_bytes,
        quota_messages: user.quota_messages,
        ..AccountRecord::new(user.address.clone(), id_of(&AddressKey::of(&user.address)))
    };
    // One without a hash is written, too: nobody asks further below for a password that is none.
    let secret = SecretRecord { address: user.address.clone(), passwords: user.password.iter().cloned().collect() };
    let of_account = [held_at(line.number, &account), held_at(line.number, &secret)];
    of_account.into_iter().chain(user.placement.as_ref().map(|placed| held_at(line.number, placed)))
}

/// What of a line has no place here.
pub(super) fn without_place(line: &Line<PasswdUser>, ours: &BTreeSet<&Domain>) -> Option<String> {
    let PasswdUser { address, ignored, .. } = &line.item;
    if !ours.contains(address.domain()) {
        return Some(format!("there is no domain {}", address.domain()));
    }
    (!ignored.is_empty()).then(|| format!("without a meaning here: {}", ignored.join(" ")))
}

/// The id of an account that only a map has: the file has none, and each reading, on every node, must give the same.
///
/// Nobody may choose an address whose id is another's, so this is a cryptographic hash.
pub(crate) fn id_of(key: &AddressKey) -> AccountId {
    hashed(ID_DOMAIN, &key.to_string())
}

/// What stands for a recipient of whom only a store of another make knows whether he exists: it is no id of an account, and
/// none of ours has it.
pub(crate) fn stand_in(recipient: &Address) -> AccountId {
    hashed(STAND_IN_DOMAIN, &recipient.to_string())
}

fn hashed(domain: &[u8], name: &str) -> AccountId {
    let mut id = [0; 16];
    let digest = Sha256::new().chain_update(domain).chain_update(name).finalize();
    for (octet, of_digest) in id.iter_mut().zip(digest) {
        *octet = of_digest;
    }
    AccountId::from_bytes(id)
}

/// Where a mailbox is depends on it: it never changes.
const ID_DOMAIN: &[u8] = b"posthouse/account/1\0";
/// What waits in a queue has it.
const STAND_IN_DOMAIN: &[u8] = b"posthouse/recipient/1\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_never_change() {
        let id = |text: &str| id_of(&AddressKey::of(&Address::parse(text).expect(text))).to_string();
        // printf 'posthouse/account/1\0anna@site.test' | sha256sum
        assert_eq!(id("anna@site.test"), KNOWN);
        assert_eq!(id("Anna@SITE.test"), KNOWN, "a line that is spelt anew is the same account");
        assert_ne!(id("anna@two.test"), KNOWN);
    }

    const KNOWN: &str = "e3875f8e6b8eecbf7a882c30b4de9945";
}
