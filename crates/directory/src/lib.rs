//! Address → store → node: the one resource that relays, proxies, the command line and the admin pages ask.
//!
//! What this is: the records of the directory, the rules, the two questions (*where does mail for this address go*,
//! *where does this user log in*) with every step explained, the [`Engine`] trait behind which records are kept, the
//! write operations of an operator, and the parsers of maps that operators already have.
//!
//! What it is not: it opens no file and no socket, reads no clock and draws no random number. It checks no password:
//! it keeps hashes apart from routing and hands them to whoever asks for one account's.
//!
//! ```text
//!  operators ─▶ Editor ──compare-and-swap──▶ Engine (embedded | etcd | file | memory), live maps over it
//!  old maps ──▶ import ──▶ Editor                │ range once, then watch
//!                                                ▼
//!                                            Follower ──▶ Live ──▶ Arc<Routing>   a full copy in memory
//!                                                                    │
//!  relay ─────── delivery(address) ─────▶ aliases ─▶ account ─▶ placement ─▶ rules ─▶ default ─▶ Delivery
//!  proxy ─────── login(name) ───────────▶ login forms ─▶ account ─▶ placement ─▶ rules ─▶ …  ─▶ Login
//!  both ──────── store(name) ───────────▶ the node that serves it, or a foreign back-end
//! ```
//!
//! Invariants:
//! 1. One function answers each question for everybody; steps are built only when somebody asks for them
//!    ([`Explain`]).
//! 2. *Not found* is said only by a source that answered. A copy that is not loaded, and a record that cannot be
//!    read, give `451`, never `550`.
//! 3. Keys are folded (NFC, lower case: RFC 8265 §3.3); local parts are passed on as received.
//! 4. Aliases, forwards, catch-alls and `+detail` never apply to a login.
//! 5. Every expansion ends: an address is expanded once, an account is delivered to once, depth and width have named
//!    limits.
//! 6. A [`Routing`] never holds a password hash: hashes are under a prefix of their own, which it does not follow.
//! 7. Rules place *new* accounts. A changed rule moves nobody: whoever would be re-homed is pinned first. A placement
//!    with mail behind it is not changed here ([`EditError::MailBehind`]).
//! 8. Every write is one compare-and-swap transaction on what was read; nothing is overwritten unseen.
//!
//! RFCs: 5321 §4.5.1 (postmaster), §3.9 (aliases and lists) and §4.5.3.1 (limits); 5233 (sub-addresses); 8265 §3.3
//! (keys); 3463 and 5248 (codes); 9051 §7.1 (response codes of a login).

mod beside;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod delivery;
mod edit;
pub mod engine;
mod explain;
pub mod file;
mod follow;
mod hash;
pub mod import;
mod key;
mod login;
mod nearest;
pub mod overlay;
mod record;
mod reply;
mod route_json;
mod routing;
mod rule;
mod salts;
mod table;
#[cfg(test)]
mod tests;

pub use delivery::{Deliver, Delivery, Existence, MailBy, Target, is_stand_in};
pub use edit::{AssumeEmpty, Behind, EditError, Editor, Listing, MailBehind, NewAccount, Placed, RuleChange, Shown};
pub use engine::{Engine, EngineError};
pub use explain::{Explain, Silent, Step, Steps};
pub use follow::{Follower, Live, Progress};
pub use key::{AddressKey, ROUTING_PREFIX, SECRET_PREFIX};
pub use login::{Login, LoginTarget, TokenJudge, read_secret};
pub use nearest::nearest;
pub use record::{
    AccountRecord, AccountState, AccountsPolicy, AliasRecord, BackendLogin, DomainRecord, Host, HostAt, NodeRecord,
    NodeRole, PasswordHash, PlacementRecord, PortTls, Protocol, Record, RecordError, RuleKind, RuleName, RuleOn,
    RuleRecord, SecretRecord, SiteRecord, StoreKind, StoreRecord, TlsMode,
};
pub use reply::Reply;
pub use route_json::{RouteJson, RouteOutcome};
pub use routing::{AccountView, Origin, Pin, Routing, StoreAt};
pub use salts::{SaltsKey, salts_key};
