use super::*;
use crate::words::Secret;
use proptest::prelude::*;

fn login(authorization: Option<&str>, authentication: &str, password: &[u8]) -> Login {
    Login::Password {
        authorization: authorization.map(str::to_owned),
        authentication: authentication.to_owned(),
        password: Secret::new(password.to_vec()),
    }
}

fn token(octets: usize) -> Login {
    Login::Token { oauthbearer: Secret::new(b"o".repeat(octets)), xoauth2: Secret::new(b"x".repeat(octets)) }
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an Instant to count from cannot be made otherwise")]
    Instant::now()
}

fn ann() -> Client {
    Client::new(login(None, "ann", b"secret"), now())
}

/// Everything that comes out when each of these segments comes in pieces of these sizes, and what nobody read. The client
/// speaks between segments: who answers before, answers what was not asked. TLS starts as soon as it may.
fn converse(mut client: Client, segments: &[&[u8]], sizes: &[usize]) -> (Vec<ClientEvent>, Vec<u8>, Vec<u8>) {
    let (now, mut events, mut output, mut unfed) = (now(), Vec::new(), Vec::new(), Vec::new());
    let mut sizes = sizes.iter().copied().cycle();
    for segment in segments {
        let mut rest = *segment;
        while !rest.is_empty() && client.wants_input() {
            let (piece, behind) = rest.split_at(sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len()));
            client.handle_input(now, piece);
            rest = behind;
            events.extend(std::iter::from_fn(|| client.poll_event()));
        }
        if events.last() == Some(&ClientEvent::StartTls) && client.phase == Phase::Handshake {
            client.tls_started(now);
        }
        output.extend(std::iter::from_fn(|| client.poll_output()).flatten());
        unfed.extend_from_slice(rest);
    }
    client.handle_eof(now);
    events.extend(std::iter::from_fn(|| client.poll_event()));
    assert!(client.is_closed() && !client.wants_input() && client.poll_timeout().is_none());
    let mut unread = client.take_unread().to_vec();
    if matches!(events.last(), Some(ClientEvent::LoggedIn { .. })) {
        unread.extend_from_slice(&unfed);
    }
    (events, output, unread)
}

fn lines(stream: &[u8]) -> Vec<&[u8]> {
    stream.split_inclusive(|octet| *octet == b'\n').collect()
}

const GREETING: &[u8] = b"\"SASL\" \"PLAIN\"\r\n\"STARTTLS\"\r\nOK\r\n";

#[test]
fn a_server_has_its_time_for_each_answer() {
    let (mut client, now) = (ann(), now());
    let (half, late) = (ANSWER_MAX / 2, now + ANSWER_MAX * 2);
    client.handle_input(now + half, GREETING);
    assert_eq!(client.poll_timeout(), Some(now + half + ANSWER_MAX));
    client.handle_timeout(now + ANSWER_MAX);
    assert_eq!(client.poll_event(), None, "there is time left");
    client.handle_timeout(late);
    assert_eq!(client.poll_event(), Some(ClientEvent::Closed(Closing::Timeout)));
    assert!(client.is_closed());
}

#[test]
fn codes_tell_what_is_wrong() {
    for (answer, kind) in [
        ("NO \"no\"", RefusalKind::Credentials),
        ("no", RefusalKind::Credentials),
        ("NO (WHATEVER) \"no\"", RefusalKind::Credentials),
        ("NO (AUTH-TOO-WEAK) \"no\"", RefusalKind::Unavailable),
        ("NO (ENCRYPT-NEEDED) \"no\"", RefusalKind::Unavailable),
        ("NO (TRANSITION-NEEDED) \"no\"", RefusalKind::Unavailable),
        ("NO (trylater) {2}\r\nno", RefusalKind::Unavailable),
        ("NO (REFERRAL \"sieve://b.example\") \"no\"", RefusalKind::Unavailable),
        ("BYE \"no\"", RefusalKind::Unavailable),
        ("BYE (REFERRAL \"sieve://b.example\")", RefusalKind::Unavailable),
    ] {
        let answer = format!("{answer}\r\n");
        let (events, ..) = converse(ann(), &[GREETING, answer.as_bytes()], &[usize::MAX]);
        let fits = matches!(&events[..], [ClientEvent::Refused { kind: found, .. }] if *found == kind);
        assert!(fits, "{answer}: {events:?}");
    }
}

#[test]
fn nobody_is_let_in_before_asking() {
    let (events, output, _) = converse(ann(), &[&[GREETING, b"OK\r\n"].concat()], &[usize::MAX]);
    assert_eq!(events, [ClientEvent::Closed(Closing::Protocol("the server answers what was not asked"))]);
    assert_eq!(output, b"", "no password for who does not listen");
}

#[test]
fn nothing_that_came_in_clear_passes_for_tls() {
    let greeted = || {
        let mut client = ann().with_starttls();
        client.handle_input(now(), GREETING);
        assert_eq!(client.poll_output().as_deref(), Some(&b"STARTTLS\r\n"[..]));
        client
    };
    for injected in ["OK\r\n\"SASL\" \"PLAIN\"\r\nOK\r\n", "OK\r\n\""] {
        let mut client = greeted();
        client.handle_input(now(), injected.as_bytes());
        let why = Closing::Protocol("octets behind the answer to STARTTLS");
        assert_eq!(client.poll_event(), Some(ClientEvent::Closed(why)));
        assert_eq!(client.learnt(), None);
    }
    let mut client = greeted();
    client.handle_input(now(), b"OK\r\n");
    assert_eq!(client.poll_event(), Some(ClientEvent::StartTls));
    assert!(!client.wants_input() && !client.is_closed());
    assert_eq!(client.learnt(), None, "what was told in clear");
    client.handle_input(now(), b"\"");
    assert_eq!(client.poll_event(), Some(ClientEvent::Closed(Closing::Protocol("octets in the clear before TLS"))));
    client.tls_started(now());
    assert!(client.is_closed() && client.poll_output().is_none());
}

#[test]
fn what_was_told_in_clear_is_forgotten() {
    let segments: [&[u8]; 3] = [
        b"\"SASL\" \"PLAIN\"\r\n\"SIEVE\" \"x\"\r\n\"STARTTLS\"\r\nOK\r\n",
        b"OK\r\n",
        b"\"VERSION\" \"1.0\"\r\nOK\r\n",
    ];
    let (events, output, _) = converse(ann().with_starttls(), &segments, &[usize::MAX]);
    assert_eq!(events, [ClientEvent::StartTls, ClientEvent::Closed(Closing::NoLogin)]);
    assert_eq!(output, b"STARTTLS\r\n");
}

#[test]
fn a_long_password_is_a_literal() {
    let client = Client::new(login(None, "ann", &b"s".repeat(900)), now());
    let (events, output, unread) = converse(client, &[GREETING, b"OK \"in\"\r\nmore"], &[3]);
    assert_eq!(events, [ClientEvent::LoggedIn { welcome: Bytes::from_static(b"in") }]);
    assert!(output.starts_with(b"AUTHENTICATE \"PLAIN\" {1208+}\r\nAGFu") && output.ends_with(b"\r\n"));
    assert_eq!(output.len(), b"AUTHENTICATE \"PLAIN\" {1208+}\r\n".len() + 1208 + 2);
    assert_eq!(unread, b"more");
}

#[test]
fn what_plain_cannot_hold_is_never_said() {
    for login in [login(Some("a\0b"), "ann", b"x"), login(None, "bob\0x", b"x"), login(None, "ann", b"x\0")] {
        let (events, output, _) = converse(Client::new(login, now()), &[GREETING], &[usize::MAX]);
        assert_eq!(events, [ClientEvent::Closed(Closing::Unsayable)]);
        assert_eq!(output, b"");
    }
}

#[test]
fn a_list_without_end_is_left() {
    let list = |count| [&b"\"X\" \"y\"\r\n".repeat(count)[..], b"OK\r\n"].concat();
    let (events, ..) = converse(ann(), &[&list(CAPABILITY_COUNT_MAX + 1)], &[1000]);
    assert_eq!(events, [ClientEvent::Closed(Closing::Protocol("the server offers too much"))]);
    let (events, ..) = converse(ann(), &[&list(CAPABILITY_COUNT_MAX)], &[1000]);
    assert_eq!(events, [ClientEvent::Closed(Closing::NoLogin)]);
    let (events, ..) = converse(ann(), &[&b"\"".repeat(RESPONSE_OCTETS_MAX + 1)], &[1000]);
    assert_eq!(events, [ClientEvent::Closed(Closing::Protocol("a line is too long"))]);
}

#[test]
fn a_password_is_not_printed_nor_sent_to_who_left() {
    let shown = format!("{:?}", login(None, "ann", b"secret"));
    assert!(shown.contains("ann") && !shown.contains("secret"), "{shown}");
    let mut client = ann();
    client.handle_input(now(), GREETING);
    client.handle_eof(now());
    assert_eq!(client.poll_output(), None);
    assert_eq!(client.poll_event(), Some(ClientEvent::Closed(Closing::Eof)));
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(GREETING.to_vec()),
        Just(b"OK\r\n".to_vec()),
        Just(b"OK {3}\r\na\nb\r\n".to_vec()),
        Just(b"NO (TRYLATER) \"busy\"\r\n".to_vec()),
        Just(b"BYE\n".to_vec()),
        Just(b"\"SASL\" \"PLAIN\"\r\n".to_vec()),
        Just(b"\"SASL\" \"OAUTHBEARER\"\r\nOK\r\n".to_vec()),
        Just(b"\"SASL\" \"XOAUTH2\"\r\nOK\r\n".to_vec()),
        Just(b"\"SIEVE\" {5}\r\nx \"y\"\r\n".to_vec()),
        Just(b"\"\"\r\n".to_vec()),
        Just(vec![b'x'; 600]),
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #[test]
    fn any_split_gives_the_same(
        who in 0..4,
        starttls in any::<bool>(),
        pieces in proptest::collection::vec(piece(), 0..9),
        sizes in proptest::collection::vec(1usize..20, 1..6),
    ) {
        let make = || {
            let client = match who {
                0 => Client::asking(now()),
                1 => ann(),
                2 => Client::new(token(900), now()),
                _ => Client::new(login(Some("bob"), "root", &b"s".repeat(900)), now()),
            };
            if starttls { client.with_starttls() } else { client }
        };
        let stream = pieces.concat();
        let whole = converse(make(), &lines(&stream), &[usize::MAX]);
        prop_assert_eq!(&converse(make(), &lines(&stream), &sizes), &whole);
        let (last, before) = whole.0.split_last().unwrap();
        prop_assert!(before.iter().all(|event| *event == ClientEvent::StartTls) && before.len() <= usize::from(starttls));
        prop_assert_ne!(last, &ClientEvent::StartTls, "an end, whatever happens");
        match last {
            ClientEvent::LoggedIn { welcome } => {
                prop_assert!(before.len() == usize::from(starttls), "nobody is let in before TLS");
                prop_assert!(who != 0 && !welcome.iter().any(u8::is_ascii_control));
            }
            ClientEvent::Told => prop_assert!(who == 0 && before.len() == usize::from(starttls)),
            ClientEvent::StartTls | ClientEvent::Refused { .. } | ClientEvent::Closed(_) => {}
        }
    }
}
