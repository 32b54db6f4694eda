//! Reading what a store shows of an account, and holding it against the ledger.

use crate::facts::{Fact, Fate, Known, LastScan, Place, State};
use crate::ledger::Ledger;
use crate::{Violation, hold, mail};
use bytes::Bytes;
use mail_types::{FlagSet, MailboxId, ModSeq, SystemFlag, Uid, UidSet};
use mailbox::row::Extent;
use mailbox::{AccountRow, MailboxRow, MessageRow};
use std::collections::{BTreeMap, BTreeSet};
use store::{Refusal, Store};

/// How much of the messages is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Those that were not seen before.
    New,
    /// All of them.
    All,
}

/// The messages of a mailbox, by UID.
type Messages = Vec<(Uid, MessageRow)>;

/// An account as a client sees it. Taken between two steps, it is one moment.
struct Scan {
    account: AccountRow,
    mailboxes: Vec<(MailboxId, MailboxRow, Messages)>,
    subscriptions: BTreeSet<mail_types::MailboxName>,
}

/// Scans an account and compares; what is new becomes a fact.
pub(crate) fn observe(store: &Store, ledger: &mut Ledger, who: u8, depth: Depth) -> Result<(), Violation> {
    let Some(scan) = scan(store, who).map_err(|why| Violation(format!("account {who} cannot be read: {why}")))? else {
        let known = ledger.mailboxes.keys().any(|(of, _)| *of == who);
        let owed = ledger.lots.iter().any(|((of, _), lot)| *of == who && lot.acknowledged);
        return hold(!known && !owed, || format!("account {who} is gone"));
    };
    counters(who, &scan)?;
    mailboxes(ledger, who, &scan)?;
    for (id, row, messages) in &scan.mailboxes {
        history(store, ledger, who, *id, row, messages)?;
        contents(store, ledger, who, (*id, row, messages), depth)?;
    }
    subscriptions(ledger, who, &scan.subscriptions)
}

/// All that a store shows, in words, without what is its own affair: two stores with the same words have the same
/// state.
pub(crate) fn dump(store: &Store) -> Result<Vec<String>, Violation> {
    let mut lines = Vec::new();
    for who in 0..mail::ACCOUNT_COUNT {
        let unreadable = |why: Refusal| Violation(format!("account {who} cannot be read: {why}"));
        let Some(scan) = scan(store, who).map_err(unreadable)? else { continue };
        lines.push(format!("{who}: {:?}", AccountRow { body_end: 0, ..scan.account }));
        lines.push(format!("{who}: {:?}", scan.subscriptions));
        for (id, row, messages) in scan.mailboxes {
            let everything = ModSeq::FIRST;
            let vanished = store.vanished_since(mail::account(who), id, everything).map_err(unreadable)?;
            lines.push(format!("{who} {id:?}: {row:?} vanished {vanished}"));
            for (uid, row) in messages {
                let content = store.read(mail::account(who), &row).map_err(unreadable)?;
                let row = MessageRow { extent: Extent { offset: 0, octets: 0 }, ..row };
                lines.push(format!(
                    "{who} {id:?} {uid}: {row:?} {} octets, {:?}",
                    content.len(),
                    mail::number_of(&content)
                ));
            }
        }
    }
    Ok(lines)
}

fn scan(store: &Store, who: u8) -> Result<Option<Scan>, Refusal> {
    let id = mail::account(who);
    let Some(account) = store.account(id)? else { return Ok(None) };
    let mut mailboxes = Vec::new();
    for (mailbox, row) in store.mailboxes(id)? {
        let mut messages = Vec::new();
        let all = UidSet::from_ranges([(Uid::FIRST, Uid::MAX)]);
        store.for_each_message(id, mailbox, &all, |uid, row| messages.push((uid, *row)))?;
        mailboxes.push((mailbox, row, messages));
    }
    let subscriptions = store.subscriptions(id)?.into_iter().collect();
    Ok(Some(Scan { account, mailboxes, subscriptions }))
}

/// What is counted is what is there.
fn counters(who: u8, scan: &Scan) -> Result<(), Violation> {
    let (mut all, mut all_octets) = (0, 0);
    for (id, row, messages) in &scan.mailboxes {
        let count =
            |holds: &dyn Fn(FlagSet) -> bool| messages.iter().filter(|(_, row)| holds(row.flags)).count() as u64;
        let unseen = count(&|flags| !flags.has(SystemFlag::Seen));
        let deleted = count(&|flags| flags.has(SystemFlag::Deleted));
        let octets = messages.iter().map(|(_, row)| row.size).sum::<u64>();
        let found = (messages.len() as u64, unseen, deleted, octets);
        let counted = (u64::from(row.messages), u64::from(row.unseen), u64::from(row.deleted), row.octets);
        hold(found == counted, || format!("account {who}, {id:?}: has {found:?}, counts {counted:?}"))?;
        let below = messages.iter().all(|(uid, message)| *uid < row.uid_next && message.modseq <= row.modseq);
        hold(below, || format!("account {who}, {id:?}: a message above UIDNEXT or HIGHESTMODSEQ"))?;
        hold(row.modseq <= scan.account.modseq, || {
            format!("account {who}, {id:?}: HIGHESTMODSEQ above the account's")
        })?;
        let next = scan.account.uid_validity_next;
        hold(row.uid_validity < next, || format!("account {who}, {id:?}: UIDVALIDITY is to come again"))?;
        all += found.0;
        all_octets += octets;
    }
    let counted = (scan.account.messages, scan.account.octets);
    hold((all, all_octets) == counted, || format!("account {who}: has {all}, {all_octets} octets, counts {counted:?}"))
}

/// Mailboxes are those that should be there; their numbers only grow.
fn mailboxes(ledger: &mut Ledger, who: u8, scan: &Scan) -> Result<(), Violation> {
    let here: BTreeSet<MailboxId> = scan.mailboxes.iter().map(|(id, ..)| *id).collect();
    let known: Vec<MailboxId> = ledger.mailboxes.keys().filter(|(of, _)| *of == who).map(|(_, id)| *id).collect();
    for id in known.into_iter().filter(|id| !here.contains(id)) {
        let in_doubt = ledger.may_be_deleted(who, id);
        let Some(known) = ledger.mailboxes.get_mut(&(who, id)) else { continue };
        let lost = known.fate == Fate::Present && !in_doubt;
        hold(!lost, || format!("account {who}: mailbox {} ({id:?}) is lost", known.name))?;
        known.fate = Fate::Gone;
        let validity = known.validity;
        for (_, fact) in ledger.places.range_mut((who, validity, 0)..=(who, validity, u32::MAX)) {
            fact.fate = Fate::Gone;
        }
    }
    let names: BTreeSet<_> = scan.mailboxes.iter().map(|(_, row, _)| &row.name).collect();
    hold(names.len() == here.len(), || format!("account {who}: two mailboxes of one name"))?;
    let renaming = ledger.is_renaming(who) || ledger.names_in_doubt.contains(&who);
    for (id, row, _) in &scan.mailboxes {
        let validity = row.uid_validity.number();
        let Some(known) = ledger.mailboxes.get_mut(&(who, *id)) else {
            let highest = ledger.validities.entry(who).or_default();
            // RFC 9051 §2.3.1.1: a mailbox of that name may have been here before.
            hold(validity > *highest, || format!("account {who}, {id:?}: UIDVALIDITY {validity} after {highest}"))?;
            *highest = validity;
            let known = Known {
                name: row.name.clone(),
                validity,
                uid_next: row.uid_next.number(),
                modseq: row.modseq,
                fate: Fate::Present,
                last_scan: None,
            };
            ledger.mailboxes.insert((who, *id), known);
            continue;
        };
        hold(known.fate != Fate::Gone, || format!("account {who}: mailbox {} ({id:?}) came back", known.name))?;
        hold(known.validity == validity, || format!("account {who}, {id:?}: another UIDVALIDITY, {validity}"))?;
        let (uid_next, modseq) = (row.uid_next.number(), row.modseq);
        hold(known.uid_next <= uid_next, || format!("account {who}, {id:?}: UIDNEXT fell to {uid_next}"))?;
        hold(known.modseq <= modseq, || {
            format!("account {who}, {id:?}: HIGHESTMODSEQ fell from {} to {modseq}", known.modseq)
        })?;
        hold(renaming || known.name == row.name, || format!("account {who}: {} is now {}", known.name, row.name))?;
        (known.uid_next, known.modseq, known.name) = (uid_next, modseq, row.name.clone());
    }
    if !ledger.is_renaming(who) {
        ledger.names_in_doubt.remove(&who);
    }
    Ok(())
}

/// Who knows an earlier state and asks what changed and what vanished since has the new state (RFC 7162 §3.2.5).
fn history(
    store: &Store,
    ledger: &mut Ledger,
    who: u8,
    id: MailboxId,
    row: &MailboxRow,
    messages: &[(Uid, MessageRow)],
) -> Result<(), Violation> {
    let Some(known) = ledger.mailboxes.get_mut(&(who, id)) else { return Ok(()) };
    let uids: UidSet = messages.iter().map(|(uid, _)| *uid).collect();
    let now = LastScan { uids, modseq: row.modseq };
    let Some(LastScan { uids: before, modseq: since }) = known.last_scan.replace(now) else { return Ok(()) };
    let account = mail::account(who);
    let broken = |why: Refusal| Violation(format!("account {who}, {id:?}: {why}"));
    let changed = store.changed_since(account, id, since).map_err(broken)?;
    let vanished = store.vanished_since(account, id, since).map_err(broken)?;
    let expected: UidSet = messages.iter().filter(|(_, row)| row.modseq > since).map(|(uid, _)| *uid).collect();
    hold(changed == expected, || format!("account {who}, {id:?}: since {since} changed {changed}, not {expected}"))?;
    let is_here = |uid: Uid| messages.binary_search_by_key(&uid, |(uid, _)| *uid).is_ok();
    let present = messages.iter().find(|(uid, _)| vanished.contains(*uid));
    hold(present.is_none(), || format!("account {who}, {id:?}: {present:?} is there and vanished"))?;
    let missed = before.iter().find(|uid| !is_here(*uid) && !vanished.contains(*uid));
    hold(missed.is_none(), || format!("account {who}, {id:?}: {missed:?} went after {since} and is not named"))
}

/// Every place names the message that it ever named, and messages are where they should be.
fn contents(
    store: &Store,
    ledger: &mut Ledger,
    who: u8,
    (id, row, messages): (MailboxId, &MailboxRow, &[(Uid, MessageRow)]),
    depth: Depth,
) -> Result<(), Violation> {
    let validity = row.uid_validity.number();
    let here: BTreeMap<u32, &MessageRow> = messages.iter().map(|(uid, row)| (uid.number(), row)).collect();
    let known: Vec<(u32, Fate)> = ledger
        .places
        .range((who, validity, 0)..=(who, validity, u32::MAX))
        .map(|((.., uid), fact)| (*uid, fact.fate))
        .collect();
    for (uid, fate) in known.into_iter().filter(|(uid, _)| !here.contains_key(uid)) {
        let lost = fate == Fate::Present && !ledger.may_be_taken(who, id, uid);
        hold(!lost, || format!("account {who}, {} ({id:?}): UID {uid} is lost", row.name))?;
        if let Some(fact) = ledger.places.get_mut(&(who, validity, uid)) {
            fact.fate = Fate::Gone;
        }
    }
    for (uid, message) in here {
        let place = (who, validity, uid);
        let is_new = ledger.places.get(&place).is_none_or(|fact| fact.mail.is_none());
        if is_new || depth == Depth::All {
            let content = read(store, who, message).map_err(|why| Violation(format!("place {place:?}: {why}")))?;
            let Some(number) = mail::number_of(&content) else {
                return Err(Violation(format!("place {place:?}: {} octets that nobody wrote", content.len())));
            };
            let whole = ledger.origins.get(&number).is_some_and(|origin| {
                let head = if origin.delivered { mail::head(who) } else { String::new() };
                content.strip_prefix(head.as_bytes()).is_some_and(|body| body == mail::content(number, origin.octets))
            });
            hold(whole, || format!("place {place:?}: message {number} has other octets"))?;
            ledger.locate(id, place, number)?;
        }
        let Some(fact) = ledger.places.get_mut(&place) else { continue };
        agree(place, fact, message)?;
    }
    Ok(())
}

/// Flags change under a new MODSEQ, and that grows (RFC 7162 §3.1).
fn agree(place: Place, fact: &mut Fact, row: &MessageRow) -> Result<(), Violation> {
    hold(fact.fate != Fate::Gone, || format!("place {place:?}: message {:?} came back", fact.mail))?;
    let now = State { modseq: row.modseq, flags: row.flags };
    if let Some(before) = fact.state.replace(now) {
        let grew = before.modseq < now.modseq || (before.modseq == now.modseq && before.flags == now.flags);
        hold(grew, || format!("place {place:?}: {before:?} became {now:?}"))?;
    }
    Ok(())
}

fn read(store: &Store, who: u8, row: &MessageRow) -> Result<Bytes, String> {
    let content = store.read(mail::account(who), row).map_err(|why| format!("{why:?}"))?;
    if content.len() as u64 != row.size {
        return Err(format!("RFC822.SIZE is {}, but there are {} octets", row.size, content.len()));
    }
    Ok(content)
}

fn subscriptions(ledger: &mut Ledger, who: u8, now: &BTreeSet<mail_types::MailboxName>) -> Result<(), Violation> {
    let busy = ledger.is_structure_busy(who);
    for ((of, name), fate) in &mut ledger.subscriptions {
        if *of != who {
            continue;
        }
        let there = now.contains(name);
        let wrong = match fate {
            Fate::Present => !there,
            Fate::Gone => there,
            Fate::Unsure => false,
        };
        hold(!wrong, || format!("account {who}: the subscription of {name} is {there}"))?;
        if *fate == Fate::Unsure && !busy {
            *fate = if there { Fate::Present } else { Fate::Gone };
        }
    }
    Ok(())
}
