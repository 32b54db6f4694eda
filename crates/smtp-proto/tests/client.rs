//! Runs `transcripts/client/*.txt` against the client, the server's lines whole and octet by octet.
//!
//! ```text
//! # purpose, and perhaps `# config: lmtp`
//! S: what the server says; CRLF is added unless the line ends with `\`; `\r \n \t \0 \\` stand for octets
//! C: what the client must say next
//! R: what the role calls: begin FROM [size=N] [8bit] [utf8] [store=NAME] · rcpt TO [received as ADDRESS] · data · body TEXT · finish · abort · quit · starttls ·
//!    tls · auth MECHANISM [INITIAL] · response TEXT · eof · timeout
//! E: the event that the role must see next
//! ```
#![allow(clippy::disallowed_methods, clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod role;

use bytes::Bytes;
use machine::Machine;
use mail_types::{Address, DeliveryId, Domain, ForwardPath, ReversePath, StoreName};
use smtp_proto::client::{Client, Config, Event, Outcome};
use smtp_proto::{BodyType, Dialect, Mail, Rcpt, Relayed, Reply, Security};
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/client");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // A `# whole` transcript is about what one segment holds.
        let splits: &[bool] = if text.contains("# whole") { &[false] } else { &[false, true] };
        for &octetwise in splits {
            Run::new(&text).run(&text, octetwise, &path.display().to_string());
        }
        count += 1;
    }
    assert!(count >= 8, "the transcripts were found");
}

struct Run {
    client: Client,
    now: Instant,
    said: Vec<u8>,
}

impl Run {
    fn new(text: &str) -> Self {
        let dialect = if text.contains("# config: lmtp") { Dialect::Lmtp } else { Dialect::Smtp };
        let now = Instant::now();
        let config = Config::new(dialect, Domain::parse("bar.example").unwrap());
        Self { client: Client::new(config, Security::Plain, now), now, said: Vec::new() }
    }

    fn run(mut self, text: &str, octetwise: bool, name: &str) {
        let mut after = "";
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (mark, rest) = line.split_at(2);
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            match mark {
                "S:" => {
                    let octets = role::octets(rest);
                    let step = if octetwise { 1 } else { octets.len() };
                    octets.chunks(step).for_each(|piece| self.client.handle_input(self.now, piece));
                }
                "C:" => assert_eq!(self.next_line(), rest, "{name} after {after:?}"),
                "R:" => self.call(rest),
                "E:" => {
                    let event = self.client.poll_event().map_or("nothing".to_owned(), |event| show(&event));
                    assert_eq!(event, rest, "{name} after {after:?}");
                }
                _ => panic!("{line}"),
            }
            after = line;
        }
        assert_eq!(self.client.poll_event(), None, "{name}");
        self.take_output();
        assert_eq!(String::from_utf8_lossy(&self.said), "", "{name}");
    }

    fn take_output(&mut self) {
        while let Some(octets) = self.client.poll_output() {
            self.said.extend_from_slice(&octets);
        }
    }

    fn next_line(&mut self) -> String {
        self.take_output();
        let Some(end) = self.said.windows(2).position(|pair| pair == b"\r\n") else { return "nothing".to_owned() };
        let line = self.said.drain(..end + 2).take(end).collect();
        String::from_utf8(line).unwrap()
    }

    fn call(&mut self, call: &str) {
        let (verb, rest) = call.split_once(' ').unwrap_or((call, ""));
        let words: Vec<&str> = rest.split(' ').collect();
        match verb {
            "begin" => {
                let mut mail = Mail::new(match words[0] {
                    "<>" => ReversePath::Null,
                    from => ReversePath::Address(Address::parse(from).unwrap()),
                });
                mail.size = words.iter().find_map(|word| word.strip_prefix("size=")).map(|size| size.parse().unwrap());
                mail.body = if words.contains(&"8bit") { BodyType::EightBit } else { BodyType::SevenBit };
                mail.smtputf8 = words.contains(&"utf8");
                mail.relayed = words.iter().find_map(|word| word.strip_prefix("store=")).map(|store| Relayed {
                    store: StoreName::parse(store).unwrap(),
                    delivery: Some(DeliveryId::from_bytes([0xd0; 16])),
                });
                let begun = self.client.begin(mail).map_or_else(|why| format!("{why:?}"), |()| "begun".to_owned());
                assert_eq!(begun, words.last().and_then(|word| word.strip_prefix('=')).unwrap_or("begun"));
            }
            "rcpt" => {
                let address = |text| Address::parse(text).unwrap();
                let mut rcpt = Rcpt::new(ForwardPath::Address(address(words[0])));
                rcpt.received_as = rest.split_once(" received as ").map(|(_, received_as)| address(received_as));
                self.client.rcpt(rcpt).unwrap();
            }
            "data" => self.client.data(),
            "body" => self.client.body(Bytes::from(role::octets(rest))).unwrap(),
            "badbody" => assert!(self.client.body(Bytes::from(role::octets(rest))).is_err()),
            "finish" => self.client.finish().unwrap(),
            "abort" => self.client.abort(),
            "quit" => self.client.quit(),
            "starttls" => self.client.start_tls(),
            "tls" => self.client.tls_started(),
            "auth" => self.client.authenticate(words[0], words.get(1).map(|initial| initial.as_bytes())),
            "response" => self.client.auth_response(rest.as_bytes()),
            "cancel" => self.client.auth_cancel(),
            "eof" => self.client.handle_eof(self.now),
            "timeout" => {
                // Twice: a span that began at a call runs at most twice as long.
                for _ in 0..2 {
                    self.now += Duration::from_secs(601);
                    self.client.handle_timeout(self.now);
                }
            }
            _ => panic!("{call}"),
        }
    }
}

fn show(event: &Event) -> String {
    let short = |reply: &Reply| reply.code().to_string();
    match event {
        Event::Mail(reply) => format!("Mail {}", short(reply)),
        Event::Rcpt(index, reply) => format!("Rcpt {index} {}", short(reply)),
        Event::TlsRefused(reply) => format!("TlsRefused {}", short(reply)),
        Event::Authenticated(Ok(())) => "Authenticated".to_owned(),
        Event::Authenticated(Err(reply)) => format!("NotAuthenticated {}", short(reply)),
        Event::Challenge(octets) => format!("Challenge {}", String::from_utf8_lossy(octets)),
        Event::Done(outcomes) => {
            let one = |outcome: &Outcome| match outcome {
                Outcome::Accepted(accepted) => format!(" Accepted:{}", short(accepted.reply())),
                Outcome::Deferred(reply) => format!(" Deferred:{}", short(reply)),
                Outcome::Failed(reply) => format!(" Failed:{}", short(reply)),
                Outcome::Unsent => " Unsent".to_owned(),
                Outcome::Unknown => " Unknown".to_owned(),
            };
            outcomes.iter().map(one).fold("Done".to_owned(), |all, one| all + &one)
        }
        Event::Ready | Event::StartTls | Event::GoAhead | Event::Closed(_) => format!("{event:?}"),
    }
}
