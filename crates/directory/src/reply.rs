//! What the relay says to the sender when an address cannot be delivered to.

use mail_types::{EnhancedCode, ReplyCode};
use std::fmt;

/// A reply code, its enhanced code (RFC 3463) and a text that is safe to show to a stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    code: ReplyCode,
    enhanced: EnhancedCode,
    text: &'static str,
}

impl Reply {
    /// The address names nobody (RFC 3463 §3.2, X.1.1).
    pub const NO_SUCH_ACCOUNT: Self = Self::new(550, (5, 1, 1), "no such account here");
    /// The account is switched off (RFC 3463 §3.3, X.2.1).
    pub const ACCOUNT_DISABLED: Self = Self::new(550, (5, 2, 1), "account disabled");
    /// The domain is not one of ours, and the sender has shown no right to relay (RFC 3463 §3.8, X.7.1).
    pub const RELAYING_DENIED: Self = Self::new(550, (5, 7, 1), "relaying denied");
    /// An origin of accounts does not answer (RFC 3463 §3.5, X.4.3: directory server failure).
    pub const DIRECTORY_UNAVAILABLE: Self = Self::new(451, (4, 4, 3), "the directory does not answer, try again later");
    /// Aliases lead round in a circle and to nobody (RFC 3463 §3.5, X.4.6). Somebody will mend them: the mail waits.
    pub const ALIAS_LOOP: Self = Self::new(451, (4, 4, 6), "aliases of this address form a loop, try again later");
    /// Our records contradict each other or break a limit (RFC 3463 §3.4, X.3.5). The mail waits.
    pub const MISCONFIGURED: Self = Self::new(451, (4, 3, 5), "this address is not set up correctly, try again later");

    /// It leads to another site, and there is nobody yet who sends mail on (RFC 3463 §3.4, X.3.5). The mail waits with
    /// its sender.
    pub const NO_OUTBOUND: Self = Self::new(451, (4, 3, 5), "this address leads to another site, try again later");
    /// Only the store could know who exists, and a store of ours never does (RFC 3463 §3.4, X.3.5).
    pub const NOT_ASKED: Self = Self::new(451, (4, 3, 5), "this address cannot be checked here, try again later");

    /// The store is of another make, and its record has no port for mail (RFC 3463 §3.4, X.3.5).
    pub const NO_MAIL_PORT: Self =
        Self::new(451, (4, 3, 5), "the store of this address takes no mail from here, try again later");

    const fn new(code: u16, (class, subject, detail): (u8, u16, u16), text: &'static str) -> Self {
        Self { code: ReplyCode::new(code), enhanced: EnhancedCode::new(class, subject, detail), text }
    }

    /// The three digits.
    pub const fn code(&self) -> ReplyCode {
        self.code
    }

    /// The enhanced code.
    pub const fn enhanced(&self) -> EnhancedCode {
        self.enhanced
    }

    /// The text after the codes.
    pub const fn text(&self) -> &'static str {
        self.text
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.enhanced, self.text)
    }
}
