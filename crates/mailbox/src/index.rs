//! The narrow trait behind which rows are kept on disk.

use mail_types::Lsn;
use std::sync::Arc;

/// A key and its value.
pub type RowBytes = (Vec<u8>, Vec<u8>);

/// Which end of a range comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Lowest key first.
    Ascending,
    /// Highest key first.
    Descending,
}

/// The index could not answer.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A row is not what was written.
    #[error("a row of the index is damaged: {0}")]
    Damaged(String),
    /// The file or the library behind it failed.
    #[error("the index failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One shard of the index: ordered rows, written only by checkpoints. Disposable: it can be rebuilt.
pub trait Index: Send + Sync {
    /// The LSN up to which records are in it.
    fn applied(&self) -> Result<Lsn, IndexError>;

    /// One row.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;

    /// Rows with `from <= key < to`, at most `limit` (never more than [`ROWS_PER_READ_MAX`]): one short read
    /// transaction.
    fn range(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<RowBytes>, IndexError>;

    /// Writes changes sorted by key (`None` removes) and the new applied LSN, all or nothing, durable on return.
    fn commit(&self, changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>, applied: Lsn)
    -> Result<(), IndexError>;
}

/// How many rows one read may give.
pub const ROWS_PER_READ_MAX: usize = 1_000;

macro_rules! index_behind {
    ($pointer:ident) => {
        impl<I: Index + ?Sized> Index for $pointer<I> {
            fn applied(&self) -> Result<Lsn, IndexError> {
                (**self).applied()
            }

            fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
                (**self).get(key)
            }

            fn range(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<RowBytes>, IndexError> {
                (**self).range(from, to, order, limit)
            }

            fn commit(
                &self,
                changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>,
                applied: Lsn,
            ) -> Result<(), IndexError> {
                (**self).commit(changes, applied)
            }
        }
    };
}

index_behind!(Box);
index_behind!(Arc);
