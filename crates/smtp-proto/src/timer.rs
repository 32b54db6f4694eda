//! One deadline, kept without a clock.
//!
//! Answers of the role carry no time. A span that such an answer starts is counted from the last time that was heard,
//! and runs out once more from there before it fires: so it lasts at least as long as it says, at most twice.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Timer {
    heard: Instant,
    running: Option<Running>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    deadline: Instant,
    span: Duration,
    /// Started by an answer: the true start is later than what was counted from.
    guessed: bool,
}

impl Timer {
    pub(crate) fn new(now: Instant) -> Self {
        Self { heard: now, running: None }
    }

    /// Only remembers the time.
    pub(crate) fn hear(&mut self, now: Instant) {
        self.heard = now;
    }

    /// The last time that was heard.
    pub(crate) fn heard(&self) -> Instant {
        self.heard
    }

    /// Nothing more is waited for.
    pub(crate) fn start_never(&mut self) {
        self.running = None;
    }

    /// From now.
    pub(crate) fn start(&mut self, now: Instant, span: Option<Duration>) {
        self.heard = now;
        self.running = span.map(|span| Running { deadline: now + span, span, guessed: false });
    }

    /// From about now.
    pub(crate) fn restart(&mut self, span: Option<Duration>) {
        let heard = self.heard;
        self.running = span.map(|span| Running { deadline: heard + span, span, guessed: true });
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.running.map(|running| running.deadline)
    }

    /// Whether the time is over.
    pub(crate) fn fires(&mut self, now: Instant) -> bool {
        match self.running {
            Some(running) if now >= running.deadline && running.guessed => {
                self.start(now, Some(running.span));
                false
            }
            Some(running) if now >= running.deadline => {
                self.running = None;
                true
            }
            Some(_) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
    fn at_least_the_span() {
        let (zero, span) = (Instant::now(), Duration::from_secs(10));
        let mut timer = Timer::new(zero);
        assert!(timer.deadline().is_none() && !timer.fires(zero));
        timer.start(zero, Some(span));
        assert!(!timer.fires(zero + span / 2) && timer.fires(zero + span));
        // The role took 15 seconds to answer; the peer still has its ten.
        timer.start(zero, None);
        timer.restart(Some(span));
        assert!(!timer.fires(zero + span * 3 / 2));
        assert!(!timer.fires(zero + span * 2) && timer.fires(zero + span * 5 / 2));
    }
}
