//! The rows that records turn into.

mod codec;

pub(crate) use codec::{FreeValue, Value};
pub use codec::{open, seal};

use mail_types::{
    AccountId, Address, FlagSet, Keyword, Lsn, MailboxId, MailboxName, ModSeq, SpecialUse, Uid, UidValidity, UnixTime,
};

/// Where a message's frame stands in its account's body file. Local to this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// Offset of the frame in octets.
    pub offset: u64,
    /// Octets of the frame: frame header, head and body.
    pub octets: u64,
}

/// One message (at most 64 octets encoded). Its UID is in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// The last change.
    pub modseq: ModSeq,
    /// The MODSEQ it came with; grows with the UID, which makes "what is new since" a walk from the end.
    pub created: ModSeq,
    /// Its flags.
    pub flags: FlagSet,
    /// INTERNALDATE.
    pub date: UnixTime,
    /// RFC822.SIZE: head and body, in octets.
    pub size: u64,
    /// Where its frame is.
    pub extent: Extent,
}

/// One mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxRow {
    /// Its name.
    pub name: MailboxName,
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// UIDNEXT.
    pub uid_next: Uid,
    /// HIGHESTMODSEQ.
    pub modseq: ModSeq,
    /// How many messages it has.
    pub messages: u32,
    /// How many of them lack `\Seen`.
    pub unseen: u32,
    /// How many of them have `\Deleted`.
    pub deleted: u32,
    /// The sum of their sizes.
    pub octets: u64,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
    /// Its keywords, in the order of their bits in [`FlagSet`].
    pub keywords: Vec<Keyword>,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Its address when it was created here.
    pub address: Address,
    /// The next mailbox number.
    pub mailbox_next: u32,
    /// The next UIDVALIDITY.
    pub uid_validity_next: UidValidity,
    /// The highest MODSEQ given in any of its mailboxes.
    pub modseq: ModSeq,
    /// How many messages it has.
    pub messages: u64,
    /// The sum of their sizes.
    pub octets: u64,
    /// How long its body file is: where the next frame goes.
    pub body_end: u64,
}

/// A delivery id that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Where the message went.
    pub mailbox: MailboxId,
    /// As which UID.
    pub uid: Uid,
    /// When.
    pub time: UnixTime,
}

/// A part of an account's body file that no message needs any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeExtent {
    /// Whose file.
    pub account: AccountId,
    /// Since which record.
    pub lsn: Lsn,
    /// The time of that record.
    pub time: UnixTime,
    /// Which part. After `DeleteAccount`: from 0 to the end.
    pub extent: Extent,
}

impl MailboxRow {
    /// The bit of a keyword, when the mailbox knows it.
    pub fn keyword(&self, keyword: &Keyword) -> Option<FlagSet> {
        FlagSet::keyword(self.keywords.iter().position(|known| known == keyword)?)
    }
}
