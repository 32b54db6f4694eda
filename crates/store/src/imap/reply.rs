//! What a client hears when something was not done.

use crate::engine::Refusal;
use imap_proto::{Reply, ResponseCode};
use mailbox::IndexError;

/// The tagged answer to a change or question that was not carried out. Our own faults are logged here, once.
pub(super) fn refused(refusal: &Refusal) -> Reply {
    let (code, text) = match refusal {
        Refusal::NoMailbox => (ResponseCode::NonExistent, "No such mailbox"),
        Refusal::MailboxExists => (ResponseCode::AlreadyExists, "The mailbox exists"),
        Refusal::HasChildren => (ResponseCode::HasChildren, "The mailbox has mailboxes below it"),
        Refusal::Inbox => (ResponseCode::Cannot, "INBOX cannot be deleted"),
        Refusal::BelowItself => (ResponseCode::Cannot, "A mailbox cannot move below itself"),
        Refusal::NameTooLong => (ResponseCode::Cannot, "The name of a mailbox would be too long"),
        Refusal::TooMany(what) => return Reply::no(format!("Too many {what}")).with(ResponseCode::Limit),
        Refusal::OverQuota => (ResponseCode::OverQuota, "The account is full"),
        Refusal::NoAccount | Refusal::NoSpace | Refusal::Unavailable(_) => {
            tracing::warn!(why = %refusal, "an IMAP command is put off");
            (ResponseCode::Unavailable, "Not now; please try again later")
        }
        Refusal::Index(IndexError::Failed(_)) => {
            log(refusal);
            (ResponseCode::ServerBug, "Internal error; it has been logged")
        }
        Refusal::Index(IndexError::Damaged(_)) | Refusal::Body(_) => {
            log(refusal);
            (ResponseCode::ContactAdmin, "Stored data is damaged; please tell your administrator")
        }
    };
    Reply::no(text).with(code)
}

/// As [`refused`], where the missing mailbox is a target that CREATE would make (RFC 9051 §6.3.12, §6.4.7).
pub(super) fn refused_target(refusal: &Refusal) -> Reply {
    if matches!(refusal, Refusal::NoMailbox) { no_target() } else { refused(refusal) }
}

/// The target of APPEND, COPY or MOVE is not there.
pub(super) fn no_target() -> Reply {
    Reply::no("No such mailbox").with(ResponseCode::TryCreate)
}

/// The mailbox was opened with EXAMINE.
pub(super) fn read_only() -> Reply {
    Reply::no("The mailbox is open for reading only").with(ResponseCode::ReadOnly)
}

/// A command about messages without a mailbox.
pub(super) fn not_selected() -> Reply {
    Reply::bad("No mailbox is selected").with(ResponseCode::ClientBug)
}

/// Some messages are still in the client's view, but no longer in the mailbox (RFC 2180 §4, RFC 5530 §3).
pub(super) fn expunged() -> Reply {
    Reply::no("Some of the messages no longer exist").with(ResponseCode::ExpungeIssued)
}

/// A fault of ours, for the operator.
pub(super) fn log(refusal: &Refusal) {
    let mut why = refusal.to_string();
    let mut cause = std::error::Error::source(refusal);
    while let Some(error) = cause {
        why = format!("{why}: {error}");
        cause = error.source();
    }
    tracing::error!(why, "an IMAP session cannot read what the store holds");
}
