//! The answers of the role. Each belongs to one event; one that was not asked for is a mistake of ours, and panics.

use super::event::{Closing, Event, Reset};
use super::phase::{Phase, Source};
use super::{Config, Security, Server};
use crate::reply::{Refusal, Reply};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use mail_types::ReplyCode;
use std::mem;
use std::sync::Arc;

impl<Receipt> Server<Receipt> {
    /// To `Event::Hello`.
    pub fn accept_hello(&mut self) {
        self.answer(|server, phase| {
            let Phase::HelloAsked { new, before } = phase else { unasked("accept_hello") };
            if before.without_transaction().1 {
                // RFC 5321 §4.1.4: a hello in a transaction ends it.
                server.events.push_back(Event::Reset(Reset::Hello));
            }
            server.say_hello(&new);
            Phase::Ready(new)
        });
    }

    /// To `Event::Mail`.
    pub fn accept_mail(&mut self) {
        self.answer(|server, phase| {
            let Phase::MailAsked(client, mail) = phase else { unasked("accept_mail") };
            server.say(&Reply::SENDER_OK);
            Phase::Envelope(client, mail)
        });
    }

    /// To `Event::Rcpt`.
    pub fn accept_rcpt(&mut self) {
        self.answer(|server, phase| {
            let Phase::RcptAsked(client, mut mail) = phase else { unasked("accept_rcpt") };
            mail.rcpt_count += 1;
            server.say(&Reply::RECIPIENT_OK);
            Phase::Envelope(client, mail)
        });
    }

    /// To `Event::Data`: `Event::Body`s and `Event::End` follow.
    pub fn accept_data(&mut self) {
        self.answer(|server, phase| {
            let Phase::DataAsked(client, mail, source) = phase else { unasked("accept_data") };
            match &source {
                Source::Dots(_) => server.say(&Reply::GO_AHEAD),
                // RFC 3030 §2: the octets are on their way already.
                Source::Chunks(_) => {}
            }
            server.begin_content(client, mail, source)
        });
    }

    /// To `Event::End` in SMTP: the message is safe. The only road to its 250.
    pub fn accept(&mut self, receipt: Receipt) {
        self.accept_as(receipt, Reply::ACCEPTED.lines().next().unwrap_or_default().to_owned());
    }

    /// As `accept`, with a text, such as the name under which the message is known here.
    pub fn accept_as(&mut self, receipt: Receipt, text: String) {
        assert!(!self.config.dialect.is_lmtp(), "LMTP answers each recipient");
        self.conclude(Ok((receipt, text)), "accept");
    }

    /// To `Event::End` in LMTP: for one recipient after the other, in the order of their RCPTs (RFC 2033 §4.2).
    pub fn answer_recipient(&mut self, outcome: Result<Receipt, Refusal>) {
        self.answer_recipient_as(outcome, Reply::ACCEPTED.lines().next().unwrap_or_default().to_owned());
    }

    /// As `answer_recipient`, with a text for the case that all is well.
    pub fn answer_recipient_as(&mut self, outcome: Result<Receipt, Refusal>, text: String) {
        assert!(self.config.dialect.is_lmtp(), "SMTP answers once");
        self.conclude(outcome.map(|receipt| (receipt, text)), "answer_recipient");
    }

    /// How many times `answer_recipient` (LMTP) or `accept` (SMTP) is still owed.
    pub fn answers_owed(&self) -> usize {
        if let Phase::EndAsked { answers_left, .. } = &self.phase { *answers_left } else { 0 }
    }

    /// The proof is taken by value: it is spent.
    fn conclude(&mut self, outcome: Result<(Receipt, String), Refusal>, answer: &str) {
        self.answer(|server, phase| {
            let Phase::EndAsked { client, answers_left } = phase else { unasked(answer) };
            match outcome {
                Ok((_spent, text)) => {
                    server.forgive();
                    server.say(&Reply::ACCEPTED.with_text(text));
                }
                Err(refusal) => {
                    server.say(refusal.reply());
                    if refusal.closes() {
                        return server.close(Closing::Role);
                    }
                }
            }
            match answers_left.saturating_sub(1) {
                0 => Phase::Ready(client),
                answers_left => Phase::EndAsked { client, answers_left },
            }
        });
    }

    /// No, to whatever was asked. A 421 ends the connection too.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.answer(|server, phase| {
            let (phase, answers) = match phase {
                // RFC 5321 §4.1.1.1: the state stays what it was.
                Phase::HelloAsked { before, .. } => (*before, 1),
                Phase::MailAsked(client, _) => (Phase::Ready(client), 1),
                Phase::RcptAsked(client, mail) => (Phase::Envelope(client, mail), 1),
                Phase::DataAsked(client, _, Source::Dots(_)) => (Phase::Ready(client), 1),
                Phase::DataAsked(client, mail, Source::Chunks(chunks)) if !refusal.closes() => {
                    // RFC 3030 §2: the octets come all the same; the answer stands behind them.
                    let answers = if chunks.last { server.answers_at_end(&mail) } else { 1 };
                    return Phase::Drain { left: chunks.left, refusal, answers, next: Box::new(Phase::Ready(client)) };
                }
                Phase::DataAsked(client, _, Source::Chunks(_)) => (Phase::Ready(client), 1),
                Phase::EndAsked { client, answers_left } => (Phase::Ready(client), answers_left),
                // RFC 4954 §6: guessing passwords is counted.
                Phase::AuthAsked(client) if !server.count_bad() => {
                    drop(client);
                    return Phase::Closed;
                }
                Phase::AuthAsked(client) | Phase::TlsAsked(client) => (Phase::Ready(client), 1),
                Phase::Fresh
                | Phase::Ready(_)
                | Phase::Envelope(..)
                | Phase::Content(..)
                | Phase::Between(..)
                | Phase::Drain { .. }
                | Phase::AuthLine(_)
                | Phase::Handshake
                | Phase::Passed
                | Phase::Closed => unasked("refuse"),
            };
            server.say_times(&refusal, answers);
            if refusal.closes() { server.close(Closing::Role) } else { phase }
        });
    }

    /// To `Event::Auth` and `Event::AuthResponse`: the mechanism has a question.
    pub fn challenge(&mut self, challenge: &[u8]) {
        self.answer(|server, phase| {
            let Phase::AuthAsked(client) = phase else { unasked("challenge") };
            // RFC 4954 §4: a challenge may be longer than a reply line, so it is no `Reply`.
            server.output.write(|out| {
                out.extend_from_slice(b"334 ");
                out.extend_from_slice(STANDARD.encode(challenge).as_bytes());
                out.extend_from_slice(b"\r\n");
            });
            Phase::AuthLine(client)
        });
    }

    /// To `Event::Auth` and `Event::AuthResponse`: the client is who it says.
    pub fn auth_succeeded(&mut self) {
        self.answer(|server, phase| {
            let Phase::AuthAsked(client) = phase else { unasked("auth_succeeded") };
            server.authenticated = true;
            server.login_until = None;
            server.say(&Reply::AUTHENTICATED);
            Phase::Ready(client)
        });
    }

    /// To `Event::Auth` and `Event::AuthResponse`: the client is who it says, and another server answers from here on. Gives
    /// what the client has sent behind its login, for that server. Of later calls [`Server::shut_down`] alone says something.
    pub fn pass(&mut self) -> Bytes {
        self.answer(|server, phase| {
            let Phase::AuthAsked(_) = phase else { unasked("pass") };
            server.authenticated = true;
            server.login_until = None;
            server.say(&Reply::AUTHENTICATED);
            Phase::Passed
        });
        mem::take(&mut self.input).freeze()
    }

    /// To `Event::Auth` and `Event::AuthResponse`: usually with `Refusal::AUTH_FAILED`.
    pub fn auth_failed(&mut self, refusal: Refusal) {
        self.refuse(refusal);
    }

    /// To `Event::StartTls`. Once the output is sent, the role lets the handshake begin.
    pub fn accept_tls(&mut self) {
        self.answer(|server, phase| {
            let Phase::TlsAsked(_) = phase else { unasked("accept_tls") };
            server.say(&Reply::TLS_READY);
            Phase::Handshake
        });
    }

    /// What holds from here on, where TLS lets more be offered: before [`Server::tls_started`].
    pub fn offer(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// The handshake is done. All that the client said before is forgotten (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        self.answer(|server, phase| {
            let Phase::Handshake = phase else { unasked("tls_started") };
            server.security = Security::Tls;
            server.authenticated = false;
            Phase::Fresh
        });
    }

    /// Says this and closes, whatever goes on: for a server that goes down (RFC 5321 §3.8).
    pub fn shut_down(&mut self, refusal: &Refusal) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        // 421 says by itself that the channel closes; any other code would be an answer to a command.
        let text = refusal.reply().lines().collect::<Vec<_>>().join("\n");
        self.say(&Reply::new(ReplyCode::new(421), refusal.reply().enhanced().filter(|e| e.class() == 4), text));
        self.close(Closing::Role);
    }

    /// Every answer comes through here.
    fn answer(&mut self, answer: impl FnOnce(&mut Self, Phase) -> Phase) {
        // The connection may have ended while the role thought.
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        let phase = mem::replace(&mut self.phase, Phase::Closed);
        self.phase = answer(self, phase);
        self.settle();
    }
}

/// A role that answers what nobody asked is a bug of ours. The phase is not told: it may hold someone's mail.
fn unasked(answer: &str) -> ! {
    panic!("{answer} answers nothing that was asked")
}
