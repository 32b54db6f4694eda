//! Arithmetic on sets of UIDs, by ranges: the cost follows the number of ranges, not of messages.

use mail_types::{Uid, UidSet};

/// What is in both.
pub(super) fn intersection(a: &UidSet, b: &UidSet) -> UidSet {
    let (mut left, mut right) = (a.ranges().iter().peekable(), b.ranges().iter().peekable());
    let mut both = Vec::new();
    while let (Some((a_first, a_last)), Some((b_first, b_last))) = (left.peek(), right.peek()) {
        let (first, last) = (*a_first.max(b_first), *a_last.min(b_last));
        if first <= last {
            both.push((first, last));
        }
        if a_last < b_last {
            left.next();
        } else {
            right.next();
        }
    }
    UidSet::from_ranges(both)
}

/// What is in `a` and not in `b`.
pub(super) fn difference(a: &UidSet, b: &UidSet) -> UidSet {
    let mut rest = Vec::new();
    let mut taken = b.ranges().iter().peekable();
    for (first, last) in a.ranges() {
        let mut from = Some(*first);
        while taken.next_if(|(_, end)| end < first).is_some() {}
        while let (Some(start), Some((hole, end))) = (from, taken.peek()) {
            if hole > last {
                break;
            }
            if let Some(before) = before(*hole).filter(|before| *before >= start) {
                rest.push((start, before));
            }
            from = end.next().filter(|next| next <= last);
            if end > last {
                break;
            }
            taken.next();
        }
        rest.extend(from.map(|start| (start, *last)));
    }
    UidSet::from_ranges(rest)
}

/// What is in either.
pub(super) fn union(a: &UidSet, b: &UidSet) -> UidSet {
    UidSet::from_ranges(a.ranges().iter().chain(b.ranges()).copied())
}

/// The range of the set that holds `from`, or else comes next after it, without what lies before `from`.
pub(super) fn range_from(set: &UidSet, from: Uid) -> Option<(Uid, Uid)> {
    let at = set.ranges().partition_point(|(_, last)| *last < from);
    set.ranges().get(at).map(|(first, last)| (from.max(*first), *last))
}

/// The highest `count` UIDs of the set.
pub(super) fn highest(set: &UidSet, count: u32) -> UidSet {
    let mut left = count;
    let mut ranges = Vec::new();
    for (first, last) in set.ranges().iter().rev() {
        if left == 0 {
            break;
        }
        let lowest = Uid::new(last.number().saturating_sub(left - 1)).unwrap_or(Uid::FIRST).max(*first);
        left = left.saturating_sub(count_of((lowest, *last)));
        ranges.push((lowest, *last));
    }
    UidSet::from_ranges(ranges)
}

/// How many UIDs a range holds; all of them together would be one more than fits, and are counted as one less.
pub(super) fn count_of((first, last): (Uid, Uid)) -> u32 {
    (last.number() - first.number()).saturating_add(1)
}

fn before(uid: Uid) -> Option<Uid> {
    Uid::new(uid.number() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(numbers: &BTreeSet<u32>) -> UidSet {
        numbers.iter().filter_map(|number| Uid::new(*number)).collect()
    }

    proptest! {
        #[test]
        fn as_sets_of_numbers(
            a in proptest::collection::btree_set(1u32..60, 0..40),
            b in proptest::collection::btree_set(1u32..60, 0..40),
            count in 0u32..50,
        ) {
            let (left, right) = (set(&a), set(&b));
            prop_assert_eq!(intersection(&left, &right), set(&a.intersection(&b).copied().collect()));
            prop_assert_eq!(difference(&left, &right), set(&a.difference(&b).copied().collect()));
            prop_assert_eq!(union(&left, &right), set(&a.union(&b).copied().collect()));
            let expected = a.iter().rev().take(count as usize).copied().collect();
            prop_assert_eq!(highest(&left, count), set(&expected));
        }

        #[test]
        fn ranges_from_a_uid_on(a in proptest::collection::btree_set(1u32..60, 0..40), from in 1u32..70) {
            let found = range_from(&set(&a), Uid::new(from).expect("not zero"));
            prop_assert_eq!(found.map(|(first, _)| first.number()), a.range(from..).next().copied());
        }
    }

    #[test]
    fn the_ends_of_the_numbers() {
        let all = UidSet::from_ranges([(Uid::FIRST, Uid::MAX)]);
        let first = UidSet::from_iter([Uid::FIRST]);
        let last = UidSet::from_iter([Uid::MAX]);
        assert_eq!(difference(&all, &first).ranges().first().map(|run| run.0), Uid::new(2));
        assert_eq!(difference(&difference(&all, &last), &all), UidSet::new());
        assert_eq!(highest(&all, 1), last);
        assert_eq!(intersection(&all, &first), first);
    }
}
