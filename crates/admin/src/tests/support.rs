//! A site in memory, and the router called without a socket.
#![allow(clippy::disallowed_methods, reason = "a test is a world of its own")]

use crate::{AdminState, Enough, NodeFacts, NodeStatus, Sessions, StoreFacts, router};
use axum::Router;
use axum::body::Body;
use directory::engine::MemoryEngine;
use directory::{
    Behind, DomainRecord, Editor, Follower, Live, MailBehind, RuleChange, RuleKind, RuleName, RuleRecord, StoreRecord,
};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper::{Method, Request};
use hyper_util::service::TowerToHyperService;
use mail_types::{Address, Domain, NodeName, StoreName, UnixTime};
use ports::{Badge, BoxFuture, Clock, Protocol, Random, Spawn};
use serde_json::Value;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Domain site.test; stores ingrid (a–k, by rule `early`) and fritz (its default).
pub(crate) struct Site {
    pub(crate) engine: MemoryEngine,
    pub(crate) mail: Arc<Mail>,
    pub(crate) sessions: Arc<Guests>,
    router: Router,
}

/// An IMAP session of anna, one of a stranger, and a relay that brings mail; numbers 1 to 3.
pub(crate) struct Guests(pub(crate) Vec<Badge>);

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// Whether there is mail behind a placement.
pub(crate) struct Mail(Mutex<Behind>);

struct World {
    drawn: AtomicU8,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let engine = MemoryEngine::new();
        seed(&engine).await;
        let live = Arc::new(Live::new());
        follow(&engine, &live).await;
        let world = Arc::new(World { drawn: AtomicU8::new(0) });
        let mail = Arc::new(Mail(Mutex::new(Behind::Nothing)));
        let sessions = Arc::new(Guests::new());
        let router = router(AdminState {
            engine: Arc::new(engine.clone()),
            live,
            mail: mail.clone(),
            node: world.clone(),
            sessions: sessions.clone(),
            queue: None,
            clock: world.clone(),
            random: world.clone(),
            spawn: world,
        });
        Self { engine, mail, sessions, router }
    }

    pub(crate) async fn account(&self, local: &str) {
        let made = self.post("accounts", serde_json::json!({"address": format!("{local}@site.test")})).await;
        assert_eq!(made.status, 201, "{}", made.body);
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Body::from(body.to_string())).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::PATCH, path, Body::from(body.to_string())).await
    }

    pub(crate) async fn import(&self, path: &str, file: &str) -> Answer {
        self.ask(Method::POST, &format!("import/{path}"), Body::from(file.to_owned())).await
    }

    async fn ask(&self, method: Method, path: &str, body: Body) -> Answer {
        let request = Request::builder().method(method).uri(format!("/v1/{path}")).body(body).expect("a request");
        let response = TowerToHyperService::new(self.router.clone()).call(request).await.expect("infallible");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        Answer { status, body: serde_json::from_slice(&body).expect("every answer is JSON") }
    }
}

impl Answer {
    /// A field that is text; nothing where there is none.
    pub(crate) fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_default().to_owned()
    }
}

impl Mail {
    pub(crate) fn says(&self, behind: Behind) {
        *self.0.lock().expect("nobody panics") = behind;
    }
}

async fn seed(engine: &MemoryEngine) {
    let editor = Editor::new(engine);
    let store = |name: &str| StoreName::parse(name).expect("a name");
    let node = NodeName::parse("n1").expect("a name");
    for name in ["ingrid", "fritz"] {
        editor.add_store(&StoreRecord::posthouse(store(name), node.clone())).await.expect("a store");
    }
    let domain = Domain::parse("site.test").expect("a domain");
    let record = DomainRecord { default_store: Some(store("fritz")), ..DomainRecord::new(domain) };
    editor.add_domain(&record).await.expect("a domain");
    let kind = RuleKind::Prefix { from: "a".into(), to: "k".into(), store: store("ingrid") };
    let rule = RuleRecord { name: RuleName::parse("early").expect("a name"), order: 10, domain: None, kind };
    editor.change_rules(&RuleChange::AddRule(rule)).await.expect("a rule");
}

async fn follow(engine: &MemoryEngine, live: &Arc<Live>) {
    let mut follower = Follower::new(Arc::new(engine.clone()), live.clone());
    follower.step().await.expect("loads");
    tokio::spawn(async move {
        loop {
            if follower.step().await.is_err() {
                tokio::task::yield_now().await;
            }
        }
    });
}

impl MailBehind for Mail {
    fn mail_behind<'a>(&'a self, _address: &'a Address, _store: &'a StoreName) -> BoxFuture<'a, Behind> {
        let behind = *self.0.lock().expect("nobody panics");
        Box::pin(async move { behind })
    }
}

impl Guests {
    fn new() -> Self {
        let guest = |id, protocol, client: &str| {
            Badge::new(id, protocol, client.parse().expect("an address"), UnixTime::from_secs(1_800_000_000))
        };
        let anna = guest(1, Protocol::Imap, "192.0.2.7:40000");
        let address = Address::parse("anna@site.test").expect("an address");
        anna.logged_in(Arc::new(address), StoreName::parse("ingrid").expect("a name"));
        anna.under_tls();
        let relay = guest(3, Protocol::Smtp, "[::ffff:192.0.2.7]:40002");
        relay.brought_message();
        Self(vec![anna, guest(2, Protocol::Imap, "[2001:db8::7]:40001"), relay])
    }
}

impl Sessions for Guests {
    fn each(&self, after: u64, see: &mut dyn FnMut(&Badge) -> Enough) {
        let _seen = self.0.iter().filter(|badge| badge.id() > after).find(|badge| see(badge) == Enough::Yes);
    }
}

impl NodeStatus for World {
    fn login_domain(&self, local: std::net::IpAddr) -> Option<mail_types::Domain> {
        let is_it = local.to_string() == "192.0.2.5";
        is_it.then(|| mail_types::Domain::parse("other.test").unwrap())
    }

    fn facts(&self) -> BoxFuture<'_, NodeFacts> {
        let store = StoreFacts { name: "ingrid".into(), accounts: Some(3), trouble: None };
        Box::pin(async move { NodeFacts { name: "n1".into(), stores: vec![store], ..NodeFacts::default() } })
    }

    fn metrics(&self) -> BoxFuture<'_, String> {
        Box::pin(async { "up 1\n".to_owned() })
    }
}

impl Clock for World {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(1_800_000_000)
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, _span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

impl Random for World {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill_with(|| self.drawn.fetch_add(1, Ordering::Relaxed).wrapping_mul(167));
    }
}

impl Spawn for World {
    fn task(&self, future: BoxFuture<'static, ()>) {
        tokio::spawn(future);
    }

    fn thread(&self, _name: &'static str, work: Box<dyn FnOnce() + Send>) {
        self.blocking(work);
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        tokio::task::spawn_blocking(work);
    }
}
