//! Runs `client/*.txt`, what a server says to our client and what comes of it. Each runs with whole lines and octet by
//! octet.
//!
//! ```text
//! # purpose              comment
//! ! as alice@…           EXTERNAL with this authorization identity
//! ! password ann secret  a password: whose, and which
//! ! master ann root pw   a master user's: as whom, whose, and which
//! ! token ann mF_9       an access token: of whom, and which
//! ! starttls             TLS must be started (these lines stand before the greeting)
//! ! telling            it must be told what a session may use
//! ! knowing list         what an earlier conversation has taught, as CAPABILITY lists it
//! ! tls                  the handshake is done
//! ! learnt list          just this is known of the server
//! S: text                the server says this and CRLF
//! S> text                … without CRLF
//! C: text                the client says just this
//! = LoggedIn { … }       this event comes
//! ! unread text          so much, in escapes, is left for who goes on
//! ! eof                  the server hangs up
//! ! wait 30              so many seconds pass
//! ```
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic, reason = "a test reads its transcripts")]

use imap_proto::client::{Capabilities, Client, Login};
use imap_proto::command::Secret;
use machine::Machine;
use std::path::Path;
use std::time::{Duration, Instant};

fn client(directive: &str, now: Instant) -> Option<Client> {
    let password = |authorization: Option<&str>, authentication: &str, password: &str| Login::Password {
        authorization: authorization.map(str::to_owned),
        authentication: authentication.to_owned(),
        password: Secret::new(password.as_bytes().to_vec()),
    };
    let token = |user: &str, token: &str| Login::Token {
        oauthbearer: Secret::new(format!("n,a={user},\x01auth=Bearer {token}\x01\x01").into_bytes()),
        xoauth2: Secret::new(format!("user={user}\x01auth=Bearer {token}\x01\x01").into_bytes()),
    };
    let (kind, names) = directive.split_once(' ')?;
    let login = match kind {
        "as" => Login::External { authorization: names.to_owned() },
        "password" => names.split_once(' ').map(|(user, secret)| password(None, user, secret))?,
        "token" => names.split_once(' ').map(|(user, shown)| token(user, shown))?,
        "master" => match names.splitn(3, ' ').collect::<Vec<_>>()[..] {
            [who, user, secret] => password(Some(who), user, secret),
            _ => return None,
        },
        _ => return None,
    };
    Some(Client::new(login, now))
}

fn run(lines: &[&str], chunk: usize) {
    let mut now = Instant::now();
    let who = lines.first().and_then(|line| line.strip_prefix("! "));
    let mut client = who.and_then(|who| client(who, now)).expect("who logs in");
    let send = |client: &mut Client, now, text: &str| {
        text.as_bytes().chunks(chunk).for_each(|piece| client.handle_input(now, piece));
    };
    let mut said = Vec::new();
    for line in lines.iter().skip(1) {
        assert!(said.is_empty() || line.starts_with("C:"), "more was said before {line}");
        match line.split_once(' ').unwrap() {
            ("S:", text) => send(&mut client, now, &format!("{text}\r\n")),
            ("S>", text) => send(&mut client, now, text),
            ("C:", text) => {
                said.extend(std::iter::from_fn(|| client.poll_output()).flatten());
                let line = format!("{text}\r\n");
                let rest = said.strip_prefix(line.as_bytes());
                said = rest.unwrap_or_else(|| panic!("it says {:?}, not {line:?}", said.escape_ascii())).to_vec();
            }
            ("=", event) => assert_eq!(format!("{:?}", client.poll_event().expect("an event")), event),
            ("!", "starttls") => client = client.with_starttls(),
            ("!", "telling") => client = client.telling_capabilities(),
            ("!", "tls") => client.tls_started(now),
            ("!", "eof") => client.handle_eof(now),
            ("!", directive) => match directive.split_once(' ').unwrap() {
                ("knowing", list) => client = client.knowing(Capabilities::parse(list.as_bytes())),
                ("learnt", list) => assert_eq!(client.learnt(), Some(Capabilities::parse(list.as_bytes()))),
                ("unread", text) => assert_eq!(client.take_unread().escape_ascii().to_string(), text),
                ("wait", seconds) => {
                    now += Duration::from_secs(seconds.parse().unwrap());
                    client.handle_timeout(now);
                }
                _ => panic!("no such directive: {directive}"),
            },
            _ => panic!("not a line of a transcript: {line:?}"),
        }
    }
    assert_eq!(client.poll_event(), None, "more than expected");
    assert_eq!(client.poll_output(), None, "more than expected");
    assert!(!client.wants_input() && client.poll_timeout().is_none(), "the login goes on");
}

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        for chunk in [usize::MAX, 1] {
            println!("{} in pieces of {chunk}", path.display());
            run(&lines, chunk);
        }
    }
}
