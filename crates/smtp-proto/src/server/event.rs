//! What only the role can answer, and what it should know.

use crate::command::Hello;
use crate::envelope::{Mail, Rcpt};
use crate::reply::Refusal;
use bytes::Bytes;

/// An event of a server. Behind each stands the answer that it waits for; nothing else goes on before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// HELO, EHLO or LHLO: `accept_hello` or `refuse`.
    Hello(Hello),
    /// MAIL: `accept_mail` or `refuse`.
    Mail(Mail),
    /// RCPT: `accept_rcpt` or `refuse`.
    Rcpt(Rcpt),
    /// DATA or the first BDAT: `accept_data`, or `refuse`, which ends the transaction.
    Data,
    /// The next octets of the message, unstuffed, lines with CRLF. No answer. A chunk is full
    /// (`body_chunk_octets_max`) unless it is the last.
    Body(Bytes),
    /// The message is complete: SMTP `accept` or `refuse`; LMTP `answer_recipient` for each recipient accepted, in order,
    /// or `refuse` for all that are left.
    End,
    /// AUTH: `challenge`, `auth_succeeded` or `refuse`.
    Auth {
        /// One of those configured.
        mechanism: String,
        /// The initial response, which may be empty, or none.
        initial: Option<Bytes>,
    },
    /// The answer to a challenge: `challenge`, `auth_succeeded` or `refuse`.
    AuthResponse(Bytes),
    /// The client gave up the exchange, or broke it. No answer.
    AuthAborted,
    /// STARTTLS: `accept_tls`, then the handshake, then `tls_started`; or `refuse`.
    StartTls,
    /// The transaction is over without an end; what came of it is to be forgotten. No answer.
    Reset(Reset),
    /// The last event: whatever was open is over. No answer.
    Closed(Closing),
}

/// Why a transaction is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reset {
    /// RSET.
    Asked,
    /// Another EHLO (RFC 5321 §4.1.4).
    Hello,
    /// The message is refused by this, as soon as all of it is read.
    Content(Refusal),
}

/// Why a conversation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// QUIT.
    Quit,
    /// The client closed, or the connection broke.
    Eof,
    /// Nothing came for too long.
    Idle,
    /// The message took too long in all.
    Slow,
    /// Too many commands that were none.
    TooManyErrors,
    /// The stream can no longer be read safely: lone line ends, unreadable BDAT, octets behind STARTTLS.
    Unsafe,
    /// More came than was wanted.
    Flood,
    /// The role said so.
    Role,
}
