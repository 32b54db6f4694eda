//! Calls to other nodes and to back-ends of another make: the port [`Caller`] over sockets.

mod avoided;
mod names;
mod socket;

use avoided::{Attempt, Avoided, Target};
pub use names::Names;

use crate::client::Conversation;
use crate::line::now;
use crate::proxy_header::{Origin, encode, encode_text};
use crate::session::SessionError;
use crate::stream::Stream;
use crate::tls::{ClientTls, HandshakeError, TlsError};
use machine::Machine;
use ports::{BoxFuture, Broken, Call, CallSecurity, Callee, Caller, Introduction, Peer, Trust, Unavailable, Wire};
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Calls peers: host by host, address by address, until one answers. Clones know of each other's failures.
#[derive(Clone, Debug, Default)]
pub struct Dialer {
    cluster: Option<ClientTls>,
    /// What [`Trust::Public`] demands, once it was needed.
    public: Arc<OnceLock<ClientTls>>,
    /// What [`Trust::Anybody`] demands, once it was needed.
    anybody: Arc<OnceLock<ClientTls>>,
    told: Arc<[ClientTls]>,
    sources: Vec<IpAddr>,
    /// Which of a callee's own sources comes first.
    turn: Arc<AtomicUsize>,
    avoided: Arc<Avoided>,
    names: Names,
}

impl Dialer {
    /// Without a cluster, and told nothing: calls that need it fail.
    pub fn new() -> Self {
        Self::default()
    }

    /// With what other nodes of the cluster demand, and must show.
    pub fn with_cluster(self, tls: ClientTls) -> Self {
        Self { cluster: Some(tls), ..self }
    }

    /// With what the numbers of [`Trust::Told`] mean: places in this list.
    pub fn with_told(self, told: Vec<ClientTls>) -> Self {
        Self { told: told.into(), ..self }
    }

    /// With these demands for [`Trust::Public`]. Without them the machine's authorities are read when they are first needed;
    /// who reads them before ([`ClientTls::verified`]) knows in time whether there are any.
    pub fn with_public(self, tls: ClientTls) -> Self {
        Self { public: Arc::new(OnceLock::from(tls)), ..self }
    }

    /// From these addresses, the first of the same family as the one that is called as long as it has a port left. A peer is not
    /// called if there is none. Callees may name [others](Callee::sources).
    pub fn with_sources(self, sources: Vec<IpAddr>) -> Self {
        Self { sources, ..self }
    }

    async fn connect(&self, to: &Callee, behalf_of: Option<Peer>) -> Result<Reached, Unavailable> {
        let mut failures = Vec::new();
        match self.protection(to.security) {
            Ok(protection) => {
                let introduction = introduction(to.introduction, behalf_of);
                let how = How { protection, introduction, sources: self.sources_of(to) };
                if let Some(reached) = self.try_all(to, &how, &mut failures).await {
                    return Ok(reached);
                }
            }
            Err(failure) => failures.push(chain(&failure)),
        }
        let why = if failures.is_empty() { "it has no host".to_owned() } else { failures.join("; ") };
        Err(Unavailable { what: to.to_string(), why })
    }

    /// In order; those that failed a moment ago only after all others: better one of them than none.
    async fn try_all(&self, to: &Callee, how: &How, failures: &mut Vec<String>) -> Option<Reached> {
        let mut postponed = Vec::new();
        for host in to.hosts.iter() {
            let addresses = match self.names.resolve(host, to.port).await {
                Ok(addresses) => addresses,
                Err(failure) => {
                    failures.push(format!("{host}: {}", chain(&failure)));
                    continue;
                }
            };
            for address in addresses {
                let target = Target { address, security: to.security };
                if !self.avoided.may_call(target, now()) {
                    postponed.push((host, target));
                } else if let Some(reached) = self.try_one(host, target, how, failures).await {
                    return Some(reached);
                }
            }
        }
        for (host, target) in postponed {
            if let Some(reached) = self.try_one(host, target, how, failures).await {
                return Some(reached);
            }
        }
        None
    }

    async fn try_one(&self, host: &str, target: Target, how: &How, failures: &mut Vec<String>) -> Option<Reached> {
        let failure = match how.sources_for(target.address) {
            Ok(sources) => match self.attempt(host, target, &sources, how).await {
                Ok(reached) => return Some(reached),
                Err(failure) => failure,
            },
            Err(failure) => failure,
        };
        failures.push(format!("{host} ({}): {}", target.address, chain(&failure)));
        None
    }

    async fn attempt(&self, host: &str, target: Target, sources: &[IpAddr], how: &How) -> Result<Reached, Failure> {
        let attempt = Avoided::attempt(&self.avoided, target);
        let connected = async {
            let opening = open(target.address, sources, how.introduction.as_deref());
            let opened = tokio::time::timeout(CONNECT_SPAN_MAX, opening).await.map_err(|_| Failure::Silent)??;
            let plain = Stream::plain(opened);
            match &how.protection {
                Protection::AtOnce(tls) => Ok(plain.connect_tls(tls, host).await?),
                Protection::Cluster(tls) => plain.connect_tls(tls, host).await.map_err(Failure::in_cluster),
                Protection::None | Protection::Later(_) => Ok(plain),
            }
        };
        match (connected.await, &how.protection) {
            // Whether it answers is known when it has agreed to TLS.
            (Ok(stream), Protection::Later(tls)) => {
                let upgrade = Upgrade { tls: tls.clone(), host: host.into(), attempt };
                Ok(Reached { stream, upgrade: Some(upgrade) })
            }
            (Ok(stream), Protection::None | Protection::AtOnce(_) | Protection::Cluster(_)) => {
                attempt.succeeded();
                Ok(Reached { stream, upgrade: None })
            }
            (Err(failure), _) => {
                attempt.failed();
                Err(failure)
            }
        }
    }

    fn protection(&self, security: CallSecurity) -> Result<Protection, Failure> {
        Ok(match security {
            CallSecurity::Plain => Protection::None,
            CallSecurity::Cluster => Protection::Cluster(self.cluster.clone().ok_or(Failure::NoCluster)?),
            CallSecurity::Tls(trust) => Protection::AtOnce(self.demands(trust)?),
            CallSecurity::StartTls(trust) => Protection::Later(self.demands(trust)?),
        })
    }

    fn demands(&self, trust: Trust) -> Result<ClientTls, Failure> {
        match (trust, self.public.get()) {
            (Trust::Anybody, _) => Ok(self.anybody.get_or_init(ClientTls::unverified).clone()),
            (Trust::Public, Some(tls)) => Ok(tls.clone()),
            (Trust::Public, None) => {
                // One file of the system, once: nobody waits long for it.
                let tls = ClientTls::verified().map_err(Failure::Public)?;
                Ok(self.public.get_or_init(|| tls).clone())
            }
            (Trust::Told(number), _) => self.told.get(usize::from(number)).cloned().ok_or(Failure::NotTold(number)),
        }
    }

    /// The addresses that a peer is called from: its own in turn, so that each bears its share; else ours in order.
    fn sources_of(&self, to: &Callee) -> Vec<IpAddr> {
        if to.sources.is_empty() {
            return self.sources.clone();
        }
        let mut sources = to.sources.to_vec();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % sources.len();
        sources.rotate_left(turn);
        sources
    }
}

impl How {
    /// Those of the address's family: from no other can it be called.
    fn sources_for(&self, address: SocketAddr) -> Result<Vec<IpAddr>, Failure> {
        let alike = |source: &&IpAddr| source.is_ipv4() == address.is_ipv4();
        let sources: Vec<IpAddr> = self.sources.iter().filter(alike).copied().collect();
        if sources.is_empty() && !self.sources.is_empty() { Err(Failure::NoSource) } else { Ok(sources) }
    }
}

/// How a peer is called, whichever of its hosts answers.
struct How {
    protection: Protection,
    /// What is said before anything else.
    introduction: Option<Vec<u8>>,
    /// From where, the first first; anywhere, if there are none.
    sources: Vec<IpAddr>,
}

/// What is demanded of a peer, and when.
enum Protection {
    None,
    AtOnce(ClientTls),
    /// At once, among nodes.
    Cluster(ClientTls),
    Later(ClientTls),
}

/// A peer that answered.
struct Reached {
    stream: Stream,
    upgrade: Option<Upgrade>,
}

/// What it takes to turn a connection to TLS later.
#[derive(Debug)]
pub(crate) struct Upgrade {
    pub(crate) tls: ClientTls,
    /// The host that answered.
    pub(crate) host: Box<str>,
    pub(crate) attempt: Attempt,
}

/// Connects, and says for whom.
async fn open(address: SocketAddr, sources: &[IpAddr], introduction: Option<&[u8]>) -> Result<TcpStream, Failure> {
    let mut connection = socket::connect(address, sources).await?;
    if let Some(header) = introduction {
        connection.write_all(header).await?;
    }
    Ok(connection)
}

/// Who calls, for who waits to be told. That is always, also if the call is for nobody.
fn introduction(wanted: Introduction, behalf_of: Option<Peer>) -> Option<Vec<u8>> {
    let forwarded = |peer: Peer| Origin::Forwarded { client: peer.address, server: peer.local };
    let origin = behalf_of.map_or(Origin::Socket, forwarded);
    match wanted {
        Introduction::Nobody => None,
        Introduction::ProxyV1 => Some(encode_text(origin)),
        Introduction::ProxyV2 => Some(encode(origin)),
    }
}

/// Why one address, or one host, cannot be called.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("its address cannot be found")]
    Lookup(#[source] io::Error),
    #[error("its address was not found within {} s", LOOKUP_SPAN_MAX.as_secs())]
    SlowLookup,
    #[error("its address could not be found a moment ago")]
    UnknownOfLate,
    #[error("it has no address")]
    NoAddress,
    #[error("we have no address of that family to call from")]
    NoSource,
    #[error("cannot connect")]
    Refused(#[from] io::Error),
    #[error("it did not answer within {} s", CONNECT_SPAN_MAX.as_secs())]
    Silent,
    #[error("this node has no TLS of a cluster")]
    NoCluster,
    #[error("this node was not told what number {0} demands of TLS")]
    NotTold(u16),
    #[error("whom to trust is not known")]
    Public(#[source] TlsError),
    #[error("no TLS{}", advice(.0))]
    Handshake(#[from] HandshakeError),
    #[error(
        "it does not prove that it is of this cluster: both nodes must have the same cluster.secret, or the same authority"
    )]
    Stranger(#[source] HandshakeError),
}

impl Failure {
    fn in_cluster(error: HandshakeError) -> Self {
        if error.is_about_trust() { Self::Stranger(error) } else { Self::Handshake(error) }
    }
}

/// An error and its causes on one line: for who passes on why, and not the error.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl<M> Caller<M> for Dialer
where
    M: Machine + Send + 'static,
    M::Event: Send,
{
    fn call<'a>(
        &'a self,
        to: &'a Callee,
        behalf_of: Option<Peer>,
        machine: M,
    ) -> BoxFuture<'a, Result<Box<dyn Call<M>>, Unavailable>> {
        Box::pin(async move {
            let Reached { stream, upgrade } = self.connect(to, behalf_of).await?;
            let conversation = match upgrade {
                Some(upgrade) => Conversation::before_tls(stream, machine, upgrade),
                None => Conversation::new(stream, machine),
            };
            Ok(Box::new(conversation) as Box<dyn Call<M>>)
        })
    }
}

impl<M> Call<M> for Conversation<M>
where
    M: Machine + Send + 'static,
    M::Event: Send,
{
    fn machine(&mut self) -> &mut M {
        Conversation::machine(self)
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Option<M::Event>, Broken>> {
        Box::pin(async move { Conversation::next(self).await.map_err(|error| broken(&error)) })
    }

    fn sent(&mut self) -> BoxFuture<'_, Result<Option<M::Event>, Broken>> {
        Box::pin(async move { Conversation::sent(self).await.map_err(|error| broken(&error)) })
    }

    fn start_tls(&mut self) -> BoxFuture<'_, Result<(), Broken>> {
        Box::pin(async move { self.upgrade().await.map_err(|error| broken(&error)) })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // Who closes wants no more of it.
            let _broken_or_not = Conversation::close(*self).await;
        })
    }

    fn into_parts(self: Box<Self>) -> (Box<dyn Wire>, M) {
        let (stream, machine) = Conversation::into_parts(*self);
        (Box::new(stream), machine)
    }
}

/// The cause alone where the words around it would say the same.
fn broken(error: &SessionError) -> Broken {
    match error {
        SessionError::Broken(cause) => Broken(chain(cause)),
        SessionError::Handshake(cause) => Broken(format!("no TLS{}: {}", advice(cause), chain(cause))),
        SessionError::Stalled => Broken(chain(error)),
    }
}

/// In an operator's words, before those of who wrote the library.
fn advice(error: &HandshakeError) -> String {
    error.advice().map(|advice| format!(", {advice}")).unwrap_or_default()
}

/// How long an address may take to answer; TLS has [`crate::CALL_HANDSHAKE_SPAN_MAX`] besides. Between nodes an answer takes milliseconds; after this the next may be tried.
pub const CONNECT_SPAN_MAX: Duration = Duration::from_secs(5);
/// How long the name service may take to find a host.
pub const LOOKUP_SPAN_MAX: Duration = Duration::from_secs(5);
/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;
