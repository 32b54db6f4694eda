//! IMAP before the login (RFC 9051 §6.1 and §6.2).

use crate::authenticator::{Client, Outcome, credentials};
use crate::clear::{ClearLogins, StartTls};
use crate::dialogue::{Dialogue, Turn};
use crate::front::{Front, Gate, Step};
use crate::limits::LOGIN_FAILURE_COUNT_MAX;
use crate::turnstile::Seat;
use crate::{Authenticator, Proxy};
use imap_proto::capability::{Capability, CapabilitySet, Login, Privacy, Support, offered};
use imap_proto::command::{CommandBody, IdField};
use imap_proto::server::{Event, Server};
use imap_proto::{Limits, Reply, Response, ResponseCode};
use mail_types::StoreName;
use ports::{
    Admission, BoxFuture, Elsewhere, Flow, Handover, Holder, ImapHandover, Peer, Protocol, TlsFacts, Unavailable,
};
use sasl::{Mechanism, Secret};
use std::sync::Arc;
use std::time::Instant;

/// What is the same for every connection of a listener.
#[derive(Clone, Debug)]
pub struct ImapConfig {
    /// The text of the greeting.
    pub greeting: &'static str,
    /// What a client may send.
    pub limits: Arc<Limits>,
    /// What the stores behind have in common, and the mechanisms of [`sasl`] to offer in any case. What a login alone needs
    /// (STARTTLS, SASL-IR, mechanisms) is added here.
    pub support: Support,
    /// Whether the listener has a certificate.
    pub starttls: StartTls,
    /// From where passwords may come in clear.
    pub clear_logins: ClearLogins,
}

/// The proxy's end of an IMAP connection.
pub type ImapFront = Front<ImapGate>;

/// IMAP in the not authenticated state (RFC 9051 §3.1).
pub struct ImapGate {
    proxy: Proxy,
    config: Arc<ImapConfig>,
    client: Client,
    /// Whether TLS is on, from the first octet or by STARTTLS.
    tls: bool,
    dialogue: Dialogue,
    failures: u32,
}

impl Proxy {
    /// An IMAP connection that was accepted: greets (RFC 9051 §7.1, with the capabilities that hold now).
    pub fn imap(&self, config: &Arc<ImapConfig>, peer: Peer) -> (Server, ImapFront) {
        self.imap_over(config, peer, TlsFacts::default())
    }

    /// The same, on a connection of which TLS says so much.
    pub fn imap_over(&self, config: &Arc<ImapConfig>, peer: Peer, facts: TlsFacts) -> (Server, ImapFront) {
        let gate = ImapGate {
            proxy: self.clone(),
            config: Arc::clone(config),
            client: Client::new(Protocol::Imap, peer),
            tls: peer.tls,
            dialogue: Dialogue::on(&self.authenticator, facts),
            failures: 0,
        };
        let mut machine = Server::new(Arc::clone(&config.limits), self.clock.instant());
        let capabilities = ResponseCode::Capability(gate.offered());
        machine.send(&Response::Untagged(Reply::ok(config.greeting).with(capabilities)));
        (machine, Front::new(gate).with_stranger(self.authenticator.stranger()))
    }
}

impl Gate for ImapGate {
    type Machine = Server;

    fn decide<'a>(&'a mut self, machine: &'a mut Server, event: Event) -> BoxFuture<'a, Step<Server>> {
        Box::pin(self.on_event(machine, event))
    }

    /// RFC 9051 §6.2.1: nothing that was learnt before is kept. Failed logins are, for they are the client's.
    fn on_tls(&mut self, machine: &mut Server, facts: TlsFacts) {
        self.tls = true;
        self.client = Client::new(Protocol::Imap, self.client.peer);
        self.dialogue = Dialogue::on(&self.proxy.authenticator, facts);
        machine.tls_started(self.proxy.clock.instant());
    }

    fn displace(&mut self, machine: &mut Server) {
        self.authenticator().displaced(&self.client);
        machine.bye(TOO_MANY_STRANGERS);
    }
}

impl ImapGate {
    async fn on_event(&mut self, machine: &mut Server, event: Event) -> Step<Server> {
        match event {
            Event::Command(command) => return self.on_command(machine, command.body).await,
            Event::Authenticate { mechanism, initial } => {
                return self.on_authenticate(machine, &mechanism, initial.map(Secret::new)).await;
            }
            Event::AuthResponse(response) => {
                let response = Secret::new(response);
                let began = self.proxy.clock.instant();
                let who = (&*self.proxy.authenticator, &self.client);
                let turn = self.dialogue.answer(who, response.as_bytes()).await;
                return self.on_turn(machine, turn, began).await;
            }
            Event::AuthCancelled => {
                let cancelled = Reply::bad("Authentication cancelled");
                if self.dialogue.cancel() {
                    return self.refuse(machine, cancelled);
                }
                machine.complete(cancelled);
            }
            Event::StartTls => return Step::Stay(self.start_tls(machine)),
            Event::IdleBegin | Event::AppendBegin(_) => machine.complete(LOG_IN_FIRST),
            // Behind an IDLE or APPEND that was accepted: none was.
            Event::IdleDone | Event::AppendChunk(_) | Event::AppendEnd | Event::AppendFinish | Event::AppendAbort => {
                machine.complete(LOG_IN_FIRST)
            }
        }
        Step::Stay(Flow::Next)
    }

    async fn on_command(&mut self, machine: &mut Server, command: CommandBody) -> Step<Server> {
        if let CommandBody::Login { user, password } = command {
            if self.privacy_lacks() {
                return self.refuse(machine, PRIVACY_REQUIRED);
            }
            let password = Secret::new(password.expose().to_vec());
            let began = self.proxy.clock.instant();
            let outcome = self.authenticator().log_in(&self.client, credentials(&user, password.as_bytes())).await;
            return self.on_outcome(machine, outcome, began).await;
        }
        if let CommandBody::Id(Some(fields)) = &command
            && let Some(ttl) = told_ttl(fields)
        {
            self.client.lower_ttl(ttl);
        }
        answer_stranger(machine, &command, self.offered());
        Step::Stay(Flow::Next)
    }

    /// RFC 9051 §6.2.1.
    fn start_tls(&self, machine: &mut Server) -> Flow {
        match self.privacy() {
            Privacy::StartTls | Privacy::StartTlsOptional => machine.accept_starttls(),
            Privacy::Private | Privacy::Exposed => machine.complete(Reply::bad("STARTTLS is not offered here")),
        }
        // Where something was sent behind STARTTLS in clear, the machine has ended the conversation.
        if machine.wants_tls() { Flow::StartTls } else { Flow::Next }
    }

    async fn on_authenticate(&mut self, machine: &mut Server, name: &str, initial: Option<Secret>) -> Step<Server> {
        let Some(mechanism) = Mechanism::parse(name) else { return self.refuse(machine, NO_SUCH_MECHANISM) };
        let is_offered = self.offered().mechanisms().iter().any(|offered| offered.eq_ignore_ascii_case(name));
        if !is_offered {
            let is_ours = Mechanism::ALL.contains(&mechanism) || self.dialogue.offered().contains(&mechanism);
            let under_tls = self.privacy_lacks() && is_ours;
            return self.refuse(machine, if under_tls { PRIVACY_REQUIRED } else { NO_SUCH_MECHANISM });
        }
        let began = self.proxy.clock.instant();
        let (who, initial) = ((&*self.proxy.authenticator, &self.client), initial.as_ref().map(Secret::as_bytes));
        let turn = self.dialogue.begin(who, mechanism, initial).await;
        self.on_turn(machine, turn, began).await
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

    async fn on_outcome(&mut self, machine: &mut Server, outcome: Outcome, began: Instant) -> Step<Server> {
        let (holder, handover, came, seat) = match outcome {
            Outcome::LoggedIn { store, who } => {
                let account = Arc::clone(&who.address);
                let Some(seat) = self.authenticator().seat(&self.client, &account, began).await else {
                    return limited(machine, TOO_MANY_SESSIONS);
                };
                let handover = self.proxy.handover.imap(&store, who).await;
                (Holder { account, store }, handover, None, Some(seat))
            }
            Outcome::Visitor { store, who } => {
                let (account, rebuff) = (Arc::clone(&who.address), self.dialogue.rebuff());
                let handover = match self.proxy.back_ends.imap(&store, who).await {
                    Ok(Admission::Welcome(elsewhere)) => Ok(Handover::There(elsewhere)),
                    Ok(Admission::Refused { text, shown }) => {
                        self.authenticator().turned_away(&self.client, &account, &text, began).await;
                        if let Some(rebuff) = rebuff {
                            machine.challenge(&self.dialogue.rebuffed(rebuff));
                            return Step::Stay(Flow::Next);
                        }
                        let reply = match shown {
                            Some(text) => Reply { text: text.into(), ..WRONG_PASSWORD },
                            None => WRONG_PASSWORD,
                        };
                        return self.refuse(machine, reply);
                    }
                    Ok(Admission::InUse { .. }) => Err(in_use(&store)),
                    Err(why) => Err(why),
                };
                // Not before: who has not proved anything yet must not take up the account's places.
                let mut seat = None;
                if handover.is_ok() {
                    seat = self.authenticator().seat(&self.client, &account, began).await;
                    if seat.is_none() {
                        return limited(machine, TOO_MANY_SESSIONS);
                    }
                }
                (Holder { account, store }, handover, Some(began), seat)
            }
            Outcome::Limited => return limited(machine, TOO_MANY_LOGINS),
            Outcome::WrongPassword => return self.refuse(machine, WRONG_PASSWORD),
            Outcome::NotAuthorized => return self.refuse(machine, NOT_AUTHORIZED),
            Outcome::Unavailable => {
                machine.complete(UNAVAILABLE);
                return Step::Stay(Flow::Next);
            }
        };
        self.enter(machine, holder, handover, came, seat).await
    }

    /// Tells the client that it is logged in, and gives way.
    async fn enter(
        &self,
        machine: &mut Server,
        holder: Holder,
        handover: Result<ImapHandover, Unavailable>,
        came: Option<Instant>,
        seat: Option<Seat>,
    ) -> Step<Server> {
        match handover {
            Ok(Handover::Here(session)) => {
                self.authenticator().admitted(&self.client, &holder, None);
                // First the limits: completing reads what came behind the login.
                machine.logged_in();
                let capabilities = offered(&self.config.support, Login::After, self.privacy());
                machine.complete(Reply::ok("Logged in").with(ResponseCode::Capability(capabilities)));
                Step::Delegate { session, flow: Flow::Next, holder, seat }
            }
            Ok(Handover::There(Elsewhere { welcome, session, mut passage })) => {
                self.authenticator().admitted(&self.client, &holder, session.as_deref());
                passage.unsent = machine.pass(&welcome);
                Step::Pass { passage, holder, seat }
            }
            Err(why) => {
                self.authenticator().unasked(&self.client, &holder, &why, came).await;
                machine.complete(UNAVAILABLE);
                Step::Stay(Flow::Next)
            }
        }
    }

    /// A login that failed; the last one that we bear ends the connection, whatever was pipelined behind it.
    fn refuse(&mut self, machine: &mut Server, reply: Reply) -> Step<Server> {
        machine.complete(reply);
        self.failures += 1;
        if self.failures < LOGIN_FAILURE_COUNT_MAX {
            return Step::Stay(Flow::Next);
        }
        machine.bye(Reply::no("Too many failed logins"));
        Step::Stay(Flow::Close)
    }

    fn authenticator(&self) -> &Authenticator {
        &self.proxy.authenticator
    }

    /// What is offered, and so what is taken.
    fn offered(&self) -> CapabilitySet {
        // SCRAM too is offered under TLS only: it shows no password, but the mail behind it would be seen.
        let mut support = self.config.support.clone();
        let beside = self.dialogue.offered().iter().map(|mechanism| mechanism.name().into());
        support.plain_mechanisms.splice(0..0, beside);
        let mut set = offered(&support, Login::Before, self.privacy());
        // RFC 4959: of AUTHENTICATE, which is ours and not the store's.
        set.insert(Capability::SaslIr);
        set
    }

    fn privacy(&self) -> Privacy {
        if self.tls {
            return Privacy::Private;
        }
        let clear = self.config.clear_logins.allows(self.client.peer.address.ip());
        match (self.config.starttls, clear) {
            (StartTls::Offered, true) => Privacy::StartTlsOptional,
            (StartTls::Offered, false) => Privacy::StartTls,
            (StartTls::NotOffered, true) => Privacy::Private,
            (StartTls::NotOffered, false) => Privacy::Exposed,
        }
    }

    /// RFC 9051 §6.2.3, §11.1: whether a password would be shown to strangers.
    fn privacy_lacks(&self) -> bool {
        match self.privacy() {
            Privacy::StartTls | Privacy::Exposed => true,
            Privacy::Private | Privacy::StartTlsOptional => false,
        }
    }
}

/// Too much of something: the client may come again.
fn limited(machine: &mut Server, reply: Reply) -> Step<Server> {
    machine.complete(reply);
    Step::Stay(Flow::Next)
}

/// What a proxy before us says of how many its client may still pass, as Dovecot's do.
fn told_ttl(fields: &[IdField]) -> Option<u8> {
    let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(b"x-proxy-ttl"))?;
    std::str::from_utf8(field.value.as_deref()?).ok()?.parse().ok()
}

/// IMAP has no such lock.
fn in_use(store: &StoreName) -> Unavailable {
    Unavailable { what: format!("the store {store}"), why: "it says that another session is in the way".to_owned() }
}

/// Every command but a login, of somebody who is not logged in.
pub(crate) fn answer_stranger(machine: &mut Server, command: &CommandBody, offered: CapabilitySet) {
    match command {
        CommandBody::Capability => {
            machine.send(&Response::Capability(offered));
            machine.complete(Reply::ok("Capabilities told"));
        }
        CommandBody::Noop => machine.complete(Reply::ok("Nothing done")),
        CommandBody::Logout => machine.logout(),
        CommandBody::Id(_) => {
            // RFC 2971 §3.3: a version helps those who look for holes more than anybody else.
            let name = IdField { name: b"name".to_vec(), value: Some(b"Posthouse".to_vec()) };
            machine.send(&Response::Id(Some(vec![name])));
            machine.complete(Reply::ok("Pleased to meet you"));
        }
        CommandBody::Login { .. } => machine.complete(LOGIN_DISABLED),
        CommandBody::Enable(_)
        | CommandBody::Compress(_)
        | CommandBody::Select(_)
        | CommandBody::Examine(_)
        | CommandBody::Create { .. }
        | CommandBody::Delete(_)
        | CommandBody::Rename { .. }
        | CommandBody::Subscribe(_)
        | CommandBody::Unsubscribe(_)
        | CommandBody::List(_)
        | CommandBody::Lsub { .. }
        | CommandBody::Namespace
        | CommandBody::Status { .. }
        | CommandBody::GetQuota(_)
        | CommandBody::GetQuotaRoot(_)
        | CommandBody::SetQuota { .. }
        | CommandBody::Check
        | CommandBody::Close
        | CommandBody::Unselect
        | CommandBody::Expunge
        | CommandBody::UidExpunge(_)
        | CommandBody::Search(_)
        | CommandBody::Fetch(_)
        | CommandBody::Store(_)
        | CommandBody::Copy(_)
        | CommandBody::Move(_) => machine.complete(LOG_IN_FIRST),
    }
}

macro_rules! reply {
    ($kind:ident, $code:expr, $text:literal) => {
        Reply { kind: imap_proto::ReplyKind::$kind, code: $code, text: std::borrow::Cow::Borrowed($text) }
    };
}

pub(crate) const LOG_IN_FIRST: Reply = reply!(Bad, None, "Log in first");
const WRONG_PASSWORD: Reply = reply!(No, Some(ResponseCode::AuthenticationFailed), "Authentication failed");
const NOT_AUTHORIZED: Reply = reply!(No, Some(ResponseCode::AuthorizationFailed), "You cannot act for somebody else");
pub(crate) const UNAVAILABLE: Reply =
    reply!(No, Some(ResponseCode::Unavailable), "Temporarily unavailable, try again later");
/// RFC 5530 §3.
const TOO_MANY_SESSIONS: Reply = reply!(No, Some(ResponseCode::Limit), "Too many sessions of this account");
const TOO_MANY_LOGINS: Reply = reply!(No, Some(ResponseCode::Limit), "Too many logins, try again later");
const TOO_MANY_STRANGERS: Reply = reply!(No, Some(ResponseCode::Unavailable), "Too many connections, log in sooner");
const PRIVACY_REQUIRED: Reply = reply!(No, Some(ResponseCode::PrivacyRequired), "Passwords are taken under TLS only");
/// RFC 9051 §6.2.3.
const LOGIN_DISABLED: Reply = reply!(No, None, "LOGIN is not offered here");
pub(crate) const NO_SUCH_MECHANISM: Reply = reply!(No, None, "This mechanism is not offered");
