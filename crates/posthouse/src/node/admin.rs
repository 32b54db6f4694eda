//! The socket on which commands reach this node, and what it says of itself.

use super::directory_file::Trouble;
use super::routing::Routes;
use super::{Node, NodeError};
use admin::{AdminState, ListenerFacts, NodeFacts, NodeStatus, StoreFacts};
use directory::{Behind, MailBehind, Origin};
use mail_types::{Address, StoreName};
use net::Shutdown;
use ports::{BoxFuture, Spawn};
use std::io;
use std::net::SocketAddr;
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

/// Answers commands until the node stops.
pub(super) fn serve(listener: UnixListener, node: &Node, shutdown: Shutdown) -> impl Future<Output = ()> + use<> {
    let system = &node.system;
    let router = admin::router(AdminState {
        engine: Arc::clone(&node.engine),
        live: Arc::clone(node.routes.live()),
        mail: Arc::new(MailHere { stores: Arc::clone(&node.stores), routes: node.routes.clone() }),
        node: Arc::new(Facts::of(node)),
        clock: Arc::clone(&system.clock),
        random: Arc::clone(&system.random),
        spawn: Arc::clone(&system.spawn),
    });
    async move {
        let until = async move { shutdown.draining().await };
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
struct Facts {
    fixed: NodeFacts,
    directory: Trouble,
    stores: Vec<Arc<Store>>,
    spawn: Arc<dyn Spawn>,
}

impl Facts {
    fn of(node: &Node) -> Self {
        let config = &node.config;
        let mut fixed = NodeFacts {
            name: config.node.name.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: node.system.clock.now().secs(),
            ..NodeFacts::default()
        };
        let mut listen = |name: &str, addresses: &[SocketAddr], store: Option<&StoreName>| {
            fixed.listeners.extend(addresses.iter().map(|address| ListenerFacts {
                name: name.to_owned(),
                address: address.to_string(),
                store: store.map(ToString::to_string),
            }));
        };
        if let Some(relay) = &config.relay {
            fixed.roles.push("relay".to_owned());
            listen("smtp", &relay.listen, None);
        }
        if let Some(proxy) = &config.proxy {
            fixed.roles.push("proxy".to_owned());
            listen("imap", &proxy.imap, None);
            listen("imaps", &proxy.imaps, None);
            listen("pop3", &proxy.pop3, None);
            listen("pop3s", &proxy.pop3s, None);
        }
        for store in &config.stores {
            listen("lmtp", &store.lmtp, Some(&store.name));
        }
        if !config.stores.is_empty() {
            fixed.roles.push("store".to_owned());
        }
        Self {
            fixed,
            directory: node.trouble.clone(),
            stores: node.local.clone(),
            spawn: Arc::clone(&node.system.spawn),
        }
    }
}

impl NodeStatus for Facts {
    fn facts(&self) -> BoxFuture<'_, NodeFacts> {
        Box::pin(async move {
            let mut facts = NodeFacts { directory_trouble: self.directory.now(), ..self.fixed.clone() };
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
