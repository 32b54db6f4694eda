//! The executor with threads, reading back, rotation and purging.

use crate::support::{EPOCH, config, open_on, start};
use disk::{RealDisk, SimDisk};
use journal::disk::Disk;
use journal::{Append, Config, Journal, Kind, Purge, ReadError, Refused, Space, StreamId, Turn, Writer, open};
use mail_types::{Epoch, Lsn, UnixTime};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn many_threads_share_few_syncs_and_keep_their_order() {
    let root = tempfile::tempdir().expect("a directory");
    let disk = RealDisk::open(root.path()).expect("opens");
    let config =
        Config { segment_octets: 1 << 20, pending_octets_max: 1 << 20, low_water_octets: 0, ..Config::default() };
    let (journal, mut writer) = open(Arc::new(disk), &config, &start(1)).expect("opens");
    let (threads, each) = (8u64, 100u64);
    let mut seen = Vec::new();
    let mut groups = 0;
    std::thread::scope(|scope| {
        let appenders: Vec<_> = (0..threads)
            .map(|thread| {
                let journal = journal.clone();
                scope.spawn(move || {
                    for n in 0..each {
                        let record = Append::new(StreamId::new(thread), Kind::new(9), n.to_le_bytes().to_vec());
                        let lsn = journal.append(EPOCH, UnixTime::EPOCH, record).expect("taken");
                        assert!(journal.wait(lsn).expect("durable").lsn() >= lsn);
                    }
                })
            })
            .collect();
        let closer = journal.clone();
        scope.spawn(move || {
            appenders.into_iter().for_each(|thread| thread.join().expect("no panic"));
            closer.close();
        });
        while let Turn::Committed(commit) = writer.turn().expect("the disk works") {
            groups += 1;
            seen.extend(commit.records());
        }
    });
    assert_eq!(seen.len(), 800);
    assert!(seen.iter().zip(1..).all(|(record, lsn)| record.lsn.number() == lsn), "in order, without gap");
    for thread in 0..threads {
        let own: Vec<_> =
            seen.iter().filter(|record| record.stream.number() == thread).map(|r| r.body.to_vec()).collect();
        assert_eq!(own, (0..each).map(|n| n.to_le_bytes().to_vec()).collect::<Vec<_>>());
    }
    assert!(groups < 800, "threads that wait together share a sync: {groups} groups");
    let replayed: Vec<_> = journal.replay(Lsn::ZERO).map(|record| record.expect("whole").body).collect();
    assert_eq!(replayed, seen.into_iter().map(|record| record.body).collect::<Vec<_>>());
}

#[test]
fn replaying_and_purging_go_on_beside_the_writer() {
    let disk = SimDisk::new(2);
    let (journal, mut writer) = open_on(&disk, 1).expect("opens");
    let total = 600;
    std::thread::scope(|scope| {
        let appender = journal.clone();
        scope.spawn(move || {
            while appender.last_lsn().number() < total {
                let record = Append::new(StreamId::ZERO, Kind::new(9), vec![3; 700]);
                match appender.append(EPOCH, UnixTime::EPOCH, record) {
                    Ok(_) => {}
                    Err(Refused::Busy) => drop(appender.wait(appender.last_lsn()).expect("durable")),
                    Err(refused) => panic!("{refused}"),
                }
            }
            appender.close();
        });
        let reader = journal.clone();
        scope.spawn(move || {
            let mut is_last = false;
            while !is_last {
                // Once more behind the last record, so that the round of a reader that came late purges, too.
                is_last = reader.durable().lsn().number() >= total;
                // What is durable when a replay begins is in it, unless it was purged meanwhile.
                let (from, last) = (reader.first_lsn(), reader.durable().lsn());
                let mut next = from;
                for record in reader.replay(from) {
                    match record {
                        Ok(record) => assert_eq!(record.lsn, next),
                        Err(ReadError::Purged(_)) => break,
                        Err(error) => panic!("{error}"),
                    }
                    next = next.next();
                }
                assert!(next > last || reader.first_lsn() > from, "{from} to {last}, ended at {next}");
                let floor = Lsn::new(last.number().saturating_sub(60));
                let older_than = UnixTime::from_secs(1 << 40);
                let purge = Purge { floor, older_than, now: UnixTime::EPOCH, monotonic: Duration::ZERO };
                reader.purge(&purge).expect("the disk works");
            }
        });
        while let Turn::Committed(_) = writer.turn().expect("the disk works") {}
    });
    assert_eq!(journal.durable().lsn().number(), total);
    assert!(journal.first_lsn() > Lsn::new(1), "some was purged");
    disk.crash();
    let (journal, _writer) = open_on(&disk, 1).expect("opens");
    assert_eq!(journal.last_lsn().number(), total);
}

#[test]
fn a_large_body_is_read_back_chunk_by_chunk() {
    let disk = SimDisk::new(1);
    let (journal, mut writer) = open_on(&disk, 1).expect("opens");
    let chunks: Vec<Vec<u8>> = (1..=6u8).map(|n| vec![n; 5000]).collect();
    let mut first = None;
    for chunk in &chunks {
        let lsn = journal.append(EPOCH, UnixTime::EPOCH, Append::chunk(first, chunk)).expect("taken");
        first.get_or_insert(lsn);
        // Other people's records go in between.
        journal.append(EPOCH, UnixTime::EPOCH, Append::new(StreamId::new(5), Kind::new(9), b"x")).expect("taken");
        commit_all(&mut writer);
    }
    let first = first.expect("six chunks");
    let of_body = |record: &journal::Record| {
        record.kind == Kind::BODY && (record.lsn == first || record.stream == StreamId::of_body(first))
    };
    let records: Vec<_> = journal.replay(first).map(|record| record.expect("whole")).filter(of_body).collect();
    let read: Vec<_> = records.iter().map(|record| journal.read(record.location).expect("reads").to_vec()).collect();
    assert_eq!(read, chunks);
    assert!(journal.sealed_segments().len() >= 2, "it lies in several segments");

    let (file, offset) = ("spool/journal/0000000000000001.seg", 4096 + 48 + 40 + 17);
    disk.rot(file, offset, 1).expect("a file");
    assert!(matches!(journal.read(records[0].location), Err(ReadError::Damage(_))));
}

#[test]
fn records_can_name_their_own_number() {
    let disk = SimDisk::new(1);
    let (journal, mut writer) = open_on(&disk, 1).expect("opens");
    journal.append(EPOCH, UnixTime::EPOCH, Append::new(StreamId::ZERO, Kind::new(9), b"before")).expect("taken");
    let first = journal.append_with(EPOCH, UnixTime::EPOCH, Space::Ordinary, |first| {
        let deliver = first.number().to_le_bytes().to_vec();
        vec![Append::chunk(None, b"Subject: hello\r\n"), Append::new(StreamId::new(1), Kind::new(2), deliver)]
    });
    assert_eq!(first, Ok(Lsn::new(2)));
    commit_all(&mut writer);
    let deliver = journal.replay(Lsn::new(3)).next().expect("a record").expect("whole");
    assert_eq!(deliver.body, 2u64.to_le_bytes().to_vec());
}

#[test]
fn who_has_lost_the_right_is_refused() {
    let disk = SimDisk::new(1);
    let append = |journal: &Journal, epoch| {
        journal.append(Epoch::new(epoch), UnixTime::EPOCH, Append::new(StreamId::ZERO, Kind::new(9), b"x"))
    };
    let (journal, mut writer) = open_on(&disk, 1).expect("opens");
    append(&journal, 5).expect("a newer epoch takes over");
    assert_eq!(append(&journal, 4), Err(Refused::StaleEpoch { current: Epoch::new(5) }));
    commit_all(&mut writer);
    disk.crash();
    let reopened = open_on(&disk, 1);
    assert!(matches!(reopened, Err(journal::OpenError::StaleEpoch { current }) if current == Epoch::new(5)));
}

#[test]
fn epoch_and_time_survive_segments_without_records() {
    let disk = SimDisk::new(1);
    let at = |epoch, now| journal::Start { epoch: Epoch::new(epoch), ..start(now) };
    let open = |start| open(Arc::new(disk.clone()), &config(), &start);
    let (journal, mut writer) = open(at(3, 5000)).expect("opens");
    journal
        .append(Epoch::new(3), UnixTime::from_secs(9000), Append::new(StreamId::ZERO, Kind::new(9), b"x"))
        .expect("taken");
    commit_all(&mut writer);
    journal.close();
    assert!(matches!(writer.try_turn(), Ok(Turn::Closed)));
    assert!(open(at(2, 1)).is_err());
    for _ in 0..3 {
        let (journal, mut writer) = open(at(3, 1)).expect("opens");
        journal.append(Epoch::new(3), UnixTime::EPOCH, Append::new(StreamId::ZERO, Kind::new(9), b"y")).expect("taken");
        commit_all(&mut writer);
        let last = journal.replay(journal.last_lsn()).next().expect("a record").expect("whole");
        assert_eq!(last.time, UnixTime::from_secs(9000), "time does not go back");
    }
    assert!(open(at(2, 1)).is_err());
}

#[test]
fn purging_keeps_what_is_young_needed_or_used() {
    let disk = SimDisk::new(1);
    let (journal, mut writer) = open_on(&disk, 1).expect("opens");
    // A segment a day, the fifth of which uses a body of the third.
    for day in 1..=6 {
        let record = Append::new(StreamId::ZERO, Kind::new(9), vec![1; 300]);
        let record = if day == 5 { record.refs_body(Lsn::new(3)) } else { record };
        journal.rotate_at(UnixTime::from_secs(day * 86_400));
        journal.append(EPOCH, UnixTime::from_secs(day * 86_400), record).expect("taken");
        commit_all(&mut writer);
    }
    let purge = |floor, older_than: i64, now, monotonic| {
        journal
            .purge(&Purge {
                floor: Lsn::new(floor),
                older_than: UnixTime::from_secs(older_than * 86_400),
                now: UnixTime::from_secs(now),
                monotonic: Duration::from_secs(monotonic),
            })
            .expect("the disk works")
    };
    assert_eq!(journal.sealed_segments().len(), 5);
    assert_eq!(purge(100, 1, 1000, 0).segments, 0, "all are young");
    assert_eq!(purge(1, 100, 1000, 0).segments, 0, "all are needed");
    let jumped = purge(100, 100, 1000 + 3 * 3600, 60);
    assert!(jumped.suspended && jumped.segments == 0, "the clock has jumped");
    assert_eq!(purge(100, 2, 1060, 60).segments, 1, "the clock is right again, one is old enough");
    assert_eq!(purge(5, 100, 1000, 0).segments, 1, "the third holds a body that the fifth uses");
    assert_eq!(journal.first_lsn(), Lsn::new(3));
    assert!(matches!(journal.replay(Lsn::new(2)).next(), Some(Err(ReadError::Purged(_)))));
    assert_eq!(journal.replay(Lsn::new(3)).filter(Result::is_ok).count(), 4);
    drop(writer);
    disk.crash();
    let (journal, _writer) = open_on(&disk, 1).expect("a purged journal opens");
    assert_eq!((journal.first_lsn(), journal.last_lsn()), (Lsn::new(3), Lsn::new(6)));
}

#[test]
fn a_closed_journal_is_sealed_and_refuses() {
    let disk = SimDisk::new(1);
    let (journal, mut writer) = open_on(&disk, 1).expect("opens");
    let record = || Append::new(StreamId::ZERO, Kind::new(9), b"x");
    let lsn = journal.append(EPOCH, UnixTime::EPOCH, record()).expect("taken");
    journal.close();
    assert_eq!(journal.append(EPOCH, UnixTime::EPOCH, record()), Err(Refused::Closed));
    assert!(matches!(writer.turn(), Ok(Turn::Committed(commit)) if commit.durable().lsn() == lsn));
    assert!(matches!(writer.turn(), Ok(Turn::Closed)));
    assert!(journal.wait(Lsn::new(2)).is_err(), "nobody waits for what cannot come");
    let names = disk.list("spool/journal").expect("lists");
    assert!(names.contains(&"0000000000000001.seg".to_owned()), "{names:?}");
    assert_eq!(
        disk.open("spool/journal/0000000000000001.seg").expect("opens").len().expect("length"),
        4096 + 512 + 512
    );
    // Starts without records leave nothing behind.
    for _ in 0..3 {
        drop(open_on(&disk, 1).expect("opens"));
    }
    assert_eq!(crate::support::files(&disk).len(), 3, "sealed, current, spare");
}

fn commit_all(writer: &mut Writer) {
    while let Turn::Committed(_) = writer.try_turn().expect("the disk works") {}
}
