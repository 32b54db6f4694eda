//! Calls to other nodes: the port [`Caller`] over sockets.

mod socket;

use crate::client::Conversation;
use crate::proxy_header::{Origin, encode};
use crate::session::SessionError;
use crate::stream::Stream;
use crate::tls::ClientTls;
use machine::Machine;
use ports::{BoxFuture, Broken, Call, CallSecurity, Callee, Caller, Peer, Unavailable, Wire};
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Calls peers: host by host, address by address, until one answers.
#[derive(Clone, Debug, Default)]
pub struct Dialer {
    cluster: Option<ClientTls>,
    sources: Vec<IpAddr>,
}

impl Dialer {
    /// Without a cluster: calls that are to be protected fail.
    pub fn new() -> Self {
        Self::default()
    }

    /// With what other nodes of the cluster demand, and must show.
    pub fn with_cluster(self, tls: ClientTls) -> Self {
        Self { cluster: Some(tls), ..self }
    }

    /// From these addresses: the first of the same family as the one that is called, which is not called if there is none.
    pub fn with_sources(self, sources: Vec<IpAddr>) -> Self {
        Self { sources, ..self }
    }

    async fn connect(&self, to: &Callee, behalf_of: Option<Peer>) -> Result<Stream, Unavailable> {
        let mut failures = Vec::new();
        for host in to.hosts.iter() {
            let addresses = match resolve(host, to.port).await {
                Ok(addresses) => addresses,
                Err(failure) => {
                    failures.push(format!("{host}: {}", chain(&failure)));
                    continue;
                }
            };
            for address in addresses {
                match self.try_address(host, address, to.security, behalf_of).await {
                    Ok(stream) => return Ok(stream),
                    Err(failure) => failures.push(format!("{host} ({address}): {}", chain(&failure))),
                }
            }
        }
        let why = if failures.is_empty() { "it has no host".to_owned() } else { failures.join("; ") };
        Err(Unavailable { what: to.to_string(), why })
    }

    async fn try_address(
        &self,
        host: &str,
        address: SocketAddr,
        security: CallSecurity,
        behalf_of: Option<Peer>,
    ) -> Result<Stream, Failure> {
        let connecting = tokio::time::timeout(CONNECT_SPAN_MAX, self.open(address, introduction(security, behalf_of)));
        let plain = Stream::plain(connecting.await.map_err(|_| Failure::Silent)??);
        match security {
            CallSecurity::Plain => Ok(plain),
            CallSecurity::Cluster => {
                let tls = self.cluster.as_ref().ok_or(Failure::NoCluster)?;
                Ok(plain.connect_tls(tls, host).await?)
            }
        }
    }

    /// Connects, and says for whom.
    async fn open(&self, address: SocketAddr, introduction: Option<Origin>) -> Result<TcpStream, Failure> {
        let source = self.source(address)?;
        let mut connection = socket::connect(address, source).await?;
        if let Some(origin) = introduction {
            connection.write_all(&encode(origin)).await?;
        }
        Ok(connection)
    }

    fn source(&self, address: SocketAddr) -> Result<Option<IpAddr>, Failure> {
        let ours = self.sources.iter().find(|source| source.is_ipv4() == address.is_ipv4());
        if ours.is_none() && !self.sources.is_empty() {
            return Err(Failure::NoSource);
        }
        Ok(ours.copied())
    }
}

/// Who calls. Between nodes it is always said: their listeners wait for it.
fn introduction(security: CallSecurity, behalf_of: Option<Peer>) -> Option<Origin> {
    match (behalf_of, security) {
        (Some(peer), _) => Some(Origin::Forwarded { client: peer.address, server: peer.local }),
        (None, CallSecurity::Cluster) => Some(Origin::Socket),
        (None, CallSecurity::Plain) => None,
    }
}

/// The addresses of a host: itself, if it is one.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let looking = tokio::time::timeout(LOOKUP_SPAN_MAX, tokio::net::lookup_host((host, port)));
    let found = looking.await.map_err(|_| Failure::SlowLookup)?.map_err(Failure::Lookup)?;
    let addresses: Vec<_> = found.take(ADDRESSES_MAX).collect();
    if addresses.is_empty() { Err(Failure::NoAddress) } else { Ok(addresses) }
}

/// Why one address, or one host, cannot be called.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("its address cannot be found")]
    Lookup(#[source] io::Error),
    #[error("its address was not found within {} s", LOOKUP_SPAN_MAX.as_secs())]
    SlowLookup,
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
    #[error("no TLS")]
    Handshake(#[from] crate::tls::HandshakeError),
}

/// An error and its causes on one line.
fn chain(error: &dyn Error) -> String {
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
            let stream = self.connect(to, behalf_of).await?;
            Ok(Box::new(Conversation::new(stream, machine)) as Box<dyn Call<M>>)
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
        SessionError::Stalled | SessionError::Handshake(_) => Broken(chain(error)),
    }
}

/// How long an address may take to answer. Between nodes an answer takes milliseconds; after this the next may be tried.
pub const CONNECT_SPAN_MAX: Duration = Duration::from_secs(5);
/// How long the name service may take to find a host.
pub const LOOKUP_SPAN_MAX: Duration = Duration::from_secs(5);
/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;
