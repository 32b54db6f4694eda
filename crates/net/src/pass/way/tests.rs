use super::*;
use std::collections::VecDeque;
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
