//! What is seen of a key that the base has, or a map, or both; and a page of both.

use super::fields::Fields;
use super::moment::{Moment, from_base, from_layer};
use crate::engine::{EngineError, Entry, Page};
use crate::record::{AccountRecord, DomainRecord, PlacementRecord, Record, SecretRecord};
use std::collections::BTreeMap;

/// The entry of a key, with the overlay's revision.
pub(super) type Seen = Result<Option<Entry>, EngineError>;

/// How a map's record and the base's of the same key go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layered {
    /// The map's is seen.
    Over,
    /// The base's is seen; the map's where the base has none.
    Under,
    /// The base's is seen, with the fields that maps say.
    Within,
}

impl Layered {
    pub(super) fn of(key: &str) -> Self {
        let under = [PlacementRecord::PREFIX, AccountRecord::PREFIX, SecretRecord::PREFIX];
        if under.iter().any(|prefix| key.starts_with(prefix)) {
            Self::Under
        } else if key.starts_with(DomainRecord::PREFIX) {
            Self::Within
        } else {
            Self::Over
        }
    }
}

/// What is seen of a key.
pub(super) fn seen(key: &str, base: Option<Entry>, layer: Option<Entry>) -> Seen {
    match (Layered::of(key), base, layer) {
        (_, None, None) | (Layered::Within, None, Some(_)) => Ok(None),
        (_, Some(entry), None) | (Layered::Under, Some(entry), Some(_)) => from_base(entry),
        (Layered::Over, _, Some(entry)) | (Layered::Under, None, Some(entry)) => from_layer(entry),
        (Layered::Within, Some(entry), Some(held)) => {
            let revision = Moment { base: entry.revision, layer: held.revision }.revision()?;
            let value = Fields::decode(&held).laid_over(entry.value);
            Ok(Some(Entry { key: entry.key, value, revision }))
        }
    }
}

/// One page of two, and how far it goes: past the end of the page that ends first nothing is known of the other.
pub(super) fn page_of(base: Page, layer: Page, limit: usize) -> Result<(Page, Option<String>), EngineError> {
    let revision = Moment { base: base.revision, layer: layer.revision }.revision()?;
    let end = |page: &Page| page.entries.last().filter(|_| page.more).map(|last| last.key.clone());
    let end = [end(&base), end(&layer)].into_iter().flatten().min();
    let mut both = BTreeMap::<String, (Option<Entry>, Option<Entry>)>::new();
    for entry in base.entries {
        let key = entry.key.clone();
        both.entry(key).or_default().0 = Some(entry);
    }
    for entry in layer.entries {
        let key = entry.key.clone();
        both.entry(key).or_default().1 = Some(entry);
    }
    let mut page = Page { entries: Vec::new(), more: end.is_some(), revision };
    for (key, (base, layer)) in both {
        if end.as_ref().is_some_and(|end| key > *end) {
            break;
        }
        let Some(entry) = seen(&key, base, layer)? else { continue };
        if page.entries.len() >= limit.max(1) {
            page.more = true;
            break;
        }
        page.entries.push(entry);
    }
    Ok((page, end))
}
