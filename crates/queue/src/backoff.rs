//! When to try again.

use mail_types::UnixTime;
use std::time::Duration;

/// When to try again after `attempts` that did not succeed, the first one counted. `chance` is any random number: it
/// spreads what failed together.
///
/// RFC 5321 §4.5.4.1 asks for 30 minutes between attempts at other sites. These are our own stores, which come back
/// after a restart: the first interval is a minute, each further one twice as long.
pub fn again(now: UnixTime, attempts: u32, chance: u64) -> UnixTime {
    let doublings = attempts.saturating_sub(1).min(DOUBLINGS_MAX);
    let interval = INTERVAL_MIN.saturating_mul(1 << doublings).min(INTERVAL_MAX);
    now.after(spread(interval, chance))
}

/// When to try again where nothing is likely to change soon: after a permanent refusal.
pub fn much_later(now: UnixTime, chance: u64) -> UnixTime {
    now.after(spread(INTERVAL_MAX, chance))
}

/// Whether it is time. A moment beyond the longest interval was named by a clock that has gone back since.
pub(crate) fn is_due(again: UnixTime, now: UnixTime) -> bool {
    again <= now || again > now.after(INTERVAL_MAX)
}

/// Between three quarters of the interval and all of it.
fn spread(interval: Duration, chance: u64) -> Duration {
    let quarter = u64::try_from(interval.as_micros() / 4).expect("half an hour has few microseconds");
    interval - Duration::from_micros(chance % quarter.max(1))
}

/// The interval after the first attempt.
pub const INTERVAL_MIN: Duration = Duration::from_secs(60);
/// No interval is longer.
pub const INTERVAL_MAX: Duration = Duration::from_secs(30 * 60);
/// A minute doubled so often is over half an hour.
const DOUBLINGS_MAX: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_double_up_to_half_an_hour() {
        let minutes = |attempts| again(UnixTime::EPOCH, attempts, 0).since(UnixTime::EPOCH).as_secs() / 60;
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, u32::MAX].map(minutes), [1, 1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn chance_takes_at_most_a_quarter() {
        for chance in [1, 14_999_999, 15_000_000, u64::MAX] {
            let span = again(UnixTime::EPOCH, 1, chance).since(UnixTime::EPOCH);
            assert!(span > Duration::from_secs(45) && span <= INTERVAL_MIN, "{span:?}");
            let span = much_later(UnixTime::EPOCH, chance).since(UnixTime::EPOCH);
            assert!(span > INTERVAL_MAX * 3 / 4 && span <= INTERVAL_MAX, "{span:?}");
        }
    }
}
