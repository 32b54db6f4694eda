//! ManageSieve before the login: the server's end of the conversation, and a client's login at a back-end, without sockets.
//!
//! ```text
//!  bytes ─▶ scan, line ─▶ command ─▶ ┌──────── Server ────────┐ ─▶ Event ─▶ the role decides
//!                                    │ Ready                  │                 │
//!                                    │   Authenticate, StartTls ◀─ challenge, refuse, tls_ready, pass
//!  bytes ◀─ capability, reply ◀───── │ Passed (a back-end's)  │
//!                                    └────────────────────────┘
//!  a back-end ◀─▶ Client: greeting, STARTTLS, AUTHENTICATE ─▶ ClientEvent, and what it offers ─▶ Offer
//!  what passes ─▶ Track: where a BYE may be said
//! ```
//!
//! It deliberately is not: a store of scripts (no command behind a login is read here, and none is known), a SASL mechanism
//! (it carries their octets), TLS (it says when).
//!
//! Invariants:
//! 1. Any split of a stream gives the same events and the same output.
//! 2. One event at a time waits for its answer, and so do the commands behind it; [`Server::pass`] gives them up unread.
//! 3. Extensions are told as the back-ends have told them: what nobody has told us is not offered.
//! 4. An answer that does not fit the event that waits is our own bug, and panics; nothing that a peer sends does.
//! 5. A connection without an unfinished line or answer holds no buffer.
//! 6. What came in clear behind STARTTLS is never obeyed, nor believed (RFC 5804 §2.2).
//!
//! RFCs: 5804 (ManageSieve), 4616 (PLAIN), 7628 §3.2.3 (a token that is refused, the client's end), 5228 §6 (the names of extensions).

mod capability;
mod client;
mod command;
mod limits;
mod line;
mod reply;
mod scan;
mod server;
mod track;
mod words;

pub use capability::{Config, Offer};
pub use client::{Capabilities, Client, ClientEvent, Closing, Login, RefusalKind};
pub use limits::*;
pub use reply::{Refusal, ResponseCode};
pub use server::{Event, Security, Server, TlsStart};
pub use track::{Track, TrackState};
pub use words::Secret;
