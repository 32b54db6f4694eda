//! Whether everybody who has a password can prove it by SCRAM: only then it is offered by itself.
//!
//! Mechanisms are told before anybody says who he is, and clients take the best without asking their users. One account
//! whose hash was imported has no keys, and its user would be locked out by an offer that is good for all others.

use super::Node;
use directory::engine::{Change, Changes, Engine, EngineError, Range, Revision};
use directory::{Record, SECRET_PREFIX, SecretRecord};
use net::Shutdown;
use ports::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What is known now.
#[derive(Clone, Default)]
pub(super) struct Cover(Arc<State>);

#[derive(Default)]
struct State {
    whole: AtomicBool,
    /// Whether anybody has looked yet.
    known: AtomicBool,
}

impl Cover {
    /// Whether everybody's passwords have keys beside them.
    pub(super) fn is_whole(&self) -> bool {
        self.0.whole.load(Ordering::Relaxed)
    }

    /// The same, where it is known.
    pub(super) fn known(&self) -> Option<bool> {
        // Whoever sees that it is known sees what is.
        self.0.known.load(Ordering::Acquire).then(|| self.is_whole())
    }

    fn learn(&self, whole: bool) {
        self.0.whole.store(whole, Ordering::Relaxed);
        self.0.known.store(true, Ordering::Release);
    }

    /// Keeps what is known up to date while the node runs.
    pub(super) fn keep(&self, node: &Node, shutdown: Shutdown) {
        let (cover, engine, clock) = (self.clone(), Arc::clone(&node.engine), Arc::clone(&node.system.clock));
        node.system.spawn.task(Box::pin(async move {
            tokio::select! {
                () = cover.follow(&*engine, &*clock) => {}
                () = shutdown.draining() => {}
            }
        }));
    }

    async fn follow(&self, engine: &dyn Engine, clock: &dyn Clock) {
        loop {
            if let Err(error) = self.look(engine).await {
                // Whoever has logged in by SCRAM will again: what was known stays.
                tracing::debug!(error = &error as &dyn std::error::Error, "cannot look whose passwords have keys");
            }
            clock.sleep(AGAIN_AFTER).await;
        }
    }

    /// Looks at all, then at what changes; ends when all must be looked at again.
    async fn look(&self, engine: &dyn Engine) -> Result<(), EngineError> {
        let (whole, revision) = look_at_all(engine).await?;
        self.learn(whole);
        let mut watch = engine.watch(SECRET_PREFIX, revision).await?;
        loop {
            let Changes { changes, .. } = watch.next().await?;
            let mut puts = changes.iter().filter_map(|change| match change {
                Change::Put(entry) => Some(&entry.value),
                Change::Delete { .. } => None,
            });
            // One more without keys settles it; without him it may be that nobody is left.
            if !self.is_whole() || !puts.all(|value| has_keys(value)) {
                return Ok(());
            }
        }
    }
}

/// Whether all have keys, as of which revision. The first who has none is enough.
async fn look_at_all(engine: &dyn Engine) -> Result<(bool, Revision), EngineError> {
    let (mut after, mut first): (Option<String>, Option<Revision>) = (None, None);
    loop {
        let range = Range { prefix: SECRET_PREFIX, after: after.as_deref(), limit: PAGE_ENTRIES };
        let page = engine.range(range).await?;
        let revision = *first.get_or_insert(page.revision);
        if !page.entries.iter().all(|entry| has_keys(&entry.value)) {
            return Ok((false, revision));
        }
        match page.entries.last().filter(|_| page.more) {
            Some(last) => after = Some(last.key.clone()),
            None => return Ok((true, revision)),
        }
    }
}

/// SCRAM asks for one password: of several it could be another one that the user's device has.
fn has_keys(secret: &[u8]) -> bool {
    let Ok(secret) = SecretRecord::decode(secret) else { return false };
    let keys = secret.passwords.iter().filter(|hash| hash.scheme().eq_ignore_ascii_case(SCHEME)).count();
    let others = secret.passwords.len() - keys;
    secret.passwords.is_empty() || (keys == 1 && others <= 1)
}

const SCHEME: &str = "SCRAM-SHA-256";
const PAGE_ENTRIES: usize = 256;
/// Between two looks at all: somebody who changes many passwords shall not keep a core busy.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use directory::PasswordHash;
    use directory::engine::{MemoryEngine, Transaction};
    use mail_types::Address;

    async fn put(engine: &MemoryEngine, address: &str, hashes: &[&str]) {
        let passwords = hashes.iter().map(|hash| PasswordHash::parse(hash).expect("a hash")).collect();
        let secret = SecretRecord { address: Address::parse(address).expect("an address"), passwords };
        let written = engine.commit(Transaction::default().put(secret.key(), secret.encode())).await;
        assert!(written.is_ok(), "{written:?}");
    }

    async fn whole(engine: &MemoryEngine) -> bool {
        look_at_all(engine).await.expect("a memory engine answers").0
    }

    const KEYS: &str = "{SCRAM-SHA-256}4096,c2FsdA==,a2V5,a2V5";
    const HASH: &str = "{ARGON2ID}x";

    #[tokio::test]
    async fn one_without_keys_is_enough() {
        let engine = MemoryEngine::new();
        assert!(whole(&engine).await, "nobody is locked out where nobody is");
        for n in 0..2 * PAGE_ENTRIES {
            put(&engine, &format!("u{n}@site.test"), &[HASH, KEYS]).await;
        }
        put(&engine, "none@site.test", &[]).await;
        assert!(whole(&engine).await);
        for passwords in [&[HASH][..], &[HASH, KEYS, HASH, KEYS], &[HASH, HASH, KEYS]] {
            put(&engine, "u7@site.test", passwords).await;
            assert!(!whole(&engine).await, "{passwords:?}");
        }
        put(&engine, "u7@site.test", &[KEYS]).await;
        assert!(whole(&engine).await);
    }

    #[tokio::test]
    async fn changes_are_seen_as_they_come() {
        let engine = MemoryEngine::new();
        put(&engine, "ann@site.test", &[HASH, KEYS]).await;
        let cover = Cover::default();
        {
            let mut look = std::pin::pin!(cover.look(&engine));
            let waits = still_waits(look.as_mut()).await;
            assert!(waits && cover.is_whole());
            put(&engine, "bob@site.test", &[HASH, KEYS]).await;
            assert!(still_waits(look.as_mut()).await, "bob has keys as well");
            put(&engine, "old@site.test", &[HASH]).await;
            look.await.expect("all is looked at again");
        }
        let mut look = std::pin::pin!(cover.look(&engine));
        assert!(still_waits(look.as_mut()).await && !cover.is_whole());
    }

    /// Whether it still waits when everything that there is has been done.
    async fn still_waits(mut future: std::pin::Pin<&mut (impl Future + ?Sized)>) -> bool {
        for _ in 0..100 {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await;
            if !polled {
                return false;
            }
            tokio::task::yield_now().await;
        }
        true
    }
}
