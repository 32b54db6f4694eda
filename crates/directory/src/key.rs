//! Where records are kept: the keys of the engine, and the key of an address.
//!
//! ```text
//!   routing/site                      what every node copies …
//!   routing/domain/<domain>
//!   routing/account/<domain>/<local>  … <local> folded, so one account has one key
//!   routing/alias/<domain>/<local>
//!   routing/placement/<domain>/<local>
//!   routing/rule/<name>   routing/store/<name>   routing/node/<name>
//!   secret/<domain>/<local>           … and what it does not: password hashes,
//!   site/salts                        and the key for salts of nobody
//! ```
//!
//! The domain stands first, so the accounts of a domain are one range. A domain holds no `/`; a local part may.

use mail_types::{Address, Domain, LocalPart};
use std::fmt;

/// What every node keeps a full copy of.
pub const ROUTING_PREFIX: &str = "routing/";
/// Password hashes: read one at a time, never copied.
pub const SECRET_PREFIX: &str = "secret/";

/// An address as look-ups compare it: the folded local part (RFC 8265 §3.3) and the domain.
///
/// Two spellings of one address have one key. Shown as `local@domain`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressKey(Box<str>);

impl AddressKey {
    /// The key of an address.
    pub fn of(address: &Address) -> Self {
        Self::join(address.domain(), address.local())
    }

    /// The key of `local@domain`.
    pub fn join(domain: &Domain, local: &LocalPart) -> Self {
        Self([domain.as_str(), "/", &local.folded()].concat().into())
    }

    /// The folded local part.
    pub fn local(&self) -> &str {
        self.halves().1
    }

    /// The domain.
    pub fn domain(&self) -> &str {
        self.halves().0
    }

    /// `domain/local`, as it stands in keys.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads `domain/local` as it stands in a key. Only what [`AddressKey::of`] makes is one.
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        let (domain, local) = split_at_octet(path, b'/')?;
        (!domain.is_empty() && !local.is_empty()).then(|| Self(path.into()))
    }

    /// The key as an address, where nobody's own spelling is known.
    pub(crate) fn to_address(&self) -> Option<Address> {
        Some(Address::new(parse_local(self.local())?, Domain::parse(self.domain()).ok()?))
    }

    fn halves(&self) -> (&str, &str) {
        split_at_octet(&self.0, b'/').unwrap_or((&self.0, ""))
    }
}

impl fmt::Display for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (domain, local) = self.halves();
        write!(f, "{local}@{domain}")
    }
}

impl fmt::Debug for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddressKey({self})")
    }
}

/// Splits at the first octet of that kind, which is ASCII. Of the short texts that keys and lines of maps are, this is quicker
/// than what is made for long ones.
pub(crate) fn split_at_octet(text: &str, octet: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|other| other == octet)?;
    text.get(..at).zip(text.get(at + 1..))
}

/// Reads a local part that may lack the quotes it needs (user names and map keys do).
pub(crate) fn parse_local(text: &str) -> Option<LocalPart> {
    if let Ok(local) = LocalPart::parse(text) {
        return Some(local);
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    LocalPart::parse(&quoted).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fold_and_split_at_the_domain() {
        for (text, path, shown) in [
            ("Ann@B.test", "b.test/ann", "ann@b.test"),
            ("\"a/b\"@b.test", "b.test/a/b", "a/b@b.test"),
            ("JÖRG@bücher.example", "xn--bcher-kva.example/jörg", "jörg@xn--bcher-kva.example"),
            ("x@[IPv6:::1]", "[IPv6:::1]/x", "x@[IPv6:::1]"),
        ] {
            let key = AddressKey::of(&Address::parse(text).expect(text));
            assert_eq!((key.as_str(), key.to_string().as_str()), (path, shown));
            assert_eq!(AddressKey::from_path(path), Some(key.clone()));
            assert_eq!(key.to_address().map(|address| AddressKey::of(&address)), Some(key));
        }
        assert_eq!(AddressKey::from_path("b.test"), None);
        assert_eq!(parse_local("a b\"c").expect("a local part").as_str(), "a b\"c");
        assert_eq!(parse_local("a\u{7}"), None);
    }
}
