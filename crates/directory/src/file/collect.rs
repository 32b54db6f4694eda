//! All records of an engine as of one revision.

use super::Secrets;
use crate::engine::{Change, Engine, EngineError, Entry, Range, Revision};
use crate::key::{ROUTING_PREFIX, SECRET_PREFIX};
use std::collections::BTreeMap;

/// The records of an engine as they were at one moment, in the order of their keys: what [`super::encode`] takes.
///
/// Pages are read one after the other while others write; what was written meanwhile comes from a watch.
pub async fn collect(engine: &dyn Engine, secrets: Secrets) -> Result<Vec<Entry>, EngineError> {
    let mut tries = COLLECT_TRIES;
    loop {
        tries -= 1;
        match collect_once(engine, secrets).await {
            // It read for longer than the engine remembers.
            Err(EngineError::Compacted { .. }) if tries > 0 => {}
            done => return done,
        }
    }
}

async fn collect_once(engine: &dyn Engine, secrets: Secrets) -> Result<Vec<Entry>, EngineError> {
    let prefixes = match secrets {
        Secrets::Included => &[ROUTING_PREFIX, SECRET_PREFIX][..],
        Secrets::LeftOut => &[ROUTING_PREFIX],
    };
    let mut entries = Vec::new();
    let mut seen = None::<(Revision, Revision)>;
    for prefix in prefixes {
        let mut after = None::<String>;
        loop {
            let page = engine.range(Range { prefix, after: after.as_deref(), limit: PAGE_ENTRIES }).await?;
            seen = Some((seen.map_or(page.revision, |(first, _)| first), page.revision));
            after = page.entries.last().filter(|_| page.more).map(|last| last.key.clone());
            entries.extend(page.entries);
            if after.is_none() {
                break;
            }
        }
    }
    let Some((first, last)) = seen else { return Ok(entries) };
    if first == last {
        return Ok(entries);
    }
    let later = changes_between(engine, first, last).await?;
    entries.retain(|entry| !later.contains_key(&entry.key));
    let wanted = |key: &str| prefixes.iter().any(|prefix| key.starts_with(prefix));
    entries.extend(later.into_iter().filter(|(key, _)| wanted(key)).filter_map(|(_, entry)| entry));
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(entries)
}

/// What each key that changed was in the end; nothing for one that is gone.
async fn changes_between(
    engine: &dyn Engine,
    after: Revision,
    last: Revision,
) -> Result<BTreeMap<String, Option<Entry>>, EngineError> {
    let mut watch = engine.watch("", after).await?;
    let mut changed = BTreeMap::new();
    loop {
        let changes = watch.next().await?;
        for change in changes.changes {
            match change {
                Change::Put(entry) => changed.insert(entry.key.clone(), Some(entry)),
                Change::Delete { key, .. } => changed.insert(key, None),
            };
        }
        if changes.revision >= last {
            return Ok(changed);
        }
    }
}

/// Entries read at once.
const PAGE_ENTRIES: usize = 5_000;
/// How often all is read anew because the engine forgot its history meanwhile.
const COLLECT_TRIES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::finish;
    use crate::engine::{BoxFuture, Commit, Lease, LeaseId, MemoryEngine, Page, Transaction, Watch};
    use std::sync::Mutex;
    use std::time::Duration;

    /// Writes the next of some transactions after each page that somebody reads.
    struct Busy {
        engine: MemoryEngine,
        writes: Mutex<Vec<Transaction>>,
        forgets: bool,
    }

    impl Engine for Busy {
        fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, EngineError>> {
            self.engine.get(key)
        }

        fn range<'a>(&'a self, range: Range<'a>) -> BoxFuture<'a, Result<Page, EngineError>> {
            Box::pin(async move {
                let page = self.engine.range(Range { limit: 2, ..range }).await;
                let write = self.writes.lock().expect("no test panics in here").pop();
                if let Some(write) = write {
                    self.engine.commit(write).await.expect("written");
                    if self.forgets {
                        self.engine.compact();
                    }
                }
                page
            })
        }

        fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, EngineError>> {
            self.engine.commit(transaction)
        }

        fn watch<'a>(&'a self, prefix: &'a str, after: Revision) -> BoxFuture<'a, Result<Box<dyn Watch>, EngineError>> {
            self.engine.watch(prefix, after)
        }

        fn grant_lease(&self, lifetime: Duration) -> BoxFuture<'_, Result<LeaseId, EngineError>> {
            self.engine.grant_lease(lifetime)
        }

        fn keep_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<Lease, EngineError>> {
            self.engine.keep_lease(lease)
        }

        fn revoke_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), EngineError>> {
            self.engine.revoke_lease(lease)
        }
    }

    fn put(keys: &[&str]) -> Transaction {
        keys.iter().fold(Transaction::default(), |all, key| all.put(*key, b"{}".to_vec()))
    }

    fn keys(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.key.as_str()).collect()
    }

    fn busy(forgets: bool) -> Busy {
        let engine = MemoryEngine::new();
        let first = put(&["other/x", "routing/b", "routing/c", "routing/d", "routing/e", "secret/y"]);
        finish(engine.commit(first)).expect("written");
        // The last is written first.
        let writes = vec![put(&["secret/z", "other/y"]), put(&["routing/a"]).delete("routing/b").delete("routing/e")];
        Busy { engine, writes: Mutex::new(writes), forgets }
    }

    #[test]
    fn what_is_written_meanwhile_is_in_it_whole() {
        for forgets in [false, true] {
            let entries = finish(collect(&busy(forgets), Secrets::Included)).expect("all");
            assert_eq!(keys(&entries), ["routing/a", "routing/c", "routing/d", "secret/y", "secret/z"]);
        }
        let entries = finish(collect(&busy(false), Secrets::LeftOut)).expect("all");
        assert_eq!(keys(&entries), ["routing/a", "routing/c", "routing/d"]);
    }

    #[test]
    fn an_engine_that_is_away_is_an_error() {
        let engine = MemoryEngine::new();
        engine.go_away();
        assert!(finish(collect(&engine, Secrets::Included)).is_err());
    }
}
