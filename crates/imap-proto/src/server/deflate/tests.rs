//! Conversations that are compressed.

use super::PIECE_OCTETS;
use crate::limits::Limits;
use crate::response::Reply;
use crate::server::{Event, Server};
use crate::{Command, CommandBody};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use machine::Machine as _;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Instant;

/// The client's ends of both streams.
struct Peer {
    compress: Compress,
    decompress: Decompress,
}

impl Peer {
    fn new() -> Self {
        Self { compress: Compress::new(Compression::best(), false), decompress: Decompress::new(false) }
    }

    fn deflate(&mut self, text: &[u8], flush: FlushCompress) -> Vec<u8> {
        let mut deflated = Vec::with_capacity(text.len() + 1024);
        let before = self.compress.total_in();
        self.compress.compress_vec(text, &mut deflated, flush).expect("deflated");
        assert_eq!(self.compress.total_in() - before, text.len() as u64);
        deflated
    }

    fn inflate(&mut self, mut octets: &[u8]) -> String {
        let mut text = Vec::new();
        loop {
            text.reserve(64 << 10);
            let (before, length) = (self.decompress.total_in(), text.len());
            let status = self.decompress.decompress_vec(octets, &mut text, FlushDecompress::None);
            assert_ne!(status.expect("DEFLATE"), Status::StreamEnd);
            octets = &octets[usize::try_from(self.decompress.total_in() - before).expect("small")..];
            if octets.is_empty() && text.len() == length {
                return String::from_utf8_lossy(&text).into_owned();
            }
        }
    }
}

fn output(server: &mut Server) -> Vec<u8> {
    std::iter::from_fn(|| server.poll_output()).flatten().collect()
}

/// A server that has just accepted COMPRESS, which is said in plain.
fn compressed(limits: Limits) -> (Server, Peer) {
    #[expect(clippy::disallowed_methods, reason = "an Instant cannot be made otherwise")]
    let mut server = Server::new(Arc::new(limits), Instant::now());
    server.logged_in();
    server.handle_input(server.now, b"a COMPRESS DEFLATE\r\n");
    assert!(matches!(server.poll_event(), Some(Event::Command(_))));
    server.accept_compress();
    assert!(server.is_compressed());
    assert_eq!(output(&mut server), b"a OK DEFLATE active\r\n");
    (server, Peer::new())
}

fn command(server: &mut Server) -> Command {
    let Some(Event::Command(command)) = server.poll_event() else { panic!("a command") };
    *command
}

#[test]
fn both_ways() {
    let (mut server, mut peer) = compressed(Limits::default());
    for tag in ["b", "c", "d"] {
        let text = peer.deflate(format!("{tag} NOOP\r\n").as_bytes(), FlushCompress::Sync);
        server.handle_input(server.now, &text);
        assert_eq!(command(&mut server).tag.as_str(), tag);
        server.complete(Reply::ok("a text that comes again and again"));
        let said = output(&mut server);
        assert_eq!(peer.inflate(&said), format!("{tag} OK a text that comes again and again\r\n"));
        // What was said before need not be said again.
        assert!(tag == "b" || said.len() < 20, "{}", said.len());
        assert!(server.wants_input() && !server.holds_input());
        assert_eq!(output(&mut server), b"", "it was flushed once");
    }
}

#[test]
fn what_came_with_the_command_is_compressed() {
    let mut peer = Peer::new();
    let (plain, mut behind) = (b"a NOOP\r\nb COMPRESS DEFLATE\r\n".to_vec(), Vec::new());
    behind.extend(peer.deflate(b"c NOOP\r\n", FlushCompress::Sync));
    for step in [1, 1000] {
        let (mut server, _) = compressed(Limits::default());
        server.deflate = None;
        let mut tags = Vec::new();
        for part in [plain.clone(), behind.clone()].concat().chunks(step) {
            server.handle_input(server.now, part);
            while let Some(event) = server.poll_event() {
                let Event::Command(command) = event else { panic!("{event:?}") };
                tags.push(command.tag.as_str().to_owned());
                match command.body {
                    CommandBody::Compress(_) => server.accept_compress(),
                    _ => server.complete(Reply::ok("done")),
                }
            }
        }
        assert_eq!(tags, ["a", "b", "c"]);
        let said = output(&mut server);
        let start: &[u8] = b"a OK done\r\nb OK DEFLATE active\r\n";
        assert_eq!(&said[..start.len()], start);
        assert_eq!(Peer::new().inflate(&said[start.len()..]), "c OK done\r\n");
    }
}

#[test]
fn a_bomb_does_not_grow_in_memory() {
    let (mut server, mut peer) = compressed(Limits::default());
    let octets = 50 << 20;
    let mut bomb = peer.deflate(format!("b APPEND x {{{octets}+}}\r\n").as_bytes(), FlushCompress::None);
    bomb.extend(peer.deflate(&vec![b'x'; octets], FlushCompress::Sync));
    bomb.extend(peer.deflate(b"\r\n", FlushCompress::Sync));
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    server.handle_input(server.now, &bomb);
    let mut came = 0;
    while let Some(event) = server.poll_event() {
        match event {
            Event::AppendBegin(_) => server.accept_append(),
            Event::AppendChunk(chunk) => came += chunk.len(),
            Event::AppendFinish => server.complete(Reply::ok("done")),
            _ => {}
        }
        assert!(server.input.capacity() <= 2 * PIECE_OCTETS, "{}", server.input.capacity());
    }
    assert_eq!(came, octets);
    assert_eq!(server.input.capacity(), 0);
    output(&mut server);
    // A line without an end is dropped within its limit.
    let endless = peer.deflate(&vec![b'x'; octets], FlushCompress::Sync);
    server.handle_input(server.now, &endless);
    assert_eq!(server.poll_event(), None);
    assert!(peer.inflate(&output(&mut server)).ends_with("* BYE [TOOBIG] the line is too long\r\n"));
    assert!(server.is_closed() && !server.holds_input());
}

#[test]
fn commands_without_end_wait_for_their_answers() {
    let (mut server, mut peer) = compressed(Limits::default());
    let text = peer.deflate(&b"b NOOP\r\n".repeat(200_000), FlushCompress::Sync);
    server.handle_input(server.now, &text);
    assert!(server.holds_input() && !server.wants_input());
    let long = "x".repeat(1000);
    let mut count = 0;
    let mut said = String::new();
    while let Some(event) = server.poll_event() {
        assert!(matches!(event, Event::Command(_)));
        server.complete(Reply::ok(long.clone()));
        count += 1;
        assert!(server.input.capacity() <= 2 * PIECE_OCTETS && server.output_octets() < 2 << 20);
        if server.output_octets() >= Server::OUTPUT_OCTETS_MAX {
            said = peer.inflate(&output(&mut server));
        }
    }
    assert_eq!(count, 200_000);
    assert!(said.ends_with("x\r\n"));
}

#[test]
fn what_is_no_deflate_ends_the_connection() {
    for broken in [b"\xff\xff\xff\xff".as_slice(), &[0x00, 0x01, 0x00, 0x00, 0x00]] {
        let (mut server, mut peer) = compressed(Limits::default());
        server.handle_input(server.now, broken);
        assert_eq!(server.poll_event(), None);
        assert!(server.is_closed(), "{broken:?}");
        assert_eq!(peer.inflate(&output(&mut server)), "* BYE this is not DEFLATE\r\n");
    }
}

#[test]
fn the_end_of_the_stream_is_the_end_of_input() {
    let (mut server, mut peer) = compressed(Limits::default());
    let mut last = peer.deflate(b"b NOOP\r\nc NO", FlushCompress::Finish);
    last.extend_from_slice(b"behind it");
    server.handle_input(server.now, &last);
    assert_eq!(command(&mut server).tag.as_str(), "b");
    assert!(!server.is_closed() && !server.wants_input());
    server.complete(Reply::ok("done"));
    assert_eq!((server.poll_event(), server.is_closed()), (None, true));
    assert_eq!(peer.inflate(&output(&mut server)), "b OK done\r\n");
    // The connection may also just end, with octets that wait for an answer.
    let (mut server, mut peer) = compressed(Limits::default());
    let last = peer.deflate(b"b NOOP\r\nc NOOP\r\n", FlushCompress::Sync);
    server.handle_input(server.now, &last);
    server.handle_eof(server.now);
    for tag in ["b", "c"] {
        assert_eq!(command(&mut server).tag.as_str(), tag);
        server.complete(Reply::ok("done"));
    }
    assert_eq!((server.poll_event(), server.is_closed()), (None, true));
}

#[test]
fn who_idles_costs_little_and_is_understood_later() {
    let (mut server, mut peer) = compressed(Limits::default());
    assert!(size_of_val(&server) <= 512);
    let compresses = |server: &Server| server.deflate.as_ref().is_some_and(|deflate| deflate.compress.is_some());
    for _ in 0..3 {
        let text = peer.deflate(b"b IDLE\r\n", FlushCompress::Sync);
        server.handle_input(server.now, &text);
        assert_eq!(server.poll_event(), Some(Event::IdleBegin));
        server.accept_idle();
        assert_eq!(peer.inflate(&output(&mut server)), "+ idling\r\n");
        assert!(!compresses(&server) && server.input.capacity() == 0);
        server.send(&crate::Response::Exists(7));
        assert_eq!(peer.inflate(&output(&mut server)), "* 7 EXISTS\r\n");
        assert!(!compresses(&server));
        let text = peer.deflate(b"DONE\r\n", FlushCompress::Sync);
        server.handle_input(server.now, &text);
        assert_eq!(server.poll_event(), Some(Event::IdleDone));
        server.complete(Reply::ok("done"));
        assert_eq!(peer.inflate(&output(&mut server)), "b OK done\r\n");
    }
}

#[test]
fn large_contents_come_whole() {
    let (mut server, mut peer) = compressed(Limits::default());
    // Not a text: what does not get smaller must fit all the same.
    let mut state = 1u32;
    let content: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + u8::try_from(state >> 28).unwrap_or(0)
    })
    .take(3 << 20)
    .collect();
    let name = crate::fetch::ContentName::Rfc822;
    server.begin_content(mail_types::SeqNum::FIRST, &[], &name, content.len() as u64);
    for piece in content.chunks(256 << 10) {
        server.content(bytes::Bytes::copy_from_slice(piece));
    }
    server.end_content(&[]);
    let mut said = Vec::new();
    while let Some(piece) = server.poll_output() {
        assert!(piece.len() <= 300 << 10);
        said.extend_from_slice(&piece);
    }
    assert!(said.len() < content.len());
    let text = peer.inflate(&said);
    let whole = text.strip_prefix("* 1 FETCH (RFC822 {3145728}\r\n").and_then(|text| text.strip_suffix(")\r\n"));
    assert!(whole.is_some_and(|whole| whole.as_bytes() == content));
}

/// What happens to a compressed stream in parts, all of it.
fn drive(parts: &[&[u8]]) -> (Vec<String>, String) {
    let limits = Limits { append_octets_max: 100_000, literal_octets_max: 100, ..Limits::default() };
    let (mut server, mut peer) = compressed(limits);
    let (mut events, mut content, mut said) = (Vec::new(), Vec::new(), Vec::new());
    for (at, part) in parts.iter().enumerate() {
        server.handle_input(server.now, part);
        if at + 1 == parts.len() {
            server.handle_eof(server.now);
        }
        while let Some(event) = server.poll_event() {
            if let Event::AppendChunk(chunk) = &event {
                content.extend_from_slice(chunk);
                continue;
            }
            events.push(format!("{} {event:?}", content.len()));
            content.clear();
            match event {
                Event::AppendBegin(_) => server.accept_append(),
                Event::AppendEnd => {}
                _ => server.complete(Reply::no("no")),
            }
            said.extend(output(&mut server));
        }
    }
    said.extend(output(&mut server));
    (events, peer.inflate(&said))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_chunking_gives_the_same(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "a NOOP\r\n", "b APPEND x {70000+}\r\n", "c LOGIN {3+}\r\n", "abc", " d\r\n", "\r\n", "e X\r\n", "z",
        ]), 0..20),
        long in 0usize..100_000,
        cuts in proptest::collection::vec(0usize..2_000, 0..8),
    ) {
        let text = [words.concat(), "y".repeat(long), words.concat()].concat();
        let octets = Peer::new().deflate(text.as_bytes(), FlushCompress::Sync);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(octets.len())).collect();
        cuts.extend([0, octets.len()]);
        cuts.sort_unstable();
        let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &octets[pair[0]..pair[1]]).collect();
        let whole = drive(&[&octets]);
        prop_assert_eq!(&drive(&parts), &whole);
        let single: Vec<&[u8]> = octets.chunks(1).collect();
        prop_assert_eq!(&drive(&single), &whole);
    }

    /// How much of a broken stream is obeyed before its break depends on how it came; that it ends does not.
    #[test]
    fn a_broken_stream_ends(at in 0usize..60, octet in 1u8..=255, cut in 0usize..60) {
        let mut octets = Peer::new().deflate(b"a NOOP\r\nb APPEND x {20+}\r\n", FlushCompress::Sync);
        if let Some(broken) = octets.get_mut(at) {
            *broken ^= octet;
        }
        let (start, end) = octets.split_at(cut.min(octets.len()));
        drive(&[start, end]);
    }

    #[test]
    fn no_bytes_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        drive(&[&octets]);
    }
}
