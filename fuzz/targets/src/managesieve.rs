//! ManageSieve, the server's end before the login, and what follows a session behind it.

use crate::converse::{Split, assert_lines, converse};
use machine::Machine;
use managesieve_proto::{Config, Event, Offer, Refusal, Security, Server, TlsStart, Track};
use std::sync::Arc;
use std::time::Instant;

/// What clients say. Any split gives the same events, answers and octets for the back-end; what came behind STARTTLS in
/// clear is never obeyed.
pub fn managesieve_server(data: &[u8]) {
    let whole = session(data, Split::Whole);
    assert_lines(&whole.1);
    for split in Split::OTHERS {
        let other = session(data, split);
        assert_eq!(other.0, whole.0, "{split:?}");
        assert_eq!(other.1.escape_ascii().to_string(), whole.1.escape_ascii().to_string(), "{split:?}");
        assert!(other.2 == whole.2, "{split:?}: something behind the login was lost");
    }
    start_tls(data);
}

/// A session that passes by, both ends saying the same. Any split leads to the same place.
pub fn managesieve_track(data: &[u8]) {
    let run = |split: Split| {
        let mut track = Track::new();
        for (turn, line) in data.split_inclusive(|octet| *octet == b'\n').enumerate() {
            for piece in split.cut(line) {
                if turn % 3 == 0 { track.client_said(piece) } else { track.backend_said(piece) }
            }
        }
        assert!(track.may_be_told() || !track.may_speak());
        (track.state(), track.in_flight(), track.may_speak(), track.may_be_told())
    };
    let whole = run(Split::Whole);
    for split in Split::OTHERS {
        assert_eq!(run(split), whole, "{split:?}");
    }
}

/// Events, output, and what goes on to the back-end.
fn session(data: &[u8], split: Split) -> (Vec<Event>, Vec<u8>, Vec<u8>) {
    let now = Instant::now();
    let mut server = Server::new(config(), Arc::new(Offer::default()), Security::Clear, now);
    let (mut events, mut passed, mut is_passed, mut fed) = (Vec::new(), Vec::new(), false, 0);
    let mut output = converse_piece(&mut server, now, b"", |_, _| ());
    for piece in split.cut(data) {
        if is_passed {
            break;
        }
        fed += piece.len();
        output.extend(converse_piece(&mut server, now, piece, |server, event| {
            if let Some(unread) = answer(server, &event) {
                (passed, is_passed) = (unread, true);
            }
            events.push(event);
        }));
    }
    if is_passed {
        passed.extend_from_slice(data.get(fed..).unwrap_or_default());
    }
    (events, output, passed)
}

/// Gives one piece, as far as it is wanted, and takes all that comes of it.
fn converse_piece(
    server: &mut Server,
    now: Instant,
    piece: &[u8],
    mut on_event: impl FnMut(&mut Server, Event),
) -> Vec<u8> {
    let mut output = Vec::new();
    let mut settle = |server: &mut Server| {
        loop {
            if let Some(event) = server.poll_event() {
                on_event(server, event);
            } else if let Some(octets) = server.poll_output() {
                output.extend_from_slice(&octets);
            } else {
                return;
            }
        }
    };
    settle(server);
    assert!(server.is_closed() || server.wants_input(), "nobody's turn");
    server.handle_input(now, piece);
    settle(server);
    output
}

fn start_tls(data: &[u8]) {
    let now = Instant::now();
    let mut server = Server::new(config(), Arc::new(Offer::default()), Security::ClearWithStartTls, now);
    let lines: Vec<&[u8]> = data.split_inclusive(|octet| *octet == b'\n').collect();
    converse(&mut server, now, &lines, |server, event| {
        if answer(server, &event).is_some() {
            // The end of a session that nobody plays here.
            server.bye(&Refusal::LOST);
        }
    });
}

/// Depends on the event alone. What a client said behind its login, where it is in.
fn answer(server: &mut Server, event: &Event) -> Option<Vec<u8>> {
    match event {
        Event::Authenticate { initial: None, .. } => server.challenge(b"go on"),
        Event::Authenticate { initial: Some(message), .. } | Event::AuthResponse(message) => {
            if message.as_bytes().len() % 2 == 1 {
                return Some(server.pass(b"in").to_vec());
            }
            server.refuse(&Refusal::BAD_CREDENTIALS);
        }
        Event::AuthCancelled => {}
        Event::StartTls => match server.tls_ready() {
            TlsStart::Begin => {
                assert!(!server.wants_input(), "nothing is read in clear before the handshake");
                server.tls_started();
                assert_eq!(server.security(), Security::Tls);
            }
            TlsStart::Refused => assert!(server.is_closed(), "commands in clear behind STARTTLS"),
        },
    }
    None
}

fn config() -> Arc<Config> {
    let mechanisms = vec!["PLAIN".to_owned()];
    Arc::new(Config {
        implementation: "x".into(),
        greeting: "ready".into(),
        in_clear: mechanisms.clone(),
        under_tls: mechanisms,
    })
}
