//! Back-ends of another make, with TLS from the first octet: whom we believe, what we show, and who is called.

use crate::cluster::{Authority, Folder, answered};
use crate::dialer::{call, callee, failure, peer};
use crate::listener::{Inn, open, options};
use crate::toy::{Strings, expect, strings};
use net::{
    CALL_HANDSHAKE_SPAN_MAX, CONNECT_SPAN_MAX, CertificateFiles, ClientTls, Dialer, ListenerOptions, Security,
    ServerTls, TlsError,
};
use ports::{CallSecurity, Callee, Introduction, Trust};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

/// A back-end with a certificate for that name.
fn backend(authority: &Authority, name: &str, strings: &Strings) -> (Inn, Callee) {
    let inn = open(options(Security::Tls(server(authority, name))), strings);
    let to = callee(&["127.0.0.1"], inn.address.port(), CallSecurity::Tls(Trust::Told(0)));
    (inn, to)
}

pub(crate) fn server(authority: &Authority, name: &str) -> ServerTls {
    authority.issue(name);
    let (certificate, key) = (authority.path(&format!("{name}.pem")), authority.path(&format!("{name}.key")));
    ServerTls::from_pem_files(&CertificateFiles { certificate, key }, &[]).expect("a server")
}

pub(crate) fn trusting(authority: &Authority) -> ClientTls {
    ClientTls::verified_by(&authority.path("authority.pem")).expect("a client")
}

fn told(tls: ClientTls) -> Dialer {
    Dialer::new().with_told(vec![tls])
}

#[tokio::test]
async fn a_certificate_must_come_from_the_authority_and_name_the_host() {
    let (strings, _events) = strings();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (mut inn, to) = backend(&ours, "127.0.0.1", &strings);
    answered(&told(trusting(&ours)), &to).await.expect("the address is named");
    assert!(inn.peers.recv().await.expect("a guest").tls);

    let why = answered(&told(trusting(&theirs)), &to).await.expect_err("another authority");
    assert!(
        why.contains("no TLS, its certificate is from nobody whom we trust") && why.contains("UnknownIssuer"),
        "{why}"
    );
    let localhost = Callee { hosts: [Box::from("localhost")].into(), ..to.clone() };
    let why = answered(&told(trusting(&ours)), &localhost).await.expect_err("another name");
    assert!(why.contains("its certificate is for another name") && why.contains("not valid for name"), "{why}");
    assert!(inn.peers.try_recv().is_err(), "no session began");

    // Called by name where the certificate has a name.
    let (_inn, to) = backend(&ours, "localhost", &strings);
    answered(&told(trusting(&ours)), &to).await.expect_err("the address is not named");
    let localhost = Callee { hosts: [Box::from("localhost")].into(), ..to };
    answered(&told(trusting(&ours)), &localhost).await.expect("the name is");
}

#[tokio::test]
async fn a_fixed_name_stands_for_every_host() {
    let (strings, _events) = strings();
    let authority = Authority::new();
    let (_inn, to) = backend(&authority, "mail.example", &strings);
    let named = |name: &str| told(trusting(&authority).with_server_name(name).expect("a name"));
    answered(&named("mail.example"), &to).await.expect("the name is fixed");
    let why = answered(&named("127.0.0.1"), &to).await.expect_err("another");
    assert!(why.contains("not valid for name"), "{why}");
    let error = ClientTls::unverified().with_server_name("no name").expect_err("a space");
    assert_eq!(error.to_string(), "\"no name\" is not the name of a server");
    assert_eq!(error.path(), None);
}

#[tokio::test]
async fn trust_is_given_as_it_was_asked() {
    let (strings, _events) = strings();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (mut inn, to) = backend(&ours, "mail.example", &strings);
    let trust = |trust| Callee { security: CallSecurity::Tls(trust), ..to.clone() };
    answered(&Dialer::new(), &trust(Trust::Anybody)).await.expect("anybody");
    assert!(inn.peers.recv().await.is_some());

    let public = |authority| trusting(authority).with_server_name("mail.example").expect("a name");
    answered(&Dialer::new().with_public(public(&ours)), &trust(Trust::Public)).await.expect("trusted");
    assert!(inn.peers.recv().await.is_some());
    answered(&Dialer::new().with_public(public(&theirs)), &trust(Trust::Public)).await.expect_err("not trusted");
    answered(&Dialer::new(), &trust(Trust::Public)).await.expect_err("no machine trusts an authority of ours");

    let why = answered(&told(public(&ours)), &trust(Trust::Told(1))).await.expect_err("there is one");
    assert_eq!(why, "this node was not told what number 1 demands of TLS");
    assert!(inn.peers.try_recv().is_err(), "nobody else came in");
}

#[tokio::test]
async fn a_certificate_is_shown_to_who_demands_one() {
    let (strings, _events) = strings();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let mut inn = open(options(Security::Tls(ours.node("127.0.0.1").server())), &strings);
    let to = callee(&["127.0.0.1"], inn.address.port(), CallSecurity::Tls(Trust::Told(0)));
    answered(&told(trusting(&ours)), &to).await.expect_err("no certificate");
    let showing = |authority: &Authority, name: &str| {
        authority.issue(name);
        let (certificate, key) = (authority.path(&format!("{name}.pem")), authority.path(&format!("{name}.key")));
        trusting(&ours).with_certificate(&certificate, &key).expect("a certificate")
    };
    answered(&told(showing(&theirs, "proxy.example")), &to).await.expect_err("of another authority");
    assert!(inn.peers.try_recv().is_err(), "no session began");
    let shown = showing(&ours, "proxy.example");
    answered(&told(shown.clone()), &to).await.expect("shown");
    let named = shown.clone().with_server_name("127.0.0.1").expect("a name");
    answered(&told(named), &to).await.expect("shown under a fixed name, too");

    assert_eq!(format!("{shown:?}"), "ClientTls { name: None, .. }", "nothing of keys");
    let (certificate, other) = (ours.path("proxy.example.pem"), ours.path("127.0.0.1.key"));
    let misfit = trusting(&ours).with_certificate(&certificate, &other).expect_err("of another key");
    assert!(matches!(misfit, TlsError::Misfit { key, .. } if key == other));
}

#[tokio::test]
async fn demands_change_while_the_dialer_runs() {
    let (strings, _events) = strings();
    let (old, new) = (Authority::new(), Authority::new());
    let (_inn, to) = backend(&old, "127.0.0.1", &strings);
    let tls = trusting(&old);
    let dialer = told(tls.clone());
    answered(&dialer, &to).await.expect("trusted");
    tls.follow(&trusting(&new));
    let why = answered(&dialer, &to).await.expect_err("not any more");
    assert!(why.contains("UnknownIssuer"), "{why}");
}

/// Without one authority nobody is ever trusted: that is found when the file is read, not at the first call.
#[test]
fn a_file_without_an_authority_is_refused() {
    let folder = Folder::new();
    let junk = folder.file("junk.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    let error = ClientTls::verified_by(&junk).expect_err("junk");
    assert!(matches!(error, TlsError::NoCertificate { path } if path == junk));
}

/// Ends every connection at once; how many there were.
fn slammer(listener: TcpListener) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(connection);
        }
    });
    count
}

#[tokio::test]
async fn who_did_not_answer_is_called_again_only_if_nobody_else_answers() {
    let (strings, _events) = strings();
    let authority = Authority::new();
    let (inn, to) = backend(&authority, "mail.example", &strings);
    let dead = TcpListener::bind(("127.0.0.3", inn.address.port())).await.expect("the same port elsewhere");
    let tried = slammer(dead);
    let to = Callee { hosts: [Box::from("127.0.0.3"), Box::from("127.0.0.1")].into(), ..to };
    let named = trusting(&authority).with_server_name("mail.example").expect("a name");
    let dialer = told(named.clone());
    for _ in 0..3 {
        answered(&dialer.clone(), &to).await.expect("the second host");
    }
    assert_eq!(tried.load(Ordering::Relaxed), 1, "known to the clones");
    answered(&told(named), &to).await.expect("the second host");
    assert_eq!(tried.load(Ordering::Relaxed), 2, "who knows nothing tries");

    let alone = Callee { hosts: [Box::from("127.0.0.3")].into(), ..to };
    let why = answered(&dialer, &alone).await.expect_err("dead");
    assert!(why.starts_with("127.0.0.3 (127.0.0.3:"), "{why}");
    assert_eq!(tried.load(Ordering::Relaxed), 3, "there is no other");
}

/// A system that accepts for a process that hangs: nobody shakes hands.
#[tokio::test(start_paused = true)]
async fn a_handshake_has_its_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = silent.local_addr().expect("bound").port();
    let to = callee(&["127.0.0.1"], port, CallSecurity::Tls(Trust::Anybody));
    let started = tokio::time::Instant::now();
    assert!(!failure(&Dialer::new(), &to).await.why.is_empty());
    let most = CONNECT_SPAN_MAX + CALL_HANDSHAKE_SPAN_MAX;
    assert!(started.elapsed() <= most + std::time::Duration::from_millis(10), "{:?}", started.elapsed());
}

#[tokio::test]
async fn only_who_asks_for_a_header_gets_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let quiet = callee(&["127.0.0.1"], port, CallSecurity::Plain);
    let client = peer("192.0.2.1:1000", "198.51.100.7:993");
    let introduced = Callee { introduction: Introduction::ProxyV2, ..quiet.clone() };
    for (to, behalf_of, first) in [
        (&quiet, Some(client), "echo in\r\n"),
        (&quiet, None, "echo in\r\n"),
        (&introduced, Some(client), "\r\n\r\n\0\r\nQUIT\n!"),
        (&introduced, None, "\r\n\r\n\0\r\nQUIT\n "),
    ] {
        let dialer = Dialer::new();
        let (accepted, called) = tokio::join!(listener.accept(), call(&dialer, to, behalf_of));
        let (mut server, mut conversation) = (accepted.expect("accepted").0, called.expect("an answer"));
        conversation.machine().say("echo in\r\n");
        assert_eq!(conversation.sent().await.expect("sent"), None);
        expect(&mut server, first).await;
    }
}

/// In clear, before the handshake.
#[tokio::test]
async fn a_header_comes_before_tls() {
    let (strings, _events) = strings();
    let authority = Authority::new();
    let proxy_from = Some(Arc::new(["127.0.0.1".parse().expect("a network")]) as Arc<[_]>);
    let security = Security::Tls(server(&authority, "127.0.0.1"));
    let mut inn = open(ListenerOptions { proxy_from, ..options(security) }, &strings);
    let to = callee(&["127.0.0.1"], inn.address.port(), CallSecurity::Tls(Trust::Told(0)));
    let to = Callee { introduction: Introduction::ProxyV2, ..to };
    let client = peer("192.0.2.1:1000", "198.51.100.7:993");
    let mut conversation = call(&told(trusting(&authority)), &to, Some(client)).await.expect("an answer");
    conversation.machine().say("echo in\r\n");
    assert_eq!(conversation.next().await.expect("an answer").as_deref(), Some("in"));
    let guest = inn.peers.recv().await.expect("a guest");
    assert_eq!((guest.address, guest.tls), (client.address, true));
}
