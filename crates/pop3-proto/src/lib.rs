//! POP3, the server's end of the conversation and a client's login at a back-end, without sockets.
//!
//! ```text
//!  bytes ─▶ line ─▶ command ─▶ ┌──────── Server ────────┐ ─▶ Event ─▶ the role decides
//!                              │ Authorization          │                 │
//!                              │   Login, Auth, StartTls│ ◀─ logged_in, refuse, challenge, tls_ready
//!                              │ Transaction            │
//!                              │   Stat, List, Retr, …  │ ◀─ stat, list_*, body, deleted, …
//!  bytes ◀─ reply, dots ◀───── │ Update (after QUIT)    │ ◀─ updated
//!                              └────────────────────────┘
//! ```
//!
//! It deliberately is not: a maildrop (it knows no message, no size, no deletion mark), a SASL mechanism (it carries
//! their octets), TLS (it says when), APOP (which needs passwords in clear, and is answered by `-ERR`).
//!
//! Invariants:
//! 1. Any split of the client's stream gives the same events and the same output.
//! 2. One event at a time waits for its answer, and so do the commands behind it (RFC 2449 §6.6, pipelining).
//! 3. A multi-line answer ends with `CRLF.CRLF` and holds it nowhere before, whatever the stored message holds.
//! 4. An answer that does not fit the event that waits is our own bug, and panics; nothing that a client sends does.
//! 5. A connection without an unfinished line or answer holds no buffer.
//! 6. What came in clear behind STLS is never obeyed (RFC 2595 §4).
//!
//! RFCs: 1939 (POP3), 2449 (CAPA, response codes, pipelining), 2595 (STLS), 3206 (SYS, AUTH), 5034 (AUTH),
//! 6856 (UTF8, LANG), 7628 §3.2.3 (a token that is refused, the client's end).

mod capability;
mod client;
mod command;
mod dots;
mod limits;
mod line;
mod output;
mod reply;
mod server;
mod track;
mod words;

pub use capability::{Config, Expire, LoginMethods, Mode, UserPass, Utf8};
pub use client::{Capabilities, Client, ClientEvent, Closing, Login, RefusalKind};
pub use dots::{BodyWants, Part, Stuffer};
pub use limits::*;
pub use reply::{Refusal, ResponseCode};
pub use server::{Event, Maildrop, Security, Server, TlsStart};
pub use track::{Track, TrackState};
pub use words::{MessageNumber, Secret, UniqueId, UniqueIdError};
