//! Which sequence number is which UID, in one session.
//!
//! Kept as runs of UIDs with the sequence number that each begins at: a mailbox from which nothing was expunged is one
//! run, however many messages it has.

use super::sets;
use mail_types::{SeqNum, Uid, UidSet};

/// A session's view of a mailbox: message `n` is the `n`-th UID of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    uids: UidSet,
    /// For each run, how many messages come before it.
    before: Vec<u32>,
    count: u32,
}

impl View {
    /// Of these messages.
    pub(super) fn new(uids: UidSet) -> Self {
        let mut view = Self { before: Vec::with_capacity(uids.ranges().len()), count: 0, uids };
        for run in view.uids.ranges() {
            view.before.push(view.count);
            view.count = view.count.saturating_add(sets::count_of(*run));
        }
        view
    }

    /// How many messages it has.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// All UIDs.
    pub(super) fn uids(&self) -> &UidSet {
        &self.uids
    }

    /// The highest UID.
    pub(super) fn last(&self) -> Option<Uid> {
        self.uids.ranges().last().map(|run| run.1)
    }

    /// The sequence number of a message.
    pub(super) fn seq(&self, uid: Uid) -> Option<SeqNum> {
        let at = self.uids.ranges().partition_point(|run| run.1 < uid);
        let (first, _) = self.uids.ranges().get(at).filter(|run| run.0 <= uid)?;
        let before = self.before.get(at)?;
        SeqNum::new(before + (uid.number() - first.number()) + 1)
    }

    /// The UIDs of a range of sequence numbers; numbers above the highest are passed over.
    pub(super) fn uids_of(&self, first: u32, last: u32) -> Vec<(Uid, Uid)> {
        let last = last.min(self.count);
        // A client may name any number: what is above all must not be added to a UID.
        if first > last {
            return Vec::new();
        }
        let mut ranges = Vec::new();
        let mut at = self.before.partition_point(|before| *before < first).saturating_sub(1);
        while let (Some(run), Some(before)) = (self.uids.ranges().get(at), self.before.get(at)) {
            if *before >= last {
                break;
            }
            let from = run.0.number() + first.saturating_sub(before + 1);
            let to = run.1.number().min(run.0.number() + (last - before - 1));
            ranges.extend(Uid::new(from).zip(Uid::new(to)).filter(|(from, to)| from <= to));
            at += 1;
        }
        ranges
    }

    /// Adds a message; its UID is above all that are here.
    pub(super) fn push(&mut self, uid: Uid) {
        assert!(self.last().is_none_or(|last| last < uid), "UIDs grow");
        self.uids.push(uid);
        if self.uids.ranges().len() > self.before.len() {
            self.before.push(self.count);
        }
        self.count += 1;
    }

    /// Takes messages out, and gives the sequence numbers for EXPUNGE: from the highest down, so that each is still
    /// true when it is told (RFC 9051 §7.5.1).
    pub(super) fn remove(&mut self, uids: &UidSet) -> Vec<SeqNum> {
        let gone = sets::intersection(&self.uids, uids);
        let mut numbers: Vec<SeqNum> = gone.iter().filter_map(|uid| self.seq(uid)).collect();
        numbers.reverse();
        *self = Self::new(sets::difference(&self.uids, &gone));
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(u32),
        Remove(Vec<u32>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (1u32..4).prop_map(Step::Push),
            1 => proptest::collection::vec(1u32..80, 0..12).prop_map(Step::Remove),
        ]
    }

    proptest! {
        #[test]
        fn as_a_vector_of_uids(steps in proptest::collection::vec(step(), 0..60)) {
            let (mut view, mut model, mut last) = (View::default(), Vec::<u32>::new(), 0);
            for step in steps {
                match step {
                    Step::Push(gap) => {
                        last += gap;
                        view.push(Uid::new(last).expect("not zero"));
                        model.push(last);
                    }
                    Step::Remove(uids) => {
                        let gone: UidSet = uids.iter().filter_map(|uid| Uid::new(*uid)).collect();
                        for number in view.remove(&gone) {
                            // As a client does it.
                            let uid = model.remove(number.number() as usize - 1);
                            prop_assert!(uids.contains(&uid));
                        }
                        prop_assert!(!model.iter().any(|uid| uids.contains(uid)));
                    }
                }
                let expected = View::new(model.iter().filter_map(|uid| Uid::new(*uid)).collect());
                prop_assert_eq!(&view, &expected);
            }
            prop_assert_eq!(view.count() as usize, model.len());
            for uid in 1..last + 3 {
                let expected = (1u32..).zip(&model).find(|(_, known)| **known == uid).map(|(number, _)| number);
                prop_assert_eq!(view.seq(Uid::new(uid).expect("not zero")).map(SeqNum::number), expected);
            }
            for first in [view.count() + 1, u32::MAX - 1, u32::MAX] {
                prop_assert_eq!(view.uids_of(first, u32::MAX), []);
            }
            for first in 1..=view.count() + 2 {
                for end in first..=view.count() + 2 {
                    let found = UidSet::from_ranges(view.uids_of(first, end));
                    let wanted = (1u32..).zip(&model).filter(|(number, _)| (first..=end).contains(number));
                    let expected = wanted.filter_map(|(_, uid)| Uid::new(*uid)).collect();
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }

    #[test]
    fn a_million_messages_are_one_run() {
        let mut view = View::new(UidSet::from_ranges([(Uid::FIRST, Uid::new(1_000_000).expect("not zero"))]));
        view.push(Uid::new(1_000_001).expect("not zero"));
        assert_eq!((view.before.len(), view.count()), (1, 1_000_001));
        assert_eq!(view.remove(&UidSet::from_iter([Uid::FIRST])), [SeqNum::FIRST]);
        assert_eq!((view.before.len(), view.count()), (1, 1_000_000));
    }
}
