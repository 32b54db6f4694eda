//! The client machines of the protocols, as far as a login at a back-end differs between them.

use super::introduction::Introduction;
use crate::foreign::{Protocol, Said};
use crate::sessions::track::{ImapTrack, Pop3Track, SieveTrack, SubmissionTrack};
use bytes::{BufMut, Bytes, BytesMut};
use imap_proto::client as imap;
use machine::Machine;
use mail_types::Domain;
use pop3_proto::{ClientEvent, Mode};
use ports::Track;
use smtp_proto::Dialect;
use smtp_proto::client::{Capabilities, Closing, Config, Login, LoginClient, LoginEvent};
use std::time::Instant;

/// A client's machine that logs in.
pub(super) trait Guest: Machine<Event: Send> + Sized + Send + 'static {
    /// What an earlier conversation may teach.
    type Known: Clone + PartialEq + Send;
    const PROTOCOL: Protocol;

    fn new(manner: Manner<'_>) -> Self;
    /// Nobody wants in: the server is asked what it offers.
    fn asking(host: &Domain, now: Instant) -> Self;
    /// Says where its visitor comes from, where the protocol has words for it.
    fn introducing(self, _introduction: &Introduction) -> Self {
        self
    }
    fn has_said_login(&self) -> bool;
    /// Whether the server was told anything that depends on who comes: what it says then may be no word about itself.
    fn is_personal(&self) -> bool {
        self.has_said_login()
    }
    fn with_starttls(self) -> Self;
    fn knowing(self, known: Self::Known) -> Self;
    fn learnt(&self) -> Option<Self::Known>;
    fn tls_started(&mut self, now: Instant);
    fn take_unread(&mut self) -> Bytes;
    /// What follows the session from now on.
    fn track(&self) -> Box<dyn Track>;
    fn turn(event: Self::Event) -> Turn;
}

/// How a guest comes.
pub(super) struct Manner<'a> {
    pub(super) said: Said,
    pub(super) mode: Mode,
    /// Our name, where it is said.
    pub(super) host: &'a Domain,
    pub(super) now: Instant,
}

/// What comes of a conversation.
pub(super) enum Turn {
    /// It is time for TLS.
    StartTls,
    Verdict(Verdict),
}

/// What a back-end said to the login.
pub(super) enum Verdict {
    Welcome(Bytes),
    /// No, to the visitor.
    Refused(String),
    /// Another session has the maildrop.
    InUse(String),
    /// No, but whoever the visitor is.
    Unavailable(String),
    /// The visitor has a name, a password or a token for which it has no words.
    Unsayable(String),
    /// Nothing: there was none.
    Offered,
}

impl Guest for imap::Client {
    type Known = imap::Capabilities;
    const PROTOCOL: Protocol = Protocol::Imap;

    fn new(Manner { said, now, .. }: Manner<'_>) -> Self {
        let secret = |octets: &[u8]| imap_proto::command::Secret::new(octets.to_vec());
        let login = match said {
            Said::Password { authorization, authentication, password } => {
                imap::Login::Password { authorization, authentication, password: secret(password.as_bytes()) }
            }
            Said::Token { oauthbearer, xoauth2 } => {
                imap::Login::Token { oauthbearer: secret(oauthbearer.as_bytes()), xoauth2: secret(xoauth2.as_bytes()) }
            }
        };
        Self::new(login, now).telling_capabilities()
    }

    fn asking(_host: &Domain, now: Instant) -> Self {
        Self::asking(now)
    }

    fn introducing(self, introduction: &Introduction) -> Self {
        self.introducing(introduction.id())
    }

    fn has_said_login(&self) -> bool {
        self.has_said_login()
    }

    fn with_starttls(self) -> Self {
        self.with_starttls()
    }

    fn knowing(self, known: imap::Capabilities) -> Self {
        self.knowing(known)
    }

    fn learnt(&self) -> Option<imap::Capabilities> {
        self.learnt()
    }

    fn tls_started(&mut self, now: Instant) {
        self.tls_started(now);
    }

    fn take_unread(&mut self) -> Bytes {
        self.take_unread()
    }

    fn track(&self) -> Box<dyn Track> {
        Box::new(ImapTrack::default())
    }

    fn turn(event: imap::Event) -> Turn {
        Turn::Verdict(match event {
            imap::Event::StartTls => return Turn::StartTls,
            imap::Event::Offered => Verdict::Offered,
            imap::Event::LoggedIn { welcome, capabilities } => Verdict::Welcome(with_code(welcome, capabilities)),
            imap::Event::Refused { kind: imap::Refusal::Credentials, text, .. } => Verdict::Refused(text),
            imap::Event::Refused { kind: imap::Refusal::Unavailable, code, text } => {
                let code = code.map(|code| format!("[{code}] ")).unwrap_or_default();
                Verdict::Unavailable(format!("it says {code}{text}"))
            }
            imap::Event::Closed(closing @ imap::Closing::Unsayable) => Verdict::Unsayable(closing.to_string()),
            imap::Event::Closed(closing) => Verdict::Unavailable(closing.to_string()),
        })
    }
}

/// A client takes what it is offered now from the answer to its login (RFC 9051 §7.1, CAPABILITY), where we put what the
/// back-end said in a line of its own.
fn with_code(welcome: Bytes, capabilities: Option<Bytes>) -> Bytes {
    match capabilities {
        Some(list) if !welcome.starts_with(b"[CAPABILITY") => {
            let mut coded = BytesMut::from(&b"[CAPABILITY "[..]);
            coded.put_slice(&list);
            coded.put_slice(b"] ");
            coded.put_slice(&welcome);
            coded.freeze()
        }
        Some(_) | None => welcome,
    }
}

impl Guest for pop3_proto::Client {
    type Known = pop3_proto::Capabilities;
    const PROTOCOL: Protocol = Protocol::Pop3;

    fn new(Manner { said, mode, now, .. }: Manner<'_>) -> Self {
        let secret = |octets: &[u8]| pop3_proto::Secret::new(octets.to_vec());
        let login = match said {
            Said::Password { authorization, authentication, password } => {
                pop3_proto::Login::Password { authorization, authentication, password: secret(password.as_bytes()) }
            }
            Said::Token { oauthbearer, xoauth2 } => pop3_proto::Login::Token {
                oauthbearer: secret(oauthbearer.as_bytes()),
                xoauth2: secret(xoauth2.as_bytes()),
            },
        };
        Self::new(login, now).in_mode(mode)
    }

    fn asking(_host: &Domain, now: Instant) -> Self {
        Self::asking(now)
    }

    fn introducing(self, introduction: &Introduction) -> Self {
        match introduction.xclient() {
            Some(arguments) => self.introducing(arguments),
            None => self,
        }
    }

    fn has_said_login(&self) -> bool {
        self.has_said_login()
    }

    fn is_personal(&self) -> bool {
        self.is_personal()
    }

    fn with_starttls(self) -> Self {
        self.with_starttls()
    }

    fn knowing(self, known: Self::Known) -> Self {
        self.knowing(known)
    }

    fn learnt(&self) -> Option<Self::Known> {
        self.learnt()
    }

    fn tls_started(&mut self, now: Instant) {
        self.tls_started(now);
    }

    fn take_unread(&mut self) -> Bytes {
        self.take_unread()
    }

    fn track(&self) -> Box<dyn Track> {
        Box::new(Pop3Track::default())
    }

    fn turn(event: ClientEvent) -> Turn {
        use pop3_proto::RefusalKind;
        Turn::Verdict(match event {
            ClientEvent::StartTls => return Turn::StartTls,
            ClientEvent::Offered => Verdict::Offered,
            ClientEvent::LoggedIn { welcome } => Verdict::Welcome(welcome),
            ClientEvent::Refused { kind: RefusalKind::Credentials, refusal } => {
                Verdict::Refused(refusal.text().to_owned())
            }
            ClientEvent::Refused { kind: RefusalKind::InUse, refusal } => Verdict::InUse(refusal.text().to_owned()),
            ClientEvent::Refused { kind: RefusalKind::Unavailable, refusal } => {
                let code = refusal.code().map(|code| format!("[{}] ", code.name())).unwrap_or_default();
                Verdict::Unavailable(format!("it says {code}{}", refusal.text()))
            }
            ClientEvent::Closed(closing @ pop3_proto::Closing::Unsayable) => Verdict::Unsayable(closing.to_string()),
            ClientEvent::Closed(closing) => Verdict::Unavailable(closing.to_string()),
        })
    }
}

impl Guest for LoginClient {
    /// What it offers to whom it has let in.
    type Known = Capabilities;
    const PROTOCOL: Protocol = Protocol::Submission;

    fn new(Manner { said, host, now, .. }: Manner<'_>) -> Self {
        let login = match said {
            Said::Password { authorization, authentication, password } => {
                let password = Bytes::copy_from_slice(password.as_bytes());
                Login::Password { authorization, authentication, password }
            }
            Said::Token { oauthbearer, xoauth2 } => Login::Token {
                oauthbearer: Bytes::copy_from_slice(oauthbearer.as_bytes()),
                xoauth2: Bytes::copy_from_slice(xoauth2.as_bytes()),
            },
        };
        Self::new(Config::new(Dialect::Smtp, host.clone()), login, now)
    }

    fn asking(host: &Domain, now: Instant) -> Self {
        Self::asking(Config::new(Dialect::Smtp, host.clone()), now)
    }

    fn has_said_login(&self) -> bool {
        self.has_said_login()
    }

    fn with_starttls(self) -> Self {
        self.with_starttls()
    }

    /// EHLO is said whatever is known.
    fn knowing(self, _known: Capabilities) -> Self {
        self
    }

    fn learnt(&self) -> Option<Capabilities> {
        Some(self.capabilities().clone())
    }

    fn tls_started(&mut self, _now: Instant) {
        self.tls_started();
    }

    fn take_unread(&mut self) -> Bytes {
        self.take_unread()
    }

    fn track(&self) -> Box<dyn Track> {
        Box::new(SubmissionTrack::default())
    }

    fn turn(event: LoginEvent) -> Turn {
        Turn::Verdict(match event {
            LoginEvent::StartTls => return Turn::StartTls,
            LoginEvent::Offered => Verdict::Offered,
            LoginEvent::LoggedIn => Verdict::Welcome(Bytes::new()),
            // RFC 4954 §6: 535 alone is about the credentials.
            LoginEvent::Refused(reply) if reply.code().number() == 535 => Verdict::Refused(reply.to_string()),
            LoginEvent::Refused(reply) => Verdict::Unavailable(format!("it says {reply}")),
            LoginEvent::NoStartTls(reply) => Verdict::Unavailable(format!("the server does not start TLS: {reply}")),
            LoginEvent::NoLogin => Verdict::Unavailable("the server offers no way to log in".to_owned()),
            LoginEvent::Unsayable => {
                Verdict::Unsayable("the server offers no way to say this name, password or token".to_owned())
            }
            LoginEvent::Closed(Closing::Refused(reply)) => Verdict::Unavailable(format!("it refused us: {reply}")),
            LoginEvent::Closed(Closing::Timeout) => {
                Verdict::Unavailable("the server did not answer in time".to_owned())
            }
            LoginEvent::Closed(Closing::Protocol(what)) => Verdict::Unavailable(what.to_owned()),
            LoginEvent::Closed(Closing::Eof | Closing::Quit | Closing::Aborted) => {
                Verdict::Unavailable("the server hung up".to_owned())
            }
        })
    }
}

impl Guest for managesieve_proto::Client {
    type Known = managesieve_proto::Capabilities;
    const PROTOCOL: Protocol = Protocol::Sieve;

    fn new(Manner { said, now, .. }: Manner<'_>) -> Self {
        let secret = |octets: &[u8]| managesieve_proto::Secret::new(octets.to_vec());
        let login = match said {
            Said::Password { authorization, authentication, password } => managesieve_proto::Login::Password {
                authorization,
                authentication,
                password: secret(password.as_bytes()),
            },
            Said::Token { oauthbearer, xoauth2 } => managesieve_proto::Login::Token {
                oauthbearer: secret(oauthbearer.as_bytes()),
                xoauth2: secret(xoauth2.as_bytes()),
            },
        };
        Self::new(login, now)
    }

    fn asking(_host: &Domain, now: Instant) -> Self {
        Self::asking(now)
    }

    fn has_said_login(&self) -> bool {
        self.has_said_login()
    }

    fn with_starttls(self) -> Self {
        self.with_starttls()
    }

    /// Every greeting tells all that a login needs (RFC 5804 §1.7).
    fn knowing(self, _known: Self::Known) -> Self {
        self
    }

    fn learnt(&self) -> Option<Self::Known> {
        self.learnt()
    }

    fn tls_started(&mut self, now: Instant) {
        self.tls_started(now);
    }

    fn take_unread(&mut self) -> Bytes {
        self.take_unread()
    }

    fn track(&self) -> Box<dyn Track> {
        Box::new(SieveTrack::default())
    }

    fn turn(event: managesieve_proto::ClientEvent) -> Turn {
        use managesieve_proto::{ClientEvent, RefusalKind};
        Turn::Verdict(match event {
            ClientEvent::StartTls => return Turn::StartTls,
            ClientEvent::Told => Verdict::Offered,
            ClientEvent::LoggedIn { welcome } => Verdict::Welcome(welcome),
            ClientEvent::Refused { kind: RefusalKind::Credentials, refusal } => {
                Verdict::Refused(refusal.text().to_owned())
            }
            ClientEvent::Refused { kind: RefusalKind::Unavailable, refusal } => {
                let code = refusal.code().map(|code| format!("({}) ", code.name())).unwrap_or_default();
                Verdict::Unavailable(format!("it says {code}{}", refusal.text()))
            }
            ClientEvent::Closed(closing @ managesieve_proto::Closing::Unsayable) => {
                Verdict::Unsayable(closing.to_string())
            }
            ClientEvent::Closed(closing) => Verdict::Unavailable(closing.to_string()),
        })
    }
}
