//! What a login is said with.

use crate::command::encode;
use crate::limits::QUOTED_OCTETS_MAX;
use crate::words::Secret;

/// A name and a password, said by AUTHENTICATE "PLAIN" (RFC 4616).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// As whom, where it is not who authenticates: a master user acts for others.
    pub authorization: Option<String>,
    /// Whose the password is.
    pub authentication: String,
    /// The password, octet by octet as it goes out.
    pub password: Secret,
}

impl Login {
    /// The command with its initial response (RFC 5804 §2.1), which every server takes. Nothing where it cannot be said.
    pub(super) fn command(self) -> Option<Secret> {
        let Self { authorization, authentication, password } = self;
        let act_as = authorization.as_deref().unwrap_or_default().as_bytes();
        let parts = [act_as, authentication.as_bytes(), password.as_bytes()];
        // RFC 4616 §2: NUL separates, and who had one in a name would be somebody else.
        if parts.iter().any(|octets| octets.contains(&0)) {
            return None;
        }
        let message = Secret::new(parts.join(&0));
        let message = Secret::new(encode(message.as_bytes()).into_bytes());
        let octets = message.as_bytes();
        // RFC 5804 §4: what a quoted string does not hold is a literal, for which a client need not wait.
        let line = if octets.len() <= QUOTED_OCTETS_MAX {
            [b"AUTHENTICATE \"PLAIN\" \"", octets, b"\"\r\n"].concat()
        } else {
            let count = format!("AUTHENTICATE \"PLAIN\" {{{}+}}\r\n", octets.len());
            [count.as_bytes(), octets, b"\r\n"].concat()
        };
        Some(Secret::new(line))
    }
}
