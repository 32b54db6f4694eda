//! Calling instead of being called.

use crate::dialer::{CONNECT_SPAN_MAX, Names, Upgrade};
use crate::exchange::Exchange;
use crate::listener::tune;
use crate::session::SessionError;
use crate::stream::Stream;
use crate::tls::{ClientTls, HandshakeError};
use machine::Machine;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The peer, or the way to it, refused.
    #[error("cannot connect to {address}")]
    Refused {
        /// The peer.
        address: SocketAddr,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// Nobody answered in time.
    #[error("{address} did not answer within {} s", span.as_secs_f32())]
    Silent {
        /// The peer.
        address: SocketAddr,
        /// The time it was given.
        span: Duration,
    },
}

/// Connects to a peer within `span`.
pub async fn connect(address: SocketAddr, span: Duration) -> Result<Stream, ConnectError> {
    let refused = |source| ConnectError::Refused { address, source };
    let connecting = tokio::time::timeout(span, TcpStream::connect(address));
    let socket = connecting.await.map_err(|_| ConnectError::Silent { address, span })?.map_err(refused)?;
    tune(&socket).map_err(refused)?;
    Ok(Stream::plain(socket))
}

/// Connects to a host by its name, for who speaks a protocol that is no [`Machine`]: its addresses in turn until one answers,
/// all of them within [`CONNECT_SPAN_MAX`], and TLS from the first octet where `tls` says what is demanded.
pub async fn connect_host(names: &Names, host: &str, port: u16, tls: Option<&ClientTls>) -> Result<Stream, HostError> {
    let addresses = names.addresses(host, port).await.map_err(HostError::Name)?;
    // So that an address that is silent leaves time for the next.
    let span = CONNECT_SPAN_MAX / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = None;
    for address in addresses {
        match (connect(address, span).await, tls) {
            (Ok(stream), None) => return Ok(stream),
            (Ok(stream), Some(tls)) => {
                return stream.connect_tls(tls, host).await.map_err(|source| HostError::tls(address, source));
            }
            (Err(error), _) => last = Some(error),
        }
    }
    Err(last.map_or(HostError::NoAddress, HostError::Connect))
}

/// Why there is no connection to a host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Nobody knows its addresses.
    #[error("its address is not known")]
    Name(#[source] io::Error),
    /// It has none.
    #[error("it has no address")]
    NoAddress,
    /// None of them answers; what the last had to say.
    #[error(transparent)]
    Connect(ConnectError),
    /// One answers, without the TLS that is demanded.
    #[error("no TLS with {address}{advice}")]
    Handshake {
        /// Which.
        address: SocketAddr,
        /// What an operator can do about it.
        advice: String,
        /// What is wrong.
        #[source]
        source: HandshakeError,
    },
}

impl HostError {
    fn tls(address: SocketAddr, source: HandshakeError) -> Self {
        let advice = source.advice().map(|advice| format!(", {advice}")).unwrap_or_default();
        Self::Handshake { address, advice, source }
    }
}

/// A client's machine on its stream: who calls tells the machine what to say and asks what came of it.
///
/// Every method may be cancelled; nothing that was sent or received is lost by it.
#[derive(Debug)]
pub struct Conversation<M> {
    exchange: Exchange<M>,
    /// What [`Conversation::upgrade`] demands.
    upgrade: Option<Upgrade>,
}

impl<M: Machine> Conversation<M> {
    /// Begins.
    pub fn new(stream: Stream, machine: M) -> Self {
        Self { exchange: Exchange::new(stream, machine), upgrade: None }
    }

    /// Begins in clear; TLS is to follow.
    pub(crate) fn before_tls(stream: Stream, machine: M, upgrade: Upgrade) -> Self {
        Self { exchange: Exchange::before_tls(stream, machine), upgrade: Some(upgrade) }
    }

    /// The machine, to tell it what to say.
    pub fn machine(&mut self) -> &mut M {
        &mut self.exchange.machine
    }

    /// Sends what there is to send, and waits for the next event; nothing when the conversation is over.
    pub async fn next(&mut self) -> Result<Option<M::Event>, SessionError> {
        loop {
            self.exchange.take_output();
            if let Some(event) = self.exchange.machine.poll_event() {
                return Ok(Some(event));
            }
            if self.exchange.is_over() {
                return Ok(None);
            }
            self.moved().await?;
        }
    }

    /// Waits until all that was said has gone to the operating system; an event that comes first is given instead.
    /// Who sends a long body calls this after each piece.
    pub async fn sent(&mut self) -> Result<Option<M::Event>, SessionError> {
        loop {
            self.exchange.take_output();
            if let Some(event) = self.exchange.machine.poll_event() {
                return Ok(Some(event));
            }
            if self.exchange.line.is_idle() {
                return Ok(None);
            }
            self.moved().await?;
        }
    }

    /// Sends what there is to send, then negotiates TLS with a server of that name.
    pub async fn start_tls(&mut self, tls: &ClientTls, server: &str) -> Result<(), SessionError> {
        self.exchange.start_tls(tls, server).await
    }

    /// The same with the server that was called, once, where TLS was to follow.
    pub(crate) async fn upgrade(&mut self) -> Result<(), SessionError> {
        let Upgrade { tls, host, attempt } = self.upgrade.take().ok_or(HandshakeError::NotOffered)?;
        let started = self.exchange.start_tls(&tls, &host).await;
        match started {
            Ok(()) => attempt.succeeded(),
            Err(_) => attempt.failed(),
        }
        started
    }

    /// Sends what there is to send, and ends the connection politely.
    pub async fn close(mut self) -> Result<(), SessionError> {
        self.exchange.flush().await?;
        self.exchange.hang_up().await;
        Ok(())
    }

    /// Gives stream and machine back, for who goes on in another way. Output that has not been sent is lost.
    pub fn into_parts(self) -> (Stream, M) {
        self.exchange.into_parts()
    }

    async fn moved(&mut self) -> Result<(), SessionError> {
        poll_fn(|cx| match self.exchange.poll_moves(cx) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        })
        .await
    }
}

impl ClientTls {
    /// Connects to a peer and negotiates TLS from the first octet.
    pub async fn connect(&self, address: SocketAddr, server: &str, span: Duration) -> Result<Stream, TlsConnectError> {
        Ok(connect(address, span).await?.connect_tls(self, server).await?)
    }
}

/// Why there is no encrypted connection.
#[derive(Debug, thiserror::Error)]
pub enum TlsConnectError {
    /// There is no connection at all.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// There is one, but no TLS.
    #[error("no TLS")]
    Handshake(#[from] HandshakeError),
}
