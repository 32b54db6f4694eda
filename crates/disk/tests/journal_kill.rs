//! A real process writes to a real disk, says which records are durable, and is killed with SIGKILL at some moment.
//! Whatever it said must be there afterwards.
//!
//! The program starts itself: with `JOURNAL_KILL_DIR` in its environment it is the one that is killed.

#![allow(clippy::disallowed_methods, reason = "drivers may")]

use disk::RealDisk;
use journal::{Append, Config, Journal, Kind, Start, StreamId, Turn, Writer, open};
use libtest_mimic::{Arguments, Failed, Trial};
use mail_types::{Epoch, Lsn, UnixTime};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

fn main() -> ExitCode {
    if let Some(dir) = std::env::var_os(DIR) {
        victim(Path::new(&dir));
        return ExitCode::SUCCESS;
    }
    let trial = Trial::test("what_was_said_durable_survives_sigkill", || kill_again_and_again().map_err(Failed::from));
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn kill_again_and_again() -> Result<(), String> {
    let root = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut said = 0;
    for round in 0..8u64 {
        said = run_until(root.path(), 3 + round * round * 7 % 60, said).map_err(|e| e.to_string())?;
        let there = check(root.path());
        if there < said {
            return Err(format!("round {round}: record {said} was durable, the journal ends at {there}"));
        }
    }
    if said < 100 { Err(format!("only {said} records in all")) } else { Ok(()) }
}

/// Starts the victim, reads so many of its lines, kills it by its id, and gives the highest record that it said.
fn run_until(root: &Path, lines: u64, mut said: u64) -> std::io::Result<u64> {
    let program = std::env::current_exe()?;
    let mut child = Command::new(program).env(DIR, root).stdout(Stdio::piped()).spawn()?;
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    for _ in 0..lines {
        line.clear();
        assert!(output.read_line(&mut line)? > 0, "the victim ended by itself");
        said = said.max(line.trim_end().parse().expect("a number"));
    }
    child.kill()?;
    child.wait()?;
    // What it wrote into the pipe before it died counts as said; a line without end does not.
    line.clear();
    while output.read_line(&mut line)? > 0 {
        if let Some(number) = line.strip_suffix('\n') {
            said = said.max(number.parse().expect("a number"));
        }
        line.clear();
    }
    Ok(said)
}

/// Opens the journal, as the next process would, and reads all of it.
fn check(root: &Path) -> u64 {
    let (journal, _writer) = open_in(root);
    let mut expected = Lsn::ZERO.next();
    for record in journal.replay(expected) {
        let record = record.expect("nothing is damaged");
        assert_eq!(record.lsn, expected);
        assert_eq!(record.body, body(record.stream, record.kind.number()), "record {expected}");
        expected = expected.next();
    }
    expected.number() - 1
}

fn open_in(root: &Path) -> (Journal, Writer) {
    let disk = RealDisk::open_locked(root).expect("the process before is dead");
    let config =
        Config { segment_octets: 128 << 10, pending_octets_max: 64 << 10, low_water_octets: 0, ..Config::default() };
    let start = Start { epoch: Epoch::new(1), now: UnixTime::EPOCH, seed: 3, applied: Lsn::ZERO };
    open(Arc::new(disk), &config, &start).expect("opens")
}

/// Appends from several threads until it is killed, and prints each record's number once it is durable.
fn victim(root: &Path) {
    let (journal, mut writer) = open_in(root);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let journal = journal.clone();
            scope.spawn(move || {
                for (n, kind) in (0u64..).zip((2..=200u8).cycle()) {
                    let stream = StreamId::new(thread * 1_000_000 + n);
                    let record = Append::new(stream, Kind::new(kind), body(stream, kind));
                    let lsn = journal.append(Epoch::new(1), UnixTime::EPOCH, record).expect("taken");
                    let proof = journal.wait(lsn).expect("durable");
                    writeln!(std::io::stdout().lock(), "{}", proof.lsn()).expect("somebody reads");
                }
            });
        }
        while let Turn::Committed(_) = writer.turn().expect("the disk works") {}
    });
}

/// A record's octets follow from its stream and kind, so that the checker needs no memory.
fn body(stream: StreamId, kind: u8) -> Vec<u8> {
    let octets = usize::try_from(stream.number() * 37 % 6000).expect("small");
    vec![kind; octets]
}

const DIR: &str = "JOURNAL_KILL_DIR";
