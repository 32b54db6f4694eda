//! The file of the directory's `file` engine.

use crate::error::ReadError;
use crate::stamp::{self, Stamp};
use directory::file::{FileEngine, FileError, LINE_OCTETS_MAX, Reader, Records, Replaced, Secrets, Strange};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A file, and the engine that serves what was read of it last.
pub struct DirectoryFile {
    path: PathBuf,
    engine: FileEngine,
    seen: Seen,
}

/// What the last look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// This file, good or bad.
    File(Stamp),
    /// Nothing that can be read.
    Away(io::ErrorKind),
}

/// What a look found.
#[derive(Debug)]
pub enum Look {
    /// Nothing new: neither a file nor trouble.
    Same,
    /// Another file, which is served now.
    Taken(Taken),
    /// A file that cannot be taken, or none: what was served is.
    Kept(ReadError),
}

/// A file that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// How many records it has.
    pub records: usize,
    /// What differs from what was served before; nothing at the start.
    pub changes: usize,
    /// Keys that this release does not know.
    pub strange: Option<Strange>,
    /// It holds password hashes, and every user of the machine may read it.
    pub exposed: bool,
}

impl DirectoryFile {
    /// Reads the file for the first time.
    pub fn open(path: &Path) -> Result<(Self, Taken), ReadError> {
        let mut file = open(path).map_err(|source| ReadError::Unreadable { path: path.to_owned(), source })?;
        let seen = Seen::File(file.stamp);
        let records = file.read().map_err(|error| error.at(path))?;
        let taken = file.taken(&records, 0);
        let engine = FileEngine::new(path.display().to_string(), records);
        Ok((Self { path: path.to_owned(), engine, seen }, taken))
    }

    /// The engine, which goes on serving while files come and go.
    pub fn engine(&self) -> FileEngine {
        self.engine.clone()
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file if it is another than the last one. Takes as long as that does: seconds for a million records.
    pub fn look(&mut self) -> Look {
        match std::fs::metadata(&self.path) {
            Ok(found) if self.seen == Seen::File(Stamp::of(&found)) => Look::Same,
            Ok(_) | Err(_) => self.read_again(),
        }
    }

    /// Reads the file whether it seems to be another or not.
    pub fn read_again(&mut self) -> Look {
        let mut file = match open(&self.path) {
            Ok(file) => file,
            Err(source) => return self.away(source),
        };
        let read = file.read();
        if let Err(Failed::Disk(source)) = read {
            return self.away(source);
        }
        // As it was before it was read: what is written meanwhile shows at the next look.
        self.seen = Seen::File(file.stamp);
        match read {
            Ok(records) => {
                let mut taken = file.taken(&records, 0);
                let Replaced { changes, .. } = self.engine.replace(records);
                taken.changes = changes;
                Look::Taken(taken)
            }
            Err(error) => Look::Kept(error.at(&self.path)),
        }
    }

    /// It is there or not: nobody can say now. Asked again at each look, and told once.
    fn away(&mut self, source: io::Error) -> Look {
        let seen = std::mem::replace(&mut self.seen, Seen::Away(source.kind()));
        match seen == self.seen {
            true => Look::Same,
            false => Look::Kept(ReadError::Unreadable { path: self.path.clone(), source }),
        }
    }
}

struct Opened {
    stamp: Stamp,
    for_everybody: bool,
    content: BufReader<File>,
}

enum Failed {
    Disk(io::Error),
    Content(FileError),
}

fn open(path: &Path) -> io::Result<Opened> {
    let (file, about) = stamp::open(path)?;
    let for_everybody = about.permissions().mode() & READ_BY_OTHERS != 0;
    Ok(Opened { stamp: Stamp::of(&about), for_everybody, content: BufReader::with_capacity(BUFFER_OCTETS, file) })
}

impl Opened {
    fn read(&mut self) -> Result<Records, Failed> {
        let limit = u64::try_from(LINE_OCTETS_MAX + 1).unwrap_or(u64::MAX);
        let (mut reader, mut line) = (Reader::new(), Vec::new());
        loop {
            line.clear();
            let read = (&mut self.content).take(limit).read_until(b'\n', &mut line).map_err(Failed::Disk)?;
            if read == 0 {
                return reader.finish().map_err(Failed::Content);
            }
            reader.line(&line).map_err(Failed::Content)?;
        }
    }

    fn taken(&self, records: &Records, changes: usize) -> Taken {
        let exposed = self.for_everybody && records.secrets() == Secrets::Included;
        Taken { records: records.len(), changes, strange: records.strange().cloned(), exposed }
    }
}

impl Failed {
    fn at(self, path: &Path) -> ReadError {
        let path = path.to_owned();
        match self {
            Self::Disk(source) => ReadError::Unreadable { path, source },
            Self::Content(error) => ReadError::Content { path, error },
        }
    }
}

const READ_BY_OTHERS: u32 = 0o004;
const BUFFER_OCTETS: usize = 1 << 18;

#[cfg(test)]
mod tests;
