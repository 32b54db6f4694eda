//! Octets that nobody prints and that are overwritten when dropped.

use std::fmt;

/// Octets of a peer or of us that are not for logs: a SASL message, a decoded hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// A password in clear: not empty, without NUL, at most [`PASSWORD_OCTETS_MAX`] octets.
///
/// It is not promised to be UTF-8: old clients send what their users once typed in Latin-1 (PLAIN does promise it,
/// RFC 4616 §2, and its exchange checks).
#[derive(Clone)]
pub struct Password(Secret);

/// Why octets are no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// An empty password would be an anonymous bind at an LDAP server.
    #[error("an empty password is refused")]
    Empty,
    /// RFC 4616 §2: NUL separates, and C libraries end there.
    #[error("a password holds no NUL")]
    Nul,
    /// Over [`PASSWORD_OCTETS_MAX`].
    #[error("a password has at most {PASSWORD_OCTETS_MAX} octets")]
    TooLong,
}

/// RFC 4616 §2 asks for 255 at least; what hashing costs grows with it (SHA-crypt quadratically).
pub const PASSWORD_OCTETS_MAX: usize = 1024;

impl Secret {
    /// Takes the octets over.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the optimiser from leaving out a write that nobody reads.
        std::hint::black_box(&self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Password {
    /// Checks and takes the octets over. Refused octets are overwritten too.
    pub fn new(octets: Vec<u8>) -> Result<Self, PasswordError> {
        let secret = Secret(octets);
        match secret.as_bytes() {
            [] => Err(PasswordError::Empty),
            bytes if bytes.len() > PASSWORD_OCTETS_MAX => Err(PasswordError::TooLong),
            bytes if bytes.contains(&0) => Err(PasswordError::Nul),
            _ => Ok(Self(secret)),
        }
    }

    /// The octets, for hashing and for a back-end.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text, where it is UTF-8 (an LDAP bind and SQL need that).
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_password() {
        assert_eq!(Password::new(Vec::new()).err(), Some(PasswordError::Empty));
        assert_eq!(Password::new(b"a\0b".to_vec()).err(), Some(PasswordError::Nul));
        assert_eq!(Password::new(vec![b'x'; PASSWORD_OCTETS_MAX + 1]).err(), Some(PasswordError::TooLong));
        assert!(Password::new(vec![b'x'; PASSWORD_OCTETS_MAX]).is_ok());
    }

    #[test]
    fn latin_1_is_a_password_but_no_text() {
        let password = Password::new(b"caf\xe9".to_vec()).unwrap();
        assert_eq!(password.as_bytes(), b"caf\xe9");
        assert_eq!(password.as_str(), None);
    }

    #[test]
    fn debug_of_a_secret_says_nothing() {
        assert_eq!(format!("{:?}", Secret::new(b"hunter2".to_vec())), "Secret(…)");
    }
}
