//! All that is known of each address: a table of a million entries that is cheap to copy and cheap to change.
//!
//! ```text
//!   Names ─▶ 4096 shards, by hash ─▶ entries in the order of hashes ─▶ Name { account?, alias?, placement? }
//!            each behind an Arc      hash, pointer                     each behind an Arc
//! ```
//! A copy shares every shard; a change copies the one shard that it touches, which is a list of hashes and pointers. Who
//! looks for a name compares hashes, which lie side by side, and follows one pointer: in a table of millions each would be a
//! way to memory.

use crate::beside::beside;
use crate::key::AddressKey;
use crate::record::AccountState;
use mail_types::{AccountId, Address, StoreName};
use siphasher::sip::SipHasher13;
use std::cmp::Ordering;
use std::hash::Hasher;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    shards: Vec<Arc<Vec<Held>>>,
    /// The first shard that is not in order: those of a table that is being filled.
    unsettled: Option<usize>,
}

/// A name and the hash of its key.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    hash: u64,
    name: Arc<Name>,
}

/// What is known of one address. At least one of its parts is there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Name {
    key: AddressKey,
    pub(crate) account: Option<Box<AccountInfo>>,
    pub(crate) alias: Option<Targets>,
    pub(crate) placement: Option<Placed>,
}

/// An account as routing knows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AccountInfo {
    pub(crate) id: AccountId,
    pub(crate) state: AccountState,
    /// The operator's spelling, where it is not the key's.
    pub(crate) spelling: Option<Box<str>>,
    pub(crate) forward: Option<Targets>,
    pub(crate) quota_bytes: Option<u64>,
    pub(crate) quota_messages: Option<u64>,
}

/// Addresses in one piece of text, a line each: an address holds no control character.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Targets(Box<str>);

/// Where an address is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) store: Arc<StoreName>,
    pub(crate) user: Option<Box<str>>,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Arc::default()).collect(), unsettled: None }
    }

    /// An empty table that is about to be filled: nothing is sought in it before it is settled. Of shards of thousands, an
    /// insertion in order would move the half.
    pub(crate) fn filling() -> Self {
        Self { unsettled: Some(0), ..Self::new() }
    }

    /// Brings some shards of a table in order that was filled; tells whether there are more.
    pub(crate) fn settle_some(&mut self) -> bool {
        let Some(first) = self.unsettled else { return false };
        let mut names = 0;
        for (at, shard) in self.shards.iter_mut().enumerate().skip(first) {
            if names >= NAMES_SETTLED_AT_ONCE {
                self.unsettled = Some(at);
                return true;
            }
            names += shard.len();
            settle(Arc::make_mut(shard));
        }
        self.unsettled = None;
        false
    }

    /// One table of several that were filled; what was said of one name is put together, on so many threads.
    pub(crate) fn settled_of(parts: Vec<Self>, threads: NonZeroUsize) -> Self {
        let mut all: Vec<_> = (0..SHARDS).map(|_| Vec::with_capacity(parts.len())).collect();
        for part in parts {
            all.iter_mut().zip(part.shards).for_each(|(place, shard)| place.push(shard));
        }
        let mut work = Vec::new();
        while !all.is_empty() {
            work.push(all.split_off(all.len().saturating_sub(SHARDS_SETTLED_AT_ONCE)));
        }
        work.reverse();
        let settled = beside(threads, work, |some: Vec<_>| some.into_iter().map(together).collect::<Vec<_>>());
        Self { shards: settled.into_iter().flatten().collect(), unsettled: None }
    }

    pub(crate) fn get(&self, key: &AddressKey) -> Option<&Name> {
        let hash = hash_of(key);
        let shard = self.shards.get(shard_of(hash))?;
        let at = shard.binary_search_by(|held| held.cmp_to(hash, key)).ok()?;
        shard.get(at).map(|held| &*held.name)
    }

    /// Changes what is known of an address; what becomes empty is forgotten.
    pub(crate) fn change(&mut self, key: AddressKey, change: impl FnOnce(&mut Name)) {
        let hash = hash_of(&key);
        let Some(shard) = self.shards.get_mut(shard_of(hash)) else { return };
        let shard = Arc::make_mut(shard);
        if self.unsettled.is_some() {
            settle(shard);
        }
        match shard.binary_search_by(|held| held.cmp_to(hash, &key)) {
            Ok(at) => {
                let Some(held) = shard.get_mut(at) else { return };
                let name = Arc::make_mut(&mut held.name);
                change(name);
                if name.is_empty() {
                    shard.remove(at);
                }
            }
            Err(at) => {
                let mut name = Name::nothing_of(key);
                change(&mut name);
                if !name.is_empty() {
                    shard.insert(at, Held { hash, name: Arc::new(name) });
                }
            }
        }
    }

    /// Adds to what is known of an address: `add` takes nothing away.
    pub(crate) fn add(&mut self, key: AddressKey, add: impl FnOnce(&mut Name)) {
        if self.unsettled.is_none() {
            return self.change(key, add);
        }
        let hash = hash_of(&key);
        let Some(shard) = self.shards.get_mut(shard_of(hash)) else { return };
        let mut name = Name::nothing_of(key);
        add(&mut name);
        if !name.is_empty() {
            Arc::make_mut(shard).push(Held { hash, name: Arc::new(name) });
        }
    }

    /// The table in pieces of a few shards: whoever drops them one by one holds up nobody for long.
    pub(crate) fn into_pieces(self) -> impl Iterator<Item = impl Sized + Send> {
        let mut shards = self.shards.into_iter();
        std::iter::from_fn(move || {
            let piece: Vec<_> = shards.by_ref().take(SHARDS_DROPPED_AT_ONCE).collect();
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// How many shards two tables share.
    #[cfg(test)]
    pub(crate) fn shared_shards(&self, other: &Self) -> usize {
        self.shards.iter().zip(&other.shards).filter(|(a, b)| Arc::ptr_eq(a, b)).count()
    }

    /// Every name, in an order that depends on the keys alone.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Name> {
        self.shards.iter().flat_map(|shard| shard.iter().map(|held| &*held.name))
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        self.shards == other.shards
    }
}

impl Held {
    /// Keys of one hash are told apart by themselves.
    fn cmp_to(&self, hash: u64, key: &AddressKey) -> Ordering {
        self.hash.cmp(&hash).then_with(|| self.name.key.cmp(key))
    }
}

impl Name {
    pub(crate) fn key(&self) -> &AddressKey {
        &self.key
    }

    fn nothing_of(key: AddressKey) -> Self {
        Self { key, account: None, alias: None, placement: None }
    }

    /// What was said later of the same address.
    fn take(&mut self, later: &Self) {
        let Self { key: _, account, alias, placement } = later;
        self.account = account.clone().or_else(|| self.account.take());
        self.alias = alias.clone().or_else(|| self.alias.take());
        self.placement = placement.clone().or_else(|| self.placement.take());
    }

    /// Whether the address exists: a placement alone is no existence.
    pub(crate) fn exists(&self) -> bool {
        self.account.is_some() || self.alias.is_some()
    }

    fn is_empty(&self) -> bool {
        !self.exists() && self.placement.is_none()
    }
}

impl Targets {
    pub(crate) fn new(addresses: &[Address]) -> Option<Self> {
        let lines: Vec<String> = addresses.iter().map(Address::to_string).collect();
        (!lines.is_empty()).then(|| Self(lines.join("\n").into()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Address> {
        // What an address displays, it parses (tested by its own crate).
        self.0.split('\n').filter_map(|line| Address::parse(line).ok())
    }
}

/// One shard of several that nobody else has.
fn together(parts: Vec<Arc<Vec<Held>>>) -> Arc<Vec<Held>> {
    let mut whole = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.into_iter().for_each(|part| whole.append(&mut Arc::unwrap_or_clone(part)));
    settle(&mut whole);
    Arc::new(whole)
}

/// Brings a shard in order: what was said of one name is put together.
fn settle(shard: &mut Vec<Held>) {
    // What was said first stays first.
    shard.sort_by(|one, other| one.cmp_to(other.hash, &other.name.key));
    shard.dedup_by(|later, first| {
        let is_same = first.hash == later.hash && first.name.key == later.name.key;
        if is_same {
            Arc::make_mut(&mut first.name).take(&later.name);
        }
        is_same
    });
    shard.shrink_to_fit();
}

fn hash_of(key: &AddressKey) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(key.as_str().as_bytes());
    hasher.finish()
}

fn shard_of(hash: u64) -> usize {
    usize::try_from(hash % SHARDS).unwrap_or(0)
}

/// Enough for a thread to take at once, and few enough that all have done at about one time.
const SHARDS_SETTLED_AT_ONCE: usize = 64;
/// Some thousand names of a million.
const SHARDS_DROPPED_AT_ONCE: usize = 32;
/// A millisecond or two: others wait for it.
const NAMES_SETTLED_AT_ONCE: usize = 10_000;
/// A million names make shards of 250: 4 kB to copy for a change.
const SHARDS: u64 = 4096;
