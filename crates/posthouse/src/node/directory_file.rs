//! The directory in a file: read at the start, and again when it changes.

use super::{NodeError, System};
use directory::engine::Engine;
use files::{DirectoryFile, Look, Taken};
use net::Shutdown;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Reads the file; nothing else runs yet that would wait for it.
pub(super) fn open(path: &Path) -> Result<(DirectoryFile, Arc<dyn Engine>), NodeError> {
    let (file, taken) = DirectoryFile::open(path)?;
    tracing::info!(file = %path.display(), records = taken.records, "the directory file was read");
    warn_of(&taken, path);
    let engine = Arc::new(file.engine());
    Ok((file, engine))
}

/// Looks at the file every second, and reads it on SIGHUP, on a thread that may wait for the disk.
pub(super) fn keep(mut file: DirectoryFile, system: &System, shutdown: Shutdown) -> Result<(), NodeError> {
    let mut hangup = signal(SignalKind::hangup()).map_err(NodeError::Signal)?;
    let (clock, spawn) = (Arc::clone(&system.clock), Arc::clone(&system.spawn));
    system.spawn.task(Box::pin(async move {
        loop {
            let asked = tokio::select! {
                () = clock.sleep(LOOK_EVERY) => false,
                _ = hangup.recv() => true,
                () = shutdown.cut() => return,
            };
            let look = move || {
                let look = if asked { file.read_again() } else { file.look() };
                (file, look)
            };
            // None: the program stops.
            let Some((same, look)) = ports::blocking(&*spawn, look).await else { return };
            tell(&look, same.path());
            file = same;
        }
    }));
    Ok(())
}

fn tell(look: &Look, path: &Path) {
    match look {
        Look::Same => {}
        Look::Taken(taken) => {
            let (records, changes) = (taken.records, taken.changes);
            tracing::info!(file = %path.display(), records, changes, "the directory file was read again");
            warn_of(taken, path);
        }
        Look::Kept(error) => tracing::error!(
            error = error as &dyn std::error::Error,
            "the directory file is not taken; what was read before stays in service"
        ),
    }
}

fn warn_of(taken: &Taken, path: &Path) {
    if taken.exposed {
        tracing::warn!(file = %path.display(), "everybody may read the directory file, and it holds password hashes");
    }
    if let Some(strange) = &taken.strange {
        let (line, count) = (strange.line, strange.count);
        tracing::warn!(file = %path.display(), line, key = %strange.key, count, "keys of no kind that is known are ignored");
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(1);
