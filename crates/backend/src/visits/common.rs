//! What all back-ends have in common: a client is told it before anybody knows where it is led.

use super::Visits;
use crate::foreign::Protocol;
use ports::{Callee, Pop3Common, SubmissionCommon};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What was found out a moment ago.
pub(super) struct Kept<T>(Mutex<Option<(Instant, T)>>);

/// How long it goes unasked: a client is told it when it comes, and there may be many of both.
const COMMON_SPAN: Duration = Duration::from_secs(1);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Copy> Kept<T> {
    pub(super) fn get(&self, now: Instant, find: impl FnOnce() -> T) -> T {
        // Who panics in here leaves what was there before.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *kept {
            Some((until, found)) if now < until => found,
            Some(_) | None => {
                let found = find();
                *kept = Some((now + COMMON_SPAN, found));
                found
            }
        }
    }
}

impl Visits {
    pub(super) fn find_pop3_common(&self) -> Option<Pop3Common> {
        let all = self.hosts_by(Protocol::Pop3);
        // Who was never heard of may lack anything: who is told of UTF8 may ask for it, and then no other will do.
        let has_utf8 = |callee: &Callee| self.pop3.offers(callee).is_some_and(|offers| offers.utf8);
        let utf8 = all.iter().flat_map(|(_, hosts)| hosts).all(has_utf8);
        (!all.is_empty()).then_some(Pop3Common { utf8 })
    }

    /// Of those that were heard of: what is asked here every server of this century has.
    pub(super) fn find_submission_common(&self) -> Option<SubmissionCommon> {
        let all = self.hosts_by(Protocol::Submission);
        let heard = all.iter().flat_map(|(_, hosts)| hosts).filter_map(|callee| self.submission.offers(callee));
        let each = heard.map(|offers| SubmissionCommon {
            pipelining: offers.pipelining,
            eight_bit: offers.eight_bit,
            enhanced_codes: offers.enhanced_codes,
            size: offers.size.is_some(),
        });
        each.reduce(SubmissionCommon::and)
    }
}
