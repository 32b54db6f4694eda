//! How far the base and the maps are, in one number.

use super::Seen;
use crate::engine::{EngineError, Entry, Revision};

/// How far the base and the maps are. Neither goes back, so of two moments of one overlay the later has the higher number.
///
/// The base's revision stands in the upper bits. An entry has one half where one side alone is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) base: Revision,
    pub(super) layer: Revision,
}

impl Moment {
    pub(super) fn of(revision: Revision) -> Self {
        let layer = revision.number() & (LAYER_REVISIONS_MAX - 1);
        Self { base: Revision::new(revision.number() >> LAYER_BITS), layer: Revision::new(layer + NO_MAP.number()) }
    }

    pub(super) fn revision(self) -> Result<Revision, EngineError> {
        let layer = self.layer.number().saturating_sub(NO_MAP.number());
        if layer >= LAYER_REVISIONS_MAX || self.base.number() >= BASE_REVISIONS_MAX {
            return Err(EngineError::Invalid { why: "a directory under live maps has changed too often; start again" });
        }
        Ok(Revision::new((self.base.number() << LAYER_BITS) | layer))
    }
}

pub(super) fn from_base(entry: Entry) -> Seen {
    let revision = Moment { base: entry.revision, layer: NO_MAP }.revision()?;
    Ok(Some(Entry { revision, ..entry }))
}

pub(super) fn from_layer(entry: Entry) -> Seen {
    let revision = Moment { base: Revision::ZERO, layer: entry.revision }.revision()?;
    Ok(Some(Entry { revision, ..entry }))
}

/// The layer's revision before there was any map.
pub(super) const NO_MAP: Revision = Revision::new(1);
/// Maps are looked at once a second: enough for eight years without a restart, and begun anew by each.
const LAYER_BITS: u32 = 28;
const LAYER_REVISIONS_MAX: u64 = 1 << LAYER_BITS;
/// A thousand commits a second for two years.
const BASE_REVISIONS_MAX: u64 = 1 << (u64::BITS - LAYER_BITS);
