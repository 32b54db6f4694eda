//! How many records a second the journal takes on this machine's disk: `cargo run --release -p disk --example
//! journal_throughput [DIR] [SECONDS]`. Several threads append 4.2 kB each time and wait in batches, one thread
//! writes. Prints records, groups and octets a second.

#![allow(clippy::disallowed_methods, reason = "it measures, so it reads the clock")]

use disk::RealDisk;
use journal::{Append, Config, Kind, Refused, Start, StreamId, Turn, open};
use mail_types::{Epoch, Lsn, UnixTime};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let root = dir.join("journal-throughput");
    std::fs::create_dir_all(&root)?;
    let config = Config { low_water_octets: 0, ..Config::default() };
    let start = Start { epoch: Epoch::new(1), now: UnixTime::EPOCH, seed: 1, applied: Lsn::ZERO };
    let (journal, mut writer) = open(Arc::new(RealDisk::open_locked(&root)?), &config, &start)?;
    let (began, before) = (Instant::now(), journal.last_lsn());
    let (mut groups, mut octets) = (0u64, 0u64);
    std::thread::scope(|scope| -> Result<(), journal::Failed> {
        for thread in 0..APPENDERS {
            let journal = journal.clone();
            scope.spawn(move || {
                let body = vec![b'x'; 4200];
                while began.elapsed() < Duration::from_secs(seconds) {
                    let mut last = Lsn::ZERO;
                    for _ in 0..BATCH {
                        match journal.append(
                            Epoch::new(1),
                            UnixTime::EPOCH,
                            Append::new(StreamId::new(thread), Kind::new(2), &body),
                        ) {
                            Ok(lsn) => last = lsn,
                            Err(Refused::Busy) => break,
                            Err(refused) => return eprintln!("{refused}"),
                        }
                    }
                    if journal.wait(last).is_err() {
                        return;
                    }
                }
                journal.close();
            });
        }
        while let Turn::Committed(commit) = writer.turn()? {
            groups += 1;
            octets += commit.records().map(|record| u64::from(record.location.octets())).sum::<u64>();
        }
        Ok(())
    })?;
    let elapsed = began.elapsed().as_secs_f64();
    let records = journal.last_lsn().number() - before.number();
    #[allow(clippy::cast_precision_loss, reason = "rates for people")]
    let rate = |count: u64| count as f64 / elapsed;
    println!("{:.0} records/s in {:.0} groups/s, {:.1} MB/s", rate(records), rate(groups), rate(octets) / 1e6);
    drop(writer);
    Ok(std::fs::remove_dir_all(&root)?)
}

const APPENDERS: u64 = 4;
/// As many deliveries as wait for one sync.
const BATCH: u64 = 32;
