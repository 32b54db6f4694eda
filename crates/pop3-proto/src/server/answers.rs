//! The role's turn: an answer to the event that waits.
//!
//! Where the conversation has ended meanwhile (the client is gone, the timer fired), answers are ignored.

use super::{Phase, Question, Security, Server, TlsStart};
use crate::capability::{Config, Mode};
use crate::command::encode_challenge;
use crate::dots::{BodyWants, Part, Stuffer};
use crate::limits::{LOGIN_FAILURE_COUNT_MAX, OUTPUT_OCTETS_MAX};
use crate::reply::{Refusal, ok};
use crate::words::{MessageNumber, UniqueId};
use bytes::Bytes;
use machine::Machine;
use std::sync::Arc;

/// How much mail there is, without what is marked as deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maildrop {
    /// How many messages.
    pub messages: u32,
    /// Their sizes, added up.
    pub octets: u64,
}

/// AUTHORIZATION.
impl Server {
    /// The client is who it says, and the maildrop is open.
    pub fn logged_in(&mut self, maildrop: Maildrop) {
        let (Phase::LoggingIn | Phase::Exchange) = self.phase else { return self.not_asked("logged_in") };
        self.bad_commands = 0;
        let text = format!("{} messages ({} octets)", maildrop.messages, maildrop.octets);
        self.answer(Phase::Transaction, &ok(&text));
    }

    /// Sends a challenge of the mechanism, which may be empty (RFC 5034 §4: `+ ` and base64).
    pub fn challenge(&mut self, challenge: &[u8]) {
        let Phase::Exchange = self.phase else { return self.not_asked("challenge") };
        let line = format!("+ {}\r\n", encode_challenge(challenge));
        self.answer(Phase::AwaitingResponse, line.as_bytes());
    }

    /// TLS can start, unless commands came behind STLS in clear.
    pub fn tls_ready(&mut self) -> TlsStart {
        let Phase::TlsAsked = self.phase else {
            self.not_asked("tls_ready");
            return TlsStart::Refused;
        };
        // RFC 2595 §4: the client waits for our answer. What came before it may be somebody else's.
        if !self.input.is_empty() || self.eof {
            self.output.push(&Refusal::new(None, "Nothing may follow STLS").encode());
            self.end();
            return TlsStart::Refused;
        }
        self.output.push(&ok("Begin TLS negotiation"));
        self.phase = Phase::Handshake;
        TlsStart::Begin
    }

    /// What holds from here on, where TLS lets more be offered: before [`Server::tls_started`].
    pub fn offer(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// The handshake is over. RFC 2595 §4: what was learnt before is forgotten.
    pub fn tls_started(&mut self) {
        let Phase::Handshake = self.phase else { return self.not_asked("tls_started") };
        self.security = Security::Tls;
        self.mode = Mode::default();
        self.bad_commands = 0;
        self.phase = Phase::Authorization { user: None };
        self.advance();
    }

    /// Instead of [`Server::logged_in`], with what a back-end said to the login behind its `+OK `. Gives all that the
    /// client sent behind it: nothing of that was read. From here on octets pass by; this machine only waits for its
    /// [`Server::abort`].
    pub fn pass(&mut self, welcome: &[u8]) -> Bytes {
        let (Phase::LoggingIn | Phase::Exchange) = self.phase else {
            self.not_asked("pass");
            return Bytes::new();
        };
        for part in [b"+OK ", welcome, b"\r\n"] {
            self.output.push(part);
        }
        self.phase = Phase::Passed;
        Bytes::from(self.input.take().into_bytes())
    }
}

/// Every state.
impl Server {
    /// Says no to the event that waits. A message or listing that has begun cannot be refused: [`Server::abort`].
    pub fn refuse(&mut self, refusal: &Refusal) {
        match self.phase {
            Phase::LoggingIn | Phase::Exchange => {
                self.login_failures += u32::from(refusal.is_failed_login());
                let phase = if self.login_failures >= LOGIN_FAILURE_COUNT_MAX {
                    Phase::Ended
                } else {
                    Phase::Authorization { user: None }
                };
                self.answer(phase, &refusal.encode());
            }
            Phase::TlsAsked => self.answer(Phase::Authorization { user: None }, &refusal.encode()),
            Phase::Asked(Question::Listing | Question::Body(_))
            | Phase::Authorization { .. }
            | Phase::AwaitingResponse
            | Phase::Handshake
            | Phase::Transaction
            | Phase::Passed
            | Phase::Ended => self.not_asked("refuse"),
            Phase::Asked(_) => self.answer(Phase::Transaction, &refusal.encode()),
            // RFC 1939 §6: "In either case, the server releases the lock and closes the connection."
            Phase::Update => self.answer(Phase::Ended, &refusal.encode()),
        }
    }

    /// Ends the conversation in the middle of whatever it is: a disk failed under a message half sent, or we shut
    /// down. The client sees no `.` and no UPDATE.
    pub fn abort(&mut self) {
        self.event = None;
        self.end();
    }

    /// Whether there is room for more of a message or a listing. Give more once the client has taken output.
    pub fn has_room(&self) -> bool {
        self.output.octets() < OUTPUT_OCTETS_MAX
    }
}

/// TRANSACTION and UPDATE.
impl Server {
    /// STAT (RFC 1939 §5).
    pub fn stat(&mut self, maildrop: Maildrop) {
        let Phase::Asked(Question::Stat) = self.phase else { return self.not_asked("stat") };
        self.answer(Phase::Transaction, &ok(&format!("{} {}", maildrop.messages, maildrop.octets)));
    }

    /// LIST of one message: its size.
    pub fn list_one(&mut self, octets: u64) {
        let Phase::Asked(Question::ListOne(number)) = self.phase else { return self.not_asked("list_one") };
        self.answer(Phase::Transaction, &ok(&format!("{number} {octets}")));
    }

    /// LIST of all: begins.
    pub fn list_begin(&mut self, maildrop: Maildrop) {
        let Phase::Asked(Question::ListAll) = self.phase else { return self.not_asked("list_begin") };
        self.phase = Phase::Asked(Question::Listing);
        self.output.push(&ok(&format!("{} messages ({} octets)", maildrop.messages, maildrop.octets)));
    }

    /// LIST of all: a message and its size.
    pub fn list_item(&mut self, number: MessageNumber, octets: u64) {
        self.listing_line(&format!("{number} {octets}\r\n"));
    }

    /// UIDL of one message (RFC 1939 §7).
    pub fn uidl_one(&mut self, id: &UniqueId) {
        let Phase::Asked(Question::UidlOne(number)) = self.phase else { return self.not_asked("uidl_one") };
        self.answer(Phase::Transaction, &ok(&format!("{number} {id}")));
    }

    /// UIDL of all: begins.
    pub fn uidl_begin(&mut self) {
        let Phase::Asked(Question::UidlAll) = self.phase else { return self.not_asked("uidl_begin") };
        self.phase = Phase::Asked(Question::Listing);
        self.output.push(&ok(""));
    }

    /// UIDL of all: a message and its unique-id.
    pub fn uidl_item(&mut self, number: MessageNumber, id: &UniqueId) {
        self.listing_line(&format!("{number} {id}\r\n"));
    }

    /// LIST or UIDL of all: ends.
    pub fn listing_end(&mut self) {
        let Phase::Asked(Question::Listing) = self.phase else { return self.not_asked("listing_end") };
        self.answer(Phase::Transaction, b".\r\n");
    }

    /// RETR and TOP: a message follows, of so many octets as stored.
    pub fn message_begin(&mut self, octets: u64) {
        let Phase::Asked(Question::Message(part)) = self.phase else { return self.not_asked("message_begin") };
        self.phase = Phase::Asked(Question::Body(Stuffer::new(part)));
        let text = match part {
            Part::Whole => format!("{octets} octets"),
            Part::Top { .. } => "Top of message follows".to_owned(),
        };
        self.output.push(&ok(&text));
    }

    /// The next piece of the message as it is stored, in any split: dots, bare LFs and TOP's end are seen to here.
    pub fn body(&mut self, piece: Bytes) -> BodyWants {
        let Phase::Asked(Question::Body(stuffer)) = &mut self.phase else {
            self.not_asked("body");
            return BodyWants::Nothing;
        };
        stuffer.piece(piece, |octets| self.output.push_bytes(octets));
        stuffer.wants()
    }

    /// The message is complete.
    pub fn body_end(&mut self) {
        let Phase::Asked(Question::Body(stuffer)) = &self.phase else { return self.not_asked("body_end") };
        self.answer(Phase::Transaction, stuffer.end());
    }

    /// DELE: the message is marked.
    pub fn deleted(&mut self) {
        let Phase::Asked(Question::Dele(number)) = self.phase else { return self.not_asked("deleted") };
        self.answer(Phase::Transaction, &ok(&format!("message {number} deleted")));
    }

    /// RSET: nothing is marked any more.
    pub fn unmarked(&mut self, maildrop: Maildrop) {
        let Phase::Asked(Question::Rset) = self.phase else { return self.not_asked("unmarked") };
        let text = format!("maildrop has {} messages ({} octets)", maildrop.messages, maildrop.octets);
        self.answer(Phase::Transaction, &ok(&text));
    }

    /// QUIT: what was marked is removed, for good.
    pub fn updated(&mut self) {
        let Phase::Update = self.phase else { return self.not_asked("updated") };
        self.answer(Phase::Ended, &ok("Goodbye"));
    }

    fn listing_line(&mut self, line: &str) {
        let Phase::Asked(Question::Listing) = self.phase else { return self.not_asked("an item of a listing") };
        self.output.push(line.as_bytes());
    }

    /// Says the last line of an answer; what was pipelined behind the command has its turn.
    fn answer(&mut self, phase: Phase, line: &[u8]) {
        self.output.push(line);
        self.timer.on_progress();
        self.phase = phase;
        if self.is_closed() {
            self.end();
        }
        self.advance();
    }

    /// An answer that nobody waits for: ignored after the end, which the role may not know of yet; else our own bug.
    fn not_asked(&self, method: &str) {
        assert!(self.is_closed(), "{method} does not answer {:?}", self.phase);
    }
}
