//! One shard: changed rows in memory, merged over an index that only checkpoints write.
//!
//! ```text
//!   sessions ── read ──▶ active ▸ frozen ▸ index      (the first that knows a key is right)
//!   apply ──── Batch ──▶ active
//!   checkpoint: active ──freeze──▶ frozen ──commit──▶ index, then frozen is dropped
//! ```
//!
//! Invariants:
//! 1. The lock is held to look at or change maps in memory, never while the index is read or written.
//! 2. Tables are looked at before the index. A row that has left them is therefore in the index by then.
//! 3. A [`Batch`] becomes visible at once, except where a long change settles on its way.

use crate::index::{Index, IndexError, Order, ROWS_PER_READ_MAX, RowBytes};
use crate::key::Key;
use crate::row::{FreeExtent, seal};
use crate::rows::{CACHE_OCTETS_MAX, Rows, RowsMut};
use crate::table::{Page, Table, live};
use mail_types::{AccountId, Lsn, MailboxId, Uid};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Rows of the accounts that hash to one index.
#[derive(Debug)]
pub struct Shard<I> {
    index: I,
    tables: RwLock<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    active: Table,
    frozen: Option<Arc<Table>>,
}

/// Changes that a checkpoint writes. The shard reads them too until then.
#[derive(Clone, Debug)]
pub struct Frozen {
    table: Arc<Table>,
}

/// Changes that nobody else sees yet.
#[derive(Debug)]
pub struct Batch<'a, I: Index> {
    shard: &'a Shard<I>,
    table: Table,
}

impl<I: Index> Shard<I> {
    /// A shard without changes over what its index holds.
    pub fn new(index: I) -> Self {
        Self { index, tables: RwLock::default() }
    }

    /// What is below.
    pub fn index(&self) -> &I {
        &self.index
    }

    /// The LSN up to which records are in the index: replay starts behind it.
    pub fn applied(&self) -> Result<Lsn, IndexError> {
        self.index.applied()
    }

    /// Begins changes that become visible together.
    pub fn batch(&self) -> Batch<'_, I> {
        Batch { shard: self, table: Table::default() }
    }

    /// Puts sealed rows or (`None`) takes them out, all at once: for what the store writes beside records.
    pub fn write(&self, changes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>) {
        let mut table = Table::default();
        for (key, value) in changes {
            table.set(key.into_boxed_slice(), value.map(Vec::into_boxed_slice));
        }
        self.change().active.absorb(table);
    }

    /// Remembers something about a message until it goes; `false` when the message is not there, or the octets are
    /// more than [`CACHE_OCTETS_MAX`].
    ///
    /// Not part of any record. Put while the message goes, it may outlast it: then it stands where nobody asks, since
    /// no UID comes back, and goes with its mailbox.
    pub fn cache_put(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uid: Uid,
        octets: Vec<u8>,
    ) -> Result<bool, IndexError> {
        if octets.len() > CACHE_OCTETS_MAX || self.get(&Key::Message(mailbox, uid).of(account))?.is_none() {
            return Ok(false);
        }
        let key = Key::Cache(mailbox, uid).of(account);
        let sealed = seal(&key, octets);
        self.write([(key, Some(sealed))]);
        Ok(true)
    }

    /// A part of a body file has been given back: forgets it. Not part of any record either; after a crash the part
    /// may be named again, and giving it back twice does no harm, since body files only grow.
    pub fn given_back(&self, free: &FreeExtent) {
        self.write([(Key::Free(free.lsn, free.extent.offset).of(free.account), None)]);
    }

    /// Memory that changes take which no checkpoint has written yet, in octets, about.
    pub fn octets(&self) -> usize {
        let tables = self.look();
        tables.active.octets() + tables.frozen.as_ref().map_or(0, |frozen| frozen.octets())
    }

    /// Begins a checkpoint of all changes so far; nothing while an earlier one is not complete. Asked by whoever
    /// applies, between two records, who thereby knows the LSN that the table is complete up to.
    pub fn freeze(&self) -> Option<Frozen> {
        let mut tables = self.change();
        if tables.frozen.is_some() {
            return None;
        }
        let table = Arc::new(std::mem::take(&mut tables.active));
        tables.frozen = Some(Arc::clone(&table));
        Some(Frozen { table })
    }

    /// Completes a checkpoint: writes the frozen changes and the LSN they are complete up to, then drops them. After
    /// an error they stay, and may be written again.
    pub fn checkpoint(&self, frozen: &Frozen, applied: Lsn) -> Result<(), IndexError> {
        self.index.commit(&mut frozen.table.iter(), applied)?;
        let mut tables = self.change();
        let written = tables.frozen.take_if(|table| Arc::ptr_eq(table, &frozen.table));
        // Dropping many rows takes a while, and readers wait for the lock.
        drop(tables);
        drop(written);
        Ok(())
    }

    fn page(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Page, IndexError> {
        let tables = self.look();
        let active = tables.active.page(from, to, order, limit);
        let frozen = tables.frozen.clone();
        drop(tables);
        let changed = match frozen {
            Some(frozen) => active.over(frozen.page(from, to, order, limit), order),
            None => active,
        };
        let below = Page::of_rows(self.index.range(from, to, order, limit)?, limit);
        Ok(changed.over(below, order))
    }

    fn look(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().expect("no holder of this lock panics")
    }

    fn change(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().expect("no holder of this lock panics")
    }
}

impl<I: Index> Rows for Shard<I> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let tables = self.look();
        let known = tables.active.get(key).or_else(|| tables.frozen.as_ref()?.get(key));
        if let Some(value) = known {
            return Ok(value.map(<[u8]>::to_vec));
        }
        drop(tables);
        self.index.get(key)
    }

    fn range(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<RowBytes>, IndexError> {
        live(from, to, order, limit, |from, to, limit| self.page(from, to, order, limit))
    }
}

impl Frozen {
    /// The changes, sorted by key; `None` removes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.table.iter()
    }

    /// How many rows change.
    pub fn rows(&self) -> usize {
        self.table.len()
    }

    /// Memory that the changes take, about.
    pub fn octets(&self) -> usize {
        self.table.octets()
    }
}

impl<I: Index> Batch<'_, I> {
    /// Makes the changes visible.
    pub fn commit(mut self) {
        self.publish();
    }

    /// Memory that the changes take, about.
    pub fn octets(&self) -> usize {
        self.table.octets()
    }

    fn publish(&mut self) {
        let table = std::mem::take(&mut self.table);
        self.shard.change().active.absorb(table);
    }
}

impl<I: Index> Rows for Batch<'_, I> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        match self.table.get(key) {
            Some(value) => Ok(value.map(<[u8]>::to_vec)),
            None => self.shard.get(key),
        }
    }

    fn range(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<RowBytes>, IndexError> {
        live(from, to, order, limit, |from, to, limit| {
            let below = self.shard.page(from, to, order, limit)?;
            Ok(self.table.page(from, to, order, limit).over(below, order))
        })
    }
}

impl<I: Index> RowsMut for Batch<'_, I> {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.table.set(key.into_boxed_slice(), Some(value.into_boxed_slice()));
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.table.set(key.into_boxed_slice(), None);
    }

    fn settle(&mut self) {
        if self.table.len() >= ROWS_PER_READ_MAX {
            self.publish();
        }
    }
}

#[cfg(test)]
mod tests;
