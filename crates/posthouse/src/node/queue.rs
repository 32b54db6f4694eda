//! The relay's retry queue on a real disk.

use super::{NodeError, System, folder};
use disk::RealDisk;
use relay::{QueueError, QueueWorld, RetryQueue};
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

/// Only recovery mends this: the process ends at once, without destructors that might write.
fn stop(why: &str) {
    tracing::error!(why, "the retry queue cannot go on; the process ends and recovers at its next start");
    std::process::abort();
}

/// Two of them are on the disk even of an empty queue.
const SEGMENT_OCTETS: u64 = 16 << 20;
