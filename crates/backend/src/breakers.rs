//! The health of everybody whom sessions are led to.

use crate::breaker::Breaker;
use ports::{Callee, Clock};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Who failed of late. As many as there are stores.
pub(crate) struct Breakers {
    failing: Mutex<BTreeMap<Callee, Breaker>>,
    clock: Arc<dyn Clock>,
}

/// A call that is being made. Dropped without a word, it says what its time says.
pub(crate) struct Attempt<'b> {
    breakers: &'b Breakers,
    callee: &'b Callee,
    began: Instant,
    told: bool,
}

impl Breakers {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { failing: Mutex::default(), clock }
    }

    /// Nothing while the callee is left alone, or somebody else tries it.
    pub(crate) fn attempt<'b>(&'b self, callee: &'b Callee) -> Option<Attempt<'b>> {
        let began = self.clock.instant();
        let may = self.failing().get_mut(callee).is_none_or(|breaker| breaker.may_call(began));
        may.then_some(Attempt { breakers: self, callee, began, told: false })
    }

    fn failing(&self) -> MutexGuard<'_, BTreeMap<Callee, Breaker>> {
        // No holder of this lock can panic half-way through a change.
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// It answered, whatever it said.
    pub(crate) fn succeeded(mut self) {
        self.told = true;
        self.breakers.failing().remove(self.callee);
    }

    /// It did not.
    pub(crate) fn failed(mut self) {
        self.told = true;
        let now = self.breakers.clock.instant();
        self.breakers.failing().entry(self.callee.clone()).or_default().failed(now);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let now = self.breakers.clock.instant();
        let mut failing = self.breakers.failing();
        let breaker = failing.entry(self.callee.clone()).or_default();
        breaker.given_up(self.began, now);
        if breaker.is_closed() {
            failing.remove(self.callee);
        }
    }
}

/// What a caller is told who comes meanwhile.
pub(crate) const LEFT_ALONE: &str = "it did not answer a moment ago";
