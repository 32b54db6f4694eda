//! From the greeting to the hand-over, whatever the protocol: a [`Gate`] decides until somebody is logged in.

use crate::turnstile::{Seat, Stranger};
use machine::Machine;
use ports::{Badge, BoxFuture, Flow, Handler, Holder, Passage, TlsFacts};
use std::sync::Arc;

/// The proxy's end of one connection.
pub struct Front<G: Gate> {
    state: State<G>,
    /// What operators see, until somebody is logged in.
    badge: Option<Arc<Badge>>,
    /// Its place among those who are not logged in, until somebody is.
    stranger: Option<Stranger>,
    /// Then its place among the account's sessions.
    seat: Option<Seat>,
}

/// Who answers.
enum State<G: Gate> {
    /// Nobody is logged in: we do. In a box, as is the way to a back-end: the session, which lasts, has no room for it.
    NotAuthenticated(Box<G>),
    /// The store's half of the session does, to the end.
    Delegated(Box<dyn Handler<G::Machine>>),
    /// A back-end does, to the end; the driver has the way to it, or takes it now.
    Passed(Option<Box<Passage>>),
}

/// What a protocol has before its login.
pub trait Gate: Send {
    /// The server's end of the protocol.
    type Machine: Machine<Event: Send> + Send + 'static;

    /// Decides one event.
    fn decide<'a>(
        &'a mut self,
        machine: &'a mut Self::Machine,
        event: <Self::Machine as Machine>::Event,
    ) -> BoxFuture<'a, Step<Self::Machine>>;

    /// TLS is up, and says so much of the client.
    fn on_tls(&mut self, machine: &mut Self::Machine, facts: TlsFacts);

    /// The client has been a stranger for too long, and others come: says so, as far as the protocol has words for it.
    fn displace(&mut self, machine: &mut Self::Machine) {
        let _ = machine;
    }
}

/// Where an event leads.
pub enum Step<M: Machine> {
    /// The client is still a stranger.
    Stay(Flow),
    /// It is logged in, and has been told so.
    Delegate {
        /// Answers from now on.
        session: Box<dyn Handler<M>>,
        /// What the driver does next.
        flow: Flow,
        /// Who it is.
        holder: Holder,
        /// Its place; nothing where another node counts.
        seat: Option<Seat>,
    },
    /// It is logged in at a back-end, and has been told so.
    Pass {
        /// The way there.
        passage: Passage,
        /// Who it is.
        holder: Holder,
        /// Its place.
        seat: Option<Seat>,
    },
}

impl<G: Gate> Front<G> {
    pub(crate) fn new(gate: G) -> Self {
        Self { state: State::NotAuthenticated(Box::new(gate)), badge: None, stranger: None, seat: None }
    }

    pub(crate) fn with_stranger(self, stranger: Stranger) -> Self {
        Self { stranger: Some(stranger), ..self }
    }

    /// Somebody has logged in, which happens once.
    fn enter(&mut self, holder: Holder, seat: Option<Seat>) {
        if let Some(badge) = self.badge.take() {
            badge.logged_in(holder.account, holder.store);
        }
        self.stranger = None;
        self.seat = seat;
    }

    /// With a badge, on which the login is noted.
    #[must_use]
    pub fn with_badge(mut self, badge: Arc<Badge>) -> Self {
        self.badge = Some(badge);
        self
    }
}

impl<G: Gate> Handler<G::Machine> for Front<G> {
    fn on_event<'a>(
        &'a mut self,
        machine: &'a mut G::Machine,
        event: <G::Machine as Machine>::Event,
    ) -> BoxFuture<'a, Flow> {
        Box::pin(async move {
            match &mut self.state {
                State::Delegated(session) => session.on_event(machine, event).await,
                State::NotAuthenticated(gate) => match gate.decide(machine, event).await {
                    Step::Stay(flow) => flow,
                    Step::Delegate { session, flow, holder, seat } => {
                        self.enter(holder, seat);
                        self.state = State::Delegated(session);
                        flow
                    }
                    Step::Pass { passage, holder, seat } => {
                        self.enter(holder, seat);
                        self.state = State::Passed(Some(Box::new(passage)));
                        Flow::Pass
                    }
                },
                // The driver decides no event after `Flow::Pass`.
                State::Passed(_) => Flow::Close,
            }
        })
    }

    fn resume<'a>(&'a mut self, machine: &'a mut G::Machine) -> BoxFuture<'a, Flow> {
        match &mut self.state {
            State::Delegated(session) => session.resume(machine),
            State::NotAuthenticated(_) | State::Passed(_) => Box::pin(async { Flow::Next }),
        }
    }

    fn wake(&mut self) -> BoxFuture<'_, ()> {
        match &mut self.state {
            State::Delegated(session) => session.wake(),
            State::NotAuthenticated(_) => match &self.stranger {
                Some(stranger) => Box::pin(stranger.displaced()),
                None => Box::pin(std::future::pending()),
            },
            State::Passed(_) => Box::pin(std::future::pending()),
        }
    }

    fn on_wake<'a>(&'a mut self, machine: &'a mut G::Machine) -> BoxFuture<'a, Flow> {
        match &mut self.state {
            State::Delegated(session) => session.on_wake(machine),
            State::NotAuthenticated(gate) => {
                gate.displace(machine);
                Box::pin(async { Flow::Close })
            }
            State::Passed(_) => Box::pin(async { Flow::Next }),
        }
    }

    fn passage(&mut self) -> Option<Passage> {
        match &mut self.state {
            State::Passed(passage) => passage.take().map(|passage| *passage),
            State::NotAuthenticated(_) | State::Delegated(_) => None,
        }
    }

    fn on_tls(&mut self, machine: &mut G::Machine, facts: TlsFacts) {
        match &mut self.state {
            State::Delegated(session) => session.on_tls(machine, facts),
            State::NotAuthenticated(gate) => gate.on_tls(machine, facts),
            State::Passed(_) => {}
        }
    }

    fn on_close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        match &mut self.state {
            State::Delegated(session) => session.on_close(),
            State::NotAuthenticated(_) | State::Passed(_) => Box::pin(async {}),
        }
    }
}
