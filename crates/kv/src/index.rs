//! [`mailbox::Index`] in a redb file.

use mail_types::Lsn;
use mailbox::index::{IndexError, Order, ROWS_PER_READ_MAX, RowBytes};
use redb::{Builder, Database, Durability, ReadableDatabase, TableDefinition, TableHandle, WriteTransaction};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// One shard's rows in a redb file of its own.
#[derive(Debug)]
pub struct RedbIndex {
    /// There until it is dropped.
    database: Option<Database>,
    /// Whether damage was met. From then on nothing is written, not even on closing: redb could abort the process.
    damaged: AtomicBool,
}

/// What [`RedbIndex::open`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Nothing: rows must come from snapshots and the journal.
    New,
    /// An index of ours.
    Existing,
}

/// What is in a file of redb's.
enum Found {
    Nothing,
    Format(u64),
    SomethingElse,
}

impl RedbIndex {
    /// Opens the index in a file, or begins one. `cache_octets` is what redb may keep in memory.
    ///
    /// [`IndexError::Damaged`] means that the file is of no use: the shard is to be rebuilt in another. Damage in the
    /// middle of the file is not looked for: whoever meets it is told, and the file is neither written to nor unlocked
    /// any more. Only where a commit or the closing meets it first, in what redb notes of its free pages, redb may
    /// abort the process. After an end that nobody can explain, use [`RedbIndex::open_verified`].
    pub fn open(path: &Path, cache_octets: usize) -> Result<(Self, Opened), IndexError> {
        Self::open_with(path, Builder::new().set_cache_size(cache_octets))
    }

    /// The same, after reading the whole file and comparing every checksum in it.
    pub fn open_verified(path: &Path, cache_octets: usize) -> Result<(Self, Opened), IndexError> {
        Self::open_with(path, Builder::new().set_cache_size(cache_octets).set_check_integrity_on_open(true))
    }

    fn open_with(path: &Path, builder: &Builder) -> Result<(Self, Opened), IndexError> {
        let database = guarded(|| builder.create(path).map_err(not_opened))?;
        let index = Self { database: Some(database), damaged: AtomicBool::new(false) };
        match index.watched(|| index.look())? {
            Found::Nothing => {
                index.watched(|| index.begin())?;
                Ok((index, Opened::New))
            }
            Found::Format(FORMAT_NOW) => Ok((index, Opened::Existing)),
            Found::Format(other) => Err(IndexError::Damaged(format!("format {other} is unknown to this version"))),
            Found::SomethingElse => Err(IndexError::Damaged("the file holds something else".to_owned())),
        }
    }

    fn look(&self) -> Result<Found, IndexError> {
        let transaction = self.database().begin_read().map_err(failed)?;
        let tables: Vec<_> = transaction.list_tables().map_err(failed)?.collect();
        if tables.is_empty() {
            return Ok(Found::Nothing);
        }
        if !tables.iter().all(|table| [ROWS.name(), FACTS.name()].contains(&table.name())) {
            return Ok(Found::SomethingElse);
        }
        let facts = transaction.open_table(FACTS).map_err(failed)?;
        let format = facts.get(FORMAT).map_err(failed)?;
        Ok(format.map_or(Found::SomethingElse, |found| Found::Format(found.value())))
    }

    fn begin(&self) -> Result<(), IndexError> {
        let transaction = self.write()?;
        transaction.open_table(ROWS).map_err(failed)?;
        transaction.open_table(FACTS).map_err(failed)?.insert(FORMAT, FORMAT_NOW).map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    /// Does something and notes whether it met damage.
    fn watched<T>(&self, work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
        let result = guarded(work);
        if matches!(result, Err(IndexError::Damaged(_))) {
            self.damaged.store(true, Ordering::Relaxed);
        }
        result
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("only drop takes it")
    }

    /// The only way to write: durable when it is committed, and quick to open after a crash.
    fn write(&self) -> Result<WriteTransaction, IndexError> {
        let mut transaction = self.database().begin_write().map_err(failed)?;
        transaction.set_durability(Durability::Immediate).map_err(failed)?;
        transaction.set_quick_repair(true);
        Ok(transaction)
    }
}

impl mailbox::Index for RedbIndex {
    fn applied(&self) -> Result<Lsn, IndexError> {
        self.watched(|| {
            let facts = self.database().begin_read().map_err(failed)?.open_table(FACTS).map_err(failed)?;
            let applied = facts.get(APPLIED).map_err(failed)?;
            Ok(applied.map_or(Lsn::ZERO, |found| Lsn::new(found.value())))
        })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.watched(|| {
            let rows = self.database().begin_read().map_err(failed)?.open_table(ROWS).map_err(failed)?;
            let found = rows.get(key).map_err(failed)?;
            Ok(found.map(|value| value.value().to_vec()))
        })
    }

    fn range(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<RowBytes>, IndexError> {
        if from >= to {
            return Ok(Vec::new());
        }
        self.watched(|| {
            let rows = self.database().begin_read().map_err(failed)?.open_table(ROWS).map_err(failed)?;
            let range = rows.range::<&[u8]>(from..to).map_err(failed)?;
            let owned = range.map(|row| {
                let (key, value) = row.map_err(failed)?;
                Ok((key.value().to_vec(), value.value().to_vec()))
            });
            let limit = limit.min(ROWS_PER_READ_MAX);
            match order {
                Order::Ascending => owned.take(limit).collect(),
                Order::Descending => owned.rev().take(limit).collect(),
            }
        })
    }

    fn commit(
        &self,
        changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>,
        applied: Lsn,
    ) -> Result<(), IndexError> {
        if self.damaged.load(Ordering::Relaxed) {
            return Err(IndexError::Damaged("the file is not written to any more".to_owned()));
        }
        self.watched(|| {
            let transaction = self.write()?;
            {
                let mut rows = transaction.open_table(ROWS).map_err(failed)?;
                for (key, value) in changes {
                    match value {
                        Some(value) => rows.insert(key, value).map_err(failed)?,
                        None => rows.remove(key).map_err(failed)?,
                    };
                }
                transaction.open_table(FACTS).map_err(failed)?.insert(APPLIED, applied.number()).map_err(failed)?;
            }
            transaction.commit().map_err(failed)
        })
    }
}

impl Drop for RedbIndex {
    /// redb writes when it closes, and panics if it has panicked before.
    fn drop(&mut self) {
        let database = self.database.take();
        if self.damaged.load(Ordering::Relaxed) {
            // The file stays locked and is of no use any more; what it takes goes with the process.
            return std::mem::forget(database);
        }
        // A file that cannot be closed is opened again as after a crash.
        let _ = guarded(|| {
            drop(database);
            Ok(())
        });
    }
}

/// redb asserts what it believes of its pages and does not check them when it reads: a damaged file may panic in it.
fn guarded<T>(work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let why = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let why = why.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(IndexError::Damaged(format!("the library gave up: {why}")))
    })
}

fn failed<E: Into<redb::Error>>(error: E) -> IndexError {
    let error = error.into();
    if let redb::Error::Corrupted(why) = &error {
        return IndexError::Damaged(why.clone());
    }
    IndexError::Failed(Box::new(error))
}

/// Opening says "invalid data" of a file that is not redb's.
fn not_opened(error: redb::DatabaseError) -> IndexError {
    if let redb::DatabaseError::Storage(redb::StorageError::Io(io)) = &error
        && matches!(io.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
    {
        return IndexError::Damaged(io.to_string());
    }
    if let redb::DatabaseError::UpgradeRequired(version) = &error {
        return IndexError::Damaged(format!("the file has redb's format {version}"));
    }
    failed(error)
}

/// The rows, sealed by `mailbox`.
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
/// The two numbers beside them.
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");
const APPLIED: &str = "applied";
const FORMAT: &str = "format";
const FORMAT_NOW: u64 = 1;

#[cfg(test)]
mod tests;
