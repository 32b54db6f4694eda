//! Calling a peer instead of being called: the counterpart of [`Handler`](crate::Handler).

use crate::{BoxFuture, Peer, Unavailable, Wire};
use machine::Machine;
use std::fmt;
use std::net::IpAddr;
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
    /// Whether the peer is told whom a call is for.
    pub introduction: Introduction,
    /// The addresses of ours that it is called from, in turn; those of the caller where there are none.
    pub sources: Arc<[IpAddr]>,
}

/// Whether a peer is told whom a call is for, before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Introduction {
    /// It is not: it sees our own address. A peer that does not wait for a header takes one for nonsense.
    Nobody,
    /// By a header of the PROXY protocol, version 1: a line of text, else as [`Self::ProxyV2`].
    ProxyV1,
    /// By a header of the PROXY protocol, version 2, in clear and also where the call is for nobody but us: a peer that waits
    /// for a header waits for it always. Nodes of the cluster do.
    ProxyV2,
}

/// How a connection to a peer is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallSecurity {
    /// Not at all.
    Plain,
    /// TLS from the first octet between nodes of one cluster: each end proves that it belongs to it.
    Cluster,
    /// TLS from the first octet with a back-end of another make.
    Tls(Trust),
    /// TLS with a back-end of another make, once it has agreed in clear ([`Call::start_tls`]). What it said until then is
    /// to be forgotten (RFC 3207 §4.2, RFC 9051 §6.2.1, RFC 2595 §4).
    StartTls(Trust),
}

/// Whom we believe that it is who we called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trust {
    /// Whoever answers: encrypted, not proved. For a network of one's own.
    Anybody,
    /// Who has a certificate for the name, or the address, that is called, from an authority that this machine trusts.
    Public,
    /// Whom the node's configuration describes under this number: an authority, a name, a certificate of ours.
    Told(u16),
}

/// Calls peers, and speaks with them in the protocol of `M`.
pub trait Caller<M: Machine>: Send + Sync {
    /// Connects, and says whom the call is for if the peer is to be told ([`Introduction`]).
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

    /// Sends what there is to send, then negotiates TLS with a peer that has just agreed to it, where the callee's security
    /// is [`CallSecurity::StartTls`]. That it is done is told to the machine by who calls this.
    ///
    /// It is an error if the peer said anything in clear behind the line in which it agreed: somebody else may have. After an
    /// error, or when this is dropped before its end, the connection is lost; it never goes on in clear.
    fn start_tls(&mut self) -> BoxFuture<'_, Result<(), Broken>>;

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
