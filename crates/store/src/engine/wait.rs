//! Waiting until a change is durable and applied.

use journal::Durable;
use mail_types::Lsn;
use std::sync::Mutex;
use tokio::sync::oneshot;

/// The store stops: nothing more becomes durable in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store stopped before the change was durable")]
pub struct Stopped;

/// Who waits for which LSN.
#[derive(Default)]
pub(crate) struct Waiters {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    applied: Option<Durable<Lsn>>,
    waiting: Vec<(Lsn, oneshot::Sender<Durable<Lsn>>)>,
    stopped: bool,
}

impl Waiters {
    /// Completes when `lsn` is durable and its record applied. The proof covers it and all before it.
    pub(crate) async fn applied(&self, lsn: Lsn) -> Result<Durable<Lsn>, Stopped> {
        let receiver = {
            let mut state = self.state.lock().expect("no holder of this lock panics");
            match &state.applied {
                Some(proof) if *proof.get() >= lsn => return Ok(*proof),
                _ if state.stopped => return Err(Stopped),
                _ => {}
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.push((lsn, sender));
            receiver
        };
        receiver.await.map_err(|_| Stopped)
    }

    /// Everything up to the proof's LSN is applied: wakes those who wait for it.
    pub(crate) fn advance(&self, proof: &Durable<Lsn>) {
        let ready = {
            let mut state = self.state.lock().expect("no holder of this lock panics");
            state.applied = Some(*proof);
            let all = std::mem::take(&mut state.waiting);
            let (ready, waiting): (Vec<_>, Vec<_>) = all.into_iter().partition(|(lsn, _)| lsn <= proof.get());
            state.waiting = waiting;
            ready
        };
        // Woken outside the lock, so that they do not run into it.
        for (_, sender) in ready {
            let _ = sender.send(*proof);
        }
    }

    /// Nothing more will come: whoever waits learns it.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock().expect("no holder of this lock panics");
        state.stopped = true;
        state.waiting.clear();
    }
}
