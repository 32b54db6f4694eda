//! Changed rows in memory, and how layers of them are seen as one.

use crate::index::{IndexError, Order, ROWS_PER_READ_MAX, RowBytes};
use crate::key;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Rows that were put or (`None`) taken out, sorted.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: BTreeMap<Box<[u8]>, Option<Box<[u8]>>>,
    octets: usize,
}

/// What one layer holds from the start of a range on: everything, or everything up to its last entry.
#[derive(Debug, Default)]
pub(crate) struct Page {
    entries: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    complete: bool,
}

impl Table {
    pub(crate) fn set(&mut self, key: Box<[u8]>, value: Option<Box<[u8]>>) {
        self.octets += value.as_deref().map_or(0, <[u8]>::len);
        let key_octets = key.len() + ENTRY_OCTETS;
        match self.rows.insert(key, value) {
            Some(before) => self.octets -= before.as_deref().map_or(0, <[u8]>::len),
            None => self.octets += key_octets,
        }
    }

    /// Takes in all changes of a later table.
    pub(crate) fn absorb(&mut self, later: Self) {
        for (key, value) in later.rows {
            self.set(key, value);
        }
    }

    /// What this layer knows of a key: nothing, that it is gone, or its value.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.rows.get(key).map(Option::as_deref)
    }

    pub(crate) fn page(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Page {
        if from >= to {
            return Page { entries: Vec::new(), complete: true };
        }
        let range = self.rows.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        let range = range.map(|(key, value)| (&**key, value.as_deref()));
        let owned = |(key, value): (&[u8], Option<&[u8]>)| (key.to_vec(), value.map(<[u8]>::to_vec));
        let entries: Vec<_> = match order {
            Order::Ascending => range.take(limit).map(owned).collect(),
            Order::Descending => range.rev().take(limit).map(owned).collect(),
        };
        Page { complete: entries.len() < limit, entries }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.rows.iter().map(|(key, value)| (&**key, value.as_deref()))
    }

    /// Memory that the rows take, about.
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl Page {
    /// From an index, which was asked for at most `limit` rows.
    pub(crate) fn of_rows(rows: Vec<RowBytes>, limit: usize) -> Self {
        let complete = rows.len() < limit;
        Self { entries: rows.into_iter().map(|(key, value)| (key, Some(value))).collect(), complete }
    }

    /// Both layers as one; where both know a key, this one is right.
    pub(crate) fn over(self, below: Self, order: Order) -> Self {
        let complete = self.complete && below.complete;
        let end = earlier(self.end(), below.end(), order).map(<[u8]>::to_vec);
        let mut entries = Vec::with_capacity(self.entries.len() + below.entries.len());
        let mut lower = below.entries.into_iter().peekable();
        for (key, value) in self.entries {
            while let Some(before) = lower.next_if(|(low, _)| precedes(low, &key, order)) {
                entries.push(before);
            }
            lower.next_if(|(low, _)| *low == key);
            entries.push((key, value));
        }
        entries.extend(lower);
        if let Some(end) = end {
            let known = entries.partition_point(|(key, _)| !precedes(&end, key, order));
            entries.truncate(known);
        }
        Self { entries, complete }
    }

    /// The last key up to which it knows all, unless it knows all to the end.
    fn end(&self) -> Option<&[u8]> {
        self.entries.last().filter(|_| !self.complete).map(|(key, _)| &**key)
    }
}

/// Live rows of a range, from pages that may hold removed ones.
pub(crate) fn live(
    from: &[u8],
    to: &[u8],
    order: Order,
    limit: usize,
    mut page: impl FnMut(&[u8], &[u8], usize) -> Result<Page, IndexError>,
) -> Result<Vec<RowBytes>, IndexError> {
    let limit = limit.min(ROWS_PER_READ_MAX);
    let (mut from, mut to) = (from.to_vec(), to.to_vec());
    let mut rows = Vec::new();
    let mut asked = limit;
    while rows.len() < limit && from < to {
        let Page { entries, complete } = page(&from, &to, asked)?;
        // Removed rows may stand in long runs.
        asked = (asked * 4).min(ROWS_PER_READ_MAX);
        let last = entries.last().map(|(key, _)| key.clone());
        rows.extend(entries.into_iter().filter_map(|(key, value)| Some((key, value?))));
        match (last.filter(|_| !complete), order) {
            (None, Order::Ascending | Order::Descending) => break,
            (Some(last), Order::Ascending) => from = key::after(last),
            (Some(last), Order::Descending) => to = last,
        }
    }
    rows.truncate(limit);
    Ok(rows)
}

fn precedes(a: &[u8], b: &[u8], order: Order) -> bool {
    match order {
        Order::Ascending => a < b,
        Order::Descending => a > b,
    }
}

fn earlier<'a>(a: Option<&'a [u8]>, b: Option<&'a [u8]>, order: Order) -> Option<&'a [u8]> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if precedes(a, b, order) { a } else { b }),
        (end, None) | (None, end) => end,
    }
}

/// What an entry takes beside its octets: two boxes, their allocations and its part of a node.
const ENTRY_OCTETS: usize = 80;
