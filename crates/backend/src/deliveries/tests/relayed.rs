//! A relay whose stores are all on other nodes, with its retry queue on a simulated disk.

use super::lines::TURN_COUNT_MAX;
use super::node::{Cluster, NodeHandle, Say, TestClock};
use crate::testing::Logged;
use directory::engine::{Entry, Revision};
use directory::{AccountRecord, DomainRecord, PlacementRecord, Record, Routing, StoreRecord};
use machine::Machine as _;
use mail_types::{AccountId, Address, Domain, NodeName, StoreName};
use ports::{Delivery, Handler, Peer, Random};
use relay::{QueueWorld, Relay, RelaySession, RetryQueue};
use smtp_proto::server::{Config, Server};
use smtp_proto::{Dialect, Security};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

/// `north` has ann and bob, `south` has cid.
struct Site {
    cluster: Cluster,
    north: NodeHandle,
    south: NodeHandle,
    relay: Arc<Relay>,
    queue: Arc<RetryQueue>,
}

struct Chance(AtomicU8);

impl Random for Chance {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}

fn routing() -> Routing {
    let mut entries = Vec::new();
    let mut put = |key: String, value: Vec<u8>| entries.push(Entry { key, value, revision: Revision::new(1) });
    let domain = DomainRecord::new(Domain::parse("a.example").expect("a domain"));
    put(domain.key(), domain.encode());
    let store = |name| StoreName::parse(name).expect("a name");
    for name in ["north", "south"] {
        let record = StoreRecord::posthouse(store(name), NodeName::parse(name).expect("a name"));
        put(record.key(), record.encode());
    }
    for (number, user, home) in [(1, "ann", "north"), (2, "bob", "north"), (3, "cid", "south")] {
        let address = Address::parse(&format!("{user}@a.example")).expect("an address");
        let account = AccountRecord::new(address.clone(), AccountId::from_bytes([number; 16]));
        put(account.key(), account.encode());
        let placement = PlacementRecord { address, store: store(home), user: None };
        put(placement.key(), placement.encode());
    }
    Routing::load(&entries, Revision::new(1))
}

impl Site {
    fn new() -> Self {
        let mut cluster = Cluster::new();
        let (north, south) = (cluster.add("north"), cluster.add("south"));
        let (clock, random) = (Arc::clone(&cluster.clock), Arc::new(Chance(AtomicU8::new(0))));
        let config = journal::Config {
            segment_octets: 1 << 20,
            pending_octets_max: 1 << 20,
            low_water_octets: 0,
            ..journal::Config::default()
        };
        let world = QueueWorld {
            disk: Arc::new(disk::SimDisk::new(7)),
            clock: Arc::<TestClock>::clone(&clock),
            random: Arc::<Chance>::clone(&random),
            fatal: Arc::new(|why| panic!("the queue stops: {why}")),
        };
        let queue = Arc::new(RetryQueue::open(&config, world).expect("a queue"));
        let routing = Arc::new(routing());
        let relay = Relay::new(Arc::clone(&cluster.deliveries) as _, move || Some(Arc::clone(&routing)), clock, random)
            .with_queue(Arc::clone(&queue), Arc::new(cluster.deliveries.for_queue()));
        Self { cluster, north, south, relay: Arc::new(relay), queue }
    }

    fn finish<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        for _ in 0..1_000 {
            self.queue.step_writer();
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
        }
        panic!("it waits for something that does not come");
    }

    /// Sends a message to these; gives the answers to RCPT that are no 250, and the one to the final dot.
    fn send(&self, users: &[&str]) -> Vec<String> {
        let config = Config::new(Dialect::Smtp, Domain::parse("mx.a.example").expect("a domain"));
        let address = "192.0.2.1:4711".parse().expect("an address");
        let peer = Peer { address, local: address, tls: false };
        let mut machine = Server::new(Arc::new(config), Security::Plain, ports::Clock::instant(&*self.cluster.clock));
        let mut session = RelaySession::new(Arc::clone(&self.relay), peer);
        let mut talk = |text: &str| {
            machine.handle_input(ports::Clock::instant(&*self.cluster.clock), text.as_bytes());
            while let Some(event) = machine.poll_event() {
                self.finish(session.on_event(&mut machine, event));
            }
            let said: Vec<u8> = std::iter::from_fn(|| machine.poll_output()).flatten().collect();
            String::from_utf8(said).expect("ASCII").trim_end().to_owned()
        };
        talk("EHLO far.example\r\n");
        talk("MAIL FROM:<x@far.example>\r\n");
        let rcpt = |user: &&str| talk(&format!("RCPT TO:<{user}+tag@a.example>\r\n"));
        let mut said: Vec<String> = users.iter().map(rcpt).filter(|said| !said.starts_with("250")).collect();
        talk("DATA\r\n");
        said.push(talk("Subject: x\r\n\r\nhi\r\n.\r\n"));
        said
    }

    /// After a time everything that waits is tried again.
    fn later(&self) {
        self.cluster.clock.pass(queue::INTERVAL_MAX);
        self.finish(self.relay.retry_round());
    }

    /// How many recipients wait, how many messages north and south have.
    fn counts(&self) -> (usize, usize, usize) {
        (self.queue.waiting_count(), self.north.messages(), self.south.messages())
    }
}

/// The delivery ids that a node was told, in order.
fn ids(node: &NodeHandle) -> Vec<String> {
    let id = |line: String| line.split_once(" XDELIVERY=").map(|(_, id)| id.to_owned());
    node.heard().into_iter().filter_map(id).collect()
}

fn assert_stored(said: &[String]) {
    assert!(matches!(said, [end] if end.starts_with("250 2.")), "{said:?}");
}

#[test]
fn a_receipt_of_another_node_is_proof_enough() {
    let site = Site::new();
    assert_stored(&site.send(&["ann", "cid", "bob"]));
    assert_eq!(site.counts(), (0, 1, 1));
    assert_eq!(ids(&site.north), ids(&site.south));
    assert!(site.north.heard().contains(&"RCPT TO:<bob@a.example> XRCPT=bob+2Btag@a.example".to_owned()));
}

#[test]
fn the_log_has_the_words_in_which_a_message_was_taken() {
    let site = Site::new();
    site.north.says("end 0", Say::text("250 2.0.0 <ann> 1a2b Saved"));
    let lines = Logged::by(|| assert_stored(&site.send(&["ann"]))).1;
    let line = lines.iter().find(|line| line.contains("the store has it")).expect("a line");
    assert!(line.ends_with("store=north account=ann@a.example reply=\"250 2.0.0 <ann> 1a2b Saved\""), "{line}");
    site.north.says("connect", Say::Break);
    site.cluster.clock.pass(super::lines::KEPT_SPAN_MAX);
    assert_stored(&site.send(&["ann"]));
    site.north.recovers();
    site.north.says("end 0", Say::Text(format!("250 2.0.0 {}", "x".repeat(300))));
    let lines = Logged::by(|| site.later()).1;
    let line = lines.iter().find(|line| line.contains("queued mail is stored")).expect("a line");
    let said = line.split_once("reply=\"250 2.0.0 xx").map(|(_, said)| said.len());
    assert!(said.is_some_and(|length| length < ports::SHOWN_TEXT_OCTETS_MAX), "{line}");
}

#[test]
fn mail_waits_for_the_node_that_is_dead_and_for_no_other() {
    for (at, how) in [
        ("connect", Say::Break),
        ("LHLO", Say::Close),
        ("MAIL", Say::Break),
        ("RCPT", Say::text("421 4.3.2 going down")),
        ("DATA", Say::Close),
        ("text", Say::Break),
        ("end 0", Say::Break),
        ("end 0", Say::Late),
    ] {
        let site = Site::new();
        site.south.says(at, how.clone());
        assert_stored(&site.send(&["ann", "cid"]));
        assert_eq!((site.queue.waiting_count(), site.north.messages()), (1, 1), "{how:?} at {at}");
        // Still dead.
        site.later();
        assert_eq!((site.queue.waiting_count(), site.north.messages()), (1, 1), "{how:?} at {at}");
        site.south.recovers();
        let before = site.south.messages();
        site.later();
        assert_eq!(site.counts(), (0, 1, before + 1), "{how:?} at {at}");
        let (north, south) = (ids(&site.north), ids(&site.south));
        assert!(!south.is_empty() && south.iter().all(|id| *id == north[0]), "one id for all attempts");
        site.later();
        assert_eq!(site.counts(), (0, 1, before + 1), "it is tried no more");
    }
}

#[test]
fn a_dead_node_alone_has_its_mail_queued_too() {
    let site = Site::new();
    site.south.says("connect", Say::Break);
    for _ in 0..3 {
        assert_stored(&site.send(&["cid"]));
    }
    assert_eq!((site.counts(), site.south.calls()), ((3, 0, 0), 1));
    site.south.recovers();
    site.later();
    assert_eq!((site.counts(), site.south.calls()), ((0, 0, 3), 2));
}

#[test]
fn what_a_node_does_say_is_the_senders_to_hear() {
    let site = Site::new();
    site.south.says("RCPT", Say::text("452 4.2.2 full"));
    let said = site.send(&["ann", "cid"]);
    assert!(said[0].starts_with("452 4.2.2") && said[1].starts_with("250"), "{said:?}");
    site.south.says("RCPT", Say::text("550 5.1.1 who"));
    assert!(site.send(&["cid"])[0].starts_with("451 4.3.0"));
    assert_eq!(site.counts(), (0, 1, 0));
}

#[test]
fn a_node_that_answers_for_some_only_leaves_the_others_to_the_queue() {
    let site = Site::new();
    site.north.says_once("end 1", Say::Break);
    assert_stored(&site.send(&["ann", "bob"]));
    assert_eq!((site.queue.waiting_count(), site.north.promised()), (1, vec!["ann".to_owned()]));
    site.later();
    assert_eq!((site.queue.waiting_count(), site.north.promised()), (0, vec!["ann".to_owned(), "bob".to_owned()]));
}

/// A thousand envelopes that nobody ends hold all that senders may have at a node.
#[test]
fn what_senders_hold_does_not_keep_the_queue() {
    let site = Site::new();
    site.south.says("connect", Say::Break);
    assert_stored(&site.send(&["cid"]));
    site.south.recovers();
    site.cluster.clock.pass(queue::INTERVAL_MAX);
    let south = StoreName::parse("south").expect("a name");
    let open = || site.finish(site.cluster.deliveries.open(&south, super::envelope()));
    let _idle: Vec<_> = (0..TURN_COUNT_MAX).map(|_| open().expect("a transaction")).collect();
    site.finish(site.relay.retry_round());
    assert_eq!(site.counts(), (0, 0, 1));
}
