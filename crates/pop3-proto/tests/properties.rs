//! Any octets, in any split: no panic, the same events, the same output, bounded buffers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a test")]

use bytes::Bytes;
use machine::Machine;
use pop3_proto::*;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn config() -> Arc<Config> {
    Arc::new(Config {
        greeting: "ready".into(),
        implementation: None,
        in_clear: LoginMethods::with_user(&["PLAIN"]),
        under_tls: LoginMethods::with_user(&["PLAIN"]),
        behind_login: None,
        expire: None,
        login_delay_seconds: Some(60),
        utf8: Utf8::Refused,
    })
}

/// Answers in a way that depends on the event alone.
fn answer(server: &mut Server, event: &Event) {
    let first = MessageNumber::new(1).unwrap();
    let maildrop = Maildrop { messages: 1, octets: 10 };
    match event {
        Event::Login { password, .. } if password.as_bytes().len() % 2 == 1 => server.logged_in(maildrop),
        Event::Login { .. } => server.refuse(&Refusal::BAD_CREDENTIALS),
        Event::Auth { initial: None, .. } => server.challenge(b"go on"),
        Event::Auth { .. } | Event::AuthResponse(_) => server.logged_in(maildrop),
        Event::AuthCancelled => {}
        Event::StartTls => {
            if server.tls_ready() == TlsStart::Begin {
                server.tls_started();
            }
        }
        Event::Stat => server.stat(maildrop),
        Event::List(Some(_)) => server.list_one(10),
        Event::List(None) => {
            server.list_begin(maildrop);
            server.list_item(first, 10);
            server.listing_end();
        }
        Event::Uidl(Some(_)) => server.uidl_one(&UniqueId::parse("u").unwrap()),
        Event::Uidl(None) => {
            server.uidl_begin();
            server.uidl_item(first, &UniqueId::parse("u").unwrap());
            server.listing_end();
        }
        Event::Retr(number) | Event::Top { number, .. } if *number != first => server.refuse(&Refusal::NO_SUCH_MESSAGE),
        Event::Retr(_) | Event::Top { .. } => {
            server.message_begin(10);
            let _ = server.body(Bytes::from_static(b"A: b\r\n\r\n."));
            let _ = server.body(Bytes::from_static(b"\nx"));
            server.body_end();
        }
        Event::Dele(_) => server.deleted(),
        Event::Rset => server.unmarked(maildrop),
        Event::Quit => server.updated(),
    }
}

/// Everything that comes out when the stream comes in pieces of these sizes.
fn converse(stream: &[u8], sizes: &[usize]) -> (Vec<Event>, Vec<u8>, bool) {
    let now = Instant::now();
    let mut server = Server::new(config(), Security::Clear, now);
    let (mut events, mut output) = (Vec::new(), Vec::new());
    let mut sizes = sizes.iter().copied().cycle();
    let mut rest = stream;
    loop {
        if let Some(event) = server.poll_event() {
            answer(&mut server, &event);
            events.push(event);
        } else if let Some(octets) = server.poll_output() {
            output.extend_from_slice(&octets);
        } else if !rest.is_empty() && server.wants_input() {
            let (piece, behind) = rest.split_at(sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len()));
            server.handle_input(now, piece);
            rest = behind;
        } else {
            assert!(server.is_closed() || server.wants_input(), "nobody's turn");
            return (events, output, server.is_closed());
        }
    }
}

/// Lines that mean something, and some that do not.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let sensible = prop::sample::select(vec![
        &b"USER ann"[..],
        b"PASS odd",
        b"PASS even",
        b"AUTH PLAIN",
        b"AUTH PLAIN =",
        b"AUTH PLAIN AGEAYg==",
        b"AGEAYg==",
        b"*",
        b"CAPA",
        b"STAT",
        b"LIST",
        b"LIST 1",
        b"UIDL",
        b"UIDL 1",
        b"RETR 1",
        b"RETR 2",
        b"TOP 1 0",
        b"DELE 1",
        b"NOOP",
        b"RSET",
        b"LANG",
        b"UTF8",
        b"QUIT",
        b"retr 0",
        b"",
    ])
    .prop_map(<[u8]>::to_vec);
    let long = (200..300usize).prop_map(|octets| vec![b'x'; octets]);
    prop_oneof![12 => sensible, 1 => long, 1 => prop::collection::vec(any::<u8>(), 0..20)]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec((line(), prop::bool::weighted(0.9)), 0..40).prop_map(|lines| {
        let mut stream = Vec::new();
        for (line, crlf) in lines {
            stream.extend_from_slice(&line);
            stream.extend_from_slice(if crlf { b"\r\n" } else { b"\n" });
        }
        stream
    })
}

proptest! {
    #[test]
    fn any_split_gives_the_same(
        login in any::<bool>(),
        stream in stream(),
        sizes in prop::collection::vec(1..30usize, 1..10),
    ) {
        let mut whole = if login { b"USER ann\r\nPASS odd\r\n".to_vec() } else { Vec::new() };
        whole.extend_from_slice(&stream);
        let expected = converse(&whole, &[usize::MAX]);
        prop_assert_eq!(&converse(&whole, &sizes), &expected);
        prop_assert_eq!(&converse(&whole, &[1]), &expected);
    }

    #[test]
    fn random_octets_never_panic(octets in any::<Vec<u8>>(), sizes in prop::collection::vec(1..30usize, 1..4)) {
        converse(&octets, &sizes);
    }

    /// A driver that does not ask whether input is wanted, a role that is never there, a clock that jumps.
    #[test]
    fn rude_drivers_never_panic(steps in prop::collection::vec((0..6u8, stream()), 0..30)) {
        let mut now = Instant::now();
        let mut server = Server::new(config(), Security::ClearWithStls, now);
        for (step, stream) in steps {
            match step {
                0 | 1 => server.handle_input(now, &stream),
                2 => drop(server.poll_output()),
                3 => {
                    if let Some(event) = server.poll_event() {
                        answer(&mut server, &event);
                    }
                }
                4 => {
                    now += Duration::from_secs(45);
                    server.handle_timeout(now);
                }
                _ => server.handle_eof(now),
            }
        }
    }
}

fn logged_in(now: Instant) -> Server {
    let mut server = Server::new(config(), Security::Tls, now);
    server.handle_input(now, b"USER ann\r\nPASS odd\r\n");
    let event = server.poll_event().unwrap();
    answer(&mut server, &event);
    while server.poll_output().is_some() {}
    server
}

#[test]
fn a_client_that_takes_nothing_is_not_listened_to() {
    let now = Instant::now();
    let mut server = logged_in(now);
    server.handle_input(now, &b"CAPA\r\n".repeat(10_000));
    assert!(!server.wants_input());
    let waiting: usize = std::iter::from_fn(|| server.poll_output()).take(1).map(|octets| octets.len()).sum();
    assert!(waiting < OUTPUT_OCTETS_MAX + 1000, "{waiting} octets wait");
    let more: usize = std::iter::from_fn(|| server.poll_output()).map(|octets| octets.len()).sum();
    assert!(more > waiting, "the rest is answered once there is room");
    assert!(server.wants_input());
}

#[test]
fn a_body_says_when_there_is_room() {
    let now = Instant::now();
    let mut server = logged_in(now);
    server.handle_input(now, b"RETR 1\r\n");
    assert_eq!(server.poll_event(), Some(Event::Retr(MessageNumber::new(1).unwrap())));
    server.message_begin(0);
    let piece = Bytes::from(vec![b'x'; 64 * 1024]);
    while server.has_room() {
        assert_eq!(server.body(piece.clone()), BodyWants::More);
    }
    // While the client is taking, time may pass; when it has stopped, ten minutes end it in the middle.
    assert!(server.poll_output().is_some());
    let stamped = server.poll_timeout().unwrap();
    server.handle_timeout(stamped);
    assert!(!server.is_closed());
    let due = server.poll_timeout().unwrap();
    assert_eq!(due, stamped + IDLE_MAX);
    server.handle_timeout(due);
    assert!(server.is_closed());
    assert_eq!(server.poll_output(), None);
    // The role may not know yet.
    assert_eq!(server.body(piece), BodyWants::Nothing);
    server.body_end();
    assert!(server.is_closed());
}

#[test]
fn while_the_role_decides_no_time_passes() {
    let now = Instant::now();
    let mut server = logged_in(now);
    server.handle_input(now, b"STAT\r\n");
    assert_eq!(server.poll_event(), Some(Event::Stat));
    assert_eq!(server.poll_timeout(), None);
    server.stat(Maildrop::default());
    let later = now + IDLE_MAX + IDLE_MAX;
    server.handle_timeout(later);
    assert!(!server.is_closed());
    assert_eq!(server.poll_output().unwrap(), "+OK 0 0\r\n");
}

#[test]
fn a_proxy_takes_over_what_was_not_read() {
    let now = Instant::now();
    let mut server = Server::new(config(), Security::Tls, now);
    server.handle_input(now, b"USER ann\r\nPASS x\r\nSTAT\r\nRE");
    assert!(matches!(server.poll_event(), Some(Event::Login { .. })));
    assert_eq!(server.pass(b"5 messages"), "STAT\r\nRE");
    let output: Vec<_> = std::iter::from_fn(|| server.poll_output()).collect();
    assert_eq!(output.concat(), b"+OK ready\r\n+OK\r\n+OK 5 messages\r\n");
    assert!(!server.wants_input() && server.poll_timeout().is_none() && !server.is_closed());
    server.abort();
    assert!(server.is_closed() && server.poll_output().is_none());
}

#[test]
fn a_connection_can_be_refused() {
    let mut server = Server::refused(config(), Security::Clear, &Refusal::UNAVAILABLE, Instant::now());
    assert_eq!(server.poll_output().unwrap(), "-ERR [SYS/TEMP] Temporarily unavailable, try again later\r\n");
    assert!(server.is_closed() && server.poll_timeout().is_none());
}

#[test]
fn nothing_is_learnt_before_tls() {
    let now = Instant::now();
    let mut server = Server::new(config(), Security::ClearWithStls, now);
    server.handle_input(now, b"USER ann\r\nSTLS\r\n");
    assert_eq!(server.poll_event(), Some(Event::StartTls));
    assert_eq!(server.tls_ready(), TlsStart::Begin);
    assert!(!server.wants_input());
    // In clear, during the handshake: cannot be the client's.
    server.handle_input(now, b"CAPA\r\n");
    server.tls_started();
    assert_eq!(server.security(), Security::Tls);
    // The name came before TLS, and is forgotten.
    server.handle_input(now, b"PASS odd\r\n");
    let output: Vec<_> = std::iter::from_fn(|| server.poll_output()).collect();
    assert_eq!(output.concat(), b"+OK ready\r\n+OK\r\n+OK Begin TLS negotiation\r\n-ERR USER first\r\n");
}

#[test]
fn a_handshake_that_never_ends_is_given_up() {
    let now = Instant::now();
    let mut server = Server::new(config(), Security::ClearWithStls, now);
    server.handle_input(now, b"STLS\r\n");
    assert_eq!(server.poll_event(), Some(Event::StartTls));
    assert_eq!(server.tls_ready(), TlsStart::Begin);
    assert_eq!(server.poll_timeout(), Some(now + LOGIN_MAX));
    server.handle_timeout(now + LOGIN_MAX);
    assert!(server.is_closed());
}

#[test]
fn debug_of_a_login_shows_no_password() {
    let now = Instant::now();
    let mut server = Server::new(config(), Security::Tls, now);
    server.handle_input(now, b"USER ann\r\nPASS hunter2\r\n");
    let shown = format!("{:?}", server.poll_event().unwrap());
    assert!(shown.contains("ann") && !shown.contains("hunter2"), "{shown}");
}

#[test]
#[should_panic(expected = "stat does not answer")]
fn an_answer_to_nothing_is_our_bug() {
    logged_in(Instant::now()).stat(Maildrop::default());
}
