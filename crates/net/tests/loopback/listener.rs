//! Who may come in, and how a program stops.

use crate::tls::Certificate;
use crate::toy::{Role, Strings, Toy, drain, expect, say, strings};
use bytes::Bytes;
use net::{Bound, Listener, ListenerHandle, ListenerOptions, Security, Shutdown, Stopper, Stream, serve};
use ports::Peer;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) fn options(security: Security) -> ListenerOptions {
    ListenerOptions {
        name: "toy".to_owned(),
        security,
        connections_max: 2,
        connections_per_address_max: 2,
        proxy_from: None,
        refusal: Bytes::from_static(b"too many\r\n"),
    }
}

/// A running listener.
pub(crate) struct Inn {
    pub(crate) address: SocketAddr,
    stopper: Stopper,
    handle: ListenerHandle,
    running: JoinHandle<()>,
    pub(crate) peers: mpsc::UnboundedReceiver<Peer>,
}

pub(crate) fn open(options: ListenerOptions, strings: &Strings) -> Inn {
    let listener = Listener::bind("127.0.0.1:0".parse().expect("an address"), options).expect("a free port");
    let (address, handle) = (listener.local_address(), listener.handle());
    let (stopper, shutdown): (Stopper, Shutdown) = Stopper::new();
    let (tell, peers) = mpsc::unbounded_channel();
    let strings = strings.clone();
    let running = tokio::spawn(listener.run(shutdown, move |stream: Stream, peer| {
        let _ = tell.send(peer);
        let role = Role::new(&strings);
        async move {
            let _ = serve(stream, Toy::default(), role, None).await;
        }
    }));
    Inn { address, stopper, handle, running, peers }
}

#[tokio::test]
async fn guests_beyond_the_seats_hear_why() {
    let (strings, _events) = strings();
    let mut inn = open(options(Security::Plain), &strings);
    let mut first = TcpStream::connect(inn.address).await.expect("in");
    let mut second = TcpStream::connect(inn.address).await.expect("in");
    say(&mut first, "echo one\r\n").await;
    expect(&mut first, "one\r\n").await;
    let mut third = TcpStream::connect(inn.address).await.expect("connected");
    expect(&mut third, "too many\r\n").await;
    assert_eq!(drain(&mut third).await, 0);

    let peer = inn.peers.recv().await.expect("a guest");
    assert_eq!((peer.address, peer.local), (first.local_addr().expect("bound"), inn.address));
    assert!(!peer.tls);

    // A seat that is free again can be taken; when it is, only the server knows.
    say(&mut second, "quit\r\n").await;
    expect(&mut second, "bye\r\n").await;
    drop(second);
    loop {
        let mut next = TcpStream::connect(inn.address).await.expect("connected");
        say(&mut next, "echo in\r\n").await;
        let mut heard = String::new();
        let mut next = tokio::io::BufReader::new(next);
        if tokio::io::AsyncBufReadExt::read_line(&mut next, &mut heard).await.is_ok() && heard == "in\r\n" {
            break;
        }
    }
}

#[tokio::test]
async fn one_address_may_not_take_all_seats() {
    let (strings, _events) = strings();
    let inn = open(ListenerOptions { connections_per_address_max: 1, ..options(Security::Plain) }, &strings);
    let mut first = TcpStream::connect(inn.address).await.expect("in");
    say(&mut first, "echo one\r\n").await;
    expect(&mut first, "one\r\n").await;
    let mut second = TcpStream::connect(inn.address).await.expect("connected");
    expect(&mut second, "too many\r\n").await;
    assert_eq!((inn.handle.accepted(), inn.handle.refused(), inn.handle.without_tls()), (1, 1, 0));
    inn.handle.set_limits(2, 2);
    let mut third = TcpStream::connect(inn.address).await.expect("connected");
    say(&mut third, "echo in\r\n").await;
    expect(&mut third, "in\r\n").await;
}

#[tokio::test]
async fn tls_from_the_first_octet() {
    let certificate = Certificate::new("mail.example");
    let (strings, _events) = strings();
    let mut inn = open(options(Security::Tls(certificate.server())), &strings);
    let span = std::time::Duration::from_secs(30);
    let mut client = certificate.client().connect(inn.address, "mail.example", span).await.expect("in");
    assert!(client.is_tls());
    say(&mut client, "quit\r\n").await;
    expect(&mut client, "bye\r\n").await;
    assert!(inn.peers.recv().await.expect("a guest").tls);
}

#[tokio::test]
async fn a_stop_waits_for_those_who_are_in() {
    let (strings, _events) = strings();
    let inn = open(options(Security::Plain), &strings);
    let mut guest = TcpStream::connect(inn.address).await.expect("in");
    say(&mut guest, "echo one\r\n").await;
    expect(&mut guest, "one\r\n").await;
    inn.stopper.drain();
    // The socket is closed once nobody can connect; until then the connection may still be taken into the backlog.
    while TcpStream::connect(inn.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!inn.running.is_finished());
    say(&mut guest, "echo two\r\nquit\r\n").await;
    expect(&mut guest, "two\r\nbye\r\n").await;
    drop(guest);
    inn.running.await.expect("no panic");
}

#[tokio::test]
async fn a_cut_waits_for_nobody_but_the_roles_are_told() {
    let (strings, mut events) = strings();
    let inn = open(options(Security::Plain), &strings);
    let mut guest = TcpStream::connect(inn.address).await.expect("in");
    say(&mut guest, "echo one\r\nhang\r\n").await;
    expect(&mut guest, "one\r\n").await;
    inn.stopper.cut();
    inn.running.await.expect("no panic");
    assert_eq!(drain(&mut guest).await, 0);
    assert_eq!(events.recv().await, Some("close"));
}

#[tokio::test]
async fn what_is_bound_does_not_listen_yet() {
    let bound = Bound::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = Listener::on(bound, options(Security::Plain)).expect("it listens");
    TcpStream::connect(listener.local_address()).await.expect("taken into the backlog");
    let bound = Bound::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let socket = bound.listen().expect("it listens");
    let address = socket.local_addr().expect("bound");
    drop(socket);
    let bound = Bound::bind(address).expect("free again");
    assert!(TcpStream::connect(address).await.is_err(), "bound only");
    drop(bound);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let (strings, _events) = strings();
    let inn = open(options(Security::Plain), &strings);
    let error = Listener::bind(inn.address, options(Security::Plain)).expect_err("in use");
    assert_eq!(error.to_string(), format!("cannot listen on {}", inn.address));
}
