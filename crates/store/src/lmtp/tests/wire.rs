//! The way between two nodes, in memory: what the one says the other hears, in segments of any size.

use super::account;
use crate::engine::Store;
use crate::handover::LocalStores;
use crate::lmtp::{InsideLmtp, Machine as LmtpMachine};
use backend::{Deliveries, Inside, Nodes, Reach};
use machine::Machine;
use mail_types::{Address, Domain, NodeName, StoreName};
use ports::{
    Accounts, BoxFuture, Broken, Call, CallSecurity, Callee, Caller, Clock, Handler, Introduction, Peer, Recipient,
    Unavailable, Wire,
};
use smtp_proto::client::{Client, Event};
use smtp_proto::server::{Config, Event as ServerEvent};
use smtp_proto::{Refusal, Security};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A node with a store, and the deliveries of another node.
pub(super) struct Cluster {
    pub(super) deliveries: Deliveries,
    node: Arc<Node>,
    /// The connection of [`converse`].
    spoken: Mutex<Option<End>>,
}

struct Node {
    stores: Arc<LocalStores>,
    clock: Arc<dyn Clock>,
    step: AtomicUsize,
    calls: AtomicUsize,
    dies_behind_the_dot: AtomicBool,
}

/// Users 1 to 5000 are on ingrid; 8888 is on another store.
struct Known;

/// The node's end of a connection.
struct End {
    node: Arc<Node>,
    machine: LmtpMachine,
    handler: InsideLmtp,
    dead: bool,
}

/// Both ends.
struct Connection {
    client: Client,
    end: End,
}

impl Cluster {
    pub(super) fn new(store: &Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        let node = Arc::new(Node {
            stores: Arc::new(LocalStores::new([Arc::clone(store)])),
            clock: Arc::clone(&clock),
            step: AtomicUsize::new(usize::MAX),
            calls: AtomicUsize::new(0),
            dies_behind_the_dot: AtomicBool::new(false),
        });
        let host = Domain::parse("relay.test").expect("a name");
        let ways = Arc::new(Ways(Arc::clone(&node)));
        let deliveries = Deliveries::new(Arc::clone(&ways) as _, ways, clock, host);
        Self { deliveries, node, spoken: Mutex::default() }
    }

    pub(super) fn cut_into(&self, step: usize) {
        self.node.step.store(step, Ordering::SeqCst);
    }

    pub(super) fn dies_behind_the_dot(&self, dies: bool) {
        self.node.dies_behind_the_dot.store(dies, Ordering::SeqCst);
    }

    pub(super) fn calls(&self) -> usize {
        self.node.calls.load(Ordering::SeqCst)
    }
}

/// Says a line to the node, on a connection of its own; what it answers.
pub(super) async fn converse(cluster: &Cluster, line: &str) -> String {
    let spoken = cluster.spoken.lock().expect("no panic").take();
    let mut end = match spoken {
        Some(end) => end,
        None => {
            let mut end = End::new(&cluster.node);
            end.hear(b"LHLO other.test\r\n").await;
            end.said();
            end
        }
    };
    end.hear(format!("{line}\r\n").as_bytes()).await;
    let said = end.said();
    *cluster.spoken.lock().expect("no panic") = Some(end);
    String::from_utf8(said).expect("ASCII")
}

impl End {
    fn new(node: &Arc<Node>) -> Self {
        let config = Arc::new(Config::cluster(Domain::parse("node.test").expect("a name"), 1 << 20));
        let local = "127.0.0.1:24".parse().expect("an address");
        let peer = Peer { address: local, local, tls: true };
        Self {
            node: Arc::clone(node),
            machine: LmtpMachine::new(config, Security::Tls, node.clock.instant()),
            handler: InsideLmtp::new(Arc::clone(&node.stores), Arc::new(Known), peer),
            dead: false,
        }
    }

    async fn hear(&mut self, octets: &[u8]) {
        let step = self.node.step.load(Ordering::SeqCst);
        for piece in octets.chunks(step) {
            if !self.dead {
                self.machine.handle_input(self.node.clock.instant(), piece);
                self.answer().await;
            }
        }
    }

    async fn answer(&mut self) {
        while let Some(event) = self.machine.poll_event() {
            let is_end = event == ServerEvent::End;
            self.handler.on_event(&mut self.machine, event).await;
            self.dead |= is_end && self.node.dies_behind_the_dot.load(Ordering::SeqCst);
        }
    }

    fn said(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        while let Some(octets) = self.machine.poll_output() {
            said.extend_from_slice(&octets);
        }
        if self.dead { Vec::new() } else { said }
    }
}

impl Connection {
    /// What was said goes over, and what was answered comes back; whether anything moved.
    async fn exchange(&mut self) -> bool {
        let mut moved = false;
        while let Some(octets) = self.client.poll_output() {
            moved = true;
            self.end.hear(&octets).await;
        }
        let step = self.end.node.step.load(Ordering::SeqCst);
        let said = self.end.said();
        for piece in said.chunks(step) {
            moved = true;
            self.client.handle_input(self.end.node.clock.instant(), piece);
        }
        moved
    }
}

impl Call<Client> for Connection {
    fn machine(&mut self) -> &mut Client {
        &mut self.client
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Option<Event>, Broken>> {
        Box::pin(async move {
            loop {
                if let Some(event) = self.client.poll_event() {
                    return Ok(Some(event));
                }
                if self.client.is_closed() {
                    return Ok(None);
                }
                if !self.exchange().await {
                    assert!(self.end.dead, "both ends wait for each other");
                    return Err(Broken("reset by peer".to_owned()));
                }
            }
        })
    }

    fn sent(&mut self) -> BoxFuture<'_, Result<Option<Event>, Broken>> {
        Box::pin(async move {
            self.exchange().await;
            Ok(self.client.poll_event())
        })
    }

    fn start_tls(&mut self) -> BoxFuture<'_, Result<(), Broken>> {
        panic!("between nodes TLS comes first")
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.exchange().await;
        })
    }

    fn into_parts(self: Box<Self>) -> (Box<dyn Wire>, Client) {
        panic!("mail does not pass through")
    }
}

struct Ways(Arc<Node>);

impl Nodes for Ways {
    fn reach(&self, store: &StoreName, protocol: Inside) -> Reach {
        assert_eq!(protocol, Inside::Lmtp);
        let hosts = Arc::from([Box::from("node.test")]);
        Reach::Node {
            name: NodeName::parse(store.as_str()).expect("a name"),
            callee: Callee {
                hosts,
                port: 24,
                security: CallSecurity::Cluster,
                introduction: Introduction::ProxyV2,
                sources: Arc::default(),
            },
        }
    }
}

impl Caller<Client> for Ways {
    fn call<'a>(
        &'a self,
        _: &'a Callee,
        _: Option<Peer>,
        machine: Client,
    ) -> BoxFuture<'a, Result<Box<dyn Call<Client>>, Unavailable>> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            Ok(Box::new(Connection { client: machine, end: End::new(&self.0) }) as Box<dyn Call<Client>>)
        })
    }
}

impl Accounts for Known {
    fn account<'a>(&'a self, store: &'a StoreName, address: &'a Address) -> BoxFuture<'a, Result<Recipient, Refusal>> {
        let number = address.local().as_str().strip_prefix("user").and_then(|number| number.parse().ok());
        let answer = match number {
            Some(8_888) => Err(Refusal::TRY_LATER.with_text("lives elsewhere")),
            Some(number @ 1..=5_000) if store.as_str() == "ingrid" => {
                let (account, address) = account(number);
                Ok(Recipient { account, recipient: address.clone(), address })
            }
            Some(_) | None => Err(Refusal::TRY_LATER.with_text("not known yet")),
        };
        Box::pin(std::future::ready(answer))
    }
}
