//! A role for tests: who is refused, the local part says.
#![allow(dead_code, reason = "each test file uses a part of it")]

use machine::Machine;
use mail_types::{Domain, ForwardPath, ReversePath};
use smtp_proto::server::{Config, Event, Server};
use smtp_proto::{Dialect, Hello, Refusal, Relayed};

/// Notes what it saw.
#[derive(Default)]
pub(crate) struct Role {
    /// One line for each thing worth noting.
    pub(crate) seen: Vec<String>,
    /// Every complete message.
    pub(crate) messages: Vec<Vec<u8>>,
    from: String,
    to: Vec<String>,
    body: Vec<u8>,
}

/// The proof of a test.
pub(crate) struct Receipt;

pub(crate) fn config(dialect: Dialect) -> Config {
    Config::new(dialect, Domain::parse("mx.foo.example").unwrap())
}

impl Role {
    /// Answers until there is nothing to answer.
    pub(crate) fn answer(&mut self, server: &mut Server<Receipt>) {
        while let Some(event) = server.poll_event() {
            self.on_event(server, event);
        }
    }

    fn on_event(&mut self, server: &mut Server<Receipt>, event: Event) {
        match event {
            Event::Hello(hello) if hello.name() == "evil" => server.refuse(Refusal::RELAY_DENIED),
            Event::Hello(Hello::Helo(_) | Hello::Ehlo(_) | Hello::Lhlo(_)) => server.accept_hello(),
            Event::Mail(mail) => {
                (self.from, self.to, self.body) = (mail.from.to_string(), Vec::new(), Vec::new());
                if let Some(Relayed { store, delivery }) = mail.relayed {
                    let delivery = delivery.map_or("no id".to_owned(), |id| id.to_string());
                    self.seen.push(format!("for {store} {delivery}"));
                }
                match mail.from {
                    ReversePath::Address(from) if from.local().as_str() == "evil" => {
                        server.refuse(Refusal::RELAY_DENIED)
                    }
                    ReversePath::Address(_) | ReversePath::Null => server.accept_mail(),
                }
            }
            Event::Rcpt(rcpt) => match refused(&rcpt.to, "nobody") {
                true => server.refuse(Refusal::NO_SUCH_USER),
                false => {
                    self.seen.extend(rcpt.received_as.map(|address| format!("received as {address}")));
                    self.to.push(rcpt.to.to_string());
                    server.accept_rcpt();
                }
            },
            Event::Data if self.from.starts_with("<nodata") => server.refuse(Refusal::NO_SPACE),
            Event::Data if self.from.starts_with("<goaway") => server.refuse(Refusal::SHUTTING_DOWN),
            Event::Data => server.accept_data(),
            Event::Body(octets) => self.body.extend_from_slice(&octets),
            Event::End => self.on_end(server),
            Event::Auth { mechanism, initial } => match (mechanism.as_str(), initial.as_deref()) {
                ("PLAIN", Some(b"\0user\0pass")) => server.auth_succeeded(),
                (_, None) => server.challenge(b"Username:"),
                (_, Some(_)) => server.auth_failed(Refusal::AUTH_FAILED),
            },
            Event::AuthResponse(response) => match &*response {
                b"user" => server.challenge(b"Password:"),
                b"pass" | b"\0user\0pass" => server.auth_succeeded(),
                _ => server.auth_failed(Refusal::AUTH_FAILED),
            },
            Event::AuthAborted => self.seen.push("auth aborted".to_owned()),
            Event::StartTls => server.accept_tls(),
            Event::Reset(why) => self.seen.push(format!("reset {why:?}")),
            Event::Closed(why) => self.seen.push(format!("closed {why:?}")),
        }
    }

    fn on_end(&mut self, server: &mut Server<Receipt>) {
        let body = String::from_utf8_lossy(&self.body).escape_debug().to_string();
        self.seen.push(format!("message {} {} \"{body}\"", self.from, self.to.join(" ")));
        self.messages.push(std::mem::take(&mut self.body));
        match server.config().dialect {
            Dialect::Smtp if self.to.iter().any(|to| to.starts_with("<late")) => server.refuse(Refusal::TRY_LATER),
            Dialect::Smtp => server.accept(Receipt),
            Dialect::Lmtp => {
                assert_eq!(server.answers_owed(), self.to.len());
                for to in &self.to {
                    server.answer_recipient(if to.starts_with("<late") {
                        Err(Refusal::TRY_LATER)
                    } else {
                        Ok(Receipt)
                    });
                }
            }
        }
    }
}

fn refused(to: &ForwardPath, local: &str) -> bool {
    match to {
        ForwardPath::Postmaster => false,
        ForwardPath::Address(to) => to.local().as_str() == local,
    }
}

/// A transcript's line as octets: CRLF is added unless it ends with a backslash.
pub(crate) fn octets(line: &str) -> Vec<u8> {
    let (line, end) = match line.strip_suffix('\\') {
        Some(line) => (line, &b""[..]),
        None => (line, &b"\r\n"[..]),
    };
    let (mut octets, mut chars) = (Vec::new(), line.chars());
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('r')) => octets.push(b'\r'),
            ('\\', Some('n')) => octets.push(b'\n'),
            ('\\', Some('t')) => octets.push(b'\t'),
            ('\\', Some('0')) => octets.push(0),
            ('\\', Some('\\')) => octets.push(b'\\'),
            ('\\', other) => panic!("no such escape: {other:?}"),
            (c, _) => octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    [&octets, end].concat()
}
