//! Which command may come when, and what the machine answers by itself (RFC 5321 §4.1.4).

use super::event::{Closing, Event, Reset};
use super::intake::{Chunks, Intake};
use super::phase::{Phase, Source, Transaction};
use super::{Security, Server};
use crate::Dialect;
use crate::command::{Command, Hello};
use crate::dot::DotDecoder;
use crate::envelope::{Mail, Rcpt};
use crate::limits::COMMAND_OCTETS_MAX;
use crate::reply::{Refusal, Reply};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use std::mem;

impl<Receipt> Server<Receipt> {
    pub(super) fn on_line(&mut self, line: &[u8]) {
        let phase = mem::replace(&mut self.phase, Phase::Closed);
        if let Phase::AuthLine(client) = phase {
            self.phase = self.on_auth_line(client, line);
            return;
        }
        self.phase = phase;
        let is_auth = line.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
        match Command::parse(line) {
            _ if line.len() > COMMAND_OCTETS_MAX && !is_auth => self.refuse_command(&Refusal::LINE_TOO_LONG),
            Ok(command) => self.on_command(command),
            Err(refusal) => self.refuse_command(&refusal),
        }
    }

    pub(super) fn on_overlong_line(&mut self) {
        let phase = mem::replace(&mut self.phase, Phase::Closed);
        self.phase = if let Phase::AuthLine(client) = phase {
            // RFC 4954 §4: a line over 12288 octets ends the exchange.
            self.events.push_back(Event::AuthAborted);
            Phase::Ready(client)
        } else {
            phase
        };
        self.refuse_command(&Refusal::LINE_TOO_LONG);
    }

    fn on_command(&mut self, command: Command) {
        use Phase::{Between, Envelope, Fresh, Ready};
        let phase = mem::replace(&mut self.phase, Phase::Closed);
        self.phase = match (phase, command) {
            (phase, Command::Hello(hello)) => self.on_hello(phase, hello),
            (phase, Command::Quit) => {
                drop(phase);
                self.say(&Reply::BYE);
                self.close(Closing::Quit)
            }
            (phase, Command::Noop) => self.idle(phase, &Reply::OK),
            (phase, Command::Help) => self.idle(phase, &Reply::HELP),
            (phase, Command::Vrfy) => self.idle(phase, &Reply::NOT_VERIFIED),
            (phase, Command::Expn) => self.bad(phase, &Refusal::NOT_IMPLEMENTED),
            (phase, Command::Rset) => {
                let (phase, open) = phase.without_transaction();
                if open {
                    self.events.push_back(Event::Reset(Reset::Asked));
                }
                self.idle(phase, &Reply::OK)
            }
            (phase, Command::Bdat { octets, last }) => self.on_bdat(phase, octets, last),
            (phase, Command::BdatUnreadable) => {
                drop(phase);
                self.say(Refusal::BAD_ARGUMENTS.reply());
                self.close(Closing::Unsafe)
            }
            (Fresh, Command::Mail(_) | Command::Rcpt(_) | Command::Data | Command::StartTls | Command::Auth { .. }) => {
                self.bad(Fresh, &Refusal::HELLO_FIRST)
            }
            (Ready(client), Command::Mail(mail)) => self.on_mail(client, mail),
            (Ready(client), Command::StartTls) => self.on_starttls(client),
            (Ready(client), Command::Auth { mechanism, initial }) => self.on_auth(client, mechanism, initial),
            (Envelope(client, mail), Command::Rcpt(rcpt)) => self.on_rcpt(client, mail, rcpt),
            (Envelope(client, mail), Command::Data) if mail.rcpt_count > 0 => {
                self.events.push_back(Event::Data);
                let decoder = DotDecoder::new(self.config.limits.text_line_octets_max);
                Phase::DataAsked(client, mail, Source::Dots(decoder))
            }
            (Envelope(client, mail), Command::Data) => self.bad(Envelope(client, mail), &Refusal::NO_RECIPIENTS),
            // Among others: MAIL in a transaction (§4.1.4), DATA between BDATs (RFC 3030 §2), AUTH in a transaction
            // (RFC 4954 §4).
            (
                phase @ (Ready(_) | Envelope(..) | Between(..)),
                Command::Mail(_) | Command::Rcpt(_) | Command::Data | Command::StartTls | Command::Auth { .. },
            ) => self.bad(phase, &Refusal::BAD_SEQUENCE),
            (_, Command::Mail(_) | Command::Rcpt(_) | Command::Data | Command::StartTls | Command::Auth { .. }) => {
                unreachable!("commands are read in four phases only")
            }
        };
    }

    fn on_hello(&mut self, phase: Phase, new: Hello) -> Phase {
        let fits = match self.config.dialect {
            // RFC 2033 §4.1: LMTP has LHLO, and must not take HELO or EHLO.
            Dialect::Lmtp => matches!(new, Hello::Lhlo(_)),
            Dialect::Smtp => !matches!(new, Hello::Lhlo(_)),
        };
        if !fits {
            return self.bad(phase, &Refusal::UNRECOGNISED);
        }
        if !matches!(phase, Phase::Fresh) && !self.count_idle() {
            return Phase::Closed;
        }
        self.events.push_back(Event::Hello(new.clone()));
        Phase::HelloAsked { new, before: Box::new(phase) }
    }

    fn on_mail(&mut self, client: Hello, mail: Mail) -> Phase {
        let offered = &self.config.extensions;
        if (mail.smtputf8 && !offered.smtputf8) || (mail.relayed.is_some() && !offered.xposthouse) {
            return self.bad(Phase::Ready(client), &Refusal::UNKNOWN_PARAMETER);
        }
        // RFC 1870 §6.1: refused before a single octet was sent.
        if mail.size.is_some_and(|size| size > self.config.size_max) {
            return self.bad(Phase::Ready(client), &Refusal::TOO_BIG);
        }
        let transaction = Transaction { smtputf8: mail.smtputf8, rcpt_count: 0 };
        self.events.push_back(Event::Mail(mail));
        Phase::MailAsked(client, transaction)
    }

    fn on_rcpt(&mut self, client: Hello, mail: Transaction, rcpt: Rcpt) -> Phase {
        if rcpt.received_as.is_some() && !self.config.extensions.xposthouse {
            return self.bad(Phase::Envelope(client, mail), &Refusal::UNKNOWN_PARAMETER);
        }
        let needs_smtputf8 = match &rcpt.to {
            mail_types::ForwardPath::Postmaster => false,
            mail_types::ForwardPath::Address(address) => address.needs_smtputf8(),
        };
        if needs_smtputf8 && !mail.smtputf8 {
            return self.bad(Phase::Envelope(client, mail), &Refusal::NEEDS_SMTPUTF8);
        }
        if mail.rcpt_count >= self.config.limits.rcpt_count_max {
            // No mistake of the client: it sends the others in another transaction (RFC 5321 §4.5.3.1.10).
            self.say(Refusal::TOO_MANY_RECIPIENTS.reply());
            return Phase::Envelope(client, mail);
        }
        self.events.push_back(Event::Rcpt(rcpt));
        Phase::RcptAsked(client, mail)
    }

    fn on_bdat(&mut self, phase: Phase, octets: u64, last: bool) -> Phase {
        let offered = self.config.extensions.chunking;
        match (phase, offered) {
            (Phase::Envelope(client, mail), true) if mail.rcpt_count > 0 => {
                let mut chunks = Chunks::new();
                chunks.begin(octets, last);
                self.events.push_back(Event::Data);
                Phase::DataAsked(client, mail, Source::Chunks(chunks))
            }
            (Phase::Between(client, mail, intake, mut chunks), true) => {
                chunks.begin(octets, last);
                Phase::Content(client, mail, intake, Source::Chunks(chunks))
            }
            (phase, false) => self.drain(phase, octets, Refusal::NOT_IMPLEMENTED),
            (phase @ Phase::Envelope(..), true) => self.drain(phase, octets, Refusal::NO_RECIPIENTS),
            (phase, true) => self.drain(phase, octets, Refusal::BAD_SEQUENCE),
        }
    }

    /// RFC 3030 §2: the octets of a BDAT that fails are read all the same.
    fn drain(&mut self, next: Phase, octets: u64, refusal: Refusal) -> Phase {
        if !self.count_bad() {
            return Phase::Closed;
        }
        Phase::Drain { left: octets, refusal, answers: 1, next: Box::new(next) }
    }

    pub(super) fn on_drained(&mut self) {
        if let Phase::Drain { refusal, answers, next, .. } = mem::replace(&mut self.phase, Phase::Closed) {
            self.phase = *next;
            self.say_times(&refusal, answers);
        }
    }

    /// The final dot, or the last octet of a BDAT, was read.
    pub(super) fn on_content_end(&mut self) {
        let Phase::Content(client, mail, intake, source) = mem::replace(&mut self.phase, Phase::Closed) else { return };
        let all = match &source {
            Source::Dots(_) => true,
            Source::Chunks(chunks) => chunks.last,
        };
        if let Some(refusal) = intake.fault() {
            // The transaction is over; more BDATs of it are refused by sequence (RFC 3030 §2).
            let answers = if all { self.answers_at_end(&mail) } else { 1 };
            self.say_times(&refusal.clone(), answers);
            self.phase = Phase::Ready(client);
            return;
        }
        self.phase = match source {
            Source::Chunks(chunks) if !all => {
                self.say(&Reply::CHUNK_OK);
                Phase::Between(client, mail, intake, chunks)
            }
            Source::Chunks(_) | Source::Dots(_) => {
                self.events.extend(intake.into_last());
                self.events.push_back(Event::End);
                Phase::EndAsked { client, answers_left: self.answers_at_end(&mail) }
            }
        };
    }

    /// RFC 2033 §4.2: LMTP answers the end of data once for each recipient that was accepted.
    pub(super) fn answers_at_end(&self, mail: &Transaction) -> usize {
        match self.config.dialect {
            Dialect::Smtp => 1,
            Dialect::Lmtp => mail.rcpt_count,
        }
    }

    pub(super) fn begin_content(&self, client: Hello, mail: Transaction, source: Source) -> Phase {
        let intake = Intake::new(self.config.limits.body_chunk_octets_max, self.config.size_max);
        Phase::Content(client, mail, intake, source)
    }

    fn on_starttls(&mut self, client: Hello) -> Phase {
        if !self.config.extensions.starttls {
            return self.bad(Phase::Ready(client), &Refusal::NOT_IMPLEMENTED);
        }
        if self.security == Security::Tls {
            return self.bad(Phase::Ready(client), &Refusal::BAD_SEQUENCE);
        }
        if !self.input.is_empty() {
            self.refuse_injection();
            return Phase::Closed;
        }
        self.events.push_back(Event::StartTls);
        Phase::TlsAsked(client)
    }

    /// RFC 3207 §4.2: what came in the clear behind STARTTLS would be read as if it had come under TLS
    /// (CVE-2011-0411). No client of good faith does it, so the conversation ends.
    pub(super) fn refuse_injection(&mut self) {
        self.say(Refusal::TLS_INJECTION.reply());
        self.close(Closing::Unsafe);
    }

    fn on_auth(&mut self, client: Hello, mechanism: String, initial: Option<String>) -> Phase {
        let extensions = &self.config.extensions;
        let refusal = match () {
            () if extensions.auth.is_empty() => Some(Refusal::NOT_IMPLEMENTED),
            // RFC 4954 §4: once is enough.
            () if self.authenticated => Some(Refusal::BAD_SEQUENCE),
            () if !self.offers_auth() => Some(Refusal::ENCRYPTION_REQUIRED),
            () if !extensions.auth.contains(&mechanism) => Some(Refusal::UNKNOWN_MECHANISM),
            () => None,
        };
        if let Some(refusal) = refusal {
            return self.bad(Phase::Ready(client), &refusal);
        }
        let initial = match initial.as_deref() {
            None => None,
            // RFC 4954 §4: `=` is an initial response of no octets.
            Some("=") => Some(Bytes::new()),
            Some(text) => match STANDARD.decode(text) {
                Ok(octets) => Some(octets.into()),
                Err(_) => return self.bad(Phase::Ready(client), &Refusal::BAD_BASE64),
            },
        };
        self.events.push_back(Event::Auth { mechanism, initial });
        Phase::AuthAsked(client)
    }

    fn on_auth_line(&mut self, client: Hello, line: &[u8]) -> Phase {
        let refusal = match STANDARD.decode(line) {
            // RFC 4954 §4: `*` cancels; it is no base64.
            Err(_) if line == b"*" => Refusal::AUTH_CANCELLED,
            Err(_) => Refusal::BAD_BASE64,
            Ok(octets) => {
                self.events.push_back(Event::AuthResponse(octets.into()));
                return Phase::AuthAsked(client);
            }
        };
        self.events.push_back(Event::AuthAborted);
        self.bad(Phase::Ready(client), &refusal)
    }

    /// The answer to EHLO and LHLO (RFC 5321 §4.1.1.1), or to HELO.
    pub(super) fn say_hello(&mut self, client: &Hello) {
        let mut text = self.config.host.to_string();
        if client.is_extended() {
            let extensions = &self.config.extensions;
            match &self.config.promised {
                None => {
                    text.push_str("\nPIPELINING\n8BITMIME\nENHANCEDSTATUSCODES\nSIZE ");
                    text.push_str(&self.config.size_max.to_string());
                }
                Some(lines) => lines.iter().for_each(|line| text.extend(["\n", line])),
            }
            let offered = [
                (extensions.smtputf8, "\nSMTPUTF8"),
                (extensions.chunking, "\nCHUNKING"),
                (extensions.xposthouse, "\nXPOSTHOUSE"),
                // RFC 3207 §4.2: not again under TLS.
                (extensions.starttls && self.security == Security::Plain, "\nSTARTTLS"),
            ];
            text.extend(offered.iter().filter(|(offers, _)| *offers).map(|(_, line)| *line));
            if self.offers_auth() {
                text.push_str("\nAUTH ");
                text.push_str(&extensions.auth.join(" "));
            }
        }
        self.say(&Reply::new(mail_types::ReplyCode::new(250), None, text));
    }

    fn offers_auth(&self) -> bool {
        let extensions = &self.config.extensions;
        !extensions.auth.is_empty() && (extensions.auth_in_clear || self.security == Security::Tls)
    }

    pub(super) fn say_times(&mut self, refusal: &Refusal, answers: usize) {
        for _ in 0..answers {
            self.say(refusal.reply());
        }
    }

    fn idle(&mut self, phase: Phase, reply: &Reply) -> Phase {
        if !self.count_idle() {
            return Phase::Closed;
        }
        self.say(reply);
        phase
    }

    fn bad(&mut self, phase: Phase, refusal: &Refusal) -> Phase {
        if !self.count_bad() {
            return Phase::Closed;
        }
        self.say(refusal.reply());
        phase
    }

    fn refuse_command(&mut self, refusal: &Refusal) {
        let phase = mem::replace(&mut self.phase, Phase::Closed);
        self.phase = self.bad(phase, refusal);
    }

    pub(super) fn count_bad(&mut self) -> bool {
        self.bad_commands += 1;
        self.within(self.bad_commands <= self.config.limits.bad_command_count_max)
    }

    fn count_idle(&mut self) -> bool {
        self.idle_commands += 1;
        self.within(self.idle_commands <= self.config.limits.idle_command_count_max)
    }

    fn within(&mut self, within: bool) -> bool {
        if !within {
            self.say(Refusal::TOO_MANY_ERRORS.reply());
            self.close(Closing::TooManyErrors);
        }
        within
    }

    /// A message got through: this client means well.
    pub(super) fn forgive(&mut self) {
        (self.bad_commands, self.idle_commands) = (0, 0);
    }
}
