//! The doors inside, where proxies of other nodes come in with clients that they know already.
//!
//! ```text
//!   a node, proved by TLS ── EXTERNAL, an account's address ─▶ routing: is it one, and of a store that is here?
//!                                         │ yes: the store's session, a function call        │ no: come back later
//! ```
//! The caller has checked the password; what it asks for is not a matter of credentials. Where its copy of the directory
//! says something else than ours, one of them is late, so nothing is final here.

mod imap;
mod pop3;

pub use imap::{ImapInside, ImapInsideConfig};
pub use pop3::{Pop3Inside, Pop3InsideConfig};

use crate::Authenticator;
use crate::authenticator::Client;
use crate::log::Escaped;
use directory::{Existence, Login, LoginTarget, Silent};
use mail_types::{Address, StoreName};
use ports::LoggedIn;
use std::fmt;

/// Why a session of another node cannot begin now: for the log. The node hears that it is not available.
enum NotNow {
    /// No authorization identity, or one that is no address.
    Whom,
    /// Our copy of the directory knows no such account that may log in, or nothing at all.
    Unknown,
}

/// Where the account is whose address a node named. Only the address itself: no login form, no alias, no detail.
fn admit(authenticator: &Authenticator, client: &Client, whom: Option<&str>) -> Result<(StoreName, LoggedIn), NotNow> {
    let address = whom.and_then(|whom| Address::parse(whom).ok()).ok_or(NotNow::Whom)?;
    match authenticator.routing().login(&address.to_string(), &mut Silent) {
        Login::Account(LoginTarget { store, account: Some(account), address: found, existence, .. })
            if existence == Existence::Known && found.key() == address.key() =>
        {
            Ok((store, LoggedIn { account, address: found.into(), peer: client.peer }))
        }
        Login::Account(_) | Login::Unknown | Login::Refused { .. } | Login::Unavailable => Err(NotNow::Unknown),
    }
}

fn log_entered(client: &Client, store: &StoreName, who: &LoggedIn) {
    let (address, protocol) = (client.peer.address.ip().to_canonical(), client.protocol.name());
    tracing::info!(client = %address, protocol, account = %who.address, %store, "a session by way of another node");
}

fn log_refused(client: &Client, whom: Option<&str>, why: &dyn fmt::Display) {
    let (address, protocol) = (client.peer.address.ip().to_canonical(), client.protocol.name());
    let account = Escaped(whom.unwrap_or_default());
    tracing::warn!(client = %address, protocol, %account, %why, "a session that another node asked for is refused");
}

impl fmt::Display for NotNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whom => "it does not name an account by its address",
            Self::Unknown => "the directory, as it is known here, has no such account that may log in",
        })
    }
}

/// Nobody passes through us from node to node: a call would go round in circles where two directories disagree.
const NOT_HERE: &str = "its store is on yet another node";
