//! The keys with which an issuer signs, as it publishes them: asked for at the start, at a reload and now and then, and when a
//! token names a key that is not known. While the issuer is away the keys that it had go on.

use super::jwk::{Key, keys};
use super::jwt::Jwt;
use super::{Judged, Refusal};
use crate::node::web::Web;
use http_body_util::Full;
use hyper::Method;
use hyper::header::ACCEPT;
use ports::Clock;
use proxy::NoVerdict;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// One issuer's.
pub(super) struct KeySet {
    web: Web,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    /// Whoever asks holds it, so that it is asked once.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    keys: Option<Arc<[Arc<Key>]>>,
    asked_at: Option<Instant>,
    answered_at: Option<Instant>,
    /// Why the last question has no answer, if it has none.
    trouble: Option<String>,
    /// Whether the log has that.
    is_told: bool,
    /// Whether somebody wants to hear of the next answer, whatever it is.
    wanted: bool,
}

impl KeySet {
    pub(super) fn new(web: Web, clock: Arc<dyn Clock>) -> Self {
        Self { web, clock, known: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// Keeps them up to date, for ever; `again` says when somebody wants that at once: a key may have been withdrawn.
    pub(super) async fn keep<T>(&self, mut again: watch::Receiver<T>) {
        loop {
            {
                let _asking = self.asking.lock().await;
                self.ask().await;
            }
            let span = if self.known().trouble.is_some() { AGAIN_AFTER } else { FRESH_SPAN };
            tokio::select! {
                () = self.clock.sleep(span) => {}
                Ok(()) = again.changed() => self.known().wanted = true,
            }
        }
    }

    /// The keys that a token may be signed with, of those that are known: nobody waits for that.
    pub(super) fn known_to_fit(&self, jwt: &Jwt<'_>) -> Option<Vec<Arc<Key>>> {
        self.known().find(jwt)
    }

    /// The same, where the issuer may have to be asked.
    pub(super) async fn find(&self, jwt: &Jwt<'_>) -> Judged<Vec<Arc<Key>>> {
        let _asking = self.asking.lock().await;
        // Somebody else may have asked meanwhile.
        if let Some(keys) = self.known().find(jwt) {
            return Ok(Ok(keys));
        }
        if self.may_ask() {
            self.ask().await;
        }
        let known = self.known();
        match (known.find(jwt), &known.trouble) {
            (Some(keys), _) => Ok(Ok(keys)),
            // It may be a new one.
            (None, Some(trouble)) => Err(NoVerdict(trouble.clone())),
            (None, None) => Ok(Err(Refusal("its key is none of its issuer's".to_owned()))),
        }
    }

    /// Not for each token that names a key at random.
    fn may_ask(&self) -> bool {
        let now = self.clock.instant();
        self.known().asked_at.is_none_or(|at| now.saturating_duration_since(at) >= ASK_PAUSE)
    }

    async fn ask(&self) {
        {
            let mut known = self.known();
            known.asked_at = Some(self.clock.instant());
            // Whoever waits may go before there is an answer.
            known.trouble = Some(format!("{}: its keys are being asked for", self.web.shown()));
        }
        let answer = tokio::select! {
            answer = self.fetch() => answer,
            () = self.clock.sleep(FETCH_SPAN_MAX) => {
                Err(self.web.failed(&format_args!("no answer within {} s", FETCH_SPAN_MAX.as_secs())).to_string())
            }
        };
        let mut known = self.known();
        match answer {
            Ok(keys) => {
                if known.is_told || known.wanted || known.keys.is_none() {
                    tracing::info!(
                        url = self.web.shown(),
                        keys = keys.len(),
                        "the keys of the issuer of tokens are known"
                    );
                }
                known.keys = Some(keys);
                known.answered_at = Some(self.clock.instant());
                (known.trouble, known.is_told) = (None, false);
            }
            Err(why) => {
                if !known.is_told || known.wanted {
                    match known.keys.is_some() {
                        true => tracing::warn!(
                            why,
                            "the keys of the issuer of tokens cannot be read, those that were known go on"
                        ),
                        false => tracing::warn!(
                            why,
                            "the keys of the issuer of tokens cannot be read, and none are known: no token is taken"
                        ),
                    }
                }
                let now = self.clock.instant();
                if known.answered_at.is_some_and(|at| now.saturating_duration_since(at) >= KEPT_SPAN_MAX) {
                    // One of them may have been withdrawn long since.
                    known.keys = None;
                }
                (known.trouble, known.is_told) = (Some(why), true);
            }
        }
        known.wanted = false;
    }

    async fn fetch(&self) -> Result<Arc<[Arc<Key>]>, String> {
        // RFC 7517 §8.5.2 for the second.
        let request = self.web.request(Method::GET).header(ACCEPT, "application/json, application/jwk-set+json");
        let request = request.body(Full::default()).map_err(|error| error.to_string())?;
        let body = self.web.body(request).await.map_err(|error| error.to_string())?;
        let keys = keys(&body).ok_or_else(|| self.web.failed(&"the answer is no set of keys").to_string())?;
        if keys.is_empty() {
            return Err(self.web.failed(&"the answer has no key that signs in a way that we know").to_string());
        }
        Ok(keys.into_iter().map(Arc::new).collect())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // No holder of this lock can panic half-way through a change.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Those with its id (RFC 7517 §4.5: several may share one); without an id, all that it can be. Nothing where there is none.
    fn find(&self, jwt: &Jwt<'_>) -> Option<Vec<Arc<Key>>> {
        let is_named = |key: &&Arc<Key>| jwt.key_id.is_none() || key.id == jwt.key_id;
        let all = self.keys.iter().flat_map(|keys| keys.iter());
        let fitting: Vec<_> = all.filter(|key| key.fits(jwt.algorithm)).filter(is_named).cloned().collect();
        (!fitting.is_empty()).then_some(fitting)
    }
}

/// How long an answer is fresh. Who exchanges keys publishes the new one before using it, or is asked again for it.
const FRESH_SPAN: Duration = Duration::from_secs(600);
/// After how long who did not answer is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How long keys go on whose issuer does not answer.
const KEPT_SPAN_MAX: Duration = Duration::from_secs(24 * 3600);
/// How seldom keys are asked for that are not known.
const ASK_PAUSE: Duration = Duration::from_secs(10);
/// How long an answer may take.
const FETCH_SPAN_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
impl KeySet {
    /// Whoever looks for a key that is not known asks again.
    pub(super) fn now_is_long_after(&self) {
        self.known().asked_at = None;
    }
}
