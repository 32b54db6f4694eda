//! The server's end, up to a login: whose turn it is.

use crate::capability::{self, Config, Offer, Standing};
use crate::command::{self, Command};
use crate::limits::{BAD_COMMAND_COUNT_MAX, COMMAND_OCTETS_MAX, LOGIN_FAILURE_COUNT_MAX, LOGIN_MAX, OUTPUT_OCTETS_MAX};
use crate::line::{Line, LineBuffer};
use crate::reply::{Refusal, ok, string};
use crate::words::Secret;
use bytes::Bytes;
use machine::Machine;
use std::sync::Arc;
use std::time::Instant;

/// What only the role can answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// AUTHENTICATE: [`Server::challenge`], [`Server::pass`] or [`Server::refuse`]. The mechanism is one of those offered.
    Authenticate {
        /// Upper case.
        mechanism: String,
        /// Decoded.
        initial: Option<Secret>,
    },
    /// The decoded answer to a challenge: as [`Event::Authenticate`].
    AuthResponse(Secret),
    /// The exchange is over (`"*"`, or not base64) and the client knows. Has no answer.
    AuthCancelled,
    /// STARTTLS: [`Server::tls_ready`], and after the handshake [`Server::tls_started`].
    StartTls,
}

/// Who can read the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Everybody, and STARTTLS is not offered.
    Clear,
    /// Everybody, until STARTTLS.
    ClearWithStartTls,
    /// We and the client.
    Tls,
}

/// What [`Server::tls_ready`] led to.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsStart {
    /// Send the output, shake hands, call [`Server::tls_started`].
    Begin,
    /// Something came behind STARTTLS in clear (RFC 5804 §2.2): send the output and close.
    Refused,
}

/// The server's end of one connection.
pub struct Server {
    config: Arc<Config>,
    offer: Arc<Offer>,
    security: Security,
    phase: Phase,
    input: LineBuffer,
    output: Vec<u8>,
    event: Option<Event>,
    due: Instant,
    eof: bool,
    bad_commands: u32,
    login_failures: u32,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The client's.
    Ready,
    /// The role's, in an exchange.
    Exchange,
    /// The client's, in an exchange.
    AwaitingResponse,
    /// The role's: STARTTLS.
    TlsAsked,
    /// The driver shakes hands.
    Handshake,
    /// A back-end answers; nothing is read here any more.
    Passed,
    /// Once the output is sent.
    Ended,
}

impl Server {
    /// A connection that was accepted: greets (RFC 5804 §1.7) with what is offered wherever a login leads.
    pub fn new(config: Arc<Config>, offer: Arc<Offer>, security: Security, now: Instant) -> Self {
        let mut server = Self::silent(config, offer, security, now);
        server.greet();
        server
    }

    /// A connection that we cannot serve: says why instead of greeting, and ends.
    pub fn refused(config: Arc<Config>, security: Security, why: &Refusal, now: Instant) -> Self {
        let mut server = Self::silent(config, Arc::default(), security, now);
        server.say_bye(why);
        server
    }

    fn silent(config: Arc<Config>, offer: Arc<Offer>, security: Security, now: Instant) -> Self {
        Self {
            config,
            offer,
            security,
            phase: Phase::Ready,
            input: LineBuffer::default(),
            output: Vec::new(),
            event: None,
            due: now + LOGIN_MAX,
            eof: false,
            bad_commands: 0,
            login_failures: 0,
        }
    }

    /// Who can read the connection now.
    pub fn security(&self) -> Security {
        self.security
    }

    /// Sends a challenge of the mechanism, which may be empty.
    pub fn challenge(&mut self, challenge: &[u8]) {
        let Phase::Exchange = self.phase else { return self.not_asked("challenge") };
        let line = string(command::encode(challenge).as_bytes());
        self.answer(Phase::AwaitingResponse, &[&line[..], b"\r\n"].concat());
    }

    /// Says no to the event that waits; the last failed login that we bear ends the conversation.
    pub fn refuse(&mut self, refusal: &Refusal) {
        match self.phase {
            Phase::Exchange => {
                self.login_failures += u32::from(refusal.is_failed_login());
                if self.login_failures < LOGIN_FAILURE_COUNT_MAX {
                    return self.answer(Phase::Ready, &refusal.encode_no());
                }
                self.output.extend_from_slice(&refusal.encode_no());
                self.say_bye(&Refusal::new(None, "Too many failed logins"));
            }
            Phase::TlsAsked => self.answer(Phase::Ready, &refusal.encode_no()),
            Phase::Ready | Phase::AwaitingResponse | Phase::Handshake | Phase::Passed | Phase::Ended => {
                self.not_asked("refuse");
            }
        }
    }

    /// TLS can start, unless something came behind STARTTLS in clear.
    pub fn tls_ready(&mut self) -> TlsStart {
        let Phase::TlsAsked = self.phase else {
            self.not_asked("tls_ready");
            return TlsStart::Refused;
        };
        // RFC 5804 §2.2: the client waits for our answer. What came before it may be somebody else's.
        if !self.input.is_empty() || self.eof {
            self.say_bye(&Refusal::new(None, "Nothing may follow STARTTLS"));
            return TlsStart::Refused;
        }
        self.output.extend_from_slice(&ok("Begin TLS negotiation"));
        self.phase = Phase::Handshake;
        TlsStart::Begin
    }

    /// What holds from here on, where TLS lets more be offered: before [`Server::tls_started`].
    pub fn offer(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// The handshake is over. RFC 5804 §2.2: the server tells its capabilities again, unasked.
    pub fn tls_started(&mut self) {
        let Phase::Handshake = self.phase else { return self.not_asked("tls_started") };
        self.security = Security::Tls;
        self.bad_commands = 0;
        self.phase = Phase::Ready;
        self.greet();
        self.advance();
    }

    /// The client is logged in at a back-end, which said this text. Gives all that the client sent behind its login:
    /// nothing of that was read. From here on octets pass by; this machine only waits for its [`Server::bye`].
    pub fn pass(&mut self, welcome: &[u8]) -> Bytes {
        let Phase::Exchange = self.phase else {
            self.not_asked("pass");
            return Bytes::new();
        };
        self.output.extend_from_slice(&ok(&String::from_utf8_lossy(welcome)));
        self.phase = Phase::Passed;
        Bytes::from(self.input.take().into_bytes())
    }

    /// Ends the conversation, whatever waits: the answers given so far are whole, so this is understood.
    pub fn bye(&mut self, why: &Refusal) {
        self.event = None;
        if !matches!(self.phase, Phase::Handshake | Phase::Ended) {
            self.say_bye(why);
        }
        self.end();
    }

    fn greet(&mut self) {
        self.tell_capabilities();
        let greeting = ok(&self.config.greeting);
        self.output.extend_from_slice(&greeting);
    }

    fn tell_capabilities(&mut self) {
        let starttls = self.security == Security::ClearWithStartTls;
        let list = capability::list(&self.config, &self.offer, Standing { mechanisms: self.mechanisms(), starttls });
        self.output.extend_from_slice(&list);
    }

    fn mechanisms(&self) -> &[String] {
        match self.security {
            Security::Clear | Security::ClearWithStartTls => &self.config.in_clear,
            Security::Tls => &self.config.under_tls,
        }
    }

    /// Reads on while it is the client's turn and there is room for what that leads to.
    fn advance(&mut self) {
        while self.is_clients_turn() && self.event.is_none() && self.output.len() < OUTPUT_OCTETS_MAX {
            match self.input.next_line(COMMAND_OCTETS_MAX) {
                Some(Line::Whole(line)) if self.phase == Phase::AwaitingResponse => self.on_response(line.as_bytes()),
                Some(Line::Whole(line)) => self.on_command(line.as_bytes()),
                Some(Line::TooLong) => self.say_bye(&Refusal::new(None, "Line too long")),
                None if self.eof => self.end(),
                None => return,
            }
        }
    }

    fn on_command(&mut self, line: &[u8]) {
        match command::parse(line) {
            Ok(Command::Authenticate { mechanism, initial }) => self.authenticate(mechanism, initial),
            Ok(Command::StartTls) => self.start_tls(),
            Ok(Command::Logout) => {
                self.output.extend_from_slice(&ok("Goodbye"));
                self.end();
            }
            Ok(Command::Capability) => {
                self.tell_capabilities();
                self.output.extend_from_slice(&ok("Capabilities told"));
            }
            // RFC 5804 §2.13: the tag is for a client that wants to find its place.
            Ok(Command::Noop(Some(tag))) => {
                let tag = string(tag.as_bytes());
                self.output.extend_from_slice(&[b"OK (TAG ", &tag[..], b") \"Nothing done\"\r\n"].concat());
            }
            Ok(Command::Noop(None)) => self.output.extend_from_slice(&ok("Nothing done")),
            Ok(Command::Behind) => self.bad(&Refusal::new(None, "Log in first")),
            Err(error) => self.bad(&Refusal::new(None, error.text())),
        }
    }

    fn authenticate(&mut self, mechanism: String, initial: Option<Secret>) {
        if self.mechanisms().contains(&mechanism) {
            self.event = Some(Event::Authenticate { mechanism, initial });
            self.phase = Phase::Exchange;
            return;
        }
        // Perhaps it is under TLS.
        let is_hidden = self.security == Security::ClearWithStartTls && self.config.under_tls.contains(&mechanism);
        self.bad(&if is_hidden { Refusal::NEEDS_TLS } else { Refusal::new(None, "This mechanism is not offered") });
    }

    fn start_tls(&mut self) {
        match self.security {
            Security::ClearWithStartTls => {
                self.event = Some(Event::StartTls);
                self.phase = Phase::TlsAsked;
            }
            Security::Tls => self.bad(&Refusal::new(None, "TLS is active already")),
            Security::Clear => self.bad(&Refusal::new(None, "STARTTLS is not offered")),
        }
    }

    fn on_response(&mut self, line: &[u8]) {
        let response = match command::parse_response(line) {
            // RFC 5804 §2.1.
            Ok(response) if response.as_bytes() == b"*" => return self.cancel_exchange("Authentication cancelled"),
            Ok(response) => command::decode(&response),
            Err(error) => Err(error),
        };
        match response {
            Ok(response) => {
                self.event = Some(Event::AuthResponse(response));
                self.phase = Phase::Exchange;
            }
            Err(error) => self.cancel_exchange(error.text()),
        }
    }

    fn cancel_exchange(&mut self, why: &'static str) {
        self.event = Some(Event::AuthCancelled);
        self.phase = Phase::Ready;
        self.bad(&Refusal::new(None, why));
    }

    fn bad(&mut self, refusal: &Refusal) {
        self.output.extend_from_slice(&refusal.encode_no());
        self.bad_commands += 1;
        if self.bad_commands >= BAD_COMMAND_COUNT_MAX {
            self.say_bye(&Refusal::new(None, "Too many bad commands"));
        }
    }

    fn answer(&mut self, phase: Phase, octets: &[u8]) {
        self.output.extend_from_slice(octets);
        self.phase = phase;
        self.advance();
    }

    /// Where the conversation has ended meanwhile, answers are ignored.
    fn not_asked(&self, what: &str) {
        assert!(matches!(self.phase, Phase::Ended), "{what} in {:?}", self.phase);
    }

    fn say_bye(&mut self, why: &Refusal) {
        self.output.extend_from_slice(&why.encode_bye());
        self.end();
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.input.clear();
    }

    fn is_clients_turn(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::AwaitingResponse)
    }
}

impl Machine for Server {
    type Event = Event;

    fn handle_input(&mut self, _now: Instant, bytes: &[u8]) {
        // While the driver shakes hands, nothing that arrives here can have come through TLS.
        if matches!(self.phase, Phase::Handshake | Phase::Passed | Phase::Ended) {
            return;
        }
        self.input.push(bytes);
        self.advance();
    }

    /// What came before is still answered; then it is over.
    fn handle_eof(&mut self, _now: Instant) {
        self.eof = true;
        if self.phase == Phase::Handshake {
            // Nobody is left to shake hands with.
            self.end();
        }
        self.advance();
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.bye(&Refusal::new(None, "You took too long to log in"));
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        let event = self.event.take()?;
        self.advance();
        Some(event)
    }

    fn poll_output(&mut self) -> Option<Bytes> {
        if self.output.is_empty() {
            return None;
        }
        let octets = Bytes::from(std::mem::take(&mut self.output));
        self.advance();
        Some(octets)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Ready | Phase::AwaitingResponse | Phase::Handshake => Some(self.due),
            Phase::Exchange | Phase::TlsAsked | Phase::Passed | Phase::Ended => None,
        }
    }

    fn wants_input(&self) -> bool {
        self.is_clients_turn() && !self.eof && self.event.is_none() && self.output.len() < OUTPUT_OCTETS_MAX
    }

    fn is_closed(&self) -> bool {
        self.phase == Phase::Ended
    }
}
