//! What every [`Index`] must do, and one in memory.
//!
//! An implementation runs [`suite`] in its tests; stores and simulators use [`MemIndex`] where a disk is beside the
//! point.

use crate::index::{Index, IndexError, Order, ROWS_PER_READ_MAX, RowBytes};
use mail_types::Lsn;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

/// Runs the whole suite; panics where the index does not conform.
///
/// `open(None)` gives an empty index; `open(Some(index))` closes that one and opens what it kept.
pub fn suite<I: Index>(mut open: impl FnMut(Option<I>) -> I) {
    begins_empty(&open(None));
    keeps_what_was_committed(&open(None));
    answers_ranges(&open(None));
    bounds_a_read(&open(None));
    takes_any_octets(&open(None));
    let index = open(None);
    agrees_with_a_map(index, &mut open);
    shows_a_commit_whole(&open(None));
}

fn begins_empty<I: Index>(index: &I) {
    assert_eq!(applied(index), 0);
    assert_eq!(get(index, b"a"), None);
    assert!(range(index, b"", b"\xff", Order::Ascending, 10).is_empty());
    commit(index, &[], 7);
    assert_eq!(applied(index), 7, "a commit without changes moves the LSN");
}

fn keeps_what_was_committed<I: Index>(index: &I) {
    commit(index, &[(b"a", Some(b"1")), (b"b", Some(b"2")), (b"c", None)], 1);
    commit(index, &[(b"a", Some(b"3")), (b"b", None), (b"d", Some(b""))], 2);
    assert_eq!(get(index, b"a").as_deref(), Some(&b"3"[..]), "the later value");
    assert_eq!(get(index, b"b"), None, "removed");
    assert_eq!(get(index, b"c"), None, "removed without having been there");
    assert_eq!(get(index, b"d").as_deref(), Some(&b""[..]), "an empty value is a value");
    assert_eq!(applied(index), 2);
}

fn answers_ranges<I: Index>(index: &I) {
    commit(index, &[(b"a", Some(b"1")), (b"b", Some(b"2")), (b"ba", Some(b"3")), (b"c", Some(b"4"))], 1);
    let up = |from, to, limit| range(index, from, to, Order::Ascending, limit);
    let down = |from, to, limit| range(index, from, to, Order::Descending, limit);
    assert_eq!(up(b"a", b"c", 9), [b"a".to_vec(), b"b".to_vec(), b"ba".to_vec()], "the end is not in a range");
    assert_eq!(down(b"a", b"c", 9), [b"ba".to_vec(), b"b".to_vec(), b"a".to_vec()]);
    assert_eq!(up(b"a", b"d", 2), [b"a".to_vec(), b"b".to_vec()]);
    assert_eq!(down(b"a", b"d", 2), [b"c".to_vec(), b"ba".to_vec()]);
    assert_eq!(up(b"aa", b"b\x00", 9), [b"b".to_vec()]);
    for (from, to) in [(b"b", b"b"), (b"c", b"a")] {
        assert!(up(from, to, 9).is_empty() && down(from, to, 9).is_empty(), "an empty range is no error");
    }
    assert!(up(b"a", b"d", 0).is_empty());
}

fn bounds_a_read<I: Index>(index: &I) {
    let keys: Vec<[u8; 4]> = (0..1_500u32).map(u32::to_be_bytes).collect();
    let changes: Vec<(&[u8], Option<&[u8]>)> = keys.iter().map(|key| (&key[..], Some(&b"v"[..]))).collect();
    commit(index, &changes, 1);
    assert_eq!(range(index, b"", b"\xff", Order::Ascending, usize::MAX).len(), ROWS_PER_READ_MAX);
}

fn takes_any_octets<I: Index>(index: &I) {
    let (long, zeros, ones) = (vec![b'x'; 300_000], [0u8; 17], [u8::MAX; 40]);
    commit(index, &[(&zeros, Some(&long)), (&ones, Some(&zeros))], u64::MAX);
    assert_eq!(get(index, &zeros), Some(long));
    assert_eq!(get(index, &ones), Some(zeros.to_vec()));
    assert_eq!(applied(index), u64::MAX);
}

fn agrees_with_a_map<I: Index>(mut index: I, open: &mut impl FnMut(Option<I>) -> I) {
    let mut chance = Chance(0x5eed);
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for round in 1..=24 {
        let changes: BTreeMap<Vec<u8>, Option<Vec<u8>>> = (0..chance.below(60))
            .map(|_| (chance.key(), (chance.below(3) > 0).then(|| chance.below(1 << 40).to_be_bytes().to_vec())))
            .collect();
        commit_owned(&index, &changes, round);
        for (key, value) in changes {
            match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }
        if round % 6 == 0 {
            index = open(Some(index));
            assert_eq!(applied(&index), round, "the LSN outlives the process");
        }
        let all: Vec<RowBytes> = model.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        assert_eq!(index.range(b"", &[u8::MAX; 4], Order::Ascending, 1_000).expect("readable"), all);
        let (a, b) = (chance.key(), chance.key());
        let within: Vec<Vec<u8>> =
            all.iter().rev().map(|row| row.0.clone()).filter(|key| a <= *key && *key < b).collect();
        assert_eq!(range(&index, &a, &b, Order::Descending, 1_000), within);
    }
}

fn shows_a_commit_whole<I: Index>(index: &I) {
    let rows = |round: &u64| round.to_be_bytes();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for round in 1..=20u64 {
                let value = rows(&round);
                let changes: Vec<(&[u8], Option<&[u8]>)> =
                    [b"a", b"b", b"c"].iter().map(|key| (&key[..], Some(&value[..]))).collect();
                commit(index, &changes, round);
            }
        });
        while applied(index) < 20 {
            let rows = index.range(b"a", b"d", Order::Ascending, 9).expect("readable while another thread commits");
            let first = rows.first().map(|row| row.1.clone());
            assert!(rows.iter().all(|row| Some(&row.1) == first.as_ref()), "half a commit: {rows:?}");
        }
    });
}

fn applied(index: &impl Index) -> u64 {
    index.applied().expect("readable").number()
}

fn get(index: &impl Index, key: &[u8]) -> Option<Vec<u8>> {
    index.get(key).expect("readable")
}

fn range(index: &impl Index, from: &[u8], to: &[u8], order: Order, limit: usize) -> Vec<Vec<u8>> {
    index.range(from, to, order, limit).expect("readable").into_iter().map(|(key, _)| key).collect()
}

fn commit(index: &impl Index, changes: &[(&[u8], Option<&[u8]>)], applied: u64) {
    index.commit(&mut changes.iter().copied(), Lsn::new(applied)).expect("writable");
}

fn commit_owned(index: &impl Index, changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>, applied: u64) {
    let mut changes = changes.iter().map(|(key, value)| (&key[..], value.as_deref()));
    index.commit(&mut changes, Lsn::new(applied)).expect("writable");
}

/// Numbers that look drawn and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn key(&mut self) -> Vec<u8> {
        (0..1 + self.below(3)).map(|_| if self.below(2) == 0 { 0 } else { 0xfe }).collect()
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_in_memory_conforms() {
        suite(|open: Option<MemIndex>| open.unwrap_or_default());
    }
}
