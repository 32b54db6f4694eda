//! The engine over the records that were read last.

use super::{Held, Records, Secrets};
use crate::engine::{
    BoxFuture, Change, Changes, Commit, Engine, EngineError, Entry, Lease, LeaseId, Page, Range, Revision, Transaction,
    Watch, ready,
};
use crate::key::SECRET_PREFIX;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// A read-only engine over the records of a file. Clones share them.
#[derive(Clone)]
pub struct FileEngine {
    shared: Arc<Shared>,
}

struct Shared {
    kept_in: String,
    state: Mutex<State>,
    /// Held by who compares new records with those that are served, which takes a while.
    replacing: Mutex<()>,
}

struct State {
    records: Arc<Records>,
    revision: Revision,
    history: VecDeque<Change>,
    /// Changes up to here are not in `history`.
    compacted: Revision,
    waiting: Vec<Waker>,
}

struct FileWatch {
    engine: FileEngine,
    prefix: String,
    after: Revision,
}

/// What new records brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// How many records were added, changed or taken away.
    pub changes: usize,
    /// As of which revision they are served.
    pub revision: Revision,
}

/// What served records leave behind. It may be long to drop, and those who read wait for none of it.
pub(crate) struct Remains {
    _records: Arc<Records>,
    _changes: Vec<Differing>,
}

/// Records that may be served next, and how they differ from those that are.
#[derive(Debug)]
pub(crate) struct Compared {
    records: Records,
    changes: Vec<Differing>,
    /// How many there are; of the first records of all, more than that are counted only.
    count: usize,
    differs: bool,
    /// Since when those are served that they were compared with.
    revision: Revision,
}

/// A record that is another now. There may be millions, so it shares their texts.
#[derive(Debug)]
pub(crate) enum Differing {
    /// It is new, or has another value.
    Put(Held),
    /// It is gone.
    Gone(Arc<str>),
}

impl Differing {
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Put(Held { key, .. }) | Self::Gone(key) => key,
        }
    }

    /// The entry as it will be, if it is not gone.
    pub(crate) fn entry(&self) -> Option<Entry> {
        match self {
            Self::Put(held) => Some(held.entry()),
            Self::Gone(_) => None,
        }
    }

    fn change(&self, revision: Revision) -> Change {
        match self {
            Self::Put(held) => Change::Put(held.entry()),
            Self::Gone(key) => Change::Delete { key: key.to_string(), revision },
        }
    }
}

impl Compared {
    /// What differs, in the order of keys.
    pub(crate) fn changes(&self) -> &[Differing] {
        &self.changes
    }

    /// The entry of a key, as it will be.
    pub(crate) fn read(&self, key: &str) -> Option<Entry> {
        self.records.find(key).map(Held::entry)
    }
}

impl Records {
    fn find(&self, key: &str) -> Option<&Held> {
        let at = self.held.binary_search_by(|held| (*held.key).cmp(key)).ok()?;
        self.held.get(at)
    }
}

impl FileEngine {
    /// Serves these records. `kept_in` tells operators where they come from.
    pub fn new(kept_in: impl Into<String>, mut records: Records) -> Self {
        let revision = Revision::ZERO.next();
        records.held.iter_mut().for_each(|held| held.revision = revision);
        let state = State {
            records: Arc::new(records),
            revision,
            history: VecDeque::new(),
            compacted: revision,
            waiting: Vec::new(),
        };
        let shared = Shared { kept_in: kept_in.into(), state: Mutex::new(state), replacing: Mutex::new(()) };
        Self { shared: Arc::new(shared) }
    }

    /// Serves these records from now on; what differs is one commit. The comparison takes as long as reading did: call
    /// it where that holds up nobody.
    pub fn replace(&self, records: Records) -> Replaced {
        let _one_at_a_time = self.shared.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        // Of so many, nobody is told one by one.
        let is_first = records.len() > HISTORY_CHANGES_MAX && self.now().0.is_empty();
        let compared = if is_first { self.uncompared(records) } else { self.compare(records) };
        let (replaced, _) = self.serve(compared);
        replaced
    }

    /// The first records of all: every one of them is new.
    fn uncompared(&self, mut records: Records) -> Compared {
        let (_, revision) = self.now();
        records.held.iter_mut().for_each(|held| held.revision = revision.next());
        Compared { count: records.len(), records, changes: Vec::new(), differs: true, revision }
    }

    /// Compares records with those that are served; this is what takes long. Whoever compares lets nobody else replace
    /// them until these are served.
    pub(crate) fn compare(&self, mut records: Records) -> Compared {
        let (old, revision) = self.now();
        let changes = compare(&old.held, &mut records.held, revision.next());
        let count = changes.len();
        let differs = count > 0 || records.secrets != old.secrets;
        Compared { records, changes, count, differs, revision }
    }

    /// Serves what was compared, and gives what nobody needs any more.
    pub(crate) fn serve(&self, compared: Compared) -> (Replaced, Remains) {
        let Compared { records, changes, count, differs, revision } = compared;
        if !differs {
            return (Replaced { changes: 0, revision }, Remains { _records: Arc::new(records), _changes: changes });
        }
        let next = revision.next();
        let records = Arc::new(records);
        let (waiting, remains) = {
            let mut state = self.lock();
            let old = std::mem::replace(&mut state.records, records);
            state.revision = next;
            state.remember(count, &changes);
            (std::mem::take(&mut state.waiting), Remains { _records: old, _changes: changes })
        };
        waiting.into_iter().for_each(Waker::wake);
        (Replaced { changes: count, revision: next }, remains)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of ours panics while it holds this lock half-way through a change.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records as they are, and since when.
    fn now(&self) -> (Arc<Records>, Revision) {
        let state = self.lock();
        (Arc::clone(&state.records), state.revision)
    }

    /// The entry of a key.
    pub(crate) fn read(&self, key: &str) -> Result<Option<Entry>, EngineError> {
        let (records, _) = self.now();
        self.refuse_left_out(&records, key)?;
        Ok(records.find(key).map(Held::entry))
    }

    /// Some entries in order.
    pub(crate) fn page(&self, range: Range<'_>) -> Result<Page, EngineError> {
        let (records, revision) = self.now();
        self.refuse_left_out(&records, range.prefix)?;
        let first = records
            .held
            .partition_point(|held| *held.key < *range.prefix || range.after.is_some_and(|after| *held.key <= *after));
        let rest = records.held.get(first..).unwrap_or_default().iter();
        let mut rest = rest.take_while(|held| held.key.starts_with(range.prefix));
        let entries: Vec<_> = rest.by_ref().take(range.limit.max(1)).map(Held::entry).collect();
        Ok(Page { entries, more: rest.next().is_some(), revision })
    }

    /// Nobody has no password because a file was made without them.
    fn refuse_left_out(&self, records: &Records, key: &str) -> Result<(), EngineError> {
        if records.secrets == Secrets::LeftOut && key.starts_with(SECRET_PREFIX) {
            let why = format!("{} was made without password hashes", self.shared.kept_in);
            return Err(EngineError::Unavailable { why, source: None });
        }
        Ok(())
    }

    fn read_only<'a, T: Send + 'a>(&self) -> BoxFuture<'a, Result<T, EngineError>> {
        ready(Err(EngineError::ReadOnly { kept_in: self.shared.kept_in.clone() }))
    }
}

impl Engine for FileEngine {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, EngineError>> {
        ready(self.read(key))
    }

    /// Lets others run before each page: whoever reads a million records would hold up a thread of the runtime.
    fn range<'a>(&'a self, range: Range<'a>) -> BoxFuture<'a, Result<Page, EngineError>> {
        let mut others_ran = false;
        Box::pin(poll_fn(move |context| {
            if std::mem::replace(&mut others_ran, true) {
                return Poll::Ready(self.page(range));
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }))
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, EngineError>> {
        match transaction.check() {
            Ok(()) => self.read_only(),
            Err(error) => ready(Err(error)),
        }
    }

    fn watch<'a>(&'a self, prefix: &'a str, after: Revision) -> BoxFuture<'a, Result<Box<dyn Watch>, EngineError>> {
        ready(Ok(Box::new(FileWatch { engine: self.clone(), prefix: prefix.to_owned(), after })))
    }

    fn grant_lease(&self, _lifetime: Duration) -> BoxFuture<'_, Result<LeaseId, EngineError>> {
        self.read_only()
    }

    fn keep_lease(&self, _lease: LeaseId) -> BoxFuture<'_, Result<Lease, EngineError>> {
        self.read_only()
    }

    fn revoke_lease(&self, _lease: LeaseId) -> BoxFuture<'_, Result<(), EngineError>> {
        self.read_only()
    }
}

impl Watch for FileWatch {
    fn next(&mut self) -> BoxFuture<'_, Result<Changes, EngineError>> {
        Box::pin(poll_fn(|context| {
            let mut state = self.engine.lock();
            if self.after < state.compacted {
                return Poll::Ready(Err(EngineError::Compacted { oldest: state.compacted }));
            }
            let first = state.history.partition_point(|change| change.revision() <= self.after);
            let later = state.history.range(first..);
            let changes: Vec<_> = later.filter(|change| change.key().starts_with(&self.prefix)).cloned().collect();
            self.after = state.revision.max(self.after);
            if changes.is_empty() {
                if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.waiting.push(context.waker().clone());
                }
                return Poll::Pending;
            }
            Poll::Ready(Ok(Changes { changes, revision: self.after }))
        }))
    }
}

impl State {
    /// Keeps the changes of a commit for watches, or forgets all where reading anew is less work than taking them.
    fn remember(&mut self, count: usize, changes: &[Differing]) {
        if count > HISTORY_CHANGES_MAX {
            self.history.clear();
            self.compacted = self.revision;
            return;
        }
        let revision = self.revision;
        self.history.extend(changes.iter().map(|differing| differing.change(revision)));
        while self.history.len() > HISTORY_CHANGES_MAX {
            // A commit's changes go together, so that none is given in part.
            let Some(oldest) = self.history.front().map(Change::revision) else { break };
            while self.history.front().is_some_and(|change| change.revision() == oldest) {
                self.history.pop_front();
            }
            self.compacted = oldest;
        }
    }
}

impl Held {
    fn entry(&self) -> Entry {
        Entry { key: self.key.to_string(), value: self.value.to_vec(), revision: self.revision }
    }
}

/// What differs, in the order of keys. What is new or changed gets `revision`, what is not keeps the one that it had.
fn compare(old: &[Held], new: &mut [Held], revision: Revision) -> Vec<Differing> {
    let mut changes = Vec::new();
    let mut old = old.iter().peekable();
    for held in new {
        held.revision = revision;
        let gone = |before: &&Held| before.key < held.key;
        while let Some(before) = old.next_if(gone) {
            changes.push(Differing::Gone(Arc::clone(&before.key)));
        }
        match old.peek().map(|before| before.key.cmp(&held.key)) {
            Some(Ordering::Equal) => {
                let before = old.next();
                match before.filter(|before| before.value == held.value) {
                    Some(before) => held.revision = before.revision,
                    None => changes.push(Differing::Put(held.clone())),
                }
            }
            Some(Ordering::Greater | Ordering::Less) | None => changes.push(Differing::Put(held.clone())),
        }
    }
    changes.extend(old.map(|before| Differing::Gone(Arc::clone(&before.key))));
    changes
}

/// How many changes a watch may be behind, and how many of one commit are given one by one: a follower takes them in one
/// go, in about as many microseconds.
const HISTORY_CHANGES_MAX: usize = 20_000;
