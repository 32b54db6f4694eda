//! Records of a map in the order of their keys.

use crate::file::Held;
use crate::record::{AccountRecord, AliasRecord, PlacementRecord, Record, SecretRecord};
use std::collections::BTreeMap;

/// Records of addresses in the order of their keys; of one key, as they stood.
///
/// Of millions, what most comparisons look at should lie side by side: texts elsewhere in memory cost more than all the rest
/// of a sort. So the names of a domain are sorted by themselves, and by their first octets as a number.
pub(super) fn in_order(held: Vec<Held>) -> Vec<Held> {
    let mut ordered = Vec::with_capacity(held.len());
    let mut groups = BTreeMap::<Box<str>, Vec<(u128, Held)>>::new();
    for held in held {
        let (group, name) = split(&held.key);
        let first = first_octets(name);
        match groups.get_mut(group) {
            Some(group) => group.push((first, held)),
            None => {
                groups.insert(group.into(), vec![(first, held)]);
            }
        }
    }
    // Of two groups none begins with the other, so what is true of them is true of their keys.
    for (_, mut group) in groups {
        group.sort_by(|(first, one), (others, other)| first.cmp(others).then_with(|| one.key.cmp(&other.key)));
        ordered.extend(group.into_iter().map(|(_, held)| held));
    }
    ordered
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
            ("[ab./é]{0,3}", prop_oneof!["[ab/\\x00é]{0,3}", "aaaaaaaaaaaaaaa[ab/\\x00]{0,4}"]), 0..40), kinds in 0usize..4) {
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
            prop_assert_eq!(shown(&in_order(held)), shown(&usual));
        }
    }
}
