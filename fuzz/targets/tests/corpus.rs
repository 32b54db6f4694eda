//! Replays `fuzz/corpus` on every target, and mutations of it that a seed decides.
#![allow(clippy::disallowed_methods, clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use fuzz_targets::{TARGETS, Target, seeds};
use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

/// The files of a target by name, in order.
fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = corpus().join(target);
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{target} has no corpus: {}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Runs a target; says how it failed, with the input in a form that can be pasted.
fn run(name: &str, what: &str, target: Target, data: &[u8]) -> Result<(), String> {
    catch_unwind(|| target(data)).map_err(|_| format!("{name}, {what}: b\"{}\"", data.escape_ascii()))
}

#[test]
fn every_file_holds() {
    let mut failures = Vec::new();
    for (name, target) in TARGETS {
        let files = files(name);
        assert!(files.len() >= 5, "{name} has {} files", files.len());
        failures.extend(files.iter().filter_map(|(file, data)| run(name, file, *target, data).err()));
        failures.extend(run(name, "nothing", *target, b"").err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// In two halves, which libtest runs side by side.
#[test]
fn mutations_hold() {
    mutate_each(0);
}

#[test]
fn mutations_of_the_other_half_hold() {
    mutate_each(1);
}

fn mutate_each(half: usize) {
    let targets = TARGETS.iter().skip(half).step_by(2);
    let failures: Vec<String> = targets.filter_map(|(name, target)| mutate(name, *target).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The first failure of a target says enough.
fn mutate(name: &str, target: Target) -> Result<(), String> {
    let files: Vec<Vec<u8>> = files(name).into_iter().map(|(_, data)| data).collect();
    let mut chance = Chance::new(name);
    for round in 0..MUTATION_COUNT {
        let data = chance.mutant(&files);
        run(name, &format!("mutation {round}"), target, &data)?;
    }
    Ok(())
}

#[test]
fn the_binary_files_are_as_the_seeds_say() {
    for (target, name, octets) in seeds::seeds() {
        let file = std::fs::read(corpus().join(target).join(&name));
        assert_eq!(file.ok(), Some(octets), "{target}/{name}: cargo run -p fuzz-targets --example seeds");
    }
}

/// A target without a binary is one that nobody fuzzes; a folder without a target is one that nobody replays.
#[test]
fn table_corpus_and_binaries_agree() {
    let table: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let names = |folder: PathBuf| -> BTreeSet<String> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names(corpus()), table);
    assert_eq!(names(corpus().join("../fuzz_targets")), table);
    let manifest = std::fs::read_to_string(corpus().join("../Cargo.toml")).unwrap();
    for name in &table {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is no binary");
        let binary = std::fs::read_to_string(corpus().join(format!("../fuzz_targets/{name}.rs"))).unwrap();
        assert!(binary.contains(&format!("fuzz_targets::{name}(data)")), "{name} calls something else");
    }
    assert!(TARGETS.is_sorted_by_key(|(name, _)| *name));
}

/// All chance of a target's run, from its name.
struct Chance(u64);

impl Chance {
    fn new(seed: &str) -> Self {
        Self(seed.bytes().fold(0x706f_7374, |state, octet| (state ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)))
    }

    /// A linear congruential generator (Knuth's MMIX); its high half is the better one.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    fn octet(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }

    /// One of the files after one to four changes.
    fn mutant(&mut self, files: &[Vec<u8>]) -> Vec<u8> {
        let mut data = self.pick(files).clone();
        for _ in 0..=self.below(4) {
            let other = self.pick(files).clone();
            self.change(&mut data, &other);
        }
        data.truncate(MUTANT_OCTETS_MAX);
        data
    }

    fn change(&mut self, data: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(data.len() + 1);
        let to = (at + self.below(16)).min(data.len());
        match self.below(8) {
            0 => data.truncate(at),
            1 => drop(data.drain(at..to)),
            2 => data.splice(at..at, self.pick(WORDS).iter().copied()).for_each(drop),
            3 => data.insert(at, self.octet()),
            4 => {
                // The beginning of one and the end of another.
                data.truncate(at);
                data.extend_from_slice(&other[self.below(other.len() + 1)..]);
            }
            5 => {
                let from = self.below(other.len() + 1);
                let end = (from + self.below(40)).min(other.len());
                data.splice(at..at, other[from..end].iter().copied()).for_each(drop);
            }
            6 => data[at..to].iter_mut().for_each(|octet| *octet = octet.wrapping_add(1)),
            _ => {
                let bit = 1 << self.below(8);
                data[at..].iter_mut().take(1).for_each(|octet| *octet ^= bit);
            }
        }
    }
}

/// What matters to one decoder or another.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b".",
    b"\r\n.\r\n",
    b"\n.\n",
    b"{3}\r\n",
    b"{3+}\r\n",
    b"{0}\r\n",
    b"~{1}\r\n",
    b"\"",
    b"\\",
    b"(",
    b")",
    b"<",
    b">",
    b"@",
    b":",
    b"*",
    b"=",
    b"&-",
    b"&",
    b"--",
    b" ",
    b"\t",
    b"\xff",
    b"\xc3\xb6",
    b"\xe2\x84\xaa",
    b"4294967296",
    b"18446744073709551616",
    b"0",
    b"BDAT 3 LAST\r\n",
    b"RSET\r\n",
    b"QUIT\r\n",
    b"a NOOP\r\n",
    b"DONE\r\n",
    b"=?utf-8?q?",
    b"?=",
];

/// For each target; all of them take some seconds in the dev profile.
const MUTATION_COUNT: usize = 2_000;
/// Of one mutant: longer ones find nothing more, and take longer.
const MUTANT_OCTETS_MAX: usize = 12 << 10;
