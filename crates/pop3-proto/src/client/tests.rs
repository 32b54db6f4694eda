use super::*;
use crate::ResponseCode;
use crate::command::encode_challenge;
use crate::limits::COMMAND_LINE_OCTETS_MAX;
use proptest::prelude::*;

fn external(authorization: &str) -> Login {
    Login::External { authorization: authorization.to_owned() }
}

fn password(authorization: Option<&str>, authentication: &str, password: &[u8]) -> Login {
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

fn start(authorization: &str) -> (Client, Instant) {
    let now = now();
    (Client::new(external(authorization), now), now)
}

fn converse(who: &str, segments: &[&[u8]], sizes: &[usize]) -> (Vec<ClientEvent>, Vec<u8>, Vec<u8>) {
    converse_as(start(who).0, segments, sizes)
}

/// Everything that comes out when each of these segments comes in pieces of these sizes, and what nobody read. The client
/// speaks between segments: who answers before, answers what was not asked. TLS starts as soon as it may.
fn converse_as(mut client: Client, segments: &[&[u8]], sizes: &[usize]) -> (Vec<ClientEvent>, Vec<u8>, Vec<u8>) {
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

#[test]
fn a_server_has_its_time_for_each_answer() {
    let (mut client, now) = start("alice@example.test");
    client.handle_input(now + ANSWER_MAX / 2, b"+OK hello\r\n");
    assert_eq!(client.poll_timeout(), Some(now + ANSWER_MAX / 2 + ANSWER_MAX));
    client.handle_timeout(now + ANSWER_MAX);
    assert_eq!(client.poll_event(), None, "there is time left");
    client.handle_timeout(now + ANSWER_MAX * 2);
    assert_eq!(client.poll_event(), Some(ClientEvent::Closed(Closing::Timeout)));
    assert!(client.is_closed());
}

#[test]
fn a_long_name_waits_for_the_challenge() {
    let name = format!("{}@example.test", "n".repeat(200));
    let segments: [&[u8]; 3] = [b"+OK hello\r\n", b"+ \r\n", b"+OK 1 messages\r\nmore"];
    for size in [1, 7, usize::MAX] {
        let (events, output, unread) = converse(&name, &segments, &[size]);
        assert_eq!(events, [ClientEvent::LoggedIn { welcome: Bytes::from_static(b"1 messages") }]);
        let expected = format!("AUTH EXTERNAL\r\n{}\r\n", encode_challenge(name.as_bytes()));
        assert_eq!(String::from_utf8(output).unwrap(), expected);
        assert_eq!(unread, b"more");
    }
}

#[test]
fn refusals_keep_their_codes() {
    for (line, code, text) in [
        ("-ERR [IN-USE] somebody reads it", Some(ResponseCode::InUse), "somebody reads it"),
        ("-ERR [sys/temp]later", Some(ResponseCode::SysTemp), "later"),
        ("-ERR [LATER] it says", None, "[LATER] it says"),
        ("-ERR", None, ""),
    ] {
        let line = format!("{line}\r\n");
        let (events, ..) = converse("a@example.test", &[b"+OK\r\n", line.as_bytes()], &[usize::MAX]);
        let found = match &events[..] {
            [ClientEvent::Refused { refusal, .. }] => Some(refusal.clone()),
            _ => None,
        };
        assert_eq!(found, Some(Refusal::new(code, text)), "{line}");
    }
}

#[test]
fn nobody_is_let_in_before_asking() {
    let (events, ..) = converse("a@example.test", &[b"+OK hi\r\n+OK in\r\n"], &[usize::MAX]);
    assert_eq!(events, [ClientEvent::Closed(Closing::Protocol("the server answers what was not asked"))]);
}

#[test]
fn nothing_that_came_in_clear_passes_for_tls() {
    let greeted = || {
        let mut client = Client::new(password(None, "ann", b"secret"), now()).with_starttls();
        client.handle_input(now(), b"+OK hi\r\n");
        assert_eq!(client.poll_output().as_deref(), Some(&b"STLS\r\n"[..]));
        client
    };
    for injected in ["+OK go on\r\n+OK\r\nUSER\r\n.\r\n", "+OK go on\r\n+"] {
        let mut client = greeted();
        client.handle_input(now(), injected.as_bytes());
        let why = Closing::Protocol("octets behind the answer to STLS");
        assert_eq!(client.poll_event(), Some(ClientEvent::Closed(why)));
        assert_eq!(client.learnt(), None);
    }
    let mut client = greeted();
    client.handle_input(now(), b"+OK go on\r\n");
    assert_eq!(client.poll_event(), Some(ClientEvent::StartTls));
    assert!(!client.wants_input() && !client.is_closed());
    client.handle_input(now(), b"+");
    let why = Closing::Protocol("octets in the clear before TLS");
    assert_eq!(client.poll_event(), Some(ClientEvent::Closed(why)));
    client.tls_started(now());
    assert!(client.is_closed() && client.poll_output().is_none());
}

#[test]
fn what_no_line_holds_is_never_said() {
    let plain = || Capabilities { sasl_plain: true, user: true, ..Capabilities::default() };
    let user = || Capabilities { user: true, ..Capabilities::default() };
    for (login, known) in [
        (password(Some("a\0b"), "ann", b"x"), plain()),
        (password(None, "bob\0x", b"x"), plain()),
        (password(None, "ann", b"x\0"), plain()),
        (password(None, "ann\r\nDELE 1", b"x"), user()),
        (password(None, "ann", b"x\nDELE 1"), user()),
        (password(None, "ann", &b"x".repeat(COMMAND_LINE_OCTETS_MAX)), user()),
    ] {
        let client = Client::new(login, now()).knowing(known);
        let (events, output, _) = converse_as(client, &[b"+OK\r\n"], &[usize::MAX]);
        assert_eq!(events, [ClientEvent::Closed(Closing::Unsayable)]);
        assert_eq!(output, b"");
    }
}

#[test]
fn a_list_without_end_is_left() {
    let list = b"TOP\r\n".repeat(CAPA_LINE_COUNT_MAX + 1);
    let client = Client::new(password(None, "ann", b"secret"), now());
    let (events, ..) = converse_as(client, &[b"+OK\r\n", b"+OK\r\n", &list], &[1000]);
    assert_eq!(events, [ClientEvent::Closed(Closing::Protocol("the server offers too much"))]);
    let list = [&b"TOP\r\n".repeat(CAPA_LINE_COUNT_MAX)[..], b".\r\n"].concat();
    let client = Client::new(password(None, "ann", b"secret"), now());
    let (events, ..) = converse_as(client, &[b"+OK\r\n", b"+OK\r\n", &list], &[1000]);
    assert_eq!(events, [ClientEvent::Closed(Closing::NoLogin)]);
}

#[test]
fn codes_tell_what_is_wrong() {
    for (answer, kind) in [
        ("-ERR [AUTH] no", RefusalKind::Credentials),
        ("-ERR no", RefusalKind::Credentials),
        ("-ERR [WHATEVER] no", RefusalKind::Credentials),
        ("-ERR [in-use] no", RefusalKind::InUse),
        ("-ERR [LOGIN-DELAY] no", RefusalKind::Unavailable),
        ("-ERR [SYS/TEMP] no", RefusalKind::Unavailable),
        ("-ERR [SYS/PERM] no", RefusalKind::Unavailable),
    ] {
        let answer = format!("{answer}\r\n");
        let known = Capabilities { sasl_plain: true, ..Capabilities::default() };
        let client = Client::new(password(None, "ann", b"secret"), now()).knowing(known);
        let (events, ..) = converse_as(client, &[b"+OK\r\n", answer.as_bytes()], &[usize::MAX]);
        let fits = matches!(&events[..], [ClientEvent::Refused { kind: found, .. }] if *found == kind);
        assert!(fits, "{answer}: {events:?}");
    }
}

#[test]
fn a_password_is_not_printed_nor_sent_to_who_left() {
    let login = password(None, "ann", b"secret");
    let shown = format!("{login:?}");
    assert!(shown.contains("ann") && !shown.contains("secret"), "{shown}");
    let known = Capabilities { user: true, pipelining: true, ..Capabilities::default() };
    let mut client = Client::new(login, now()).knowing(known);
    client.handle_input(now(), b"+OK\r\n");
    client.handle_eof(now());
    assert_eq!(client.poll_output(), None);
    assert_eq!(client.poll_event(), Some(ClientEvent::Closed(Closing::Eof)));
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"+OK hello\r\n".to_vec()),
        Just(b"+OK\n".to_vec()),
        Just(b"-ERR [IN-USE] busy\r\n".to_vec()),
        Just(b"+ \r\n".to_vec()),
        Just(b"USER\r\n".to_vec()),
        Just(b"SASL PLAIN\r\n".to_vec()),
        Just(b"SASL XOAUTH2 OAUTHBEARER\r\n".to_vec()),
        Just(b"+ eyJzdGF0dXMiOiI0MDEifQ==\r\n".to_vec()),
        Just(b"PIPELINING\r\n".to_vec()),
        Just(b".\r\n".to_vec()),
        Just(b"+OK\r\nUSER\r\n.\r\n".to_vec()),
        Just(b"+OK\r\nSASL PLAIN\r\n.\r\n".to_vec()),
        Just(vec![b'x'; 600]),
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

fn client() -> impl Strategy<Value = (Login, bool, Mode, Option<Capabilities>)> {
    let logins = prop_oneof![
        Just(external("alice@example.test")),
        Just(external(&"n".repeat(300))),
        Just(password(None, "ann", b"secret")),
        Just(password(None, "ann", &b"s".repeat(300))),
        Just(password(Some("bob"), "root", b"secret")),
        Just(token(40)),
        Just(token(300)),
    ];
    let known = (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(user, sasl, pipelining)| Capabilities {
        user,
        sasl_plain: sasl,
        sasl_oauthbearer: sasl && user,
        sasl_xoauth2: sasl,
        pipelining,
        ..Capabilities::default()
    });
    let mode = prop_oneof![Just(Mode::Ascii), Just(Mode::Utf8)];
    (logins, any::<bool>(), mode, proptest::option::of(known))
}

proptest! {
    #[test]
    fn any_split_gives_the_same(
        (login, starttls, mode, known) in client(),
        pieces in proptest::collection::vec(piece(), 0..9),
        sizes in proptest::collection::vec(1usize..20, 1..6),
    ) {
        let make = || {
            let client = Client::new(login.clone(), now()).in_mode(mode);
            let client = if starttls { client.with_starttls() } else { client };
            known.clone().into_iter().fold(client, Client::knowing)
        };
        let stream = pieces.concat();
        let whole = converse_as(make(), &lines(&stream), &[usize::MAX]);
        prop_assert_eq!(&converse_as(make(), &lines(&stream), &sizes), &whole);
        let (last, before) = whole.0.split_last().unwrap();
        prop_assert!(before.iter().all(|event| *event == ClientEvent::StartTls) && before.len() <= usize::from(starttls));
        prop_assert_ne!(last, &ClientEvent::StartTls, "an end, whatever happens");
        if let ClientEvent::LoggedIn { welcome } = last {
            prop_assert!(before.len() == usize::from(starttls), "nobody is let in before TLS");
            prop_assert!(!welcome.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)));
        }
    }
}

#[test]
fn who_asks_is_told_and_takes_leave() {
    let mut client = Client::asking(now());
    client.handle_input(now(), b"+OK hi\r\n");
    assert_eq!(client.poll_output().as_deref(), Some(&b"CAPA\r\n"[..]));
    client.handle_input(now(), b"+OK list\r\nUTF8\r\n.\r\n");
    assert_eq!((client.poll_event(), client.poll_output()), (Some(ClientEvent::Offered), Some("QUIT\r\n".into())));
    assert!(client.learnt().is_some_and(|known| known.utf8) && !client.has_said_login());
}

#[test]
fn it_is_known_whether_a_login_was_said() {
    let (mut client, now) = start("ann");
    client.handle_input(now, b"-ERR [SYS/TEMP] full\r\n");
    assert!(client.poll_event().is_some() && !client.has_said_login());
    let (mut client, now) = start("ann");
    client.handle_input(now, b"+OK hi\r\n");
    client.handle_eof(now);
    assert!(client.has_said_login());
    let mut client = Client::new(password(None, "ann", b"pw"), now).knowing(Capabilities::default());
    client.handle_input(now, b"+OK hi\r\n");
    assert_eq!(client.poll_event(), Some(ClientEvent::Closed(Closing::NoLogin)));
    assert!(!client.has_said_login() && !client.is_personal());
}

#[test]
fn what_depends_on_who_comes_is_personal() {
    let known = || Capabilities { user: true, utf8: true, ..Capabilities::default() };
    let ann = || Client::new(password(None, "ann", b"pw"), now()).knowing(known());
    for mut client in [ann().in_mode(Mode::Utf8), ann().introducing("TTL=4".to_owned())] {
        assert!(!client.is_personal());
        client.handle_input(now(), b"+OK hi\r\n");
        assert!(client.is_personal() && !client.has_said_login());
        client.handle_input(now(), b"-ERR no\r\n");
        assert!(client.is_personal());
    }
    let mut asking = Client::asking(now());
    asking.handle_input(now(), b"+OK hi\r\n");
    assert!(!asking.is_personal());
}
