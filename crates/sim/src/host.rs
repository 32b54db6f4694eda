//! The machine that a store runs on: what survives the store's end.

use crate::chance::Chance;
use crate::mail;
use crate::process::{Ended, InProcess};
use disk::SimDisk;
use mail_types::{Epoch, Lsn, StoreName, UnixTime};
use mailbox::conformance::MemIndex;
use mailbox::index::{Order, RowBytes};
use mailbox::{Index, IndexError};
use ports::{BoxFuture, Clock, Disk, Random};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use store::{OpenError, Options, Quota, Store, World};

/// Disk, indexes, clock.
pub(crate) struct Host {
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) options: Options,
    /// Messages that the account with a quota may have.
    pub(crate) quota: Option<u64>,
    indexes: Vec<Arc<SimIndex>>,
    random: Arc<SimRandom>,
    /// The store that runs, or ran last.
    process: Mutex<Ended>,
    indexes_fail: Arc<Mutex<Option<IndexFault>>>,
}

/// The next commit of an index but so many fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexFault {
    pub(crate) others: u64,
    /// Whether the rows are there all the same: the power went between the commit and its answer.
    pub(crate) kept: bool,
}

impl Host {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let disk = SimDisk::new(chance.next());
        let quota = chance.one_in(3).then(|| chance.between(3, 12));
        let journal = journal::Config {
            segment_octets: chance.between(1, 2) << 20,
            pending_octets_max: 1 << 20,
            low_water_octets: LOW_WATER_OCTETS,
            ..journal::Config::default()
        };
        let days = if chance.one_in(2) { 0 } else { 7 };
        let options = Options {
            journal,
            keep: Duration::from_secs(days * 86_400),
            checkpoint_octets: *chance.pick(&[32 << 10, 128 << 10, 512 << 10]).expect("three sizes"),
            checkpoint_after: Duration::from_secs(chance.between(1, 40)),
            quota: Arc::new(move |address| {
                let has = *address == mail::address(WITH_QUOTA);
                Quota { messages: quota.filter(|_| has), octets: None }
            }),
            ..Options::default()
        };
        // Within two weeks, so that weeks and midnights come by.
        let start = 1_700_000_000 + i64::try_from(chance.below(14 * 86_400)).unwrap_or(0);
        let indexes_fail = Arc::new(Mutex::new(None));
        let index = |_| {
            let (rows, fault, disk) = (MemIndex::default(), Arc::clone(&indexes_fail), disk.clone());
            Arc::new(SimIndex { rows, fault, disk })
        };
        let indexes = (0..chance.between(1, 3)).map(index).collect();
        Self {
            disk,
            clock: Arc::new(SimClock::new(start)),
            options,
            quota,
            indexes,
            random: Arc::new(SimRandom(Mutex::new(Chance::new(chance.next())))),
            process: Mutex::default(),
            indexes_fail,
        }
    }

    /// Starts the store of that epoch on what is there.
    pub(crate) fn open(&self, epoch: u64) -> Result<Arc<Store>, OpenError> {
        let process = Ended::default();
        *self.process.lock().expect(LOCK) = process.clone();
        let disk = Arc::new(InProcess { inner: self.disk.clone(), ended: process.clone() });
        let ended = process.clone();
        let world = World {
            disk: Arc::clone(&disk) as _,
            journal_disk: disk,
            clock: Arc::clone(&self.clock) as _,
            random: Arc::clone(&self.random) as _,
            fatal: Arc::new(move |_| ended.set()),
        };
        let index = |index: &Arc<SimIndex>| -> Arc<dyn Index> {
            Arc::new(IndexInProcess { inner: Arc::clone(index), ended: process.clone() })
        };
        let indexes = self.indexes.iter().map(index).collect();
        let options = Options { epoch: Epoch::new(epoch), ..self.options.clone() };
        Store::open(StoreName::parse("ingrid").expect("a name"), world, indexes, options)
    }

    /// Whether the store has asked for its end, or has lost its power.
    pub(crate) fn is_down(&self) -> bool {
        self.process.lock().expect(LOCK).is_set() || self.disk.is_off()
    }

    pub(crate) fn fail_index(&self, fault: Option<IndexFault>) {
        *self.indexes_fail.lock().expect(LOCK) = fault;
    }

    /// Leaves so many octets free on the disk.
    pub(crate) fn leave_free(&self, octets: u64) {
        // Of a disk without limit, what is free says what is used.
        self.free_all();
        // A disk without power has nothing to tell, and takes nothing either.
        let Ok(free) = self.disk.free_bytes() else { return };
        self.disk.set_capacity(UNLIMITED_OCTETS - free + octets);
    }

    pub(crate) fn free_all(&self) {
        self.disk.set_capacity(UNLIMITED_OCTETS);
    }
}

/// A wall clock that jumps, and a monotonic one that does not.
pub(crate) struct SimClock {
    wall: AtomicI64,
    monotonic: AtomicI64,
    start: Instant,
}

impl SimClock {
    fn new(start: i64) -> Self {
        // An Instant can be had from the clock alone; everything here only adds to it.
        Self { wall: AtomicI64::new(start * 1_000_000), monotonic: AtomicI64::new(0), start: Instant::now() }
    }

    pub(crate) fn advance(&self, micros: i64) {
        self.wall.fetch_add(micros, Ordering::SeqCst);
        self.monotonic.fetch_add(micros, Ordering::SeqCst);
    }

    pub(crate) fn jump(&self, micros: i64) {
        self.wall.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_micros(self.wall.load(Ordering::SeqCst))
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_micros(self.monotonic.load(Ordering::SeqCst).unsigned_abs())
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        // Nothing in a store sleeps; what would is woken at once.
        Box::pin(std::future::ready(()))
    }
}

struct SimRandom(Mutex<Chance>);

impl Random for SimRandom {
    fn fill(&self, buffer: &mut [u8]) {
        let mut chance = self.0.lock().expect(LOCK);
        for part in buffer.chunks_mut(8) {
            part.iter_mut().zip(chance.next().to_le_bytes()).for_each(|(place, octet)| *place = octet);
        }
    }
}

/// An index whose commits are atomic and durable, until the power goes.
struct SimIndex {
    rows: MemIndex,
    fault: Arc<Mutex<Option<IndexFault>>>,
    disk: SimDisk,
}

impl SimIndex {
    /// Whether a commit goes wrong now, and how.
    fn strikes(&self) -> Option<IndexFault> {
        let mut fault = self.fault.lock().expect(LOCK);
        let struck = fault.filter(|fault| fault.others == 0);
        *fault = fault.and_then(|fault| Some(IndexFault { others: fault.others.checked_sub(1)?, ..fault }));
        struck
    }
}

impl Index for SimIndex {
    fn applied(&self) -> Result<Lsn, IndexError> {
        self.rows.applied()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.rows.get(key)
    }

    fn range(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<RowBytes>, IndexError> {
        self.rows.range(from, to, order, limit)
    }

    fn commit(
        &self,
        changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>,
        applied: Lsn,
    ) -> Result<(), IndexError> {
        let gone = || IndexError::Failed("the power is off".into());
        if self.disk.is_off() {
            return Err(gone());
        }
        let Some(fault) = self.strikes() else { return self.rows.commit(changes, applied) };
        if fault.kept {
            self.rows.commit(changes, applied)?;
        }
        self.disk.cut_power_after(0);
        Err(gone())
    }
}

/// An index in the hands of a process.
struct IndexInProcess {
    inner: Arc<SimIndex>,
    ended: Ended,
}

impl Index for IndexInProcess {
    fn applied(&self) -> Result<Lsn, IndexError> {
        self.inner.applied()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.inner.get(key)
    }

    fn range(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<RowBytes>, IndexError> {
        self.inner.range(from, to, order, limit)
    }

    fn commit(
        &self,
        changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>,
        applied: Lsn,
    ) -> Result<(), IndexError> {
        if self.ended.is_set() {
            return Err(IndexError::Failed("the process has ended".into()));
        }
        self.inner.commit(changes, applied)
    }
}

const LOCK: &str = "nobody panics while holding a lock of the host";
/// The account whose mailboxes may be full.
pub(crate) const WITH_QUOTA: u8 = 2;
/// A disk that nothing fills.
const UNLIMITED_OCTETS: u64 = 1 << 60;
/// Below this much free space the journal takes no new mail.
const LOW_WATER_OCTETS: u64 = 2 << 20;
