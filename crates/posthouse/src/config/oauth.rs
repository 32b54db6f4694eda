//! `[proxy.oauth]`: who knows what bearer tokens are worth, and what they must say.

use super::backends::first_line;
use super::material::is_private;
use super::problem::Problems;
use super::section::{At, Section};
use super::web::{RawWebServer, WebServer, is_encrypted, url, url_encoded};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use hyper::header::HeaderValue;
use sasl::BearerAdvice;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `[proxy.oauth]`
#[derive(Clone, Debug)]
pub struct OAuth {
    /// Who judges.
    pub judge: Judge,
    /// Who must have issued them; whoever the judge takes, if it is not said.
    pub issuer: Option<String>,
    /// For whom they must be: one of these, or anybody if there is none.
    pub audience: Vec<String>,
    /// What they must allow: all of these.
    pub scopes: Vec<String>,
    /// The claim that is a login name.
    pub username_claim: String,
    /// How long the judge may take.
    pub timeout: Duration,
    /// What clients are told whose tokens are refused.
    pub advice: BearerAdvice,
}

/// Who says what a token is worth.
#[derive(Clone, Debug)]
pub enum Judge {
    /// A server that is asked about each (RFC 7662).
    Introspection {
        /// Where it is.
        server: WebServer,
        /// What it knows us by: an `Authorization`.
        credentials: HeaderValue,
        /// How long its word is taken again.
        cache: Duration,
    },
    /// We, by the keys that a server publishes (RFC 7517).
    Keys {
        /// Where it is.
        server: WebServer,
    },
}

/// What the file says.
pub(super) struct RawOAuth {
    whole: At<()>,
    /// Whether there is one of the two, however it is written.
    names_judge: bool,
    introspection: Option<At<Uri>>,
    jwks: Option<At<Uri>>,
    /// Of the one that there is.
    server: RawWebServer,
    client_id: Option<At<String>>,
    client_secret: Option<At<PathBuf>>,
    bearer: Option<At<PathBuf>>,
    cache_seconds: Option<At<u32>>,
    issuer: Option<At<String>>,
    audience: Vec<At<String>>,
    scopes: Vec<At<String>>,
    username_claim: Option<At<String>>,
    timeout_seconds: Option<u32>,
    discovery: Option<At<Uri>>,
    scope: Option<At<String>>,
}

impl RawOAuth {
    pub(super) fn read(section: &Section<'_>) -> Self {
        let introspection = section.parsed("introspection", private_url);
        let jwks = section.parsed("jwks", private_url);
        let server = RawWebServer::read(section, introspection.clone().or_else(|| jwks.clone()));
        Self {
            whole: section.at(),
            names_judge: section.has("introspection") || section.has("jwks"),
            introspection,
            jwks,
            server,
            client_id: section.parsed("client_id", word),
            client_secret: section.path("client_secret"),
            bearer: section.path("bearer_file"),
            cache_seconds: section.number_at("cache_seconds", 0..=CACHE_SECONDS_MAX),
            issuer: section.parsed("issuer", word),
            audience: section.parsed_list("audience", word),
            scopes: section.parsed_list("scopes", scope),
            username_claim: section.parsed("username_claim", word),
            timeout_seconds: section.number("timeout_seconds", 1..=60),
            discovery: section.parsed("discovery", url),
            scope: section.parsed("scope", scope_list),
        }
    }

    /// Where it is written.
    pub(super) fn at(&self) -> &At<()> {
        &self.whole
    }

    /// Nothing where there is nobody to ask.
    pub(super) fn check(self, problems: &Problems) -> Option<OAuth> {
        let judge = match (&self.introspection, &self.jwks) {
            (Some(_), None) => self.introspection(problems),
            (None, Some(keys)) => self.keys(keys, problems),
            (Some(_), Some(twice)) => {
                let twice = twice.problem("and introspection: a token is judged in one way");
                problems.add(twice.help("take one of them out"));
                None
            }
            // A mistake that was told already.
            (None, None) if self.names_judge => None,
            (None, None) => {
                let nobody = self.whole.problem("nobody says what a token is worth");
                problems.add(nobody.help("give it introspection or jwks"));
                None
            }
        };
        // What introspection calls a login name (RFC 7662 §2.2) no JWT has; what both kinds of issuer have for mail is this.
        let usual = if self.introspection.is_some() { "username" } else { "email" };
        if self.audience.is_empty() && self.scopes.is_empty() {
            let open = self.whole.problem("any token of the issuer opens a mailbox, for whichever service it was made");
            problems.warn(open.help("add audience, scopes or both"));
        }
        let texts = |list: &[At<String>]| list.iter().map(|at| at.value.clone()).collect::<Vec<_>>();
        let scopes = texts(&self.scopes);
        let advice = self.advice(&scopes, problems);
        Some(OAuth {
            judge: judge?,
            issuer: self.issuer.map(|at| at.value),
            audience: texts(&self.audience),
            scopes,
            username_claim: self.username_claim.map_or_else(|| usual.to_owned(), |at| at.value),
            timeout: Duration::from_secs(u64::from(self.timeout_seconds.unwrap_or(TIMEOUT_SECONDS))),
            advice: advice?,
        })
    }

    fn introspection(&self, problems: &Problems) -> Option<Judge> {
        let credentials = self.credentials(problems);
        let seconds = self.cache_seconds.as_ref().map_or(CACHE_SECONDS, |at| at.value);
        let cache = Duration::from_secs(u64::from(seconds));
        Some(Judge::Introspection { server: self.server.check(problems)?, credentials: credentials?, cache })
    }

    fn keys(&self, keys: &At<Uri>, problems: &Problems) -> Option<Judge> {
        let server = self.server.check(problems);
        let idle = [
            self.client_id.as_ref().map(|at| at.with(())),
            self.client_secret.as_ref().map(|at| at.with(())),
            self.bearer.as_ref().map(|at| at.with(())),
            self.cache_seconds.as_ref().map(|at| at.with(())),
        ];
        for idle in idle.iter().flatten() {
            problems.add(idle.problem("is for introspection: with jwks nobody is asked about a token"));
        }
        if self.issuer.is_none() {
            // RFC 9068 §4: its keys may sign for several issuers.
            problems.add(
                keys.problem("says nothing of who issues the tokens").help("add issuer, as the tokens have it in iss"),
            );
            return None;
        }
        Some(Judge::Keys { server: server? })
    }

    /// RFC 7662 §2.1: an issuer tells nobody whom it does not know.
    fn credentials(&self, problems: &Problems) -> Option<HeaderValue> {
        let read = |file: &At<PathBuf>| match secret(&file.value) {
            Ok(secret) => {
                is_private(file, problems);
                Some(secret)
            }
            Err(why) => {
                problems.add(file.problem(why));
                None
            }
        };
        let header = match (&self.client_id, &self.client_secret, &self.bearer) {
            (Some(id), Some(file), None) => {
                // RFC 6749 §2.3.1
                let pair = format!("{}:{}", url_encoded(id.value.as_bytes()), url_encoded(read(file)?.as_bytes()));
                format!("Basic {}", STANDARD.encode(pair))
            }
            (None, None, Some(file)) => format!("Bearer {}", read(file)?),
            (None, None, None) => {
                let nobody = self.introspection.as_ref()?.problem("is told by nobody who asks");
                problems.add(nobody.help("add client_id and client_secret, or bearer_file"));
                return None;
            }
            (Some(alone), None, None) => {
                problems.add(alone.problem("has no secret").help("add client_secret, the path of a file"));
                return None;
            }
            (None, Some(alone), None) => {
                problems.add(alone.problem("belongs to nobody").help("add client_id"));
                return None;
            }
            (_, _, Some(twice)) => {
                problems.add(twice.problem("and client_id or client_secret: we are known in one way"));
                return None;
            }
        };
        let mut value = HeaderValue::from_str(&header).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn advice(&self, scopes: &[String], problems: &Problems) -> Option<BearerAdvice> {
        let required = (!scopes.is_empty()).then(|| scopes.join(" "));
        let scope = self.scope.as_ref().map(|at| at.value.clone()).or(required);
        let discovery = self.discovery.as_ref().map(|at| at.value.to_string());
        let advice = BearerAdvice::new(scope, discovery);
        if let (None, Some(at)) = (&advice, &self.discovery) {
            problems.add(at.problem("has letters that no URL has"));
        }
        advice
    }
}

/// A URL to which secrets go, or from which keys come that are believed.
fn private_url(text: &str) -> Result<Uri, String> {
    let url = url(text)?;
    let host = url.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if is_encrypted(&url) || host.eq_ignore_ascii_case("localhost") || address.is_ok_and(is_loopback) {
        return Ok(url);
    }
    Err("is asked over TLS only, unless it is on this machine: write https".to_owned())
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback() || address == IpAddr::V6(Ipv6Addr::LOCALHOST)
}

/// The first line of a file, of graphic ASCII (RFC 6749 App. A.2).
fn secret(file: &Path) -> Result<String, String> {
    let line = first_line(file)?;
    let is_graphic = !line.is_empty() && line.iter().all(|octet| (b' '..=b'~').contains(octet));
    let text = String::from_utf8(line).ok().filter(|_| is_graphic);
    text.ok_or_else(|| {
        format!("{}: its first line is no secret: it has letters that are not of ASCII, or none", file.display())
    })
}

fn word(text: &str) -> Result<String, &'static str> {
    let is_good = !text.is_empty() && text.len() <= WORD_OCTETS_MAX && !text.chars().any(char::is_control);
    if is_good { Ok(text.to_owned()) } else { Err("is empty, too long or has letters that nobody sees") }
}

/// RFC 6749 §3.3, `scope-token`.
fn scope(text: &str) -> Result<String, &'static str> {
    let is_good = |octet: u8| matches!(octet, b'!'..=b'~') && octet != b'"' && octet != b'\\';
    let fits = (1..=WORD_OCTETS_MAX).contains(&text.len());
    if fits && text.bytes().all(is_good) { Ok(text.to_owned()) } else { Err("is not one scope") }
}

fn scope_list(text: &str) -> Result<String, &'static str> {
    text.split(' ').try_for_each(|one| scope(one).map(drop))?;
    Ok(text.to_owned())
}

const TIMEOUT_SECONDS: u32 = 5;
/// A token that is revoked lives so long.
const CACHE_SECONDS: u32 = 60;
const CACHE_SECONDS_MAX: u32 = 3600;
const WORD_OCTETS_MAX: usize = 500;
