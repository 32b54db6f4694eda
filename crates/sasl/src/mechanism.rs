//! Which mechanisms there are, and how they are written.

use std::fmt;

/// A mechanism whose server side [`crate::Exchange`] speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: obsolete, and what Outlook sends.
    Login,
    /// RFC 7677.
    ScramSha256,
    /// The same, bound to the TLS connection (RFC 5802 §6).
    ScramSha256Plus,
    /// RFC 7628: a token that somebody else gave the client.
    OAuthBearer,
    /// The same as Google's and Microsoft's servers had it first, for clients that know nothing else.
    XOAuth2,
    /// RFC 4422 App. A: who the client is was proved outside of SASL.
    External,
}

impl Mechanism {
    /// What anybody may be offered whatever is stored of his password, in this order. SCRAM needs its keys;
    /// [`Mechanism::External`] is offered only where the transport proves who calls.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Login];

    /// All that there are, the best first.
    pub const KNOWN: [Self; 7] = [
        Self::External,
        Self::ScramSha256Plus,
        Self::ScramSha256,
        Self::OAuthBearer,
        Self::XOAuth2,
        Self::Plain,
        Self::Login,
    ];

    /// Reads a name as a client sends it, in any case (RFC 4422 §3.1 has upper case; clients are lax).
    pub fn parse(name: &str) -> Option<Self> {
        Self::KNOWN.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::XOAuth2 => "XOAUTH2",
            Self::External => "EXTERNAL",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
