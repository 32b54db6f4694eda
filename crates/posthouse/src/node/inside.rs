//! The listeners for other nodes of the cluster. A caller has shown by TLS that it belongs to it; its PROXY header says for
//! whom it calls. Only stores of this process are served: no call goes on to a third node.

use super::adjustable::Adjustable;
use super::listeners::{BUSY_IMAP, BUSY_POP3, BUSY_SMTP, Binder, leave_imap, leave_pop3, leave_smtp, report};
use super::polite::Polite;
use super::recipients::PlacedAccounts;
use super::{Node, NodeError};
use crate::config::Cluster;
use net::{Listener, Shutdown, serve};
use ports::{Accounts, Protocol, SessionHandover};
use proxy::{Pop3InsideConfig, Proxy};
use smtp_proto::server as smtp;
use std::sync::Arc;
use store::InsideLmtp;
use tokio::task::JoinSet;

/// The bound sockets.
#[derive(Default)]
pub(super) struct Inside {
    lmtp: Vec<Listener>,
    imap: Vec<Listener>,
    pop3: Vec<Listener>,
}

impl Inside {
    /// Listens where `[cluster]` says.
    pub(super) fn open(binder: &mut Binder<'_>, cluster: &Cluster) -> Result<Self, NodeError> {
        let tls = cluster.tls.server();
        Ok(Self {
            lmtp: binder.secure("cluster-lmtp", &cluster.lmtp, &tls, BUSY_SMTP)?,
            imap: binder.secure("cluster-imap", &cluster.imap, &tls, BUSY_IMAP)?,
            pop3: binder.secure("cluster-pop3", &cluster.pop3, &tls, BUSY_POP3)?,
        })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Listener> {
        self.lmtp.iter().chain(&self.imap).chain(&self.pop3)
    }

    /// Serves until the shutdown.
    pub(super) fn run(
        self,
        node: &Node,
        adjustable: &Adjustable,
        proxy: &Proxy,
        shutdown: &Shutdown,
        running: &mut JoinSet<()>,
    ) {
        let clock = Arc::clone(&node.system.clock);
        let accounts: Arc<dyn Accounts> = Arc::new(PlacedAccounts { routes: node.routes.clone() });
        for listener in self.lmtp {
            let (stores, accounts, config) = (node.stores.clone(), accounts.clone(), adjustable.inside_lmtp.clone());
            let (clock, ending, sessions) = (clock.clone(), shutdown.clone(), node.sessions.clone());
            running.spawn(listener.run(shutdown.clone(), move |stream, peer| {
                let visit = sessions.enter(Protocol::Lmtp, &peer);
                let machine = smtp::Server::new(config.now(), smtp_proto::Security::Tls, clock.instant());
                let session = InsideLmtp::new(stores.clone(), accounts.clone(), peer).with_badge(visit.badge().clone());
                let session = Polite::new(session, visit.badge(), &ending, leave_smtp);
                report(visit, Box::pin(serve(stream, machine, session, None)))
            }));
        }
        for listener in self.imap {
            let (proxy, config) = (proxy.clone(), adjustable.inside_imap.clone());
            let (ending, sessions) = (shutdown.clone(), node.sessions.clone());
            running.spawn(listener.run(shutdown.clone(), move |stream, peer| {
                let visit = sessions.enter(Protocol::Imap, &peer);
                let (machine, front) = proxy.imap_inside(&config.now(), peer);
                let session = front.with_badge(visit.badge().clone());
                let session = Polite::new(session, visit.badge(), &ending, leave_imap);
                report(visit, Box::pin(serve(stream, machine, session, None)))
            }));
        }
        let config = Pop3InsideConfig::new(Arc::clone(&node.stores) as Arc<dyn SessionHandover>);
        for listener in self.pop3 {
            let (proxy, config) = (proxy.clone(), config.clone());
            let (ending, sessions) = (shutdown.clone(), node.sessions.clone());
            running.spawn(listener.run(shutdown.clone(), move |stream, peer| {
                let visit = sessions.enter(Protocol::Pop3, &peer);
                let (machine, front) = proxy.pop3_inside(&config, peer);
                let session = front.with_badge(visit.badge().clone());
                let session = Polite::new(session, visit.badge(), &ending, leave_pop3);
                report(visit, Box::pin(serve(stream, machine, session, None)))
            }));
        }
    }
}
