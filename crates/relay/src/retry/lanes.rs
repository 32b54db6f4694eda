//! When to try again: what waits for one store is a lane, and each lane goes at the speed of its store.
//!
//! ```text
//!   every LOOK_EVERY, or woken ──▶ what is due at stores without a lane ──▶ their lanes begin ──┐
//!      ▲                                                                                         │ side by side
//!      └──── nobody waits for a lane that is under way: the next look begins those of others ◀──┘
//! ```

use super::RetryQueue;
use crate::Relay;
use crate::together::{all, within};
use mail_types::StoreName;
use ports::BoxFuture;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

/// The lanes that are under way, at most one for each store.
#[derive(Default)]
struct Lanes<'r>(Vec<(StoreName, BoxFuture<'r, ()>)>);

impl Relay {
    /// Tries what is due, again and again; never ends. Dropped in the middle of an attempt, it leaves the recipients in
    /// the queue, and their store knows the delivery id again.
    pub async fn retry(&self) {
        let Some(queue) = &self.queue else { return std::future::pending().await };
        // Apart: lanes never end all at once, and large messages fill the journal meanwhile.
        let tidying = async {
            loop {
                self.clock.sleep(TIDY_EVERY).await;
                queue.tidy().await;
            }
        };
        all::<()>(vec![Box::pin(self.rounds(queue)), Box::pin(tidying)]).await;
    }

    /// Tries once what is due now. The stores side by side; what waits for one store, one message after the other.
    pub async fn retry_round(&self) {
        let Some(queue) = &self.queue else { return };
        let lanes = queue.lanes(self.clock.now(), |_| false);
        let lanes = lanes.into_iter().map(|(store, due)| Box::pin(self.lane(queue, store, due)) as BoxFuture<'_, _>);
        all(lanes.collect()).await;
        queue.tidy().await;
    }

    /// A store that takes long keeps nobody waiting but its own mail.
    async fn rounds(&self, queue: &Arc<RetryQueue>) {
        let mut lanes = Lanes::default();
        loop {
            for (store, due) in queue.lanes(self.clock.now(), |store| lanes.has(store)) {
                let lane = Box::pin(self.lane(queue, store.clone(), due));
                lanes.0.push((store, lane));
            }
            let look = within(&*self.clock, LOOK_EVERY, Box::pin(queue.wake.notified()));
            lanes.run_until(Box::pin(look)).await;
        }
    }
}

impl Lanes<'_> {
    fn has(&self, store: &StoreName) -> bool {
        self.0.iter().any(|(busy, _)| busy == store)
    }

    /// Lets them go on until it is time to look.
    async fn run_until(&mut self, mut look: BoxFuture<'_, Option<()>>) {
        poll_fn(|cx| {
            self.0.retain_mut(|(_, lane)| lane.as_mut().poll(cx).is_pending());
            look.as_mut().poll(cx).map(drop)
        })
        .await;
    }
}

/// How often to look what is due: much shorter than the first interval.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often to make the journal smaller.
const TIDY_EVERY: Duration = Duration::from_secs(30);
