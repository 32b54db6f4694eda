//! The client's turn: a command in a state (RFC 1939 §§4–6).

use super::{Event, Phase, Question, Security, Server};
use crate::capability::{self, Mode, UserPass, Utf8};
use crate::command::{self, AuthCommand, Command};
use crate::dots::Part;
use crate::limits::BAD_COMMAND_COUNT_MAX;
use crate::reply::{Refusal, ok};
use crate::words::Secret;

impl Server {
    pub(super) fn on_line(&mut self, line: &[u8]) {
        if matches!(self.phase, Phase::AwaitingResponse) {
            return self.on_response(line);
        }
        match command::parse(line) {
            Ok(command) if self.is_logged_in() => self.in_transaction(command),
            Ok(command) => self.in_authorization(command),
            Err(error) => self.bad_command(error.text()),
        }
    }

    pub(super) fn on_overlong_line(&mut self) {
        if matches!(self.phase, Phase::AwaitingResponse) {
            return self.cancel_exchange("Line too long");
        }
        self.bad_command("Line too long");
    }

    fn in_authorization(&mut self, command: Command) {
        match command {
            Command::Capa => self.capa(),
            Command::Lang(tag) => self.lang(tag.as_deref()),
            Command::User(name) => self.user(name),
            Command::Pass(password) => self.password(password),
            Command::Auth(None) => self.list_mechanisms(),
            Command::Auth(Some(auth)) => self.auth(auth),
            Command::Stls => self.stls(),
            Command::Utf8 => self.utf8(),
            Command::Apop => self.bad_command("APOP is not offered"),
            Command::Quit => {
                self.output.push(&ok("Goodbye"));
                self.end();
            }
            Command::Stat
            | Command::List(_)
            | Command::Uidl(_)
            | Command::Retr(_)
            | Command::Top(..)
            | Command::Dele(_)
            | Command::Noop
            | Command::Rset => self.bad_command("Log in first"),
        }
    }

    fn in_transaction(&mut self, command: Command) {
        match command {
            Command::Capa => self.capa(),
            Command::Lang(tag) => self.lang(tag.as_deref()),
            Command::Stat => self.ask(Event::Stat, Question::Stat),
            Command::List(None) => self.ask(Event::List(None), Question::ListAll),
            Command::List(Some(number)) => self.ask(Event::List(Some(number)), Question::ListOne(number)),
            Command::Uidl(None) => self.ask(Event::Uidl(None), Question::UidlAll),
            Command::Uidl(Some(number)) => self.ask(Event::Uidl(Some(number)), Question::UidlOne(number)),
            Command::Retr(number) => self.ask(Event::Retr(number), Question::Message(Part::Whole)),
            Command::Top(number, lines) => {
                self.ask(Event::Top { number, lines }, Question::Message(Part::Top { lines }));
            }
            Command::Dele(number) => self.ask(Event::Dele(number), Question::Dele(number)),
            Command::Rset => self.ask(Event::Rset, Question::Rset),
            Command::Noop => self.output.push(&ok("")),
            Command::Quit => {
                self.event = Some(Event::Quit);
                self.phase = Phase::Update;
            }
            Command::User(_)
            | Command::Pass(_)
            | Command::Apop
            | Command::Auth(_)
            | Command::Stls
            // RFC 6856 §2.1: UTF8 belongs to AUTHORIZATION.
            | Command::Utf8 => self.bad_command("You are logged in already"),
        }
    }

    fn ask(&mut self, event: Event, question: Question) {
        self.event = Some(event);
        self.phase = Phase::Asked(question);
    }

    /// RFC 2449 §5: the list differs before and after TLS and login.
    fn capa(&mut self) {
        let text = capability::capa(&self.config, self.standing());
        self.output.push(text.as_bytes());
    }

    fn user(&mut self, name: String) {
        if self.methods().user == UserPass::Refused {
            return self.refuse_method();
        }
        self.phase = Phase::Authorization { user: Some(name) };
        // RFC 1939 §7: whether there is such a user is not told.
        self.output.push(&ok(""));
    }

    fn password(&mut self, password: Secret) {
        if self.methods().user == UserPass::Refused {
            return self.refuse_method();
        }
        // RFC 1939 §7: behind USER. CAPA or a mistake between them does no harm.
        let user = if let Phase::Authorization { user } = &mut self.phase { user.take() } else { None };
        let Some(user) = user else { return self.bad_command("USER first") };
        self.event = Some(Event::Login { user, password });
        self.phase = Phase::LoggingIn;
    }

    fn auth(&mut self, AuthCommand { mechanism, initial }: AuthCommand) {
        if !self.methods().mechanisms.contains(&mechanism) {
            return self.refuse_method();
        }
        self.event = Some(Event::Auth { mechanism, initial });
        self.phase = Phase::Exchange;
    }

    /// AUTH alone, from before RFC 5034: older clients learn the mechanisms by it.
    fn list_mechanisms(&mut self) {
        let mut text = String::from("+OK Mechanisms follow\r\n");
        for mechanism in &self.methods().mechanisms {
            text.push_str(mechanism);
            text.push_str("\r\n");
        }
        text.push_str(".\r\n");
        self.output.push(text.as_bytes());
    }

    fn on_response(&mut self, line: &[u8]) {
        // RFC 5034 §4: `*` cancels.
        if line == b"*" {
            return self.cancel_exchange("Authentication cancelled");
        }
        match command::decode_response(line) {
            Ok(response) => {
                self.event = Some(Event::AuthResponse(response));
                self.phase = Phase::Exchange;
            }
            Err(error) => self.cancel_exchange(error.text()),
        }
    }

    fn cancel_exchange(&mut self, why: &'static str) {
        self.event = Some(Event::AuthCancelled);
        self.phase = Phase::Authorization { user: None };
        self.bad_command(why);
    }

    fn stls(&mut self) {
        match self.security {
            Security::ClearWithStls => {
                self.event = Some(Event::StartTls);
                self.phase = Phase::TlsAsked;
            }
            Security::Tls => self.bad_command("TLS is active already"),
            Security::Clear => self.bad_command("STLS is not offered"),
        }
    }

    fn utf8(&mut self) {
        match self.config.utf8 {
            Utf8::Offered => {
                self.mode = Mode::Utf8;
                self.output.push(&ok("UTF-8 mode"));
            }
            Utf8::Refused => self.bad_command("UTF8 is not offered"),
        }
    }

    /// RFC 6856 §3.2: we speak one language, and say which. `i-default` (RFC 2277 §4.5) is answered as what it is.
    fn lang(&mut self, tag: Option<&str>) {
        match tag.map(str::to_ascii_lowercase).as_deref() {
            None => self.output.push(b"+OK Language listing follows\r\nen English\r\n.\r\n"),
            Some("*" | "en") => self.output.push(&ok("en English it is")),
            Some("i-default") => self.output.push(&ok("i-default English it is")),
            Some(_) => self.output.push(&Refusal::new(None, "This language is not available").encode()),
        }
    }

    /// A way to log in that is not offered here: perhaps it is under TLS.
    fn refuse_method(&mut self) {
        let refusal = match self.security {
            Security::ClearWithStls => Refusal::NEEDS_TLS,
            Security::Clear | Security::Tls => {
                Refusal::new(Some(crate::ResponseCode::Auth), "This way to log in is not offered")
            }
        };
        self.bad_refusal(&refusal);
    }

    fn bad_command(&mut self, why: &'static str) {
        self.bad_refusal(&Refusal::new(None, why));
    }

    fn bad_refusal(&mut self, refusal: &Refusal) {
        self.output.push(&refusal.encode());
        self.bad_commands += 1;
        if self.bad_commands >= BAD_COMMAND_COUNT_MAX {
            self.output.push(&Refusal::new(None, "Too many bad commands").encode());
            self.end();
        }
    }
}
