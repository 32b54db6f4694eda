//! Who is connected to this node: one place, whatever the protocol.
//!
//! ```text
//!   a listener ─▶ enter ─▶ Visit ──▶ Badge ◀── role (who logged in, messages)
//!                            │         ▲  └───▶ Polite (is it asked to leave?)
//!                            └ dropped: gone   └─── operators: who, kick, metrics
//! ```

use admin::{Enough, Sessions};
use mail_types::UnixTime;
use ports::{Badge, Clock, Peer, Protocol};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The connections of this node.
pub(super) struct Register {
    present: Mutex<BTreeMap<u64, Arc<Badge>>>,
    /// The number of the last one.
    last: AtomicU64,
    /// How many there were, by protocol.
    begun: [AtomicU64; Protocol::ALL.len()],
    clock: Arc<dyn Clock>,
}

/// A connection that is registered until this is dropped.
pub(super) struct Visit {
    register: Arc<Register>,
    badge: Arc<Badge>,
}

impl Register {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let begun = std::array::from_fn(|_| AtomicU64::new(0));
        Arc::new(Self { present: Mutex::default(), last: AtomicU64::new(0), begun, clock })
    }

    /// Registers a connection.
    pub(super) fn enter(self: &Arc<Self>, protocol: Protocol, peer: &Peer) -> Visit {
        // 1 is the first, so that 0 is before all of them.
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let since: UnixTime = self.clock.now();
        let badge = Arc::new(Badge::new(id, protocol, peer.address, since));
        if peer.tls {
            badge.under_tls();
        }
        if let Some(begun) = self.begun.get(protocol as usize) {
            begun.fetch_add(1, Ordering::Relaxed);
        }
        self.lock().insert(id, Arc::clone(&badge));
        Visit { register: Arc::clone(self), badge }
    }

    /// How many there were of a protocol.
    pub(super) fn begun(&self, protocol: Protocol) -> u64 {
        self.begun.get(protocol as usize).map_or(0, |begun| begun.load(Ordering::Relaxed))
    }

    /// How many are there now.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Badge>>> {
        // What runs under it cannot leave half a change.
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions for Register {
    fn each(&self, after: u64, see: &mut dyn FnMut(&Badge) -> Enough) {
        // Seen outside the lock: who looks may take long, and a kick wakes tasks.
        let present: Vec<Arc<Badge>> =
            self.lock().range((Bound::Excluded(after), Bound::Unbounded)).map(|(_, badge)| Arc::clone(badge)).collect();
        let _seen = present.iter().find(|badge| see(badge) == Enough::Yes);
    }
}

impl Visit {
    pub(super) fn badge(&self) -> &Arc<Badge> {
        &self.badge
    }

    /// Runs the session to its end. One that was asked to leave and has not within [`LEAVE_SPAN_MAX`], because its peer
    /// does not read or its answer takes long, is cut: nothing then.
    pub(super) async fn attend<T>(self, session: impl Future<Output = T>) -> Option<T> {
        let clock = Arc::clone(&self.register.clock);
        let overdue = async {
            poll_fn(|cx| self.badge.poll_leaving(cx)).await;
            clock.sleep(LEAVE_SPAN_MAX).await;
        };
        tokio::select! {
            // Last: the session's own look at the badge comes first, and both are of one task.
            biased;
            ended = session => Some(ended),
            () = overdue => None,
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.register.lock().remove(&self.badge.id());
    }
}

/// How long a session that was asked to leave may take to say good-bye.
const LEAVE_SPAN_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use ports::BoxFuture;
    use std::time::Instant;

    /// A clock that knows no waiting.
    struct Soon;

    impl Clock for Soon {
        fn now(&self) -> UnixTime {
            UnixTime::from_secs(1)
        }

        fn instant(&self) -> Instant {
            net::SystemClock.instant()
        }

        fn sleep(&self, _span: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    fn ids(register: &Register, after: u64) -> Vec<u64> {
        let mut ids = Vec::new();
        register.each(after, &mut |badge| {
            ids.push(badge.id());
            Enough::No
        });
        ids
    }

    fn peer() -> Peer {
        let address = "192.0.2.7:40000".parse().expect("an address");
        Peer { address, local: address, tls: true }
    }

    #[tokio::test]
    async fn who_comes_is_there_until_it_leaves() {
        let register = Register::new(Arc::new(Soon));
        let first = register.enter(Protocol::Imap, &peer());
        let second = register.enter(Protocol::Smtp, &peer());
        assert_eq!((ids(&register, 0), ids(&register, 1)), (vec![1, 2], vec![2]));
        assert!(first.badge().is_tls());
        assert_eq!(first.attend(async { "said" }).await, Some("said"));
        assert_eq!((ids(&register, 0), register.count()), (vec![2], 1));
        drop(second);
        assert_eq!(register.count(), 0);
        assert_eq!(register.enter(Protocol::Pop3, &peer()).badge().id(), 3, "numbers do not come back");
    }

    #[tokio::test]
    async fn who_does_not_leave_is_cut() {
        let register = Register::new(Arc::new(Soon));
        let visit = register.enter(Protocol::Imap, &peer());
        visit.badge().kick();
        assert_eq!(visit.attend(std::future::pending::<()>()).await, None);
        assert_eq!(register.count(), 0);
    }
}
