//! Passwords that a costly hash has found right a moment ago: the next login with the same one computes nothing.
//!
//! What is remembered is a digest of the password together with the hash that it fits, under a key of this process: a hash that
//! changes is another, so a new password, or none, acts at once. Whether the account may log in at all is asked elsewhere.

use crate::limits::VERIFIED_COUNT_MAX;
use sasl::{Fingerprint, Password, Secret, StoredPassword};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What was found right, for a while.
pub struct Verified {
    key: Secret,
    span: Duration,
    known: Mutex<Known>,
}

/// Never more than [`VERIFIED_COUNT_MAX`].
#[derive(Default)]
struct Known {
    /// With the time at which it is forgotten.
    until: BTreeMap<Fingerprint, Instant>,
    /// When those whose time is over are looked for.
    sweep_at: Option<Instant>,
}

impl Verified {
    /// Remembers for so long. The key is drawn for this process, and kept nowhere else.
    pub fn new(key: Secret, span: Duration) -> Self {
        Self { key, span, known: Mutex::default() }
    }

    /// Whether this is the password of that hash, as far as is remembered.
    pub(crate) fn has(&self, stored: &StoredPassword, password: &Password, now: Instant) -> bool {
        let fingerprint = stored.fingerprint(&self.key, password);
        self.swept(now).until.get(&fingerprint).is_some_and(|until| now < *until)
    }

    /// It is.
    pub(crate) fn note(&self, stored: &StoredPassword, password: &Password, now: Instant) {
        let fingerprint = stored.fingerprint(&self.key, password);
        let mut known = self.swept(now);
        if known.until.len() >= VERIFIED_COUNT_MAX {
            // Their order is nobody's choice: any one goes.
            known.until.pop_first();
        }
        known.until.insert(fingerprint, now + self.span);
    }

    /// Without those that have been over for long: nobody's password is kept here all night.
    fn swept(&self, now: Instant) -> MutexGuard<'_, Known> {
        // No holder of this lock can panic half-way through a change.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.sweep_at.is_none_or(|at| at <= now) {
            known.until.retain(|_, until| now < *until);
            known.sweep_at = Some(now + self.span);
        }
        known
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("span", &self.span).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.as_bytes().to_vec()).unwrap()
    }

    #[allow(clippy::disallowed_methods, reason = "an Instant can be had from the clock alone; tests only add to it")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_password_is_remembered_with_its_hash_and_for_its_time() {
        let (t, span) = (start(), Duration::from_secs(60));
        let verified = Verified::new(Secret::new(vec![7; 32]), span);
        let [one, other] =
            [b"salt of one", b"another one"].map(|salt| StoredPassword::scram(&password("x"), salt).unwrap());
        assert!(!verified.has(&one, &password("x"), t));
        verified.note(&one, &password("x"), t);
        assert!(verified.has(&one, &password("x"), t + span - Duration::from_millis(1)));
        assert!(!verified.has(&one, &password("x"), t + span));
        assert!(!verified.has(&one, &password("y"), t) && !verified.has(&other, &password("x"), t));
    }

    #[test]
    fn what_is_over_is_dropped_and_there_is_never_too_much() {
        let (t, span) = (start(), Duration::from_secs(60));
        let verified = Verified::new(Secret::new(vec![7; 32]), span);
        let stored = StoredPassword::plain(password("x"));
        for number in 0..VERIFIED_COUNT_MAX + 10 {
            verified.note(&stored, &password(&number.to_string()), t);
        }
        assert_eq!(verified.swept(t).until.len(), VERIFIED_COUNT_MAX);
        // Somebody's wrong password is enough.
        assert!(!verified.has(&stored, &password("wrong"), t + span));
        assert_eq!(verified.swept(t).until.len(), 0);
    }
}
