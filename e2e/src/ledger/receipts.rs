//! Deliveries: tried, acknowledged, thrown away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The deliveries of all accounts.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    accounts: Mutex<BTreeMap<String, Deliveries>>,
    changed: Condvar,
}

/// The deliveries to one account, by Message-ID.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// Sent, perhaps without an answer.
    attempted: BTreeSet<String>,
    /// Answered with 250, and not thrown away since.
    acknowledged: BTreeSet<String>,
    /// Expunged, and the expunge was answered with OK.
    buried: BTreeSet<String>,
}

impl Receipts {
    /// A delivery is about to be tried.
    pub(super) fn attempt(&self, account: &str, id: &str) {
        self.lock().entry(account.to_owned()).or_default().attempted.insert(id.to_owned());
    }

    /// The 250 was read.
    pub(super) fn acknowledge(&self, account: &str, id: &str) {
        self.lock().entry(account.to_owned()).or_default().acknowledged.insert(id.to_owned());
        self.changed.notify_all();
    }

    /// An expunge of these was answered with OK.
    pub(super) fn bury<'a>(&self, account: &str, ids: impl Iterator<Item = &'a String>) {
        let mut accounts = self.lock();
        let deliveries = accounts.entry(account.to_owned()).or_default();
        for id in ids {
            deliveries.acknowledged.remove(id);
            deliveries.buried.insert(id.clone());
        }
    }

    /// How many (Message-ID, account) were ever acknowledged.
    pub(super) fn count(&self) -> usize {
        count(&self.lock())
    }

    /// Waits until so many are acknowledged; false when a bound passes first.
    pub(super) fn wait_for(&self, target: usize, bound: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), bound, |accounts| count(accounts) < target);
        let (accounts, _timed_out) = waited.unwrap_or_else(PoisonError::into_inner);
        count(&accounts) >= target
    }

    /// What is acknowledged for an account and not among what was found there.
    pub(super) fn missing(&self, account: &str, found: &BTreeMap<String, usize>) -> Vec<String> {
        let accounts = self.lock();
        let Some(deliveries) = accounts.get(account) else { return Vec::new() };
        deliveries.acknowledged.iter().filter(|id| !found.contains_key(*id)).cloned().collect()
    }

    /// What is wrong with what was found in an account: Message-ID → how often.
    pub(super) fn faults(&self, account: &str, found: &BTreeMap<String, usize>) -> Vec<String> {
        let mut accounts = self.lock();
        let deliveries = accounts.entry(account.to_owned()).or_default();
        let mut faults = Vec::new();
        for (id, times) in found {
            if *times > 1 {
                faults.push(format!("{account}: {id} is there {times} times"));
            }
            if !deliveries.attempted.contains(id) {
                faults.push(format!("{account}: {id} was never sent"));
            }
            if deliveries.buried.contains(id) {
                faults.push(format!("{account}: {id} was expunged and is back"));
            }
        }
        faults
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Deliveries>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(accounts: &BTreeMap<String, Deliveries>) -> usize {
    accounts.values().map(|deliveries| deliveries.acknowledged.len() + deliveries.buried.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_and_doubles_are_seen() {
        let receipts = Receipts::default();
        for id in ["a", "b", "c"] {
            receipts.attempt("x", id);
        }
        receipts.acknowledge("x", "a");
        receipts.acknowledge("x", "b");
        let found = |ids: &[(&str, usize)]| ids.iter().map(|(id, n)| (String::from(*id), *n)).collect();
        assert!(receipts.missing("x", &found(&[("a", 1), ("b", 1)])).is_empty());
        assert_eq!(receipts.missing("x", &found(&[("b", 1), ("c", 1)])), ["a"]);
        assert!(receipts.faults("x", &found(&[("a", 1), ("c", 1)])).is_empty());
        assert_eq!(receipts.faults("x", &found(&[("a", 2)])).len(), 1);
        assert_eq!(receipts.faults("x", &found(&[("z", 1)])).len(), 1);
        receipts.bury("x", ["a".to_owned()].iter());
        assert!(receipts.missing("x", &found(&[("b", 1)])).is_empty());
        assert_eq!(receipts.faults("x", &found(&[("a", 1)])).len(), 1);
        assert_eq!(receipts.count(), 2);
    }
}
