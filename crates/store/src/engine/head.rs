//! Heads: the counters of the accounts in use, ahead of what has been applied.
//!
//! A change is decided and given its LSN under the lock of its account's head, so the orders of LSNs, UIDs and MODSEQs
//! agree; the lock is gone before the fsync, so the deliveries of one account share groups like everybody's.

use mail_types::{AccountId, DeliveryId, Lsn, MailboxId, ModSeq, SeededMap, Uid, UidValidity};
use std::sync::{Arc, Mutex, MutexGuard};

/// The heads of a store, spread over locks.
pub(crate) struct Heads {
    slots: Vec<Mutex<SeededMap<AccountId, Arc<Slot>>>>,
}

/// One account's head.
pub(crate) struct Slot {
    head: Mutex<Head>,
    /// Held by every change but deliveries and appends, which first waits for the one before it: what those decide on
    /// (flags, names, which messages there are) must not be in flight.
    pub(crate) change: tokio::sync::Mutex<()>,
}

/// Counters that include what is in flight.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// Whether the rows have been read.
    pub(crate) loaded: bool,
    /// What the account has; none while it does not exist here.
    pub(crate) account: Option<Counters>,
    /// The LSN of the last change given.
    pub(crate) last: Lsn,
    /// The LSN of the last change but deliveries and appends: the next one is decided when it is applied.
    pub(crate) decided: Lsn,
    /// Delivery ids in flight.
    pub(crate) deliveries: Vec<(Lsn, DeliveryId)>,
}

/// What decisions about an account draw numbers from.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    pub(crate) modseq: ModSeq,
    pub(crate) mailbox_next: u32,
    pub(crate) uid_validity_next: UidValidity,
    pub(crate) messages: u64,
    pub(crate) octets: u64,
    /// UIDNEXT of the mailboxes met so far; `None` for one that is gone.
    pub(crate) mailboxes: Vec<(MailboxId, Option<Uid>)>,
}

impl Heads {
    pub(crate) fn new(seed: u64) -> Self {
        Self { slots: (0..LOCK_COUNT).map(|_| Mutex::new(SeededMap::new(seed))).collect() }
    }

    /// The slot of an account, empty when nobody used it lately. `applied` tells which heads have nothing in flight.
    pub(crate) fn slot(&self, account: AccountId, applied: Lsn) -> Arc<Slot> {
        let at = usize::from(account.as_bytes()[15]) % self.slots.len();
        let lock = self.slots.get(at).expect("a remainder indexes its modulus");
        let mut map = lock.lock().expect("no holder of this lock panics");
        if let Some(slot) = map.get(&account) {
            return Arc::clone(slot);
        }
        if map.len() >= HEADS_PER_LOCK_MAX {
            // A head may go when nobody holds it and nothing of it is in flight: the rows say the same then.
            map.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.lock().last > applied);
        }
        let slot = Arc::new(Slot { head: Mutex::default(), change: tokio::sync::Mutex::new(()) });
        map.insert(account, Arc::clone(&slot));
        slot
    }
}

impl Slot {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Head> {
        self.head.lock().expect("no holder of this lock panics")
    }
}

impl Head {
    /// Notes that a change got an LSN, and forgets deliveries that have been applied.
    pub(crate) fn given(&mut self, lsn: Lsn, applied: Lsn) {
        self.last = self.last.max(lsn);
        self.deliveries.retain(|(at, _)| *at > applied);
    }
}

impl Counters {
    /// The next MODSEQ of the account.
    pub(crate) fn next_modseq(&mut self) -> ModSeq {
        self.modseq = self.modseq.next().expect("2^64 changes are out of reach");
        self.modseq
    }

    /// UIDNEXT of a mailbox, when the head knows the mailbox.
    pub(crate) fn mailbox(&mut self, mailbox: MailboxId) -> Option<&mut Option<Uid>> {
        self.mailboxes.iter_mut().find(|(id, _)| *id == mailbox).map(|(_, next)| next)
    }
}

const LOCK_COUNT: usize = 64;
/// About 64,000 accounts in use at once keep their heads.
const HEADS_PER_LOCK_MAX: usize = 1_000;
