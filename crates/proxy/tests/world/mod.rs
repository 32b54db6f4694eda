//! A directory, a store and a clock for the tests of the fronts.
#![allow(dead_code, clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test; each takes what it needs")]

use bytes::Bytes;
use directory::{
    AccountRecord, AccountState, AccountsPolicy, BackendLogin, DomainRecord, Engine, Follower, Host, Live,
    PasswordHash, PlacementRecord, Protocol, Record, SecretRecord, SiteRecord, StoreKind, StoreRecord, TlsMode,
    engine::MemoryEngine, engine::Transaction,
};
use imap_proto::{Reply, server::Event as ImapEvent};
use mail_types::{AccountId, Address, Domain, NodeName, StoreName, UnixTime};
use pop3_proto::Mode;
use ports::{
    Admission, BackEnds, BoxFuture, Clock, Credential, Elsewhere, Flow, Handler, Handover, ImapHandover, LoggedIn,
    Passage, Peer, Pop3Handover, Random, SessionHandover, Spawn, Track, Unavailable, Visitor, Wire,
};
use proxy::{
    Authenticator, Client, DirectoryAccounts, LoginForms, NoVerdict, Plus, Proxy, Scram, TokenOrigin, TokenVerdict,
    Tokens, Verified,
};
use sasl::{BearerAdvice, Secret};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The account that `alice@example.test` has.
pub(crate) const ALICE: AccountId = AccountId::from_bytes([1; 16]);

/// Answers a future that is ready before long.
pub(crate) fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000 {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return answer;
        }
    }
    panic!("it waits for something that never comes");
}

/// Time that passes when somebody sleeps.
pub(crate) struct FakeClock {
    origin: Instant,
    slept: AtomicU64,
}

impl FakeClock {
    pub(crate) fn slept(&self) -> Duration {
        Duration::from_millis(self.slept.load(Ordering::Relaxed))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> UnixTime {
        UnixTime::EPOCH
    }

    fn instant(&self) -> Instant {
        self.origin + self.slept()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        if span > Duration::from_secs(2) {
            // A time-out, which is not to be reached.
            return Box::pin(std::future::pending());
        }
        self.slept.fetch_add(u64::try_from(span.as_millis()).unwrap(), Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }
}

/// Counts what is given to the pool.
#[derive(Default)]
pub(crate) struct FakeSpawn {
    pub(crate) blocked: AtomicU64,
    pub(crate) pool: Mutex<Pool>,
}

/// What the pool does with its work.
#[derive(Default)]
pub(crate) enum Pool {
    /// Runs it at once.
    #[default]
    Idle,
    /// Has others to do first.
    Busy(Vec<Box<dyn FnOnce() + Send>>),
}

impl Spawn for FakeSpawn {
    fn task(&self, _future: BoxFuture<'static, ()>) {
        panic!("nobody here starts tasks");
    }

    fn thread(&self, _name: &'static str, _work: Box<dyn FnOnce() + Send>) {
        panic!("nobody here starts threads");
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.blocked.fetch_add(1, Ordering::Relaxed);
        match &mut *self.pool.lock().unwrap() {
            Pool::Idle => work(),
            Pool::Busy(waiting) => waiting.push(work),
        }
    }
}

/// The world around a proxy.
pub(crate) struct World {
    pub(crate) proxy: Proxy,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) spawn: Arc<FakeSpawn>,
    pub(crate) engine: MemoryEngine,
    pub(crate) live: Arc<Live>,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) back_ends: Arc<FakeBackEnds>,
}

impl World {
    pub(crate) fn new() -> Self {
        let engine = site();
        let live = Arc::new(Live::new());
        assert!(finish(Follower::new(Arc::new(engine.clone()), Arc::clone(&live)).step()).is_ok());
        Self::with(engine, live)
    }

    /// A proxy that offers SCRAM.
    pub(crate) fn with_scram() -> Self {
        Self::new().with_authenticator(|plain| plain.with_scram(scram()))
    }

    /// A proxy that takes tokens, before back-ends that take its word.
    pub(crate) fn with_tokens() -> Self {
        Self::with_issuer(foreign(&StoreName::parse("cyrus").unwrap(), BackendLogin::Master))
    }

    /// … of which one takes the tokens in its turn.
    pub(crate) fn with_tokens_passed_on() -> Self {
        Self::with_issuer(taking_tokens(&StoreName::parse("cyrus").unwrap()))
    }

    /// A proxy that asks nobody about tokens, before one back-end that does.
    pub(crate) fn without_issuer() -> Self {
        let (engine, cyrus) = (site(), StoreName::parse("cyrus").unwrap());
        put(&engine, &taking_tokens(&cyrus));
        let login_domain = Some(Domain::parse("example.test").unwrap());
        put(&engine, &SiteRecord { default_store: Some(cyrus), login_domain, ..Default::default() });
        for other in ["here", "gone", "there", "courier"] {
            let key = StoreRecord::key_for(other).unwrap();
            assert!(finish(engine.commit(Transaction::default().delete(key))).is_ok());
        }
        let live = Arc::new(Live::new());
        assert!(finish(Follower::new(Arc::new(engine.clone()), Arc::clone(&live)).step()).is_ok());
        Self::with(engine, live)
    }

    /// From now on the back-end is something else.
    pub(crate) fn cyrus_becomes(&self, what: &str) {
        let name = StoreName::parse("cyrus").unwrap();
        put(
            &self.engine,
            &match what {
                "master" => foreign(&name, BackendLogin::Master),
                "for-passwords" => foreign(&name, BackendLogin::Password),
                "ours" => StoreRecord::posthouse(name, NodeName::parse("one").unwrap()),
                other => panic!("{other} is no store"),
            },
        );
        let mut follower = Follower::new(Arc::new(self.engine.clone()), Arc::clone(&self.live));
        assert!(finish(follower.step()).is_ok());
    }

    fn with_issuer(cyrus: StoreRecord) -> Self {
        let engine = site();
        put(&engine, &cyrus);
        let live = Arc::new(Live::new());
        assert!(finish(Follower::new(Arc::new(engine.clone()), Arc::clone(&live)).step()).is_ok());
        let advice = BearerAdvice::new(Some("mail".to_owned()), None).unwrap();
        let tokens = Tokens { origin: Arc::new(FakeIssuer), advice };
        Self::with(engine, live).with_authenticator(|plain| plain.with_tokens(Some(tokens)))
    }

    /// A proxy that remembers which passwords were right.
    pub(crate) fn with_verified(span: Duration) -> Self {
        let verified = Verified::new(Secret::new(vec![1; 32]), span);
        Self::new().with_authenticator(|plain| plain.with_verified(Some(verified)))
    }

    /// A bare name is in `back.test`, and of the back-ends two know its users by their local parts.
    pub(crate) fn with_forms(self) -> Self {
        let back = Domain::parse("back.test").unwrap();
        let [cyrus, courier] = ["cyrus", "courier"].map(|name| StoreName::parse(name).unwrap());
        let forms = LoginForms::default()
            .with_domain_at([192, 0, 2, 1].into(), back.clone())
            .with_bare_names(cyrus, back.clone())
            .with_bare_names(courier, back);
        self.with_authenticator(|plain| plain.with_forms(forms))
    }

    /// From now on this is an account's password.
    pub(crate) fn change_password(&self, name: &str, stored: &str) {
        let passwords = vec![PasswordHash::parse(stored).unwrap()];
        put(&self.engine, &SecretRecord { address: address(&format!("{name}@example.test")), passwords });
    }

    fn with_authenticator(mut self, change: impl FnOnce(Authenticator) -> Authenticator) -> Self {
        let nobody = Self::with(MemoryEngine::new(), Arc::new(Live::new())).proxy.authenticator;
        let plain = std::mem::replace(&mut self.proxy.authenticator, nobody);
        self.proxy.authenticator = Arc::new(change(Arc::into_inner(plain).unwrap()));
        self
    }

    /// A proxy whose copy of routing was never loaded.
    pub(crate) fn without_routing() -> Self {
        Self::with(site(), Arc::new(Live::new()))
    }

    #[allow(clippy::disallowed_methods, reason = "the origin of a fake clock may be any time")]
    fn with(engine: MemoryEngine, live: Arc<Live>) -> Self {
        let clock = Arc::new(FakeClock { origin: Instant::now(), slept: AtomicU64::new(0) });
        let spawn = Arc::new(FakeSpawn::default());
        let accounts = Arc::new(DirectoryAccounts::new(Arc::clone(&live), Arc::new(engine.clone())));
        let authenticator = Arc::new(Authenticator::new(accounts, clock.clone(), spawn.clone()));
        let store = Arc::new(FakeStore::default());
        let back_ends = Arc::new(FakeBackEnds::default());
        let proxy =
            Proxy { authenticator, handover: store.clone(), back_ends: back_ends.clone(), clock: clock.clone() };
        Self { proxy, clock, spawn, engine, live, store, back_ends }
    }
}

/// A token `for-NAME` is NAME's; of `away` nobody can say anything.
struct FakeIssuer;

impl TokenOrigin for FakeIssuer {
    fn ask<'a>(&'a self, token: &'a Secret, _client: &'a Client) -> BoxFuture<'a, Result<TokenVerdict, NoVerdict>> {
        let token = String::from_utf8(token.as_bytes().to_vec()).unwrap();
        Box::pin(std::future::ready(match token.strip_prefix("for-") {
            Some(user) => Ok(TokenVerdict::Valid { user: user.to_owned() }),
            None if token == "away" => Err(NoVerdict("it is away".to_owned())),
            None => Ok(TokenVerdict::Refused { why: "it is forged".to_owned() }),
        }))
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// The accounts are in the function's body; every password is `secret`.
fn site() -> MemoryEngine {
    let engine = MemoryEngine::new();
    let [here, gone, there] = ["here", "gone", "there"].map(|name| StoreName::parse(name).unwrap());
    let node = NodeName::parse("node").unwrap();
    let domain = Domain::parse("example.test").unwrap();
    put(
        &engine,
        &SiteRecord { default_store: Some(here.clone()), login_domain: Some(domain.clone()), ..Default::default() },
    );
    put(&engine, &DomainRecord::new(domain));
    let elsewhere = Domain::parse("elsewhere.test").unwrap();
    put(&engine, &DomainRecord { accounts: AccountsPolicy::Unchecked, ..DomainRecord::new(elsewhere) });
    put(&engine, &StoreRecord::posthouse(here, node.clone()));
    put(&engine, &StoreRecord::posthouse(gone.clone(), node.clone()));
    put(&engine, &StoreRecord::posthouse(there.clone(), node));
    let cyrus = StoreName::parse("cyrus").unwrap();
    put(&engine, &foreign(&cyrus, BackendLogin::Password));
    let courier = StoreName::parse("courier").unwrap();
    put(&engine, &foreign(&courier, BackendLogin::Master));
    let back = Domain::parse("back.test").unwrap();
    let unchecked = AccountsPolicy::Unchecked;
    let at_cyrus = Some(cyrus.clone());
    put(&engine, &DomainRecord { accounts: unchecked, default_store: at_cyrus, ..DomainRecord::new(back) });
    let salted = sasl_argon2id();
    for (at, name, state, passwords) in [
        (1, "alice", AccountState::Active, vec!["{PLAIN}secret"]),
        (2, "argo", AccountState::Active, vec![salted.as_str(), "{PLAIN}app password"]),
        (3, "barred", AccountState::NoLogin, vec!["{PLAIN}secret"]),
        (4, "disabled", AccountState::Disabled, vec!["{PLAIN}secret"]),
        (5, "new", AccountState::Active, vec![]),
        (6, "odd", AccountState::Active, vec!["{NTLM}0123456789abcdef", "{PLAIN}secret"]),
        (7, "moved", AccountState::Active, vec!["{PLAIN}secret"]),
        (8, "busy", AccountState::Active, vec!["{PLAIN}secret"]),
        (9, "far", AccountState::Active, vec!["{PLAIN}secret"]),
        (10, "carol", AccountState::Active, vec![]),
        (11, "cora", AccountState::Active, vec!["{PLAIN}secret"]),
        (12, "dora", AccountState::Active, vec!["{PLAIN}secret"]),
        (13, "dana", AccountState::Active, vec![]),
        (14, "cut", AccountState::NoLogin, vec![]),
        (15, "sally", AccountState::Active, vec![KEYS, "{PLAIN}secret"]),
        (16, "barry", AccountState::NoLogin, vec![KEYS]),
        (17, "dorothy", AccountState::Active, vec![KEYS]),
    ] {
        let address = address(&format!("{name}@example.test"));
        put(&engine, &AccountRecord { state, ..AccountRecord::new(address.clone(), AccountId::from_bytes([at; 16])) });
        if !passwords.is_empty() {
            let passwords = passwords.into_iter().map(|text| PasswordHash::parse(text).unwrap()).collect();
            put(&engine, &SecretRecord { address, passwords });
        }
    }
    put(&engine, &PlacementRecord { address: address("moved@example.test"), store: gone, user: None });
    put(&engine, &PlacementRecord { address: address("far@example.test"), store: there, user: None });
    for (name, store, user) in [
        ("carol", &cyrus, Some("carol.c")),
        ("cora", &cyrus, None),
        ("cut", &cyrus, None),
        ("dora", &courier, None),
        ("dana", &courier, None),
        ("dorothy", &courier, None),
    ] {
        let (address, user) = (address(&format!("{name}@example.test")), user.map(str::to_owned));
        put(&engine, &PlacementRecord { address, store: store.clone(), user });
    }
    let flawed = AccountRecord::key_for("flawed@example.test").unwrap();
    assert!(finish(engine.commit(Transaction::default().put(flawed, b"not a record".to_vec()))).is_ok());
    engine
}

fn foreign(name: &StoreName, login: BackendLogin) -> StoreRecord {
    let (host, ports) = (Host::parse("mail.example.test").unwrap(), [(Protocol::Imap, 143)].into());
    let kind = StoreKind::Foreign {
        hosts: vec![host.into()],
        ports,
        tls: TlsMode::None,
        port_tls: Default::default(),
        login,
        tokens: false,
    };
    StoreRecord { name: name.clone(), kind, closed: false }
}

/// One that judges its users' tokens.
fn taking_tokens(name: &StoreName) -> StoreRecord {
    let mut store = foreign(name, BackendLogin::Password);
    if let StoreKind::Foreign { tokens, .. } = &mut store.kind {
        *tokens = true;
    }
    store
}

fn put<R: Record>(engine: &MemoryEngine, record: &R) {
    assert!(finish(engine.commit(Transaction::default().put(record.key(), record.encode()))).is_ok());
}

/// Of SCRAM, for `secret`, with the salt `some salt`.
const KEYS: &str = "{SCRAM-SHA-256}4096,c29tZSBzYWx0,51cnSEAD4MJj3F/S5ZcDwl7/XRFzMv5UsBoq4sAI1qQ=,2ca71IhaieQL9qIqTJ36wdHsbnenelVeJs7DKOOs6W0=";

/// Draws the same octets always.
struct Sevens;

impl Random for Sevens {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

/// What SCRAM needs, offered to everybody.
fn scram() -> Scram {
    let key = Arc::new(sasl::Secret::new(b"a key of the site".to_vec()));
    Scram { key, random: Arc::new(Sevens), offered: Arc::new(|_| true), plus: Plus::Offered }
}

/// As accounts have it, made once: it takes its time.
fn sasl_argon2id() -> String {
    static HASH: OnceLock<String> = OnceLock::new();
    let hash = || {
        let password = sasl::Password::new(b"secret".to_vec()).unwrap();
        sasl::StoredPassword::hash_argon2id(&password, b"some salt").unwrap().to_string()
    };
    HASH.get_or_init(hash).clone()
}

/// Who was handed over, and what became of it.
#[derive(Default)]
pub(crate) struct FakeStore {
    pub(crate) seen: Arc<Mutex<Vec<LoggedIn>>>,
    pub(crate) closed: Arc<AtomicU64>,
}

impl FakeStore {
    /// The store `there` is on another node.
    fn hand_over<M: machine::Machine>(
        &self,
        store: &StoreName,
        who: &LoggedIn,
        welcome: &'static str,
    ) -> Result<Handover<M>, Unavailable>
    where
        FakeSession: Handler<M>,
    {
        if store.as_str() != "there" {
            return Ok(Handover::Here(Box::new(self.enter(store, who)?)));
        }
        let (wire, track) = (Box::new(FakeWire), Box::new(FakeTrack));
        let (unsent, unsaid) = (Bytes::new(), Bytes::from_static(b"unsaid"));
        let passage = Passage { wire, unsent, unsaid, track };
        Ok(Handover::There(Elsewhere { welcome: Bytes::from_static(welcome.as_bytes()), session: None, passage }))
    }

    fn enter(&self, store: &StoreName, who: &LoggedIn) -> Result<FakeSession, Unavailable> {
        if store.as_str() != "here" {
            return Err(Unavailable { what: store.to_string(), why: "it is not here".to_owned() });
        }
        self.seen.lock().unwrap().push(who.clone());
        Ok(FakeSession { closed: Arc::clone(&self.closed), greeted: false })
    }
}

impl SessionHandover for FakeStore {
    fn imap<'a>(&'a self, store: &'a StoreName, who: LoggedIn) -> BoxFuture<'a, Result<ImapHandover, Unavailable>> {
        Box::pin(async move { self.hand_over(store, &who, "[CAPABILITY IMAP4rev1] it is you") })
    }

    fn pop3<'a>(
        &'a self,
        store: &'a StoreName,
        who: LoggedIn,
        mode: Mode,
    ) -> BoxFuture<'a, Result<Option<Pop3Handover>, Unavailable>> {
        Box::pin(async move {
            if who.address.local().as_str() == "busy" {
                return Ok(None);
            }
            let welcome = match mode {
                Mode::Ascii => "7 messages",
                Mode::Utf8 => "7 messages in UTF-8",
            };
            Ok(Some(self.hand_over(store, &who, welcome)?))
        })
    }
}

/// Back-ends of another make: who comes with the password `secret`, a token `for-…` or `own-…`, or with our word, is welcome.
#[derive(Default)]
pub(crate) struct FakeBackEnds {
    /// Who came: the store, the name, and the password, the token behind `token:`, or `-`.
    pub(crate) visited: Mutex<Vec<String>>,
}

impl FakeBackEnds {
    fn admit(&self, store: &StoreName, who: &Visitor, welcome: &'static str) -> Result<Admission, Unavailable> {
        let shown = match &who.credential {
            Credential::Password(password) => password.as_str().unwrap().to_owned(),
            Credential::Token(token) => format!("token:{}", String::from_utf8_lossy(token.as_bytes())),
            Credential::Word => "-".to_owned(),
        };
        self.visited.lock().unwrap().push(format!("{store} {} {shown}", who.user));
        match (who.address.local().as_str(), shown.as_str()) {
            _ if who.ttl == 0 => Err(Unavailable { what: store.to_string(), why: "it goes round".to_owned() }),
            ("down", _) => Err(Unavailable { what: store.to_string(), why: "it is down".to_owned() }),
            ("busy", _) => Ok(Admission::InUse { text: "busy".to_owned() }),
            (_, shown) if ["-", "secret"].contains(&shown) || is_good(shown) => {
                let (wire, track) = (Box::new(FakeWire), Box::new(FakeTrack));
                let (unsent, unsaid) = (Bytes::new(), Bytes::from_static(b"unsaid"));
                let passage = Passage { wire, unsent, unsaid, track };
                let welcome = Bytes::from_static(welcome.as_bytes());
                Ok(Admission::Welcome(Elsewhere { welcome, session: None, passage }))
            }
            (_, shown) => {
                let shown = (shown == "old").then(|| "Your password has expired".to_owned());
                Ok(Admission::Refused { text: "no".to_owned(), shown })
            }
        }
    }
}

impl BackEnds for FakeBackEnds {
    fn imap<'a>(&'a self, store: &'a StoreName, who: Visitor) -> BoxFuture<'a, Result<Admission, Unavailable>> {
        Box::pin(async move { self.admit(store, &who, "[CAPABILITY IMAP4rev1] in") })
    }

    fn pop3<'a>(
        &'a self,
        store: &'a StoreName,
        who: Visitor,
        _mode: Mode,
    ) -> BoxFuture<'a, Result<Admission, Unavailable>> {
        Box::pin(async move { self.admit(store, &who, "5 messages") })
    }

    fn submission<'a>(&'a self, store: &'a StoreName, who: Visitor) -> BoxFuture<'a, Result<Admission, Unavailable>> {
        Box::pin(async move { self.admit(store, &who, "") })
    }

    fn sieve<'a>(&'a self, store: &'a StoreName, who: Visitor) -> BoxFuture<'a, Result<Admission, Unavailable>> {
        Box::pin(async move { self.admit(store, &who, "In.") })
    }

    fn sieve_offer(&self) -> BoxFuture<'_, Arc<managesieve_proto::Offer>> {
        Box::pin(async { Arc::default() })
    }
}

fn is_good(shown: &str) -> bool {
    shown.strip_prefix("token:").is_some_and(|token| token.starts_with("for-") || token.starts_with("own-"))
}

/// Leads nowhere.
struct FakeWire;

impl Wire for FakeWire {
    fn poll_read(&mut self, _cx: &mut Context<'_>, _into: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_write(&mut self, _cx: &mut Context<'_>, _from: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// Looks at nothing.
struct FakeTrack;

impl Track for FakeTrack {
    fn from_client(&mut self, _octets: &[u8]) {}

    fn from_backend(&mut self, _octets: &[u8]) {}

    fn may_speak(&self) -> bool {
        false
    }

    fn farewell(&self) -> Bytes {
        Bytes::new()
    }
}

/// The store's half, as far as the tests need it.
struct FakeSession {
    closed: Arc<AtomicU64>,
    greeted: bool,
}

impl Handler<imap_proto::server::Server> for FakeSession {
    fn on_event<'a>(
        &'a mut self,
        machine: &'a mut imap_proto::server::Server,
        event: ImapEvent,
    ) -> BoxFuture<'a, Flow> {
        Box::pin(async move {
            let ImapEvent::Command(command) = event else { panic!("the transcripts do not come to {event:?}") };
            let body = format!("{:?}", command.body);
            let name = body.split(['(', ' ', '{']).next().unwrap_or_default().to_owned();
            machine.complete(Reply::ok(format!("the store did {name}")));
            Flow::Next
        })
    }

    fn on_close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        self.closed.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {})
    }
}

impl Handler<pop3_proto::Server> for FakeSession {
    fn on_event<'a>(
        &'a mut self,
        machine: &'a mut pop3_proto::Server,
        event: pop3_proto::Event,
    ) -> BoxFuture<'a, Flow> {
        Box::pin(async move {
            match event {
                pop3_proto::Event::Stat => machine.stat(MAILDROP),
                pop3_proto::Event::Retr(_) => {
                    machine.message_begin(4);
                    let _wanted = machine.body(Bytes::from_static(b"text"));
                    return Flow::Again;
                }
                pop3_proto::Event::Quit => machine.updated(),
                other => panic!("the transcripts do not come to {other:?}"),
            }
            Flow::Next
        })
    }

    fn resume<'a>(&'a mut self, machine: &'a mut pop3_proto::Server) -> BoxFuture<'a, Flow> {
        if std::mem::replace(&mut self.greeted, true) {
            machine.body_end();
        } else {
            machine.logged_in(MAILDROP);
        }
        Box::pin(async { Flow::Next })
    }

    fn on_close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        self.closed.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {})
    }
}

const MAILDROP: pop3_proto::Maildrop = pop3_proto::Maildrop { messages: 2, octets: 320 };

/// A client at a documentation address.
pub(crate) fn peer(ip: &str, tls: bool) -> Peer {
    Peer { address: format!("{ip}:40000").parse().unwrap(), local: "192.0.2.1:143".parse().unwrap(), tls }
}
