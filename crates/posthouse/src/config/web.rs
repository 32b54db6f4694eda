//! Servers that this node asks over HTTP, with TLS or without.

use super::problem::Problems;
use super::section::{At, Section};
use hyper::Uri;
use net::ClientTls;
use std::error::Error;
use std::path::PathBuf;

/// Such a server.
#[derive(Clone, Debug)]
pub struct WebServer {
    /// Where it is.
    pub url: Uri,
    /// What it must prove, if its URL says that it is asked over TLS.
    pub tls: Option<ClientTls>,
}

/// What the file says.
pub(super) struct RawWebServer {
    url: Option<At<Uri>>,
    authority: Option<At<PathBuf>>,
}

impl RawWebServer {
    /// With the authority that the section names.
    pub(super) fn read(section: &Section<'_>, url: Option<At<Uri>>) -> Self {
        Self { url, authority: section.path("authority") }
    }

    pub(super) fn check(&self, problems: &Problems) -> Option<WebServer> {
        let At { value: url, .. } = self.url.as_ref()?;
        let (tls, at) = match (is_encrypted(url), &self.authority) {
            (false, None) => return Some(WebServer { url: url.clone(), tls: None }),
            (false, Some(idle)) => {
                problems.add(idle.problem("vouches for nobody: the URL begins with http").help("write https"));
                return None;
            }
            (true, Some(file)) => (ClientTls::verified_by(&file.value), file.with(())),
            (true, None) => (ClientTls::verified(), self.url.as_ref()?.with(())),
        };
        match tls {
            Ok(tls) => Some(WebServer { url: url.clone(), tls: Some(tls) }),
            Err(error) => {
                let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
                problems.add(at.problem(format!("{error}{cause}")));
                None
            }
        }
    }
}

/// The URL of a server.
pub(super) fn url(text: &str) -> Result<Uri, String> {
    let url = text.parse::<Uri>().map_err(|error| format!("is no URL: {error}"))?;
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("has a user in it, which nobody would be told".to_owned());
    }
    match (url.scheme_str(), url.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(url),
        _ => Err("is not of the form https://host:port/path or http://host:port/path".to_owned()),
    }
}

pub(super) fn is_encrypted(url: &Uri) -> bool {
    url.scheme_str() == Some("https")
}

/// As HTML forms encode a value (RFC 6749 App. B).
pub(crate) fn url_encoded(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for octet in octets {
        match octet {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'*' | b'-' | b'.' | b'_' => text.push(char::from(*octet)),
            b' ' => text.push('+'),
            _ => text.push_str(&format!("%{octet:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_form_is_encoded() {
        // RFC 6749 App. B
        assert_eq!(url_encoded(" %&+£€".as_bytes()), "+%25%26%2B%C2%A3%E2%82%AC");
        assert_eq!(url_encoded(b"aZ09*-._~:/="), "aZ09*-._%7E%3A%2F%3D");
    }
}
