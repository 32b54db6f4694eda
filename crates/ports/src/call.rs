//! Calling a peer instead of being called: the counterpart of [`Handler`](crate::Handler).

use crate::{BoxFuture, Peer, Unavailable, Wire};
use machine::Machine;
use std::fmt;
use std::sync::Arc;

/// A peer that can be called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Callee {
    /// Host names or addresses, the best first; the next is tried where one does not answer.
    pub hosts: Arc<[Box<str>]>,
    /// The port on each of them.
    pub port: u16,
    /// How the connection is protected.
    pub security: CallSecurity,
}

/// How a connection to a peer is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallSecurity {
    /// Not at all.
    Plain,
    /// TLS from the first octet between nodes of one cluster: each end proves that it belongs to it.
    Cluster,
}

/// Calls peers, and speaks with them in the protocol of `M`.
pub trait Caller<M: Machine>: Send + Sync {
    /// Connects. With `behalf_of`, the peer is told whom the call is for (PROXY protocol v2), before anything else; a node of
    /// the cluster is also told where it is for nobody.
    fn call<'a>(
        &'a self,
        to: &'a Callee,
        behalf_of: Option<Peer>,
        machine: M,
    ) -> BoxFuture<'a, Result<Box<dyn Call<M>>, Unavailable>>;
}

/// A conversation that we began. Who calls tells the machine what to say, and asks what came of it.
///
/// Futures may be dropped; nothing that was sent or received is lost by it.
pub trait Call<M: Machine>: Send {
    /// The machine, to tell it what to say.
    fn machine(&mut self) -> &mut M;

    /// Sends what there is to send, and waits for the next event; nothing when the conversation is over.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<M::Event>, Broken>>;

    /// Waits until all that was said is on its way; an event that comes first is given instead. Who sends a long body
    /// calls this after each piece.
    fn sent(&mut self) -> BoxFuture<'_, Result<Option<M::Event>, Broken>>;

    /// Sends what there is to send, and ends the connection politely.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;

    /// The connection and the machine, for who goes on without the machine. Output that has not been sent is lost.
    fn into_parts(self: Box<Self>) -> (Box<dyn Wire>, M);
}

/// The connection broke, or the peer did not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection broke: {0}")]
pub struct Broken(pub String);

impl fmt::Display for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, host) in self.hosts.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            match host.contains(':') {
                true => write!(f, "{comma}[{host}]:{}", self.port)?,
                false => write!(f, "{comma}{host}:{}", self.port)?,
            }
        }
        Ok(())
    }
}
