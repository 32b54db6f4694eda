//! The text form and the engine over it: what is refused, what is a change, and the reading half of the suite.

use super::*;
use crate::conformance::{Pen, Readable, finish, run_read_only};
use crate::engine::{BoxFuture, Engine, EngineError, Entry, Range, Transaction, Write, ready};
use crate::follow::{Follower, Live, Progress};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const HEADER: &str = r#"{"format":"posthouse-directory","version":1}"#;
const SITE: &str = r#"{"key":"routing/site","value":{"v":1,"login_domain":"a.test"}}"#;

fn read(text: &[u8]) -> Result<Records, FileError> {
    let mut reader = Reader::new();
    text.split_inclusive(|octet| *octet == b'\n').try_for_each(|line| reader.line(line))?;
    reader.finish()
}

/// What is said of a file that is refused.
fn refusal(lines: &[&str]) -> String {
    match read(lines.join("\n").as_bytes()) {
        Ok(records) => format!("taken, {} records", records.len()),
        Err(error) => format!("{}: {error}", error.line),
    }
}

fn entry(key: &str, value: &str) -> Entry {
    Entry { key: key.into(), value: value.into(), revision: Revision::ZERO }
}

fn account(number: usize) -> Entry {
    let value =
        format!(r#"{{"v":1,"address":"u{number:07}@a.test","id":"{number:032x}","state":"active","created":0}}"#);
    entry(&format!("routing/account/a.test/u{number:07}"), &value)
}

fn file(entries: &[Entry]) -> Records {
    read(&encode(entries, Secrets::Included).expect("JSON")).expect("a file of ours")
}

/// Writes the file anew for every transaction.
struct FilePen {
    engine: FileEngine,
    entries: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Pen for FilePen {
    fn write(&self, transaction: Transaction) -> BoxFuture<'_, Revision> {
        let mut entries = self.entries.lock().expect("no test panics in here");
        for write in transaction.writes {
            match write {
                Write::Put { key, value, .. } => drop(entries.insert(key, value)),
                Write::Delete { key } => drop(entries.remove(&key)),
            }
        }
        let list: Vec<Entry> = entries
            .iter()
            .map(|(key, value)| Entry { key: key.clone(), value: value.clone(), revision: Revision::ZERO })
            .collect();
        ready(self.engine.replace(file(&list)).revision)
    }
}

#[test]
fn the_reading_half_conforms() {
    finish(run_read_only(&mut || {
        let engine = FileEngine::new("a test", Records::default());
        let pen = FilePen { engine: engine.clone(), entries: Mutex::default() };
        Readable { engine: Arc::new(engine), pen: Box::new(pen) }
    }));
}

#[test]
fn a_refusal_names_the_line() {
    let end = r#"{"records":1}"#;
    let wrong_key = r#"{"key":"routing/domain/b.test","value":{"v":1,"name":"a.test"}}"#;
    let no_hash = r#"{"key":"secret/a.test/ann","value":{"v":1,"address":"ann@a.test","passwords":"{PLAIN}s3cret"}}"#;
    let hash = r#"{"key":"secret/a.test/ann","value":{"v":1,"address":"ann@a.test","passwords":["{PLAIN}x"]}}"#;
    let bare = r#"{"format":"posthouse-directory","version":1,"secrets":false}"#;
    for (lines, said) in [
        (&[HEADER, SITE, end][..], "taken, 1 records"),
        (&["# made by a tool", "", HEADER, SITE, "\t# half way", end, "# nothing more"], "taken, 1 records"),
        (&[], "0: the file is empty"),
        (&[SITE], "1: the file does not begin with {\"format\":\"posthouse-directory\",\"version\":1}"),
        (
            &[r#"{"format":"x","version":1}"#],
            "1: the file does not begin with {\"format\":\"posthouse-directory\",\"version\":1}",
        ),
        (
            &[r#"{"format":"posthouse-directory","version":2,"new":1}"#],
            "1: version 2 is of a later release; this one reads up to 1",
        ),
        (&[HEADER, SITE], "2: the file ends without {\"records\":…}: it is cut off"),
        (&[HEADER, &SITE[..40]], "2: column 40: EOF while parsing a string"),
        (&[HEADER, SITE, r#"{"records":2}"#], "3: the file has 1 records, not 2"),
        (&[HEADER, SITE, end, SITE], "4: there is more after the end"),
        (&[HEADER, SITE, "# between", SITE, r#"{"records":2}"#], "4: the key routing/site is already on line 2"),
        (&[HEADER, wrong_key, end], "2: routing/domain/b.test: key: the value belongs to another key"),
        (&[HEADER, no_hash, end], "2: secret/a.test/ann: the value is no secret record"),
        (&[HEADER, hash, end], "taken, 1 records"),
        (&[bare, hash, end], "2: a password hash in a file whose header says that it has none"),
        (
            &[HEADER, r#"{"key":"a","value":1,"more":2}"#, end],
            "2: column 27: unknown field `more`, expected `key` or `value`",
        ),
        (&[HEADER, r#"{"key":"","value":1}"#, end], "2: a key has 1 to 1024 octets"),
        (&[HEADER, r#"{"key":"routing/site","value":{"v":9}}"#, end], "taken, 1 records"),
    ] {
        assert_eq!(refusal(lines), said, "{lines:?}");
    }
    let long = "x".repeat(LINE_OCTETS_MAX + 1);
    assert_eq!(refusal(&[HEADER, &long]), "2: the line is too long");
    let mut not_utf8 = HEADER.as_bytes().to_vec();
    not_utf8.extend_from_slice(b"\n\xff\n");
    assert_eq!(read(&not_utf8).expect_err("refused").line, 2);
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let whole = encode(&[entry("routing/site", r#"{"v":1}"#), account(1)], Secrets::Included).expect("JSON");
    // Without the last line's end it is whole.
    for length in 0..whole.len() - 1 {
        assert!(read(&whole[..length]).is_err(), "cut after {length} octets");
    }
    assert_eq!(read(&whole[..whole.len() - 1]).expect("whole").len(), 2);
}

#[test]
fn keys_of_no_known_kind_are_told() {
    let records = file(&[entry("routing/acount/a.test/ann", "{}"), entry("routing/later/x", "{}")]);
    let strange = Strange { count: 2, key: "routing/acount/a.test/ann".into(), line: 2 };
    assert_eq!((records.len(), records.strange()), (2, Some(&strange)));
}

#[test]
fn a_file_without_hashes_says_of_nobody_that_he_has_none() {
    let hash = entry("secret/a.test/ann", r#"{"v":1,"address":"ann@a.test","passwords":["{PLAIN}x"]}"#);
    let without = encode(&[account(1), hash.clone()], Secrets::LeftOut).expect("JSON");
    let engine = FileEngine::new("/etc/file", read(&without).expect("a file"));
    assert!(matches!(finish(engine.get("secret/a.test/ann")), Err(EngineError::Unavailable { .. })));
    let range = Range { prefix: "secret/", after: None, limit: 9 };
    assert!(matches!(finish(engine.range(range)), Err(EngineError::Unavailable { .. })));
    assert_eq!(finish(engine.range(Range { prefix: "", ..range })).expect("the rest").entries.len(), 1);
    engine.replace(file(&[account(1), hash.clone()]));
    assert_eq!(finish(engine.get(&hash.key)).expect("answers").expect("is there").value, hash.value);
    assert_eq!(finish(engine.get("secret/a.test/bob")).expect("answers"), None);
}

#[test]
fn equal_content_is_no_change_and_a_follower_takes_what_differs() {
    let engine = FileEngine::new("a test", file(&[account(1), account(2)]));
    let live = Arc::new(Live::new());
    let mut follower = Follower::new(Arc::new(engine.clone()), live.clone());
    assert!(matches!(finish(follower.step()), Ok(Progress::Loaded { entries: 2, .. })));
    let before = engine.replace(file(&[account(2), account(1)]));
    assert_eq!((before.changes, before.revision), (0, Revision::new(1)), "the order of lines is no content");
    let after = engine.replace(file(&[account(2), account(3)]));
    assert_eq!((after.changes, after.revision), (2, Revision::new(2)));
    assert!(matches!(finish(follower.step()), Ok(Progress::Changed { changes: 2, .. })));
    assert_eq!(live.routing().revision(), Some(Revision::new(2)));
    // So much at once that it is read anew.
    let many: Vec<Entry> = (0..20_001).map(account).collect();
    assert_eq!(engine.replace(file(&many)).changes, 19_999);
    assert!(matches!(finish(follower.step()), Ok(Progress::Changed { changes: 19_999, .. })));
    assert_eq!(engine.replace(Records::default()).changes, 20_001);
    assert!(matches!(finish(follower.step()), Ok(Progress::Loaded { entries: 0, .. })));
    engine.replace(file(&many[..5]));
    assert!(matches!(finish(follower.step()), Ok(Progress::Changed { changes: 5, .. })));
}

#[test]
fn the_first_records_are_new_however_many_they_are() {
    let many: Vec<Entry> = (0..20_001).map(account).collect();
    for count in [20_000, 20_001] {
        let engine = FileEngine::new("a test", Records::default());
        let live = Arc::new(Live::new());
        let mut follower = Follower::new(Arc::new(engine.clone()), live.clone());
        assert!(matches!(finish(follower.step()), Ok(Progress::Loaded { entries: 0, .. })));
        let replaced = engine.replace(file(&many[..count]));
        assert_eq!((replaced.changes, replaced.revision), (count, Revision::new(2)));
        let found = finish(engine.get(&many[7].key)).expect("answers").expect("is there");
        assert_eq!(found.revision, Revision::new(2));
        assert!(finish(follower.step()).is_ok());
        assert!(live.routing().same_records(&crate::Routing::load(&many[..count], Revision::new(2))));
    }
}

#[test]
fn a_value_that_cannot_be_read_is_not_written() {
    let error = encode(&[entry("routing/site", "{\"v\":1")], Secrets::Included).expect_err("no JSON");
    assert_eq!(error.key, "routing/site");
    let other = entry("routing/domain/a.test", r#"{"v":1,"name":"b.test"}"#);
    assert_eq!(encode(&[other], Secrets::Included).expect_err("another's").key, "routing/domain/a.test");
    let pretty = encode(&[entry("routing/site", "{\n\"v\":1}")], Secrets::Included).expect("JSON");
    assert_eq!(read(&pretty).expect("one line").len(), 1);
}

proptest! {
    /// Octet for octet what an engine keeps, and the engine over it finds each.
    #[test]
    fn what_is_encoded_is_read(keys in proptest::collection::btree_set("[\\PC\u{0}\"\\\\]{1,20}", 0..20), number in any::<i64>()) {
        let entries: Vec<Entry> = keys.iter().map(|key| entry(key, &format!("{{\"n\":{number}}}"))).collect();
        let engine = FileEngine::new("a test", file(&entries));
        for entry in &entries {
            let found = finish(engine.get(&entry.key)).expect("answers").expect("is there");
            prop_assert_eq!((&found.key, &found.value), (&entry.key, &entry.value));
        }
        let page = finish(engine.range(Range { prefix: "", after: None, limit: 100 })).expect("a page");
        prop_assert_eq!(page.entries.len(), entries.len());
    }

    #[test]
    fn lines_of_any_octets_never_panic(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..6)) {
        let mut reader = Reader::new();
        let _ = lines.iter().try_for_each(|line| reader.line(line));
        let _ = reader.finish();
    }
}
