//! Submission before the login (RFC 6409, RFC 4954), in front of submission servers of another make.

use crate::authenticator::{Client, Outcome};
use crate::clear::{ClearLogins, StartTls};
use crate::dialogue::{Dialogue, Turn};
use crate::front::{Front, Gate, Step};
use crate::limits::{LOGIN_FAILURE_COUNT_MAX, LOGIN_SPAN_MAX};
use crate::{Authenticator, Proxy};
use mail_types::Domain;
use ports::{Admission, BoxFuture, Flow, Holder, Peer, Protocol, SubmissionCommon, TlsFacts, Unavailable};
use sasl::Mechanism;
use smtp_proto::server::{Config, Event, Extensions, Limits, Server};
use smtp_proto::{Dialect, Refusal, Security};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

/// The machine: no message is taken here, so there is no receipt for one.
pub type SubmissionServer = Server<Infallible>;

/// What is the same for every connection of a listener.
#[derive(Clone, Debug)]
pub struct SubmissionConfig {
    /// All but the ways to log in.
    base: Config,
    clear_logins: ClearLogins,
    /// What the configuration promises for every server behind; else it is what they tell.
    is_told: bool,
}

/// The proxy's end of a submission connection.
pub type SubmissionFront = Front<SubmissionGate>;

/// SMTP up to a successful AUTH.
pub struct SubmissionGate {
    proxy: Proxy,
    config: Arc<SubmissionConfig>,
    client: Client,
    dialogue: Dialogue,
    failures: u32,
}

impl SubmissionConfig {
    /// As `host`; `promised` are lines of the answer to EHLO that hold for every server behind, STARTTLS and AUTH apart. Where
    /// there are none, it is the usual ones, less what some server behind has shown to lack.
    pub fn new(host: Domain, promised: Option<Vec<String>>, starttls: StartTls, clear_logins: ClearLogins) -> Self {
        let extensions = Extensions { starttls: starttls == StartTls::Offered, ..Extensions::default() };
        let limits = Limits { login_span: Some(LOGIN_SPAN_MAX), ..Limits::default() };
        let is_told = promised.is_some();
        let all = SubmissionCommon { pipelining: true, eight_bit: true, enhanced_codes: true, size: true };
        let promised = Some(promised.unwrap_or_else(|| usual_extensions(all)));
        let base = Config { extensions, promised, limits, ..Config::new(Dialect::Smtp, host) };
        Self { base, clear_logins, is_told }
    }

    fn for_client(&self, peer: Peer, offered: &[Mechanism], common: Option<SubmissionCommon>) -> Arc<Config> {
        let auth = offered.iter().chain(&Mechanism::ALL).map(|mechanism| mechanism.name().to_owned()).collect();
        let auth_in_clear = self.clear_logins.allows(peer.address.ip());
        let extensions = Extensions { auth, auth_in_clear, ..self.base.extensions.clone() };
        let config = Config { extensions, ..self.base.clone() };
        Arc::new(match common.filter(|_| !self.is_told) {
            Some(common) => Config { promised: Some(usual_extensions(common)), ..config },
            None => config,
        })
    }
}

/// What every submission server of this century has (RFC 6409 §7) and these have, and no word on how large a message may be.
fn usual_extensions(common: SubmissionCommon) -> Vec<String> {
    let SubmissionCommon { pipelining, eight_bit, enhanced_codes, size } = common;
    let each =
        [("PIPELINING", pipelining), ("8BITMIME", eight_bit), ("ENHANCEDSTATUSCODES", enhanced_codes), ("SIZE", size)];
    each.into_iter().filter(|(_, has)| *has).map(|(name, _)| name.to_owned()).collect()
}

impl Proxy {
    /// A submission connection that was accepted, of which TLS says so much: greets.
    pub fn submission(
        &self,
        config: &Arc<SubmissionConfig>,
        peer: Peer,
        facts: TlsFacts,
    ) -> (SubmissionServer, SubmissionFront) {
        let dialogue = Dialogue::on(&self.authenticator, facts);
        let client = Client::new(Protocol::Submission, peer);
        let security = if peer.tls { Security::Tls } else { Security::Plain };
        let told = config.for_client(peer, dialogue.offered(), self.back_ends.submission_common());
        let machine = Server::new(told, security, self.clock.instant());
        let gate = SubmissionGate { proxy: self.clone(), config: Arc::clone(config), client, dialogue, failures: 0 };
        (machine, Front::new(gate).with_stranger(self.authenticator.stranger()))
    }
}

impl Gate for SubmissionGate {
    type Machine = SubmissionServer;

    fn decide<'a>(
        &'a mut self,
        machine: &'a mut SubmissionServer,
        event: Event,
    ) -> BoxFuture<'a, Step<SubmissionServer>> {
        Box::pin(self.on_event(machine, event))
    }

    /// RFC 3207 §4.2: nothing that was learnt before is kept.
    fn on_tls(&mut self, machine: &mut SubmissionServer, facts: TlsFacts) {
        self.dialogue = Dialogue::on(&self.proxy.authenticator, facts);
        let common = self.proxy.back_ends.submission_common();
        machine.offer(self.config.for_client(self.client.peer, self.dialogue.offered(), common));
        machine.tls_started();
    }

    fn displace(&mut self, machine: &mut SubmissionServer) {
        self.authenticator().displaced(&self.client);
        machine.shut_down(&Refusal::TOO_BUSY);
    }
}

impl SubmissionGate {
    async fn on_event(&mut self, machine: &mut SubmissionServer, event: Event) -> Step<SubmissionServer> {
        match event {
            Event::Hello(_) => machine.accept_hello(),
            // The machine passes on what its configuration offers, which is what we know.
            Event::Auth { mechanism, initial } => match Mechanism::parse(&mechanism) {
                Some(mechanism) => {
                    let began = self.proxy.clock.instant();
                    let who = (&*self.proxy.authenticator, &self.client);
                    let turn = self.dialogue.begin(who, mechanism, initial.as_deref()).await;
                    return self.on_turn(machine, turn, began).await;
                }
                None => machine.auth_failed(Refusal::UNKNOWN_MECHANISM),
            },
            Event::AuthResponse(response) => {
                let began = self.proxy.clock.instant();
                let who = (&*self.proxy.authenticator, &self.client);
                let turn = self.dialogue.answer(who, &response).await;
                return self.on_turn(machine, turn, began).await;
            }
            Event::AuthAborted if self.dialogue.cancel() => return self.count_failure(machine),
            Event::AuthAborted => {}
            Event::StartTls => {
                machine.accept_tls();
                return Step::Stay(Flow::StartTls);
            }
            // RFC 4954 §6 and RFC 3207 §4: whichever of the two the client has to do next.
            Event::Mail(_) => machine.refuse(match (machine.security(), machine.config().extensions.auth_in_clear) {
                (Security::Plain, false) => Refusal::TLS_REQUIRED,
                (Security::Tls, _) | (Security::Plain, true) => Refusal::AUTH_REQUIRED,
            }),
            // Of a transaction, which there is none without MAIL.
            Event::Rcpt(_) | Event::Data | Event::End => machine.refuse(Refusal::BAD_SEQUENCE),
            Event::Body(_) | Event::Reset(_) | Event::Closed(_) => {}
        }
        Step::Stay(Flow::Next)
    }

    async fn on_turn(&mut self, machine: &mut SubmissionServer, turn: Turn, began: Instant) -> Step<SubmissionServer> {
        match turn {
            Turn::Challenge(challenge) => {
                machine.challenge(&challenge);
                Step::Stay(Flow::Next)
            }
            Turn::Over(outcome) => self.on_outcome(machine, outcome, began).await,
        }
    }

    async fn on_outcome(
        &mut self,
        machine: &mut SubmissionServer,
        outcome: Outcome,
        began: Instant,
    ) -> Step<SubmissionServer> {
        let rebuff = self.dialogue.rebuff();
        let (holder, answer) = match outcome {
            Outcome::Visitor { store, who } => {
                let account = Arc::clone(&who.address);
                let answer = self.proxy.back_ends.submission(&store, who).await;
                (Holder { account, store }, answer)
            }
            Outcome::LoggedIn { store, who } => {
                let what = format!("submission for the store {store}");
                let why = "it is a store of Posthouse's, which takes mail from its relay only".to_owned();
                (Holder { account: who.address, store }, Err(Unavailable { what, why }))
            }
            Outcome::WrongPassword | Outcome::NotAuthorized => return self.refuse(machine),
            Outcome::Limited => return put_off(machine, TOO_MANY_LOGINS),
            Outcome::Unavailable => return put_off(machine, Refusal::AUTH_UNAVAILABLE),
        };
        match answer {
            Ok(Admission::Welcome(elsewhere)) => {
                let Some(seat) = self.authenticator().seat(&self.client, &holder.account, began).await else {
                    return put_off(machine, TOO_MANY_SESSIONS);
                };
                self.authenticator().admitted(&self.client, &holder, elsewhere.session.as_deref());
                let mut passage = elsewhere.passage;
                passage.unsent = machine.pass();
                Step::Pass { passage, holder, seat: Some(seat) }
            }
            Ok(Admission::Refused { text, .. }) => {
                self.authenticator().turned_away(&self.client, &holder.account, &text, began).await;
                if let Some(rebuff) = rebuff {
                    machine.challenge(&self.dialogue.rebuffed(rebuff));
                    return Step::Stay(Flow::Next);
                }
                self.refuse(machine)
            }
            Ok(Admission::InUse { .. }) => put_off(machine, Refusal::AUTH_UNAVAILABLE),
            Err(why) => {
                self.authenticator().unasked(&self.client, &holder, &why, Some(began)).await;
                put_off(machine, Refusal::AUTH_UNAVAILABLE)
            }
        }
    }

    /// A login that failed; the last one that we bear ends the connection.
    fn refuse(&mut self, machine: &mut SubmissionServer) -> Step<SubmissionServer> {
        machine.auth_failed(Refusal::AUTH_FAILED);
        self.count_failure(machine)
    }

    fn count_failure(&mut self, machine: &mut SubmissionServer) -> Step<SubmissionServer> {
        self.failures += 1;
        if self.failures < LOGIN_FAILURE_COUNT_MAX {
            return Step::Stay(Flow::Next);
        }
        machine.shut_down(&TOO_MANY_FAILURES);
        Step::Stay(Flow::Close)
    }

    fn authenticator(&self) -> &Authenticator {
        &self.proxy.authenticator
    }
}

/// It may be otherwise later.
fn put_off(machine: &mut SubmissionServer, refusal: Refusal) -> Step<SubmissionServer> {
    machine.auth_failed(refusal);
    Step::Stay(Flow::Next)
}

const TOO_MANY_FAILURES: Refusal = Refusal::of(421, (4, 7, 0), "Too many failed logins");
/// RFC 4954 §6.
const TOO_MANY_LOGINS: Refusal = Refusal::of(454, (4, 7, 0), "Too many logins, try again later");
const TOO_MANY_SESSIONS: Refusal = Refusal::of(454, (4, 7, 0), "Too many sessions of this account");
