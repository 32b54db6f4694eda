//! The directory in a file: read at the start, and again when it changes.

use super::{Node, NodeError, register};
use crate::config::Config;
use directory::engine::Engine;
use files::{DirectoryFile, Look, Taken};
use net::Shutdown;
use std::path::Path;
use std::sync::{Arc, Mutex};
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

/// Why the file that is there is not the one that is served; nothing when it is.
#[derive(Clone, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<String>>>);

/// Looks at the file every second, and reads it on SIGHUP, on a thread that may wait for the disk.
pub(super) fn keep(mut file: DirectoryFile, node: &Node, shutdown: Shutdown) -> Result<(), NodeError> {
    let mut hangup = signal(SignalKind::hangup()).map_err(NodeError::Signal)?;
    let (clock, spawn) = (Arc::clone(&node.system.clock), Arc::clone(&node.system.spawn));
    let (trouble, config) = (node.trouble.clone(), node.config.clone());
    node.system.spawn.task(Box::pin(async move {
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
            trouble.tell(&look, same.path());
            if matches!(&look, Look::Taken(taken) if taken.changes > 0) {
                warn_of_missing(&same, &config).await;
            }
            file = same;
        }
    }));
    Ok(())
}

impl Trouble {
    pub(super) fn now(&self) -> Option<String> {
        self.0.lock().expect("no holder of this lock panics").clone()
    }

    fn tell(&self, look: &Look, path: &Path) {
        let now = match look {
            Look::Same => return,
            Look::Taken(taken) => {
                let (records, changes) = (taken.records, taken.changes);
                tracing::info!(file = %path.display(), records, changes, "the directory file was read again");
                warn_of(taken, path);
                None
            }
            Look::Kept(error) => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "the directory file is not taken; what was read before stays in service"
                );
                Some(error.to_string())
            }
        };
        *self.0.lock().expect("no holder of this lock panics") = now;
    }
}

/// A new file may have lost the stores that are open here: they go on, but nobody finds them.
async fn warn_of_missing(file: &DirectoryFile, config: &Config) {
    match register::missing(&file.engine(), config).await {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => {
            let path = file.path().display();
            tracing::warn!(file = %path, missing = missing.trim(), "the directory file does not name what this node runs");
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the stores of this node cannot be looked up");
        }
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
