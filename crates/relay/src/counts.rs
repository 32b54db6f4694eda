//! What a relay has done since its start: for who watches it.

use crate::stored::{Stored, Unproven};
use smtp_proto::Refusal;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a relay. Cheap to count, read at leisure.
#[derive(Debug, Default)]
pub struct Counts {
    messages: [Tally; Outcome::ALL.len()],
    recipients: [AtomicU64; Outcome::ALL.len()],
}

/// What became of a message, or of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Taken: on stable storage in the stores of all recipients (a recipient: accepted).
    Stored,
    /// Taken: for some recipients in the retry queue.
    Queued,
    /// Answered 4xx: its sender tries again.
    Deferred,
    /// Answered 5xx.
    Refused,
}

#[derive(Debug, Default)]
struct Tally {
    messages: AtomicU64,
    octets: AtomicU64,
}

impl Counts {
    /// How many messages ended so, and how many octets they had.
    pub fn messages(&self, outcome: Outcome) -> (u64, u64) {
        let tally = self.messages.get(outcome as usize);
        tally.map_or((0, 0), |tally| (tally.messages.load(Ordering::Relaxed), tally.octets.load(Ordering::Relaxed)))
    }

    /// How many recipients were answered so; none is `Queued`.
    pub fn recipients(&self, outcome: Outcome) -> u64 {
        self.recipients.get(outcome as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn message(&self, outcome: Outcome, octets: u64) {
        if let Some(tally) = self.messages.get(outcome as usize) {
            tally.messages.fetch_add(1, Ordering::Relaxed);
            tally.octets.fetch_add(octets, Ordering::Relaxed);
        }
    }

    pub(crate) fn recipient(&self, outcome: Outcome) {
        if let Some(count) = self.recipients.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stored, Self::Queued, Self::Deferred, Self::Refused];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Queued => "queued",
            Self::Deferred => "deferred",
            Self::Refused => "refused",
        }
    }

    /// Of a message: the answers to its recipients, or the one to all. Taken for any of them, it counts as taken.
    pub(crate) fn of_all(answers: &[Result<Stored, Unproven>]) -> Self {
        let queued: usize = answers.iter().flatten().map(Stored::queued).sum();
        let refusal = answers.iter().filter_map(|answer| answer.as_ref().err()).next();
        match refusal {
            _ if queued > 0 => Self::Queued,
            Some(unproven) if answers.iter().all(Result::is_err) => Self::of(&unproven.refusal()),
            Some(_) | None => Self::Stored,
        }
    }

    pub(crate) fn of(refusal: &Refusal) -> Self {
        if refusal.reply().code().is_transient() { Self::Deferred } else { Self::Refused }
    }
}
