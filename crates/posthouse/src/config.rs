//! The configuration of one node: a TOML file, and `conf.d/*.toml` beside it.
//!
//! ```text
//!   files ─▶ tree.rs     what is written, each key and value with its place; later files win
//!         ─▶ section.rs  typed reading: a key that nobody asked for is a mistake, with the nearest that is known
//!         ─▶ raw.rs      RawConfig: the sections, one function each, every value with its place
//!         ─▶ check.rs    defaults, and what only the whole can show: what is used twice, certificates ─▶ Config
//! ```
//! Mistakes are collected on the way and told together. The reference is docs/operating/configuration.md.

mod auth_http;
mod backends;
mod check;
mod cluster;
mod forms;
mod live;
mod maps;
mod material;
mod oauth;
mod problem;
mod raw;
mod section;
mod tree;
mod web;

pub use auth_http::AuthHttp;
pub use backends::{Backend, BackendProof};
pub use cluster::{Cluster, Proof};
pub use maps::Map;
pub use material::{Expiring, ExpiringKind};
pub use oauth::{Judge, OAuth};
pub use problem::{Problem, Problems};
pub use web::WebServer;
pub(crate) use web::url_encoded;

use mail_types::{Domain, NodeName, StoreName};
use net::{CertificateFiles, ClientAuthority, Network, ServerTls};
use proxy::LoginLimits;
use relay::ClientLimits;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The file that is read where none is named.
pub const SYSTEM_CONFIG: &str = "/etc/posthouse/posthouse.toml";

/// What a node is told, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who this node is.
    pub node: Node,
    /// What it writes about itself.
    pub log: Log,
    /// What it shows to clients that ask for TLS.
    pub tls: Option<Tls>,
    /// Where domains, accounts and placements are.
    pub directory: Directory,
    /// The stores it runs.
    pub stores: Vec<Store>,
    /// SMTP, if it runs a relay.
    pub relay: Option<Relay>,
    /// IMAP, POP3 and submission, if it runs a proxy.
    pub proxy: Option<Proxy>,
    /// How it knows the other nodes, if there are any.
    pub cluster: Option<Cluster>,
    /// What it needs to call back-ends of another make.
    pub backends: Vec<Backend>,
    /// How its commands find it.
    pub admin: Admin,
    /// What it accepts at most.
    pub limits: Limits,
    /// What of the files that it names is valid for a time, as they were read.
    pub expiring: Vec<Expiring>,
    /// A digest of what is written under each key.
    written: BTreeMap<String, u64>,
    /// What may be meant, but is worth a word.
    warnings: Vec<Problem>,
}

/// `[node]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name among the nodes.
    pub name: NodeName,
    /// Its name in greetings and trace lines.
    pub hostname: Domain,
    /// The folder of all that has no other place.
    pub data: PathBuf,
    /// How long sessions may go on after the program was told to stop.
    pub stop_span: Duration,
    /// Whom to run as once the sockets are bound.
    pub user: Option<String>,
    /// And with which group; else the user's own.
    pub group: Option<String>,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// Which lines: a level, or tracing's directives (`info,relay=debug`).
    pub level: String,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value`, for people and grep.
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// `[tls]`
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate for clients that ask for no name that another holds.
    pub first: CertificateFiles,
    /// Those beside it, each for the names that it holds.
    pub others: Vec<CertificateFiles>,
    /// Who vouches for users, if certificates are asked of them.
    pub clients: Option<ClientAuthority>,
    /// All of them, read, for whoever calls.
    pub server: ServerTls,
    /// The same for users, with what is asked of them.
    pub front: ServerTls,
}

/// `[directory]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// What keeps its records.
    pub engine: DirectoryEngine,
    /// Where an account is placed that no rule places, unless the directory says so already.
    pub default_store: Option<StoreName>,
    /// What is laid over the records, the strongest first.
    pub maps: Vec<Map>,
}

/// What keeps the records of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryEngine {
    /// This node alone.
    Embedded {
        /// The folder of its file.
        folder: PathBuf,
    },
    /// Whoever makes this file; this node only reads.
    File {
        /// Where it is.
        path: PathBuf,
    },
}

/// `[[store]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Its name in the directory.
    pub name: StoreName,
    /// The folder of mailboxes.
    pub path: PathBuf,
    /// How many index files the accounts spread over; fixed once the store exists.
    pub shards: u16,
    /// Where LMTP is spoken to other nodes and mail servers.
    pub lmtp: Vec<SocketAddr>,
    /// Its journal.
    pub journal: Journal,
}

/// `[store.journal]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// The folder of segments.
    pub path: PathBuf,
    /// How many days sealed segments are kept: the redundant spool.
    pub keep_days: u16,
    /// The size of a segment.
    pub segment_octets: u64,
}

/// `[relay]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// SMTP between servers (25).
    pub listen: Vec<SocketAddr>,
    /// LMTP from a mail server of ours in front.
    pub lmtp: Vec<SocketAddr>,
    /// Who may speak LMTP, beside this machine.
    pub lmtp_from: Arc<[Network]>,
    /// What a client network may ask for.
    pub clients: ClientLimits,
    /// Networks that may ask for as much as they like, as this machine may.
    pub trusted: Arc<[Network]>,
    /// The folder of mail that waits for a store; without one it waits with its sender.
    pub queue: Option<PathBuf>,
    /// How long a store may keep silent before its mail goes to the queue.
    pub commit_wait: Duration,
    /// The balancers that its clients come through, if they do: each connection then begins with a PROXY header.
    pub proxy_from: Option<Arc<[Network]>>,
}

/// `[proxy]`
#[derive(Clone, Debug)]
pub struct Proxy {
    /// IMAP (143).
    pub imap: Vec<SocketAddr>,
    /// IMAP with TLS from the first octet (993).
    pub imaps: Vec<SocketAddr>,
    /// POP3 (110).
    pub pop3: Vec<SocketAddr>,
    /// POP3 with TLS from the first octet (995).
    pub pop3s: Vec<SocketAddr>,
    /// Submission (587).
    pub submission: Vec<SocketAddr>,
    /// Submission with TLS from the first octet (465).
    pub submissions: Vec<SocketAddr>,
    /// Lines of the answer to EHLO that hold for every submission server behind.
    pub submission_extensions: Option<Vec<String>>,
    /// ManageSieve (4190), for accounts at back-ends.
    pub sieve: Vec<SocketAddr>,
    /// ManageSieve with TLS from the first octet, which no RFC knows and some clients do.
    pub sieves: Vec<SocketAddr>,
    /// Who is asked about names that the directory does not know.
    pub auth_http: Option<AuthHttp>,
    /// Who says what bearer tokens are worth.
    pub oauth: Option<OAuth>,
    /// Domains of bare login names, by the address that the client connected to.
    pub login_forms: Vec<(IpAddr, Domain)>,
    /// From where passwords may come without TLS, beside loopback.
    pub clear_from: Arc<[Network]>,
    /// Whether SCRAM is offered.
    pub scram: ScramOffer,
    /// Whether its exchanges may be bound to the TLS connection.
    pub scram_plus: bool,
    /// How long a password is remembered that a costly hash has found right; not at all where there is none.
    pub login_cache: Option<Duration>,
    /// The balancers that its clients come through, if they do: each connection then begins with a PROXY header.
    pub proxy_from: Option<Arc<[Network]>>,
}

/// When SCRAM is offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScramOffer {
    /// While everybody who has a password has keys, and no back-end wants its users' passwords.
    #[default]
    Auto,
    /// Whoever has no keys.
    On,
    /// Never.
    Off,
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The socket that commands talk to.
    pub socket: PathBuf,
    /// Where monitors ask for metrics, over HTTP.
    pub metrics: Vec<SocketAddr>,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections to one listener.
    pub connections: usize,
    /// Of these, from one address.
    pub connections_per_address: usize,
    /// What there may be of logins.
    pub logins: LoginLimits,
    /// A message, in octets.
    pub message_octets: u64,
    /// Recipients of a message.
    pub recipients: usize,
}

impl Config {
    /// Reads a file and what is in `conf.d` beside it, or says all that is wrong.
    pub fn load(file: &Path) -> Result<Self, Problems> {
        let problems = Problems::default();
        let tree = tree::load(file, &problems);
        let raw = raw::RawConfig::read(&tree, &problems);
        match check::config(raw, &problems) {
            Some(config) if problems.is_empty() => Ok(Self { written: tree.written(), ..config }),
            Some(_) | None => Err(problems.sorted()),
        }
    }

    /// Where commands reach the node, whatever else is wrong with its files: it may run since before they were. With a
    /// mistake in that itself, or a file that cannot be read and may name another, says all that is wrong.
    pub fn socket(file: &Path) -> Result<PathBuf, Problems> {
        let ignored = Problems::default();
        let tree = tree::load(file, &ignored);
        if ignored.is_blind() {
            return Err(ignored.sorted());
        }
        let found = raw::socket(&tree, &ignored);
        found.map_or_else(|| Self::load(file).map(|config| config.admin.socket), Ok)
    }
}

impl Config {
    /// What may be meant, but is worth a word: at `config check`, and at the start.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

impl Proxy {
    /// All addresses that it listens on, by the keys that name them.
    pub fn listeners(&self) -> [(&'static str, &Vec<SocketAddr>); 8] {
        [
            ("proxy.imap", &self.imap),
            ("proxy.imaps", &self.imaps),
            ("proxy.pop3", &self.pop3),
            ("proxy.pop3s", &self.pop3s),
            ("proxy.submission", &self.submission),
            ("proxy.submissions", &self.submissions),
            ("proxy.sieve", &self.sieve),
            ("proxy.sieves", &self.sieves),
        ]
    }
}

impl fmt::Display for Config {
    /// What the node will do, in a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut roles = Vec::new();
        roles.extend(self.relay.iter().map(|_| "relay".to_owned()));
        roles.extend(self.proxy.iter().map(|_| "proxy".to_owned()));
        roles.extend(self.stores.iter().map(|store| format!("store {}", store.name)));
        write!(f, "no mistakes; node {} runs {}", self.node.name, roles.join(", "))
    }
}
