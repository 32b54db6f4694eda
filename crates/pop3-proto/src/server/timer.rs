//! RFC 1939 §3's inactivity timer.
//!
//! Answers and output come without the time. So progress between two inputs is noted, and stamped with the time when
//! a short timer fires: a client that takes an hour over a large message is not idle, one that has stopped taking is.

use crate::limits::{IDLE_MAX, LOGIN_MAX};
use std::time::{Duration, Instant};

pub(super) struct Timer {
    /// When we last knew the time.
    stamp: Instant,
    /// Something went on since.
    progress: bool,
    login_due: Instant,
}

/// How long progress may go without a time.
const STAMP_AFTER: Duration = Duration::from_secs(30);

impl Timer {
    pub(super) fn new(now: Instant) -> Self {
        Self { stamp: now, progress: false, login_due: now + LOGIN_MAX }
    }

    pub(super) fn on_input(&mut self, now: Instant) {
        self.stamp = now;
        self.progress = false;
    }

    pub(super) fn on_progress(&mut self) {
        self.progress = true;
    }

    pub(super) fn login_due(&self) -> Instant {
        self.login_due
    }

    pub(super) fn idle_due(&self) -> Instant {
        self.stamp + if self.progress { STAMP_AFTER } else { IDLE_MAX }
    }

    /// The timer fired: whether that is the end.
    pub(super) fn is_over(&mut self, now: Instant, logged_in: bool) -> bool {
        let over = !(logged_in && self.progress);
        self.on_input(now);
        over
    }
}
