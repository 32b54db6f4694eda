//! Rules made ready to be asked.

use crate::hash::rendezvous;
use crate::key::AddressKey;
use crate::record::{RecordError, RuleKind, RuleOn, RuleRecord};
use mail_types::StoreName;
use regex::{Regex, RegexBuilder};

/// A rule with its expression compiled.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) record: RuleRecord,
    regex: Option<Regex>,
}

impl Rule {
    pub(crate) fn new(record: RuleRecord) -> Result<Self, RecordError> {
        let regex = match &record.kind {
            RuleKind::Regex { pattern, .. } => Some(compile(pattern)?),
            RuleKind::All { .. } | RuleKind::Prefix { .. } | RuleKind::Hash { .. } => None,
        };
        Ok(Self { record, regex })
    }

    /// The store that this rule gives to an address, if it matches.
    pub(crate) fn store_for(&self, key: &AddressKey) -> Option<&StoreName> {
        if self.record.domain.as_ref().is_some_and(|domain| domain.as_str() != key.domain()) {
            return None;
        }
        match &self.record.kind {
            RuleKind::All { store } => Some(store),
            RuleKind::Regex { on, store, .. } => {
                let regex = self.regex.as_ref()?;
                let found = match on {
                    RuleOn::Local => regex.is_match(key.local()),
                    RuleOn::Address => regex.is_match(&key.to_string()),
                };
                found.then_some(store)
            }
            RuleKind::Prefix { from, to, store } => in_range(key.local(), from, to).then_some(store),
            RuleKind::Hash { weights } => {
                rendezvous(&key.to_string(), weights.iter().map(|(store, weight)| (store, *weight)))
            }
        }
    }
}

/// Compiles an expression: case ignored, found anywhere unless anchored (as Perdition's regex map does it).
///
/// The engine runs in linear time; the limits bound what compiling takes.
pub(crate) fn compile(pattern: &str) -> Result<Regex, RecordError> {
    if pattern.len() > PATTERN_OCTETS_MAX {
        return Err(RecordError::field("pattern", "at most 1000 octets"));
    }
    RegexBuilder::new(pattern)
        .case_insensitive(true)
        .size_limit(COMPILED_OCTETS_MAX)
        .dfa_size_limit(COMPILED_OCTETS_MAX)
        .build()
        .map_err(|error| RecordError::field("pattern", error))
}

/// Whether `local` is between two bounds, both included, as many characters compared as each bound has.
fn in_range(local: &str, from: &str, to: &str) -> bool {
    let first = |bound: &str| {
        let end = local.char_indices().nth(bound.chars().count()).map_or(local.len(), |(at, _)| at);
        local.get(..end).unwrap_or(local)
    };
    first(from) >= from && first(to) <= to
}

/// Of one expression.
const PATTERN_OCTETS_MAX: usize = 1000;
/// Of one compiled expression, and of its cache.
const COMPILED_OCTETS_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use mail_types::Address;

    fn key(local: &str) -> AddressKey {
        AddressKey::of(&Address::parse(&format!("{local}@site.test")).expect(local))
    }

    fn rule(json: &str) -> Rule {
        let value = serde_json::from_str(json).expect("JSON");
        Rule::new(crate::Record::from_operator(value).expect("a rule")).expect("compiles")
    }

    #[test]
    fn ranges_include_their_ends() {
        for (local, from, to, inside) in [
            ("anna", "a", "k", true),
            ("kurt", "a", "k", true),
            ("KURT", "A", "K", true),
            ("k", "a", "k", true),
            ("ludwig", "a", "k", false),
            ("1st", "a", "k", false),
            ("_x", "a", "k", false),
            ("äpfel", "a", "k", false),
            ("äpfel", "ä", "ä", true),
            ("ka", "a", "kb", true),
            ("kb", "a", "kb", true),
            ("kbz", "a", "kb", true),
            ("kc", "a", "kb", false),
            ("k", "a", "kb", true),
            ("a", "ab", "k", false),
        ] {
            let json = format!(r#"{{"name":"r","order":1,"kind":"prefix","from":"{from}","to":"{to}","store":"s"}}"#);
            assert_eq!(rule(&json).store_for(&key(local)).is_some(), inside, "{local} in {from}–{to}");
        }
    }

    #[test]
    fn expressions_are_found_anywhere_unless_anchored() {
        for (pattern, on, local, found) in [
            ("nn", "local", "Anna", true),
            ("^nn", "local", "Anna", false),
            ("^A", "local", "anna", true),
            ("site", "local", "anna", false),
            ("@site\\\\.test$", "address", "anna", true),
            ("^[^a-k]", "local", "ärger", true),
            ("^[^a-k]", "local", "9x", true),
            ("^error$", "local", "Error", true),
        ] {
            let json =
                format!(r#"{{"name":"r","order":1,"kind":"regex","pattern":"{pattern}","on":"{on}","store":"s"}}"#);
            assert_eq!(rule(&json).store_for(&key(local)).is_some(), found, "{pattern} in {local}");
        }
        assert!(compile("a{1000}{1000}").is_err(), "a bomb");
        assert!(compile(&"a".repeat(1001)).is_err());
        assert!(compile("(").is_err());
    }

    #[test]
    fn a_rule_of_a_domain_holds_for_it_only() {
        let rule = rule(r#"{"name":"r","order":1,"kind":"all","domain":"other.test","store":"s"}"#);
        assert_eq!(rule.store_for(&key("anna")), None);
    }
}
