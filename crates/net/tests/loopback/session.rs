//! The loop, with peers of every temper.

use crate::toy::{Role, Toy, drain, expect, pair, say, strings, toy_client};
use net::{OUTPUT_OCTETS_MAX, SessionError, Stream, serve};
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn commands_are_answered_in_order() {
    let (strings, mut events) = strings();
    let (mut client, session) = toy_client(&strings).await;
    say(&mut client, "echo one\r\necho two\r\nnonsense\r\nquit\r\n").await;
    expect(&mut client, "one\r\ntwo\r\nwhat is nonsense?\r\nbye\r\n").await;
    assert_eq!(drain(&mut client).await, 0);
    drop(client);
    session.await.expect("no panic").expect("a polite end");
    drop(strings);
    assert_eq!((events.recv().await, events.recv().await), (Some("close"), None));
}

#[tokio::test]
async fn a_stream_may_be_split_anywhere() {
    let (strings, _events) = strings();
    let (mut client, _session) = toy_client(&strings).await;
    client.set_nodelay(true).expect("an option");
    for octet in b"echo one\r\nquit\r\n" {
        client.write_all(&[*octet]).await.expect("written");
    }
    expect(&mut client, "one\r\nbye\r\n").await;
}

/// Both send 10 MB, and the client reads nothing until it has sent all of its own.
#[tokio::test]
async fn two_full_buffers_do_not_wait_for_each_other() {
    let (strings, _events) = strings();
    let (mut client, session) = toy_client(&strings).await;
    say(&mut client, &format!("sinkbig {TEN_MB}\r\n")).await;
    client.write_all(&vec![b'y'; TEN_MB]).await.expect("written");
    client.shutdown().await.expect("half closed");
    assert_eq!(drain(&mut client).await, TEN_MB);
    session.await.expect("no panic").expect("a polite end");
}

#[tokio::test]
async fn what_waits_for_a_slow_reader_is_bounded() {
    let (strings, _events) = strings();
    let (mut client, _session) = toy_client(&strings).await;
    say(&mut client, &format!("big {}\r\nquit\r\n", 8 * TEN_MB)).await;
    let (mut read, mut buffer) = (0, vec![0; 64 * 1024]);
    while read < 8 * TEN_MB {
        read += client.read(&mut buffer).await.expect("more");
        let held = strings.produced.load(Ordering::Relaxed).saturating_sub(read);
        assert!(held <= OUTPUT_OCTETS_MAX + KERNEL_OCTETS, "{held} octets are held for us");
    }
}

#[tokio::test]
async fn answers_leave_while_a_later_one_takes_its_time() {
    let (strings, _events) = strings();
    let (mut client, _session) = toy_client(&strings).await;
    say(&mut client, "echo one\r\nhang\r\necho two\r\n").await;
    expect(&mut client, "one\r\n").await;
    strings.release.notify_one();
    expect(&mut client, "two\r\n").await;
}

#[tokio::test]
async fn a_role_speaks_unasked() {
    let (strings, _events) = strings();
    let (mut client, _session) = toy_client(&strings).await;
    strings.wake.notify_one();
    expect(&mut client, "news\r\n").await;
    say(&mut client, "echo one\r\n").await;
    expect(&mut client, "one\r\n").await;
    strings.wake.notify_one();
    expect(&mut client, "news\r\n").await;
}

#[tokio::test]
async fn a_machine_loses_its_patience() {
    let (strings, _events) = strings();
    let (mut client, session) = toy_client(&strings).await;
    say(&mut client, "timeout\r\n").await;
    expect(&mut client, "too slow\r\n").await;
    assert_eq!(drain(&mut client).await, 0);
    drop(client);
    session.await.expect("no panic").expect("the machine's will");
}

#[tokio::test]
async fn a_half_closed_client_gets_its_whole_answer() {
    let (strings, _events) = strings();
    let (mut client, session) = toy_client(&strings).await;
    say(&mut client, &format!("big {TEN_MB}\r\necho end\r\n")).await;
    client.shutdown().await.expect("half closed");
    assert_eq!(drain(&mut client).await, TEN_MB + "end\r\n".len());
    session.await.expect("no panic").expect("a polite end");
}

#[tokio::test]
async fn roles_are_told_the_end_exactly_once() {
    for way in ["echo x", "hang", "panic", "big 100000000"] {
        let (strings, mut events) = strings();
        let (mut client, session) = toy_client(&strings).await;
        say(&mut client, &format!("{way}\r\n")).await;
        match way {
            "echo x" => drop(client),
            "hang" => session.abort(),
            "panic" => assert!(session.await.expect_err("it panics").is_panic()),
            _ => {
                // Unread input at our end makes the close a reset, so the server's write fails.
                expect(&mut client, "x").await;
                drop(client);
                let ended = session.await.expect("no panic");
                assert!(matches!(ended, Err(SessionError::Broken(_))), "{ended:?}");
            }
        }
        drop(strings);
        assert_eq!((events.recv().await, events.recv().await), (Some("close"), None), "{way}");
    }
}

#[tokio::test]
async fn starttls_without_a_certificate_is_an_error() {
    let (strings, _events) = strings();
    let (server, mut client) = pair().await;
    let session = tokio::spawn(serve(Stream::plain(server), Toy::default(), Role::new(&strings), None));
    say(&mut client, "starttls\r\n").await;
    assert!(matches!(session.await.expect("no panic"), Err(SessionError::Handshake(_))));
}

const TEN_MB: usize = 10_000_000;
/// What the buffers of two sockets on loopback grow to at most, generously.
const KERNEL_OCTETS: usize = 24 * 1024 * 1024;
