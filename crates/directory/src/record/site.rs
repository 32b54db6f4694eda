//! What holds for the whole site, and what holds for one of its domains.

use super::{Record, RecordError, text};
use mail_types::{Address, Domain, StoreName};
use serde::{Deserialize, Serialize};

/// What holds where a domain says nothing. There is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRecord {
    /// Who reads `postmaster` of domains that name nobody, and `<postmaster>` without a domain (RFC 5321 §4.5.1).
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub postmaster: Option<Address>,
    /// The store of accounts that no placement, rule or domain default gives one.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub default_store: Option<StoreName>,
    /// The domain of a user who logs in without one. A site with a single domain need not say it.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub login_domain: Option<Domain>,
}

/// A domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainRecord {
    /// Its name.
    #[serde(with = "text")]
    pub name: Domain,
    /// What separates a user from a detail (RFC 5233); `null` where sub-addresses are off.
    #[serde(default = "plus")]
    pub delimiter: Option<char>,
    /// Who decides whether an address exists.
    #[serde(default)]
    pub accounts: AccountsPolicy,
    /// The store of accounts that no placement or rule gives one.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub default_store: Option<StoreName>,
    /// Who gets mail for addresses that do not exist.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub catch_all: Option<Address>,
    /// Who reads `postmaster`, where there is no account or alias of that name.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub postmaster: Option<Address>,
    /// Whether mail for it is ours; `false` keeps its records while somebody else serves it.
    #[serde(default = "yes")]
    pub local: bool,
    /// It is being removed: no new account or alias may refer to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
}

/// Who decides whether an address of a domain exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountsPolicy {
    /// The directory: an address without account or alias is refused.
    #[default]
    Checked,
    /// The store, which must be asked before mail is accepted.
    Unchecked,
}

impl DomainRecord {
    /// A domain of ours with the usual settings.
    pub fn new(name: Domain) -> Self {
        Self {
            name,
            delimiter: plus(),
            accounts: AccountsPolicy::Checked,
            default_store: None,
            catch_all: None,
            postmaster: None,
            local: true,
            closed: false,
        }
    }
}

impl Record for SiteRecord {
    const KIND: &'static str = "site";
    const PREFIX: &'static str = "routing/site";
    const FIELDS: &'static [&'static str] = &["postmaster", "default_store", "login_domain"];

    fn key_for(_name: &str) -> Result<String, RecordError> {
        Ok(Self::PREFIX.to_owned())
    }

    fn key(&self) -> String {
        Self::PREFIX.to_owned()
    }

    fn check(&self) -> Result<(), RecordError> {
        Ok(())
    }
}

impl Record for DomainRecord {
    const KIND: &'static str = "domain";
    const PREFIX: &'static str = "routing/domain/";
    const FIELDS: &'static [&'static str] =
        &["name", "delimiter", "accounts", "default_store", "catch_all", "postmaster", "local", "closed"];

    fn key_for(name: &str) -> Result<String, RecordError> {
        let name = Domain::parse(name).map_err(|error| RecordError::field("name", error))?;
        Ok(format!("{}{name}", Self::PREFIX))
    }

    fn key(&self) -> String {
        format!("{}{}", Self::PREFIX, self.name)
    }

    fn check(&self) -> Result<(), RecordError> {
        match self.delimiter {
            // A letter would split ordinary names; `@` and `"` are the address's own.
            Some(c) if !c.is_ascii_punctuation() || matches!(c, '@' | '"' | '\\') => {
                Err(RecordError::field("delimiter", "one ASCII punctuation character, or null for none"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "serde's default has the type of its field")]
fn plus() -> Option<char> {
    Some('+')
}

fn yes() -> bool {
    true
}
