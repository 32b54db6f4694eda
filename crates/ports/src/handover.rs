//! A logged-in session passes from the role that answered to the store that holds the account.

use crate::{BoxFuture, Handler, Peer};
use mail_types::{AccountId, Address, StoreName};
use std::sync::Arc;

/// Something that exists cannot be asked now: `[UNAVAILABLE]`, `451`, never "no such user".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not available: {why}")]
pub struct Unavailable {
    /// What was asked.
    pub what: String,
    /// Why it did not answer, for the log.
    pub why: String,
}

/// Who logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedIn {
    /// The account.
    pub account: AccountId,
    /// Its address, for log lines and Delivered-To; shared with the session's badge.
    pub address: Arc<Address>,
    /// From where.
    pub peer: Peer,
}

/// The store's half of an IMAP session.
pub type ImapHandler = Box<dyn Handler<imap_proto::server::Server>>;

/// The store's half of a POP3 session.
pub type Pop3Handler = Box<dyn Handler<pop3_proto::Server>>;

/// Gives the store's half of a session. The machine stays the one that the client has been talking to, with what the
/// client has pipelined behind its login.
pub trait SessionHandover: Send + Sync {
    /// IMAP: the handler from the authenticated state on.
    fn imap<'a>(&'a self, store: &'a StoreName, who: LoggedIn) -> BoxFuture<'a, Result<ImapHandler, Unavailable>>;

    /// POP3: the handler of the TRANSACTION state, with the maildrop locked; `Ok(None)` when another session has the
    /// lock (RFC 1939 §4, `[IN-USE]`).
    fn pop3<'a>(
        &'a self,
        store: &'a StoreName,
        who: LoggedIn,
    ) -> BoxFuture<'a, Result<Option<Pop3Handler>, Unavailable>>;
}
