//! The node's copy of the directory, and what the roles ask of it.

use super::System;
use directory::engine::{Engine, EngineError};
use directory::{Follower, Live, Origin, Routing};
use mail_types::{Address, UnixTime};
use net::Shutdown;
use ports::Clock;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::Quota;

/// The copy of the directory that everybody in this process asks.
#[derive(Clone)]
pub(super) struct Routes {
    live: Arc<Live>,
    follower: Arc<Mutex<Option<Follower>>>,
    clock: Arc<dyn Clock>,
    /// Since when the engine has not answered.
    silent_since: Arc<Mutex<Option<UnixTime>>>,
}

impl Routes {
    /// Loads the directory; `run` follows it from then on.
    pub(super) async fn follow(engine: Arc<dyn Engine>, system: &System) -> Result<Self, EngineError> {
        let live = Arc::new(Live::new());
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let mut follower = Follower::new(engine, Arc::clone(&live)).with_threads(threads);
        follower.step().await?;
        let follower = Arc::new(Mutex::new(Some(follower)));
        Ok(Self { live, follower, clock: Arc::clone(&system.clock), silent_since: Arc::default() })
    }

    /// Takes changes as they come. While the engine does not answer, the copy there is goes on answering.
    pub(super) async fn run(self, shutdown: Shutdown) {
        let follower = self.follower.lock().expect(LOCK).take();
        let Some(mut follower) = follower else { return };
        loop {
            let step = tokio::select! {
                step = follower.step() => step,
                () = shutdown.cut() => return,
            };
            self.note(step.is_ok());
            if let Err(error) = step {
                tracing::warn!(error = &error as &dyn std::error::Error, "the directory does not answer");
                self.clock.sleep(RETRY_AFTER).await;
            }
        }
    }

    fn note(&self, answers: bool) {
        let mut since = self.silent_since.lock().expect(LOCK);
        *since = if answers { None } else { since.or_else(|| Some(self.clock.now())) };
    }

    /// Since when the directory has not answered, if it does not.
    pub(super) fn silent_since(&self) -> Option<UnixTime> {
        *self.silent_since.lock().expect(LOCK)
    }

    /// The copy as it is now.
    pub(super) fn now(&self) -> Arc<Routing> {
        self.live.routing()
    }

    /// The copy that is kept up to date.
    pub(super) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// What an account may have. An account that the directory does not know now keeps what it has; nothing is
    /// refused for that.
    pub(super) fn quota(&self, address: &Address) -> Quota {
        match self.now().account(address) {
            Origin::Found(account) => Quota { messages: account.quota_messages, octets: account.quota_bytes },
            Origin::NotFound | Origin::Unavailable => Quota::default(),
        }
    }
}

const LOCK: &str = "no holder of this lock panics";
const RETRY_AFTER: Duration = Duration::from_secs(1);
