//! Which mechanisms there are, and how they are written.

use std::fmt;

/// A mechanism whose server side [`crate::Exchange`] speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: obsolete, and what Outlook sends.
    Login,
}

impl Mechanism {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Login];

    /// Reads a name as a client sends it, in any case (RFC 4422 §3.1 has upper case; clients are lax).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// Whether the password itself crosses the wire, so that it is offered under TLS only.
    pub const fn reveals_password(self) -> bool {
        match self {
            Self::Plain | Self::Login => true,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
