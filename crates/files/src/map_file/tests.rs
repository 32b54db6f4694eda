//! Maps that come, change, are half written and go.

use super::*;
use directory::overlay::MapNames;
use mail_types::Domain;
use tempfile::TempDir;

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As an editor does it: over what is there.
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    fn source(&self) -> MapSource {
        MapSource { path: self.path("aliases"), kind: MapKind::Aliases }
    }

    /// A map that was read once; how many aliases it has.
    fn open(&self) -> (MapFile, usize) {
        let mut file = MapFile::new(self.source());
        match file.read_again(&names(&["site.test"])) {
            MapLook::Read(map) => (file, map.len()),
            other @ (MapLook::Same | MapLook::Kept(_)) => panic!("a good map: {}", self.said(&other)),
        }
    }

    fn said(&self, look: &MapLook) -> String {
        match look {
            MapLook::Same => "same".into(),
            MapLook::Read(map) => format!("{} aliases", map.len()),
            MapLook::Kept(error) => error.to_string().replace(&format!("{}/", self.folder.path().display()), ""),
        }
    }
}

fn names(own: &[&str]) -> MapNames {
    let own = own.iter().map(|name| Domain::parse(name).expect("a domain")).collect();
    MapNames::in_copy(&directory::Routing::default(), own)
}

fn looks<const N: usize>(place: &Place, file: &mut MapFile) -> [String; N] {
    std::array::from_fn(|_| place.said(&file.look(&names(&["site.test"]))))
}

#[test]
fn a_map_is_read_when_it_has_come_to_rest() {
    let place = Place::new();
    place.write("aliases", "root: anna\n");
    let (mut file, count) = place.open();
    assert_eq!(count, 1);
    assert_eq!(looks(&place, &mut file), ["same", "same"]);
    place.write("aliases", "root: anna\nwebmaster: anna\n");
    assert_eq!(looks(&place, &mut file), ["same", "2 aliases", "same"]);
    // Still being written at the next look.
    place.write("aliases", "root: ");
    assert_eq!(looks(&place, &mut file), ["same"]);
    place.write("aliases", "root: bert\n");
    assert_eq!(looks(&place, &mut file), ["same", "1 aliases", "same"]);
}

#[test]
fn an_emptied_map_is_taken_by_a_signal_only() {
    let place = Place::new();
    place.write("aliases", "root: anna\n");
    let (mut file, _) = place.open();
    // As a shell does before the command behind it has said anything.
    place.write("aliases", "");
    let told = "aliases has nothing in it any more; a signal (SIGHUP) takes it so";
    assert_eq!(looks(&place, &mut file), ["same", told, "same"]);
    assert_eq!(place.said(&file.read_again(&names(&["site.test"]))), "0 aliases");
    place.write("aliases", "root: anna\n");
    assert_eq!(looks(&place, &mut file), ["same", "1 aliases", "same"]);
}

#[test]
fn a_line_without_an_end_is_waited_for() {
    let place = Place::new();
    place.write("aliases", "root: anna\n");
    let (mut file, _) = place.open();
    place.write("aliases", "root: anna\nweb");
    assert_eq!(looks(&place, &mut file), ["same", "same", "same", "same"]);
    place.write("aliases", "root: anna\nwebmaster: anna\n");
    assert_eq!(looks(&place, &mut file), ["same", "2 aliases", "same"]);
    // Some people end no last line.
    place.write("aliases", "root: bert");
    let looks: [String; 40] = looks(&place, &mut file);
    let read = looks.iter().position(|look| look != "same").expect("taken in the end");
    assert_eq!((read, looks[read].as_str()), (31, "1 aliases"));
    let (_, at_the_start) = place.open();
    assert_eq!(at_the_start, 1, "nothing is there that could be kept instead");
}

#[test]
fn asked_for_it_is_read_at_once() {
    let place = Place::new();
    place.write("aliases", "root: anna\n");
    let (mut file, _) = place.open();
    place.write("aliases", "root: anna\nwebmaster: anna\n");
    let own = names(&["site.test"]);
    assert_eq!(place.said(&file.read_again(&own)), "2 aliases");
    assert_eq!(place.said(&file.look(&own)), "same");
    assert_eq!(place.said(&file.read_again(&own)), "2 aliases", "a signal is obeyed");
}

#[test]
fn a_list_is_part_of_the_map() {
    let place = Place::new();
    place.write("aliases", "all: :include:members\n");
    let mut early = MapFile::new(place.source());
    let missing = place.said(&early.read_again(&names(&["site.test"])));
    assert!(missing.starts_with("aliases:1: "), "{missing}");
    place.write("members", "anna\nbert\n");
    let (mut file, count) = place.open();
    assert_eq!(count, 1);
    place.write("members", "anna\n");
    assert_eq!(looks(&place, &mut file), ["same", "1 aliases", "same"]);
    // A list that goes is trouble, and no empty list.
    std::fs::remove_file(place.path("members")).expect("removed");
    let [first, second, third] = looks(&place, &mut file);
    assert!(first == "same" && second.starts_with("aliases:1: ") && third == "same", "{second}");
    place.write("members", "anna\n");
    assert_eq!(looks(&place, &mut file), ["same", "1 aliases", "same"]);
}

#[test]
fn trouble_is_told_once() {
    let place = Place::new();
    place.write("aliases", "root: anna\n");
    let (mut file, _) = place.open();
    place.write("aliases", "root: anna\nroot: bert\n");
    let [first, second, third] = looks(&place, &mut file);
    assert!(first == "same" && second.starts_with("aliases:2: ") && third == "same", "{second}");
    std::fs::remove_file(place.path("aliases")).expect("removed");
    assert_eq!(looks(&place, &mut file), ["same", "cannot read aliases", "same", "same"]);
    std::fs::create_dir(place.path("aliases")).expect("a folder in its place");
    assert_eq!(looks(&place, &mut file), ["cannot read aliases", "same"], "another trouble");
    std::fs::remove_dir(place.path("aliases")).expect("removed");
    place.write("aliases", "root: anna\n");
    assert_eq!(looks(&place, &mut file), ["same", "1 aliases", "same"]);
}

#[test]
fn other_names_are_another_reading() {
    let place = Place::new();
    place.write("aliases", "root: anna\n");
    let (mut file, _) = place.open();
    let more = names(&["site.test", "second.test"]);
    assert_eq!(place.said(&file.look(&more)), "same");
    assert_eq!(place.said(&file.look(&more)), "2 aliases", "one in each domain");
    assert_eq!(place.said(&file.look(&more)), "same");
}

#[test]
fn a_map_that_is_not_there_at_first_is_read_when_it_comes() {
    let place = Place::new();
    let mut file = MapFile::new(place.source());
    assert_eq!(place.said(&file.read_again(&names(&["site.test"]))), "cannot read aliases");
    assert_eq!(looks(&place, &mut file), ["same", "same"]);
    place.write("aliases", "root: anna\n");
    assert_eq!(looks(&place, &mut file), ["same", "1 aliases", "same"]);
}

#[test]
fn no_map_is_read_without_end() {
    let place = Place::new();
    let file = std::fs::File::create(place.path("aliases")).expect("made");
    file.set_len(MAP_OCTETS_MAX + 1).expect("a hole");
    let mut seen = Seen::default();
    let error = seen.read(&place.path("aliases"), 1 << 20).expect_err("too long");
    assert_eq!(error.to_string(), "it is over 1 MiB");
}
