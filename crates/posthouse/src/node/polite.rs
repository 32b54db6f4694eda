//! Sessions that hear when the program stops, and say good-bye.

use machine::Machine;
use net::Shutdown;
use ports::{BoxFuture, Flow, Handler, Passage};

/// A handler that, between two events, also waits for the end of the program.
pub(super) struct Polite<H, M> {
    inner: H,
    shutdown: Shutdown,
    farewell: fn(&mut M),
    leaving: bool,
}

impl<H, M> Polite<H, M> {
    /// `farewell` tells the machine what its protocol says at the end.
    pub(super) fn new(inner: H, shutdown: &Shutdown, farewell: fn(&mut M)) -> Self {
        Self { inner, shutdown: shutdown.clone(), farewell, leaving: false }
    }
}

impl<H: Handler<M>, M: Machine<Event: Send> + Send> Handler<M> for Polite<H, M> {
    fn on_event<'a>(&'a mut self, machine: &'a mut M, event: M::Event) -> BoxFuture<'a, Flow> {
        self.inner.on_event(machine, event)
    }

    fn resume<'a>(&'a mut self, machine: &'a mut M) -> BoxFuture<'a, Flow> {
        self.inner.resume(machine)
    }

    fn wake(&mut self) -> BoxFuture<'_, ()> {
        let Self { inner, shutdown, leaving, .. } = self;
        Box::pin(async move {
            tokio::select! {
                () = inner.wake() => {}
                () = shutdown.draining() => *leaving = true,
            }
        })
    }

    fn on_wake<'a>(&'a mut self, machine: &'a mut M) -> BoxFuture<'a, Flow> {
        if self.leaving {
            (self.farewell)(machine);
            return Box::pin(std::future::ready(Flow::Close));
        }
        self.inner.on_wake(machine)
    }

    fn passage(&mut self) -> Option<Passage> {
        self.inner.passage()
    }

    fn on_tls(&mut self, machine: &mut M) {
        self.inner.on_tls(machine);
    }

    fn on_close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        self.inner.on_close()
    }
}
