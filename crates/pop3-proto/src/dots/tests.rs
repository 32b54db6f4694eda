use super::*;
use proptest::prelude::*;

/// Stuffs a message that comes in these pieces.
fn stuff(part: Part, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stuffer = Stuffer::new(part);
    let mut sent = Vec::new();
    for piece in pieces {
        stuffer.piece(Bytes::copy_from_slice(piece), |octets| sent.extend_from_slice(&octets));
    }
    sent.extend_from_slice(stuffer.end());
    sent
}

/// What a client makes of it: lines up to `.`, one leading dot off. `None` where the end is not where it should be.
fn unstuff(sent: &[u8]) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    let mut lines = sent.split_inclusive(|octet| *octet == b'\n');
    loop {
        let line = lines.next()?;
        if !line.ends_with(b"\r\n") {
            return None;
        }
        if line == b".\r\n" {
            return lines.next().is_none().then_some(message);
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
}

/// The message as it should arrive: bare LF is CRLF, and a line's end at the end.
fn canonical(message: &[u8]) -> Vec<u8> {
    let mut canonical = Vec::new();
    for octet in message {
        if *octet == b'\n' && canonical.last() != Some(&b'\r') {
            canonical.push(b'\r');
        }
        canonical.push(*octet);
    }
    match canonical.as_slice() {
        [] | [.., b'\r', b'\n'] => {}
        [.., b'\r'] => canonical.push(b'\n'),
        _ => canonical.extend_from_slice(b"\r\n"),
    }
    canonical
}

#[test]
fn known_answers() {
    let cases: [(&[u8], &[u8]); 10] = [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b"..a\r\nb.c\r\n", b"...a\r\nb.c\r\n.\r\n"),
        (b"a\n.\nb\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\n\n", b"a\r\n\r\n.\r\n"),
        (b"a\r", b"a\r\n.\r\n"),
        (b"a\r.\r\n", b"a\r.\r\n.\r\n"),
    ];
    for (message, expected) in cases {
        assert_eq!(stuff(Part::Whole, &[message]), expected, "{message:?}");
    }
}

#[test]
fn top_stops_after_its_lines() {
    let message = b"A: 1\r\nB: 2\r\n\r\n.one\r\ntwo\r\nthree\r\n";
    let top = |lines| stuff(Part::Top { lines }, &[message]);
    assert_eq!(top(0), b"A: 1\r\nB: 2\r\n\r\n.\r\n");
    assert_eq!(top(1), b"A: 1\r\nB: 2\r\n\r\n..one\r\n.\r\n");
    assert_eq!(top(2), b"A: 1\r\nB: 2\r\n\r\n..one\r\ntwo\r\n.\r\n");
    // RFC 1939 §7: more lines than there are give the whole message.
    assert_eq!(top(u32::MAX), stuff(Part::Whole, &[message]));
    assert_eq!(stuff(Part::Top { lines: 0 }, &[b"A: 1\n\nbody\n"]), b"A: 1\r\n\r\n.\r\n");
    assert_eq!(stuff(Part::Top { lines: 5 }, &[b"A: 1\r\n"]), b"A: 1\r\n.\r\n");
}

#[test]
fn says_when_it_has_enough() {
    let mut stuffer = Stuffer::new(Part::Top { lines: 1 });
    stuffer.piece(Bytes::from_static(b"A: 1\r\n\r\nhalf a"), |_| {});
    assert_eq!(stuffer.wants(), BodyWants::More);
    stuffer.piece(Bytes::from_static(b" line\r\nno"), |octets| assert_eq!(octets, " line\r\n"));
    assert_eq!(stuffer.wants(), BodyWants::Nothing);
    stuffer.piece(Bytes::from_static(b"more"), |octets| panic!("{octets:?} is behind the end"));
}

#[test]
fn an_ordinary_piece_is_not_copied() {
    let piece = Bytes::from(b"Subject: x\r\n\r\nHello\r\n".repeat(100));
    let mut stuffer = Stuffer::new(Part::Whole);
    let mut sent = Vec::new();
    stuffer.piece(piece.clone(), |octets| sent.push(octets));
    assert_eq!(sent.iter().map(|octets| octets.as_ptr()).collect::<Vec<_>>(), [piece.as_ptr()]);
    assert_eq!(sent, [piece]);
}

/// Octets among which those that matter are frequent.
fn message() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(&b"\r\n\r\n..ab"[..]), 0..60)
}

proptest! {
    #[test]
    fn a_client_gets_the_message_back(message in message()) {
        let sent = stuff(Part::Whole, &[&message]);
        prop_assert_eq!(unstuff(&sent), Some(canonical(&message)));
    }

    #[test]
    fn any_split_gives_the_same(message in message(), cuts in prop::collection::vec(1..8usize, 0..20), lines in 0..4u32) {
        for part in [Part::Whole, Part::Top { lines }] {
            let mut pieces = Vec::new();
            let mut rest = message.as_slice();
            for cut in &cuts {
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            pieces.push(rest);
            prop_assert_eq!(stuff(part, &pieces), stuff(part, &[&message]));
        }
    }

    #[test]
    fn top_is_a_beginning(message in message(), lines in 0..4u32) {
        let top = unstuff(&stuff(Part::Top { lines }, &[&message])).expect("framed");
        prop_assert!(canonical(&message).starts_with(&top));
    }
}
