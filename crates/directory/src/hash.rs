//! The hash rule: weighted rendezvous with a fixed key. docs/format/directory.md specifies it to the bit: two releases
//! that disagree would look for one account on two stores.

use mail_types::StoreName;
use siphasher::sip::SipHasher24;
use std::cmp::Ordering;
use std::hash::Hasher;

/// The store that an address key (`local@domain`, folded) falls to.
///
/// Each store draws a number u from (0, 1] by hashing its name with the address; the one with the highest
/// `weight / -log2(u)` wins. A store's draws do not depend on the others, so one that comes or goes moves only its own
/// share. Integers throughout: floating-point logarithms differ from machine to machine in their last bits.
pub(crate) fn rendezvous<'s>(
    address: &str,
    stores: impl IntoIterator<Item = (&'s StoreName, u16)>,
) -> Option<&'s StoreName> {
    let draws = stores.into_iter().map(|(store, weight)| Draw { store, weight, cost: cost(sip(store, address)) });
    draws.max_by(Draw::compare).map(|draw| draw.store)
}

struct Draw<'s> {
    store: &'s StoreName,
    weight: u16,
    cost: u64,
}

impl Draw<'_> {
    /// By `weight / cost`, multiplied out; a tie goes to the name that comes first.
    fn compare(&self, other: &Self) -> Ordering {
        let mine = u128::from(self.weight) * u128::from(other.cost);
        let theirs = u128::from(other.weight) * u128::from(self.cost);
        mine.cmp(&theirs).then_with(|| other.store.cmp(self.store))
    }
}

/// SipHash-2-4 of the store's name, a zero octet and the address key.
fn sip(store: &StoreName, address: &str) -> u64 {
    let mut hasher = SipHasher24::new_with_key(KEY);
    hasher.write(store.as_str().as_bytes());
    hasher.write(&[0]);
    hasher.write(address.as_bytes());
    hasher.finish()
}

/// `-log2((hash + 1) / 2^64)` in units of 2^-48, at least 1.
fn cost(hash: u64) -> u64 {
    let n = u128::from(hash) + 1;
    let whole = 127 - n.leading_zeros();
    if whole >= 64 {
        return 1;
    }
    // The mantissa in [2^63, 2^64); squaring it gives one bit of the logarithm after the other.
    let mut mantissa = n << (63 - whole);
    let mut log = u64::from(whole);
    for _ in 0..FRACTION_BITS {
        mantissa = (mantissa * mantissa) >> 63;
        log <<= 1;
        if mantissa >> 64 != 0 {
            mantissa >>= 1;
            log |= 1;
        }
    }
    ((64 << FRACTION_BITS) - log).max(1)
}

const KEY: &[u8; 16] = b"posthouse/hash/1";
const FRACTION_BITS: u32 = 48;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<StoreName> {
        (0..count).map(|n| StoreName::parse(&format!("store{n}")).expect("a name")).collect()
    }

    fn fall(address: usize, stores: &[(&StoreName, u16)]) -> StoreName {
        rendezvous(&format!("user{address}@site.test"), stores.iter().copied()).expect("a store").clone()
    }

    #[test]
    fn logarithms_are_right() {
        let unit = 1u64 << FRACTION_BITS;
        assert_eq!(cost(0), 64 * unit);
        assert_eq!(cost((1 << 63) - 1), unit);
        assert_eq!(cost(u64::MAX), 1);
        // -log2(3/4) = 0.41503749927884381854…, cut off after 48 bits of the logarithm.
        let expected = 0.415_037_499_278_843_8 * 2f64.powi(48);
        let found = cost(3 * (1 << 62) - 1);
        assert!((f64::from(u32::try_from(found >> 24).expect("small")) - expected / 2f64.powi(24)).abs() < 1.0);
    }

    #[test]
    fn known_answers_never_change() {
        let stores = names(3);
        for (weights, known) in [([1, 1, 1], KNOWN), ([1, 2, 5], KNOWN_WEIGHTED)] {
            let weighted: Vec<_> = stores.iter().zip(weights).collect();
            let found: Vec<String> = (0..8).map(|n| fall(n, &weighted).to_string()).collect();
            assert_eq!(found.join(" "), known);
        }
        assert_eq!(sip(&stores[0], "user0@site.test"), KNOWN_SIP);
    }

    /// Computed by a second implementation, with floating-point logarithms.
    const KNOWN: &str = "store1 store0 store2 store1 store1 store0 store0 store0";
    const KNOWN_WEIGHTED: &str = "store2 store2 store2 store1 store1 store0 store2 store0";
    const KNOWN_SIP: u64 = 0x5586_8e91_fca8_4d9e;

    #[test]
    fn shares_follow_the_weights() {
        let stores = names(3);
        let weighted = [(&stores[0], 1), (&stores[1], 2), (&stores[2], 5)];
        let mut counts = [0u32; 3];
        for n in 0..8000 {
            let store = fall(n, &weighted);
            counts[stores.iter().position(|name| *name == store).expect("one of them")] += 1;
        }
        for (count, expected) in counts.into_iter().zip([1000u32, 2000, 5000]) {
            assert!(count.abs_diff(expected) < 150, "{counts:?}");
        }
    }

    #[test]
    fn a_new_store_moves_only_its_own_share() {
        let stores = names(5);
        let before: Vec<_> = stores.iter().take(4).map(|store| (store, 3)).collect();
        let after: Vec<_> = stores.iter().map(|store| (store, 3)).collect();
        let mut moved = 0;
        for n in 0..5000 {
            let (old, new) = (fall(n, &before), fall(n, &after));
            if old != new {
                assert_eq!(new, stores[4], "an address moved between stores that both stay");
                moved += 1;
            }
        }
        assert!((850..1150).contains(&moved), "{moved}");
        assert_eq!(rendezvous("a@b.test", []), None);
    }
}
