//! Deliveries to stores of other nodes, by LMTP, and to back-ends of another make, by LMTP or SMTP.
//!
//! ```text
//!   open ─▶ Nodes, Foreign: who has the store ─▶ Lines: a kept connection, or a call (unless the host failed just now)
//!     a back-end with several hosts: the first that answers; behind MAIL its word is final
//!     MAIL, RCPT ─▶ one answer per recipient      (transaction.rs)
//!     DATA, pieces ─▶ the next when one has left
//!     final dot ─▶ one answer per recipient, each of them a Receipt or none ─▶ the connection is kept
//! ```
//!
//! What a node says is never taken for "no such user"; what a back-end of another make says is, since nobody else knows
//! (answers.rs).

mod answers;
mod hosts;
mod lines;
mod look;
mod transaction;

use crate::breakers::Breakers;
use crate::foreign::Foreign;
use crate::nodes::Nodes;
use crate::visits::{HostReport, Ledger};
use answers::{NOWHERE, SILENT};
use hosts::{Host, Stores};
use lines::{Called, Lines, Whose};
use machine::Machine;
use mail_types::{Domain, ReversePath, StoreName};
use ports::{BoxFuture, Call, CallSecurity, Caller, Clock, Delivery, DeliveryTransaction, Envelope};
use smtp_proto::client::{self, Client, Closing, Event};
use smtp_proto::{Mail, Refusal, Relayed, Security};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use transaction::Transaction;

/// The way into stores that other nodes serve, or into those of another make. Nothing here waits for one node with another's lock in hand.
pub struct Deliveries {
    world: Arc<World>,
    whose: Whose,
}

/// What a transaction needs of the world.
struct World {
    stores: Stores,
    caller: Arc<dyn Caller<Client>>,
    clock: Arc<dyn Clock>,
    /// Who we say that we are.
    host: Domain,
    lines: Lines,
    breakers: Arc<Breakers>,
    ledger: Ledger,
}

/// A connection to a host: the client is ready, unless it was given back in the middle of an envelope.
type Lmtp = Box<dyn Call<Client>>;

impl Deliveries {
    /// Deliveries to the nodes that `nodes` names, to whom we say that we are `host`.
    pub fn new(nodes: Arc<dyn Nodes>, caller: Arc<dyn Caller<Client>>, clock: Arc<dyn Clock>, host: Domain) -> Self {
        Self::of(Stores::Nodes(nodes), caller, clock, host)
    }

    /// Deliveries to the back-ends of another make that `foreign` knows.
    pub fn to_back_ends(
        foreign: Arc<dyn Foreign>,
        caller: Arc<dyn Caller<Client>>,
        clock: Arc<dyn Clock>,
        host: Domain,
    ) -> Self {
        Self::of(Stores::BackEnds(foreign), caller, clock, host)
    }

    fn of(stores: Stores, caller: Arc<dyn Caller<Client>>, clock: Arc<dyn Clock>, host: Domain) -> Self {
        let breakers = Breakers::new(Arc::clone(&clock));
        let (lines, ledger) = (Lines::default(), Ledger::default());
        let world = World { stores, caller, clock, host, lines, breakers, ledger };
        Self { world: Arc::new(world), whose: Whose::Senders }
    }

    /// How every host of every back-end of another make is that takes mail.
    pub fn hosts(&self) -> Vec<HostReport> {
        self.world.reports()
    }

    /// The same way for mail that waits in a queue, with connections of its own to each host: senders who use up theirs, each
    /// for as long as it likes, leave these alone.
    #[must_use]
    pub fn for_queue(&self) -> Self {
        Self { world: Arc::clone(&self.world), whose: Whose::Queue }
    }

    /// Ends connections that nobody has used for a while; never ends itself. Without it they end when their host is called
    /// the next time.
    pub async fn tidy(&self) {
        loop {
            self.world.clock.sleep(TIDY_EVERY).await;
            for call in self.world.lines.take_old(self.world.clock.instant()) {
                self.world.bid_farewell(call).await;
            }
        }
    }

    /// Ends all connections that are kept: for a program that stops.
    pub async fn hang_up(&self) {
        // Dead hosts must not cost a time-out each.
        at_once(self.world.lines.take_all().into_iter().map(|call| self.world.bid_farewell(call))).await;
    }
}

impl Delivery for Deliveries {
    fn open<'a>(
        &'a self,
        store: &'a StoreName,
        envelope: Envelope,
    ) -> BoxFuture<'a, Result<Box<dyn DeliveryTransaction>, Refusal>> {
        Box::pin(async move {
            let transaction = World::open(&self.world, self.whose, store, envelope).await?;
            Ok(Box::new(transaction) as Box<dyn DeliveryTransaction>)
        })
    }

    fn trouble(&self, store: &StoreName) -> Option<String> {
        self.world.trouble(store)
    }
}

impl World {
    async fn open(
        world: &Arc<Self>,
        whose: Whose,
        store: &StoreName,
        envelope: Envelope,
    ) -> Result<Transaction, Refusal> {
        let mut hosts = match world.stores.hosts(store) {
            Ok(hosts) => hosts.into_iter(),
            Err(why) => {
                tracing::warn!(%store, why, "a delivery is put off");
                return Err(NOWHERE);
            }
        };
        let mut mail = Mail::new(envelope.from);
        mail.size = envelope.size;
        mail.smtputf8 = matches!(&mail.from, ReversePath::Address(from) if from.needs_smtputf8());
        if matches!(world.stores, Stores::Nodes(_)) {
            mail.relayed = Some(Relayed { store: store.clone(), delivery: envelope.id });
        }
        while let Some(at) = hosts.next() {
            let line = world.lines.to(&at, whose, world.clock.instant());
            let host = Host { at, line };
            // A host that is busy is not away: the mail waits for it, or all would go to a second host that is there for an emergency.
            let Some(turn) = world.turn(&host).await else { return Err(SILENT) };
            let (called, hand) = match world.kept(&host).await {
                Some(called) => (called, Hand::Second),
                None => match world.call(&host).await {
                    Some(called) => (called, Hand::First),
                    None => continue,
                },
            };
            return Transaction::begin(Arc::clone(world), host, hosts.collect(), turn, mail, (called, hand));
        }
        Err(SILENT)
    }

    /// A place among the connections to a host, in the order in which they were asked for.
    async fn turn(&self, host: &Host) -> Option<OwnedSemaphorePermit> {
        let turn = self.within(TURN_WAIT, Arc::clone(&host.line.turns).acquire_owned()).await;
        match turn {
            Some(Ok(turn)) => Some(turn),
            Some(Err(_)) | None => {
                tracing::warn!(host = %host.at.callee, whose = ?host.line.whose, "too many deliveries to one host at once");
                None
            }
        }
    }

    /// A connection of an earlier message that is good for another, as far as can be told.
    async fn kept(&self, host: &Host) -> Option<Called> {
        while let Some(Called { mut call, at }) = host.line.take(self.clock.instant()) {
            // What came since: the end of the transaction before, or a good-bye.
            while call.machine().poll_event().is_some() {}
            if call.machine().is_ready() || self.is_ready_again(&mut call, host).await {
                return Some(Called { call, at });
            }
            // Not one wait for each of them.
            drop(host.line.take_all());
        }
        None
    }

    /// Behind the RSET of a transaction that was dropped.
    async fn is_ready_again(&self, call: &mut Lmtp, host: &Host) -> bool {
        self.within(RESET_WAIT, until_ready(call, host)).await.is_some_and(|ready| ready.is_ok())
    }

    /// Calls a host, unless it has failed just now.
    async fn call(&self, host: &Host) -> Option<Called> {
        let callee = &host.at.callee;
        let attempt = self.breakers.attempt(callee)?;
        let calling = self.within(CALL_WAIT, self.converse(host));
        match calling.await.unwrap_or_else(|| Err("it did not answer in time".to_owned().into())) {
            Ok(call) => {
                attempt.succeeded();
                self.ledger.answered(callee);
                Some(Called { call, at: self.clock.instant() })
            }
            Err(Failure { why, is_too_much }) => {
                // It does answer, to those who are there: it is left in its place, and nobody is kept from it.
                if is_too_much && self.lines.has_others(callee) {
                    tracing::warn!(host = %callee, why, "a host takes no more connections beside those that it has");
                    drop(attempt.for_one());
                } else {
                    attempt.failed(&why);
                }
                self.ledger.failed(callee, self.clock.now(), &why);
                None
            }
        }
    }

    /// Up to where it takes a MAIL, under TLS where that is asked for: nothing of a message is said in clear there.
    async fn converse(&self, host: &Host) -> Result<Lmtp, Failure> {
        let callee = &host.at.callee;
        let (security, starttls) = match callee.security {
            CallSecurity::Plain => (Security::Plain, false),
            CallSecurity::StartTls(_) => (Security::Plain, true),
            CallSecurity::Cluster | CallSecurity::Tls(_) => (Security::Tls, false),
        };
        let client = Client::new(self.config(host), security, self.clock.instant());
        // It is called for nobody: a connection carries the mail of many senders, one after the other.
        let mut call = self.caller.call(callee, None, client).await.map_err(|why| why.why)?;
        until_ready(&mut call, host).await?;
        if starttls {
            start_tls(&mut call, host).await?;
        }
        Ok(call)
    }

    fn config(&self, host: &Host) -> client::Config {
        let mut config = host.at.kind.config(self.host.clone());
        config.timeouts.reply = REPLY_WAIT;
        config.timeouts.data_reply = REPLY_WAIT;
        config
    }

    async fn bid_farewell(&self, mut call: Lmtp) {
        if call.machine().is_ready() {
            call.machine().quit();
            // Whether it was heard changes nothing.
            let _heard = self.within(FAREWELL_WAIT, call.close()).await;
        }
    }

    async fn within<T>(&self, wait: Duration, future: impl Future<Output = T> + Send) -> Option<T> {
        tokio::select! {
            biased;
            value = future => Some(value),
            () = self.clock.sleep(wait) => None,
        }
    }
}

/// Whether a connection has carried messages before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    First,
    /// It may be dead without our knowing.
    Second,
}

/// Why a host cannot be spoken to.
struct Failure {
    why: String,
    /// RFC 5321 §3.8: it is there, and has no room for this connection (421).
    is_too_much: bool,
}

impl Failure {
    fn of(closing: &Closing, host: &Host) -> Self {
        let is_too_much = matches!(closing, Closing::Refused(reply) if reply.code().number() == TOO_MUCH);
        Self { why: host.at.kind.ended(closing), is_too_much }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self { why, is_too_much: false }
    }
}

/// Waits for all of them, side by side.
async fn at_once(futures: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut left: Vec<_> = futures.map(Box::pin).collect();
    poll_fn(|cx| {
        left.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if left.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn until_ready(call: &mut Lmtp, host: &Host) -> Result<(), Failure> {
    loop {
        match call.next().await {
            Ok(Some(Event::Ready)) => return Ok(()),
            Ok(Some(Event::Closed(closing))) => return Err(Failure::of(&closing, host)),
            Ok(Some(_)) => {}
            Ok(None) => return Err("the conversation is over".to_owned().into()),
            Err(broken) => return Err(broken.to_string().into()),
        }
    }
}

/// RFC 3207. A host that does not offer it is not spoken to in clear instead.
async fn start_tls(call: &mut Lmtp, host: &Host) -> Result<(), Failure> {
    if !call.machine().capabilities().starttls {
        return Err("it does not offer STARTTLS".to_owned().into());
    }
    call.machine().start_tls();
    loop {
        match call.next().await {
            Ok(Some(Event::StartTls)) => break,
            Ok(Some(Event::TlsRefused(reply))) => return Err(format!("it refuses STARTTLS: {reply}").into()),
            Ok(Some(Event::Closed(closing))) => return Err(Failure::of(&closing, host)),
            Ok(Some(_)) => {}
            Ok(None) => return Err("the conversation is over".to_owned().into()),
            Err(broken) => return Err(broken.to_string().into()),
        }
    }
    call.start_tls().await.map_err(|broken| broken.to_string())?;
    call.machine().tls_started();
    until_ready(call, host).await
}

/// RFC 5321 §4.2.3: service not available, the connection is closed.
const TOO_MUCH: u16 = 421;
/// What connecting, the handshake and LHLO may take together: less than a sender waits for the answer to its RCPT.
const CALL_WAIT: Duration = Duration::from_secs(10);
/// What an answer to MAIL, RCPT or DATA may take; who opened the transaction may wait shorter.
const REPLY_WAIT: Duration = Duration::from_secs(60);
/// What the first answer on a kept connection may take before it counts as dead: a host that went without a word (its power, a
/// firewall that forgets) is found out within a sender's patience, and the next host called.
const KEPT_ANSWER_WAIT: Duration = Duration::from_secs(5);
/// What an RSET may take before another connection is tried.
const RESET_WAIT: Duration = Duration::from_secs(2);
/// How long a message waits for its turn at a host that has as many as it may.
const TURN_WAIT: Duration = Duration::from_secs(5);
/// How long a good-bye may take.
const FAREWELL_WAIT: Duration = Duration::from_secs(2);
/// How often to look for connections that nobody uses.
const TIDY_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
