//! The simulated disk against plain memory, and what it loses.

#![allow(clippy::disallowed_methods, reason = "drivers may")]

use disk::{Fault, RealDisk, SimDisk};
use journal::disk::{Disk, DiskFile};
use proptest::prelude::*;
use std::io::ErrorKind;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Allocate(u64),
    Punch(u64, u64),
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u64..9000, proptest::collection::vec(any::<u8>(), 0..1500)).prop_map(|(at, bytes)| Step::Write(at, bytes)),
        (0u64..9000).prop_map(Step::SetLen),
        (0u64..9000).prop_map(Step::Allocate),
        (0u64..9000, 0u64..9000).prop_map(|(a, b)| Step::Punch(a.min(b), a.max(b))),
        Just(Step::Sync),
    ]
}

fn take(file: &Arc<dyn DiskFile>, step: &Step) {
    match step {
        Step::Write(at, bytes) => file.write_at(*at, bytes),
        Step::SetLen(len) => file.set_len(*len),
        Step::Allocate(len) => file.allocate(*len),
        Step::Punch(from, to) => file.punch_hole(*from..*to),
        Step::Sync => file.sync_data(),
    }
    .expect("works");
}

fn model(octets: &mut Vec<u8>, step: &Step) {
    let index = |n: u64| usize::try_from(n).expect("small");
    match step {
        Step::Write(at, bytes) if !bytes.is_empty() => {
            octets.resize(octets.len().max(index(*at) + bytes.len()), 0);
            octets.splice(index(*at)..index(*at) + bytes.len(), bytes.iter().copied());
        }
        Step::SetLen(len) => octets.resize(index(*len), 0),
        Step::Allocate(len) => octets.resize(octets.len().max(index(*len)), 0),
        Step::Punch(from, to) => {
            let end = index(*to).min(octets.len());
            octets.iter_mut().take(end).skip(index(*from)).for_each(|octet| *octet = 0);
        }
        Step::Write(..) | Step::Sync => {}
    }
}

fn contents(disk: &dyn Disk) -> Vec<u8> {
    let file = disk.open("f").expect("a file");
    let mut octets = vec![1; usize::try_from(file.len().expect("length")).expect("small") + 10];
    let read = file.read_at(0, &mut octets).expect("reads");
    octets.truncate(read);
    octets
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_disks_read_as_memory_does(steps in proptest::collection::vec(step(), 0..20)) {
        let root = tempfile::tempdir().expect("a directory");
        let disks: [Arc<dyn Disk>; 2] =
            [Arc::new(SimDisk::new(1)), Arc::new(RealDisk::open(root.path()).expect("opens"))];
        for disk in disks {
            let file = disk.create("f").expect("new");
            let mut octets = Vec::new();
            for step in &steps {
                take(&file, step);
                model(&mut octets, step);
                prop_assert_eq!(&contents(&*disk), &octets, "{:?}", disk);
            }
        }
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_only_what_was_written(
        seed: u64,
        before in proptest::collection::vec(step(), 0..8),
        after in proptest::collection::vec((0u64..9000, 1usize..1500), 0..5),
    ) {
        let disk = SimDisk::new(seed);
        let file = disk.create("f").expect("new");
        before.iter().for_each(|step| take(&file, step));
        file.sync_data().expect("syncs");
        disk.sync_dir("").expect("syncs");
        let synced = contents(&disk);
        for (at, octets) in &after {
            file.write_at(*at, &vec![0xee; *octets]).expect("writes");
        }
        let live = contents(&disk);
        disk.crash();
        let left = contents(&disk);
        prop_assert!(left.len() >= synced.len() && left.len() <= live.len());
        for (at, octet) in left.iter().enumerate() {
            let old = synced.get(at).copied().unwrap_or(0);
            prop_assert!(*octet == old || *octet == live[at], "octet {} is neither old nor new", at);
        }
        prop_assert!(file.sync_data().is_err(), "its opener is dead");
    }
}

#[test]
fn crashes_differ_and_do_everything_that_may_happen() {
    let (mut lost, mut kept, mut torn, mut names_lost, mut renames_kept) = (0, 0, 0, 0, 0);
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let file = disk.create("f").expect("new");
        file.allocate(4096).expect("space");
        file.sync_data().expect("syncs");
        disk.sync_dir("").expect("syncs");
        file.write_at(0, &[1; 4096]).expect("writes");
        disk.create("g").expect("new");
        disk.rename("g", "h").expect("renames");
        disk.crash();
        match contents(&disk).iter().filter(|octet| **octet == 1).count() {
            0 => lost += 1,
            4096 => kept += 1,
            part => {
                assert_eq!(part % 512, 0, "a sector is whole or it is not");
                torn += 1;
            }
        }
        let names = disk.list("").expect("lists");
        assert!(!(names.contains(&"g".into()) && names.contains(&"h".into())), "a rename is atomic");
        names_lost += usize::from(names.len() == 1);
        renames_kept += usize::from(names.contains(&"h".into()));
    }
    for count in [lost, kept, torn, names_lost, renames_kept] {
        assert!(count > 10, "{lost} lost, {kept} kept, {torn} torn, {names_lost} without, {renames_kept} with name");
    }
}

#[test]
fn a_file_without_a_durable_name_or_directory_may_be_gone() {
    let gone = (0..50).filter(|seed| {
        let disk = SimDisk::new(*seed);
        disk.create_dir_all("a/b").expect("made");
        disk.create("a/b/f").expect("new").sync_data().expect("syncs");
        disk.sync_dir("a/b").expect("syncs");
        disk.crash();
        disk.open("a/b/f").is_err()
    });
    let gone = gone.count();
    assert!((5..45).contains(&gone), "{gone} of 50");
    let disk = SimDisk::new(1);
    disk.create_dir_all("a/b").expect("made");
    disk.create("a/b/f").expect("new").write_at(0, b"x").expect("writes");
    disk.sync_filesystem().expect("syncs");
    disk.crash();
    assert_eq!(disk.open("a/b/f").expect("there").len().expect("length"), 1);
}

#[test]
fn injected_faults_strike_once_and_a_failed_sync_lies_about_its_pages() {
    let disk = SimDisk::new(5);
    let file = disk.create("f").expect("new");
    file.write_at(0, &[1; 8192]).expect("writes");
    file.sync_data().expect("syncs");
    disk.sync_dir("").expect("syncs");
    disk.inject(Fault::Sync, 0);
    disk.inject(Fault::Write, 1);
    file.write_at(0, &[2; 8192]).expect("the first write works");
    assert_eq!(file.sync_data().expect_err("fails").raw_os_error(), Some(5));
    file.sync_data().expect("says that all is well");
    assert!(contents(&disk).iter().all(|octet| *octet == 2));
    assert!(file.write_at(0, &[3; 512]).is_err());
    file.write_at(0, &[4; 512]).expect("struck once");
    disk.crash();
    assert!(contents(&disk).contains(&1), "it was not");
}

#[test]
fn a_full_disk_says_so() {
    let disk = SimDisk::new(1);
    disk.set_capacity(16 << 10);
    let file = disk.create("f").expect("new");
    file.allocate(8192).expect("space");
    assert_eq!(disk.free_bytes().expect("free"), 8192);
    assert_eq!(file.allocate(32 << 10).expect_err("no space").kind(), ErrorKind::StorageFull);
    file.write_at(0, &[1; 8192]).expect("was reserved");
    file.write_at(8192, &[1; 8192]).expect("the rest");
    assert_eq!(file.write_at(16384, &[1]).expect_err("no space").kind(), ErrorKind::StorageFull);
    file.punch_hole(0..4096).expect("works");
    assert_eq!(disk.free_bytes().expect("free"), 4096);
    file.set_len(4096).expect("works");
    assert_eq!(disk.free_bytes().expect("free"), 16 << 10);
}

#[test]
fn both_disks_answer_alike() {
    let root = tempfile::tempdir().expect("a directory");
    let disks: [Arc<dyn Disk>; 2] = [Arc::new(SimDisk::new(1)), Arc::new(RealDisk::open(root.path()).expect("opens"))];
    for disk in disks {
        assert_eq!(disk.open("f").expect_err("missing").kind(), ErrorKind::NotFound);
        assert_eq!(disk.list("d").expect_err("missing").kind(), ErrorKind::NotFound);
        assert!(disk.create("d/f").is_err());
        disk.create_dir_all("d/e").expect("made");
        disk.create_dir_all("d/e").expect("there");
        let file = disk.create("d/f").expect("new");
        assert_eq!(disk.create("d/f").expect_err("there").kind(), ErrorKind::AlreadyExists);
        file.write_at(3, b"abc").expect("writes");
        assert!(!file.is_empty().expect("length"));
        assert_eq!(file.read_exact_at(0, &mut [0; 7]).expect_err("short").kind(), ErrorKind::UnexpectedEof);
        let mut octets = [9; 6];
        file.read_exact_at(0, &mut octets).expect("reads");
        assert_eq!(&octets, b"\0\0\0abc");
        disk.create("d/g").expect("new");
        disk.rename("d/f", "d/g").expect("replaces");
        assert_eq!(disk.list("d").expect("lists"), ["e", "g"]);
        assert_eq!(disk.list("").expect("lists"), ["d"]);
        assert_eq!(file.len().expect("an open file goes on"), 6);
        assert_eq!(disk.remove("d").expect_err("not empty").kind(), ErrorKind::DirectoryNotEmpty);
        disk.remove("d/e").expect("removes");
        disk.remove("d/g").expect("removes");
        assert_eq!(disk.remove("d/g").expect_err("missing").kind(), ErrorKind::NotFound);
        for path in ["/etc/passwd", "..", "d/../../f", "d//f"] {
            assert_eq!(disk.open(path).expect_err("refused").kind(), ErrorKind::InvalidInput, "{path}");
        }
        disk.sync_dir("d").expect("syncs");
        disk.sync_filesystem().expect("syncs");
        assert!(disk.free_bytes().expect("free") > 0);
    }
}

#[test]
fn a_locked_root_has_one_owner() {
    let root = tempfile::tempdir().expect("a directory");
    let first = RealDisk::open_locked(root.path()).expect("free");
    assert_eq!(RealDisk::open_locked(root.path()).expect_err("taken").kind(), ErrorKind::WouldBlock);
    drop(first);
    RealDisk::open_locked(root.path()).expect("free again");
}
