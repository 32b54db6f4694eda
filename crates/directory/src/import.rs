//! Maps that operators already have, read into records: every bad line is named by its number.
//!
//! ```text
//!   bytes ──passwd_file / popmap──▶ Parsed { items with line numbers, bad lines } ──▶ Editor::import_* ──▶ ImportReport
//! ```
//! A file is parsed whole before anything is written, and nothing is written while a line is bad, unless the operator
//! said to skip bad lines; those are listed either way. A key without a domain means the site's own domains, which the
//! caller names, and no others.

mod apply;
mod passwd;
mod popmap;

pub use apply::{BadLines, ImportOptions, ImportReport, Mode, ReportLine};
pub use passwd::{PasswdUser, passwd_file};
pub use popmap::{StoreMap, popmap};

use crate::key::{AddressKey, parse_local};
use mail_types::{Address, Domain};
use std::collections::BTreeMap;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<T> {
    /// The good lines; one without a domain gives an item for each of the site's own.
    pub items: Vec<Line<T>>,
    /// The bad lines, all of them.
    pub bad: Vec<BadLine>,
}

/// Something with the number of the line that it stood on, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<T> {
    /// The line's number.
    pub number: usize,
    /// What stood there.
    pub item: T,
}

/// A line that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The line's number.
    pub number: usize,
    /// Why.
    pub error: LineError,
}

/// Why a line could not be read. Says nothing of what stood after the key: that may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Longer than any line of such a file.
    #[error("the line is longer than 8192 octets")]
    TooLong,
    /// Not text.
    #[error("the line is not UTF-8")]
    NotUtf8,
    /// There is no separator.
    #[error("there is no ':' after the key")]
    NoSeparator,
    /// There is no key.
    #[error("there is nothing before the ':'")]
    NoKey,
    /// The key is no address and no local part.
    #[error("{key:?} is not an address or the local part of one")]
    BadKey {
        /// The key.
        key: String,
    },
    /// The key lacks a domain, and the site has none of its own.
    #[error("{key:?} has no domain, and no domain was named for such keys")]
    NoDomain {
        /// The key.
        key: String,
    },
    /// An earlier line has the same key, perhaps in another case or Unicode form.
    #[error("{key:?} is the same address as {earlier} on line {line}")]
    Collision {
        /// The key.
        key: String,
        /// How the earlier line wrote it.
        earlier: String,
        /// The earlier line's number.
        line: usize,
    },
    /// The password field is no hash.
    #[error("the password of {key:?} is not of the form {{SCHEME}}hash or a crypt hash")]
    BadPassword {
        /// The key.
        key: String,
    },
    /// The password's hash is one that nobody could log in with.
    #[error("the password of {key:?} cannot be used: {why}")]
    UnusablePassword {
        /// The key.
        key: String,
        /// Why, without the hash.
        why: String,
    },
    /// An extra field has a value that cannot be read.
    #[error("the field {field} cannot be read")]
    BadField {
        /// Its name.
        field: String,
    },
    /// There is no host.
    #[error("there is no host after the ':'")]
    NoHost,
    /// The port is no port.
    #[error("{port:?} is not a port")]
    BadPort {
        /// What stood there.
        port: String,
    },
    /// No store belongs to the host.
    #[error("no store is called {host:?} or mapped to it{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    UnknownStore {
        /// The host.
        host: String,
        /// The store that was probably meant.
        nearest: Option<String>,
    },
}

impl<T> Parsed<T> {
    /// Parses a file line by line; `parse` gives a key (as written) with one item per address.
    fn of(bytes: &[u8], mut parse: impl FnMut(&str) -> Result<Vec<(Address, T)>, LineError>) -> Self {
        let mut parsed = Self { items: Vec::new(), bad: Vec::new() };
        let mut seen = BTreeMap::<AddressKey, usize>::new();
        let mut spellings = BTreeMap::<AddressKey, String>::new();
        for (number, line) in (1..).zip(bytes.split(|b| *b == b'\n')) {
            let read = text_of(line).and_then(|text| match text {
                Some(text) => parse(text),
                None => Ok(Vec::new()),
            });
            let fresh = read.and_then(|items| refuse_seen(items, &seen, &spellings));
            match fresh {
                Ok(items) => {
                    for (address, item) in items {
                        let key = AddressKey::of(&address);
                        seen.insert(key.clone(), number);
                        if address.to_string() != key.to_string() {
                            spellings.insert(key, address.to_string());
                        }
                        parsed.items.push(Line { number, item });
                    }
                }
                Err(error) => parsed.bad.push(BadLine { number, error }),
            }
        }
        parsed
    }
}

/// A line without its white space; `None` for an empty one and a comment.
fn text_of(line: &[u8]) -> Result<Option<&str>, LineError> {
    if line.len() > LINE_OCTETS_MAX {
        return Err(LineError::TooLong);
    }
    let text = std::str::from_utf8(line).map_err(|_| LineError::NotUtf8)?.trim();
    Ok(Some(text).filter(|text| !text.is_empty() && !text.starts_with('#')))
}

fn refuse_seen<T>(
    items: Vec<(Address, T)>,
    seen: &BTreeMap<AddressKey, usize>,
    spellings: &BTreeMap<AddressKey, String>,
) -> Result<Vec<(Address, T)>, LineError> {
    for (address, _) in &items {
        let key = AddressKey::of(address);
        if let Some(line) = seen.get(&key) {
            let earlier = spellings.get(&key).cloned().unwrap_or_else(|| key.to_string());
            return Err(LineError::Collision { key: address.to_string(), earlier, line: *line });
        }
    }
    Ok(items)
}

/// The addresses that a key means: itself, or one in each of the site's own domains.
fn addresses(key: &str, own: &[Domain]) -> Result<Vec<Address>, LineError> {
    let bad = || LineError::BadKey { key: key.to_owned() };
    if let Some((local, domain)) = key.rsplit_once('@') {
        let local = parse_local(local).ok_or_else(bad)?;
        let domain = Domain::parse(domain).map_err(|_| bad())?;
        return Ok(vec![Address::new(local, domain)]);
    }
    let local = parse_local(key).ok_or_else(bad)?;
    if own.is_empty() {
        return Err(LineError::NoDomain { key: key.to_owned() });
    }
    Ok(own.iter().map(|domain| Address::new(local.clone(), domain.clone())).collect())
}

/// Of one line, white space included.
const LINE_OCTETS_MAX: usize = 8192;

#[cfg(test)]
mod tests;
