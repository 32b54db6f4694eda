//! SIGTERM and SIGINT stop the program politely.

use net::Stopper;
use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// Drains at the first signal. Gives a stopper that cuts when its time is over.
pub fn stop_on_signals(stopper: Stopper) -> io::Result<Stopper> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let polite = stopper.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        polite.drain();
    });
    Ok(stopper)
}
