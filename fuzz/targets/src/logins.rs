//! Logins at a back-end: IMAP and POP3, the client's end.

use crate::converse::{Split, assert_lines};
use machine::Machine;
use std::fmt::Debug;
use std::time::Instant;

/// What IMAP servers say. Any split of the lines gives the same: one event, one command at most, and what nobody read.
pub fn imap_client(data: &[u8]) {
    use imap_proto::client::{Client, Event, Login};
    let client = |now| Client::new(Login::External { authorization: "alice@example.test".to_owned() }, now);
    each_split(data, client, Client::take_unread, |event| match event {
        Event::LoggedIn { welcome } => Some(welcome),
        Event::Refused { .. } | Event::Closed(_) => None,
    });
}

/// What POP3 servers say, to a short name and to a long one: as [`imap_client`].
pub fn pop3_client(data: &[u8]) {
    use pop3_proto::{Client, ClientEvent, Login, Mode};
    for (octets, mode) in [(1, Mode::Ascii), (300, Mode::Ascii), (300, Mode::Utf8)] {
        let client = |now| Client::new(Login::External { authorization: "a".repeat(octets) }, now).in_mode(mode);
        each_split(data, client, Client::take_unread, |event| match event {
            ClientEvent::LoggedIn { welcome } => Some(welcome),
            ClientEvent::Refused(_) | ClientEvent::Closed(_) => None,
        });
    }
}

fn each_split<M: Machine<Event: Debug + PartialEq>>(
    data: &[u8],
    client: impl Fn(Instant) -> M,
    unread: impl Fn(&mut M) -> bytes::Bytes,
    welcome: impl Fn(M::Event) -> Option<bytes::Bytes>,
) {
    let run = |split| {
        let mut machine = client(Instant::now());
        let (events, output, unfed) = converse(&mut machine, data, split);
        assert_eq!(events.len(), 1, "one event");
        assert_lines(&output);
        let rest = [unread(&mut machine).as_ref(), &unfed].concat();
        (events, output.escape_ascii().to_string(), rest)
    };
    let whole = run(Split::Whole);
    for split in Split::OTHERS {
        let other = run(split);
        assert_eq!((&other.0, &other.1), (&whole.0, &whole.1), "{split:?}");
        // What comes behind the end matters to nobody.
        let logged_in = other.0.into_iter().find_map(&welcome);
        assert!(logged_in.is_none() || other.2 == whole.2, "{split:?}: something behind the login was lost");
        assert!(logged_in.is_none_or(|welcome| !welcome.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0))));
    }
}

/// Gives events, output, and what was not wanted. A client speaks between lines, so their own split does matter.
fn converse<M: Machine>(machine: &mut M, data: &[u8], split: Split) -> (Vec<M::Event>, Vec<u8>, Vec<u8>) {
    let now = Instant::now();
    let (mut events, mut output, mut unfed) = (Vec::new(), Vec::new(), Vec::new());
    for line in data.split_inclusive(|octet| *octet == b'\n') {
        for piece in split.cut(line) {
            if machine.wants_input() {
                machine.handle_input(now, piece);
            } else {
                unfed.extend_from_slice(piece);
            }
            events.extend(std::iter::from_fn(|| machine.poll_event()));
        }
        output.extend(std::iter::from_fn(|| machine.poll_output()).flatten());
    }
    machine.handle_eof(now);
    events.extend(std::iter::from_fn(|| machine.poll_event()));
    assert!(machine.is_closed(), "after the end of input nothing is left open");
    (events, output, unfed)
}
