//! Calls, as roles make them: through the ports.

use crate::listener::{open, options};
use crate::toy::{Toy, expect, pair, say, strings};
use net::{Dialer, ListenerOptions, Security, Stream};
use ports::{Call, CallSecurity, Callee, Caller, Introduction, Peer, Unavailable};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

pub(crate) fn callee(hosts: &[&str], port: u16, security: CallSecurity) -> Callee {
    let introduction = match security {
        CallSecurity::Cluster => Introduction::ProxyV2,
        CallSecurity::Plain | CallSecurity::Tls(_) | CallSecurity::StartTls(_) => Introduction::Nobody,
    };
    Callee {
        hosts: hosts.iter().map(|host| Box::from(*host)).collect(),
        port,
        security,
        introduction,
        sources: [].into(),
    }
}

pub(crate) async fn call(
    dialer: &Dialer,
    to: &Callee,
    behalf_of: Option<Peer>,
) -> Result<Box<dyn Call<Toy>>, Unavailable> {
    dialer.call(to, behalf_of, Toy::default()).await
}

pub(crate) async fn failure(dialer: &Dialer, to: &Callee) -> Unavailable {
    call(dialer, to, None).await.err().expect("nobody answers")
}

pub(crate) fn peer(address: &str, local: &str) -> Peer {
    Peer { address: address.parse().expect("an address"), local: local.parse().expect("an address"), tls: true }
}

#[tokio::test]
async fn a_call_goes_through_the_port() {
    let (strings, _events) = strings();
    let inn = open(options(Security::Plain), &strings);
    let to = callee(&["127.0.0.1"], inn.address.port(), CallSecurity::Plain);
    let mut conversation = call(&Dialer::new(), &to, None).await.expect("an answer");
    conversation.machine().say("echo one\r\necho two\r\n");
    assert_eq!(conversation.next().await.expect("an answer").as_deref(), Some("one"));
    assert_eq!(conversation.next().await.expect("an answer").as_deref(), Some("two"));
    conversation.machine().say("quit\r\n");
    assert_eq!(conversation.sent().await.expect("sent"), None);
    assert_eq!(conversation.next().await.expect("an answer").as_deref(), Some("bye"));
    assert_eq!(conversation.next().await.expect("an end"), None);
    conversation.close().await;
}

#[tokio::test]
async fn parts_go_on_without_the_machine() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let to = callee(&["127.0.0.1"], port, CallSecurity::Plain);
    let (called, accepted) = tokio::join!(listener.accept(), async { call(&Dialer::new(), &to, None).await });
    let (mut server, _) = called.expect("accepted");
    let (mut wire, _machine) = accepted.expect("an answer").into_parts();
    say(&mut server, "hello\r\n").await;
    let mut heard = [0; 64];
    let octets = std::future::poll_fn(|cx| wire.poll_read(cx, &mut heard)).await.expect("read");
    assert_eq!(heard.get(..octets), Some(&b"hello\r\n"[..]));
    let written = std::future::poll_fn(|cx| wire.poll_write(cx, b"you\r\n")).await.expect("written");
    assert_eq!(written, 5);
    std::future::poll_fn(|cx| wire.poll_flush(cx)).await.expect("flushed");
    std::future::poll_fn(|cx| wire.poll_shutdown(cx)).await.expect("ended");
    expect(&mut server, "you\r\n").await;
    assert_eq!(server.read(&mut heard).await.expect("an end"), 0);
}

#[tokio::test]
async fn the_next_host_is_tried() {
    let (strings, _events) = strings();
    let mut inn = open(options(Security::Plain), &strings);
    // Nobody listens at the second; the third is a name.
    let hosts = ["no.such.host.invalid", "127.0.0.2", "localhost"];
    let to = callee(&hosts, inn.address.port(), CallSecurity::Plain);
    let conversation = call(&Dialer::new(), &to, None).await.expect("an answer");
    assert!(inn.peers.recv().await.is_some());
    conversation.close().await;
}

#[tokio::test]
async fn who_does_not_answer_is_named_with_the_reason() {
    let held = tokio::net::TcpSocket::new_v4().expect("a socket");
    held.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let port = held.local_addr().expect("bound").port();
    let to = callee(&["127.0.0.1", "no.such.host.invalid"], port, CallSecurity::Plain);
    let Unavailable { what, why } = failure(&Dialer::new(), &to).await;
    assert_eq!(what, format!("127.0.0.1:{port}, no.such.host.invalid:{port}"));
    assert!(why.starts_with(&format!("127.0.0.1 (127.0.0.1:{port}): cannot connect: Connection refused")), "{why}");
    assert!(why.contains("; no.such.host.invalid: its address "), "{why}");

    assert_eq!(failure(&Dialer::new(), &callee(&[], 1, CallSecurity::Plain)).await.why, "it has no host");
    let (strings, _events) = strings();
    let inn = open(options(Security::Plain), &strings);
    let to = callee(&["127.0.0.1"], inn.address.port(), CallSecurity::Cluster);
    let why = failure(&Dialer::new(), &to).await.why;
    assert!(why.ends_with("this node has no TLS of a cluster"), "{why}");
}

#[tokio::test]
async fn calls_come_from_the_address_that_was_chosen() {
    let (strings, _events) = strings();
    let mut inn = open(options(Security::Plain), &strings);
    let to = callee(&["127.0.0.1"], inn.address.port(), CallSecurity::Plain);
    let from = |sources: &[&str]| {
        let sources: Vec<IpAddr> = sources.iter().map(|source| source.parse().expect("an address")).collect();
        Dialer::new().with_sources(sources)
    };
    let conversation = call(&from(&["::1", "127.0.0.5"]), &to, None).await.expect("an answer");
    assert_eq!(inn.peers.recv().await.expect("a guest").address.ip().to_string(), "127.0.0.5");
    conversation.close().await;
    // A callee's own come first, in turn; one that this machine does not have, or whose ports are all taken, is passed over.
    let sources =
        ["192.0.2.77", "127.0.0.7", "::1", "127.0.0.8"].map(|source| source.parse::<IpAddr>().expect("an address"));
    let (own, dialer) = (Callee { sources: sources.into(), ..to.clone() }, from(&["127.0.0.5"]));
    let mut seen = Vec::new();
    for _ in 0..3 {
        let conversation = call(&dialer, &own, None).await.expect("an answer");
        seen.push(inn.peers.recv().await.expect("a guest").address.ip().to_string());
        conversation.close().await;
    }
    seen.sort();
    assert_eq!(seen, ["127.0.0.7", "127.0.0.7", "127.0.0.8"]);
    let why = failure(&from(&["::1"]), &to).await.why;
    assert!(why.ends_with("we have no address of that family to call from"), "{why}");
}

#[tokio::test]
async fn the_peer_is_told_whom_a_call_is_for() {
    let (strings, _events) = strings();
    let proxy_from = Some(Arc::new(["127.0.0.1".parse().expect("a network")]) as Arc<[_]>);
    let mut inn = open(ListenerOptions { proxy_from, ..options(Security::Plain) }, &strings);
    let to = callee(&["127.0.0.1"], inn.address.port(), CallSecurity::Plain);
    let to = |introduction| Callee { introduction, ..to.clone() };
    for (client, server, heard) in [
        ("192.0.2.1:1000", "198.51.100.7:993", "192.0.2.1:1000"),
        ("[2001:db8::1]:1000", "[2001:db8::2]:993", "[2001:db8::1]:1000"),
        ("[::ffff:192.0.2.1]:1000", "[::ffff:198.51.100.7]:993", "192.0.2.1:1000"),
    ] {
        for introduction in [Introduction::ProxyV1, Introduction::ProxyV2] {
            let (to, peer) = (to(introduction), peer(client, server));
            let mut conversation = call(&Dialer::new(), &to, Some(peer)).await.expect("an answer");
            conversation.machine().say("echo in\r\n");
            assert_eq!(conversation.next().await.expect("an answer").as_deref(), Some("in"));
            let guest = inn.peers.recv().await.expect("a guest");
            assert_eq!((guest.address.to_string(), guest.local.port()), (heard.to_owned(), 993));
            conversation.close().await;
        }
    }
}

/// What breaks is told with its cause.
#[tokio::test]
async fn a_call_that_breaks_says_so() {
    let (server, client) = pair().await;
    let mut conversation: Box<dyn Call<Toy>> = Box::new(net::Conversation::new(Stream::plain(client), Toy::default()));
    server.set_zero_linger().expect("set");
    drop(server);
    let broken = conversation.next().await.expect_err("reset");
    assert!(broken.to_string().starts_with("the connection broke: Connection reset"), "{broken}");
}

/// An address that nobody has, of a network for documentation, may be refused or stay silent; it never takes for ever.
#[tokio::test(start_paused = true)]
async fn silence_has_its_time() {
    let to = callee(&["192.0.2.255"], 24, CallSecurity::Plain);
    let started = tokio::time::Instant::now();
    assert!(!failure(&Dialer::new(), &to).await.why.is_empty());
    assert!(started.elapsed() <= net::CONNECT_SPAN_MAX + std::time::Duration::from_millis(10));
}
