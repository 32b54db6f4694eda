//! The embedded directory: [`directory::Engine`] in one redb file of one process.
//!
//! ```text
//!   get, range ─▶ redb, one short read transaction
//!   commit ─────▶ expectations checked and written in one write transaction, durable on return
//!   watch ──────▶ the changes since the start, in memory; older ones are "compacted" and read anew
//!   lease ──────▶ in memory: whoever held one is gone when the process is
//! ```

use directory::engine::{
    BoxFuture, Change, Changes, Commit, Engine, EngineError, Entry, Lease, LeaseId, Page, Range, Revision, Transaction,
    Watch, Write, ready,
};
use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

/// The records of the directory in a file of this process. Clones share it.
#[derive(Clone)]
pub struct EmbeddedEngine {
    shared: Arc<Shared>,
}

struct Shared {
    database: Database,
    state: Mutex<State>,
}

/// What is not in the file.
struct State {
    revision: Revision,
    /// Changes up to here are not in `history`.
    compacted: Revision,
    history: VecDeque<Change>,
    /// The keys under each lease.
    leases: BTreeMap<LeaseId, Vec<String>>,
    lease_last: u64,
    waiting: Vec<Waker>,
}

struct EmbeddedWatch {
    engine: EmbeddedEngine,
    prefix: String,
    after: Revision,
}

impl EmbeddedEngine {
    /// Opens the directory in a file, or begins one. Keys under leases of an earlier process are gone.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        guarded(|| {
            let database = Builder::new().set_cache_size(CACHE_OCTETS).create(path).map_err(not_opened)?;
            let revision = begin(&database)?;
            let state = State {
                revision,
                compacted: revision,
                history: VecDeque::new(),
                leases: BTreeMap::new(),
                lease_last: 0,
                waiting: Vec::new(),
            };
            let engine = Self { shared: Arc::new(Shared { database, state: Mutex::new(state) }) };
            engine.end_leases_of_the_dead()?;
            Ok(engine)
        })
    }

    fn end_leases_of_the_dead(&self) -> Result<(), EngineError> {
        let leased = {
            let table = self.shared.database.begin_read().map_err(failed)?.open_table(LEASED).map_err(failed)?;
            let keys: Result<Vec<String>, redb::StorageError> =
                table.iter().map_err(failed)?.map(|row| row.map(|(key, _)| key.value().to_owned())).collect();
            keys.map_err(failed)?
        };
        for keys in leased.chunks(directory::engine::TRANSACTION_OPERATIONS_MAX) {
            let transaction = keys.iter().fold(Transaction::default(), |all, key| all.delete(key.clone()));
            self.write(&mut self.lock(), transaction)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no holder of this lock panics")
    }

    fn read(&self, key: &str) -> Result<Option<Entry>, EngineError> {
        guarded(|| {
            let table = self.shared.database.begin_read().map_err(failed)?.open_table(ENTRIES).map_err(failed)?;
            let stored = table.get(key).map_err(failed)?;
            stored.map(|stored| entry(key, stored.value())).transpose()
        })
    }

    fn page(&self, range: Range<'_>) -> Result<Page, EngineError> {
        // The lock first: the revision must not be older than what is read.
        let revision = self.lock().revision;
        guarded(|| {
            let table = self.shared.database.begin_read().map_err(failed)?.open_table(ENTRIES).map_err(failed)?;
            let from = range.after.map_or(range.prefix, |after| after.max(range.prefix));
            let mut entries = Vec::new();
            for row in table.range(from..).map_err(failed)? {
                let (key, stored) = row.map_err(failed)?;
                let key = key.value();
                if !key.starts_with(range.prefix) {
                    break;
                }
                if range.after.is_some_and(|after| key <= after) {
                    continue;
                }
                if entries.len() >= range.limit.max(1) {
                    return Ok(Page { entries, more: true, revision });
                }
                entries.push(entry(key, stored.value())?);
            }
            Ok(Page { entries, more: false, revision })
        })
    }

    fn transact(&self, transaction: Transaction) -> Result<Commit, EngineError> {
        transaction.check()?;
        let mut state = self.lock();
        for (key, expected) in &transaction.expected {
            let found = self.read(key)?.map_or(Revision::ZERO, |entry| entry.revision);
            if found != *expected {
                return Ok(Commit::Conflict { key: key.clone() });
            }
        }
        let ended = |write: &Write| match write {
            Write::Put { lease: Some(lease), .. } => !state.leases.contains_key(lease),
            Write::Put { lease: None, .. } | Write::Delete { .. } => false,
        };
        if transaction.writes.iter().any(ended) {
            return Err(EngineError::Invalid { why: "a key was put under a lease that has ended" });
        }
        self.write(&mut state, transaction)?;
        Ok(Commit::Done(state.revision))
    }

    /// Writes under one new revision, durably; writes that change nothing take none.
    fn write(&self, state: &mut State, transaction: Transaction) -> Result<(), EngineError> {
        let revision = state.revision.next();
        let (changes, leased) = guarded(|| self.write_file(transaction, revision))?;
        if changes.is_empty() {
            return Ok(());
        }
        state.revision = revision;
        for change in &changes {
            state.leases.values_mut().for_each(|keys| keys.retain(|key| key != change.key()));
        }
        for (key, lease) in leased {
            state.leases.entry(lease).or_default().push(key);
        }
        state.history.extend(changes);
        while state.history.len() > HISTORY_CHANGES_MAX {
            // A commit's changes go together, so that none is given in part.
            let Some(oldest) = state.history.front().map(Change::revision) else { break };
            state.history.retain(|change| change.revision() > oldest);
            state.compacted = oldest;
        }
        state.waiting.drain(..).for_each(Waker::wake);
        Ok(())
    }

    fn write_file(&self, transaction: Transaction, revision: Revision) -> Result<Written, EngineError> {
        let mut file = self.shared.database.begin_write().map_err(failed)?;
        file.set_durability(Durability::Immediate).map_err(failed)?;
        file.set_quick_repair(true);
        let (mut changes, mut leases) = (Vec::new(), Vec::new());
        {
            let mut entries = file.open_table(ENTRIES).map_err(failed)?;
            let mut leased = file.open_table(LEASED).map_err(failed)?;
            for write in transaction.writes {
                match write {
                    Write::Put { key, value, lease } => {
                        entries.insert(key.as_str(), &*stored(&key, revision, &value)).map_err(failed)?;
                        match lease {
                            Some(lease) => {
                                leased.insert(key.as_str(), ()).map_err(failed)?;
                                leases.push((key.clone(), lease));
                            }
                            None => drop(leased.remove(key.as_str()).map_err(failed)?),
                        }
                        changes.push(Change::Put(Entry { key, value, revision }));
                    }
                    Write::Delete { key } => {
                        leased.remove(key.as_str()).map_err(failed)?;
                        if entries.remove(key.as_str()).map_err(failed)?.is_some() {
                            changes.push(Change::Delete { key, revision });
                        }
                    }
                }
            }
            file.open_table(FACTS).map_err(failed)?.insert(REVISION, revision.number()).map_err(failed)?;
        }
        if changes.is_empty() {
            file.abort().map_err(failed)?;
        } else {
            file.commit().map_err(failed)?;
        }
        Ok((changes, leases))
    }
}

/// What was written, and which keys are under which lease.
type Written = (Vec<Change>, Vec<(String, LeaseId)>);

impl Engine for EmbeddedEngine {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, EngineError>> {
        ready(self.read(key))
    }

    fn range<'a>(&'a self, range: Range<'a>) -> BoxFuture<'a, Result<Page, EngineError>> {
        ready(self.page(range))
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, EngineError>> {
        ready(self.transact(transaction))
    }

    fn watch<'a>(&'a self, prefix: &'a str, after: Revision) -> BoxFuture<'a, Result<Box<dyn Watch>, EngineError>> {
        ready(Ok(Box::new(EmbeddedWatch { engine: self.clone(), prefix: prefix.to_owned(), after })))
    }

    /// Lives as long as the process: one that is alive can always say so.
    fn grant_lease(&self, _lifetime: Duration) -> BoxFuture<'_, Result<LeaseId, EngineError>> {
        let mut state = self.lock();
        state.lease_last += 1;
        let lease = LeaseId::new(state.lease_last);
        state.leases.insert(lease, Vec::new());
        ready(Ok(lease))
    }

    fn keep_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<Lease, EngineError>> {
        let alive = self.lock().leases.contains_key(&lease);
        ready(Ok(if alive { Lease::Alive } else { Lease::Ended }))
    }

    fn revoke_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), EngineError>> {
        let mut state = self.lock();
        let keys = state.leases.remove(&lease).unwrap_or_default();
        for keys in keys.chunks(directory::engine::TRANSACTION_OPERATIONS_MAX) {
            let transaction = keys.iter().fold(Transaction::default(), |all, key| all.delete(key.clone()));
            if let Err(error) = self.write(&mut state, transaction) {
                return ready(Err(error));
            }
        }
        ready(Ok(()))
    }
}

impl Watch for EmbeddedWatch {
    fn next(&mut self) -> BoxFuture<'_, Result<Changes, EngineError>> {
        Box::pin(std::future::poll_fn(|context| {
            let mut state = self.engine.lock();
            if self.after < state.compacted {
                return Poll::Ready(Err(EngineError::Compacted { oldest: state.compacted }));
            }
            let first = state.history.partition_point(|change| change.revision() <= self.after);
            let later = state.history.range(first..);
            let changes: Vec<_> = later.filter(|change| change.key().starts_with(&self.prefix)).cloned().collect();
            self.after = state.revision.max(self.after);
            if changes.is_empty() {
                if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.waiting.push(context.waker().clone());
                }
                return Poll::Pending;
            }
            Poll::Ready(Ok(Changes { changes, revision: self.after }))
        }))
    }
}

/// Checks the format of a file, or writes it into a new one; gives the revision.
fn begin(database: &Database) -> Result<Revision, EngineError> {
    let transaction = database.begin_write().map_err(failed)?;
    let revision = {
        let mut facts = transaction.open_table(FACTS).map_err(failed)?;
        let format = facts.get(FORMAT).map_err(failed)?.map(|found| found.value());
        match format {
            Some(FORMAT_NOW) => {}
            Some(other) => {
                return Err(EngineError::Damaged { why: format!("format {other} is unknown to this version") });
            }
            None => drop(facts.insert(FORMAT, FORMAT_NOW).map_err(failed)?),
        }
        let revision = facts.get(REVISION).map_err(failed)?.map_or(0, |found| found.value());
        transaction.open_table(ENTRIES).map_err(failed)?;
        transaction.open_table(LEASED).map_err(failed)?;
        Revision::new(revision)
    };
    transaction.commit().map_err(failed)?;
    Ok(revision)
}

/// Revision, checksum of all the rest, value: redb does not check what it reads.
fn stored(key: &str, revision: Revision, value: &[u8]) -> Vec<u8> {
    let revision = revision.number().to_le_bytes();
    [&revision[..], &checksum(key, revision, value).to_le_bytes(), value].concat()
}

fn entry(key: &str, stored: &[u8]) -> Result<Entry, EngineError> {
    let damaged = || EngineError::Damaged { why: format!("the entry {key}") };
    let (revision, rest) = stored.split_first_chunk::<8>().ok_or_else(damaged)?;
    let (sum, value) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    if u32::from_le_bytes(*sum) != checksum(key, *revision, value) {
        return Err(damaged());
    }
    let revision = Revision::new(u64::from_le_bytes(*revision));
    Ok(Entry { key: key.to_owned(), value: value.to_vec(), revision })
}

fn checksum(key: &str, revision: [u8; 8], value: &[u8]) -> u32 {
    let sum = crc32c::crc32c(key.as_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(sum, &revision), value)
}

/// A damaged file may make redb panic: see [`crate::index`].
fn guarded<T>(work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    let panicked = |_| Err(EngineError::Damaged { why: "the library gave up on the file".into() });
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}

fn failed<E: Into<redb::Error>>(error: E) -> EngineError {
    let error = error.into();
    if let redb::Error::Corrupted(why) = &error {
        return EngineError::Damaged { why: why.clone() };
    }
    EngineError::Unavailable { why: "its file failed".into(), source: Some(Box::new(error)) }
}

fn not_opened(error: redb::DatabaseError) -> EngineError {
    if matches!(error, redb::DatabaseError::DatabaseAlreadyOpen) {
        return EngineError::Unavailable { why: "another process has its file open".into(), source: None };
    }
    failed(error)
}

/// Key to [`stored`] value.
const ENTRIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("entries");
/// Keys that go with their lease.
const LEASED: TableDefinition<'_, &str, ()> = TableDefinition::new("leased");
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");
const REVISION: &str = "revision";
const FORMAT: &str = "format";
const FORMAT_NOW: u64 = 1;
/// Routing answers from memory; the file is read at the start and by the command line.
const CACHE_OCTETS: usize = 8 << 20;
/// How many changes a watch may be behind.
const HISTORY_CHANGES_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use directory::conformance::{finish, run};

    #[test]
    fn conforms() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut number = 0;
        finish(run(&mut || {
            number += 1;
            Arc::new(EmbeddedEngine::open(&folder.path().join(format!("{number}.redb"))).expect("opens"))
        }));
    }

    #[test]
    fn everything_but_leases_survives_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("directory.redb");
        let revision = {
            let engine = EmbeddedEngine::open(&path).expect("opens");
            let lease = finish(engine.grant_lease(Duration::from_secs(1))).expect("granted");
            let put = Write::Put { key: "alive".into(), value: vec![1], lease: Some(lease) };
            finish(engine.commit(Transaction { writes: vec![put], ..Transaction::default() })).expect("done");
            match finish(engine.commit(Transaction::default().put("a", b"1".to_vec()))).expect("answers") {
                Commit::Done(revision) => revision,
                Commit::Conflict { key } => panic!("nobody else writes {key}"),
            }
        };
        let engine = EmbeddedEngine::open(&path).expect("opens again");
        let entry = finish(engine.get("a")).expect("answers").expect("is there");
        assert_eq!((entry.value, entry.revision), (b"1".to_vec(), revision));
        assert_eq!(finish(engine.get("alive")).expect("answers"), None);
        // Only one process has the file.
        assert!(matches!(EmbeddedEngine::open(&path), Err(EngineError::Unavailable { .. })));
    }

    #[test]
    fn a_changed_octet_is_damage() {
        let mut stored = stored("key", Revision::new(7), b"value");
        assert_eq!(entry("key", &stored).expect("whole").value, b"value");
        assert!(entry("kez", &stored).is_err());
        stored[13] ^= 1;
        assert!(matches!(entry("key", &stored), Err(EngineError::Damaged { .. })));
        assert!(entry("key", &stored[..11]).is_err());
    }
}
