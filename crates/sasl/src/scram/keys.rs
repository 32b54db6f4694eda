//! What a server keeps of a password for SCRAM (RFC 5802 §3): enough to recognise its owner, too little to be him.

use super::saslprep::saslprep;
use crate::{Password, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// The salt, and what is derived with it. Nothing prints the keys but [`ScramKeys::write`], for the store of passwords.
#[derive(Clone)]
pub struct ScramKeys {
    iterations: u32,
    salt: Vec<u8>,
    stored: Secret,
    server: Secret,
}

/// Rounds of the keys that we make. RFC 7677 §4 asks for 4096 at least; a thief of the keys pays for each of them, and so
/// does a client at its login, about a tenth of a second on a telephone.
pub const SCRAM_ITERATIONS: u32 = 100_000;
/// Rounds of keys that others made: about three seconds of one core, where a password in clear is checked against them.
pub const SCRAM_ITERATIONS_MAX: u32 = 5_000_000;
/// Salt of keys that others made.
pub const SCRAM_SALT_OCTETS_MAX: usize = 64;
/// Of SHA-256.
pub(super) const KEY_OCTETS: usize = 32;

impl ScramKeys {
    /// Derives keys. Costly. None where the password holds what RFC 4013 forbids: no client could say it.
    pub fn derive(password: &Password, salt: &[u8], iterations: u32) -> Option<Self> {
        let prepared = saslprep(password.as_str()?)?;
        let salted = salted_password(prepared.as_bytes(), salt, iterations);
        let stored = Secret::new(Sha256::digest(hmac(&salted, b"Client Key").as_bytes()).to_vec());
        Some(Self { iterations, salt: salt.to_vec(), stored, server: hmac(&salted, b"Server Key") })
    }

    /// Nobody's: an exchange with them looks like any other and never succeeds. No octets that anybody knows have the
    /// digest zero.
    pub fn nobodys(salt: &[u8], iterations: u32) -> Self {
        let zero = || Secret::new(vec![0; KEY_OCTETS]);
        Self { iterations, salt: salt.to_vec(), stored: zero(), server: zero() }
    }

    /// With the same salt and rounds, but nobody's: of somebody who may not log in.
    #[must_use]
    pub fn barred(&self) -> Self {
        Self::nobodys(&self.salt, self.iterations)
    }

    /// Reads `iterations,salt,StoredKey,ServerKey`, the last three in base64, as Dovecot writes it. `Err` names a limit.
    pub(crate) fn parse(value: &str) -> Option<Result<Self, String>> {
        let mut fields = value.split(',');
        let (iterations, salt) = (fields.next()?.parse::<u32>().ok()?, BASE64.decode(fields.next()?).ok()?);
        let mut key = || Some(Secret::new(BASE64.decode(fields.next()?).ok()?)).filter(is_key);
        let (stored, server) = (key()?, key()?);
        if fields.next().is_some() || iterations == 0 || salt.is_empty() || salt.len() > SCRAM_SALT_OCTETS_MAX {
            return None;
        }
        if iterations > SCRAM_ITERATIONS_MAX {
            return Some(Err(format!("{SCRAM_ITERATIONS_MAX} iterations")));
        }
        Some(Ok(Self { iterations, salt, stored, server }))
    }

    /// Writes what [`ScramKeys::parse`] reads.
    pub(crate) fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] =
            [&*self.salt, self.stored.as_bytes(), self.server.as_bytes()].map(|octets| BASE64.encode(octets));
        write!(f, "{},{salt},{stored},{server}", self.iterations)
    }

    /// Whether the keys are of this password. Costly.
    pub(crate) fn fit(&self, password: &Password) -> bool {
        let theirs = Self::derive(password, &self.salt, self.iterations);
        theirs.is_some_and(|theirs| bool::from(theirs.stored.as_bytes().ct_eq(self.stored.as_bytes())))
    }

    /// How often the hash is applied.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// The salt, which a client is told.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// RFC 5802 §3: whether a proof over this exchange is made with the key whose digest we keep.
    pub(super) fn prove(&self, exchange: &[u8], proof: &[u8; KEY_OCTETS]) -> bool {
        let signature = hmac(&self.stored, exchange);
        let client_key = signature.as_bytes().iter().zip(proof).map(|(ours, theirs)| ours ^ theirs);
        let client_key = Secret::new(client_key.collect());
        bool::from(Sha256::digest(client_key.as_bytes()).as_slice().ct_eq(self.stored.as_bytes()))
    }

    /// What shows the client that we have its keys.
    pub(super) fn sign(&self, exchange: &[u8]) -> Secret {
        hmac(&self.server, exchange)
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// The salt that a name is told that has no keys: always the same for one name, and without `key` like any other.
pub fn fake_salt(key: &Secret, name: &str) -> [u8; 16] {
    let digest = hmac(key, name.as_bytes());
    let mut salt = [0; 16];
    salt.iter_mut().zip(digest.as_bytes()).for_each(|(into, octet)| *into = *octet);
    salt
}

/// RFC 5802 §2.2: `Hi(str, salt, i)`.
fn salted_password(prepared: &[u8], salt: &[u8], iterations: u32) -> Secret {
    let mut salted = [0; KEY_OCTETS];
    pbkdf2::pbkdf2_hmac::<Sha256>(prepared, salt, iterations, &mut salted);
    let secret = Secret::new(salted.to_vec());
    salted.fill(0);
    std::hint::black_box(&salted);
    secret
}

pub(super) fn hmac(key: &Secret, text: &[u8]) -> Secret {
    let keyed = Hmac::<Sha256>::new_from_slice(key.as_bytes());
    let mac = keyed.expect("HMAC takes a key of any length").chain_update(text);
    Secret::new(mac.finalize().into_bytes().to_vec())
}

fn is_key(key: &Secret) -> bool {
    key.as_bytes().len() == KEY_OCTETS
}
