//! Peers that say what a test has them say.

use crate::SESSION_LOGIN_MAX;
use machine::Machine;
use mail_types::UnixTime;
use ports::{BoxFuture, Broken, Call, Callee, Caller, Clock, Peer, Spawn, Unavailable, Wire};
use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Answers what a caller says with one piece after the other, then hangs up, or keeps silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pub(crate) pieces: &'static [&'static str],
    pub(crate) then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Silent,
    HangsUp,
    Breaks,
    DoesNotAnswer,
}

#[derive(Default)]
pub(crate) struct Heard {
    /// What was said to the node.
    pub(crate) said: String,
    pub(crate) calls: Vec<(Callee, Option<Peer>)>,
}

pub(crate) struct Node {
    pub(crate) script: Script,
    pub(crate) heard: Arc<Mutex<Heard>>,
}

/// Several, each called by its host's name.
pub(crate) struct Town {
    pub(crate) hosts: Mutex<BTreeMap<&'static str, Script>>,
    pub(crate) heard: Arc<Mutex<Heard>>,
}

pub(crate) struct Conversation<M> {
    machine: M,
    script: Script,
    heard: Arc<Mutex<Heard>>,
    now: Instant,
}

pub(crate) struct Wall;

impl<M: Machine + Send + 'static> Caller<M> for Node
where
    M::Event: Send,
{
    fn call<'a>(
        &'a self,
        to: &'a Callee,
        behalf_of: Option<Peer>,
        machine: M,
    ) -> BoxFuture<'a, Result<Box<dyn Call<M>>, Unavailable>> {
        self.heard.lock().unwrap().calls.push((to.clone(), behalf_of));
        let (script, heard, now) = (self.script, Arc::clone(&self.heard), start());
        Box::pin(async move {
            if script.then == Then::DoesNotAnswer {
                return Err(Unavailable { what: to.to_string(), why: "connection refused".to_owned() });
            }
            Ok(Box::new(Conversation { machine, script, heard, now }) as Box<dyn Call<M>>)
        })
    }
}

impl<M: Machine + Send + 'static> Caller<M> for Town
where
    M::Event: Send,
{
    fn call<'a>(
        &'a self,
        to: &'a Callee,
        behalf_of: Option<Peer>,
        machine: M,
    ) -> BoxFuture<'a, Result<Box<dyn Call<M>>, Unavailable>> {
        let [host] = &*to.hosts else { panic!("each host is called by itself") };
        let script = *self.hosts.lock().unwrap().get(&**host).expect("a host of this town");
        let node = Node { script, heard: Arc::clone(&self.heard) };
        Box::pin(async move { node.call(to, behalf_of, machine).await })
    }
}

impl<M: Machine + Send + 'static> Call<M> for Conversation<M>
where
    M::Event: Send,
{
    fn machine(&mut self) -> &mut M {
        &mut self.machine
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Option<M::Event>, Broken>> {
        Box::pin(async move {
            loop {
                while let Some(octets) = self.machine.poll_output() {
                    self.heard.lock().unwrap().said.push_str(std::str::from_utf8(&octets).unwrap());
                }
                if let Some(event) = self.machine.poll_event() {
                    return Ok(Some(event));
                }
                match (self.script.pieces, self.script.then) {
                    ([piece, rest @ ..], _) => {
                        self.machine.handle_input(self.now, piece.as_bytes());
                        self.script.pieces = rest;
                    }
                    ([], Then::HangsUp) => self.machine.handle_eof(self.now),
                    ([], Then::Breaks) => return Err(Broken("reset by peer".to_owned())),
                    ([], Then::Silent | Then::DoesNotAnswer) => std::future::pending().await,
                }
            }
        })
    }

    fn sent(&mut self) -> BoxFuture<'_, Result<Option<M::Event>, Broken>> {
        panic!("nobody here sends a body")
    }

    fn start_tls(&mut self) -> BoxFuture<'_, Result<(), Broken>> {
        self.heard.lock().unwrap().said.push_str("(TLS)");
        Box::pin(async { Ok(()) })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn into_parts(self: Box<Self>) -> (Box<dyn Wire>, M) {
        (Box::new(Wall), self.machine)
    }
}

impl Wire for Wall {
    fn poll_read(&mut self, _cx: &mut Context<'_>, _into: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_write(&mut self, _cx: &mut Context<'_>, _from: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// Time passes where nothing else happens.
pub(crate) struct Impatient;

impl Clock for Impatient {
    fn now(&self) -> UnixTime {
        UnixTime::EPOCH
    }

    fn instant(&self) -> Instant {
        start()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        assert!(span >= SESSION_LOGIN_MAX);
        let mut asked = 0;
        Box::pin(std::future::poll_fn(move |_| {
            asked += 1;
            if asked > 1 { Poll::Ready(()) } else { Poll::Pending }
        }))
    }
}

/// Time goes on by itself to whatever is waited for, when nothing else happens.
pub(crate) struct Turning {
    now: Mutex<Instant>,
    due: Mutex<Vec<Instant>>,
}

/// Tasks that wait until the test runs them.
#[derive(Default)]
pub(crate) struct Tasks(pub(crate) Mutex<Vec<BoxFuture<'static, ()>>>);

impl Turning {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(start()), due: Mutex::default() })
    }

    pub(crate) fn instant(&self) -> Instant {
        *self.now.lock().unwrap()
    }

    pub(crate) fn advance(&self, span: Duration) {
        *self.now.lock().unwrap() += span;
    }

    /// The future's outcome, however long it waits.
    pub(crate) fn finish<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
                return answer;
            }
            let next = self.due.lock().unwrap().drain(..).min().expect("it waits for something that never comes");
            *self.now.lock().unwrap() = next;
        }
        panic!("it waits for ever");
    }
}

struct Alarm {
    clock: Arc<Turning>,
    at: Instant,
}

impl Future for Alarm {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        if self.clock.instant() >= self.at {
            return Poll::Ready(());
        }
        self.clock.due.lock().unwrap().push(self.at);
        Poll::Pending
    }
}

/// A clock that everybody shares.
#[derive(Clone)]
pub(crate) struct Shared(pub(crate) Arc<Turning>);

impl Clock for Shared {
    fn now(&self) -> UnixTime {
        UnixTime::EPOCH
    }

    fn instant(&self) -> Instant {
        self.0.instant()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Alarm { clock: Arc::clone(&self.0), at: self.0.instant() + span })
    }
}

impl Spawn for Tasks {
    fn task(&self, future: BoxFuture<'static, ()>) {
        self.0.lock().unwrap().push(future);
    }

    fn thread(&self, _name: &'static str, _work: Box<dyn FnOnce() + Send>) {
        panic!("nobody here needs a thread")
    }

    fn blocking(&self, _work: Box<dyn FnOnce() + Send>) {
        panic!("nothing here blocks")
    }
}

#[allow(clippy::disallowed_methods, reason = "an Instant to count from cannot be made otherwise")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

pub(crate) fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10 {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return answer;
        }
    }
    panic!("it waits for something that never comes");
}

/// What is logged, each event in a line.
#[derive(Clone, Default)]
pub(crate) struct Logged(Arc<Mutex<Vec<String>>>);

impl Logged {
    /// What comes of work, and what it logs on this thread.
    pub(crate) fn by<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
        let logged = Self::default();
        let done = tracing::subscriber::with_default(logged.clone(), work);
        let lines = std::mem::take(&mut *logged.0.lock().unwrap());
        (done, lines)
    }
}

impl Subscriber for Logged {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}
