//! The way to a store: a function call where it is here, over the net where another node serves it or it is of another make.

use super::System;
use super::foreign::ForeignStores;
use super::nodes::ClusterNodes;
use super::routing::Routes;
use crate::config::Config;
use backend::{Callers, Deliveries, Foreign, HereOrThere, HostReport, Nodes, Sessions, Visits};
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
    /// Mail for them.
    mail: Arc<Deliveries>,
    /// Whether sessions are led to them from here.
    leads: bool,
    /// Whether mail is.
    relays: bool,
    /// To other nodes, where there are any.
    remote: Option<Arc<Deliveries>>,
}

/// The stores of this process, each of them served as long as the directory says that it is here.
pub(super) fn stores(local: &[Arc<Store>], own: &NodeName, routes: &Routes) -> LocalStores {
    let (own, routes) = (own.clone(), routes.clone());
    LocalStores::new(local.iter().cloned()).owned_where(move |store| is_here(&routes.now(), &own, store))
}

/// The ways to back-ends of another make: of sessions, and of mail.
fn other_makes(config: &Config, routes: &Routes, system: &System) -> (Arc<Visits>, Arc<Deliveries>) {
    let (foreign, demands) = ForeignStores::of(&config.backends, routes);
    let (foreign, dialer): (Arc<dyn Foreign>, _) = (Arc::new(foreign), Arc::new(Dialer::new().with_told(demands)));
    let (clock, spawn) = (&system.clock, Arc::clone(&system.spawn));
    let host = &config.node.hostname;
    let callers = Callers::all(dialer.clone());
    let visits = Visits::new(Arc::clone(&foreign), callers, Arc::clone(clock), spawn, host.clone());
    let mail = Deliveries::to_back_ends(foreign, dialer, Arc::clone(clock), host.clone());
    (Arc::new(visits), Arc::new(mail))
}

/// Mail for stores of another make goes there; all other mail goes by `other`.
fn or_to(mail: Arc<dyn Delivery>, other: Arc<dyn Delivery>, routes: &Routes) -> Arc<dyn Delivery> {
    let routes = routes.clone();
    let is_foreign = move |store: &StoreName| matches!(routes.now().store_at(store), Some(StoreAt::Foreign { .. }));
    Arc::new(HereOrThere::<dyn Delivery>::new(is_foreign, mail, other))
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
        let (visits, mail) = other_makes(config, routes, system);
        let (leads, relays) = (config.proxy.is_some(), config.relay.is_some());
        let Some(cluster) = &config.cluster else {
            let queue_delivery = or_to(Arc::new(mail.for_queue()), Arc::clone(&delivery), routes);
            let delivery = or_to(mail.clone(), delivery, routes);
            return Self { queue_delivery, delivery, handover, visits, mail, leads, relays, remote: None };
        };
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
        let queue_delivery = or_to(Arc::new(mail.for_queue()), Arc::new(queue_delivery), routes);
        let delivery = or_to(mail.clone(), Arc::new(delivery), routes);
        let handover = Arc::new(handover);
        Self { delivery, queue_delivery, handover, visits, mail, leads, relays, remote: Some(remote) }
    }

    /// How every host of every back-end of another make is.
    pub(super) fn hosts(&self) -> Vec<HostReport> {
        let mut hosts = self.visits.hosts();
        if self.relays {
            hosts.extend(self.mail.hosts());
        }
        hosts
    }

    /// Looks after the connections that are kept, and after hosts that failed, until the node stops.
    pub(super) async fn tend(self, shutdown: Shutdown) {
        let tidying = async {
            match self.remote {
                Some(remote) => remote.tidy().await,
                None => std::future::pending().await,
            }
        };
        let looking = async { if self.leads { self.visits.tend().await } else { std::future::pending().await } };
        let looking_by_mail = async { if self.relays { self.mail.tend().await } else { std::future::pending().await } };
        tokio::select! {
            () = self.mail.tidy() => {}
            () = tidying => {}
            () = looking => {}
            () = looking_by_mail => {}
            () = shutdown.draining() => {}
        }
    }

    /// Ends the connections that are kept, politely: nobody needs them any more.
    pub(super) async fn hang_up(&self) {
        self.mail.hang_up().await;
        if let Some(remote) = &self.remote {
            remote.hang_up().await;
        }
    }
}
