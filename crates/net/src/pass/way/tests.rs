use super::*;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::task::Waker;

/// A wire of a script: what each read gives, and how many octets each write takes (none: it must be waited for).
#[derive(Default)]
struct Script {
    reads: VecDeque<Vec<u8>>,
    takes: VecDeque<usize>,
    written: Vec<u8>,
    /// Whether a flush must be waited for.
    clogged: bool,
}

impl Wire for Script {
    fn poll_read(&mut self, _cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(octets) = self.reads.pop_front() else { return Poll::Pending };
        into[..octets.len()].copy_from_slice(&octets);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_write(&mut self, _cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let Some(octets) = self.takes.pop_front() else { return Poll::Pending };
        let taken = octets.min(from.len());
        self.written.extend_from_slice(&from[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.clogged { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn poll(way: &mut Way, from: &mut Script, to: &mut Script) -> usize {
    let moved = way.poll(&mut Context::from_waker(Waker::noop()), from, to, |_: &[u8]| {});
    moved.unwrap_or_else(|_| panic!("no end breaks here"))
}

#[test]
fn only_what_is_not_taken_is_held_and_nothing_more_is_read() {
    let mut from = Script { reads: [vec![b'a'; 1000], vec![b'b'; 1000]].into(), ..Script::default() };
    let mut to = Script { takes: [400].into(), ..Script::default() };
    let mut way = Way::new(Bytes::new(), false);
    assert!(poll(&mut way, &mut from, &mut to) >= 1000);
    assert_eq!((way.waiting.len(), from.reads.len()), (600, 1), "it stops reading");
    assert!(!way.is_idle());
    assert_eq!(poll(&mut way, &mut from, &mut to), 0);

    to.takes.extend([600, 1000]);
    poll(&mut way, &mut from, &mut to);
    assert!(way.is_idle());
    assert_eq!(to.written, [vec![b'a'; 1000], vec![b'b'; 1000]].concat());
}

/// An idle session owns no buffer: not even an empty one that still has its memory.
#[test]
fn an_idle_way_owns_no_memory() {
    let mut from = Script { reads: [vec![b'a'; 50_000]].into(), ..Script::default() };
    let mut to = Script { takes: [1].into(), ..Script::default() };
    let mut way = Way::new(Bytes::from(vec![b'u'; 10]), false);
    to.takes.push_front(10);
    poll(&mut way, &mut from, &mut to);
    assert!(way.waiting.is_unique(), "it holds what is not taken");
    to.takes.push_back(usize::MAX);
    poll(&mut way, &mut from, &mut to);
    assert!(way.is_idle() && way.waiting.is_empty());
    // Nobody owns what is static.
    assert!(!way.waiting.is_unique(), "and then nothing");
}

#[test]
fn what_was_written_but_not_sent_holds_the_source_back() {
    let mut from = Script { reads: [vec![b'a'], vec![b'b']].into(), ..Script::default() };
    let mut to = Script { takes: [9, 9].into(), clogged: true, ..Script::default() };
    let mut way = Way::new(Bytes::new(), false);
    poll(&mut way, &mut from, &mut to);
    assert_eq!((from.reads.len(), way.is_idle()), (1, false));
    to.clogged = false;
    poll(&mut way, &mut from, &mut to);
    assert_eq!((&to.written[..], way.is_idle()), (&b"ab"[..], true));
}

#[test]
fn the_others_have_their_turn() {
    let piece = vec![b'a'; 60_000];
    let mut from = Script { reads: vec![piece; 100].into(), ..Script::default() };
    let mut to = Script { takes: vec![usize::MAX; 100].into(), ..Script::default() };
    let moved = poll(&mut Way::new(Bytes::new(), false), &mut from, &mut to);
    assert!((TURN_OCTETS_MAX..TURN_OCTETS_MAX + 70_000).contains(&moved), "{moved}");
}

#[test]
fn a_destination_that_takes_nothing_is_broken() {
    let mut to = Script { takes: [0].into(), ..Script::default() };
    let mut way = Way::new(Bytes::from_static(b"a"), false);
    let moved = way.poll(&mut Context::from_waker(Waker::noop()), &mut Script::default(), &mut to, |_: &[u8]| {});
    assert!(matches!(moved, Err(Trouble::Destination(_))));
}

/// Two ends of a connection: ours, and another's that says what is there and waits for nothing.
async fn connected() -> (Stream, std::net::TcpStream) {
    let listening = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let other = std::net::TcpStream::connect(listening.local_addr().expect("its address")).expect("connected");
    other.set_nonblocking(true).expect("an option");
    let (socket, _) = listening.accept().await.expect("accepted");
    (Stream::plain(socket), other)
}

/// What the other end hears of a good-bye before it is told of the end. The system may have told of it by itself meanwhile, if
/// this machine let us wait for long.
async fn heard_before_the_end(said: &[u8], then_ends: bool) -> Vec<u8> {
    let ((mut from, mut backend), (mut to, mut client)) = (connected().await, connected().await);
    backend.write_all(said).expect("sent");
    if then_ends {
        backend.shutdown(Shutdown::Write).expect("told");
        while !from.is_ending() {
            tokio::task::yield_now().await;
        }
    }
    let mut way = Way::new(Bytes::new(), false);
    let mut passed = 0;
    while passed < said.len() || way.has_ended() != then_ends {
        passed += poll_fn(|cx| match way.poll(cx, &mut from, &mut to, |_: &[u8]| {}) {
            Ok(0) => Poll::Pending,
            Ok(moved) => Poll::Ready(moved),
            Err(_) => panic!("no end breaks here"),
        })
        .await;
    }
    assert!(way.is_idle());
    let mut heard = vec![0; 100];
    let octets = client.read(&mut heard).unwrap_or(0);
    heard.truncate(octets);
    poll_fn(|cx| Wire::poll_shutdown(&mut to, cx)).await.expect("told");
    let mut rest = Vec::new();
    client.set_nonblocking(false).expect("an option");
    client.read_to_end(&mut rest).expect("all of it");
    assert_eq!([&heard[..], &rest].concat(), said);
    heard
}

#[tokio::test]
async fn a_good_bye_goes_with_the_end() {
    let mut held = false;
    for _ in 0..10 {
        held |= heard_before_the_end(b"* BYE\r\n", true).await.is_empty();
    }
    assert!(held, "it was sent before the end each time");
    assert_eq!(heard_before_the_end(b"* OK\r\n", false).await, b"* OK\r\n", "what no end follows goes at once");
}
