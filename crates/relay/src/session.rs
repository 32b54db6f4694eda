//! The relay's end of one SMTP connection.

use crate::gate::Guest;
use crate::message::{Message, NotTaken};
use crate::received::Stamp;
use crate::stored::Unproven;
use crate::{Outcome, Relay, Stored};
use mail_types::{DeliveryId, ForwardPath};
use ports::{Badge, BoxFuture, Flow, Handler, Peer, TlsFacts};
use smtp_proto::server::{Event, Reset, Server};
use smtp_proto::{Dialect, Mail, Refusal};
use std::fmt;
use std::sync::Arc;

/// The machine of a connection to the relay: its one road to `250` takes a [`Stored`].
///
/// Built with [`smtp_proto::server::Config`] of SMTP or LMTP without AUTH; CHUNKING, SMTPUTF8 and STARTTLS as the site has
/// them.
pub type Machine = Server<Stored>;

/// One connection from the world.
pub struct RelaySession {
    relay: Arc<Relay>,
    peer: Peer,
    message: Option<Box<Message>>,
    /// What its network may ask for; nothing of those whom we trust.
    guest: Option<Guest>,
    /// What operators see.
    badge: Option<Arc<Badge>>,
}

impl RelaySession {
    /// A connection from `peer`, who may ask for as much as he likes.
    pub fn new(relay: Arc<Relay>, peer: Peer) -> Self {
        Self { relay, peer, message: None, guest: None, badge: None }
    }

    /// The gate takes count of what it asks for.
    #[must_use]
    pub fn counted(self, guest: Guest) -> Self {
        Self { guest: Some(guest), ..self }
    }

    /// With a badge, on which its messages are counted.
    #[must_use]
    pub fn with_badge(mut self, badge: Arc<Badge>) -> Self {
        self.badge = Some(badge);
        self
    }

    async fn decide(&mut self, machine: &mut Machine, event: Event) -> Flow {
        match event {
            Event::Hello(_) => machine.accept_hello(),
            Event::Mail(mail) => match self.guest.as_ref().map_or(Ok(()), Guest::message) {
                Ok(()) => {
                    self.begin(mail);
                    machine.accept_mail();
                }
                Err(refusal) => machine.refuse(refusal),
            },
            Event::Rcpt(rcpt) => match self.rcpt(rcpt.to).await {
                Ok(()) => machine.accept_rcpt(),
                Err(refusal) => machine.refuse(refusal),
            },
            Event::Data => self.data(machine).await,
            Event::Body(chunk) => {
                if let Some(message) = &mut self.message {
                    message.body(&self.relay, &chunk).await;
                }
            }
            Event::End => self.end(machine).await,
            Event::StartTls => {
                machine.accept_tls();
                return Flow::StartTls;
            }
            // Not offered here: the machine answers before it comes to us.
            Event::Auth { .. } | Event::AuthResponse(_) => machine.refuse(Refusal::NOT_IMPLEMENTED),
            Event::AuthAborted => {}
            Event::Reset(Reset::Content(refusal)) => self.forget(&refusal),
            Event::Reset(Reset::Asked | Reset::Hello) | Event::Closed(_) => self.message = None,
        }
        Flow::Next
    }

    fn begin(&mut self, mail: Mail) {
        let mut id = [0; 16];
        self.relay.random.fill(&mut id);
        self.message = Some(Box::new(Message::new(&self.relay, DeliveryId::from_bytes(id), mail)));
    }

    async fn rcpt(&mut self, to: ForwardPath) -> Result<(), Refusal> {
        let Some(message) = &mut self.message else { return Err(Refusal::BAD_SEQUENCE) };
        self.guest.as_ref().map_or(Ok(()), Guest::recipient)?;
        let Err(NotTaken { refusal, store }) = message.rcpt(&self.relay, to.clone()).await else {
            self.relay.counts.recipient(Outcome::Stored);
            return Ok(());
        };
        self.relay.counts.recipient(Outcome::of(&refusal));
        if let Some(guest) = &self.guest {
            guest.refused(&refusal);
        }
        let (id, client, from) = (message.id(), self.peer.address.ip(), &message.envelope().from);
        // Its sender hears no more than that a store is silent; who reads this wants to know which, and why.
        let why = store.as_ref().and_then(|store| self.relay.trouble(store, &refusal));
        let store = store.as_ref().map(tracing::field::display);
        tracing::info!(%id, %client, %from, rcpt = %to, store, reply = %refusal, why, "recipient refused");
        Err(refusal)
    }

    async fn data(&mut self, machine: &mut Machine) {
        let Some(message) = &mut self.message else { return machine.refuse(Refusal::BAD_SEQUENCE) };
        if let Some(refusal) = message.dead_end(&self.relay) {
            self.forget(&refusal);
            return machine.refuse(refusal);
        }
        let stamp = Stamp {
            client: machine.client(),
            address: self.peer.address.ip(),
            host: &machine.config().host,
            security: machine.security(),
            smtputf8: message.smtputf8(),
            id: message.id(),
            only: message.only(),
            now: self.relay.clock.now(),
        };
        let header = stamp.header();
        machine.accept_data();
        message.stamp(&self.relay, header).await;
    }

    async fn end(&mut self, machine: &mut Machine) {
        let Some(message) = self.message.take() else { return machine.refuse(Refusal::BAD_SEQUENCE) };
        let line = Line::of(&message, &self.peer);
        let dialect = machine.config().dialect;
        let answers = message.finish(&self.relay, dialect).await;
        line.outcome(&answers);
        if let Some(badge) = &self.badge
            && answers.iter().any(Result::is_ok)
        {
            badge.brought_message();
        }
        self.relay.counts.message(Outcome::of_all(&answers), line.octets);
        for answer in answers {
            let answer = answer.map_err(|unproven| unproven.refusal());
            let text = format!("Ok: on stable storage as {}", line.id);
            match (dialect, answer) {
                (Dialect::Smtp, Ok(stored)) => machine.accept_as(stored, text),
                (Dialect::Smtp, Err(refusal)) => machine.refuse(refusal),
                (Dialect::Lmtp, answer) => machine.answer_recipient_as(answer, text),
            }
        }
    }

    /// A message that is refused before its end.
    fn forget(&mut self, why: &Refusal) {
        if let Some(message) = self.message.take() {
            self.relay.counts.message(Outcome::of(why), message.octets());
            Line::of(&message, &self.peer).write(format_args!("refused: {why}"));
        }
    }
}

impl Handler<Machine> for RelaySession {
    fn on_event<'a>(&'a mut self, machine: &'a mut Machine, event: Event) -> BoxFuture<'a, Flow> {
        Box::pin(self.decide(machine, event))
    }

    fn on_tls(&mut self, machine: &mut Machine, _facts: TlsFacts) {
        // RFC 3207 §4.2.
        self.message = None;
        machine.tls_started();
    }

    fn on_close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        self.message = None;
        Box::pin(async {})
    }
}

/// The log line of one message.
struct Line {
    id: DeliveryId,
    client: std::net::IpAddr,
    from: mail_types::ReversePath,
    recipients: String,
    accounts: usize,
    octets: u64,
}

impl Line {
    fn of(message: &Message, peer: &Peer) -> Self {
        let shown =
            message.recipients().iter().take(LOGGED_RECIPIENT_COUNT_MAX).map(|recipient| recipient.to.to_string());
        let mut recipients = shown.collect::<Vec<_>>().join(",");
        let more = message.recipients().len().saturating_sub(LOGGED_RECIPIENT_COUNT_MAX);
        if more > 0 {
            recipients.push_str(&format!(" and {more} more"));
        }
        Self {
            id: message.id(),
            client: peer.address.ip(),
            from: message.envelope().from.clone(),
            recipients,
            accounts: message.accounts(),
            octets: message.octets(),
        }
    }

    /// What the sender hears: once, or (LMTP) for each recipient.
    fn outcome(&self, answers: &[Result<Stored, Unproven>]) {
        let queued: usize = answers.iter().flatten().map(Stored::queued).sum();
        let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
        match (refused.clone().next(), answers) {
            (None, _) if queued == 0 => self.write(format_args!("stored")),
            (None, _) => self.write(format_args!("on stable storage, for {queued} of them in the retry queue")),
            (Some(why), [_]) => self.write(format_args!("{why}")),
            (Some(why), _) => {
                let (refused, all) = (refused.count(), answers.len());
                self.write(format_args!(
                    "{refused} of {all} recipients not stored, {queued} in the retry queue: {why}"
                ));
            }
        }
    }

    fn write(&self, outcome: fmt::Arguments<'_>) {
        let Self { id, client, from, recipients, accounts, octets } = self;
        tracing::info!(%id, %client, %from, rcpt = recipients, accounts, octets, outcome, "message");
    }
}

/// One line names as many recipients as can be read.
const LOGGED_RECIPIENT_COUNT_MAX: usize = 20;
