//! Requests and their answers, and what follows from their words alone.

use mail_types::{FlagSet, MailboxId, MailboxName, SystemFlag, Uid, UidSet};
use store::{Copied, FlagChange, Refusal, Stored};

/// One request.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Deliver { to: Vec<u8>, mail: u32, octets: usize, with_id: bool },
    Append { who: u8, mailbox: MailboxId, mail: u32, octets: usize, flags: FlagSet },
    Copy { who: u8, from: MailboxId, to: MailboxId, uids: UidSet },
    Move { who: u8, from: MailboxId, to: MailboxId, uids: UidSet },
    Flags { who: u8, mailbox: MailboxId, uids: UidSet, change: FlagChange, flags: FlagSet, keyword: bool },
    Expunge { who: u8, mailbox: MailboxId, among: Option<UidSet> },
    Remove { who: u8, mailbox: MailboxId, uids: UidSet },
    Create { who: u8, name: MailboxName },
    Rename { who: u8, from: MailboxName, to: MailboxName },
    Delete { who: u8, mailbox: MailboxId, name: MailboxName },
    Subscribe { who: u8, name: MailboxName, subscribed: bool },
}

/// Its answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// For each recipient, whether it was acknowledged.
    Delivered(Vec<bool>),
    /// UIDVALIDITY and UID.
    Appended(Result<(u32, u32), Refusal>),
    Copied(Result<Copied, Refusal>),
    Flagged(Result<Stored, Refusal>),
    Expunged(Result<UidSet, Refusal>),
    Done(Result<(), Refusal>),
}

impl Op {
    /// Whose mailboxes it is about; of a delivery, the first recipient's.
    pub(crate) fn who(&self) -> u8 {
        match self {
            Self::Deliver { to, .. } => *to.first().expect("a delivery has a recipient"),
            Self::Append { who, .. }
            | Self::Copy { who, .. }
            | Self::Move { who, .. }
            | Self::Flags { who, .. }
            | Self::Expunge { who, .. }
            | Self::Remove { who, .. }
            | Self::Create { who, .. }
            | Self::Rename { who, .. }
            | Self::Delete { who, .. }
            | Self::Subscribe { who, .. } => *who,
        }
    }

    /// Whether it changes which mailboxes there are: of those, one at a time in an account, so that names are known.
    pub(crate) fn is_structural(&self) -> bool {
        match self {
            Self::Create { .. } | Self::Rename { .. } | Self::Delete { .. } | Self::Subscribe { .. } => true,
            Self::Deliver { .. }
            | Self::Append { .. }
            | Self::Copy { .. }
            | Self::Move { .. }
            | Self::Flags { .. }
            | Self::Expunge { .. }
            | Self::Remove { .. } => false,
        }
    }

    /// At most so much of a store's memory.
    pub(crate) fn weight(&self) -> u64 {
        let octets = match self {
            Self::Deliver { to, octets, .. } => octets * to.len(),
            Self::Append { octets, .. } => *octets,
            Self::Copy { uids, .. } | Self::Move { uids, .. } => usize::try_from(uids.len()).unwrap_or(0) * 1_000,
            Self::Flags { .. }
            | Self::Expunge { .. }
            | Self::Remove { .. }
            | Self::Create { .. }
            | Self::Rename { .. }
            | Self::Delete { .. }
            | Self::Subscribe { .. } => 20_000,
        };
        octets as u64 + 6_000
    }
    /// Whether it brings messages to that mailbox.
    pub(crate) fn brings_to(&self, account: u8, target: MailboxId) -> bool {
        match self {
            Self::Append { who, mailbox, .. } => *who == account && *mailbox == target,
            Self::Copy { who, to, .. } | Self::Move { who, to, .. } => *who == account && *to == target,
            Self::Deliver { .. }
            | Self::Flags { .. }
            | Self::Expunge { .. }
            | Self::Remove { .. }
            | Self::Create { .. }
            | Self::Rename { .. }
            | Self::Delete { .. }
            | Self::Subscribe { .. } => false,
        }
    }

    /// Whether it may take that message away.
    pub(crate) fn takes(&self, source: MailboxId, uid: u32) -> bool {
        let holds = |uids: &UidSet| Uid::new(uid).is_some_and(|uid| uids.contains(uid));
        match self {
            Self::Move { from, uids, .. } => *from == source && holds(uids),
            Self::Remove { mailbox, uids, .. } => *mailbox == source && holds(uids),
            Self::Expunge { mailbox, among, .. } => *mailbox == source && among.as_ref().is_none_or(holds),
            Self::Delete { mailbox, .. } => *mailbox == source,
            Self::Rename { .. } => source == MailboxId::INBOX && self.moves_inbox(),
            Self::Deliver { .. }
            | Self::Append { .. }
            | Self::Copy { .. }
            | Self::Flags { .. }
            | Self::Create { .. }
            | Self::Subscribe { .. } => false,
        }
    }

    /// Whether it deletes that mailbox.
    pub(crate) fn deletes(&self, target: MailboxId) -> bool {
        matches!(self, Self::Delete { mailbox, .. } if *mailbox == target)
    }

    fn moves_inbox(&self) -> bool {
        matches!(self, Self::Rename { from, .. } if from.is_inbox())
    }
}

impl Answer {
    /// Whether something was refused.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Delivered(taken) => taken.iter().any(|taken| !taken),
            Self::Appended(_) | Self::Copied(_) | Self::Flagged(_) | Self::Expunged(_) | Self::Done(_) => {
                self.refusal().is_some()
            }
        }
    }

    fn refusal(&self) -> Option<&Refusal> {
        match self {
            // Recipients are refused one by one, and why is not kept.
            Self::Delivered(_) => None,
            Self::Appended(answer) => answer.as_ref().err(),
            Self::Copied(answer) => answer.as_ref().err(),
            Self::Flagged(answer) => answer.as_ref().err(),
            Self::Expunged(answer) => answer.as_ref().err(),
            Self::Done(answer) => answer.as_ref().err(),
        }
    }

    /// Whether it was refused for what was asked, before anything was decided. Where the store could not do its work,
    /// a part may be done, or written.
    pub(crate) fn changed_nothing(&self) -> bool {
        match self.refusal() {
            Some(
                Refusal::NoAccount
                | Refusal::NoMailbox
                | Refusal::MailboxExists
                | Refusal::HasChildren
                | Refusal::Inbox
                | Refusal::BelowItself
                | Refusal::NameTooLong
                | Refusal::TooMany(_)
                | Refusal::OverQuota,
            ) => true,
            Some(Refusal::NoSpace | Refusal::Unavailable(_) | Refusal::Index(_) | Refusal::Body(_)) | None => false,
        }
    }
}

/// Whether flags are those that a change leaves.
pub(crate) fn conforms(now: FlagSet, change: FlagChange, flags: FlagSet) -> bool {
    match change {
        FlagChange::Add => now.contains(flags),
        FlagChange::Remove => now.bits() & flags.bits() == 0,
        FlagChange::Replace => SystemFlag::ALL.into_iter().all(|flag| now.has(flag) == flags.has(flag)),
    }
}
