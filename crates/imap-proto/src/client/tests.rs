use super::*;
use crate::command::Secret;
use crate::parse;
use proptest::prelude::*;

fn alice() -> Login {
    Login::External { authorization: "alice@example.test".to_owned() }
}

fn ann(password: &[u8]) -> Login {
    Login::Password { authorization: None, authentication: "ann".to_owned(), password: Secret::new(password.to_vec()) }
}

fn token(octets: usize) -> Login {
    Login::Token { oauthbearer: Secret::new(b"o".repeat(octets)), xoauth2: Secret::new(b"x".repeat(octets)) }
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an Instant to count from cannot be made otherwise")]
    Instant::now()
}

fn start() -> (Client, Instant) {
    let now = now();
    (Client::new(alice(), now), now)
}

fn converse(segments: &[&[u8]], sizes: &[usize]) -> (Vec<Event>, Vec<u8>, Vec<u8>) {
    converse_as(Client::new(alice(), now()), segments, sizes)
}

/// Everything that comes out when each of these segments comes in pieces of these sizes, and what nobody read. The client
/// speaks between segments: who answers before, answers what was not asked. TLS starts as soon as it may.
fn converse_as(mut client: Client, segments: &[&[u8]], sizes: &[usize]) -> (Vec<Event>, Vec<u8>, Vec<u8>) {
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
        if events.last() == Some(&Event::StartTls) && client.phase == Phase::Handshake {
            client.tls_started(now);
        }
        output.extend(std::iter::from_fn(|| client.poll_output()).flatten());
        unfed.extend_from_slice(rest);
    }
    client.handle_eof(now);
    events.extend(std::iter::from_fn(|| client.poll_event()));
    assert!(client.is_closed() && !client.wants_input() && client.poll_timeout().is_none());
    let mut unread = client.take_unread().to_vec();
    if matches!(events.last(), Some(Event::LoggedIn { .. })) {
        unread.extend_from_slice(&unfed);
    }
    (events, output, unread)
}

fn lines(stream: &[u8]) -> Vec<&[u8]> {
    stream.split_inclusive(|octet| *octet == b'\n').collect()
}

#[test]
fn a_server_has_its_time_twice() {
    let (mut client, now) = start();
    let later = now + ANSWER_MAX - Duration::from_secs(1);
    client.handle_timeout(later);
    assert_eq!(client.poll_event(), None, "there is a second left");
    client.handle_input(later, b"* OK hello\r\n");
    assert_eq!(client.poll_timeout(), Some(later + ANSWER_MAX));
    client.handle_input(later + ANSWER_MAX, b"* OK half a");
    client.handle_timeout(later + ANSWER_MAX);
    assert_eq!(client.poll_event(), Some(Event::Closed(Closing::Timeout)));
    assert!(client.is_closed());
}

#[test]
fn a_talker_is_left() {
    let (long, chatter) = (vec![b'x'; LINE_OCTETS_MAX], b"* 1 EXISTS\r\n".repeat(LOGIN_OCTETS_MAX / 12 + 1));
    for flood in [long, chatter] {
        for size in [1000, usize::MAX] {
            let (events, ..) = converse(&[b"* OK hello\r\n", &flood], &[size]);
            assert_eq!(events, [Event::Closed(Closing::Protocol("the server says too much"))]);
        }
    }
}

#[test]
fn what_stands_behind_the_login_is_left_as_it_is() {
    let stream = b"P1 OK [CAPABILITY IMAP4rev1] in\r\n* 2 EXISTS\r\n\0\r{3}";
    for size in 1..stream.len() + 1 {
        let (events, output, unread) = converse(&[b"* OK hi\r\n", stream], &[size]);
        let welcome = Bytes::from_static(b"[CAPABILITY IMAP4rev1] in");
        assert_eq!(events, [Event::LoggedIn { welcome, capabilities: None }]);
        assert_eq!(output, b"P1 AUTHENTICATE EXTERNAL YWxpY2VAZXhhbXBsZS50ZXN0\r\n");
        assert_eq!(unread.escape_ascii().to_string(), r"* 2 EXISTS\r\n\x00\r{3}");
    }
}

#[test]
fn nobody_is_let_in_before_asking() {
    let (events, ..) = converse(&[b"* OK hi\r\n* CAPABILITY IMAP4rev1\r\nP1 OK in\r\n"], &[usize::MAX]);
    assert_eq!(events, [Event::Closed(Closing::Protocol("the server answers what was not asked"))]);
}

#[test]
fn nothing_that_came_in_clear_passes_for_tls() {
    let greeted = || {
        let mut client = Client::new(ann(b"secret"), now()).with_starttls();
        client.handle_input(now(), b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\r\n");
        assert_eq!(client.poll_output().as_deref(), Some(&b"P1 STARTTLS\r\n"[..]));
        assert_eq!(client.learnt(), None, "what comes in clear is not believed");
        client
    };
    let mut client = greeted();
    client.handle_input(now(), b"P1 OK go on\r\nP2 OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] in\r\n");
    assert_eq!(client.poll_event(), Some(Event::Closed(Closing::Protocol("octets behind the answer to STARTTLS"))));
    let mut client = greeted();
    client.handle_input(now(), b"P1 OK go on\r\n");
    assert_eq!(client.poll_event(), Some(Event::StartTls));
    assert!(!client.wants_input() && !client.is_closed());
    client.handle_input(now(), b"*");
    assert_eq!(client.poll_event(), Some(Event::Closed(Closing::Protocol("octets in the clear before TLS"))));
    client.tls_started(now());
    assert!(client.is_closed() && client.poll_output().is_none());
}

#[test]
fn a_handshake_has_its_time() {
    let start = now();
    let mut client = Client::new(alice(), start).with_starttls();
    client.handle_input(start, b"* OK hi\r\n");
    assert!(client.poll_output().is_some());
    client.handle_input(start, b"P1 OK\r\n");
    assert_eq!(client.poll_event(), Some(Event::StartTls));
    let later = start + ANSWER_MAX / 2;
    client.tls_started(later);
    assert_eq!(client.poll_timeout(), Some(later + ANSWER_MAX));
    assert_eq!(client.poll_output().as_deref(), Some(&b"P2 AUTHENTICATE EXTERNAL YWxpY2VAZXhhbXBsZS50ZXN0\r\n"[..]));
}

/// RFC 4616 §2: NUL separates what PLAIN says; with one in a name its owner would be somebody else.
#[test]
fn a_nul_is_never_said() {
    let names = |authorization: Option<&str>, authentication: &str, password: &[u8]| Login::Password {
        authorization: authorization.map(str::to_owned),
        authentication: authentication.to_owned(),
        password: Secret::new(password.to_vec()),
    };
    for login in [names(Some("a\0b"), "ann", b"x"), names(None, "bob\0x", b"x"), names(None, "ann", b"x\0")] {
        for greeting in ["* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\r\n", "* OK [CAPABILITY IMAP4rev1] hi\r\n"]
        {
            let client = Client::new(login.clone(), now());
            let (events, output, _) = converse_as(client, &[greeting.as_bytes()], &[usize::MAX]);
            assert_eq!(events, [Event::Closed(Closing::Unsayable)]);
            assert_eq!(output, b"");
        }
    }
}

#[test]
fn literals_wait_where_they_must() {
    for (offered, long, expected) in [
        ("LITERAL+", 5000, "P1 LOGIN \"ann\" {5000+}\r\n"),
        ("LITERAL-", 4096, "P1 LOGIN \"ann\" {4096+}\r\n"),
        ("LITERAL-", 4097, "P1 LOGIN \"ann\" {4097}\r\n"),
        ("LITERAL- LITERAL+", 4097, "P1 LOGIN \"ann\" {4097+}\r\n"),
        ("IMAP4rev2", 4096, "P1 LOGIN \"ann\" {4096+}\r\n"),
        ("IDLE", 1, "P1 LOGIN \"ann\" {1}\r\n"),
    ] {
        let password = vec![0xE9; long];
        let greeting = format!("* OK [CAPABILITY IMAP4rev1 {offered}] hi\r\n");
        let client = Client::new(ann(&password), now());
        let (_, output, _) = converse_as(client, &[greeting.as_bytes(), b"+\r\n"], &[usize::MAX]);
        let waits = !expected.contains('+');
        let rest = [password.as_slice(), b"\r\n"].concat();
        assert_eq!(output, [expected.as_bytes(), &rest].concat(), "{offered}, {long}");
        let first = converse_as(Client::new(ann(&password), now()), &[greeting.as_bytes()], &[usize::MAX]).1;
        assert_eq!(first.len() == expected.len(), waits, "{offered}, {long}");
    }
}

#[test]
fn codes_tell_what_is_wrong() {
    for (answer, kind) in [
        ("NO [AUTHENTICATIONFAILED] no", Refusal::Credentials),
        ("NO [authorizationfailed] no", Refusal::Credentials),
        ("NO [EXPIRED] no", Refusal::Credentials),
        ("NO [WEBALERT https://far.example/] see there", Refusal::Credentials),
        ("NO no", Refusal::Credentials),
        ("NO [UNAVAILABLE] no", Refusal::Unavailable),
        ("NO [INUSE] no", Refusal::Unavailable),
        ("NO [LIMIT] no", Refusal::Unavailable),
        ("NO [ServerBug] no", Refusal::Unavailable),
        ("NO [CONTACTADMIN] no", Refusal::Unavailable),
        ("NO [PRIVACYREQUIRED] no", Refusal::Unavailable),
        ("BAD [AUTHENTICATIONFAILED] what", Refusal::Unavailable),
        ("BAD what", Refusal::Unavailable),
    ] {
        let answer = format!("P1 {answer}\r\n");
        let client = Client::new(ann(b"secret"), now()).knowing(Capabilities::default());
        let (events, ..) = converse_as(client, &[b"* OK\r\n", answer.as_bytes()], &[usize::MAX]);
        assert!(matches!(&events[..], [Event::Refused { kind: found, .. }] if *found == kind), "{answer}: {events:?}");
    }
}

#[test]
fn nobody_prints_a_password() {
    let base64 = parse::base64_challenge(b"\0ann\0secret");
    for offered in ["AUTH=PLAIN SASL-IR", "AUTH=PLAIN", "LOGIN"] {
        let mut client = Client::new(ann(b"secret"), now()).with_starttls();
        client = client.knowing(Capabilities::parse(offered.as_bytes()));
        let mut shown = format!("{client:?} {:?}", ann(b"secret"));
        client.handle_input(now(), b"* OK\r\n");
        shown += &format!("{client:?}");
        assert!(client.poll_output().is_some());
        client.handle_input(now(), b"P1 OK\r\n");
        client.tls_started(now());
        shown += &format!("{client:?}");
        assert!(!shown.contains("secret") && !shown.contains(&base64), "{shown}");
        assert!(shown.contains("Handshake") || shown.contains("Login"), "{shown}");
    }
}

#[test]
fn a_password_that_was_not_sent_is_not_sent_to_who_left() {
    let mut client = Client::new(ann(b"secret"), now());
    client.handle_input(now(), b"* OK [CAPABILITY IMAP4rev1] hi\r\n* BYE full\r\n");
    assert_eq!(client.poll_output(), None);
    assert_eq!(client.poll_event(), Some(Event::Closed(Closing::Bye("full".to_owned()))));
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"* OK hello\r\n".to_vec()),
        Just(b"* BYE [UNAVAILABLE] later\r\n".to_vec()),
        Just(b"* PREAUTH\n".to_vec()),
        Just(b"* CAPABILITY IMAP4rev1\r\n".to_vec()),
        Just(b"P1 OK [CAPABILITY X] in\r\n".to_vec()),
        Just(b"P1 NO [UNAVAILABLE] not now\r\n".to_vec()),
        Just(b"P1 BAD\r\n".to_vec()),
        Just(b"+ go on\r\n".to_vec()),
        Just(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\r\n".to_vec()),
        Just(b"* OK [CAPABILITY IMAP4rev1] hello\r\n".to_vec()),
        Just(b"* OK [CAPABILITY SASL-IR AUTH=OAUTHBEARER] hello\r\n".to_vec()),
        Just(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n".to_vec()),
        Just(b"P1 OK\r\n".to_vec()),
        Just(b"P2 OK in\r\n".to_vec()),
        Just(b"P3 OK in\r\n".to_vec()),
        Just(b"P2 NO [AUTHENTICATIONFAILED] no\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

fn client() -> impl Strategy<Value = (Login, bool, bool, Option<Capabilities>)> {
    let master = Login::Password {
        authorization: Some("bob".to_owned()),
        authentication: "root".to_owned(),
        password: Secret::new(b"secret".to_vec()),
    };
    let logins = prop_oneof![Just(alice()), Just(ann(b"secret")), Just(ann(b"caf\xe9")), Just(master), Just(token(40))];
    let known = prop_oneof![
        Just(None),
        Just(Some(Capabilities::default())),
        Just(Some(Capabilities::parse(b"AUTH=PLAIN"))),
        Just(Some(Capabilities::parse(b"AUTH=PLAIN SASL-IR"))),
        Just(Some(Capabilities::parse(b"AUTH=OAUTHBEARER"))),
        Just(Some(Capabilities::parse(b"AUTH=XOAUTH2 SASL-IR"))),
    ];
    (logins, any::<bool>(), any::<bool>(), known)
}

proptest! {
    #[test]
    fn any_split_gives_the_same(
        (login, starttls, telling, known) in client(),
        pieces in proptest::collection::vec(piece(), 0..9),
        sizes in proptest::collection::vec(1usize..20, 1..6),
    ) {
        let make = || {
            let client = Client::new(login.clone(), now());
            let client = if starttls { client.with_starttls() } else { client };
            let client = if telling { client.telling_capabilities() } else { client };
            known.clone().into_iter().fold(client, Client::knowing)
        };
        let stream = pieces.concat();
        let whole = converse_as(make(), &lines(&stream), &[usize::MAX]);
        prop_assert_eq!(&converse_as(make(), &lines(&stream), &sizes), &whole);
        let (last, before) = whole.0.split_last().unwrap();
        prop_assert!(before.iter().all(|event| *event == Event::StartTls) && before.len() <= usize::from(starttls));
        prop_assert_ne!(last, &Event::StartTls, "an end, whatever happens");
        if let Event::LoggedIn { welcome, capabilities } = last {
            prop_assert!(before.len() == usize::from(starttls), "nobody is let in before TLS");
            let told = [welcome.as_ref(), capabilities.as_deref().unwrap_or_default()].concat();
            prop_assert!(!told.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)));
        }
    }
}

#[test]
fn a_token_is_not_printed_nor_sent_to_who_left() {
    let mut client = Client::new(token(40), now()).knowing(Capabilities::parse(b"SASL-IR AUTH=OAUTHBEARER"));
    client.handle_input(now(), b"* OK hi\r\n");
    let shown = format!("{:?} {client:?}", token(40));
    assert!(!shown.contains("oo") && !shown.contains("b29v"), "{shown}");
    client.handle_eof(now());
    assert_eq!(client.poll_output(), None);
}

#[test]
fn who_asks_is_told_and_takes_leave() {
    let greeting: &[u8] = b"* OK [CAPABILITY IMAP4rev1 ID] hi\r\n";
    let (events, output, _) = converse_as(Client::asking(now()), &[greeting], &[3]);
    assert_eq!((events.as_slice(), output.as_slice()), (&[Event::Offered][..], &b"P1 LOGOUT\r\n"[..]));
    let answer: &[u8] = b"* CAPABILITY IMAP4rev1 ID\r\nP1 OK done\r\n";
    let mut client = Client::asking(now());
    client.handle_input(now(), b"* OK hi\r\n");
    assert_eq!(client.poll_output().as_deref(), Some(&b"P1 CAPABILITY\r\n"[..]));
    client.handle_input(now(), answer);
    assert_eq!((client.poll_event(), client.poll_output()), (Some(Event::Offered), Some("P2 LOGOUT\r\n".into())));
    assert!(client.learnt().is_some_and(|known| known.id) && !client.has_said_login());
}

#[test]
fn it_is_known_whether_a_login_was_said() {
    let (mut client, now) = start();
    client.handle_input(now, b"* BYE full\r\n");
    assert!(client.poll_event().is_some() && !client.has_said_login());
    let (mut client, now) = start();
    client.handle_input(now, b"* OK hi\r\n");
    assert!(client.has_said_login());
    client.handle_eof(now);
    assert!(client.has_said_login(), "also when it is over");
    let mut client = Client::new(ann(b"pw"), now);
    client.handle_input(now, b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\r\n");
    assert_eq!(client.poll_event(), Some(Event::Closed(Closing::NoLogin)));
    assert!(!client.has_said_login());
}

#[test]
fn an_introduction_goes_out_with_the_login_and_its_answer_does_not_matter() {
    let id = || vec![("x-originating-ip", "192.0.2.1".to_owned()), ("x-proxy-ttl", "4".to_owned())];
    for answer in ["P1 OK\r\n", "* ID (\"name\" \"Dovecot\")\r\nP1 OK\r\n", "P1 NO\r\n", "P1 BAD what\r\n"] {
        let greeting: &[u8] = b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN ID] hi\r\n";
        let rest = format!("{answer}P2 OK in\r\n");
        for size in [1, 7, 1000] {
            let client = Client::new(ann(b"pw"), now()).introducing(id());
            let (events, output, _) = converse_as(client, &[greeting, rest.as_bytes()], &[size]);
            assert!(matches!(events.as_slice(), [Event::LoggedIn { .. }]), "{answer}: {events:?}");
            let said = output.escape_ascii().to_string().replace("\\\"", "\"");
            assert!(
                said.starts_with(
                    "P1 ID (\"x-originating-ip\" \"192.0.2.1\" \"x-proxy-ttl\" \"4\")\\r\\nP2 AUTHENTICATE"
                ),
                "{said}"
            );
        }
    }
    // The answer to the login is not taken for that to ID, and the other way round.
    let mut client =
        Client::new(ann(b"pw"), now()).introducing(id()).knowing(Capabilities::parse(b"ID AUTH=PLAIN SASL-IR"));
    client.handle_input(now(), b"* OK hi\r\n");
    assert!(client.poll_output().is_some());
    client.handle_input(now(), b"P1 OK\r\nP1 OK\r\n");
    assert!(matches!(client.poll_event(), Some(Event::Closed(Closing::Protocol(_)))));
}
