//! ManageSieve before the login (RFC 5804 §2.1). Scripts are where the mailbox is, and so far only back-ends of another make
//! keep any.

use crate::authenticator::{Client, Outcome};
use crate::clear::{ClearLogins, StartTls};
use crate::dialogue::{Dialogue, Turn};
use crate::front::{Front, Gate, Step};
use crate::{Authenticator, Proxy};
use mail_types::StoreName;
use managesieve_proto::{Config, Event, Refusal, Security, Server, TlsStart};
use ports::{Admission, BoxFuture, Elsewhere, Flow, Holder, Peer, Protocol, TlsFacts, Unavailable};
use sasl::Mechanism;
use std::sync::Arc;
use std::time::Instant;

/// What is the same for every connection of a listener.
#[derive(Clone, Debug)]
pub struct SieveConfig {
    /// All but the ways to log in.
    base: Config,
    starttls: StartTls,
    clear_logins: ClearLogins,
}

/// The proxy's end of a ManageSieve connection.
pub type SieveFront = Front<SieveGate>;

/// ManageSieve before the login.
pub struct SieveGate {
    proxy: Proxy,
    config: Arc<SieveConfig>,
    client: Client,
    dialogue: Dialogue,
}

impl SieveConfig {
    /// What our listeners have in common.
    pub fn new(starttls: StartTls, clear_logins: ClearLogins) -> Self {
        let base = Config {
            implementation: "Posthouse".to_owned(),
            greeting: "Posthouse is ready".to_owned(),
            in_clear: Vec::new(),
            under_tls: Vec::new(),
        };
        Self { base, starttls, clear_logins }
    }

    fn for_client(&self, peer: Peer, offered: &[Mechanism]) -> Arc<Config> {
        let under_tls: Vec<_> =
            offered.iter().chain(&Mechanism::ALL).map(|mechanism| mechanism.name().to_owned()).collect();
        let in_clear = if self.clear_logins.allows(peer.address.ip()) { under_tls.clone() } else { Vec::new() };
        Arc::new(Config { in_clear, under_tls, ..self.base.clone() })
    }
}

impl Proxy {
    /// A ManageSieve connection that was accepted, of which TLS says so much: greets, with the extensions that back-ends have
    /// told.
    pub async fn sieve(&self, config: &Arc<SieveConfig>, peer: Peer, facts: TlsFacts) -> (Server, SieveFront) {
        let dialogue = Dialogue::on(&self.authenticator, facts);
        let security = match config.starttls {
            _ if peer.tls => Security::Tls,
            StartTls::Offered => Security::ClearWithStartTls,
            StartTls::NotOffered => Security::Clear,
        };
        let client = Client::new(Protocol::Sieve, peer);
        let stranger = self.authenticator.stranger();
        let offer = self.back_ends.sieve_offer().await;
        let machine = Server::new(config.for_client(peer, dialogue.offered()), offer, security, self.clock.instant());
        let gate = SieveGate { proxy: self.clone(), config: Arc::clone(config), client, dialogue };
        (machine, Front::new(gate).with_stranger(stranger))
    }
}

impl Gate for SieveGate {
    type Machine = Server;

    fn decide<'a>(&'a mut self, machine: &'a mut Server, event: Event) -> BoxFuture<'a, Step<Server>> {
        Box::pin(self.on_event(machine, event))
    }

    fn on_tls(&mut self, machine: &mut Server, facts: TlsFacts) {
        self.dialogue = Dialogue::on(&self.proxy.authenticator, facts);
        machine.offer(self.config.for_client(self.client.peer, self.dialogue.offered()));
        machine.tls_started();
    }

    fn displace(&mut self, machine: &mut Server) {
        self.authenticator().displaced(&self.client);
        machine.bye(&Refusal::UNAVAILABLE);
    }
}

impl SieveGate {
    async fn on_event(&mut self, machine: &mut Server, event: Event) -> Step<Server> {
        match event {
            // The machine passes on what its configuration offers, which is what we know.
            Event::Authenticate { mechanism, initial } => match Mechanism::parse(&mechanism) {
                Some(mechanism) => {
                    let began = self.proxy.clock.instant();
                    let initial = initial.as_ref().map(managesieve_proto::Secret::as_bytes);
                    let who = (&*self.proxy.authenticator, &self.client);
                    let turn = self.dialogue.begin(who, mechanism, initial).await;
                    return self.on_turn(machine, turn, began).await;
                }
                None => machine.refuse(&Refusal::BAD_CREDENTIALS),
            },
            Event::AuthResponse(response) => {
                let began = self.proxy.clock.instant();
                let who = (&*self.proxy.authenticator, &self.client);
                let turn = self.dialogue.answer(who, response.as_bytes()).await;
                return self.on_turn(machine, turn, began).await;
            }
            Event::AuthCancelled => {
                // The machine counts it among the commands that are none.
                let _was_a_failure = self.dialogue.cancel();
            }
            Event::StartTls => {
                let flow = match machine.tls_ready() {
                    TlsStart::Begin => Flow::StartTls,
                    TlsStart::Refused => Flow::Close,
                };
                return Step::Stay(flow);
            }
        }
        Step::Stay(Flow::Next)
    }

    async fn on_turn(&mut self, machine: &mut Server, turn: Turn, began: Instant) -> Step<Server> {
        match turn {
            Turn::Challenge(challenge) => {
                machine.challenge(&challenge);
                Step::Stay(Flow::Next)
            }
            Turn::Over(outcome) => self.on_outcome(machine, outcome, began).await,
        }
    }

    /// The machine counts failed logins, and ends the conversation behind the last one that we bear.
    async fn on_outcome(&mut self, machine: &mut Server, outcome: Outcome, began: Instant) -> Step<Server> {
        let refusal = match outcome {
            Outcome::Visitor { store, who } => {
                let (account, rebuff) = (Arc::clone(&who.address), self.dialogue.rebuff());
                let admission = self.proxy.back_ends.sieve(&store, who).await;
                let holder = Holder { account, store };
                let why = match admission {
                    Ok(Admission::Welcome(elsewhere)) => return self.enter(machine, holder, elsewhere, began).await,
                    Ok(Admission::Refused { text, .. }) => {
                        self.authenticator().turned_away(&self.client, &holder.account, &text, began).await;
                        if let Some(rebuff) = rebuff {
                            machine.challenge(&self.dialogue.rebuffed(rebuff));
                            return Step::Stay(Flow::Next);
                        }
                        machine.refuse(&Refusal::BAD_CREDENTIALS);
                        return Step::Stay(Flow::Next);
                    }
                    Ok(Admission::InUse { .. }) => {
                        unavailable(&holder.store, "it says that another session is in the way")
                    }
                    Err(why) => why,
                };
                self.authenticator().unasked(&self.client, &holder, &why, Some(began)).await;
                Refusal::UNAVAILABLE
            }
            Outcome::LoggedIn { store, who } => {
                let why = unavailable(&store, "it keeps no Sieve scripts: ManageSieve leads to other servers only");
                let holder = Holder { account: who.address, store };
                self.authenticator().unasked(&self.client, &holder, &why, None).await;
                Refusal::NO_SCRIPTS
            }
            Outcome::WrongPassword | Outcome::NotAuthorized => Refusal::BAD_CREDENTIALS,
            Outcome::Limited => Refusal::TOO_MANY_LOGINS,
            Outcome::Unavailable => Refusal::UNAVAILABLE,
        };
        machine.refuse(&refusal);
        Step::Stay(Flow::Next)
    }

    /// Gives way to the back-end, where the account has a place left.
    async fn enter(&self, machine: &mut Server, holder: Holder, elsewhere: Elsewhere, began: Instant) -> Step<Server> {
        let Some(seat) = self.authenticator().seat(&self.client, &holder.account, began).await else {
            machine.refuse(&Refusal::TOO_MANY_SESSIONS);
            return Step::Stay(Flow::Next);
        };
        self.authenticator().admitted(&self.client, &holder, elsewhere.session.as_deref());
        let Elsewhere { welcome, mut passage, .. } = elsewhere;
        passage.unsent = machine.pass(&welcome);
        Step::Pass { passage, holder, seat: Some(seat) }
    }

    fn authenticator(&self) -> &Authenticator {
        &self.proxy.authenticator
    }
}

fn unavailable(store: &StoreName, why: &str) -> Unavailable {
    Unavailable { what: format!("the store {store}"), why: why.to_owned() }
}
