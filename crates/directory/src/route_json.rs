//! What `posthouse route --json` prints.

use crate::delivery::Delivery;
use crate::explain::Steps;
use crate::login::{Login, LoginTarget};
use crate::routing::Routing;
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
        steps.extend(why_it_waits(&delivery));
        Self { address: text.to_owned(), steps, outcome: delivery.into() }
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
fn why_it_waits(delivery: &Delivery) -> Option<String> {
    let Delivery::Deliver(deliver) = delivery else { return None };
    deliver.waits()?;
    Some(match deliver.remote.first() {
        Some(remote) => format!("mail cannot be sent to other sites yet: because of {remote}, nobody gets it"),
        None => "a store of another make cannot be asked yet who exists".to_owned(),
    })
}

impl From<Delivery> for RouteOutcome {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Deliver(deliver) => match (deliver.waits(), deliver.targets.as_slice()) {
                (Some(reply), _) => Self::TempFail { reply: reply.to_string() },
                (None, [target]) => {
                    Self::Store { store: target.store.to_string(), account: target.address.to_string() }
                }
                (None, targets) => {
                    Self::Forward { targets: targets.iter().map(|target| target.address.to_string()).collect() }
                }
            },
            Delivery::NotOurs(reply) | Delivery::Reject(reply) => Self::Reject { reply: reply.to_string() },
            Delivery::TempFail(reply) => Self::TempFail { reply: reply.to_string() },
        }
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
