//! The records: JSON values with a version.
//!
//! Version rule: every value has `"v"`, the lowest version of a reader that understands it (now 1). A reader refuses a
//! higher one and ignores fields it does not know, so a field that old readers may ignore comes without a new version.
//! Operators are held more strictly: [`Record::from_operator`] refuses unknown fields and names the nearest known one.

mod account;
pub(crate) mod plain;
mod rule;
mod site;
mod store;
pub(crate) mod text;

pub use account::{AccountRecord, AccountState, AliasRecord, PasswordHash, PlacementRecord, SecretRecord};
pub use rule::{RuleKind, RuleName, RuleOn, RuleRecord};
pub use site::{AccountsPolicy, DomainRecord, SiteRecord};
pub use store::{BackendLogin, Host, HostAt, NodeRecord, NodeRole, PortTls, Protocol, StoreKind, StoreRecord, TlsMode};

use crate::nearest::nearest;
use mail_types::Address;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A record of the directory.
pub trait Record: Serialize + DeserializeOwned + Send + Sync {
    /// The noun, as on the command line.
    const KIND: &'static str;
    /// What the keys of all its records start with.
    const PREFIX: &'static str;
    /// The fields that an operator may write.
    const FIELDS: &'static [&'static str];

    /// The key that a record named `name` has (an address, a domain, a store …).
    fn key_for(name: &str) -> Result<String, RecordError>;

    /// This record's key.
    fn key(&self) -> String;

    /// What the types of the fields do not say.
    fn check(&self) -> Result<(), RecordError>;

    /// The value that the engine keeps.
    fn encode(&self) -> Vec<u8> {
        encoded(self)
    }

    /// Reads a value that the engine kept.
    fn decode(value: &[u8]) -> Result<Self, RecordError> {
        // `encode` puts the version first, so a million records need not be read twice.
        if !value.starts_with(br#"{"v":1,"#) {
            let version: Version = serde_json::from_slice(value).map_err(RecordError::Json)?;
            if version.v > VERSION {
                return Err(RecordError::Newer { found: version.v });
            }
        }
        let record: Self = serde_json::from_slice(value).map_err(RecordError::Json)?;
        record.check()?;
        Ok(record)
    }

    /// Reads what an operator wrote: `v` may be left out, unknown fields are refused.
    fn from_operator(value: serde_json::Value) -> Result<Self, RecordError> {
        if let Some(fields) = value.as_object() {
            for field in fields.keys().filter(|field| field.as_str() != "v") {
                if !Self::FIELDS.contains(&field.as_str()) {
                    let nearest = nearest(field, Self::FIELDS.iter().copied()).map(str::to_owned);
                    return Err(RecordError::UnknownField { field: field.clone(), nearest });
                }
            }
            if let Some(found) = fields.get("v").and_then(serde_json::Value::as_u64).filter(|v| *v > VERSION) {
                return Err(RecordError::Newer { found });
            }
        }
        let record: Self = serde_json::from_value(value).map_err(RecordError::Json)?;
        record.check()?;
        Ok(record)
    }
}

/// Why a value is not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not the JSON of this record.
    #[error("not a record of this kind: {0}")]
    Json(#[source] serde_json::Error),
    /// It was written by a later release.
    #[error("written by a later release (version {found}, this one reads up to 1)")]
    Newer {
        /// The version it names.
        found: u64,
    },
    /// An operator wrote a field that does not exist.
    #[error("unknown field `{field}`{}", nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    UnknownField {
        /// The field.
        field: String,
        /// The field that was probably meant.
        nearest: Option<String>,
    },
    /// A field holds what it may not.
    #[error("{field}: {why}")]
    Field {
        /// The field.
        field: &'static str,
        /// The rule that it breaks.
        why: String,
    },
}

impl RecordError {
    pub(crate) fn field(field: &'static str, why: impl ToString) -> Self {
        Self::Field { field, why: why.to_string() }
    }
}

/// `<prefix><domain>/<local>` of an address.
pub(crate) fn address_key(prefix: &str, address: &Address) -> String {
    [prefix, address.domain().as_str(), "/", &address.local().folded()].concat()
}

fn address_key_for(prefix: &str, name: &str) -> Result<String, RecordError> {
    let address = Address::parse(name).map_err(|error| RecordError::field("address", error))?;
    Ok(address_key(prefix, &address))
}

fn encoded<R: Record>(record: &R) -> Vec<u8> {
    // Records are maps with text keys and hold no type whose serialisation can fail.
    serde_json::to_vec(&Versioned { v: VERSION, record }).expect("a record is valid JSON")
}

#[derive(Serialize)]
struct Versioned<'a, R> {
    v: u64,
    #[serde(flatten)]
    record: &'a R,
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

const VERSION: u64 = 1;
