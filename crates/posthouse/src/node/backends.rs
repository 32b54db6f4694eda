//! The way to a store: a function call where it is here, over the net where another node serves it.

use super::System;
use super::foreign::ForeignStores;
use super::nodes::ClusterNodes;
use super::routing::Routes;
use crate::config::Config;
use backend::{Callers, Deliveries, HereOrThere, Nodes, Sessions, Visits};
use directory::{NodeRecord, Routing, StoreAt};
use mail_types::{NodeName, StoreName};
use net::{Dialer, Shutdown};
use ports::{Delivery, SessionHandover};
use std::sync::Arc;
use store::{LocalStores, Store};

/// What relay and proxy are given.
#[derive(Clone)]
pub(super) struct Backends {
    pub(super) delivery: Arc<dyn Delivery>,
    /// For mail that waits in the retry queue.
    pub(super) queue_delivery: Arc<dyn Delivery>,
    pub(super) handover: Arc<dyn SessionHandover>,
    /// Back-ends of another make.
    pub(super) visits: Arc<Visits>,
    /// Whether sessions are led to them from here.
    leads: bool,
    /// To other nodes, where there are any.
    remote: Option<Arc<Deliveries>>,
}

/// The stores of this process, each of them served as long as the directory says that it is here.
pub(super) fn stores(local: &[Arc<Store>], own: &NodeName, routes: &Routes) -> LocalStores {
    let (own, routes) = (own.clone(), routes.clone());
    LocalStores::new(local.iter().cloned()).owned_where(move |store| is_here(&routes.now(), &own, store))
}

/// The way to back-ends of another make.
fn visits(config: &Config, routes: &Routes, system: &System) -> Arc<Visits> {
    let (foreign, demands) = ForeignStores::of(&config.backends, routes);
    let dialer = Arc::new(Dialer::new().with_told(demands));
    let (clock, spawn) = (Arc::clone(&system.clock), Arc::clone(&system.spawn));
    let host = config.node.hostname.clone();
    Arc::new(Visits::new(Arc::new(foreign), Callers::all(dialer), clock, spawn, host))
}

/// A store without a record is here: nobody else can have it.
pub(super) fn is_here(routing: &Routing, own: &NodeName, store: &StoreName) -> bool {
    match routing.store_at(store) {
        None => true,
        Some(StoreAt::Node(NodeRecord { name, .. }) | StoreAt::UnknownNode(name)) => name == own,
        Some(StoreAt::Foreign { .. }) => false,
    }
}

impl Backends {
    /// The stores of this process, and with `[cluster]` those of the others.
    pub(super) fn of(config: &Config, stores: &Arc<LocalStores>, routes: &Routes, system: &System) -> Self {
        let (delivery, handover) =
            (Arc::clone(stores) as Arc<dyn Delivery>, Arc::clone(stores) as Arc<dyn SessionHandover>);
        let visits = visits(config, routes, system);
        let leads = config.proxy.is_some();
        let Some(cluster) = &config.cluster else {
            return Self { queue_delivery: Arc::clone(&delivery), delivery, handover, visits, leads, remote: None };
        };
        if let Some(file) = cluster.proof.is_open() {
            tracing::warn!(file = %file.display(), "others on this machine can read what nodes prove themselves with, and so all mail");
        }
        let dialer = Arc::new(Dialer::new().with_cluster(cluster.tls.client()).with_sources(cluster.sources.clone()));
        let nodes: Arc<dyn Nodes> = Arc::new(ClusterNodes { routes: routes.clone(), own: config.node.name.clone() });
        let (clock, host) = (&system.clock, config.node.hostname.clone());
        let remote = Arc::new(Deliveries::new(Arc::clone(&nodes), dialer.clone(), Arc::clone(clock), host));
        let sessions = Sessions::new(nodes, dialer.clone(), dialer, Arc::clone(clock));
        let serves = |stores: &Arc<LocalStores>| {
            let stores = Arc::clone(stores);
            move |store: &StoreName| stores.serves(store)
        };
        let queue_delivery =
            HereOrThere::<dyn Delivery>::new(serves(stores), Arc::clone(&delivery), Arc::new(remote.for_queue()));
        let delivery = HereOrThere::<dyn Delivery>::new(serves(stores), delivery, remote.clone());
        let handover = HereOrThere::<dyn SessionHandover>::new(serves(stores), handover, Arc::new(sessions));
        let (delivery, queue_delivery) = (Arc::new(delivery), Arc::new(queue_delivery));
        Self { delivery, queue_delivery, handover: Arc::new(handover), visits, leads, remote: Some(remote) }
    }

    /// Looks after the connections that are kept, until the node stops; then ends them.
    pub(super) async fn tend(self, shutdown: Shutdown) {
        let tidying = async {
            match self.remote {
                Some(remote) => remote.tidy().await,
                None => std::future::pending().await,
            }
        };
        let looking = async { if self.leads { self.visits.tend().await } else { std::future::pending().await } };
        tokio::select! {
            () = tidying => {}
            () = looking => {}
            () = shutdown.draining() => {}
        }
    }

    /// Ends the connections that are kept, politely: nobody needs them any more.
    pub(super) async fn hang_up(&self) {
        if let Some(remote) = &self.remote {
            remote.hang_up().await;
        }
    }
}
