//! Runs `transcripts/{imap,pop3,sieve,submission,imap-inside,pop3-inside}/*.txt`: a new case needs no Rust.
//!
//! ```text
//! # purpose              comment
//! C: a LOGIN x y         the client sends this and CRLF; lines that follow each other come in one segment
//! S: a OK                the server answers just this
//! ! tls                  before the first line: the connection begins with TLS
//! ! near                 … comes from where passwords in clear are allowed
//! ! no-starttls          … to a listener without a certificate
//! ! scram                … of a proxy that offers SCRAM
//! ! tokens               … of a proxy that takes tokens and certificates: every back-end takes its word
//! ! tokens-passed-on     … or every back-end but cyrus, which takes tokens
//! ! no-issuer            … of a proxy that judges no tokens, before cyrus alone, which takes them
//! ! certificate          … to which the client has shown the one of dorothy@example.test and tim@example.test, who is nobody
//! ! bound                … which has its own octets to bind to: 32 nines
//! ! forms                … of a proxy where a bare name is in back.test, whose users cyrus and courier know by local parts
//! ! no-routing           … of a proxy that has no copy of routing
//! ! segments             … is run with whole segments only, not octet by octet
//! ! handshake            TLS was promised, and is up now
//! ! engine away | back   the directory's engine does not answer, or does again
//! ! slept 1000           so many milliseconds were waited until now
//! ! hashed 1             so many times a costly hash was computed until now
//! ! logged-in alice@…    the store has been handed this session
//! ! visited s user pw    the back-end s was asked to let a visitor in, once since the last such line; alone: none was
//! ! passes text          a back-end answers, and so much, in escapes, goes on to it
//! ! closed               the conversation is over
//! ```
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test reads its transcripts")]

mod world;

use imap_proto::Limits;
use imap_proto::capability::{Capability, Support};
use machine::Machine;
use mail_types::Domain;
use ports::{ChannelBinding, ClientCertificate, Flow, Handler, TlsFacts};
use proxy::{
    ClearLogins, ImapConfig, ImapInsideConfig, Pop3Config, Pop3InsideConfig, SieveConfig, StartTls, SubmissionConfig,
};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use world::{World, finish, peer};

/// What a connection is like.
struct Setup {
    tls: bool,
    ip: &'static str,
    starttls: StartTls,
    routing: bool,
    scram: bool,
    forms: bool,
    bound: bool,
    tokens: bool,
    passed_on: bool,
    issuer: bool,
    certificate: bool,
    chunks: Vec<usize>,
}

impl Setup {
    fn read(lines: &[&str]) -> Self {
        let said = |word: &str| lines.iter().any(|line| line.strip_prefix("! ") == Some(word));
        Self {
            tls: said("tls"),
            ip: if said("near") { "10.1.2.3" } else { "198.51.100.7" },
            starttls: if said("no-starttls") { StartTls::NotOffered } else { StartTls::Offered },
            routing: !said("no-routing"),
            scram: said("scram"),
            forms: said("forms"),
            bound: said("bound"),
            tokens: said("tokens"),
            passed_on: said("tokens-passed-on"),
            issuer: !said("no-issuer"),
            certificate: said("certificate"),
            chunks: if said("segments") { vec![usize::MAX] } else { vec![usize::MAX, 1] },
        }
    }

    fn world(&self) -> World {
        let world = match (self.routing, self.scram) {
            (true, false) if !self.issuer => World::without_issuer(),
            (true, false) if self.passed_on => World::with_tokens_passed_on(),
            (true, false) if self.tokens => World::with_tokens(),
            (true, false) => World::new(),
            (true, true) => World::with_scram(),
            (false, _) => World::without_routing(),
        };
        if self.forms { world.with_forms() } else { world }
    }

    /// Of a connection that begins with TLS.
    fn facts(&self) -> TlsFacts {
        TlsFacts {
            binding: self.bound.then_some(ChannelBinding::of_exporter([9; 32])),
            certificate: self.certificate().filter(|_| self.tls),
        }
    }

    fn certificate(&self) -> Option<ClientCertificate> {
        let addresses = ["Dorothy@example.test", "tim@example.test"].map(str::to_owned);
        self.certificate.then(|| ClientCertificate { addresses: Arc::new(addresses) })
    }

    fn clear_logins() -> ClearLogins {
        ClearLogins::from_where(|address| address.to_string().starts_with("10."))
    }
}

/// A driver without sockets.
struct Driver<M: Machine, H: Handler<M>> {
    machine: M,
    handler: H,
    output: Vec<u8>,
    handshaking: bool,
    /// What TLS says of the client, when it begins later.
    facts: TlsFacts,
    hung_up: bool,
    /// What goes on to a back-end, once one answers.
    passed: Option<Vec<u8>>,
}

impl<M: Machine, H: Handler<M>> Driver<M, H> {
    fn turn(&mut self) {
        loop {
            while let Some(octets) = self.machine.poll_output() {
                self.output.extend_from_slice(&octets);
            }
            if self.hung_up || self.passed.is_some() {
                return;
            }
            let Some(event) = self.machine.poll_event() else { break };
            let mut flow = finish(self.handler.on_event(&mut self.machine, event));
            while flow == Flow::Again {
                flow = finish(self.handler.resume(&mut self.machine));
            }
            match flow {
                Flow::Next | Flow::Again => {}
                Flow::StartTls => self.handshaking = true,
                Flow::Close => self.hung_up = true,
                Flow::Pass => {
                    let passage = self.handler.passage().expect("the way to a back-end");
                    assert!(self.handler.passage().is_none(), "it is given once");
                    assert_eq!(passage.unsaid, "unsaid");
                    self.passed = Some(passage.unsent.to_vec());
                }
            }
        }
    }

    fn send(&mut self, octets: &[u8], chunk: usize) {
        for piece in octets.chunks(chunk) {
            if self.hung_up || self.machine.is_closed() {
                return;
            }
            if let Some(passed) = &mut self.passed {
                passed.extend_from_slice(piece);
                continue;
            }
            self.machine.handle_input(std::time::Instant::now(), piece);
            self.turn();
        }
    }

    fn run(&mut self, lines: &[&str], world: &World, chunk: usize) {
        self.turn();
        let mut waiting = VecDeque::new();
        for line in lines {
            if let Some(text) = line.strip_prefix("C: ") {
                waiting.extend(text.bytes().chain(*b"\r\n"));
                continue;
            }
            let segment: Vec<u8> = waiting.drain(..).collect();
            self.send(&segment, chunk);
            match line.split_once(' ') {
                Some(("S:", text)) => assert_eq!(self.next_line(), text),
                Some(("!", directive)) => self.obey(directive, world),
                _ => panic!("not a line of a transcript: {line:?}"),
            }
        }
        assert_eq!(String::from_utf8_lossy(&self.output), "", "more than expected");
        finish(self.handler.on_close());
    }

    fn next_line(&mut self) -> String {
        let end = self.output.windows(2).position(|pair| pair == b"\r\n");
        let end = end.unwrap_or_else(|| panic!("no line, but {:?}", String::from_utf8_lossy(&self.output)));
        let line: Vec<u8> = self.output.drain(..end + 2).collect();
        String::from_utf8_lossy(&line).trim_end_matches("\r\n").to_owned()
    }

    fn obey(&mut self, directive: &str, world: &World) {
        if let Some(text) = directive.strip_prefix("passes ") {
            let passed = self.passed.as_deref().expect("a back-end answers");
            return assert_eq!(passed.escape_ascii().to_string(), text);
        }
        if let Some(visit) = directive.strip_prefix("visited") {
            let visits = std::mem::take(&mut *world.back_ends.visited.lock().unwrap());
            return assert_eq!(visits.join(", "), visit.trim());
        }
        let mut words = directive.split(' ');
        match (words.next().unwrap(), words.next()) {
            (
                "tls" | "near" | "no-starttls" | "no-routing" | "segments" | "scram" | "forms" | "bound" | "tokens"
                | "tokens-passed-on" | "no-issuer" | "certificate",
                None,
            ) => {}
            ("handshake", None) => {
                assert!(std::mem::take(&mut self.handshaking), "TLS was not promised");
                self.handler.on_tls(&mut self.machine, self.facts.clone());
                self.turn();
            }
            ("cyrus-becomes", Some(what)) => world.cyrus_becomes(what),
            ("engine", Some("away")) => world.engine.go_away(),
            ("engine", Some("back")) => world.engine.come_back(),
            ("slept", Some(millis)) => assert_eq!(world.clock.slept().as_millis().to_string(), millis),
            ("hashed", Some(times)) => {
                assert_eq!(world.spawn.blocked.load(Ordering::Relaxed).to_string(), times, "costly hashes");
            }
            ("logged-in", Some(who)) => {
                let seen = world.store.seen.lock().unwrap();
                let last = seen.last().map(|who| who.address.to_string());
                assert_eq!(last.as_deref(), Some(who));
            }
            ("closed", None) => assert!(self.hung_up || self.machine.is_closed(), "the conversation goes on"),
            _ => panic!("no such directive: {directive}"),
        }
    }
}

fn support() -> Support {
    Support {
        before_login: vec![Capability::Imap4rev1, Capability::LiteralPlus, Capability::Id],
        after_login: vec![Capability::Idle, Capability::Move],
        mechanisms: Vec::new(),
        plain_mechanisms: vec!["PLAIN".into()],
        append_limit: None,
    }
}

#[test]
fn imap_inside() {
    run_all("imap-inside", |setup, world| {
        let stores = world.store.clone();
        let config =
            ImapInsideConfig { greeting: "ready", limits: Arc::new(Limits::default()), support: support(), stores };
        world.proxy.imap_inside(&Arc::new(config), peer(setup.ip, setup.tls))
    });
}

#[test]
fn pop3_inside() {
    run_all("pop3-inside", |setup, world| {
        let config = Pop3InsideConfig::new(world.store.clone());
        world.proxy.pop3_inside(&config, peer(setup.ip, setup.tls))
    });
}

#[test]
fn imap() {
    run_all("imap", |setup, world| {
        let config = ImapConfig {
            greeting: "ready",
            limits: Arc::new(Limits::default()),
            support: support(),
            starttls: setup.starttls,
            clear_logins: Setup::clear_logins(),
        };
        world.proxy.imap_over(&Arc::new(config), peer(setup.ip, setup.tls), setup.facts())
    });
}

#[test]
fn pop3() {
    run_all("pop3", |setup, world| {
        let config = Pop3Config::new(setup.starttls, Setup::clear_logins());
        world.proxy.pop3_over(&Arc::new(config), peer(setup.ip, setup.tls), setup.facts())
    });
}

#[test]
fn submission() {
    run_all("submission", |setup, world| {
        let host = Domain::parse("proxy.example").unwrap();
        let promised = Some(["8BITMIME", "SIZE 1000"].map(str::to_owned).into());
        let config = SubmissionConfig::new(host, promised, setup.starttls, Setup::clear_logins());
        world.proxy.submission(&Arc::new(config), peer(setup.ip, setup.tls), setup.facts())
    });
}

#[test]
fn sieve() {
    run_all("sieve", |setup, world| {
        let config = SieveConfig::new(setup.starttls, Setup::clear_logins());
        finish(world.proxy.sieve(&Arc::new(config), peer(setup.ip, setup.tls), setup.facts()))
    });
}

fn run_all<M: Machine, H: Handler<M>>(protocol: &str, accept: impl Fn(&Setup, &World) -> (M, H)) {
    let transcripts = transcripts(protocol);
    assert!(!transcripts.is_empty());
    for path in transcripts {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let setup = Setup::read(&lines);
        for chunk in setup.chunks.iter().copied() {
            println!("{} in pieces of {chunk}", path.display());
            let world = setup.world();
            let (machine, handler) = accept(&setup, &world);
            let facts =
                TlsFacts { binding: Some(ChannelBinding::of_exporter([9; 32])), certificate: setup.certificate() };
            let (output, passed) = (Vec::new(), None);
            let mut driver = Driver { machine, handler, output, handshaking: false, facts, hung_up: false, passed };
            driver.run(&lines, &world, chunk);
            let sessions = world.store.seen.lock().unwrap().len();
            assert_eq!(world.store.closed.load(Ordering::Relaxed), sessions as u64, "the store hears of the end");
        }
    }
}

fn transcripts(protocol: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(protocol);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
