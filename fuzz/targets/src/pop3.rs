//! POP3, the server's end.

use crate::converse::{Split, assert_lines, converse};
use bytes::Bytes;
use machine::Machine;
use pop3_proto::{
    Config, Event, LoginMethods, Maildrop, MessageNumber, Refusal, Security, Server, TlsStart, UniqueId, Utf8,
};
use std::sync::Arc;
use std::time::Instant;

/// What clients say. Any split gives the same events and answers; commands that came behind STLS are never obeyed.
pub fn pop3_server(data: &[u8]) {
    let (events, output) = session(data, Split::Whole);
    assert_lines(&output);
    for split in Split::OTHERS {
        let (other_events, other_output) = session(data, split);
        assert_eq!(other_events, events, "{split:?}");
        assert_eq!(other_output.escape_ascii().to_string(), output.escape_ascii().to_string(), "{split:?}");
    }
    start_tls(data);
}

fn session(data: &[u8], split: Split) -> (Vec<Event>, Vec<u8>) {
    let now = Instant::now();
    let mut server = Server::new(config(), Security::Clear, now);
    let mut events = Vec::new();
    let output = converse(&mut server, now, &split.cut(data), |server, event| {
        answer(server, &event);
        events.push(event);
    });
    (events, output)
}

fn start_tls(data: &[u8]) {
    let now = Instant::now();
    let mut server = Server::new(config(), Security::ClearWithStls, now);
    let lines: Vec<&[u8]> = data.split_inclusive(|octet| *octet == b'\n').collect();
    converse(&mut server, now, &lines, |server, event| answer(server, &event));
}

/// Depends on the event alone.
fn answer(server: &mut Server, event: &Event) {
    let first = MessageNumber::new(1).expect("not zero");
    let id = UniqueId::parse("u1").expect("a unique-id");
    let maildrop = Maildrop { messages: 1, octets: 10 };
    match event {
        Event::Login { password, .. } if password.as_bytes().len() % 2 == 1 => server.logged_in(maildrop),
        Event::Login { .. } => server.refuse(&Refusal::BAD_CREDENTIALS),
        Event::Auth { initial: None, .. } => server.challenge(b"go on"),
        Event::Auth { .. } | Event::AuthResponse(_) => server.logged_in(maildrop),
        Event::AuthCancelled => {}
        Event::StartTls => match server.tls_ready() {
            TlsStart::Begin => {
                assert!(!server.wants_input(), "nothing is read in clear before the handshake");
                server.tls_started();
                assert_eq!(server.security(), Security::Tls);
                assert!(!server.is_logged_in() && !server.is_utf8(), "what was learnt in clear is forgotten");
            }
            TlsStart::Refused => assert!(server.is_closed(), "commands in clear behind STLS"),
        },
        Event::Stat => server.stat(maildrop),
        Event::List(Some(number)) | Event::Uidl(Some(number)) | Event::Retr(number) | Event::Dele(number)
            if *number != first =>
        {
            server.refuse(&Refusal::NO_SUCH_MESSAGE);
        }
        Event::Top { number, .. } if *number != first => server.refuse(&Refusal::NO_SUCH_MESSAGE),
        Event::List(Some(_)) => server.list_one(10),
        Event::List(None) => {
            server.list_begin(maildrop);
            server.list_item(first, 10);
            server.listing_end();
        }
        Event::Uidl(Some(_)) => server.uidl_one(&id),
        Event::Uidl(None) => {
            server.uidl_begin();
            server.uidl_item(first, &id);
            server.listing_end();
        }
        Event::Retr(_) | Event::Top { .. } => {
            server.message_begin(10);
            let _ = server.body(Bytes::from_static(b"A: b\r\n\r\n."));
            let _ = server.body(Bytes::from_static(b"\nx"));
            server.body_end();
        }
        Event::Dele(_) => server.deleted(),
        Event::Rset => server.unmarked(maildrop),
        Event::Quit => server.updated(),
    }
}

fn config() -> Arc<Config> {
    Arc::new(Config {
        greeting: "ready".into(),
        implementation: None,
        in_clear: LoginMethods::with_user(&["PLAIN"]),
        under_tls: LoginMethods::with_user(&["PLAIN"]),
        behind_login: None,
        expire: None,
        login_delay_seconds: Some(60),
        utf8: Utf8::Refused,
    })
}
