//! Connections between messages: kept for the next one, bounded by number and age.

use super::Lmtp;
use super::hosts::HostAt;
use ports::Callee;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// By host. Hosts that are called no more are forgotten.
#[derive(Default)]
pub(super) struct Lines(Mutex<BTreeMap<(Callee, Whose), Arc<Line>>>);

/// Whose mail it is that goes to a host: what is in nobody's hand but ours must not wait for what strangers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    /// Of senders, who wait.
    Senders,
    /// Of a queue.
    Queue,
}

/// All connections to one host for one of these.
pub(super) struct Line {
    pub(super) whose: Whose,
    /// One for each transaction.
    pub(super) turns: Arc<Semaphore>,
    turn_count_max: usize,
    kept_count_max: usize,
    /// The longest unused first.
    kept: Mutex<VecDeque<Kept>>,
}

/// How many connections a host bears.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    senders: usize,
    queue: usize,
    kept: usize,
}

struct Kept {
    line: Called,
    since: Instant,
}

/// A connection, and since when it is one.
pub(super) struct Called {
    pub(super) call: Lmtp,
    pub(super) at: Instant,
}

impl Kept {
    fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= KEPT_SPAN_MAX
            || now.saturating_duration_since(self.line.at) >= CALLED_SPAN_MAX
    }
}

impl Lines {
    /// Those to a host.
    pub(super) fn to(&self, at: &HostAt, whose: Whose, now: Instant) -> Arc<Line> {
        let mut lines = lock(&self.0);
        let key = (at.callee.clone(), whose);
        if let Some(line) = lines.get(&key) {
            return Arc::clone(line);
        }
        // A node with another address is another entry: the old one goes when its connections have.
        lines.retain(|_, line| Arc::strong_count(line) > 1 || !line.is_forgotten(now));
        let bounds = at.kind.bounds();
        let turn_count_max = bounds.turns(whose);
        let turns = Arc::new(Semaphore::new(turn_count_max));
        let line = Arc::new(Line { whose, turns, turn_count_max, kept_count_max: bounds.kept, kept: Mutex::default() });
        lines.insert(key, Arc::clone(&line));
        line
    }

    /// Whether somebody has a transaction at this host, or begins one, beside the one who asks.
    pub(super) fn has_others(&self, callee: &Callee) -> bool {
        let lines = lock(&self.0);
        let of_it = lines.iter().filter(|((of, _), _)| of == callee).map(|(_, line)| line.turns_taken());
        of_it.sum::<usize>() > 1
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
    fn turns_taken(&self) -> usize {
        self.turn_count_max.saturating_sub(self.turns.available_permits())
    }

    /// The one that was used last: the others grow old and end.
    pub(super) fn take(&self, now: Instant) -> Option<Called> {
        let old = self.take_old(now);
        drop(old);
        lock(&self.kept).pop_back().map(|kept| kept.line)
    }

    /// Keeps a connection for the next message.
    pub(super) fn keep(&self, line: Called, now: Instant) {
        let too_many = {
            let mut kept = lock(&self.kept);
            kept.push_back(Kept { line, since: now });
            if kept.len() > self.kept_count_max { kept.pop_front() } else { None }
        };
        drop(too_many);
    }

    /// One was found dead: so are the others, since a host that goes lets go of all.
    pub(super) fn take_all(&self) -> Vec<Lmtp> {
        lock(&self.kept).drain(..).map(|kept| kept.line.call).collect()
    }

    fn take_old(&self, now: Instant) -> Vec<Lmtp> {
        let mut kept = lock(&self.kept);
        let (old, good): (VecDeque<_>, VecDeque<_>) = kept.drain(..).partition(|kept| kept.is_old(now));
        *kept = good;
        old.into_iter().map(|kept| kept.line.call).collect()
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        drop(self.take_old(now));
        lock(&self.kept).is_empty()
    }
}

impl Whose {
    /// How long a back-end may take for all answers behind the final dot.
    pub(super) const fn end_wait(self) -> Duration {
        match self {
            Self::Senders => SENDERS_END_WAIT,
            Self::Queue => QUEUE_END_WAIT,
        }
    }
}

impl Bounds {
    /// A busy relay has so many transactions with one node at once, and each connection that is not kept is a TLS handshake
    /// for the next message, which costs more than all the rest.
    pub(super) const NODE: Self = Self { senders: TURN_COUNT_MAX, queue: TURN_COUNT_MAX, kept: KEPT_COUNT_MAX };
    /// A Postfix takes 50 connections of one client (`smtpd_client_connection_count_limit`), a Dovecot has 100 processes
    /// for LMTP (`default_process_limit`), one for each connection, and may have several relays. Senders beyond wait a
    /// moment, then their mail does, in the queue.
    pub(super) const BACK_END: Self = Self { senders: BACK_END_SENDERS_MAX, queue: 10, kept: 5 };

    const fn turns(self, whose: Whose) -> usize {
        match whose {
            Whose::Senders => self.senders,
            Whose::Queue => self.queue,
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
/// Below what the relay waits for a store of another make (five minutes), or the answers that came would be lost with the wait.
pub(super) const SENDERS_END_WAIT: Duration = Duration::from_secs(4 * 60 + 50);
/// RFC 5321 §4.5.3.2.6; below what the relay's queue waits (eleven minutes).
pub(super) const QUEUE_END_WAIT: Duration = Duration::from_secs(10 * 60);
/// How long after its call one is used, however busy: the host's name may have another address by then.
pub(super) const CALLED_SPAN_MAX: Duration = Duration::from_secs(5 * 60);
/// See [`Bounds::BACK_END`].
pub(super) const BACK_END_SENDERS_MAX: usize = 40;
