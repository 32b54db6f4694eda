//! Addresses and paths of the SMTP envelope (RFC 5321 §4.1.2, internationalised by RFC 6531 and RFC 5891).

use std::borrow::Cow;
use std::fmt;
use unicode_normalization::UnicodeNormalization;

/// The part of an address before the `@`, unquoted, with the case it was received in.
///
/// At most 64 octets (RFC 5321 §4.5.3.1.1). Never holds a control character.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalPart(Box<str>);

/// The part of an address after the `@`: lower-case A-labels, at most 255 octets, or an address literal `[…]`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Box<str>);

/// `LocalPart@Domain`. Equality is of octets: look-ups compare [`LocalPart::key`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    local: LocalPart,
    domain: Domain,
}

/// Where bounces go: `MAIL FROM:<…>` (RFC 5321 §4.1.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: never answered by a bounce.
    Null,
    /// A sender.
    Address(Address),
}

/// Who gets the message: `RCPT TO:<…>` (RFC 5321 §4.1.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain, which every server must accept (RFC 5321 §4.5.1).
    Postmaster,
    /// A recipient.
    Address(Address),
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@`, or nothing before or after it.
    #[error("an address has the form local-part@domain")]
    Shape,
    /// The local part holds what it may not, or is over 64 octets.
    #[error("the local part is not one of RFC 5321 (or is over 64 octets)")]
    LocalPart,
    /// The domain is not a host name or an address literal, or is over 255 octets.
    #[error("the domain is not a host name or an address literal (or is over 255 octets)")]
    Domain,
}

impl LocalPart {
    /// Reads a local part in either form, `dot-string` or `"quoted string"` (RFC 5321 §4.1.2, RFC 6531 §3.3).
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let plain = match text.strip_prefix('"') {
            Some(rest) => unquote(rest).ok_or(AddressError::LocalPart)?,
            None if is_dot_string(text) => text.to_owned(),
            None => return Err(AddressError::LocalPart),
        };
        if plain.is_empty() || plain.len() > LOCAL_PART_OCTETS_MAX || plain.chars().any(char::is_control) {
            return Err(AddressError::LocalPart);
        }
        Ok(Self(plain.into()))
    }

    /// The text without quotes, as received.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What look-ups compare: NFC, case-folded (RFC 8265 §3.3, UsernameCaseMapped), then NFC again.
    pub fn key(&self) -> String {
        self.folded().into_owned()
    }

    /// The same without a copy, where it is folded already: of millions most are.
    pub fn folded(&self) -> Cow<'_, str> {
        match (self.0.is_ascii(), self.0.bytes().any(|octet| octet.is_ascii_uppercase())) {
            (true, false) => Cow::Borrowed(&self.0),
            (true, true) => Cow::Owned(self.0.to_ascii_lowercase()),
            (false, _) => Cow::Owned(self.0.nfc().flat_map(char::to_lowercase).nfc().collect()),
        }
    }

    /// Splits `user+detail` at the first delimiter; a delimiter at the very start belongs to the user.
    pub fn split_detail(&self, delimiter: char) -> Option<(LocalPart, &str)> {
        let (user, detail) = self.0.split_once(delimiter)?;
        (!user.is_empty()).then(|| (LocalPart(user.into()), detail))
    }
}

impl fmt::Display for LocalPart {
    /// As it stands in a path: quoted only where it must be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.0) {
            return f.write_str(&self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")
    }
}

impl Domain {
    /// Reads a host name (U-labels become A-labels, RFC 5891 §4) or an address literal (RFC 5321 §4.1.3).
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(literal) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return Self::parse_literal(literal);
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii_strict(text).map_err(|_| AddressError::Domain)?
        };
        let labels_hold = ascii.split('.').all(is_label);
        if !labels_hold || ascii.len() > DOMAIN_OCTETS_MAX {
            return Err(AddressError::Domain);
        }
        Ok(Self(ascii.into()))
    }

    fn parse_literal(literal: &str) -> Result<Self, AddressError> {
        let canonical = match literal.get(..5) {
            Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => {
                let address: std::net::Ipv6Addr =
                    literal.get(5..).unwrap_or("").parse().map_err(|_| AddressError::Domain)?;
                format!("[IPv6:{address}]")
            }
            _ => {
                let address: std::net::Ipv4Addr = literal.parse().map_err(|_| AddressError::Domain)?;
                format!("[{address}]")
            }
        };
        Ok(Self(canonical.into()))
    }

    /// The domain in A-labels, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `[192.0.2.1]` or `[IPv6:…]`.
    pub fn is_literal(&self) -> bool {
        self.0.starts_with('[')
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Address {
    /// Puts two checked halves together.
    pub fn new(local: LocalPart, domain: Domain) -> Self {
        Self { local, domain }
    }

    /// Reads `local@domain` without angle brackets. The last `@` outside quotes separates.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let at = match text.strip_prefix('"') {
            Some(rest) => closing_quote(rest).map(|end| end + 2).ok_or(AddressError::LocalPart)?,
            None => text.find('@').ok_or(AddressError::Shape)?,
        };
        let (local, rest) = text.split_at_checked(at).ok_or(AddressError::Shape)?;
        let domain = rest.strip_prefix('@').ok_or(AddressError::Shape)?;
        if local.is_empty() || domain.is_empty() {
            return Err(AddressError::Shape);
        }
        Ok(Self { local: LocalPart::parse(local)?, domain: Domain::parse(domain)? })
    }

    /// Whether `local@domain` is an address that is ASCII throughout, in lower case, without quotes and no literal: it is
    /// shown and compared as it is written.
    pub fn is_plain_key(local: &str, domain: &str) -> bool {
        let is_folded = |text: &str| text.bytes().all(|octet| octet.is_ascii() && !octet.is_ascii_uppercase());
        is_folded(local)
            && is_folded(domain)
            && local.len() <= LOCAL_PART_OCTETS_MAX
            && domain.len() <= DOMAIN_OCTETS_MAX
            && is_dot_string(local)
            && domain.split('.').all(is_label)
    }

    /// The part before the `@`.
    pub fn local(&self) -> &LocalPart {
        &self.local
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// What look-ups compare: the folded local part, `@`, the domain.
    pub fn key(&self) -> String {
        format!("{}@{}", self.local.key(), self.domain)
    }

    /// Whether it is shown as its key is: folded already, and without quotes.
    pub fn is_key(&self) -> bool {
        matches!(self.local.folded(), Cow::Borrowed(_)) && is_dot_string(&self.local.0)
    }

    /// Whether passing this address on needs SMTPUTF8 (RFC 6531 §3.3).
    pub fn needs_smtputf8(&self) -> bool {
        !self.local.0.is_ascii()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl fmt::Display for ReversePath {
    /// With its angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Address(address) => write!(f, "<{address}>"),
        }
    }
}

impl fmt::Display for ForwardPath {
    /// With its angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("<postmaster>"),
            Self::Address(address) => write!(f, "<{address}>"),
        }
    }
}

macro_rules! debug_as_display {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )*};
}
debug_as_display!(LocalPart, Domain, Address);

/// `atom *("." atom)`, with UTF-8 allowed in atoms (RFC 6531 §3.3).
fn is_dot_string(text: &str) -> bool {
    let mut is_after_dot = true;
    let holds = text.bytes().all(|octet| {
        let is_dot = octet == b'.';
        let holds = if is_dot { !is_after_dot } else { !octet.is_ascii() || is_ascii_atext(octet) };
        is_after_dot = is_dot;
        holds
    });
    holds && !is_after_dot && (text.is_ascii() || !text.chars().any(|c| !c.is_ascii() && c.is_control()))
}

fn is_ascii_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(octet, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'/' | b'=' | b'?' | b'^'..=b'`' | b'{'..=b'~')
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_OCTETS_MAX).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        // The underscore is no letter of a host name, but domains in use have it.
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// The offset of the quote that ends a quoted string whose opening quote is already gone.
fn closing_quote(rest: &str) -> Option<usize> {
    let mut escaped = false;
    rest.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}

fn unquote(rest: &str) -> Option<String> {
    let end = closing_quote(rest)?;
    if end + 1 != rest.len() {
        return None;
    }
    let mut plain = String::with_capacity(end);
    let mut chars = rest.get(..end)?.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next()? } else { c });
    }
    Some(plain)
}

/// RFC 5321 §4.5.3.1.1.
const LOCAL_PART_OCTETS_MAX: usize = 64;
/// RFC 5321 §4.5.3.1.2.
const DOMAIN_OCTETS_MAX: usize = 255;
/// RFC 1035 §2.3.4.
const LABEL_OCTETS_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_of_rfc_5321() {
        for (text, shown) in [
            ("John.Doe@BigISP.test", "John.Doe@bigisp.test"),
            ("\"john doe\"@bigisp.test", "\"john doe\"@bigisp.test"),
            ("\"john\"@bigisp.test", "john@bigisp.test"),
            ("\"a@b\"@bigisp.test", "\"a@b\"@bigisp.test"),
            ("error@bigisp.test", "error@bigisp.test"),
            ("john@[192.0.2.1]", "john@[192.0.2.1]"),
            ("john@[ipv6:2001:DB8::1]", "john@[IPv6:2001:db8::1]"),
            ("jörg@bücher.example", "jörg@xn--bcher-kva.example"),
        ] {
            assert_eq!(Address::parse(text).expect(text).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address() {
        for text in
            ["", "@", "a@", "@b", "a b@c", "a@b c", "a..b@c", ".a@c", "a@-b", "a@b..c", "a@[1.2.3]", "a\r\n@b", "\"a@b"]
        {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
        assert!(LocalPart::parse(&"a".repeat(65)).is_err());
        assert!(Domain::parse(&format!("{}.test", "a".repeat(64))).is_err());
    }

    #[test]
    fn keys_fold_and_details_split() {
        let address = Address::parse("JÖRG+News@B.test").expect("an address");
        assert_eq!(address.key(), "jörg+news@b.test");
        let (user, detail) = address.local().split_detail('+').expect("a detail");
        assert_eq!((user.as_str(), detail), ("JÖRG", "News"));
        assert!(LocalPart::parse("+x").expect("a local part").split_detail('+').is_none());
        // Composed and decomposed letters are the same user.
        assert_eq!(LocalPart::parse("jo\u{308}rg").expect("nfd").key(), LocalPart::parse("jörg").expect("nfc").key());
    }

    proptest! {
        /// RFC 5321 §4.1.2 and RFC 6531 §3.3 to the letter.
        #[test]
        fn dot_strings_are_atoms_and_dots(text in prop_oneof!["[ -~\\x00-\\x1f\\x7f-\\x9fö]{0,4}", "[a.+ö]{0,8}"]) {
            let is_atext = |c: char| {
                c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_control())
            };
            let is_one = text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext));
            prop_assert_eq!(is_dot_string(&text), is_one);
        }

        #[test]
        fn display_parses_back(text in "\\PC{0,40}") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(Address::parse(&address.to_string()), Ok(address.clone()));
                prop_assert!(!address.is_key() || address.key() == address.to_string());
            }
        }
    }
}
