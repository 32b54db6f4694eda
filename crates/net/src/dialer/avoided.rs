//! Which addresses did not answer a moment ago: a dead first address must not cost every call its time.
//!
//! ```text
//!              failed                     AVOIDED_SPAN passed
//!   (unknown) ────────▶ avoided until … ──────────────────────▶ one caller tries, for the others it is avoided until
//!       ▲                                                       PROBE_SPAN_MAX has passed, or its failure is known
//!       └──────────────── succeeded ──────────────────────────────┘
//! ```

use crate::line::now;
use ports::CallSecurity;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is called: who gives one sort of caller no TLS may do for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) security: CallSecurity,
}

/// The targets that are avoided, and until when. At most [`AVOIDED_MAX`].
#[derive(Debug, Default)]
pub(super) struct Avoided(Mutex<BTreeMap<Target, Instant>>);

impl Avoided {
    /// Whether to call now, or only if no other answers.
    pub(super) fn may_call(&self, target: Target, now: Instant) -> bool {
        match self.all().get_mut(&target) {
            None => true,
            Some(until) if *until <= now => {
                *until = now + PROBE_SPAN_MAX;
                true
            }
            Some(_) => false,
        }
    }

    /// Begins to try.
    pub(super) fn attempt(avoided: &Arc<Self>, target: Target) -> Attempt {
        Attempt { avoided: Arc::clone(avoided), target, began: now(), told: false }
    }

    fn succeeded(&self, target: Target) {
        self.all().remove(&target);
    }

    fn failed(&self, target: Target, now: Instant) {
        let mut all = self.all();
        if all.len() >= AVOIDED_MAX && !all.contains_key(&target) {
            all.retain(|_, until| *until > now);
        }
        while all.len() >= AVOIDED_MAX && !all.contains_key(&target) {
            let next = all.iter().min_by_key(|(_, until)| **until).map(|(target, _)| *target);
            next.and_then(|target| all.remove(&target));
        }
        all.insert(target, now + AVOIDED_SPAN);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Target, Instant>> {
        // A holder cannot panic halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call of which it is not yet known whether it is answered. Given up, it says nothing, unless the peer had time enough.
#[derive(Debug)]
pub(crate) struct Attempt {
    avoided: Arc<Avoided>,
    target: Target,
    began: Instant,
    told: bool,
}

impl Attempt {
    /// The peer answered.
    pub(crate) fn succeeded(mut self) {
        self.told = true;
        self.avoided.succeeded(self.target);
    }

    /// It did not.
    pub(crate) fn failed(mut self) {
        self.told = true;
        self.avoided.failed(self.target, now());
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let now = now();
        if !self.told && now.saturating_duration_since(self.began) >= PATIENCE {
            self.avoided.failed(self.target, now);
        }
    }
}

/// How long an address that failed is avoided while another answers: few logins wait for it, and one that is back is soon used.
const AVOIDED_SPAN: Duration = Duration::from_secs(10);
/// When a caller that tries an address again, and of which nothing is heard, is followed by the next; about what a call takes.
const PROBE_SPAN_MAX: Duration = Duration::from_secs(15);
/// A call that took so long when it was given up is one that failed.
const PATIENCE: Duration = Duration::from_secs(1);
/// Addresses that are remembered. When there are more, the one whose time is up first is forgotten.
const AVOIDED_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn target(number: usize) -> Target {
        let port = u16::try_from(number).expect("a port");
        Target { address: SocketAddr::from(([192, 0, 2, 1], port)), security: CallSecurity::Plain }
    }

    #[test]
    fn who_failed_is_avoided_and_then_tried_by_one() {
        let (avoided, t) = (Avoided::default(), now());
        assert!(avoided.may_call(target(1), t) && avoided.may_call(target(1), t));
        avoided.failed(target(1), t);
        assert!(!avoided.may_call(target(1), t + AVOIDED_SPAN / 2));
        assert!(avoided.may_call(target(2), t), "another");
        let other = Target { security: CallSecurity::Cluster, ..target(1) };
        assert!(avoided.may_call(other, t), "another way");
        let again = t + AVOIDED_SPAN;
        assert!(avoided.may_call(target(1), again));
        assert!(!avoided.may_call(target(1), again), "one at a time");
        assert!(avoided.may_call(target(1), again + PROBE_SPAN_MAX), "nobody heard of the first");
        avoided.succeeded(target(1));
        assert!(avoided.may_call(target(1), again) && avoided.may_call(target(1), again));
        assert!(avoided.all().is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let (avoided, t) = (Avoided::default(), now());
        for number in 0..AVOIDED_MAX {
            avoided.failed(target(number), t + Duration::from_millis(number as u64));
        }
        avoided.failed(target(7), t + AVOIDED_SPAN / 2);
        assert_eq!(avoided.all().len(), AVOIDED_MAX);
        avoided.failed(target(AVOIDED_MAX), t + AVOIDED_SPAN / 2);
        assert_eq!(avoided.all().len(), AVOIDED_MAX);
        assert!(avoided.may_call(target(0), t + AVOIDED_SPAN / 2), "the one that was first is forgotten");
        assert!(!avoided.may_call(target(1), t + AVOIDED_SPAN / 2));
        // All whose time is up make room together.
        avoided.failed(target(AVOIDED_MAX + 1), t + AVOIDED_SPAN + Duration::from_secs(2));
        assert_eq!(avoided.all().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_given_up_counts_once_the_peer_had_its_time() {
        let avoided = Arc::new(Avoided::default());
        drop(Avoided::attempt(&avoided, target(1)));
        assert!(avoided.may_call(target(1), now()));
        let attempt = Avoided::attempt(&avoided, target(1));
        tokio::time::advance(PATIENCE).await;
        drop(attempt);
        assert!(!avoided.may_call(target(1), now()));
        Avoided::attempt(&avoided, target(1)).succeeded();
        assert!(avoided.may_call(target(1), now()));
    }
}
