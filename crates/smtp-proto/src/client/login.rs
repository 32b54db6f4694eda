//! The client of a proxy: logs in at a submission server (RFC 6409), and gives the connection up to whoever it is for.
//!
//! ```text
//!   Ready ─▶ (start_tls ─▶ StartTls, handshake ─▶ Ready ─▶) AUTH PLAIN, or LOGIN ─▶ LoggedIn (the rest: take_unread)
//!                                                           OAUTHBEARER, or XOAUTH2
//!                                                                  └─▶ Refused, Closed
//! ```

use super::{Client, Closing, Config, Event};
use crate::Security;
use crate::reply::Reply;
use bytes::Bytes;
use machine::Machine;
use std::fmt;
use std::time::Instant;

/// How to log in.
#[derive(Clone)]
pub enum Login {
    /// A name and a password: AUTH PLAIN (RFC 4616) where the server has it, else AUTH LOGIN.
    Password {
        /// As whom, where it is not who authenticates: a master user acts for others. LOGIN has no place for it.
        authorization: Option<String>,
        /// Whose the password is.
        authentication: String,
        /// The password, octet by octet.
        password: Bytes,
    },
    /// An access token that the server judges, in the words of each mechanism that has a place for it: the one that the server
    /// has is said, AUTH OAUTHBEARER (RFC 7628) rather than AUTH XOAUTH2.
    Token {
        /// The one message of OAUTHBEARER, before base64.
        oauthbearer: Bytes,
        /// That of XOAUTH2.
        xoauth2: Bytes,
    },
}

/// What comes of it: `StartTls` perhaps, and then one other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginEvent {
    /// STARTTLS was granted: the role lets the handshake begin, then calls [`LoginClient::tls_started`].
    StartTls,
    /// Nobody wanted in: the server was asked what it offers, and has said so.
    Offered,
    /// The server let us in.
    LoggedIn,
    /// It did not: what it said to AUTH.
    Refused(Reply),
    /// It does not start TLS, and says this. Nothing else was told to it.
    NoStartTls(Reply),
    /// It offers no way for a login of this kind, whoever comes: no password was sent.
    NoLogin,
    /// This name, password or token cannot be said in any way that it offers; what another has could. Nothing of it was sent.
    Unsayable,
    /// It is over without an answer.
    Closed(Closing),
}

/// The client's end of one connection, to the answer to its login.
#[derive(Debug)]
pub struct LoginClient {
    client: Client,
    start_tls: StartTls,
    /// What is still to be said.
    say: Say,
    /// The server was told a login, or the first part of one.
    said_login: bool,
    token: TokenState,
    event: Option<LoginEvent>,
}

/// What becomes of a token, where the login is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenState {
    /// It is none.
    NoToken,
    /// Nothing was heard of it; whoever tells why it is worth nothing is answered this.
    Shown(&'static [u8]),
    /// The server has told why it is worth nothing. There is no way back from there.
    Failed,
}

/// Whether TLS is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StartTls {
    Required,
    /// The connection is as private as it is meant to be.
    NotNeeded,
}

enum Say {
    /// Which way depends on what is offered.
    Login(Login),
    /// LOGIN: the server asks for the name, then for the password (draft-murchison-sasl-login).
    Name {
        name: String,
        password: Bytes,
    },
    Password(Bytes),
    /// The server has not taken a mechanism's one message with the command (RFC 4954 §4).
    Message(Bytes),
    Nothing,
}

impl LoginClient {
    /// A connection that was just opened; with `starttls` the login is said under TLS or not at all (RFC 3207).
    pub fn new(config: Config, login: Login, now: Instant) -> Self {
        Self { say: Say::Login(login), ..Self::asking(config, now) }
    }

    /// The same for nobody: only asks the server what it offers.
    pub fn asking(config: Config, now: Instant) -> Self {
        let client = Client::new(config, Security::Plain, now);
        let (start_tls, token) = (StartTls::NotNeeded, TokenState::NoToken);
        Self { client, start_tls, say: Say::Nothing, said_login: false, token, event: None }
    }

    /// Says STARTTLS before anything but EHLO, and logs in under TLS or not at all (RFC 3207 §4).
    #[must_use]
    pub fn with_starttls(self) -> Self {
        Self { start_tls: StartTls::Required, ..self }
    }

    /// What the server offers to whom it has let in, as far as it was told before.
    pub fn capabilities(&self) -> &super::Capabilities {
        self.client.capabilities()
    }

    /// Whether the server was told a login, or the first part of one: what it says from then on may be its word about it.
    pub fn has_said_login(&self) -> bool {
        self.said_login
    }

    /// The handshake that [`LoginEvent::StartTls`] asked for is done.
    pub fn tls_started(&mut self) {
        self.start_tls = StartTls::NotNeeded;
        self.client.tls_started();
        self.follow();
    }

    /// What the server said behind its answer to the login, and nobody read.
    pub fn take_unread(&mut self) -> Bytes {
        std::mem::take(&mut self.client.input).freeze()
    }

    /// Goes on with what the client has found out.
    fn follow(&mut self) {
        while self.event.is_none() {
            let Some(event) = self.client.poll_event() else { return };
            match event {
                Event::Ready => self.on_ready(),
                Event::StartTls => self.event = Some(LoginEvent::StartTls),
                Event::TlsRefused(reply) => self.event = Some(LoginEvent::NoStartTls(reply)),
                Event::Challenge(_) => self.on_challenge(),
                // RFC 7628 §3.2.3: nothing but its failure comes behind.
                Event::Authenticated(Ok(())) if self.token == TokenState::Failed => {
                    let why = "the server lets us in by a token that it has refused";
                    self.event = Some(LoginEvent::Closed(Closing::Protocol(why)));
                }
                Event::Authenticated(Ok(())) => self.event = Some(LoginEvent::LoggedIn),
                Event::Authenticated(Err(reply)) => self.event = Some(LoginEvent::Refused(reply)),
                Event::Closed(closing) => self.event = Some(LoginEvent::Closed(closing)),
                // Nobody begins a transaction.
                Event::Mail(_) | Event::Rcpt(..) | Event::GoAhead | Event::Done(_) => {}
            }
        }
    }

    fn on_ready(&mut self) {
        if self.start_tls == StartTls::Required {
            return self.client.start_tls();
        }
        let Say::Login(login) = std::mem::replace(&mut self.say, Say::Nothing) else {
            if !self.said_login {
                self.event = Some(LoginEvent::Offered);
                // RFC 5321 §4.1.1.10: nobody hangs up without it.
                self.client.quit();
            }
            return;
        };
        match login {
            Login::Password { authorization, authentication, password } => {
                self.say_password(authorization, authentication, password);
            }
            Login::Token { oauthbearer, .. } if self.offers("OAUTHBEARER") => {
                self.say_token("OAUTHBEARER", oauthbearer, OAUTHBEARER_FAILED);
            }
            Login::Token { xoauth2, .. } if self.offers("XOAUTH2") => {
                self.say_token("XOAUTH2", xoauth2, XOAUTH2_FAILED);
            }
            // Others have passwords, for which there is a way.
            Login::Token { .. } if self.offers("PLAIN") || self.offers("LOGIN") => {
                self.event = Some(LoginEvent::Unsayable);
            }
            Login::Token { .. } => self.event = Some(LoginEvent::NoLogin),
        }
    }

    fn offers(&self, mechanism: &str) -> bool {
        self.client.capabilities().auth.iter().any(|offered| offered == mechanism)
    }

    fn say_password(&mut self, authorization: Option<String>, authentication: String, password: Bytes) {
        let act_as = authorization.as_deref().unwrap_or_default().as_bytes();
        // RFC 4616 §2: NUL separates, and who had one in a name would be somebody else.
        let is_sayable = ![act_as, authentication.as_bytes(), &password].iter().any(|octets| octets.contains(&0));
        if self.offers("PLAIN") && is_sayable {
            let message = Bytes::from([act_as, authentication.as_bytes(), &password].join(&0));
            return self.say_message("PLAIN", message);
        }
        if self.offers("LOGIN") && authorization.is_none() {
            self.said_login = true;
            self.say = Say::Name { name: authentication, password };
            return self.client.authenticate("LOGIN", None);
        }
        // Others have tokens.
        let has_others = authorization.is_none() && (self.offers("OAUTHBEARER") || self.offers("XOAUTH2"));
        self.event = Some(if is_sayable && !has_others { LoginEvent::NoLogin } else { LoginEvent::Unsayable });
    }

    fn say_token(&mut self, mechanism: &'static str, message: Bytes, on_failure: &'static [u8]) {
        self.token = TokenState::Shown(on_failure);
        self.say_message(mechanism, message);
    }

    fn say_message(&mut self, mechanism: &'static str, message: Bytes) {
        self.said_login = true;
        if message.len() <= initial_octets_max(mechanism) {
            return self.client.authenticate(mechanism, Some(&message));
        }
        self.say = Say::Message(message);
        self.client.authenticate(mechanism, None);
    }

    fn on_challenge(&mut self) {
        match std::mem::replace(&mut self.say, Say::Nothing) {
            Say::Name { name, password } => {
                self.say = Say::Password(password);
                self.client.auth_response(name.as_bytes());
            }
            Say::Password(last) | Say::Message(last) => self.client.auth_response(&last),
            Say::Nothing | Say::Login(_) => match self.token {
                TokenState::Shown(answer) => {
                    self.token = TokenState::Failed;
                    self.client.auth_response(answer);
                }
                // It asks for more than these mechanisms have.
                TokenState::NoToken | TokenState::Failed => self.client.auth_cancel(),
            },
        }
    }
}

impl Machine for LoginClient {
    type Event = LoginEvent;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        self.client.handle_input(now, bytes);
        self.follow();
    }

    fn handle_eof(&mut self, now: Instant) {
        self.client.handle_eof(now);
        self.follow();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
        self.follow();
    }

    fn poll_event(&mut self) -> Option<LoginEvent> {
        self.event.take()
    }

    fn poll_output(&mut self) -> Option<Bytes> {
        self.client.poll_output()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout()
    }

    fn wants_input(&self) -> bool {
        self.client.wants_input()
    }

    fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { authorization, authentication, password: _ } => f
                .debug_struct("Password")
                .field("authorization", authorization)
                .field("authentication", authentication)
                .finish_non_exhaustive(),
            Self::Token { .. } => f.write_str("Token"),
        }
    }
}

/// Without what is to be said.
impl fmt::Debug for Say {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login(_) => "Login",
            Self::Name { .. } => "Name",
            Self::Password(_) => "Password",
            Self::Message(_) => "Message",
            Self::Nothing => "Nothing",
        })
    }
}

/// RFC 4954 §4: with its initial response AUTH stays within a command line of 512 octets, or the response waits. In base64
/// three octets are four.
const fn initial_octets_max(mechanism: &str) -> usize {
    (512 - "AUTH  \r\n".len() - mechanism.len()) / 4 * 3
}

/// RFC 7628 §3.2.3.
const OAUTHBEARER_FAILED: &[u8] = b"\x01";
/// Nothing, as those want it who have made XOAUTH2.
const XOAUTH2_FAILED: &[u8] = b"";
