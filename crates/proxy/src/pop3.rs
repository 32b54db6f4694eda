//! POP3 before the login (RFC 1939 §4).

use crate::authenticator::{Client, Outcome, credentials};
use crate::clear::{ClearLogins, StartTls};
use crate::dialogue::{Dialogue, Turn};
use crate::front::{Front, Gate, Step};
use crate::turnstile::Seat;
use crate::{Authenticator, Proxy};
use pop3_proto::{Config, Event, Expire, LoginMethods, Refusal, Security, Server, TlsStart, Utf8};
use ports::{
    Admission, BoxFuture, Elsewhere, Flow, Handler, Handover, Holder, Peer, Pop3Common, Pop3Handover, Protocol,
    TlsFacts, Unavailable,
};
use sasl::Mechanism;
use std::sync::Arc;
use std::time::Instant;

/// What is the same for every connection of a listener.
#[derive(Clone, Debug)]
pub struct Pop3Config {
    /// All but the ways to log in.
    base: Config,
    starttls: StartTls,
    clear_logins: ClearLogins,
}

/// The proxy's end of a POP3 connection.
pub type Pop3Front = Front<Pop3Gate>;

/// POP3 in the AUTHORIZATION state.
pub struct Pop3Gate {
    proxy: Proxy,
    config: Arc<Pop3Config>,
    client: Client,
    dialogue: Dialogue,
}

impl Pop3Config {
    /// What our own stores can do.
    pub fn new(starttls: StartTls, clear_logins: ClearLogins) -> Self {
        let base = Config {
            greeting: "Posthouse is ready".to_owned(),
            implementation: Some("Posthouse".to_owned()),
            in_clear: LoginMethods::default(),
            under_tls: LoginMethods::default(),
            behind_login: None,
            expire: Some(Expire::Never),
            login_delay_seconds: None,
            utf8: Utf8::Offered,
        };
        Self { base, starttls, clear_logins }
    }

    /// Before its login a client is told what holds wherever it is led: where there are back-ends, what all of them have
    /// (RFC 2449 §6: a client may ask before the login, and never again).
    fn for_client(&self, peer: Peer, offered: &[Mechanism], common: Option<Pop3Common>) -> Arc<Config> {
        let names: Vec<_> = offered.iter().chain(&Mechanism::ALL).map(|mechanism| mechanism.name()).collect();
        let under_tls = LoginMethods::with_user(&names);
        let may = self.clear_logins.allows(peer.address.ip());
        let in_clear = if may { under_tls.clone() } else { LoginMethods::default() };
        let config = Config { in_clear, under_tls, ..self.base.clone() };
        Arc::new(match common {
            // How long a back-end keeps mail nobody here knows.
            Some(Pop3Common { utf8: true }) => Config { utf8: Utf8::Offered, expire: None, ..config },
            Some(Pop3Common { utf8: false }) => Config { utf8: Utf8::Refused, expire: None, ..config },
            None => config,
        })
    }
}

impl Proxy {
    /// A POP3 connection that was accepted: greets.
    pub fn pop3(&self, config: &Arc<Pop3Config>, peer: Peer) -> (Server, Pop3Front) {
        self.pop3_over(config, peer, TlsFacts::default())
    }

    /// The same, on a connection of which TLS says so much.
    pub fn pop3_over(&self, config: &Arc<Pop3Config>, peer: Peer, facts: TlsFacts) -> (Server, Pop3Front) {
        let dialogue = Dialogue::on(&self.authenticator, facts);
        let security = match config.starttls {
            _ if peer.tls => Security::Tls,
            StartTls::Offered => Security::ClearWithStls,
            StartTls::NotOffered => Security::Clear,
        };
        let client = Client::new(Protocol::Pop3, peer);
        let common = self.back_ends.pop3_common();
        let machine = Server::new(config.for_client(peer, dialogue.offered(), common), security, self.clock.instant());
        let gate = Pop3Gate { proxy: self.clone(), config: Arc::clone(config), client, dialogue };
        (machine, Front::new(gate).with_stranger(self.authenticator.stranger()))
    }
}

impl Gate for Pop3Gate {
    type Machine = Server;

    fn decide<'a>(&'a mut self, machine: &'a mut Server, event: Event) -> BoxFuture<'a, Step<Server>> {
        Box::pin(self.on_event(machine, event))
    }

    fn on_tls(&mut self, machine: &mut Server, facts: TlsFacts) {
        self.dialogue = Dialogue::on(&self.proxy.authenticator, facts);
        let common = self.proxy.back_ends.pop3_common();
        machine.offer(self.config.for_client(self.client.peer, self.dialogue.offered(), common));
        machine.tls_started();
    }

    /// RFC 1939 has no word that comes unasked.
    fn displace(&mut self, machine: &mut Server) {
        self.authenticator().displaced(&self.client);
        machine.abort();
    }
}

impl Pop3Gate {
    async fn on_event(&mut self, machine: &mut Server, event: Event) -> Step<Server> {
        match event {
            Event::Login { user, password } => {
                let began = self.proxy.clock.instant();
                let credentials = credentials(user.as_bytes(), password.as_bytes());
                let outcome = self.authenticator().log_in(&self.client, credentials).await;
                return self.on_outcome(machine, outcome, began).await;
            }
            // The machine passes on what its configuration offers, which is what we know.
            Event::Auth { mechanism, initial } => match Mechanism::parse(&mechanism) {
                Some(mechanism) => {
                    let began = self.proxy.clock.instant();
                    let initial = initial.as_ref().map(pop3_proto::Secret::as_bytes);
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
            // Of the TRANSACTION state, where the store answers.
            Event::Stat
            | Event::List(_)
            | Event::Uidl(_)
            | Event::Retr(_)
            | Event::Top { .. }
            | Event::Dele(_)
            | Event::Rset
            | Event::Quit => machine.refuse(&Refusal::BAD_CREDENTIALS),
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
            Outcome::LoggedIn { store, who } => {
                let account = Arc::clone(&who.address);
                let Some(seat) = self.authenticator().seat(&self.client, &account, began).await else {
                    machine.refuse(&Refusal::UNAVAILABLE);
                    return Step::Stay(Flow::Next);
                };
                let handover = self.proxy.handover.pop3(&store, who, machine.mode()).await;
                return self.enter(machine, Holder { account, store }, handover, None, Some(seat)).await;
            }
            Outcome::Visitor { store, who } => {
                let (account, rebuff) = (Arc::clone(&who.address), self.dialogue.rebuff());
                let handover = match self.proxy.back_ends.pop3(&store, who, machine.mode()).await {
                    Ok(Admission::Welcome(elsewhere)) => Ok(Some(Handover::There(elsewhere))),
                    Ok(Admission::InUse { text }) => {
                        let holder = Holder { account, store };
                        self.authenticator().in_use(&self.client, &holder, Some(&text));
                        machine.refuse(&Refusal::IN_USE);
                        return Step::Stay(Flow::Next);
                    }
                    Ok(Admission::Refused { text, shown }) => {
                        self.authenticator().turned_away(&self.client, &account, &text, began).await;
                        if let Some(rebuff) = rebuff {
                            machine.challenge(&self.dialogue.rebuffed(rebuff));
                            return Step::Stay(Flow::Next);
                        }
                        machine.refuse(&match shown {
                            Some(text) => Refusal::new(Refusal::BAD_CREDENTIALS.code(), text),
                            None => Refusal::BAD_CREDENTIALS,
                        });
                        return Step::Stay(Flow::Next);
                    }
                    Err(why) => Err(why),
                };
                // Not before: who has not proved anything yet must not take up the account's places.
                let mut seat = None;
                if handover.is_ok() {
                    seat = self.authenticator().seat(&self.client, &account, began).await;
                    if seat.is_none() {
                        machine.refuse(&Refusal::UNAVAILABLE);
                        return Step::Stay(Flow::Next);
                    }
                }
                return self.enter(machine, Holder { account, store }, handover, Some(began), seat).await;
            }
            Outcome::WrongPassword | Outcome::NotAuthorized => Refusal::BAD_CREDENTIALS,
            Outcome::Limited => Refusal::LOGIN_DELAY,
            Outcome::Unavailable => Refusal::UNAVAILABLE,
        };
        machine.refuse(&refusal);
        Step::Stay(Flow::Next)
    }

    /// Gives way to the store, whose session answers the login, or to the back-end, which has.
    async fn enter(
        &self,
        machine: &mut Server,
        holder: Holder,
        handover: Result<Option<Pop3Handover>, Unavailable>,
        came: Option<Instant>,
        seat: Option<Seat>,
    ) -> Step<Server> {
        match handover {
            Ok(Some(Handover::There(Elsewhere { welcome, session, mut passage }))) => {
                self.authenticator().admitted(&self.client, &holder, session.as_deref());
                passage.unsent = machine.pass(&welcome);
                return Step::Pass { passage, holder, seat };
            }
            Ok(Some(Handover::Here(session))) => {
                self.authenticator().admitted(&self.client, &holder, None);
                return answer_login(machine, session, holder, seat).await;
            }
            Ok(None) => {
                self.authenticator().in_use(&self.client, &holder, None);
                machine.refuse(&Refusal::IN_USE);
            }
            Err(why) => {
                self.authenticator().unasked(&self.client, &holder, &why, came).await;
                machine.refuse(&Refusal::UNAVAILABLE);
            }
        }
        Step::Stay(Flow::Next)
    }

    fn authenticator(&self) -> &Authenticator {
        &self.proxy.authenticator
    }
}

/// Only the store knows what the maildrop holds, so its session answers the login: by its first `resume`.
pub(crate) async fn answer_login(
    machine: &mut Server,
    mut session: Box<dyn Handler<Server>>,
    holder: Holder,
    seat: Option<Seat>,
) -> Step<Server> {
    let flow = session.resume(machine).await;
    Step::Delegate { session, flow, holder, seat }
}
