//! What is known of mailboxes and messages.

use mail_types::{FlagSet, MailboxId, MailboxName, ModSeq, UidSet};

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Present,
    /// Its removal was asked for and not answered: either is right.
    Unsure,
    Gone,
}

/// A message in a mailbox: account, UIDVALIDITY, UID.
pub(crate) type Place = (u8, u32, u32);

/// What is known of a place.
#[derive(Debug)]
pub(crate) struct Fact {
    /// Which message; none when it went before anybody saw it.
    pub(crate) mail: Option<u32>,
    pub(crate) fate: Fate,
    pub(crate) state: Option<State>,
}

impl Fact {
    /// Of a place that nobody has looked at.
    pub(crate) fn unseen(mail: Option<u32>, fate: Fate) -> Self {
        Self { mail, fate, state: None }
    }
}

/// How a message was last seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) modseq: ModSeq,
    pub(crate) flags: FlagSet,
}

/// How a message came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) octets: usize,
    pub(crate) delivered: bool,
}

/// What an account should have of a message.
#[derive(Debug, Default)]
pub(crate) struct Lot {
    /// It was answered with a yes.
    pub(crate) acknowledged: bool,
    /// It was brought, and has not been seen yet.
    pub(crate) expected: bool,
    /// Where copies and moves under way may bring it, once for each.
    pub(crate) bound_for: Vec<MailboxId>,
    /// It was copied, or may have been.
    pub(crate) copied: bool,
    /// Somebody wanted it gone.
    pub(crate) removable: bool,
}

/// A mailbox.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) name: MailboxName,
    pub(crate) validity: u32,
    pub(crate) uid_next: u32,
    pub(crate) modseq: ModSeq,
    pub(crate) fate: Fate,
    pub(crate) last_scan: Option<LastScan>,
}

/// What a client keeps of a mailbox that it has synchronised.
#[derive(Debug)]
pub(crate) struct LastScan {
    pub(crate) uids: UidSet,
    /// HIGHESTMODSEQ.
    pub(crate) modseq: ModSeq,
}
