//! Runs `client/*.txt`, what a server says to our client and what comes of it. Each runs with whole lines and octet by
//! octet.
//!
//! ```text
//! # purpose              comment
//! ! as alice@…           the authorization identity
//! ! as alice@… in UTF-8  … of a client that said UTF8
//! S: text                the server says this and CRLF
//! S> text                … without CRLF
//! C: text                the client says just this
//! = LoggedIn { … }       this event comes
//! ! unread text          so much, in escapes, is left for who goes on
//! ! eof                  the server hangs up
//! ! wait 30              so many seconds pass
//! ```
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic, reason = "a test reads its transcripts")]

use machine::Machine;
use pop3_proto::{Client, Login, Mode};
use std::path::Path;
use std::time::{Duration, Instant};

fn run(lines: &[&str], chunk: usize) {
    let who = lines.first().and_then(|line| line.strip_prefix("! as ")).unwrap();
    let mut now = Instant::now();
    let (who, mode) = who.strip_suffix(" in UTF-8").map_or((who, Mode::Ascii), |who| (who, Mode::Utf8));
    let mut client = Client::new(Login::External { authorization: who.to_owned() }, now).in_mode(mode);
    let send = |client: &mut Client, now, text: &str| {
        text.as_bytes().chunks(chunk).for_each(|piece| client.handle_input(now, piece));
    };
    for line in lines.iter().skip(1) {
        match line.split_once(' ').unwrap() {
            ("S:", text) => send(&mut client, now, &format!("{text}\r\n")),
            ("S>", text) => send(&mut client, now, text),
            ("C:", text) => {
                let output: Vec<u8> = std::iter::from_fn(|| client.poll_output()).flatten().collect();
                assert_eq!(String::from_utf8(output).unwrap(), format!("{text}\r\n"));
            }
            ("=", event) => assert_eq!(format!("{:?}", client.poll_event().expect("an event")), event),
            ("!", "eof") => client.handle_eof(now),
            ("!", directive) => match directive.split_once(' ').unwrap() {
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
