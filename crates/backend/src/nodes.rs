//! Which node serves a store.

use mail_types::{NodeName, StoreName};
use ports::Callee;

/// Knows where stores are served.
pub trait Nodes: Send + Sync {
    /// Where the node of a store listens inside, for a protocol.
    fn reach(&self, store: &StoreName, protocol: Inside) -> Reach;
}

/// A protocol between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// Deliveries.
    Lmtp,
    /// Sessions.
    Imap,
    /// Sessions.
    Pop3,
}

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// On another node.
    Node {
        /// Its name, for log lines.
        name: NodeName,
        /// How it is called.
        callee: Callee,
    },
    /// Nowhere that we could call: why, for the log. It points back at us, has no address, is of another make.
    Nowhere(String),
}
