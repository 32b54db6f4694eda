//! A copy that is being loaded, on as many threads as it may have.

use super::Routing;
use crate::beside::beside;
use crate::engine::Entry;
use crate::record::{AccountRecord, AliasRecord, PlacementRecord, Record};
use crate::table::Names;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// A copy that is being loaded: each key is given once.
pub(crate) struct Filling {
    routing: Routing,
    /// What other threads have made of records about addresses.
    parts: Vec<Routing>,
    waiting: Vec<Entry>,
}

impl Filling {
    /// With one thread, everything is taken at once.
    pub(crate) fn new(threads: NonZeroUsize) -> Self {
        let count = if threads == NonZeroUsize::MIN { 0 } else { threads.get() };
        let parts = (0..count).map(|_| Routing::filling()).collect();
        Self { routing: Routing::filling(), parts, waiting: Vec::new() }
    }

    pub(crate) fn take(&mut self, entries: Vec<Entry>) {
        if self.parts.is_empty() {
            return entries.iter().for_each(|entry| self.routing.put(entry));
        }
        for entry in entries {
            match OF_ADDRESSES.iter().any(|prefix| entry.key.starts_with(prefix)) {
                true => self.waiting.push(entry),
                false => self.routing.put(&entry),
            }
        }
        if self.waiting.len() >= ENTRIES_AT_ONCE {
            self.take_waiting();
        }
    }

    /// A copy that is settled already, if several threads made it.
    pub(crate) fn finish(mut self) -> Routing {
        self.take_waiting();
        let Self { mut routing, parts, .. } = self;
        let Some(threads) = NonZeroUsize::new(parts.len()) else { return routing };
        let mut names = vec![std::mem::take(&mut routing.names)];
        for part in parts {
            names.push(part.names);
            Arc::make_mut(&mut routing.flaws).extend(part.flaws.iter().map(|(key, why)| (key.clone(), why.clone())));
            let stores = part.store_names.iter().map(|(name, shared)| (name.clone(), Arc::clone(shared)));
            Arc::make_mut(&mut routing.store_names).extend(stores);
        }
        Routing { names: Names::settled_of(names, threads), ..routing }
    }

    fn take_waiting(&mut self) {
        let Some(threads) = NonZeroUsize::new(self.parts.len()) else { return };
        let each = self.waiting.len().div_ceil(threads.get()).max(1);
        let work = self.parts.iter_mut().zip(self.waiting.chunks(each)).collect();
        beside(threads, work, |(part, entries): (&mut Routing, &[Entry])| {
            entries.iter().for_each(|entry| part.put(entry))
        });
        self.waiting.clear();
    }
}

/// Of records about addresses there may be millions.
const OF_ADDRESSES: [&str; 3] = [AccountRecord::PREFIX, AliasRecord::PREFIX, PlacementRecord::PREFIX];
/// Taken by all threads together: some milliseconds of work for each, and some megabytes.
const ENTRIES_AT_ONCE: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Revision;
    use serde_json::json;

    fn entry(key: &str, value: &serde_json::Value) -> Entry {
        Entry { key: key.to_owned(), value: value.to_string().into_bytes(), revision: Revision::new(1) }
    }

    #[test]
    fn however_many_threads_load_it_the_copy_is_the_same() {
        let mut entries = vec![
            entry("routing/domain/site.test", &json!({"v": 1, "name": "site.test"})),
            entry("routing/site", &json!({"v": 1, "default_store": "one"})),
            entry("routing/alias/site.test/flawed", &json!({"v": 1})),
            entry("routing/store/one", &json!({"v": 1, "name": "one", "kind": "posthouse", "node": "n1"})),
        ];
        for n in 0..ENTRIES_AT_ONCE + 10 {
            let (address, store) = (format!("u{n}@site.test"), if n % 3 == 0 { "one" } else { "two" });
            let placement = json!({"v": 1, "address": address, "store": store});
            entries.push(entry(&format!("routing/placement/site.test/u{n}"), &placement));
            if n % 5 == 0 {
                let alias = json!({"v": 1, "address": address, "targets": ["x@site.test"]});
                entries.push(entry(&format!("routing/alias/site.test/u{n}"), &alias));
            }
        }
        let whole = Routing::load(&entries, Revision::new(1));
        for threads in 1..4 {
            let mut filling = Filling::new(NonZeroUsize::new(threads).expect("not zero"));
            entries.chunks(1_000).for_each(|page| filling.take(page.to_vec()));
            let mut copy = filling.finish();
            while copy.settle_some() {}
            assert!(copy.same_records(&whole), "of {threads} threads");
            assert_eq!(copy.flaws().count(), 1);
        }
    }
}
