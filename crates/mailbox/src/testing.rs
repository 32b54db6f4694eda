//! Values for tests.

use crate::Bodies;
use crate::frame::FrameHeader;
use crate::index::{IndexError, Order, ROWS_PER_READ_MAX, RowBytes};
use crate::key::Key;
use crate::record::{BodyRef, Record};
use crate::rows::{Rows, RowsMut};
use bytes::Bytes;
use mail_types::{
    AccountId, Address, DeliveryId, FlagSet, Keyword, Lsn, MailboxId, MailboxName, ModSeq, SpecialUse, Uid, UidSet,
    UidValidity, UnixTime,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Rows without a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MapRows(pub(crate) BTreeMap<Vec<u8>, Vec<u8>>);

impl Rows for MapRows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.0.get(key).cloned())
    }

    fn range(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<RowBytes>, IndexError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let rows = self.0.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        let rows = rows.map(|(key, value)| (key.clone(), value.clone()));
        let limit = limit.min(ROWS_PER_READ_MAX);
        Ok(match order {
            Order::Ascending => rows.take(limit).collect(),
            Order::Descending => rows.rev().take(limit).collect(),
        })
    }
}

impl RowsMut for MapRows {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.insert(key, value);
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.0.remove(&key);
    }
}

/// Body files that remember which frame stands where.
#[derive(Clone, Debug, Default)]
pub(crate) struct MapBodies(pub(crate) BTreeMap<(AccountId, u64), FrameHeader>);

impl Bodies for MapBodies {
    fn place(&mut self, offset: u64, frame: &FrameHeader, head: &Bytes, body: BodyRef) -> Result<(), IndexError> {
        assert_eq!((head.len() as u64, body.octets), (u64::from(frame.head_octets), frame.body_octets));
        let before = self.0.insert((frame.account, offset), *frame);
        assert!(before.is_none_or(|before| before == *frame), "a replay puts the same frame in the same place");
        let below = self.0.range(..(frame.account, offset)).next_back();
        if let Some(((account, start), other)) = below {
            assert!(*account != frame.account || start + other.frame_octets() <= offset, "frames overlap");
        }
        Ok(())
    }
}

pub(crate) fn account_id() -> impl Strategy<Value = AccountId> {
    prop_oneof![any::<[u8; 16]>(), Just([0; 16]), Just([u8::MAX; 16])].prop_map(AccountId::from_bytes)
}

pub(crate) fn uid_of(number: u32) -> Uid {
    Uid::new(number).expect("not zero")
}

pub(crate) fn modseq_of(number: u64) -> ModSeq {
    ModSeq::new(number).expect("not zero")
}

pub(crate) fn mailbox_name(text: &str) -> MailboxName {
    MailboxName::parse(text).expect("a name")
}

fn uid() -> impl Strategy<Value = Uid> {
    prop_oneof![1u32..=300, 1u32.., Just(u32::MAX)].prop_map(uid_of)
}

fn modseq() -> impl Strategy<Value = ModSeq> {
    prop_oneof![1u64..=300, 1u64.., Just(u64::MAX)].prop_map(modseq_of)
}

fn mailbox() -> impl Strategy<Value = MailboxId> {
    prop_oneof![1u32..=9, any::<u32>()].prop_map(MailboxId::new)
}

fn name() -> impl Strategy<Value = MailboxName> {
    "[a-zA-Zäß語 &.~-]{1,12}(/[a-z0-9é]{1,5}){0,3}".prop_map(|text| mailbox_name(&text))
}

fn keyword() -> impl Strategy<Value = Keyword> {
    "[$A-Za-z0-9_:-]{1,40}".prop_map(|text| Keyword::parse(&text).expect("an atom"))
}

fn flags() -> impl Strategy<Value = FlagSet> {
    any::<u64>().prop_map(FlagSet::from_bits)
}

fn address() -> impl Strategy<Value = Address> {
    ("[a-zA-Z0-9äé+ \"\\\\.@-]{1,20}", prop_oneof![Just("example.org"), Just("[192.0.2.1]"), Just("bücher.example")])
        .prop_filter_map("a local part", |(local, domain)| {
            let quoted = local.replace('\\', "\\\\").replace('"', "\\\"");
            Address::parse(&format!("\"{quoted}\"@{domain}")).ok()
        })
}

fn time() -> impl Strategy<Value = UnixTime> {
    any::<i64>().prop_map(UnixTime::from_micros)
}

fn special_use() -> impl Strategy<Value = Option<SpecialUse>> {
    option::of(proptest::sample::select(&SpecialUse::ALL[..]))
}

fn uid_validity() -> impl Strategy<Value = UidValidity> {
    (1u32..).prop_map(|number| UidValidity::new(number).expect("not zero"))
}

pub(crate) fn uid_set() -> impl Strategy<Value = UidSet> {
    vec((uid(), uid()), 0..20).prop_map(UidSet::from_ranges)
}

prop_compose! {
    fn deliver()(
        account in account_id(), mailbox in mailbox(), uid in uid(), modseq in modseq(), flags in flags(),
        date in time(), head in vec(any::<u8>(), 0..200), first in any::<u64>(), octets in any::<u64>(),
        delivery in option::of(any::<[u8; 16]>()),
    ) -> Record {
        let body = BodyRef { first: Lsn::new(first), octets };
        let delivery = delivery.map(DeliveryId::from_bytes);
        Record::Deliver { account, mailbox, uid, modseq, flags, date, head: Bytes::from(head), body, delivery }
    }
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        (account_id(), address(), uid_validity()).prop_map(|(account, address, uid_validity_next)| {
            Record::CreateAccount { account, address, uid_validity_next }
        }),
        account_id().prop_map(|account| Record::DeleteAccount { account }),
        (account_id(), mailbox(), name(), uid_validity(), special_use(), modseq()).prop_map(
            |(account, mailbox, name, uid_validity, special_use, modseq)| Record::CreateMailbox {
                account,
                mailbox,
                name,
                uid_validity,
                special_use,
                modseq
            }
        ),
        (account_id(), mailbox(), name(), modseq())
            .prop_map(|(account, mailbox, name, modseq)| Record::RenameMailbox { account, mailbox, name, modseq }),
        (account_id(), mailbox(), modseq()).prop_map(|(account, mailbox, modseq)| Record::DeleteMailbox {
            account,
            mailbox,
            modseq
        }),
        (account_id(), name(), any::<bool>()).prop_map(|(account, name, subscribed)| Record::Subscribe {
            account,
            name,
            subscribed
        }),
        (account_id(), mailbox(), keyword()).prop_map(|(account, mailbox, keyword)| Record::DefineKeyword {
            account,
            mailbox,
            keyword
        }),
        deliver(),
        (account_id(), mailbox(), mailbox(), modseq(), vec((uid(), uid(), flags()), 0..20))
            .prop_map(|(account, from, to, modseq, messages)| Record::Copy { account, from, to, modseq, messages }),
        (account_id(), mailbox(), modseq(), vec((uid(), flags()), 0..20))
            .prop_map(|(account, mailbox, modseq, messages)| Record::StoreFlags { account, mailbox, modseq, messages }),
        (account_id(), mailbox(), modseq(), uid_set()).prop_map(|(account, mailbox, modseq, uids)| Record::Expunge {
            account,
            mailbox,
            modseq,
            uids
        }),
    ]
}

/// What a key of any kind is made of.
pub(crate) type KeyParts = (u8, u32, u32, u64, [u8; 16], String);

pub(crate) fn arb_key_parts() -> impl Strategy<Value = KeyParts> {
    (0u8..12, any::<u32>(), 1u32.., 1u64.., any::<[u8; 16]>(), "[a-z/ä]{1,20}")
}

pub(crate) fn key_of((kind, a, b, long, id, text): &KeyParts) -> Key<'_> {
    let (mailbox, uid, modseq) = (MailboxId::new(*a), uid_of(*b), modseq_of(*long));
    match kind {
        0 => Key::Account,
        1 => Key::Mailbox(mailbox),
        2 => Key::Name(text),
        3 => Key::Subscription(text),
        4 => Key::Message(mailbox, uid),
        5 => Key::Changed(mailbox, modseq, uid),
        6 => Key::Vanished(mailbox, modseq),
        7 => Key::Delivery(*a, DeliveryId::from_bytes(*id)),
        8 => Key::Cache(mailbox, uid),
        9 => Key::Free(Lsn::new(*long), (*a).into()),
        10 => Key::Share(*long),
        _ => Key::UidValidity(text),
    }
}

pub(crate) fn arb_message_row() -> impl Strategy<Value = crate::MessageRow> {
    (modseq(), modseq(), flags(), time(), any::<[u64; 3]>()).prop_map(|(modseq, created, flags, date, [size, a, b])| {
        crate::MessageRow { modseq, created, flags, date, size, extent: crate::Extent { offset: a, octets: b } }
    })
}

pub(crate) fn arb_mailbox_row() -> impl Strategy<Value = crate::MailboxRow> {
    (name(), uid_validity(), uid(), modseq(), any::<([u32; 3], u64)>(), special_use(), vec(keyword(), 0..=59)).prop_map(
        |(name, uid_validity, uid_next, modseq, ([messages, unseen, deleted], octets), special_use, keywords)| {
            crate::MailboxRow {
                name,
                uid_validity,
                uid_next,
                modseq,
                messages,
                unseen,
                deleted,
                octets,
                special_use,
                keywords,
            }
        },
    )
}

pub(crate) fn arb_account_row() -> impl Strategy<Value = crate::AccountRow> {
    (address(), any::<u32>(), uid_validity(), modseq(), any::<[u64; 3]>()).prop_map(
        |(address, mailbox_next, uid_validity_next, modseq, [messages, octets, body_end])| crate::AccountRow {
            address,
            mailbox_next,
            uid_validity_next,
            modseq,
            messages,
            octets,
            body_end,
        },
    )
}
