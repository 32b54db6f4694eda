use super::*;
use crate::format::SEGMENT_OCTETS_MIN;

fn config() -> Config {
    Config {
        segment_octets: SEGMENT_OCTETS_MIN,
        pending_octets_max: 16 << 10,
        low_water_octets: 100,
        dir: String::new(),
    }
}

fn core() -> Core {
    let stats = Stats::new(EPOCH, UnixTime::EPOCH);
    let id = SegmentId::derive(1, FIRST, EPOCH, UnixTime::EPOCH);
    let mut core = Core::new(&config(), 1, EPOCH, Lsn::ZERO, Position { id, first: FIRST, at: GROUPS_AT, stats });
    core.on_free_bytes(1000);
    core.on_spare_ready();
    core
}

fn put(core: &mut Core, octets: usize) -> Result<Lsn, Refused> {
    core.append(EPOCH, UnixTime::EPOCH, StreamId::ZERO, Kind::new(9), &vec![1; octets])
}

/// Carries out one group's effects; gives its records and whether it began a segment.
fn turn(core: &mut Core) -> Option<(Commit, bool)> {
    let mut rotated = false;
    loop {
        match core.poll()? {
            Effect::Rotate(_) => rotated = true,
            Effect::Write { .. } => {}
            Effect::Sync { upto } => core.on_synced(upto),
            Effect::Release(commit) => return Some((commit, rotated)),
        }
    }
}

fn lsns(commit: &Commit) -> Vec<u64> {
    commit.records().map(|record| record.lsn.number()).collect()
}

#[test]
fn what_waits_is_written_together_and_durable_only_after_its_sync() {
    let mut core = core();
    assert_eq!(put(&mut core, 10), Ok(Lsn::new(1)));
    assert_eq!(put(&mut core, 10), Ok(Lsn::new(2)));
    let Some(Effect::Write { at, octets }) = core.poll() else { panic!("a write") };
    assert_eq!((at, octets.len()), (4096, 512));
    // Appended while the first group is on its way: goes with the next.
    assert_eq!(put(&mut core, 10), Ok(Lsn::new(3)));
    assert!(matches!(core.poll(), Some(Effect::Sync { upto }) if upto == Lsn::new(2)));
    assert!(core.poll().is_none(), "nothing overtakes a sync");
    assert_eq!(core.durable().lsn(), Lsn::ZERO);
    assert!(core.poll_marker().is_none(), "it is not idle");
    core.on_synced(Lsn::new(2));
    assert_eq!(core.durable().lsn(), Lsn::new(2));
    let Some(Effect::Release(commit)) = core.poll() else { panic!("records") };
    assert_eq!(lsns(&commit), [1, 2]);
    assert_eq!(commit.durable().covering(Lsn::new(3)), None);
    let (commit, _) = turn(&mut core).expect("the next group");
    assert_eq!(lsns(&commit), [3]);
    assert!(core.is_idle());
    assert_eq!(core.poll_marker().map(|(at, octets)| (at, octets.len())), Some((4096 + 1024, 512)));
    assert!(core.poll_marker().is_none(), "said once");
}

#[test]
#[should_panic(expected = "not asked for")]
fn a_sync_that_was_not_asked_for_is_a_bug() {
    let mut core = core();
    put(&mut core, 10).expect("taken");
    core.on_synced(Lsn::new(1));
}

#[test]
fn an_append_is_one_group_whatever_waits() {
    let mut core = core();
    for _ in 0..3 {
        put(&mut core, 2500).expect("taken");
    }
    let body = vec![2; 2000];
    let records = vec![Append::new(StreamId::ZERO, Kind::new(2), &body); 4];
    assert_eq!(core.append_all(EPOCH, UnixTime::EPOCH, Space::Ordinary, &records), Ok(Lsn::new(4)));
    assert_eq!(lsns(&turn(&mut core).expect("a group").0), [1, 2, 3]);
    let (commit, rotated) = turn(&mut core).expect("a group");
    assert_eq!((lsns(&commit), rotated), (vec![4, 5, 6, 7], true), "in a segment of its own, which had to begin");
}

#[test]
fn too_much_is_refused() {
    let mut core = core();
    assert_eq!(put(&mut core, RECORD_OCTETS_MAX + 1), Err(Refused::TooLarge));
    assert_eq!(put(&mut core, 12_000), Err(Refused::TooLarge), "larger than a segment of this size");
    put(&mut core, 9000).expect("taken");
    assert_eq!(put(&mut core, 9000), Err(Refused::Busy), "over what may wait");
    turn(&mut core).expect("a group");
    assert_eq!(put(&mut core, 9000), Ok(Lsn::new(2)), "into the spare file");
    turn(&mut core).expect("a group");
    assert_eq!(put(&mut core, 9000), Err(Refused::Busy), "the next spare file is not made yet");
    core.on_spare_failed();
    assert_eq!(put(&mut core, 9000), Err(Refused::NoSpace));
    core.on_spare_ready();
    assert_eq!(put(&mut core, 9000), Ok(Lsn::new(3)), "refusals took no number");
}

#[test]
fn below_the_mark_only_the_reserve_is_used() {
    let mut core = core();
    core.on_free_bytes(99);
    assert_eq!(put(&mut core, 1), Err(Refused::NoSpace));
    let record = [Append::new(StreamId::ZERO, Kind::new(9), b"expunge")];
    assert_eq!(core.append_all(EPOCH, UnixTime::EPOCH, Space::Reserve, &record), Ok(FIRST));
}

#[test]
fn an_older_epoch_is_refused_and_a_newer_one_begins_a_group() {
    let mut core = core();
    put(&mut core, 1).expect("taken");
    let record = [Append::new(StreamId::ZERO, Kind::new(9), b"x")];
    core.append_all(Epoch::new(8), UnixTime::EPOCH, Space::Ordinary, &record).expect("taken");
    assert_eq!(put(&mut core, 1), Err(Refused::StaleEpoch { current: Epoch::new(8) }));
    assert_eq!(lsns(&turn(&mut core).expect("a group").0), [1]);
    assert_eq!(lsns(&turn(&mut core).expect("a group").0), [2]);
}

#[test]
fn time_never_goes_back() {
    let mut core = core();
    for now in [5, 9, 3, 10] {
        core.append(EPOCH, UnixTime::from_secs(now), StreamId::ZERO, Kind::new(9), b"").expect("taken");
    }
    let (commit, _) = turn(&mut core).expect("a group");
    let times: Vec<i64> = commit.records().map(|record| record.time.secs()).collect();
    assert_eq!(times, [5, 9, 9, 10]);
}

#[test]
fn midnight_begins_a_segment_with_the_first_record_after_it() {
    let mut core = core();
    let at = |core: &mut Core, now| {
        core.append(EPOCH, UnixTime::from_secs(now), StreamId::ZERO, Kind::new(9), b"x").expect("taken");
    };
    core.rotate_at(UnixTime::from_secs(50));
    at(&mut core, 60);
    assert!(!turn(&mut core).expect("a group").1, "an empty segment is not ended");
    core.rotate_at(UnixTime::from_secs(100));
    at(&mut core, 99);
    at(&mut core, 100);
    at(&mut core, 101);
    assert_eq!(turn(&mut core).map(|(commit, rotated)| (lsns(&commit), rotated)), Some((vec![1 + 1], false)));
    assert_eq!(turn(&mut core).map(|(commit, rotated)| (lsns(&commit), rotated)), Some((vec![3, 4], true)));
    assert_eq!(core.current_first(), Lsn::new(3));
    // Without a spare file midnight waits.
    core.rotate_at(UnixTime::from_secs(200));
    at(&mut core, 200);
    assert!(!turn(&mut core).expect("a group").1);
    core.on_spare_ready();
    at(&mut core, 201);
    assert!(turn(&mut core).expect("a group").1);
}

#[test]
fn poison_is_for_good() {
    let mut core = core();
    put(&mut core, 1).expect("taken");
    assert!(matches!(core.poll(), Some(Effect::Write { .. })));
    core.poison();
    assert!(core.poll().is_none() && core.poll_marker().is_none() && core.is_poisoned());
    assert_eq!(put(&mut core, 1), Err(Refused::Poisoned));
}

#[test]
fn the_oldest_body_in_use_includes_what_waits() {
    let mut core = core();
    let chunk = [Append::chunk(Some(Lsn::new(7)), b"more")];
    core.append_all(EPOCH, UnixTime::EPOCH, Space::Ordinary, &chunk).expect("taken");
    assert_eq!(core.oldest_body(), Some(Lsn::new(7)));
    turn(&mut core).expect("a group");
    let record = [Append::new(StreamId::ZERO, Kind::new(2), b"").refs_body(Lsn::new(3))];
    core.append_all(EPOCH, UnixTime::EPOCH, Space::Ordinary, &record).expect("taken");
    assert_eq!(core.oldest_body(), Some(Lsn::new(3)));
    assert_eq!(core.seal().expect("it has records").footer.oldest_body, Some(Lsn::new(7)), "as written so far");
}

const EPOCH: Epoch = Epoch::new(1);
const FIRST: Lsn = Lsn::new(1);
