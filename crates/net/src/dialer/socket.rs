//! Sockets that we call from.

use crate::drivers::OsRandom;
use crate::listener::tune;
use ports::Random;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use std::io::{self, ErrorKind};
use std::iter;
use std::net::{IpAddr, SocketAddr};
#[cfg(target_os = "linux")]
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

/// Connects, from the first of these addresses that can; from any, if there are none.
pub(super) async fn connect(address: SocketAddr, sources: &[IpAddr]) -> io::Result<TcpStream> {
    let connection = match sources {
        [] => socket(address)?.connect(address).await?,
        _ => from_sources(address, sources).await?,
    };
    tune(&connection)?;
    #[cfg(target_os = "linux")]
    SockRef::from(&connection).set_tcp_user_timeout(Some(UNACKNOWLEDGED_SPAN_MAX))?;
    Ok(connection)
}

/// First from the ports that the system picks. It gives each port of an address away only once, whoever is called; when no
/// address has one left, those that have one share it with a call to another peer.
async fn from_sources(address: SocketAddr, sources: &[IpAddr]) -> io::Result<TcpStream> {
    let mut outcome = Err(ErrorKind::AddrNotAvailable.into());
    for source in sources {
        outcome = from_ports(address, *source, iter::once(0)).await;
        if !is_taken(&outcome) {
            return outcome;
        }
    }
    for source in sources {
        outcome = from_ports(address, *source, some_ports()).await;
        if !is_taken(&outcome) {
            return outcome;
        }
    }
    outcome
}

/// Every port is taken by one who does not share, or by a call to the same peer; or the address is not ours (any more).
fn is_taken(outcome: &io::Result<TcpStream>) -> bool {
    let kind = outcome.as_ref().err().map(io::Error::kind);
    matches!(kind, Some(ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable))
}

/// From the first of these ports from which it can be called.
async fn from_ports(address: SocketAddr, source: IpAddr, ports: impl Iterator<Item = u16>) -> io::Result<TcpStream> {
    let mut outcome = Err(ErrorKind::AddrInUse.into());
    for port in ports {
        outcome = from_port(address, SocketAddr::new(source, port)).await;
        if !is_taken(&outcome) {
            break;
        }
    }
    outcome
}

async fn from_port(address: SocketAddr, source: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(address)?;
    // Shares the port with others of ours that are connected, each to another peer.
    socket.set_reuseaddr(true)?;
    socket.bind(source)?;
    socket.connect(address).await
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

/// Ports of those that are for callers, by chance.
fn some_ports() -> impl Iterator<Item = u16> + Send {
    iter::repeat_with(|| {
        let mut chance = [0; 2];
        OsRandom.fill(&mut chance);
        PORT_MIN + u16::from_ne_bytes(chance) % PORTS
    })
    .take(SHARED_PORTS_TRIED)
}

/// How long what we sent may go without an acknowledgement (RFC 5482) before the connection is given up: a node that lost
/// its power says nothing, and the system alone would try for a quarter of an hour.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_SPAN_MAX: Duration = Duration::from_secs(60);
/// The lowest port that Linux gives to callers …
const PORT_MIN: u16 = 32768;
/// … and how many there are.
const PORTS: u16 = 28232;
/// How many are tried when the system has none left. Few are in use for the same peer, if it is not the only one.
const SHARED_PORTS_TRIED: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn calls_to_different_peers_share_a_port() {
        let ours: IpAddr = "127.0.0.6".parse().unwrap();
        let one = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (one, other) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let to_one = connect(one, &[ours]).await.unwrap();
        let port = to_one.local_addr().unwrap().port();
        // A port of one who listens is not shared.
        let listening = TcpListener::bind((ours, 0)).await.unwrap();
        let taken = listening.local_addr().unwrap().port();

        let again = from_ports(one, ours, [taken, port].into_iter()).await.expect_err("both are taken");
        assert!(matches!(again.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable), "{again}");
        let to_other = from_ports(other, ours, [taken, port].into_iter()).await.expect("shared");
        assert_eq!(to_other.local_addr().unwrap(), SocketAddr::new(ours, port));
    }

    #[test]
    fn ports_are_those_of_callers() {
        let ports: Vec<u16> = some_ports().collect();
        assert_eq!(ports.len(), SHARED_PORTS_TRIED);
        assert!(ports.iter().all(|port| (32768..61000).contains(port)), "{ports:?}");
    }
}
