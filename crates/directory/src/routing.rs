//! A copy of everything that routing needs, as of one revision.

mod filling;

pub(crate) use filling::Filling;

use crate::engine::{Change, Changes, Entry, Revision};
use crate::explain::{Explain, Silent, Step};
use crate::key::AddressKey;
use crate::overlay;
use crate::record::plain;
use crate::record::{
    AccountRecord, AccountState, AliasRecord, BackendLogin, DomainRecord, HostAt, NodeRecord, PlacementRecord, PortTls,
    Protocol, Record, RecordError, RuleRecord, SecretRecord, SiteRecord, StoreKind, StoreRecord, TlsMode,
};
use crate::reply::Reply;
use crate::rule::Rule;
use crate::table::{AccountInfo, Name, Names, Placed, Targets};
use mail_types::{AccountId, Address, Domain, NodeName, StoreName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A full copy of routing. Asking it takes no lock and no engine; cloning it copies pointers.
///
/// [`Routing::default`] is a copy that nobody has loaded: it answers every question with "unavailable".
#[derive(Clone, Debug, Default)]
pub struct Routing {
    /// `None` until everything was loaded once.
    revision: Option<Revision>,
    site: Arc<SiteRecord>,
    domains: Arc<BTreeMap<Domain, DomainRecord>>,
    /// By order, then by name.
    rules: Arc<Vec<Arc<Rule>>>,
    stores: Arc<BTreeMap<StoreName, StoreRecord>>,
    nodes: Arc<BTreeMap<NodeName, NodeRecord>>,
    names: Names,
    /// Keys whose values cannot be read, and why. Whoever needs one of them is told to come back.
    flaws: Arc<BTreeMap<String, String>>,
    /// One copy of each store's name, for the placements that name it.
    store_names: Arc<BTreeMap<StoreName, Arc<StoreName>>>,
}

/// What an origin of accounts says. Only one that answered may say `NotFound`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<T> {
    /// It has it.
    Found(T),
    /// It answered, and has it not.
    NotFound,
    /// It did not answer: 451 4.4.3, `[UNAVAILABLE]`; never 550.
    Unavailable,
}

/// An account as routing knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// Kept through rename and move.
    pub id: AccountId,
    /// As the operator wrote it.
    pub address: Address,
    /// Whether it is in use.
    pub state: AccountState,
    /// Octets it may hold.
    pub quota_bytes: Option<u64>,
    /// Messages it may hold.
    pub quota_messages: Option<u64>,
}

/// Where a store is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreAt<'r> {
    /// It is served by a node.
    Node(&'r NodeRecord),
    /// It is served by a node that has no record.
    UnknownNode(&'r NodeName),
    /// It is a back-end of another make.
    Foreign {
        /// Where it is, the best first.
        hosts: &'r [HostAt],
        /// The protocols it speaks to us.
        ports: &'r BTreeMap<Protocol, u16>,
        /// How connections are protected.
        tls: TlsMode,
        /// The same by protocol, where one has it otherwise: see [`TlsMode::at_port`].
        port_tls: &'r PortTls,
        /// How a proxy logs in.
        login: BackendLogin,
        /// Whether it judges its users' access tokens itself.
        tokens: bool,
    },
}

/// A placement that keeps an account where it is when rules change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The account.
    pub address: Address,
    /// Where it is by the rules as they are.
    pub store: StoreName,
    /// Where the changed rules would look for it; `None` where they give no store.
    pub changed: Option<StoreName>,
    /// The user's name at the back-end, where a map says it that is read live.
    pub user: Option<String>,
}

impl Routing {
    /// A copy without records, as of `revision`: what a new site has.
    pub fn empty(revision: Revision) -> Self {
        Self { revision: Some(revision), ..Self::default() }
    }

    /// A copy of these entries, as of `revision`.
    pub fn load<'e>(entries: impl IntoIterator<Item = &'e Entry>, revision: Revision) -> Self {
        let mut routing = Self::filling();
        entries.into_iter().for_each(|entry| routing.put(entry));
        while routing.settle_some() {}
        routing.loaded(revision);
        routing
    }

    /// A copy that is about to be loaded: before it is settled, nobody asks it for an address.
    pub(crate) fn filling() -> Self {
        Self { names: Names::filling(), ..Self::default() }
    }

    /// Settles some of it; tells whether there is more.
    pub(crate) fn settle_some(&mut self) -> bool {
        self.names.settle_some()
    }

    /// The revision that this is a copy of; `None` while nothing was loaded.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// The site's record.
    pub fn site(&self) -> &SiteRecord {
        &self.site
    }

    /// A domain of ours.
    pub fn domain(&self, name: &Domain) -> Origin<&DomainRecord> {
        match self.domains.get(name).filter(|domain| domain.local) {
            _ if self.revision.is_none() => Origin::Unavailable,
            Some(domain) => Origin::Found(domain),
            None if self.is_flawed(|| format!("{}{name}", DomainRecord::PREFIX)) => Origin::Unavailable,
            None => Origin::NotFound,
        }
    }

    /// All domains, also those that are not local.
    pub fn domains(&self) -> impl Iterator<Item = &DomainRecord> {
        self.domains.values()
    }

    /// A store's record.
    pub fn store(&self, name: &StoreName) -> Option<&StoreRecord> {
        self.stores.get(name)
    }

    /// All stores.
    pub fn stores(&self) -> impl Iterator<Item = &StoreRecord> {
        self.stores.values()
    }

    /// Where a store is reached now; `None` for one without a record.
    pub fn store_at(&self, name: &StoreName) -> Option<StoreAt<'_>> {
        Some(match &self.stores.get(name)?.kind {
            StoreKind::Posthouse { node } => self.nodes.get(node).map_or(StoreAt::UnknownNode(node), StoreAt::Node),
            StoreKind::Foreign { hosts, ports, tls, port_tls, login, tokens } => {
                StoreAt::Foreign { hosts, ports, tls: *tls, port_tls, login: *login, tokens: *tokens }
            }
        })
    }

    /// A node's record.
    pub fn node(&self, name: &NodeName) -> Option<&NodeRecord> {
        self.nodes.get(name)
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.values()
    }

    /// The rules in the order in which they are asked.
    pub fn rules(&self) -> impl Iterator<Item = &RuleRecord> {
        self.rules.iter().map(|rule| &rule.record)
    }

    /// An account by its own address; aliases and sub-addresses are not followed.
    pub fn account(&self, address: &Address) -> Origin<AccountView> {
        let name = match self.name(&AddressKey::of(address)) {
            Origin::Found(name) => name,
            Origin::NotFound => return Origin::NotFound,
            Origin::Unavailable => return Origin::Unavailable,
        };
        match (&name.account, spelling(name)) {
            (Some(account), Some(address)) => Origin::Found(AccountView {
                id: account.id,
                address,
                state: account.state,
                quota_bytes: account.quota_bytes,
                quota_messages: account.quota_messages,
            }),
            (Some(_) | None, Some(_) | None) => Origin::NotFound,
        }
    }

    /// The keys whose values cannot be read, and why: for logs and admin pages.
    pub fn flaws(&self) -> impl Iterator<Item = (&str, &str)> {
        self.flaws.iter().map(|(key, why)| (key.as_str(), why.as_str()))
    }

    /// The store for an account that is about to be made. Whoever makes it writes this as its placement.
    pub fn place_new_account(&self, address: &Address, explain: &mut impl Explain) -> Result<StoreName, Reply> {
        let key = AddressKey::of(address);
        let name = match self.name(&key) {
            Origin::Found(name) => Some(name),
            Origin::NotFound => None,
            Origin::Unavailable => return Err(Reply::DIRECTORY_UNAVAILABLE),
        };
        self.home(&key, name, explain)
    }

    /// The accounts without a placement that another store would be asked for if routing were `changed`, in the order
    /// of their keys. Pinning them first makes the change move nobody.
    ///
    /// Addresses of domains with unchecked accounts that have no record cannot be listed.
    pub fn pins(&self, changed: &Self) -> Vec<Pin> {
        self.pins_where(changed, |name| name.placement.is_none())
    }

    /// The same of accounts whose placements, if they have any, may change: those of maps that are read live.
    pub(crate) fn pins_of_all(&self, changed: &Self) -> Vec<Pin> {
        self.pins_where(changed, |_| true)
    }

    fn pins_where(&self, changed: &Self, may_move: impl Fn(&Name) -> bool) -> Vec<Pin> {
        let names = self.names.iter().filter(|name| may_move(name));
        let mut pins: Vec<_> = names.filter_map(|name| Some((name.key(), self.pin(name, changed)?))).collect();
        pins.sort_by_key(|(key, _)| *key);
        pins.into_iter().map(|(_, pin)| pin).collect()
    }

    fn pin(&self, name: &Name, changed: &Self) -> Option<Pin> {
        name.account.as_ref()?;
        let store = self.home(name.key(), Some(name), &mut Silent).ok()?;
        let changed = changed.home(name.key(), changed.names.get(name.key()), &mut Silent).ok();
        (changed.as_ref() != Some(&store)).then_some(())?;
        let user = name.placement.as_ref().and_then(|placed| placed.user.as_deref()).map(str::to_owned);
        Some(Pin { address: spelling(name)?, store, changed, user })
    }

    /// Whether everybody without a placement is looked for at the same store.
    pub(crate) fn decides_as(&self, other: &Self) -> bool {
        let defaults = |routing: &Self| -> Vec<_> {
            let of = |domain: &DomainRecord| (domain.name.clone(), domain.default_store.clone());
            routing.domains().map(of).filter(|(_, store)| store.is_some()).collect()
        };
        // Names and orders decide nothing, once the rules stand in their order.
        let rules = |routing: &Self| -> Vec<_> {
            routing.rules().map(|rule| (rule.domain.clone(), rule.kind.clone())).collect()
        };
        rules(self) == rules(other)
            && self.site.default_store == other.site.default_store
            && defaults(self) == defaults(other)
            && self.flaws == other.flaws
    }

    /// Where an address is: its placement, else the first rule that matches, else the domain's default, else the
    /// site's.
    pub(crate) fn home(
        &self,
        key: &AddressKey,
        name: Option<&Name>,
        explain: &mut impl Explain,
    ) -> Result<StoreName, Reply> {
        let store = match name.and_then(|name| name.placement.as_ref()) {
            Some(placed) => {
                explain.step(|| Step::Placement { address: key.clone(), store: (*placed.store).clone() });
                placed.store.as_ref()
            }
            None => {
                explain.step(|| Step::NoPlacement);
                self.by_rules(key, explain)?
            }
        };
        if self.stores.contains_key(store) {
            return Ok(store.clone());
        }
        explain.step(|| Step::UnknownStore(store.clone()));
        Err(Reply::MISCONFIGURED)
    }

    fn by_rules(&self, key: &AddressKey, explain: &mut impl Explain) -> Result<&StoreName, Reply> {
        // A rule that cannot be read might be the one that matches, and a map might have a placement.
        let mut flawed = self.flaws.keys().map(String::as_str).filter(|flawed| flawed.starts_with(RuleRecord::PREFIX));
        if let Some(flawed) = flawed.next().or_else(|| self.unread_map()) {
            explain.step(|| Step::Unreadable(flawed.to_owned()));
            return Err(Reply::DIRECTORY_UNAVAILABLE);
        }
        for rule in self.rules.iter() {
            if let Some(store) = rule.store_for(key) {
                explain.step(|| Step::RuleMatched { rule: rule.record.name.clone(), store: store.clone() });
                return Ok(store);
            }
            explain.step(|| Step::RuleSkipped(rule.record.name.clone()));
        }
        let domain = Domain::parse(key.domain()).ok().and_then(|name| self.domains.get(&name));
        if let Some(store) = domain.and_then(|domain| domain.default_store.as_ref()) {
            explain.step(|| Step::DomainDefault(store.clone()));
            return Ok(store);
        }
        if let Some(store) = &self.site.default_store {
            explain.step(|| Step::SiteDefault(store.clone()));
            return Ok(store);
        }
        explain.step(|| Step::NoStore);
        Err(Reply::MISCONFIGURED)
    }

    /// What is known of an address.
    pub(crate) fn name(&self, key: &AddressKey) -> Origin<&Name> {
        if self.revision.is_none() || self.flaw_of(key).is_some() {
            return Origin::Unavailable;
        }
        self.names.get(key).map_or(Origin::NotFound, Origin::Found)
    }

    /// The record about an address that cannot be read.
    pub(crate) fn flaw_of(&self, key: &AddressKey) -> Option<String> {
        if self.flaws.is_empty() {
            return None;
        }
        [AccountRecord::PREFIX, AliasRecord::PREFIX, PlacementRecord::PREFIX]
            .into_iter()
            .map(|prefix| format!("{prefix}{}", key.as_str()))
            .find(|key| self.flaws.contains_key(key))
    }

    pub(crate) fn has_alias(&self, key: &AddressKey) -> bool {
        self.names.get(key).is_some_and(|name| name.alias.is_some())
    }

    /// What an alias leads to.
    pub(crate) fn alias_targets(&self, key: &AddressKey) -> Option<Vec<Address>> {
        Some(self.names.get(key)?.alias.as_ref()?.iter().collect())
    }

    pub(crate) fn has_placement(&self, key: &AddressKey) -> bool {
        self.names.get(key).is_some_and(|name| name.placement.is_some())
    }

    fn is_flawed(&self, key: impl FnOnce() -> String) -> bool {
        !self.flaws.is_empty() && self.flaws.contains_key(&key())
    }

    /// A map that nobody has read yet, and that may say something of any address.
    pub fn unread_map(&self) -> Option<&str> {
        let (key, _) = self.flaws.range(overlay::UNREAD_PREFIX.to_owned()..).next()?;
        key.starts_with(overlay::UNREAD_PREFIX).then_some(key)
    }

    /// A map of accounts that was never read, if there is one: nobody is unknown until it is.
    pub(crate) fn unread_accounts(&self) -> Option<&str> {
        let prefix = format!("{}{}/", overlay::UNREAD_PREFIX, overlay::MapKind::PasswdFile);
        let (key, _) = self.flaws.range(prefix.clone()..).next()?;
        key.starts_with(&prefix).then_some(key)
    }

    /// The domain that completes a login name, and that `<postmaster>` belongs to.
    pub fn main_domain(&self) -> Option<&Domain> {
        let mut ours = self.domains.values().filter(|domain| domain.local).map(|domain| &domain.name);
        let only = || ours.next().filter(|_| ours.next().is_none());
        self.site.login_domain.as_ref().or_else(only)
    }
}

/// Keeping up with the engine.
impl Routing {
    /// Takes what a watch gave. The result is the same as loading everything anew.
    pub fn apply(&mut self, changes: &Changes) {
        changes.changes.iter().for_each(|change| self.apply_one(change));
        self.loaded(changes.revision);
    }

    /// Takes one of several changes: they are in when [`Routing::loaded`] says so.
    pub(crate) fn apply_one(&mut self, change: &Change) {
        match change {
            Change::Put(entry) => self.put(entry),
            Change::Delete { key, .. } => self.delete(key),
        }
    }

    /// Drops a copy that nobody else needs, some of it at a time: it may be long, and others run in between.
    pub(crate) async fn forget(copy: Arc<Self>) {
        let Some(Self { names, .. }) = Arc::into_inner(copy) else { return };
        for shards in names.into_pieces() {
            drop(shards);
            overlay::let_others_run().await;
        }
    }

    /// Everything up to `revision` is in.
    pub(crate) fn loaded(&mut self, revision: Revision) {
        self.revision = self.revision.max(Some(revision));
    }

    /// Takes one entry. A value that cannot be read becomes a flaw: it must not look as if it were missing.
    pub(crate) fn put(&mut self, entry: &Entry) {
        let taken = match Slot::of(&entry.key) {
            Slot::Site => decode(entry).map(|site| self.site = Arc::new(site)),
            Slot::Domain(_) => decode(entry).map(|domain: DomainRecord| {
                Arc::make_mut(&mut self.domains).insert(domain.name.clone(), domain);
            }),
            Slot::Store(_) => decode(entry).map(|store: StoreRecord| {
                Arc::make_mut(&mut self.stores).insert(store.name.clone(), store);
            }),
            Slot::Node(_) => decode(entry).map(|node: NodeRecord| {
                Arc::make_mut(&mut self.nodes).insert(node.name.clone(), node);
            }),
            Slot::Rule(_) => decode(entry).and_then(Rule::new).map(|rule| self.put_rule(rule)),
            Slot::Account(key) => account_of(&key, entry).map(|info| {
                self.names.add(key, |name| name.account = Some(Box::new(info)));
            }),
            Slot::Alias(key) => decode(entry).map(|alias: AliasRecord| {
                // A record has at least one.
                let targets = Targets::new(&alias.targets);
                self.names.add(key, |name| name.alias = targets);
            }),
            Slot::Placement(key) => match plain::placement(&key, &entry.value) {
                Some((store, user)) => {
                    self.put_placement(key, store, user.map(Box::from));
                    Ok(())
                }
                None => decode(entry).map(|placement: PlacementRecord| {
                    self.put_placement(key, placement.store, placement.user.map(String::into_boxed_str));
                }),
            },
            Slot::Unread => Err(RecordError::field("map", "nothing could be read of it yet")),
            Slot::Foreign => return,
        };
        match taken {
            Ok(()) => self.mend(&entry.key),
            Err(error) => {
                self.delete(&entry.key);
                Arc::make_mut(&mut self.flaws).insert(entry.key.clone(), error.to_string());
            }
        }
    }

    pub(crate) fn delete(&mut self, key: &str) {
        match Slot::of(key) {
            Slot::Site => self.site = Arc::default(),
            Slot::Domain(name) => {
                Arc::make_mut(&mut self.domains).remove(&name);
            }
            Slot::Store(name) => {
                Arc::make_mut(&mut self.stores).remove(&name);
            }
            Slot::Node(name) => {
                Arc::make_mut(&mut self.nodes).remove(&name);
            }
            Slot::Rule(name) => Arc::make_mut(&mut self.rules).retain(|rule| rule.record.name.as_str() != name),
            Slot::Account(key) => self.names.change(key, |name| name.account = None),
            Slot::Alias(key) => self.names.change(key, |name| name.alias = None),
            Slot::Placement(key) => self.names.change(key, |name| name.placement = None),
            Slot::Unread | Slot::Foreign => {}
        }
        self.mend(key);
    }

    fn mend(&mut self, key: &str) {
        if self.flaws.contains_key(key) {
            Arc::make_mut(&mut self.flaws).remove(key);
        }
    }

    fn put_rule(&mut self, rule: Rule) {
        let rules = Arc::make_mut(&mut self.rules);
        rules.retain(|other| other.record.name != rule.record.name);
        let place = |rule: &Rule| (rule.record.order, rule.record.name.clone());
        let at = rules.partition_point(|other| place(other) < place(&rule));
        rules.insert(at, Arc::new(rule));
    }

    fn put_placement(&mut self, key: AddressKey, store: StoreName, user: Option<Box<str>>) {
        let store = match self.store_names.get(&store) {
            Some(store) => store.clone(),
            None => {
                let shared = Arc::new(store.clone());
                Arc::make_mut(&mut self.store_names).insert(store, shared.clone());
                shared
            }
        };
        self.names.add(key, |name| name.placement = Some(Placed { store, user }));
    }

    #[cfg(test)]
    pub(crate) fn shared_shards(&self, other: &Self) -> usize {
        self.names.shared_shards(&other.names)
    }

    /// Whether two copies answer every question alike, whatever led to them.
    #[cfg(test)]
    pub(crate) fn same_records(&self, other: &Self) -> bool {
        let rules = |routing: &Self| routing.rules().cloned().collect::<Vec<_>>();
        self.site == other.site
            && self.domains == other.domains
            && rules(self) == rules(other)
            && self.stores == other.stores
            && self.nodes == other.nodes
            && self.names == other.names
            && self.flaws == other.flaws
    }
}

impl<T> Origin<T> {
    /// The same with what was found changed.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Origin<U> {
        match self {
            Self::Found(found) => Origin::Found(change(found)),
            Self::NotFound => Origin::NotFound,
            Self::Unavailable => Origin::Unavailable,
        }
    }
}

/// Which record a key belongs to.
enum Slot<'k> {
    Site,
    Domain(Domain),
    Rule(&'k str),
    Store(StoreName),
    Node(NodeName),
    Account(AddressKey),
    Alias(AddressKey),
    Placement(AddressKey),
    /// A map that nobody has read yet.
    Unread,
    /// A key of a later release, or one that no record of ours makes.
    Foreign,
}

impl<'k> Slot<'k> {
    fn of(key: &'k str) -> Self {
        let after = |prefix| key.strip_prefix(prefix);
        let slot = if key == SiteRecord::PREFIX {
            Some(Self::Site)
        } else if let Some(path) = after(AccountRecord::PREFIX) {
            AddressKey::from_path(path).map(Self::Account)
        } else if let Some(path) = after(PlacementRecord::PREFIX) {
            AddressKey::from_path(path).map(Self::Placement)
        } else if let Some(path) = after(AliasRecord::PREFIX) {
            AddressKey::from_path(path).map(Self::Alias)
        } else if let Some(name) = after(DomainRecord::PREFIX) {
            Domain::parse(name).ok().map(Self::Domain)
        } else if let Some(name) = after(StoreRecord::PREFIX) {
            StoreName::parse(name).ok().map(Self::Store)
        } else if let Some(name) = after(NodeRecord::PREFIX) {
            NodeName::parse(name).ok().map(Self::Node)
        } else if after(overlay::UNREAD_PREFIX).is_some() {
            Some(Self::Unread)
        } else {
            after(RuleRecord::PREFIX).map(Self::Rule)
        };
        slot.unwrap_or(Self::Foreign)
    }
}

/// Reads an entry's record, which must be the one that its key says.
fn decode<R: Record>(entry: &Entry) -> Result<R, RecordError> {
    decode_at(&entry.key, &entry.value)
}

fn decode_at<R: Record>(key: &str, value: &[u8]) -> Result<R, RecordError> {
    let record = R::decode(value)?;
    if record.key() != key {
        return Err(RecordError::field("key", "the value belongs to another key"));
    }
    Ok(record)
}

/// Whether a key is that of a record; an error if it is, and the value is not that record.
pub(crate) fn is_record(key: &str, value: &[u8]) -> Result<bool, RecordError> {
    match Slot::of(key) {
        Slot::Site => decode_at::<SiteRecord>(key, value).map(drop),
        Slot::Domain(_) => decode_at::<DomainRecord>(key, value).map(drop),
        Slot::Rule(_) => decode_at(key, value).and_then(Rule::new).map(drop),
        Slot::Store(_) => decode_at::<StoreRecord>(key, value).map(drop),
        Slot::Node(_) => decode_at::<NodeRecord>(key, value).map(drop),
        Slot::Account(_) => decode_at::<AccountRecord>(key, value).map(drop),
        Slot::Alias(_) => decode_at::<AliasRecord>(key, value).map(drop),
        Slot::Placement(_) => decode_at::<PlacementRecord>(key, value).map(drop),
        Slot::Unread => Ok(()),
        Slot::Foreign if key.starts_with(SecretRecord::PREFIX) => decode_at::<SecretRecord>(key, value).map(drop),
        Slot::Foreign => return Ok(false),
    }?;
    Ok(true)
}

fn account_of(key: &AddressKey, entry: &Entry) -> Result<AccountInfo, RecordError> {
    match plain::active_account(key, &entry.value) {
        Some(id) => Ok(AccountInfo {
            id,
            state: AccountState::Active,
            spelling: None,
            forward: None,
            quota_bytes: None,
            quota_messages: None,
        }),
        None => decode(entry).map(|account| account_info(key, &account)),
    }
}

fn account_info(key: &AddressKey, account: &AccountRecord) -> AccountInfo {
    let spelling = account.address.to_string();
    let differs = key.to_address().is_none_or(|address| address != account.address);
    AccountInfo {
        id: account.id,
        state: account.state,
        spelling: differs.then(|| spelling.into()),
        forward: Targets::new(&account.forward),
        quota_bytes: account.quota_bytes,
        quota_messages: account.quota_messages,
    }
}

/// The account's address as the operator wrote it.
pub(crate) fn spelling(name: &Name) -> Option<Address> {
    match name.account.as_ref().and_then(|account| account.spelling.as_deref()) {
        Some(text) => Address::parse(text).ok(),
        None => name.key().to_address(),
    }
}
