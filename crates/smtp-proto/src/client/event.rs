//! What a client tells its role.

use crate::reply::Reply;
use bytes::Bytes;

/// An event of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server can be asked: `begin`, `start_tls`, `authenticate`, `quit`. Comes after the greeting, after TLS, after AUTH and
    /// after each transaction.
    Ready,
    /// STARTTLS was granted: the role lets the handshake begin, then calls `tls_started`.
    StartTls,
    /// STARTTLS was refused; `Ready` follows.
    TlsRefused(Reply),
    /// The server asks: `auth_response` or `auth_cancel`.
    Challenge(Bytes),
    /// AUTH ended, well or with a refusal; `Ready` follows.
    Authenticated(Result<(), Reply>),
    /// The answer to MAIL. Also after a refusal the role goes on to `data` or `abort`, which then only ends the transaction.
    Mail(Reply),
    /// The answer to a RCPT, by its number in the order of `rcpt`.
    Rcpt(usize, Reply),
    /// The server takes the message: `body` and `finish`.
    GoAhead,
    /// The transaction is over; one outcome for each `rcpt`, in their order.
    Done(Vec<Outcome>),
    /// The last event.
    Closed(Closing),
}

/// What became of the message for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server has it (2xx).
    Accepted(Accepted),
    /// Try again later (4xx).
    Deferred(Reply),
    /// Never (5xx).
    Failed(Reply),
    /// The connection went, or the transaction was given up, before the message was complete: it was not delivered.
    Unsent,
    /// The connection went after the final dot: nobody knows (RFC 1047).
    Unknown,
}

/// A server's word that it has the message for a recipient: its positive reply to the end of the message. Only a client
/// that was given it makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted(Reply);

/// Why a conversation is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closing {
    /// We said QUIT and it was answered.
    Quit,
    /// The server closed, or the connection broke.
    Eof,
    /// No answer in time.
    Timeout,
    /// The server does not want us: its greeting, its answer to EHLO, a 421, or a word in the midst of the message.
    Refused(Reply),
    /// What came is no answer that SMTP has here.
    Protocol(&'static str),
    /// The role gave up.
    Aborted,
}

impl Outcome {
    pub(super) fn of(reply: Reply) -> Self {
        let code = reply.code();
        match () {
            () if code.is_positive() => Self::Accepted(Accepted(reply)),
            () if code.is_permanent() => Self::Failed(reply),
            // 3xx makes no sense as an outcome; later it may.
            () => Self::Deferred(reply),
        }
    }
}

impl Accepted {
    /// What the server said.
    pub fn reply(&self) -> &Reply {
        &self.0
    }
}
