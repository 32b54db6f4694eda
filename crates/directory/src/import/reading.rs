//! What the parsers share: a file is gathered line by line, and no key stands twice in it.
//!
//! ```text
//!   octets ─▶ pieces ─▶ lines ─▶ said ─▶ gathered, with a hash of each key ─▶ no hash is there twice: done
//!             a thread for each                                              └▶ else the whole again, with its keys
//! ```

use super::lines::{ends_of_lines, lines, logical_lines};
use super::pieces::{Form, Hands, Piece};
use super::{BadLine, Line, LineError, Parsed};
use crate::beside::beside;
use mail_types::{Address, Domain, SeededMap};
use siphasher::sip::SipHasher13;
use std::collections::BTreeMap;
use std::hash::Hasher;

/// How a file is read.
pub(crate) struct Grammar<F> {
    pub(super) form: Form,
    /// What a line says.
    pub(super) said: F,
}

/// Takes the items of good lines in their order: a whole file's, or those of a piece.
pub(crate) trait Gather<E>: Send {
    /// Takes one.
    fn take(&mut self, number: usize, item: E);
}

/// What came of a piece, or of all.
pub(crate) struct Gathered<C> {
    pub(crate) items: C,
    pub(crate) bad: Vec<BadLine>,
    pub(crate) ignored: Vec<Line<String>>,
}

/// A piece whose keys nobody has compared yet.
struct Unjudged<C> {
    gathered: Gathered<C>,
    /// Of the keys of its good lines, in their order.
    hashes: Vec<u64>,
}

/// One thing that a line says, under its key.
pub(crate) struct Keyed<T> {
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
pub(crate) struct Said<T> {
    pub(super) keyed: Vec<Keyed<T>>,
    /// What of it no record can hold.
    pub(super) ignored: Option<String>,
}

/// A file whose keys are compared as they stand.
pub(super) struct Reading<C> {
    gathered: Gathered<C>,
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

impl<E> Gather<E> for Vec<Line<E>>
where
    E: Send,
{
    fn take(&mut self, number: usize, item: E) {
        self.push(Line { number, item });
    }
}

impl<E, F: Fn(&str) -> Result<Said<E>, LineError> + Sync> Grammar<F> {
    /// Parses a file.
    pub(super) fn parse(&self, octets: &[u8]) -> Parsed<E>
    where
        E: Send,
    {
        let parts = self.gather(octets, Hands::ONE, &Vec::with_capacity).into_iter();
        let mut whole = Parsed { items: Vec::new(), bad: Vec::new(), ignored: Vec::new() };
        for Gathered { items, bad, ignored } in parts {
            whole.items.extend(items);
            whole.bad.extend(bad);
            whole.ignored.extend(ignored);
        }
        whole
    }

    /// Parses a file in pieces, each into what `room` makes for so many items; gives them in their order.
    pub(crate) fn gather<C: Gather<E>>(
        &self,
        octets: &[u8],
        hands: Hands,
        room: &(impl Fn(usize) -> C + Sync),
    ) -> Vec<Gathered<C>> {
        let whole = Piece::whole(octets);
        self.gather_pieces(whole, whole.split(self.form, hands), hands, room)
    }

    pub(super) fn gather_pieces<C: Gather<E>>(
        &self,
        whole: Piece<'_>,
        pieces: Vec<Piece<'_>>,
        hands: Hands,
        room: &(impl Fn(usize) -> C + Sync),
    ) -> Vec<Gathered<C>> {
        let parts = beside(hands.threads, pieces, |piece| self.unjudged(piece, room));
        let mut hashes: Vec<u64> = parts.iter().flat_map(|part| &part.hashes).copied().collect();
        // It merges what is in order already.
        hashes.sort();
        let is_twice = hashes.windows(2).any(|two| matches!(two, [one, other] if one == other));
        drop(hashes);
        let gathered = parts.into_iter().map(|part| part.gathered);
        match is_twice {
            false => gathered.collect(),
            true => {
                gathered.for_each(drop);
                vec![self.judged(whole, room)]
            }
        }
    }

    /// Takes the lines of a piece as if no key stood twice.
    fn unjudged<C: Gather<E>>(&self, piece: Piece<'_>, room: &impl Fn(usize) -> C) -> Unjudged<C> {
        let keys = keys_of(piece.octets);
        let gathered = Gathered { items: room(keys), bad: Vec::new(), ignored: Vec::new() };
        let mut part = Unjudged { gathered, hashes: Vec::with_capacity(keys) };
        self.each(piece, |number, said| part.take(number, said));
        part.hashes.sort_unstable();
        part
    }

    /// Takes lines one after the other, and refuses what an earlier one has said.
    pub(super) fn judged<C: Gather<E>>(&self, whole: Piece<'_>, room: &impl Fn(usize) -> C) -> Gathered<C> {
        let mut reading = Reading::of(whole.octets, room);
        self.each(whole, |number, said| reading.take(number, said));
        reading.finish()
    }

    fn each(&self, piece: Piece<'_>, mut take: impl FnMut(usize, Result<Said<E>, LineError>)) {
        match self.form {
            Form::Lines => lines(piece).for_each(|(number, line)| take(number, line.and_then(&self.said))),
            Form::Continued => {
                logical_lines(piece).for_each(|(number, line)| take(number, line.and_then(|text| (self.said)(&text))));
            }
        }
    }
}

impl<C> Unjudged<C> {
    fn take<E>(&mut self, number: usize, said: Result<Said<E>, LineError>)
    where
        C: Gather<E>,
    {
        let Self { gathered, hashes } = self;
        match said {
            Ok(Said { keyed, ignored }) => {
                gathered.ignored.extend(ignored.map(|item| Line { number, item }));
                for keyed in keyed {
                    hashes.push(hash_of(&keyed.folded));
                    keyed.item.into_iter().for_each(|item| gathered.items.take(number, item));
                }
            }
            Err(error) => gathered.bad.push(BadLine { number, error }),
        }
    }
}

impl<C> Reading<C> {
    /// Of a file with these octets: they give the seed, so that nobody chooses lines whose keys collide in the table.
    pub(super) fn of(octets: &[u8], room: impl Fn(usize) -> C) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(octets);
        // A table of millions that grows moves them all several times.
        let keys = keys_of(octets);
        let gathered = Gathered { items: room(keys), bad: Vec::new(), ignored: Vec::new() };
        Self { gathered, seen: SeededMap::with_capacity(hasher.finish(), keys), spellings: BTreeMap::new() }
    }

    /// Takes a line whole, or notes why it is bad.
    pub(super) fn take<E>(&mut self, number: usize, said: Result<Said<E>, LineError>)
    where
        C: Gather<E>,
    {
        match said.and_then(|said| self.refuse_seen(&said).map(|()| said)) {
            Ok(said) => {
                self.gathered.ignored.extend(said.ignored.map(|item| Line { number, item }));
                said.keyed.into_iter().for_each(|keyed| self.keep(number, keyed));
            }
            Err(error) => self.gathered.bad.push(BadLine { number, error }),
        }
    }

    pub(super) fn finish(self) -> Gathered<C> {
        self.gathered
    }

    fn keep<E>(&mut self, number: usize, keyed: Keyed<E>)
    where
        C: Gather<E>,
    {
        let Keyed { folded, shown, item, .. } = keyed;
        if let Some(shown) = shown.filter(|shown| **shown != *folded) {
            self.spellings.insert(folded.clone(), shown);
        }
        self.seen.insert(folded, number);
        item.into_iter().for_each(|item| self.gathered.items.take(number, item));
    }

    fn refuse_seen<E>(&self, said: &Said<E>) -> Result<(), LineError> {
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

/// Two keys of one hash only have the file read once more, so nobody wins by choosing them.
fn hash_of(folded: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(folded.as_bytes());
    hasher.finish()
}

/// How many keys these octets hold, about.
fn keys_of(octets: &[u8]) -> usize {
    ends_of_lines(octets).min(octets.len() / LINE_OCTETS_USUAL) + 1
}

/// At least: a file of empty lines must not make room for as many keys.
const LINE_OCTETS_USUAL: usize = 16;
