//! How logins ended since the start: for who watches.

use crate::Outcome;
use ports::Protocol;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of logins, by protocol and outcome.
#[derive(Debug, Default)]
pub struct LoginCounts([[AtomicU64; LoginOutcome::ALL.len()]; Protocol::ALL.len()]);

/// How a login ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginOutcome {
    /// Somebody is logged in.
    Success,
    /// A wrong password, an unknown user or a barred account.
    Failure,
    /// The right password, but for another's mailbox.
    NotAuthorized,
    /// Nobody could say.
    Unavailable,
    /// One too many: of the client's logins, or of the account's sessions.
    Limited,
}

impl LoginCounts {
    /// How many ended so.
    pub fn count(&self, protocol: Protocol, outcome: LoginOutcome) -> u64 {
        self.at(protocol, outcome).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn note(&self, protocol: Protocol, outcome: LoginOutcome) {
        if let Some(count) = self.at(protocol, outcome) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn at(&self, protocol: Protocol, outcome: LoginOutcome) -> Option<&AtomicU64> {
        self.0.get(protocol as usize)?.get(outcome as usize)
    }
}

impl LoginOutcome {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Success, Self::Failure, Self::NotAuthorized, Self::Unavailable, Self::Limited];

    /// What an outcome counts as; nothing while somebody else is to be asked.
    pub(crate) const fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::WrongPassword => Some(Self::Failure),
            Outcome::NotAuthorized => Some(Self::NotAuthorized),
            Outcome::Unavailable => Some(Self::Unavailable),
            // Counted where it was found.
            Outcome::Limited => None,
            Outcome::LoggedIn { .. } | Outcome::Visitor { .. } => None,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::NotAuthorized => "not-authorized",
            Self::Unavailable => "unavailable",
            Self::Limited => "limited",
        }
    }
}
