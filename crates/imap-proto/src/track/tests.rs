use super::*;
use proptest::prelude::*;
use std::iter;

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

fn selected(name: &str, read_only: bool) -> State {
    State::Selected { mailbox: MailboxName::parse(name).unwrap(), read_only }
}

fn in_flight(track: &Track) -> Vec<&str> {
    track.in_flight().collect()
}

/// Whatever the split.
fn each(said: &[Said], check: impl Fn(&Track)) {
    for size in [1, 2, 5, usize::MAX] {
        check(&follow(said, &[size]));
    }
}

#[test]
fn a_mailbox_is_selected_by_its_answer() {
    let select = [c("a SELECT \"my \\\"box\\\"\" (CONDSTORE)"), s("* 3 EXISTS"), s("a OK [READ-WRITE] it is")];
    each(&select[..2], |track| assert_eq!((track.state(), track.may_speak()), (&State::Authenticated, false)));
    each(&select, |track| assert_eq!((track.state(), track.may_speak()), (&selected("my \"box\"", false), true)));
    for (answer, state) in [
        ("b OK [READ-ONLY] look", selected("INBOX", true)),
        ("b NO not there", State::Authenticated),
        ("b BAD what", selected("my \"box\"", false)),
    ] {
        let said = [&select[..], &[c("b SELECT inbox"), s(answer)]].concat();
        each(&said, |track| assert_eq!(track.state(), &state, "{answer}"));
    }
    let examined = [&select[..], &[c("b examine INBOX"), s("b OK done")]].concat();
    each(&examined, |track| assert_eq!(track.state(), &selected("INBOX", true)));
    for leave in ["CLOSE", "unselect"] {
        let said = [&examined[..], &[c(&format!("c {leave}")), s("c OK left")]].concat();
        each(&said, |track| assert_eq!(track.state(), &State::Authenticated));
    }
}

#[test]
fn a_name_may_be_a_literal() {
    let unasked = [c("a SELECT {5+}"), c("INBOX"), s("a OK in")];
    let asked = [c("a SELECT {6}"), s("+ go on"), Said::Client(b"Drafts".to_vec()), c(""), s("a OK in")];
    let empty = [c("a SELECT {0+}"), c(""), s("a BAD no"), c("b SELECT x"), s("b OK in")];
    each(&unasked, |track| assert_eq!(track.state(), &selected("INBOX", false)));
    each(&asked, |track| assert_eq!(track.state(), &selected("Drafts", false)));
    each(&empty, |track| assert_eq!(track.state(), &selected("x", false)));
}

#[test]
fn an_empty_line_is_no_command() {
    let said = [c("a SELECT x"), c(""), c("b NOOP"), s("a OK in"), s("b OK done")];
    each(&said, |track| assert_eq!((track.state(), track.may_speak()), (&selected("x", false), true)));
}

#[test]
fn a_literal_that_is_not_wanted_does_not_come() {
    let said = [c("a APPEND INBOX {400}"), s("a NO [TRYCREATE] where"), c("b NOOP")];
    each(&said, |track| assert_eq!(in_flight(track), ["b"]));
    let hasty = [c("a APPEND INBOX {400}"), c("b NOOP")];
    each(&hasty, |track| assert_eq!((track.state(), track.may_speak()), (&State::Unknown, false)));
    // One that is refused and comes all the same is passed over.
    let sent = [c("a APPEND INBOX {12+}"), s("a NO where"), c("b SELECT x"), c(""), c("c NOOP"), s("c OK done")];
    each(&sent, |track| assert_eq!((track.state(), in_flight(track).len()), (&State::Authenticated, 0)));
}

#[test]
fn what_looks_like_a_command_in_a_message_is_none() {
    let message = "x LOGOUT\r\ny COMPRESS DEFLATE\r\n";
    let append = [c(&format!("a APPEND INBOX {{{}+}}", message.len())), Said::Client(message.as_bytes().to_vec())];
    each(&append, |track| assert_eq!((in_flight(track), track.may_speak()), (vec!["a"], false)));
    let fetched = [
        c("b FETCH 1 BODY[]"),
        s(&format!("* 1 FETCH (BODY[] {{{}}}", message.len())),
        Said::Backend(b"* BYE\r\nb OK\r\n* BYE\r\nb OK\r\n+ go\r\n".to_vec()),
    ];
    let (literal, all) = (&fetched[..2], [&fetched[..2], &[Said::Backend(message.as_bytes().to_vec())]].concat());
    for said in [literal, &all] {
        each(said, |track| assert_eq!((track.state(), track.farewell()), (&State::Authenticated, &b""[..])));
    }
    let done = [&all[..], &[s(" UID 7)")]].concat();
    each(&done, |track| assert_eq!((track.may_speak(), track.farewell()), (false, FAREWELL)));
    let done = [&done[..], &[s("b OK done")]].concat();
    each(&done, |track| assert!(track.may_speak()));
    // A text is no string, whatever it ends with.
    each(&[s("* OK all {7}"), s("* 1 EXISTS")], |track| assert!(track.may_speak()));
}

/// The rest of a literal need not be shown, whatever part of it was.
#[test]
fn a_literal_may_go_unseen() {
    let fetched = [c("a FETCH 1 BODY[]"), s("* 1 FETCH (BODY[] {1000}")];
    each(&fetched[..1], |track| assert_eq!(track.backend_opaque(), 0));
    each(&fetched, |track| assert_eq!((track.backend_opaque(), track.may_speak()), (1000, false)));
    let mut track = follow(&fetched, &[usize::MAX]);
    track.backend_said(&[b'x'; 10]);
    track.backend_skipped(900);
    assert_eq!((track.backend_opaque(), track.farewell()), (90, &b""[..]));
    track.backend_skipped(90);
    assert_eq!(track.backend_opaque(), 0);
    track.backend_said(b" FLAGS ())\r\na OK done\r\n");
    assert_eq!((in_flight(&track).len(), track.may_speak()), (0, true));
    // Nothing is followed of what cannot be read.
    let compressed = [c("b COMPRESS DEFLATE"), s("b OK on")];
    each(&compressed, |track| assert_eq!((track.state(), track.backend_opaque()), (&State::Opaque, u64::MAX)));
}

#[test]
fn one_may_speak_while_a_client_idles() {
    let idle = [c("a IDLE"), s("+ idling"), s("* 4 EXISTS"), c("DONE"), s("a OK done")];
    for (so_far, may_speak) in [(1, false), (2, true), (3, true), (4, false), (5, true)] {
        each(&idle[..so_far], |track| assert_eq!(track.may_speak(), may_speak, "{so_far}"));
    }
    each(&[c("a IDLE"), s("a NO not here"), c("b NOOP")], |track| assert_eq!(in_flight(track), ["b"]));
    // Pipelined: the first go-ahead is for the first that asked.
    let hasty = [c("a IDLE"), c("DONE"), c("b APPEND x {3}"), s("+ idling"), s("a OK done"), s("+ OK"), c("abc")];
    each(&hasty[..5], |track| assert_eq!(in_flight(track), ["b"]));
    each(&hasty, |track| assert_eq!((track.state(), in_flight(track)), (&State::Authenticated, vec!["b"])));
    each(&hasty[..5].iter().cloned().chain([c("abc")]).collect::<Vec<_>>(), |track| {
        assert_eq!(track.state(), &State::Unknown);
    });
}

#[test]
fn after_a_farewell_there_is_none() {
    let logout = [c("a LOGOUT"), s("* BYE so long"), s("a OK bye")];
    each(&logout[..1], |track| assert_eq!((track.may_speak(), track.farewell()), (false, FAREWELL)));
    each(&logout[..2], |track| assert_eq!((track.state(), track.farewell()), (&State::LoggedOut, &b""[..])));
    each(&logout, |track| assert_eq!((track.may_speak(), track.farewell()), (false, &b""[..])));
}

#[test]
fn what_is_compressed_is_left_alone() {
    let said = [c("a COMPRESS DEFLATE"), Said::Backend(b"a OK active\r\n\x01\x02\r\n".to_vec()), c("b SELECT x")];
    each(&said, |track| {
        assert_eq!((track.state(), track.may_speak(), track.farewell()), (&State::Opaque, false, &b""[..]));
    });
    each(&[c("a COMPRESS DEFLATE"), s("a NO [COMPRESSIONACTIVE] it is")], |track| assert!(track.may_speak()));
}

#[test]
fn what_was_enabled_is_what_the_server_says() {
    let said = [c("a ENABLE QRESYNC UTF8=ACCEPT X"), s("* ENABLED QRESYNC UTF8=ACCEPT"), s("a OK enabled")];
    each(&said[..1], |track| assert_eq!(track.enabled(), Enabled::default()));
    let all = Enabled { condstore: true, qresync: true, utf8: true };
    each(&said, |track| assert_eq!(track.enabled(), all));
    let named = [&said[..], &[c("b SELECT \"Entwürfe\""), s("b OK in")]].concat();
    each(&named, |track| assert_eq!(track.state(), &selected("Entwürfe", false)));
}

#[test]
fn limits_are_where_it_loses_track() {
    let many: Vec<Said> = (0..=IN_FLIGHT_MAX).map(|at| c(&format!("t{at} NOOP"))).collect();
    each(&many[..IN_FLIGHT_MAX], |track| assert_eq!(track.in_flight().count(), IN_FLIGHT_MAX));
    each(&many, |track| assert_eq!(track.state(), &State::Unknown));
    // A long command is known by its beginning, also before its end.
    let long = format!("a UID FETCH {} FLAGS", "1,".repeat(PART_OCTETS_MAX));
    let begun = [Said::Client(long.as_bytes().to_vec()), s("a BAD [TOOBIG] too long"), c(""), c("b NOOP")];
    each(&begun, |track| assert_eq!(in_flight(track), ["b"]));
    // … and what it selects is not.
    let name = "x".repeat(PART_OCTETS_MAX);
    for select in [c(&format!("a SELECT \"{name}\"")), c(&format!("a SELECT {{{}+}}\r\n{name}", name.len()))] {
        each(&[select, s("a OK in")], |track| assert_eq!(track.state(), &State::Unknown));
    }
    let endless = Said::Backend(vec![b'x'; 3 * PART_OCTETS_MAX]);
    each(&[endless], |track| {
        assert!(track.backend.head().len() <= PART_OCTETS_MAX && track.farewell().is_empty());
    });
}

/// A dialogue of which the model knows how it ends.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Noop,
    Select { literal: bool, examine: bool, answer: usize },
    Close,
    Idle,
    Append { waits: bool, wanted: bool },
    Fetch { octets: usize },
    Pair,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        Just(Turn::Noop),
        (any::<bool>(), any::<bool>(), 0..3usize).prop_map(|(literal, examine, answer)| Turn::Select {
            literal,
            examine,
            answer
        }),
        Just(Turn::Close),
        Just(Turn::Idle),
        (any::<bool>(), any::<bool>()).prop_map(|(waits, wanted)| Turn::Append { waits, wanted }),
        (0..40usize).prop_map(|octets| Turn::Fetch { octets }),
        Just(Turn::Pair),
    ]
}

/// What is said in the turn, and the state behind it.
fn play(turn: Turn, before: State) -> (Vec<Said>, State) {
    match turn {
        Turn::Noop => (vec![c("n NOOP"), s("* 2 RECENT {4}x"), s("n OK {9} done")], before),
        Turn::Close => (vec![c("n CLOSE"), s("n OK left")], State::Authenticated),
        Turn::Idle => (vec![c("i IDLE"), s("+ "), s("* 1 EXPUNGE"), c("done"), s("i OK done")], before),
        Turn::Pair => (vec![c("p NOOP"), c("q NOOP"), s("p OK done"), s("q BAD {3}")], before),
        Turn::Fetch { octets } => {
            let content = "{5}\r\n".repeat(octets);
            let said = [c("f FETCH 1 BODY[]"), s(&format!("* 1 FETCH (BODY[] {{{}}}\r\n{content})", content.len()))];
            ([&said[..], &[s("f OK done")]].concat(), before)
        }
        Turn::Append { waits: true, wanted } => {
            let sent = [s("+ OK"), c("hello{3}"), s("a OK in")];
            let tail = if wanted { &sent[..] } else { &[s("a NO no")] };
            ([&[c("a APPEND x {8}")], tail].concat(), before)
        }
        Turn::Append { waits: false, wanted } => {
            let answer = s(if wanted { "a OK in" } else { "a NO no" });
            (vec![c("a APPEND x {8+}"), c("hello{3}"), answer], before)
        }
        Turn::Select { literal, examine, answer } => {
            let verb = if examine { "EXAMINE" } else { "SELECT" };
            let ask = if literal { format!("s {verb} {{3+}}\r\nbox") } else { format!("s {verb} box") };
            let (answer, after) = match answer {
                0 => ("s OK [READ-WRITE] in", selected("box", examine)),
                1 => ("s NO no", State::Authenticated),
                _ => ("s BAD what", before),
            };
            (vec![c(&ask), s("* OK [CLOSED] out {1}"), s(answer)], after)
        }
    }
}

proptest! {
    #[test]
    fn a_dialogue_leaves_what_the_model_says(
        turns in proptest::collection::vec(turn(), 0..8),
        sizes in proptest::collection::vec(1usize..12, 1..6),
    ) {
        let (mut said, mut state) = (Vec::new(), State::Authenticated);
        for turn in turns {
            let (more, after) = play(turn, state);
            said.extend(more);
            state = after;
            let track = follow(&said, &sizes);
            prop_assert_eq!(track.state(), &state);
            prop_assert!(track.may_speak() && track.farewell() == FAREWELL, "{said:?}");
        }
    }

    #[test]
    fn any_split_gives_the_same(
        parts in proptest::collection::vec((any::<bool>(), noise()), 0..12),
        sizes in proptest::collection::vec(1usize..12, 1..6),
    ) {
        let said: Vec<Said> =
            parts.into_iter().map(|(client, text)| if client { Said::Client(text) } else { Said::Backend(text) }).collect();
        let seen = |track: &Track| {
            let tags: Vec<String> = track.in_flight().map(str::to_owned).collect();
            (track.state().clone(), track.enabled(), tags, track.may_speak(), track.farewell())
        };
        prop_assert_eq!(seen(&follow(&said, &sizes)), seen(&follow(&said, &[usize::MAX])));
    }
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "a SELECT x\r\n",
        "a OK in\r\n",
        "a NO {3}\r\n",
        "b IDLE\r\n",
        "+ \r\n",
        "DONE\r\n",
        "b OK\r\n",
        "c APPEND y {4}\r\n",
        "abcd\r\n",
        "c APPEND y {4+}\r\n",
        "* 1 FETCH (X {5}\r\n",
        "hello)\r\n",
        "* ENABLED QRESYNC\r\n",
        "* BYE\r\n",
        "d COMPRESS X\r\n",
        "d OK\r\n",
        "\r\n",
        "\n",
        " ",
        "{",
        "a SELECT {1}\r\n",
        "a SELECT {1+}\r\nx\r\n",
        "* OK x {2}\r\n",
    ];
    let word = prop_oneof![
        6 => proptest::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(word, 0..4).prop_map(|words| words.concat())
}

#[test]
fn a_large_literal_is_not_copied() {
    let mut track = Track::new();
    track.client_said(b"a FETCH 1 BODY[]\r\n");
    track.backend_said(b"* 1 FETCH (BODY[] {100000000}\r\n");
    let piece = vec![b'\n'; 1_000_000];
    iter::repeat_n(&piece, 99).for_each(|piece| track.backend_said(piece));
    assert!(track.backend.head().is_empty() && track.farewell().is_empty());
    track.backend_said(&piece);
    track.backend_said(b")\r\na OK done\r\n");
    assert!(track.may_speak());
}
