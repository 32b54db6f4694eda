//! The directory in a file.

use directory::conformance::finish;
use directory::engine::{Engine, Entry, Range};
use directory::file::{FileEngine, FileError, Reader, Records, Secrets, encode};
use directory::{Follower, Live};
use std::sync::Arc;

/// A file is taken whole or refused with its line; one that is taken is written in a form that reads the same, and
/// routing can be loaded from it. One that lacks its last line is refused.
pub fn directory_file(data: &[u8]) {
    let records = match read(data) {
        Ok(records) => records,
        Err(error) => {
            let lines = data.split_inclusive(|octet| *octet == b'\n').count();
            assert!(error.line <= lines, "line {} of {lines}", error.line);
            return;
        }
    };
    let secrets = records.secrets();
    let count = records.len();
    let engine = FileEngine::new("a test", records);
    let entries = all(&engine);
    assert_eq!(entries.len(), count, "each key once");
    assert!(entries.is_sorted_by(|a, b| a.key < b.key), "in order");
    let written = encode(&entries, secrets).expect("what was read can be written");
    let again = read(&written).expect("what was written can be read");
    assert_eq!(again.secrets(), secrets);
    assert_eq!(all(&FileEngine::new("a test", again)), entries, "octet for octet");
    let end = format!("{{\"records\":{count}}}\n");
    let cut = written.strip_suffix(end.as_bytes()).expect("the end is the last line");
    assert!(read(cut).is_err(), "the end is missing");
    let mut follower = Follower::new(Arc::new(engine), Arc::new(Live::new()));
    assert!(finish(follower.step()).is_ok());
    if secrets == Secrets::LeftOut {
        assert!(!entries.iter().any(|entry| entry.key.starts_with("secret/")));
    }
}

fn read(data: &[u8]) -> Result<Records, FileError> {
    let mut reader = Reader::new();
    data.split_inclusive(|octet| *octet == b'\n').try_for_each(|line| reader.line(line))?;
    reader.finish()
}

fn all(engine: &FileEngine) -> Vec<Entry> {
    finish(engine.range(Range { prefix: "", after: None, limit: usize::MAX })).expect("a page").entries
}
