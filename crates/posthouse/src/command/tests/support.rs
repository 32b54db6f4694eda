//! A site in memory behind a socket in a folder of its own.

use crate::command::{NodeCommand, Screen};
use admin::{
    AdminState, Enough, ListenerFacts, MailQueue, NodeFacts, NodeState, NodeStatus, QueueFacts, QueueOrder,
    QueueRefusal, QueuedJson, QueuedRecipientJson, RemarkFacts, Sessions, StoreFacts,
};
use clap::Parser;
use directory::engine::{Engine, MemoryEngine};
use directory::{
    AssumeEmpty, DomainRecord, Editor, Follower, Live, Origin, RuleChange, RuleKind, RuleName, RuleRecord, StoreRecord,
};
use files::DirectoryFile;
use mail_types::{Address, DeliveryId, Domain, NodeName, StoreName, UnixTime};
use net::{OsRandom, SystemClock, TokioSpawn};
use ports::{Badge, BoxFuture, Clock, Protocol};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Domain site.test; stores ingrid (a–k, by rule `early`) and fritz (its default).
pub(crate) struct Site {
    pub(crate) engine: MemoryEngine,
    dir: TempDir,
}

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: NodeCommand,
}

struct Facts;

/// An IMAP session of anna and a relay that brings mail.
struct Guests([Badge; 2]);

/// Two messages that wait: `0101…` for zoe and max, `0202…`, which nobody sent, for anna, whose store refuses it for good.
struct Waiting(Mutex<Vec<QueuedJson>>);

impl Waiting {
    fn new() -> Self {
        let recipient = |recipient: &str, address: &str, store: &str, refused: Option<&str>| QueuedRecipientJson {
            recipient: format!("{recipient}@site.test"),
            address: format!("{address}@site.test"),
            store: store.into(),
            attempts: 3,
            next: 1_800_000_240,
            refused: refused.map(Into::into),
        };
        let message = |number: u8, from: &str, queued, recipients| QueuedJson {
            id: DeliveryId::from_bytes([number; 16]).to_string(),
            entry: u64::from(number),
            from: from.into(),
            octets: 2048,
            queued,
            held: false,
            next: Some(1_800_000_240),
            recipients,
        };
        let two = vec![recipient("info", "zoe", "fritz", None), recipient("max", "max", "fritz", None)];
        let refused = vec![recipient("anna", "anna", "ingrid", Some("550 5.1.1 No such user here"))];
        Self(Mutex::new(vec![message(1, "s@far.test", Some(1_800_000_000), two), message(2, "<>", None, refused)]))
    }
}

impl MailQueue for Waiting {
    fn entries_after(&self, entry: u64, count_max: usize) -> Vec<QueuedJson> {
        let messages = self.0.lock().expect("nobody panics");
        messages.iter().filter(|message| message.entry > entry).take(count_max).cloned().collect()
    }

    fn message(&self, id: DeliveryId) -> Option<QueuedJson> {
        let messages = self.0.lock().expect("nobody panics");
        messages.iter().find(|message| message.id == id.to_string()).cloned()
    }

    fn order(&self, id: DeliveryId, order: QueueOrder) -> BoxFuture<'_, Result<(), QueueRefusal>> {
        let mut messages = self.0.lock().expect("nobody panics");
        let at = messages.iter().position(|message| message.id == id.to_string());
        let answer = match (order, at.and_then(|at| messages.get_mut(at))) {
            (_, None) => Err(QueueRefusal::Gone("gone".into())),
            (QueueOrder::Retry, Some(message)) if message.held => Err(QueueRefusal::Conflict("it is held".into())),
            (QueueOrder::Retry, Some(_)) => Ok(()),
            (QueueOrder::Hold, Some(message)) => {
                (message.held, message.next) = (true, None);
                Ok(())
            }
            (QueueOrder::Release, Some(message)) => {
                (message.held, message.next) = (false, Some(1_800_000_000));
                Ok(())
            }
            (QueueOrder::Remove, Some(_)) => {
                messages.retain(|message| message.id != id.to_string());
                Ok(())
            }
        };
        Box::pin(async move { answer })
    }
}

/// A wall clock that always shows the same.
struct Stopped;

/// A node whose directory is a file.
pub(crate) struct Copy {
    pub(crate) file: DirectoryFile,
    dir: TempDir,
}

impl Copy {
    pub(crate) async fn of(path: &Path) -> Self {
        let (file, _) = DirectoryFile::open(path).expect("a good file");
        let dir = serve(Arc::new(file.engine())).await;
        Self { file, dir }
    }

    pub(crate) async fn run(&self, line: &str) -> String {
        run(&format!("{line} --dir {}", self.dir.path().display()), "").await
    }
}

/// Serves commands in a folder.
async fn serve(engine: Arc<dyn Engine>) -> TempDir {
    let live = Arc::new(Live::new());
    let mut follower = Follower::new(engine.clone(), live.clone());
    follower.step().await.expect("loads");
    tokio::spawn(async move {
        loop {
            if follower.step().await.is_err() {
                tokio::task::yield_now().await;
            }
        }
    });
    let router = admin::router(AdminState {
        engine,
        live,
        mail: Arc::new(AssumeEmpty),
        node: Arc::new(Facts),
        queue: Some(Arc::new(Waiting::new())),
        sessions: Arc::new(Guests::new()),
        clock: Arc::new(Stopped),
        random: Arc::new(OsRandom),
        spawn: Arc::new(TokioSpawn::new(tokio::runtime::Handle::current())),
    });
    let dir = TempDir::new().expect("a folder");
    let socket = tokio::net::UnixListener::bind(dir.path().join("admin.sock")).expect("a socket");
    tokio::spawn(async move { axum::serve(socket, router).await });
    dir
}

impl Site {
    pub(crate) async fn new() -> Self {
        let engine = MemoryEngine::new();
        seed(&engine).await;
        let dir = serve(Arc::new(engine.clone())).await;
        Self { engine, dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What is printed, `!` before lines of standard error, and the exit code if it is not 0.
    pub(crate) async fn run(&self, line: &str) -> String {
        self.run_with(line, "").await
    }

    pub(crate) async fn run_with(&self, line: &str, input: &str) -> String {
        let said = run(&format!("{line} --dir {}", self.dir().display()), input).await;
        // Whether an import is asked how far it is depends on how long it takes.
        let is_half_way = |line: &&str| line.starts_with("! importing: ") && line.contains(" of ");
        said.split_inclusive('\n').filter(|line| !is_half_way(line)).collect()
    }

    /// The same at a node that the line names itself.
    pub(crate) async fn run_at(&self, line: &str) -> String {
        run(line, "").await
    }

    /// Whether a password opens an account.
    pub(crate) async fn lets_in(&self, address: &str, password: &str) -> bool {
        lets_in(&self.engine, address, password).await
    }
}

/// Whether a password opens an account.
pub(crate) async fn lets_in(engine: &dyn Engine, address: &str, password: &str) -> bool {
    let address = Address::parse(address).expect("an address");
    let Origin::Found(secret) = directory::read_secret(engine, &address).await else { return false };
    let password = sasl::Password::new(password.as_bytes().to_vec()).expect("a password");
    secret
        .passwords
        .iter()
        .any(|hash| sasl::StoredPassword::parse(hash.expose()).expect("a hash of ours").verify(&password))
}

async fn run(line: &str, input: &str) -> String {
    let words = std::iter::once("posthouse").chain(line.split_whitespace());
    let command = match Line::try_parse_from(words) {
        Ok(line) => line.command,
        Err(error) => panic!("{error}"),
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = command.run(&mut Screen::of(input.as_bytes(), &mut out, &mut err)).await;
    let mut said = String::from_utf8(out).expect("text");
    for line in String::from_utf8(err).expect("text").lines() {
        said.push_str(&format!("! {line}\n"));
    }
    if code != 0 {
        said.push_str(&format!("exit code {code}\n"));
    }
    without_ids(&said)
}

/// Account ids are drawn: 32 hexadecimal digits become `ID`.
fn without_ids(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let end = rest[at..].find(|c: char| !c.is_ascii_hexdigit()).map_or(rest.len(), |length| at + length);
        shown.push_str(&rest[..at]);
        shown.push_str(if end - at == 32 { "ID" } else { &rest[at..end] });
        rest = &rest[end..];
    }
    shown + rest
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

impl Guests {
    fn new() -> Self {
        let guest = |id, protocol, client: &str| {
            Badge::new(id, protocol, client.parse().expect("an address"), UnixTime::from_secs(1_800_000_000))
        };
        let anna = guest(1, Protocol::Imap, "192.0.2.7:40000");
        let address = Address::parse("anna@site.test").expect("an address");
        anna.logged_in(Arc::new(address), StoreName::parse("ingrid").expect("a name"));
        let relay = guest(2, Protocol::Smtp, "[2001:db8::7]:40001");
        relay.under_tls();
        relay.brought_message();
        Self([anna, relay])
    }
}

impl Sessions for Guests {
    fn each(&self, after: u64, see: &mut dyn FnMut(&Badge) -> Enough) {
        let _seen = self.0.iter().filter(|badge| badge.id() > after).find(|badge| see(badge) == Enough::Yes);
    }
}

impl NodeStatus for Facts {
    fn login_domain(&self, local: std::net::IpAddr) -> Option<mail_types::Domain> {
        let is_it = local.to_string() == "192.0.2.5";
        is_it.then(|| mail_types::Domain::parse("other.test").unwrap())
    }

    fn facts(&self) -> BoxFuture<'_, NodeFacts> {
        let listener = |name: &str, port: u16, store: Option<&str>| ListenerFacts {
            name: name.into(),
            address: format!("127.0.0.1:{port}"),
            store: store.map(Into::into),
        };
        let store = |name: &str, accounts| StoreFacts { name: name.into(), accounts, trouble: None };
        let facts = NodeFacts {
            name: "n1".into(),
            version: "0.1.0".into(),
            started: 1_800_000_000,
            state: NodeState::Draining,
            sessions: 2,
            roles: vec!["relay".into(), "proxy".into(), "store".into()],
            listeners: vec![listener("smtp", 10025, None), listener("lmtp", 10024, Some("ingrid"))],
            stores: vec![store("ingrid", Some(3)), store("fritz", None)],
            queue: Some(QueueFacts { messages: 2, recipients: 3, held: 1, oldest: Some(1_800_000_000) }),
            directory_trouble: None,
            back_ends: Vec::new(),
            maps: Vec::new(),
            map_differences: Vec::new(),
            remarks: vec![RemarkFacts { about: "not offered: EXTERNAL".into(), text: "a store".into() }],
            map_difference_count: 0,
        };
        Box::pin(async move { facts })
    }

    fn metrics(&self) -> BoxFuture<'_, String> {
        Box::pin(async { String::new() })
    }
}

impl Clock for Stopped {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(1_800_000_000)
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(span)
    }
}
