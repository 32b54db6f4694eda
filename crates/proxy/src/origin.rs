//! Who may log in, asked elsewhere: for names that the directory has no account for.

use crate::authenticator::Client;
use mail_types::StoreName;
use ports::BoxFuture;
use sasl::Password;
use std::time::Duration;

/// Somebody else who knows users, and the back-ends that have their mail.
///
/// Whoever implements it bounds how long an answer takes, and how many questions are on their way.
pub trait LoginOrigin: Send + Sync {
    /// Asks. An error is no verdict: the origin is away, or its answer cannot be understood.
    fn ask<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<Verdict, NoVerdict>>;
}

/// Who wants in.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The name, as the client gave it.
    pub user: &'a str,
    /// The password.
    pub password: &'a Password,
    /// In which protocol, and from where.
    pub client: &'a Client,
}

/// What the origin says.
pub enum Verdict {
    /// The user is welcome at a back-end.
    Welcome {
        /// Which; one that routing knows.
        store: StoreName,
        /// What the back-end calls him, if not by the name that he gave.
        user: Option<String>,
        /// The password that the back-end is shown, if not the client's.
        password: Option<Password>,
    },
    /// He is not.
    Refused {
        /// Why, for operators.
        text: String,
        /// How long the client waits for its answer; at most [`crate::ORIGIN_WAIT_MAX`] counts.
        wait: Duration,
    },
}

/// Why there is no verdict, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoVerdict(pub String);
