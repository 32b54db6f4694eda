//! The sockets of a node between their binding, for which it may need root, and the moment from which it serves.
//!
//! bind(2) without listen(2): the address is ours, and whoever connects is refused by the system instead of waiting for a
//! node that still recovers.

use crate::config::{Config, Proxy};
use net::{BindError, Bound};
use std::net::SocketAddr;

/// Bound, and not listening yet.
#[derive(Debug, Default)]
pub(super) struct Sockets(Vec<(SocketAddr, Bound)>);

impl Sockets {
    /// Binds all that the configuration names.
    pub(super) fn bind(config: &Config) -> Result<Self, BindError> {
        let bound = addresses(config).map(|address| Ok((address, Bound::bind(address)?)));
        bound.collect::<Result<_, _>>().map(Self)
    }

    /// The socket for an address of the configuration; one that was not foreseen is bound now. Those for port 0 are alike.
    pub(super) fn take(&mut self, address: SocketAddr) -> Result<Bound, BindError> {
        match self.0.iter().position(|(wanted, _)| *wanted == address) {
            Some(at) => Ok(self.0.swap_remove(at).1),
            None => Bound::bind(address),
        }
    }
}

fn addresses(config: &Config) -> impl Iterator<Item = SocketAddr> + '_ {
    let relay = config.relay.iter().flat_map(|relay| relay.listen.iter().chain(&relay.lmtp));
    let proxy = config.proxy.iter().flat_map(Proxy::listeners);
    let stores = config.stores.iter().flat_map(|store| &store.lmtp);
    let inside = config.cluster.iter().flat_map(|cluster| [&cluster.lmtp, &cluster.imap, &cluster.pop3]).flatten();
    relay.chain(proxy).chain(stores).chain(inside).chain(&config.admin.metrics).copied()
}
