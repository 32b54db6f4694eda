//! Identifiers of Posthouse's own.

use std::fmt;

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u64);
        impl $name {
            /// Before the first.
            pub const ZERO: Self = Self(0);
            /// From its number.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }
            /// Its number.
            pub const fn number(self) -> u64 {
                self.0
            }
            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

counter! {
    /// Log sequence number: how many records the journal of one store holds up to and including this one.
    Lsn
}
counter! {
    /// Which reign over a store a writer belongs to; a lower one than the journal's is refused.
    Epoch
}

macro_rules! id16 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);
        impl $name {
            /// From its 16 octets.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
            /// Its 16 octets.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
            /// From 32 hexadecimal digits.
            pub fn parse(text: &str) -> Option<Self> {
                if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return None;
                }
                u128::from_str_radix(text, 16).ok().map(|n| Self(n.to_be_bytes()))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

id16! {
    /// Made once per account and kept through rename, move and replication.
    AccountId
}
id16! {
    /// Names one delivery attempt's message; a store answers a repeated (id, recipient) without storing again.
    DeliveryId
}

/// A mailbox within its account; never used again after the mailbox is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxId(u32);

impl MailboxId {
    /// Every account's INBOX.
    pub const INBOX: Self = Self(1);
    /// From its number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }
    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Why a text names no store or node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 63 letters, digits, '-', '_' or '.', and starts with a letter or digit")]
pub struct NameError;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);
        impl $name {
            /// Reads a name: 1 to 63 lower-case letters (upper case is folded), digits, `-`, `_`, `.`.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
                let holds = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
                if !starts || !holds || text.len() > 63 {
                    return Err(NameError);
                }
                Ok(Self(text.to_ascii_lowercase().into()))
            }
            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
    };
}

name! {
    /// A store: the place where an account's mailboxes are, whichever node serves it now.
    StoreName
}
name! {
    /// A running Posthouse.
    NodeName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse() {
        let id = AccountId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(AccountId::parse(&id.to_string()), Some(id));
        assert_eq!(AccountId::parse("+0000000000000000000000000000001"), None);
    }

    #[test]
    fn names_are_plain() {
        assert_eq!(StoreName::parse("Ingrid").expect("a name").as_str(), "ingrid");
        for text in ["", "-a", "a b", "a/b", "ä"] {
            assert_eq!(StoreName::parse(text), Err(NameError), "{text:?}");
        }
    }
}
