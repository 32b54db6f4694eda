//! Bodies between journal and body file: which chunks each body under way has, until all that use it are applied.

use bytes::Bytes;
use journal::Location;
use mail_types::{Lsn, SeededMap};
use std::sync::Mutex;

/// The bodies under way.
pub(crate) struct Spool {
    table: Mutex<Table>,
}

struct Table {
    bodies: SeededMap<Lsn, UnderWay>,
    /// The first LSNs, lowest first: the oldest keeps the journal from being purged.
    order: std::collections::BTreeSet<Lsn>,
}

#[derive(Default)]
struct UnderWay {
    chunks: Vec<Chunk>,
    /// How many records have still to use it; unknown until the body is complete.
    uses: Option<u32>,
}

impl Chunk {
    /// How many octets it has.
    pub(crate) fn octets(&self) -> u64 {
        match self {
            Self::Memory(content) => content.len() as u64,
            Self::Journal(location) => u64::from(location.octets()),
        }
    }
}

/// One chunk as `apply` finds it.
#[derive(Clone, Debug)]
pub(crate) enum Chunk {
    /// Still in memory: the group it was committed with.
    Memory(Bytes),
    /// In the journal: too large to be kept.
    Journal(Location),
}

impl Spool {
    pub(crate) fn new(seed: u64) -> Self {
        Self { table: Mutex::new(Table { bodies: SeededMap::new(seed), order: std::collections::BTreeSet::new() }) }
    }

    /// Appends a first chunk by `append` and opens its body.
    pub(crate) fn register<E>(&self, append: impl FnOnce() -> Result<Lsn, E>) -> Result<Lsn, E> {
        self.with(|table| {
            let first = append()?;
            table.bodies.insert(first, UnderWay::default());
            table.order.insert(first);
            Ok(first)
        })
    }

    /// A chunk was committed. Of a body nobody wants any more, it is forgotten.
    pub(crate) fn committed(&self, first: Lsn, chunk: Chunk) {
        self.with(|table| {
            if let Some(body) = table.bodies.get_mut(&first) {
                body.chunks.push(chunk);
            }
        });
    }

    /// A chunk met in replay, where nobody registered it. A body that began before replay did stays unknown: only the
    /// journal has all of it.
    pub(crate) fn replayed(&self, first: Lsn, location: Location) {
        self.with(|table| {
            if location.lsn() == first {
                table.bodies.insert(first, UnderWay::default());
            }
            if let Some(body) = table.bodies.get_mut(&first) {
                body.chunks.push(Chunk::Journal(location));
            }
        });
    }

    /// The body is complete and `uses` records will name it.
    pub(crate) fn expect_uses(&self, first: Lsn, uses: u32) {
        self.with(|table| {
            if let Some(body) = table.bodies.get_mut(&first) {
                body.uses = Some(uses);
            }
            table.used(first, 0);
        });
    }

    /// Uses that will not come, because their records were refused.
    pub(crate) fn give_back_uses(&self, first: Lsn, uses: u32) {
        self.with(|table| table.used(first, uses));
    }

    /// The body was not finished.
    pub(crate) fn abandon(&self, first: Lsn) {
        self.with(|table| table.forget(first));
    }

    /// The chunks of a body; none when it is not known (replay began behind it).
    pub(crate) fn chunks(&self, first: Lsn) -> Option<Vec<Chunk>> {
        self.with(|table| table.bodies.get(&first).map(|body| body.chunks.clone()))
    }

    /// A record that names the body has been applied.
    pub(crate) fn used(&self, first: Lsn) {
        self.with(|table| table.used(first, 1));
    }

    /// The oldest body that a record to come may name.
    pub(crate) fn oldest(&self) -> Option<Lsn> {
        self.with(|table| table.order.first().copied())
    }

    /// Replay is over: what it met belongs to nobody.
    pub(crate) fn clear(&self) {
        self.with(|table| {
            table.bodies.clear();
            table.order.clear();
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        act(&mut self.table.lock().expect("no holder of this lock panics"))
    }
}

impl Table {
    fn used(&mut self, first: Lsn, count: u32) {
        let Some(body) = self.bodies.get_mut(&first) else { return };
        // In replay the number of uses is not known, and the body stays until the end of it.
        let Some(uses) = &mut body.uses else { return };
        *uses = uses.saturating_sub(count);
        if *uses == 0 {
            self.forget(first);
        }
    }

    fn forget(&mut self, first: Lsn) {
        self.bodies.remove(&first);
        self.order.remove(&first);
    }
}
