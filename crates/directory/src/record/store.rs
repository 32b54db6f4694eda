//! Stores and nodes: where connections go.

use super::{Record, RecordError, text};
use mail_types::{Domain, NodeName, StoreName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// A store: one of ours, or a back-end of another make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawStore", into = "RawStore")]
pub struct StoreRecord {
    /// Its name.
    pub name: StoreName,
    /// What it is.
    pub kind: StoreKind,
    /// It is being removed: nothing new may refer to it.
    pub closed: bool,
}

/// What a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// A Posthouse store.
    Posthouse {
        /// The node that serves it now.
        node: NodeName,
    },
    /// Dovecot, Cyrus, Courier, Exchange …
    Foreign {
        /// Where it is: the first that answers is used, the others stand by. Never empty.
        hosts: Vec<HostAt>,
        /// The protocols it speaks to us, with their ports.
        ports: BTreeMap<Protocol, u16>,
        /// How connections to it are protected.
        tls: TlsMode,
        /// The same where a protocol of `ports` has it otherwise.
        port_tls: PortTls,
        /// How a proxy logs in to it.
        login: BackendLogin,
        /// Whether it judges its users' access tokens itself: it is shown them as it is their passwords.
        tokens: bool,
    },
}

/// How connections are protected, by protocol.
pub type PortTls = BTreeMap<Protocol, TlsMode>;

/// A running Posthouse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its name.
    #[serde(with = "text")]
    pub name: NodeName,
    /// What it runs.
    #[serde(default)]
    pub roles: BTreeSet<NodeRole>,
    /// Where other nodes reach it, best first.
    #[serde(default, with = "text::list")]
    pub addresses: Vec<Host>,
    /// The ports on which it serves other nodes, where they are not the usual ones.
    #[serde(default)]
    pub ports: BTreeMap<Protocol, u16>,
}

/// What a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeRole {
    /// SMTP in and out.
    Relay,
    /// IMAP, POP3 and ManageSieve in front.
    Proxy,
    /// Stores.
    Store,
    /// The HTTP API and pages.
    Admin,
}

/// A protocol between us and a store or node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// RFC 5321: delivery to back-ends that speak no LMTP.
    Smtp,
    /// RFC 2033.
    Lmtp,
    /// RFC 9051.
    Imap,
    /// RFC 1939.
    Pop3,
    /// ManageSieve, RFC 5804.
    Sieve,
    /// RFC 6409.
    Submission,
}

/// How connections to a back-end are protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Not at all: loopback and networks of one's own.
    #[default]
    None,
    /// Plain at first, then STARTTLS or STLS, required.
    Starttls,
    /// From the first octet.
    Tls,
}

/// How a proxy logs in to a back-end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendLogin {
    /// With the user's own name and password.
    #[default]
    Password,
    /// As a master user of the node's configuration, with the user as authorization identity (RFC 4422 §2).
    Master,
}

/// A host name or an IP address.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Box<str>);

/// One of a back-end's hosts, with the ports that differ there: `imap2.example.org` or `10.0.0.2,imap=1143,pop3=1110`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAt {
    /// It.
    pub host: Host,
    /// Ports of its own, of protocols that the store has.
    pub ports: BTreeMap<Protocol, u16>,
}

impl StoreRecord {
    /// A Posthouse store on a node.
    pub fn posthouse(name: StoreName, node: NodeName) -> Self {
        Self { name, kind: StoreKind::Posthouse { node }, closed: false }
    }

    /// A back-end in plain text with users' own passwords.
    pub fn foreign(name: StoreName, host: Host, ports: BTreeMap<Protocol, u16>) -> Self {
        let hosts = vec![HostAt::from(host)];
        let (tls, port_tls, login) = (TlsMode::None, PortTls::new(), BackendLogin::Password);
        let kind = StoreKind::Foreign { hosts, ports, tls, port_tls, login, tokens: false };
        Self { name, kind, closed: false }
    }
}

impl Protocol {
    /// All, in the order in which they are written.
    pub const ALL: [Self; 6] = [Self::Smtp, Self::Lmtp, Self::Imap, Self::Pop3, Self::Sieve, Self::Submission];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Lmtp => "lmtp",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Sieve => "sieve",
            Self::Submission => "submission",
        }
    }

    /// The port it has where a record names none (with `tls`, the one for TLS from the first octet).
    pub const fn usual_port(self, tls: TlsMode) -> u16 {
        let from_the_first_octet = matches!(tls, TlsMode::Tls);
        match self {
            Self::Smtp => 25,
            Self::Lmtp => 24,
            Self::Imap if from_the_first_octet => 993,
            Self::Imap => 143,
            Self::Pop3 if from_the_first_octet => 995,
            Self::Pop3 => 110,
            Self::Sieve => 4190,
            Self::Submission if from_the_first_octet => 465,
            Self::Submission => 587,
        }
    }
}

impl TlsMode {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Starttls => "starttls",
            Self::Tls => "tls",
        }
    }

    /// How a protocol's connections are protected at a store whose mode this is. Nobody has a port for ManageSieve with TLS
    /// from the first octet (RFC 5804 §1.8 names one port, and STARTTLS), but for who says that he has.
    pub fn at_port(self, protocol: Protocol, own: &PortTls) -> Self {
        match (own.get(&protocol), protocol, self) {
            (Some(own), _, _) => *own,
            (None, Protocol::Sieve, Self::Tls) => Self::Starttls,
            (None, _, _) => self,
        }
    }
}

impl Host {
    /// Reads a host name or an IP address (without brackets).
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_string().into()));
        }
        match Domain::parse(text) {
            Ok(name) if !name.is_literal() => Ok(Self(name.as_str().into())),
            Ok(_) | Err(_) => Err(RecordError::field("host", "not a host name or an IP address")),
        }
    }

    /// The name or address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl HostAt {
    /// Reads a host, and `,protocol=port` behind it for each port of its own.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let mut parts = text.split(',').map(str::trim);
        let host = Host::parse(parts.next().unwrap_or_default())?;
        let ports = parts.map(own_port).collect::<Option<BTreeMap<_, _>>>();
        let ports = ports.ok_or(RecordError::field("hosts", "ports of a host are written as imap=1143"))?;
        Ok(Self { host, ports })
    }

    /// Its port for a protocol of the store, which has this one elsewhere.
    pub fn port(&self, protocol: Protocol, elsewhere: u16) -> u16 {
        self.ports.get(&protocol).copied().unwrap_or(elsewhere)
    }
}

fn own_port(text: &str) -> Option<(Protocol, u16)> {
    let (name, port) = text.split_once('=')?;
    let protocol = Protocol::ALL.into_iter().find(|protocol| protocol.name() == name)?;
    Some((protocol, port.parse().ok()?))
}

impl From<Host> for HostAt {
    fn from(host: Host) -> Self {
        Self { host, ports: BTreeMap::new() }
    }
}

impl fmt::Display for HostAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host)?;
        self.ports.iter().try_for_each(|(protocol, port)| write!(f, ",{}={port}", protocol.name()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({})", self.0)
    }
}

impl Record for StoreRecord {
    const KIND: &'static str = "store";
    const PREFIX: &'static str = "routing/store/";
    const FIELDS: &'static [&'static str] =
        &["name", "kind", "node", "host", "hosts", "ports", "tls", "port_tls", "login", "tokens", "closed"];

    fn key_for(name: &str) -> Result<String, RecordError> {
        let name = StoreName::parse(name).map_err(|error| RecordError::field("name", error))?;
        Ok(format!("{}{name}", Self::PREFIX))
    }

    fn key(&self) -> String {
        format!("{}{}", Self::PREFIX, self.name)
    }

    fn check(&self) -> Result<(), RecordError> {
        match &self.kind {
            StoreKind::Posthouse { .. } => Ok(()),
            StoreKind::Foreign { ports, .. } if ports.is_empty() => {
                Err(RecordError::field("ports", "a foreign store speaks at least one protocol"))
            }
            StoreKind::Foreign { ports, port_tls, .. }
                if port_tls.keys().any(|protocol| !ports.contains_key(protocol)) =>
            {
                Err(RecordError::field("port_tls", "it is for a protocol that ports does not name"))
            }
            StoreKind::Foreign { login: BackendLogin::Master, tokens: true, .. } => {
                Err(RecordError::field("tokens", "a store that a master logs in to is shown none"))
            }
            StoreKind::Foreign { hosts, ports, .. } => {
                check_ports(ports)?;
                check_hosts(hosts, ports)
            }
        }
    }
}

/// Some host, not too many, and no port that nobody would ever call.
fn check_hosts(hosts: &[HostAt], ports: &BTreeMap<Protocol, u16>) -> Result<(), RecordError> {
    if hosts.is_empty() || hosts.len() > HOSTS_MAX {
        return Err(RecordError::field("hosts", "a foreign store has 1 to 16"));
    }
    for (at, host) in hosts.iter().enumerate() {
        check_ports(&host.ports)?;
        if host.ports.keys().any(|protocol| !ports.contains_key(protocol)) {
            return Err(RecordError::field(
                "hosts",
                "a host has a port for a protocol that the store's ports do not name",
            ));
        }
        if hosts.iter().take(at).any(|before| before == host) {
            return Err(RecordError::field("hosts", "a host is there twice"));
        }
    }
    Ok(())
}

impl Record for NodeRecord {
    const KIND: &'static str = "node";
    const PREFIX: &'static str = "routing/node/";
    const FIELDS: &'static [&'static str] = &["name", "roles", "addresses", "ports"];

    fn key_for(name: &str) -> Result<String, RecordError> {
        let name = NodeName::parse(name).map_err(|error| RecordError::field("name", error))?;
        Ok(format!("{}{name}", Self::PREFIX))
    }

    fn key(&self) -> String {
        format!("{}{}", Self::PREFIX, self.name)
    }

    fn check(&self) -> Result<(), RecordError> {
        if self.addresses.len() > ADDRESSES_MAX {
            return Err(RecordError::field("addresses", "at most 16"));
        }
        check_ports(&self.ports)
    }
}

fn check_ports(ports: &BTreeMap<Protocol, u16>) -> Result<(), RecordError> {
    match ports.values().any(|port| *port == 0) {
        true => Err(RecordError::field("ports", "a port is 1 to 65535")),
        false => Ok(()),
    }
}

/// The store as it is written: one flat object.
#[derive(Clone, Serialize, Deserialize)]
struct RawStore {
    #[serde(with = "text")]
    name: StoreName,
    kind: RawKind,
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    node: Option<NodeName>,
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    host: Option<Host>,
    #[serde(default, with = "text::list", skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<HostAt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ports: Option<BTreeMap<Protocol, u16>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls: Option<TlsMode>,
    #[serde(default, skip_serializing_if = "PortTls::is_empty")]
    port_tls: PortTls,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login: Option<BackendLogin>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    tokens: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    closed: bool,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawKind {
    Posthouse,
    Foreign,
}

impl TryFrom<RawStore> for StoreRecord {
    type Error = RecordError;

    fn try_from(mut raw: RawStore) -> Result<Self, RecordError> {
        let kind = match raw.kind {
            RawKind::Posthouse => StoreKind::Posthouse { node: need(raw.node.take(), "node")? },
            RawKind::Foreign => StoreKind::Foreign {
                hosts: hosts(raw.host.take(), std::mem::take(&mut raw.hosts))?,
                ports: need(raw.ports.take(), "ports")?,
                tls: raw.tls.take().unwrap_or_default(),
                port_tls: std::mem::take(&mut raw.port_tls),
                login: raw.login.take().unwrap_or_default(),
                tokens: std::mem::take(&mut raw.tokens),
            },
        };
        let left = [
            ("node", raw.node.is_some()),
            ("host", raw.host.is_some()),
            ("hosts", !raw.hosts.is_empty()),
            ("ports", raw.ports.is_some()),
            ("tls", raw.tls.is_some()),
            ("port_tls", !raw.port_tls.is_empty()),
            ("login", raw.login.is_some()),
            ("tokens", raw.tokens),
        ];
        if let Some((field, _)) = left.into_iter().find(|(_, there)| *there) {
            return Err(RecordError::field(field, "a store of this kind has no such field"));
        }
        Ok(Self { name: raw.name, kind, closed: raw.closed })
    }
}

impl From<StoreRecord> for RawStore {
    fn from(store: StoreRecord) -> Self {
        let StoreRecord { name, kind, closed } = store;
        match kind {
            StoreKind::Posthouse { node } => Self {
                name,
                kind: RawKind::Posthouse,
                node: Some(node),
                host: None,
                hosts: Vec::new(),
                ports: None,
                tls: None,
                port_tls: PortTls::new(),
                login: None,
                tokens: false,
                closed,
            },
            StoreKind::Foreign { hosts, ports, tls, port_tls, login, tokens } => {
                let (host, hosts) = one_or_many(hosts);
                Self {
                    name,
                    kind: RawKind::Foreign,
                    node: None,
                    host,
                    hosts,
                    ports: Some(ports),
                    tls: Some(tls),
                    port_tls,
                    login: Some(login),
                    tokens,
                    closed,
                }
            }
        }
    }
}

/// One host alone is written as it always was, so that older releases read it.
fn one_or_many(mut hosts: Vec<HostAt>) -> (Option<Host>, Vec<HostAt>) {
    match hosts.as_slice() {
        [only] if only.ports.is_empty() => (hosts.pop().map(|only| only.host), Vec::new()),
        _ => (None, hosts),
    }
}

fn hosts(one: Option<Host>, many: Vec<HostAt>) -> Result<Vec<HostAt>, RecordError> {
    match (one, many.is_empty()) {
        (Some(one), true) => Ok(vec![one.into()]),
        (None, false) => Ok(many),
        (Some(_), false) => Err(RecordError::field("host", "hosts says it too")),
        (None, true) => Err(RecordError::field("host", "a store of this kind needs it, or hosts")),
    }
}

fn need<T>(value: Option<T>, field: &'static str) -> Result<T, RecordError> {
    value.ok_or_else(|| RecordError::field(field, "a store of this kind needs it"))
}

/// Addresses at which one node is reached.
const ADDRESSES_MAX: usize = 16;
/// Hosts of one back-end. `check_hosts` says so, too.
const HOSTS_MAX: usize = 16;
