//! SIGTERM and SIGINT stop the program politely; SIGHUP has the configuration read again.

use crate::reload::Reloader;
use crate::systemd::Manager;
use net::Stopper;
use std::io;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals of this process, from now on ours.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    stopper: Stopper,
    manager: Arc<Manager>,
}

impl Signals {
    pub(crate) fn new(stopper: Stopper, manager: &Arc<Manager>) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            stopper,
            manager: Arc::clone(manager),
        })
    }

    /// Obeys them. Gives the stopper to whoever cuts when the time for good-byes is over.
    pub(crate) fn watch(self, reloader: Reloader) -> Stopper {
        let stopper = self.stopper.clone();
        tokio::spawn(self.obey(reloader));
        stopper
    }

    async fn obey(mut self, mut reloader: Reloader) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                _ = self.hangup.recv() => {
                    self.manager.reloading();
                    reloader.reload();
                    self.manager.ready();
                }
            }
        }
        self.manager.stopping();
        self.stopper.drain();
        // Who asks a second time does not want to wait for sessions to end.
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::warn!("told to stop again: sessions that are left are cut");
        self.stopper.cut();
    }
}
