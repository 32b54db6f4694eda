//! Runs `transcripts/*.txt`: a new case needs no Rust.
//!
//! ```text
//! # purpose                       comment
//! C: NOOP                         the client sends this and CRLF; lines that follow each other come in one segment
//! S: OK "Nothing done"            the server answers just this
//! ! tls | clear | insecure        before the first line: the connection (default: STARTTLS is offered)
//! ! handshake                     TLS was asked for, and is up now
//! ! wait 180                      so many seconds pass
//! ! closed                        the conversation is over
//! ! eof                           the client closes its half
//! ! unread text                   passed on, unread, to the back-end: in escapes
//! C: …{x*300}…                    repeats, where it stands behind a letter
//! ```
//! Each file runs with whole segments, and with every octet by itself. Behind is `ann` with the password `secret`; `down` is
//! refused for now. PLAIN takes that, LOGIN asks twice.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a test")]

use machine::Machine;
use managesieve_proto::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Role {
    login_name: Option<String>,
    handshaking: bool,
    unread: Option<Vec<u8>>,
}

impl Role {
    fn log_in(&mut self, server: &mut Server, user: &str, password: &[u8]) {
        match (user, password) {
            ("ann", b"secret") => self.unread = Some(server.pass(b"Logged in.").to_vec()),
            ("down", _) => server.refuse(&Refusal::UNAVAILABLE),
            _ => server.refuse(&Refusal::BAD_CREDENTIALS),
        }
    }

    fn plain(&mut self, server: &mut Server, message: &[u8]) {
        let parts: Vec<_> = message.split(|octet| *octet == 0).collect();
        match parts.as_slice() {
            [_, user, password] => self.log_in(server, std::str::from_utf8(user).unwrap(), password),
            _ => server.refuse(&Refusal::BAD_CREDENTIALS),
        }
    }

    fn on_event(&mut self, server: &mut Server, event: Event) {
        match event {
            Event::Authenticate { mechanism, initial } => match (mechanism.as_str(), initial) {
                ("PLAIN", Some(message)) => self.plain(server, message.as_bytes()),
                ("PLAIN", None) => server.challenge(b""),
                ("LOGIN", _) => {
                    self.login_name = Some(String::new());
                    server.challenge(b"Username:");
                }
                other => panic!("{other:?} was not offered"),
            },
            Event::AuthResponse(response) => match self.login_name.take() {
                None => self.plain(server, response.as_bytes()),
                Some(name) if name.is_empty() => {
                    self.login_name = Some(String::from_utf8(response.into_bytes()).unwrap());
                    server.challenge(b"Password:");
                }
                Some(name) => self.log_in(server, &name, response.as_bytes()),
            },
            Event::AuthCancelled => self.login_name = None,
            Event::StartTls => self.handshaking = server.tls_ready() == TlsStart::Begin,
        }
    }
}

struct Play {
    server: Server,
    role: Role,
    now: Instant,
    heard: Vec<u8>,
    /// What came once octets passed by.
    passed: Vec<u8>,
    name: String,
}

impl Play {
    fn new(name: &str, mode: &str, now: Instant) -> Self {
        let methods = vec!["PLAIN".to_owned(), "LOGIN".to_owned()];
        let (security, in_clear) = match mode {
            "tls" => (Security::Tls, Vec::new()),
            "clear" => (Security::Clear, Vec::new()),
            "insecure" => (Security::Clear, methods.clone()),
            _ => (Security::ClearWithStartTls, Vec::new()),
        };
        let config = Config {
            implementation: "Posthouse".into(),
            greeting: "Posthouse is ready".into(),
            in_clear,
            under_tls: methods,
        };
        let server = Server::new(Arc::new(config), Arc::new(Offer::default()), security, now);
        Self { server, role: Role::default(), now, heard: Vec::new(), passed: Vec::new(), name: name.to_owned() }
    }

    fn settle(&mut self) {
        loop {
            if let Some(event) = self.server.poll_event() {
                self.role.on_event(&mut self.server, event);
            } else if let Some(octets) = self.server.poll_output() {
                self.heard.extend_from_slice(&octets);
            } else {
                return;
            }
        }
    }

    fn send(&mut self, octets: &[u8], piece_octets_max: usize) {
        for piece in octets.chunks(piece_octets_max) {
            if self.role.unread.is_some() {
                self.passed.extend_from_slice(piece);
            } else {
                self.server.handle_input(self.now, piece);
            }
            // A driver that is slow to answer must make no difference, so octets may come before we settle.
            if piece_octets_max > 1 {
                self.settle();
            }
        }
        self.settle();
    }

    fn expect(&mut self, line: &str) {
        self.settle();
        let end = self.heard.iter().position(|octet| *octet == b'\n').map_or(self.heard.len(), |at| at + 1);
        let heard: Vec<u8> = self.heard.drain(..end).collect();
        assert_eq!(String::from_utf8(heard).unwrap(), format!("{line}\r\n"), "{}", self.name);
    }

    fn directive(&mut self, directive: &str) {
        match directive.split_once(' ').unwrap_or((directive, "")) {
            ("handshake", _) => {
                assert!(std::mem::take(&mut self.role.handshaking), "{}: no handshake was asked for", self.name);
                self.server.tls_started();
            }
            ("wait", seconds) => {
                self.now += Duration::from_secs(seconds.parse().unwrap());
                self.server.handle_timeout(self.now);
            }
            ("closed", _) => {
                self.settle();
                assert_eq!(String::from_utf8_lossy(&self.heard), "", "{}", self.name);
                assert!(self.server.is_closed(), "{}: still open", self.name);
            }
            ("eof", _) => self.server.handle_eof(self.now),
            ("unread", text) => {
                let mut unread = self.role.unread.clone().expect("nobody is logged in");
                unread.extend_from_slice(&self.passed);
                assert_eq!(unread.escape_ascii().to_string(), text, "{}", self.name);
            }
            other => panic!("{}: unknown directive {other:?}", self.name),
        }
    }
}

/// `{x*300}` is 300 times x.
fn expand(line: &str) -> String {
    let Some((text, times, before, behind)) = line.split_once('{').and_then(|(before, rest)| {
        let (inside, behind) = rest.split_once('}')?;
        let (text, times) = inside.split_once('*')?;
        Some((text, times.parse().ok()?, before, behind))
    }) else {
        return line.to_owned();
    };
    format!("{before}{}{}", text.repeat(times), expand(behind))
}

fn run(name: &str, text: &str, piece_octets_max: usize) {
    let modes = ["tls", "clear", "insecure"];
    let mode = text.lines().find_map(|line| line.strip_prefix("! ").filter(|mode| modes.contains(mode)));
    let mut play = Play::new(name, mode.unwrap_or("starttls"), Instant::now());
    let mut segment = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        play.name = format!("{name}:{number} (pieces of {piece_octets_max})");
        if let Some(command) = line.strip_prefix("C: ") {
            segment += &format!("{}\r\n", expand(command));
            continue;
        }
        play.send(std::mem::take(&mut segment).as_bytes(), piece_octets_max);
        if let Some(reply) = line.strip_prefix("S: ") {
            play.expect(&expand(reply));
        } else if let Some(directive) = line.strip_prefix("! ").filter(|word| !modes.contains(word)) {
            play.directive(directive);
        } else {
            assert!(line.is_empty() || line.starts_with(['#', '!']), "{}: {line:?}", play.name);
        }
    }
    assert!(segment.is_empty(), "{name} ends with a command that is not answered");
    play.settle();
    assert_eq!(String::from_utf8_lossy(&play.heard), "", "{name}: unexpected at the end");
}

#[test]
fn transcripts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "transcripts are missing");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for piece_octets_max in [usize::MAX, 13, 1] {
            run(&name, &text, piece_octets_max);
        }
    }
}
