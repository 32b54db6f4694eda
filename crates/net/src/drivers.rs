//! The ports of time, chance and tasks.

use mail_types::UnixTime;
use ports::{BoxFuture, Clock, Random, Spawn};
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::{Handle, Runtime};

/// The clocks of the machine we run on.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 was never set.
        since.map_or(UnixTime::EPOCH, |span| UnixTime::EPOCH.after(span))
    }

    fn instant(&self) -> Instant {
        crate::line::now()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(span))
    }
}

/// The cryptographic generator that TLS uses too.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, buffer: &mut [u8]) {
        let random = crate::tls::provider().secure_random;
        random.fill(buffer).expect("without randomness no id and no key is safe: better stop");
    }
}

/// Tasks and threads on a tokio runtime.
#[derive(Clone, Debug)]
pub struct TokioSpawn(Handle);

impl TokioSpawn {
    /// On this runtime; see [`runtime`].
    pub fn new(runtime: Handle) -> Self {
        Self(runtime)
    }
}

impl Spawn for TokioSpawn {
    fn task(&self, future: BoxFuture<'static, ()>) {
        self.0.spawn(future);
    }

    fn thread(&self, name: &'static str, work: Box<dyn FnOnce() + Send>) {
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(work).expect("threads are started with the program: without one it cannot run");
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.spawn_blocking(work);
    }
}

/// The runtime that a program of ours runs on: as many workers as processors, a bounded pool for what blocks.
pub fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("posthouse")
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
}

/// Threads for what blocks: password hashes, reads from disk. Enough to keep a disk's queue busy, few enough that
/// argon2's memory (19 MiB a hash) stays bounded. What finds none free waits in line.
pub const BLOCKING_THREADS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn tasks_threads_and_blocking_work_run() {
        let runtime = runtime().expect("a runtime");
        let spawn = TokioSpawn::new(runtime.handle().clone());
        let (done, seen) = mpsc::channel();
        let (task, thread) = (done.clone(), done.clone());
        spawn.task(Box::pin(async move { task.send("task".to_owned()).expect("heard") }));
        spawn.thread(
            "scribe",
            Box::new(move || {
                let name = std::thread::current().name().map(str::to_owned);
                thread.send(name.expect("its name")).expect("heard");
            }),
        );
        let sum = runtime.block_on(ports::blocking(&spawn, || 1 + 1));
        assert_eq!(sum, Some(2));
        let failed: Option<()> = runtime.block_on(ports::blocking(&spawn, || panic!("as asked")));
        assert_eq!(failed, None);
        let mut heard = [seen.recv().expect("one"), seen.recv().expect("two")];
        heard.sort();
        assert_eq!(heard, ["scribe", "task"]);
    }

    #[test]
    fn chance_is_not_repeated() {
        let (mut one, mut two) = ([0; 16], [0; 16]);
        OsRandom.fill(&mut one);
        OsRandom.fill(&mut two);
        assert_ne!(one, two);
    }

    #[test]
    fn clocks_agree_with_the_system() {
        assert!(SystemClock.now() > UnixTime::from_secs(1_700_000_000));
        assert!(SystemClock.instant() <= Instant::now());
    }
}
