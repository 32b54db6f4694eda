//! What sessions are told.

use mail_types::{AccountId, Keyword, MailboxId, MailboxName, ModSeq, UidSet};

/// Something changed in an account. The rows say how it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub account: AccountId,
    /// What.
    pub kind: ChangeKind,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The account lives here now.
    AccountCreated,
    /// The account and all of its mailboxes are gone.
    AccountDeleted,
    /// A mailbox exists now.
    MailboxCreated {
        /// Which.
        mailbox: MailboxId,
        /// Its name.
        name: MailboxName,
    },
    /// A mailbox has another name.
    MailboxRenamed {
        /// Which.
        mailbox: MailboxId,
        /// What it was called.
        from: MailboxName,
        /// What it is called.
        to: MailboxName,
    },
    /// A mailbox is gone.
    MailboxDeleted {
        /// Which.
        mailbox: MailboxId,
        /// What it was called.
        name: MailboxName,
    },
    /// A name is subscribed, or no longer.
    Subscribed {
        /// The name.
        name: MailboxName,
        /// Whether it is subscribed now.
        subscribed: bool,
    },
    /// A mailbox knows one more keyword.
    KeywordDefined {
        /// Where.
        mailbox: MailboxId,
        /// The keyword.
        keyword: Keyword,
    },
    /// Messages came: delivered, appended or copied.
    Delivered {
        /// Where.
        mailbox: MailboxId,
        /// Which.
        uids: UidSet,
        /// Their MODSEQ.
        modseq: ModSeq,
    },
    /// Messages have other flags.
    Flags {
        /// Where.
        mailbox: MailboxId,
        /// Which.
        uids: UidSet,
        /// Their MODSEQ.
        modseq: ModSeq,
    },
    /// Messages are gone.
    Expunged {
        /// Where.
        mailbox: MailboxId,
        /// Which.
        uids: UidSet,
        /// When, in MODSEQs.
        modseq: ModSeq,
    },
}

impl Change {
    /// The mailbox it is about; none when it is about the account.
    pub fn mailbox(&self) -> Option<MailboxId> {
        match &self.kind {
            ChangeKind::AccountCreated | ChangeKind::AccountDeleted | ChangeKind::Subscribed { .. } => None,
            ChangeKind::MailboxCreated { mailbox, .. }
            | ChangeKind::MailboxRenamed { mailbox, .. }
            | ChangeKind::MailboxDeleted { mailbox, .. }
            | ChangeKind::KeywordDefined { mailbox, .. }
            | ChangeKind::Delivered { mailbox, .. }
            | ChangeKind::Flags { mailbox, .. }
            | ChangeKind::Expunged { mailbox, .. } => Some(*mailbox),
        }
    }
}
