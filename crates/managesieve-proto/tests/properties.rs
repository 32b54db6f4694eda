//! Any octets, in any split: no panic, the same events, the same output.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a test")]

use machine::Machine;
use managesieve_proto::*;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Instant;

/// Answers in a way that depends on the event alone.
fn answer(server: &mut Server, event: &Event) -> Option<Vec<u8>> {
    match event {
        Event::Authenticate { initial: None, .. } => server.challenge(b"go on"),
        Event::Authenticate { initial: Some(message), .. } | Event::AuthResponse(message) => {
            if message.as_bytes().len() % 2 == 1 {
                return Some(server.pass(b"in").to_vec());
            }
            server.refuse(&Refusal::BAD_CREDENTIALS);
        }
        Event::AuthCancelled => {}
        Event::StartTls => {
            if server.tls_ready() == TlsStart::Begin {
                server.tls_started();
            }
        }
    }
    None
}

/// Everything that comes out when the stream comes in pieces of these sizes, with what was not read.
fn converse(stream: &[u8], sizes: &[usize], security: Security) -> (Vec<Event>, Vec<u8>, Vec<u8>) {
    let now = Instant::now();
    let mechanisms = vec!["PLAIN".to_owned()];
    let config = Config {
        implementation: "x".into(),
        greeting: "ready".into(),
        in_clear: mechanisms.clone(),
        under_tls: mechanisms,
    };
    let mut server = Server::new(Arc::new(config), Arc::new(Offer::default()), security, now);
    let (mut events, mut output, mut passed) = (Vec::new(), Vec::new(), None);
    let mut sizes = sizes.iter().copied().cycle();
    let mut rest = stream;
    loop {
        if let Some(event) = server.poll_event() {
            passed = answer(&mut server, &event).or(passed);
            events.push(event);
        } else if let Some(octets) = server.poll_output() {
            output.extend_from_slice(&octets);
        } else if let Some(mut passed) = passed {
            assert!(!server.wants_input() && !server.is_closed() && server.poll_timeout().is_none());
            passed.extend_from_slice(rest);
            return (events, output, passed);
        } else if !rest.is_empty() && server.wants_input() {
            let (piece, behind) = rest.split_at(sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len()));
            server.handle_input(now, piece);
            rest = behind;
        } else {
            assert!(server.is_closed() || server.wants_input(), "nobody's turn");
            return (events, output, Vec::new());
        }
    }
}

/// Lines that mean something, and some that do not.
fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"AUTHENTICATE \"PLAIN\"\r\n".to_vec()),
        Just(b"AUTHENTICATE \"PLAIN\" \"YWI=\"\r\n".to_vec()),
        Just(b"authenticate {5+}\r\nplain {4+}\r\nYWJj\r\n".to_vec()),
        Just(b"\"*\"\r\n".to_vec()),
        Just(b"\"YWJj\"\r\n".to_vec()),
        Just(b"NOOP {3+}\r\na\"b\r\n".to_vec()),
        Just(b"CAPABILITY\n".to_vec()),
        Just(b"PUTSCRIPT \"x\" {8+}\r\nLOGOUT\r\n\r\n".to_vec()),
        Just(b"LOGOUT\r\n".to_vec()),
        Just(vec![b'x'; 9_000]),
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #[test]
    fn any_split_gives_the_same(
        lines in proptest::collection::vec(line(), 0..9),
        sizes in proptest::collection::vec(1usize..40, 1..6),
    ) {
        let stream = lines.concat();
        let whole = converse(&stream, &[usize::MAX], Security::Clear);
        let split = converse(&stream, &sizes, Security::Clear);
        prop_assert_eq!(whole.0, split.0);
        prop_assert_eq!(whole.1.escape_ascii().to_string(), split.1.escape_ascii().to_string());
        prop_assert!(whole.2 == split.2, "what passes is what was not read");
    }

    #[test]
    fn nothing_behind_starttls_is_obeyed(line in line()) {
        let stream = [b"STARTTLS\r\n", &line[..]].concat();
        let (events, ..) = converse(&stream, &[usize::MAX], Security::ClearWithStartTls);
        prop_assert_eq!(&events[..1], [Event::StartTls]);
        prop_assert!(line.is_empty() || events.len() == 1);
    }
}
