//! A site with two stores, and a conversation with its relay.

use super::stores::Stores;
use crate::{Machine, Relay, RelaySession};
use directory::engine::{Entry, Revision};
use directory::{
    AccountRecord, AccountState, AccountsPolicy, AliasRecord, DomainRecord, PlacementRecord, Record, Routing,
    StoreRecord,
};
use machine::Machine as _;
use mail_types::{AccountId, Address, Domain, NodeName, StoreName, UnixTime};
use ports::{BoxFuture, Clock, Flow, Handler, Peer, Random};
use smtp_proto::server::{Config, Event, Server};
use smtp_proto::{Dialect, Security};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// `north` has ann, bob and eve (who is disabled); `south` has cid and dan.
pub(super) fn routing() -> Routing {
    let mut entries = Vec::new();
    let mut put = |key: String, value: Vec<u8>| entries.push(Entry { key, value, revision: Revision::new(1) });
    let address = |user: &str| Address::parse(&format!("{user}@a.example")).expect("an address");
    let domain = DomainRecord::new(Domain::parse("a.example").expect("a domain"));
    put(domain.key(), domain.encode());
    let unchecked = DomainRecord {
        accounts: AccountsPolicy::Unchecked,
        default_store: StoreName::parse("north").ok(),
        ..DomainRecord::new(Domain::parse("open.example").expect("a domain"))
    };
    put(unchecked.key(), unchecked.encode());
    for name in ["north", "south"] {
        let node = NodeName::parse("node").expect("a name");
        let store = StoreRecord::posthouse(StoreName::parse(name).expect("a name"), node);
        put(store.key(), store.encode());
    }
    for (number, (user, store)) in
        [("ann", "north"), ("bob", "north"), ("eve", "north"), ("cid", "south"), ("dan", "south")]
            .into_iter()
            .enumerate()
    {
        let id = AccountId::from_bytes([u8::try_from(number).expect("few"); 16]);
        let state = if user == "eve" { AccountState::Disabled } else { AccountState::Active };
        let account = AccountRecord { state, ..AccountRecord::new(address(user), id) };
        put(account.key(), account.encode());
        let store = StoreName::parse(store).expect("a name");
        let placement = PlacementRecord { address: address(user), store, user: None };
        put(placement.key(), placement.encode());
    }
    let far = Address::parse("x@far.example").expect("an address");
    for (alias, targets) in [
        ("all", vec![address("ann"), address("cid")]),
        ("postmaster", vec![address("dan")]),
        ("twice", vec![address("ann"), address("ann")]),
        ("some", vec![address("ann"), address("nobody")]),
        ("away", vec![address("ann"), far]),
        ("loop", vec![address("pool")]),
        ("pool", vec![address("loop")]),
    ] {
        let alias = AliasRecord { address: address(alias), targets };
        put(alias.key(), alias.encode());
    }
    Routing::load(&entries, Revision::new(1))
}

/// A conversation with one connection of a relay.
pub(super) struct Talk {
    pub(super) machine: Machine,
    session: RelaySession,
    pub(super) flow: Flow,
    now: Instant,
}

impl Talk {
    pub(super) fn new(stores: &Stores) -> Self {
        let routing = Arc::new(routing());
        Self::with(stores, move || Some(Arc::clone(&routing)))
    }

    pub(super) fn with(stores: &Stores, routing: impl Fn() -> Option<Arc<Routing>> + Send + Sync + 'static) -> Self {
        let world = Arc::new(World(AtomicU8::new(0)));
        let relay = Relay::new(Arc::new(stores.clone()), routing, world.clone(), world)
            .with_store_wait(Duration::from_secs(20));
        let mut config = Config::new(Dialect::Smtp, Domain::parse("mx.a.example").expect("a domain"));
        config.extensions.starttls = true;
        config.extensions.chunking = true;
        config.extensions.smtputf8 = true;
        config.limits.body_chunk_octets_max = 1000;
        let peer = Peer {
            address: "192.0.2.1:4711".parse().expect("an address"),
            local: "192.0.2.25:25".parse().expect("an address"),
            tls: false,
        };
        let now = start();
        let machine = Server::new(Arc::new(config), Security::Plain, now);
        Self { machine, session: RelaySession::new(Arc::new(relay), peer), flow: Flow::Next, now }
    }

    /// Sends octets; gives what the relay says.
    pub(super) fn send(&mut self, octets: &[u8]) -> String {
        self.machine.handle_input(self.now, octets);
        self.answer()
    }

    /// Sends lines.
    pub(super) fn say(&mut self, lines: &str) -> String {
        self.send(format!("{}\r\n", lines.replace('\n', "\r\n")).as_bytes())
    }

    /// The client is gone.
    pub(super) fn hang_up(&mut self) {
        self.machine.handle_eof(self.now);
        self.answer();
        finish(self.session.on_close());
    }

    pub(super) fn tls(&mut self) {
        self.session.on_tls(&mut self.machine);
    }

    fn answer(&mut self) -> String {
        while let Some(event) = self.next_event() {
            self.flow = finish(self.session.on_event(&mut self.machine, event));
        }
        let mut said = Vec::new();
        while let Some(octets) = self.machine.poll_output() {
            said.extend_from_slice(&octets);
        }
        String::from_utf8(said).expect("replies are ASCII")
    }

    fn next_event(&mut self) -> Option<Event> {
        self.machine.poll_event()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test begins somewhere")]
fn start() -> Instant {
    Instant::now()
}

/// The answer of a future that nothing outside must wake.
pub(super) fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..100 {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answer;
        }
    }
    panic!("it waits for something that does not come");
}

/// A clock on which any wait is over when it is looked at again, and a counter for chance.
struct World(AtomicU8);

impl Clock for World {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(880_127_706)
    }

    fn instant(&self) -> Instant {
        start()
    }

    fn sleep(&self, _span: Duration) -> BoxFuture<'static, ()> {
        let mut looks = 0;
        Box::pin(std::future::poll_fn(move |_| {
            looks += 1;
            if looks > 20 { Poll::Ready(()) } else { Poll::Pending }
        }))
    }
}

impl Random for World {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}
