//! Accounts that are elsewhere than a map says: whoever edits a map moves nobody.

use super::{Overlay, let_others_run};
use crate::engine::{EngineError, Range};
use crate::record::{PlacementRecord, Record};
use mail_types::{Address, StoreName};
use std::fmt;

/// Placements of the directory that a map contradicts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// The first of them, in the order of keys.
    pub first: Vec<Difference>,
    /// How many there are.
    pub count: usize,
}

/// An address that is elsewhere than a map says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The address.
    pub address: Address,
    /// The store that it is at.
    pub store: StoreName,
    /// The store that the map wants.
    pub wanted: StoreName,
    /// The map, and the line.
    pub kept_in: String,
}

impl Overlay {
    /// The placements of the directory that a map contradicts: for logs, after a map was taken, and for whoever asks.
    ///
    /// Reads all placements of the directory; others run meanwhile.
    pub async fn differences(&self) -> Result<Differences, EngineError> {
        let mut found = Differences::default();
        let of_maps = self.layer.page(Range { prefix: PlacementRecord::PREFIX, after: None, limit: 1 })?;
        if of_maps.entries.is_empty() {
            return Ok(found);
        }
        let mut after = None::<String>;
        loop {
            let range = Range { prefix: PlacementRecord::PREFIX, after: after.as_deref(), limit: PAGE_ENTRIES };
            let page = self.base.range(range).await?;
            for entry in &page.entries {
                let Some(held) = self.layer.read(&entry.key)? else { continue };
                let Some(difference) = self.difference(&entry.key, &entry.value, &held.value) else { continue };
                found.count += 1;
                if found.first.len() < DIFFERENCES_MAX {
                    found.first.push(difference);
                }
            }
            after = page.entries.last().filter(|_| page.more).map(|last| last.key.clone());
            if after.is_none() {
                return Ok(found);
            }
            let_others_run().await;
        }
    }

    fn difference(&self, key: &str, base: &[u8], held: &[u8]) -> Option<Difference> {
        if base == held {
            return None;
        }
        // A placement that cannot be read is told as such by whoever routes.
        let (base, held) = (PlacementRecord::decode(base).ok()?, PlacementRecord::decode(held).ok()?);
        (base.store != held.store).then(|| Difference {
            address: base.address,
            store: base.store,
            wanted: held.store,
            kept_in: self.kept_in(key),
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, store, wanted, kept_in } = self;
        write!(f, "{address} is at {store}; {kept_in} says {wanted}: move it or take the line out")
    }
}

/// Placements read at once.
const PAGE_ENTRIES: usize = 5_000;
/// So many are named; all are counted.
const DIFFERENCES_MAX: usize = 100;
