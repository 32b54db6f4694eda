//! What the journal carries for mailboxes: effects, not intentions.

mod codec;

pub(crate) use codec::read_address;
pub use codec::{HEAD_OCTETS_MAX, MESSAGES_PER_RECORD_MAX, RANGES_PER_RECORD_MAX, RecordError};

use bytes::Bytes;
use mail_types::{
    AccountId, Address, DeliveryId, FlagSet, Keyword, Lsn, MailboxId, MailboxName, ModSeq, SpecialUse, Uid, UidSet,
    UidValidity, UnixTime,
};

/// Where a message's content stands in the journal: its chunks are the records of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRef {
    /// The LSN of the body's first chunk.
    pub first: Lsn,
    /// How many octets all chunks have.
    pub octets: u64,
}

/// One change of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The account comes to live here, with its default mailboxes in records of their own behind this one.
    CreateAccount {
        /// Which.
        account: AccountId,
        /// Its address, whose key also names its UIDVALIDITY counter.
        address: Address,
        /// The first UIDVALIDITY that may be given; continues where an earlier account of that name ended.
        uid_validity_next: UidValidity,
    },
    /// All its mailboxes are gone; the UIDVALIDITY counter of its name stays.
    DeleteAccount {
        /// Which.
        account: AccountId,
    },
    /// A mailbox exists from now on.
    CreateMailbox {
        /// Whose.
        account: AccountId,
        /// Its number in the account.
        mailbox: MailboxId,
        /// Its name.
        name: MailboxName,
        /// Its UIDVALIDITY.
        uid_validity: UidValidity,
        /// What it is for.
        special_use: Option<SpecialUse>,
        /// When, in MODSEQs.
        modseq: ModSeq,
    },
    /// A mailbox has another name. Children are renamed by records of their own.
    RenameMailbox {
        /// Whose.
        account: AccountId,
        /// Which.
        mailbox: MailboxId,
        /// Its new name.
        name: MailboxName,
        /// When, in MODSEQs.
        modseq: ModSeq,
    },
    /// A mailbox and its messages are gone.
    DeleteMailbox {
        /// Whose.
        account: AccountId,
        /// Which.
        mailbox: MailboxId,
        /// When, in MODSEQs.
        modseq: ModSeq,
    },
    /// A name is subscribed, or no longer; the mailbox need not exist (RFC 9051 §6.3.7).
    Subscribe {
        /// Whose.
        account: AccountId,
        /// The name.
        name: MailboxName,
        /// Whether it is subscribed now.
        subscribed: bool,
    },
    /// The mailbox gives a keyword its next bit; keywords are numbered in the order of these records.
    DefineKeyword {
        /// Whose.
        account: AccountId,
        /// Where.
        mailbox: MailboxId,
        /// The keyword.
        keyword: Keyword,
    },
    /// A new message, delivered or appended.
    Deliver {
        /// Whose.
        account: AccountId,
        /// Where.
        mailbox: MailboxId,
        /// Its UID.
        uid: Uid,
        /// Its MODSEQ.
        modseq: ModSeq,
        /// Its flags.
        flags: FlagSet,
        /// Its INTERNALDATE.
        date: UnixTime,
        /// What stands before the body for this recipient: Return-Path and Delivered-To; empty when appended.
        head: Bytes,
        /// The content.
        body: BodyRef,
        /// By which a repeated delivery is recognised.
        delivery: Option<DeliveryId>,
    },
    /// Messages are copied within the account; content is shared. MOVE is this and an `Expunge` right behind.
    Copy {
        /// Whose.
        account: AccountId,
        /// From where.
        from: MailboxId,
        /// To where.
        to: MailboxId,
        /// The MODSEQ of all the copies.
        modseq: ModSeq,
        /// Source UID, new UID, and the flags of the copy (keywords are numbered per mailbox).
        messages: Vec<(Uid, Uid, FlagSet)>,
    },
    /// Messages have other flags.
    StoreFlags {
        /// Whose.
        account: AccountId,
        /// Where.
        mailbox: MailboxId,
        /// The MODSEQ of all of them.
        modseq: ModSeq,
        /// UID and its flags from now on.
        messages: Vec<(Uid, FlagSet)>,
    },
    /// Messages are gone.
    Expunge {
        /// Whose.
        account: AccountId,
        /// Where.
        mailbox: MailboxId,
        /// When, in MODSEQs.
        modseq: ModSeq,
        /// Which.
        uids: UidSet,
    },
}

impl Record {
    /// Whose record it is.
    pub fn account(&self) -> AccountId {
        match self {
            Self::CreateAccount { account, .. }
            | Self::DeleteAccount { account }
            | Self::CreateMailbox { account, .. }
            | Self::RenameMailbox { account, .. }
            | Self::DeleteMailbox { account, .. }
            | Self::Subscribe { account, .. }
            | Self::DefineKeyword { account, .. }
            | Self::Deliver { account, .. }
            | Self::Copy { account, .. }
            | Self::StoreFlags { account, .. }
            | Self::Expunge { account, .. } => *account,
        }
    }
}
