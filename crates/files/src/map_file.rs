//! A map that operators edit where it is: aliases, user maps and the like.

use crate::error::ReadError;
use crate::stamp::{self, Stamp};
use directory::import::with_includes;
use directory::overlay::{LiveMap, MapKind, MapNames};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

/// A map's file, and what was last seen of it.
pub struct MapFile {
    source: MapSource,
    /// What was read, good or bad, and against which names.
    read: Seen,
    names: Option<MapNames>,
    /// What differs from that, as of the last look.
    changing: Option<(Seen, MapNames)>,
    /// Why it could not be read, if it could not.
    away: Option<io::ErrorKind>,
    /// Whether the last map had anything in it.
    had_entries: bool,
    /// For how many looks it has been at rest without an end of its last line.
    unended: u8,
}

/// Who wants it to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Nobody: it has changed.
    No,
    /// Nobody, but it has been as it is for long.
    Long,
    /// An operator, or the start.
    Yes,
}

/// Where a map is, and how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapSource {
    /// The file.
    pub path: PathBuf,
    /// How it is written.
    pub kind: MapKind,
}

/// What a look found.
#[derive(Debug)]
pub enum MapLook {
    /// Nothing new: neither a map nor trouble.
    Same,
    /// Another map.
    Read(LiveMap),
    /// A map that cannot be taken, or none: the last one stays.
    Kept(ReadError),
}

/// The map and the lists that it includes, as they were: `None` is one that could not be opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen(Vec<(PathBuf, Option<Stamp>)>);

impl MapFile {
    /// A map that was not read yet.
    pub fn new(source: MapSource) -> Self {
        let read = Seen(vec![(source.path.clone(), None)]);
        Self { source, read, names: None, changing: None, away: None, had_entries: false, unended: 0 }
    }

    /// Where it is.
    pub fn source(&self) -> &MapSource {
        &self.source
    }

    /// Reads the map if it, a list that it includes, or the names are others than those of the last reading, and have
    /// been so since the last look. Takes as long as that does: seconds for a million lines.
    pub fn look(&mut self, names: &MapNames) -> MapLook {
        let now = (self.read.again(), names.clone());
        if now.0 == self.read && Some(&now.1) == self.names.as_ref() && self.away.is_none() {
            self.changing = None;
            return MapLook::Same;
        }
        if self.changing.replace(now) != self.changing {
            self.unended = 0;
            return MapLook::Same;
        }
        match self.unended {
            // It has come to rest. Where its last line has no end, somebody writes it with pauses, perhaps.
            0 => self.read(names, Asked::No),
            1..UNENDED_LOOKS => {
                self.unended += 1;
                MapLook::Same
            }
            UNENDED_LOOKS.. => self.read(names, Asked::Long),
        }
    }

    /// Reads the map whether it seems to be another or not.
    pub fn read_again(&mut self, names: &MapNames) -> MapLook {
        self.read(names, Asked::Yes)
    }

    fn read(&mut self, names: &MapNames, asked: Asked) -> MapLook {
        let (read, octets) = self.source.octets();
        let octets = match octets {
            Ok(octets) => octets,
            Err(error) => return self.unreadable(error),
        };
        let now = read.again();
        if now != read {
            // Written to while it was read: half of each, perhaps.
            self.changing = Some((now, names.clone()));
            return MapLook::Same;
        }
        if asked == Asked::No && octets.last().is_some_and(|last| *last != b'\n') {
            self.unended = 1;
            return MapLook::Same;
        }
        let threads = threads(self.names.is_some());
        (self.read, self.names, self.changing, self.away) = (read, Some(names.clone()), None, None);
        self.unended = 0;
        match self.source.parse(&octets, names, threads) {
            // `command > map` empties it before the command has said anything.
            Ok(map) if map.is_empty() && self.had_entries && asked != Asked::Yes => {
                MapLook::Kept(ReadError::Emptied { path: self.source.path.clone() })
            }
            Ok(map) => {
                self.had_entries = !map.is_empty();
                MapLook::Read(map)
            }
            Err(error) => MapLook::Kept(error),
        }
    }

    /// Asked again at each look, and told once.
    fn unreadable(&mut self, source: io::Error) -> MapLook {
        match self.away.replace(source.kind()) == self.away {
            true => MapLook::Same,
            false => MapLook::Kept(ReadError::Unreadable { path: self.source.path.clone(), source }),
        }
    }
}

impl MapSource {
    /// The map with its lists in it. What was seen is of before it was read, so that later writes show.
    fn octets(&self) -> (Seen, io::Result<Vec<u8>>) {
        let mut seen = Seen::default();
        let octets = seen.read(&self.path, MAP_OCTETS_MAX).map(|octets| match self.kind {
            MapKind::Aliases => {
                let folder = self.path.parent().unwrap_or(Path::new(""));
                // One that is not read stays as it is written, and its line is a bad one.
                with_includes(&octets, &mut |list| seen.read(&folder.join(list), LIST_OCTETS_MAX).ok())
            }
            MapKind::PasswdFile
            | MapKind::Popmap
            | MapKind::RegexMap
            | MapKind::Transport
            | MapKind::UserMap
            | MapKind::Virtual
            | MapKind::Virtusertable => octets,
        });
        (seen, octets)
    }

    fn parse(&self, octets: &[u8], names: &MapNames, threads: NonZeroUsize) -> Result<LiveMap, ReadError> {
        let shown = self.path.display().to_string();
        LiveMap::read_beside(&shown, self.kind, octets, names, threads)
            .map_err(|error| ReadError::Map { path: self.path.clone(), error })
    }
}

/// How many threads read a map. For the first reading mail waits, so it has every core. Another one has half of them: the
/// map before answers meanwhile, and so long as cores are left over, nobody who logs in waits for one.
fn threads(is_read_again: bool) -> NonZeroUsize {
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    match is_read_again {
        true => NonZeroUsize::new(cores.get() / 2).unwrap_or(NonZeroUsize::MIN),
        false => cores,
    }
}

/// Reads a list that an aliases file includes, for whoever imports the file once; the limits are those of a live map.
pub fn read_list(path: &Path) -> io::Result<Vec<u8>> {
    Seen::default().read(path, LIST_OCTETS_MAX)
}

impl Seen {
    /// The same files as they are now.
    fn again(&self) -> Self {
        // Opened as when it was read: one that may be seen and not read is no file for us, then and now.
        let stamp = |path: &Path| stamp::open(path).ok().map(|(_, about)| Stamp::of(&about));
        Self(self.0.iter().map(|(path, _)| (path.clone(), stamp(path))).collect())
    }

    fn read(&mut self, path: &Path, octets_max: u64) -> io::Result<Vec<u8>> {
        let opened = stamp::open(path);
        self.0.push((path.to_owned(), opened.as_ref().ok().map(|(_, about)| Stamp::of(about))));
        let (file, _) = opened?;
        let mut octets = Vec::new();
        let read = file.take(octets_max.saturating_add(1)).read_to_end(&mut octets)?;
        match u64::try_from(read).is_ok_and(|read| read <= octets_max) {
            true => Ok(octets),
            false => Err(io::Error::other(format!("it is over {} MiB", octets_max >> 20))),
        }
    }
}

/// Looks at a map whose last line has no end before it is taken as it is.
const UNENDED_LOOKS: u8 = 30;
/// Ten million lines.
const MAP_OCTETS_MAX: u64 = 512 << 20;
/// A thousand addresses, which is what an alias may lead to, many times over.
const LIST_OCTETS_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests;
