//! Files that come, change, are cut off and go.

use super::*;
use directory::conformance::finish;
use directory::engine::Engine;
use std::fs::Permissions;
use tempfile::TempDir;

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("directory")
    }

    /// As configuration management does it: beside, then over.
    fn put(&self, text: &str) {
        let beside = self.folder.path().join("new");
        std::fs::write(&beside, text).expect("written");
        std::fs::set_permissions(&beside, Permissions::from_mode(0o600)).expect("ours");
        std::fs::rename(beside, self.path()).expect("renamed");
    }

    /// As `cp` does it.
    fn write_over(&self, text: &str) {
        std::fs::write(self.path(), text).expect("written");
    }
}

/// A file with these keys.
fn file(keys: &[&str]) -> String {
    let header = "{\"format\":\"posthouse-directory\",\"version\":1}\n".to_owned();
    let lines = keys.iter().map(|key| format!("{{\"key\":\"{key}\",\"value\":{{}}}}\n")).collect::<String>();
    format!("{header}{lines}{{\"records\":{}}}\n", keys.len())
}

fn has(file: &DirectoryFile, key: &str) -> bool {
    finish(file.engine().get(key)).expect("answers").is_some()
}

fn said(look: &Look, place: &Place) -> String {
    match look {
        Look::Same => "same".into(),
        Look::Taken(taken) => format!("{} records, {} changes", taken.records, taken.changes),
        Look::Kept(error) => error.to_string().replace(&format!("{}/", place.folder.path().display()), ""),
    }
}

#[test]
fn a_file_is_read_again_when_it_changes_and_kept_when_it_is_bad() {
    let place = Place::new();
    place.put(&file(&["a", "b"]));
    let (mut served, taken) = DirectoryFile::open(&place.path()).expect("a good file");
    assert_eq!((taken.records, taken.changes, taken.exposed), (2, 0, false));
    let mut look = || {
        let look = served.look();
        (said(&look, &place), has(&served, "a"), has(&served, "c"))
    };
    assert_eq!(look(), ("same".into(), true, false));
    place.put(&file(&["b", "c"]));
    assert_eq!(look(), ("2 records, 2 changes".into(), false, true));
    assert_eq!(look(), ("same".into(), false, true));
    // Half of it, then all of it, in place.
    let whole = file(&["a", "b", "c"]);
    place.write_over(&whole[..whole.len() / 2]);
    let (half, ..) = look();
    assert!(half.starts_with("directory:2: column "), "{half}");
    assert_eq!(look(), ("same".into(), false, true), "told once");
    place.write_over(&whole);
    assert_eq!(look(), ("3 records, 1 changes".into(), true, true));
    std::fs::remove_file(place.path()).expect("removed");
    assert_eq!(look(), ("cannot read directory".into(), true, true));
    assert_eq!(look(), ("same".into(), true, true), "told once");
    std::fs::create_dir(place.path()).expect("made");
    assert_eq!(look(), ("cannot read directory".into(), true, true), "another trouble");
    std::fs::remove_dir(place.path()).expect("removed");
    place.put(&whole);
    assert!(matches!(served.look(), Look::Taken(Taken { records: 3, changes: 0, .. })), "back again");
    assert!(matches!(served.read_again(), Look::Taken(Taken { records: 3, changes: 0, .. })), "asked to");
}

#[test]
fn a_bad_file_is_an_error_at_the_start() {
    let place = Place::new();
    let refusal = || DirectoryFile::open(&place.path()).err().expect("refused").to_string();
    assert_eq!(refusal(), format!("cannot read {}", place.path().display()));
    place.put("{}\n");
    assert!(refusal().starts_with(&format!("{}:1: the file does not begin with", place.path().display())));
}

#[test]
fn hashes_that_everybody_may_read_are_told() {
    let place = Place::new();
    place.put(&file(&["a"]));
    std::fs::set_permissions(place.path(), Permissions::from_mode(0o644)).expect("ours");
    let (mut served, taken) = DirectoryFile::open(&place.path()).expect("a good file");
    assert!(taken.exposed);
    place.put(&file(&["a"]).replace("\"version\":1", "\"version\":1,\"secrets\":false"));
    std::fs::set_permissions(place.path(), Permissions::from_mode(0o644)).expect("ours");
    assert!(matches!(served.look(), Look::Taken(Taken { exposed: false, .. })));
}

/// A disk or a net that fails says nothing about the file: it is looked at again, and told once.
#[test]
fn what_a_disk_does_not_give_is_asked_for_again() {
    let place = Place::new();
    place.put(&file(&["a"]));
    let (mut served, _) = DirectoryFile::open(&place.path()).expect("a good file");
    // A regular file that opens, and whose first octet cannot be read.
    std::fs::remove_file(place.path()).expect("removed");
    std::os::unix::fs::symlink("/proc/self/mem", place.path()).expect("a link");
    assert_eq!(said(&served.look(), &place), "cannot read directory");
    assert!(matches!(served.seen, Seen::Away(_)), "it would not be looked at again: {:?}", served.seen);
    assert_eq!(said(&served.look(), &place), "same");
    assert!(has(&served, "a"));
    place.put(&file(&["b"]));
    assert_eq!(said(&served.look(), &place), "1 records, 2 changes");
}
