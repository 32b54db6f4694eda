//! Whether a node is worth a call: one that failed is left alone for a moment, then one caller tries.
//!
//! ```text
//!             failed                 SPAN passed                   failed
//!   Closed ──────────▶ Open(until) ─────────────▶ Probing(since) ──────────▶ Open
//!     ▲                                               │
//!     └───────────────────── succeeded ───────────────┘   (a probe that nobody hears of again: the next after PROBE_SPAN_MAX)
//! ```

use std::time::{Duration, Instant};

/// What is known of a node's health. Time is an argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// It answered when it was last called, or was never called.
    #[default]
    Closed,
    /// It did not; nobody calls it until then.
    Open {
        /// Until then.
        until: Instant,
    },
    /// Somebody tries.
    Probing {
        /// Since then.
        since: Instant,
    },
}

impl Breaker {
    /// Whether to call now. Who is told yes says what came of it.
    pub(crate) fn may_call(&mut self, now: Instant) -> bool {
        let may = match self {
            Self::Closed => return true,
            Self::Open { until } => *until <= now,
            Self::Probing { since } => now.saturating_duration_since(*since) >= PROBE_SPAN_MAX,
        };
        if may {
            *self = Self::Probing { since: now };
        }
        may
    }

    /// It answered somebody who had called at `began`: good news, unless it failed since.
    pub(crate) fn succeeded(&mut self, began: Instant) {
        let failed_at = match self {
            Self::Closed => return,
            Self::Open { until } => until.checked_sub(OPEN_SPAN).unwrap_or(*until),
            // Whoever tries began then.
            Self::Probing { since } => *since,
        };
        if began >= failed_at {
            *self = Self::Closed;
        }
    }

    /// It did not.
    pub(crate) fn failed(&mut self, now: Instant) {
        *self = Self::Open { until: now + OPEN_SPAN };
    }

    /// The caller went away before it knew. That says nothing, unless the node had time enough to answer.
    pub(crate) fn given_up(&mut self, began: Instant, now: Instant) {
        match self {
            _ if now.saturating_duration_since(began) >= PATIENCE => self.failed(now),
            Self::Probing { since } if *since == began => *self = Self::Open { until: now },
            Self::Closed | Self::Open { .. } | Self::Probing { .. } => {}
        }
    }

    /// Whether there is nothing to remember.
    pub(crate) fn is_closed(self) -> bool {
        self == Self::Closed
    }
}

/// How long a node that failed is left alone: a message must not cost a time-out, and a node that is back is soon used.
const OPEN_SPAN: Duration = Duration::from_secs(1);
/// When a probe is forgotten; longer than a call takes.
const PROBE_SPAN_MAX: Duration = Duration::from_secs(30);
/// A call that takes so long and is given up is one that failed.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "an Instant can be had from the clock alone; tests only add to it")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_node_that_failed_is_left_alone_and_then_probed_by_one() {
        let (mut breaker, t) = (Breaker::default(), start());
        assert!(breaker.may_call(t) && breaker.may_call(t));
        breaker.failed(t);
        assert!(!breaker.may_call(t + OPEN_SPAN / 2));
        assert!(breaker.may_call(t + OPEN_SPAN));
        assert!(!breaker.may_call(t + OPEN_SPAN), "one probe at a time");
        breaker.failed(t + OPEN_SPAN);
        assert!(!breaker.may_call(t + OPEN_SPAN));
        assert!(breaker.may_call(t + OPEN_SPAN * 2));
        breaker.succeeded(t);
        assert!(!breaker.is_closed(), "who called before it failed knows nothing new");
        breaker.succeeded(t + OPEN_SPAN * 2);
        assert!(breaker.may_call(t) && breaker.is_closed());
        breaker.failed(t);
        breaker.succeeded(t + OPEN_SPAN / 2);
        assert!(breaker.is_closed(), "somebody who had begun before it was known to be ill");
    }

    #[test]
    fn a_probe_that_goes_away_makes_room_for_the_next() {
        let (mut breaker, t) = (Breaker::default(), start());
        breaker.failed(t);
        let began = t + OPEN_SPAN;
        assert!(breaker.may_call(began));
        breaker.given_up(began, began);
        assert!(breaker.may_call(began));
        // Nobody says what came of this one.
        assert!(!breaker.may_call(began + PROBE_SPAN_MAX / 2));
        assert!(breaker.may_call(began + PROBE_SPAN_MAX));
    }

    #[test]
    fn a_call_given_up_counts_once_the_node_had_its_time() {
        let (mut breaker, t) = (Breaker::default(), start());
        assert!(breaker.may_call(t));
        breaker.given_up(t, t + PATIENCE / 2);
        assert!(breaker.is_closed());
        breaker.given_up(t, t + PATIENCE);
        assert!(!breaker.may_call(t + PATIENCE));
    }
}
