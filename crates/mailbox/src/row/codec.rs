//! Rows as octets: `docs/format/mailbox.md`, "Rows".

use super::{AccountRow, DeliveryRow, Extent, MailboxRow, MessageRow};
use crate::IndexError;
use crate::key::describe;
use crate::record::read_address;
use crate::wire::{Malformed, Reader, put_count, put_number, put_special_use, put_text, put_time, put_uid_set};
use mail_types::{FlagSet, MailboxId, ModSeq, UidSet, UidValidity};

/// Puts the checksum of key and value behind the value: an index does not check what it reads.
pub fn seal(key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let sum = checksum(key, &value);
    value.extend_from_slice(&sum);
    value
}

/// Takes the checksum off and compares it.
pub fn open<'a>(key: &[u8], stored: &'a [u8]) -> Result<&'a [u8], IndexError> {
    match stored.split_last_chunk::<CHECKSUM_OCTETS>() {
        Some((value, sum)) if checksum(key, value) == *sum => Ok(value),
        Some(_) | None => Err(damaged(key, Malformed("the checksum differs"))),
    }
}

/// What a row holds.
pub(crate) trait Value: Sized {
    fn write(&self, out: &mut Vec<u8>);
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// As it is stored under `key`.
    fn sealed(&self, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(VALUE_OCTETS_USUAL);
        self.write(&mut out);
        seal(key, out)
    }

    /// From what is stored under `key`.
    fn opened(key: &[u8], stored: &[u8]) -> Result<Self, IndexError> {
        Self::parse(open(key, stored)?).map_err(|why| damaged(key, why))
    }

    fn parse(octets: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(octets);
        let value = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

impl Value for MessageRow {
    /// At most 64 octets: the version and seven numbers of at most 9.
    fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_number(out, self.created.number());
        put_number(out, self.modseq.number().wrapping_sub(self.created.number()));
        put_number(out, self.flags.bits());
        put_time(out, self.date);
        put_number(out, self.size);
        put_number(out, self.extent.offset);
        put_number(out, self.extent.octets.wrapping_sub(self.size));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        version(reader)?;
        let created = reader.modseq()?;
        let modseq = created.number().wrapping_add(reader.number()?);
        let modseq = ModSeq::new(modseq).ok_or(Malformed("MODSEQ zero"))?;
        let (flags, date, size) = (reader.flags()?, reader.time()?, reader.number()?);
        let (offset, more) = (reader.number()?, reader.number()?);
        Ok(Self { modseq, created, flags, date, size, extent: Extent { offset, octets: size.wrapping_add(more) } })
    }
}

impl Value for MailboxRow {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_text(out, self.name.as_str());
        put_number(out, self.uid_validity.number().into());
        put_number(out, self.uid_next.number().into());
        put_number(out, self.modseq.number());
        put_number(out, self.messages.into());
        put_number(out, self.unseen.into());
        put_number(out, self.deleted.into());
        put_number(out, self.octets);
        put_special_use(out, self.special_use);
        put_count(out, self.keywords.len());
        for keyword in &self.keywords {
            put_text(out, keyword.as_str());
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        version(reader)?;
        Ok(Self {
            name: reader.name()?,
            uid_validity: reader.uid_validity()?,
            uid_next: reader.uid()?,
            modseq: reader.modseq()?,
            messages: reader.number32()?,
            unseen: reader.number32()?,
            deleted: reader.number32()?,
            octets: reader.number()?,
            special_use: reader.special_use()?,
            keywords: (0..reader.count(FlagSet::KEYWORD_COUNT_MAX)?)
                .map(|_| reader.keyword())
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Value for AccountRow {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_text(out, &self.address.to_string());
        put_number(out, self.mailbox_next.into());
        put_number(out, self.uid_validity_next.number().into());
        put_number(out, self.modseq.number());
        put_number(out, self.messages);
        put_number(out, self.octets);
        put_number(out, self.body_end);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        version(reader)?;
        Ok(Self {
            address: read_address(reader)?,
            mailbox_next: reader.number32()?,
            uid_validity_next: reader.uid_validity()?,
            modseq: reader.modseq()?,
            messages: reader.number()?,
            octets: reader.number()?,
            body_end: reader.number()?,
        })
    }
}

impl Value for DeliveryRow {
    fn write(&self, out: &mut Vec<u8>) {
        put_number(out, self.mailbox.number().into());
        put_number(out, self.uid.number().into());
        put_time(out, self.time);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { mailbox: reader.mailbox()?, uid: reader.uid()?, time: reader.time()? })
    }
}

/// A `Free` row: its LSN and offset are in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreeValue {
    pub(crate) time: mail_types::UnixTime,
    pub(crate) octets: u64,
}

impl Value for FreeValue {
    fn write(&self, out: &mut Vec<u8>) {
        put_time(out, self.time);
        put_number(out, self.octets);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { time: reader.time()?, octets: reader.number()? })
    }
}

impl Value for MailboxId {
    fn write(&self, out: &mut Vec<u8>) {
        put_number(out, self.number().into());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.mailbox()
    }
}

impl Value for UidValidity {
    fn write(&self, out: &mut Vec<u8>) {
        put_number(out, self.number().into());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.uid_validity()
    }
}

impl Value for UidSet {
    fn write(&self, out: &mut Vec<u8>) {
        put_uid_set(out, self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.uid_set(usize::MAX)
    }
}

/// How many messages share a frame.
impl Value for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        put_number(out, *self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.number()
    }
}

/// Rows whose key says everything.
impl Value for () {
    fn write(&self, _: &mut Vec<u8>) {}

    fn read(_: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(())
    }
}

/// What the store remembers of a message: its own octets.
impl Value for Vec<u8> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(reader.rest().to_vec())
    }
}

pub(crate) fn damaged(key: &[u8], Malformed(why): Malformed) -> IndexError {
    IndexError::Damaged(format!("{}: {why}", describe(key)))
}

fn checksum(key: &[u8], value: &[u8]) -> [u8; CHECKSUM_OCTETS] {
    crc32c::crc32c_append(crc32c::crc32c(key), value).to_le_bytes()
}

fn version(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    if reader.byte()? == VERSION { Ok(()) } else { Err(Malformed("a row of an unknown version")) }
}

/// How accounts, mailboxes and messages are written now.
const VERSION: u8 = 1;
const CHECKSUM_OCTETS: usize = 4;
/// Most rows are messages, and most numbers in them short.
const VALUE_OCTETS_USUAL: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{arb_account_row, arb_mailbox_row, arb_message_row, uid_set};
    use proptest::prelude::*;

    fn round_trip<V: Value + PartialEq + std::fmt::Debug>(value: &V) -> Result<(), TestCaseError> {
        let key = b"some key";
        let sealed = value.sealed(key);
        prop_assert_eq!(&V::opened(key, &sealed).expect("as written"), value);
        prop_assert!(V::opened(b"other key", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut hit = sealed.clone();
            hit[at] ^= 0x10;
            prop_assert!(matches!(V::opened(key, &hit), Err(IndexError::Damaged(_))));
        }
        let mut plain = Vec::new();
        value.write(&mut plain);
        prop_assert!(V::parse(&[&plain[..], &[0]].concat()).is_err());
        Ok(())
    }

    proptest! {
        #[test]
        fn messages_round_trip(row in arb_message_row()) {
            let mut out = Vec::new();
            row.write(&mut out);
            prop_assert!(out.len() <= 64);
            round_trip(&row)?;
        }

        #[test]
        fn mailboxes_round_trip(row in arb_mailbox_row()) {
            round_trip(&row)?;
        }

        #[test]
        fn accounts_round_trip(row in arb_account_row()) {
            round_trip(&row)?;
        }

        #[test]
        fn uids_round_trip(uids in uid_set()) {
            round_trip(&uids)?;
        }

        /// A row with a right checksum may still be one that another version wrote.
        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..90)) {
            let sealed = seal(b"k", [&[VERSION], &octets[..]].concat());
            let _ = MessageRow::opened(b"k", &sealed);
            let _ = MailboxRow::opened(b"k", &sealed);
            let _ = AccountRow::opened(b"k", &sealed);
            let _ = DeliveryRow::opened(b"k", &sealed);
            let _ = FreeValue::opened(b"k", &sealed);
            let _ = UidSet::opened(b"k", &sealed);
            prop_assert!(MessageRow::opened(b"k", &octets).is_err());
        }
    }

    #[test]
    fn damage_names_the_row() {
        let account = mail_types::AccountId::from_bytes([0x0f; 16]);
        let key = crate::Key::Message(MailboxId::INBOX, mail_types::Uid::FIRST).of(account);
        let error = open(&key, b"short").expect_err("no checksum");
        assert_eq!(
            error.to_string(),
            "a row of the index is damaged: message 1/1 of 0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f: the checksum differs"
        );
    }
}
