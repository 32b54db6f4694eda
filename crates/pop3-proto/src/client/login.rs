//! What a login is said with.

use super::{Capabilities, Closing};
use crate::command::encode_challenge;
use crate::limits::COMMAND_LINE_OCTETS_MAX;
use crate::words::Secret;

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// AUTH EXTERNAL (RFC 4422 App. A): who calls has proved by TLS who it is, and may act for others.
    External {
        /// As whom: the authorization identity.
        authorization: String,
    },
    /// A name and a password: AUTH PLAIN (RFC 4616, RFC 5034) where the server has it, else USER and PASS.
    Password {
        /// As whom, where it is not who authenticates: a master user acts for others. USER has no place for it.
        authorization: Option<String>,
        /// Whose the password is.
        authentication: String,
        /// The password, octet by octet as it goes out.
        password: Secret,
    },
    /// An access token that the server judges, in the words of each mechanism that has a place for it: the one that the server
    /// has is said, AUTH OAUTHBEARER (RFC 7628) rather than AUTH XOAUTH2.
    Token {
        /// The one message of OAUTHBEARER, before base64.
        oauthbearer: Secret,
        /// That of XOAUTH2.
        xoauth2: Secret,
    },
}

/// The commands of a login, with the ends of their lines.
pub(super) enum Road {
    /// AUTH with its initial response, which saves a round trip (RFC 5034 §4).
    Auth(Secret),
    /// AUTH whose response waits for a challenge.
    Challenge { command: String, response: Secret },
    /// USER and PASS (RFC 1939 §7).
    UserPass { user: String, pass: Secret },
}

impl Login {
    /// Whether it depends on what the server offers.
    pub(super) fn needs_capabilities(&self) -> bool {
        match self {
            Self::External { .. } => false,
            Self::Password { .. } | Self::Token { .. } => true,
        }
    }

    /// What is answered to a server that tells why a token is worth nothing before it says no; nothing where there is none to
    /// show.
    pub(super) fn on_failure(&self, known: &Capabilities) -> Option<&'static [u8]> {
        match self {
            Self::Token { .. } if known.sasl_oauthbearer => Some(OAUTHBEARER_FAILED),
            Self::Token { .. } if known.sasl_xoauth2 => Some(XOAUTH2_FAILED),
            Self::Token { .. } | Self::External { .. } | Self::Password { .. } => None,
        }
    }

    /// Or why this server has no way to be told it.
    pub(super) fn road(self, known: &Capabilities) -> Result<Road, Closing> {
        match self {
            Self::Token { oauthbearer, .. } if known.sasl_oauthbearer => {
                Ok(auth("OAUTHBEARER", &encode_challenge(oauthbearer.as_bytes())))
            }
            Self::Token { xoauth2, .. } if known.sasl_xoauth2 => {
                Ok(auth("XOAUTH2", &encode_challenge(xoauth2.as_bytes())))
            }
            // Others have passwords, for which there is a way.
            Self::Token { .. } if known.sasl_plain || known.user => Err(Closing::Unsayable),
            Self::Token { .. } => Err(Closing::NoLogin),
            // RFC 5034 §4: `=` is one of no octets.
            Self::External { authorization } if authorization.is_empty() => Ok(auth("EXTERNAL", "=")),
            Self::External { authorization } => Ok(auth("EXTERNAL", &encode_challenge(authorization.as_bytes()))),
            Self::Password { authorization, authentication, password } => {
                let (user, secret) = (authentication.as_bytes(), password.as_bytes());
                let act_as = authorization.as_deref().map(str::as_bytes);
                // RFC 4616 §2: NUL separates, and who had one in a name would be somebody else.
                if [act_as.unwrap_or_default(), user, secret].iter().any(|octets| octets.contains(&0)) {
                    return Err(Closing::Unsayable);
                }
                match act_as {
                    _ if known.sasl_plain => {
                        let message = Secret::new([act_as.unwrap_or_default(), user, secret].join(&0));
                        Ok(auth("PLAIN", &encode_challenge(message.as_bytes())))
                    }
                    None if known.user => user_pass(&authentication, secret).ok_or(Closing::Unsayable),
                    // Others have tokens.
                    None if known.sasl_oauthbearer || known.sasl_xoauth2 => Err(Closing::Unsayable),
                    Some(_) | None => Err(Closing::NoLogin),
                }
            }
        }
    }
}

fn auth(mechanism: &str, response: &str) -> Road {
    let line = Secret::new(format!("AUTH {mechanism} {response}\r\n").into_bytes());
    // RFC 5034 §4: what does not fit into a command's line waits for a challenge.
    if line.as_bytes().len() <= COMMAND_LINE_OCTETS_MAX {
        return Road::Auth(line);
    }
    let response = Secret::new(format!("{response}\r\n").into_bytes());
    Road::Challenge { command: format!("AUTH {mechanism}\r\n"), response }
}

/// Lines have no quotes: what would end one cannot be said, nor what is longer than one.
fn user_pass(user: &str, password: &[u8]) -> Option<Road> {
    let ends_lines = |octets: &[u8]| memchr::memchr2(b'\r', b'\n', octets).is_some();
    if ends_lines(user.as_bytes()) || ends_lines(password) {
        return None;
    }
    let user = format!("USER {user}\r\n");
    let pass = Secret::new([b"PASS ", password, b"\r\n"].concat());
    let fits = user.len().max(pass.as_bytes().len()) <= COMMAND_LINE_OCTETS_MAX;
    fits.then_some(Road::UserPass { user, pass })
}

/// RFC 7628 §3.2.3: one %x01, in base64.
const OAUTHBEARER_FAILED: &[u8] = b"AQ==\r\n";
/// Nothing, as those want it who have made XOAUTH2.
const XOAUTH2_FAILED: &[u8] = b"\r\n";
