//! SMTP and LMTP, both ends.

use crate::converse::{Split, assert_lines, converse, has_lone_line_end};
use bytes::Bytes;
use machine::Machine;
use mail_types::{Address, DeliveryId, Domain, ForwardPath, ReversePath, StoreName};
use smtp_proto::client::{self, Client, Outcome};
use smtp_proto::server::{self, Config, Event, Server};
use smtp_proto::{Dialect, Mail, Rcpt, Refusal, Relayed, Security};
use std::sync::Arc;
use std::time::Instant;

/// What clients say. Any split gives the same events and replies; a body holds whole lines and fits the limit; each
/// receipt gives one 250 and nothing else does; the last event is `Closed`.
pub fn smtp_server(data: &[u8]) {
    for dialect in [Dialect::Smtp, Dialect::Lmtp] {
        let whole = Served::by(dialect, data, Split::Whole);
        whole.check();
        for split in Split::OTHERS {
            let other = Served::by(dialect, data, split);
            assert_eq!(other.events, whole.events, "{dialect:?}, {split:?}");
            assert_eq!(text(&other.output), text(&whole.output), "{dialect:?}, {split:?}");
        }
    }
    start_tls(data);
}

#[derive(Default)]
struct Served {
    events: Vec<Event>,
    output: Vec<u8>,
    receipts_spent: usize,
}

/// What a role would prove with.
struct Receipt;

impl Served {
    fn by(dialect: Dialect, data: &[u8], split: Split) -> Self {
        let now = Instant::now();
        let mut server = Server::new(Arc::new(config(dialect)), Security::Plain, now);
        let mut served = Self::default();
        served.output = converse(&mut server, now, &split.cut(data), |server, event| served.on_event(server, event));
        served
    }

    /// The answers depend on what was said alone.
    fn on_event(&mut self, server: &mut Server<Receipt>, event: Event) {
        match &event {
            Event::Hello(hello) if hello.name() == "evil" => server.refuse(Refusal::RELAY_DENIED),
            Event::Hello(_) => server.accept_hello(),
            Event::Mail(mail) if mail.from.to_string().contains("evil") => server.refuse(Refusal::RELAY_DENIED),
            Event::Mail(_) => server.accept_mail(),
            Event::Rcpt(rcpt) if rcpt.to.to_string().contains("nobody") => server.refuse(Refusal::NO_SUCH_USER),
            Event::Rcpt(_) => server.accept_rcpt(),
            Event::Data => server.accept_data(),
            Event::End => self.on_end(server),
            Event::Auth { initial: None, .. } => server.challenge(b""),
            Event::Auth { .. } => server.auth_succeeded(),
            Event::AuthResponse(response) if response.is_empty() => server.challenge(b"again"),
            Event::AuthResponse(_) => server.auth_failed(Refusal::AUTH_FAILED),
            Event::StartTls => server.refuse(Refusal::TLS_UNAVAILABLE),
            Event::Body(_) | Event::AuthAborted | Event::Reset(_) | Event::Closed(_) => {}
        }
        self.events.push(event);
    }

    /// The first recipient of a message is lucky, the next one is not, and so on.
    fn on_end(&mut self, server: &mut Server<Receipt>) {
        match server.config().dialect {
            Dialect::Smtp => {
                self.receipts_spent += 1;
                server.accept(Receipt);
            }
            Dialect::Lmtp => {
                for answer in 0..server.answers_owed() {
                    let lucky = answer % 2 == 0;
                    self.receipts_spent += usize::from(lucky);
                    server.answer_recipient(if lucky { Ok(Receipt) } else { Err(Refusal::TRY_LATER) });
                }
            }
        }
    }

    fn check(&self) {
        assert_lines(&self.output);
        let mut accepted = 0;
        for line in self.output.split_inclusive(|octet| *octet == b'\n') {
            let code = line.first_chunk::<3>().expect("a reply begins with its code");
            assert!(code.iter().all(u8::is_ascii_digit) && line.len() <= smtp_proto::limits::REPLY_LINE_OCTETS_MAX);
            accepted += usize::from(line == b"250 2.0.0 Ok: message is on stable storage\r\n");
        }
        assert_eq!(accepted, self.receipts_spent, "a 250 for each receipt, and none without");
        let closed = self.events.iter().filter(|event| matches!(event, Event::Closed(_))).count();
        assert!(closed == 1 && matches!(self.events.last(), Some(Event::Closed(_))));
        self.check_bodies();
    }

    fn check_bodies(&self) {
        let mut chunks: Vec<&Bytes> = Vec::new();
        for event in &self.events {
            match event {
                Event::Body(octets) => chunks.push(octets),
                Event::End => {
                    let body = chunks.iter().flat_map(|chunk| chunk.iter().copied()).collect::<Vec<u8>>();
                    assert!(!has_lone_line_end(&body), "a lone CR or LF in a body");
                    assert!(body.len() <= SIZE_MAX);
                    let mut full = chunks.iter().rev().skip(1);
                    assert!(full.all(|chunk| chunk.len() == CHUNK_OCTETS_MAX), "a chunk is full unless it is the last");
                    chunks.clear();
                }
                Event::Data => assert!(chunks.is_empty(), "octets of a message that was not begun"),
                Event::Reset(_) => chunks.clear(),
                Event::Hello(_)
                | Event::Mail(_)
                | Event::Rcpt(_)
                | Event::Auth { .. }
                | Event::AuthResponse(_)
                | Event::AuthAborted
                | Event::StartTls
                | Event::Closed(_) => {}
            }
        }
    }
}

/// STARTTLS is an event of its own: what was said before it is forgotten, what came with it is refused.
fn start_tls(data: &[u8]) {
    let now = Instant::now();
    let mut config = config(Dialect::Smtp);
    config.extensions.starttls = true;
    let mut server: Server<Receipt> = Server::new(Arc::new(config), Security::Plain, now);
    let mut served = Served::default();
    let lines: Vec<&[u8]> = data.split_inclusive(|octet| *octet == b'\n').collect();
    converse(&mut server, now, &lines, |server, event| {
        if event == Event::StartTls {
            server.accept_tls();
            assert!(!server.wants_input(), "nothing is read in clear before the handshake");
            server.tls_started();
            assert!(server.client().is_none() && !server.is_authenticated(), "what was learnt in clear is forgotten");
            assert_eq!(server.security(), Security::Tls);
        } else {
            served.on_event(server, event);
        }
    });
}

fn config(dialect: Dialect) -> Config {
    let mut config = Config::new(dialect, domain("mx.foo.example"));
    config.size_max = SIZE_MAX as u64;
    config.extensions = server::Extensions {
        starttls: false,
        auth: vec!["PLAIN".to_owned(), "LOGIN".to_owned()],
        auth_in_clear: true,
        smtputf8: true,
        chunking: true,
        xposthouse: true,
    };
    config.limits.body_chunk_octets_max = CHUNK_OCTETS_MAX;
    config.limits.rcpt_count_max = 3;
    config.limits.text_line_octets_max = 80;
    config
}

/// What servers say. Cut as they like, their replies give the same events and the same commands; every recipient has
/// one outcome; nobody is `Accepted` before the final dot; the last event is `Closed`.
pub fn smtp_client(data: &[u8]) {
    for dialect in [Dialect::Smtp, Dialect::Lmtp] {
        let whole = Asked::by(dialect, data, Split::Whole);
        whole.check();
        for split in Split::OTHERS {
            let other = Asked::by(dialect, data, split);
            assert_eq!(other.events, whole.events, "{dialect:?}, {split:?}");
            assert_eq!(text(&other.output), text(&whole.output), "{dialect:?}, {split:?}");
        }
    }
}

#[derive(Default)]
struct Asked {
    events: Vec<client::Event>,
    output: Vec<u8>,
    /// How often the client was ready.
    ready: u32,
    /// Recipients of the transaction under way.
    rcpts: usize,
}

impl Asked {
    /// The role speaks only between lines: a reply that comes before its command is one that nobody asked for, so the
    /// split of the lines themselves does matter.
    fn by(dialect: Dialect, data: &[u8], split: Split) -> Self {
        let now = Instant::now();
        let mut client = Client::new(client::Config::new(dialect, domain("bar.example")), Security::Plain, now);
        let mut asked = Self::default();
        for line in data.split_inclusive(|octet| *octet == b'\n') {
            split.cut(line).iter().for_each(|piece| client.handle_input(now, piece));
            asked.drain(&mut client);
        }
        client.handle_eof(now);
        asked.drain(&mut client);
        assert!(client.is_closed(), "after the end of input nothing is left open");
        asked
    }

    fn drain(&mut self, client: &mut Client) {
        while let Some(event) = client.poll_event() {
            self.on_event(client, &event);
            self.events.push(event);
        }
        while let Some(octets) = client.poll_output() {
            self.output.extend_from_slice(&octets);
        }
    }

    fn on_event(&mut self, client: &mut Client, event: &client::Event) {
        match event {
            client::Event::Ready => self.on_ready(client),
            client::Event::GoAhead => {
                // A refusal closes the connection; it is seen as an event.
                let _ = client.body(Bytes::from_static(b"Subject: x\r\n\r\n.\r\n"));
                let _ = client.body(Bytes::from_static(b"..\r\nno line end"));
                let _ = client.finish();
            }
            client::Event::Challenge(challenge) if challenge.len() % 2 == 0 => client.auth_response(b"me"),
            client::Event::Challenge(_) => client.auth_cancel(),
            client::Event::Done(outcomes) => {
                assert_eq!(outcomes.len(), self.rcpts, "one outcome for each recipient");
                let accepted = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Accepted(_)));
                let said_dot = self.output.windows(5).any(|octets| octets == b"\r\n.\r\n");
                assert!(!accepted || said_dot, "accepted before the final dot");
            }
            client::Event::StartTls => panic!("TLS was not asked for"),
            client::Event::Rcpt(number, _) => assert!(*number < self.rcpts),
            client::Event::TlsRefused(_)
            | client::Event::Authenticated(_)
            | client::Event::Mail(_)
            | client::Event::Closed(_) => {}
        }
    }

    fn on_ready(&mut self, client: &mut Client) {
        self.ready += 1;
        match self.ready {
            1 => client.authenticate("PLAIN", Some(b"\0me\0secret")),
            2 | 3 => self.send(client),
            _ => client.quit(),
        }
    }

    fn send(&mut self, client: &mut Client) {
        self.rcpts = 0;
        let mut mail = Mail::new(ReversePath::Null);
        mail.size = Some(30);
        if client.capabilities().xposthouse {
            let store = StoreName::parse("ingrid").expect("a name");
            mail.relayed = Some(Relayed { store, delivery: Some(DeliveryId::from_bytes([0xdd; 16])) });
        }
        if client.begin(mail).is_err() {
            return client.quit();
        }
        for to in ["a@b.example", "\"b b\"@b.example", "ö@b.example"] {
            let to = Address::parse(to).expect("an address");
            let rcpt = Rcpt { received_as: Some(to.clone()), ..Rcpt::new(ForwardPath::Address(to)) };
            self.rcpts += usize::from(client.rcpt(rcpt).is_ok());
        }
        client.data();
    }

    fn check(&self) {
        assert_lines(&self.output);
        let says = |word: &[u8]| self.output.windows(word.len()).any(|octets| octets == word);
        assert!(!says(b" XRCPT=") || says(b" XSTORE="), "what is between nodes is said to nodes");
        let closed = self.events.iter().filter(|event| matches!(event, client::Event::Closed(_))).count();
        assert!(closed == 1 && matches!(self.events.last(), Some(client::Event::Closed(_))));
    }
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).expect("a host name")
}

fn text(octets: &[u8]) -> String {
    octets.escape_ascii().to_string()
}

/// The largest message, so that small inputs reach it.
const SIZE_MAX: usize = 200;
/// The largest chunk, so that small inputs fill one.
const CHUNK_OCTETS_MAX: usize = 5;
