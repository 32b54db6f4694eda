//! The loop that runs a machine with its handler.

use crate::exchange::Exchange;
use crate::pass::pass;
use crate::stream::Stream;
use crate::tls::{HandshakeError, ServerTls};
use machine::Machine;
use ports::{BoxFuture, Flow, Handler};
use std::future::poll_fn;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use tokio::runtime::Handle;

/// Why a conversation ended other than by the will of machine, handler or peer.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[from] io::Error),
    /// The peer took no output for [`crate::OUTPUT_STALL_MAX`], or for [`crate::CLOSE_SPAN_MAX`] at the end.
    #[error("the peer does not read")]
    Stalled,
    /// TLS was not agreed on.
    #[error("no TLS")]
    Handshake(#[from] HandshakeError),
}

/// Runs a session to its end: `Ok` when machine, handler or peer ended it.
///
/// `tls` is what [`Flow::StartTls`] negotiates with.
pub fn serve<M, H>(
    stream: Stream,
    machine: M,
    handler: H,
    tls: Option<ServerTls>,
) -> impl Future<Output = Result<(), SessionError>> + Send
where
    M: Machine + Send + 'static,
    M::Event: Send,
    H: Handler<M> + 'static,
{
    // Made before the first poll: a session that is cancelled before it ran owes its handler the end too.
    let mut closing = Closing { handler: Some(handler), machine: PhantomData };
    let mut session = Session { exchange: Exchange::new(stream, machine), phase: Phase::Talking };
    async move {
        let outcome = session.run(closing.handler(), tls.as_ref()).await;
        // Before the peer has ended too: what the session holds (a locked maildrop) is free at once.
        closing.close().await;
        if outcome.is_ok() {
            session.exchange.hang_up().await;
        }
        outcome
    }
}

struct Session<M> {
    exchange: Exchange<M>,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Events are decided as they come.
    Talking,
    /// A handler goes on with an answer ([`Flow::Again`]); events wait behind it.
    Answering,
}

enum Step<E> {
    Decide(E),
    Resume,
    Wait,
    Finish,
}

/// How a wait ended.
enum Waited {
    /// Octets moved or time passed: look again.
    Moved,
    /// The handler has something to say.
    Woken,
}

impl<M> Session<M>
where
    M: Machine + Send,
    M::Event: Send,
{
    async fn run<H: Handler<M>>(&mut self, handler: &mut H, tls: Option<&ServerTls>) -> Result<(), SessionError> {
        loop {
            let Some(flow) = self.decide(handler).await? else { return self.exchange.flush().await };
            self.phase = match flow {
                Flow::Next => Phase::Talking,
                Flow::Again => Phase::Answering,
                Flow::StartTls => {
                    self.exchange.flush().await?;
                    self.exchange.line.accept_tls(tls.ok_or(HandshakeError::NotOffered)?).await?;
                    let facts = self.exchange.line.stream().tls_facts();
                    handler.on_tls(&mut self.exchange.machine, facts);
                    Phase::Talking
                }
                Flow::Pass => return self.pass(handler).await,
                Flow::Close => return self.exchange.flush().await,
            };
        }
    }

    /// What the next work leads to; nothing where there is none any more. Apart, as what it needs is in nobody's way while octets
    /// pass.
    async fn decide<H: Handler<M>>(&mut self, handler: &mut H) -> Result<Option<Flow>, SessionError> {
        loop {
            self.exchange.line.take_turns().await;
            let work = match self.next_step() {
                Step::Decide(event) => handler.on_event(&mut self.exchange.machine, event),
                Step::Resume => handler.resume(&mut self.exchange.machine),
                Step::Wait => match self.wait(handler).await? {
                    Waited::Moved => continue,
                    Waited::Woken => handler.on_wake(&mut self.exchange.machine),
                },
                Step::Finish => return Ok(None),
            };
            return Ok(Some(self.exchange.line.send_during(work).await));
        }
    }

    /// Lets octets pass between the client and the back-end that the handler has found.
    async fn pass<H: Handler<M>>(&mut self, handler: &mut H) -> Result<(), SessionError> {
        self.exchange.flush().await?;
        let Some(passage) = handler.passage() else {
            tracing::error!("a session should pass through, but its role has no way to a back-end");
            return Ok(());
        };
        pass(&mut self.exchange, handler, passage).await
    }

    fn next_step(&mut self) -> Step<M::Event> {
        let exchange = &mut self.exchange;
        exchange.take_output();
        match self.phase {
            Phase::Answering if exchange.line.is_idle() => Step::Resume,
            Phase::Answering => Step::Wait,
            Phase::Talking if !exchange.line.has_room() => Step::Wait,
            Phase::Talking => match exchange.machine.poll_event() {
                Some(event) => Step::Decide(event),
                None if exchange.is_over() => Step::Finish,
                None => Step::Wait,
            },
        }
    }

    /// Waits for whatever comes first: room to write, input (if wanted), the handler, a time-out.
    async fn wait<H: Handler<M>>(&mut self, handler: &mut H) -> Result<Waited, SessionError> {
        // What the handler says unasked waits until the peer has read what it asked for.
        let may_wake = self.phase == Phase::Talking && self.exchange.line.is_idle();
        let mut wake = may_wake.then(|| handler.wake());
        poll_fn(|cx| {
            if self.exchange.poll_moves(cx)? {
                return Poll::Ready(Ok(Waited::Moved));
            }
            match &mut wake {
                Some(wake) => wake.as_mut().poll(cx).map(|()| Ok(Waited::Woken)),
                None => Poll::Pending,
            }
        })
        .await
    }
}

/// Sees to it that `on_close` runs exactly once and to its end, whatever becomes of the session.
struct Closing<M: Machine + 'static, H: Handler<M> + 'static> {
    handler: Option<H>,
    machine: PhantomData<fn(M)>,
}

impl<M: Machine + 'static, H: Handler<M> + 'static> Closing<M, H> {
    fn handler(&mut self) -> &mut H {
        self.handler.as_mut().expect("only work() takes it, and nothing is asked for it after that")
    }

    async fn close(mut self) {
        let Some(mut work) = self.work() else { return };
        // Most have nothing to wait for, and need no task.
        let begun = poll_fn(|cx| {
            let polling = AssertUnwindSafe(|| work.as_mut().poll(cx).is_ready());
            Poll::Ready(catch_unwind(polling))
        });
        if matches!(begun.await, Ok(false))
            && let Ok(runtime) = Handle::try_current()
        {
            let _panicked = runtime.spawn(work).await;
        }
    }

    /// `on_close`, the first time.
    fn work(&mut self) -> Option<BoxFuture<'static, ()>> {
        let mut handler = self.handler.take()?;
        Some(Box::pin(async move { handler.on_close().await }))
    }
}

impl<M: Machine + 'static, H: Handler<M> + 'static> Drop for Closing<M, H> {
    /// In a task of its own, which survives our cancellation. Without a runtime the program has ended anyway.
    fn drop(&mut self) {
        if let Some(work) = self.work()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}
