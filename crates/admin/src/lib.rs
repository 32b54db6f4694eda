//! The admin role: an HTTP API through which operators and the command line see and change a running node.
//!
//! What it is: paths, JSON words and status codes over [`directory::Editor`]; the place where passwords are hashed
//! before they reach the directory. What it is not: it opens no socket and asks nobody who he is. The world serves
//! [`router`] on a Unix socket that only the node's user may open.
//!
//! ```text
//!  posthouse account add … ──HTTP over D/admin.sock──▶ router ─▶ Editor ─compare-and-swap─▶ Engine
//!                                                        │                                   │ watch
//!  posthouse route … ───────────────────────────────────▶└──────▶ Live (what this node routes by)
//!
//!  GET    /v1/status                          the node, and how much of the directory it has
//!  GET    /metrics                            counters, in the text format of Prometheus
//!  GET    /v1/KIND?domain=&after=&limit=      a page of accounts aliases domains rules stores placements nodes
//!  POST   /v1/KIND                            makes one
//!  GET    /v1/KIND/NAME                       shows one, with its revision
//!  PATCH  /v1/KIND/NAME                       the fields given replace those that are there
//!  DELETE /v1/KIND/NAME                       removes one
//!  GET, PATCH /v1/site                        what holds where a domain says nothing
//!  POST   /v1/route                           {"addresses": […], "login": false}: where they go, step by step
//!  POST   /v1/import/passwd-file | popmap | regex-map | user-map | virtusertable | aliases | virtual |
//!         transport                           the body is the file; ?dry_run= skip_bad= domains=a,b stores=host=name,…
//!  GET    /v1/export?passwords=               all records as of one moment, a file (docs/format/directory-file.md)
//!  GET    /v1/import                          how far the running import is
//!  GET    /v1/sessions?account=&protocol=&client=&id=&after=&limit=    a page of those who are connected
//!  POST   /v1/kick                            {"account"|"client"|"id": …, "protocol"?}: asks sessions to leave
//!  GET    /v1/queue?after=&limit=             a page of the mail that waits for its stores, oldest first
//!  GET, DELETE /v1/queue/ID                   shows a message, or takes it out
//!  POST   /v1/queue/ID/retry | hold | release
//! ```
//!
//! Invariants:
//! 1. Every answer but an export and /metrics is JSON; every refusal is `{"error": sentence, "field"?: name, "temporary"?: true}`.
//! 2. What cannot be asked now is 503 and `temporary`, never 404: a directory that is away knows of nobody's absence.
//! 3. A password is hashed (Argon2id, RFC 9106, a random salt) or refused; neither it nor a hash is logged or answered,
//!    except that an export holds hashes: nodes that read it check logins with them.
//! 4. Lists come in pages of at most [`PAGE_MAX`]; bodies, reports and batches have named limits.
//! 5. A change that was answered is one that this node routes by, unless its copy of the directory hangs behind.
//! 6. A change names the revision it was made on, so nothing is overwritten unseen (409).
//!
//! RFCs: 9110 (status codes), 5789 (PATCH), 9106 (Argon2).

mod accounts;
mod error;
mod exports;
mod imports;
mod names;
mod nodes;
mod paced;
mod passwords;
mod queue;
mod records;
mod request;
mod routes;
mod rules;
mod sessions;
mod state;
mod stores;
#[cfg(test)]
mod tests;
mod words;

pub use imports::{IMPORT_OCTETS_MAX, REPORT_LINES_MAX};
pub use queue::{MailQueue, QueueFacts, QueueOrder, QueueRefusal, QueuedJson, QueuedRecipientJson};
pub use records::{PAGE_MAX, PAGE_USUAL};
pub use routes::{ROUTE_ADDRESSES_MAX, router};
pub use sessions::{Enough, KickedJson, SessionFacts, SessionFilter, Sessions, SessionsJson};
pub use state::{
    AdminState, BackEndFacts, BackEndState, ListenerFacts, MapFacts, NodeFacts, NodeState, NodeStatus, RemarkFacts,
    StoreFacts,
};
pub use words::{
    DirectoryJson, ErrorJson, ImportJson, ListJson, PinsJson, ProgressJson, RouteAnswer, RouteQuestion, StatusJson,
    UnreadableJson,
};
