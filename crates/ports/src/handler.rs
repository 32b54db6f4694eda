//! How a role answers the events of a machine, whoever moves the bytes.

use crate::{BoxFuture, Passage, TlsFacts};
use machine::Machine;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Who is at the other end, as the listener saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's address.
    pub address: SocketAddr,
    /// The address it connected to.
    pub local: SocketAddr,
    /// Whether the connection began with TLS.
    pub tls: bool,
}

/// Whom an address counts for: one host of IPv6 has all addresses of a /64 (RFC 4291 §2.5.4), and takes as many as it likes.
pub fn host_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & HOST_MASK).into(),
    }
}

/// IPv6 addresses of one host have these bits in common.
const HOST_MASK: u128 = !0 << 64;

/// What the driver does next with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next event.
    Next,
    /// Send what there is, then call [`Handler::resume`]: the answer goes on and must not be held whole in memory.
    Again,
    /// Send what there is, then negotiate TLS and call [`Handler::on_tls`].
    StartTls,
    /// Send what there is, then ask [`Handler::passage`]: from here on a back-end answers, and octets pass both ways.
    Pass,
    /// Send what there is, then close.
    Close,
}

/// The role's end of a conversation whose syntax `M` knows.
///
/// The driver calls one method at a time. While a method runs, nothing is read from the peer: back-pressure.
pub trait Handler<M: Machine>: Send {
    /// Decides one event and tells the machine.
    fn on_event<'a>(&'a mut self, machine: &'a mut M, event: M::Event) -> BoxFuture<'a, Flow>;

    /// Goes on with an answer for which [`Flow::Again`] was returned; what was queued before has been sent.
    fn resume<'a>(&'a mut self, machine: &'a mut M) -> BoxFuture<'a, Flow> {
        let _ = machine;
        Box::pin(async { Flow::Next })
    }

    /// Completes when the role has something to say unasked (IMAP IDLE, an operator's kick, a stop of the program).
    /// Dropped and called again at will; must not lose a wake-up by that.
    fn wake(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    /// Says it.
    fn on_wake<'a>(&'a mut self, machine: &'a mut M) -> BoxFuture<'a, Flow> {
        let _ = machine;
        Box::pin(async { Flow::Next })
    }

    /// The way to the back-end, once, after [`Flow::Pass`]. While octets pass, the driver goes on to wait for
    /// [`Handler::wake`] whenever the session may be spoken to; [`Handler::on_wake`] then has the machine say what there is
    /// to say, and ends the session with [`Flow::Close`].
    fn passage(&mut self) -> Option<Passage> {
        None
    }

    /// TLS is up, and says so much of the peer; what was learnt before must be forgotten (RFC 3207 §4.2). Where a connection
    /// begins with TLS, whoever makes its handler is told.
    fn on_tls(&mut self, machine: &mut M, facts: TlsFacts) {
        let _ = (machine, facts);
    }

    /// The connection is gone, for whatever reason. Called exactly once.
    fn on_close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}
