//! Passwords as they are stored: `{SCHEME}value`, the form that Dovecot, LDAP (RFC 2307 §5.3) and others write.
//!
//! ```text
//!  {SSHA512.b64}c2VjcmV0…         name  ─▶ Scheme      (aliases: CLEARTEXT, SHA1, …)
//!   └─name─┘ └enc┘ └value┘        enc   ─▶ Encoding    (.b64 .base64 .hex, or the scheme's own)
//!                                 value ─▶ Verifier    (checked against the limits: whatever parses can be verified)
//! ```

mod scheme;
mod verifier;

use crate::{Password, SCRAM_ITERATIONS, ScramKeys, Secret};
use hmac::{Hmac, KeyInit, Mac};
use scheme::{Encoding, Scheme};
use sha2::Sha256;
use std::fmt;
use verifier::Verifier;

pub use verifier::{
    ARGON2_LANES_MAX, ARGON2_MEMORY_KIB_MAX, ARGON2_PASSES_MAX, BCRYPT_COST_MAX, SALT_OCTETS_MAX, SHA_CRYPT_ROUNDS_MAX,
    SaltError,
};

/// A stored password: what it takes to tell whether a password is the right one.
///
/// Display writes it as it is stored; Debug names the scheme only.
#[derive(Clone)]
pub struct StoredPassword {
    scheme: Scheme,
    encoding: Encoding,
    verifier: Verifier,
}

/// A password together with the stored one that it fits: two of them are alike only where both are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

/// Why a stored text is of no use. The texts are for operators and name no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredPasswordError {
    /// It does not begin with `{…}`.
    #[error("a stored password begins with its scheme in braces, such as {{ARGON2ID}}")]
    NoScheme,
    /// A scheme that we do not know.
    #[error("unknown password scheme {{{0}}}")]
    UnknownScheme(String),
    /// An encoding that we do not know, behind the scheme's dot.
    #[error("unknown encoding of a stored password: .{0} (known: .b64, .hex)")]
    UnknownEncoding(String),
    /// A `{CRYPT}` value of a kind that we do not know: DES, MD5, or a locked account.
    #[error("{{CRYPT}} is understood for $2a$, $2b$, $2y$, $5$ and $6$ only")]
    UnknownCrypt,
    /// The value is not one of its scheme.
    #[error("not a value of the scheme {{{0}}}")]
    Malformed(&'static str),
    /// Checking it would take more memory or time than we give.
    #[error("a value of the scheme {{{0}}} that asks for more than {1}")]
    TooCostly(&'static str, String),
    /// Over [`STORED_OCTETS_MAX`].
    #[error("a stored password has at most {STORED_OCTETS_MAX} octets")]
    TooLong,
}

/// Longer than any value of any scheme here, with a password of the greatest length in hexadecimal.
pub const STORED_OCTETS_MAX: usize = 4096;

impl StoredPassword {
    /// Reads `{SCHEME}value`.
    pub fn parse(text: &str) -> Result<Self, StoredPasswordError> {
        if text.len() > STORED_OCTETS_MAX {
            return Err(StoredPasswordError::TooLong);
        }
        let (label, value) =
            text.strip_prefix('{').and_then(|rest| rest.split_once('}')).ok_or(StoredPasswordError::NoScheme)?;
        let (scheme, encoding) = Scheme::parse_label(label)?;
        let verifier = Verifier::parse(scheme, encoding, value)?;
        Ok(Self { scheme, encoding, verifier })
    }

    /// A new stored password, hashed with Argon2id (RFC 9106) under this salt of 8 to 48 random octets. Costly.
    pub fn hash_argon2id(password: &Password, salt: &[u8]) -> Result<Self, SaltError> {
        let verifier = Verifier::hash_argon2id(password, salt)?;
        Ok(Self { scheme: Scheme::Argon2id, encoding: Encoding::Own, verifier })
    }

    /// Keys of SCRAM-SHA-256, under this salt of random octets: another way to store a password, beside its hash. Costly.
    /// None where the password cannot be said in SCRAM, which forbids control characters and their like.
    pub fn scram(password: &Password, salt: &[u8]) -> Option<Self> {
        let keys = ScramKeys::derive(password, salt, SCRAM_ITERATIONS)?;
        Some(Self { scheme: Scheme::ScramSha256, encoding: Encoding::Own, verifier: Verifier::Scram(keys) })
    }

    /// A password stored in clear, for tests and for whoever must.
    pub fn plain(password: Password) -> Self {
        // Text that is not UTF-8 can be stored as hexadecimal only.
        let encoding = if password.as_str().is_some() { Encoding::Own } else { Encoding::Hex };
        Self { scheme: Scheme::Plain, encoding, verifier: Verifier::Plain(password) }
    }

    /// Whether this is the password. Where [`StoredPassword::is_costly`], call it on a blocking pool.
    pub fn verify(&self, password: &Password) -> bool {
        self.verifier.verify(password)
    }

    /// What this and a password are recognised by, under a secret key (HMAC-SHA-256). Cheap: whoever has the key can guess at
    /// speed, so neither it nor this is kept anywhere.
    pub fn fingerprint(&self, key: &Secret, password: &Password) -> Fingerprint {
        let stored = Secret::new(self.to_string().into_bytes());
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
        // A stored password holds no NUL: it is text of one line.
        for part in [stored.as_bytes(), b"\0", password.as_bytes()] {
            mac.update(part);
        }
        Fingerprint(mac.finalize().into_bytes().into())
    }

    /// Whether checking takes milliseconds to seconds by design.
    pub fn is_costly(&self) -> bool {
        self.verifier.is_costly()
    }

    /// The scheme's name, such as `ARGON2ID`.
    pub fn scheme_name(&self) -> &'static str {
        self.scheme.name()
    }

    /// The password itself where it is stored in clear: SCRAM keys can be derived from it.
    pub fn clear(&self) -> Option<&Password> {
        self.verifier.clear()
    }

    /// The keys of SCRAM, where it is stored as such.
    pub fn scram_keys(&self) -> Option<&ScramKeys> {
        self.verifier.scram_keys()
    }
}

impl fmt::Display for StoredPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}{}}}", self.scheme.name(), self.encoding.suffix())?;
        self.verifier.write_value(self.encoding, f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(…)")
    }
}

impl fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredPassword({{{}}}…)", self.scheme.name())
    }
}

#[cfg(test)]
mod tests;
