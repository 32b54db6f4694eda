//! The health of everybody whom sessions are led to; the log hears when it changes.

use crate::breaker::Breaker;
use ports::{Callee, Clock};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Who failed of late. As many as there are hosts of stores.
pub(crate) struct Breakers {
    failing: Mutex<BTreeMap<Callee, Breaker>>,
    clock: Arc<dyn Clock>,
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
        let is_probe = match self.failing().get_mut(callee).map(|breaker| breaker.may_call(began)) {
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

    fn failing(&self) -> MutexGuard<'_, BTreeMap<Callee, Breaker>> {
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
        let Some(breaker) = failing.get_mut(&self.callee) else { return };
        breaker.succeeded(self.began);
        if breaker.is_closed() {
            failing.remove(&self.callee);
            drop(failing);
            tracing::info!(host = %self.callee, "a host answers again");
        }
    }

    /// It did not.
    pub(crate) fn failed(mut self, why: &str) {
        self.told = true;
        self.change(why, Breaker::failed);
    }

    /// By `with` at this moment, which may leave a host alone that was well.
    fn change(&self, why: &str, with: impl FnOnce(&mut Breaker, Instant)) {
        let now = self.breakers.clock.instant();
        let mut failing = self.breakers.failing();
        let was_well = !failing.contains_key(&self.callee);
        let breaker = failing.entry(self.callee.clone()).or_default();
        with(breaker, now);
        let is_well = breaker.is_closed();
        if is_well {
            failing.remove(&self.callee);
        }
        drop(failing);
        if was_well && !is_well {
            tracing::warn!(host = %self.callee, why, "a host does not answer: it is left alone until it does");
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.told {
            let (began, for_one) = (self.began, self.for_one);
            // However long it took, where it says nothing.
            let change = |breaker: &mut Breaker, now| breaker.given_up(began, if for_one { began } else { now });
            self.change("it kept a caller waiting who went away", change);
        }
    }
}

/// What a caller is told who comes meanwhile.
pub(crate) const LEFT_ALONE: &str = "it did not answer a moment ago";
