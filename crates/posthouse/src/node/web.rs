//! HTTP with servers of the operator's: who may log in is asked of them.
//!
//! ```text
//!   Web ─ request ─▶ a pool: a connection that is idle, or ─▶ net::connect_host: the resolver with a memory, TCP, TLS
//!       ◀─ an answer with status 200, within the limits below ─┘
//! ```
//! Nothing leads elsewhere: a redirection is an answer with another status. How long an answer may take is up to who asks.

use crate::config::WebServer;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::http::request::Builder;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client, Error as PoolError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use net::{ClientTls, HostError, Names, Stream, chain};
use ports::BoxFuture;
use std::error::Error as _;
use std::fmt::Display;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// One such server.
pub(super) struct Web {
    client: Client<Connector, Full<Bytes>>,
    url: Uri,
    shown: String,
    /// By which keys it is told who we are, where it is.
    introduced_by: Option<&'static str>,
}

/// Why there is no answer: the server, and what is the matter.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoAnswer(String);

impl Web {
    pub(super) fn new(server: &WebServer) -> Self {
        let connector = Connector { names: Names::default(), tls: server.tls.clone() };
        let client = Client::builder(TokioExecutor::new())
            .http1_max_buf_size(HEADER_OCTETS_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .pool_idle_timeout(IDLE_SPAN_MAX)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client, url: server.url.clone(), shown: shown(&server.url), introduced_by: None }
    }

    /// The same; these keys say who we are, for the log if it does not know us.
    pub(super) fn introduced_by(self, keys: &'static str) -> Self {
        Self { introduced_by: Some(keys), ..self }
    }

    /// The server, for the log: a query may hold a secret.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// A request for its URL.
    pub(super) fn request(&self, method: Method) -> Builder {
        Request::builder().method(method).uri(self.url.clone())
    }

    /// The headers of its answer.
    pub(super) async fn headers(&self, request: Request<Full<Bytes>>) -> Result<HeaderMap, NoAnswer> {
        Ok(self.send(request).await?.into_parts().0.headers)
    }

    /// The body of its answer, for a request that may be made twice.
    pub(super) async fn body(&self, request: Request<Full<Bytes>>) -> Result<Bytes, NoAnswer> {
        let response = match self.client.request(request.clone()).await {
            // The server closed a connection that was idle just when we took it.
            Err(error) if is_cut(&error) => self.send(request).await?,
            sent => self.accept(sent)?,
        };
        let body = Limited::new(response.into_body(), BODY_OCTETS_MAX).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| self.failed(&chain(&*error)))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, NoAnswer> {
        let sent = self.client.request(request).await;
        self.accept(sent)
    }

    fn accept(&self, sent: Result<Response<Incoming>, PoolError>) -> Result<Response<Incoming>, NoAnswer> {
        // What the library says first is in which of its steps it was.
        let response = sent.map_err(|error| self.failed(&chain(error.source().unwrap_or(&error))))?;
        match (response.status(), self.introduced_by) {
            (StatusCode::OK, _) => Ok(response),
            // RFC 6749 §5.2, RFC 7662 §2.3
            (status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), Some(keys)) => {
                Err(self.failed(&format_args!("the answer has status {status}: it does not know us by {keys}")))
            }
            (status, _) => Err(self.failed(&format_args!("the answer has status {status}"))),
        }
    }

    /// With the server's name in front.
    pub(super) fn failed(&self, why: &dyn Display) -> NoAnswer {
        NoAnswer(format!("{}: {why}", self.shown))
    }
}

fn is_cut(error: &PoolError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
    cause.is_some_and(|cause| cause.is_incomplete_message() || is_reset(cause))
}

/// What was sent came to a socket that was closed already.
fn is_reset(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe))
}

/// Without what only the server is to know.
fn shown(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or_default();
    let authority = url.authority().map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}{}", url.path())
}

/// Makes the pool's connections.
#[derive(Clone)]
struct Connector {
    names: Names,
    tls: Option<ClientTls>,
}

impl Service<Uri> for Connector {
    type Response = Wire;
    type Error = HostError;
    type Future = BoxFuture<'static, Result<Wire, HostError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), HostError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let Self { names, tls } = self.clone();
        Box::pin(async move {
            let host = url.host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let port = url.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
            // A cut that TLS does not tell from an end is one to HTTP, or at least to whoever reads the JSON in it.
            Ok(Wire(TokioIo::new(net::connect_host(&names, host, port, tls.as_ref()).await?)))
        })
    }
}

/// A connection of the pool.
struct Wire(TokioIo<Stream>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Of an answer's headers. The least that the library takes.
const HEADER_OCTETS_MAX: usize = 8192;
/// Of an answer's body: the keys of the largest issuers have some ten thousand.
const BODY_OCTETS_MAX: usize = 256 << 10;
/// Connections that are kept for the next question.
const IDLE_CONNECTIONS_MAX: usize = 8;
/// For how long. Node's servers close after five seconds, most others later.
const IDLE_SPAN_MAX: Duration = Duration::from_secs(4);
