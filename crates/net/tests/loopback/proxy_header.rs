//! Balancers, and those who pretend to be one.

use crate::listener::{Inn, open, options};
use crate::tls::Certificate;
use crate::toy::{expect, say, strings};
use net::{ListenerOptions, Security, Stream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Behind balancers in this network.
fn behind(network: &str, security: Security) -> ListenerOptions {
    ListenerOptions { proxy_from: Some(Arc::new([network.parse().expect("a network")])), ..options(security) }
}

/// Connects, says that, and is closed without an answer; whether by a reset is not known.
async fn is_turned_away(inn: &Inn, text: &[u8]) {
    let mut client = TcpStream::connect(inn.address).await.expect("connected");
    let _whether_it_was_taken = client.write_all(text).await;
    let mut heard = Vec::new();
    let _how_it_ended = client.read_to_end(&mut heard).await;
    assert_eq!(heard.escape_ascii().to_string(), "");
}

#[tokio::test]
async fn the_header_says_who_is_there() {
    let (strings, _events) = strings();
    let mut inn = open(behind("127.0.0.0/8", Security::Plain), &strings);
    let mut client = TcpStream::connect(inn.address).await.expect("in");
    say(&mut client, "PROXY TCP4 192.0.2.1 198.51.100.7 56324 25\r\necho one\r\nquit\r\n").await;
    expect(&mut client, "one\r\nbye\r\n").await;
    let peer = inn.peers.recv().await.expect("a guest");
    assert_eq!(
        (peer.address.to_string(), peer.local.to_string()),
        ("192.0.2.1:56324".into(), "198.51.100.7:25".into())
    );

    // Octet by octet, version 2, as long as it likes to take.
    let mut client = TcpStream::connect(inn.address).await.expect("in");
    client.set_nodelay(true).expect("set");
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\0\x02\x09\xc6\x33\x64\x07\0\x07\0\x19\x04\0\0";
    for octet in header.chunks(1) {
        client.write_all(octet).await.expect("written");
        tokio::task::yield_now().await;
    }
    say(&mut client, "quit\r\n").await;
    expect(&mut client, "bye\r\n").await;
    assert_eq!(inn.peers.recv().await.expect("a guest").address.to_string(), "192.0.2.9:7");
}

#[tokio::test]
async fn a_balancer_that_asks_for_itself_keeps_its_address() {
    let (strings, _events) = strings();
    let mut inn = open(behind("127.0.0.1", Security::Plain), &strings);
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut client = TcpStream::connect(inn.address).await.expect("in");
        client.write_all(header).await.expect("written");
        say(&mut client, "quit\r\n").await;
        expect(&mut client, "bye\r\n").await;
        let peer = inn.peers.recv().await.expect("a guest");
        assert_eq!((peer.address, peer.local), (client.local_addr().expect("bound"), inn.address));
    }
}

#[tokio::test]
async fn the_header_comes_before_tls() {
    let certificate = Certificate::new("mail.example");
    let (strings, _events) = strings();
    let mut inn = open(behind("127.0.0.1", Security::Tls(certificate.server())), &strings);
    let mut socket = TcpStream::connect(inn.address).await.expect("in");
    say(&mut socket, "PROXY TCP6 2001:db8::1 2001:db8::2 1000 995\r\n").await;
    let mut client =
        Stream::plain(socket).connect_tls(&certificate.client(), "mail.example").await.expect("a handshake");
    say(&mut client, "quit\r\n").await;
    expect(&mut client, "bye\r\n").await;
    let peer = inn.peers.recv().await.expect("a guest");
    assert_eq!((peer.address.to_string(), peer.tls), ("[2001:db8::1]:1000".into(), true));
}

#[tokio::test]
async fn without_a_header_nobody_comes_in() {
    let (strings, _events) = strings();
    let mut inn = open(behind("127.0.0.1", Security::Plain), &strings);
    for text in [&b"echo one\r\n"[..], b"PROXY TCP4 nonsense\r\necho one\r\n", b"\x16\x03\x01", &[b'P'; 5000]] {
        is_turned_away(&inn, text).await;
    }
    // One that ends within the header.
    let mut client = TcpStream::connect(inn.address).await.expect("connected");
    say(&mut client, "PROXY TCP4 192.0").await;
    client.shutdown().await.expect("half closed");
    assert_eq!(crate::toy::drain(&mut client).await, 0);
    assert!(inn.peers.try_recv().is_err(), "no session ever began");
}

#[tokio::test]
async fn who_is_no_balancer_is_not_heard() {
    let (strings, _events) = strings();
    let mut inn = open(behind("192.0.2.0/24", Security::Plain), &strings);
    is_turned_away(&inn, b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 25\r\necho one\r\n").await;
    assert!(inn.peers.try_recv().is_err(), "no session ever began");
}

#[tokio::test]
async fn a_header_has_its_time() {
    let (strings, _events) = strings();
    let inn = open(behind("127.0.0.1", Security::Plain), &strings);
    let started = Instant::now();
    let mut client = TcpStream::connect(inn.address).await.expect("connected");
    say(&mut client, "PROXY TCP4 ").await;
    assert_eq!(crate::toy::drain(&mut client).await, 0);
    let waited = started.elapsed();
    assert!(waited + Duration::from_millis(100) >= net::PROXY_HEADER_SPAN_MAX, "{waited:?}");
}

/// It is the client that may not take all seats, not the balancer.
#[tokio::test]
async fn seats_are_counted_by_client() {
    let (strings, _events) = strings();
    let limits = ListenerOptions { connections_per_address_max: 1, ..behind("127.0.0.1", Security::Plain) };
    let inn = open(ListenerOptions { connections_max: 3, ..limits }, &strings);
    let mut guests = Vec::new();
    for address in ["192.0.2.1", "192.0.2.2"] {
        let mut guest = TcpStream::connect(inn.address).await.expect("in");
        say(&mut guest, &format!("PROXY TCP4 {address} 198.51.100.7 1 25\r\necho in\r\n")).await;
        expect(&mut guest, "in\r\n").await;
        guests.push(guest);
    }
    let mut again = TcpStream::connect(inn.address).await.expect("connected");
    say(&mut again, "PROXY TCP4 192.0.2.1 198.51.100.7 2 25\r\n").await;
    expect(&mut again, "too many\r\n").await;
}
