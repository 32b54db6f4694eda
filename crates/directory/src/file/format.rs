//! The text form: a header, a record a line, and an end that names their number.

use super::{Held, Records, Strange};
use crate::engine::{Entry, KEY_OCTETS_MAX, Revision, TRANSACTION_OCTETS_MAX};
use crate::key::SECRET_PREFIX;
use crate::record::RecordError;
use crate::routing::is_record;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::str;

/// Whether a file holds password hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// They are in it: who has no hash there has no password.
    #[default]
    Included,
    /// They were left out: nobody can say.
    LeftOut,
}

/// Reads a file line by line; [`Reader::finish`] gives the records if all of it is there.
#[derive(Debug, Default)]
pub struct Reader {
    line: usize,
    stage: Stage,
    secrets: Secrets,
    held: Vec<Held>,
    strange: Option<Strange>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Header,
    Records,
    Ended,
}

/// Why a file is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct FileError {
    /// Counted from one; of a file that ends too early, its last.
    pub line: usize,
    /// What is wrong there.
    pub why: String,
}

/// A value that cannot be read has no place in a file: whoever reads it would refuse all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of {key} cannot be read: remove that record, or write it anew")]
pub struct Unreadable {
    /// Whose value it is.
    pub key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'t> {
    #[serde(borrow)]
    format: Cow<'t, str>,
    version: u64,
    #[serde(default = "yes")]
    secrets: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine<'t> {
    #[serde(borrow)]
    key: Cow<'t, str>,
    #[serde(borrow)]
    value: &'t RawValue,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    records: usize,
}

/// The file of these entries, which come in the order of their keys.
pub fn encode<'e>(entries: impl IntoIterator<Item = &'e Entry>, secrets: Secrets) -> Result<Vec<u8>, Unreadable> {
    let header = Header { format: FORMAT.into(), version: FORMAT_VERSION, secrets: secrets == Secrets::Included };
    let mut text = Vec::new();
    push_json(&mut text, &header);
    let mut records = 0;
    for entry in entries {
        if secrets == Secrets::LeftOut && entry.key.starts_with(SECRET_PREFIX) {
            continue;
        }
        push_record(&mut text, entry)?;
        records += 1;
    }
    push_json(&mut text, &End { records });
    Ok(text)
}

fn push_record(text: &mut Vec<u8>, entry: &Entry) -> Result<(), Unreadable> {
    let unreadable = || Unreadable { key: entry.key.clone() };
    if !matches!(is_record(&entry.key, &entry.value), Ok(_) | Err(RecordError::Newer { .. })) {
        return Err(unreadable());
    }
    let value: &RawValue = serde_json::from_slice(&entry.value).map_err(|_| unreadable())?;
    text.extend_from_slice(br#"{"key":"#);
    serde_json::to_writer(&mut *text, &entry.key).expect("a text is valid JSON, and a Vec takes all");
    text.extend_from_slice(br#","value":"#);
    if value.get().contains(['\n', '\r']) {
        let value: serde_json::Value = serde_json::from_str(value.get()).map_err(|_| unreadable())?;
        text.extend_from_slice(value.to_string().as_bytes());
    } else {
        text.extend_from_slice(value.get().as_bytes());
    }
    text.extend_from_slice(b"}\n");
    Ok(())
}

fn push_json(text: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *text, line).expect("maps with text keys are valid JSON, and a Vec takes all");
    text.push(b'\n');
}

impl Reader {
    /// At the start of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next line, without its end or with it. After an error the file is refused: ask no more.
    pub fn line(&mut self, line: &[u8]) -> Result<(), FileError> {
        self.line += 1;
        if line.len() > LINE_OCTETS_MAX {
            return Err(self.wrong("the line is too long"));
        }
        let text = str::from_utf8(line).map_err(|_| self.wrong("the line is not UTF-8"))?.trim();
        if text.is_empty() || text.starts_with('#') {
            return Ok(());
        }
        match self.stage {
            Stage::Header => self.header(text),
            Stage::Records => match serde_json::from_str::<RecordLine<'_>>(text) {
                Ok(RecordLine { key, value }) => self.record(&key, value.get()),
                Err(error) => match serde_json::from_str::<End>(text) {
                    Ok(end) => self.end(end.records),
                    Err(_) => Err(self.wrong(said(&error))),
                },
            },
            Stage::Ended => Err(self.wrong("there is more after the end")),
        }
    }

    /// The file has no more lines.
    pub fn finish(mut self) -> Result<Records, FileError> {
        match self.stage {
            Stage::Header => return Err(self.wrong("the file is empty")),
            Stage::Records => return Err(self.wrong("the file ends without {\"records\":…}: it is cut off")),
            Stage::Ended => {}
        }
        // A stable sort of what is sorted already is one pass.
        self.held.sort_by(|a, b| a.key.cmp(&b.key));
        let twice = self.held.windows(2).find_map(|pair| match pair {
            [first, second] if first.key == second.key => {
                let why = format!("the key {} is already on line {}", shown(&second.key), first.line);
                Some(FileError { line: second.line, why })
            }
            _ => None,
        });
        match twice {
            Some(error) => Err(error),
            None => Ok(Records { held: self.held, secrets: self.secrets, strange: self.strange }),
        }
    }

    fn header(&mut self, text: &str) -> Result<(), FileError> {
        // The version first: a later one may have fields that this release would refuse.
        #[derive(Deserialize)]
        struct Kind<'t> {
            #[serde(borrow)]
            format: Cow<'t, str>,
            version: u64,
        }
        match serde_json::from_str::<Kind<'_>>(text) {
            Ok(kind) if kind.format != FORMAT => Err(self.wrong(NO_HEADER)),
            Ok(kind) if kind.version > FORMAT_VERSION => Err(self.wrong(format!(
                "version {} is of a later release; this one reads up to {FORMAT_VERSION}",
                kind.version
            ))),
            Ok(_) => {
                let header: Header<'_> = serde_json::from_str(text).map_err(|error| self.wrong(said(&error)))?;
                self.secrets = if header.secrets { Secrets::Included } else { Secrets::LeftOut };
                self.stage = Stage::Records;
                Ok(())
            }
            Err(_) => Err(self.wrong(NO_HEADER)),
        }
    }

    fn record(&mut self, key: &str, value: &str) -> Result<(), FileError> {
        if key.is_empty() || key.len() > KEY_OCTETS_MAX {
            return Err(self.wrong("a key has 1 to 1024 octets"));
        }
        if value.len() > TRANSACTION_OCTETS_MAX {
            return Err(self.wrong(format!("the value of {} is over 1 MiB", shown(key))));
        }
        if self.held.len() >= RECORDS_MAX {
            return Err(self.wrong(format!("more than {RECORDS_MAX} records")));
        }
        let secret = key.starts_with(SECRET_PREFIX);
        if secret && self.secrets == Secrets::LeftOut {
            return Err(self.wrong("a password hash in a file whose header says that it has none"));
        }
        match is_record(key, value.as_bytes()) {
            // A later release's record holds up who needs it, not the file.
            Ok(true) | Err(RecordError::Newer { .. }) => {}
            Ok(false) => self.note_strange(key),
            // The reason might repeat a hash.
            Err(_) if secret => return Err(self.wrong(format!("{}: the value is no secret record", shown(key)))),
            Err(error) => return Err(self.wrong(format!("{}: {error}", shown(key)))),
        }
        self.held.push(Held {
            key: key.into(),
            value: value.as_bytes().into(),
            revision: Revision::ZERO,
            line: self.line,
        });
        Ok(())
    }

    fn end(&mut self, records: usize) -> Result<(), FileError> {
        self.stage = Stage::Ended;
        match self.held.len() {
            found if found == records => Ok(()),
            found => Err(self.wrong(format!("the file has {found} records, not {records}"))),
        }
    }

    fn note_strange(&mut self, key: &str) {
        let first = || Strange { count: 0, key: key.to_owned(), line: self.line };
        self.strange.get_or_insert_with(first).count += 1;
    }

    fn wrong(&self, why: impl Into<String>) -> FileError {
        FileError { line: self.line, why: why.into() }
    }
}

/// What serde_json says, without the line that it counts itself.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let said = text.split_once(" at line ").map_or(text.as_str(), |(said, _)| said);
    format!("column {}: {said}", error.column())
}

/// A key for a log line.
fn shown(key: &str) -> String {
    key.escape_debug().collect()
}

fn yes() -> bool {
    true
}

/// The version of the layout that is written, and the highest that is read.
pub const FORMAT_VERSION: u64 = 1;
/// A line: a value of 1 MiB, a key whose every octet is escaped, and what stands around them.
pub const LINE_OCTETS_MAX: usize = TRANSACTION_OCTETS_MAX + 8 * KEY_OCTETS_MAX;
/// Records of a file: some gigabytes of memory.
pub const RECORDS_MAX: usize = 10_000_000;
const FORMAT: &str = "posthouse-directory";
const NO_HEADER: &str = r#"the file does not begin with {"format":"posthouse-directory","version":1}"#;
