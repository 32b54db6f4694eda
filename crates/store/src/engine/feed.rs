//! Who waits for changes of an account (IMAP IDLE), and waking them.
//!
//! A wake-up carries no data: a session reads what changed since the MODSEQ it knows. So nothing queues up for a
//! session that does not listen, and nothing is lost for one that comes late.

use mail_types::{AccountId, SeededMap};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// The feeds of a store.
pub(crate) struct Feeds {
    slots: Vec<Mutex<SeededMap<AccountId, watch::Sender<u64>>>>,
}

/// One session's ear on an account. The entry goes when the last one is dropped.
pub struct Watch {
    receiver: Option<watch::Receiver<u64>>,
    feeds: Arc<Feeds>,
    account: AccountId,
}

impl Feeds {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { slots: (0..LOCK_COUNT).map(|_| Mutex::new(SeededMap::new(seed))).collect() })
    }

    /// From now on, changes of the account wake the caller.
    pub(crate) fn watch(self: &Arc<Self>, account: AccountId) -> Watch {
        let receiver = self.with(account, |map| map.get_or_insert_with(account, || watch::Sender::new(0)).subscribe());
        Watch { receiver: Some(receiver), feeds: Arc::clone(self), account }
    }

    /// Something of the account was applied.
    pub(crate) fn changed(&self, account: AccountId) {
        self.with(account, |map| {
            if let Some(sender) = map.get(&account) {
                sender.send_modify(|version| *version = version.wrapping_add(1));
            }
        });
    }

    fn with<T>(&self, account: AccountId, act: impl FnOnce(&mut SeededMap<AccountId, watch::Sender<u64>>) -> T) -> T {
        let at = usize::from(account.as_bytes()[15]) % self.slots.len();
        let slot = self.slots.get(at).expect("a remainder indexes its modulus");
        act(&mut slot.lock().expect("no holder of this lock panics"))
    }
}

impl Watch {
    /// Completes when something changed since the last call that completed. Cancel-safe.
    pub async fn changed(&mut self) {
        match &mut self.receiver {
            // The sender lives as long as a receiver does.
            Some(receiver) => drop(receiver.changed().await),
            None => std::future::pending().await,
        }
    }

    /// Whether something changed that [`Watch::changed`] has not reported; reports it.
    pub fn take(&mut self) -> bool {
        self.receiver.as_mut().is_some_and(|receiver| {
            let changed = receiver.has_changed().unwrap_or(false);
            receiver.mark_unchanged();
            changed
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.receiver = None;
        self.feeds.with(self.account, |map| {
            if map.get(&self.account).is_some_and(|sender| sender.receiver_count() == 0) {
                map.remove(&self.account);
            }
        });
    }
}

const LOCK_COUNT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_hears_its_account_alone_and_leaves_nothing() {
        let feeds = Feeds::new(1);
        let [a, b] = [AccountId::from_bytes([1; 16]), AccountId::from_bytes([2; 16])];
        let (mut first, mut second) = (feeds.watch(a), feeds.watch(a));
        feeds.changed(b);
        assert!(!first.take());
        feeds.changed(a);
        assert!(first.take() && second.take() && !first.take());
        drop(first);
        feeds.changed(a);
        assert!(second.take());
        drop(second);
        assert!(feeds.with(a, |map| map.is_empty()));
    }
}
