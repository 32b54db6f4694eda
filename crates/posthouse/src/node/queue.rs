//! The relay's retry queue on a real disk.

use super::{NodeError, System, folder};
use admin::{MailQueue, QueueFacts, QueueRefusal, QueuedJson, QueuedRecipientJson};
use disk::RealDisk;
use mail_types::{DeliveryId, Lsn, ReversePath, UnixTime};
use ports::BoxFuture;
use relay::{
    OrderError, QueueEntry, QueueError, QueueId, QueueOrder, QueueState, QueueWaiting, QueueWorld, RetryQueue,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the queue does not open.
#[derive(Debug, thiserror::Error)]
pub enum QueueStartError {
    /// Its folder.
    #[error("retry queue: cannot open the folder {}", path.display())]
    Disk {
        /// Which folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Recovery.
    #[error("retry queue in {}: recovery failed", path.display())]
    Open {
        /// Which folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: QueueError,
    },
}

/// Opens the queue, and recovers what a crash left.
pub(super) fn open(path: &Path, system: &System) -> Result<Arc<RetryQueue>, NodeError> {
    folder(path)?;
    let owned = path.to_owned();
    let disk = RealDisk::open_locked(path).map_err(|source| QueueStartError::Disk { path: owned.clone(), source })?;
    let config = journal::Config {
        dir: "segments".into(),
        segment_octets: SEGMENT_OCTETS,
        pending_octets_max: SEGMENT_OCTETS,
        ..journal::Config::default()
    };
    let world = QueueWorld {
        disk: Arc::new(disk),
        clock: Arc::clone(&system.clock),
        random: Arc::clone(&system.random),
        fatal: Arc::new(stop),
    };
    let opened = RetryQueue::open(&config, world);
    Ok(Arc::new(opened.map_err(|source| QueueStartError::Open { path: owned, source })?))
}

/// The queue, as commands see it.
pub(super) struct QueueHere(pub(super) Arc<RetryQueue>);

impl MailQueue for QueueHere {
    fn entries_after(&self, entry: u64, count_max: usize) -> Vec<QueuedJson> {
        let entries = self.0.entries_after(QueueId::new(Lsn::new(entry)), count_max);
        entries.iter().map(|(id, entry)| shown(*id, entry)).collect()
    }

    fn message(&self, id: DeliveryId) -> Option<QueuedJson> {
        let mut entries = self.0.message(id).into_iter().map(|(id, entry)| shown(id, &entry));
        let first = entries.next()?;
        Some(entries.fold(first, |mut whole, part| {
            whole.recipients.extend(part.recipients);
            whole.next = whole.next.into_iter().chain(part.next).min();
            whole.held |= part.held;
            whole
        }))
    }

    fn order(&self, id: DeliveryId, order: admin::QueueOrder) -> BoxFuture<'_, Result<(), QueueRefusal>> {
        let order = match order {
            admin::QueueOrder::Retry => QueueOrder::Retry,
            admin::QueueOrder::Hold => QueueOrder::Hold,
            admin::QueueOrder::Release => QueueOrder::Release,
            admin::QueueOrder::Remove => QueueOrder::Remove,
        };
        Box::pin(async move {
            let refusal = |error: OrderError| match error {
                OrderError::Gone(_) => QueueRefusal::Gone(error.to_string()),
                OrderError::Held(_) | OrderError::NotHeld(_) => QueueRefusal::Conflict(error.to_string()),
                OrderError::NotWritten(_) => QueueRefusal::Temporary(error.to_string()),
            };
            self.0.order(id, order).await.map(drop).map_err(refusal)
        })
    }
}

/// How much waits.
pub(super) fn facts(queue: &RetryQueue) -> QueueFacts {
    let count = queue.count();
    QueueFacts {
        messages: count.messages,
        recipients: count.recipients,
        held: count.held,
        oldest: count.oldest.map(UnixTime::secs),
    }
}

fn shown(id: QueueId, entry: &QueueEntry) -> QueuedJson {
    let held = entry.state == QueueState::Held;
    let recipient = |waiting: &QueueWaiting| QueuedRecipientJson {
        recipient: waiting.recipient.recipient.to_string(),
        address: waiting.recipient.address.to_string(),
        store: waiting.recipient.store.to_string(),
        attempts: waiting.attempts,
        next: waiting.again.secs(),
        refused: waiting.failed.as_deref().map(str::to_owned),
    };
    QueuedJson {
        id: entry.id.to_string(),
        entry: id.lsn().number(),
        from: match &entry.from {
            ReversePath::Null => "<>".to_owned(),
            ReversePath::Address(address) => address.to_string(),
        },
        octets: entry.body.octets,
        queued: entry.since.map(UnixTime::secs),
        held,
        next: entry.again().filter(|_| !held).map(UnixTime::secs),
        recipients: entry.waiting.iter().map(recipient).collect(),
    }
}

/// Only recovery mends this: the process ends at once, without destructors that might write.
fn stop(why: &str) {
    tracing::error!(why, "the retry queue cannot go on; the process ends and recovers at its next start");
    std::process::abort();
}

/// Two of them are on the disk even of an empty queue.
const SEGMENT_OCTETS: u64 = 16 << 20;
