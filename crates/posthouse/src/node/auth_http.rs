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

use super::questions::Questions;
use super::routing::Routes;
use super::web::Web;
use crate::config::AuthHttp;
use directory::{HostAt, Routing, StoreAt};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue};
use hyper::{Method, Request};
use mail_types::StoreName;
use ports::{BoxFuture, Clock, Protocol};
use proxy::{LoginOrigin, NoVerdict, Question, Verdict};
use sasl::Password;
use std::sync::Arc;
use std::time::Duration;

/// Asks such a server.
pub(super) struct HttpOrigin {
    told: AuthHttp,
    routes: Routes,
    web: Web,
    questions: Questions,
}

impl HttpOrigin {
    pub(super) fn new(told: AuthHttp, routes: Routes, clock: Arc<dyn Clock>) -> Self {
        let web = Web::new(&told.server);
        let questions = Questions::new(web.shown().to_owned(), told.timeout, clock);
        Self { told, routes, web, questions }
    }

    async fn answer(&self, question: Question<'_>) -> Result<Verdict, NoVerdict> {
        let request = request(&self.web, &self.told, question)?;
        let headers = self.web.headers(request).await.map_err(|error| NoVerdict(error.to_string()))?;
        verdict(&headers, |host, port| self.store_of(&self.routes.now(), host, port, question.client.protocol))
    }

    /// The back-end that is there: the one of the directory with this host and, for this protocol, this port; where there is
    /// none, what the configuration says of host and port, else of the host. An address that nobody wrote down here gets
    /// nobody's password, nor does one that several stores have.
    fn store_of(&self, routing: &Routing, host: &str, port: u16, protocol: Protocol) -> Option<StoreName> {
        let stores = self.stores_at(routing, host, port, protocol)?;
        if let [first, others @ ..] = &stores[..] {
            return others.is_empty().then(|| first.clone());
        }
        let bare = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let told = |wanted: &str| {
            let is_it = |told: &&(String, StoreName)| told.0.eq_ignore_ascii_case(wanted);
            self.told.hosts.iter().find(is_it).map(|(_, store)| store.clone())
        };
        told(&format!("{bare}:{port}")).or_else(|| told(&bare)).or_else(|| told(host))
    }

    /// Nothing for a protocol that nobody logs in by.
    fn stores_at(&self, routing: &Routing, host: &str, port: u16, protocol: Protocol) -> Option<Vec<StoreName>> {
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
        Some(routing.stores().map(|store| &store.name).filter(|name| is_there(name)).cloned().collect())
    }
}

impl LoginOrigin for HttpOrigin {
    fn ask<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<Verdict, NoVerdict>> {
        let client = question.client.peer.address.ip();
        Box::pin(self.questions.ask(client, self.answer(question)))
    }
}

fn request(web: &Web, told: &AuthHttp, question: Question<'_>) -> Result<Request<Full<Bytes>>, NoVerdict> {
    let Question { user, password, client } = question;
    let protocol = match client.protocol {
        Protocol::Imap => "imap",
        Protocol::Pop3 => "pop3",
        Protocol::Sieve => "sieve",
        Protocol::Smtp | Protocol::Submission | Protocol::Lmtp => "smtp",
    };
    let mut request = web
        .request(Method::GET)
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
    request.body(Full::default()).map_err(|error| NoVerdict(error.to_string()))
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
