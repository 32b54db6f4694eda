//! Limits, memory, and what holds for every input.

use super::*;
use crate::command::CommandBody;
use crate::limits::LiteralMode;
use proptest::prelude::*;
use std::time::Duration;

fn start() -> Instant {
    // The tests need some time to count from; no clock is read later.
    #[expect(clippy::disallowed_methods, reason = "an Instant cannot be made otherwise")]
    Instant::now()
}

fn server(limits: Limits) -> Server {
    let mut server = Server::new(Arc::new(limits), start());
    server.logged_in();
    server
}

fn output(server: &mut Server) -> String {
    let mut all = Vec::new();
    while let Some(piece) = server.poll_output() {
        all.extend_from_slice(&piece);
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn input(server: &mut Server, text: &str) {
    let now = server.now;
    server.handle_input(now, text.as_bytes());
}

#[test]
fn it_is_small_and_holds_nothing_while_idle() {
    assert!(size_of::<Server>() <= 512, "{}", size_of::<Server>());
    let mut server = server(Limits::default());
    input(&mut server, "a NOOP\r\n");
    assert!(matches!(server.poll_event(), Some(Event::Command(_))));
    server.complete(Reply::ok("done"));
    assert_eq!(output(&mut server), "a OK done\r\n");
    assert_eq!(server.input.capacity(), 0);
    assert_eq!((server.frame.capacity(), server.output_octets()), (0, 0));
}

#[test]
fn a_login_is_passed_on_with_all_that_came_behind_it() {
    let login = "* LOGIN {5+}\r\nalice {6+}\r\nsecret\r\n".replace('*', "a");
    for behind in ["", "b APPEND x {400+}\r\nhalf a", "b NOOP\r\n\r\n\0{", "\r"] {
        let mut server = Server::new(Arc::new(Limits::default()), start());
        input(&mut server, &format!("{login}{behind}"));
        assert!(matches!(server.poll_event(), Some(Event::Command(_))));
        assert_eq!(server.pass(b"[CAPABILITY IMAP4rev1] in"), behind);
        assert_eq!(output(&mut server), "a OK [CAPABILITY IMAP4rev1] in\r\n");
        assert!(server.poll_event().is_none() && !server.wants_input() && !server.is_closed());
        assert_eq!((server.poll_timeout(), server.input.capacity()), (None, 0), "a back-end sees to that");
        server.bye(Reply::ok("so long"));
        assert_eq!(output(&mut server), "* BYE so long\r\n");
        assert!(server.is_closed());
    }
}

#[test]
fn a_huge_literal_is_refused_at_once() {
    for (text, reply) in [
        ("a LOGIN {4294967295}\r\n", "a BAD [TOOBIG] the literal is too large\r\n"),
        ("a LOGIN {99999999999999999999}\r\n", "a BAD [TOOBIG] the literal is too large\r\n"),
        ("a APPEND x {4294967295}\r\n", "a NO [TOOBIG] the message is too large\r\n"),
        ("a APPEND x {4294967296}\r\n", "a NO [TOOBIG] the message is too large\r\n"),
    ] {
        let mut server = server(Limits::default());
        input(&mut server, text);
        assert_eq!(server.poll_event(), None);
        assert_eq!(output(&mut server), reply);
        // The peer was told before it sent anything: the next line is a command.
        input(&mut server, "b NOOP\r\n");
        assert!(matches!(server.poll_event(), Some(Event::Command(_))), "{text}");
    }
    // Without waiting, it would have to be read to be dropped.
    let mut server = server(Limits::default());
    input(&mut server, "a APPEND x {4294967295+}\r\n");
    assert!(output(&mut server).ends_with("* BYE [TOOBIG] the literal is too large\r\n"));
    assert!(server.is_closed());
}

#[test]
fn a_refused_literal_that_comes_is_dropped() {
    let limits = Limits { literal_octets_max: 4, ..Limits::default() };
    let mut server = server(limits);
    input(&mut server, "a LOGIN {5+}\r\nb NO\n {6+}\r\nc NOOP {1}\r\nd NOOP\r\n");
    let Some(Event::Command(command)) = server.poll_event() else { panic!("the command behind") };
    assert_eq!(command.tag.as_str(), "d");
    assert_eq!(output(&mut server), "a BAD [TOOBIG] the literal is too large\r\n");
}

#[test]
fn literal_minus_has_4096() {
    let mut server = server(Limits { literal_mode: LiteralMode::Minus, ..Limits::default() });
    input(&mut server, "a LOGIN {4097+}\r\n");
    assert_eq!(output(&mut server), "a BAD [TOOBIG] the literal is too large\r\n");
    input(&mut server, &"x".repeat(4097));
    input(&mut server, " y\r\nb LOGIN {4096+}\r\n");
    input(&mut server, &"x".repeat(4096));
    input(&mut server, " y\r\n");
    assert!(matches!(server.poll_event(), Some(Event::Command(_))));
}

#[test]
fn literals_add_up() {
    let mut server = server(Limits { command_octets_max: 100, ..Limits::default() });
    input(&mut server, "a LOGIN {40}\r\n");
    assert_eq!(output(&mut server), "+ OK\r\n");
    input(&mut server, &"x".repeat(40));
    input(&mut server, " {60}\r\n");
    assert_eq!(output(&mut server), "a BAD [TOOBIG] the literal is too large\r\n");
}

#[test]
fn a_line_has_an_end() {
    let limits = Limits { line_octets_max: 20, skip_octets_max: 100, ..Limits::default() };
    for step in [1, 7, 1000] {
        let mut server = server(limits.clone());
        let text = format!("a NOOP {}\r\n{} {{3+}}\r\nb \nb NOOP\r\n", "x".repeat(13), "c".repeat(50));
        for part in text.as_bytes().chunks(step) {
            server.handle_input(server.now, part);
        }
        // `a` fits and is wrong otherwise; the next is too long, and its literal is dropped.
        assert_eq!(
            output(&mut server),
            format!("a BAD too many arguments, or one is malformed\r\n{}", "* BAD [TOOBIG] the line is too long\r\n"),
            "{step}"
        );
        let mut endless = Server::new(Arc::new(limits.clone()), start());
        endless.logged_in();
        for part in [b"a NOOP ".as_slice(), &[b'x'; 200]].concat().chunks(step) {
            endless.handle_input(endless.now, part);
        }
        let told = output(&mut endless);
        assert_eq!(told, "a BAD [TOOBIG] the line is too long\r\n* BYE [TOOBIG] the line is too long\r\n", "{step}");
    }
}

#[test]
fn bad_commands_are_counted() {
    let mut server = server(Limits { bad_count_max: 3, ..Limits::default() });
    input(&mut server, "a X\r\nb X\r\nc NOOP\r\n");
    assert!(server.poll_event().is_some());
    server.complete(Reply::ok("done"));
    input(&mut server, "d X\r\ne X\r\n");
    assert!(!server.is_closed());
    input(&mut server, "f X\r\ng NOOP\r\n");
    assert!(server.is_closed() && output(&mut server).ends_with("* BYE too many bad commands\r\n"));
    assert_eq!(server.poll_event(), None);
}

#[test]
fn a_login_comes_in_time() {
    let began = start();
    let seconds = |n: u64| began + Duration::from_secs(n);
    for text in [b"a NOOP\r\n".as_slice(), b"a", b""] {
        let mut server = Server::new(Arc::new(Limits::default()), began);
        // Neither commands nor a trickle nor a handshake give more time.
        for n in (0..180).step_by(20) {
            server.handle_input(seconds(n), text);
            if server.poll_event().is_some() {
                server.complete(Reply::ok("done"));
            }
            assert_eq!(server.poll_timeout(), Some(seconds(180)));
            server.handle_timeout(seconds(n));
        }
        output(&mut server);
        server.handle_timeout(seconds(179));
        assert!(!server.is_closed());
        server.handle_timeout(seconds(180));
        assert_eq!(output(&mut server), "* BYE Autologout; no login for too long\r\n");
        assert!(server.is_closed() && server.poll_timeout().is_none());
    }
}

#[test]
fn a_handshake_gives_no_more_time() {
    let began = start();
    let seconds = |n: u64| began + Duration::from_secs(n);
    let mut server = Server::new(Arc::new(Limits::default()), began);
    server.handle_input(seconds(100), b"a STARTTLS\r\n");
    assert_eq!(server.poll_event(), Some(Event::StartTls));
    server.accept_starttls();
    server.tls_started(seconds(170));
    assert_eq!(server.poll_timeout(), Some(seconds(180)));
    // Who logs in at the last moment has a session's time.
    server.handle_input(seconds(179), b"b LOGIN x y\r\n");
    assert!(server.poll_event().is_some());
    server.logged_in();
    server.complete(Reply::ok("done"));
    server.handle_timeout(seconds(180));
    assert!(!server.is_closed());
    assert_eq!(server.poll_timeout(), Some(seconds(179 + 30 * 60)));
}

#[test]
fn a_session_at_work_is_not_quiet() {
    let began = start();
    let minutes = |n: u64| began + Duration::from_secs(n * 60);
    let mut server = Server::new(Arc::new(Limits::default()), began);
    server.logged_in();
    server.handle_input(began, b"a NOOP\r\n");
    assert!(server.poll_event().is_some());
    assert_eq!(server.poll_timeout(), None);
    server.complete(Reply::ok("after an hour"));
    server.handle_timeout(minutes(60));
    assert_eq!(server.poll_timeout(), Some(minutes(90)));
    server.handle_timeout(minutes(90));
    assert!(server.is_closed());
}

#[test]
fn idle_hears_that_we_are_here() {
    let began = start();
    let minutes = |n: u64| began + Duration::from_secs(n * 60);
    let mut server = Server::new(Arc::new(Limits::default()), began);
    server.logged_in();
    server.handle_input(began, b"a IDLE\r\n");
    assert_eq!(server.poll_event(), Some(Event::IdleBegin));
    server.accept_idle();
    assert_eq!(output(&mut server), "+ idling\r\n");
    for n in [2, 4] {
        assert_eq!(server.poll_timeout(), Some(minutes(n)));
        server.handle_timeout(minutes(n));
        assert_eq!(output(&mut server), "* OK Still here\r\n");
    }
    // It does not pile up before a client that does not read.
    server.handle_timeout(minutes(6));
    server.handle_timeout(minutes(8));
    assert_eq!(output(&mut server), "* OK Still here\r\n");
    server.handle_input(minutes(9), b"done\r\n");
    assert_eq!(server.poll_event(), Some(Event::IdleDone));
}

#[test]
fn back_pressure() {
    let mut server = server(Limits::default());
    assert!(server.wants_input());
    input(&mut server, "a APPEND x {3}\r\n");
    assert!(!server.wants_input(), "the session must answer");
    assert!(matches!(server.poll_event(), Some(Event::AppendBegin(_))));
    server.accept_append();
    assert!(server.wants_input());
    input(&mut server, "abc\r\n");
    assert!(!server.wants_input(), "the content waits to be taken");
    assert_eq!(server.poll_event(), Some(Event::AppendChunk(Bytes::from_static(b"abc"))));
    assert_eq!(server.poll_event(), Some(Event::AppendEnd));
    assert_eq!(server.poll_event(), Some(Event::AppendFinish));
    server.complete(Reply::ok("done"));
    server.begin_content(mail_types::SeqNum::FIRST, &[], &crate::fetch::ContentName::Rfc822, 1 << 20);
    server.content(Bytes::from(vec![b'x'; 1 << 20]));
    server.end_content(&[]);
    assert!(!server.wants_input(), "the peer must read first");
    assert_eq!(
        output(&mut server).len(),
        "+ OK\r\na OK done\r\n* 1 FETCH (RFC822 {1048576}\r\n)\r\n".len() + (1 << 20)
    );
    assert!(server.wants_input());
}

#[test]
fn big_contents_are_not_copied() {
    let mut server = server(Limits::default());
    let content = Bytes::from(vec![b'x'; 100_000]);
    let data = crate::fetch::FetchData::Content(crate::fetch::ContentName::Rfc822, Some(content.clone()));
    server.send(&Response::Fetch(mail_types::SeqNum::FIRST, vec![data]));
    assert_eq!(server.poll_output().as_deref(), Some(b"* 1 FETCH (RFC822 {100000}\r\n".as_slice()));
    let piece = server.poll_output().expect("the content");
    assert_eq!((piece.as_ptr(), piece.len()), (content.as_ptr(), content.len()));
    assert_eq!(server.poll_output().as_deref(), Some(b")\r\n".as_slice()));
}

#[test]
fn large_messages_come_in_chunks() {
    let mut server = server(Limits::default());
    input(&mut server, "a APPEND x {1000000+}\r\n");
    assert!(matches!(server.poll_event(), Some(Event::AppendBegin(_))));
    server.accept_append();
    input(&mut server, &"x".repeat(1_000_000));
    let mut sizes = Vec::new();
    while let Some(Event::AppendChunk(chunk)) = server.poll_event() {
        sizes.push(chunk.len());
    }
    assert_eq!(sizes, [262_144, 262_144, 262_144, 213_568]);
}

#[test]
fn the_end_of_input_ends_the_connection_after_the_last_answer() {
    let mut server = server(Limits::default());
    input(&mut server, "a NOOP\r\nb NOOP\r\nc NO");
    server.handle_eof(server.now);
    for tag in ["a", "b"] {
        let Some(Event::Command(command)) = server.poll_event() else { panic!("{tag}") };
        assert_eq!((command.tag.as_str(), &command.body), (tag, &CommandBody::Noop));
        assert!(!server.is_closed());
        server.complete(Reply::ok("done"));
    }
    assert!(server.is_closed() && server.poll_event().is_none());
    assert_eq!(output(&mut server), "a OK done\r\nb OK done\r\n");
}

#[test]
fn nothing_follows_starttls_in_the_clear() {
    // Together with it.
    let mut server = server(Limits::default());
    input(&mut server, "a STARTTLS\r\nb LOGOUT\r\n");
    assert_eq!(server.poll_event(), Some(Event::StartTls));
    server.accept_starttls();
    assert_eq!(output(&mut server), "a BAD nothing may follow STARTTLS\r\n* BYE commands were sent before TLS\r\n");
    assert!(server.is_closed() && !server.wants_tls());
    // After the promise.
    let mut server = Server::new(Arc::new(Limits::default()), start());
    input(&mut server, "a STARTTLS\r\n");
    assert_eq!(server.poll_event(), Some(Event::StartTls));
    server.accept_starttls();
    assert!(server.wants_tls() && !server.wants_input());
    input(&mut server, "b LOGOUT\r\n");
    assert!(server.is_closed());
    server.tls_started(server.now);
    assert!(server.is_closed() && server.poll_event().is_none());
}

#[test]
fn before_login_less_is_taken() {
    let mut server = Server::new(Arc::new(Limits::default()), start());
    input(&mut server, "a LOGIN {20000}\r\n");
    assert_eq!(output(&mut server), "a BAD [TOOBIG] the literal is too large\r\n");
    input(&mut server, "b APPEND x {20000+}\r\n");
    assert!(matches!(server.poll_event(), Some(Event::AppendBegin(_))));
    server.complete(Reply::bad("log in first"));
    assert_eq!(output(&mut server), "b BAD log in first\r\n* BYE [TOOBIG] the literal is too large\r\n");
}

#[test]
fn content_comes_in_pieces() {
    use crate::fetch::{ContentName, FetchData};
    let mut server = server(Limits::default());
    let seq = mail_types::SeqNum::FIRST;
    server.begin_content(seq, &[FetchData::Size(9)], &ContentName::Rfc822Header, 4);
    server.content(Bytes::from_static(b"ab"));
    server.content(Bytes::from_static(b"c\0"));
    server.next_content(&[], &ContentName::Binary(vec![], Some(7)), 1);
    server.content(Bytes::from_static(b"\0"));
    server.end_content(&[FetchData::Uid(mail_types::Uid::FIRST)]);
    assert_eq!(
        output(&mut server),
        "* 1 FETCH (RFC822.SIZE 9 RFC822.HEADER {4}\r\nabc\u{fffd} BINARY[]<7> ~{1}\r\n\0 UID 1)\r\n"
    );
    // The rest cannot be read: no word may follow, the client would take it for content.
    server.begin_content(seq, &[], &ContentName::Rfc822, 4);
    server.bye(Reply::no("the disk is gone"));
    assert_eq!(output(&mut server), "* 1 FETCH (RFC822 {4}\r\n");
    assert!(server.is_closed());
    server.content(Bytes::from_static(b"late"));
    server.end_content(&[]);
    assert_eq!(output(&mut server), "");
}

#[test]
#[should_panic(expected = "less content than was announced")]
fn too_little_content_is_our_bug() {
    let mut server = server(Limits::default());
    server.begin_content(mail_types::SeqNum::FIRST, &[], &crate::fetch::ContentName::Rfc822, 4);
    server.end_content(&[]);
}

/// Drives a server with a session that answers by fixed rules, and notes all that happens.
fn drive(parts: &[&[u8]], accept: bool) -> (Vec<String>, String) {
    let limits = Limits {
        line_octets_max: 200,
        literal_octets_max: 50,
        command_octets_max: 300,
        append_octets_max: 100,
        drain_octets_max: 150,
        skip_octets_max: 400,
        ..Limits::default()
    };
    let mut server = server(limits);
    let mut events: Vec<String> = Vec::new();
    let mut content = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        server.handle_input(server.now, part);
        if at + 1 == parts.len() {
            server.handle_eof(server.now);
        }
        while let Some(event) = server.poll_event() {
            if let Event::AppendChunk(chunk) = &event {
                content.extend_from_slice(chunk);
                continue;
            }
            if !content.is_empty() {
                events.push(format!("{:?}", Bytes::from(std::mem::take(&mut content))));
            }
            events.push(format!("{event:?}"));
            answer(&mut server, &event, accept);
        }
    }
    (events, output(&mut server))
}

fn answer(server: &mut Server, event: &Event, accept: bool) {
    match event {
        Event::Authenticate { initial: None, .. } if accept => server.challenge(b"who"),
        Event::IdleBegin if accept => server.accept_idle(),
        Event::AppendBegin(_) if accept => server.accept_append(),
        Event::AppendChunk(_) | Event::AppendEnd => {}
        Event::Command(_)
        | Event::StartTls
        | Event::Authenticate { .. }
        | Event::AuthResponse(_)
        | Event::AuthCancelled
        | Event::IdleBegin
        | Event::IdleDone
        | Event::AppendBegin(_)
        | Event::AppendFinish
        | Event::AppendAbort => server.complete(Reply::no("no")),
    }
}

fn words() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "a ",
        "b2 ",
        "NOOP",
        "LOGIN ",
        "IDLE",
        "DONE",
        "APPEND ",
        "x ",
        "SEARCH ",
        "FETCH 1 ",
        "BODY[",
        "]",
        "(",
        ")",
        "{3}\r\n",
        "{3+}\r\n",
        "{60+}\r\n",
        "~{4}\r\n",
        "{200+}\r\n",
        "{5}",
        "abc",
        "\r\n",
        "\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        "\"",
        "\\",
        "AUTHENTICATE PLAIN",
        "Zm9v",
        "*",
        "STARTTLS",
        "NOT ",
        "OR ",
        "UID ",
        "\0",
        "\u{e4}",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..40)
        .prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same(text in words(), cuts in proptest::collection::vec(0usize..400, 0..8), accept: bool) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
        let octets: Vec<&[u8]> = if text.is_empty() { vec![&text] } else { text.chunks(1).collect() };
        let whole = drive(&[&text], accept);
        prop_assert_eq!(&drive(&parts, accept), &whole);
        prop_assert_eq!(&drive(&octets, accept), &whole);
    }

    #[test]
    fn no_bytes_panic(text in proptest::collection::vec(any::<u8>(), 0..200), accept: bool) {
        drive(&[&text], accept);
    }
}
