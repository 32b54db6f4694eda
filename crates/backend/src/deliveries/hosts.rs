//! Who takes the mail of a store: its node, or a back-end of another make with its hosts.

use super::World;
use super::lines::{Bounds, Line};
use crate::foreign::{BackEnd, Foreign, Protocol};
use crate::nodes::{Inside, Nodes, Reach};
use crate::visits::{HostReport, HostState};
use mail_types::{Domain, StoreName};
use ports::Callee;
use smtp_proto::Dialect;
use smtp_proto::client::{self, Closing};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Who knows where stores are.
pub(super) enum Stores {
    /// Of our cluster.
    Nodes(Arc<dyn Nodes>),
    /// Of another make.
    BackEnds(Arc<dyn Foreign>),
}

/// A host, and the connections to it.
pub(super) struct Host {
    pub(super) at: HostAt,
    pub(super) line: Arc<Line>,
}

/// Where a host is, and what it is.
#[derive(Debug)]
pub(super) struct HostAt {
    pub(super) kind: Kind,
    pub(super) callee: Callee,
}

/// What listens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A node of ours, which knows XPOSTHOUSE.
    Node,
    /// A server of another make.
    BackEnd(Dialect),
}

impl Stores {
    /// The hosts of a store, the best first; why there is none, for the log.
    pub(super) fn hosts(&self, store: &StoreName) -> Result<Vec<HostAt>, String> {
        match self {
            Self::Nodes(nodes) => match nodes.reach(store, Inside::Lmtp) {
                Reach::Node { callee, .. } => Ok(vec![HostAt { kind: Kind::Node, callee }]),
                Reach::Nowhere(why) => Err(why),
            },
            Self::BackEnds(foreign) => {
                let (_, kind, hosts) = mail_hosts(&**foreign, store)?;
                Ok(hosts.into_iter().map(|callee| HostAt { kind, callee }).collect())
            }
        }
    }
}

/// By LMTP where the back-end has it, since only that answers for each recipient (RFC 2033 §4.2); else by SMTP.
fn mail_hosts(foreign: &dyn Foreign, store: &StoreName) -> Result<(Protocol, Kind, Vec<Callee>), String> {
    let mut why_not = Vec::new();
    for (protocol, dialect) in [(Protocol::Lmtp, Dialect::Lmtp), (Protocol::Smtp, Dialect::Smtp)] {
        match foreign.find(store, protocol) {
            BackEnd::At { hosts, .. } => return Ok((protocol, Kind::BackEnd(dialect), hosts)),
            BackEnd::Nowhere(why) => why_not.push(why),
        }
    }
    Err(why_not.join("; "))
}

impl World {
    /// How the hosts of back-ends are.
    pub(super) fn reports(&self) -> Vec<HostReport> {
        let mut reports = Vec::new();
        for (store, protocol, _, hosts) in self.back_ends() {
            reports.extend(hosts.iter().map(|callee| self.report(&store, protocol, callee)));
        }
        reports
    }

    /// The hosts of back-ends that failed when they were last called.
    pub(super) fn failing(&self) -> Vec<HostAt> {
        let back_ends = self.back_ends().into_iter();
        let hosts =
            back_ends.flat_map(|(_, _, kind, hosts)| hosts.into_iter().map(move |callee| HostAt { kind, callee }));
        // Many stores may be at one host.
        let mut seen = BTreeSet::new();
        hosts.filter(|at| !self.breakers.is_well(&at.callee) && seen.insert(at.callee.clone())).collect()
    }

    /// How the hosts of a store failed that did when they were last called.
    pub(super) fn trouble(&self, store: &StoreName) -> Option<String> {
        let hosts = match self.stores.hosts(store) {
            Ok(hosts) => hosts.into_iter().map(|at| at.callee),
            Err(why) => return Some(why),
        };
        let failing = hosts.filter(|callee| !self.breakers.is_well(callee));
        let each = failing.filter_map(|callee| {
            let (_, why) = self.ledger.failures(&callee).last?;
            Some(format!("{callee}: {why}"))
        });
        let all = each.collect::<Vec<_>>().join("; ");
        (!all.is_empty()).then(|| all.chars().take(TROUBLE_LENGTH_MAX).collect())
    }

    fn back_ends(&self) -> Vec<(StoreName, Protocol, Kind, Vec<Callee>)> {
        let Stores::BackEnds(foreign) = &self.stores else { return Vec::new() };
        let mut stores = foreign.all(Protocol::Lmtp);
        stores.extend(foreign.all(Protocol::Smtp));
        stores.sort();
        stores.dedup();
        let reached = stores.into_iter().filter_map(|store| {
            let (protocol, kind, hosts) = mail_hosts(&**foreign, &store).ok()?;
            Some((store, protocol, kind, hosts))
        });
        reached.collect()
    }

    fn report(&self, store: &StoreName, protocol: Protocol, callee: &Callee) -> HostReport {
        let state = match (self.breakers.is_well(callee), self.ledger.has_answered(callee)) {
            (false, _) => HostState::LeftAlone,
            (true, true) => HostState::Up,
            (true, false) => HostState::Unknown,
        };
        let failures = self.ledger.failures(callee);
        HostReport {
            store: store.clone(),
            protocol,
            host: callee.to_string(),
            state,
            failures: failures.count,
            last_failure: failures.last,
        }
    }
}

/// What one log line tells of a store's hosts, in characters.
const TROUBLE_LENGTH_MAX: usize = 500;

impl Kind {
    /// How we speak to it.
    pub(super) fn config(self, host: Domain) -> client::Config {
        match self {
            Self::Node => client::Config::cluster(host),
            Self::BackEnd(dialect) => client::Config::new(dialect, host),
        }
    }

    /// How many connections it bears.
    pub(super) fn bounds(self) -> Bounds {
        match self {
            Self::Node => Bounds::NODE,
            Self::BackEnd(_) => Bounds::BACK_END,
        }
    }

    /// Why there is no conversation, for an operator.
    pub(super) fn ended(self, closing: &Closing) -> String {
        match (closing, self) {
            (Closing::Quit | Closing::Aborted, _) => "the conversation is over".to_owned(),
            (Closing::Eof, _) => "it closed the connection".to_owned(),
            (Closing::Timeout, _) => "it did not answer in time".to_owned(),
            (Closing::Refused(reply), _) => format!("it refused us: {reply}"),
            (Closing::Protocol(what), Self::Node) => {
                format!("it does not speak LMTP ({what}): is that the port of its cluster.lmtp?")
            }
            (Closing::Protocol(what), Self::BackEnd(Dialect::Lmtp)) => format!("it does not speak LMTP ({what})"),
            (Closing::Protocol(what), Self::BackEnd(Dialect::Smtp)) => format!("it does not speak SMTP ({what})"),
        }
    }
}
