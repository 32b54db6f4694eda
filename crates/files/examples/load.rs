//! How long a directory file of so many accounts takes: `cargo run --release -p files --example load 1000000`.
#![expect(clippy::disallowed_methods, reason = "a measurement: it owns files and time")]

use directory::conformance::finish;
use directory::engine::{Entry, Revision};
use directory::file::{Secrets, encode};
use directory::{Follower, Live};
use files::{DirectoryFile, Look};
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let accounts = std::env::args().nth(1).map_or(Ok(100_000), |count| count.parse())?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("directory");
    let write = |first: usize| -> Result<(), Box<dyn Error>> {
        let entries: Vec<Entry> = (first..first + accounts).map(account).collect();
        Ok(std::fs::write(&path, encode(&entries, Secrets::Included)?)?)
    };
    write(0)?;
    let (mut file, taken) = timed("read", || DirectoryFile::open(&path))?;
    let mut follower = Follower::new(Arc::new(file.engine()), Arc::new(Live::new()));
    timed("routing", || finish(follower.step()))?;
    write(1)?;
    let look = timed("read again", || file.look());
    timed("two changes followed", || finish(follower.step()))?;
    println!("{} records; {look:?}", taken.records);
    assert!(matches!(look, Look::Taken(taken) if taken.changes == 2), "one came and one went");
    Ok(())
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    println!("{what}: {} ms", start.elapsed().as_millis());
    done
}

fn account(number: usize) -> Entry {
    let value = format!(
        r#"{{"v":1,"address":"user{number:07}@site.test","id":"{number:032x}","state":"active","created":1800000000}}"#
    );
    let key = format!("routing/account/site.test/user{number:07}");
    Entry { key, value: value.into_bytes(), revision: Revision::ZERO }
}
