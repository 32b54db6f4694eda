//! A site on several nodes: a relay and proxy in front, two stores behind, each a process of its own.
//!
//! ```text
//!   SMTP, LMTP, IMAP, POP3 ─▶ front ── FaultProxy ─▶ n-ingrid: store ingrid
//!                               │ └─── FaultProxy ─▶ n-fritz:  store fritz
//!                               └─ embedded directory ── export ─▶ a file that the other two read
//! ```

use crate::daemon::Daemon;
use crate::fault::{Fault, FaultProxy};
use crate::ports::Block;
use crate::programs::{Program, output};
use crate::site::{Account, binary};
use anyhow::{Context, Result, ensure};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

/// The nodes, running or not.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    front: Daemon,
    stores: Vec<StoreNode>,
    accounts: Vec<Account>,
    ports: Block,
    manner: Manner,
}

/// A node with one store.
#[derive(Debug)]
pub struct StoreNode {
    /// The name of its store.
    pub store: &'static str,
    daemon: Daemon,
    /// On the way from the front to its LMTP, IMAP and POP3, in this order.
    ways: Vec<FaultProxy>,
    listeners: Vec<SocketAddr>,
}

impl Cluster {
    /// Lays it out in a folder, which also gets the logs, and starts it.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::lay_out(folder, Manner::Secret)
    }

    /// The same with TLS at the front, whose certificate signs itself: STARTTLS, imaps and pop3s.
    pub fn start_with_tls(folder: &Path) -> Result<Self> {
        // Not an authority: mbsync compares only a server's own certificate with the one that it was given.
        certify(folder, "cert.pem", "key.pem", &["-addext", "basicConstraints=critical,CA:FALSE"])?;
        Self::lay_out(folder, Manner::FrontTls)
    }

    /// The same with nodes that know each other by certificates of an authority, `authority.pem`, instead of a secret. There
    /// are `member.pem` and `member.key` too, and `stranger.pem` with its key from elsewhere.
    pub fn start_with_certificates(folder: &Path) -> Result<Self> {
        certify(folder, "authority.pem", "authority.key", &[])?;
        let from = ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", "authority.pem", "-CAkey", "authority.key"];
        for name in ["front", "n-ingrid", "n-fritz", "member"] {
            certify(folder, &format!("{name}.pem"), &format!("{name}.key"), &from)?;
        }
        certify(folder, "stranger.pem", "stranger.key", &["-addext", "basicConstraints=critical,CA:FALSE"])?;
        Self::lay_out(folder, Manner::Certificates)
    }

    fn lay_out(folder: &Path, manner: Manner) -> Result<Self> {
        let ports = Block::take()?;
        let mut stores = Vec::new();
        for (number, store) in STORES.into_iter().enumerate() {
            stores.push(StoreNode::new(folder, &ports, store, u16::try_from(number)? * 3, manner)?);
        }
        std::fs::write(folder.join("secret"), "forty letters and more for nodes to know")?;
        let front = node(folder, "front", &front_file(&ports, manner))?;
        let accounts = PEOPLE.map(|(name, store)| Account {
            address: format!("{name}@{DOMAIN}"),
            password: format!("password of {name}"),
            store: store.to_owned(),
        });
        let mut cluster = Self { folder: folder.to_owned(), front, stores, accounts: accounts.to_vec(), ports, manner };
        cluster.start_front()?;
        cluster.fill_directory()?;
        for store in STORES {
            cluster.start_store(store)?;
        }
        Ok(cluster)
    }

    /// The mail domain.
    pub fn domain(&self) -> &'static str {
        DOMAIN
    }

    /// Everybody.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Somebody by local part.
    pub fn account(&self, name: &str) -> Result<&Account> {
        let wanted = format!("{name}@{DOMAIN}");
        self.accounts.iter().find(|account| account.address == wanted).with_context(|| format!("no {name}"))
    }

    /// The front's listener of a name: smtp, lmtp, imap, pop3, with TLS imaps and pop3s too.
    pub fn address(&self, name: &str) -> Result<SocketAddr> {
        let found = self.listeners().find(|(listener, _)| *listener == name);
        Ok(found.with_context(|| format!("the front has no listener {name}"))?.1)
    }

    /// How much everybody may hold: more than any test sends.
    pub fn quota_octets(&self) -> u64 {
        QUOTA_OCTETS
    }

    fn listeners(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        let of_tls: &[(&str, u16)] = if self.manner == Manner::FrontTls { &FRONT_TLS } else { &[] };
        FRONT.iter().chain(of_tls).map(|(name, offset)| (*name, self.ports.loopback(*offset)))
    }

    /// The node in front.
    pub fn front(&mut self) -> &mut Daemon {
        &mut self.front
    }

    /// The node of a store.
    pub fn store(&mut self, name: &str) -> Result<&mut StoreNode> {
        self.stores.iter_mut().find(|node| node.store == name).with_context(|| format!("no store {name}"))
    }

    /// Starts the front, and waits until it listens.
    pub fn start_front(&mut self) -> Result<()> {
        let listeners: Vec<SocketAddr> = self.listeners().map(|(_, address)| address).collect();
        self.front.start(|| listen(&listeners))
    }

    /// Asks every node to end, and waits.
    pub fn stop(&mut self) -> Result<()> {
        self.front.stop().context("the front")?;
        self.stores.iter_mut().try_for_each(|node| node.daemon.stop().context(node.store))
    }

    /// Starts a store's node, and waits until it listens.
    pub fn start_store(&mut self, name: &str) -> Result<()> {
        let node = self.store(name)?;
        let listeners = node.listeners.clone();
        node.daemon.start(|| listen(&listeners))
    }

    /// Runs a command against the front.
    pub fn command(&self, arguments: &[&str]) -> Result<Output> {
        let output =
            Command::new(binary()?).args(arguments).arg("--config").arg(self.folder.join("front.toml")).output()?;
        Ok(output)
    }

    /// Runs a command against the front, which must like it; what it prints.
    pub fn must(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {said}\n{}", self.front.log_tail());
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Has the queue try again until nothing waits in it. Once may be too early: the front leaves a node alone for a second
    /// that did not answer.
    pub fn empty_the_queue(&self) -> Result<()> {
        let until = Instant::now() + QUEUE_MAX;
        loop {
            let waiting = self.must(&["queue", "list", "--json"])?;
            if waiting.trim().is_empty() || waiting.trim() == "[]" {
                return Ok(());
            }
            ensure!(Instant::now() < until, "the queue still holds {waiting}");
            self.must(&["queue", "retry", "--all"])?;
            thread::park_timeout(QUEUE_INTERVAL);
        }
    }

    /// Writes the front's directory to the file that the stores read.
    pub fn push_directory(&self) -> Result<()> {
        let file = self.folder.join("directory.posthouse");
        self.must(&["export", "directory", file.to_str().context("a path in UTF-8")?]).map(drop)
    }

    /// Every node's log.
    pub fn logs(&self) -> Vec<PathBuf> {
        let stores = self.stores.iter().map(|node| format!("n-{}", node.store));
        let names = std::iter::once("front".to_owned()).chain(stores);
        names.map(|name| self.folder.join(format!("{name}.log"))).collect()
    }

    /// The end of every log.
    pub fn log_tail(&self) -> String {
        let logs = std::iter::once(&self.front).chain(self.stores.iter().map(|node| &node.daemon));
        logs.map(Daemon::log_tail).collect::<Vec<_>>().join("\n")
    }

    fn fill_directory(&self) -> Result<()> {
        for node in &self.stores {
            let name = format!("n-{}", node.store);
            let mut arguments = vec!["node", "add", &name, "--role", "store", "--address", "127.0.0.1"];
            let ports: Vec<String> = ["lmtp", "imap", "pop3"]
                .iter()
                .zip(&node.ways)
                .map(|(protocol, way)| format!("{protocol}={}", way.address().port()))
                .collect();
            arguments.extend(ports.iter().flat_map(|port| ["--port", port]));
            self.must(&arguments)?;
            self.must(&["store", "add", node.store, "--node", &name])?;
        }
        self.must(&["domain", "add", DOMAIN])?;
        for account in &self.accounts {
            let hash = format!("{{PLAIN}}{}", account.password);
            let placed = ["account", "add", &account.address, "--password-hash", &hash, "--store", &account.store];
            self.must(&[placed.as_slice(), &["--quota", &QUOTA_OCTETS.to_string()]].concat())?;
        }
        self.push_directory()
    }
}

/// What nodes and clients prove to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Nodes share a secret; the front has no TLS.
    Secret,
    /// Nodes share a secret; the front has TLS.
    FrontTls,
    /// Nodes have certificates; the front has no TLS.
    Certificates,
}

impl Manner {
    /// The lines of `[cluster]` with which a node proves itself.
    fn proof(self, node: &str) -> String {
        match self {
            Self::Secret | Self::FrontTls => "secret = \"secret\"\n".to_owned(),
            Self::Certificates => {
                format!("certificate = \"{node}.pem\"\nkey = \"{node}.key\"\nauthority = \"authority.pem\"\n")
            }
        }
    }
}

/// Makes a key and a certificate for this machine.
pub(crate) fn certify(folder: &Path, certificate: &str, key: &str, more: &[&str]) -> Result<()> {
    let mut openssl = Program::Openssl.command();
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    let subject = format!("/CN={certificate}");
    openssl.args(["-subj", &subject, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]).args(more);
    openssl.args(["-days", "2", "-keyout", key, "-out", certificate]).current_dir(folder);
    output(&mut openssl).map(drop).with_context(|| format!("making {certificate}"))
}

impl StoreNode {
    fn new(folder: &Path, ports: &Block, store: &'static str, first: u16, manner: Manner) -> Result<Self> {
        let listeners: Vec<SocketAddr> = (1..=3).map(|offset| ports.loopback(first + offset)).collect();
        let ways = listeners.iter().map(|listener| FaultProxy::to(*listener)).collect::<Result<_>>()?;
        let daemon = node(folder, &format!("n-{store}"), &store_file(store, &listeners, manner))?;
        Ok(Self { store, daemon, ways, listeners })
    }

    /// Its process.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// The way from the front to it fails like this, for every protocol.
    pub fn fail(&self, fault: Fault) {
        for way in &self.ways {
            way.set(fault);
        }
    }

    /// Cuts every connection from the front to it.
    pub fn cut(&self) {
        for way in &self.ways {
            way.cut();
        }
    }

    /// Where it takes deliveries from other nodes.
    pub fn lmtp(&self) -> Option<SocketAddr> {
        self.listeners.first().copied()
    }

    /// The way of deliveries.
    pub fn deliveries(&self) -> Option<&FaultProxy> {
        self.ways.first()
    }
}

/// A node that will be started with this configuration behind its `[node]`.
pub fn node(folder: &Path, name: &str, text: &str) -> Result<Daemon> {
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(
        &file,
        format!("[node]\nname = \"{name}\"\nhostname = \"{name}.example\"\ndata = \"{name}\"\n{text}"),
    )?;
    let arguments = vec!["serve".into(), "--config".into(), file.into()];
    Ok(Daemon::new(arguments, &folder.join(format!("{name}.log"))))
}

fn front_file(ports: &Block, manner: Manner) -> String {
    let at = |offset| ports.loopback(offset);
    let tls = if manner == Manner::FrontTls {
        // In [proxy], which comes last, and a section behind it.
        format!(
            "imaps = \"{}\"\npop3s = \"{}\"\n[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n",
            at(993),
            at(995)
        )
    } else {
        String::new()
    };
    format!(
        "[directory]\ndefault_store = \"fritz\"\n\
         [cluster]\n{}source = \"127.0.0.1\"\n\
         [relay]\nlisten = \"{}\"\nlmtp = \"{}\"\nqueue = \"front/queue\"\ncommit_wait_seconds = 3\n\
         [proxy]\nimap = \"{}\"\npop3 = \"{}\"\n{tls}",
        manner.proof("front"),
        at(25),
        at(27),
        at(143),
        at(110),
    )
}

fn store_file(store: &str, listeners: &[SocketAddr], manner: Manner) -> String {
    let at = |number: usize| listeners.get(number).map_or_else(String::new, ToString::to_string);
    format!(
        "[directory]\nengine = \"file\"\npath = \"directory.posthouse\"\n\
         [cluster]\n{}from = [\"127.0.0.1\"]\n\
         lmtp = \"{}\"\nimap = \"{}\"\npop3 = \"{}\"\n\
         [[store]]\nname = \"{store}\"\n",
        manner.proof(&format!("n-{store}")),
        at(0),
        at(1),
        at(2),
    )
}

pub(crate) fn listen(addresses: &[SocketAddr]) -> Result<()> {
    for address in addresses {
        TcpStream::connect_timeout(address, CONNECT_MAX).with_context(|| format!("{address} does not answer"))?;
    }
    Ok(())
}

const QUEUE_MAX: Duration = Duration::from_secs(60);
const QUEUE_INTERVAL: Duration = Duration::from_millis(300);
const CONNECT_MAX: Duration = Duration::from_secs(2);
const QUOTA_OCTETS: u64 = 1 << 30;
/// The front's listeners, and where their ports are in the block.
const FRONT: [(&str, u16); 4] = [("smtp", 25), ("lmtp", 27), ("imap", 143), ("pop3", 110)];
const FRONT_TLS: [(&str, u16); 2] = [("imaps", 993), ("pop3s", 995)];
const DOMAIN: &str = "many.example";
const STORES: [&str; 2] = ["ingrid", "fritz"];
/// Who lives where.
const PEOPLE: [(&str, &str); 8] = [
    ("anna", "ingrid"),
    ("bert", "ingrid"),
    ("cleo", "ingrid"),
    ("dora", "ingrid"),
    ("xara", "fritz"),
    ("york", "fritz"),
    ("zeno", "fritz"),
    ("will", "fritz"),
];
