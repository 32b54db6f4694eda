//! What a store has done since its start: for who watches it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of a store. Cheap to count, read at leisure.
#[derive(Debug, Default)]
pub struct Counts {
    groups: AtomicU64,
    records: AtomicU64,
    /// Micros in all.
    waited: AtomicU64,
    /// Groups by span: at most that of [`COMMIT_SPANS`] at the same place; the last one has no bound.
    spans: [AtomicU64; COMMIT_SPANS.len() + 1],
    stored: AtomicU64,
    repeated: AtomicU64,
    refused: AtomicU64,
}

/// What a store has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commits {
    /// Groups, each with one fdatasync.
    pub groups: u64,
    /// Records in them.
    pub records: u64,
    /// From the append of a group's first record until the group was durable and applied, all groups together.
    pub waited: Duration,
    /// How many groups took no longer than each of [`COMMIT_SPANS`], and no longer than those before.
    pub within: Vec<u64>,
}

/// What became of the recipients that messages were delivered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deliveries {
    /// In the mailbox.
    pub stored: u64,
    /// Known from an earlier attempt: not stored again.
    pub repeated: u64,
    /// Not taken, for good or for now.
    pub refused: u64,
}

/// The bounds between which commits are counted: a good NVMe disk is at the beginning, a busy spinning one at the end.
pub const COMMIT_SPANS: [Duration; 12] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

impl Counts {
    /// What was committed.
    pub fn commits(&self) -> Commits {
        let mut sum = 0;
        let within = self.spans.iter().take(COMMIT_SPANS.len()).map(|count| {
            sum += count.load(Ordering::Relaxed);
            sum
        });
        Commits {
            within: within.collect(),
            groups: self.groups.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
            waited: Duration::from_micros(self.waited.load(Ordering::Relaxed)),
        }
    }

    /// What was delivered.
    pub fn deliveries(&self) -> Deliveries {
        Deliveries {
            stored: self.stored.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// A group is durable and applied.
    pub(crate) fn committed(&self, records: u64, span: Duration) {
        let at = COMMIT_SPANS.partition_point(|bound| *bound < span);
        if let Some(count) = self.spans.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
        self.waited.fetch_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn stored(&self) {
        self.stored.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn repeated(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_counted_up_to_each_bound() {
        let counts = Counts::default();
        counts.committed(3, Duration::from_millis(1));
        counts.committed(1, Duration::from_micros(1_001));
        counts.committed(1, Duration::from_secs(60));
        let commits = counts.commits();
        assert_eq!((commits.groups, commits.records), (3, 5));
        assert_eq!(commits.within, [0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!(commits.waited, Duration::from_micros(60_002_001));
    }
}
