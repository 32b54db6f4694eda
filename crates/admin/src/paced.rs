//! An engine that counts what an import writes through it, and lets others run in between.

use directory::engine::{
    BoxFuture, Commit, Engine, EngineError, Entry, Lease, LeaseId, Page, Range, Revision, Transaction, Watch,
};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

/// Passes everything on. The futures of an embedded engine are ready at once, so a long loop over them would keep its
/// thread from everybody else: this one yields.
pub(crate) struct Paced<'a> {
    pub(crate) engine: Arc<dyn Engine>,
    /// What the keys of the counted records start with.
    pub(crate) counted: &'static str,
    /// How many of them were written.
    pub(crate) written: &'a AtomicUsize,
    calls: AtomicUsize,
}

impl<'a> Paced<'a> {
    pub(crate) fn new(engine: Arc<dyn Engine>, counted: &'static str, written: &'a AtomicUsize) -> Self {
        Self { engine, counted, written, calls: AtomicUsize::new(0) }
    }

    async fn pace(&self) {
        let mut yielded = !self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(CALLS_IN_A_ROW);
        poll_fn(|context| match std::mem::replace(&mut yielded, true) {
            true => Poll::Ready(()),
            false => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
    }
}

impl Engine for Paced<'_> {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, EngineError>> {
        Box::pin(async move {
            self.pace().await;
            self.engine.get(key).await
        })
    }

    fn range<'a>(&'a self, range: Range<'a>) -> BoxFuture<'a, Result<Page, EngineError>> {
        Box::pin(async move {
            self.pace().await;
            self.engine.range(range).await
        })
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, EngineError>> {
        Box::pin(async move {
            self.pace().await;
            let counted = transaction.writes.iter().filter(|write| write.key().starts_with(self.counted)).count();
            let commit = self.engine.commit(transaction).await?;
            if let Commit::Done(_) = commit {
                self.written.fetch_add(counted, Ordering::Relaxed);
            }
            Ok(commit)
        })
    }

    fn may_commit<'a>(&'a self, transaction: &'a Transaction) -> BoxFuture<'a, Result<(), EngineError>> {
        self.engine.may_commit(transaction)
    }

    fn watch<'a>(&'a self, prefix: &'a str, after: Revision) -> BoxFuture<'a, Result<Box<dyn Watch>, EngineError>> {
        self.engine.watch(prefix, after)
    }

    fn beneath(&self, key: &str) -> Result<Option<Entry>, EngineError> {
        self.engine.beneath(key)
    }

    fn own<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, EngineError>> {
        Box::pin(async move {
            self.pace().await;
            self.engine.own(key).await
        })
    }

    fn grant_lease(&self, lifetime: Duration) -> BoxFuture<'_, Result<LeaseId, EngineError>> {
        self.engine.grant_lease(lifetime)
    }

    fn keep_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<Lease, EngineError>> {
        self.engine.keep_lease(lease)
    }

    fn revoke_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), EngineError>> {
        self.engine.revoke_lease(lease)
    }
}

/// Reads of an embedded engine take microseconds; a commit takes a disk's milliseconds.
const CALLS_IN_A_ROW: usize = 16;
