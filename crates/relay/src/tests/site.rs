//! A site with two stores, and a conversation with its relay.

use super::stores::Stores;
use crate::{Guest, Machine, Relay, RelaySession, RetryQueue};
use directory::engine::{Entry, Revision};
use directory::{
    AccountRecord, AccountState, AccountsPolicy, AliasRecord, DomainRecord, Host, PlacementRecord, Protocol, Record,
    Routing, StoreRecord,
};
use machine::Machine as _;
use mail_types::{AccountId, Address, Domain, NodeName, StoreName, UnixTime};
use ports::{BoxFuture, Clock, Flow, Handler, Peer, Random, TlsFacts};
use smtp_proto::server::{Config, Event, Server};
use smtp_proto::{Dialect, Security};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// `north` has ann, bob and eve (who is disabled); `south` has cid and dan. `old`, of another make, has gil and knows who else is in
/// `other.example`; `dumb` takes no mail.
pub(super) fn routing() -> Routing {
    Routing::load(&entries(), Revision::new(1))
}

/// The same, where `old` is one of ours by now.
pub(super) fn taken_over() -> Routing {
    let mut entries = entries();
    let node = NodeName::parse("node").expect("a name");
    let store = StoreRecord::posthouse(StoreName::parse("old").expect("a name"), node);
    entries.retain(|entry| entry.key != store.key());
    entries.push(Entry { key: store.key(), value: store.encode(), revision: Revision::new(1) });
    Routing::load(&entries, Revision::new(1))
}

fn entries() -> Vec<Entry> {
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
    for (name, store) in [("other.example", "old"), ("dumb.example", "dumb")] {
        let domain = DomainRecord::new(Domain::parse(name).expect("a domain"));
        let default_store = StoreName::parse(store).ok();
        let domain = DomainRecord { accounts: AccountsPolicy::Unchecked, default_store, ..domain };
        put(domain.key(), domain.encode());
    }
    for (name, protocol, port) in [("old", Protocol::Lmtp, 24), ("dumb", Protocol::Imap, 143)] {
        let host = Host::parse("192.0.2.24").expect("an address");
        let store = StoreRecord::foreign(
            StoreName::parse(name).expect("a name"),
            host,
            [(protocol, port)].into_iter().collect(),
        );
        put(store.key(), store.encode());
    }
    for name in ["north", "south"] {
        let node = NodeName::parse("node").expect("a name");
        let store = StoreRecord::posthouse(StoreName::parse(name).expect("a name"), node);
        put(store.key(), store.encode());
    }
    for (number, (user, store)) in
        [("ann", "north"), ("bob", "north"), ("eve", "north"), ("cid", "south"), ("dan", "south"), ("gil", "old")]
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
        ("both", vec![address("ann"), Address::parse("hal@other.example").expect("an address")]),
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
    entries
}

/// A conversation with one connection of a relay.
pub(super) struct Talk {
    pub(super) machine: Machine,
    session: RelaySession,
    pub(super) flow: Flow,
    now: Instant,
    /// Its writer takes turns while the relay waits.
    queue: Option<Arc<RetryQueue>>,
}

impl Talk {
    pub(super) fn new(stores: &Stores) -> Self {
        let routing = Arc::new(routing());
        Self::with(stores, move || Some(Arc::clone(&routing)))
    }

    pub(super) fn with(stores: &Stores, routing: impl Fn() -> Option<Arc<Routing>> + Send + Sync + 'static) -> Self {
        Self::at(Arc::new(relay(stores, routing, World::new())), None)
    }

    /// With a relay that has no queue, in LMTP.
    pub(super) fn lmtp(stores: &Stores) -> Self {
        let routing = Arc::new(routing());
        let relay = relay(stores, move || Some(Arc::clone(&routing)), World::new());
        Self::speaking(Dialect::Lmtp, Arc::new(relay), None)
    }

    /// With a relay that has this queue.
    pub(super) fn at(relay: Arc<Relay>, queue: Option<Arc<RetryQueue>>) -> Self {
        Self::speaking(Dialect::Smtp, relay, queue)
    }

    /// In one of the two dialects.
    pub(super) fn speaking(dialect: Dialect, relay: Arc<Relay>, queue: Option<Arc<RetryQueue>>) -> Self {
        let mut config = Config::new(dialect, Domain::parse("mx.a.example").expect("a domain"));
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
        Self { machine, session: RelaySession::new(relay, peer), flow: Flow::Next, now, queue }
    }

    /// As somebody of whom the gate takes count.
    pub(super) fn by(mut self, guest: Guest) -> Self {
        self.session = self.session.counted(guest);
        self
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
        finish(self.session.on_close(), self.queue.as_deref());
    }

    pub(super) fn tls(&mut self) {
        self.session.on_tls(&mut self.machine, TlsFacts::default());
    }

    fn answer(&mut self) -> String {
        while let Some(event) = self.next_event() {
            self.flow = finish(self.session.on_event(&mut self.machine, event), self.queue.as_deref());
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

/// A relay that has no queue yet.
pub(super) fn relay(
    stores: &Stores,
    routing: impl Fn() -> Option<Arc<Routing>> + Send + Sync + 'static,
    world: Arc<World>,
) -> Relay {
    Relay::new(Arc::new(stores.clone()), routing, world.clone(), world).with_store_wait(Duration::from_secs(60))
}

/// The answer of a future that nothing outside must wake, except the queue's writer.
pub(super) fn finish<F: Future>(future: F, queue: Option<&RetryQueue>) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..POLL_COUNT_MAX {
        if let Some(queue) = queue {
            queue.step_writer();
        }
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answer;
        }
    }
    panic!("it waits for something that does not come");
}

const POLL_COUNT_MAX: usize = 10_000;

/// A clock on which a wait is over when it has been looked at once for each of its seconds, or a few times where it is
/// short, and a counter for chance.
pub(super) struct World {
    chance: AtomicU8,
    began: Instant,
    secs: AtomicI64,
    still: AtomicBool,
}

impl World {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            chance: AtomicU8::new(0),
            began: start(),
            secs: AtomicI64::new(BEGAN_SECS),
            still: AtomicBool::new(false),
        })
    }

    /// No wait that begins from now on is ever over.
    pub(super) fn stand_still(&self) {
        self.still.store(true, Ordering::Relaxed);
    }

    pub(super) fn pass(&self, span: Duration) {
        self.secs.fetch_add(span.as_secs().cast_signed(), Ordering::Relaxed);
    }
}

impl Clock for World {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.secs.load(Ordering::Relaxed))
    }

    fn instant(&self) -> Instant {
        self.began + Duration::from_secs((self.secs.load(Ordering::Relaxed) - BEGAN_SECS).unsigned_abs())
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        if self.still.load(Ordering::Relaxed) {
            return Box::pin(std::future::pending());
        }
        Box::pin(looks(span.as_secs().max(20)))
    }
}

/// Is there when it has been looked at so often.
pub(super) async fn looks(mut rest: u64) {
    std::future::poll_fn(|_| {
        let over = rest == 0;
        rest = rest.saturating_sub(1);
        if over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

const BEGAN_SECS: i64 = 880_127_706;

impl Random for World {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.chance.fetch_add(1, Ordering::Relaxed));
    }
}
