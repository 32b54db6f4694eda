//! What every [`Index`] must do, and one in memory.

use crate::index::{Index, IndexError, Order, ROWS_PER_READ_MAX, RowBytes};
use mail_types::Lsn;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

/// An index that lasts as long as the process.
#[derive(Debug, Default)]
pub struct MemIndex {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    applied: Lsn,
}

impl MemIndex {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl Index for MemIndex {
    fn applied(&self) -> Result<Lsn, IndexError> {
        Ok(self.state().applied)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.state().rows.get(key).cloned())
    }

    fn range(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<RowBytes>, IndexError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let state = self.state();
        let rows = state.rows.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        let limit = limit.min(ROWS_PER_READ_MAX);
        Ok(match order {
            Order::Ascending => rows.take(limit).map(owned).collect(),
            Order::Descending => rows.rev().take(limit).map(owned).collect(),
        })
    }

    fn commit(
        &self,
        changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>,
        applied: Lsn,
    ) -> Result<(), IndexError> {
        let mut state = self.state();
        for (key, value) in changes {
            match value {
                Some(value) => state.rows.insert(key.to_vec(), value.to_vec()),
                None => state.rows.remove(key),
            };
        }
        state.applied = applied;
        Ok(())
    }
}
