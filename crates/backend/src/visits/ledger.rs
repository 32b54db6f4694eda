//! What came of visits and deliveries: for who watches.

use crate::foreign::Protocol;
use mail_types::{StoreName, UnixTime};
use ports::Callee;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a login at a back-end ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisitOutcome {
    /// It let the visitor in.
    Success,
    /// It refused the visitor.
    Failure,
    /// Another session has the maildrop.
    InUse,
    /// It, or the way to all of its hosts, is not available.
    Unavailable,
}

/// A host of a back-end, as it was when it was last called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostReport {
    /// The back-end.
    pub store: StoreName,
    /// By which protocol.
    pub protocol: Protocol,
    /// The host, with its port; empty where the store has none that could be called, as `last_failure` says.
    pub host: String,
    /// How it is.
    pub state: HostState,
    /// How often it was called, and gave no word.
    pub failures: u64,
    /// When it last failed, and how.
    pub last_failure: Option<(UnixTime, String)>,
}

/// Whether a host answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostState {
    /// It did when it was last called.
    Up,
    /// It did not, and is left alone but for a look now and then.
    LeftAlone,
    /// It was not called yet.
    Unknown,
}

/// Of one protocol.
#[derive(Default)]
pub(crate) struct Ledger {
    /// As many as there are back-ends.
    logins: Mutex<BTreeMap<StoreName, [u64; VisitOutcome::ALL.len()]>>,
    /// At most [`HOSTS_MAX`].
    failures: Mutex<BTreeMap<Callee, Failures>>,
    /// Likewise; for who has no better memory of it.
    answered: Mutex<BTreeSet<Callee>>,
}

/// Of one host.
#[derive(Clone, Default)]
pub(crate) struct Failures {
    pub(crate) count: u64,
    pub(crate) last: Option<(UnixTime, String)>,
}

/// Hosts of which failures are counted. When there are more, counting begins anew.
const HOSTS_MAX: usize = 4096;

impl VisitOutcome {
    /// All.
    pub const ALL: [Self; 4] = [Self::Success, Self::Failure, Self::InUse, Self::Unavailable];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::InUse => "in-use",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Ledger {
    pub(super) fn note(&self, store: &StoreName, outcome: VisitOutcome) {
        let mut logins = locked(&self.logins);
        if !logins.contains_key(store) {
            logins.insert(store.clone(), Default::default());
        }
        if let Some(count) = logins.get_mut(store).and_then(|counts| counts.get_mut(outcome as usize)) {
            *count += 1;
        }
    }

    pub(crate) fn failed(&self, callee: &Callee, at: UnixTime, why: &str) {
        let mut failures = locked(&self.failures);
        if failures.len() >= HOSTS_MAX && !failures.contains_key(callee) {
            failures.clear();
        }
        let noted = failures.entry(callee.clone()).or_default();
        noted.count += 1;
        noted.last = Some((at, why.to_owned()));
    }

    pub(crate) fn failures(&self, callee: &Callee) -> Failures {
        locked(&self.failures).get(callee).cloned().unwrap_or_default()
    }

    pub(crate) fn answered(&self, callee: &Callee) {
        let mut answered = locked(&self.answered);
        if answered.len() >= HOSTS_MAX && !answered.contains(callee) {
            answered.clear();
        }
        if !answered.contains(callee) {
            answered.insert(callee.clone());
        }
    }

    /// Whether it ever did.
    pub(crate) fn has_answered(&self, callee: &Callee) -> bool {
        locked(&self.answered).contains(callee)
    }

    pub(super) fn logins(&self) -> Vec<(StoreName, VisitOutcome, u64)> {
        let logins = locked(&self.logins);
        let each = |(store, counts): (&StoreName, &[u64; 4])| {
            VisitOutcome::ALL.into_iter().zip(*counts).map(|(outcome, count)| (store.clone(), outcome, count)).collect()
        };
        logins.iter().flat_map(|entry| -> Vec<_> { each(entry) }).collect()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No holder of these locks can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
