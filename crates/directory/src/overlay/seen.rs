//! What is seen of a key that the base has, or a map, or both; and a page of both.

use super::fields::Fields;
use super::moment::{Moment, from_base, from_layer};
use crate::engine::{EngineError, Entry, Page};
use crate::record::{AccountRecord, DomainRecord, PlacementRecord, Record, SecretRecord};
use std::cmp::Ordering;
use std::iter::Peekable;
use std::vec::IntoIter;

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
    together(Layered::of(key), base, layer)
}

fn together(layered: Layered, base: Option<Entry>, layer: Option<Entry>) -> Seen {
    match (layered, base, layer) {
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
    let mut page = Page {
        entries: Vec::with_capacity(limit.min(base.entries.len() + layer.entries.len())),
        more: end.is_some(),
        revision,
    };
    let (mut base, mut layer) = (base.entries.into_iter().peekable(), layer.entries.into_iter().peekable());
    while let Some((base, layer)) = next_of(&mut base, &mut layer) {
        let Some(key) = base.as_ref().or(layer.as_ref()).map(|entry| &entry.key) else { break };
        if end.as_ref().is_some_and(|end| key > end) {
            break;
        }
        let layered = Layered::of(key);
        let Some(entry) = together(layered, base, layer)? else { continue };
        if page.entries.len() >= limit.max(1) {
            page.more = true;
            break;
        }
        page.entries.push(entry);
    }
    Ok((page, end))
}

/// The entries of the next key, of two pages in the order of keys.
fn next_of(
    base: &mut Peekable<IntoIter<Entry>>,
    layer: &mut Peekable<IntoIter<Entry>>,
) -> Option<(Option<Entry>, Option<Entry>)> {
    let order = match (base.peek(), layer.peek()) {
        (None, None) => return None,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(base), Some(layer)) => base.key.cmp(&layer.key),
    };
    Some(match order {
        Ordering::Less => (base.next(), None),
        Ordering::Greater => (None, layer.next()),
        Ordering::Equal => (base.next(), layer.next()),
    })
}
