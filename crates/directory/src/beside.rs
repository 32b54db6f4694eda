//! Work on pieces, done beside one another.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does this with each, on so many threads at most, of which the caller's is one. Gives what came of them, in their order.
///
/// Waits until all is done: call it where that holds up nobody.
pub(crate) fn beside<T: Send, U: Send>(threads: NonZeroUsize, work: Vec<T>, act: impl Fn(T) -> U + Sync) -> Vec<U> {
    let others = threads.get().min(work.len()).saturating_sub(1);
    let left = Mutex::new(work.into_iter().enumerate());
    // Nobody panics while he takes the next.
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        let mut done = Vec::new();
        while let Some((at, piece)) = next() {
            done.push((at, act(piece)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        // Where there is no thread to be had, those that are there do its work.
        let start = |_| thread::Builder::new().spawn_scoped(scope, run).ok();
        let threads: Vec<_> = (0..others).map_while(start).collect();
        let mut done = run();
        for thread in threads {
            done.extend(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, came)| came).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_each_stands_in_their_order() {
        for threads in 1..5 {
            let threads = NonZeroUsize::new(threads).expect("not zero");
            for count in [0_usize, 1, 2, 50] {
                let came = beside(threads, (0..count).collect(), |piece| piece * 2);
                assert_eq!(came, (0..count).map(|piece| piece * 2).collect::<Vec<_>>());
            }
        }
    }
}
