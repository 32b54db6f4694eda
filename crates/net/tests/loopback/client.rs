//! Calling a server.

use crate::tls::Certificate;
use crate::toy::{PIECE, Role, Toy, drain, pair, strings};
use bytes::Bytes;
use net::{ConnectError, Conversation, Stream, connect, serve};
use std::time::Duration;

#[tokio::test]
async fn a_client_speaks_first() {
    let certificate = Certificate::new("mail.example");
    let (strings, _events) = strings();
    let (server, client) = pair().await;
    tokio::spawn(serve(Stream::plain(server), Toy::default(), Role::new(&strings), Some(certificate.server())));
    let mut call = Conversation::new(Stream::plain(client), Toy::default());
    call.machine().say("echo one\r\nstarttls\r\n");
    assert_eq!(call.next().await.expect("an answer").as_deref(), Some("one"));
    assert_eq!(call.next().await.expect("an answer").as_deref(), Some("go"));
    call.start_tls(&certificate.client(), "mail.example").await.expect("a handshake");
    call.machine().say("echo two\r\nquit\r\n");
    assert_eq!(call.next().await.expect("an answer").as_deref(), Some("two"));
    assert_eq!(call.next().await.expect("an answer").as_deref(), Some("bye"));
    assert_eq!(call.next().await.expect("an end"), None);
    call.close().await.expect("a polite end");
}

#[tokio::test]
async fn a_long_body_goes_out_piece_by_piece() {
    let (server, client) = pair().await;
    let mut call = Conversation::new(Stream::plain(client), Toy::default());
    // Dropping the server's end ends the call, which waits a moment for that.
    let reading = async move {
        let mut server = server;
        drain(&mut server).await
    };
    let writing = async {
        for _ in 0..100 {
            call.machine().say(Bytes::from_static(PIECE));
            assert_eq!(call.sent().await.expect("sent"), None);
        }
        call.close().await.expect("closed");
    };
    let (octets, ()) = tokio::join!(reading, writing);
    assert_eq!(octets, 100 * PIECE.len());
}

#[tokio::test]
async fn a_closed_port_is_named() {
    // Bound but not listening: nobody else gets the port, and connecting is refused.
    let held = tokio::net::TcpSocket::new_v4().expect("a socket");
    held.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let address = held.local_addr().expect("bound");
    let error = connect(address, Duration::from_secs(30)).await.expect_err("nobody there");
    assert!(matches!(error, ConnectError::Refused { address: named, .. } if named == address));
}
