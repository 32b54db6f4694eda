//! An account that only one client changes: its model, and what a crash may have made of the last command.

use std::collections::{BTreeMap, BTreeSet};

/// Mailbox → UID → message.
pub(super) type Mailboxes = BTreeMap<String, BTreeMap<u32, Kept>>;

/// A message of a keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its Message-ID.
    pub(super) id: String,
    /// Whether it has \Flagged.
    pub(super) is_flagged: bool,
}

/// A command that changes something.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// A new message at the end of a mailbox.
    Append { to: String, id: String },
    /// Messages of one mailbox also into another.
    Copy { from: String, uids: BTreeSet<u32>, to: String },
    /// Messages of one mailbox into another.
    Move { from: String, uids: BTreeSet<u32>, to: String },
    /// \Flagged on messages.
    Flag { mailbox: String, uids: BTreeSet<u32> },
    /// Messages marked \Deleted before, for good.
    Expunge { mailbox: String, uids: BTreeSet<u32> },
}

/// The account as its keeper knows it.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// What every acknowledged change has left.
    pub(super) mailboxes: Mailboxes,
    /// Sent, not answered.
    pub(super) in_flight: Option<Change>,
}

impl Model {
    /// The change in flight was answered with OK; new messages got these UIDs.
    pub(super) fn settle(&mut self, assigned: &[u32]) {
        let Some(change) = self.in_flight.take() else { return };
        match change {
            Change::Append { to, id } => {
                let kept = Kept { id, is_flagged: false };
                self.put(&to, assigned, vec![kept]);
            }
            Change::Copy { from, uids, to } => {
                let copies = self.of(&from, &uids);
                self.put(&to, assigned, copies);
            }
            Change::Move { from, uids, to } => {
                let moved = self.of(&from, &uids);
                self.remove(&from, &uids);
                self.put(&to, assigned, moved);
            }
            Change::Flag { mailbox, uids } => {
                let messages = self.mailboxes.entry(mailbox).or_default().iter_mut();
                messages.filter(|(uid, _)| uids.contains(uid)).for_each(|(_, kept)| kept.is_flagged = true);
            }
            Change::Expunge { mailbox, uids } => self.remove(&mailbox, &uids),
        }
    }

    /// The Message-IDs under some UIDs of a mailbox, in their order.
    pub(super) fn ids(&self, mailbox: &str, uids: &BTreeSet<u32>) -> Vec<String> {
        self.of(mailbox, uids).into_iter().map(|kept| kept.id).collect()
    }

    /// Takes over what is really there, after a crash. Errs with every difference that the change in flight cannot
    /// explain.
    pub(super) fn reconcile(&mut self, real: &Mailboxes) -> Result<(), Vec<String>> {
        let in_flight = self.in_flight.take();
        let empty = BTreeMap::new();
        let mut gone = Vec::new();
        let mut new = Vec::new();
        let mut faults = Vec::new();
        for mailbox in self.mailboxes.keys().chain(real.keys()).collect::<BTreeSet<_>>() {
            let expected = self.mailboxes.get(mailbox).unwrap_or(&empty);
            let found = real.get(mailbox).unwrap_or(&empty);
            for (uid, kept) in expected {
                match found.get(uid) {
                    None => gone.push((mailbox.as_str(), *uid, kept)),
                    Some(same) if same == kept => {}
                    Some(other) if may_have_flagged(in_flight.as_ref(), mailbox, *uid, kept, other) => {}
                    Some(other) => faults.push(format!("{mailbox}: UID {uid} should be {kept:?} and is {other:?}")),
                }
            }
            let last = expected.keys().next_back().copied().unwrap_or(0);
            for (uid, kept) in found.iter().filter(|(uid, _)| !expected.contains_key(uid)) {
                if *uid < last {
                    faults.push(format!("{mailbox}: {kept:?} came under UID {uid}, below {last}"));
                }
                new.push((mailbox.as_str(), *uid, kept));
            }
        }
        if !explains(in_flight.as_ref(), self, &gone, &new) {
            faults.push(format!("{in_flight:?} does not explain what is gone, {gone:?}, and new, {new:?}"));
        }
        self.mailboxes = real.clone();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    fn of(&self, mailbox: &str, uids: &BTreeSet<u32>) -> Vec<Kept> {
        let messages = self.mailboxes.get(mailbox).into_iter().flatten();
        messages.filter(|(uid, _)| uids.contains(uid)).map(|(_, kept)| kept.clone()).collect()
    }

    fn put(&mut self, mailbox: &str, uids: &[u32], messages: Vec<Kept>) {
        self.mailboxes.entry(mailbox.to_owned()).or_default().extend(uids.iter().copied().zip(messages));
    }

    fn remove(&mut self, mailbox: &str, uids: &BTreeSet<u32>) {
        self.mailboxes.entry(mailbox.to_owned()).or_default().retain(|uid, _| !uids.contains(uid));
    }
}

type Difference<'a> = (&'a str, u32, &'a Kept);

fn may_have_flagged(change: Option<&Change>, mailbox: &str, uid: u32, before: &Kept, after: &Kept) -> bool {
    match change {
        Some(Change::Flag { mailbox: in_mailbox, uids }) => {
            in_mailbox == mailbox && uids.contains(&uid) && before.id == after.id
        }
        Some(Change::Append { .. } | Change::Copy { .. } | Change::Move { .. } | Change::Expunge { .. }) | None => {
            false
        }
    }
}

/// Whether a change that may or may not have happened explains a difference.
fn explains(change: Option<&Change>, before: &Model, gone: &[Difference<'_>], new: &[Difference<'_>]) -> bool {
    let all_new_in = |mailbox: &str| new.iter().all(|(name, _, _)| *name == mailbox);
    let ids_of = |messages: &[Difference<'_>]| -> Vec<String> {
        let mut ids: Vec<String> = messages.iter().map(|(_, _, kept)| kept.id.clone()).collect();
        ids.sort();
        ids
    };
    match change {
        None | Some(Change::Flag { .. }) => gone.is_empty() && new.is_empty(),
        Some(Change::Append { to, id }) => {
            gone.is_empty() && all_new_in(to) && (new.is_empty() || ids_of(new) == [id.as_str()])
        }
        // RFC 9051 §6.4.7: all of a COPY or nothing.
        Some(Change::Copy { from, uids, to }) => {
            let mut copies = before.ids(from, uids);
            copies.sort();
            gone.is_empty() && all_new_in(to) && (new.is_empty() || ids_of(new) == copies)
        }
        // RFC 6851 §3.3: each message is in one mailbox or in the other, never in both, never in neither.
        Some(Change::Move { from, uids, to }) => {
            let were_moved = gone.iter().all(|(name, uid, _)| name == from && uids.contains(uid));
            were_moved && all_new_in(to) && ids_of(gone) == ids_of(new)
        }
        Some(Change::Expunge { mailbox, uids }) => {
            new.is_empty() && gone.iter().all(|(name, uid, _)| name == mailbox && uids.contains(uid))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(messages: &[(u32, &str)]) -> BTreeMap<u32, Kept> {
        let kept = |id: &str| Kept { id: id.to_owned(), is_flagged: false };
        messages.iter().map(|(uid, id)| (*uid, kept(id))).collect()
    }

    fn mailboxes(inbox: &[(u32, &str)], other: &[(u32, &str)]) -> Mailboxes {
        Mailboxes::from([("INBOX".to_owned(), mailbox(inbox)), ("Other".to_owned(), mailbox(other))])
    }

    fn holds(change: Option<Change>, real: &Mailboxes) -> bool {
        let mailboxes = mailboxes(&[(1, "a"), (2, "b")], &[(5, "c")]);
        Model { mailboxes, in_flight: change }.reconcile(real).is_ok()
    }

    #[test]
    fn only_the_change_in_flight_may_have_happened() {
        let as_before = mailboxes(&[(1, "a"), (2, "b")], &[(5, "c")]);
        assert!(holds(None, &as_before));
        assert!(!holds(None, &mailboxes(&[(1, "a")], &[(5, "c")])));

        let uids = BTreeSet::from([1, 2]);
        let moving = || Some(Change::Move { from: "INBOX".into(), uids: uids.clone(), to: "Other".into() });
        assert!(holds(moving(), &as_before));
        assert!(holds(moving(), &mailboxes(&[], &[(5, "c"), (6, "a"), (7, "b")])));
        assert!(!holds(moving(), &mailboxes(&[(1, "a"), (2, "b")], &[(5, "c"), (6, "a")])), "in both");
        assert!(!holds(moving(), &mailboxes(&[(1, "a")], &[(5, "c")])), "in neither");
        assert!(!holds(moving(), &mailboxes(&[], &[(3, "a"), (4, "b"), (5, "c")])), "below a UID that was given");

        let copying = || Some(Change::Copy { from: "INBOX".into(), uids: uids.clone(), to: "Other".into() });
        assert!(holds(copying(), &mailboxes(&[(1, "a"), (2, "b")], &[(5, "c"), (6, "a"), (7, "b")])));
        assert!(!holds(copying(), &mailboxes(&[(1, "a"), (2, "b")], &[(5, "c"), (6, "a")])), "half of it");

        let expunging = || Some(Change::Expunge { mailbox: "INBOX".into(), uids: BTreeSet::from([2]) });
        assert!(holds(expunging(), &mailboxes(&[(1, "a")], &[(5, "c")])));
        assert!(!holds(expunging(), &mailboxes(&[(2, "b")], &[(5, "c")])));
    }

    #[test]
    fn settled_changes_are_in_the_model() {
        let mut model = Model { mailboxes: mailboxes(&[(1, "a"), (2, "b")], &[]), in_flight: None };
        model.in_flight = Some(Change::Move { from: "INBOX".into(), uids: BTreeSet::from([1]), to: "Other".into() });
        model.settle(&[9]);
        model.in_flight = Some(Change::Expunge { mailbox: "INBOX".into(), uids: BTreeSet::from([2]) });
        model.settle(&[]);
        assert_eq!(model.mailboxes, mailboxes(&[], &[(9, "a")]));
    }
}
