//! A connection, with or without TLS.

use crate::tls::{
    CALL_HANDSHAKE_SPAN_MAX, ClientTls, HANDSHAKE_SPAN_MAX, HandshakeError, ServerTls, handshake, holder,
};
use ports::{ChannelBinding, ClientCertificate, TlsFacts, Wire};
use rustix::io::retry_on_intr;
use rustix::net::{SendFlags, send};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// A connection, with or without TLS.
#[derive(Debug)]
pub struct Stream(Kind);

#[derive(Debug)]
enum Kind {
    Plain(TcpStream),
    Tls(Box<Secured>),
    /// Lost in a handshake that failed.
    Gone,
}

/// With TLS, and what it says of a client.
#[derive(Debug)]
struct Secured {
    stream: TlsStream<TcpStream>,
    certificate: Option<ClientCertificate>,
}

impl Stream {
    /// Takes a connected socket.
    pub fn plain(socket: TcpStream) -> Self {
        Self(Kind::Plain(socket))
    }

    /// Leaves nothing behind.
    pub(crate) fn take(&mut self) -> Self {
        Self(std::mem::replace(&mut self.0, Kind::Gone))
    }

    /// The socket itself, for who does without reading what passes; nothing where the octets are encrypted.
    pub(crate) fn socket(&self) -> Option<&TcpStream> {
        match &self.0 {
            Kind::Plain(socket) => Some(socket),
            Kind::Tls(_) | Kind::Gone => None,
        }
    }

    /// Whether the system knows that the peer has ended: behind what is there to be read now, nothing comes. Only of a plain
    /// socket, and only as far as it was told; who does not hear it here reads it.
    pub(crate) fn is_ending(&self) -> bool {
        let Some(socket) = self.socket() else { return false };
        let known = pin!(socket.ready(Interest::READABLE)).poll(&mut Context::from_waker(Waker::noop()));
        matches!(known, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    /// Writes what the end follows at once, so that both go in one packet: the system keeps what does not fill a packet until
    /// [`AsyncWrite::poll_shutdown`], or for a fifth of a second (MSG_MORE in send(2), TCP_CORK in tcp(7)).
    pub(crate) fn poll_write_last(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Kind::Plain(socket) = &self.0 else { return AsyncWrite::poll_write(Pin::new(self), cx, bytes) };
        loop {
            ready!(socket.poll_write_ready(cx))?;
            let sending = || Ok(retry_on_intr(|| send(socket, bytes, SendFlags::MORE | SendFlags::NOSIGNAL))?);
            match socket.try_io(Interest::WRITABLE, sending) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Whether the octets are encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.0, Kind::Tls(_))
    }

    /// What TLS says of the peer.
    pub fn tls_facts(&self) -> TlsFacts {
        let Kind::Tls(secured) = &self.0 else { return TlsFacts::default() };
        TlsFacts { binding: channel_binding(&secured.stream), certificate: secured.certificate.clone() }
    }

    /// Negotiates TLS as the server.
    pub async fn accept_tls(self, tls: &ServerTls) -> Result<Self, HandshakeError> {
        let socket = self.into_plain()?;
        // In a box: what a handshake needs is more than all the rest of a session, which would else have room for it to its end.
        let accepted = Box::pin(handshake(HANDSHAKE_SPAN_MAX, tls.acceptor().accept(socket))).await?;
        let shown = accepted.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        // A node is known by its cluster, and by nothing else that its certificate says.
        let certificate = shown.filter(|_| !tls.is_of_cluster()).and_then(holder);
        Ok(Self(Kind::Tls(Box::new(Secured { stream: accepted.into(), certificate }))))
    }

    /// Negotiates TLS as the client of the server on that host.
    pub async fn connect_tls(self, tls: &ClientTls, server: &str) -> Result<Self, HandshakeError> {
        let name = tls.server_name(server)?;
        let socket = self.into_plain()?;
        let connected = Box::pin(handshake(CALL_HANDSHAKE_SPAN_MAX, tls.connector().connect(name, socket))).await?;
        Ok(Self(Kind::Tls(Box::new(Secured { stream: connected.into(), certificate: None }))))
    }

    fn into_plain(self) -> Result<TcpStream, HandshakeError> {
        match self.0 {
            Kind::Plain(socket) => Ok(socket),
            Kind::Tls(_) => Err(HandshakeError::Twice),
            Kind::Gone => Err(HandshakeError::Failed(gone())),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Kind::Tls(secured) => match Pin::new(&mut secured.stream).poll_read(cx, buffer) {
                // Many peers close without the close_notify of RFC 8446 §6.1. Every protocol here says by itself
                // where its commands and messages end, so a cut cannot pass for a whole.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                polled @ (Poll::Ready(_) | Poll::Pending) => polled,
            },
            Kind::Gone => Poll::Ready(Err(gone())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Kind::Tls(secured) => Pin::new(&mut secured.stream).poll_write(cx, bytes),
            Kind::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, pieces),
            Kind::Tls(secured) => Pin::new(&mut secured.stream).poll_write_vectored(cx, pieces),
            Kind::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Kind::Tls(secured) => Pin::new(&mut secured.stream).poll_flush(cx),
            Kind::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Kind::Tls(secured) => Pin::new(&mut secured.stream).poll_shutdown(cx),
            Kind::Gone => Poll::Ready(Err(gone())),
        }
    }
}

impl Wire for Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        ready!(AsyncRead::poll_read(Pin::new(self), cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(self), cx, from)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(self), cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(self), cx)
    }
}

/// What only the two ends of this connection know, for who binds a login to it: under TLS 1.3 alone, since in TLS 1.2
/// it takes an extension that not every client has (RFC 9266 §3, §4.2).
fn channel_binding(stream: &TlsStream<TcpStream>) -> Option<ChannelBinding> {
    let empty = [0; ChannelBinding::OCTETS];
    let (_, state) = stream.get_ref();
    if state.protocol_version() != Some(rustls::ProtocolVersion::TLSv1_3) {
        return None;
    }
    // RFC 9266 §2: with a context of no octets.
    let exported = match stream {
        TlsStream::Client(stream) => {
            stream.get_ref().1.export_keying_material(empty, ChannelBinding::EXPORTER_LABEL, Some(b""))
        }
        TlsStream::Server(stream) => {
            stream.get_ref().1.export_keying_material(empty, ChannelBinding::EXPORTER_LABEL, Some(b""))
        }
    };
    exported.ok().map(ChannelBinding::of_exporter)
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}
