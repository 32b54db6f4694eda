//! Back-ends of another make that turn to TLS when they are asked.

use crate::cluster::Authority;
use crate::dialer::{call, callee};
use crate::foreign::{server, trusting};
use crate::toy::{Toy, expect, say};
use net::{Dialer, ServerTls, Stream};
use ports::{Call, CallSecurity, Trust};
use tokio::net::{TcpListener, TcpStream};

const LATER: CallSecurity = CallSecurity::StartTls(Trust::Told(0));

/// A call and the other end of it.
async fn connected(dialer: &Dialer, security: CallSecurity) -> (TcpStream, Box<dyn Call<Toy>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let to = callee(&["127.0.0.1"], listener.local_addr().expect("bound").port(), security);
    let (accepted, called) = tokio::join!(listener.accept(), call(dialer, &to, None));
    (accepted.expect("accepted").0, called.expect("an answer"))
}

/// The server says that at once; the call hears the agreement, and no more.
async fn agreed(dialer: &Dialer, agreement: &str) -> (TcpStream, Box<dyn Call<Toy>>) {
    let (mut server, mut conversation) = connected(dialer, LATER).await;
    conversation.machine().say("starttls\r\n");
    let (heard, ()) = tokio::join!(conversation.next(), async {
        expect(&mut server, "starttls\r\n").await;
        say(&mut server, agreement).await;
    });
    assert_eq!(heard.expect("an answer").as_deref(), Some("go"));
    (server, conversation)
}

fn dialer(authority: &Authority) -> Dialer {
    Dialer::new().with_told(vec![trusting(authority)])
}

async fn answer_in_tls(socket: TcpStream, tls: ServerTls) {
    let mut stream = Stream::plain(socket).accept_tls(&tls).await.expect("a handshake");
    expect(&mut stream, "in?\r\n").await;
    say(&mut stream, "in\r\n").await;
}

#[tokio::test]
async fn a_call_turns_to_tls() {
    let authority = Authority::new();
    let (socket, mut conversation) = agreed(&dialer(&authority), "go\r\n").await;
    let serving = tokio::spawn(answer_in_tls(socket, server(&authority, "127.0.0.1")));
    conversation.start_tls().await.expect("a handshake");
    conversation.machine().say("in?\r\n");
    assert_eq!(conversation.next().await.expect("an answer").as_deref(), Some("in"));
    serving.await.expect("no panic");
    let twice = conversation.start_tls().await.expect_err("once");
    assert!(twice.0.contains("where there is none"), "{twice}");
}

/// Somebody on the way could put words in front of the encrypted ones (RFC 3207 §6).
#[tokio::test]
async fn what_is_said_in_clear_behind_the_agreement_is_an_error() {
    let authority = Authority::new();
    for agreement in ["go\r\nnews\r\n", "go\r\nne"] {
        let (_socket, mut conversation) = agreed(&dialer(&authority), agreement).await;
        let broken = conversation.start_tls().await.expect_err("somebody spoke");
        assert!(broken.0.contains("something was said in clear"), "{broken}");
        conversation.machine().say("secret\r\n");
        conversation.next().await.expect_err("it does not go on in clear");
    }
    // Later, when the agreement was heard already: it is no TLS.
    let (mut socket, mut conversation) = agreed(&dialer(&authority), "go\r\n").await;
    say(&mut socket, "news\r\n").await;
    let broken = conversation.start_tls().await.expect_err("somebody spoke");
    assert!(broken.0.contains("no TLS: the handshake failed"), "{broken}");
    conversation.next().await.expect_err("it does not go on in clear");
}

#[tokio::test]
async fn who_is_not_believed_gets_no_octet() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (socket, mut conversation) = agreed(&dialer(&ours), "go\r\n").await;
    let tls = server(&theirs, "127.0.0.1");
    let (accepted, started) = tokio::join!(Stream::plain(socket).accept_tls(&tls), conversation.start_tls());
    accepted.expect_err("refused");
    let broken = started.expect_err("another authority");
    assert!(broken.0.contains("from nobody whom we trust") && broken.0.contains("UnknownIssuer"), "{broken}");
    conversation.machine().say("secret\r\n");
    conversation.next().await.expect_err("it does not go on in clear");
}

/// A host that connects, but shakes no hands, is not the first to be called next.
#[tokio::test]
async fn the_next_call_goes_to_another_host() {
    let authority = Authority::new();
    let bad = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = bad.local_addr().expect("bound").port();
    let good = TcpListener::bind(("127.0.0.3", port)).await.expect("the same port elsewhere");
    let (dialer, to) = (dialer(&authority), callee(&["127.0.0.1", "127.0.0.3"], port, LATER));
    let (accepted, called) = tokio::join!(bad.accept(), call(&dialer, &to, None));
    drop(accepted);
    called.expect("an answer").start_tls().await.expect_err("it hung up");

    let (accepted, called) = tokio::join!(good.accept(), call(&dialer, &to, None));
    let (socket, mut conversation) = (accepted.expect("accepted").0, called.expect("an answer"));
    let serving = tokio::spawn(answer_in_tls(socket, server(&authority, "127.0.0.3")));
    conversation.start_tls().await.expect("the name is that of the host that answered");
    conversation.machine().say("in?\r\n");
    assert_eq!(conversation.next().await.expect("an answer").as_deref(), Some("in"));
    serving.await.expect("no panic");
}

#[tokio::test]
async fn who_was_not_called_for_it_does_not_turn_to_tls() {
    for security in [CallSecurity::Plain, CallSecurity::StartTls(Trust::Anybody)] {
        let (mut socket, mut conversation) = connected(&Dialer::new(), security).await;
        say(&mut socket, "one\r\ntwo\r\nthr").await;
        assert_eq!(conversation.next().await.expect("a line").as_deref(), Some("one"));
        assert_eq!(conversation.next().await.expect("a line").as_deref(), Some("two"));
        say(&mut socket, "ee\r\nrest").await;
        assert_eq!(conversation.next().await.expect("a line").as_deref(), Some("three"));
        if security == CallSecurity::Plain {
            let broken = conversation.start_tls().await.expect_err("not asked for");
            assert!(broken.0.contains("where there is none"), "{broken}");
        }
        // What came behind the line is not lost for who goes on in clear.
        let (_wire, mut machine) = conversation.into_parts();
        assert_eq!(&machine.take_input()[..], b"rest");
    }
}
