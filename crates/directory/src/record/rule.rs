//! Rules: where accounts go that have no placement.

use super::{Record, RecordError, text};
use crate::key::parse_local;
use mail_types::{Domain, StoreName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A rule. The first that matches, by `order` and then by name, gives the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRule", into = "RawRule")]
pub struct RuleRecord {
    /// Its name.
    pub name: RuleName,
    /// Lower comes first.
    pub order: u32,
    /// The domain that it holds for; `None` for all.
    pub domain: Option<Domain>,
    /// What it looks at, and the store it gives.
    pub kind: RuleKind,
}

/// What a rule looks at, and the store it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// Matches everything.
    All {
        /// The store.
        store: StoreName,
    },
    /// Matches keys in which the expression is found: anywhere, unless it is anchored by `^` and `$`. Case is ignored.
    Regex {
        /// The expression.
        pattern: String,
        /// Which part of the key it sees.
        on: RuleOn,
        /// The store.
        store: StoreName,
    },
    /// Matches local parts between two bounds, both included. As many folded characters are compared as a bound has,
    /// so `a`–`k` holds for `anna` and for `kurt`.
    Prefix {
        /// The lower bound, folded.
        from: String,
        /// The upper bound, folded.
        to: String,
        /// The store.
        store: StoreName,
    },
    /// Spreads all addresses over stores by weighted rendezvous: a store that comes or goes moves only its own share.
    Hash {
        /// The stores and their weights, 1 to 65,535.
        weights: BTreeMap<StoreName, u16>,
    },
}

/// Which part of an address an expression sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleOn {
    /// The folded local part.
    #[default]
    Local,
    /// The folded address, `local@domain`.
    Address,
}

/// The name of a rule: 1 to 63 lower-case letters, digits, `-`, `_`, `.`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleName(Box<str>);

impl RuleRecord {
    /// The stores that it can give.
    pub fn stores(&self) -> Vec<&StoreName> {
        match &self.kind {
            RuleKind::All { store } | RuleKind::Regex { store, .. } | RuleKind::Prefix { store, .. } => vec![store],
            RuleKind::Hash { weights } => weights.keys().collect(),
        }
    }
}

impl RuleName {
    /// Reads a name; upper case is folded.
    pub fn parse(text: &str) -> Result<Self, mail_types::NameError> {
        // The rule is that of stores and nodes.
        StoreName::parse(text).map(|name| Self(name.as_str().into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RuleName({})", self.0)
    }
}

impl Record for RuleRecord {
    const KIND: &'static str = "rule";
    const PREFIX: &'static str = "routing/rule/";
    const FIELDS: &'static [&'static str] =
        &["name", "order", "domain", "kind", "pattern", "on", "from", "to", "weights", "store"];

    fn key_for(name: &str) -> Result<String, RecordError> {
        let name = RuleName::parse(name).map_err(|error| RecordError::field("name", error))?;
        Ok(format!("{}{name}", Self::PREFIX))
    }

    fn key(&self) -> String {
        format!("{}{}", Self::PREFIX, self.name)
    }

    fn check(&self) -> Result<(), RecordError> {
        match &self.kind {
            RuleKind::All { .. } => Ok(()),
            RuleKind::Regex { pattern, .. } => crate::rule::compile(pattern).map(|_| ()),
            RuleKind::Prefix { from, to, .. } => {
                // `b`–`ba` is a range: compared as far as both go, the lower bound may not be above the upper.
                let both = from.chars().count().min(to.chars().count());
                let first = |text: &str| text.chars().take(both).collect::<String>();
                if first(from) > first(to) {
                    return Err(RecordError::field("from", "the lower bound of a range is above the upper"));
                }
                Ok(())
            }
            RuleKind::Hash { weights } => match weights.len() {
                0 => Err(RecordError::field("weights", "a hash rule needs at least one store")),
                n if n > HASH_STORES_MAX => Err(RecordError::field("weights", "at most 1024 stores")),
                _ if weights.values().any(|weight| *weight == 0) => Err(RecordError::field(
                    "weights",
                    "a weight is 1 to 65535; leave out a store that shall get nothing",
                )),
                _ => Ok(()),
            },
        }
    }
}

/// The rule as it is written: one flat object, so that operators see no nesting.
#[derive(Clone, Serialize, Deserialize)]
struct RawRule {
    #[serde(with = "text")]
    name: RuleName,
    order: u32,
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    domain: Option<Domain>,
    kind: RawKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on: Option<RuleOn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weights: Option<BTreeMap<String, u16>>,
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    store: Option<StoreName>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawKind {
    All,
    Regex,
    Prefix,
    Hash,
}

impl TryFrom<RawRule> for RuleRecord {
    type Error = RecordError;

    fn try_from(mut raw: RawRule) -> Result<Self, RecordError> {
        let kind = match raw.kind {
            RawKind::All => RuleKind::All { store: need(raw.store.take(), "store")? },
            RawKind::Regex => RuleKind::Regex {
                pattern: need(raw.pattern.take(), "pattern")?,
                on: raw.on.take().unwrap_or_default(),
                store: need(raw.store.take(), "store")?,
            },
            RawKind::Prefix => RuleKind::Prefix {
                from: bound(raw.from.take(), "from")?,
                to: bound(raw.to.take(), "to")?,
                store: need(raw.store.take(), "store")?,
            },
            RawKind::Hash => RuleKind::Hash { weights: weights(need(raw.weights.take(), "weights")?)? },
        };
        let left = [
            ("pattern", raw.pattern.is_some()),
            ("on", raw.on.is_some()),
            ("from", raw.from.is_some()),
            ("to", raw.to.is_some()),
            ("weights", raw.weights.is_some()),
            ("store", raw.store.is_some()),
        ];
        if let Some((field, _)) = left.into_iter().find(|(_, there)| *there) {
            return Err(RecordError::field(field, "a rule of this kind has no such field"));
        }
        Ok(Self { name: raw.name, order: raw.order, domain: raw.domain, kind })
    }
}

impl From<RuleRecord> for RawRule {
    fn from(rule: RuleRecord) -> Self {
        let RuleRecord { name, order, domain, kind } = rule;
        let mut raw = Self {
            name,
            order,
            domain,
            kind: RawKind::All,
            pattern: None,
            on: None,
            from: None,
            to: None,
            weights: None,
            store: None,
        };
        match kind {
            RuleKind::All { store } => raw.store = Some(store),
            RuleKind::Regex { pattern, on, store } => {
                raw.kind = RawKind::Regex;
                (raw.pattern, raw.on, raw.store) = (Some(pattern), Some(on), Some(store));
            }
            RuleKind::Prefix { from, to, store } => {
                raw.kind = RawKind::Prefix;
                (raw.from, raw.to, raw.store) = (Some(from), Some(to), Some(store));
            }
            RuleKind::Hash { weights } => {
                raw.kind = RawKind::Hash;
                raw.weights = Some(weights.into_iter().map(|(store, weight)| (store.to_string(), weight)).collect());
            }
        }
        raw
    }
}

fn need<T>(value: Option<T>, field: &'static str) -> Result<T, RecordError> {
    value.ok_or_else(|| RecordError::field(field, "a rule of this kind needs it"))
}

/// A bound folds as the local parts do that it is compared with.
fn bound(text: Option<String>, field: &'static str) -> Result<String, RecordError> {
    let text = need(text, field)?;
    let local = parse_local(&text).ok_or_else(|| RecordError::field(field, "1 to 64 octets of a local part"))?;
    Ok(local.key())
}

fn weights(raw: BTreeMap<String, u16>) -> Result<BTreeMap<StoreName, u16>, RecordError> {
    let parse = |(name, weight): (String, u16)| match StoreName::parse(&name) {
        Ok(store) => Ok((store, weight)),
        Err(error) => Err(RecordError::field("weights", format!("{error}: {name:?}"))),
    };
    raw.into_iter().map(parse).collect()
}

/// Every address is scored against each store of a hash rule.
const HASH_STORES_MAX: usize = 1024;
