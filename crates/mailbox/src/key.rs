//! The one ordered key space of a shard.
//!
//! ```text
//!   prefix (16 octets)   tag   rest, big-endian
//!   account id           01
//!   account id           02    mailbox                       the mailbox
//!   account id           03    name                          its number, so that LIST is a walk
//!   account id           04    name                          subscribed
//!   account id           05    mailbox  UID                  the message
//!   account id           06    mailbox  MODSEQ  UID          changed after it came
//!   account id           07    mailbox  MODSEQ               UIDs that went
//!   account id           08    week  delivery id             seen
//!   account id           09    mailbox  UID                  the store's cache
//!   account id           0A    LSN  offset                   octets of the body file to give back
//!   account id           0B    offset                        how many messages share a frame, when several do
//!   fold of a name       20    name                          the next UIDVALIDITY, which outlives the account
//! ```

use crate::wire::{Malformed, Reader};
use mail_types::{AccountId, DeliveryId, Lsn, MailboxId, ModSeq, Uid, UnixTime};
use siphasher::sip128::SipHasher13;
use std::fmt;

/// What a row is about, within its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// The account itself.
    Account,
    /// A mailbox.
    Mailbox(MailboxId),
    /// The number of the mailbox of that name.
    Name(&'a str),
    /// The name is subscribed.
    Subscription(&'a str),
    /// A message.
    Message(MailboxId, Uid),
    /// A message that changed after it came, under the MODSEQ of its last change.
    Changed(MailboxId, ModSeq, Uid),
    /// The UIDs that went with that MODSEQ.
    Vanished(MailboxId, ModSeq),
    /// A delivery id seen in that week ([`week`]).
    Delivery(u32, DeliveryId),
    /// What the store remembers of a message.
    Cache(MailboxId, Uid),
    /// Octets of the body file, from that offset, that no message needs since that LSN.
    Free(Lsn, u64),
    /// How many messages share the frame at that offset.
    Share(u64),
    /// The next UIDVALIDITY of an account name (its key, [`mail_types::Address::key`]); under [`fold`] of it.
    UidValidity(&'a str),
}

/// Rows with `from <= key < to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first key.
    pub from: Vec<u8>,
    /// Behind the last.
    pub to: Vec<u8>,
}

impl<'a> Key<'a> {
    /// The octets of this row's key in an account. The buffer is exactly as long as the key.
    pub fn of(self, account: AccountId) -> Vec<u8> {
        let prefix = account.as_bytes();
        match self {
            Self::Account => [&prefix[..], &[ACCOUNT]].concat(),
            Self::Mailbox(mailbox) => [&prefix[..], &[MAILBOX], &be(mailbox)].concat(),
            Self::Name(name) => [&prefix[..], &[NAME], name.as_bytes()].concat(),
            Self::Subscription(name) => [&prefix[..], &[SUBSCRIPTION], name.as_bytes()].concat(),
            Self::Message(mailbox, uid) => {
                [&prefix[..], &[MESSAGE], &be(mailbox), &uid.number().to_be_bytes()].concat()
            }
            Self::Changed(mailbox, modseq, uid) => {
                let (modseq, uid) = (modseq.number().to_be_bytes(), uid.number().to_be_bytes());
                [&prefix[..], &[CHANGED], &be(mailbox), &modseq, &uid].concat()
            }
            Self::Vanished(mailbox, modseq) => {
                [&prefix[..], &[VANISHED], &be(mailbox), &modseq.number().to_be_bytes()].concat()
            }
            Self::Delivery(week, id) => [&prefix[..], &[DELIVERY], &week.to_be_bytes(), id.as_bytes()].concat(),
            Self::Cache(mailbox, uid) => [&prefix[..], &[CACHE], &be(mailbox), &uid.number().to_be_bytes()].concat(),
            Self::Free(lsn, offset) => {
                [&prefix[..], &[FREE], &lsn.number().to_be_bytes(), &offset.to_be_bytes()].concat()
            }
            Self::Share(offset) => [&prefix[..], &[SHARE], &offset.to_be_bytes()].concat(),
            Self::UidValidity(name) => [&prefix[..], &[UID_VALIDITY], name.as_bytes()].concat(),
        }
    }

    /// Reads a key; nothing when it is not one of ours.
    pub fn parse(key: &'a [u8]) -> Option<(AccountId, Self)> {
        Self::read(key).ok()
    }

    fn read(key: &'a [u8]) -> Result<(AccountId, Self), Malformed> {
        let mut reader = Reader::new(key);
        let (account, tag) = (reader.account()?, reader.byte()?);
        let parsed = match tag {
            ACCOUNT => Self::Account,
            MAILBOX => Self::Mailbox(mailbox(&mut reader)?),
            NAME => Self::Name(rest(&mut reader)?),
            SUBSCRIPTION => Self::Subscription(rest(&mut reader)?),
            MESSAGE => Self::Message(mailbox(&mut reader)?, uid(&mut reader)?),
            CHANGED => Self::Changed(mailbox(&mut reader)?, modseq(&mut reader)?, uid(&mut reader)?),
            VANISHED => Self::Vanished(mailbox(&mut reader)?, modseq(&mut reader)?),
            DELIVERY => Self::Delivery(u32::from_be_bytes(reader.array()?), DeliveryId::from_bytes(reader.array()?)),
            CACHE => Self::Cache(mailbox(&mut reader)?, uid(&mut reader)?),
            FREE => Self::Free(Lsn::new(number(&mut reader)?), number(&mut reader)?),
            SHARE => Self::Share(number(&mut reader)?),
            UID_VALIDITY => Self::UidValidity(rest(&mut reader)?),
            _ => return Err(Malformed("an unknown tag")),
        };
        reader.finish()?;
        Ok((account, parsed))
    }
}

impl Span {
    /// Every row of an account.
    pub fn account(account: AccountId) -> Self {
        // The fold of a name might equal an account's id: rows of names sort behind those of accounts.
        Self { from: tagged(account, ACCOUNT), to: tagged(account, UID_VALIDITY) }
    }

    /// Its mailboxes, by number.
    pub fn mailboxes(account: AccountId) -> Self {
        Self::tag(account, MAILBOX)
    }

    /// Its mailboxes, by name.
    pub fn names(account: AccountId) -> Self {
        Self::tag(account, NAME)
    }

    /// What it is subscribed to.
    pub fn subscriptions(account: AccountId) -> Self {
        Self::tag(account, SUBSCRIPTION)
    }

    /// The messages of a mailbox with `first <= UID <= last`.
    pub fn messages(account: AccountId, mailbox: MailboxId, first: Uid, last: Uid) -> Self {
        Self { from: Key::Message(mailbox, first).of(account), to: after(Key::Message(mailbox, last).of(account)) }
    }

    /// The cache of a mailbox.
    pub fn cache(account: AccountId, mailbox: MailboxId) -> Self {
        Self::numbered(account, CACHE, mailbox)
    }

    /// The messages of a mailbox that changed later than `since`, after they came.
    pub fn changed(account: AccountId, mailbox: MailboxId, since: Option<ModSeq>) -> Self {
        let mut span = Self::numbered(account, CHANGED, mailbox);
        if let Some(since) = since {
            span.from = after(Key::Changed(mailbox, since, Uid::MAX).of(account));
        }
        span
    }

    /// What went from a mailbox later than `since`.
    pub fn vanished(account: AccountId, mailbox: MailboxId, since: Option<ModSeq>) -> Self {
        let mut span = Self::numbered(account, VANISHED, mailbox);
        if let Some(since) = since {
            span.from = after(Key::Vanished(mailbox, since).of(account));
        }
        span
    }

    /// The delivery ids seen before that week.
    pub fn deliveries_before(account: AccountId, week: u32) -> Self {
        let mut to = tagged(account, DELIVERY);
        to.extend_from_slice(&week.to_be_bytes());
        Self { from: tagged(account, DELIVERY), to }
    }

    /// What its body file can give back.
    pub fn free(account: AccountId) -> Self {
        Self::tag(account, FREE)
    }

    /// The rows behind all those of an account, to the end of the shard.
    pub fn behind(account: Option<AccountId>) -> Self {
        let to = vec![u8::MAX; PREFIX_OCTETS + 1];
        match account {
            Some(account) => Self { from: tagged(account, u8::MAX), to },
            None => Self { from: Vec::new(), to },
        }
    }

    fn tag(account: AccountId, tag: u8) -> Self {
        Self { from: tagged(account, tag), to: tagged(account, tag + 1) }
    }

    fn numbered(account: AccountId, tag: u8, mailbox: MailboxId) -> Self {
        let mut from = tagged(account, tag);
        from.extend_from_slice(&be(mailbox));
        let to = match mailbox.number().checked_add(1) {
            Some(next) => [tagged(account, tag), next.to_be_bytes().to_vec()].concat(),
            None => tagged(account, tag + 1),
        };
        Self { from, to }
    }
}

/// Which of `shards` files holds the rows of an account.
pub fn shard_of(account: AccountId, shards: usize) -> usize {
    let shards = u64::try_from(shards.max(1)).expect("a count has at most 64 bits");
    let (low, _) = SipHasher13::new().hash(account.as_bytes()).as_u64();
    usize::try_from(low % shards).expect("less than a usize")
}

/// Under which prefix the rows of an account *name* stand: 16 octets, the same in every version.
pub fn fold(name: &str) -> AccountId {
    AccountId::from_bytes(SipHasher13::new().hash(name.as_bytes()).as_bytes())
}

/// The week of a time: what delivery ids are kept and forgotten by.
pub fn week(time: UnixTime) -> u32 {
    u32::try_from(time.secs().div_euclid(7 * 86_400)).unwrap_or(0)
}

/// The lowest key above this one.
pub fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// A key in words, for errors.
pub fn describe(key: &[u8]) -> String {
    match Key::parse(key) {
        Some((account, parsed)) => format!("{parsed} of {account}"),
        None => format!("key {key:02x?}"),
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account => f.write_str("account"),
            Self::Mailbox(mailbox) => write!(f, "mailbox {}", mailbox.number()),
            Self::Name(name) => write!(f, "name {name:?}"),
            Self::Subscription(name) => write!(f, "subscription {name:?}"),
            Self::Message(mailbox, uid) => write!(f, "message {}/{uid}", mailbox.number()),
            Self::Changed(mailbox, modseq, uid) => write!(f, "change {modseq} of {}/{uid}", mailbox.number()),
            Self::Vanished(mailbox, modseq) => write!(f, "vanished {modseq} of {}", mailbox.number()),
            Self::Delivery(_, id) => write!(f, "delivery {id}"),
            Self::Cache(mailbox, uid) => write!(f, "cache {}/{uid}", mailbox.number()),
            Self::Free(lsn, offset) => write!(f, "free extent {offset} since {lsn}"),
            Self::Share(offset) => write!(f, "share of {offset}"),
            Self::UidValidity(name) => write!(f, "UIDVALIDITY of {name:?}"),
        }
    }
}

fn tagged(account: AccountId, tag: u8) -> Vec<u8> {
    [&account.as_bytes()[..], &[tag]].concat()
}

fn be(mailbox: MailboxId) -> [u8; 4] {
    mailbox.number().to_be_bytes()
}

fn mailbox(reader: &mut Reader<'_>) -> Result<MailboxId, Malformed> {
    reader.array().map(u32::from_be_bytes).map(MailboxId::new)
}

fn uid(reader: &mut Reader<'_>) -> Result<Uid, Malformed> {
    Uid::new(u32::from_be_bytes(reader.array()?)).ok_or(Malformed("UID zero"))
}

fn modseq(reader: &mut Reader<'_>) -> Result<ModSeq, Malformed> {
    ModSeq::new(number(reader)?).ok_or(Malformed("MODSEQ zero"))
}

fn number(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    reader.array().map(u64::from_be_bytes)
}

fn rest<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    std::str::from_utf8(reader.rest()).map_err(|_| Malformed("a text is not UTF-8"))
}

const PREFIX_OCTETS: usize = 16;
const ACCOUNT: u8 = 0x01;
const MAILBOX: u8 = 0x02;
const NAME: u8 = 0x03;
const SUBSCRIPTION: u8 = 0x04;
const MESSAGE: u8 = 0x05;
const CHANGED: u8 = 0x06;
const VANISHED: u8 = 0x07;
const DELIVERY: u8 = 0x08;
const CACHE: u8 = 0x09;
const FREE: u8 = 0x0a;
const SHARE: u8 = 0x0b;
const UID_VALIDITY: u8 = 0x20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{account_id, arb_key_parts, key_of};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_are_read_as_written(account in account_id(), parts in arb_key_parts()) {
            let key = key_of(&parts);
            let octets = key.of(account);
            prop_assert_eq!(octets.capacity(), octets.len());
            prop_assert_eq!(Key::parse(&octets), Some((account, key)));
        }

        #[test]
        fn keys_sort_as_their_parts(account in account_id(), a in (1u32.., 1u32..), b in (1u32.., 1u32..)) {
            let of = |(mailbox, uid)| {
                Key::Message(MailboxId::new(mailbox), Uid::new(uid).expect("not zero")).of(account)
            };
            prop_assert_eq!(of(a).cmp(&of(b)), a.cmp(&b));
        }

        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some((account, key)) = Key::parse(&octets) {
                prop_assert_eq!(key.of(account), octets.clone());
            }
            prop_assert!(!describe(&octets).is_empty());
        }

        #[test]
        fn an_account_spans_its_rows_and_no_others(account in account_id(), parts in arb_key_parts()) {
            let key = key_of(&parts);
            let span = Span::account(account);
            let octets = key.of(account);
            let within = span.from <= octets && octets < span.to;
            prop_assert_eq!(within, !matches!(key, Key::UidValidity(_)));
            let next = Span::behind(Some(account));
            prop_assert!(next.from > octets);
        }
    }

    #[test]
    fn hashes_are_those_of_the_format() {
        // These are on disks: a change of them loses counters and looks for accounts in the wrong file.
        let id = |n| AccountId::from_bytes([n; 16]);
        assert_eq!([0, 1, 2, 3, 4].map(|n| shard_of(id(n), 4)), [2, 0, 3, 2, 3]);
        assert_eq!(shard_of(id(9), 1), 0);
        assert_eq!(shard_of(id(9), 0), 0);
        assert_eq!(fold("ingrid@example.org").to_string(), "aae14a478c913274b085b987a29c9486");
    }

    #[test]
    fn weeks_begin_on_the_day_of_the_epoch() {
        assert_eq!(week(UnixTime::from_secs(7 * 86_400 - 1)), 0);
        assert_eq!(week(UnixTime::from_secs(7 * 86_400)), 1);
        assert_eq!(week(UnixTime::from_secs(-1)), 0);
    }

    #[test]
    fn the_last_mailbox_has_an_end() {
        let account = AccountId::from_bytes([u8::MAX; 16]);
        let span = Span::cache(account, MailboxId::new(u32::MAX));
        let key = Key::Cache(MailboxId::new(u32::MAX), Uid::MAX).of(account);
        assert!(span.from <= key && key < span.to);
    }
}
