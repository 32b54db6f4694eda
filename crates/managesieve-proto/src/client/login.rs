//! What a login is said with.

use super::{Capabilities, Closing};
use crate::command::encode;
use crate::limits::QUOTED_OCTETS_MAX;
use crate::words::Secret;

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// A name and a password, said by AUTHENTICATE "PLAIN" (RFC 4616).
    Password {
        /// As whom, where it is not who authenticates: a master user acts for others.
        authorization: Option<String>,
        /// Whose the password is.
        authentication: String,
        /// The password, octet by octet as it goes out.
        password: Secret,
    },
    /// An access token that the server judges, in the words of each mechanism that has a place for it: the one that the server
    /// has is said, AUTHENTICATE "OAUTHBEARER" (RFC 7628) rather than AUTHENTICATE "XOAUTH2".
    Token {
        /// The one message of OAUTHBEARER, before base64.
        oauthbearer: Secret,
        /// That of XOAUTH2.
        xoauth2: Secret,
    },
}

/// What a login is said with.
pub(super) struct Said {
    /// The command with its initial response (RFC 5804 §2.1), which every server takes.
    pub(super) command: Secret,
    /// What is answered, once, to a server that tells why the token is worth nothing before it says NO.
    pub(super) on_failure: Option<&'static [u8]>,
}

impl Login {
    /// Or why this server has no way to be told it.
    pub(super) fn said(self, told: &Capabilities) -> Result<Said, Closing> {
        match self {
            // Others have tokens.
            Self::Password { authorization: None, .. }
                if !told.sasl_plain && (told.sasl_oauthbearer || told.sasl_xoauth2) =>
            {
                Err(Closing::Unsayable)
            }
            Self::Password { .. } if !told.sasl_plain => Err(Closing::NoLogin),
            Self::Password { authorization, authentication, password } => {
                let act_as = authorization.as_deref().unwrap_or_default().as_bytes();
                let parts = [act_as, authentication.as_bytes(), password.as_bytes()];
                // RFC 4616 §2: NUL separates, and who had one in a name would be somebody else.
                if parts.iter().any(|octets| octets.contains(&0)) {
                    return Err(Closing::Unsayable);
                }
                Ok(Said { command: authenticate("PLAIN", &Secret::new(parts.join(&0))), on_failure: None })
            }
            Self::Token { oauthbearer, .. } if told.sasl_oauthbearer => {
                Ok(Said { command: authenticate("OAUTHBEARER", &oauthbearer), on_failure: Some(OAUTHBEARER_FAILED) })
            }
            Self::Token { xoauth2, .. } if told.sasl_xoauth2 => {
                Ok(Said { command: authenticate("XOAUTH2", &xoauth2), on_failure: Some(XOAUTH2_FAILED) })
            }
            // Others have passwords, for which there is a way.
            Self::Token { .. } if told.sasl_plain => Err(Closing::Unsayable),
            Self::Token { .. } => Err(Closing::NoLogin),
        }
    }
}

fn authenticate(mechanism: &str, message: &Secret) -> Secret {
    let message = Secret::new(encode(message.as_bytes()).into_bytes());
    let octets = message.as_bytes();
    // RFC 5804 §4: what a quoted string does not hold is a literal, for which a client need not wait.
    let (before, behind) = if octets.len() <= QUOTED_OCTETS_MAX {
        (format!("AUTHENTICATE \"{mechanism}\" \""), &b"\"\r\n"[..])
    } else {
        (format!("AUTHENTICATE \"{mechanism}\" {{{}+}}\r\n", octets.len()), &b"\r\n"[..])
    };
    Secret::new([before.as_bytes(), octets, behind].concat())
}

/// RFC 7628 §3.2.3: one %x01, in base64.
const OAUTHBEARER_FAILED: &[u8] = b"\"AQ==\"\r\n";
/// Nothing, as those want it who have made XOAUTH2.
const XOAUTH2_FAILED: &[u8] = b"\"\"\r\n";
