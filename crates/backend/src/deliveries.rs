//! Deliveries to stores of other nodes, by LMTP.
//!
//! ```text
//!   open ─▶ Nodes: who serves the store ─▶ Lines: a kept connection, or a call (unless the node failed just now)
//!     MAIL, RCPT ─▶ one answer per recipient      (transaction.rs)
//!     DATA, pieces ─▶ the next when one has left
//!     final dot ─▶ one answer per recipient, each of them a Receipt or none ─▶ the connection is kept
//! ```
//!
//! What is told to nobody: that a recipient does not exist (answers.rs).

mod answers;
mod lines;
mod transaction;

use crate::nodes::{Inside, Nodes, Reach};
use answers::{NOWHERE, SILENT};
use lines::{Line, Lines, Whose};
use machine::Machine;
use mail_types::{Domain, NodeName, StoreName};
use ports::{BoxFuture, Call, Callee, Caller, Clock, Delivery, DeliveryTransaction, Envelope};
use smtp_proto::client::{self, Client};
use smtp_proto::{Mail, Refusal, Relayed, Security};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use transaction::Transaction;

/// The way into stores that other nodes serve. Nothing here waits for one node with another's lock in hand.
pub struct Deliveries {
    world: Arc<World>,
    whose: Whose,
}

/// What a transaction needs of the world.
struct World {
    nodes: Arc<dyn Nodes>,
    caller: Arc<dyn Caller<Client>>,
    clock: Arc<dyn Clock>,
    config: client::Config,
    lines: Lines,
}

/// A node, as far as deliveries know it.
#[derive(Clone)]
struct Node {
    name: NodeName,
    callee: Callee,
    line: Arc<Line>,
}

/// A connection to a node: the client is ready, unless it was given back in the middle of an envelope.
type Lmtp = Box<dyn Call<Client>>;

impl Deliveries {
    /// Deliveries to the nodes that `nodes` names, to whom we say that we are `host`.
    pub fn new(nodes: Arc<dyn Nodes>, caller: Arc<dyn Caller<Client>>, clock: Arc<dyn Clock>, host: Domain) -> Self {
        let mut config = client::Config::cluster(host);
        config.timeouts.reply = REPLY_WAIT;
        config.timeouts.data_reply = REPLY_WAIT;
        let world = World { nodes, caller, clock, config, lines: Lines::default() };
        Self { world: Arc::new(world), whose: Whose::Senders }
    }

    /// The same way for mail that waits in a queue, with connections of its own to each node: senders who use up theirs, each
    /// for as long as it likes, leave these alone.
    #[must_use]
    pub fn for_queue(&self) -> Self {
        Self { world: Arc::clone(&self.world), whose: Whose::Queue }
    }

    /// Ends connections that nobody has used for a while; never ends itself. Without it they end when their node is called
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
        // All at once: dead nodes must not cost a time-out each.
        let calls = self.world.lines.take_all().into_iter();
        let mut farewells: Vec<_> = calls.map(|call| Box::pin(self.world.bid_farewell(call))).collect();
        poll_fn(|cx| {
            farewells.retain_mut(|farewell| farewell.as_mut().poll(cx).is_pending());
            if farewells.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
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
}

impl World {
    async fn open(
        world: &Arc<Self>,
        whose: Whose,
        store: &StoreName,
        envelope: Envelope,
    ) -> Result<Transaction, Refusal> {
        let (name, callee) = match world.nodes.reach(store, Inside::Lmtp) {
            Reach::Node { name, callee } => (name, callee),
            Reach::Nowhere(why) => {
                tracing::warn!(%store, why, "a delivery is put off");
                return Err(NOWHERE);
            }
        };
        let line = world.lines.to(&callee, whose, world.clock.instant());
        let node = Node { name, callee, line };
        let turn = world.turn(&node).await?;
        let mut mail = Mail::new(envelope.from);
        mail.size = envelope.size;
        mail.relayed = Some(Relayed { store: store.clone(), delivery: envelope.id });
        match world.kept(&node).await {
            Some(call) => Transaction::begin(Arc::clone(world), node, turn, mail, call, Hand::Second),
            None => {
                let call = world.call(&node).await?;
                Transaction::begin(Arc::clone(world), node, turn, mail, call, Hand::First)
            }
        }
    }

    /// A place among the connections to a node, in the order in which they were asked for.
    async fn turn(&self, node: &Node) -> Result<OwnedSemaphorePermit, Refusal> {
        let turn = self.within(TURN_WAIT, Arc::clone(&node.line.turns).acquire_owned()).await;
        match turn {
            Some(Ok(turn)) => Ok(turn),
            Some(Err(_)) | None => {
                tracing::warn!(node = %node.name, whose = ?node.line.whose, "too many deliveries to one node at once");
                Err(SILENT)
            }
        }
    }

    /// A connection of an earlier message that is good for another, as far as can be told.
    async fn kept(&self, node: &Node) -> Option<Lmtp> {
        while let Some(mut call) = node.line.take(self.clock.instant()) {
            // What came since: the end of the transaction before, or a good-bye.
            while call.machine().poll_event().is_some() {}
            if call.machine().is_ready() || self.is_ready_again(&mut call).await {
                return Some(call);
            }
            // Not one wait for each of them.
            drop(node.line.take_all());
        }
        None
    }

    /// Behind the RSET of a transaction that was dropped.
    async fn is_ready_again(&self, call: &mut Lmtp) -> bool {
        self.within(RESET_WAIT, until_ready(call)).await.is_some_and(|ready| ready.is_ok())
    }

    /// Calls a node, unless it has failed just now.
    async fn call(&self, node: &Node) -> Result<Lmtp, Refusal> {
        let Some(attempt) = node.line.attempt(Arc::clone(&self.clock)) else { return Err(SILENT) };
        let client = Client::new(self.config.clone(), Security::Tls, self.clock.instant());
        let calling = async {
            let mut call = self.caller.call(&node.callee, None, client).await.map_err(|why| why.to_string())?;
            until_ready(&mut call).await?;
            Ok(call)
        };
        match self.within(CALL_WAIT, calling).await.unwrap_or_else(|| Err("it did not answer in time".to_owned())) {
            Ok(call) => {
                attempt.succeeded();
                Ok(call)
            }
            Err(why) => {
                attempt.failed();
                tracing::warn!(node = %node.name, callee = %node.callee, why, "a node does not answer");
                Err(SILENT)
            }
        }
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

async fn until_ready(call: &mut Lmtp) -> Result<(), String> {
    loop {
        match call.next().await {
            Ok(Some(client::Event::Ready)) => return Ok(()),
            Ok(Some(client::Event::Closed(closing))) => return Err(ended(&closing)),
            Ok(Some(_)) => {}
            Ok(None) => return Err("the conversation is over".to_owned()),
            Err(broken) => return Err(broken.to_string()),
        }
    }
}

/// Why there is no conversation, for an operator.
fn ended(closing: &client::Closing) -> String {
    use client::Closing;
    match closing {
        Closing::Quit | Closing::Aborted => "the conversation is over".to_owned(),
        Closing::Eof => "it closed the connection".to_owned(),
        Closing::Timeout => "it did not answer in time".to_owned(),
        Closing::Refused(reply) => format!("it refused us: {reply}"),
        Closing::Protocol(what) => format!("it does not speak LMTP ({what}): is that the port of its cluster.lmtp?"),
    }
}

/// What connecting, the handshake and LHLO may take together: less than a sender waits for the answer to its RCPT.
const CALL_WAIT: Duration = Duration::from_secs(10);
/// What an answer to MAIL, RCPT or DATA may take; who opened the transaction may wait shorter.
const REPLY_WAIT: Duration = Duration::from_secs(60);
/// What an RSET may take before another connection is tried.
const RESET_WAIT: Duration = Duration::from_secs(2);
/// How long a message waits for its turn at a node that has as many as it may.
const TURN_WAIT: Duration = Duration::from_secs(5);
/// How long a good-bye may take.
const FAREWELL_WAIT: Duration = Duration::from_secs(2);
/// How often to look for connections that nobody uses.
const TIDY_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
