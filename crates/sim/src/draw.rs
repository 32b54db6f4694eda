//! The workload: what clients ask for, by chance.

use crate::facts::Fate;
use crate::mail;
use crate::op::Op;
use crate::sim::Sim;
use mail_types::{FlagSet, MailboxId, MailboxName, SystemFlag, Uid, UidSet};
use store::FlagChange;

impl Sim<'_> {
    /// What a client asks for next, of what should be there; sometimes nothing.
    pub(crate) fn draw(&mut self) -> Option<Op> {
        let who = self.chance.account();
        let kind = self.chance.below(20);
        if kind < 7 || !self.ledger.mailboxes.contains_key(&(who, MailboxId::INBOX)) {
            return Some(self.draw_delivery(who));
        }
        let here = self.ledger.mailboxes.range((who, MailboxId::INBOX)..=(who, MailboxId::new(u32::MAX)));
        let here: Vec<(MailboxId, MailboxName)> = here
            .filter(|(_, known)| known.fate == Fate::Present)
            .map(|((_, id), known)| (*id, known.name.clone()))
            .collect();
        let (mailbox, name) = if self.chance.one_in(2) {
            (MailboxId::INBOX, MailboxName::inbox())
        } else {
            self.chance.pick(&here)?.clone()
        };
        if kind >= 17 {
            return self.draw_structure(who, mailbox, name);
        }
        if kind < 9 {
            self.mails += 1;
            let octets = self.draw_octets();
            let flags = self.draw_flags();
            return Some(Op::Append { who, mailbox, mail: self.mails, octets, flags });
        }
        let uids = self.draw_uids(who, mailbox);
        if kind == 16 {
            let among = self.chance.one_in(2).then_some(uids);
            return Some(Op::Expunge { who, mailbox, among });
        }
        if uids.is_empty() {
            return None;
        }
        let (to, _) = self.chance.pick(&here)?.clone();
        Some(match kind {
            9 | 10 => Op::Copy { who, from: mailbox, to, uids },
            11 | 12 if to != mailbox => Op::Move { who, from: mailbox, to, uids },
            13 => Op::Remove { who, mailbox, uids },
            _ => {
                let change =
                    *self.chance.pick(&[FlagChange::Add, FlagChange::Add, FlagChange::Remove, FlagChange::Replace])?;
                let keyword = self.chance.one_in(4);
                Op::Flags { who, mailbox, uids, change, flags: self.draw_flags(), keyword }
            }
        })
    }

    fn draw_delivery(&mut self, who: u8) -> Op {
        if self.chance.one_in(4)
            && let Some(again) = self.ledger.unanswered.pop()
        {
            self.report.repeated += 1;
            if self.chance.one_in(3) {
                // And once more, though it may be answered this time.
                self.ledger.unanswered.push(again.clone());
            }
            return again;
        }
        self.mails += 1;
        let mut to = vec![who];
        if self.chance.one_in(3) {
            to.push((who + 1) % mail::ACCOUNT_COUNT);
        }
        let with_id = !self.chance.one_in(5);
        Op::Deliver { to, mail: self.mails, octets: self.draw_octets(), with_id }
    }

    fn draw_structure(&mut self, who: u8, mailbox: MailboxId, name: MailboxName) -> Option<Op> {
        if self.ledger.is_structure_busy(who) {
            return None;
        }
        let new = MailboxName::parse(self.chance.pick(&NAMES)?).expect("names of mailboxes");
        Some(match self.chance.below(8) {
            0..=2 => Op::Create { who, name: new },
            3 | 4 => Op::Rename { who, from: name, to: new },
            5 | 6 if mailbox != MailboxId::INBOX => Op::Delete { who, mailbox, name },
            _ => Op::Subscribe { who, name: new, subscribed: self.chance.one_in(2) },
        })
    }

    fn draw_octets(&mut self) -> usize {
        let octets = match self.chance.below(24) {
            0 => 200_000 + self.chance.small(400_001),
            1 | 2 => 10_000 + self.chance.small(50_001),
            _ => self.chance.small(3_000),
        };
        usize::try_from(octets).expect("an u32 fits")
    }

    fn draw_flags(&mut self) -> FlagSet {
        let mut flags = FlagSet::EMPTY;
        for flag in [SystemFlag::Seen, SystemFlag::Deleted, SystemFlag::Flagged] {
            if self.chance.one_in(3) {
                flags = flags.with(FlagSet::system(flag));
            }
        }
        flags
    }

    fn draw_uids(&mut self, who: u8, mailbox: MailboxId) -> UidSet {
        let known = self.ledger.uids(who, mailbox);
        (0..self.chance.between(1, 4)).filter_map(|_| Uid::new(*self.chance.pick(&known)?)).collect()
    }
}

/// What mailboxes are called; some lie in others.
const NAMES: [&str; 6] = ["work", "work/2026", "work/2026/q4", "play", "play/chess", "Größe"];
