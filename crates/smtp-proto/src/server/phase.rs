//! Where a conversation stands. Each phase owns what is true in it.

use super::intake::{Chunks, Intake};
use crate::command::Hello;
use crate::dot::DotDecoder;
use crate::reply::Refusal;

#[derive(Debug)]
pub(super) enum Phase {
    /// Nobody has said hello since the connection, or its TLS, began.
    Fresh,
    /// Between transactions.
    Ready(Hello),
    /// MAIL was accepted.
    Envelope(Hello, Transaction),
    /// The octets of a message come in.
    Content(Hello, Transaction, Intake, Source),
    /// Between two BDATs (RFC 3030 §2).
    Between(Hello, Transaction, Intake, Chunks),
    /// The octets of a refused BDAT go by, then it is answered so many times.
    Drain {
        left: u64,
        refusal: Refusal,
        answers: usize,
        next: Box<Phase>,
    },
    /// The client owes a line of the AUTH exchange.
    AuthLine(Hello),
    /// The role owes an answer to each of these.
    HelloAsked {
        new: Hello,
        before: Box<Phase>,
    },
    MailAsked(Hello, Transaction),
    RcptAsked(Hello, Transaction),
    DataAsked(Hello, Transaction, Source),
    EndAsked {
        client: Hello,
        answers_left: usize,
    },
    AuthAsked(Hello),
    TlsAsked(Hello),
    /// TLS is being negotiated below us.
    Handshake,
    /// Another server answers, and what comes is not read here.
    Passed,
    Closed,
}

/// What the machine must know of a transaction; the envelope is with the role.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) smtputf8: bool,
    /// Recipients accepted so far.
    pub(super) rcpt_count: usize,
}

/// How the octets of a message come.
#[derive(Debug)]
pub(super) enum Source {
    /// DATA.
    Dots(DotDecoder),
    /// BDAT.
    Chunks(Chunks),
}

/// What a phase waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    Line,
    Octets,
    Role,
    Nothing,
}

impl Phase {
    /// Whether a message is coming in that may be taken.
    pub(super) fn is_content(&self) -> bool {
        match self {
            Self::Content(_, _, intake, _) | Self::Between(_, _, intake, _) => intake.fault().is_none(),
            Self::Drain { .. }
            | Self::Fresh
            | Self::Ready(_)
            | Self::Envelope(..)
            | Self::AuthLine(_)
            | Self::HelloAsked { .. }
            | Self::MailAsked(..)
            | Self::RcptAsked(..)
            | Self::DataAsked(..)
            | Self::EndAsked { .. }
            | Self::AuthAsked(_)
            | Self::TlsAsked(_)
            | Self::Handshake
            | Self::Passed
            | Self::Closed => false,
        }
    }

    pub(super) fn waits(&self) -> Waits {
        match self {
            Self::Fresh | Self::Ready(_) | Self::Envelope(..) | Self::Between(..) | Self::AuthLine(_) => Waits::Line,
            Self::Content(..) | Self::Drain { .. } => Waits::Octets,
            Self::HelloAsked { .. }
            | Self::MailAsked(..)
            | Self::RcptAsked(..)
            | Self::DataAsked(..)
            | Self::EndAsked { .. }
            | Self::AuthAsked(_)
            | Self::TlsAsked(_)
            | Self::Handshake => Waits::Role,
            Self::Passed | Self::Closed => Waits::Nothing,
        }
    }

    pub(super) fn client(&self) -> Option<&Hello> {
        match self {
            Self::Fresh | Self::Handshake | Self::Passed | Self::Closed => None,
            Self::Ready(client)
            | Self::Envelope(client, _)
            | Self::Content(client, ..)
            | Self::Between(client, ..)
            | Self::AuthLine(client)
            | Self::MailAsked(client, _)
            | Self::RcptAsked(client, _)
            | Self::DataAsked(client, ..)
            | Self::EndAsked { client, .. }
            | Self::AuthAsked(client)
            | Self::TlsAsked(client) => Some(client),
            Self::Drain { next, .. } => next.client(),
            Self::HelloAsked { before, .. } => before.client(),
        }
    }

    /// Leaves a transaction behind; says whether there was one.
    pub(super) fn without_transaction(self) -> (Phase, bool) {
        let (Self::Envelope(client, _) | Self::Between(client, ..)) = self else { return (self, false) };
        (Self::Ready(client), true)
    }
}
