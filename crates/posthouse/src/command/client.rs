//! HTTP over the admin socket, a connection for each request.

use super::at::Sockets;
use super::failure::Failure;
use admin::ErrorJson;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use std::io::{self, Write};
use std::path::Path;
use tokio::net::UnixStream;

/// A node to ask.
pub(super) struct Client {
    sockets: Sockets,
}

/// A path under `/v1/` with its query.
#[derive(Clone, Debug)]
pub(super) struct Target(String);

impl Target {
    /// `/v1/{kind}`; `kind` is ours and needs no escape.
    pub(super) fn of(kind: &str) -> Self {
        Self(format!("/v1/{kind}"))
    }

    /// `/v1/{kind}/{name}`.
    pub(super) fn named(kind: &str, name: &str) -> Self {
        Self(format!("/v1/{kind}/{}", escape(name)))
    }

    /// `…/{word}`; the word is ours and needs no escape.
    pub(super) fn then(mut self, word: &str) -> Self {
        self.0.push('/');
        self.0.push_str(word);
        self
    }

    /// With one more field of the query, if there is a value.
    pub(super) fn with(mut self, field: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            let sign = if self.0.contains('?') { '&' } else { '?' };
            self.0.push(sign);
            self.0.push_str(field);
            self.0.push('=');
            self.0.push_str(&escape(value));
        }
        self
    }

    /// With a field that is true, if it is.
    pub(super) fn when(self, field: &str, is: bool) -> Self {
        self.with(field, is.then_some("true"))
    }
}

impl Client {
    pub(super) fn new(sockets: Sockets) -> Self {
        Self { sockets }
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, target: Target) -> Result<T, Failure> {
        accepted(self.ask(Method::GET, target, Bytes::new()).await?)
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, target: Target, body: &Value) -> Result<T, Failure> {
        accepted(self.ask(Method::POST, target, json(body)).await?)
    }

    pub(super) async fn patch<T: DeserializeOwned>(&self, target: Target, body: &Value) -> Result<T, Failure> {
        accepted(self.ask(Method::PATCH, target, json(body)).await?)
    }

    pub(super) async fn delete<T: DeserializeOwned>(&self, target: Target) -> Result<T, Failure> {
        accepted(self.ask(Method::DELETE, target, Bytes::new()).await?)
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        target: Target,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        whole(self.send(method, target, body).await?).await
    }

    /// Writes an answer out as it comes: it may be too large to hold.
    pub(super) async fn copy(&self, target: Target, out: &mut dyn Write) -> Result<(), Failure> {
        let response = self.send(Method::GET, target, Bytes::new()).await?;
        if !response.status().is_success() {
            return accepted::<IgnoredAny>(whole(response).await?).map(drop);
        }
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failure::Answer(error.to_string()))?;
            if let Some(octets) = frame.data_ref() {
                out.write_all(octets)?;
            }
        }
        Ok(())
    }

    async fn send(&self, method: Method, target: Target, body: Bytes) -> Result<Response<Incoming>, Failure> {
        let stream = self.connect().await?;
        let unreadable = |error: &dyn std::fmt::Display| Failure::Answer(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| unreadable(&e))?;
        // Ends by itself when the answer is read; its error reaches the sender.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(target.0)
            .header("host", "posthouse")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| unreadable(&error))?;
        sender.send_request(request).await.map_err(|error| unreadable(&error))
    }

    async fn connect(&self) -> Result<UnixStream, Failure> {
        let mut tried = String::new();
        for path in &self.sockets.paths {
            match UnixStream::connect(path).await {
                Ok(stream) => return Ok(stream),
                Err(error) => tried.push_str(&why(path, &error)),
            }
        }
        Err(Failure::NoNode { tried, hint: self.sockets.hint() })
    }
}

async fn whole(response: Response<Incoming>) -> Result<(StatusCode, Bytes), Failure> {
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_OCTETS_MAX).collect().await;
    let body = body.map_err(|error| Failure::Answer(error.to_string()))?;
    Ok((status, body.to_bytes()))
}

/// The answer, or the node's refusal.
pub(super) fn accepted<T: DeserializeOwned>((status, body): (StatusCode, Bytes)) -> Result<T, Failure> {
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| Failure::Answer(error.to_string()));
    }
    match serde_json::from_slice::<ErrorJson>(&body) {
        Ok(refusal) => Err(Failure::Refused(refusal.error)),
        Err(_) => Err(Failure::Answer(format!("status {status}"))),
    }
}

fn json(body: &Value) -> Bytes {
    Bytes::from(body.to_string())
}

fn why(path: &Path, error: &io::Error) -> String {
    let known = [
        (io::ErrorKind::NotFound, "there is no such socket"),
        (io::ErrorKind::ConnectionRefused, "nobody listens there any more"),
        (io::ErrorKind::PermissionDenied, "only the user that runs the node may open it"),
    ];
    let why = known.iter().find(|(kind, _)| error.kind() == *kind).map(|(_, why)| (*why).to_owned());
    format!("  tried {}: {}\n", path.display(), why.unwrap_or_else(|| error.to_string()))
}

/// Percent-encodes all but RFC 3986 §2.3's unreserved characters: an address may hold `/`, `%` and `?`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(octet)),
            _ => escaped.push_str(&format!("%{octet:02X}")),
        }
    }
    escaped
}

/// A page of 1000 aliases with 1000 targets each would be more; such a page is asked for in smaller ones.
const ANSWER_OCTETS_MAX: usize = 64 << 20;
