//! Time, chance and tasks.

use crate::BoxFuture;
use mail_types::UnixTime;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The wall clock: for dates and records, may jump.
    fn now(&self) -> UnixTime;
    /// The monotonic clock: for time-outs.
    fn instant(&self) -> Instant;
    /// Completes after `span`.
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()>;
}

/// Gives unpredictable octets: ids, salts, seeds.
pub trait Random: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// Starts tasks and threads.
pub trait Spawn: Send + Sync {
    /// Runs a future beside the others.
    fn task(&self, future: BoxFuture<'static, ()>);
    /// Runs a closure that lives long, on a thread of its own.
    fn thread(&self, name: &'static str, work: Box<dyn FnOnce() + Send>);
    /// Runs a closure that blocks for a while, on a bounded pool.
    fn blocking(&self, work: Box<dyn FnOnce() + Send>);
}

/// Runs `work` on the bounded pool of `spawn` and gives its result; nothing when the pool dropped it unrun (the
/// program stops) or it panicked.
pub fn blocking<T: Send + 'static>(
    spawn: &dyn Spawn,
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Option<T>> + Send + 'static {
    let shared = Arc::new(Mutex::new(Slot { state: State::Running, waker: None }));
    let fill = Fill(Arc::clone(&shared));
    spawn.blocking(Box::new(move || fill.set(work())));
    std::future::poll_fn(move |cx| {
        let mut slot = shared.lock().expect("no holder of this lock panics");
        match std::mem::replace(&mut slot.state, State::Running) {
            State::Done(value) => Poll::Ready(Some(value)),
            State::Lost => Poll::Ready(None),
            State::Running => {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    })
}

struct Slot<T> {
    state: State<T>,
    waker: Option<Waker>,
}

enum State<T> {
    Running,
    Done(T),
    Lost,
}

/// The worker's end of a [`Slot`]; dropping it unfilled wakes the waiter too.
struct Fill<T>(Arc<Mutex<Slot<T>>>);

impl<T> Fill<T> {
    fn set(&self, value: T) {
        self.0.lock().expect("no holder of this lock panics").state = State::Done(value);
    }
}

impl<T> Drop for Fill<T> {
    fn drop(&mut self) {
        let mut slot = self.0.lock().expect("no holder of this lock panics");
        if matches!(slot.state, State::Running) {
            slot.state = State::Lost;
        }
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
}
