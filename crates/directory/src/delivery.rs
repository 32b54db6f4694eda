//! Where does mail for this address go?

use crate::explain::{Explain, Step};
use crate::key::AddressKey;
use crate::overlay::stand_in;
use crate::record::{AccountState, AccountsPolicy, DomainRecord, Protocol};
use crate::reply::Reply;
use crate::routing::{Origin, Routing, StoreAt, spelling};
use crate::table::{Name, Targets};
use mail_types::{AccountId, Address, ForwardPath, LocalPart, StoreName};
use std::collections::BTreeSet;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It goes to these.
    Deliver(Deliver),
    /// The domain is not ours: refused, unless the sender may relay.
    NotOurs(Reply),
    /// Nobody here gets it.
    Reject(Reply),
    /// Nobody can say now.
    TempFail(Reply),
}

/// Who gets a message; at least one target or remote address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deliver {
    /// Accounts at our stores and at back-ends; each once.
    pub targets: Vec<Target>,
    /// Addresses elsewhere that aliases and forwards lead to; each once.
    pub remote: Vec<Address>,
    /// Addresses that an alias names and nobody has, with what each would be told. Worth a line in the log.
    pub dropped: Vec<(Address, Reply)>,
}

impl Deliver {
    /// Why mail is taken for none of them as `routing` is, if it is not: to take it for the others would lose it for these.
    pub fn waits(&self, routing: &Routing) -> Option<Reply> {
        if !self.remote.is_empty() {
            return Some(Reply::NO_OUTBOUND);
        }
        self.targets.iter().find_map(|target| target.waits(routing))
    }
}

/// Whether an id of [`Target::id`] is that of no account, but stands for this recipient of whom only his store knows.
pub fn is_stand_in(id: AccountId, recipient: &Address) -> bool {
    id == stand_in(recipient)
}

impl Target {
    /// The account's id; where only the store knows who exists, what stands for the recipient there.
    pub fn id(&self) -> AccountId {
        self.account.unwrap_or_else(|| stand_in(&self.recipient))
    }

    fn waits(&self, routing: &Routing) -> Option<Reply> {
        match (routing.mail_by(&self.store), self.existence) {
            (MailBy::Node, Existence::AskStore) => Some(Reply::NOT_ASKED),
            (MailBy::Nothing, _) => Some(Reply::NO_MAIL_PORT),
            (MailBy::Node, Existence::Known) | (MailBy::BackEnd(_), _) => None,
        }
    }
}

/// How a store gets mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailBy {
    /// It is one of ours: from its node.
    Node,
    /// It is of another make, and gets it by this protocol.
    BackEnd(Protocol),
    /// It is of another make, and its record has no port for mail.
    Nothing,
}

/// One account that gets a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it is.
    pub store: StoreName,
    /// Its id; `None` where only the store knows who exists.
    pub account: Option<AccountId>,
    /// The account's own address (of an unchecked domain: the recipient without its detail).
    pub address: Address,
    /// The address under which it was reached, its local part as received: what the store is told in RCPT.
    pub recipient: Address,
    /// What stood after the delimiter of sub-addresses (RFC 5233).
    pub detail: Option<String>,
    /// Whether the store must be asked first.
    pub existence: Existence,
}

/// Who said that an account exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existence {
    /// The directory.
    Known,
    /// Nobody yet: the store is asked by RCPT before the recipient is accepted.
    AskStore,
}

impl Routing {
    /// How a store gets mail: one of another make by LMTP where it has that, since it answers for each recipient then
    /// (RFC 2033 §4.2), else by SMTP.
    pub fn mail_by(&self, store: &StoreName) -> MailBy {
        match self.store_at(store) {
            Some(StoreAt::Foreign { ports, .. }) => [Protocol::Lmtp, Protocol::Smtp]
                .into_iter()
                .find(|protocol| ports.contains_key(protocol))
                .map_or(MailBy::Nothing, MailBy::BackEnd),
            Some(StoreAt::Node(_) | StoreAt::UnknownNode(_)) | None => MailBy::Node,
        }
    }

    /// Where mail for an address goes.
    pub fn delivery(&self, address: &Address, explain: &mut impl Explain) -> Delivery {
        if self.revision().is_none() {
            explain.step(|| Step::NotLoaded);
            return Delivery::TempFail(Reply::DIRECTORY_UNAVAILABLE);
        }
        match self.domain(address.domain()) {
            Origin::Found(_) => {}
            Origin::NotFound => {
                explain.step(|| Step::NotOurs(address.domain().clone()));
                return Delivery::NotOurs(Reply::RELAYING_DENIED);
            }
            Origin::Unavailable => {
                explain.step(|| Step::Unreadable(address.domain().to_string()));
                return Delivery::TempFail(Reply::DIRECTORY_UNAVAILABLE);
            }
        }
        if let Some(delivery) = self.undecided(explain) {
            return delivery;
        }
        let mut expansion = Expansion::new(self, explain);
        let visited = expansion.visit(address);
        expansion.finish(visited)
    }

    /// Where mail for a forward path goes: `<postmaster>` needs no domain (RFC 5321 §4.5.1).
    pub fn delivery_path(&self, path: &ForwardPath, explain: &mut impl Explain) -> Delivery {
        match path {
            ForwardPath::Address(address) => self.delivery(address, explain),
            ForwardPath::Postmaster => self.postmaster(explain),
        }
    }

    /// While a map that is read live was never read, any address may be an alias: mail waits where it is.
    fn undecided(&self, explain: &mut impl Explain) -> Option<Delivery> {
        let unread = self.unread_map()?;
        explain.step(|| Step::Unreadable(unread.to_owned()));
        Some(Delivery::TempFail(Reply::DIRECTORY_UNAVAILABLE))
    }

    fn postmaster(&self, explain: &mut impl Explain) -> Delivery {
        if self.revision().is_none() {
            explain.step(|| Step::NotLoaded);
            return Delivery::TempFail(Reply::DIRECTORY_UNAVAILABLE);
        }
        if let Some(delivery) = self.undecided(explain) {
            return delivery;
        }
        explain.step(|| Step::SitePostmaster);
        let main = || Some(Address::new(LocalPart::parse("postmaster").ok()?, self.main_domain()?.clone()));
        let mut expansion = Expansion::new(self, explain);
        let visited = expansion.first_reader([self.site().postmaster.clone(), main()].into_iter().flatten());
        expansion.finish(visited)
    }
}

/// One address becomes the accounts and remote addresses behind it.
struct Expansion<'r, E> {
    routing: &'r Routing,
    explain: &'r mut E,
    found: Deliver,
    looped: bool,
    /// The names that led to where we are.
    trail: Vec<AddressKey>,
    /// Aliases and forwards that were expanded.
    expanded: BTreeSet<AddressKey>,
    /// Accounts and remote addresses that already get it.
    reached: BTreeSet<AddressKey>,
    /// How often somebody was reached, those included who already were.
    hits: usize,
    visits: usize,
}

impl<'r, E: Explain> Expansion<'r, E> {
    fn new(routing: &'r Routing, explain: &'r mut E) -> Self {
        Self {
            routing,
            explain,
            found: Deliver::default(),
            looped: false,
            trail: Vec::new(),
            expanded: BTreeSet::new(),
            reached: BTreeSet::new(),
            hits: 0,
            visits: 0,
        }
    }

    fn finish(self, visited: Result<(), Reply>) -> Delivery {
        match visited {
            Err(reply) => Delivery::TempFail(reply),
            Ok(()) if self.has_found() => Delivery::Deliver(self.found),
            Ok(()) if self.looped => Delivery::TempFail(Reply::ALIAS_LOOP),
            Ok(()) => Delivery::Reject(self.found.dropped.first().map_or(Reply::NO_SUCH_ACCOUNT, |(_, reply)| *reply)),
        }
    }

    fn has_found(&self) -> bool {
        !self.found.targets.is_empty() || !self.found.remote.is_empty()
    }

    /// Follows one address. `Err` fails the whole message for now: a part of it delivered would be a part lost.
    fn visit(&mut self, address: &Address) -> Result<(), Reply> {
        self.visits += 1;
        if self.visits > VISITS_MAX {
            return self.stop("more than 1000 addresses");
        }
        if self.trail.len() > DEPTH_MAX {
            return self.stop("more than 16 names lead to one another");
        }
        let domain = match self.routing.domain(address.domain()) {
            Origin::Found(domain) => domain,
            Origin::NotFound => {
                self.remote(address);
                return Ok(());
            }
            Origin::Unavailable => return self.unreadable(|| address.domain().to_string()),
        };
        let Match { key, name, detail } = self.find(address, domain)?;
        if !self.trail.contains(&key)
            && let Some(name) = name
            && let Some(targets) = self.leads_to(name)
        {
            return self.expand(key, targets);
        }
        match name.filter(|name| name.account.is_some()) {
            Some(name) => self.account(name, address, detail),
            None if self.trail.contains(&key) => {
                self.looped(&key);
                Ok(())
            }
            None => self.missing(key, name, address, detail, domain),
        }
    }

    /// The entry of an address: of its whole local part, else of the part before the delimiter.
    fn find(&mut self, address: &Address, domain: &DomainRecord) -> Result<Match<'r>, Reply> {
        let key = AddressKey::of(address);
        self.explain.step(|| Step::LookUp(key.clone()));
        let unchecked = domain.accounts == AccountsPolicy::Unchecked;
        let counts = |name: &&Name| name.exists() || unchecked;
        let exact = self.look_up(&key)?.filter(counts);
        let split = domain.delimiter.and_then(|delimiter| address.local().split_detail(delimiter));
        let (None, Some((user, detail))) = (exact, split) else {
            return Ok(Match { key, name: exact, detail: None });
        };
        let user_key = AddressKey::join(address.domain(), &user);
        let name = self.look_up(&user_key)?.filter(counts);
        // Where the store is asked, the user's rules hold for all his sub-addresses.
        if name.is_none() && !unchecked {
            return Ok(Match { key, name: None, detail: None });
        }
        self.explain.step(|| Step::SubAddress { user: user_key.clone(), detail: detail.to_owned() });
        Ok(Match { key: user_key, name, detail: Some(detail.to_owned()) })
    }

    fn look_up(&mut self, key: &AddressKey) -> Result<Option<&'r Name>, Reply> {
        match self.routing.name(key) {
            Origin::Found(name) => Ok(Some(name)),
            Origin::NotFound => Ok(None),
            Origin::Unavailable => {
                let routing = self.routing;
                self.unreadable(|| routing.flaw_of(key).unwrap_or_default()).map(|()| None)
            }
        }
    }

    /// What an entry leads to, if it is not an account that keeps its mail.
    fn leads_to(&mut self, name: &'r Name) -> Option<&'r Targets> {
        if let Some(targets) = &name.alias {
            self.explain.step(|| Step::Alias { alias: name.key().clone(), targets: targets.iter().collect() });
            return Some(targets);
        }
        let account = name.account.as_ref()?;
        let targets = account.forward.as_ref().filter(|_| account.state != AccountState::Disabled)?;
        self.explain.step(|| Step::Forward { account: name.key().clone(), targets: targets.iter().collect() });
        Some(targets)
    }

    fn expand(&mut self, key: AddressKey, targets: &Targets) -> Result<(), Reply> {
        if !self.expanded.insert(key.clone()) {
            self.explain.step(|| Step::Again(key));
            self.hits += usize::from(self.has_found());
            return Ok(());
        }
        self.trail.push(key);
        let visited = targets.iter().try_for_each(|target| self.visit(&target));
        self.trail.pop();
        visited
    }

    fn account(&mut self, name: &Name, recipient: &Address, detail: Option<String>) -> Result<(), Reply> {
        let (Some(account), Some(address)) = (&name.account, spelling(name)) else { return Ok(()) };
        let key = name.key();
        self.explain.step(|| Step::Account { account: key.clone(), id: account.id, state: account.state });
        if account.state == AccountState::Disabled {
            self.found.dropped.push((recipient.clone(), Reply::ACCOUNT_DISABLED));
            return Ok(());
        }
        if !self.reach(key) {
            return Ok(());
        }
        self.found.targets.push(Target {
            store: self.routing.home(key, Some(name), self.explain)?,
            account: Some(account.id),
            address,
            recipient: recipient.clone(),
            detail,
            existence: Existence::Known,
        });
        Ok(())
    }

    /// Nobody has this address in the directory.
    fn missing(
        &mut self,
        key: AddressKey,
        name: Option<&Name>,
        address: &Address,
        detail: Option<String>,
        domain: &DomainRecord,
    ) -> Result<(), Reply> {
        let is_postmaster = key.local() == "postmaster";
        let unchecked = domain.accounts == AccountsPolicy::Unchecked;
        if is_postmaster && (domain.postmaster.is_some() || !unchecked) {
            self.trail.push(key);
            let site = self.routing.site().postmaster.clone();
            let readers = [domain.postmaster.clone(), site, domain.catch_all.clone()];
            let visited = self.first_reader(readers.into_iter().flatten());
            self.trail.pop();
            return visited;
        }
        if unchecked {
            return self.ask_store(&key, name, address, detail, domain);
        }
        if let Some(catch_all) = &domain.catch_all {
            self.explain.step(|| Step::CatchAll(catch_all.clone()));
            self.trail.push(key);
            let visited = self.visit(catch_all);
            self.trail.pop();
            return visited;
        }
        self.explain.step(|| Step::NoAccount(key));
        self.found.dropped.push((address.clone(), Reply::NO_SUCH_ACCOUNT));
        Ok(())
    }

    /// The domain leaves it to the store: rules and placements say which.
    fn ask_store(
        &mut self,
        key: &AddressKey,
        name: Option<&Name>,
        address: &Address,
        detail: Option<String>,
        domain: &DomainRecord,
    ) -> Result<(), Reply> {
        self.explain.step(|| Step::Unchecked(domain.name.clone()));
        if !self.reach(key) {
            return Ok(());
        }
        let split = detail.as_ref().and(domain.delimiter).and_then(|delimiter| address.local().split_detail(delimiter));
        let user = split.map_or_else(|| address.local().clone(), |(user, _)| user);
        self.found.targets.push(Target {
            store: self.routing.home(key, name, self.explain)?,
            account: None,
            address: Address::new(user, address.domain().clone()),
            recipient: address.clone(),
            detail,
            existence: Existence::AskStore,
        });
        Ok(())
    }

    /// The first of these that somebody reads. Mail for a postmaster waits rather than bounces.
    fn first_reader(&mut self, readers: impl Iterator<Item = Address>) -> Result<(), Reply> {
        for reader in readers {
            self.explain.step(|| Step::Postmaster(reader.clone()));
            let (hits, dropped) = (self.hits, self.found.dropped.len());
            self.visit(&reader)?;
            if self.hits > hits {
                return Ok(());
            }
            self.found.dropped.truncate(dropped);
        }
        self.explain.step(|| Step::NoPostmaster);
        Err(Reply::MISCONFIGURED)
    }

    /// Somebody is reached; `false` if he gets it already.
    fn reach(&mut self, key: &AddressKey) -> bool {
        self.hits += 1;
        let first = self.reached.insert(key.clone());
        if !first {
            self.explain.step(|| Step::Again(key.clone()));
        }
        first
    }

    fn remote(&mut self, address: &Address) {
        self.explain.step(|| Step::Remote(address.clone()));
        if self.reach(&AddressKey::of(address)) {
            self.found.remote.push(address.clone());
        }
    }

    fn looped(&mut self, key: &AddressKey) {
        self.looped = true;
        let from = self.trail.iter().position(|name| name == key).unwrap_or(0);
        self.explain.step(|| Step::Loop(self.trail.get(from..).unwrap_or_default().to_vec()));
    }

    fn stop(&mut self, limit: &'static str) -> Result<(), Reply> {
        self.explain.step(|| Step::Limit(limit));
        Err(Reply::MISCONFIGURED)
    }

    fn unreadable(&mut self, record: impl FnOnce() -> String) -> Result<(), Reply> {
        self.explain.step(|| Step::Unreadable(record()));
        Err(Reply::DIRECTORY_UNAVAILABLE)
    }
}

/// What an address was found to be.
struct Match<'r> {
    /// The key that rules and placements see.
    key: AddressKey,
    name: Option<&'r Name>,
    detail: Option<String>,
}

/// Addresses followed for one recipient, as many as one alias may name.
const VISITS_MAX: usize = 1000;
/// Aliases and forwards that lead to one another. RFC 5321 §6.3 bounds loops between hosts; this bounds ours.
const DEPTH_MAX: usize = 16;
