//! Conversations as text: `tests/transcripts/README` says how they are written. Each runs three times, with whole
//! lines, seven octets and one octet at a time, and must read the same.

use imap_proto::fetch::{ContentName, FetchData};
use imap_proto::server::{Event, Server};
use imap_proto::{Limits, LiteralMode, Reply, Response};
use machine::Machine;
use mail_types::SeqNum;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Run {
    server: Server,
    now: Instant,
    step: usize,
    output: Vec<u8>,
    events: VecDeque<String>,
    /// Content that came in chunks since the last other event.
    content: Vec<u8>,
}

impl Run {
    fn new(step: usize) -> Self {
        #[expect(clippy::disallowed_methods, reason = "an Instant to count from cannot be made otherwise")]
        let now = Instant::now();
        let limits =
            Limits { literal_mode: LiteralMode::Plus, append_octets_max: 1000, bad_count_max: 3, ..Limits::default() };
        let server = Server::new(Arc::new(limits), now);
        Self { server, now, step, output: Vec::new(), events: VecDeque::new(), content: Vec::new() }
    }

    fn client(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(self.step) {
            self.server.handle_input(self.now, part);
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.server.poll_event() {
            let shown = match &event {
                Event::Command(command) => format!("{} {:?}", command.tag.as_str(), command.body),
                Event::AppendBegin(begin) => {
                    let (tag, mailbox) = (begin.tag.as_str(), &begin.mailbox);
                    format!("AppendBegin {tag} {} {mailbox} {:?}", begin.index, begin.message)
                }
                Event::AppendChunk(chunk) => {
                    self.content.extend_from_slice(chunk);
                    continue;
                }
                Event::StartTls
                | Event::Authenticate { .. }
                | Event::AuthResponse(_)
                | Event::AuthCancelled
                | Event::IdleBegin
                | Event::IdleDone
                | Event::AppendEnd
                | Event::AppendFinish
                | Event::AppendAbort => format!("{event:?}"),
            };
            self.events.push_back(shown);
        }
        while let Some(piece) = self.server.poll_output() {
            self.output.extend_from_slice(&piece);
        }
    }

    fn output_line(&mut self) -> Option<String> {
        let end = self.output.windows(2).position(|pair| pair == b"\r\n")?;
        let line: Vec<u8> = self.output.drain(..end + 2).take(end).collect();
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    /// What the session answers.
    fn answer(&mut self, what: &str) {
        let (word, rest) = what.split_once(' ').unwrap_or((what, ""));
        let text = rest.to_owned();
        match word {
            "ok" => self.server.complete(Reply::ok(text)),
            "no" => self.server.complete(Reply::no(text)),
            "greet" => self.server.send(&Response::Untagged(Reply::ok(text))),
            "exists" => self.server.send(&Response::Exists(rest.parse().expect("a number"))),
            "fetch" => {
                let data = FetchData::Content(ContentName::Rfc822, Some(text.into_bytes().into()));
                self.server.send(&Response::Fetch(SeqNum::FIRST, vec![data]));
            }
            "challenge" => self.server.challenge(rest.as_bytes()),
            "accept-idle" => self.server.accept_idle(),
            "accept-append" => self.server.accept_append(),
            "accept-starttls" => self.server.accept_starttls(),
            "tls" => {
                assert!(self.server.wants_tls());
                self.server.tls_started(self.now);
            }
            "logged-in" => self.server.logged_in(),
            "utf8" => self.server.enable_utf8(),
            "logout" => self.server.logout(),
            "bye" => self.server.bye(Reply::ok(text)),
            "wait" => {
                self.now += Duration::from_secs(rest.parse().expect("seconds"));
                self.server.handle_timeout(self.now);
            }
            "eof" => self.server.handle_eof(self.now),
            other => panic!("no such answer: {other}"),
        }
        self.drain();
    }

    fn line(&mut self, line: &str) {
        let (kind, rest) = line.split_at_checked(3).unwrap_or((line, ""));
        match kind {
            "C: " => self.client(format!("{rest}\r\n").as_bytes()),
            // Without a line end, and with escapes.
            "c: " => {
                let raw = rest.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0");
                self.client(raw.as_bytes());
            }
            "S: " => assert_eq!(self.output_line().as_deref(), Some(rest)),
            "E: " => {
                let event = self.events.pop_front().expect("an event");
                assert!(event.starts_with(rest), "event {event}\n expected {rest}");
            }
            "M: " => assert_eq!(String::from_utf8_lossy(&std::mem::take(&mut self.content)), rest),
            "A: " => {
                assert_eq!(self.events.front(), None, "an event that nobody expected");
                self.answer(rest);
            }
            _ if line == "closed" => assert!(self.server.is_closed()),
            _ => assert!(line.is_empty() || line.starts_with('#'), "no such line: {line}"),
        }
    }

    fn end(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.output), "", "output that nobody expected");
        assert_eq!(self.events.front(), None, "an event that nobody expected");
        assert!(self.content.is_empty(), "content that nobody expected");
    }
}

#[test]
fn transcripts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ext| ext != "txt") {
            continue;
        }
        count += 1;
        let text = std::fs::read_to_string(&path).expect("a text");
        for step in [usize::MAX, 7, 1] {
            let mut run = Run::new(step);
            for (at, line) in text.lines().enumerate() {
                // Shown by the test harness when a line fails.
                println!("{}:{} (by {step}): {line}", path.display(), at + 1);
                run.line(line);
            }
            run.end();
        }
    }
    assert_eq!(count, 10, "a transcript was added or lost");
}
