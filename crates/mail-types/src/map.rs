//! A hash map whose order nobody can depend on.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

/// A hash map with a seed given by its owner, without iteration: results can depend neither on the seed nor on the
/// run, and peers cannot choose keys that collide.
#[derive(Clone, Debug)]
pub struct SeededMap<K, V> {
    table: hashbrown::HashMap<K, V, Seed>,
}

/// `foldhash` behind the default hasher of hashbrown, seeded through a prefix.
#[derive(Clone, Debug)]
struct Seed {
    state: hashbrown::DefaultHashBuilder,
    seed: u64,
}

impl BuildHasher for Seed {
    type Hasher = <hashbrown::DefaultHashBuilder as BuildHasher>::Hasher;
    fn build_hasher(&self) -> Self::Hasher {
        let mut hasher = self.state.build_hasher();
        std::hash::Hasher::write_u64(&mut hasher, self.seed);
        hasher
    }
}

impl<K: Hash + Eq, V> SeededMap<K, V> {
    /// An empty map. Worlds take the seed from the system, the simulator from its own.
    pub fn new(seed: u64) -> Self {
        Self { table: hashbrown::HashMap::with_hasher(Seed { state: hashbrown::DefaultHashBuilder::default(), seed }) }
    }

    /// An empty map with room for so many entries.
    pub fn with_capacity(seed: u64, capacity: usize) -> Self {
        let seed = Seed { state: hashbrown::DefaultHashBuilder::default(), seed };
        Self { table: hashbrown::HashMap::with_capacity_and_hasher(capacity, seed) }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The value of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.table.get(key)
    }

    /// The value of a key, to change.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.table.get_mut(key)
    }

    /// The value of a key, made when it is missing.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.table.entry(key).or_insert_with(make)
    }

    /// Puts an entry; gives the value that it replaces.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.table.insert(key, value)
    }

    /// Takes an entry out.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.table.remove(key)
    }

    /// Keeps the entries for which `keep` holds, in no order.
    pub fn retain(&mut self, keep: impl FnMut(&K, &mut V) -> bool) {
        self.table.retain(keep);
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.table.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put() {
        let mut map = SeededMap::new(7);
        assert_eq!(map.insert("a", 1), None);
        assert_eq!(map.insert("a", 2), Some(1));
        *map.get_or_insert_with("b", || 3) += 1;
        assert_eq!((map.get("a"), map.get("b"), map.len()), (Some(&2), Some(&4), 2));
        map.retain(|_, v| *v == 4);
        assert_eq!((map.remove("a"), map.is_empty()), (None, false));
    }
}
