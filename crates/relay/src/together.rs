//! Waiting for several stores at once, without a runtime.

use ports::{BoxFuture, Clock};
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

/// Runs all futures side by side; gives their results in the order of the futures.
///
/// A wake-up polls every one that is not ready: a message has a handful of stores.
pub(crate) async fn all<T: Send>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut running: Vec<Running<'_, T>> = futures.into_iter().map(Running::Yet).collect();
    poll_fn(|cx| {
        let mut pending = false;
        for slot in &mut running {
            let Running::Yet(future) = slot else { continue };
            match future.as_mut().poll(cx) {
                Poll::Ready(value) => *slot = Running::Done(value),
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    let done = |slot| match slot {
        Running::Done(value) => Some(value),
        Running::Yet(_) => None,
    };
    running.into_iter().filter_map(done).collect()
}

/// What a future gives if it does so within `wait`; dropped then.
pub(crate) async fn within<T>(clock: &dyn Clock, wait: Duration, mut future: BoxFuture<'_, T>) -> Option<T> {
    // Most answers are there at once and need no timer.
    let mut timer: Option<BoxFuture<'static, ()>> = None;
    poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        let timer = timer.get_or_insert_with(|| clock.sleep(wait));
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// Lets others on this thread go on first.
pub(crate) async fn pause() {
    let mut paused = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

enum Running<'a, T> {
    Yet(BoxFuture<'a, T>),
    Done(T),
}
