//! The proxy role: who logs in, and which store answers.
//!
//! What this is: the conversation of an IMAP, POP3, ManageSieve or submission client from the greeting to its login, and the check of what it
//! says against the directory. What this is not: a mailbox (the store's half of the session takes over and answers
//! everything else), a router of its own ([`directory::Routing::login`] decides where an account is), TLS (an event).
//!
//! ```text
//!            ┌───────────── Front ─────────────┐
//!  client ──▶│ NotAuthenticated(gate)          │── name, password ─▶ Authenticator ─▶ directory: routing, hashes
//!            │        │ logged in              │                          │ costly hashes on the bounded pool
//!            │        ▼                        │◀── account and store ────┘
//!            │ Delegated(the store's session) ◀┼── SessionHandover: in this process a function call,
//!            │ Passed(the way to its node)    ◀┼── on another node a passage for octets
//!            └─────────────────────────────────┘
//! ```
//! The machine stays the same all the while, so what a client pipelined behind its login is answered by the store. Where
//! the store is on another node, none of that is read: the machine gives it up, and the driver passes octets both ways.
//!
//! Invariants:
//! 1. A client learns nothing of which accounts exist: an unknown user, a wrong password and a barred account get the
//!    same answer after the same time ([`FAILED_LOGIN_SPAN`]).
//! 2. "Wrong password" is final and is said only after everything that was needed has answered. Whatever did not
//!    answer, or could not be read, is `[UNAVAILABLE]`, `[SYS/TEMP]`.
//! 3. No password is taken over a connection that others can read, except from where the configuration says so; what is
//!    offered and what is taken are decided in one place for each protocol.
//! 4. A failed login leaves the client in the state of a fresh connection, [`LOGIN_FAILURE_COUNT_MAX`] times.
//! 5. Waiting and hashing hold no thread of the runtime, and how much of it goes on at once has a limit.
//! 6. A call from another node is taken at its word (the listener lets nodes in, and nobody else), for accounts of this
//!    process's stores alone, and is never handed on to a third node. It never hears that a password is wrong.
//! 7. Whoever is one too many ([`Turnstile`]) hears so and nobody else notices; what counts against an account is its sessions,
//!    never what a stranger tries.
//! 8. What was learnt in clear is forgotten when TLS begins (RFC 9051 §6.2.1, RFC 2595 §4).
//! 9. A token is worth what its issuer says, and a certificate what its authority did: whom they name is never read from where
//!    the client connected to. Without an issuer a token is worth what its back-end says, and nothing here. Each is offered
//!    where it can be honoured wherever a login leads.
//! 10. SCRAM is offered where it can be honoured, and an exchange with a name that has no keys looks like any other.
//!
//! RFCs: 9051 §6.1, §6.2, §7.1 and §11 (before login), 2971 (ID), 4959 (SASL-IR), 5530 (response codes); 1939 §4 and §7
//! (USER, PASS), 2449 §8 and 3206 (response codes), 2595 (STLS), 5034 (AUTH); 4616 (PLAIN); 5802 and 7677 (SCRAM); 7628 (OAUTHBEARER); 4422 App. A (EXTERNAL);
//! 8314 §3 (no clear text); 6409 and 4954 (submission and AUTH); 5804 §1 and §2.1 to §2.3 (ManageSieve).

mod accounts;
mod authenticator;
mod clear;
mod counts;
mod dialogue;
mod entry;
mod forms;
mod front;
mod imap;
mod inside;
mod limits;
mod log;
mod origin;
mod pop3;
mod scram;
mod sieve;
mod submission;
mod turnstile;
mod verified;
mod vouched;

pub use accounts::{Accounts, DirectoryAccounts};
pub use authenticator::{Authenticator, Client, Outcome};
pub use clear::{ClearLogins, StartTls};
pub use counts::{LoginCounts, LoginOutcome};
pub use forms::LoginForms;
pub use front::Front;
pub use imap::{ImapConfig, ImapFront};
pub use inside::{ImapInside, ImapInsideConfig, Pop3Inside, Pop3InsideConfig};
pub use limits::*;
pub use origin::{LoginOrigin, NoVerdict, Question, Verdict};
pub use pop3::{Pop3Config, Pop3Front};
pub use ports::Protocol;
pub use scram::{Plus, Scram};
pub use sieve::{SieveConfig, SieveFront};
pub use submission::{SubmissionConfig, SubmissionFront, SubmissionServer};
pub use turnstile::{LoginLimits, Turnstile};
pub use verified::Verified;
pub use vouched::{TokenOrigin, TokenVerdict, Tokens};

use ports::{BackEnds, Clock, SessionHandover};
use std::sync::Arc;

/// What every front is made with. Cloning it copies pointers.
#[derive(Clone)]
pub struct Proxy {
    /// Says who may log in.
    pub authenticator: Arc<Authenticator>,
    /// Gives the store's half of a session.
    pub handover: Arc<dyn SessionHandover>,
    /// Lets visitors in at back-ends of another make.
    pub back_ends: Arc<dyn BackEnds>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}
