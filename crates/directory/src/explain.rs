//! Why routing decided as it did, for those who ask.

use crate::key::AddressKey;
use crate::record::{AccountState, RuleName};
use mail_types::{AccountId, Address, Domain, StoreName};
use std::fmt;

/// Takes the steps of a decision.
pub trait Explain {
    /// Takes a step. `make` is called only by those who keep steps, so that nobody else pays for them.
    fn step(&mut self, make: impl FnOnce() -> Step);
}

/// Wants no steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

/// Keeps the steps in order, at most [`Steps::MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps(Vec<Step>);

/// One step of a decision. Shown as a sentence for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This node has no copy of the directory yet.
    NotLoaded,
    /// A record about this address or domain cannot be read.
    Unreadable(String),
    /// The domain is not in the directory, or not local.
    NotOurs(Domain),
    /// `<postmaster>` without a domain.
    SitePostmaster,
    /// The address as it is looked up.
    LookUp(AddressKey),
    /// A login name is completed to an address.
    LoginForm {
        /// As typed.
        name: String,
        /// As looked up.
        address: Address,
    },
    /// A login name has no form that is an address of ours.
    NoLoginForm(String),
    /// No entry for the whole local part: it is a user and a detail (RFC 5233).
    SubAddress {
        /// The user's key.
        user: AddressKey,
        /// The detail.
        detail: String,
    },
    /// An alias is expanded.
    Alias {
        /// The alias.
        alias: AddressKey,
        /// Where it leads.
        targets: Vec<Address>,
    },
    /// An account forwards its mail.
    Forward {
        /// The account.
        account: AddressKey,
        /// Where to.
        targets: Vec<Address>,
    },
    /// This address was met before: it gets the message once.
    Again(AddressKey),
    /// Names that lead back to the first.
    Loop(Vec<AddressKey>),
    /// A limit ended the expansion.
    Limit(&'static str),
    /// An address elsewhere.
    Remote(Address),
    /// Nobody of that name: the domain's catch-all.
    CatchAll(Address),
    /// Nobody of that name, but it is `postmaster` (RFC 5321 §4.5.1).
    Postmaster(Address),
    /// Nobody reads `postmaster`.
    NoPostmaster,
    /// The account.
    Account {
        /// Its key.
        account: AddressKey,
        /// Its id.
        id: AccountId,
        /// Whether it is in use.
        state: AccountState,
    },
    /// Nobody of that name.
    NoAccount(AddressKey),
    /// The domain lets its store say who exists.
    Unchecked(Domain),
    /// The per-user map has an entry.
    Placement {
        /// The key it has.
        address: AddressKey,
        /// What it says.
        store: StoreName,
    },
    /// The per-user map has none.
    NoPlacement,
    /// A rule did not match.
    RuleSkipped(RuleName),
    /// A rule matched.
    RuleMatched {
        /// Its name.
        rule: RuleName,
        /// The store that it gives.
        store: StoreName,
    },
    /// No rule matched: the domain's default.
    DomainDefault(StoreName),
    /// No rule matched, and the domain has no default: the site's.
    SiteDefault(StoreName),
    /// Nothing gives a store.
    NoStore,
    /// The store that was found is not in the directory.
    UnknownStore(StoreName),
    /// A back-end of another make is told this name.
    Told(String),
    /// A back-end of another make is told the address, or what its proxy makes of it.
    ToldAddress(Address),
}

impl Steps {
    /// More steps than this are not kept: an expansion may visit a thousand addresses.
    pub const MAX: usize = 10_000;

    /// No steps yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The steps.
    pub fn as_slice(&self) -> &[Step] {
        &self.0
    }

    /// The steps as sentences.
    pub fn sentences(&self) -> Vec<String> {
        self.0.iter().map(Step::to_string).collect()
    }
}

impl Explain for Silent {
    fn step(&mut self, _make: impl FnOnce() -> Step) {}
}

impl Explain for Steps {
    fn step(&mut self, make: impl FnOnce() -> Step) {
        if self.0.len() < Self::MAX {
            self.0.push(make());
        }
    }
}

impl<E: Explain> Explain for &mut E {
    fn step(&mut self, make: impl FnOnce() -> Step) {
        (**self).step(make);
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoaded => f.write_str("this node has no copy of the directory yet"),
            Self::Unreadable(key) => write!(f, "the record {key} cannot be read: nothing is decided without it"),
            Self::NotOurs(domain) => write!(f, "{domain} is not a domain of ours"),
            Self::SitePostmaster => f.write_str("postmaster without a domain: the site's postmaster"),
            Self::LookUp(key) => write!(f, "looked up as {key}"),
            Self::LoginForm { name, address } => write!(f, "login {name:?} means {address}"),
            Self::NoLoginForm(name) => write!(f, "login {name:?} is no address of ours in any form"),
            Self::SubAddress { user, detail } => write!(f, "no entry of that name; {user} with detail {detail:?}"),
            Self::Alias { alias, targets } => write!(f, "alias {alias} leads to {}", List(targets)),
            Self::Forward { account, targets } => write!(f, "account {account} forwards to {}", List(targets)),
            Self::Again(key) => write!(f, "{key} gets it already"),
            Self::Loop(keys) => {
                f.write_str("loop: ")?;
                keys.iter().try_for_each(|key| write!(f, "{key} leads to "))?;
                keys.first().map_or(Ok(()), |key| write!(f, "{key}"))
            }
            Self::Limit(limit) => write!(f, "stopped: {limit}"),
            Self::Remote(address) => write!(f, "{address} is elsewhere"),
            Self::CatchAll(address) => write!(f, "nobody of that name; the domain's catch-all is {address}"),
            Self::Postmaster(address) => write!(f, "postmaster is read by {address}"),
            Self::NoPostmaster => f.write_str("nobody reads postmaster: set one for the domain or the site"),
            Self::Account { account, id, state } => match state {
                AccountState::Active => write!(f, "account {account} exists (id {id})"),
                AccountState::NoLogin => write!(f, "account {account} exists (id {id}), may not log in"),
                AccountState::Disabled => write!(f, "account {account} exists (id {id}), is disabled"),
            },
            Self::NoAccount(key) => write!(f, "no account or alias {key}"),
            Self::Unchecked(domain) => write!(f, "accounts of {domain} are unchecked: the store is asked"),
            Self::Placement { address, store } => write!(f, "placement of {address}: store {store}"),
            Self::NoPlacement => f.write_str("no placement"),
            Self::RuleSkipped(rule) => write!(f, "rule {rule} does not match"),
            Self::RuleMatched { rule, store } => write!(f, "rule {rule} matches: store {store}"),
            Self::DomainDefault(store) => write!(f, "default of the domain: store {store}"),
            Self::SiteDefault(store) => write!(f, "default of the site: store {store}"),
            Self::NoStore => f.write_str("no rule matches and there is no default store"),
            Self::UnknownStore(store) => write!(f, "there is no store {store}"),
            Self::Told(user) => write!(f, "the back-end is told {user}"),
            Self::ToldAddress(address) => {
                write!(f, "the back-end is told {address}, or its local part where local_part_of says so")
            }
        }
    }
}

struct List<'a>(&'a [Address]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, address) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{address}")?;
        }
        Ok(())
    }
}
