//! What only shows from inside: how a session was agreed on.

use super::*;
use rustls::HandshakeKind;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A session that is resumed is of a peer that was verified when it began, and what it showed then is still known.
#[tokio::test]
async fn resumed_sessions_are_of_members() {
    let path = std::env::temp_dir().join(format!("net-resumed-{}", std::process::id()));
    std::fs::write(&path, [b's'; 40]).unwrap();
    let cluster = ClusterTls::from_secret_file(&path).unwrap();
    assert_eq!(shake(&cluster, &cluster).await, (HandshakeKind::Full, true));
    assert_eq!(shake(&cluster, &cluster).await, (HandshakeKind::Resumed, true));
    // Who knows the secret, but has no session of this server, begins anew.
    let other = ClusterTls::from_secret_file(&path).unwrap();
    assert_eq!(shake(&cluster, &other).await, (HandshakeKind::Full, true));
    // A server that has read its files again knows no session of before.
    cluster.server.exchange(cluster.identity.server().unwrap());
    assert_eq!(shake(&cluster, &other).await, (HandshakeKind::Full, true));
    std::fs::remove_file(&path).unwrap();
}

/// How they agreed, as the server saw it, and whether it knows the caller's certificate.
async fn shake(server: &ClusterTls, client: &ClusterTls) -> (HandshakeKind, bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(address));
    let name = ServerName::try_from("node.example").unwrap();
    let (acceptor, connector) = (server.server.acceptor(), client.client.connector());
    let (accepted, connected) =
        tokio::join!(acceptor.accept(accepted.unwrap().0), connector.connect(name, connected.unwrap()));
    let (mut accepted, mut connected) = (accepted.unwrap(), connected.unwrap());
    // Tickets come with the first octets.
    accepted.write_all(b"x").await.unwrap();
    accepted.flush().await.unwrap();
    connected.read_exact(&mut [0]).await.unwrap();
    let state = accepted.get_ref().1;
    (state.handshake_kind().unwrap(), state.peer_certificates().is_some_and(|chain| !chain.is_empty()))
}
