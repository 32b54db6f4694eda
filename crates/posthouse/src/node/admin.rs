//! The socket on which commands reach this node, and what it says of itself.

use super::backends::Backends;
use super::directory_file::Trouble;
use super::listeners::{Listeners, forms};
use super::maps::MapStates;
use super::metrics::Meters;
use super::queue::{self, QueueHere};
use super::remarks::Remarks;
use super::routing::Routes;
use super::sessions::Register;
use super::{Node, NodeError};
use admin::{
    AdminState, BackEndFacts, BackEndState, ListenerFacts, MailQueue, NodeFacts, NodeState, NodeStatus, StoreFacts,
};
use backend::{HostReport, HostState};
use directory::{Behind, MailBehind, Origin};
use mail_types::{Address, Domain, StoreName};
use net::Shutdown;
use ports::{BoxFuture, Spawn};
use proxy::LoginForms;
use relay::RetryQueue;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use store::{LocalStores, Store};
use tokio::net::UnixListener;

/// Listens where only our own user may connect.
pub(super) fn bind(socket: &Path) -> Result<UnixListener, NodeError> {
    let failed = |source| NodeError::Admin { path: socket.to_owned(), source };
    // What a crash left: nobody else can have it, or the stores would not have opened.
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(socket).map_err(failed)?;
    std::fs::set_permissions(socket, PermissionsExt::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Answers commands until `answers` ends.
pub(super) fn serve(
    listener: UnixListener,
    node: &Node,
    facts: Facts,
    answers: Shutdown,
) -> impl Future<Output = ()> + use<> {
    let system = &node.system;
    let router = admin::router(AdminState {
        engine: Arc::clone(&node.engine),
        live: Arc::clone(node.routes.live()),
        mail: Arc::new(MailHere { stores: Arc::clone(&node.stores), routes: node.routes.clone() }),
        node: Arc::new(facts),
        sessions: Arc::clone(&node.sessions) as _,
        queue: node.queue.clone().map(|queue| Arc::new(QueueHere(queue)) as Arc<dyn MailQueue>),
        clock: Arc::clone(&system.clock),
        random: Arc::clone(&system.random),
        spawn: Arc::clone(&system.spawn),
    });
    async move {
        let until = async move { answers.draining().await };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(until).await {
            tracing::error!(error = &error as &dyn std::error::Error, "commands cannot reach this node any more");
        }
    }
}

/// Whether a store of this node holds mail of an address.
struct MailHere {
    stores: Arc<LocalStores>,
    routes: Routes,
}

impl MailBehind for MailHere {
    fn mail_behind<'a>(&'a self, address: &'a Address, store: &'a StoreName) -> BoxFuture<'a, Behind> {
        let answer = match (self.routes.now().account(address), self.stores.store(store)) {
            (Origin::NotFound, _) => Behind::Nothing,
            (Origin::Unavailable, _) | (Origin::Found(_), None) => Behind::Unknown,
            (Origin::Found(account), Some(store)) => match store.account(account.id) {
                Ok(Some(row)) if row.messages > 0 => Behind::Mail,
                Ok(_) => Behind::Nothing,
                Err(_) => Behind::Unknown,
            },
        };
        Box::pin(std::future::ready(answer))
    }
}

/// What does not change while the node runs, and the stores to ask for the rest.
pub(super) struct Facts {
    fixed: NodeFacts,
    directory: Trouble,
    maps: MapStates,
    backends: Backends,
    stores: Vec<Arc<Store>>,
    queue: Option<Arc<RetryQueue>>,
    sessions: Arc<Register>,
    meters: Arc<Meters>,
    remarks: Remarks,
    shutdown: Shutdown,
    spawn: Arc<dyn Spawn>,
    forms: LoginForms,
}

impl Facts {
    /// `shutdown` is the node's.
    pub(super) fn of(
        node: &Node,
        listeners: &Listeners,
        (monitors, meters, remarks): (Vec<SocketAddr>, Arc<Meters>, Remarks),
        shutdown: Shutdown,
    ) -> Self {
        let config = &node.config;
        let mut fixed = NodeFacts {
            name: config.node.name.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: node.system.clock.now().secs(),
            ..NodeFacts::default()
        };
        fixed.listeners = listeners.all().into_iter().map(|(facts, _)| facts).collect();
        fixed.listeners.extend(monitors.iter().map(|address| ListenerFacts {
            name: "metrics".to_owned(),
            address: address.to_string(),
            store: None,
        }));
        let roles = [
            ("relay", config.relay.is_some()),
            ("proxy", config.proxy.is_some()),
            ("store", !config.stores.is_empty()),
        ];
        fixed.roles = roles.iter().filter(|(_, runs)| *runs).map(|(role, _)| (*role).to_owned()).collect();
        let (sessions, spawn) = (Arc::clone(&node.sessions), Arc::clone(&node.system.spawn));
        let queue = node.queue.clone();
        let (directory, maps) = (node.trouble.clone(), node.map_states.clone());
        let (forms, backends) = (forms(config), node.backends.clone());
        let stores = node.local.clone();
        Self { forms, fixed, directory, maps, backends, stores, queue, sessions, meters, remarks, shutdown, spawn }
    }
}

fn back_end(report: HostReport) -> BackEndFacts {
    let HostReport { store, protocol, host, state, failures, last_failure } = report;
    let state = match state {
        HostState::Up => BackEndState::Up,
        HostState::LeftAlone => BackEndState::LeftAlone,
        HostState::Unknown => BackEndState::Unknown,
    };
    let (failed, why) = last_failure.map(|(at, why)| (at.secs(), why)).unzip();
    let (store, protocol) = (store.to_string(), protocol.name().to_owned());
    BackEndFacts { store, protocol, host, state, failures, failed, why }
}

impl NodeStatus for Facts {
    fn login_domain(&self, local: IpAddr) -> Option<Domain> {
        self.forms.domain_at(local).cloned()
    }

    fn metrics(&self) -> BoxFuture<'_, String> {
        Box::pin(self.meters.page())
    }

    fn facts(&self) -> BoxFuture<'_, NodeFacts> {
        Box::pin(async move {
            let mut facts = self.fixed.clone();
            (facts.directory_trouble, facts.maps) = (self.directory.now(), self.maps.now());
            (facts.map_differences, facts.map_difference_count) = self.maps.differences();
            if self.shutdown.is_draining() {
                facts.state = NodeState::Draining;
            }
            facts.remarks = self.remarks.now();
            facts.sessions = self.sessions.count();
            facts.back_ends = self.backends.hosts().into_iter().map(back_end).collect();
            facts.queue = self.queue.as_deref().map(queue::facts);
            for store in &self.stores {
                let asked = Arc::clone(store);
                let counted = ports::blocking(&*self.spawn, move || asked.account_count()).await;
                let (accounts, trouble) = match counted {
                    Some(Ok(count)) => (Some(count), None),
                    Some(Err(error)) => (None, Some(error.to_string())),
                    None => (None, Some("the node is stopping".to_owned())),
                };
                facts.stores.push(StoreFacts { name: store.name().to_string(), accounts, trouble });
            }
            facts
        })
    }
}
