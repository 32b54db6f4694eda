//! A run on a thread of its own, so that neither a panic nor a store that blocks takes the others with it.

use crate::sim::run_here;
use crate::{Report, Violation};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Runs one seed, and tells what happens, line by line; gives what happened, or which promise broke.
pub fn run(seed: u64, tell: fn(&str)) -> Result<Report, Violation> {
    let (done, end) = channel();
    // Who blocks is left behind: the process ends without it.
    thread::spawn(move || done.send(run_here(seed, &tell)));
    match end.recv_timeout(HANGS_AFTER) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => Err(Violation(format!("a step has not ended after {HANGS_AFTER:?}"))),
        // The panic has said why, on standard error.
        Err(RecvTimeoutError::Disconnected) => Err(Violation("a panic".into())),
    }
}

/// A run takes a tenth of a second; this is for a machine that has much else to do.
const HANGS_AFTER: Duration = Duration::from_secs(60);
