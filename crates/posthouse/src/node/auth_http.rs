//! nginx's `auth_http` protocol: a server of the operator's says who may log in, and where his mail is.
//!
//! ```text
//!   GET /auth HTTP/1.1               HTTP/1.1 200 OK
//!   Auth-Method: plain               Auth-Status: OK            anything else: the login fails
//!   Auth-User: anna        ──▶       Auth-Server: 10.0.0.5      a back-end of the directory, by host and port
//!   Auth-Pass: secret                Auth-Port: 143
//!   Auth-Protocol: imap              Auth-User: a17             (if the back-end calls her so)
//!   Client-IP: 192.0.2.7             Auth-Pass: other           (if the back-end is shown another one)
//! ```
//! What the protocol is: nginx's documentation of ngx_mail_auth_http_module. As there, a connection is for one question.

use super::routing::Routes;
use crate::config::AuthHttp;
use directory::{HostAt, Routing, StoreAt};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use mail_types::StoreName;
use ports::{BoxFuture, Clock, Protocol};
use proxy::{LoginOrigin, NoVerdict, Question, Verdict};
use sasl::Password;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Asks such a server.
pub(super) struct HttpOrigin {
    told: AuthHttp,
    routes: Routes,
    clock: Arc<dyn Clock>,
    turns: Semaphore,
}

impl HttpOrigin {
    pub(super) fn new(told: AuthHttp, routes: Routes, clock: Arc<dyn Clock>) -> Self {
        Self { told, routes, clock, turns: Semaphore::new(QUESTIONS_AT_ONCE) }
    }

    async fn answer(&self, question: Question<'_>) -> Result<Verdict, NoVerdict> {
        let headers = self.fetch(request(&self.told, question)?).await?;
        verdict(&headers, |host, port| self.store_of(&self.routes.now(), host, port, question.client.protocol))
    }

    async fn fetch(&self, request: Request<Empty<Bytes>>) -> Result<HeaderMap, NoVerdict> {
        let url = &self.told.url;
        let failed = move |error: &dyn std::fmt::Display| NoVerdict(format!("{url}: {error}"));
        let (host, port) = (url.host().unwrap_or_default(), url.port_u16().unwrap_or(80));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, port)).await.map_err(|error| failed(&error))?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEADER_OCTETS_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        let answer = async move {
            let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
            match response.status() {
                StatusCode::OK => Ok(response.headers().clone()),
                status => Err(failed(&format!("the answer has status {status}"))),
            }
        };
        let (mut answer, mut connection) = (pin!(answer), pin!(connection));
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            // Its error reaches whoever waits for the answer, which may be there already.
            _ended = &mut connection => {}
        }
        answer.await
    }

    /// The back-end that is there: what the configuration says of it, else the one of the directory with this host and, for
    /// this protocol, this port. An address that nobody wrote down here gets nobody's password.
    fn store_of(&self, routing: &Routing, host: &str, port: u16, protocol: Protocol) -> Option<StoreName> {
        let shown = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        if let Some((_, store)) = self.told.hosts.iter().find(|(told, _)| *told == shown || told == host) {
            return Some(store.clone());
        }
        let wanted = match protocol {
            Protocol::Imap => directory::Protocol::Imap,
            Protocol::Pop3 => directory::Protocol::Pop3,
            Protocol::Sieve => directory::Protocol::Sieve,
            Protocol::Smtp | Protocol::Submission => directory::Protocol::Submission,
            Protocol::Lmtp => return None,
        };
        let is_there = |name: &StoreName| {
            let Some(StoreAt::Foreign { hosts, ports, .. }) = routing.store_at(name) else { return false };
            let Some(usual) = ports.get(&wanted) else { return false };
            let is_it = |at: &HostAt| at.host.as_str().eq_ignore_ascii_case(host) && at.port(wanted, *usual) == port;
            hosts.iter().any(is_it)
        };
        routing.stores().map(|store| &store.name).find(|name| is_there(name)).cloned()
    }
}

impl LoginOrigin for HttpOrigin {
    fn ask<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<Verdict, NoVerdict>> {
        Box::pin(async move {
            let Ok(_turn) = self.turns.try_acquire() else {
                return Err(NoVerdict(format!("{}: too many questions wait for an answer", self.told.url)));
            };
            tokio::select! {
                answer = self.answer(question) => answer,
                () = self.clock.sleep(self.told.timeout) => {
                    Err(NoVerdict(format!("{}: no answer within {} s", self.told.url, self.told.timeout.as_secs())))
                }
            }
        })
    }
}

fn request(told: &AuthHttp, question: Question<'_>) -> Result<Request<Empty<Bytes>>, NoVerdict> {
    let Question { user, password, client } = question;
    let protocol = match client.protocol {
        Protocol::Imap => "imap",
        Protocol::Pop3 => "pop3",
        Protocol::Sieve => "sieve",
        Protocol::Smtp | Protocol::Submission | Protocol::Lmtp => "smtp",
    };
    let authority = told.url.authority().map_or("", |authority| authority.as_str());
    let path = told.url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path)
        .header(HOST, authority)
        .header(CONNECTION, "close")
        .header("Auth-Method", "plain")
        .header("Auth-User", escaped(user.as_bytes())?)
        .header("Auth-Pass", escaped(password.as_bytes())?)
        .header("Auth-Protocol", protocol)
        // How often the client has tried on its connection is not told apart.
        .header("Auth-Login-Attempt", "1")
        .header("Client-IP", client.peer.address.ip().to_canonical().to_string());
    if client.peer.tls {
        request = request.header("Auth-SSL", "on");
    }
    for (name, value) in &told.headers {
        request = request.header(name, value);
    }
    request.body(Empty::new()).map_err(|error| NoVerdict(error.to_string()))
}

/// As nginx does: what ends a header line, blanks and the sign of the escape itself are percent-encoded.
fn escaped(octets: &[u8]) -> Result<HeaderValue, NoVerdict> {
    let mut text = Vec::with_capacity(octets.len());
    for octet in octets {
        match octet {
            0..=0x20 | b'%' | 0x7f => text.extend(format!("%{octet:02X}").into_bytes()),
            _ => text.push(*octet),
        }
    }
    let mut value = HeaderValue::from_bytes(&text).map_err(|error| NoVerdict(error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn verdict(headers: &HeaderMap, store: impl Fn(&str, u16) -> Option<StoreName>) -> Result<Verdict, NoVerdict> {
    let text = |name: &str| {
        let value = headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
    };
    let missing = |what: &str| NoVerdict(format!("the answer has no usable {what}"));
    let status = text("Auth-Status").ok_or_else(|| missing("Auth-Status"))?;
    if status != "OK" {
        let seconds = text("Auth-Wait").and_then(|wait| wait.parse().ok()).unwrap_or(0);
        return Ok(Verdict::Refused { text: status, wait: Duration::from_secs(seconds) });
    }
    let host = text("Auth-Server").filter(|host| !host.is_empty()).ok_or_else(|| missing("Auth-Server"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = text("Auth-Port").and_then(|port| port.parse().ok()).ok_or_else(|| missing("Auth-Port"))?;
    let store =
        store(host, port).ok_or_else(|| NoVerdict(format!("no store is at {host}:{port} for this protocol")))?;
    let password = headers.get("Auth-Pass").map(|value| Password::new(value.as_bytes().to_vec()));
    let password = password.transpose().map_err(|_| missing("Auth-Pass"))?;
    Ok(Verdict::Welcome { store, user: text("Auth-User").filter(|user| !user.is_empty()), password })
}

/// Questions that wait for an answer; further logins hear "unavailable".
const QUESTIONS_AT_ONCE: usize = 256;
/// Of an answer's headers. The least that the library takes.
const HEADER_OCTETS_MAX: usize = 8192;
