//! What the server's replies do.

use super::event::{Closing, Event, Outcome};
use super::replies::NoReply;
use super::transaction::Stage;
use super::{Capabilities, Client, Expect, Phase};
use crate::Dialect;
use crate::dot::DotEncoder;
use crate::reply::Reply;
use base64::{Engine, engine::general_purpose::STANDARD};
use machine::Machine;

impl Client {
    fn on_reply(&mut self, reply: Reply) {
        let Some(expect) = self.sent.pop_front() else { return self.on_unasked(reply) };
        let closes = reply.code().number() == 421;
        match expect {
            Expect::Greeting => self.on_greeting(&reply),
            Expect::ExtendedHello => self.on_extended_hello(&reply),
            Expect::PlainHello if reply.code().is_positive() => self.ready(),
            Expect::PlainHello => self.close(Closing::Refused(reply.clone())),
            Expect::StartTls => self.on_starttls(&reply),
            Expect::Auth => self.on_auth(&reply),
            Expect::Mail => self.on_mail(&reply),
            Expect::Rcpt(index) => self.on_rcpt(index, &reply),
            Expect::Data => self.on_data(&reply),
            Expect::End => self.on_end(None, &reply),
            Expect::EndOf(index) => self.on_end(Some(index), &reply),
            // Whatever RSET is answered, the transaction is over for us.
            Expect::Rset => self.done(),
            Expect::Quit => self.close(Closing::Quit),
        }
        // RFC 5321 §3.8: 421 to any command says that the server goes.
        if closes && !self.is_closed() {
            self.close(Closing::Refused(reply));
        }
        self.pump();
    }

    /// A server may say that it goes, or that it has enough of a message, at any time (RFC 5321 §3.8).
    fn on_unasked(&mut self, reply: Reply) {
        self.close(if reply.code().number() >= 400 {
            Closing::Refused(reply)
        } else {
            Closing::Protocol("a reply to nothing")
        });
    }

    fn on_greeting(&mut self, reply: &Reply) {
        match reply.code().number() {
            220 => self.say_hello(true),
            400.. => self.close(Closing::Refused(reply.clone())),
            _ => self.close(Closing::Protocol("a greeting that is not 220")),
        }
    }

    fn on_extended_hello(&mut self, reply: &Reply) {
        if reply.code().is_positive() {
            self.capabilities = Capabilities::parse(reply);
            self.ready();
        } else if reply.code().is_permanent() && self.config.dialect == Dialect::Smtp {
            // RFC 5321 §3.2: a server without extensions may know HELO.
            self.say_hello(false);
        } else {
            self.close(Closing::Refused(reply.clone()));
        }
    }

    fn on_starttls(&mut self, reply: &Reply) {
        if reply.code().number() != 220 {
            self.events.push_back(Event::TlsRefused(reply.clone()));
            self.ready();
        } else if self.input.is_empty() {
            self.phase = Phase::Handshake;
            self.events.push_back(Event::StartTls);
        } else {
            // They would be read as if they had come under TLS (RFC 3207 §4.2, CVE-2011-0411 seen from the other end).
            self.close(Closing::Protocol("octets behind the answer to STARTTLS"));
        }
    }

    fn on_auth(&mut self, reply: &Reply) {
        let code = reply.code();
        if code.number() == 334 {
            let challenge = reply.lines().next().and_then(|text| STANDARD.decode(text.trim_end()).ok());
            match challenge {
                Some(challenge) => self.events.push_back(Event::Challenge(challenge.into())),
                None => self.auth_cancel(),
            }
            return;
        }
        if code.is_positive() && self.auth_cancelled {
            return self.close(Closing::Protocol("the server lets us in by an exchange that we have cancelled"));
        }
        let outcome = if code.is_positive() { Ok(()) } else { Err(reply.clone()) };
        self.events.push_back(Event::Authenticated(outcome));
        self.ready();
    }

    fn on_mail(&mut self, reply: &Reply) {
        if let Phase::Mailing(transaction) = &mut self.phase {
            transaction.mail_refused = (!reply.code().is_positive()).then(|| reply.clone());
        }
        self.events.push_back(Event::Mail(reply.clone()));
    }

    fn on_rcpt(&mut self, index: usize, reply: &Reply) {
        if let Phase::Mailing(transaction) = &mut self.phase {
            transaction.on_rcpt(index, reply);
        }
        self.events.push_back(Event::Rcpt(index, reply.clone()));
    }

    fn on_data(&mut self, reply: &Reply) {
        let Phase::Mailing(transaction) = &mut self.phase else { return };
        let anyone = transaction.accepted().next().is_some();
        let mail_refused = transaction.mail_refused.is_some();
        match reply.code().number() {
            354 if anyone && !mail_refused => {
                transaction.stage = Stage::Text(DotEncoder::default());
                self.events.push_back(Event::GoAhead);
            }
            // RFC 2920 §3.1: DATA went out with RCPTs that were all refused, and was granted: an empty message ends it. LMTP
            // would not answer that at all (RFC 2033 §4.2).
            354 if !anyone && self.config.dialect == Dialect::Smtp => self.end_text(b".\r\n"),
            354 => self.close(Closing::Protocol("354 in a transaction that was refused")),
            400.. => {
                transaction.conclude_all(&Outcome::of(reply.clone()));
                self.clear_up();
            }
            _ => self.close(Closing::Protocol("an answer to DATA that is neither 354 nor a refusal")),
        }
    }

    fn on_end(&mut self, index: Option<usize>, reply: &Reply) {
        let Phase::Mailing(transaction) = &mut self.phase else { return };
        let outcome = Outcome::of(reply.clone());
        match index {
            Some(index) => transaction.conclude(index, outcome),
            None => transaction.conclude_all(&outcome),
        }
        if self.sent.is_empty() {
            self.done();
        }
    }

    pub(super) fn read_replies(&mut self) {
        while !matches!(self.phase, Phase::Closed | Phase::Handshake) {
            match self.replies.take(&mut self.input) {
                Ok(Some(reply)) => self.on_reply(reply),
                Ok(None) => return,
                Err(NoReply) => self.close(Closing::Protocol("what came is no reply")),
            }
        }
    }
}
