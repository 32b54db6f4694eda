//! Logins at a back-end: IMAP, POP3 and ManageSieve, the client's end.

use crate::converse::{Split, assert_lines};
use machine::Machine;
use std::fmt::Debug;
use std::time::Instant;

/// What IMAP servers say, to each kind of login. Any split of the lines gives the same: TLS if it must be, one end, the same
/// commands, and what nobody read.
pub fn imap_client(data: &[u8]) {
    use imap_proto::client::{Capabilities, Client, Event, Login};
    use imap_proto::command::Secret;
    let password = |octets: &[u8], authorization: Option<&str>| Login::Password {
        authorization: authorization.map(str::to_owned),
        authentication: "ann".to_owned(),
        password: Secret::new(octets.to_vec()),
    };
    let external = || Login::External { authorization: "alice@example.test".to_owned() };
    let token = || Login::Token { oauthbearer: Secret::new(b"n,".to_vec()), xoauth2: Secret::new(b"user=".to_vec()) };
    let known = || Capabilities::parse(b"AUTH=PLAIN");
    let clients: [&dyn Fn(Instant) -> Client; 10] = [
        &|now| Client::new(external(), now),
        &|now| Client::new(external(), now).with_starttls(),
        &|now| Client::new(password(b"secret", None), now),
        &|now| Client::new(password(b"caf\xe9", None), now),
        &|now| Client::new(password(b"secret", Some("bob")), now).knowing(known()),
        &|now| {
            let id = vec![("x-proxy-ttl", "4".to_owned())];
            Client::new(password(b"secret", None), now).knowing(Capabilities::parse(b"AUTH=PLAIN ID")).introducing(id)
        },
        &|now| Client::new(password(b"secret", None), now).with_starttls().knowing(known()),
        &|now| Client::new(token(), now),
        &|now| Client::new(token(), now).knowing(Capabilities::parse(b"AUTH=OAUTHBEARER")),
        &|now| Client::asking(now).with_starttls(),
    ];
    for client in clients {
        each_split(data, client, Client::tls_started, Client::take_unread, |event| match event {
            Event::StartTls => Said::StartTls,
            Event::LoggedIn { welcome, capabilities } => {
                Said::Welcome([welcome.as_ref(), capabilities.as_deref().unwrap_or_default()].concat())
            }
            Event::Offered | Event::Refused { .. } | Event::Closed(_) => Said::End,
        });
    }
}

/// What POP3 servers say, to each kind of login, with short and long names: as [`imap_client`].
pub fn pop3_client(data: &[u8]) {
    use pop3_proto::{Capabilities, Client, ClientEvent, Login, Mode, Secret};
    let external = |octets: usize| Login::External { authorization: "a".repeat(octets) };
    let password = |octets: usize, authorization: Option<&str>| Login::Password {
        authorization: authorization.map(str::to_owned),
        authentication: "ann".to_owned(),
        password: Secret::new(b"s".repeat(octets)),
    };
    let token = |octets: usize| Login::Token {
        oauthbearer: Secret::new(b"o".repeat(octets)),
        xoauth2: Secret::new(b"x".repeat(octets)),
    };
    let known = || Capabilities { sasl_plain: true, ..Capabilities::default() };
    let bearer = || Capabilities { sasl_oauthbearer: true, ..Capabilities::default() };
    let user = || Capabilities { user: true, pipelining: true, ..Capabilities::default() };
    let clients: [&dyn Fn(Instant) -> Client; 12] = [
        &|now| Client::new(token(6), now),
        &|now| Client::new(token(300), now).knowing(bearer()),
        &|now| Client::new(external(1), now),
        &|now| Client::new(external(300), now),
        &|now| Client::new(external(300), now).in_mode(Mode::Utf8),
        &|now| Client::new(password(6, None), now),
        &|now| Client::new(password(6, None), now).with_starttls(),
        &|now| Client::new(password(300, Some("bob")), now).knowing(known()).with_starttls(),
        &|now| Client::new(password(6, Some("bob")), now).in_mode(Mode::Utf8),
        &|now| Client::new(password(6, None), now).knowing(user()),
        &|now| Client::new(password(6, None), now).knowing(user()).introducing("TTL=4".to_owned()),
        &|now| Client::asking(now).with_starttls(),
    ];
    for client in clients {
        each_split(data, client, Client::tls_started, Client::take_unread, |event| match event {
            ClientEvent::StartTls => Said::StartTls,
            ClientEvent::LoggedIn { welcome } => Said::Welcome(welcome.to_vec()),
            ClientEvent::Offered | ClientEvent::Refused { .. } | ClientEvent::Closed(_) => Said::End,
        });
    }
}

/// What ManageSieve servers say, to each kind of login and to who only asks: as [`imap_client`].
pub fn managesieve_client(data: &[u8]) {
    use managesieve_proto::{Client, ClientEvent, Login, Secret};
    let login = |octets: usize, authorization: Option<&str>| Login::Password {
        authorization: authorization.map(str::to_owned),
        authentication: "ann".to_owned(),
        password: Secret::new(b"s".repeat(octets)),
    };
    let token = |octets: usize| Login::Token {
        oauthbearer: Secret::new(b"o".repeat(octets)),
        xoauth2: Secret::new(b"x".repeat(octets)),
    };
    let clients: [&dyn Fn(Instant) -> Client; 7] = [
        &|now| Client::new(token(6), now),
        &|now| Client::new(token(900), now),
        &|now| Client::asking(now),
        &|now| Client::asking(now).with_starttls(),
        &|now| Client::new(login(6, None), now),
        &|now| Client::new(login(6, None), now).with_starttls(),
        &|now| Client::new(login(900, Some("bob")), now),
    ];
    for client in clients {
        each_split(data, client, Client::tls_started, Client::take_unread, |event| match event {
            ClientEvent::StartTls => Said::StartTls,
            ClientEvent::LoggedIn { welcome } => Said::Welcome(welcome.to_vec()),
            ClientEvent::Told | ClientEvent::Refused { .. } | ClientEvent::Closed(_) => Said::End,
        });
    }
}

/// What an event is.
#[derive(PartialEq)]
enum Said {
    StartTls,
    Welcome(Vec<u8>),
    End,
}

fn each_split<M: Machine<Event: Debug + PartialEq>>(
    data: &[u8],
    client: impl Fn(Instant) -> M,
    tls_started: impl Fn(&mut M, Instant),
    unread: impl Fn(&mut M) -> bytes::Bytes,
    said: impl Fn(&M::Event) -> Said,
) {
    let run = |split| {
        let mut machine = client(Instant::now());
        let on_event = |machine: &mut M, event: &M::Event, now| {
            if said(event) == Said::StartTls {
                tls_started(machine, now);
            }
        };
        let (events, output, unfed) = converse(&mut machine, data, split, on_event);
        let (last, before) = events.split_last().expect("an end");
        assert!(before.len() <= 1 && before.iter().all(|event| said(event) == Said::StartTls), "one end");
        assert!(said(last) != Said::StartTls, "an end");
        assert_lines(&output);
        let rest = [unread(&mut machine).as_ref(), &unfed].concat();
        (events, output.escape_ascii().to_string(), rest)
    };
    let whole = run(Split::Whole);
    for split in Split::OTHERS {
        let other = run(split);
        assert_eq!((&other.0, &other.1), (&whole.0, &whole.1), "{split:?}");
        // What comes behind the end matters to nobody.
        if let Some(Said::Welcome(told)) = other.0.last().map(&said) {
            assert!(other.2 == whole.2, "{split:?}: something behind the login was lost");
            assert!(!told.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)));
        }
    }
}

/// Gives events, output, and what was not wanted. A client speaks between lines, so their own split does matter.
fn converse<M: Machine>(
    machine: &mut M,
    data: &[u8],
    split: Split,
    on_event: impl Fn(&mut M, &M::Event, Instant),
) -> (Vec<M::Event>, Vec<u8>, Vec<u8>) {
    let now = Instant::now();
    let (mut events, mut output, mut unfed) = (Vec::new(), Vec::new(), Vec::new());
    for line in data.split_inclusive(|octet| *octet == b'\n') {
        for piece in split.cut(line) {
            if machine.wants_input() {
                machine.handle_input(now, piece);
            } else {
                unfed.extend_from_slice(piece);
            }
            while let Some(event) = machine.poll_event() {
                on_event(machine, &event, now);
                events.push(event);
            }
        }
        output.extend(std::iter::from_fn(|| machine.poll_output()).flatten());
    }
    machine.handle_eof(now);
    events.extend(std::iter::from_fn(|| machine.poll_event()));
    assert!(machine.is_closed(), "after the end of input nothing is left open");
    (events, output, unfed)
}
