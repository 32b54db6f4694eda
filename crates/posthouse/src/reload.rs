//! SIGHUP: the configuration is read again, and what can change while sessions run does.

use crate::config::{BackendProof, Config, Problems};
use crate::log::Level;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// Reads a node's configuration again.
pub(crate) struct Reloader {
    file: PathBuf,
    /// What the node was started with: all that cannot change is still so.
    started: Arc<Config>,
    /// What holds now, for whoever follows it.
    settings: watch::Sender<Arc<Config>>,
    level: Level,
}

impl Reloader {
    /// For a node that was started with the configuration in `file`.
    pub(crate) fn new(file: PathBuf, settings: watch::Sender<Arc<Config>>, level: Level) -> Self {
        let started = settings.borrow().clone();
        Self { file, started, settings, level }
    }

    /// Reads it. With a mistake anywhere nothing changes.
    pub(crate) fn reload(&mut self) {
        let new = match Config::load(&self.file) {
            Ok(new) => new,
            Err(problems) => return refuse(&problems),
        };
        let (_, pending) = self.started.changed_keys(&new);
        let (changed, _) = self.settings.borrow().changed_keys(&new);
        new.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        self.certificates(&new);
        if !pending.iter().any(|key| key.starts_with("backend[")) {
            self.back_ends(&new);
        }
        self.level.set(&new.log);
        tracing::info!(file = %self.file.display(), changed = changed.join(", "), "the configuration was read again");
        tracing::debug!(level = new.log.level, "log lines are written from this level on");
        if !pending.is_empty() {
            let keys = pending.join(", ");
            tracing::warn!(keys, "these keys differ from those that the node was started with, and wait for a restart");
        }
        self.settings.send_replace(Arc::new(self.started.with_live_of(&new)));
    }

    /// Sessions that are there keep their keys; new ones get the new certificates. The files may have changed although
    /// their names have not.
    fn certificates(&self, new: &Config) {
        if let Some(cluster) = &self.started.cluster
            && let Err(error) = cluster.tls.reload()
        {
            tracing::error!(error = &error as &dyn Error, "what nodes know each other by stays as it was");
        }
        let (Some(ours), Some(new)) = (&self.started.tls, &new.tls) else { return };
        for (server, clients) in [(&ours.server, None), (&ours.front, new.clients.as_ref())] {
            if let Err(error) = server.reload(&new.first, &new.others, clients) {
                tracing::error!(error = &error as &dyn Error, "the certificates stay as they were");
            }
        }
    }

    /// The sections are those of the start; what their files hold may be new.
    fn back_ends(&self, new: &Config) {
        for (ours, fresh) in self.started.backends.iter().zip(&new.backends) {
            if let (BackendProof::Told(ours), BackendProof::Told(fresh)) = (&ours.proof, &fresh.proof) {
                ours.follow(fresh);
            }
        }
    }
}

fn refuse(problems: &Problems) {
    for problem in problems.to_string().lines() {
        tracing::error!("{problem}");
    }
    tracing::error!("the configuration has mistakes: the node goes on with what it has");
}
