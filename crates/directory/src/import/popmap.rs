//! Perdition's popmap: `key:[user@]host[:port]`.

use super::pieces::Form;
use super::reading::{Grammar, Keyed, Said};
use super::{LineError, Parsed, addresses};
use crate::key::split_at_octet;
use crate::nearest::nearest;
use crate::record::{HostAt, PlacementRecord, Protocol, Record, StoreKind};
use crate::routing::Routing;
use mail_types::{Domain, StoreName};
use std::collections::{BTreeMap, BTreeSet};

/// Which store a host of a map means, and what is said there of a user whom the map does not name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreMap {
    names: Names,
    known: BTreeSet<StoreName>,
    /// `host` or `host:port`, in lower case. `None`: several stores are there, so the port must tell.
    hosts: BTreeMap<String, Option<StoreName>>,
}

/// What a back-end calls a user whose key has no domain, where the map says nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// The key as it stands.
    #[default]
    Key,
    /// His address.
    Address,
}

/// Reads a popmap. A key without a domain becomes an entry in each of `own`.
///
/// Without `user@`, Perdition hands on the name as it was typed; so for a key without a domain the back-end's name of
/// the user is that key, or his address ([`Names`]).
pub fn popmap(bytes: &[u8], own: &[Domain], stores: &StoreMap) -> Parsed<PlacementRecord> {
    popmap_as(own, stores, |placement| placement).parse(bytes)
}

/// The same, each placement as something else.
pub(crate) fn popmap_as<'n, T>(
    own: &'n [Domain],
    stores: &'n StoreMap,
    as_item: impl Fn(PlacementRecord) -> T + Sync + 'n,
) -> Grammar<impl Fn(&str) -> Result<Said<T>, LineError> + Sync> {
    let said = move |line: &str| {
        let (key, value) = split_at_octet(line, b':').ok_or(LineError::NoSeparator)?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() {
            return Err(LineError::NoKey);
        }
        // A user name may hold an `@`, a host may not.
        let (user, host) =
            value.rsplit_once('@').map_or((None, value), |(user, host)| (Some(user.trim()), host.trim()));
        let store = stores.find(host)?;
        let user = user.filter(|user| !user.is_empty()).or(stores.name_of(key));
        let keyed = addresses(key, own)?.into_iter().map(|address| {
            let keyed = Keyed::address(&address, None);
            let placement = PlacementRecord { address, store: store.clone(), user: user.map(str::to_owned) };
            placement.check().map_err(|_| LineError::BadField { field: "user".to_owned() })?;
            Ok(Keyed { item: Some(as_item(placement)), ..keyed })
        });
        Ok(keyed.collect::<Result<Vec<_>, _>>()?.into())
    };
    Grammar { form: Form::Lines, said }
}

impl StoreMap {
    /// Stores are known by their names alone.
    pub fn new(known: impl IntoIterator<Item = StoreName>) -> Self {
        Self { names: Names::default(), known: known.into_iter().collect(), hosts: BTreeMap::new() }
    }

    /// Says what back-ends call users whose keys have no domain.
    #[must_use]
    pub fn with_names(self, names: Names) -> Self {
        Self { names, ..self }
    }

    /// What a back-end calls the user of a key, but for his address.
    pub(super) fn name_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        match self.names {
            Names::Key => (!key.as_bytes().contains(&b'@')).then_some(key),
            Names::Address => None,
        }
    }

    /// The stores of the directory, by their names and by the hosts of foreign ones.
    pub fn of(routing: &Routing) -> Self {
        let mut map = Self::new(routing.stores().map(|store| store.name.clone()));
        for store in routing.stores() {
            if let StoreKind::Foreign { hosts, ports, .. } = &store.kind {
                hosts.iter().for_each(|host| map.add_host_at(host, ports, &store.name));
            }
        }
        map
    }

    /// Adds what an operator said: `host` or `host:port` means `store`.
    #[must_use]
    pub fn with(mut self, host: &str, store: StoreName) -> Self {
        self.known.insert(store.clone());
        self.hosts.insert(host.to_ascii_lowercase(), Some(store));
        self
    }

    /// By itself, and by each of its ports.
    fn add_host_at(&mut self, at: &HostAt, ports: &BTreeMap<Protocol, u16>, store: &StoreName) {
        self.add_host(at.host.as_str(), store);
        for (protocol, port) in ports {
            self.add_host(&format!("{}:{}", at.host, at.port(*protocol, *port)), store);
        }
    }

    fn add_host(&mut self, host: &str, store: &StoreName) {
        let found = self.hosts.entry(host.to_ascii_lowercase()).or_insert_with(|| Some(store.clone()));
        if found.as_ref() != Some(store) {
            *found = None;
        }
    }

    /// The store of `host`, `host:port`, `[v6]` or `[v6]:port`.
    pub(super) fn find(&self, text: &str) -> Result<StoreName, LineError> {
        let (host, port) = split_port(text)?;
        if host.is_empty() {
            return Err(LineError::NoHost);
        }
        let host = host.to_ascii_lowercase();
        let with_port = port.and_then(|port| self.hosts.get(&format!("{host}:{port}")));
        let mapped = with_port.or_else(|| self.hosts.get(&host)).cloned().flatten();
        let named = || StoreName::parse(&host).ok().filter(|name| self.known.contains(name));
        mapped.or_else(named).ok_or_else(|| {
            if self.hosts.contains_key(&host) {
                return LineError::ManyStores { host: host.clone(), port };
            }
            let known = self.known.iter().map(StoreName::as_str);
            // A host is often a store's name with a domain behind it.
            let first = host.split('.').next().unwrap_or(&host);
            let nearest = nearest(&host, known.clone()).or_else(|| nearest(first, known)).map(str::to_owned);
            LineError::UnknownStore { host: host.clone(), nearest }
        })
    }
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), LineError> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').or((!rest.is_empty()).then_some(rest))),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let bad = |port: &str| LineError::BadPort { port: port.to_owned() };
    let port = port.map(|port| port.parse::<u16>().ok().filter(|n| *n > 0).ok_or_else(|| bad(port))).transpose()?;
    Ok((host, port))
}
