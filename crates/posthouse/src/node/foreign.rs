//! Which back-end of another make a store is, for sessions and for mail: the directory says where, the configuration what it
//! needs beside.

use super::routing::Routes;
use crate::config::{Backend, BackendProof};
use backend::{BackEnd, Foreign, Introducing, Protocol};
use directory::{BackendLogin, HostAt, Routing, StoreAt, TlsMode};
use mail_types::StoreName;
use net::ClientTls;
use ports::{CallSecurity, Callee, Introduction, Trust};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The back-ends of the directory.
pub(super) struct ForeignStores {
    routes: Routes,
    told: BTreeMap<StoreName, Told>,
}

/// What the configuration says of one.
struct Told {
    backend: Backend,
    trust: Trust,
}

impl ForeignStores {
    /// The back-ends that are told something of, and what the numbers of [`Trust::Told`] mean.
    pub(super) fn of(backends: &[Backend], routes: &Routes) -> (Self, Vec<ClientTls>) {
        let (mut told, mut demands) = (BTreeMap::new(), Vec::new());
        for backend in backends {
            let trust = match &backend.proof {
                BackendProof::Public => Trust::Public,
                BackendProof::Nothing => Trust::Anybody,
                BackendProof::Told(tls) => {
                    let number = u16::try_from(demands.len()).expect("a file has not so many lines");
                    demands.push(tls.clone());
                    Trust::Told(number)
                }
            };
            told.insert(backend.store.clone(), Told { backend: backend.clone(), trust });
        }
        (Self { routes: routes.clone(), told }, demands)
    }
}

impl Foreign for ForeignStores {
    fn find(&self, store: &StoreName, protocol: Protocol) -> BackEnd {
        find_in(&self.routes.now(), self.told.get(store), store, protocol)
    }

    fn all(&self, protocol: Protocol) -> Vec<StoreName> {
        let record = record(protocol).1;
        let routing = self.routes.now();
        let has_port = |name: &&StoreName| match routing.store_at(name) {
            Some(StoreAt::Foreign { ports, .. }) => ports.contains_key(&record),
            Some(StoreAt::Node(_) | StoreAt::UnknownNode(_)) | None => false,
        };
        let mut names: Vec<StoreName> = routing.stores().map(|store| &store.name).filter(has_port).cloned().collect();
        names.sort();
        names
    }
}

/// Where a back-end is, of which the configuration tells this.
fn find_in(routing: &Routing, told: Option<&Told>, store: &StoreName, protocol: Protocol) -> BackEnd {
    let Some(StoreAt::Foreign { hosts, ports, tls, port_tls, login, .. }) = routing.store_at(store) else {
        return BackEnd::Nowhere("the directory says that it is no back-end any more".to_owned());
    };
    let (name, record) = record(protocol);
    let Some(port) = ports.get(&record) else {
        return BackEnd::Nowhere(format!("its record has no port for {name}"));
    };
    let logs_in = !matches!(protocol, Protocol::Lmtp | Protocol::Smtp);
    let master = match (login, told.and_then(|told| told.backend.master.clone())) {
        (BackendLogin::Password, _) => None,
        // For mail nobody does.
        (BackendLogin::Master, _) if !logs_in => None,
        (BackendLogin::Master, Some(master)) => Some(master),
        (BackendLogin::Master, None) => {
            let why = "its record says that a master logs in, and no [[backend]] here has one";
            return BackEnd::Nowhere(why.to_owned());
        }
    };
    let (introduction, introducing, sources) = match told.map(|told| &told.backend) {
        Some(told) => (introduction(told, protocol), told.introducing, Arc::clone(&told.sources)),
        None => (Introduction::Nobody, Introducing::Nobody, Arc::default()),
    };
    let telling = told.map(|told| told.backend.telling).unwrap_or_default();
    let trust = told.map_or(Trust::Public, |told| told.trust);
    let security = match tls.at_port(record, port_tls) {
        TlsMode::None => CallSecurity::Plain,
        TlsMode::Starttls => CallSecurity::StartTls(trust),
        TlsMode::Tls => CallSecurity::Tls(trust),
    };
    let callee = |at: &HostAt| Callee {
        hosts: Arc::from([Box::from(at.host.as_str())]),
        port: at.port(record, *port),
        security,
        introduction,
        sources: Arc::clone(&sources),
    };
    BackEnd::At { hosts: hosts.iter().map(callee).collect(), master, introducing, telling }
}

/// What a connection begins with, which each port of a back-end expects or does not.
fn introduction(told: &Backend, protocol: Protocol) -> Introduction {
    match protocol {
        Protocol::Imap | Protocol::Pop3 | Protocol::Sieve => told.introduction,
        Protocol::Submission => told.submission_introduction,
        Protocol::Lmtp | Protocol::Smtp => told.mail_introduction,
    }
}

/// What a protocol is called, and where a record has its port.
fn record(protocol: Protocol) -> (&'static str, directory::Protocol) {
    match protocol {
        Protocol::Imap => ("IMAP", directory::Protocol::Imap),
        Protocol::Pop3 => ("POP3", directory::Protocol::Pop3),
        Protocol::Submission => ("submission", directory::Protocol::Submission),
        Protocol::Sieve => ("ManageSieve", directory::Protocol::Sieve),
        Protocol::Lmtp => ("LMTP", directory::Protocol::Lmtp),
        Protocol::Smtp => ("SMTP", directory::Protocol::Smtp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backend::Telling;
    use directory::engine::{Entry, Revision};
    use directory::{Record, StoreRecord};

    fn routing(store: serde_json::Value) -> Routing {
        let record: StoreRecord = serde_json::from_value(store).unwrap();
        let entry = Entry { key: record.key(), value: record.encode(), revision: Revision::new(1) };
        Routing::load([&entry], Revision::new(1))
    }

    fn told() -> Told {
        let backend = Backend {
            store: StoreName::parse("old").unwrap(),
            master: None,
            proof: BackendProof::Public,
            introduction: Introduction::Nobody,
            introducing: Introducing::ById,
            submission_introduction: Introduction::ProxyV2,
            mail_introduction: Introduction::ProxyV1,
            sources: Arc::default(),
            local_part_of: None,
            telling: Telling::ForUs,
        };
        Told { backend, trust: Trust::Public }
    }

    #[test]
    fn each_use_of_a_back_end_begins_as_its_port_expects() {
        let routing = routing(serde_json::json!({"name": "old", "kind": "foreign", "host": "h",
            "ports": {"imap": 143, "submission": 587, "smtp": 25}}));
        let (store, told) = (StoreName::parse("old").unwrap(), told());
        let introduction = |protocol| match find_in(&routing, Some(&told), &store, protocol) {
            BackEnd::At { hosts, .. } => hosts.iter().map(|callee| callee.introduction).collect::<Vec<_>>(),
            BackEnd::Nowhere(why) => panic!("{why}"),
        };
        assert_eq!(introduction(Protocol::Imap), [Introduction::Nobody]);
        assert_eq!(introduction(Protocol::Submission), [Introduction::ProxyV2]);
        assert_eq!(introduction(Protocol::Smtp), [Introduction::ProxyV1]);
    }
}
