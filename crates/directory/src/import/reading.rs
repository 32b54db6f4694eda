//! What the parsers share: a file is gathered line by line, and no key stands twice in it.

use super::lines::lines;
use super::{BadLine, Line, LineError, Parsed};
use mail_types::{Address, Domain, SeededMap};
use siphasher::sip::SipHasher13;
use std::collections::BTreeMap;
use std::hash::Hasher;

/// One thing that a line says, under its key.
pub(super) struct Keyed<T> {
    /// What the key is.
    pub(super) what: &'static str,
    /// The key as it is compared.
    pub(super) folded: Box<str>,
    /// The key as it was written, where that is another.
    pub(super) shown: Option<String>,
    /// What it leads to; `None` if that is nothing that a record could hold.
    pub(super) item: Option<T>,
}

/// All that a good line says.
pub(super) struct Said<T> {
    pub(super) keyed: Vec<Keyed<T>>,
    /// What of it no record can hold.
    pub(super) ignored: Option<String>,
}

/// A file that is being read.
pub(super) struct Reading<T> {
    parsed: Parsed<T>,
    /// The lines of the keys. There may be millions.
    seen: SeededMap<Box<str>, usize>,
    /// Of keys that were not written as they are compared.
    spellings: BTreeMap<Box<str>, String>,
}

impl<T> Keyed<T> {
    pub(super) fn address(address: &Address, item: Option<T>) -> Self {
        let (local, domain) = (address.local(), address.domain().as_str());
        // As an address key shows itself.
        let folded = [local.folded().as_ref(), "@", domain].concat().into_boxed_str();
        let shown = (!address.is_key()).then(|| address.to_string());
        Self { what: "address", folded, shown, item }
    }

    pub(super) fn catch_all(domain: &Domain, item: Option<T>) -> Self {
        Self { what: "catch-all", folded: format!("@{domain}").into(), shown: None, item }
    }
}

impl<T> From<Vec<Keyed<T>>> for Said<T> {
    fn from(keyed: Vec<Keyed<T>>) -> Self {
        Self { keyed, ignored: None }
    }
}

impl<T> Reading<T> {
    /// Of a file with these octets: they give the seed, so that nobody chooses lines whose keys collide in the table.
    pub(super) fn of(octets: &[u8]) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(octets);
        // A table of millions that grows moves them all several times.
        let lines = octets.iter().filter(|octet| **octet == b'\n').count().min(octets.len() / LINE_OCTETS_USUAL) + 1;
        let parsed = Parsed { items: Vec::with_capacity(lines), bad: Vec::new(), ignored: Vec::new() };
        Self { parsed, seen: SeededMap::with_capacity(hasher.finish(), lines), spellings: BTreeMap::new() }
    }

    /// Takes a line whole, or notes why it is bad.
    pub(super) fn take(&mut self, number: usize, said: Result<Said<T>, LineError>) {
        match said.and_then(|said| self.refuse_seen(&said).map(|()| said)) {
            Ok(said) => {
                self.parsed.ignored.extend(said.ignored.map(|item| Line { number, item }));
                said.keyed.into_iter().for_each(|keyed| self.keep(number, keyed));
            }
            Err(error) => self.parsed.bad.push(BadLine { number, error }),
        }
    }

    pub(super) fn finish(self) -> Parsed<T> {
        self.parsed
    }

    fn keep(&mut self, number: usize, keyed: Keyed<T>) {
        let Keyed { folded, shown, item, .. } = keyed;
        if let Some(shown) = shown.filter(|shown| **shown != *folded) {
            self.spellings.insert(folded.clone(), shown);
        }
        self.seen.insert(folded, number);
        self.parsed.items.extend(item.map(|item| Line { number, item }));
    }

    fn refuse_seen(&self, said: &Said<T>) -> Result<(), LineError> {
        for Keyed { what, folded, shown, .. } in &said.keyed {
            if let Some(line) = self.seen.get(folded) {
                let earlier = self.spellings.get(folded).cloned().unwrap_or_else(|| folded.to_string());
                let key = shown.clone().unwrap_or_else(|| folded.to_string());
                return Err(LineError::Collision { what, key, earlier, line: *line });
            }
        }
        Ok(())
    }
}

impl<T> Parsed<T> {
    /// Parses a file line by line; `parse` gives an item for each address that a line's key means.
    pub(super) fn of(bytes: &[u8], mut parse: impl FnMut(&str) -> Result<Vec<Keyed<T>>, LineError>) -> Self {
        let mut reading = Reading::of(bytes);
        for (number, line) in lines(bytes) {
            reading.take(number, line.and_then(&mut parse).map(Said::from));
        }
        reading.finish()
    }
}

/// At least: a file of empty lines must not make room for as many keys.
const LINE_OCTETS_USUAL: usize = 16;
