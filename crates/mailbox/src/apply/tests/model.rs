//! A naive store: it decides records from random choices and keeps what they should lead to.

use crate::apply::Stamp;
use crate::frame::frame_octets;
use crate::record::{BodyRef, Record};
use crate::testing::{mailbox_name, modseq_of, uid_of};
use bytes::Bytes;
use mail_types::{
    AccountId, Address, DeliveryId, FlagSet, Keyword, Lsn, MailboxId, SpecialUse, UidSet, UidValidity, UnixTime,
};
use std::collections::{BTreeMap, BTreeSet};

/// One random choice: what to do, and numbers to do it with.
pub(super) type Choice = (u8, u32, u32, u32);

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) accounts: BTreeMap<AccountId, Account>,
    /// By account number: the counters of names, which outlive accounts.
    pub(super) uid_validity: BTreeMap<u8, u32>,
    /// What the body files may give back.
    pub(super) free: BTreeMap<(AccountId, u64, u64), u64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub(super) modseq: u64,
    pub(super) mailbox_next: u32,
    pub(super) mailboxes: BTreeMap<u32, Mailbox>,
    pub(super) subscriptions: BTreeSet<String>,
    pub(super) deliveries: BTreeMap<DeliveryId, (u32, u32)>,
    pub(super) body_end: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    pub(super) name: String,
    pub(super) uid_validity: u32,
    pub(super) uid_next: u32,
    pub(super) modseq: u64,
    pub(super) special_use: Option<SpecialUse>,
    pub(super) keywords: Vec<String>,
    pub(super) messages: BTreeMap<u32, Message>,
    pub(super) vanished: BTreeMap<u32, u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) modseq: u64,
    pub(super) created: u64,
    pub(super) flags: FlagSet,
    pub(super) date: UnixTime,
    pub(super) size: u64,
    pub(super) offset: u64,
    pub(super) octets: u64,
}

pub(super) fn account(number: u8) -> AccountId {
    AccountId::from_bytes([number; 16])
}

pub(super) fn address(number: u8) -> Address {
    Address::parse(&format!("User{number}@example.org")).expect("an address")
}

const NAMES: [&str; 7] = ["INBOX", "Sent", "Archive", "Archive/2024", "Archive/2025", "a", "ä"];

impl Model {
    /// Turns a choice into the record that a store would write at `at`, if it would write one.
    pub(super) fn decide(&mut self, (what, a, b, c): Choice, at: Stamp) -> Option<Record> {
        let number = u8::try_from(a % 2).expect("small");
        let id = account(number);
        if !self.accounts.contains_key(&id) {
            return Some(self.create_account(number));
        }
        if what % 64 == 0 {
            return Some(self.delete_account(id, at));
        }
        let mut free = BTreeMap::new();
        let counter = self.uid_validity.get_mut(&number).expect("made with the account");
        let account = self.accounts.get_mut(&id).expect("looked up");
        let record = match what % 16 {
            0 | 1 => account.create_mailbox(id, b, c, counter),
            2 => account.rename_mailbox(id, b, c),
            3 => account.delete_mailbox(id, b, &mut free),
            4 => Some(account.subscribe(id, b, c)),
            5 => account.define_keyword(id, b, c),
            6 | 7 => account.store_flags(id, b, c),
            8 => account.copy(id, b, c),
            9 | 10 => account.expunge(id, b, c, &mut free),
            _ => account.deliver(id, b, c, at),
        };
        self.free.extend(free.into_iter().map(|(offset, octets)| ((id, at.lsn.number(), offset), octets)));
        record
    }

    fn create_account(&mut self, number: u8) -> Record {
        let id = account(number);
        let next = *self.uid_validity.entry(number).or_insert(1);
        let body_end = self.free.iter().filter(|((owner, _, _), _)| *owner == id).map(|((_, _, at), n)| at + n).max();
        let row = Account { modseq: 1, mailbox_next: 1, body_end: body_end.unwrap_or(0), ..Account::default() };
        self.accounts.insert(id, row);
        let uid_validity_next = UidValidity::new(next).expect("not zero");
        Record::CreateAccount { account: id, address: address(number), uid_validity_next }
    }

    fn delete_account(&mut self, id: AccountId, at: Stamp) -> Record {
        let gone = self.accounts.remove(&id).expect("looked up");
        self.free.retain(|(owner, _, _), _| *owner != id);
        if gone.body_end > 0 {
            self.free.insert((id, at.lsn.number(), 0), gone.body_end);
        }
        Record::DeleteAccount { account: id }
    }
}

impl Account {
    fn bump(&mut self) -> u64 {
        self.modseq += 1;
        self.modseq
    }

    /// A mailbox that exists, by chance.
    fn pick(&self, chance: u32) -> Option<u32> {
        self.mailboxes.keys().copied().nth(chance as usize % self.mailboxes.len().max(1))
    }

    fn free_name(&self, chance: u32) -> Option<String> {
        let name = NAMES[chance as usize % NAMES.len()];
        (!self.mailboxes.values().any(|mailbox| mailbox.name == name)).then(|| name.to_owned())
    }

    fn shares(&self, offset: u64) -> usize {
        self.mailboxes.values().flat_map(|mailbox| mailbox.messages.values()).filter(|m| m.offset == offset).count()
    }

    fn create_mailbox(&mut self, account: AccountId, b: u32, c: u32, counter: &mut u32) -> Option<Record> {
        let name = self.free_name(b)?;
        let modseq = self.bump();
        let (number, uid_validity) = (self.mailbox_next, *counter);
        self.mailbox_next += 1;
        *counter += 1;
        let special_use = SpecialUse::ALL.get(c as usize % 8).copied();
        let row = Mailbox {
            name: name.clone(),
            uid_validity,
            uid_next: 1,
            modseq,
            special_use,
            keywords: Vec::new(),
            messages: BTreeMap::new(),
            vanished: BTreeMap::new(),
        };
        self.mailboxes.insert(number, row);
        Some(Record::CreateMailbox {
            account,
            mailbox: MailboxId::new(number),
            name: mailbox_name(&name),
            uid_validity: UidValidity::new(uid_validity).expect("not zero"),
            special_use,
            modseq: modseq_of(modseq),
        })
    }

    fn rename_mailbox(&mut self, account: AccountId, b: u32, c: u32) -> Option<Record> {
        let (number, name) = (self.pick(b)?, self.free_name(c)?);
        let modseq = self.bump();
        let mailbox = self.mailboxes.get_mut(&number)?;
        mailbox.name.clone_from(&name);
        mailbox.modseq = modseq;
        let (mailbox, modseq) = (MailboxId::new(number), modseq_of(modseq));
        Some(Record::RenameMailbox { account, mailbox, name: mailbox_name(&name), modseq })
    }

    fn delete_mailbox(&mut self, account: AccountId, b: u32, free: &mut BTreeMap<u64, u64>) -> Option<Record> {
        let number = self.pick(b)?;
        let modseq = modseq_of(self.bump());
        let gone = self.mailboxes.remove(&number)?;
        for message in gone.messages.values() {
            if self.shares(message.offset) == 0 {
                free.insert(message.offset, message.octets);
            }
        }
        Some(Record::DeleteMailbox { account, mailbox: MailboxId::new(number), modseq })
    }

    fn subscribe(&mut self, account: AccountId, b: u32, c: u32) -> Record {
        let name = NAMES[b as usize % NAMES.len()];
        let subscribed = !c.is_multiple_of(3);
        if subscribed {
            self.subscriptions.insert(name.to_owned());
        } else {
            self.subscriptions.remove(name);
        }
        Record::Subscribe { account, name: mailbox_name(name), subscribed }
    }

    fn define_keyword(&mut self, account: AccountId, b: u32, c: u32) -> Option<Record> {
        let number = self.pick(b)?;
        let mailbox = self.mailboxes.get_mut(&number)?;
        let keyword = format!("$k{}", c % 5);
        if mailbox.keywords.contains(&keyword) {
            return None;
        }
        mailbox.keywords.push(keyword.clone());
        let keyword = Keyword::parse(&keyword).expect("an atom");
        Some(Record::DefineKeyword { account, mailbox: MailboxId::new(number), keyword })
    }

    fn deliver(&mut self, account: AccountId, b: u32, c: u32, at: Stamp) -> Option<Record> {
        let number = self.pick(b)?;
        let modseq = self.bump();
        let (offset, head_octets, body_octets) = (self.body_end, c % 90, u64::from(c) % 1_000);
        let mailbox = self.mailboxes.get_mut(&number)?;
        let uid = mailbox.uid_next + c % 3;
        let message = Message {
            modseq,
            created: modseq,
            flags: FlagSet::from_bits(u64::from(c) & 0x3f),
            date: UnixTime::from_secs(i64::from(c) - 500_000),
            size: u64::from(head_octets) + body_octets,
            offset,
            octets: frame_octets(head_octets, body_octets),
        };
        self.body_end += message.octets;
        (mailbox.uid_next, mailbox.modseq) = (uid + 1, modseq);
        mailbox.messages.insert(uid, message.clone());
        let delivery = c.is_multiple_of(2).then(|| DeliveryId::from_bytes(u128::from(at.lsn.number()).to_le_bytes()));
        if let Some(id) = delivery {
            self.deliveries.insert(id, (number, uid));
        }
        Some(Record::Deliver {
            account,
            mailbox: MailboxId::new(number),
            uid: uid_of(uid),
            modseq: modseq_of(modseq),
            flags: message.flags,
            date: message.date,
            head: Bytes::from(vec![b'h'; head_octets as usize]),
            body: BodyRef { first: Lsn::new(at.lsn.number()), octets: body_octets },
            delivery,
        })
    }

    fn copy(&mut self, account: AccountId, b: u32, c: u32) -> Option<Record> {
        let (from, to) = (self.pick(b)?, self.pick(c)?);
        let modseq = self.bump();
        let chosen: Vec<(u32, Message)> = chosen(&self.mailboxes.get(&from)?.messages, c);
        let target = self.mailboxes.get_mut(&to)?;
        target.modseq = modseq;
        let mut messages = Vec::new();
        for (source, original) in chosen {
            let (uid, flags) = (target.uid_next, FlagSet::from_bits(u64::from(source) % 32));
            target.uid_next += 1;
            target.messages.insert(uid, Message { modseq, created: modseq, flags, ..original });
            messages.push((uid_of(source), uid_of(uid), flags));
        }
        let (from, to) = (MailboxId::new(from), MailboxId::new(to));
        Some(Record::Copy { account, from, to, modseq: modseq_of(modseq), messages })
    }

    fn store_flags(&mut self, account: AccountId, b: u32, c: u32) -> Option<Record> {
        let number = self.pick(b)?;
        let modseq = self.bump();
        let mailbox = self.mailboxes.get_mut(&number)?;
        mailbox.modseq = modseq;
        let mut messages = Vec::new();
        for (uid, _) in chosen(&mailbox.messages, c) {
            let message = mailbox.messages.get_mut(&uid)?;
            message.flags = FlagSet::from_bits(u64::from(c.rotate_left(uid % 32)) & 0x7f);
            message.modseq = modseq;
            messages.push((uid_of(uid), message.flags));
        }
        Some(Record::StoreFlags { account, mailbox: MailboxId::new(number), modseq: modseq_of(modseq), messages })
    }

    fn expunge(&mut self, account: AccountId, b: u32, c: u32, free: &mut BTreeMap<u64, u64>) -> Option<Record> {
        let number = self.pick(b)?;
        let modseq = self.bump();
        let mailbox = self.mailboxes.get_mut(&number)?;
        mailbox.modseq = modseq;
        let mut gone = chosen(&mailbox.messages, c);
        let mut uids: UidSet = gone.iter().map(|(uid, _)| uid_of(*uid)).collect();
        if c.is_multiple_of(4) {
            // A range with gaps in it, beyond what was given so far.
            uids = UidSet::from_ranges([(uid_of(1 + c % 7), uid_of(u32::MAX - c % 7))]);
            gone = mailbox.messages.iter().map(|(uid, message)| (*uid, message.clone())).collect();
            gone.retain(|(uid, _)| *uid > c % 7);
        }
        for uid in 1..mailbox.uid_next {
            if uids.contains(uid_of(uid)) {
                mailbox.messages.remove(&uid);
                mailbox.vanished.insert(uid, modseq);
            }
        }
        for (_, message) in gone {
            if self.shares(message.offset) == 0 {
                free.insert(message.offset, message.octets);
            }
        }
        Some(Record::Expunge { account, mailbox: MailboxId::new(number), modseq: modseq_of(modseq), uids })
    }
}

/// Some of the messages, by chance.
fn chosen(messages: &BTreeMap<u32, Message>, chance: u32) -> Vec<(u32, Message)> {
    let picked = messages.iter().filter(|(uid, _)| chance.rotate_left(**uid % 32).is_multiple_of(2));
    picked.map(|(uid, message)| (*uid, message.clone())).collect()
}
