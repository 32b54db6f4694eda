//! A world with one thread for tests: a simulated disk, a clock that stands still, and steps instead of threads.

use crate::engine::{Options, Store, World};
use disk::SimDisk;
use mail_types::{AccountId, Address, StoreName, UnixTime};
use mailbox::Index;
use mailbox::conformance::MemIndex;
use ports::{BoxFuture, Clock, Random};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// What survives a crash of the store: its disk and its indexes.
pub(crate) struct TestWorld {
    pub(crate) disk: Arc<SimDisk>,
    /// The journal's: the same one, unless a test gives it one of its own.
    pub(crate) journal_disk: Arc<SimDisk>,
    pub(crate) indexes: Vec<Arc<MemIndex>>,
    pub(crate) options: Options,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) stopped: Arc<AtomicBool>,
}

/// A clock that stands still.
pub(crate) struct TestClock {
    now: std::sync::Mutex<UnixTime>,
    passed: std::sync::Mutex<Duration>,
    start: Instant,
}

impl TestClock {
    /// Time passes, on both clocks.
    pub(crate) fn pass(&self, span: Duration) {
        let now = self.now().after(span);
        self.set(now);
        *self.passed.lock().expect("no panic") += span;
    }

    pub(crate) fn set(&self, now: UnixTime) {
        *self.now.lock().expect("no panic") = now;
    }
}

struct TestRandom(AtomicU64);

impl TestWorld {
    pub(crate) fn new(seed: u64) -> Self {
        let options = Options {
            journal: journal::Config {
                segment_octets: 1 << 20,
                pending_octets_max: 1 << 20,
                low_water_octets: 0,
                ..journal::Config::default()
            },
            checkpoint_octets: 64 << 10,
            low_water_octets: 0,
            ..Options::default()
        };
        let disk = Arc::new(SimDisk::new(seed));
        Self {
            journal_disk: Arc::clone(&disk),
            disk,
            indexes: (0..2).map(|_| Arc::default()).collect(),
            options,
            clock: Arc::new(TestClock {
                now: std::sync::Mutex::new(UnixTime::from_secs(1_700_000_000)),
                passed: std::sync::Mutex::default(),
                start: now(),
            }),
            stopped: Arc::default(),
        }
    }

    /// Opens the store on what is there.
    pub(crate) fn open(&self) -> Arc<Store> {
        self.try_open().expect("the store recovers")
    }

    pub(crate) fn try_open(&self) -> Result<Arc<Store>, crate::engine::OpenError> {
        self.stopped.store(false, Ordering::SeqCst);
        let stopped = Arc::clone(&self.stopped);
        let world = World {
            disk: Arc::clone(&self.disk) as _,
            journal_disk: Arc::clone(&self.journal_disk) as _,
            clock: Arc::clone(&self.clock) as _,
            random: Arc::new(TestRandom(AtomicU64::new(1))),
            fatal: Arc::new(move |why| {
                // Shown by the test runner where the test fails.
                println!("the store stops: {why}");
                stopped.store(true, Ordering::SeqCst);
            }),
        };
        let indexes = self.indexes.iter().map(|index| Arc::clone(index) as Arc<dyn Index>).collect();
        Store::open(StoreName::parse("ingrid").expect("a name"), world, indexes, self.options.clone())
    }

    /// Runs a future to its end, taking the store's steps whenever it waits.
    pub(crate) fn run<T>(&self, store: &Store, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        let mut idle = 0;
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return value;
            }
            idle = if step(store) { 0 } else { idle + 1 };
            assert!(idle < 3, "the future waits for something that no step brings");
        }
    }

    /// One step of each kind.
    pub(crate) fn step(&self, store: &Store) {
        step(store);
    }

    /// Takes steps until there is nothing to do.
    pub(crate) fn settle(&self, store: &Store) {
        while step(store) {}
    }
}

fn step(store: &Store) -> bool {
    // None of them may be skipped because another had something to do.
    let (written, applied, checkpointed) = (store.step_writer(), store.step_apply(), store.step_checkpoint());
    written || applied || checkpointed
}

/// The account of that number, and its address.
pub(crate) fn account(number: u8) -> (AccountId, Address) {
    let mut id = [number; 16];
    id[0] = 0xa0;
    (AccountId::from_bytes(id), Address::parse(&format!("user{number}@bigisp.test")).expect("an address"))
}

#[allow(clippy::disallowed_methods, reason = "an Instant can be had from the clock alone; tests only add to it")]
fn now() -> Instant {
    Instant::now()
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        *self.now.lock().expect("no panic")
    }

    fn instant(&self) -> Instant {
        self.start + *self.passed.lock().expect("no panic")
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

impl Random for TestRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes()[0];
        }
    }
}
