//! `[proxy.auth_http]`: a server that knows who may log in, asked as nginx asks it.

use super::maps::host_and_store;
use super::section::{At, Section};
use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use mail_types::StoreName;
use std::time::Duration;

/// `[proxy.auth_http]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthHttp {
    /// Where it is; plain HTTP.
    pub url: Uri,
    /// Sent with each question.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// What its servers mean, where no store is there: `host:port` and the store.
    pub hosts: Vec<(String, StoreName)>,
}

/// What the file says.
pub(super) struct RawAuthHttp {
    url: Option<At<Uri>>,
    headers: Vec<At<(HeaderName, HeaderValue)>>,
    timeout_seconds: Option<u32>,
    hosts: Vec<At<(String, StoreName)>>,
}

impl RawAuthHttp {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            url: section.required("url", url),
            headers: section.parsed_list("headers", header),
            timeout_seconds: section.number("timeout_seconds", 1..=60),
            hosts: section.parsed_list("stores", host_and_store),
        }
    }

    /// Nothing where the URL is a mistake.
    pub(super) fn check(self) -> Option<AuthHttp> {
        Some(AuthHttp {
            url: self.url?.value,
            headers: self.headers.into_iter().map(|at| at.value).collect(),
            timeout: Duration::from_secs(u64::from(self.timeout_seconds.unwrap_or(TIMEOUT_SECONDS))),
            hosts: self.hosts.into_iter().map(|at| at.value).collect(),
        })
    }
}

fn url(text: &str) -> Result<Uri, String> {
    let url = text.parse::<Uri>().map_err(|error| format!("is no URL: {error}"))?;
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("has a user in it, which nobody would be told: use headers".to_owned());
    }
    match (url.scheme_str(), url.host()) {
        (Some("http"), Some(_)) => Ok(url),
        (Some("https"), _) => Err("is asked over plain HTTP only: put what answers on this machine".to_owned()),
        _ => Err("is not of the form http://host:port/path".to_owned()),
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
