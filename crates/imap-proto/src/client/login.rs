//! What a login is said with.

use super::{Capabilities, Closing};
use crate::command::Secret;
use crate::{LiteralMode, parse};
use std::collections::VecDeque;

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// AUTHENTICATE EXTERNAL (RFC 4422 App. A): who calls has proved by TLS who it is, and may act for others.
    External {
        /// As whom: the authorization identity.
        authorization: String,
    },
    /// A name and a password: AUTHENTICATE PLAIN (RFC 4616) where the server has it, else LOGIN (RFC 9051 §6.2.3).
    Password {
        /// As whom, where it is not who authenticates: a master user acts for others. LOGIN has no place for it.
        authorization: Option<String>,
        /// Whose the password is.
        authentication: String,
        /// The password, octet by octet as it goes out.
        password: Secret,
    },
    /// An access token that the server judges, in the words of each mechanism that has a place for it: the one that the server
    /// has is said, AUTHENTICATE OAUTHBEARER (RFC 7628) rather than AUTHENTICATE XOAUTH2.
    Token {
        /// The one message of OAUTHBEARER, before base64.
        oauthbearer: Secret,
        /// That of XOAUTH2.
        xoauth2: Secret,
    },
}

/// The octets of a command: the first part leaves at once, each of the others when the server asks for it by `+`.
pub(super) type Parts = VecDeque<Secret>;

/// What a login is said with.
pub(super) struct Said {
    pub(super) parts: Parts,
    /// What is answered, once, to a server that tells why the token is worth nothing before it says NO.
    pub(super) on_failure: Option<&'static [u8]>,
}

impl Login {
    /// Whether it depends on what the server offers.
    pub(super) fn needs_capabilities(&self) -> bool {
        match self {
            Self::External { .. } => false,
            Self::Password { .. } | Self::Token { .. } => true,
        }
    }

    /// Or why this server has no way to be told it.
    pub(super) fn said(self, tag: &str, known: &Capabilities) -> Result<Said, Closing> {
        let parts = match self {
            Self::Token { oauthbearer, .. } if known.auth_oauthbearer => {
                let parts = authenticate(tag, "OAUTHBEARER", oauthbearer.expose(), InitialResponse::of(known));
                return Ok(Said { parts, on_failure: Some(OAUTHBEARER_FAILED) });
            }
            Self::Token { xoauth2, .. } if known.auth_xoauth2 => {
                let parts = authenticate(tag, "XOAUTH2", xoauth2.expose(), InitialResponse::of(known));
                return Ok(Said { parts, on_failure: Some(XOAUTH2_FAILED) });
            }
            // Others have passwords, for which there is a way.
            Self::Token { .. } if known.auth_plain || !known.login_disabled => return Err(Closing::Unsayable),
            Self::Token { .. } => return Err(Closing::NoLogin),
            // Our own nodes take the initial response, and nobody asks them.
            Self::External { authorization } => {
                authenticate(tag, "EXTERNAL", authorization.as_bytes(), InitialResponse::Taken)
            }
            Self::Password { authorization, authentication, password } => {
                let (user, password) = (authentication.as_bytes(), password.expose());
                let act_as = authorization.as_deref().map(str::as_bytes);
                // RFC 4616 §2: NUL separates, and who had one in a name would be somebody else. LOGIN has none either.
                if [act_as.unwrap_or_default(), user, password].iter().any(|octets| octets.contains(&0)) {
                    return Err(Closing::Unsayable);
                }
                match act_as {
                    _ if known.auth_plain => {
                        let message = Secret::new([act_as.unwrap_or_default(), user, password].join(&0));
                        authenticate(tag, "PLAIN", message.expose(), InitialResponse::of(known))
                    }
                    None if !known.login_disabled => log_in(tag, user, password, known.literal_mode),
                    // Others have tokens.
                    None if known.auth_oauthbearer || known.auth_xoauth2 => return Err(Closing::Unsayable),
                    Some(_) | None => return Err(Closing::NoLogin),
                }
            }
        };
        Ok(Said { parts, on_failure: None })
    }
}

/// Whether AUTHENTICATE takes the response in its own line (RFC 4959).
enum InitialResponse {
    Taken,
    Unknown,
}

impl InitialResponse {
    fn of(known: &Capabilities) -> Self {
        if known.sasl_ir { Self::Taken } else { Self::Unknown }
    }
}

fn authenticate(tag: &str, mechanism: &str, response: &[u8], initial: InitialResponse) -> Parts {
    let response = parse::base64_challenge(response);
    let part = |text: &[&str]| Secret::new(text.concat().into_bytes());
    match initial {
        InitialResponse::Taken => {
            // RFC 4959 §3: `=` is one of no octets.
            let response = if response.is_empty() { "=" } else { &response };
            Parts::from([part(&[tag, " AUTHENTICATE ", mechanism, " ", response, "\r\n"])])
        }
        InitialResponse::Unknown => {
            Parts::from([part(&[tag, " AUTHENTICATE ", mechanism, "\r\n"]), part(&[&response, "\r\n"])])
        }
    }
}

fn log_in(tag: &str, user: &[u8], password: &[u8], mode: Option<LiteralMode>) -> Parts {
    let mut command = Command { parts: Parts::new(), line: format!("{tag} LOGIN ").into_bytes() };
    command.string(user, mode);
    command.line.push(b' ');
    command.string(password, mode);
    command.line.extend_from_slice(b"\r\n");
    command.end_part();
    command.parts
}

struct Command {
    parts: Parts,
    line: Vec<u8>,
}

impl Command {
    fn string(&mut self, octets: &[u8], mode: Option<LiteralMode>) {
        // RFC 9051 §4.3 has octets above 127 in quoted strings, RFC 3501 §4.3 has not.
        if octets.iter().all(|octet| matches!(octet, b' '..=b'~')) {
            return self.quoted(octets);
        }
        let waits = mode.is_none_or(|mode| u32::try_from(octets.len()).is_ok_and(|len| len > mode.octets_max()));
        let plus = if waits { "" } else { "+" };
        self.line.extend_from_slice(format!("{{{}{plus}}}\r\n", octets.len()).as_bytes());
        if waits {
            self.end_part();
        }
        self.line.extend_from_slice(octets);
    }

    fn quoted(&mut self, octets: &[u8]) {
        self.line.push(b'"');
        for octet in octets {
            if matches!(octet, b'"' | b'\\') {
                self.line.push(b'\\');
            }
            self.line.push(*octet);
        }
        self.line.push(b'"');
    }

    fn end_part(&mut self) {
        self.parts.push_back(Secret::new(std::mem::take(&mut self.line)));
    }
}

/// RFC 7628 §3.2.3: one %x01, in base64.
const OAUTHBEARER_FAILED: &[u8] = b"AQ==\r\n";
/// Nothing, as those want it who have made XOAUTH2.
const XOAUTH2_FAILED: &[u8] = b"\r\n";
