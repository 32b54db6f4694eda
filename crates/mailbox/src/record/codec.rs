//! Records as octets: `docs/format/mailbox.md`, "Records".

use super::{BodyRef, Record};
use crate::wire::{Malformed, Reader, put_count, put_number, put_special_use, put_text, put_time, put_uid_set};
use bytes::Bytes;
use mail_types::{Address, DeliveryId, FlagSet, Lsn, ModSeq, Uid};

/// Octets that are no record of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A kind that this version does not know.
    #[error("records of kind {0} are unknown to this version")]
    Kind(u8),
    /// An encoding that this version does not know.
    #[error("records of version {0} are unknown to this version")]
    Version(u8),
    /// Not what an encoder writes.
    #[error("the record is malformed: {0}")]
    Malformed(&'static str),
}

/// Messages named by one `Copy` or `StoreFlags`; the store makes several records of a longer list.
pub const MESSAGES_PER_RECORD_MAX: usize = 10_000;
/// Ranges of UIDs in one `Expunge`.
pub const RANGES_PER_RECORD_MAX: usize = 10_000;
/// Octets that may stand before a body: Return-Path, Delivered-To and what Sieve adds.
pub const HEAD_OCTETS_MAX: usize = 65_536;

impl Record {
    /// Kinds are 1 to this; the journal's other users number theirs above.
    pub const KIND_MAX: u8 = 63;
    /// [`Record::CreateAccount`]
    pub const KIND_CREATE_ACCOUNT: u8 = 1;
    /// [`Record::DeleteAccount`]
    pub const KIND_DELETE_ACCOUNT: u8 = 2;
    /// [`Record::CreateMailbox`]
    pub const KIND_CREATE_MAILBOX: u8 = 3;
    /// [`Record::RenameMailbox`]
    pub const KIND_RENAME_MAILBOX: u8 = 4;
    /// [`Record::DeleteMailbox`]
    pub const KIND_DELETE_MAILBOX: u8 = 5;
    /// [`Record::Subscribe`]
    pub const KIND_SUBSCRIBE: u8 = 6;
    /// [`Record::DefineKeyword`]
    pub const KIND_DEFINE_KEYWORD: u8 = 7;
    /// [`Record::Deliver`]
    pub const KIND_DELIVER: u8 = 8;
    /// [`Record::Copy`]
    pub const KIND_COPY: u8 = 9;
    /// [`Record::StoreFlags`]
    pub const KIND_STORE_FLAGS: u8 = 10;
    /// [`Record::Expunge`]
    pub const KIND_EXPUNGE: u8 = 11;

    /// The number of its variant, which the journal keeps beside the octets.
    pub fn kind(&self) -> u8 {
        match self {
            Self::CreateAccount { .. } => Self::KIND_CREATE_ACCOUNT,
            Self::DeleteAccount { .. } => Self::KIND_DELETE_ACCOUNT,
            Self::CreateMailbox { .. } => Self::KIND_CREATE_MAILBOX,
            Self::RenameMailbox { .. } => Self::KIND_RENAME_MAILBOX,
            Self::DeleteMailbox { .. } => Self::KIND_DELETE_MAILBOX,
            Self::Subscribe { .. } => Self::KIND_SUBSCRIBE,
            Self::DefineKeyword { .. } => Self::KIND_DEFINE_KEYWORD,
            Self::Deliver { .. } => Self::KIND_DELIVER,
            Self::Copy { .. } => Self::KIND_COPY,
            Self::StoreFlags { .. } => Self::KIND_STORE_FLAGS,
            Self::Expunge { .. } => Self::KIND_EXPUNGE,
        }
    }

    /// Appends the record without its kind.
    ///
    /// # Panics
    /// When a list or head is over its limit, which the store must split or refuse before it decides.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend_from_slice(self.account().as_bytes());
        match self {
            Self::CreateAccount { account: _, address, uid_validity_next } => {
                put_text(out, &address.to_string());
                put_number(out, uid_validity_next.number().into());
            }
            Self::DeleteAccount { account: _ } => {}
            Self::CreateMailbox { account: _, mailbox, name, uid_validity, special_use, modseq } => {
                put_number(out, mailbox.number().into());
                put_text(out, name.as_str());
                put_number(out, uid_validity.number().into());
                put_special_use(out, *special_use);
                put_number(out, modseq.number());
            }
            Self::RenameMailbox { account: _, mailbox, name, modseq } => {
                put_number(out, mailbox.number().into());
                put_text(out, name.as_str());
                put_number(out, modseq.number());
            }
            Self::DeleteMailbox { account: _, mailbox, modseq } => {
                put_number(out, mailbox.number().into());
                put_number(out, modseq.number());
            }
            Self::Subscribe { account: _, name, subscribed } => {
                put_text(out, name.as_str());
                out.push(u8::from(*subscribed));
            }
            Self::DefineKeyword { account: _, mailbox, keyword } => {
                put_number(out, mailbox.number().into());
                put_text(out, keyword.as_str());
            }
            Self::Deliver { account: _, mailbox, uid, modseq, flags, date, head, body, delivery } => {
                put_number(out, mailbox.number().into());
                put_number(out, uid.number().into());
                put_number(out, modseq.number());
                put_number(out, flags.bits());
                put_time(out, *date);
                put_number(out, body.first.number());
                put_number(out, body.octets);
                put_delivery(out, *delivery);
                assert!(head.len() <= HEAD_OCTETS_MAX, "a head is at most {HEAD_OCTETS_MAX} octets");
                put_count(out, head.len());
                out.extend_from_slice(head);
            }
            Self::Copy { account: _, from, to, modseq, messages } => {
                put_number(out, from.number().into());
                put_number(out, to.number().into());
                put_number(out, modseq.number());
                put_list(out, messages, |out, (source, copy, flags)| {
                    put_number(out, source.number().into());
                    put_number(out, copy.number().into());
                    put_number(out, flags.bits());
                });
            }
            Self::StoreFlags { account: _, mailbox, modseq, messages } => {
                put_number(out, mailbox.number().into());
                put_number(out, modseq.number());
                put_list(out, messages, |out, (uid, flags)| {
                    put_number(out, uid.number().into());
                    put_number(out, flags.bits());
                });
            }
            Self::Expunge { account: _, mailbox, modseq, uids } => {
                put_number(out, mailbox.number().into());
                put_number(out, modseq.number());
                assert!(uids.ranges().len() <= RANGES_PER_RECORD_MAX, "at most {RANGES_PER_RECORD_MAX} ranges");
                put_uid_set(out, uids);
            }
        }
    }

    /// Reads what [`Record::encode`] wrote; a head stays a part of `octets`.
    pub fn decode(kind: u8, octets: &Bytes) -> Result<Self, RecordError> {
        if !(Self::KIND_CREATE_ACCOUNT..=Self::KIND_EXPUNGE).contains(&kind) {
            return Err(RecordError::Kind(kind));
        }
        let mut reader = Reader::new(octets);
        let version = reader.byte()?;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let record = read(kind, &mut reader, octets)?;
        reader.finish()?;
        Ok(record)
    }
}

impl From<Malformed> for RecordError {
    fn from(Malformed(why): Malformed) -> Self {
        Self::Malformed(why)
    }
}

fn read(kind: u8, reader: &mut Reader<'_>, octets: &Bytes) -> Result<Record, RecordError> {
    let account = reader.account()?;
    Ok(match kind {
        Record::KIND_CREATE_ACCOUNT => {
            Record::CreateAccount { account, address: read_address(reader)?, uid_validity_next: reader.uid_validity()? }
        }
        Record::KIND_DELETE_ACCOUNT => Record::DeleteAccount { account },
        Record::KIND_CREATE_MAILBOX => Record::CreateMailbox {
            account,
            mailbox: reader.mailbox()?,
            name: reader.name()?,
            uid_validity: reader.uid_validity()?,
            special_use: reader.special_use()?,
            modseq: reader.modseq()?,
        },
        Record::KIND_RENAME_MAILBOX => Record::RenameMailbox {
            account,
            mailbox: reader.mailbox()?,
            name: reader.name()?,
            modseq: reader.modseq()?,
        },
        Record::KIND_DELETE_MAILBOX => {
            Record::DeleteMailbox { account, mailbox: reader.mailbox()?, modseq: reader.modseq()? }
        }
        Record::KIND_SUBSCRIBE => Record::Subscribe { account, name: reader.name()?, subscribed: reader.flag()? },
        Record::KIND_DEFINE_KEYWORD => {
            Record::DefineKeyword { account, mailbox: reader.mailbox()?, keyword: reader.keyword()? }
        }
        Record::KIND_DELIVER => Record::Deliver {
            account,
            mailbox: reader.mailbox()?,
            uid: reader.uid()?,
            modseq: reader.modseq()?,
            flags: reader.flags()?,
            date: reader.time()?,
            body: BodyRef { first: Lsn::new(reader.number()?), octets: reader.number()? },
            delivery: read_delivery(reader)?,
            head: read_head(reader, octets)?,
        },
        Record::KIND_COPY => Record::Copy {
            account,
            from: reader.mailbox()?,
            to: reader.mailbox()?,
            modseq: reader.modseq()?,
            messages: read_list(reader, |reader| Ok((reader.uid()?, reader.uid()?, reader.flags()?)))?,
        },
        Record::KIND_STORE_FLAGS => {
            let (mailbox, modseq): (_, ModSeq) = (reader.mailbox()?, reader.modseq()?);
            let messages: Vec<(Uid, FlagSet)> = read_list(reader, |reader| Ok((reader.uid()?, reader.flags()?)))?;
            Record::StoreFlags { account, mailbox, modseq, messages }
        }
        Record::KIND_EXPUNGE => Record::Expunge {
            account,
            mailbox: reader.mailbox()?,
            modseq: reader.modseq()?,
            uids: reader.uid_set(RANGES_PER_RECORD_MAX)?,
        },
        unknown => return Err(RecordError::Kind(unknown)),
    })
}

fn put_delivery(out: &mut Vec<u8>, delivery: Option<DeliveryId>) {
    out.push(u8::from(delivery.is_some()));
    if let Some(id) = delivery {
        out.extend_from_slice(id.as_bytes());
    }
}

fn read_delivery(reader: &mut Reader<'_>) -> Result<Option<DeliveryId>, Malformed> {
    Ok(if reader.flag()? { Some(DeliveryId::from_bytes(reader.array()?)) } else { None })
}

fn read_head(reader: &mut Reader<'_>, octets: &Bytes) -> Result<Bytes, Malformed> {
    let count = reader.count(HEAD_OCTETS_MAX)?;
    Ok(octets.slice_ref(reader.take(count)?))
}

pub(crate) fn read_address(reader: &mut Reader<'_>) -> Result<Address, Malformed> {
    let text = reader.text(ADDRESS_OCTETS_MAX)?;
    match Address::parse(text) {
        Ok(address) if address.to_string() == text => Ok(address),
        Ok(_) | Err(_) => Err(Malformed("not an address")),
    }
}

fn put_list<T>(out: &mut Vec<u8>, list: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    assert!(list.len() <= MESSAGES_PER_RECORD_MAX, "a record names at most {MESSAGES_PER_RECORD_MAX} messages");
    put_count(out, list.len());
    for item in list {
        put(out, item);
    }
}

fn read_list<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = reader.count(MESSAGES_PER_RECORD_MAX)?;
    (0..count).map(|_| read(reader)).collect()
}

/// How records are written now.
const VERSION: u8 = 1;
/// A local part of 64 octets, each perhaps escaped, its quotes, `@`, a domain of 255 (RFC 5321 §4.5.3.1).
const ADDRESS_OCTETS_MAX: usize = 64 * 2 + 2 + 1 + 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::record;
    use mail_types::UidSet;
    use proptest::prelude::*;

    fn encoded(record: &Record) -> Bytes {
        let mut out = Vec::new();
        record.encode(&mut out);
        Bytes::from(out)
    }

    proptest! {
        #[test]
        fn records_are_read_as_written(record in record()) {
            let octets = encoded(&record);
            prop_assert_eq!(Record::decode(record.kind(), &octets), Ok(record.clone()));
            let more = Bytes::from([&octets[..], &[0]].concat());
            prop_assert_eq!(Record::decode(record.kind(), &more), Err(RecordError::Malformed("octets follow")));
            for cut in 0..octets.len() {
                prop_assert!(Record::decode(record.kind(), &octets.slice(..cut)).is_err());
            }
        }

        /// Whatever is accepted has one form: what its encoder writes.
        #[test]
        fn damaged_records_are_refused_or_other_records(record in record(), at in any::<prop::sample::Index>(), octet in any::<u8>(), kind in 0u8..14) {
            let mut octets = encoded(&record).to_vec();
            let at = at.index(octets.len());
            octets[at] = octet;
            let octets = Bytes::from(octets);
            for kind in [record.kind(), kind] {
                if let Ok(other) = Record::decode(kind, &octets) {
                    prop_assert_eq!(encoded(&other), octets.clone());
                }
            }
        }

        #[test]
        fn no_octets_panic(kind in any::<u8>(), octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let octets = Bytes::from([&[VERSION], &octets[..]].concat());
            if let Ok(record) = Record::decode(kind, &octets) {
                prop_assert_eq!(encoded(&record), octets);
            }
        }
    }

    #[test]
    fn a_head_is_not_copied() {
        let record = Record::Deliver {
            account: mail_types::AccountId::from_bytes([1; 16]),
            mailbox: mail_types::MailboxId::INBOX,
            uid: Uid::FIRST,
            modseq: ModSeq::FIRST,
            flags: FlagSet::EMPTY,
            date: mail_types::UnixTime::EPOCH,
            head: Bytes::from_static(b"Return-Path: <>\r\n"),
            body: BodyRef { first: Lsn::new(1), octets: 2 },
            delivery: None,
        };
        let octets = encoded(&record);
        let Ok(Record::Deliver { head, .. }) = Record::decode(Record::KIND_DELIVER, &octets) else {
            panic!("a record")
        };
        assert!(octets.as_ptr_range().contains(&head.as_ptr()));
    }

    #[test]
    fn what_is_unknown_is_named() {
        let octets = Bytes::from_static(&[9; 30]);
        assert_eq!(Record::decode(0, &octets), Err(RecordError::Kind(0)));
        assert_eq!(Record::decode(12, &octets), Err(RecordError::Kind(12)));
        assert_eq!(Record::decode(1, &octets), Err(RecordError::Version(9)));
    }

    /// The octets of docs/format/mailbox.md.
    #[test]
    fn the_example_of_the_format() {
        let record = Record::Expunge {
            account: mail_types::AccountId::from_bytes([0xaa; 16]),
            mailbox: mail_types::MailboxId::new(1),
            modseq: ModSeq::new(300).expect("not zero"),
            uids: UidSet::from_ranges([
                (Uid::FIRST, Uid::FIRST),
                (Uid::new(5).expect("not zero"), Uid::new(7).expect("not zero")),
            ]),
        };
        let expected = [&[1][..], &[0xaa; 16], &[1, 0xac, 0x02, 2, 1, 0, 4, 2]].concat();
        assert_eq!((record.kind(), encoded(&record).to_vec()), (11, expected));
    }

    #[test]
    #[should_panic(expected = "a record names at most")]
    fn a_list_that_is_too_long_is_our_own_bug() {
        let record = Record::StoreFlags {
            account: mail_types::AccountId::from_bytes([1; 16]),
            mailbox: mail_types::MailboxId::INBOX,
            modseq: ModSeq::FIRST,
            messages: vec![(Uid::FIRST, FlagSet::EMPTY); MESSAGES_PER_RECORD_MAX + 1],
        };
        encoded(&record);
    }
}
