//! Pipes through which the kernel moves octets from one socket to another (splice(2)), so that they are not copied here.

use rustix::io::retry_on_intr;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// One that is borrowed. Dropped with octets in it, it is closed: nobody else shall find them.
pub(super) struct Pipe {
    ends: Ends,
    held: usize,
    _share: Share,
}

struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    /// An empty one; nothing where [`PIPES_MAX`] are borrowed already, or there cannot be one more.
    pub(super) fn borrow() -> Option<Self> {
        let share = Share::take()?;
        let kept = kept().pop();
        let ends = match kept {
            Some(ends) => ends,
            None => Ends::new().inspect_err(|error| tracing::debug!(%error, "no pipe: octets are copied")).ok()?,
        };
        Some(Self { ends, held: 0, _share: share })
    }

    /// Keeps it for the next.
    pub(super) fn give_back(self) {
        let mut kept = kept();
        if self.held == 0 && kept.len() < PIPES_KEPT_MAX {
            kept.push(self.ends);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes what the socket has, at most so much; 0 octets are the end. It must be empty.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, from: &TcpStream, most: u64) -> Poll<io::Result<usize>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(PIPE_OCTETS);
        let octets = loop {
            ready!(from.poll_read_ready(cx))?;
            let filling = || Ok(retry_on_intr(|| splice(from, None, &self.ends.write, None, most, FLAGS))?);
            match from.try_io(Interest::READABLE, filling) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                filled => break filled?,
            }
        };
        self.held += octets;
        Poll::Ready(Ok(octets))
    }

    /// Gives the socket what it takes. It must not be empty.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>, to: &TcpStream) -> Poll<io::Result<usize>> {
        let octets = loop {
            ready!(to.poll_write_ready(cx))?;
            let draining = || Ok(retry_on_intr(|| splice(&self.ends.read, None, to, None, self.held, FLAGS))?);
            match to.try_io(Interest::WRITABLE, draining) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                drained => break drained?,
            }
        };
        if octets == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.held = self.held.saturating_sub(octets);
        Poll::Ready(Ok(octets))
    }
}

impl Ends {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Where a user has many large ones already (pipe(7)), it stays at 64 kB, which will do.
        let _as_large_as_it_may_be = fcntl_setpipe_size(&write, PIPE_OCTETS);
        Ok(Self { read, write })
    }
}

/// One of the [`PIPES_MAX`].
struct Share(());

impl Share {
    fn take() -> Option<Self> {
        let more = |borrowed: usize| (borrowed < PIPES_MAX).then_some(borrowed + 1);
        BORROWED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok().then_some(Self(()))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        BORROWED.fetch_sub(1, Ordering::Relaxed);
    }
}

fn kept() -> MutexGuard<'static, Vec<Ends>> {
    // No holder of this lock can panic half-way through a change.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Empty ones, for the next.
static KEPT: Mutex<Vec<Ends>> = Mutex::new(Vec::new());
static BORROWED: AtomicUsize = AtomicUsize::new(0);
const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);
/// What one holds.
const PIPE_OCTETS: usize = 256 * 1024;
/// Pipes that are borrowed at a time: clients that read slowly keep theirs. Behind the last octets are copied.
const PIPES_MAX: usize = 256;
/// Pipes that wait for the next.
const PIPES_KEPT_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.expect("connected"), far.expect("accepted").0)
    }

    async fn octets_go_through_and_the_end_is_seen() {
        let ((mut source, from), (to, mut sink)) = (pair().await, pair().await);
        source.write_all(b"twelve octets").await.expect("sent");
        let mut pipe = Pipe::borrow().expect("a pipe");
        assert_eq!(poll_fn(|cx| pipe.poll_fill(cx, &from, 6)).await.expect("filled"), 6, "no more than asked for");
        assert!(!pipe.is_empty());
        assert_eq!(poll_fn(|cx| pipe.poll_drain(cx, &to)).await.expect("drained"), 6);
        assert!(pipe.is_empty());
        let mut heard = [0; 6];
        sink.read_exact(&mut heard).await.expect("heard");
        assert_eq!(&heard, b"twelve");
        drop(source);
        assert_eq!(poll_fn(|cx| pipe.poll_fill(cx, &from, 100)).await.expect("filled"), 7);
        assert_eq!(poll_fn(|cx| pipe.poll_fill(cx, &from, 100)).await.expect("its end"), 0);
        // Another session never finds the octets of this one.
        let full = pipe.ends.read.try_clone().expect("another descriptor");
        pipe.give_back();
        let inode = |end: &OwnedFd| rustix::fs::fstat(end).expect("its number").st_ino;
        assert!(super::kept().iter().all(|ends| inode(&ends.read) != inode(&full)));
    }

    /// In one test, as the pipes are the whole process's.
    #[tokio::test]
    async fn octets_go_through_and_pipes_are_limited() {
        octets_go_through_and_the_end_is_seen().await;
        let mut pipes: Vec<Pipe> = std::iter::from_fn(Pipe::borrow).collect();
        assert_eq!(pipes.len(), PIPES_MAX);
        pipes.pop().expect("one").give_back();
        assert!(Pipe::borrow().is_some());
    }
}
