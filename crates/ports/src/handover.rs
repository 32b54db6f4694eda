//! A logged-in session passes from the role that answered to the store that holds the account.

use crate::{BoxFuture, Handler, Passage, Peer};
use bytes::Bytes;
use mail_types::{AccountId, Address, StoreName};
use pop3_proto::Mode;
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

/// The store's half of a session, once its user is logged in.
pub enum Handover<M> {
    /// In this process: answers every event from here on.
    Here(Box<dyn Handler<M>>),
    /// On another node.
    There(Elsewhere),
}

/// The store's half of a session on another node, which has let the user in.
#[derive(Debug)]
pub struct Elsewhere {
    /// What it answered to the login, behind `OK ` or `+OK `, without the end of its line: capabilities in IMAP, the size of
    /// the maildrop in POP3; in ManageSieve its text alone. The client is told the same.
    pub welcome: Bytes,
    /// The name of the session that its server was told, for log lines on both sides.
    pub session: Option<String>,
    /// The way to it. What the client has pipelined behind its login is still to be put into `unsent`.
    pub passage: Passage,
}

/// The store's half of an IMAP session.
pub type ImapHandover = Handover<imap_proto::server::Server>;

/// The store's half of a POP3 session.
pub type Pop3Handover = Handover<pop3_proto::Server>;

/// Gives the store's half of a session. The machine stays the one that the client has been talking to, with what the
/// client has pipelined behind its login.
pub trait SessionHandover: Send + Sync {
    /// IMAP: what answers from the authenticated state on.
    fn imap<'a>(&'a self, store: &'a StoreName, who: LoggedIn) -> BoxFuture<'a, Result<ImapHandover, Unavailable>>;

    /// POP3: what answers in the TRANSACTION state, with the maildrop locked; `Ok(None)` when another session has the
    /// lock (RFC 1939 §4, `[IN-USE]`). `mode` is what the client asked for before its login, for a machine that it was not
    /// said to.
    fn pop3<'a>(
        &'a self,
        store: &'a StoreName,
        who: LoggedIn,
        mode: Mode,
    ) -> BoxFuture<'a, Result<Option<Pop3Handover>, Unavailable>>;
}
