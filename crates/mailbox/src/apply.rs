//! What a record does to the rows: the one function for live, replayed, replicated and moved changes.

mod account;
mod messages;

use crate::change::{Change, ChangeKind};
use crate::frame::FrameHeader;
use crate::index::IndexError;
use crate::key::Key;
use crate::record::{BodyRef, Record};
use crate::row::{AccountRow, MailboxRow, Value};
use crate::rows::{Query, RowsMut};
use bytes::Bytes;
use mail_types::{AccountId, Lsn, MailboxId, UnixTime};

/// Where a record stands in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its LSN.
    pub lsn: Lsn,
    /// Its time.
    pub time: UnixTime,
}

/// Where bodies go: the store's body files.
pub trait Bodies {
    /// Puts the frame of a message at an offset of its account's body file: the header, `head`, the chunks of `body`
    /// and the checksum, [`FrameHeader::frame_octets`] in all. In a replay it may stand there already.
    fn place(&mut self, offset: u64, frame: &FrameHeader, head: &Bytes, body: BodyRef) -> Result<(), IndexError>;
}

/// Does what a record says and tells what changed.
///
/// Nothing is refused. What a record names and the rows do not have (a message that is gone) is passed over; only a
/// message for a mailbox that is not there is [`IndexError::Damaged`], because going on would lose it.
pub fn apply<R: RowsMut + ?Sized>(
    rows: &mut R,
    record: &Record,
    at: Stamp,
    bodies: &mut dyn Bodies,
) -> Result<Vec<Change>, IndexError> {
    let account = record.account();
    let mut apply = Apply { rows, account, at };
    let kind = match record {
        Record::CreateAccount { account: _, address, uid_validity_next } => {
            apply.create_account(address, *uid_validity_next)
        }
        Record::DeleteAccount { account: _ } => apply.delete_account(),
        Record::CreateMailbox { account: _, mailbox, name, uid_validity, special_use, modseq } => {
            apply.create_mailbox(*mailbox, name, *uid_validity, *special_use, *modseq)
        }
        Record::RenameMailbox { account: _, mailbox, name, modseq } => apply.rename_mailbox(*mailbox, name, *modseq),
        Record::DeleteMailbox { account: _, mailbox, modseq } => apply.delete_mailbox(*mailbox, *modseq),
        Record::Subscribe { account: _, name, subscribed } => Ok(Some(apply.subscribe(name, *subscribed))),
        Record::DefineKeyword { account: _, mailbox, keyword } => apply.define_keyword(*mailbox, keyword),
        Record::Deliver { account: _, mailbox, uid, modseq, flags, date, head, body, delivery } => {
            let arrival = messages::Arrival {
                mailbox: *mailbox,
                uid: *uid,
                modseq: *modseq,
                flags: *flags,
                date: *date,
                head,
                body: *body,
                delivery: *delivery,
            };
            apply.deliver(&arrival, bodies).map(Some)
        }
        Record::Copy { account: _, from, to, modseq, messages } => apply.copy(*from, *to, *modseq, messages),
        Record::StoreFlags { account: _, mailbox, modseq, messages } => apply.store_flags(*mailbox, *modseq, messages),
        Record::Expunge { account: _, mailbox, modseq, uids } => apply.expunge(*mailbox, *modseq, uids),
    };
    Ok(kind?.map(|kind| Change { account, kind }).into_iter().collect())
}

/// One record on its way into the rows.
struct Apply<'a, R: ?Sized> {
    rows: &'a mut R,
    account: AccountId,
    at: Stamp,
}

/// What to tell, if anything changed.
type Told = Result<Option<ChangeKind>, IndexError>;

impl<R: RowsMut + ?Sized> Apply<'_, R> {
    fn put<V: Value>(&mut self, key: Key<'_>, value: &V) {
        self.put_at(key.of(self.account), value);
    }

    fn put_at<V: Value>(&mut self, key: Vec<u8>, value: &V) {
        let sealed = value.sealed(&key);
        self.rows.put(key, sealed);
    }

    fn remove(&mut self, key: Key<'_>) {
        self.rows.remove(key.of(self.account));
    }

    fn account_row(&self) -> Result<AccountRow, IndexError> {
        self.rows.account(self.account)?.ok_or_else(|| self.missing(Key::Account))
    }

    fn mailbox_row(&self, mailbox: MailboxId) -> Result<MailboxRow, IndexError> {
        self.rows.mailbox(self.account, mailbox)?.ok_or_else(|| self.missing(Key::Mailbox(mailbox)))
    }

    /// The journal and the rows disagree: the index is not what the records before this one made.
    fn missing(&self, key: Key<'_>) -> IndexError {
        IndexError::Damaged(format!("{key} of {} is not there for record {}", self.account, self.at.lsn))
    }
}

#[cfg(test)]
mod tests;
