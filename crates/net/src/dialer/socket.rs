//! Sockets that we call from.

use crate::listener::tune;
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

/// Connects, from that address if there is one.
pub(super) async fn connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let connection = socket.connect(address).await?;
    tune(&connection)?;
    #[cfg(target_os = "linux")]
    SockRef::from(&connection).set_tcp_user_timeout(Some(UNACKNOWLEDGED_SPAN_MAX))?;
    Ok(connection)
}

/// How long what we sent may go without an acknowledgement (RFC 5482) before the connection is given up: a node that lost
/// its power says nothing, and the system alone would try for a quarter of an hour.
const UNACKNOWLEDGED_SPAN_MAX: Duration = Duration::from_secs(60);
