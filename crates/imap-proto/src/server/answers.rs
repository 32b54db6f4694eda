//! What the session tells the machine.

use super::deflate::Deflate;
use super::{CONTINUE, Owed, Phase, Server};
use crate::encode::without_nul;
use crate::fetch::{ContentName, FetchData};
use crate::parse;
use crate::response::{Reply, Response};
use bytes::Bytes;
use mail_types::SeqNum;

impl Server {
    /// Tells something untagged: in the course of a command, in IDLE, or as the greeting.
    ///
    /// # Panics
    /// Within the content of a FETCH ([`Server::begin_content`]): our own bug.
    pub fn send(&mut self, response: &Response) {
        assert!(self.owed.is_none(), "a response within a literal");
        if !matches!(self.phase, Phase::Closed) {
            response.encode(&mut self.out);
        }
    }

    /// Ends the command under way with its tagged reply; the next one may follow at once. Where the machine itself found
    /// the command broken, its own verdict is sent instead.
    ///
    /// # Panics
    /// When no command is under way: our own bug.
    pub fn complete(&mut self, reply: Reply) {
        assert!(self.owed.is_none(), "a response within a literal");
        let Some(phase) = self.answering() else { return };
        // What the session has not seen yet of the command does not matter any more.
        self.event = None;
        match phase {
            Phase::Busy { tag, verdict: Some(verdict) } => {
                self.reject(Some(tag), verdict);
                if let Some(octets) = self.unwanted_octets.take() {
                    self.drain(octets, self.drain_budget());
                }
            }
            Phase::Busy { tag, verdict: None } | Phase::StartTlsAsked { tag } | Phase::IdleAsked { tag } => {
                reply.encode_tagged(&tag, &mut self.out);
            }
            Phase::AppendAsked { append, waits } => {
                reply.encode_tagged(&append.tag, &mut self.out);
                if !waits {
                    self.drain(u64::from(append.left), self.drain_budget());
                }
            }
            Phase::AppendBody { append } => {
                reply.encode_tagged(&append.tag, &mut self.out);
                // What is on its way was accepted, so it is within the limit of a message: no budget is asked.
                self.phase = Phase::Drain { left: u64::from(append.left), budget: self.drain_budget() };
            }
            Phase::AppendTail { append } => {
                reply.encode_tagged(&append.tag, &mut self.out);
                self.phase = Phase::DrainLine { budget: self.drain_budget() };
            }
            Phase::Line
            | Phase::Literal { .. }
            | Phase::Drain { .. }
            | Phase::DrainLine { .. }
            | Phase::Handshake
            | Phase::AuthLine { .. }
            | Phase::Idle { .. }
            | Phase::Passed
            | Phase::Closed => panic!("complete without a command"),
        }
        self.advance();
    }

    /// Completes a login with what the back-end said to it behind its `OK `, and gives all that the client sent behind
    /// it, half a literal as well: nothing of that was read. From here on octets pass by; this machine can say
    /// [`Server::bye`], and then closes.
    ///
    /// # Panics
    /// When no command is under way: our own bug.
    pub fn pass(&mut self, welcome: &[u8]) -> Bytes {
        let Some(phase) = self.answering() else { return Bytes::new() };
        let Phase::Busy { tag, verdict: None } = phase else { panic!("only a login is passed on") };
        for part in [tag.as_str().as_bytes(), b" OK ", welcome, b"\r\n"] {
            self.out.raw(part);
        }
        self.phase = Phase::Passed;
        let unread = self.input.take(usize::MAX);
        self.release();
        unread
    }

    /// Ends LOGOUT (RFC 9051 §6.1.3).
    pub fn logout(&mut self) {
        self.send(&Response::Bye(Reply::ok("Logging out")));
        if let Phase::Busy { tag, .. } = &self.phase {
            Reply::ok("Logged out").encode_tagged(tag, &mut self.out);
        }
        self.close();
    }

    /// Sends a challenge, empty or not, and waits for the response.
    ///
    /// # Panics
    /// Outside a SASL exchange: our own bug.
    pub fn challenge(&mut self, data: &[u8]) {
        let Some(phase) = self.answering() else { return };
        let Phase::Busy { tag, verdict: None } = phase else { panic!("a challenge without AUTHENTICATE") };
        self.out.raw(b"+ ");
        self.out.raw(parse::base64_challenge(data).as_bytes());
        self.out.raw(b"\r\n");
        self.phase = Phase::AuthLine { tag };
        self.advance();
    }

    /// Lets the client idle until DONE.
    ///
    /// # Panics
    /// Without [`super::Event::IdleBegin`]: our own bug.
    pub fn accept_idle(&mut self) {
        let Some(phase) = self.answering() else { return };
        let Phase::IdleAsked { tag } = phase else { panic!("IDLE was not asked for") };
        self.out.raw(b"+ idling\r\n");
        self.phase = Phase::Idle { tag, still_here: self.now + self.limits.still_here_every };
        self.advance();
    }

    /// Compresses the connection from here on (RFC 4978 §3): our tagged OK is the last octets that are sent as they are,
    /// the command was the last that came so.
    ///
    /// # Panics
    /// Without COMPRESS, or when the connection is compressed already: our own bug.
    pub fn accept_compress(&mut self) {
        let Some(phase) = self.answering() else { return };
        let Phase::Busy { tag, verdict: None } = phase else { panic!("COMPRESS was not asked for") };
        assert!(self.deflate.is_none(), "the connection is compressed once");
        Reply::ok("DEFLATE active").encode_tagged(&tag, &mut self.out);
        let waiting = self.input.take(usize::MAX);
        self.deflate = Some(Box::new(Deflate::new(self.out.take(), &waiting)));
        self.advance();
    }

    /// Takes the message that was announced.
    ///
    /// # Panics
    /// Without [`super::Event::AppendBegin`]: our own bug.
    pub fn accept_append(&mut self) {
        let Some(phase) = self.answering() else { return };
        let Phase::AppendAsked { append, waits } = phase else { panic!("APPEND was not asked for") };
        if waits {
            self.out.raw(CONTINUE);
        }
        self.phase = Phase::AppendBody { append };
        self.advance();
    }

    /// Promises TLS: once the output is sent, the driver shakes hands and calls [`Server::tls_started`]. Commands that
    /// were sent behind STARTTLS in the clear end the connection (RFC 9051 §6.2.1; RFC 3207 §6 says why).
    ///
    /// # Panics
    /// Without [`super::Event::StartTls`]: our own bug.
    pub fn accept_starttls(&mut self) {
        let Some(phase) = self.answering() else { return };
        let Phase::StartTlsAsked { tag } = phase else { panic!("STARTTLS was not asked for") };
        if !self.input.is_empty() {
            Reply::bad("nothing may follow STARTTLS").encode_tagged(&tag, &mut self.out);
            return self.bye(Reply::bad("commands were sent before TLS"));
        }
        Reply::ok("Begin TLS negotiation now").encode_tagged(&tag, &mut self.out);
        self.phase = Phase::Handshake;
    }

    /// The phase that the session answers; none when the connection is closed and no answer matters.
    fn answering(&mut self) -> Option<Phase> {
        if matches!(self.phase, Phase::Closed) {
            return None;
        }
        self.was_busy = true;
        Some(std::mem::replace(&mut self.phase, Phase::Line))
    }

    /// Whether the driver must shake hands before anything else, once the output is sent.
    pub fn wants_tls(&self) -> bool {
        matches!(self.phase, Phase::Handshake)
    }

    /// TLS is on: the conversation begins anew, without a greeting.
    pub fn tls_started(&mut self, now: std::time::Instant) {
        if matches!(self.phase, Phase::Handshake) {
            self.phase = Phase::Line;
            self.now = now;
            self.quiet_since = now;
            self.bad_count = 0;
        }
    }

    /// Begins a FETCH response whose content comes in pieces: `items` first, then `octets` of `name` by
    /// [`Server::content`], then perhaps [`Server::next_content`], then [`Server::end_content`].
    pub fn begin_content(&mut self, seq: SeqNum, items: &[FetchData], name: &ContentName, octets: u64) {
        assert!(self.owed.is_none(), "a response within a literal");
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        self.out.display(format_args!("* {seq} FETCH ("));
        self.open_content(items, name, octets);
    }

    /// Goes on with another content in the same response.
    pub fn next_content(&mut self, items: &[FetchData], name: &ContentName, octets: u64) {
        if self.owes_nothing() {
            self.out.raw(b" ");
            self.open_content(items, name, octets);
        }
    }

    fn open_content(&mut self, items: &[FetchData], name: &ContentName, octets: u64) {
        for item in items {
            item.encode(&mut self.out);
            self.out.raw(b" ");
        }
        name.encode(&mut self.out);
        let binary = name.is_binary();
        self.out.display(format_args!(" {}{{{octets}}}\r\n", if binary { "~" } else { "" }));
        self.owed = Some(Owed { octets, binary });
    }

    /// A piece of the content, not copied.
    ///
    /// # Panics
    /// When there is more than was announced: our own bug.
    pub fn content(&mut self, piece: Bytes) {
        let Some(owed) = &mut self.owed else { return };
        let octets = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        owed.octets = owed.octets.checked_sub(octets).expect("no more content than was announced");
        let piece = if owed.binary { piece } else { without_nul(piece) };
        self.out.piece(piece);
    }

    /// Ends the response, with `items` that come last.
    ///
    /// # Panics
    /// When there was less content than announced: our own bug; a session that cannot read on calls [`Server::abort`].
    pub fn end_content(&mut self, items: &[FetchData]) {
        if self.owes_nothing() {
            for item in items {
                self.out.raw(b" ");
                item.encode(&mut self.out);
            }
            self.out.raw(b")\r\n");
            self.owed = None;
        }
    }

    /// False when the connection is closed and nobody reads.
    fn owes_nothing(&self) -> bool {
        assert!(self.owed.is_none_or(|owed| owed.octets == 0), "less content than was announced");
        self.owed.is_some()
    }
}
