//! Records of a map in the order of their keys.

use crate::file::Held;
use crate::record::{AccountRecord, AliasRecord, PlacementRecord, Record, SecretRecord};
use std::collections::BTreeMap;

/// Records of addresses, by the domains in their keys.
///
/// Of millions, what most comparisons look at should lie side by side: texts elsewhere in memory cost more than all the rest
/// of a sort. So the names of a domain are sorted by themselves, and by their first octets as a number.
#[derive(Debug)]
pub(super) struct Groups {
    groups: BTreeMap<Box<str>, Vec<(u128, Held)>>,
    /// How many records are expected.
    room: usize,
}

impl Groups {
    pub(super) fn with_room(room: usize) -> Self {
        Self { groups: BTreeMap::new(), room }
    }

    pub(super) fn push(&mut self, held: Held) {
        let (group, name) = split(&held.key);
        let first = first_octets(name);
        match self.groups.get_mut(group) {
            Some(group) => group.push((first, held)),
            None => {
                let room = if self.groups.len() < GROUPS_WITH_ROOM { self.room } else { 1 };
                let mut names = Vec::with_capacity(room);
                let group = group.into();
                names.push((first, held));
                self.groups.insert(group, names);
            }
        }
    }

    /// Each group in order; of one key, as they stood.
    pub(super) fn sorted(mut self) -> Self {
        self.groups.values_mut().for_each(|group| sort(group));
        self
    }

    /// All of them in the order of their keys; of one key, as they and these stood.
    pub(super) fn in_order(sorted: Vec<Self>) -> Vec<Held> {
        let mut all = BTreeMap::<Box<str>, Vec<Vec<(u128, Held)>>>::new();
        for (group, names) in sorted.into_iter().flat_map(|part| part.groups) {
            all.entry(group).or_default().push(names);
        }
        let count = all.values().flatten().map(Vec::len).sum();
        let mut ordered = Vec::with_capacity(count);
        // Of two groups none begins with the other, so what is true of them is true of their keys.
        for parts in all.into_values() {
            let mut parts = parts.into_iter();
            let Some(mut group) = parts.next() else { continue };
            if parts.len() > 0 {
                parts.for_each(|mut part| group.append(&mut part));
                // It merges what is in order already.
                sort(&mut group);
            }
            ordered.extend(group.into_iter().map(|(_, held)| held));
        }
        ordered
    }
}

fn sort(group: &mut [(u128, Held)]) {
    group.sort_by(|(first, one), (others, other)| first.cmp(others).then_with(|| one.key.cmp(&other.key)));
}

/// `<prefix><domain>/` and what follows. A domain holds no `/`.
fn split(key: &str) -> (&str, &str) {
    let prefix = PREFIXES.into_iter().find(|prefix| key.starts_with(prefix)).map_or(0, str::len);
    let slash = key.get(prefix..).and_then(|path| path.find('/'));
    key.split_at_checked(slash.map_or(0, |slash| prefix + slash + 1)).unwrap_or(("", key))
}

/// Never in another order than the texts.
fn first_octets(text: &str) -> u128 {
    let mut octets = [0; 16];
    octets.iter_mut().zip(text.bytes()).for_each(|(place, octet)| *place = octet);
    u128::from_be_bytes(octets)
}

/// A user of one domain has at most an account, a password and a placement. Memory that nobody touches costs nothing.
const GROUPS_WITH_ROOM: usize = 3;
/// Of records whose keys are addresses, which are all that maps hold by the million.
const PREFIXES: [&str; 4] = [PlacementRecord::PREFIX, AliasRecord::PREFIX, AccountRecord::PREFIX, SecretRecord::PREFIX];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Revision;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_is_that_of_keys(keys in proptest::collection::vec(
            ("[ab./é]{0,3}", prop_oneof!["[ab/\\x00é]{0,3}", "aaaaaaaaaaaaaaa[ab/\\x00]{0,4}"]), 0..40), kinds in 0usize..4, parts in 1usize..4) {
            let held: Vec<Held> = (0..).zip(keys).map(|(line, (domain, local))| Held {
                // A domain holds no `/`.
                key: format!("{}{}/{local}", PREFIXES[(line + kinds) % 4], domain.replace('/', "")).into(),
                value: Vec::new().into(),
                revision: Revision::ZERO,
                line,
            }).collect();
            let shown = |held: &[Held]| held.iter().map(|held| (held.key.clone(), held.line)).collect::<Vec<_>>();
            let mut usual = held.clone();
            usual.sort_by(|one, other| one.key.cmp(&other.key));
            let each = held.len() / parts + 1;
            let part = |held: &[Held]| {
                let mut groups = Groups::with_room(held.len());
                held.iter().cloned().for_each(|held| groups.push(held));
                groups.sorted()
            };
            let ordered = Groups::in_order(held.chunks(each).map(part).collect());
            prop_assert_eq!(shown(&ordered), shown(&usual));
        }
    }
}
