//! Which old segments may go.

use crate::group::oldest;
use crate::segments::SealedSegment;
use mail_types::{Lsn, UnixTime};
use std::time::Duration;

/// What may go, and what time it is.
#[derive(Clone, Copy, Debug)]
pub struct Purge {
    /// The lowest record that somebody still needs: checkpoints, replicas, moves, and the first chunk of every body
    /// whose delivery is not appended yet.
    pub floor: Lsn,
    /// Records younger than this are kept, as the redundant copy.
    pub older_than: UnixTime,
    /// The clock.
    pub now: UnixTime,
    /// A clock that nobody sets, counted from any fixed moment of this process.
    pub monotonic: Duration,
}

/// What was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    /// How many segments.
    pub segments: usize,
    /// Whether nothing may go because the clock has jumped.
    pub suspended: bool,
}

/// How many of the sealed segments, from the oldest on, nobody needs; `used_now` is what the current one uses.
pub(crate) fn removable(sealed: &[SealedSegment], purge: &Purge, used_now: Option<Lsn>) -> usize {
    let goes = |segment: &&SealedSegment| segment.last < purge.floor && segment.last_time < purge.older_than;
    let mut count = sealed.iter().take_while(goes).count();
    // Bodies that the rest uses keep their segments, and those segments use bodies in turn.
    loop {
        let kept = sealed.iter().skip(count).map(|segment| segment.oldest_body).fold(used_now, oldest);
        let fewer = sealed.iter().take(count).take_while(|segment| kept.is_none_or(|body| segment.last < body)).count();
        if fewer == count {
            return count;
        }
        count = fewer;
    }
}

/// Compares the clock with one that nobody sets: a jump of over an hour would make mail look old that is not.
#[derive(Clone, Copy, Debug)]
pub struct ClockGuard {
    /// Clock less monotonic, in microseconds, as it was when it was trusted.
    trusted: Option<i128>,
    latest: Option<i128>,
    not_before: UnixTime,
}

impl ClockGuard {
    /// Trusts the clock's first value, unless it is over an hour before what the journal has recorded.
    pub fn new(now: UnixTime, recorded: UnixTime) -> Self {
        let went_back = recorded.since(now) > JUMP_MAX;
        let not_before = if went_back { recorded.before(JUMP_MAX) } else { UnixTime::from_micros(i64::MIN) };
        Self { trusted: None, latest: None, not_before }
    }

    /// Takes both clocks; gives whether they still agree.
    pub fn observe(&mut self, now: UnixTime, monotonic: Duration) -> bool {
        let micros = i128::try_from(monotonic.as_micros()).unwrap_or(i128::MAX / 2);
        let offset = i128::from(now.micros()) - micros;
        self.latest = Some(offset);
        let trusted = *self.trusted.get_or_insert(offset);
        offset.abs_diff(trusted) <= JUMP_MAX.as_micros() && now >= self.not_before
    }

    /// Trusts the clock as it was last seen.
    pub fn accept(&mut self) {
        self.trusted = self.latest;
        self.not_before = UnixTime::from_micros(i64::MIN);
    }
}

/// A clock that jumps further suspends purging.
pub const JUMP_MAX: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(first: u64, oldest_body: Option<u64>) -> SealedSegment {
        let last_time = UnixTime::from_secs(i64::try_from(first).expect("small"));
        let oldest_body = oldest_body.map(Lsn::new);
        SealedSegment { first: Lsn::new(first), last: Lsn::new(first + 9), oldest_body, last_time }
    }

    fn purge(floor: u64, older_than: i64) -> Purge {
        let older_than = UnixTime::from_secs(older_than);
        Purge { floor: Lsn::new(floor), older_than, now: UnixTime::EPOCH, monotonic: Duration::ZERO }
    }

    #[test]
    fn only_what_nobody_needs_goes() {
        let plain = [segment(1, None), segment(11, None), segment(21, None)];
        assert_eq!(removable(&plain, &purge(100, 100), None), 3);
        assert_eq!(removable(&plain, &purge(20, 100), None), 1, "record 20 is needed");
        assert_eq!(removable(&plain, &purge(21, 100), None), 2);
        assert_eq!(removable(&plain, &purge(100, 11), None), 1, "the second is not older");
        assert_eq!(removable(&plain, &purge(100, 100), Some(Lsn::new(15))), 1, "the current one uses 15");
        assert_eq!(removable(&[], &purge(100, 100), None), 0);
    }

    #[test]
    fn use_is_followed_from_segment_to_segment() {
        let chain = [segment(1, None), segment(11, Some(5)), segment(21, Some(12)), segment(31, None)];
        assert_eq!(removable(&chain, &purge(25, 100), None), 0, "21 is kept, it uses 12, and 12 uses 5");
        assert_eq!(removable(&chain, &purge(31, 100), None), 3, "who uses them goes too");
    }

    #[test]
    fn a_jump_of_over_an_hour_is_not_trusted() {
        let (hour, day) = (3600, 86_400);
        let at = UnixTime::from_secs;
        let mut guard = ClockGuard::new(at(day), at(day));
        assert!(guard.observe(at(day), Duration::from_secs(5)));
        assert!(guard.observe(at(day + hour), Duration::from_secs(10)), "just under an hour");
        assert!(!guard.observe(at(day + 2 * hour), Duration::from_secs(10)));
        assert!(!guard.observe(at(-day), Duration::from_secs(11)), "nor backwards");
        assert!(guard.observe(at(2 * day), Duration::from_secs(5 + 86_400)), "right again");
        assert!(!guard.observe(at(9 * day), Duration::from_secs(6 + 86_400)));
        guard.accept();
        assert!(guard.observe(at(9 * day), Duration::from_secs(6 + 86_400)), "somebody says that it is right");
    }

    #[test]
    fn a_clock_behind_the_journal_is_not_trusted_at_the_start() {
        let at = UnixTime::from_secs;
        let mut guard = ClockGuard::new(at(0), at(86_400));
        assert!(!guard.observe(at(0), Duration::ZERO));
        assert!(guard.observe(at(86_400), Duration::from_secs(86_400)));
    }
}
