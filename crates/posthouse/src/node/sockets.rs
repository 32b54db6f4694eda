//! The sockets of a node between their binding, for which it may need root, and the moment from which it serves.
//!
//! bind(2) without listen(2): the address is ours, and whoever connects is refused by the system instead of waiting for a
//! node that still recovers.

use super::NodeError;
use crate::config::{Config, Proxy};
use net::{BindError, Bound};
use std::net::SocketAddr;

/// Bound, and not listening yet.
#[derive(Debug, Default)]
pub(super) struct Sockets(Vec<(SocketAddr, Bound)>);

impl Sockets {
    /// Binds all that the configuration names.
    pub(super) fn bind(config: &Config) -> Result<Self, NodeError> {
        let bound = addresses(config).map(|(key, address)| {
            let bound = Bound::bind(address).map_err(|source| NodeError::Listen { key, source })?;
            Ok((address, bound))
        });
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

/// Each with the key that names it.
fn addresses(config: &Config) -> impl Iterator<Item = (&'static str, SocketAddr)> + '_ {
    let relay = config.relay.iter().flat_map(|relay| [("relay.listen", &relay.listen), ("relay.lmtp", &relay.lmtp)]);
    let proxy = config.proxy.iter().flat_map(Proxy::listeners);
    let stores = config.stores.iter().map(|store| ("store.lmtp", &store.lmtp));
    let inside = config.cluster.iter().flat_map(|cluster| {
        [("cluster.lmtp", &cluster.lmtp), ("cluster.imap", &cluster.imap), ("cluster.pop3", &cluster.pop3)]
    });
    let lists = relay.chain(proxy).chain(stores).chain(inside).chain([("admin.metrics", &config.admin.metrics)]);
    lists.flat_map(|(key, addresses)| addresses.iter().map(move |address| (key, *address)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    #[tokio::test]
    async fn who_cannot_listen_says_by_which_key() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let taken = other.local_addr().expect("an address");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("posthouse.toml");
        let text = format!(
            "[node]\nname = 'one'\nhostname = 'one.example'\ndata = 'data'\n[proxy]\nimap = '127.0.0.1:0'\npop3 = '{taken}'\n"
        );
        std::fs::write(&file, text).expect("written");
        let refused = Sockets::bind(&Config::load(&file).expect("a good one")).expect_err("it is taken");
        assert_eq!(refused.to_string(), "proxy.pop3");
        assert_eq!(refused.source().map(ToString::to_string), Some(format!("cannot listen on {taken}")));
    }
}
