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
