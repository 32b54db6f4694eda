//! Which node serves a store, as the directory says.

use super::routing::Routes;
use backend::{Inside, Nodes, Reach};
use directory::{NodeRecord, Protocol, StoreAt, TlsMode};
use mail_types::{NodeName, StoreName};
use ports::{CallSecurity, Callee, Introduction};

/// The directory's answer, for a node that is called `own`.
pub(super) struct ClusterNodes {
    pub(super) routes: Routes,
    pub(super) own: NodeName,
}

impl Nodes for ClusterNodes {
    fn reach(&self, store: &StoreName, protocol: Inside) -> Reach {
        let routing = self.routes.now();
        match routing.store_at(store) {
            None => Reach::Nowhere("the directory knows no such store".to_owned()),
            Some(StoreAt::UnknownNode(node)) => Reach::Nowhere(format!("the directory has no record of node {node}")),
            // Whoever is asked for a store that is here does not ask us: no call goes round in circles.
            Some(StoreAt::Node(node)) if node.name == self.own => {
                Reach::Nowhere("the directory says that it is here, but this node does not serve it".to_owned())
            }
            Some(StoreAt::Node(node)) if node.addresses.is_empty() => {
                Reach::Nowhere(format!("the record of node {} has no address", node.name))
            }
            Some(StoreAt::Node(node)) => Reach::Node { name: node.name.clone(), callee: callee(node, protocol) },
            Some(StoreAt::Foreign { .. }) => Reach::Nowhere("it has just become a back-end of another make".to_owned()),
        }
    }
}

fn callee(node: &NodeRecord, protocol: Inside) -> Callee {
    let protocol = match protocol {
        Inside::Lmtp => Protocol::Lmtp,
        Inside::Imap => Protocol::Imap,
        Inside::Pop3 => Protocol::Pop3,
    };
    let usual = || protocol.usual_port(TlsMode::Tls);
    Callee {
        hosts: node.addresses.iter().map(|host| host.as_str().into()).collect(),
        port: node.ports.get(&protocol).copied().unwrap_or_else(usual),
        security: CallSecurity::Cluster,
        introduction: Introduction::ProxyV2,
        sources: [].into(),
    }
}
