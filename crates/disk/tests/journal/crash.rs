//! The journal on a disk that loses power, tears writes, fails and rots.

use crate::support::{Dice, EPOCH, Model, config, files, open_on};
use disk::{Fault, SimDisk};
use journal::disk::Disk;
use journal::{Append, Kind, OpenError, ReadError, Refused, Space, StreamId, Turn};
use mail_types::{Lsn, UnixTime};

#[test]
fn power_cut_at_every_operation_and_again_inside_recovery() {
    for seed in 0..4 {
        let uncut = SimDisk::new(seed);
        assert!(Model::default().live(&uncut, &mut Dice(seed), 60));
        let operations = uncut.operations();
        assert!(operations > 80, "the life is too short to say much: {operations}");
        for cut in 0..operations {
            let (disk, mut dice) = (SimDisk::new(seed << 32 | cut), Dice(seed));
            let mut model = Model::default();
            disk.cut_power_after(cut);
            assert!(!model.live(&disk, &mut dice, 60), "the power was to go at {cut}");
            // Again inside recovery, and once more inside the recovery of that.
            for inside in [cut % 17, cut % 13] {
                disk.crash();
                disk.cut_power_after(inside);
                model.live(&disk, &mut dice, 3);
            }
            disk.crash();
            assert!(model.live(&disk, &mut dice, 10));
            disk.crash();
            assert!(model.live(&disk, &mut dice, 1));
        }
    }
}

#[test]
fn power_cut_at_every_operation_of_recovery() {
    // A tail that is whole but not known committed, then every step of moving it to a new segment.
    for cut in 0..40 {
        let (disk, mut dice, mut model) = (SimDisk::new(cut), Dice(5), Model::default());
        assert!(model.live(&disk, &mut dice, 30));
        disk.inject(Fault::Sync, 6);
        assert!(!model.live(&disk, &mut dice, 200), "a sync was to fail");
        disk.kill();
        disk.cut_power_after(cut);
        model.live(&disk, &mut dice, 0);
        disk.crash();
        assert!(model.live(&disk, &mut dice, 2));
    }
}

#[test]
fn many_lives() {
    for seed in 100..160 {
        let (disk, mut dice, mut model) = (SimDisk::new(seed), Dice(seed), Model::default());
        for _ in 0..12 {
            disk.cut_power_after(dice.roll(120));
            model.live(&disk, &mut dice, 30);
            if dice.roll(4) == 0 { disk.kill() } else { disk.crash() }
        }
        assert!(model.live(&disk, &mut dice, 5));
        assert!(!model.durable.is_empty());
    }
}

#[test]
fn a_failed_sync_or_write_poisons_and_what_was_replayed_stays() {
    for (fault, seed) in [(Fault::Sync, 0), (Fault::Write, 1)] {
        for others in 0..40 {
            let (disk, mut dice, mut model) = (SimDisk::new(others), Dice(seed), Model::default());
            disk.inject(fault, others);
            let survived = model.live(&disk, &mut dice, 80);
            assert!(!survived, "fault {fault:?} after {others}");
            // The process starts again: its pages read well although the disk does not have them.
            disk.kill();
            assert!(model.live(&disk, &mut dice, 0));
            // So what recovery has handed out must be there without them.
            disk.crash();
            assert!(model.live(&disk, &mut dice, 5));
        }
    }
}

#[test]
fn a_poisoned_journal_refuses_and_nobody_waits_for_ever() {
    let disk = SimDisk::new(1);
    let (journal, mut writer) = open_on(&disk, 1).expect("opens");
    let record = || Append::new(StreamId::ZERO, Kind::new(9), b"x");
    let lsn = journal.append(EPOCH, UnixTime::EPOCH, record()).expect("taken");
    disk.inject(Fault::Sync, 0);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| journal.wait(lsn));
        assert!(writer.turn().is_err());
        assert!(waiter.join().expect("no panic").is_err());
    });
    assert!(writer.turn().is_err(), "nothing is retried");
    assert_eq!(journal.append(EPOCH, UnixTime::EPOCH, record()), Err(Refused::Poisoned));
    assert_eq!(journal.durable().lsn(), Lsn::ZERO);
}

#[test]
fn rot_below_committed_is_reported_and_never_cut() {
    let (disk, mut dice, mut model) = (SimDisk::new(3), Dice(3), Model::default());
    while files_of(&disk) < 5 {
        assert!(model.live(&disk, &mut dice, 25));
        disk.kill();
    }
    let (mut damaged, mut whole) = (0, 0);
    for (path, len) in files(&disk) {
        for at in (0..len).step_by(61) {
            disk.rot(&path, at, 0x10).expect("a file");
            match verdict(&disk, &mut model) {
                Verdict::Damage => damaged += 1,
                Verdict::Whole => whole += 1,
            }
            disk.rot(&path, at, 0x10).expect("rots back");
        }
    }
    assert!(damaged > 200, "most octets matter: {damaged} damaged, {whole} whole");
}

#[test]
fn rot_in_the_last_group_is_no_torn_write_once_the_journal_was_idle() {
    let disk = SimDisk::new(9);
    let (journal, mut writer) = open_on(&disk, 1).expect("opens");
    journal.append(EPOCH, UnixTime::EPOCH, Append::new(StreamId::ZERO, Kind::new(9), b"hello")).expect("taken");
    let path = "spool/journal/0000000000000001.seg";
    assert!(matches!(writer.try_turn(), Ok(Turn::Committed(_))));
    assert!(matches!(writer.try_turn(), Ok(Turn::Idle)));
    disk.kill();
    disk.rot(path, 4096 + 48 + 41, 4).expect("a file");
    let Err(OpenError::Damage(damage)) = open_on(&disk, 1) else { panic!("an acknowledged record was cut") };
    assert_eq!((damage.file.as_str(), damage.offset, damage.lsn), (path, 4096, Lsn::new(1)));
}

enum Verdict {
    Damage,
    Whole,
}

/// Opens a copy of the journal and reads all of it.
fn verdict(disk: &SimDisk, model: &mut Model) -> Verdict {
    let copy = copy(disk);
    let journal = match open_on(&copy, 1_000_000) {
        Ok((journal, _)) => journal,
        Err(OpenError::Damage(damage)) => {
            assert!(damage.file.ends_with(".seg") && !damage.to_string().is_empty());
            return Verdict::Damage;
        }
        Err(error) => panic!("{error}"),
    };
    for record in journal.replay(Lsn::ZERO) {
        if let Err(error) = record {
            assert!(matches!(error, ReadError::Damage(_)), "{error}");
            return Verdict::Damage;
        }
    }
    assert!(model.check_replay(&journal));
    Verdict::Whole
}

fn copy(disk: &SimDisk) -> SimDisk {
    let copy = SimDisk::new(0);
    copy.create_dir_all("spool/journal").expect("a directory");
    for (path, len) in files(disk) {
        let mut octets = vec![0; usize::try_from(len).expect("small")];
        disk.open(&path).expect("a file").read_exact_at(0, &mut octets).expect("reads");
        copy.create(&path).expect("a file").write_at(0, &octets).expect("writes");
    }
    copy
}

fn files_of(disk: &SimDisk) -> usize {
    disk.list("spool/journal").map_or(0, |names| names.len())
}

#[test]
fn a_missing_segment_is_damage_and_a_missing_end_is_noticed() {
    let (disk, mut dice, mut model) = (SimDisk::new(4), Dice(4), Model::default());
    while files_of(&disk) < 6 {
        assert!(model.live(&disk, &mut dice, 25));
        disk.kill();
    }
    let segments: Vec<String> =
        files(&disk).into_iter().map(|(path, _)| path).filter(|path| path.ends_with(".seg")).collect();
    let without = |path: &str| {
        let copy = copy(&disk);
        copy.remove(path).expect("there");
        copy
    };
    assert!(matches!(open_on(&without(&segments[1]), 1), Err(OpenError::Damage(_))));
    let last = *model.durable.keys().last().expect("records");
    let start = journal::Start { applied: Lsn::new(last), ..crate::support::start(1) };
    let newest_with_records = segments.iter().rev().find(|path| {
        let copy = without(path);
        match journal::open(std::sync::Arc::new(copy), &config(), &start) {
            Ok(_) => false,
            Err(OpenError::EndsEarly { applied, .. }) => {
                assert_eq!(applied, Lsn::new(last));
                true
            }
            Err(error) => panic!("{error}"),
        }
    });
    assert!(newest_with_records.is_some());
}

#[test]
fn leftovers_of_a_crash_are_cleared_away() {
    let (disk, mut dice, mut model) = (SimDisk::new(6), Dice(6), Model::default());
    assert!(model.live(&disk, &mut dice, 20));
    disk.kill();
    let next = model.durable.keys().last().expect("records") + 1;
    // An empty preallocated file with the next segment's name, and a half-made spare.
    let empty = format!("spool/journal/{next:016x}.seg");
    if disk.open(&empty).is_err() {
        disk.create(&empty).expect("new").allocate(16 << 10).expect("space");
    }
    assert!(disk.open("spool/journal/spare.tmp").is_ok(), "the last life left one");
    assert!(model.live(&disk, &mut dice, 20));
    // One with a name further on would mean that records are missing.
    disk.kill();
    let far = format!("spool/journal/{:016x}.seg", next + 5000);
    disk.create(&far).expect("new").allocate(16 << 10).expect("space");
    assert!(matches!(open_on(&disk, 1), Err(OpenError::Damage(_))));
}

#[test]
fn a_full_disk_refuses_before_a_number_is_given() {
    let disk = SimDisk::new(8);
    let limits = journal::Config { low_water_octets: 40 << 10, ..config() };
    disk.set_capacity(160 << 10);
    let (journal, mut writer) =
        journal::open(std::sync::Arc::new(disk.clone()), &limits, &crate::support::start(1)).expect("opens");
    let body = vec![7; 1500];
    let mut append = |space, taken: &mut u64| loop {
        let record = [Append::new(StreamId::ZERO, Kind::new(9), &body)];
        let result = journal.append_all(EPOCH, UnixTime::EPOCH, space, &record);
        match result {
            Ok(_) => *taken += 1,
            Err(Refused::Busy) => {}
            Err(refused) => return refused,
        }
        while let Turn::Committed(_) = writer.try_turn().expect("what has a number has its space") {}
    };
    let (mut ordinary, mut reserve) = (0, 0);
    assert_eq!(append(Space::Ordinary, &mut ordinary), Refused::NoSpace);
    assert_eq!(append(Space::Reserve, &mut reserve), Refused::NoSpace);
    assert!(ordinary > 20 && reserve > 10, "{ordinary} ordinary, {reserve} from the reserve");
    assert_eq!(journal.durable().lsn().number(), ordinary + reserve, "all that were taken are durable");
    // Space comes back: the next append is refused or not by what is free now.
    disk.set_capacity(1 << 20);
    let record = [Append::new(StreamId::ZERO, Kind::new(9), &body)];
    let again = (0..3).find_map(|_| {
        let result = journal.append_all(EPOCH, UnixTime::EPOCH, Space::Ordinary, &record);
        while let Turn::Committed(_) = writer.try_turn().expect("works") {}
        result.ok()
    });
    assert_eq!(again, Some(Lsn::new(ordinary + reserve + 1)));
}

#[test]
fn one_seed_twice_is_one_trace() {
    let run = |seed| {
        let (disk, mut dice, mut model) = (SimDisk::new(seed), Dice(seed), Model::default());
        for _ in 0..4 {
            disk.cut_power_after(dice.roll(100));
            model.live(&disk, &mut dice, 20);
            disk.crash();
        }
        (disk.trace(), disk.operations(), model.durable.len())
    };
    assert_eq!(run(11), run(11));
    assert_ne!(run(11).0, run(12).0);
}
