//! Runs `transcripts/server/*.txt` against the server, in segments as they stand, in one piece and octet by octet.
//!
//! ```text
//! # purpose, and how the server is set up: `# config: lmtp starttls smtputf8 chunking auth size=100 rcpt=2 …`
//! C: what the client sends; CRLF is added unless the line ends with `\`; `\r \n \t \0 \\` stand for octets
//! S: what the server must say
//! E: what its role must see, all in all: `message`, `reset …`, `closed …`
//! T: the TLS handshake is done
//! ```
#![allow(clippy::disallowed_methods, clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod role;

use machine::Machine;
use role::Role;
use smtp_proto::server::{Config, Server};
use smtp_proto::{Dialect, Security};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

struct Transcript {
    config: Config,
    /// Text of the client up to each TLS handshake, line by line.
    client: Vec<Vec<Vec<u8>>>,
    server: String,
    events: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Split {
    Lines,
    OnePiece,
    Octets,
}

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/server");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let transcript = parse(&text);
        for split in [Split::Lines, Split::OnePiece, Split::Octets] {
            let (said, seen) = run(&transcript, split);
            assert_eq!(said, transcript.server, "{}, {split:?}", path.display());
            assert_eq!(seen, transcript.events, "{}, {split:?}", path.display());
        }
        count += 1;
    }
    assert!(count >= 15, "the transcripts were found");
}

fn run(transcript: &Transcript, split: Split) -> (String, Vec<String>) {
    let now = Instant::now();
    let mut server = Server::new(Arc::new(transcript.config.clone()), Security::Plain, now);
    let (mut role, mut said) = (Role::default(), Vec::new());
    for (at, part) in transcript.client.iter().enumerate() {
        if at > 0 {
            server.tls_started();
        }
        let whole = part.concat();
        let pieces: Vec<&[u8]> = match split {
            Split::Lines => part.iter().map(Vec::as_slice).collect(),
            Split::OnePiece => vec![&whole],
            Split::Octets => whole.chunks(1).collect(),
        };
        for piece in pieces {
            server.handle_input(now, piece);
            role.answer(&mut server);
            while let Some(octets) = server.poll_output() {
                said.extend_from_slice(&octets);
            }
        }
    }
    server.handle_eof(now);
    role.answer(&mut server);
    (String::from_utf8(said).unwrap(), role.seen)
}

fn parse(text: &str) -> Transcript {
    let mut dialect = Dialect::Smtp;
    let words: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# config:")).flat_map(str::split_whitespace).collect();
    if words.contains(&"lmtp") {
        dialect = Dialect::Lmtp;
    }
    let mut config = role::config(dialect);
    for word in words {
        let (word, number) = word.split_once('=').unwrap_or((word, "0"));
        let number: usize = number.parse().unwrap();
        match word {
            "lmtp" => {}
            "starttls" => config.extensions.starttls = true,
            "smtputf8" => config.extensions.smtputf8 = true,
            "xposthouse" => config.extensions.xposthouse = true,
            "chunking" => config.extensions.chunking = true,
            "auth" => config.extensions.auth = vec!["PLAIN".to_owned(), "LOGIN".to_owned()],
            "auth-in-clear" => config.extensions.auth_in_clear = true,
            "size" => config.size_max = u64::try_from(number).unwrap(),
            "rcpt" => config.limits.rcpt_count_max = number,
            "bad" => config.limits.bad_command_count_max = u32::try_from(number).unwrap(),
            "idle" => config.limits.idle_command_count_max = u32::try_from(number).unwrap(),
            "line" => config.limits.text_line_octets_max = number,
            _ => panic!("{word}"),
        }
    }
    let (mut client, mut server, mut events) = (vec![Vec::new()], String::new(), Vec::new());
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.split_at(2.min(line.len())) {
            ("C:", text) => client.last_mut().unwrap().push(role::octets(text.strip_prefix(' ').unwrap_or(text))),
            ("S:", text) => server.extend([text.strip_prefix(' ').unwrap_or(text), "\r\n"]),
            ("E:", text) => events.push(text.trim_start().to_owned()),
            ("T:", _) => client.push(Vec::new()),
            _ => panic!("{line}"),
        }
    }
    Transcript { config, client, server, events }
}
