//! Accounts, what else leads to them, where they are, and their password hashes.

use super::{Record, RecordError, address_key, address_key_for, plain, text};
use mail_types::{AccountId, Address, StoreName};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use std::fmt;

/// An account, without its passwords.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Its address as the operator wrote it; also what its user logs in with.
    #[serde(with = "text")]
    pub address: Address,
    /// Kept through rename and move.
    #[serde(with = "text")]
    pub id: AccountId,
    /// Whether it is in use.
    #[serde(default)]
    pub state: AccountState,
    /// Octets it may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// Messages it may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_messages: Option<u64>,
    /// Where its mail goes instead. Its own address among them keeps a copy.
    #[serde(default, with = "text::list", skip_serializing_if = "Vec::is_empty")]
    pub forward: Vec<Address>,
    /// When it was made, in seconds since 1970.
    #[serde(default)]
    pub created: i64,
}

/// Whether an account is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountState {
    /// It gets mail, and its user may log in.
    #[default]
    Active,
    /// It gets mail; nobody may log in (a password that became known).
    NoLogin,
    /// It gets no mail (550 5.2.1), and nobody may log in. What it holds stays.
    Disabled,
}

/// Password hashes of an account, kept apart from routing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRecord {
    /// The account's address.
    #[serde(with = "text")]
    pub address: Address,
    /// Any of them lets its user in.
    pub passwords: Vec<PasswordHash>,
}

/// `{SCHEME}hash`. Shows its scheme only; [`PasswordHash::expose`] gives the rest.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PasswordHash(Box<str>);

/// Another name that leads to accounts here or to addresses elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasRecord {
    /// The name.
    #[serde(with = "text")]
    pub address: Address,
    /// Where it leads; an alias may lead to another.
    #[serde(with = "text::list")]
    pub targets: Vec<Address>,
}

/// Which store holds an address: an entry of the per-user map. Stronger than every rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementRecord {
    /// The address. In a domain whose accounts are unchecked, it needs no account record.
    #[serde(with = "text")]
    pub address: Address,
    /// Where it is.
    #[serde(with = "text")]
    pub store: StoreName,
    /// What a foreign back-end calls its user, where that is not the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

impl AccountRecord {
    /// An active account without quota.
    pub fn new(address: Address, id: AccountId) -> Self {
        Self {
            address,
            id,
            state: AccountState::Active,
            quota_bytes: None,
            quota_messages: None,
            forward: Vec::new(),
            created: 0,
        }
    }
}

impl PasswordHash {
    /// Reads `{SCHEME}hash`. Whether the scheme is known is for whoever verifies passwords to say.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let wrong = |why| Err(RecordError::field("passwords", why));
        let Some((scheme, _)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
            return wrong("a password hash has the form {SCHEME}hash");
        };
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return wrong("the scheme of a password hash has letters, digits, '-', '_' and '.'");
        }
        if text.len() > HASH_OCTETS_MAX || text.chars().any(char::is_control) {
            return wrong("a password hash has at most 1024 octets, none of them a control character");
        }
        Ok(Self(text.into()))
    }

    /// The scheme, without braces.
    pub fn scheme(&self) -> &str {
        self.0.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(scheme, _)| scheme)
    }

    /// All of it: for verifying and exporting, never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash({{{}}}…)", self.scheme())
    }
}

impl<'de> Deserialize<'de> for PasswordHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The error names the rule and never the text.
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

macro_rules! keyed_by_address {
    ($record:ty) => {
        fn key_for(name: &str) -> Result<String, RecordError> {
            address_key_for(<$record>::PREFIX, name)
        }

        fn key(&self) -> String {
            address_key(<$record>::PREFIX, &self.address)
        }
    };
}

impl Record for AccountRecord {
    const KIND: &'static str = "account";
    const PREFIX: &'static str = "routing/account/";
    const FIELDS: &'static [&'static str] =
        &["address", "id", "state", "quota_bytes", "quota_messages", "forward", "created"];
    keyed_by_address!(AccountRecord);

    fn check(&self) -> Result<(), RecordError> {
        if self.forward.len() > TARGETS_MAX {
            return Err(RecordError::field("forward", "at most 1000 addresses"));
        }
        Ok(())
    }
}

impl Record for SecretRecord {
    const KIND: &'static str = "secret";
    const PREFIX: &'static str = crate::SECRET_PREFIX;
    const FIELDS: &'static [&'static str] = &["address", "passwords"];
    keyed_by_address!(SecretRecord);

    fn check(&self) -> Result<(), RecordError> {
        if self.passwords.len() > PASSWORDS_MAX {
            return Err(RecordError::field("passwords", "at most 16 password hashes"));
        }
        Ok(())
    }
}

impl Record for AliasRecord {
    const KIND: &'static str = "alias";
    const PREFIX: &'static str = "routing/alias/";
    const FIELDS: &'static [&'static str] = &["address", "targets"];
    keyed_by_address!(AliasRecord);

    fn check(&self) -> Result<(), RecordError> {
        if self.targets.is_empty() || self.targets.len() > TARGETS_MAX {
            return Err(RecordError::field("targets", "1 to 1000 addresses"));
        }
        Ok(())
    }
}

impl Record for PlacementRecord {
    const KIND: &'static str = "placement";
    const PREFIX: &'static str = "routing/placement/";
    const FIELDS: &'static [&'static str] = &["address", "store", "user"];
    keyed_by_address!(PlacementRecord);

    fn encode(&self) -> Vec<u8> {
        plain::encoded_placement(self).unwrap_or_else(|| super::encoded(self))
    }

    fn check(&self) -> Result<(), RecordError> {
        if !self.user.as_deref().is_none_or(is_user) {
            return Err(RecordError::field("user", "1 to 320 octets, none of them a control character"));
        }
        Ok(())
    }
}

/// Whether a back-end may call its user so.
pub(super) fn is_user(user: &str) -> bool {
    !user.is_empty() && user.len() <= USER_OCTETS_MAX && !user.chars().any(char::is_control)
}

/// Targets of one alias or forward. Longer lists are a mailing list's business.
const TARGETS_MAX: usize = 1000;
/// The account's password and one for each application.
const PASSWORDS_MAX: usize = 16;
/// An argon2id hash has about 100 octets, SCRAM keys about 150.
const HASH_OCTETS_MAX: usize = 1024;
/// A user name is at most an address (RFC 5321 §4.5.3.1).
const USER_OCTETS_MAX: usize = 320;
