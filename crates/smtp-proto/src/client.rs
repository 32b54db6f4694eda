//! The client's end of SMTP and LMTP.
//!
//! ```text
//!   greeting, EHLO ─▶ Ready ─▶ begin, rcpt*, data ─▶ GoAhead ─▶ body*, finish ─▶ Done(outcome per recipient) ─▶ Ready ─▶ quit
//!                      │ ▲ start_tls ─▶ StartTls ─▶ handshake, tls_started ─▶ EHLO
//!                      └─┘ authenticate ─▶ Challenge* ─▶ Authenticated
//! ```
//!
//! Where the server offers PIPELINING, MAIL, RCPT and DATA leave as they are called, in as many segments as the role
//! makes of them (RFC 2920 §3.1); elsewhere each waits for the answer to the one before. The calls are the same.

mod answers;
mod capabilities;
mod event;
mod login;
mod replies;
mod transaction;

pub use capabilities::{Capabilities, Unsendable};
pub use event::{Accepted, Closing, Event, Outcome};
pub use login::{Login, LoginClient, LoginEvent};

use crate::command::{Command, Hello};
use crate::dot::{DotEncoder, Stuffed};
use crate::envelope::{Mail, Rcpt};
use crate::limits;
use crate::line::LineFault;
use crate::output::Output;
use crate::reply::put;
use crate::timer::Timer;
use crate::{Dialect, Security};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use machine::Machine;
use mail_types::{Domain, ForwardPath};
use replies::ReplyReader;
use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};
use transaction::{Stage, Transaction};

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// SMTP or LMTP.
    pub dialect: Dialect,
    /// Our own name, said in EHLO.
    pub host: Domain,
    /// Recipients of one transaction: see [`limits::RCPT_COUNT_MAX`].
    pub rcpt_count_max: usize,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// How long to wait for what; the defaults are the constants of [`crate::limits`].
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// See [`limits::REPLY_TIMEOUT`].
    pub reply: Duration,
    /// See [`limits::DATA_REPLY_TIMEOUT`].
    pub data_reply: Duration,
    /// See [`limits::DATA_TIMEOUT`].
    pub text: Duration,
    /// See [`limits::END_REPLY_TIMEOUT`].
    pub end_reply: Duration,
}

/// One connection, seen from the client. Calls after its end do nothing; calls out of order are mistakes of ours, and panic.
#[derive(Debug)]
pub struct Client {
    config: Config,
    phase: Phase,
    capabilities: Capabilities,
    security: Security,
    input: BytesMut,
    replies: ReplyReader,
    output: Output,
    /// Commands that wait for their turn; bounded by what the role calls.
    unsent: VecDeque<(Expect, Command)>,
    /// What the next replies answer.
    sent: VecDeque<Expect>,
    events: VecDeque<Event>,
    /// Whether we have called the exchange of AUTH off: only its failure comes behind (RFC 4954 §4).
    auth_cancelled: bool,
    timer: Timer,
}

#[derive(Debug)]
enum Phase {
    /// Up to the answer to EHLO.
    Opening,
    Ready,
    /// STARTTLS, AUTH or QUIT is under way.
    Asking,
    Mailing(Transaction),
    Handshake,
    Closed,
}

/// Which command a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Greeting,
    ExtendedHello,
    PlainHello,
    StartTls,
    Auth,
    Mail,
    Rcpt(usize),
    Data,
    /// The final dot, for all.
    End,
    /// The final dot, for one recipient (RFC 2033 §4.2).
    EndOf(usize),
    Rset,
    Quit,
}

impl Config {
    /// With the default timeouts.
    pub fn new(dialect: Dialect, host: Domain) -> Self {
        Self { dialect, host, rcpt_count_max: limits::RCPT_COUNT_MAX, timeouts: Timeouts::default() }
    }

    /// For a call to a node of the cluster (docs/format/cluster-lmtp.md).
    pub fn cluster(host: Domain) -> Self {
        Self { rcpt_count_max: limits::CLUSTER_RCPT_COUNT_MAX, ..Self::new(Dialect::Lmtp, host) }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            reply: limits::REPLY_TIMEOUT,
            data_reply: limits::DATA_REPLY_TIMEOUT,
            text: limits::DATA_TIMEOUT,
            end_reply: limits::END_REPLY_TIMEOUT,
        }
    }
}

impl Client {
    /// A connection that was just opened.
    pub fn new(config: Config, security: Security, now: Instant) -> Self {
        let timeout = config.timeouts.reply;
        let mut client = Self {
            config,
            phase: Phase::Opening,
            capabilities: Capabilities::default(),
            security,
            input: BytesMut::new(),
            replies: ReplyReader::default(),
            output: Output::default(),
            unsent: VecDeque::new(),
            sent: VecDeque::from([Expect::Greeting]),
            events: VecDeque::new(),
            auth_cancelled: false,
            timer: Timer::new(now),
        };
        client.timer.start(now, Some(timeout));
        client
    }

    /// What the server offers; forgotten when TLS starts, until EHLO was answered again.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Whether the connection is encrypted.
    pub fn security(&self) -> Security {
        self.security
    }

    /// Whether `begin`, `start_tls`, `authenticate` or `quit` may be called.
    pub fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    /// Asks for TLS (RFC 3207): `StartTls` or `TlsRefused` follows.
    pub fn start_tls(&mut self) {
        self.ask(Expect::StartTls, Command::StartTls);
    }

    /// The handshake is done. All that the server said before is forgotten, and EHLO is said again (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        if self.is_closed() {
            return;
        }
        assert!(matches!(self.phase, Phase::Handshake), "TLS starts after Event::StartTls");
        self.security = Security::Tls;
        self.capabilities = Capabilities::default();
        self.phase = Phase::Opening;
        self.say_hello(true);
        self.settle();
    }

    /// Begins AUTH (RFC 4954): `Challenge`s, then `Authenticated` follow. The exchange itself is SASL's.
    pub fn authenticate(&mut self, mechanism: &str, initial: Option<&[u8]>) {
        let encode = |octets: &[u8]| if octets.is_empty() { "=".to_owned() } else { STANDARD.encode(octets) };
        let mechanism = mechanism.to_ascii_uppercase();
        let is_word =
            mechanism.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
        assert!(is_word, "the name of a mechanism (RFC 4422 §3.1)");
        self.auth_cancelled = false;
        self.ask(Expect::Auth, Command::Auth { mechanism, initial: initial.map(encode) });
    }

    /// To `Event::Challenge`.
    pub fn auth_response(&mut self, response: &[u8]) {
        self.auth_line(&STANDARD.encode(response));
    }

    /// To `Event::Challenge`: no more of this (RFC 4954 §4).
    pub fn auth_cancel(&mut self) {
        self.auth_cancelled = true;
        self.auth_line("*");
    }

    /// Begins a transaction. `Err` sends nothing, and the client is as ready as before.
    pub fn begin(&mut self, mail: Mail) -> Result<(), Unsendable> {
        self.capabilities.check(&mail)?;
        let mail = self.capabilities.fit_mail(mail);
        if self.ask(Expect::Mail, Command::Mail(mail)) {
            self.phase = Phase::Mailing(Transaction::default());
        }
        Ok(())
    }

    /// One more recipient; gives its number. `Err` sends nothing.
    pub fn rcpt(&mut self, rcpt: Rcpt) -> Result<usize, Unsendable> {
        let needs_smtputf8 = match &rcpt.to {
            ForwardPath::Postmaster => false,
            ForwardPath::Address(to) => to.needs_smtputf8(),
        };
        if needs_smtputf8 && !self.capabilities.smtputf8 {
            return Err(Unsendable::Smtputf8);
        }
        let rcpt_count_max = self.config.rcpt_count_max;
        let Some(transaction) = self.envelope("rcpt") else { return Ok(0) };
        if transaction.len() >= rcpt_count_max {
            return Err(Unsendable::Recipients);
        }
        let index = transaction.add();
        self.send(Expect::Rcpt(index), Command::Rcpt(self.capabilities.fit_rcpt(rcpt)));
        Ok(index)
    }

    /// No more recipients: `GoAhead` follows if one of them was accepted, else `Done`.
    pub fn data(&mut self) {
        let Some(transaction) = self.envelope("data") else { return };
        transaction.stage = Stage::Sealed;
        self.send(Expect::Data, Command::Data);
    }

    /// Whether more of the message is welcome: back-pressure.
    pub fn wants_body(&self) -> bool {
        self.in_text() && self.output.octets() < limits::OUTPUT_OCTETS_MAX
    }

    /// The next octets of the message, in any split. Dots are stuffed here. A lone CR or LF is an error that ends the
    /// connection without the final dot, so that nobody gets half a message: what is signed must not be changed, and
    /// what is not lines cannot be sent (RFC 5321 §2.3.8).
    pub fn body(&mut self, octets: Bytes) -> Result<(), LineFault> {
        let Some(encoder) = self.text("body") else { return Ok(()) };
        match encoder.encode(octets) {
            Ok(Stuffed::AsIs(octets)) => self.output.bytes(octets),
            Ok(Stuffed::Copy(octets)) => self.output.bytes(octets.freeze()),
            Err(fault) => return self.give_up(fault),
        }
        self.settle();
        Ok(())
    }

    /// The message is complete. `Done` follows.
    pub fn finish(&mut self) -> Result<(), LineFault> {
        let Some(encoder) = self.text("finish") else { return Ok(()) };
        match encoder.finish() {
            Ok(end) => self.end_text(end),
            Err(fault) => return self.give_up(fault),
        }
        self.settle();
        Ok(())
    }

    /// Gives the transaction up: with RSET while no DATA was said, else by closing without the final dot.
    pub fn abort(&mut self) {
        match &mut self.phase {
            Phase::Mailing(transaction) if matches!(transaction.stage, Stage::Envelope) => {
                transaction.stage = Stage::Sealed;
                transaction.conclude_all(&Outcome::Unsent);
                // What has not left yet need not leave.
                self.unsent.clear();
                self.send(Expect::Rset, Command::Rset);
            }
            Phase::Closed => {}
            Phase::Opening | Phase::Ready | Phase::Asking | Phase::Mailing(_) | Phase::Handshake => {
                self.close(Closing::Aborted);
            }
        }
    }

    /// Says QUIT; `Closed` follows.
    pub fn quit(&mut self) {
        self.ask(Expect::Quit, Command::Quit);
    }

    fn ask(&mut self, expect: Expect, command: Command) -> bool {
        if self.is_closed() {
            return false;
        }
        assert!(self.is_ready(), "{expect:?} is for a client that is ready");
        self.phase = Phase::Asking;
        self.send(expect, command);
        true
    }

    fn auth_line(&mut self, line: &str) {
        if self.is_closed() {
            return;
        }
        assert!(matches!(self.phase, Phase::Asking) && self.sent.is_empty(), "an answer to Event::Challenge");
        self.output.write(|out| put(out, format_args!("{line}\r\n")));
        self.sent.push_back(Expect::Auth);
        self.settle();
    }

    /// The transaction while it takes recipients; none once the connection is over.
    fn envelope(&mut self, call: &str) -> Option<&mut Transaction> {
        match &mut self.phase {
            Phase::Mailing(transaction) if matches!(transaction.stage, Stage::Envelope) => Some(transaction),
            Phase::Closed => None,
            Phase::Opening | Phase::Ready | Phase::Asking | Phase::Mailing(_) | Phase::Handshake => {
                panic!("{call} is for a transaction before its DATA")
            }
        }
    }

    fn text(&mut self, call: &str) -> Option<&mut DotEncoder> {
        match &mut self.phase {
            Phase::Mailing(Transaction { stage: Stage::Text(encoder), .. }) => Some(encoder),
            Phase::Closed => None,
            Phase::Opening | Phase::Ready | Phase::Asking | Phase::Mailing(_) | Phase::Handshake => {
                panic!("{call} is for after Event::GoAhead")
            }
        }
    }

    fn in_text(&self) -> bool {
        matches!(self.phase, Phase::Mailing(Transaction { stage: Stage::Text(_), .. }))
    }

    fn give_up(&mut self, fault: LineFault) -> Result<(), LineFault> {
        self.close(Closing::Aborted);
        Err(fault)
    }

    fn end_text(&mut self, end: &'static [u8]) {
        self.output.bytes(Bytes::from_static(end));
        let Phase::Mailing(transaction) = &mut self.phase else { return };
        transaction.stage = Stage::Ended;
        match self.config.dialect {
            Dialect::Smtp => self.sent.push_back(Expect::End),
            Dialect::Lmtp => self.sent.extend(transaction.accepted().map(Expect::EndOf)),
        }
    }

    fn say_hello(&mut self, extended: bool) {
        let name = self.config.host.as_str().into();
        let (expect, hello) = match (self.config.dialect, extended) {
            (Dialect::Lmtp, _) => (Expect::ExtendedHello, Hello::Lhlo(name)),
            (Dialect::Smtp, true) => (Expect::ExtendedHello, Hello::Ehlo(name)),
            (Dialect::Smtp, false) => (Expect::PlainHello, Hello::Helo(name)),
        };
        self.send(expect, Command::Hello(hello));
    }

    fn send(&mut self, expect: Expect, command: Command) {
        self.unsent.push_back((expect, command));
        self.settle();
    }

    /// After a call of the role.
    fn settle(&mut self) {
        self.pump();
        let span = self.span();
        self.timer.restart(span);
    }

    /// Sends what may leave now.
    fn pump(&mut self) {
        while self.may_send() {
            let Some((expect, command)) = self.unsent.pop_front() else { return };
            if self.is_pointless(expect) {
                continue;
            }
            self.output.write(|out| put(out, format_args!("{command}\r\n")));
            self.sent.push_back(expect);
        }
    }

    /// RFC 2920 §3.1: MAIL, RCPT and RSET need not be waited for before the next command; all others end a group.
    fn may_send(&self) -> bool {
        match self.sent.back() {
            None => true,
            Some(Expect::Mail | Expect::Rcpt(_) | Expect::Rset) => self.capabilities.pipelining,
            Some(
                Expect::Greeting
                | Expect::ExtendedHello
                | Expect::PlainHello
                | Expect::StartTls
                | Expect::Auth
                | Expect::Data
                | Expect::End
                | Expect::EndOf(_)
                | Expect::Quit,
            ) => false,
        }
    }

    /// A command that has lost its sense by the answers so far is not sent.
    fn is_pointless(&mut self, expect: Expect) -> bool {
        let Phase::Mailing(transaction) = &mut self.phase else { return false };
        let refused = transaction.mail_refused.clone();
        match (expect, refused) {
            (Expect::Rcpt(index), Some(reply)) => {
                transaction.on_rcpt(index, &reply);
                self.events.push_back(Event::Rcpt(index, reply));
                true
            }
            (Expect::Data, _) if self.sent.is_empty() && transaction.accepted().next().is_none() => {
                self.clear_up();
                true
            }
            _ => false,
        }
    }

    /// Ends a transaction in which the message does not go out.
    fn clear_up(&mut self) {
        let Phase::Mailing(transaction) = &mut self.phase else { return };
        if transaction.mail_refused.is_some() {
            self.done();
        } else {
            self.unsent.push_front((Expect::Rset, Command::Rset));
        }
    }

    fn done(&mut self) {
        if let Phase::Mailing(transaction) = mem::replace(&mut self.phase, Phase::Ready) {
            self.events.push_back(Event::Done(transaction.into_outcomes(&Outcome::Unsent)));
            self.events.push_back(Event::Ready);
        }
    }

    fn ready(&mut self) {
        self.phase = Phase::Ready;
        self.events.push_back(Event::Ready);
    }

    fn close(&mut self, closing: Closing) {
        if let Phase::Mailing(transaction) = mem::replace(&mut self.phase, Phase::Closed) {
            let missing = match (&transaction.stage, &closing) {
                (Stage::Ended, _) => Outcome::Unknown,
                (_, Closing::Refused(reply)) => Outcome::of(reply.clone()),
                (Stage::Envelope | Stage::Sealed | Stage::Text(_), _) => Outcome::Unsent,
            };
            self.events.push_back(Event::Done(transaction.into_outcomes(&missing)));
        }
        self.events.push_back(Event::Closed(closing));
        self.input.clear();
        self.unsent.clear();
        self.sent.clear();
        self.timer.start_never();
    }

    /// How long the server may take for what we wait for.
    fn span(&self) -> Option<Duration> {
        let timeouts = &self.config.timeouts;
        match self.sent.front() {
            Some(Expect::Data) => Some(timeouts.data_reply),
            Some(Expect::End | Expect::EndOf(_)) => Some(timeouts.end_reply),
            Some(_) => Some(timeouts.reply),
            None if self.in_text() && self.output.octets() > 0 => Some(timeouts.text),
            None => None,
        }
    }
}

impl Machine for Client {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        self.timer.hear(now);
        if self.is_closed() || bytes.is_empty() {
            return;
        }
        if matches!(self.phase, Phase::Handshake) {
            return self.close(Closing::Protocol("octets in the clear before TLS"));
        }
        let before = self.sent.len();
        self.input.extend_from_slice(bytes);
        self.read_replies();
        // Half a reply does not win time.
        if self.sent.len() != before || self.sent.is_empty() {
            let span = self.span();
            self.timer.start(now, span);
        }
    }

    fn handle_eof(&mut self, _now: Instant) {
        if !self.is_closed() {
            self.close(Closing::Eof);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.timer.fires(now) {
            self.close(Closing::Timeout);
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_output(&mut self) -> Option<Bytes> {
        let octets = self.output.take();
        if octets.is_some() && self.in_text() {
            let span = self.span();
            self.timer.restart(span);
        }
        octets
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timer.deadline()
    }

    fn wants_input(&self) -> bool {
        !matches!(self.phase, Phase::Handshake | Phase::Closed)
    }

    fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }
}
