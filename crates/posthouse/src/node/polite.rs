//! Sessions that hear when the program stops or an operator wants them gone, and say good-bye.

use machine::Machine;
use net::Shutdown;
use ports::{Badge, BoxFuture, Flow, Handler, Passage, TlsFacts};
use std::future::poll_fn;
use std::sync::Arc;

/// A handler that, between two events, also waits for the end of the program and for a kick; and that notes on the badge
/// whose turn it is. A message that is on its way to us comes to its end before the program does.
pub(super) struct Polite<H, M> {
    inner: H,
    badge: Arc<Badge>,
    shutdown: Shutdown,
    farewell: fn(&mut M, Leave),
    leaving: Option<Leave>,
    /// The peer is sending a message.
    receiving: bool,
}

/// Why a session is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// The program stops.
    Stop,
    /// An operator wants it.
    Kick,
}

impl<H, M> Polite<H, M> {
    /// `farewell` tells the machine what its protocol says at the end.
    pub(super) fn new(inner: H, badge: &Arc<Badge>, shutdown: &Shutdown, farewell: fn(&mut M, Leave)) -> Self {
        Self { inner, badge: Arc::clone(badge), shutdown: shutdown.clone(), farewell, leaving: None, receiving: false }
    }
}

impl<H: Handler<M>, M: Machine<Event: Send> + Send> Handler<M> for Polite<H, M> {
    fn on_event<'a>(&'a mut self, machine: &'a mut M, event: M::Event) -> BoxFuture<'a, Flow> {
        self.badge.set_busy();
        Box::pin(async move {
            let flow = self.inner.on_event(machine, event).await;
            self.receiving = machine.is_receiving();
            flow
        })
    }

    fn resume<'a>(&'a mut self, machine: &'a mut M) -> BoxFuture<'a, Flow> {
        self.badge.set_busy();
        self.inner.resume(machine)
    }

    fn wake(&mut self) -> BoxFuture<'_, ()> {
        let Self { inner, badge, shutdown, leaving, receiving, .. } = self;
        let (badge, receiving): (&Badge, bool) = (badge, *receiving);
        let resting = Resting::begin(badge);
        Box::pin(async move {
            let _resting = resting;
            tokio::select! {
                () = inner.wake() => {}
                // During a message it is asked again behind it.
                () = shutdown.draining(), if !receiving => *leaving = Some(Leave::Stop),
                () = poll_fn(|cx| badge.poll_leaving(cx)) => *leaving = Some(Leave::Kick),
            }
        })
    }

    fn on_wake<'a>(&'a mut self, machine: &'a mut M) -> BoxFuture<'a, Flow> {
        if let Some(why) = self.leaving {
            (self.farewell)(machine, why);
            return Box::pin(std::future::ready(Flow::Close));
        }
        self.inner.on_wake(machine)
    }

    fn passage(&mut self) -> Option<Passage> {
        self.inner.passage()
    }

    fn on_tls(&mut self, machine: &mut M, facts: TlsFacts) {
        self.badge.under_tls();
        self.inner.on_tls(machine, facts);
    }

    fn on_close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        self.inner.on_close()
    }
}

/// While it lives, it is the peer's turn: whatever ends the wait, somebody has something to do. Where octets pass to another
/// node there are no events that would tell.
struct Resting<'b>(&'b Badge);

impl<'b> Resting<'b> {
    fn begin(badge: &'b Badge) -> Self {
        badge.set_idle();
        Self(badge)
    }
}

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.0.set_busy();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_types::UnixTime;
    use net::Stopper;
    use ports::Protocol;
    use std::task::{Context, Waker};

    struct Passing;

    impl Handler<smtp_proto::server::Server<()>> for Passing {
        fn on_event<'a>(
            &'a mut self,
            _machine: &'a mut smtp_proto::server::Server<()>,
            _event: smtp_proto::server::Event,
        ) -> BoxFuture<'a, Flow> {
            Box::pin(async { Flow::Next })
        }
    }

    #[test]
    fn a_session_rests_only_while_it_waits() {
        let client = "192.0.2.7:40000".parse().expect("an address");
        let badge = Arc::new(Badge::new(1, Protocol::Smtp, client, UnixTime::from_secs(0)));
        let (_stopper, shutdown) = Stopper::new();
        let mut polite = Polite::new(Passing, &badge, &shutdown, |_, _| {});
        for _ in 0..2 {
            let mut wake = polite.wake();
            assert!(wake.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert_eq!(badge.state(), "idle");
            drop(wake);
            assert_eq!(badge.state(), "busy");
        }
    }
}
