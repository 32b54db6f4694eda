//! SIGTERM and SIGINT stop the program politely; SIGHUP reads the certificate again.

use crate::config::{Config, Tls};
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
    tls: Option<Tls>,
    stopper: Stopper,
    manager: Arc<Manager>,
}

impl Signals {
    pub(crate) fn new(stopper: Stopper, config: &Config, manager: &Arc<Manager>) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            tls: config.tls.clone(),
            stopper,
            manager: Arc::clone(manager),
        })
    }

    /// Obeys them. Gives the stopper to whoever cuts when the time for good-byes is over.
    pub(crate) fn watch(self) -> Stopper {
        let stopper = self.stopper.clone();
        tokio::spawn(self.obey());
        stopper
    }

    async fn obey(mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                _ = self.hangup.recv() => {
                    self.manager.reloading();
                    self.reload();
                    self.manager.ready();
                }
            }
        }
        self.manager.stopping();
        self.stopper.drain();
    }

    /// Sessions that are there keep their keys; new ones get the new certificate.
    fn reload(&self) {
        let Some(tls) = &self.tls else { return };
        match tls.server.reload(&tls.certificate, &tls.key) {
            Ok(()) => tracing::info!(certificate = %tls.certificate.display(), "certificate read again"),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the certificate stays as it was");
            }
        }
    }
}
