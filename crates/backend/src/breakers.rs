//! The health of everybody whom sessions are led to; the log hears when it changes.

use crate::breaker::Breaker;
use ports::{Callee, Clock};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Who failed of late. As many as there are hosts of stores.
pub(crate) struct Breakers {
    failing: Mutex<BTreeMap<Callee, Failing>>,
    clock: Arc<dyn Clock>,
}

/// A host that failed.
#[derive(Default)]
struct Failing {
    breaker: Breaker,
    /// What the log was told last of why, and when.
    told: Option<(String, Instant)>,
}

/// A call that is being made. Dropped without a word, it says what its time says.
pub(crate) struct Attempt {
    breakers: Arc<Breakers>,
    callee: Callee,
    began: Instant,
    is_probe: bool,
    /// The callee hears first whom it is for, and may fail him alone.
    for_one: bool,
    told: bool,
}

impl Breakers {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { failing: Mutex::default(), clock })
    }

    /// Nothing while the callee is left alone, or somebody else tries it.
    pub(crate) fn attempt(self: &Arc<Self>, callee: &Callee) -> Option<Attempt> {
        let began = self.clock.instant();
        let is_probe = match self.failing().get_mut(callee).map(|failing| failing.breaker.may_call(began)) {
            None => false,
            Some(true) => true,
            Some(false) => return None,
        };
        Some(Attempt {
            breakers: Arc::clone(self),
            callee: callee.clone(),
            began,
            is_probe,
            for_one: false,
            told: false,
        })
    }

    /// Whether it answered when it was last called, or was never called.
    pub(crate) fn is_well(&self, callee: &Callee) -> bool {
        !self.failing().contains_key(callee)
    }

    fn failing(&self) -> MutexGuard<'_, BTreeMap<Callee, Failing>> {
        // No holder of this lock can panic half-way through a change.
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// Whether the callee failed when it was last called.
    pub(crate) fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// The callee hears first whom it is for: failing says nothing of others.
    pub(crate) fn for_one(mut self) -> Self {
        self.for_one = true;
        self
    }

    /// Whether it would be wrong to call this a failure. Dropped now, it leaves room for whoever finds out.
    pub(crate) fn undecided(&self) -> bool {
        self.for_one
    }

    /// It answered, whatever it said.
    pub(crate) fn succeeded(mut self) {
        self.told = true;
        let mut failing = self.breakers.failing();
        let Some(host) = failing.get_mut(&self.callee) else { return };
        host.breaker.succeeded(self.began);
        if host.breaker.is_closed() {
            failing.remove(&self.callee);
            drop(failing);
            tracing::info!(host = %self.callee, "a host answers again");
        }
    }

    /// It did not.
    pub(crate) fn failed(mut self, why: &str) {
        self.told = true;
        self.change(Some(why), Breaker::failed);
    }

    /// By `with` at this moment, which may leave a host alone that was well. Where nobody heard why, there is nothing new to tell
    /// of one that was not.
    fn change(&self, why: Option<&str>, with: impl FnOnce(&mut Breaker, Instant)) {
        let now = self.breakers.clock.instant();
        let mut failing = self.breakers.failing();
        let host = failing.entry(self.callee.clone()).or_default();
        with(&mut host.breaker, now);
        if host.breaker.is_closed() {
            failing.remove(&self.callee);
            return;
        }
        let news = host.news(why, now);
        drop(failing);
        let (host, why) = (&self.callee, why.unwrap_or(WENT_AWAY));
        match news {
            News::First => tracing::warn!(%host, why, "a host does not answer: it is left alone until it does"),
            News::Another => tracing::warn!(%host, why, "a host still does not answer, for another reason"),
            News::None => {}
        }
    }
}

/// What the log has not heard of a host that failed.
enum News {
    /// That it did.
    First,
    /// Why it does now.
    Another,
    /// Nothing; or it heard something else a moment ago, and the next failure tells.
    None,
}

impl Failing {
    fn news(&mut self, why: Option<&str>, now: Instant) -> News {
        let news = match (&self.told, why) {
            (None, _) => News::First,
            (Some((told, at)), Some(why)) if told != why && now.saturating_duration_since(*at) >= TELL_SPAN_MIN => {
                News::Another
            }
            (Some(_), _) => return News::None,
        };
        self.told = Some((why.unwrap_or(WENT_AWAY).to_owned(), now));
        news
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.told {
            let (began, for_one) = (self.began, self.for_one);
            // However long it took, where it says nothing.
            let change = |breaker: &mut Breaker, now| breaker.given_up(began, if for_one { began } else { now });
            self.change(None, change);
        }
    }
}

/// From one reason of a host to the next in the log: one that fails now in this way, now in that, must not fill it.
const TELL_SPAN_MIN: Duration = Duration::from_secs(60);
/// Why a host is left alone of which nobody heard.
const WENT_AWAY: &str = "it kept a caller waiting who went away";
/// What a caller is told who comes meanwhile.
pub(crate) const LEFT_ALONE: &str = "it did not answer a moment ago";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Logged, Shared, Turning};
    use ports::{CallSecurity, Introduction};

    #[test]
    fn the_log_hears_of_another_reason_once_and_no_more_than_once_a_minute() {
        let clock = Turning::new();
        let breakers = Breakers::new(Arc::new(Shared(Arc::clone(&clock))));
        let callee = Callee {
            hosts: Arc::from(["h".into()]),
            port: 143,
            security: CallSecurity::Plain,
            introduction: Introduction::Nobody,
            sources: Arc::default(),
        };
        let second = Duration::from_secs(1);
        let logged_when_it_fails = |why: &str, after: Duration| {
            clock.advance(after);
            let attempt = breakers.attempt(&callee).expect("nobody else tries");
            Logged::by(|| attempt.failed(why)).1
        };
        let first = logged_when_it_fails("refused", second);
        let lines = |text: &str, why: &str| vec![format!("WARN message={text} host=h:143 why=\"{why}\"")];
        assert_eq!(first, lines("a host does not answer: it is left alone until it does", "refused"));
        assert_eq!(logged_when_it_fails("refused", TELL_SPAN_MIN), [""; 0]);
        let another = lines("a host still does not answer, for another reason", "no certificate");
        assert_eq!(logged_when_it_fails("no certificate", second), another);
        assert_eq!(logged_when_it_fails("refused", second), [""; 0], "a moment ago it was something else");
        assert_eq!(logged_when_it_fails("no certificate", TELL_SPAN_MIN), [""; 0], "that is known");
        let again = lines("a host still does not answer, for another reason", "refused");
        assert_eq!(logged_when_it_fails("refused", second), again);
        // Who goes away without a word has none for the log.
        clock.advance(TELL_SPAN_MIN);
        let attempt = breakers.attempt(&callee).expect("nobody else tries");
        clock.advance(second);
        assert_eq!(Logged::by(|| drop(attempt)).1, [""; 0]);
        clock.advance(second);
        let attempt = breakers.attempt(&callee).expect("nobody else tries");
        let back = Logged::by(|| attempt.succeeded()).1;
        assert_eq!(back, ["INFO message=a host answers again host=h:143"]);
        assert_eq!(logged_when_it_fails("refused", second).len(), 1, "and anew");
    }
}
