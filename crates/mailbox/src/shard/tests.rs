//! A shard is a map, whatever is in its tables and whatever in its index.

use super::*;
use crate::conformance::MemIndex;
use crate::testing::MapRows;
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(u8, Option<u8>)>),
    Freeze,
    Checkpoint,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = vec((0u8..40, proptest::option::of(any::<u8>())), 1..20).prop_map(Step::Write);
    vec(prop_oneof![4 => write, 1 => Just(Step::Freeze), 1 => Just(Step::Checkpoint), 1 => Just(Step::Reopen)], 0..25)
}

fn key(n: u8) -> Vec<u8> {
    // Some keys begin others.
    vec![b'k'; usize::from(n % 5) + 1].into_iter().chain([n]).collect()
}

/// The frozen table and the LSN it belongs to.
type Pending = Option<(Frozen, u64)>;

fn agree(rows: &impl Rows, model: &MapRows) -> Result<(), TestCaseError> {
    for n in 0..40 {
        prop_assert_eq!(rows.get(&key(n)).expect("readable"), model.get(&key(n)).expect("readable"));
    }
    for (from, to) in [(&b""[..], &b"z"[..]), (b"kk", b"kkkk"), (b"kk\x07", b"kkk\x0c"), (b"z", b"a")] {
        for order in [Order::Ascending, Order::Descending] {
            for limit in [0, 1, 2, 5, 17, usize::MAX] {
                let expected = model.range(from, to, order, limit).expect("readable");
                prop_assert_eq!(rows.range(from, to, order, limit).expect("readable"), expected);
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn layers_read_as_one_map(steps in steps(), batched in vec((0u8..40, proptest::option::of(any::<u8>())), 0..20)) {
        let index = Arc::new(MemIndex::default());
        let mut shard = Shard::new(Arc::clone(&index));
        // The map, and what of it a crash would leave.
        let (mut model, mut durable) = (MapRows::default(), MapRows::default());
        let mut at_freeze = MapRows::default();
        let (mut pending, mut lsn): (Pending, u64) = (None, 0);
        for step in steps {
            match step {
                Step::Write(changes) => {
                    lsn += 1;
                    for (n, value) in &changes {
                        match value {
                            Some(value) => model.put(key(*n), vec![*value]),
                            None => model.remove(key(*n)),
                        }
                    }
                    shard.write(changes.into_iter().map(|(n, value)| (key(n), value.map(|value| vec![value]))));
                }
                Step::Freeze => match shard.freeze() {
                    Some(frozen) => {
                        prop_assert!(pending.is_none());
                        at_freeze = model.clone();
                        pending = Some((frozen, lsn));
                    }
                    None => prop_assert!(pending.is_some()),
                },
                Step::Checkpoint => {
                    if let Some((frozen, upto)) = pending.take() {
                        shard.checkpoint(&frozen, Lsn::new(upto)).expect("writable");
                        durable = at_freeze.clone();
                        prop_assert_eq!(shard.applied().expect("readable"), Lsn::new(upto));
                    }
                }
                Step::Reopen => {
                    (pending, model) = (None, durable.clone());
                    shard = Shard::new(Arc::clone(&index));
                    prop_assert_eq!(shard.octets(), 0);
                }
            }
            agree(&shard, &model)?;
        }
        let mut batch = shard.batch();
        for (n, value) in batched {
            match value {
                Some(value) => {
                    batch.put(key(n), vec![value]);
                    model.put(key(n), vec![value]);
                }
                None => {
                    batch.remove(key(n));
                    model.remove(key(n));
                }
            }
        }
        agree(&batch, &model)?;
        batch.commit();
        agree(&shard, &model)?;
    }
}

#[test]
fn memory_is_counted_and_given_back() {
    let shard = Shard::new(MemIndex::default());
    shard.write([(b"a".to_vec(), Some(vec![0; 1_000])), (b"b".to_vec(), None)]);
    let full = shard.octets();
    assert!(full > 1_000);
    shard.write([(b"a".to_vec(), Some(vec![0; 10]))]);
    assert_eq!(shard.octets(), full - 990);
    let frozen = shard.freeze().expect("no checkpoint is under way");
    assert_eq!((frozen.rows(), frozen.octets(), shard.octets()), (2, full - 990, full - 990));
    shard.checkpoint(&frozen, Lsn::new(1)).expect("writable");
    assert_eq!(shard.octets(), 0);
}

#[test]
fn a_batch_is_seen_by_nobody_until_it_is_committed() {
    let shard = Shard::new(MemIndex::default());
    let mut batch = shard.batch();
    batch.put(b"a".to_vec(), b"1".to_vec());
    assert_eq!(shard.get(b"a").expect("readable"), None);
    assert_eq!(batch.get(b"a").expect("readable").as_deref(), Some(&b"1"[..]));
    batch.settle();
    assert_eq!(shard.get(b"a").expect("readable"), None, "a short change has nothing to settle");
    drop(batch);
    assert_eq!(shard.get(b"a").expect("readable"), None);
}

#[test]
fn a_long_run_of_removed_rows_is_read_over() {
    let shard = Shard::new(MemIndex::default());
    let keys = |range: std::ops::Range<u32>| range.map(|n| n.to_be_bytes().to_vec());
    shard.write(keys(0..5_000).map(|key| (key, Some(Vec::new()))));
    let frozen = shard.freeze().expect("no checkpoint is under way");
    shard.checkpoint(&frozen, Lsn::new(1)).expect("writable");
    shard.write(keys(1..4_999).map(|key| (key, None)));
    for order in [Order::Ascending, Order::Descending] {
        let rows = shard.range(&[], &[u8::MAX], order, 2).expect("readable");
        assert_eq!(rows.len(), 2);
    }
}

/// An index that commits only when it is told to.
#[derive(Debug, Default)]
struct Slow {
    index: MemIndex,
    gate: Mutex<()>,
    committing: AtomicBool,
}

impl Index for Slow {
    fn applied(&self) -> Result<Lsn, IndexError> {
        self.index.applied()
    }
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.index.get(key)
    }
    fn range(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<RowBytes>, IndexError> {
        self.index.range(from, to, order, limit)
    }
    fn commit(
        &self,
        changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>,
        applied: Lsn,
    ) -> Result<(), IndexError> {
        self.committing.store(true, Ordering::SeqCst);
        let _gate = self.gate.lock().expect("no holder of this lock panics");
        self.index.commit(changes, applied)
    }
}

#[test]
fn nobody_waits_for_a_checkpoint() {
    let shard = Shard::new(Slow::default());
    shard.write([(b"a".to_vec(), Some(b"1".to_vec()))]);
    let frozen = shard.freeze().expect("no checkpoint is under way");
    let gate = shard.index().gate.lock().expect("no holder of this lock panics");
    std::thread::scope(|threads| {
        let checkpoint = threads.spawn(|| shard.checkpoint(&frozen, Lsn::new(1)));
        while !shard.index().committing.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        assert_eq!(shard.get(b"a").expect("readable").as_deref(), Some(&b"1"[..]));
        shard.write([(b"a".to_vec(), Some(b"2".to_vec()))]);
        assert_eq!(shard.range(b"a", b"b", Order::Ascending, 9).expect("readable")[0].1, b"2");
        assert!(shard.freeze().is_none(), "one checkpoint at a time");
        drop(gate);
        checkpoint.join().expect("no panic").expect("writable");
    });
    assert_eq!(shard.get(b"a").expect("readable").as_deref(), Some(&b"2"[..]), "later than the checkpoint");
}

#[test]
fn readers_see_every_row_while_checkpoints_come_and_go() {
    let shard = Shard::new(MemIndex::default());
    let keys: Vec<Vec<u8>> = (0..64u8).map(|n| vec![n]).collect();
    let all = |round: u64| keys.iter().map(move |key| (key.clone(), Some(round.to_be_bytes().to_vec())));
    shard.write(all(0));
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for round in 1..=300 {
                shard.write(all(round));
                let frozen = shard.freeze().expect("one checkpoint at a time");
                shard.checkpoint(&frozen, Lsn::new(round)).expect("writable");
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            assert_eq!(shard.range(&[], &[u8::MAX], Order::Ascending, 100).expect("readable").len(), 64);
            assert!(shard.get(&[7]).expect("readable").is_some());
        }
    });
}
