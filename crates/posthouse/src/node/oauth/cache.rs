//! Verdicts that hold for a while, so that a client that comes again a moment later is not asked about again.
//!
//! Tokens themselves are not kept.

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use proxy::TokenVerdict;
use sasl::Secret;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a token is known by: nothing that another one could be made from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fingerprint([u8; SHA256_OUTPUT_LEN]);

/// The verdicts of one issuer.
pub(super) struct Cache {
    span: Duration,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    verdicts: BTreeMap<Fingerprint, (TokenVerdict, Instant)>,
    /// The same, by when they end.
    ends: BTreeSet<(Instant, Fingerprint)>,
}

impl Fingerprint {
    pub(super) fn of(token: &Secret) -> Self {
        let digest = digest(&SHA256, token.as_bytes());
        Self(digest.as_ref().try_into().expect("SHA-256 has so many octets"))
    }
}

impl Cache {
    /// That keeps good verdicts for so long.
    pub(super) fn new(span: Duration) -> Self {
        Self { span, known: Mutex::default() }
    }

    pub(super) fn find(&self, token: &Fingerprint, now: Instant) -> Option<TokenVerdict> {
        let known = self.known();
        let (verdict, end) = known.verdicts.get(token)?;
        (now < *end).then(|| verdict.clone())
    }

    /// Keeps a verdict, no longer than the token is good: `left` where that is known.
    pub(super) fn keep(&self, token: Fingerprint, verdict: TokenVerdict, now: Instant, left: Option<Duration>) {
        let span = match &verdict {
            TokenVerdict::Valid { .. } => self.span.min(left.unwrap_or(self.span)),
            TokenVerdict::Refused { .. } => self.span.min(REFUSED_SPAN),
        };
        let end = now + span;
        if span.is_zero() {
            return;
        }
        let mut known = self.known();
        known.forget(&token);
        // What ends first goes first, so that made-up tokens do not push good ones out.
        while let Some((first, oldest)) = known.ends.first().copied()
            && (first <= now || known.ends.len() >= VERDICT_COUNT_MAX)
        {
            known.forget(&oldest);
        }
        known.ends.insert((end, token));
        known.verdicts.insert(token, (verdict, end));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // No holder of this lock can panic half-way through a change.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn forget(&mut self, token: &Fingerprint) {
        if let Some((_, end)) = self.verdicts.remove(token) {
            self.ends.remove(&(end, *token));
        }
    }
}

/// How long a refusal is remembered at most: a token may be known to its issuer's other servers a moment later.
const REFUSED_SPAN: Duration = Duration::from_secs(5);
/// Verdicts that are remembered: some hundred octets each.
const VERDICT_COUNT_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;
    use net::SystemClock;
    use ports::Clock;

    fn token(number: usize) -> Fingerprint {
        Fingerprint::of(&Secret::new(number.to_string().into_bytes()))
    }

    fn valid() -> TokenVerdict {
        TokenVerdict::Valid { user: "anna".to_owned() }
    }

    fn refused() -> TokenVerdict {
        TokenVerdict::Refused { why: "no".to_owned() }
    }

    #[test]
    fn a_verdict_ends_with_its_token() {
        let (cache, now) = (Cache::new(Duration::from_secs(60)), SystemClock.instant());
        let after = |seconds| now + Duration::from_secs(seconds);
        cache.keep(token(1), valid(), now, None);
        cache.keep(token(2), valid(), now, Some(Duration::from_secs(9)));
        cache.keep(token(3), refused(), now, None);
        cache.keep(token(4), valid(), now, Some(Duration::ZERO));
        for (number, seconds, verdict) in [
            (1, 59, Some(valid())),
            (1, 60, None),
            (2, 8, Some(valid())),
            (2, 9, None),
            (3, 4, Some(refused())),
            (3, 5, None),
            (4, 0, None),
            (5, 0, None),
        ] {
            assert_eq!(cache.find(&token(number), after(seconds)), verdict, "{number} after {seconds} s");
        }
        cache.keep(token(1), refused(), after(1), None);
        assert_eq!(cache.find(&token(1), after(2)), Some(refused()));
        cache.keep(token(6), valid(), after(100), None);
        assert_eq!(cache.known().verdicts.len(), 1, "what has ended is gone");
        assert_eq!(cache.known().ends.len(), 1);
    }

    #[test]
    fn there_are_so_many_and_refusals_go_first() {
        let (cache, now) = (Cache::new(Duration::from_secs(60)), SystemClock.instant());
        cache.keep(token(0), valid(), now, None);
        for number in 1..=VERDICT_COUNT_MAX {
            cache.keep(token(number), refused(), now, None);
        }
        assert_eq!(cache.known().verdicts.len(), VERDICT_COUNT_MAX);
        assert_eq!(cache.known().ends.len(), VERDICT_COUNT_MAX);
        assert_eq!(cache.find(&token(0), now), Some(valid()));
    }

    #[test]
    fn nothing_is_kept_for_no_time() {
        let (cache, now) = (Cache::new(Duration::ZERO), SystemClock.instant());
        cache.keep(token(1), valid(), now, None);
        cache.keep(token(2), refused(), now, None);
        assert!(cache.known().verdicts.is_empty());
    }
}
