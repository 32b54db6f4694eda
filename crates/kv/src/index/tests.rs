//! The suite, and files that are not as redb left them.

#![allow(clippy::disallowed_methods, reason = "tests damage files behind the driver's back")]

use super::*;
use mailbox::Index;
use proptest::prelude::*;
use std::fs;
use tempfile::TempDir;

const CACHE_OCTETS: usize = 4 << 20;

fn open(path: &Path) -> (RedbIndex, Opened) {
    RedbIndex::open(path, CACHE_OCTETS).expect("a sound file opens")
}

/// A file with some rows in it.
fn filled(directory: &TempDir) -> std::path::PathBuf {
    let path = directory.path().join("shard");
    let (index, opened) = open(&path);
    assert_eq!(opened, Opened::New);
    for round in 0..3u32 {
        let keys: Vec<[u8; 8]> = (0..400u64).map(|n| (n * 3 + u64::from(round)).to_be_bytes()).collect();
        let mut changes = keys.iter().map(|key| (&key[..], Some(&b"a value of some octets"[..])));
        index.commit(&mut changes, Lsn::new(u64::from(round) + 1)).expect("writable");
    }
    path
}

/// Every way to read a file.
fn read_all(index: &RedbIndex) -> Result<(), IndexError> {
    index.applied()?;
    for n in 0..50u64 {
        index.get(&(n * 24).to_be_bytes())?;
    }
    index.range(b"", &[0xff], Order::Ascending, 1_000)?;
    index.range(b"", &[0xff], Order::Descending, 1_000)?;
    Ok(())
}

#[test]
fn conforms() {
    let directory = TempDir::new().expect("a directory");
    let mut files = 0;
    let mut last = directory.path().join("0");
    mailbox::conformance::suite(|index: Option<RedbIndex>| {
        if index.is_none() {
            files += 1;
            last = directory.path().join(files.to_string());
        }
        drop(index);
        open(&last).0
    });
}

#[test]
fn tells_new_from_existing() {
    let directory = TempDir::new().expect("a directory");
    let path = filled(&directory);
    let (index, opened) = open(&path);
    assert_eq!((opened, index.applied().expect("readable")), (Opened::Existing, Lsn::new(3)));
    let again = RedbIndex::open(&path, CACHE_OCTETS).expect_err("one owner at a time");
    assert!(matches!(again, IndexError::Failed(_)));
    // A crash right after the file was made.
    let empty = directory.path().join("empty");
    fs::write(&empty, b"").expect("writable");
    assert_eq!(open(&empty).1, Opened::New);
}

#[test]
fn another_format_is_refused() {
    let directory = TempDir::new().expect("a directory");
    let path = filled(&directory);
    let (index, _) = open(&path);
    let transaction = index.write().expect("writable");
    transaction.open_table(FACTS).expect("a table").insert(FORMAT, 2).expect("writable");
    transaction.commit().expect("writable");
    drop(index);
    assert!(matches!(RedbIndex::open(&path, CACHE_OCTETS), Err(IndexError::Damaged(_))));
}

#[test]
fn a_file_of_somebody_else_is_damaged() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("shard");
    for octets in [&b"not a database at all"[..], &[0x5a; 9_000], b"redb"] {
        fs::write(&path, octets).expect("writable");
        let error = RedbIndex::open(&path, CACHE_OCTETS).expect_err("not ours");
        assert!(matches!(error, IndexError::Damaged(_)), "{error:?}");
    }
}

#[test]
fn a_database_of_somebody_else_is_left_alone() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("other");
    let other = TableDefinition::<'_, &str, u64>::new("accounts");
    let database = Database::create(&path).expect("a new file");
    let transaction = database.begin_write().expect("writable");
    transaction.open_table(other).expect("a table");
    transaction.commit().expect("writable");
    drop(database);
    assert!(matches!(RedbIndex::open(&path, CACHE_OCTETS), Err(IndexError::Damaged(_))));
    let database = Database::create(&path).expect("as it was");
    let tables = database.begin_read().expect("readable").list_tables().expect("readable").count();
    assert_eq!(tables, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_panics(hits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40), cut in any::<prop::sample::Index>(), cuts in any::<bool>()) {
        let directory = TempDir::new().expect("a directory");
        let path = filled(&directory);
        let mut octets = fs::read(&path).expect("readable");
        for (at, octet) in hits {
            // Most of the file is preallocated: hit what is in use.
            let used = octets.len().min(200_000);
            octets[at.index(used)] = octet;
        }
        if cuts {
            octets.truncate(cut.index(octets.len()));
        }
        fs::write(&path, octets).expect("writable");
        let copy = directory.path().join("copy");
        fs::copy(&path, &copy).expect("writable");
        // Whatever comes of it, it comes as a value.
        if let Ok((index, _)) = RedbIndex::open(&copy, CACHE_OCTETS) {
            if read_all(&index).is_err() {
                index.commit(&mut [].into_iter(), Lsn::new(9)).expect_err("never again");
            }
            // Closing writes to what was not verified.
            std::mem::forget(index);
        }
        // What was verified holds, and is written to.
        if let Ok((index, _)) = RedbIndex::open_verified(&path, CACHE_OCTETS) {
            read_all(&index).expect("every checksum was right");
            index.commit(&mut [(&b"k"[..], Some(&b"v"[..]))].into_iter(), Lsn::new(9)).expect("writable");
        }
    }
}
