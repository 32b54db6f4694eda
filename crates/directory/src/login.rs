//! Where does this user log in?

use crate::delivery::Existence;
use crate::engine::{Engine, EngineError};
use crate::explain::{Explain, Step};
use crate::key::{AddressKey, parse_local};
use crate::record::{
    AccountState, AccountsPolicy, BackendLogin, Protocol, Record, RecordError, SecretRecord, StoreKind, StoreRecord,
};
use crate::routing::{Origin, Routing, StoreAt, spelling};
use mail_types::{AccountId, Address, Domain, StoreName};
use std::borrow::Cow;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// There is such an account.
    Account(LoginTarget),
    /// There is none; the client hears no more than of a wrong password (RFC 9051 §7.1, AUTHENTICATIONFAILED).
    Unknown,
    /// There is one that may not log in; the client hears the same.
    Refused {
        /// The account's address.
        address: Address,
        /// Why.
        state: AccountState,
    },
    /// Nobody can say now (RFC 9051 §7.1, UNAVAILABLE; RFC 3206 §4, SYS/TEMP).
    Unavailable,
}

/// The account that a login name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginTarget {
    /// Where it is.
    pub store: StoreName,
    /// Its id; `None` where only the store knows who exists.
    pub account: Option<AccountId>,
    /// The account's own address.
    pub address: Address,
    /// What its placement says a foreign back-end calls this user; else the address is used.
    pub user: Option<String>,
    /// Whether the directory knows it, or the back-end's answer to the login decides.
    pub existence: Existence,
}

/// Who says what an access token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenJudge {
    /// An issuer that is asked here; behind it, the back-ends that are shown tokens.
    Issuer,
    /// Those back-ends alone.
    BackEnds,
}

impl Routing {
    /// Whether no back-end wants its users' own passwords: who has proved here who he is, without one, gets in anywhere.
    pub fn judges_every_login(&self) -> bool {
        self.wanting_passwords().next().is_none()
    }

    /// The back-ends that want their users' own passwords. Where one takes mail and nothing else, nobody logs in.
    pub fn wanting_passwords(&self) -> impl Iterator<Item = &StoreRecord> {
        self.entered().filter(|store| matches!(store.kind, StoreKind::Foreign { login: BackendLogin::Password, .. }))
    }

    /// Whether a good token gets its owner in wherever a login leads: nobody knows where to before he has said who he is, so a
    /// mechanism is offered to all or to none. Where nobody logs in, no back-end judges anything.
    pub fn takes_tokens(&self, judge: TokenJudge) -> bool {
        let honoured = self.refusing_tokens(judge).next().is_none();
        honoured && (judge == TokenJudge::Issuer || self.entered().next().is_some())
    }

    /// The stores at which a good token does not get its owner in.
    pub fn refusing_tokens(&self, judge: TokenJudge) -> impl Iterator<Item = &StoreRecord> {
        let honours = move |store: &StoreRecord| match (&store.kind, judge) {
            (StoreKind::Foreign { login: BackendLogin::Password, tokens, .. }, _) => *tokens,
            (StoreKind::Foreign { login: BackendLogin::Master, .. }, TokenJudge::Issuer) => true,
            (StoreKind::Posthouse { .. }, TokenJudge::Issuer) => true,
            // Our word, without a judge.
            (StoreKind::Foreign { .. } | StoreKind::Posthouse { .. }, TokenJudge::BackEnds) => false,
        };
        self.entered().filter(move |store| !honours(store))
    }

    /// The stores to which a login may lead.
    fn entered(&self) -> impl Iterator<Item = &StoreRecord> {
        let is_for_mail = |protocol: &Protocol| matches!(protocol, Protocol::Smtp | Protocol::Lmtp);
        self.stores().filter(move |store| match &store.kind {
            StoreKind::Foreign { ports, .. } => !ports.keys().all(is_for_mail),
            StoreKind::Posthouse { .. } => true,
        })
    }

    /// Which account a login name means, and where it is. Aliases, forwards, catch-alls and details never apply.
    pub fn login(&self, name: &str, explain: &mut impl Explain) -> Login {
        if self.revision().is_none() {
            explain.step(|| Step::NotLoaded);
            return Login::Unavailable;
        }
        let Some(address) = self.login_address(name) else {
            explain.step(|| Step::NoLoginForm(name.to_owned()));
            return Login::Unknown;
        };
        explain.step(|| Step::LoginForm { name: name.to_owned(), address: address.clone() });
        let domain = match self.domain(address.domain()) {
            Origin::Found(domain) => domain,
            Origin::NotFound => {
                explain.step(|| Step::NotOurs(address.domain().clone()));
                return Login::Unknown;
            }
            Origin::Unavailable => {
                explain.step(|| Step::Unreadable(address.domain().to_string()));
                return Login::Unavailable;
            }
        };
        self.login_at(&address, domain.accounts, explain)
    }

    /// The address of a login name in a domain of ours, where nobody here has an account of it: somebody else may know it.
    /// Nothing where that cannot be said.
    pub fn login_stranger(&self, name: &str) -> Option<Address> {
        let address = self.login_address(name).filter(|_| self.revision().is_some())?;
        let is_ours = matches!(self.domain(address.domain()), Origin::Found(_));
        let is_nobodys = matches!(self.account(&address), Origin::NotFound) && self.unread_accounts().is_none();
        (is_ours && is_nobodys).then_some(address)
    }

    fn login_at(&self, address: &Address, policy: AccountsPolicy, explain: &mut impl Explain) -> Login {
        let key = AddressKey::of(address);
        let entry = match self.name(&key) {
            Origin::Found(entry) => Some(entry),
            Origin::NotFound => None,
            Origin::Unavailable => {
                explain.step(|| Step::Unreadable(self.flaw_of(&key).unwrap_or_default()));
                return Login::Unavailable;
            }
        };
        let account = entry.and_then(|entry| Some((entry.account.as_ref()?, spelling(entry)?)));
        let (id, address, existence) = match (account, policy) {
            (Some((account, address)), AccountsPolicy::Checked | AccountsPolicy::Unchecked) => {
                explain.step(|| Step::Account { account: key.clone(), id: account.id, state: account.state });
                if account.state != AccountState::Active {
                    return Login::Refused { address, state: account.state };
                }
                (Some(account.id), address, Existence::Known)
            }
            (None, AccountsPolicy::Checked) => {
                if let Some(unread) = self.unread_accounts() {
                    explain.step(|| Step::Unreadable(unread.to_owned()));
                    return Login::Unavailable;
                }
                explain.step(|| Step::NoAccount(key));
                return Login::Unknown;
            }
            (None, AccountsPolicy::Unchecked) => {
                explain.step(|| Step::Unchecked(address.domain().clone()));
                (None, address.clone(), Existence::AskStore)
            }
        };
        let Ok(store) = self.home(&key, entry, explain) else { return Login::Unavailable };
        // A Posthouse store knows its users by their addresses.
        let foreign = matches!(self.store_at(&store), Some(StoreAt::Foreign { .. }));
        let placed = entry.and_then(|entry| entry.placement.as_ref()).filter(|_| foreign);
        let user = placed.and_then(|placed| placed.user.as_deref()).map(str::to_owned);
        Login::Account(LoginTarget { store, account: id, address, user, existence })
    }

    /// The address that a login name means: `user@domain`; `user%domain`, which old clients need; or `user` in the
    /// site's login domain.
    pub fn login_address(&self, name: &str) -> Option<Address> {
        if name.contains('@') {
            return name.rsplit_once('@').and_then(address);
        }
        if let Some(address) = self.percent_form(name) {
            return Some(address);
        }
        Some(Address::new(parse_local(name)?, self.main_domain()?.clone()))
    }

    /// A login name in this domain, where it is bare; one that says its domain, in any form, stays what it is.
    pub fn login_name_in<'a>(&self, name: &'a str, domain: &Domain) -> Cow<'a, str> {
        if name.contains('@') || self.percent_form(name).is_some() {
            return Cow::Borrowed(name);
        }
        Cow::Owned(format!("{name}@{domain}"))
    }

    fn percent_form(&self, name: &str) -> Option<Address> {
        let address = name.rsplit_once('%').and_then(address)?;
        // A domain that cannot be read may be ours.
        (!matches!(self.domain(address.domain()), Origin::NotFound)).then_some(address)
    }
}

fn address((local, domain): (&str, &str)) -> Option<Address> {
    Some(Address::new(parse_local(local)?, Domain::parse(domain).ok()?))
}

/// The password hashes of one account, from where they are kept: routing has no copy of them.
pub async fn read_secret(engine: &dyn Engine, address: &Address) -> Origin<SecretRecord> {
    let key = crate::record::address_key(SecretRecord::PREFIX, address);
    let entry: Result<_, EngineError> = engine.get(&key).await;
    let record: Option<Result<_, RecordError>> = match entry {
        Ok(entry) => entry.map(|entry| SecretRecord::decode(&entry.value)),
        Err(_) => return Origin::Unavailable,
    };
    match record {
        Some(Ok(secret)) => Origin::Found(secret),
        Some(Err(_)) => Origin::Unavailable,
        None => Origin::NotFound,
    }
}
