//! [`mailbox::Index`] in a redb file.

use mail_types::Lsn;
use mailbox::index::{IndexError, Order, ROWS_PER_READ_MAX, RowBytes};
use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// One shard's rows in a redb file of its own.
#[derive(Debug)]
pub struct RedbIndex {
    database: Database,
}

/// What [`RedbIndex::open`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Nothing: rows must come from snapshots and the journal.
    New,
    /// An index of ours.
    Existing,
}

impl RedbIndex {
    /// Opens the index in a file, or begins one. `cache_octets` is what redb may keep in memory.
    ///
    /// [`IndexError::Damaged`] means that the file is of no use: the shard is to be rebuilt in another.
    pub fn open(path: &Path, cache_octets: usize) -> Result<(Self, Opened), IndexError> {
        guarded(|| {
            let database = Builder::new().set_cache_size(cache_octets).create(path).map_err(not_opened)?;
            let index = Self { database };
            let opened = index.begin()?;
            Ok((index, opened))
        })
    }

    /// Checks the format of the file, and writes it into a new one.
    fn begin(&self) -> Result<Opened, IndexError> {
        let transaction = self.write()?;
        let format = {
            let facts = transaction.open_table(FACTS).map_err(failed)?;
            facts.get(FORMAT).map_err(failed)?.map(|found| found.value())
        };
        match format {
            Some(FORMAT_NOW) => {
                transaction.abort().map_err(failed)?;
                Ok(Opened::Existing)
            }
            Some(other) => Err(IndexError::Damaged(format!("format {other} is unknown to this version"))),
            None => {
                transaction.open_table(ROWS).map_err(failed)?;
                transaction.open_table(FACTS).map_err(failed)?.insert(FORMAT, FORMAT_NOW).map_err(failed)?;
                transaction.commit().map_err(failed)?;
                Ok(Opened::New)
            }
        }
    }

    /// The only way to write: durable when it is committed, and quick to open after a crash.
    fn write(&self) -> Result<WriteTransaction, IndexError> {
        let mut transaction = self.database.begin_write().map_err(failed)?;
        transaction.set_durability(Durability::Immediate).map_err(failed)?;
        transaction.set_quick_repair(true);
        Ok(transaction)
    }
}

impl mailbox::Index for RedbIndex {
    fn applied(&self) -> Result<Lsn, IndexError> {
        guarded(|| {
            let facts = self.database.begin_read().map_err(failed)?.open_table(FACTS).map_err(failed)?;
            let applied = facts.get(APPLIED).map_err(failed)?;
            Ok(applied.map_or(Lsn::ZERO, |found| Lsn::new(found.value())))
        })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        guarded(|| {
            let rows = self.database.begin_read().map_err(failed)?.open_table(ROWS).map_err(failed)?;
            let found = rows.get(key).map_err(failed)?;
            Ok(found.map(|value| value.value().to_vec()))
        })
    }

    fn range(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<RowBytes>, IndexError> {
        if from >= to {
            return Ok(Vec::new());
        }
        guarded(|| {
            let rows = self.database.begin_read().map_err(failed)?.open_table(ROWS).map_err(failed)?;
            let range = rows.range::<&[u8]>(from..to).map_err(failed)?;
            let limit = limit.min(ROWS_PER_READ_MAX);
            let owned = |row: Result<(redb::AccessGuard<'_, &[u8]>, redb::AccessGuard<'_, &[u8]>), _>| {
                row.map(|(key, value)| (key.value().to_vec(), value.value().to_vec()))
                    .map_err(failed::<redb::StorageError>)
            };
            match order {
                Order::Ascending => range.take(limit).map(owned).collect(),
                Order::Descending => range.rev().take(limit).map(owned).collect(),
            }
        })
    }

    fn commit(
        &self,
        changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>,
        applied: Lsn,
    ) -> Result<(), IndexError> {
        guarded(|| {
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
