//! What back-ends do with scripts: asked without a login, so that a client can be told before its own.
//!
//! Nobody knows yet where such a client is led, so it is told what all of them have. They are asked when a client comes and
//! what was told has grown old; who does not answer is taken at his last word, and without one is left out.

use super::Visits;
use crate::foreign::{BackEnd, Protocol};
use mail_types::StoreName;
use managesieve_proto::Offer;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// What was told.
#[derive(Default)]
pub(super) struct Offers(Mutex<Told>);

#[derive(Default)]
struct Told {
    /// At most [`OFFERS_ASKED_MAX`].
    by_store: BTreeMap<StoreName, Offer>,
    common: Arc<Offer>,
    /// Who was asked; others are asked at once.
    asked: Vec<StoreName>,
    /// When they are asked again.
    again: Option<Instant>,
}

/// Back-ends that are asked what they do with scripts: the first by name. A site has many that are alike, or few.
pub const OFFERS_ASKED_MAX: usize = 16;
/// How long all of them together may keep a client waiting for its greeting.
pub const OFFERS_ANSWER_MAX: Duration = Duration::from_secs(3);
/// How long what they told is believed …
const OFFERS_KEPT: Duration = Duration::from_secs(600);
/// … and how long a silence is.
const SILENCE_KEPT: Duration = Duration::from_secs(10);

impl Visits {
    /// Whoever comes while they are asked waits for the same answers.
    pub(super) async fn offer(&self) -> Arc<Offer> {
        let mut told = self.offers.0.lock().await;
        let mut stores = self.foreign.all(Protocol::Sieve);
        stores.truncate(OFFERS_ASKED_MAX);
        if told.asked == stores && told.again.is_some_and(|again| self.clock.instant() < again) {
            return Arc::clone(&told.common);
        }
        told.by_store.retain(|store, _| stores.contains(store));
        let answers = self.ask_all(&stores).await;
        let answered = answers.len();
        told.by_store.extend(answers);
        for silent in stores.iter().filter(|store| !told.by_store.contains_key(store)).cloned().collect::<Vec<_>>() {
            if let Some(offer) = self.learnt(&silent) {
                told.by_store.insert(silent, offer);
            }
        }
        let common = told.by_store.values().cloned().reduce(|one, other| one.both(&other)).unwrap_or_default();
        let kept = if answered == stores.len() { OFFERS_KEPT } else { SILENCE_KEPT };
        (told.common, told.asked, told.again) = (Arc::new(common), stores, Some(self.clock.instant() + kept));
        Arc::clone(&told.common)
    }

    /// All at once: one that is silent costs the others nothing.
    async fn ask_all(&self, stores: &[StoreName]) -> Vec<(StoreName, Offer)> {
        let mut answers = Vec::new();
        let ask = |store: &StoreName| {
            let store = store.clone();
            Box::pin(async move { self.ask(&store).await.map(|offer| (store, offer)) })
        };
        let mut asking: Vec<_> = stores.iter().map(ask).collect();
        let all = poll_fn(|cx| {
            asking.retain_mut(|asked| match asked.as_mut().poll(cx) {
                Poll::Ready(answer) => {
                    answers.extend(answer);
                    false
                }
                Poll::Pending => true,
            });
            if asking.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            () = all => {}
            () = self.clock.sleep(OFFERS_ANSWER_MAX) => {}
        }
        answers
    }

    /// What one of its hosts said when it was looked at.
    fn learnt(&self, store: &StoreName) -> Option<Offer> {
        let BackEnd::At { hosts, .. } = self.foreign.find(store, Protocol::Sieve) else { return None };
        hosts.iter().find_map(|callee| self.sieve.offers(callee)).map(|known| known.offer)
    }

    async fn ask(&self, store: &StoreName) -> Option<Offer> {
        let BackEnd::At { hosts, .. } = self.foreign.find(store, Protocol::Sieve) else { return None };
        self.sieve.ask(&hosts).await.map(|known| known.offer)
    }
}
