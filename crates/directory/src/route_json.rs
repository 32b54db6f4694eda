//! What `posthouse route --json` prints.

use crate::delivery::{Deliver, Delivery, MailBy};
use crate::explain::Steps;
use crate::login::{Login, LoginTarget};
use crate::record::HostAt;
use crate::reply::Reply;
use crate::routing::{Routing, StoreAt};
use mail_types::{Address, Domain, ForwardPath};
use serde::{Deserialize, Serialize};

/// One object per address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteJson {
    /// The address or login name that was asked for.
    pub address: String,
    /// Why, one sentence each.
    pub steps: Vec<String>,
    /// What came of it.
    pub outcome: RouteOutcome,
}

/// Where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum RouteOutcome {
    /// To one account.
    Store {
        /// At this store.
        store: String,
        /// The account's address.
        account: String,
    },
    /// To several accounts.
    Forward {
        /// Their addresses.
        targets: Vec<String>,
    },
    /// Refused for good.
    Reject {
        /// What the other side hears.
        reply: String,
    },
    /// Refused for now.
    TempFail {
        /// What the other side hears.
        reply: String,
    },
}

impl RouteJson {
    /// Where mail for `text` goes: an address, or `postmaster` alone.
    pub fn delivery(routing: &Routing, text: &str) -> Self {
        let path = match Address::parse(text) {
            Ok(address) => ForwardPath::Address(address),
            Err(_) if text.eq_ignore_ascii_case("postmaster") => ForwardPath::Postmaster,
            Err(error) => {
                let reply = format!("501 5.1.3 {error}");
                return Self { address: text.to_owned(), steps: Vec::new(), outcome: RouteOutcome::Reject { reply } };
            }
        };
        let mut steps = Steps::new();
        let delivery = routing.delivery_path(&path, &mut steps);
        let mut steps = steps.sentences();
        if let Delivery::Deliver(deliver) = &delivery {
            steps.extend(back_ends(routing, deliver));
            steps.extend(why_it_waits(routing, deliver));
        }
        Self { address: text.to_owned(), steps, outcome: outcome(routing, delivery) }
    }

    /// Where `name` logs in.
    pub fn login(routing: &Routing, name: &str) -> Self {
        let mut steps = Steps::new();
        let outcome = routing.login(name, &mut steps).into();
        Self { address: name.to_owned(), steps: steps.sentences(), outcome }
    }

    /// Where `name` logs in with a client that connected to where bare names mean this domain.
    pub fn login_in(routing: &Routing, name: &str, domain: &Domain) -> Self {
        let whole = routing.login_name_in(name, domain);
        let mut route = Self::login(routing, &whole);
        if whole != name {
            route.steps.insert(0, format!("the address that the client connected to adds {domain}"));
        }
        Self { address: name.to_owned(), ..route }
    }
}

/// What the relay refuses although the directory says where it goes.
fn why_it_waits(routing: &Routing, deliver: &Deliver) -> Option<String> {
    let reply = deliver.waits(routing)?;
    Some(match deliver.remote.first() {
        Some(remote) => format!("mail cannot be sent to other sites yet: because of {remote}, nobody gets it"),
        None if reply == Reply::NOT_ASKED => "a store of ours cannot say who exists: make an account".to_owned(),
        None => "the store has no port for mail: store set --port lmtp=24".to_owned(),
    })
}

/// How mail gets to stores of another make.
fn back_ends(routing: &Routing, deliver: &Deliver) -> Vec<String> {
    let mut stores: Vec<_> = deliver.targets.iter().map(|target| &target.store).collect();
    stores.sort();
    stores.dedup();
    let way = |store| match (routing.mail_by(store), routing.store_at(store)) {
        (MailBy::BackEnd(protocol), Some(StoreAt::Foreign { hosts, ports, .. })) => {
            let port = ports.get(&protocol).copied().unwrap_or_default();
            let called = |at: &HostAt| match at.host.as_str() {
                host if host.contains(':') => format!("[{host}]:{}", at.port(protocol, port)),
                host => format!("{host}:{}", at.port(protocol, port)),
            };
            let at: Vec<_> = hosts.iter().map(called).collect();
            Some(format!(
                "store {store} is of another make, and takes mail by {} at {}",
                protocol.name(),
                at.join(", ")
            ))
        }
        (MailBy::Node | MailBy::BackEnd(_) | MailBy::Nothing, _) => None,
    };
    stores.into_iter().filter_map(way).collect()
}

fn outcome(routing: &Routing, delivery: Delivery) -> RouteOutcome {
    match delivery {
        Delivery::Deliver(deliver) => match (deliver.waits(routing), deliver.targets.as_slice()) {
            (Some(reply), _) => RouteOutcome::TempFail { reply: reply.to_string() },
            (None, [target]) => {
                RouteOutcome::Store { store: target.store.to_string(), account: target.address.to_string() }
            }
            (None, targets) => {
                RouteOutcome::Forward { targets: targets.iter().map(|target| target.address.to_string()).collect() }
            }
        },
        Delivery::NotOurs(reply) | Delivery::Reject(reply) => RouteOutcome::Reject { reply: reply.to_string() },
        Delivery::TempFail(reply) => RouteOutcome::TempFail { reply: reply.to_string() },
    }
}

impl From<Login> for RouteOutcome {
    fn from(login: Login) -> Self {
        match login {
            Login::Account(LoginTarget { store, address, .. }) => {
                Self::Store { store: store.to_string(), account: address.to_string() }
            }
            Login::Unknown => Self::Reject { reply: "NO [AUTHENTICATIONFAILED] no such account".to_owned() },
            Login::Refused { .. } => {
                Self::Reject { reply: "NO [AUTHENTICATIONFAILED] account may not log in".to_owned() }
            }
            Login::Unavailable => Self::TempFail { reply: "NO [UNAVAILABLE] try again later".to_owned() },
        }
    }
}
