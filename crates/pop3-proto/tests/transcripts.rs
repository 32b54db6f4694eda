//! Runs `transcripts/*.txt`: a new case needs no Rust.
//!
//! ```text
//! # purpose                       comment
//! C: USER mrose                   the client sends this and CRLF; lines that follow each other come in one segment
//! S: +OK                          the server answers just this
//! ! tls | clear | insecure        before the first line: the connection (default: STLS is offered)
//! ! handshake                     TLS was asked for, and is up now
//! ! wait 600                      so many seconds pass
//! ! closed                        the conversation is over
//! ! eof                           the client closes its half
//! ! removed 1 2                   these messages were removed for good
//! ! fail-update                   QUIT will not be able to remove
//! C: …{x*300}…                    repeats
//! ```
//! Each file runs with whole segments, and with every octet by itself.
//!
//! The role behind is a small maildrop: user `mrose`, password `secret`; `busy`, `down`, `broken`, `hasty` are refused
//! in their ways; `test` has the password `test`, and one more message, whose sender is no ASCII; PLAIN takes the same,
//! LOGIN asks twice.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a test")]

use bytes::Bytes;
use machine::Machine;
use pop3_proto::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MESSAGES: [&str; 2] = [
    "From: a@example.org\r\nSubject: one\r\n\r\n.dot\r\nsecond\r\nthird\r\n",
    "Subject: two\n\nbare line feeds\n.\nno end",
];

/// In the maildrop of `test`.
const INTERNATIONAL: &str = "From: größe@example.org\r\n\r\nSchöne Grüße\r\n";

struct Role {
    messages: Vec<&'static str>,
    marked: BTreeSet<u32>,
    removed: Option<BTreeSet<u32>>,
    login_name: Option<String>,
    fail_update: bool,
    handshaking: bool,
}

impl Role {
    fn maildrop(&self) -> Maildrop {
        let sizes = self.live().map(|(_, text)| text.len() as u64);
        Maildrop { messages: u32::try_from(sizes.clone().count()).unwrap(), octets: sizes.sum() }
    }

    fn live(&self) -> impl Iterator<Item = (u32, &'static str)> + Clone {
        (1..).zip(self.messages.iter().copied()).filter(|(number, _)| !self.marked.contains(number))
    }

    fn message(&self, number: MessageNumber) -> Option<&'static str> {
        self.live().find(|(n, _)| *n == number.get()).map(|(_, text)| text)
    }

    fn login(&mut self, server: &mut Server, user: &str, password: &[u8]) {
        match (user, password) {
            ("mrose" | "größe", b"secret") => server.logged_in(self.maildrop()),
            ("test", b"test") => {
                self.messages.push(INTERNATIONAL);
                server.logged_in(self.maildrop());
            }
            ("busy", _) => server.refuse(&Refusal::IN_USE),
            ("down", _) => server.refuse(&Refusal::UNAVAILABLE),
            ("broken", _) => server.refuse(&Refusal::BROKEN),
            ("hasty", _) => server.refuse(&Refusal::LOGIN_DELAY),
            _ => server.refuse(&Refusal::BAD_CREDENTIALS),
        }
    }

    fn plain(&mut self, server: &mut Server, message: &[u8]) {
        let parts: Vec<_> = message.split(|octet| *octet == 0).collect();
        match parts.as_slice() {
            [_, user, password] => self.login(server, std::str::from_utf8(user).unwrap(), password),
            _ => server.refuse(&Refusal::BAD_CREDENTIALS),
        }
    }

    fn on_event(&mut self, server: &mut Server, event: Event) {
        let id = |number: u32| UniqueId::parse(&format!("uid-{number}")).unwrap();
        match event {
            Event::Login { user, password } => self.login(server, &user, password.as_bytes()),
            Event::Auth { mechanism, initial } => match (mechanism.as_str(), initial) {
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
                Some(name) => self.login(server, &name, response.as_bytes()),
            },
            Event::AuthCancelled => self.login_name = None,
            Event::StartTls => self.handshaking = server.tls_ready() == TlsStart::Begin,
            Event::Stat => server.stat(self.maildrop()),
            Event::List(None) => {
                server.list_begin(self.maildrop());
                for (number, text) in self.live() {
                    server.list_item(MessageNumber::new(number).unwrap(), text.len() as u64);
                }
                server.listing_end();
            }
            Event::List(Some(number)) => match self.message(number) {
                Some(text) => server.list_one(text.len() as u64),
                None => server.refuse(&Refusal::NO_SUCH_MESSAGE),
            },
            Event::Uidl(None) => {
                server.uidl_begin();
                for (number, _) in self.live() {
                    server.uidl_item(MessageNumber::new(number).unwrap(), &id(number));
                }
                server.listing_end();
            }
            Event::Uidl(Some(number)) => match self.message(number) {
                Some(_) => server.uidl_one(&id(number.get())),
                None => server.refuse(&Refusal::NO_SUCH_MESSAGE),
            },
            Event::Retr(number) | Event::Top { number, .. } => match self.message(number) {
                // RFC 6856 §5.
                Some(INTERNATIONAL) if !server.is_utf8() => server.refuse(&Refusal::NEEDS_UTF8),
                Some(text) => {
                    server.message_begin(text.len() as u64);
                    for piece in text.as_bytes().chunks(7) {
                        if server.body(Bytes::from_static(piece)) == BodyWants::Nothing {
                            break;
                        }
                    }
                    server.body_end();
                }
                None => server.refuse(&Refusal::NO_SUCH_MESSAGE),
            },
            Event::Dele(number) => match self.message(number) {
                Some(_) => {
                    self.marked.insert(number.get());
                    server.deleted();
                }
                None => server.refuse(&Refusal::NO_SUCH_MESSAGE),
            },
            Event::Rset => {
                self.marked.clear();
                server.unmarked(self.maildrop());
            }
            Event::Quit if self.fail_update => server.refuse(&Refusal::NOT_ALL_REMOVED),
            Event::Quit => {
                self.removed = Some(std::mem::take(&mut self.marked));
                server.updated();
            }
        }
    }
}

struct Play {
    server: Server,
    role: Role,
    now: Instant,
    heard: Vec<u8>,
    name: String,
}

impl Play {
    fn new(name: &str, mode: &str, now: Instant) -> Self {
        let methods = LoginMethods::with_user(&["PLAIN", "LOGIN"]);
        let (security, in_clear) = match mode {
            "tls" => (Security::Tls, LoginMethods::default()),
            "clear" => (Security::Clear, LoginMethods::default()),
            "insecure" => (Security::Clear, methods.clone()),
            _ => (Security::ClearWithStls, LoginMethods::default()),
        };
        let config = Config {
            greeting: "pop.example.org ready".into(),
            implementation: Some("Posthouse".into()),
            in_clear,
            under_tls: methods,
            behind_login: None,
            expire: Some(Expire::Never),
            login_delay_seconds: None,
            utf8: Utf8::Offered,
        };
        Self {
            server: Server::new(Arc::new(config), security, now),
            role: Role {
                messages: MESSAGES.to_vec(),
                marked: BTreeSet::new(),
                removed: None,
                login_name: None,
                fail_update: false,
                handshaking: false,
            },
            now,
            heard: Vec::new(),
            name: name.to_owned(),
        }
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
            self.server.handle_input(self.now, piece);
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

    fn directive(&mut self, words: &[&str]) {
        match words {
            ["handshake"] => {
                assert!(std::mem::take(&mut self.role.handshaking), "{}: no handshake was asked for", self.name);
                self.server.tls_started();
            }
            ["wait", seconds] => {
                self.now += Duration::from_secs(seconds.parse().unwrap());
                while let Some(due) = self.server.poll_timeout().filter(|due| *due <= self.now) {
                    self.server.handle_timeout(due);
                }
            }
            ["closed"] => {
                self.settle();
                let heard = String::from_utf8_lossy(&self.heard);
                assert!(heard.is_empty(), "{}: unexpected {heard:?}", self.name);
                assert!(self.server.is_closed(), "{}: still open", self.name);
            }
            ["eof"] => self.server.handle_eof(self.now),
            ["fail-update"] => self.role.fail_update = true,
            ["removed", numbers @ ..] => {
                let numbers = numbers.iter().map(|number| number.parse().unwrap()).collect();
                assert_eq!(self.role.removed, Some(numbers), "{}", self.name);
            }
            ["none-removed"] => assert_eq!(self.role.removed, None, "{}", self.name),
            other => panic!("{}: unknown directive {other:?}", self.name),
        }
    }
}

/// `{x*300}` is 300 times x.
fn expand(line: &str) -> String {
    let Some((before, rest)) = line.split_once('{') else { return line.to_owned() };
    let (inside, behind) = rest.split_once('}').unwrap();
    let (text, times) = inside.split_once('*').unwrap();
    format!("{before}{}{}", text.repeat(times.parse().unwrap()), expand(behind))
}

fn run(name: &str, text: &str, piece_octets_max: usize) {
    let modes = ["tls", "clear", "insecure"];
    let mode = text.lines().find_map(|line| line.strip_prefix("! ").filter(|mode| modes.contains(mode)));
    let mut play = Play::new(name, mode.unwrap_or("stls"), Instant::now());
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
            play.directive(&directive.split(' ').collect::<Vec<_>>());
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
    assert!(files.len() >= 10, "transcripts are missing");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for piece_octets_max in [usize::MAX, 13, 1] {
            run(&name, &text, piece_octets_max);
        }
    }
}
