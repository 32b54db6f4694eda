//! Connections between messages: kept for the next one, bounded by number and age.

use super::Lmtp;
use crate::breaker::Breaker;
use ports::{Callee, Clock};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// By node. Nodes that are called no more are forgotten.
#[derive(Default)]
pub(super) struct Lines(Mutex<BTreeMap<(Callee, Whose), Arc<Line>>>);

/// Whose mail it is that goes to a node: what is in nobody's hand but ours must not wait for what strangers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    /// Of senders, who wait.
    Senders,
    /// Of a queue.
    Queue,
}

/// All connections to one node for one of these.
pub(super) struct Line {
    pub(super) whose: Whose,
    /// One for each transaction.
    pub(super) turns: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    breaker: Breaker,
    /// The longest unused first.
    kept: VecDeque<Kept>,
}

struct Kept {
    call: Lmtp,
    since: Instant,
}

/// A call under way; dropped, it was given up.
pub(super) struct Attempt<'l> {
    line: &'l Line,
    clock: Arc<dyn Clock>,
    began: Instant,
    told: bool,
}

impl Lines {
    /// Those to a node.
    pub(super) fn to(&self, callee: &Callee, whose: Whose, now: Instant) -> Arc<Line> {
        let mut lines = lock(&self.0);
        let key = (callee.clone(), whose);
        if let Some(line) = lines.get(&key) {
            return Arc::clone(line);
        }
        // A node with another address is another entry: the old one goes when its connections have.
        lines.retain(|_, line| Arc::strong_count(line) > 1 || !line.is_forgotten(now));
        let turns = Arc::new(Semaphore::new(TURN_COUNT_MAX));
        let line = Arc::new(Line { whose, turns, state: Mutex::default() });
        lines.insert(key, Arc::clone(&line));
        line
    }

    /// Those that nobody has used for long.
    pub(super) fn take_old(&self, now: Instant) -> Vec<Lmtp> {
        self.all().iter().flat_map(|line| line.take_old(now)).collect()
    }

    /// All that are kept.
    pub(super) fn take_all(&self) -> Vec<Lmtp> {
        self.all().iter().flat_map(|line| line.take_all()).collect()
    }

    fn all(&self) -> Vec<Arc<Line>> {
        lock(&self.0).values().cloned().collect()
    }
}

impl Line {
    /// The one that was used last: the others grow old and end.
    pub(super) fn take(&self, now: Instant) -> Option<Lmtp> {
        let old = self.take_old(now);
        drop(old);
        lock(&self.state).kept.pop_back().map(|kept| kept.call)
    }

    /// Keeps a connection for the next message.
    pub(super) fn keep(&self, call: Lmtp, now: Instant) {
        let too_many = {
            let mut state = lock(&self.state);
            state.kept.push_back(Kept { call, since: now });
            if state.kept.len() > KEPT_COUNT_MAX { state.kept.pop_front() } else { None }
        };
        drop(too_many);
    }

    /// One was found dead: so are the others, since a node that goes lets go of all.
    pub(super) fn take_all(&self) -> Vec<Lmtp> {
        lock(&self.state).kept.drain(..).map(|kept| kept.call).collect()
    }

    /// Leave to call; the node may have failed just now.
    pub(super) fn attempt(&self, clock: Arc<dyn Clock>) -> Option<Attempt<'_>> {
        let began = clock.instant();
        let may = lock(&self.state).breaker.may_call(began);
        may.then_some(Attempt { line: self, clock, began, told: false })
    }

    fn take_old(&self, now: Instant) -> Vec<Lmtp> {
        let mut state = lock(&self.state);
        let is_old = |kept: &Kept| now.saturating_duration_since(kept.since) >= KEPT_SPAN_MAX;
        let count = state.kept.iter().take_while(|kept| is_old(kept)).count();
        state.kept.drain(..count).map(|kept| kept.call).collect()
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        drop(self.take_old(now));
        let state = lock(&self.state);
        state.kept.is_empty() && state.breaker.is_closed()
    }
}

impl Attempt<'_> {
    pub(super) fn succeeded(mut self) {
        self.told = true;
        lock(&self.line.state).breaker.succeeded();
    }

    pub(super) fn failed(mut self) {
        self.told = true;
        lock(&self.line.state).breaker.failed(self.clock.instant());
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.told {
            lock(&self.line.state).breaker.given_up(self.began, self.clock.instant());
        }
    }
}

/// Nobody panics with these locks; who did would have left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Transactions with one node at a time, of senders and again of a queue. A sender's lasts as long as he takes, so a few slow ones
/// must not use them up; a queue has one with each store of the node, however many those are.
pub(super) const TURN_COUNT_MAX: usize = 1_000;
/// Connections to one node that wait for a message: as many as a busy relay has transactions with it at once, or each message beyond
/// calls anew, and the TLS handshakes cost more than all the rest. A lull ends them by age.
pub(super) const KEPT_COUNT_MAX: usize = 256;
/// How long they wait: well below what a server gives a client (smtp_proto::limits::COMMAND_TIMEOUT).
pub(super) const KEPT_SPAN_MAX: Duration = Duration::from_secs(30);
