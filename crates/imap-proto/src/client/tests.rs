use super::*;
use proptest::prelude::*;

fn alice() -> Login {
    Login::External { authorization: "alice@example.test".to_owned() }
}

fn start() -> (Client, Instant) {
    #[expect(clippy::disallowed_methods, reason = "an Instant to count from cannot be made otherwise")]
    let now = Instant::now();
    (Client::new(alice(), now), now)
}

/// Everything that comes out when each of these segments comes in pieces of these sizes, and what nobody read. The client
/// speaks between segments: who answers before, answers what was not asked.
fn converse(segments: &[&[u8]], sizes: &[usize]) -> (Vec<Event>, Vec<u8>, Vec<u8>) {
    let (mut client, now) = start();
    let (mut events, mut output, mut unfed) = (Vec::new(), Vec::new(), Vec::new());
    let mut sizes = sizes.iter().copied().cycle();
    for segment in segments {
        let mut rest = *segment;
        while !rest.is_empty() && client.wants_input() {
            let (piece, behind) = rest.split_at(sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len()));
            client.handle_input(now, piece);
            rest = behind;
            events.extend(std::iter::from_fn(|| client.poll_event()));
        }
        output.extend(std::iter::from_fn(|| client.poll_output()).flatten());
        unfed.extend_from_slice(rest);
    }
    client.handle_eof(now);
    events.extend(std::iter::from_fn(|| client.poll_event()));
    assert!(client.is_closed() && !client.wants_input() && client.poll_timeout().is_none());
    let mut unread = client.take_unread().to_vec();
    if matches!(events.first(), Some(Event::LoggedIn { .. })) {
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
        assert_eq!(events, [Event::LoggedIn { welcome: Bytes::from_static(b"[CAPABILITY IMAP4rev1] in") }]);
        assert_eq!(output, b"P1 AUTHENTICATE EXTERNAL YWxpY2VAZXhhbXBsZS50ZXN0\r\n");
        assert_eq!(unread.escape_ascii().to_string(), r"* 2 EXISTS\r\n\x00\r{3}");
    }
}

#[test]
fn nobody_is_let_in_before_asking() {
    let (events, ..) = converse(&[b"* OK hi\r\n* CAPABILITY IMAP4rev1\r\nP1 OK in\r\n"], &[usize::MAX]);
    assert_eq!(events, [Event::Closed(Closing::Protocol("the server answers what was not asked"))]);
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
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #[test]
    fn any_split_gives_the_same(
        pieces in proptest::collection::vec(piece(), 0..6),
        sizes in proptest::collection::vec(1usize..20, 1..6),
    ) {
        let stream = pieces.concat();
        let whole = converse(&lines(&stream), &[usize::MAX]);
        prop_assert_eq!(&converse(&lines(&stream), &sizes), &whole);
        prop_assert_eq!(whole.0.len(), 1, "one event, whatever happens");
        if let Some(Event::LoggedIn { welcome }) = whole.0.first() {
            prop_assert!(!welcome.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)));
        }
    }
}
