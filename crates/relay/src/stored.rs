//! The proof without which there is no `250`.

use journal::Durable;
use mail_types::Lsn;
use ports::{Receipt, SHOWN_TEXT_OCTETS_MAX};
use smtp_proto::Refusal;
use std::fmt;

/// A message is on stable storage for all accounts that an answer speaks for: of every recipient (SMTP), or of one (LMTP).
///
/// The only way to one is through the outcomes of all of them, each with the proof of who has it.
#[derive(Debug)]
pub struct Stored {
    in_stores: Vec<Receipt>,
    in_queue: Vec<Durable<Lsn>>,
}

/// Who has a recipient's copy.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// Its store.
    Store(Receipt),
    /// The retry queue.
    Queue(Durable<Lsn>),
}

impl Proof {
    /// What the store's own server said to the end of the message, for log lines: its log has the same words.
    pub(crate) fn said(&self) -> Option<String> {
        match self {
            Self::Store(receipt) => said(receipt),
            Self::Queue(_) => None,
        }
    }
}

/// Likewise, in one line that can be read; nothing of a store in this process.
pub(crate) fn said(receipt: &Receipt) -> Option<String> {
    match receipt {
        Receipt::Here(_) => None,
        Receipt::There(accepted) => Some(accepted.reply().to_string().chars().take(SHOWN_TEXT_OCTETS_MAX).collect()),
    }
}

/// Why there is no [`Stored`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unproven {
    /// Nobody got it.
    Nobody(Refusal),
    /// Some did, and this is why others did not.
    Mixed { stored: usize, why: Refusal },
}

impl Stored {
    /// The proof, if `owed` accounts were promised the message and each of them has it.
    pub(crate) fn of(owed: usize, outcomes: Vec<Result<Proof, Refusal>>) -> Result<Self, Unproven> {
        let mut stored = Self { in_stores: Vec::with_capacity(outcomes.len()), in_queue: Vec::new() };
        let mut refusals = Vec::new();
        for outcome in outcomes {
            match outcome {
                Ok(Proof::Store(proof)) => stored.in_stores.push(proof),
                Ok(Proof::Queue(proof)) => stored.in_queue.push(proof),
                Err(refusal) => refusals.push(refusal),
            }
        }
        if refusals.is_empty() && stored.accounts() == owed && owed > 0 {
            return Ok(stored);
        }
        let why = worst(refusals);
        match stored.accounts() {
            0 => Err(Unproven::Nobody(why)),
            stored => Err(Unproven::Mixed { stored, why }),
        }
    }

    /// How many accounts have it, or will.
    pub fn accounts(&self) -> usize {
        self.in_stores.len() + self.in_queue.len()
    }

    /// For how many of them it waits in the queue.
    pub fn queued(&self) -> usize {
        self.in_queue.len()
    }
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody(why) => write!(f, "refused: {why}"),
            Self::Mixed { stored, why } => write!(f, "stored for {stored} only: {why}"),
        }
    }
}

impl Unproven {
    /// What the sender hears.
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::Nobody(why) => why.clone(),
            Self::Mixed { .. } => MIXED,
        }
    }
}

/// One answer for all: a temporary one if any is, so that nobody's mail bounces who might get it later.
pub(crate) fn worst(refusals: impl IntoIterator<Item = Refusal>) -> Refusal {
    let mut permanent = None;
    for refusal in refusals {
        if refusal.reply().code().is_transient() {
            return refusal;
        }
        permanent.get_or_insert(refusal);
    }
    permanent.unwrap_or(Refusal::TRY_LATER)
}

/// docs/decisions/0005-mixed-outcome.md: those who have it may get it again.
pub(crate) const MIXED: Refusal = Refusal::of(451, (4, 3, 0), "Stored for some recipients only, send it again");
