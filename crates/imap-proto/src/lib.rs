//! IMAP, the server's end and as much of the client's as logs in at a back-end, without sockets.
//!
//! What this is: the commands of IMAP4rev1 and IMAP4rev2 and their common extensions as typed values, the responses as
//! typed values that encode themselves, and [`server::Server`], a machine that turns bytes into events and answers into
//! bytes. What this is not: it knows no mailbox, no account, no message format and no TLS. Whether a command is allowed
//! in the state of the session, and what it does, is decided by the role behind the machine.
//!
//! ```text
//!            ┌──────────────────────── server::Server ────────────────────────┐
//!   bytes ─▶ │ lines and literals ─▶ parse::command ─▶ Command                │ ─▶ Event ─▶ the session decides
//!            │ APPEND's literal   ────────────────────▶ AppendChunk …         │
//!   bytes ◀─ │ pieces ◀─ encode::Encoder ◀─ Response, tagged Reply            │ ◀─ send, complete, accept_*
//!            └────────────────────────────────────────────────────────────────┘
//!   client::Client   the greeting, STARTTLS, a login by EXTERNAL or a password, its answer; nothing behind it
//!   track::Track     what state a session is in that passes by between a client and a back-end
//!   command.rs search.rs fetch.rs list.rs sequence.rs   what a client may ask
//!   response.rs structure.rs capability.rs              what a server may answer
//! ```
//!
//! Invariants:
//! 1. One command at a time: the event of a pipelined command comes only after the one before it was completed, and
//!    every command gets exactly one tagged reply (RFC 9051 §2.2.1, §5.5).
//! 2. No literal is buffered beyond [`Limits`]; the content of a message is never collected, it streams.
//! 3. Numbers in a set are kept as ranges, never expanded: `1:4294967295` costs as much as `1`.
//! 4. A string is written as quoted or literal by one function ([`encode::Encoder::string`]); CR, LF and NUL never
//!    reach a place where they would end or break a line.
//! 5. No input panics; no nesting is deeper than a named limit. Passwords do not show in `Debug`.
//! 6. An idle connection holds no buffer, except the window of a client that asked for COMPRESS.
//! 7. What a client has deflated is inflated piece by piece, as it is read: no octet grows to a thousand in memory.
//!
//! Decisions where clients differ from the standards: a bare LF ends a line as CRLF does (it can stand for nothing else
//! there), a bare CR is refused; spaces before the end of a line are dropped; names of commands and items are taken in any case.
//!
//! RFC 3501 and RFC 9051 (all of both), 2177 IDLE, 2971 ID, 3502 MULTIAPPEND, 3516 BINARY, 3691 UNSELECT, 4315 UIDPLUS,
//! 4731 ESEARCH, 4959 SASL-IR, 4978 COMPRESS, 5032 WITHIN, 5161 ENABLE, 5182 SEARCHRES, 5258 LIST-EXTENDED,
//! 5530 response codes, 5819 LIST-STATUS, 6154 SPECIAL-USE, 6851 MOVE, 6855 UTF8=ACCEPT, 7162 CONDSTORE and QRESYNC,
//! 7628 §3.2.3 (a token that is refused, the client's end), 7888 LITERAL+ and LITERAL-, 7889 APPENDLIMIT, 8438 STATUS=SIZE, 9208 QUOTA.

pub mod capability;
pub mod client;
pub mod command;
pub mod encode;
pub mod fetch;
mod limits;
pub mod list;
pub mod parse;
pub mod response;
pub mod search;
mod sequence;
pub mod server;
pub mod structure;
pub mod track;

pub use command::{Command, CommandBody, Dialect, Flag, Numbering, Tag};
pub use limits::{Limits, LiteralMode};
pub use response::{Reply, ReplyKind, Response, ResponseCode};
pub use sequence::{MessageSet, SeqBound, SequenceSet};
