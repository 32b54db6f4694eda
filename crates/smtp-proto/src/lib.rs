//! SMTP and LMTP, both ends, without sockets.
//!
//! What this is: the dialogue of RFC 5321 and RFC 2033 as two [`machine::Machine`]s. Bytes and time go in, events and
//! bytes come out; the role answers the events.
//!
//! What it is not: no socket, TLS, clock or task; no queue, no routing, no `Received:` header, no look into the message.
//! What nodes of a cluster tell each other beyond the RFCs is XPOSTHOUSE (docs/format/cluster-lmtp.md). SASL mechanisms, XCLIENT and PROXY are elsewhere. DSN parameters (RFC 3461) are read and kept, not advertised.
//!
//! ```text
//!   bytes ─▶ line.rs ─▶ command.rs, path.rs, envelope.rs ─▶ server.rs ─▶ Event ─▶ role ─▶ answer ─▶ reply.rs ─▶ bytes
//!        └─▶ dot.rs, server/intake.rs (text of a message) ───▲
//!   bytes ◀─ command.rs, dot.rs ◀─ client.rs ◀─ begin, rcpt, data, body, finish ◀─ role
//!   bytes ─▶ client/replies.rs ─▶ client.rs ─▶ Event (who got it, who did not) ─▶ role
//! ```
//!
//! Invariants:
//! 1. The one road to `250` after the end of data takes a `Receipt` by value; a [`Refusal`] cannot hold a 2xx.
//! 2. Any split of the stream gives the same events, chunks of the body included. (One exception by design: octets in
//!    the same segment as STARTTLS are refused.)
//! 3. Only CR LF ends a line and only `<CRLF>.<CRLF>` ends a message, in both directions: a lone CR or LF is refused, so
//!    nothing that we take in or pass on means two things to two readers.
//! 4. A body handed to the role holds no lone CR or LF. A body handed to the client that does is an error; it is never
//!    changed, as a signature may cover it.
//! 5. No input panics; every buffer, list and wait has a name in [`limits`].
//! 6. After TLS started, nothing that was said before it is remembered.
//!
//! RFCs: 5321 (SMTP), 2033 (LMTP), 1870 (SIZE), 2034 and 3463 (enhanced codes), 2920 (PIPELINING), 3030 (CHUNKING, without
//! BINARYMIME), 3207 (STARTTLS), 3461 (parameters only), 4954 (AUTH), 6152 (8BITMIME), 6531 (SMTPUTF8),
//! 7628 §3.2.3 (a token that is refused, the client's end).

pub mod client;
mod command;
mod dot;
mod envelope;
pub mod limits;
mod line;
mod output;
mod path;
mod reply;
pub mod server;
mod timer;
pub mod track;

pub use command::{Command, Hello};
pub use envelope::{BodyType, Mail, Notify, OriginalRecipient, Rcpt, Relayed, Ret, Xtext};
pub use line::LineFault;
pub use reply::{Refusal, Reply};

/// Which of the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 5321.
    Smtp,
    /// RFC 2033: one answer for each recipient.
    Lmtp,
}

/// Whether others can read along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// They can.
    Plain,
    /// They cannot.
    Tls,
}

impl Dialect {
    pub(crate) fn is_lmtp(self) -> bool {
        matches!(self, Self::Lmtp)
    }
}
