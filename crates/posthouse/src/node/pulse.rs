//! Whether a node is alive, for who would start it again if it is not.

use super::Node;
use mail_types::Lsn;
use ports::{Clock, Spawn};
use relay::RetryQueue;
use std::sync::Arc;
use std::time::Duration;
use store::Store;

/// Feels the pulse of a node's threads: of the runtime by running at all, of the pool by a piece of work, of those who
/// write and apply the journals by what they have done since the last time.
pub struct Pulse {
    spawn: Arc<dyn Spawn>,
    clock: Arc<dyn Clock>,
    journals: Vec<Watched>,
}

/// A journal and the threads behind it.
struct Watched {
    name: String,
    ask: Box<dyn Fn() -> Progress + Send + Sync>,
    before: Progress,
}

/// How far a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    /// The last record that was appended.
    appended: Lsn,
    /// The last one that is durable and applied.
    applied: Lsn,
}

impl Pulse {
    pub(super) fn of(node: &Node) -> Self {
        let stores = node.local.iter().map(|store| watch_store(Arc::clone(store)));
        let queue = node.queue.iter().map(|queue| watch_queue(Arc::clone(queue)));
        let (spawn, clock) = (Arc::clone(&node.system.spawn), Arc::clone(&node.system.clock));
        Self { spawn, clock, journals: stores.chain(queue).collect() }
    }

    /// Nothing if everybody is alive; else who is not.
    pub async fn missing(&mut self) -> Option<String> {
        let answers = ports::blocking(&*self.spawn, || ());
        let in_time = tokio::select! {
            answer = answers => answer.is_some(),
            () = self.clock.sleep(POOL_SPAN_MAX) => false,
        };
        if !in_time {
            return Some("the pool of threads does not answer".to_owned());
        }
        // All are looked at, so that each is compared with the last time.
        let stuck: Vec<&str> = self.journals.iter_mut().filter_map(Watched::is_stuck).collect();
        (!stuck.is_empty()).then(|| format!("no progress in {}", stuck.join(", ")))
    }
}

impl Watched {
    fn new(name: String, ask: impl Fn() -> Progress + Send + Sync + 'static) -> Self {
        let before = ask();
        Self { name, ask: Box::new(ask), before }
    }

    /// Its name, if what waited the last time still waits and nothing has moved since.
    fn is_stuck(&mut self) -> Option<&str> {
        let now = (self.ask)();
        let before = std::mem::replace(&mut self.before, now);
        (!now.is_alive(before)).then_some(self.name.as_str())
    }
}

impl Progress {
    fn is_alive(self, before: Self) -> bool {
        self.applied >= before.appended || self.applied > before.applied
    }
}

fn watch_store(store: Arc<Store>) -> Watched {
    Watched::new(format!("store {}", store.name()), move || {
        // In this order: what is appended between the two looks is not missed.
        let applied = store.applied();
        Progress { appended: store.appended(), applied }
    })
}

fn watch_queue(queue: Arc<RetryQueue>) -> Watched {
    Watched::new("the retry queue".to_owned(), move || {
        let applied = queue.applied_lsn();
        Progress { appended: queue.appended(), applied }
    })
}

/// The pool is never this busy: it hashes passwords and reads from disks.
const POOL_SPAN_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn at(appended: u64, applied: u64) -> Progress {
        Progress { appended: Lsn::new(appended), applied: Lsn::new(applied) }
    }

    #[test]
    fn who_has_work_and_does_none_is_stuck() {
        let now = Arc::new(Mutex::new(at(5, 5)));
        let told = Arc::clone(&now);
        let mut watched = Watched::new("store s".to_owned(), move || *told.lock().expect("no panic"));
        let mut look = |progress| {
            *now.lock().expect("no panic") = progress;
            watched.is_stuck().map(str::to_owned)
        };
        assert_eq!(look(at(5, 5)), None, "idle");
        assert_eq!(look(at(9, 5)), None, "the work has just come");
        assert_eq!(look(at(12, 6)), None, "it moves");
        assert_eq!(look(at(12, 6)), Some("store s".to_owned()));
        assert_eq!(look(at(30, 12)), None, "it was only slow");
        assert_eq!(look(at(31, 30)), None);
    }
}
