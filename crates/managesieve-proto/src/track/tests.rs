use super::*;
use proptest::prelude::*;

/// `C:` and `S:` in front of what each said, in order, in pieces of this size.
fn follow(conversation: &[&str], piece_octets: usize) -> Track {
    let mut track = Track::new();
    for said in conversation {
        let (who, text) = said.split_at(2);
        for piece in text.as_bytes().chunks(piece_octets) {
            if who == "C:" { track.client_said(piece) } else { track.backend_said(piece) }
        }
    }
    track
}

fn facts(conversation: &[&str]) -> (TrackState, usize, bool, bool) {
    let facts = |track: Track| (track.state(), track.in_flight(), track.may_speak(), track.may_be_told());
    let whole = facts(follow(conversation, usize::MAX));
    for size in [1, 2, 5] {
        assert_eq!(facts(follow(conversation, size)), whole, "{conversation:?} in pieces of {size}");
    }
    whole
}

#[test]
fn commands_wait_for_their_answers() {
    use TrackState::LoggedIn;
    assert_eq!(facts(&[]), (LoggedIn, 0, true, true));
    assert_eq!(facts(&["C:LISTSC"]), (LoggedIn, 0, true, true));
    assert_eq!(facts(&["C:LISTSCRIPTS\r\nNOOP\r\n"]), (LoggedIn, 2, false, true));
    assert_eq!(facts(&["C:LISTSCRIPTS\r\nNOOP\r\n", "S:\"a\" ACTIVE\r\n\"OK\"\r\nOK\r\n"]), (LoggedIn, 1, false, true));
    assert_eq!(facts(&["C:NOOP\r\n", "S:OK (TAG {3}\r\nO"]), (LoggedIn, 1, false, false));
    assert_eq!(facts(&["C:NOOP\r\n", "S:ok (TAG {3}\r\nOK\n) \"x\"\r\n"]), (LoggedIn, 0, true, true));
}

#[test]
fn what_scripts_hold_is_no_line() {
    use TrackState::LoggedIn;
    let put = "C:PUTSCRIPT \"a\" {18+}\r\nLOGOUT\r\nNOOP\r\nOK\r\n\r\n";
    assert_eq!(facts(&[put]), (LoggedIn, 1, false, true));
    assert_eq!(facts(&[put, "S:OK\r\n"]), (LoggedIn, 0, true, true));
    let get = "S:{13}\r\nBYE\r\nNO\r\nOK\r\n";
    assert_eq!(facts(&["C:GETSCRIPT \"a\"\r\n", get]), (LoggedIn, 1, false, false));
    assert_eq!(facts(&["C:GETSCRIPT \"a\"\r\n", get, "S:\r\nOK\r\n"]), (LoggedIn, 0, true, true));
}

#[test]
fn a_session_ends_once() {
    use TrackState::{Ended, LoggedIn};
    assert_eq!(facts(&["C:NOOP\r\nlogout\r\n", "S:OK\r\n"]), (LoggedIn, 1, false, true));
    assert_eq!(facts(&["C:NOOP\r\nlogout\r\n", "S:OK\r\nOK \"bye\"\r\n"]), (Ended, 0, false, false));
    assert_eq!(facts(&["S:BYE \"idle\"\r\n"]), (Ended, 0, false, false));
    assert_eq!(facts(&["C:NOOP\r\n", "S:BYE (TRYLATER) \"no\"\r\n"]), (Ended, 1, false, false));
}

#[test]
fn what_is_no_session_is_not_followed() {
    use TrackState::Unknown;
    for conversation in [
        &["S:OK\r\n"][..],
        &["S:\"a\"\r\n"],
        &["C:NOOP\r\n", "S:* OK\r\n"],
        &["C:NOOP\r\n", "S:OKAY\r\n"],
        &["C:UNAUTHENTICATE\r\n"],
        &["C:starttls\r\n"],
    ] {
        assert_eq!(facts(conversation), (Unknown, 0, false, false), "{conversation:?}");
    }
    let many = format!("C:{}", "NOOP\r\n".repeat(IN_FLIGHT_MAX + 1));
    assert_eq!(facts(&[&many]).0, Unknown);
}

proptest! {
    #[test]
    fn any_split_leads_to_the_same_place(
        said in proptest::collection::vec((any::<bool>(), prop_oneof![
            Just(b"NOOP\r\n".to_vec()),
            Just(b"LOGOUT\r\n".to_vec()),
            Just(b"PUTSCRIPT \"x\" {4+}\r\n".to_vec()),
            Just(b"\"a\" ACTIVE\r\n".to_vec()),
            Just(b"OK {2}\r\n".to_vec()),
            Just(b"NO\r\n".to_vec()),
            Just(b"BYE\r\n".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..8),
        ]), 0..12),
        size in 1usize..7,
    ) {
        let run = |size: usize| {
            let mut track = Track::new();
            for (by_client, octets) in &said {
                for piece in octets.chunks(size) {
                    if *by_client { track.client_said(piece) } else { track.backend_said(piece) }
                }
            }
            (track.state(), track.in_flight(), track.may_speak(), track.may_be_told())
        };
        prop_assert_eq!(run(size), run(usize::MAX));
    }
}
