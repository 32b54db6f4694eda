//! Stores that the directory gives to another node while they are open here: whoever reads and writes there still would do
//! so in a copy that nobody sees.

use super::Node;
use super::backends::is_here;
use super::sessions::Register;
use admin::{Enough, Sessions};
use mail_types::StoreName;
use net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

/// Looks every second, and asks the sessions of such stores to leave; no new ones come, and no message is taken.
pub(super) fn watch(node: &Node, shutdown: Shutdown) {
    let own = node.config.node.name.clone();
    let names: Vec<StoreName> = node.local.iter().map(|store| store.name().clone()).collect();
    let (routes, sessions, clock) = (node.routes.clone(), Arc::clone(&node.sessions), Arc::clone(&node.system.clock));
    node.system.spawn.task(Box::pin(async move {
        loop {
            tokio::select! {
                () = clock.sleep(LOOK_EVERY) => {}
                () = shutdown.cut() => return,
            }
            let routing = routes.now();
            for store in names.iter().filter(|store| !is_here(&routing, &own, store)) {
                send_away(&sessions, store);
            }
        }
    }));
}

fn send_away(sessions: &Register, store: &StoreName) {
    sessions.each(0, &mut |badge| {
        if badge.login().is_some_and(|holder| holder.store == *store) && !badge.is_leaving() {
            tracing::warn!(%store, session = badge.id(), "asked to leave: another node serves the store now");
            badge.kick();
        }
        Enough::No
    });
}

const LOOK_EVERY: Duration = Duration::from_secs(1);
