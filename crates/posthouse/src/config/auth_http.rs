//! `[proxy.auth_http]`: a server that knows who may log in, asked as nginx asks it.

use super::maps::host_and_store;
use super::problem::Problems;
use super::section::{At, Section};
use super::web::{RawWebServer, WebServer, url};
use hyper::header::{HeaderName, HeaderValue};
use mail_types::StoreName;
use std::time::Duration;

/// `[proxy.auth_http]`
#[derive(Clone, Debug)]
pub struct AuthHttp {
    /// Where it is.
    pub server: WebServer,
    /// Sent with each question.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// What its servers mean, where no store is there: `host:port` and the store.
    pub hosts: Vec<(String, StoreName)>,
}

/// What the file says.
pub(super) struct RawAuthHttp {
    server: RawWebServer,
    headers: Vec<At<(HeaderName, HeaderValue)>>,
    timeout_seconds: Option<u32>,
    hosts: Vec<At<(String, StoreName)>>,
}

impl RawAuthHttp {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            server: RawWebServer::read(section, section.required("url", url)),
            headers: section.parsed_list("headers", header),
            timeout_seconds: section.number("timeout_seconds", 1..=60),
            hosts: section.parsed_list("stores", host_and_store),
        }
    }

    /// Nothing where the URL, or its authority, is a mistake.
    pub(super) fn check(self, problems: &Problems) -> Option<AuthHttp> {
        Some(AuthHttp {
            server: self.server.check(problems)?,
            headers: self.headers.into_iter().map(|at| at.value).collect(),
            timeout: Duration::from_secs(u64::from(self.timeout_seconds.unwrap_or(TIMEOUT_SECONDS))),
            hosts: self.hosts.into_iter().map(|at| at.value).collect(),
        })
    }
}

/// `Name: value`
fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("is not of the form \"Name: value\"")?;
    let name = name.trim().parse::<HeaderName>().map_err(|_| "has a name that no header can have".to_owned())?;
    if OURS.contains(&name.as_str()) {
        return Err("is a header that each question has already".to_owned());
    }
    let mut value =
        value.trim().parse::<HeaderValue>().map_err(|_| "has a value that no header can have".to_owned())?;
    value.set_sensitive(true);
    Ok((name, value))
}

const TIMEOUT_SECONDS: u32 = 5;
/// Headers of every question, in lower case.
const OURS: [&str; 9] = [
    "host",
    "connection",
    "auth-method",
    "auth-user",
    "auth-pass",
    "auth-protocol",
    "auth-login-attempt",
    "client-ip",
    "auth-ssl",
];
