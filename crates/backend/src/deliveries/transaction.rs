//! One message at a store of another node, or of another make.
//!
//! ```text
//!   Envelope ── first piece: DATA, 354 ──▶ Text ── commit: the final dot ──▶ an answer for each recipient
//!      │ dropped: RSET, kept                 │ dropped: cut off without the dot, so nobody gets it
//!      └────────── refused, broken, or a question that its asker gave up ──▶ Out
//! ```

use super::answers::{BROKEN, SILENT, To, not_lines};
use super::hosts::{Host, HostAt, Kind};
use super::lines::Called;
use super::{Hand, KEPT_ANSWER_WAIT, Lmtp, World, until_ready};
use bytes::Bytes;
use machine::Machine;
use mail_types::ForwardPath;
use ports::{BoxFuture, DeliveryTransaction, Receipt, Recipient};
use smtp_proto::client::{Event, Outcome};
use smtp_proto::{BodyType, Mail, Rcpt, Refusal};
use std::mem;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

pub(super) struct Transaction {
    world: Arc<World>,
    host: Host,
    /// Whom to call if it turns out that the connection was dead.
    others: Vec<HostAt>,
    mail: Mail,
    way: Way,
    /// Since when there is the connection.
    called_at: Instant,
    /// The numbers of the RCPTs that the host accepted, in order.
    accepted: Vec<usize>,
    /// Those themselves, for a back-end that may have to hear them again.
    said: Vec<Rcpt>,
    /// Its place among the connections to the host.
    turn: OwnedSemaphorePermit,
}

/// While a question waits for its answer the connection is with the question: whoever drops that drops the connection, and
/// the transaction is out.
enum Way {
    /// MAIL is said, or will be with the first RCPT.
    Envelope(Lmtp, Hand),
    /// The host has said that it takes the text.
    Text(Lmtp),
    /// This is the answer to everything.
    Out(Refusal),
}

/// What came of a RCPT.
enum Answer {
    /// It is accepted, under this number.
    Taken(usize),
    No(Refusal),
    /// The MAIL before it was refused, and with it every recipient.
    MailRefused(Refusal),
    Lost,
}

impl Transaction {
    /// Begins with a MAIL whose answer nobody waits for yet.
    pub(super) fn begin(
        world: Arc<World>,
        host: Host,
        others: Vec<HostAt>,
        turn: OwnedSemaphorePermit,
        mail: Mail,
        (mut called, hand): (Called, Hand),
    ) -> Result<Self, Refusal> {
        if let Err(refusal) = say_mail(&mut called.call, &mail, host.at.kind) {
            // Nothing was said on it: it is as good for the next message as before.
            host.line.keep(called, world.clock.instant());
            return Err(refusal);
        }
        let (way, called_at) = (Way::Envelope(called.call, hand), called.at);
        Ok(Self { world, host, others, mail, way, called_at, accepted: Vec::new(), said: Vec::new(), turn })
    }

    fn kind(&self) -> Kind {
        self.host.at.kind
    }

    /// Another connection, to the same host or to the next.
    async fn call_again(&mut self) -> Result<Lmtp, Refusal> {
        drop(self.host.line.take_all());
        if let Some(Called { call, at }) = self.world.call(&self.host).await {
            self.called_at = at;
            return Ok(call);
        }
        for at in mem::take(&mut self.others) {
            let line = self.world.lines.to(&at, self.host.line.whose, self.world.clock.instant());
            let host = Host { at, line };
            let Some(turn) = self.world.turn(&host).await else { break };
            if let Some(Called { call, at }) = self.world.call(&host).await {
                (self.host, self.turn, self.called_at) = (host, turn, at);
                return Ok(call);
            }
        }
        Err(SILENT)
    }

    fn take_way(&mut self) -> Way {
        mem::replace(&mut self.way, Way::Out(BROKEN))
    }

    /// Nothing more will come of it.
    fn out(&mut self, refusal: Refusal) -> Refusal {
        self.way = Way::Out(refusal.clone());
        refusal
    }

    async fn add(&mut self, recipient: Recipient) -> Result<(), Refusal> {
        let (mut call, mut hand) = match self.take_way() {
            Way::Envelope(call, hand) => (call, hand),
            Way::Text(_) => return Err(self.out(Refusal::BAD_SEQUENCE)),
            Way::Out(refusal) => return Err(self.out(refusal)),
        };
        let rcpt = match self.kind() {
            Kind::Node => {
                Rcpt { received_as: Some(recipient.recipient), ..Rcpt::new(ForwardPath::Address(recipient.address)) }
            }
            // What a detail means is its own matter.
            Kind::BackEnd(_) => Rcpt::new(ForwardPath::Address(recipient.recipient)),
        };
        loop {
            let answer = match hand {
                Hand::First => self.ask(&mut call, rcpt.clone()).await,
                Hand::Second => {
                    let world = Arc::clone(&self.world);
                    let asking = self.ask(&mut call, rcpt.clone());
                    world.within(KEPT_ANSWER_WAIT, asking).await.unwrap_or(Answer::Lost)
                }
            };
            match answer {
                // It was dead since its last message, and nothing was said to it but MAIL: nobody need know.
                Answer::Lost if hand == Hand::Second => {
                    call = self.call_again().await.map_err(|refusal| self.out(refusal))?;
                    hand = Hand::First;
                    if let Err(refusal) = say_mail(&mut call, &self.mail, self.kind()) {
                        self.give_back(call);
                        return Err(self.out(refusal));
                    }
                }
                Answer::Lost => return Err(self.out(BROKEN)),
                Answer::MailRefused(refusal) => {
                    self.give_back(call);
                    return Err(self.out(refusal));
                }
                Answer::No(refusal) => {
                    self.way = Way::Envelope(call, Hand::First);
                    return Err(refusal);
                }
                Answer::Taken(number) => {
                    self.way = Way::Envelope(call, Hand::First);
                    self.accepted.push(number);
                    if self.kind() != Kind::Node {
                        self.said.push(rcpt);
                    }
                    return Ok(());
                }
            }
        }
    }

    async fn ask(&mut self, call: &mut Lmtp, rcpt: Rcpt) -> Answer {
        let is_understood = call.machine().capabilities().smtputf8;
        if self.kind() != Kind::Node && !self.mail.smtputf8 && is_understood && needs_smtputf8(&rcpt) {
            self.mail.smtputf8 = true;
            if let Err(answer) = self.begin_again(call).await {
                return answer;
            }
        }
        ask(call, rcpt, self.kind()).await
    }

    /// Says the envelope once more, now that its MAIL has to say more (RFC 6531 §3.4).
    async fn begin_again(&mut self, call: &mut Lmtp) -> Result<(), Answer> {
        call.machine().abort();
        until_ready(call, &self.host).await.map_err(|_| Answer::Lost)?;
        say_mail(call, &self.mail, self.kind()).map_err(Answer::MailRefused)?;
        let mut accepted = Vec::with_capacity(self.said.len());
        for rcpt in self.said.clone() {
            match ask(call, rcpt, self.kind()).await {
                Answer::Taken(number) => accepted.push(number),
                // Its sender was told 250.
                Answer::No(_) => return Err(Answer::MailRefused(SILENT)),
                answer @ (Answer::MailRefused(_) | Answer::Lost) => return Err(answer),
            }
        }
        self.accepted = accepted;
        Ok(())
    }

    async fn pass(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        let Some(waiting) = self.accepted.first().copied() else {
            // Nobody is to get it.
            return match &self.way {
                Way::Out(refusal) => Err(refusal.clone()),
                Way::Envelope(..) | Way::Text(_) => Ok(()),
            };
        };
        let mut call = self.text(waiting).await?;
        if let Err(refusal) = send(&mut call, chunk, waiting, self.kind()).await {
            return Err(self.out(refusal));
        }
        self.way = Way::Text(call);
        Ok(())
    }

    /// The connection, where the host takes the text.
    async fn text(&mut self, waiting: usize) -> Result<Lmtp, Refusal> {
        let mut call = match self.take_way() {
            Way::Text(call) => return Ok(call),
            Way::Envelope(call, _) => call,
            Way::Out(refusal) => return Err(self.out(refusal)),
        };
        call.machine().data();
        loop {
            let refusal = match call.next().await {
                Ok(Some(Event::GoAhead)) => return Ok(call),
                Ok(Some(event)) => self.kind().why_not(event, waiting),
                Ok(None) | Err(_) => Some(BROKEN),
            };
            if let Some(refusal) = refusal {
                self.give_back(call);
                return Err(self.out(refusal));
            }
        }
    }

    async fn complete(&mut self) -> Vec<Result<Receipt, Refusal>> {
        let Some(waiting) = self.accepted.first().copied() else { return Vec::new() };
        let done = match self.text(waiting).await {
            Ok(mut call) => match call.machine().finish() {
                Ok(()) => {
                    let outcomes = self.outcomes(&mut call).await;
                    self.give_back(call);
                    Ok(outcomes)
                }
                Err(fault) => Err(not_lines(fault)),
            },
            Err(refusal) => Err(refusal),
        };
        match done {
            Ok(outcomes) => self.accepted.iter().map(|number| receipt(&outcomes, *number, self.kind())).collect(),
            Err(refusal) => vec![Err(refusal); self.accepted.len()],
        }
    }

    /// What became of everybody. Where the connection breaks among the answers, or a back-end takes too long with them, those
    /// that came count: whoever drops this future loses them, and sends what is stored again.
    async fn outcomes(&mut self, call: &mut Lmtp) -> Vec<Outcome> {
        let done = match self.kind() {
            Kind::Node => done(call).await,
            Kind::BackEnd(_) => self.world.within(self.host.line.whose.end_wait(), done(call)).await.flatten(),
        };
        if let Some(outcomes) = done {
            return outcomes;
        }
        call.machine().handle_eof(self.world.clock.instant());
        while let Some(event) = call.machine().poll_event() {
            if let Event::Done(outcomes) = event {
                return outcomes;
            }
        }
        Vec::new()
    }

    /// Keeps the connection for the next message, if it is good for one.
    fn give_back(&self, mut call: Lmtp) {
        let client = call.machine();
        if !client.is_ready() {
            // RSET, which leaves with the next message; behind DATA the connection ends instead.
            client.abort();
        }
        if !client.is_closed() {
            self.host.line.keep(Called { call, at: self.called_at }, self.world.clock.instant());
        }
    }
}

impl DeliveryTransaction for Transaction {
    fn rcpt(&mut self, recipient: Recipient) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(self.add(recipient))
    }

    fn has_failed(&self) -> bool {
        matches!(self.way, Way::Out(_))
    }

    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(self.pass(chunk))
    }

    fn commit<'a>(mut self: Box<Self>) -> BoxFuture<'a, Vec<Result<Receipt, Refusal>>>
    where
        Self: 'a,
    {
        Box::pin(async move { self.complete().await })
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        match self.take_way() {
            Way::Envelope(call, _) => self.give_back(call),
            Way::Text(_) | Way::Out(_) => {}
        }
    }
}

async fn done(call: &mut Lmtp) -> Option<Vec<Outcome>> {
    loop {
        match call.next().await {
            Ok(Some(Event::Done(outcomes))) => return Some(outcomes),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

fn say_mail(call: &mut Lmtp, mail: &Mail, to: Kind) -> Result<(), Refusal> {
    let client = call.machine();
    let (smtputf8, eight_bit) = (client.capabilities().smtputf8, client.capabilities().eight_bit);
    // What the addresses behind it will need is not known yet. A node takes it for no more than leave; another server may bounce
    // what is declared and cannot be declared further on, so it hears it where an address is beyond ASCII, and headers go as octets.
    let smtputf8 = smtputf8 && (to == Kind::Node || mail.smtputf8);
    // Who lacks 8BITMIME gets the octets all the same, undeclared: to change them would break signatures, to refuse them would
    // lose mail that servers have long stored.
    let body = if eight_bit { BodyType::EightBit } else { BodyType::SevenBit };
    client.begin(Mail { smtputf8, body, ..mail.clone() }).map_err(|why| to.unsendable(why))
}

fn needs_smtputf8(rcpt: &Rcpt) -> bool {
    matches!(&rcpt.to, ForwardPath::Address(to) if to.needs_smtputf8())
}

async fn ask(call: &mut Lmtp, rcpt: Rcpt, from: Kind) -> Answer {
    let number = match call.machine().rcpt(rcpt) {
        Ok(number) => number,
        Err(why) => return Answer::No(from.unsendable(why)),
    };
    let mut mail_refused = None;
    loop {
        match call.next().await {
            Ok(Some(Event::Mail(reply))) => mail_refused = from.refusal(reply, To::Envelope),
            Ok(Some(Event::Rcpt(answered, reply))) if answered == number => {
                return match (mail_refused, from.refusal(reply, To::Envelope)) {
                    (Some(refusal), _) => Answer::MailRefused(refusal),
                    (None, Some(refusal)) => Answer::No(refusal),
                    (None, None) => Answer::Taken(number),
                };
            }
            Ok(Some(Event::Closed(_)) | None) | Err(_) => return Answer::Lost,
            Ok(Some(_)) => {}
        }
    }
}

/// Sends a piece; done when it is on its way, so that a slow host sets the pace.
async fn send(call: &mut Lmtp, chunk: Bytes, waiting: usize, to: Kind) -> Result<(), Refusal> {
    call.machine().body(chunk).map_err(not_lines)?;
    loop {
        match call.sent().await {
            Ok(None) => return Ok(()),
            Ok(Some(event)) => {
                if let Some(refusal) = to.why_not(event, waiting) {
                    return Err(refusal);
                }
            }
            Err(_) => return Err(BROKEN),
        }
    }
}

/// A receipt is made of one thing only: the host's yes for this recipient behind the final dot (by SMTP: for all).
fn receipt(outcomes: &[Outcome], number: usize, of: Kind) -> Result<Receipt, Refusal> {
    match outcomes.get(number) {
        Some(Outcome::Accepted(accepted)) => Ok(Receipt::There(accepted.clone())),
        Some(outcome) => Err(of.refusal_of(outcome.clone())),
        None => Err(BROKEN),
    }
}
