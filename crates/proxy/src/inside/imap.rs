//! IMAP for other nodes.

use super::{NOT_HERE, admit, log_entered, log_refused};
use crate::Proxy;
use crate::authenticator::Client;
use crate::front::{Front, Gate, Step};
use crate::imap::{LOG_IN_FIRST, NO_SUCH_MECHANISM, UNAVAILABLE, answer_stranger};
use imap_proto::capability::{Capability, CapabilitySet, Login, Privacy, Support, offered};
use imap_proto::server::{Event, Server};
use imap_proto::{Limits, Reply, Response, ResponseCode};
use ports::{BoxFuture, Flow, Handover, Holder, Peer, Protocol, SessionHandover, TlsFacts};
use sasl::{Exchange, Mechanism};
use std::sync::Arc;

/// What is the same for every connection of a listener that lets in nodes of the cluster, and nobody else.
#[derive(Clone)]
pub struct ImapInsideConfig {
    /// The text of the greeting.
    pub greeting: &'static str,
    /// What a client may send.
    pub limits: Arc<Limits>,
    /// What the stores here can do. How one logs in is added here.
    pub support: Support,
    /// The stores of this process.
    pub stores: Arc<dyn SessionHandover>,
}

/// Our end of another node's IMAP connection.
pub type ImapInside = Front<ImapInsideGate>;

/// IMAP in the not authenticated state, for nodes.
pub struct ImapInsideGate {
    proxy: Proxy,
    config: Arc<ImapInsideConfig>,
    client: Client,
    /// An AUTHENTICATE that waits for the node.
    exchange: Option<Exchange>,
}

impl Proxy {
    /// An IMAP connection of another node; `peer` is the client on whose behalf it calls.
    pub fn imap_inside(&self, config: &Arc<ImapInsideConfig>, peer: Peer) -> (Server, ImapInside) {
        let client = Client::new(Protocol::Imap, peer);
        let gate = ImapInsideGate { proxy: self.clone(), config: Arc::clone(config), client, exchange: None };
        let mut machine = Server::new(Arc::clone(&config.limits), self.clock.instant());
        let capabilities = ResponseCode::Capability(gate.offered());
        machine.send(&Response::Untagged(Reply::ok(config.greeting).with(capabilities)));
        (machine, Front::new(gate))
    }
}

impl Gate for ImapInsideGate {
    type Machine = Server;

    fn decide<'a>(&'a mut self, machine: &'a mut Server, event: Event) -> BoxFuture<'a, Step<Server>> {
        Box::pin(self.on_event(machine, event))
    }

    /// TLS is there from the first octet: STARTTLS is refused.
    fn on_tls(&mut self, _machine: &mut Server, _facts: TlsFacts) {}
}

impl ImapInsideGate {
    async fn on_event(&mut self, machine: &mut Server, event: Event) -> Step<Server> {
        match event {
            Event::Command(command) => answer_stranger(machine, &command.body, self.offered()),
            Event::Authenticate { mechanism, initial } => {
                if Mechanism::parse(&mechanism) == Some(Mechanism::External) {
                    return self.on_step(machine, Exchange::start(Mechanism::External, initial.as_deref())).await;
                }
                machine.complete(NO_SUCH_MECHANISM);
            }
            Event::AuthResponse(response) => {
                let exchange = self.exchange.take().expect("the machine asks for a response behind a challenge only");
                return self.on_step(machine, exchange.step(&response)).await;
            }
            Event::AuthCancelled => {
                self.exchange = None;
                machine.complete(Reply::bad("Authentication cancelled"));
            }
            Event::StartTls => machine.complete(Reply::bad("STARTTLS is not offered here")),
            Event::IdleBegin
            | Event::AppendBegin(_)
            | Event::IdleDone
            | Event::AppendChunk(_)
            | Event::AppendEnd
            | Event::AppendFinish
            | Event::AppendAbort => machine.complete(LOG_IN_FIRST),
        }
        Step::Stay(Flow::Next)
    }

    async fn on_step(&mut self, machine: &mut Server, step: sasl::Step) -> Step<Server> {
        let whom = match step {
            sasl::Step::Challenge { challenge, exchange } => {
                self.exchange = Some(exchange);
                machine.challenge(&challenge);
                return Step::Stay(Flow::Next);
            }
            sasl::Step::External(whom) => whom,
            sasl::Step::Done(_)
            | sasl::Step::Failed(_)
            | sasl::Step::Bearer(_)
            | sasl::Step::Scram(_)
            | sasl::Step::Proved(_)
            | sasl::Step::Unproved(_) => None,
        };
        self.enter(machine, whom.as_deref()).await
    }

    async fn enter(&mut self, machine: &mut Server, whom: Option<&str>) -> Step<Server> {
        let (store, who) = match admit(&self.proxy.authenticator, &self.client, whom) {
            Ok(admitted) => admitted,
            Err(why) => return self.refuse(machine, whom, &why),
        };
        match self.config.stores.imap(&store, who.clone()).await {
            Ok(Handover::Here(session)) => {
                log_entered(&self.client, &store, &who);
                machine.logged_in();
                let capabilities = offered(&self.config.support, Login::After, Privacy::Private);
                machine.complete(Reply::ok("Logged in").with(ResponseCode::Capability(capabilities)));
                let holder = Holder { account: who.address, store };
                Step::Delegate { session, flow: Flow::Next, holder, seat: None }
            }
            Ok(Handover::There(_)) => self.refuse(machine, whom, &NOT_HERE),
            Err(why) => self.refuse(machine, whom, &why),
        }
    }

    fn refuse(&self, machine: &mut Server, whom: Option<&str>, why: &dyn std::fmt::Display) -> Step<Server> {
        log_refused(&self.client, whom, why);
        machine.complete(UNAVAILABLE);
        Step::Stay(Flow::Next)
    }

    /// EXTERNAL alone, whatever else is offered elsewhere.
    fn offered(&self) -> CapabilitySet {
        let mechanisms = vec![Mechanism::External.name().into()];
        let support = Support { mechanisms, plain_mechanisms: Vec::new(), ..self.config.support.clone() };
        let mut set = offered(&support, Login::Before, Privacy::Private);
        set.insert(Capability::SaslIr);
        // RFC 9051 §6.2.3: passwords are not taken.
        set.insert(Capability::LoginDisabled);
        set
    }
}
