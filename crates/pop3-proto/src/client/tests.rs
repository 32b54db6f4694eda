use super::*;
use crate::ResponseCode;
use proptest::prelude::*;

fn start(authorization: &str) -> (Client, Instant) {
    #[expect(clippy::disallowed_methods, reason = "an Instant to count from cannot be made otherwise")]
    let now = Instant::now();
    (Client::new(Login::External { authorization: authorization.to_owned() }, now), now)
}

/// Everything that comes out when each of these segments comes in pieces of these sizes, and what nobody read. The client
/// speaks between segments: who answers before, answers what was not asked.
fn converse(who: &str, segments: &[&[u8]], sizes: &[usize]) -> (Vec<ClientEvent>, Vec<u8>, Vec<u8>) {
    let (mut client, now) = start(who);
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
    if matches!(events.first(), Some(ClientEvent::LoggedIn { .. })) {
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
        assert_eq!(events, [ClientEvent::Refused(Refusal::new(code, text))], "{line}");
    }
}

#[test]
fn nobody_is_let_in_before_asking() {
    let (events, ..) = converse("a@example.test", &[b"+OK hi\r\n+OK in\r\n"], &[usize::MAX]);
    assert_eq!(events, [ClientEvent::Closed(Closing::Protocol("the server answers what was not asked"))]);
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"+OK hello\r\n".to_vec()),
        Just(b"+OK\n".to_vec()),
        Just(b"-ERR [IN-USE] busy\r\n".to_vec()),
        Just(b"+ \r\n".to_vec()),
        Just(vec![b'x'; 600]),
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #[test]
    fn any_split_gives_the_same(
        long in any::<bool>(),
        pieces in proptest::collection::vec(piece(), 0..6),
        sizes in proptest::collection::vec(1usize..20, 1..6),
    ) {
        let who = if long { "n".repeat(300) } else { "alice@example.test".to_owned() };
        let stream = pieces.concat();
        let whole = converse(&who, &lines(&stream), &[usize::MAX]);
        prop_assert_eq!(&converse(&who, &lines(&stream), &sizes), &whole);
        prop_assert_eq!(whole.0.len(), 1, "one event, whatever happens");
        if let Some(ClientEvent::LoggedIn { welcome }) = whole.0.first() {
            prop_assert!(!welcome.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)));
        }
    }
}
