//! POP3 for other nodes.

use super::{NOT_HERE, admit, log_entered, log_refused};
use crate::Proxy;
use crate::authenticator::Client;
use crate::front::{Front, Gate, Step};
use crate::pop3::answer_login;
use pop3_proto::{Config, Event, Expire, LoginMethods, Refusal, Security, Server, UserPass, Utf8};
use ports::{BoxFuture, Flow, Handover, Holder, Peer, Protocol, SessionHandover, TlsFacts};
use sasl::{Exchange, Mechanism};
use std::sync::Arc;

/// What is the same for every connection of a listener that lets in nodes of the cluster, and nobody else.
#[derive(Clone)]
pub struct Pop3InsideConfig {
    config: Arc<Config>,
    stores: Arc<dyn SessionHandover>,
}

/// Our end of another node's POP3 connection.
pub type Pop3Inside = Front<Pop3InsideGate>;

/// POP3 in the AUTHORIZATION state, for nodes.
pub struct Pop3InsideGate {
    proxy: Proxy,
    stores: Arc<dyn SessionHandover>,
    client: Client,
    /// An AUTH that waits for the node.
    exchange: Option<Exchange>,
}

impl Pop3InsideConfig {
    /// What our own stores can do; `stores` are those of this process.
    pub fn new(stores: Arc<dyn SessionHandover>) -> Self {
        let external =
            LoginMethods { user: UserPass::Refused, mechanisms: vec![Mechanism::External.name().to_owned()] };
        let config = Config {
            greeting: "Posthouse is ready".to_owned(),
            implementation: Some("Posthouse".to_owned()),
            in_clear: external.clone(),
            under_tls: external,
            behind_login: Some(LoginMethods::with_user(&Mechanism::ALL.map(Mechanism::name))),
            expire: Some(Expire::Never),
            login_delay_seconds: None,
            utf8: Utf8::Offered,
        };
        Self { config: Arc::new(config), stores }
    }
}

impl Proxy {
    /// A POP3 connection of another node; `peer` is the client on whose behalf it calls.
    pub fn pop3_inside(&self, config: &Pop3InsideConfig, peer: Peer) -> (Server, Pop3Inside) {
        let security = if peer.tls { Security::Tls } else { Security::Clear };
        let machine = Server::new(Arc::clone(&config.config), security, self.clock.instant());
        let client = Client::new(Protocol::Pop3, peer);
        let stores = Arc::clone(&config.stores);
        (machine, Front::new(Pop3InsideGate { proxy: self.clone(), stores, client, exchange: None }))
    }
}

impl Gate for Pop3InsideGate {
    type Machine = Server;

    fn decide<'a>(&'a mut self, machine: &'a mut Server, event: Event) -> BoxFuture<'a, Step<Server>> {
        Box::pin(self.on_event(machine, event))
    }

    /// TLS is there from the first octet: STLS is not offered.
    fn on_tls(&mut self, _machine: &mut Server, _facts: TlsFacts) {}
}

impl Pop3InsideGate {
    async fn on_event(&mut self, machine: &mut Server, event: Event) -> Step<Server> {
        match event {
            // The machine passes on what its configuration offers.
            Event::Auth { initial, .. } => {
                let step = Exchange::start(Mechanism::External, initial.as_ref().map(pop3_proto::Secret::as_bytes));
                return self.on_step(machine, step).await;
            }
            Event::AuthResponse(response) => {
                let exchange = self.exchange.take().expect("the machine asks for a response behind a challenge only");
                return self.on_step(machine, exchange.step(response.as_bytes())).await;
            }
            Event::AuthCancelled => self.exchange = None,
            // Not offered, and of the TRANSACTION state, where the store answers.
            Event::Login { .. }
            | Event::StartTls
            | Event::Stat
            | Event::List(_)
            | Event::Uidl(_)
            | Event::Retr(_)
            | Event::Top { .. }
            | Event::Dele(_)
            | Event::Rset
            | Event::Quit => machine.refuse(&Refusal::UNAVAILABLE),
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
        match self.stores.pop3(&store, who.clone(), machine.mode()).await {
            Ok(Some(Handover::Here(session))) => {
                log_entered(&self.client, &store, &who);
                let holder = Holder { account: who.address, store };
                return answer_login(machine, session, holder, None).await;
            }
            // RFC 2449 §8.1.2. The calling node logs it, and tells the client.
            Ok(None) => machine.refuse(&Refusal::IN_USE),
            Ok(Some(Handover::There(_))) => return self.refuse(machine, whom, &NOT_HERE),
            Err(why) => return self.refuse(machine, whom, &why),
        }
        Step::Stay(Flow::Next)
    }

    fn refuse(&self, machine: &mut Server, whom: Option<&str>, why: &dyn std::fmt::Display) -> Step<Server> {
        log_refused(&self.client, whom, why);
        machine.refuse(&Refusal::UNAVAILABLE);
        Step::Stay(Flow::Next)
    }
}
