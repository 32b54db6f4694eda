//! A stored value, checked: from here on verifying cannot fail, nor take more than the limits.

use super::StoredPasswordError;
use super::scheme::{Encoding, Scheme, decode_hex, encode_base64, encode_hex};
use crate::{Password, ScramKeys, Secret};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use sha_crypt::ShaCrypt;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use std::fmt;
use subtle::ConstantTimeEq;

/// Memory that checking one hash may take: 256 MiB. Dovecot writes 64 MiB, RFC 9106 §4's first choice of 2 GiB is not
/// for a server that many log in to.
pub const ARGON2_MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Passes over that memory.
pub const ARGON2_PASSES_MAX: u32 = 20;
/// Lanes; we compute them one after the other.
pub const ARGON2_LANES_MAX: u32 = 64;
/// About half a second of one core.
pub const SHA_CRYPT_ROUNDS_MAX: u32 = 1_000_000;
/// About three seconds of one core; each step doubles it.
pub const BCRYPT_COST_MAX: u32 = 15;
/// Salt behind the digest of `{SSHA…}`.
pub const SALT_OCTETS_MAX: usize = 64;

/// What we write: OWASP's second choice for Argon2id, about 30 ms, and 19 MiB for each login at a time.
const OUR_MEMORY_KIB: u32 = 19 * 1024;
const OUR_PASSES: u32 = 2;
const OUR_LANES: u32 = 1;
const OUR_OUTPUT_OCTETS: usize = 32;

/// Why a salt is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a salt of Argon2 has 8 to 48 octets")]
pub struct SaltError;

#[derive(Clone)]
pub(super) enum Verifier {
    Plain(Password),
    Digest { hash: Hash, digest: Secret, salt: Vec<u8> },
    Argon2(Phc),
    ShaCrypt(Phc),
    Bcrypt(Phc),
    Scram(ScramKeys),
}

/// A value that is text and was seen to be well-formed and within the limits.
#[derive(Clone)]
pub(super) struct Phc(Secret);

#[derive(Clone, Copy)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

impl Verifier {
    pub(super) fn parse(scheme: Scheme, encoding: Encoding, value: &str) -> Result<Self, StoredPasswordError> {
        let malformed = StoredPasswordError::Malformed(scheme.name());
        match scheme {
            Scheme::Plain => encoding
                .decode_text(value)
                .and_then(|octets| Password::new(octets).ok())
                .map(Self::Plain)
                .ok_or(malformed),
            Scheme::Sha => digest(Hash::Sha1, Salted::No, encoding, value).ok_or(malformed),
            Scheme::Sha256 => digest(Hash::Sha256, Salted::No, encoding, value).ok_or(malformed),
            Scheme::Sha512 => digest(Hash::Sha512, Salted::No, encoding, value).ok_or(malformed),
            Scheme::Ssha => digest(Hash::Sha1, Salted::Yes, encoding, value).ok_or(malformed),
            Scheme::Ssha256 => digest(Hash::Sha256, Salted::Yes, encoding, value).ok_or(malformed),
            Scheme::Ssha512 => digest(Hash::Sha512, Salted::Yes, encoding, value).ok_or(malformed),
            Scheme::Argon2id => argon2_value(scheme, "argon2id", Phc::decode(scheme, encoding, value)?),
            Scheme::Argon2i => argon2_value(scheme, "argon2i", Phc::decode(scheme, encoding, value)?),
            Scheme::Sha512Crypt => sha_crypt_value(scheme, "$6$", Phc::decode(scheme, encoding, value)?),
            Scheme::Sha256Crypt => sha_crypt_value(scheme, "$5$", Phc::decode(scheme, encoding, value)?),
            Scheme::BlfCrypt => bcrypt_value(scheme, Phc::decode(scheme, encoding, value)?),
            Scheme::Crypt => crypt_value(Phc::decode(scheme, encoding, value)?),
            Scheme::ScramSha256 => scram_value(scheme, encoding, value),
        }
    }

    pub(super) fn hash_argon2id(password: &Password, salt: &[u8]) -> Result<Self, SaltError> {
        let params = Params::new(OUR_MEMORY_KIB, OUR_PASSES, OUR_LANES, Some(OUR_OUTPUT_OCTETS))
            .expect("our own parameters are within Argon2's");
        let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_with_salt(password.as_bytes(), salt)
            .map_err(|_| SaltError)?;
        Ok(Self::Argon2(Phc(Secret::new(hash.to_string().into_bytes()))))
    }

    pub(super) fn verify(&self, password: &Password) -> bool {
        let clear = password.as_bytes();
        match self {
            // Comparing digests hides the length as well.
            Self::Plain(stored) => {
                bool::from(Sha256::digest(stored.as_bytes()).as_slice().ct_eq(Sha256::digest(clear).as_slice()))
            }
            Self::Digest { hash, digest, salt } => bool::from(hash.of(clear, salt).as_bytes().ct_eq(digest.as_bytes())),
            Self::Argon2(phc) => PasswordHash::new(phc.as_str())
                .is_ok_and(|hash| Argon2::default().verify_password(clear, &hash).is_ok()),
            Self::ShaCrypt(phc) => ShaCrypt::default().verify_password(clear, phc.as_str()).is_ok(),
            Self::Bcrypt(phc) => bcrypt::verify(clear, phc.as_str()).unwrap_or(false),
            Self::Scram(keys) => keys.fit(password),
        }
    }

    pub(super) fn is_costly(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Digest { .. } => false,
            Self::Argon2(_) | Self::ShaCrypt(_) | Self::Bcrypt(_) | Self::Scram(_) => true,
        }
    }

    pub(super) fn clear(&self) -> Option<&Password> {
        match self {
            Self::Plain(password) => Some(password),
            Self::Digest { .. } | Self::Argon2(_) | Self::ShaCrypt(_) | Self::Bcrypt(_) | Self::Scram(_) => None,
        }
    }

    pub(super) fn scram_keys(&self) -> Option<&ScramKeys> {
        match self {
            Self::Scram(keys) => Some(keys),
            Self::Plain(_) | Self::Digest { .. } | Self::Argon2(_) | Self::ShaCrypt(_) | Self::Bcrypt(_) => None,
        }
    }

    /// What stands behind the braces.
    pub(super) fn write_value(&self, encoding: Encoding, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(password) => write_text(password.as_bytes(), encoding, f),
            Self::Argon2(phc) | Self::ShaCrypt(phc) | Self::Bcrypt(phc) => write_text(phc.0.as_bytes(), encoding, f),
            // Read with its own encoding only.
            Self::Scram(keys) => keys.write(f),
            Self::Digest { digest, salt, .. } => {
                let octets = [digest.as_bytes(), salt].concat();
                match encoding {
                    Encoding::Own | Encoding::Base64 => f.write_str(&encode_base64(&octets)),
                    Encoding::Hex => f.write_str(&encode_hex(&octets)),
                }
            }
        }
    }
}

fn write_text(octets: &[u8], encoding: Encoding, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match encoding {
        Encoding::Own => f.write_str(&String::from_utf8_lossy(octets)),
        Encoding::Base64 => f.write_str(&encode_base64(octets)),
        Encoding::Hex => f.write_str(&encode_hex(octets)),
    }
}

impl Phc {
    fn decode(scheme: Scheme, encoding: Encoding, value: &str) -> Result<Self, StoredPasswordError> {
        let octets = encoding.decode_text(value).filter(|octets| octets.is_ascii());
        octets.map(|octets| Self(Secret::new(octets))).ok_or(StoredPasswordError::Malformed(scheme.name()))
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.0.as_bytes()).expect("decode takes ASCII only")
    }
}

impl Hash {
    fn octets(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn of(self, password: &[u8], salt: &[u8]) -> Secret {
        Secret::new(match self {
            Self::Sha1 => digest_of::<Sha1>(password, salt),
            Self::Sha256 => digest_of::<Sha256>(password, salt),
            Self::Sha512 => digest_of::<Sha512>(password, salt),
        })
    }
}

fn digest_of<D: Digest>(password: &[u8], salt: &[u8]) -> Vec<u8> {
    D::new().chain_update(password).chain_update(salt).finalize().to_vec()
}

#[derive(Clone, Copy, PartialEq)]
enum Salted {
    Yes,
    No,
}

/// `{SHA…}` is base64(digest), `{SSHA…}` base64(digest, salt) (RFC 2307 §5.3).
fn digest(hash: Hash, salted: Salted, encoding: Encoding, value: &str) -> Option<Verifier> {
    // As Dovecot does: a value of just twice the digest's length is hexadecimal even where nothing says so.
    let hex = || (encoding == Encoding::Own && value.len() == 2 * hash.octets()).then(|| decode_hex(value)).flatten();
    let octets = Secret::new(hex().filter(|_| salted == Salted::No).or_else(|| encoding.decode_octets(value))?);
    let (digest, salt) = octets.as_bytes().split_at_checked(hash.octets())?;
    let salt_fits = match salted {
        Salted::Yes => !salt.is_empty() && salt.len() <= SALT_OCTETS_MAX,
        Salted::No => salt.is_empty(),
    };
    salt_fits.then(|| Verifier::Digest { hash, digest: Secret::new(digest.to_vec()), salt: salt.to_vec() })
}

fn argon2_value(scheme: Scheme, ident: &str, phc: Phc) -> Result<Verifier, StoredPasswordError> {
    let malformed = StoredPasswordError::Malformed(scheme.name());
    let Ok(hash) = PasswordHash::new(phc.as_str()) else { return Err(malformed) };
    let Ok(params) = Params::try_from(&hash) else { return Err(malformed) };
    let version_known = hash.version.is_none_or(|version| Version::try_from(version).is_ok());
    if hash.algorithm.as_str() != ident || !version_known || hash.salt.is_none() || hash.hash.is_none() {
        return Err(malformed);
    }
    let too_costly = |limit: String| Err(StoredPasswordError::TooCostly(scheme.name(), limit));
    if params.m_cost() > ARGON2_MEMORY_KIB_MAX {
        return too_costly(format!("m={ARGON2_MEMORY_KIB_MAX}"));
    }
    if params.t_cost() > ARGON2_PASSES_MAX {
        return too_costly(format!("t={ARGON2_PASSES_MAX}"));
    }
    if params.p_cost() > ARGON2_LANES_MAX {
        return too_costly(format!("p={ARGON2_LANES_MAX}"));
    }
    Ok(Verifier::Argon2(phc))
}

/// `$6$[rounds=N$]salt$hash`.
fn sha_crypt_value(scheme: Scheme, prefix: &str, phc: Phc) -> Result<Verifier, StoredPasswordError> {
    let malformed = StoredPasswordError::Malformed(scheme.name());
    let Some(rest) = phc.as_str().strip_prefix(prefix) else { return Err(malformed) };
    let mut fields = rest.split('$').peekable();
    if let Some(rounds) = fields.next_if(|field| field.starts_with("rounds=")) {
        let rounds = rounds.strip_prefix("rounds=").and_then(|digits| digits.parse::<u32>().ok());
        match rounds {
            Some(rounds) if rounds > SHA_CRYPT_ROUNDS_MAX => {
                return Err(StoredPasswordError::TooCostly(scheme.name(), format!("rounds={SHA_CRYPT_ROUNDS_MAX}")));
            }
            Some(rounds) if rounds >= sha_crypt::Params::ROUNDS_MIN => {}
            Some(_) | None => return Err(malformed),
        }
    }
    let hash_octets = if prefix == "$6$" { SHA512_CRYPT_HASH_OCTETS } else { SHA256_CRYPT_HASH_OCTETS };
    let is_crypt64 = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'/'));
    match (fields.next(), fields.next(), fields.next()) {
        (Some(salt), Some(hash), None)
            if !salt.is_empty()
                && salt.len() <= SALT_OCTETS_MAX
                && is_crypt64(salt)
                && is_crypt64(hash)
                && hash.len() == hash_octets =>
        {
            Ok(Verifier::ShaCrypt(phc))
        }
        _ => Err(malformed),
    }
}

const SHA512_CRYPT_HASH_OCTETS: usize = 86;
const SHA256_CRYPT_HASH_OCTETS: usize = 43;

/// `$2y$NN$` and 53 octets. `$2x$` marks hashes of a faulty implementation, which nobody here computes.
fn bcrypt_value(scheme: Scheme, phc: Phc) -> Result<Verifier, StoredPasswordError> {
    let parts = phc.as_str().parse::<bcrypt::HashParts>();
    match parts {
        Ok(_) if phc.as_str().starts_with("$2x$") => Err(StoredPasswordError::Malformed(scheme.name())),
        Ok(parts) if parts.get_cost() > BCRYPT_COST_MAX => {
            Err(StoredPasswordError::TooCostly(scheme.name(), format!("cost {BCRYPT_COST_MAX}")))
        }
        Ok(parts) if parts.get_cost() >= BCRYPT_COST_MIN => Ok(Verifier::Bcrypt(phc)),
        Ok(_) | Err(_) => Err(StoredPasswordError::Malformed(scheme.name())),
    }
}

const BCRYPT_COST_MIN: u32 = 4;

fn scram_value(scheme: Scheme, encoding: Encoding, value: &str) -> Result<Verifier, StoredPasswordError> {
    match ScramKeys::parse(value).filter(|_| encoding == Encoding::Own) {
        Some(Ok(keys)) => Ok(Verifier::Scram(keys)),
        Some(Err(limit)) => Err(StoredPasswordError::TooCostly(scheme.name(), limit)),
        None => Err(StoredPasswordError::Malformed(scheme.name())),
    }
}

fn crypt_value(phc: Phc) -> Result<Verifier, StoredPasswordError> {
    let text = phc.as_str();
    if text.starts_with("$6$") {
        sha_crypt_value(Scheme::Crypt, "$6$", phc)
    } else if text.starts_with("$5$") {
        sha_crypt_value(Scheme::Crypt, "$5$", phc)
    } else if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
        bcrypt_value(Scheme::Crypt, phc)
    } else {
        Err(StoredPasswordError::UnknownCrypt)
    }
}
