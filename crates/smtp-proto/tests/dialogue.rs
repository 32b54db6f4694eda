//! Client and server against each other, smuggling in both directions, timeouts, and octets that are no SMTP.
#![allow(clippy::disallowed_methods, clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod role;

use bytes::Bytes;
use machine::Machine;
use mail_types::{Address, Domain, ForwardPath, ReversePath};
use proptest::prelude::*;
use role::{Receipt, Role};
use smtp_proto::client::{self, Client, Outcome};
use smtp_proto::server::{Closing, Event, Server};
use smtp_proto::{Dialect, Mail, Rcpt, Refusal, Security, limits};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ENVELOPE: &str = "HELO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n";

fn server(now: Instant) -> Server<Receipt> {
    Server::new(Arc::new(role::config(Dialect::Smtp)), Security::Plain, now)
}

fn said(server: &mut Server<Receipt>) -> String {
    let mut said = Vec::new();
    while let Some(octets) = server.poll_output() {
        said.extend_from_slice(&octets);
    }
    String::from_utf8(said).unwrap()
}

#[test]
fn smuggling_corpus() {
    let second = "MAIL FROM:<evil2@b.test>\r\nRCPT TO:<b@b.test>\r\nDATA\r\nsmuggled\r\n.\r\n";
    let ends = [
        "\n.\n",
        "\n.\r\n",
        "\r.\r",
        "\r.\r\n",
        "\r\n.\n",
        "\r\n.\r",
        "\n.\r",
        "\r.\n",
        "\r\n.\r\r\n",
        "\r\r\n.\r\r\n",
        "\n\n.\n\n",
        "\r\n\n.\r\n",
        "\0\n.\r\n",
        "\r\n.\0\n",
    ];
    for end in ends {
        let wire = format!("{ENVELOPE}body{end}{second}");
        for step in [1, 2, 3, 7, wire.len()] {
            let now = Instant::now();
            let (mut server, mut role) = (server(now), Role::default());
            for piece in wire.as_bytes().chunks(step) {
                server.handle_input(now, piece);
                role.answer(&mut server);
            }
            let said = said(&mut server);
            assert!(role.messages.is_empty(), "{end:?}: {:?}", role.seen);
            assert_eq!(said.matches("\r\n250 2.1.0").count(), 1, "{end:?}: one transaction only: {said}");
            assert_eq!(said.matches("554 5.6.0").count(), 1, "{end:?}: {said}");
        }
    }
}

#[test]
fn what_follows_starttls_in_the_clear_ends_it() {
    let now = Instant::now();
    let mut config = role::config(Dialect::Smtp);
    config.extensions.starttls = true;
    let config = Arc::new(config);
    for pieces in [&["EHLO a\r\nSTARTTLS\r\nMAIL FROM:<a@b.test>\r\n"][..], &["EHLO a\r\nSTARTTLS\r\n", "M"]] {
        let (mut server, mut role) = (Server::new(Arc::clone(&config), Security::Plain, now), Role::default());
        for piece in pieces {
            server.handle_input(now, piece.as_bytes());
            role.answer(&mut server);
        }
        assert!(said(&mut server).ends_with("554 5.5.1 Nothing may follow STARTTLS; closing\r\n"));
        assert_eq!(role.seen, ["closed Unsafe"]);
        assert!(server.is_closed() && !server.wants_input());
        // The role learns late; nothing happens.
        server.tls_started();
        assert_eq!(server.security(), Security::Plain);
    }
}

#[test]
fn idle_clients_are_told() {
    let start = Instant::now();
    let mut server = server(start);
    assert_eq!(server.poll_timeout(), Some(start + Duration::from_secs(300)));
    server.handle_input(start + Duration::from_secs(200), b"NOO");
    // Half a command does not buy time.
    assert_eq!(server.poll_timeout(), Some(start + Duration::from_secs(300)));
    server.handle_input(start + Duration::from_secs(200), b"P\r\n");
    assert_eq!(server.poll_timeout(), Some(start + Duration::from_secs(500)));
    server.handle_timeout(start + Duration::from_secs(499));
    assert!(!server.is_closed());
    server.handle_timeout(start + Duration::from_secs(500));
    assert!(said(&mut server).ends_with("421 4.4.2 Idle for too long, closing\r\n"));
    assert_eq!(server.poll_event(), Some(Event::Closed(Closing::Idle)));
    assert!(server.is_closed() && server.poll_timeout().is_none());
}

#[test]
fn an_octet_a_minute_is_no_message() {
    let start = Instant::now();
    for begin in [
        ENVELOPE,
        "HELO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nBDAT 9999999\r\n",
        "HELO a\r\nBDAT 9999999\r\n",
    ] {
        let mut config = role::config(Dialect::Smtp);
        config.extensions.chunking = true;
        config.size_max = 50 << 20;
        let (mut server, mut role) = (Server::new(Arc::new(config), Security::Plain, start), Role::default());
        server.handle_input(start, begin.as_bytes());
        role.answer(&mut server);
        let mut now = start;
        for minute in 1..60 {
            now = start + Duration::from_secs(60 * minute);
            server.handle_timeout(now);
            assert!(!server.is_closed(), "{minute}");
            server.handle_input(now, b"x");
            role.answer(&mut server);
        }
        assert_eq!(server.poll_timeout(), Some(start + limits::DATA_TOTAL_TIMEOUT));
        now += Duration::from_secs(60);
        server.handle_timeout(now);
        role.answer(&mut server);
        assert!(said(&mut server).ends_with("421 4.4.2 Message takes too long, closing\r\n"), "{begin:?}");
        assert_eq!(role.seen.last().map(String::as_str), Some("closed Slow"));
        assert!(role.messages.is_empty() && server.poll_timeout().is_none());
    }
}

#[test]
fn an_envelope_has_its_time_whatever_is_said_in_it() {
    let start = Instant::now();
    for said_in_it in ["NOOP\r\n", "RCPT TO:<a@b.test>\r\n", "DATA x\r\n", "MAIL FROM:<a@b.test>\r\n", "BDAT 1\r\nx"] {
        let mut config = role::config(Dialect::Smtp);
        config.extensions.chunking = said_in_it.starts_with("BDAT");
        let (mut server, mut role) = (Server::new(Arc::new(config), Security::Plain, start), Role::default());
        server.handle_input(start, b"HELO a\r\nMAIL FROM:<a@b.test>\r\n");
        role.answer(&mut server);
        let mut now = start;
        for _ in 1..10 {
            now += Duration::from_secs(60);
            server.handle_timeout(now);
            server.handle_input(now, said_in_it.as_bytes());
            role.answer(&mut server);
        }
        assert_eq!(server.poll_timeout(), Some(start + limits::ENVELOPE_TIMEOUT), "{said_in_it:?}");
        server.handle_timeout(start + limits::ENVELOPE_TIMEOUT);
        role.answer(&mut server);
        assert!(said(&mut server).ends_with("421 4.4.2 Message takes too long, closing\r\n"), "{said_in_it:?}");
        assert_eq!(role.seen.last().map(String::as_str), Some("closed Slow"));
    }
}

#[test]
fn each_envelope_has_its_own_time() {
    let start = Instant::now();
    let (mut server, mut role) = (server(start), Role::default());
    server.handle_input(start, b"HELO a\r\n");
    role.answer(&mut server);
    let mut now = start;
    for end in ["RSET\r\n", "EHLO a\r\n", "DATA\r\nx\r\n.\r\n"] {
        server.handle_input(now, b"MAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\n");
        role.answer(&mut server);
        for _ in 0..2 {
            now += limits::ENVELOPE_TIMEOUT / 3;
            server.handle_timeout(now);
            server.handle_input(now, b"NOOP\r\n");
            role.answer(&mut server);
        }
        server.handle_input(now, end.as_bytes());
        role.answer(&mut server);
        assert_eq!(server.poll_timeout(), Some(now + limits::COMMAND_TIMEOUT), "{end:?}");
    }
    assert_eq!(role.messages.len(), 1);
}

#[test]
fn each_message_has_its_own_time_and_a_large_one_has_more() {
    let start = Instant::now();
    let mut config = role::config(Dialect::Smtp);
    config.size_max = 2 * 3600 * limits::DATA_OCTETS_PER_SECOND_MIN;
    let (mut server, mut role) = (Server::new(Arc::new(config), Security::Plain, start), Role::default());
    let mut now = start;
    server.handle_input(now, b"HELO a\r\n");
    role.answer(&mut server);
    for _ in 0..3 {
        server.handle_input(now, ENVELOPE.strip_prefix("HELO a\r\n").unwrap().as_bytes());
        role.answer(&mut server);
        for _ in 0..60 {
            now += Duration::from_secs(90);
            server.handle_timeout(now);
            server.handle_input(now, b"x\r\n");
            role.answer(&mut server);
        }
        server.handle_input(now, b".\r\n");
        role.answer(&mut server);
        // Between messages a command has its time, and no more.
        assert_eq!(server.poll_timeout(), Some(now + limits::COMMAND_TIMEOUT));
    }
    assert_eq!(role.messages.len(), 3);
}

#[test]
fn a_line_that_never_ends_is_no_command() {
    let now = Instant::now();
    for octets in [1, 100, limits::ENDLESS_LINE_OCTETS + 1] {
        let mut server = server(now);
        for _ in 0..=limits::ENDLESS_LINE_OCTETS / octets {
            server.handle_input(now, &vec![b'x'; octets]);
        }
        let said = said(&mut server);
        assert!(said.ends_with("\r\n500 5.5.2 Line too long\r\n421 4.7.0 Too many errors, closing\r\n"), "{said}");
        assert_eq!(server.poll_event(), Some(Event::Closed(Closing::TooManyErrors)));
    }
}

#[test]
fn nobody_waits_for_a_client_while_the_role_thinks() {
    let now = Instant::now();
    let mut server = server(now);
    server.handle_input(now, b"HELO a\r\nNOOP\r\n");
    assert!(!server.wants_input() && server.poll_timeout().is_none());
    assert!(matches!(server.poll_event(), Some(Event::Hello(_))));
    assert_eq!(server.poll_event(), None);
    server.shut_down(&Refusal::SHUTTING_DOWN);
    server.accept_hello();
    assert!(said(&mut server).ends_with("421 4.3.2 Service shutting down, closing\r\n"));
}

#[test]
fn a_client_that_only_closes_its_half_gets_its_answer() {
    let now = Instant::now();
    let (mut server, mut role) = (server(now), Role::default());
    server.handle_input(now, format!("{ENVELOPE}x\r\n.\r\n").as_bytes());
    server.handle_eof(now);
    role.answer(&mut server);
    assert!(said(&mut server).ends_with("250 2.0.0 Ok: message is on stable storage\r\n"));
    assert_eq!(role.seen.last().unwrap(), "closed Eof");
}

#[test]
fn input_that_was_not_wanted_is_bounded() {
    let now = Instant::now();
    let mut server = server(now);
    server.handle_input(now, b"HELO a\r\n");
    let noops = b"NOOP\r\n".repeat(limits::INPUT_OCTETS_MAX / 60);
    for _ in 0..9 {
        server.handle_input(now, &noops);
        assert!(!server.is_closed() && !server.wants_input());
    }
    server.handle_input(now, &noops);
    server.handle_input(now, &noops);
    assert!(server.is_closed());
    assert!(matches!(server.poll_event(), Some(Event::Hello(_))));
    assert_eq!(server.poll_event(), Some(Event::Closed(Closing::Flood)));
}

#[test]
fn refused_connections_and_chunk_sizes() {
    let now = Instant::now();
    let mut config = role::config(Dialect::Smtp);
    let mut busy = Server::<Receipt>::refused(Arc::new(config.clone()), &Refusal::TOO_BUSY, now);
    assert_eq!(said(&mut busy), "421 4.3.2 Too many connections, try again later\r\n");
    assert!(busy.is_closed());

    config.limits.body_chunk_octets_max = 4;
    let mut server = Server::<Receipt>::new(Arc::new(config), Security::Plain, now);
    let (mut role, mut chunks) = (Role::default(), Vec::new());
    server.handle_input(now, ENVELOPE.as_bytes());
    role.answer(&mut server);
    server.handle_input(now, b"0123456\r\n.\r\n");
    while let Some(event) = server.poll_event() {
        if let Event::Body(octets) = event {
            chunks.push(octets);
        } else {
            assert_eq!(event, Event::End);
        }
    }
    assert_eq!(chunks, ["0123", "456\r", "\n"]);
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// Sends one message through client and server, both fed in pieces of `step`.
fn deliver(dialect: Dialect, to: &[&str], body: &[u8], step: usize) -> (Vec<Outcome>, Role) {
    let now = Instant::now();
    let mut server = Server::new(Arc::new(role::config(dialect)), Security::Plain, now);
    let config = client::Config::new(dialect, Domain::parse("client.test").unwrap());
    let (mut client, mut role) = (Client::new(config, Security::Plain, now), Role::default());
    let (mut outcomes, mut begun) = (Vec::new(), false);
    let step = step.max(1);
    for _ in 0..100_000 {
        let mut moved = false;
        while let Some(event) = client.poll_event() {
            moved = true;
            match event {
                client::Event::Ready if begun => client.quit(),
                client::Event::Ready => {
                    begun = true;
                    client.begin(Mail::new(ReversePath::Null)).unwrap();
                    for to in to {
                        client.rcpt(Rcpt::new(ForwardPath::Address(address(to)))).unwrap();
                    }
                    client.data();
                }
                client::Event::GoAhead => {
                    for piece in body.chunks(step) {
                        client.body(Bytes::copy_from_slice(piece)).unwrap();
                    }
                    client.finish().unwrap();
                }
                client::Event::Done(done) => outcomes = done,
                client::Event::Closed(closing) => {
                    assert_eq!(closing, client::Closing::Quit);
                    return (outcomes, role);
                }
                client::Event::Mail(_) | client::Event::Rcpt(..) => {}
                event @ (client::Event::StartTls
                | client::Event::TlsRefused(_)
                | client::Event::Challenge(_)
                | client::Event::Authenticated(_)) => panic!("{event:?}"),
            }
        }
        while let Some(octets) = client.poll_output() {
            moved = true;
            for piece in octets.chunks(step) {
                server.handle_input(now, piece);
                role.answer(&mut server);
            }
        }
        while let Some(octets) = server.poll_output() {
            moved = true;
            for piece in octets.chunks(step) {
                client.handle_input(now, piece);
            }
        }
        assert!(moved, "client and server wait for each other: {:?}", role.seen);
    }
    panic!("no end");
}

#[test]
fn outcomes_are_per_recipient() {
    for step in [1, 1000] {
        let to = ["a@b.test", "nobody@b.test", "late@b.test"];
        let (outcomes, role) = deliver(Dialect::Lmtp, &to, b".hi", step);
        assert!(
            matches!(&outcomes[..], [Outcome::Accepted(_), Outcome::Failed(_), Outcome::Deferred(_)]),
            "{outcomes:?}"
        );
        assert_eq!(role.messages, [b".hi\r\n"]);
        let (outcomes, role) = deliver(Dialect::Smtp, &["nobody@b.test"], b"x", step);
        assert!(matches!(&outcomes[..], [Outcome::Failed(_)]) && role.messages.is_empty(), "{outcomes:?}");
    }
}

/// Many kinds of wrong and right input, made of the words that matter.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "EHLO a",
        "HELO a",
        "MAIL FROM:<a@b.test>",
        "MAIL FROM:<>",
        "RCPT TO:<a@b.test>",
        "RCPT TO:<nobody@b.test>",
        "DATA",
        "RSET",
        "BDAT 5",
        "BDAT 7 LAST",
        "AUTH PLAIN",
        "AUTH LOGIN",
        "*",
        "dXNlcg==",
        "NOOP",
        "\r\n",
        "\r\n",
        "\r\n",
        "\r\n",
        ".",
        "\r\n.\r\n",
        "\r",
        "\n",
        "text",
        "é",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

fn all_events(wire: &[u8], cuts: &[usize]) -> (Vec<Event>, String) {
    let now = Instant::now();
    let mut config = role::config(Dialect::Smtp);
    config.extensions.chunking = true;
    config.extensions.auth = vec!["PLAIN".to_owned(), "LOGIN".to_owned()];
    config.extensions.auth_in_clear = true;
    config.limits.body_chunk_octets_max = 5;
    config.size_max = 40;
    let mut server: Server<Receipt> = Server::new(Arc::new(config), Security::Plain, now);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (wire.len() + 1)).chain([0, wire.len()]).collect();
    cuts.sort_unstable();
    let mut events = Vec::new();
    for pair in cuts.windows(2) {
        server.handle_input(now, &wire[pair[0]..pair[1]]);
        drain(&mut server, &mut events);
    }
    server.handle_eof(now);
    drain(&mut server, &mut events);
    assert!(server.is_closed(), "after the end of input nothing is left open");
    (events, said(&mut server))
}

fn drain(server: &mut Server<Receipt>, events: &mut Vec<Event>) {
    while let Some(event) = server.poll_event() {
        events.push(event.clone());
        match event {
            Event::Hello(_) => server.accept_hello(),
            Event::Mail(_) => server.accept_mail(),
            Event::Rcpt(_) => server.accept_rcpt(),
            Event::Data => server.accept_data(),
            Event::End => server.accept(Receipt),
            Event::Auth { .. } => server.challenge(b""),
            Event::AuthResponse(_) => server.auth_failed(Refusal::AUTH_FAILED),
            Event::StartTls => server.refuse(Refusal::TLS_UNAVAILABLE),
            Event::Body(_) | Event::AuthAborted | Event::Reset(_) | Event::Closed(_) => {}
        }
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(
        words in words(), in_text in any::<bool>(), cuts in prop::collection::vec(0usize..1000, 0..12),
    ) {
        let wire = if in_text { format!("{ENVELOPE}{words}") } else { words };
        let whole = all_events(wire.as_bytes(), &[]);
        prop_assert_eq!(&whole, &all_events(wire.as_bytes(), &cuts));
        let every: Vec<usize> = (0..wire.len()).collect();
        prop_assert_eq!(&whole, &all_events(wire.as_bytes(), &every));
    }

    #[test]
    fn random_octets_never_panic(wire in prop::collection::vec(any::<u8>(), 0..300), in_text in any::<bool>()) {
        let wire = if in_text { [ENVELOPE.as_bytes(), &wire].concat() } else { wire };
        all_events(&wire, &[3, 50]);
        let now = Instant::now();
        let config = client::Config::new(Dialect::Smtp, Domain::parse("client.test").unwrap());
        let mut client = Client::new(config, Security::Plain, now);
        client.handle_input(now, &wire);
        while client.poll_event().is_some() {}
        client.handle_eof(now);
        prop_assert!(client.is_closed());
    }

    #[test]
    fn bodies_arrive_as_they_left(lines in prop::collection::vec("[.a\\x00-\\x09\\x0e-\\x7f]{0,12}", 0..20), step in 1usize..40) {
        let body: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let (outcomes, role) = deliver(Dialect::Smtp, &["a@b.test", "b@b.test"], body.as_bytes(), step);
        prop_assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted(_))));
        prop_assert_eq!(role.messages, vec![body.into_bytes()]);
    }
}

/// A client that is passed on: what it pipelined goes with it, and from here on it hears no more of us than a farewell.
#[test]
fn a_client_that_has_logged_in_is_passed_on() {
    let now = Instant::now();
    let mut config = role::config(Dialect::Smtp);
    config.extensions.auth = vec!["PLAIN".to_owned()];
    config.extensions.auth_in_clear = true;
    config.promised = Some(vec!["8BITMIME".to_owned(), "SIZE 1000".to_owned()]);
    let mut server: Server<Receipt> = Server::new(Arc::new(config), Security::Plain, now);
    said(&mut server);
    server.handle_input(now, b"EHLO a\r\n");
    assert!(matches!(server.poll_event(), Some(Event::Hello(_))));
    server.accept_hello();
    let offered = said(&mut server);
    assert!(offered.ends_with("\r\n250-8BITMIME\r\n250-SIZE 1000\r\n250 AUTH PLAIN\r\n"), "{offered}");
    server.handle_input(now, b"AUTH PLAIN AGEAYg==\r\nMAIL FROM:<>\r\nRC");
    assert!(matches!(server.poll_event(), Some(Event::Auth { .. })));
    assert_eq!(server.pass(), "MAIL FROM:<>\r\nRC");
    assert!(said(&mut server).starts_with("235 2.7.0 "));
    server.handle_input(now, b"QUIT\r\n");
    assert_eq!((server.poll_event(), said(&mut server).as_str(), server.poll_timeout()), (None, "", None));
    server.shut_down(&Refusal::SHUTTING_DOWN);
    assert!(said(&mut server).starts_with("421 4.3.2 "));
}

/// NOOP keeps a conversation alive, but not one in which nobody logs in.
#[test]
fn a_login_has_its_time() {
    let (mut now, mut config) = (Instant::now(), role::config(Dialect::Smtp));
    config.limits.login_span = Some(Duration::from_secs(180));
    let mut server: Server<Receipt> = Server::new(Arc::new(config), Security::Plain, now);
    let mut role = Role::default();
    for _ in 0..3 {
        now += Duration::from_secs(59);
        server.handle_timeout(now);
        server.handle_input(now, b"NOOP\r\n");
        role.answer(&mut server);
    }
    assert!(!server.is_closed());
    now += Duration::from_secs(3);
    server.handle_timeout(now);
    assert!(said(&mut server).ends_with("421 4.4.2 Login takes too long, closing\r\n"));
    assert!(server.is_closed());
}
