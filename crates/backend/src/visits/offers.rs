//! What back-ends do with scripts: said to a client before its login.
//!
//! Nobody knows yet where such a client is led, so it is told what all of them have, as each told last: when it was looked
//! at, or when somebody logged in. Who was never heard of is asked by the first client that comes, once; who is silent then
//! is left out until he has been looked at.

use super::Visits;
use crate::foreign::{BackEnd, Protocol};
use mail_types::StoreName;
use managesieve_proto::Offer;
use ports::Callee;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Mutex;

/// The stores that clients have waited for. Locked while they do: at most [`OFFERS_ANSWER_MAX`], and once for each store.
#[derive(Default)]
pub(super) struct Asked(Mutex<BTreeSet<StoreName>>);

/// Back-ends that are asked what they do with scripts: the first by name. A site has many that are alike, or few.
pub const OFFERS_ASKED_MAX: usize = 16;
/// How long all of them together may keep a client waiting for its greeting.
pub const OFFERS_ANSWER_MAX: Duration = Duration::from_secs(3);

impl Visits {
    pub(super) async fn offer(&self) -> Arc<Offer> {
        let mut stores = self.foreign.all(Protocol::Sieve);
        stores.truncate(OFFERS_ASKED_MAX);
        self.ask_strangers(&stores).await;
        let told = stores.iter().flat_map(|store| self.told_by(store));
        Arc::new(told.reduce(|one, other| one.both(&other)).unwrap_or_default())
    }

    /// Whoever comes while they are asked waits for the same answers.
    async fn ask_strangers(&self, stores: &[StoreName]) {
        let mut asked = self.asked.0.lock().await;
        asked.retain(|store| stores.contains(store));
        let is_stranger = |store: &&StoreName| !asked.contains(*store) && self.told_by(store).is_empty();
        let strangers: Vec<_> = stores.iter().filter(is_stranger).cloned().collect();
        if !strangers.is_empty() {
            self.ask_all(&strangers).await;
            asked.extend(strangers);
        }
    }

    /// All at once: one that is silent costs the others nothing.
    async fn ask_all(&self, stores: &[StoreName]) {
        let mut asking: Vec<_> = stores
            .iter()
            .map(|store| {
                let hosts = self.script_hosts(store);
                Box::pin(async move { self.sieve.ask(&hosts).await })
            })
            .collect();
        let all = poll_fn(|cx| {
            asking.retain_mut(|asked| asked.as_mut().poll(cx).is_pending());
            if asking.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            () = all => {}
            () = self.clock.sleep(OFFERS_ANSWER_MAX) => {}
        }
    }

    fn told_by(&self, store: &StoreName) -> Vec<Offer> {
        let offers = |callee| self.sieve.offers(callee).map(|known| known.offer);
        self.script_hosts(store).iter().filter_map(offers).collect()
    }

    fn script_hosts(&self, store: &StoreName) -> Vec<Callee> {
        match self.foreign.find(store, Protocol::Sieve) {
            BackEnd::At { hosts, .. } => hosts,
            BackEnd::Nowhere(_) => Vec::new(),
        }
    }
}
