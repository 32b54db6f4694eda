//! Who is connected, and how they are asked to leave.

use crate::error::ApiError;
use crate::records::{PAGE_MAX, PAGE_USUAL};
use crate::request::{Asked, Octets};
use crate::state::Api;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use mail_types::Address;
use ports::{Badge, Protocol};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// The connections of this node.
pub trait Sessions: Send + Sync {
    /// Calls `see` for each, by number, from the one behind `after` on; until it says that it has enough.
    fn each(&self, after: u64, see: &mut dyn FnMut(&Badge) -> Enough);
}

/// Whether who looks through a list goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enough {
    /// Goes on.
    No,
    /// Has seen enough.
    Yes,
}

/// A session, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFacts {
    /// Its number, nobody else's while the node runs.
    pub id: u64,
    /// What is spoken: smtp, lmtp, imap, pop3, submission.
    pub protocol: String,
    /// The client's address and port.
    pub client: String,
    /// Whether it is under TLS.
    pub tls: bool,
    /// Who is logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The store that answers whoever is logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// When it began, in seconds since 1970.
    pub since: i64,
    /// login, idle, busy or leaving.
    pub state: String,
    /// How many messages it has brought.
    #[serde(default, skip_serializing_if = "is_none")]
    pub messages: u32,
}

/// A page of sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsJson {
    /// By number: the oldest first.
    pub items: Vec<SessionFacts>,
    /// What to give as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// What came of a kick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KickedJson {
    /// How many sessions were asked to leave.
    pub kicked: usize,
}

/// Which sessions. What is not said does not matter.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionFilter {
    /// Logged in as this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Speaking this protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// From this address, or this address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The one with this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    account: Option<String>,
    protocol: Option<String>,
    client: Option<String>,
    id: Option<u64>,
    after: Option<u64>,
    limit: Option<usize>,
}

pub(crate) async fn list(
    State(api): State<Api>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<SessionsJson>, ApiError> {
    let PageQuery { account, protocol, client, id, after, limit } = query;
    let wanted = Wanted::parse(&SessionFilter { account, protocol, client, id })?;
    let limit = limit.unwrap_or(PAGE_USUAL).clamp(1, PAGE_MAX);
    let mut page = SessionsJson::default();
    api.world().sessions.each(after.unwrap_or(0), &mut |badge| {
        if !wanted.fits(badge) {
            return Enough::No;
        }
        if page.items.len() == limit {
            page.next = page.items.last().map(|last: &SessionFacts| last.id);
            return Enough::Yes;
        }
        page.items.push(SessionFacts::of(badge));
        Enough::No
    });
    Ok(Json(page))
}

pub(crate) async fn kick(State(api): State<Api>, Octets(body): Octets) -> Result<Json<KickedJson>, ApiError> {
    let filter: SessionFilter = serde_json::from_slice(&body)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, format!("says no sessions: {error}")))?;
    if filter.account.is_none() && filter.client.is_none() && filter.id.is_none() {
        let nobody = "name whom: an account, a client or the number of a session";
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, nobody));
    }
    let wanted = Wanted::parse(&filter)?;
    let mut kicked = 0;
    api.world().sessions.each(0, &mut |badge| {
        if wanted.fits(badge) && !badge.is_leaving() {
            badge.kick();
            kicked += 1;
        }
        Enough::No
    });
    tracing::info!(
        account = filter.account,
        client = filter.client,
        id = filter.id,
        kicked,
        "sessions are asked to leave"
    );
    Ok(Json(KickedJson { kicked }))
}

impl SessionFacts {
    fn of(badge: &Badge) -> Self {
        Self {
            id: badge.id(),
            protocol: badge.protocol().name().to_owned(),
            client: badge.client().to_string(),
            tls: badge.is_tls(),
            account: badge.login().map(|login| login.account.to_string()),
            store: badge.login().map(|login| login.store.to_string()),
            since: badge.since().secs(),
            state: badge.state().to_owned(),
            messages: badge.messages(),
        }
    }
}

/// A filter that was read.
struct Wanted {
    /// As look-ups compare it.
    account: Option<String>,
    protocol: Option<Protocol>,
    client: Option<ClientFilter>,
    id: Option<u64>,
}

enum ClientFilter {
    Host(IpAddr),
    Socket(SocketAddr),
}

impl Wanted {
    fn parse(filter: &SessionFilter) -> Result<Self, ApiError> {
        let account = filter.account.as_deref().map(Address::parse).transpose();
        let protocol = match filter.protocol.as_deref().map(|name| (name, Protocol::parse(name))) {
            Some((name, None)) => return Err(ApiError::field("protocol", format!("{name:?} is none that we speak"))),
            Some((_, protocol)) => protocol,
            None => None,
        };
        Ok(Self {
            account: account.map_err(|error| ApiError::field("account", error))?.map(|address| address.key()),
            protocol,
            client: filter.client.as_deref().map(ClientFilter::parse).transpose()?,
            id: filter.id,
        })
    }

    fn fits(&self, badge: &Badge) -> bool {
        let has_login = |key: &String| badge.login().is_some_and(|login| login.account.key() == *key);
        self.id.is_none_or(|id| id == badge.id())
            && self.protocol.is_none_or(|protocol| protocol == badge.protocol())
            && self.client.as_ref().is_none_or(|client| client.fits(badge.client()))
            && self.account.as_ref().is_none_or(has_login)
    }
}

impl ClientFilter {
    fn parse(text: &str) -> Result<Self, ApiError> {
        let host = text.parse().map(|host: IpAddr| Self::Host(host.to_canonical()));
        host.or_else(|_| text.parse().map(Self::Socket)).map_err(|_| {
            ApiError::field("client", format!("{text:?} is no address such as 192.0.2.7 or [2001:db8::7]:40000"))
        })
    }

    fn fits(&self, client: SocketAddr) -> bool {
        match self {
            Self::Host(host) => client.ip().to_canonical() == *host,
            Self::Socket(socket) => client == *socket,
        }
    }
}

fn is_none(count: &u32) -> bool {
    *count == 0
}
