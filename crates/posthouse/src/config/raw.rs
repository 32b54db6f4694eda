//! What the files say, section by section: every value read and understood, none of them compared with another.

use super::auth_http::RawAuthHttp;
use super::backends::RawBackend;
use super::cluster::RawCluster;
use super::forms::RawLoginForm;
use super::maps::RawMap;
use super::oauth::RawOAuth;
use super::problem::Problems;
use super::section::{At, Section};
use super::tree::Node;
use super::{LogFormat, ScramOffer};
use mail_types::{Domain, NodeName, StoreName};
use net::Network;
use relay::ClientLimits;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// What the files say.
pub(super) struct RawConfig {
    pub(super) whole: At<()>,
    pub(super) node: RawNode,
    pub(super) log: RawLog,
    pub(super) tls: Option<RawTls>,
    pub(super) directory: RawDirectory,
    pub(super) stores: Vec<RawStore>,
    pub(super) relay: Option<RawRelay>,
    pub(super) proxy: Option<RawProxy>,
    pub(super) cluster: Option<RawCluster>,
    pub(super) backends: Vec<RawBackend>,
    pub(super) admin: RawAdmin,
    pub(super) limits: RawLimits,
}

#[derive(Default)]
pub(super) struct RawNode {
    pub(super) name: Option<At<NodeName>>,
    pub(super) hostname: Option<At<Domain>>,
    pub(super) data: Option<At<PathBuf>>,
    pub(super) stop_seconds: Option<u32>,
    pub(super) user: Option<At<String>>,
    pub(super) group: Option<At<String>>,
}

#[derive(Default)]
pub(super) struct RawLog {
    pub(super) format: Option<LogFormat>,
    pub(super) level: Option<At<String>>,
}

pub(super) struct RawTls {
    pub(super) first: RawCertificate,
    pub(super) others: Vec<RawCertificate>,
}

/// Two files that belong together.
pub(super) struct RawCertificate {
    pub(super) certificate: Option<At<PathBuf>>,
    pub(super) key: Option<At<PathBuf>>,
}

#[derive(Default)]
pub(super) struct RawDirectory {
    pub(super) engine: RawEngine,
    pub(super) path: Option<At<PathBuf>>,
    pub(super) default_store: Option<At<StoreName>>,
    pub(super) maps: Vec<RawMap>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum RawEngine {
    #[default]
    Embedded,
    File,
}

pub(super) struct RawStore {
    pub(super) whole: At<()>,
    pub(super) name: Option<At<StoreName>>,
    pub(super) path: Option<At<PathBuf>>,
    pub(super) shards: Option<u16>,
    pub(super) lmtp: Vec<At<SocketAddr>>,
    pub(super) journal: RawJournal,
}

#[derive(Default)]
pub(super) struct RawJournal {
    pub(super) path: Option<At<PathBuf>>,
    pub(super) keep_days: Option<u16>,
    pub(super) segment_octets: Option<u64>,
}

pub(super) struct RawRelay {
    pub(super) listen: Vec<At<SocketAddr>>,
    pub(super) lmtp: Vec<At<SocketAddr>>,
    pub(super) lmtp_from: Vec<At<Network>>,
    pub(super) clients: ClientLimits,
    pub(super) trusted: Vec<At<Network>>,
    pub(super) queue: Option<At<PathBuf>>,
    pub(super) commit_wait_seconds: Option<u32>,
    pub(super) balancers: RawBalancers,
}

/// Who speaks the PROXY protocol to the listeners of a section.
pub(super) struct RawBalancers {
    pub(super) proxy_protocol: Option<At<bool>>,
    pub(super) proxy_from: Vec<At<Network>>,
}

pub(super) struct RawProxy {
    pub(super) imap: Vec<At<SocketAddr>>,
    pub(super) imaps: Vec<At<SocketAddr>>,
    pub(super) pop3: Vec<At<SocketAddr>>,
    pub(super) pop3s: Vec<At<SocketAddr>>,
    pub(super) submission: Vec<At<SocketAddr>>,
    pub(super) submissions: Vec<At<SocketAddr>>,
    pub(super) submission_extensions: Option<Vec<String>>,
    pub(super) sieve: Vec<At<SocketAddr>>,
    pub(super) sieves: Vec<At<SocketAddr>>,
    pub(super) auth_http: Option<RawAuthHttp>,
    pub(super) oauth: Option<RawOAuth>,
    pub(super) login_forms: Vec<RawLoginForm>,
    pub(super) clear_from: Vec<At<Network>>,
    pub(super) scram: Option<ScramOffer>,
    pub(super) scram_plus: Option<At<bool>>,
    pub(super) clients: RawClients,
    pub(super) login_cache_seconds: Option<u32>,
    pub(super) balancers: RawBalancers,
}

/// Who vouches for clients.
#[derive(Default)]
pub(super) struct RawClients {
    pub(super) authority: Option<At<PathBuf>>,
    pub(super) revocations: Option<At<PathBuf>>,
}

#[derive(Default)]
pub(super) struct RawAdmin {
    pub(super) socket: Option<At<PathBuf>>,
    pub(super) metrics: Vec<At<SocketAddr>>,
}

#[derive(Default)]
pub(super) struct RawLimits {
    pub(super) connections: Option<u32>,
    pub(super) connections_per_address: Option<u32>,
    pub(super) unauthenticated_connections: Option<u32>,
    pub(super) logins_per_second: Option<At<u32>>,
    pub(super) logins_per_minute_per_address: Option<u32>,
    pub(super) sessions_per_account: Option<u32>,
    pub(super) message_octets: Option<u64>,
    pub(super) recipients: Option<u32>,
}

impl RawConfig {
    /// Reads the sections, and notes what is in none of them.
    pub(super) fn read(tree: &Node, problems: &Problems) -> Self {
        let root = Section::root(tree, problems);
        root.must_have("node");
        let raw = Self {
            whole: root.at(),
            node: root.section("node", node).unwrap_or_default(),
            log: root.section("log", log).unwrap_or_default(),
            tls: root.section("tls", tls),
            directory: root.section("directory", directory).unwrap_or_default(),
            stores: root.sections("store", store),
            relay: root.section("relay", relay),
            proxy: root.section("proxy", proxy),
            cluster: root.section("cluster", RawCluster::read),
            backends: root.sections("backend", RawBackend::read),
            admin: root.section("admin", admin).unwrap_or_default(),
            limits: root.section("limits", limits).unwrap_or_default(),
        };
        root.finish();
        raw
    }
}

/// Where commands reach the node, if that can be read; nothing else is.
pub(super) fn socket(tree: &Node, ignored: &Problems) -> Option<PathBuf> {
    let root = Section::root(tree, ignored);
    if let Some(admin) =
        root.section("admin", |section| section.has("socket").then(|| section.path("socket"))).flatten()
    {
        return admin.map(|at| at.value);
    }
    let data = root.section("node", |section| section.path("data")).flatten()?;
    Some(usual_socket(&data.value))
}

/// Where it is if nothing is said of it.
pub(super) fn usual_socket(data: &Path) -> PathBuf {
    data.join("admin.sock")
}

fn node(section: &Section<'_>) -> RawNode {
    section.must_have("data");
    RawNode {
        name: section.required("name", NodeName::parse),
        hostname: section.required("hostname", Domain::parse),
        data: section.path("data"),
        stop_seconds: section.number("stop_seconds", 0..=STOP_SECONDS_MAX),
        user: section.parsed("user", person),
        group: section.parsed("group", person),
    }
}

fn log(section: &Section<'_>) -> RawLog {
    RawLog {
        format: section.choice("format", &[("logfmt", LogFormat::Logfmt), ("json", LogFormat::Json)]),
        level: section.parsed("level", level),
    }
}

fn tls(section: &Section<'_>) -> RawTls {
    RawTls { first: certificate(section), others: section.sections("also", certificate) }
}

fn certificate(section: &Section<'_>) -> RawCertificate {
    section.must_have("certificate");
    section.must_have("key");
    RawCertificate { certificate: section.path("certificate"), key: section.path("key") }
}

fn directory(section: &Section<'_>) -> RawDirectory {
    let engine = section.choice("engine", &[("embedded", RawEngine::Embedded), ("file", RawEngine::File)]);
    if engine == Some(RawEngine::File) {
        section.must_have("path");
    }
    RawDirectory {
        engine: engine.unwrap_or_default(),
        path: section.path("path"),
        default_store: section.parsed("default_store", StoreName::parse),
        maps: section.sections("map", RawMap::read),
    }
}

fn store(section: &Section<'_>) -> RawStore {
    RawStore {
        whole: section.at(),
        name: section.required("name", StoreName::parse),
        path: section.path("path"),
        shards: section.number("shards", 1..=SHARDS_MAX),
        lmtp: section.addresses("lmtp"),
        journal: section.section("journal", journal).unwrap_or_default(),
    }
}

fn journal(section: &Section<'_>) -> RawJournal {
    RawJournal {
        path: section.path("path"),
        keep_days: section.number("keep_days", 0..=KEEP_DAYS_MAX),
        segment_octets: section.size("segment", SEGMENT_OCTETS_MIN..=SEGMENT_OCTETS_MAX),
    }
}

fn relay(section: &Section<'_>) -> RawRelay {
    section.must_listen(&["listen", "lmtp"]);
    RawRelay {
        listen: section.addresses("listen"),
        lmtp: section.addresses("lmtp"),
        lmtp_from: section.trusted("lmtp_from", "may bring mail by LMTP, which knows no password"),
        clients: section.section("clients", clients).unwrap_or_default(),
        trusted: section.trusted("trusted", "may ask the relay for as much as he likes"),
        queue: section.path("queue"),
        commit_wait_seconds: section.number("commit_wait_seconds", 1..=COMMIT_WAIT_SECONDS_MAX),
        balancers: balancers(section),
    }
}

fn clients(section: &Section<'_>) -> ClientLimits {
    let usual = ClientLimits::default();
    let number = |key, usual| section.number(key, 0..=PER_MINUTE_MAX).unwrap_or(usual);
    ClientLimits {
        ipv4_prefix_bits: section.number("ipv4_prefix", 8..=32).unwrap_or(usual.ipv4_prefix_bits),
        ipv6_prefix_bits: section.number("ipv6_prefix", 16..=128).unwrap_or(usual.ipv6_prefix_bits),
        connections: number("connections", usual.connections),
        connections_per_minute: number("connections_per_minute", usual.connections_per_minute),
        messages_per_minute: number("messages_per_minute", usual.messages_per_minute),
        recipients_per_minute: number("recipients_per_minute", usual.recipients_per_minute),
        refused_recipients_per_minute: number("refused_recipients_per_minute", usual.refused_recipients_per_minute),
    }
}

fn proxy(section: &Section<'_>) -> RawProxy {
    section.must_listen(&["imap", "imaps", "pop3", "pop3s", "submission", "submissions", "sieve", "sieves"]);
    RawProxy {
        imap: section.addresses("imap"),
        imaps: section.addresses("imaps"),
        pop3: section.addresses("pop3"),
        pop3s: section.addresses("pop3s"),
        submission: section.addresses("submission"),
        submissions: section.addresses("submissions"),
        submission_extensions: extensions(section),
        sieve: section.addresses("sieve"),
        sieves: section.addresses("sieves"),
        auth_http: section.section("auth_http", RawAuthHttp::read),
        oauth: section.section("oauth", RawOAuth::read),
        login_forms: section.sections("login_form", RawLoginForm::read),
        clear_from: section
            .trusted("clear_from", "may log in without TLS, with a password that others can read on its way"),
        scram: section.choice("scram", &[("auto", ScramOffer::Auto), ("on", ScramOffer::On), ("off", ScramOffer::Off)]),
        scram_plus: section.boolean("scram_plus"),
        clients: RawClients {
            authority: section.path("client_authority"),
            revocations: section.path("client_revocations"),
        },
        login_cache_seconds: section.number("login_cache_seconds", 0..=3600),
        balancers: balancers(section),
    }
}

/// Nothing where the key is not there; an empty list promises nothing.
fn extensions(section: &Section<'_>) -> Option<Vec<String>> {
    let lines = section.parsed_list("submission_extensions", extension);
    section.has("submission_extensions").then(|| lines.into_iter().map(|at| at.value).collect())
}

fn balancers(section: &Section<'_>) -> RawBalancers {
    RawBalancers {
        proxy_protocol: section.boolean("proxy_protocol"),
        proxy_from: section.trusted("proxy_from", "may say in a PROXY header who he is"),
    }
}

fn admin(section: &Section<'_>) -> RawAdmin {
    RawAdmin { socket: section.path("socket"), metrics: section.addresses("metrics") }
}

fn limits(section: &Section<'_>) -> RawLimits {
    RawLimits {
        connections: section.number("connections", 1..=CONNECTIONS_MAX),
        connections_per_address: section.number("connections_per_address", 1..=CONNECTIONS_MAX),
        unauthenticated_connections: section.number("unauthenticated_connections", 0..=CONNECTIONS_MAX),
        logins_per_second: section.number_at("logins_per_second", 0..=LOGINS_MAX),
        logins_per_minute_per_address: section.number("logins_per_minute_per_address", 0..=LOGINS_MAX),
        sessions_per_account: section.number("sessions_per_account", 0..=CONNECTIONS_MAX),
        message_octets: section.size("message", MESSAGE_OCTETS_MIN..=MESSAGE_OCTETS_MAX),
        recipients: section.number("recipients", RECIPIENTS_MIN..=RECIPIENTS_MAX),
    }
}

/// A level, or directives such as `info,relay=debug`. A bare word that is no level would be a target of that name, and
/// would turn everything else off.
fn level(text: &str) -> Result<String, String> {
    let bare = text.split(',').map(str::trim).find(|word| !word.contains('=') && word.parse::<LevelFilter>().is_err());
    if let Some(word) = bare {
        return Err(format!("{word} is no level: off, error, warn, info, debug or trace"));
    }
    EnvFilter::builder().parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// A line of the answer to EHLO (RFC 5321 §4.1.1.1): a keyword and its parameters. What is ours to offer is none.
fn extension(text: &str) -> Result<String, &'static str> {
    let line = text.to_ascii_uppercase();
    let keyword = line.split(' ').next().unwrap_or_default();
    match keyword {
        "STARTTLS" | "AUTH" => Err("is offered by the proxy itself"),
        "" => Err("is no extension, such as 8BITMIME or SIZE 50000000"),
        _ if line.len() > EXTENSION_OCTETS_MAX || !line.bytes().all(|octet| (b' '..=b'~').contains(&octet)) => {
            Err("is no extension, such as 8BITMIME or SIZE 50000000")
        }
        _ => Ok(line),
    }
}

/// A user or group; whether this machine knows it is seen at the start.
fn person(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.contains('\0') { Err("is no name") } else { Ok(text.to_owned()) }
}

const STOP_SECONDS_MAX: u32 = 3600;
const EXTENSION_OCTETS_MAX: usize = 200;
/// RFC 5321 §4.5.3.2.3: a sender waits 5 minutes for the answer to a recipient.
const COMMIT_WAIT_SECONDS_MAX: u32 = 240;
/// Beyond, 0 says it better: no limit.
const PER_MINUTE_MAX: u32 = 1_000_000;
const SHARDS_MAX: u16 = 64;
const KEEP_DAYS_MAX: u16 = 3650;
/// Smaller ones would rotate many times a second under load.
const SEGMENT_OCTETS_MIN: u64 = 1_000_000;
const SEGMENT_OCTETS_MAX: u64 = 1 << 30;
const CONNECTIONS_MAX: u32 = 1_000_000;
/// Beyond, 0 says it better: no limit.
const LOGINS_MAX: u32 = 1_000_000;
/// RFC 5321 §4.5.3.1.7: message content of at least 64K octets.
const MESSAGE_OCTETS_MIN: u64 = 64 << 10;
const MESSAGE_OCTETS_MAX: u64 = 1 << 30;
/// RFC 5321 §4.5.3.1.8: at least 100.
const RECIPIENTS_MIN: u32 = 100;
const RECIPIENTS_MAX: u32 = 10_000;
