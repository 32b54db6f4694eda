//! What a live map says: records, each with the line that it stands on.

use super::MapKind;
use super::accounts;
use super::fields::{Field, Fields};
use super::order::Groups;
use super::rules::LiveRules;
use crate::beside::beside;
use crate::edit::{EditError, Editor};
use crate::engine::{Engine, Revision};
use crate::file::{Held, Records};
use crate::import::{BadLine, Entry, Gather, Gathered, Hands, Line, Names, PasswdUser, StoreMap};
use crate::record::{DomainRecord, Record};
use crate::routing::Routing;
use mail_types::{Address, Domain, StoreName};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// What the names of a map are read against. Where it has changed, the map is read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapNames {
    /// The domains of names that have none.
    pub(super) own: Vec<Domain>,
    /// All domains of the directory.
    pub(super) ours: Vec<Domain>,
    pub(super) stores: StoreMap,
}

/// A map as it was read. The default is one that nobody has read yet: it holds nothing.
#[derive(Debug, Default)]
pub struct LiveMap {
    path: Box<str>,
    is_read: bool,
    /// In the order of keys.
    held: Vec<Held>,
    /// What it says of domains, by their keys.
    domains: BTreeMap<Box<str>, OfDomain>,
    rules: LiveRules,
    /// What its lines say that no record can hold, with their numbers.
    ignored: Vec<(usize, String)>,
    /// Aliases that lead out of the site, with their lines.
    remote: Vec<(usize, String)>,
}

/// What a map says of a domain, each with its line.
#[derive(Debug, Default)]
struct OfDomain {
    catch_all: Option<(usize, Address)>,
    default_store: Option<(usize, StoreName)>,
}

/// What the lines of a piece say.
struct Lines<'n> {
    ours: &'n BTreeSet<&'n Domain>,
    held: Groups,
    /// What no key of an address has.
    others: Vec<Line<Entry>>,
    ignored: Vec<(usize, String)>,
    remote: Vec<(usize, String)>,
}

/// Why a map is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapError {
    /// The first bad line.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
    /// How many lines are bad.
    pub bad: usize,
}

impl MapNames {
    /// As the directory has them now. `own` are the domains of names that have none.
    pub async fn of(engine: &dyn Engine, own: Vec<Domain>) -> Result<Self, EditError> {
        Ok(Self::in_copy(&Editor::new(engine).rules_and_stores().await?, own))
    }

    /// As a copy of the directory has them.
    pub fn in_copy(routing: &Routing, own: Vec<Domain>) -> Self {
        let ours = routing.domains().map(|domain| domain.name.clone()).collect();
        Self { own, ours, stores: StoreMap::of(routing) }
    }

    /// Says what back-ends call users whose keys have no domain.
    #[must_use]
    pub fn with_names(self, names: Names) -> Self {
        Self { stores: self.stores.with_names(names), ..self }
    }

    /// Adds what an operator said: `host` or `host:port` means `store`.
    #[must_use]
    pub fn with_host(self, host: &str, store: StoreName) -> Self {
        Self { stores: self.stores.with(host, store), ..self }
    }
}

impl LiveMap {
    /// Reads a map whole. `path` tells operators where it is. Takes a second for some hundred thousand lines: call it where
    /// that holds up nobody.
    pub fn read(path: &str, kind: MapKind, octets: &[u8], names: &MapNames) -> Result<Self, MapError> {
        Self::read_by(path, kind, octets, names, Hands::ONE)
    }

    /// The same on so many threads; a short map is read by the caller's alone.
    pub fn read_beside(
        path: &str,
        kind: MapKind,
        octets: &[u8],
        names: &MapNames,
        threads: NonZeroUsize,
    ) -> Result<Self, MapError> {
        Self::read_by(path, kind, octets, names, Hands::of(threads))
    }

    pub(super) fn read_by(
        path: &str,
        kind: MapKind,
        octets: &[u8],
        names: &MapNames,
        hands: Hands,
    ) -> Result<Self, MapError> {
        let ours: BTreeSet<_> = names.ours.iter().collect();
        let room = |lines| Lines {
            ours: &ours,
            held: Groups::with_room(lines),
            others: Vec::new(),
            ignored: Vec::new(),
            remote: Vec::new(),
        };
        Self::of(path, kind.read(octets, names, hands, &room), &ours, hands)
    }

    /// A map of which nothing could be read yet. While it is laid, whatever it may decide is put off: an address that
    /// nobody else has is not unknown.
    pub fn unread(path: &str, kind: MapKind) -> Self {
        let key = format!("{UNREAD_PREFIX}{}/{path}", kind.name());
        let held = Held { key: key.into(), value: Arc::default(), revision: Revision::ZERO, line: 0 };
        Self { path: path.into(), is_read: false, held: vec![held], ..Self::default() }
    }

    /// How many records, and fields of records, it has.
    pub fn len(&self) -> usize {
        let of =
            |domain: &OfDomain| usize::from(domain.catch_all.is_some()) + usize::from(domain.default_store.is_some());
        self.held.len() + self.rules.len() + self.domains.values().map(of).sum::<usize>()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What its lines say that no record can hold, with their numbers.
    pub fn ignored(&self) -> &[(usize, String)] {
        &self.ignored
    }

    /// Its aliases that lead out of the site, with line numbers: meant so, or a host that is no store's (any more).
    pub fn remote(&self) -> &[(usize, String)] {
        &self.remote
    }

    fn of(
        path: &str,
        parts: Vec<Gathered<Lines<'_>>>,
        ours: &BTreeSet<&Domain>,
        hands: Hands,
    ) -> Result<Self, MapError> {
        let (mut map, mut bad, mut held) =
            (Self { path: path.into(), is_read: true, ..Self::default() }, vec![], vec![]);
        for part in parts {
            bad.extend(told(part.bad));
            map.ignored.extend(part.ignored.into_iter().map(|line| (line.number, line.item)));
            let Lines { ours: _, held: of_part, others, ignored, remote } = part.items;
            map.ignored.extend(ignored);
            map.remote.extend(remote);
            others.into_iter().for_each(|line| map.take(line, ours, &mut bad));
            held.push(of_part);
        }
        refuse(&bad)?;
        // The parsers take no key twice.
        map.held = Groups::in_order(beside(hands.threads, held, Groups::sorted));
        Ok(map)
    }

    /// Takes what is no record of an address.
    fn take(&mut self, line: Line<Entry>, ours: &BTreeSet<&Domain>, bad: &mut Vec<(usize, String)>) {
        match line.item {
            Entry::CatchAll { domain, .. } | Entry::DomainStore { domain, .. } if !ours.contains(&domain) => {
                bad.push((line.number, format!("there is no domain {domain}")));
            }
            Entry::CatchAll { domain, reader } => {
                self.domains.entry(key_of(&domain)).or_default().catch_all = Some((line.number, reader));
            }
            Entry::DomainStore { domain, store } => {
                self.domains.entry(key_of(&domain)).or_default().default_store = Some((line.number, store));
            }
            Entry::Rule(rule) => self.rules.push(line.number, rule),
            // Those are records of addresses, and stand among them.
            Entry::Alias(_) | Entry::Placement(_) => {}
        }
    }

    /// Whether it is the reading of a file, be it an empty one.
    pub(super) fn is_read(&self) -> bool {
        self.is_read
    }

    /// `path:line` of a key that it has as the `nth` map.
    pub(super) fn place_of(&self, key: &str, nth: usize) -> Option<String> {
        let at = self.held.binary_search_by(|held| (*held.key).cmp(key)).ok();
        let line = at.and_then(|at| self.held.get(at)).map(|held| held.line);
        line.or_else(|| self.rules.line_of(key, nth, &self.path)).map(|line| self.place(line))
    }

    /// `path:line` of a field of a domain that it says.
    pub(super) fn place_of_field(&self, key: &str, field: Field) -> Option<String> {
        let domain = self.domains.get(key)?;
        let line = match field {
            Field::CatchAll => domain.catch_all.as_ref()?.0,
            Field::DefaultStore => domain.default_store.as_ref()?.0,
        };
        Some(self.place(line))
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

impl Gather<Entry> for Lines<'_> {
    fn take(&mut self, number: usize, item: Entry) {
        match item {
            Entry::Alias(alias) => {
                if let Some(target) = alias.targets.iter().find(|target| !self.ours.contains(target.domain())) {
                    self.remote.push((number, format!("{} leads to {target}, which is elsewhere", alias.address)));
                }
                self.held.push(held_at(number, &alias));
            }
            Entry::Placement(placement) => self.held.push(held_at(number, &placement)),
            item @ (Entry::CatchAll { .. } | Entry::DomainStore { .. } | Entry::Rule(_)) => {
                self.others.push(Line { number, item });
            }
        }
    }
}

impl Gather<PasswdUser> for Lines<'_> {
    fn take(&mut self, number: usize, item: PasswdUser) {
        let line = Line { number, item };
        let ignored = accounts::without_place(&line, self.ours).map(|text| (number, text));
        // A line without a domain is one user in each of several.
        self.ignored.extend(ignored.filter(|ignored| self.ignored.last() != Some(ignored)));
        accounts::held(&line).for_each(|held| self.held.push(held));
    }
}

fn told(bad: Vec<BadLine>) -> Vec<(usize, String)> {
    bad.into_iter().map(|bad| (bad.number, bad.error.to_string())).collect()
}

fn refuse(bad: &[(usize, String)]) -> Result<(), MapError> {
    match bad.iter().min().cloned() {
        Some((line, why)) => Err(MapError { line, why, bad: bad.len() }),
        None => Ok(()),
    }
}

pub(super) fn held_at<R: Record>(line: usize, record: &R) -> Held {
    Held { key: record.key().into(), value: record.encode().into(), revision: Revision::ZERO, line }
}

fn key_of(domain: &Domain) -> Box<str> {
    format!("{}{domain}", DomainRecord::PREFIX).into()
}

/// What the maps say together: of each key, and of each field of a domain, what the first says that has it.
pub(super) fn together(maps: &[Arc<LiveMap>]) -> Records {
    let mut few = domains_together(maps);
    few.extend(maps.iter().enumerate().flat_map(|(nth, map)| map.rules.held(nth, &map.path)));
    if let ([only], []) = (maps, few.as_slice()) {
        return Records::of(only.held.clone());
    }
    let of_maps = maps.iter().enumerate().flat_map(|(nth, map)| map.held.iter().map(move |held| (held, nth)));
    let mut all: Vec<(&Held, usize)> = of_maps.chain(few.iter().map(|held| (held, 0))).collect();
    // Each map is in order already: this merges them.
    all.sort_by(|(one, nth), (other, other_nth)| (&one.key, nth).cmp(&(&other.key, other_nth)));
    all.dedup_by(|(later, _), (first, _)| later.key == first.key);
    Records::of(all.into_iter().map(|(held, _)| held.clone()).collect())
}

fn domains_together(maps: &[Arc<LiveMap>]) -> Vec<Held> {
    let mut domains = BTreeMap::<&str, Fields>::new();
    for (key, domain) in maps.iter().flat_map(|map| &map.domains) {
        let fields = domains.entry(key).or_default();
        let reader = || domain.catch_all.as_ref().map(|(_, reader)| reader.clone());
        fields.catch_all = fields.catch_all.take().or_else(reader);
        let store = || domain.default_store.as_ref().map(|(_, store)| store.clone());
        fields.default_store = fields.default_store.take().or_else(store);
    }
    // The lines stand with the maps: two fields may stand on two.
    let held = |(key, fields): (&str, Fields)| Held {
        key: key.into(),
        value: fields.encode().into(),
        revision: Revision::ZERO,
        line: 0,
    };
    domains.into_iter().map(held).collect()
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)?;
        match self.bad {
            0 | 1 => Ok(()),
            bad => write!(f, " (and {} more bad lines)", bad - 1),
        }
    }
}

/// The keys of maps that were never read.
pub(crate) const UNREAD_PREFIX: &str = "routing/unread/";

#[cfg(test)]
impl LiveMap {
    /// These, whatever they are.
    pub(super) fn holding(entries: &std::collections::BTreeMap<String, Vec<u8>>) -> Self {
        let held = entries.iter().map(|(key, value)| Held {
            key: key.as_str().into(),
            value: value.as_slice().into(),
            revision: Revision::ZERO,
            line: 1,
        });
        Self { path: "a test".into(), is_read: true, held: held.collect(), ..Self::default() }
    }
}
