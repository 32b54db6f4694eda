use super::*;
use proptest::prelude::*;

/// Who says what, in order.
#[derive(Clone, Debug)]
enum Said {
    Client(Vec<u8>),
    Backend(Vec<u8>),
}

fn c(text: &str) -> Said {
    Said::Client(format!("{text}\r\n").into_bytes())
}

fn s(text: &str) -> Said {
    Said::Backend(format!("{text}\r\n").into_bytes())
}

/// Follows what is said, each part in pieces of these sizes.
fn follow(said: &[Said], sizes: &[usize]) -> Track {
    let (mut track, mut sizes) = (Track::new(), sizes.iter().copied().cycle());
    for said in said {
        let (Said::Client(octets) | Said::Backend(octets)) = said;
        let mut rest = octets.as_slice();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len()));
            match said {
                Said::Client(_) => track.client_said(piece),
                Said::Backend(_) => track.backend_said(piece),
            }
            rest = behind;
        }
    }
    track
}

fn seen(said: &[Said], size: usize) -> (TrackState, usize, bool) {
    let track = follow(said, &[size]);
    (track.state(), track.in_flight(), track.may_speak())
}

/// Whatever the split.
fn each(said: &[Said], expected: (TrackState, usize, bool)) {
    for size in [1, 2, 3, 7, usize::MAX] {
        assert_eq!(seen(said, size), expected, "in pieces of {size}: {said:?}");
    }
}

const BETWEEN: (TrackState, usize, bool) = (TrackState::Transaction, 0, true);
const WAITS: (TrackState, usize, bool) = (TrackState::Transaction, 1, false);
const LOST: (TrackState, usize, bool) = (TrackState::Unknown, 0, false);

#[test]
fn some_answers_have_several_lines() {
    for (command, first) in
        [("RETR 1", "+OK 3 octets"), ("list", "+OK"), ("UIDL ", "+OK"), ("top 1 0", "+OK"), ("CAPA", "+OK")]
    {
        each(&[c(command)], WAITS);
        each(&[c(command), s(first)], WAITS);
        each(&[c(command), s(first), s("..\r\n.\r.\r\n+OK\r\n. \r\n\r\n.x")], WAITS);
        each(&[c(command), s(first), s("..\r\n\r\n.x"), s(".")], BETWEEN);
        each(&[c(command), s(first), s(".")], BETWEEN);
        each(&[c(command), s("-ERR no")], BETWEEN);
    }
    for command in ["LIST 1", "uidl 1", "NOOP", "STAT", "DELE 1", "RSET", "", "LANG en", "NONSENSE", "RETRIEVE"] {
        each(&[c(command), s("+OK 1 2")], BETWEEN);
        each(&[c(command), Said::Backend(b"-ERR half a li".to_vec())], (TrackState::Transaction, 1, false));
    }
}

#[test]
fn answers_come_in_order() {
    let said =
        [c("RETR 1"), c("DELE 1"), c("RETR 2"), s("+OK"), s("text\r\n."), s("-ERR locked"), s("+OK"), s("-ERR\r\n.")];
    each(&said[..3], (TrackState::Transaction, 3, false));
    each(&said[..5], (TrackState::Transaction, 2, false));
    each(&said[..6], WAITS);
    each(&said, BETWEEN);
}

#[test]
fn nothing_comes_behind_quit() {
    each(&[c("STAT"), c("QUIT"), s("+OK 1 2")], WAITS);
    for answer in ["+OK bye", "-ERR some messages not removed"] {
        each(&[c("QUIT"), s(answer)], (TrackState::Ended, 0, false));
    }
}

#[test]
fn it_says_where_it_lost_track() {
    each(&[s("+OK nobody asked")], LOST);
    each(&[c("NOOP"), s("* OK IMAP")], LOST);
    each(&[c("NOOP"), s("-ERROR")], BETWEEN);
    let many = vec![c("NOOP"); IN_FLIGHT_MAX + 1];
    each(&many[..IN_FLIGHT_MAX], (TrackState::Transaction, IN_FLIGHT_MAX, false));
    each(&many, LOST);
    each(&[c(&"x".repeat(100_000)), s("-ERR too long")], BETWEEN);
}

proptest! {
    #[test]
    fn a_dialogue_leaves_nothing(
        turns in proptest::collection::vec((0..4usize, "[a.\r\n]{0,12}"), 0..8),
        sizes in proptest::collection::vec(1usize..12, 1..6),
    ) {
        let mut said = Vec::new();
        for (kind, body) in turns {
            // As our own server stuffs it.
            let body: String = body.split('\n').map(|line| format!("{}{line}\n", if line.starts_with('.') { "." } else { "" })).collect();
            match kind {
                0 => said.extend([c("RETR 1"), s("+OK"), Said::Backend(format!("{body}\r\n.\r\n").into_bytes())]),
                1 => said.extend([c("RETR 1"), c("NOOP"), s(&format!("+OK\r\n{body}\r\n.\r\n+OK"))]),
                2 => said.extend([c("DELE 1"), s("+OK")]),
                _ => said.extend([c("LIST"), s("+OK"), s("1 2"), s(".")]),
            }
            let track = follow(&said, &sizes);
            prop_assert!(track.may_speak() && track.in_flight() == 0, "{said:?}");
        }
    }

    #[test]
    fn any_split_gives_the_same(
        parts in proptest::collection::vec((any::<bool>(), noise()), 0..12),
        sizes in proptest::collection::vec(1usize..12, 1..6),
    ) {
        let said: Vec<Said> =
            parts.into_iter().map(|(client, text)| if client { Said::Client(text) } else { Said::Backend(text) }).collect();
        let track = follow(&said, &sizes);
        prop_assert_eq!((track.state(), track.in_flight(), track.may_speak()), seen(&said, usize::MAX));
    }
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    let words =
        ["RETR 1\r\n", "LIST\r\n", "QUIT\r\n", "NOOP\n", "+OK\r\n", "-ERR\r\n", ".\r\n", "\r\n", "..\r\n", "+", "."];
    let word = prop_oneof![
        6 => proptest::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(word, 0..4).prop_map(|words| words.concat())
}
