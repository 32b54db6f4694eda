//! What was answered and what was seen: the facts that every later state must agree with.
//!
//! Clients see only applied state, and only durable records are applied. So whatever a scan has seen is a fact, as
//! much as what was answered: no crash may undo it.

use crate::facts::{Fact, Fate, Known, Lot, Origin, Place};
use crate::op::{Answer, Op};
use crate::{Violation, hold};
use mail_types::{MailboxId, MailboxName, SystemFlag, Uid, UidSet};
use std::collections::{BTreeMap, BTreeSet};
use store::FlagChange;

/// A request that was not answered yet.
struct Pending {
    op: Op,
    /// The messages that it moves or copies.
    mails: Vec<u32>,
    /// What it brings to INBOX may have gone on with INBOX's other messages, before it is answered.
    displaced: bool,
}

/// All facts of a run.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) places: BTreeMap<Place, Fact>,
    pub(crate) origins: BTreeMap<u32, Origin>,
    pub(crate) lots: BTreeMap<(u8, u32), Lot>,
    pub(crate) mailboxes: BTreeMap<(u8, MailboxId), Known>,
    /// The highest UIDVALIDITY seen in an account.
    pub(crate) validities: BTreeMap<u8, u32>,
    pub(crate) subscriptions: BTreeMap<(u8, MailboxName), Fate>,
    /// Deliveries with an id that got no answer: to be brought again.
    pub(crate) unanswered: Vec<Op>,
    pending: BTreeMap<u64, Pending>,
    /// Accounts whose INBOX is being renamed, and to what: which of its messages went there is not told.
    inboxes_moving: BTreeMap<u8, MailboxName>,
    /// Accounts with mailboxes that may have got another name since they were last seen.
    pub(crate) names_in_doubt: BTreeSet<u8>,
    pub(crate) acknowledged: u64,
}

impl Ledger {
    /// A client asks.
    pub(crate) fn begin(&mut self, number: u64, op: &Op) {
        let who = op.who();
        let mut mails = Vec::new();
        match op {
            Op::Deliver { to, mail, octets, .. } => {
                self.origins.insert(*mail, Origin { octets: *octets, delivered: true });
                for who in to {
                    let here = self.places.iter().any(|((of, ..), fact)| of == who && fact.mail == Some(*mail));
                    let lot = self.lots.entry((*who, *mail)).or_default();
                    // Brought again, it must not come again once it was acknowledged, or seen.
                    lot.expected |= !lot.acknowledged && !here;
                }
            }
            Op::Append { mail, octets, mailbox, flags, .. } => {
                self.origins.insert(*mail, Origin { octets: *octets, delivered: false });
                // With \Deleted, anybody's EXPUNGE takes it.
                let removable = !self.is_safe(who, *mailbox) || flags.has(SystemFlag::Deleted);
                self.lots.insert((who, *mail), Lot { expected: true, removable, ..Lot::default() });
                mails.push(*mail);
            }
            Op::Copy { from, to, uids, .. } => mails = self.set_off(who, *from, *to, uids, true),
            Op::Move { from, to, uids, .. } => mails = self.set_off(who, *from, *to, uids, false),
            Op::Flags { mailbox, uids, change, flags, .. } => {
                if flags.has(SystemFlag::Deleted) && *change != FlagChange::Remove {
                    self.give_up(who, *mailbox, Some(uids));
                }
            }
            Op::Remove { mailbox, uids, .. } => self.give_up(who, *mailbox, Some(uids)),
            Op::Delete { mailbox, .. } => {
                self.give_up(who, *mailbox, None);
                let arriving = self.pending.values().filter(|pending| pending.op.brings_to(who, *mailbox));
                let arriving: Vec<u32> = arriving.flat_map(|pending| pending.mails.clone()).collect();
                for mail in arriving {
                    self.lots.entry((who, mail)).or_default().removable = true;
                }
            }
            Op::Rename { from, to, .. } => {
                self.names_in_doubt.insert(who);
                if from.is_inbox() {
                    self.inboxes_moving.insert(who, to.clone());
                    for pending in self.pending.values_mut() {
                        pending.displaced |= pending.op.brings_to(who, MailboxId::INBOX);
                    }
                }
            }
            Op::Expunge { .. } | Op::Create { .. } => {}
            Op::Subscribe { name, .. } => {
                self.subscriptions.insert((who, name.clone()), Fate::Unsure);
            }
        }
        let displaced = self.inboxes_moving.contains_key(&who) && op.brings_to(who, MailboxId::INBOX);
        self.pending.insert(number, Pending { op: op.clone(), mails, displaced });
    }

    /// It is answered.
    pub(crate) fn answer(&mut self, number: u64, answer: &Answer) -> Result<(), Violation> {
        let Some(Pending { op, mails, displaced }) = self.pending.remove(&number) else {
            return Err(Violation("an answer without a question".into()));
        };
        let who = op.who();
        match (&op, answer) {
            (Op::Deliver { to, mail, with_id, .. }, Answer::Delivered(taken)) => {
                for (who, _) in to.iter().zip(taken).filter(|(_, taken)| **taken) {
                    self.lots.entry((*who, *mail)).or_default().acknowledged = true;
                    self.acknowledged += 1;
                }
                if *with_id && taken.iter().any(|taken| !taken) {
                    self.unanswered.push(op.clone());
                }
            }
            (Op::Append { mail, mailbox, .. }, Answer::Appended(Ok((validity, uid)))) => {
                self.lots.entry((who, *mail)).or_default().acknowledged = true;
                self.acknowledged += 1;
                self.arrive(*mailbox, (who, *validity, *uid), *mail, displaced)?;
            }
            (Op::Copy { from, to, .. } | Op::Move { from, to, .. }, Answer::Copied(Ok(copied))) => {
                self.acknowledged += 1;
                let moves = matches!(op, Op::Move { .. });
                for (source, target) in &copied.uids {
                    let place = self.place(who, *from, *source);
                    let known = place.and_then(|place| Some((place, self.places.get(&place)?.mail?)));
                    let Some((place, mail)) = known else {
                        return Err(Violation(format!("{op:?}: a message was copied that nobody knows: {source}")));
                    };
                    if moves {
                        self.vanish(place);
                    }
                    self.arrive(*to, (who, copied.uid_validity.number(), target.number()), mail, displaced)?;
                }
                // What was not there any more comes to no new place.
                let came = copied.uids.len();
                if came < mails.len() {
                    self.release(who, *to, &mails);
                }
            }
            (Op::Flags { mailbox, .. }, Answer::Flagged(Ok(stored))) => {
                if let (Some(modseq), Some(known)) = (stored.modseq, self.mailboxes.get_mut(&(who, *mailbox))) {
                    known.modseq = known.modseq.max(modseq);
                }
            }
            (Op::Expunge { mailbox, .. }, Answer::Expunged(Ok(gone))) => self.remove(who, *mailbox, gone),
            (Op::Remove { mailbox, uids, .. }, Answer::Done(Ok(()))) => self.remove(who, *mailbox, uids),
            (Op::Delete { mailbox, .. }, Answer::Done(Ok(()))) => self.bury(who, *mailbox),
            (Op::Subscribe { name, subscribed, .. }, Answer::Done(Ok(()))) => {
                let fate = if *subscribed { Fate::Present } else { Fate::Gone };
                self.subscriptions.insert((who, name.clone()), fate);
            }
            (Op::Rename { from, .. }, Answer::Done(Ok(()))) => {
                if from.is_inbox() {
                    self.inboxes_moving.remove(&who);
                    self.doubt(&op);
                }
            }
            (Op::Create { .. }, Answer::Done(Ok(()))) => {}
            (_, answer) => {
                hold(answer.is_refusal(), || format!("{op:?} was answered with {answer:?}"))?;
                if answer.changed_nothing() {
                    self.forgo(&op, &mails);
                } else {
                    self.doubt(&op);
                }
            }
        }
        Ok(())
    }

    /// The store is gone: what was not answered may have happened or not.
    pub(crate) fn abandon(&mut self) {
        for (_, Pending { op, .. }) in std::mem::take(&mut self.pending) {
            if matches!(op, Op::Deliver { with_id: true, .. }) {
                self.unanswered.push(op.clone());
            }
            self.doubt(&op);
        }
    }

    /// Whether something under way may have taken a message from there.
    pub(crate) fn may_be_taken(&self, who: u8, mailbox: MailboxId, uid: u32) -> bool {
        self.pending.values().any(|pending| pending.op.who() == who && pending.op.takes(mailbox, uid))
    }

    /// Whether a mailbox may be on its way out.
    pub(crate) fn may_be_deleted(&self, who: u8, mailbox: MailboxId) -> bool {
        self.pending.values().any(|pending| pending.op.who() == who && pending.op.deletes(mailbox))
    }

    /// Whether mailboxes of the account may be getting other names.
    pub(crate) fn is_renaming(&self, who: u8) -> bool {
        self.pending.values().any(|p| p.op.who() == who && matches!(p.op, Op::Rename { .. }))
    }

    pub(crate) fn is_structure_busy(&self, who: u8) -> bool {
        self.pending.values().any(|pending| pending.op.who() == who && pending.op.is_structural())
    }

    fn validity(&self, who: u8, mailbox: MailboxId) -> Option<u32> {
        self.mailboxes.get(&(who, mailbox)).map(|known| known.validity)
    }

    /// Where a message of a mailbox is; of a mailbox that was seen.
    fn place(&self, who: u8, mailbox: MailboxId, uid: Uid) -> Option<Place> {
        Some((who, self.validity(who, mailbox)?, uid.number()))
    }

    /// What is known of a mailbox's messages, by UID.
    fn messages(&self, who: u8, mailbox: MailboxId) -> impl Iterator<Item = (Place, &Fact)> {
        let validity = self.validity(who, mailbox).into_iter();
        let places = validity.flat_map(move |of| self.places.range((who, of, 0)..=(who, of, u32::MAX)));
        places.map(|(place, fact)| (*place, fact))
    }

    /// UIDs of a mailbox that should be there.
    pub(crate) fn uids(&self, who: u8, mailbox: MailboxId) -> Vec<u32> {
        let present = self.messages(who, mailbox).filter(|(_, fact)| fact.fate == Fate::Present);
        present.map(|((.., uid), _)| uid).collect()
    }

    /// A message is found at a place, by a scan or by an answer: the place must be its own, and somebody must have
    /// brought it there.
    pub(crate) fn locate(&mut self, mailbox: MailboxId, place: Place, mail: u32) -> Result<(), Violation> {
        let (who, ..) = place;
        let fact = self.places.entry(place).or_insert(Fact::unseen(None, Fate::Present));
        if let Some(before) = fact.mail {
            return hold(before == mail, || format!("place {place:?} named message {before}, now {mail}"));
        }
        fact.mail = Some(mail);
        let takes_inbox = self.takes_inbox(who, mailbox);
        let Some(lot) = self.lots.get_mut(&(who, mail)) else {
            return Err(Violation(format!("place {place:?}: message {mail} was never brought to this account")));
        };
        if lot.expected {
            lot.expected = false;
        } else if takes_inbox {
            // All of an INBOX may come to its new name, also what is on its way elsewhere; that nothing comes twice
            // is counted later.
        } else {
            let bound = lot.bound_for.iter().position(|to| *to == mailbox);
            hold(bound.is_some(), || format!("place {place:?}: message {mail} came once more"))?;
            bound.map(|at| lot.bound_for.swap_remove(at));
        }
        Ok(())
    }

    /// Whether that is the mailbox that INBOX's messages go to, by a RENAME that may be under way.
    fn takes_inbox(&self, who: u8, mailbox: MailboxId) -> bool {
        let name = self.mailboxes.get(&(who, mailbox)).map(|known| &known.name);
        name.is_some() && name == self.inboxes_moving.get(&who)
    }

    fn arrive(&mut self, mailbox: MailboxId, place: Place, mail: u32, displaced: bool) -> Result<(), Violation> {
        let (who, validity, uid) = place;
        let known = self.validity(who, mailbox);
        hold(known == Some(validity), || {
            format!("UIDVALIDITY of {mailbox:?} of {who} is {known:?}, answered {validity}")
        })?;
        if displaced && self.places.get(&place).is_none_or(|fact| fact.mail.is_none()) {
            let fact = Fact::unseen(Some(mail), Fate::Unsure);
            self.places.entry(place).or_insert(fact).mail = Some(mail);
            return Ok(());
        }
        self.locate(mailbox, place, mail)?;
        let fate = self.mailboxes.get(&(who, mailbox)).map_or(Fate::Present, |known| known.fate);
        if let Some(fact) = self.places.get_mut(&place)
            && fact.fate == Fate::Present
        {
            fact.fate = fate;
        }
        if let Some(known) = self.mailboxes.get_mut(&(who, mailbox)) {
            known.uid_next = known.uid_next.max(uid + 1);
        }
        Ok(())
    }

    /// Messages of a mailbox are on their way to another.
    fn set_off(&mut self, who: u8, from: MailboxId, to: MailboxId, uids: &UidSet, copied: bool) -> Vec<u32> {
        let removable = !self.is_safe(who, to);
        let places = uids.iter().filter_map(|uid| self.place(who, from, uid));
        let mails: Vec<u32> = places.filter_map(|place| self.places.get(&place)?.mail).collect();
        for mail in &mails {
            let lot = self.lots.entry((who, *mail)).or_default();
            lot.bound_for.push(to);
            lot.copied |= copied;
            lot.removable |= removable;
        }
        mails
    }

    /// A copy or move is over: what it did not bring, it will not bring.
    fn release(&mut self, who: u8, to: MailboxId, mails: &[u32]) {
        for mail in mails {
            let others = self.pending.values().filter(|other| other.op.brings_to(who, to));
            let others = others.flat_map(|other| &other.mails).filter(|other| *other == mail).count();
            let Some(lot) = self.lots.get_mut(&(who, *mail)) else { continue };
            let bound = lot.bound_for.iter().filter(|bound| **bound == to).count();
            for _ in others..bound {
                let at = lot.bound_for.iter().position(|bound| *bound == to);
                at.map(|at| lot.bound_for.swap_remove(at));
            }
        }
    }

    /// It was refused before it began.
    fn forgo(&mut self, op: &Op, mails: &[u32]) {
        match op {
            Op::Copy { who, to, .. } | Op::Move { who, to, .. } => self.release(*who, *to, mails),
            Op::Append { who, mail, .. } => self.lots.entry((*who, *mail)).or_default().expected = false,
            Op::Rename { who, from, .. } if from.is_inbox() => drop(self.inboxes_moving.remove(who)),
            // It could not bring it: but perhaps it was here before, or for another recipient.
            Op::Deliver { .. }
            | Op::Flags { .. }
            | Op::Expunge { .. }
            | Op::Remove { .. }
            | Op::Create { .. }
            | Op::Rename { .. }
            | Op::Delete { .. }
            | Op::Subscribe { .. } => {}
        }
    }

    /// Whether what comes to a mailbox will stay there.
    fn is_safe(&self, who: u8, mailbox: MailboxId) -> bool {
        let there = self.mailboxes.get(&(who, mailbox)).is_some_and(|known| known.fate == Fate::Present);
        there && !self.may_be_deleted(who, mailbox)
    }

    /// Somebody wants messages gone.
    fn give_up(&mut self, who: u8, mailbox: MailboxId, uids: Option<&UidSet>) {
        for place in self.among(who, mailbox, uids) {
            if let Some(mail) = self.places.get(&place).and_then(|fact| fact.mail) {
                self.lots.entry((who, mail)).or_default().removable = true;
            }
        }
    }

    fn among(&self, who: u8, mailbox: MailboxId, uids: Option<&UidSet>) -> Vec<Place> {
        let places = self.messages(who, mailbox).map(|(place, _)| place);
        let wanted = |uid: u32| uids.is_none_or(|uids| Uid::new(uid).is_some_and(|uid| uids.contains(uid)));
        places.filter(|(.., uid)| wanted(*uid)).collect()
    }

    fn remove(&mut self, who: u8, mailbox: MailboxId, uids: &UidSet) {
        let places: Vec<Place> = uids.iter().filter_map(|uid| self.place(who, mailbox, uid)).collect();
        for place in places {
            self.vanish(place);
        }
    }

    fn vanish(&mut self, place: Place) {
        let gone = Fact::unseen(None, Fate::Gone);
        self.places.entry(place).or_insert(gone).fate = Fate::Gone;
    }

    fn bury(&mut self, who: u8, mailbox: MailboxId) {
        if let Some(known) = self.mailboxes.get_mut(&(who, mailbox)) {
            known.fate = Fate::Gone;
        }
        for place in self.among(who, mailbox, None) {
            self.vanish(place);
        }
    }

    /// A removal that may have happened.
    fn doubt(&mut self, op: &Op) {
        let who = op.who();
        let taken: Vec<(MailboxId, Option<UidSet>)> = match op {
            Op::Move { from, uids, .. } => vec![(*from, Some(uids.clone()))],
            Op::Remove { mailbox, uids, .. } => vec![(*mailbox, Some(uids.clone()))],
            Op::Expunge { mailbox, among, .. } => vec![(*mailbox, among.clone())],
            Op::Rename { from, .. } if from.is_inbox() => vec![(MailboxId::INBOX, None)],
            Op::Delete { mailbox, .. } => {
                if let Some(known) = self.mailboxes.get_mut(&(who, *mailbox)) {
                    known.fate = Fate::Unsure;
                }
                vec![(*mailbox, None)]
            }
            Op::Deliver { .. }
            | Op::Append { .. }
            | Op::Copy { .. }
            | Op::Flags { .. }
            | Op::Create { .. }
            | Op::Rename { .. }
            | Op::Subscribe { .. } => Vec::new(),
        };
        for (mailbox, uids) in taken {
            for place in self.among(who, mailbox, uids.as_ref()) {
                if let Some(fact) = self.places.get_mut(&place)
                    && fact.fate == Fate::Present
                {
                    fact.fate = Fate::Unsure;
                }
            }
        }
    }

    /// After a start, all accounts seen: nothing is under way, so there is no doubt left.
    pub(crate) fn conclude(&mut self) -> Result<(), Violation> {
        let mut here: BTreeMap<(u8, u32), u32> = BTreeMap::new();
        for ((who, ..), fact) in &mut self.places {
            if fact.fate == Fate::Unsure {
                // Had it not been there, the scan would have said so.
                fact.fate = Fate::Present;
            }
            if let (Some(mail), Fate::Present) = (fact.mail, fact.fate) {
                *here.entry((*who, mail)).or_default() += 1;
            }
        }
        self.inboxes_moving.clear();
        for ((who, mail), lot) in &mut self.lots {
            let count = here.get(&(*who, *mail)).copied().unwrap_or(0);
            let lost = lot.acknowledged && !lot.removable && count == 0;
            hold(!lost, || format!("message {mail} of account {who} was acknowledged and is lost"))?;
            let twice = !lot.copied && count > 1;
            hold(!twice, || format!("message {mail} of account {who} is there {count} times"))?;
            lot.expected = false;
            lot.bound_for.clear();
        }
        Ok(())
    }

    /// Messages by account that somebody has, for the report.
    pub(crate) fn message_count(&self) -> usize {
        self.places.values().map(|fact| fact.mail).collect::<BTreeSet<_>>().len()
    }
}
