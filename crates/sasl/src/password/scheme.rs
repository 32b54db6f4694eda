//! What stands between the braces, and how the value behind them is encoded.

use super::StoredPasswordError;
use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// How a password is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Plain,
    Argon2id,
    Argon2i,
    Sha512Crypt,
    Sha256Crypt,
    BlfCrypt,
    Crypt,
    Sha,
    Sha256,
    Sha512,
    Ssha,
    Ssha256,
    Ssha512,
    ScramSha256,
}

/// How the value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// The scheme's own: text, or base64 for the plain digests.
    Own,
    Base64,
    Hex,
}

/// Names as Dovecot has them; the first one of a scheme is what we write.
const NAMES: [(&str, Scheme); 17] = [
    ("PLAIN", Scheme::Plain),
    ("CLEAR", Scheme::Plain),
    ("CLEARTEXT", Scheme::Plain),
    ("ARGON2ID", Scheme::Argon2id),
    ("ARGON2I", Scheme::Argon2i),
    ("SHA512-CRYPT", Scheme::Sha512Crypt),
    ("SHA256-CRYPT", Scheme::Sha256Crypt),
    ("BLF-CRYPT", Scheme::BlfCrypt),
    ("CRYPT", Scheme::Crypt),
    ("SHA", Scheme::Sha),
    ("SHA1", Scheme::Sha),
    ("SHA256", Scheme::Sha256),
    ("SHA512", Scheme::Sha512),
    ("SSHA", Scheme::Ssha),
    ("SSHA256", Scheme::Ssha256),
    ("SSHA512", Scheme::Ssha512),
    ("SCRAM-SHA-256", Scheme::ScramSha256),
];

/// An unknown name goes into an error; what is longer than this is no name but perhaps a password with braces.
const LABEL_OCTETS_MAX: usize = 32;

/// Many writers leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

impl Scheme {
    /// Reads `NAME` or `NAME.encoding`, in any case.
    pub(super) fn parse_label(label: &str) -> Result<(Self, Encoding), StoredPasswordError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if label.is_empty() || label.len() > LABEL_OCTETS_MAX || !label.chars().all(is_name) {
            return Err(StoredPasswordError::NoScheme);
        }
        let (name, encoding) = match label.split_once('.') {
            Some((name, suffix)) => (name, Encoding::parse_suffix(suffix)?),
            None => (label, Encoding::Own),
        };
        NAMES
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, scheme)| (scheme, encoding))
            .ok_or_else(|| StoredPasswordError::UnknownScheme(name.to_ascii_uppercase()))
    }

    /// The name that we write.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Argon2id => "ARGON2ID",
            Self::Argon2i => "ARGON2I",
            Self::Sha512Crypt => "SHA512-CRYPT",
            Self::Sha256Crypt => "SHA256-CRYPT",
            Self::BlfCrypt => "BLF-CRYPT",
            Self::Crypt => "CRYPT",
            Self::Sha => "SHA",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
            Self::Ssha => "SSHA",
            Self::Ssha256 => "SSHA256",
            Self::Ssha512 => "SSHA512",
            Self::ScramSha256 => "SCRAM-SHA-256",
        }
    }
}

impl Encoding {
    fn parse_suffix(suffix: &str) -> Result<Self, StoredPasswordError> {
        match suffix.to_ascii_lowercase().as_str() {
            "b64" | "base64" => Ok(Self::Base64),
            "hex" => Ok(Self::Hex),
            other => Err(StoredPasswordError::UnknownEncoding(other.to_owned())),
        }
    }

    /// What stands behind the scheme's name.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Own => "",
            Self::Base64 => ".b64",
            Self::Hex => ".hex",
        }
    }

    /// The octets of a value whose own form is text.
    pub(super) fn decode_text(self, value: &str) -> Option<Vec<u8>> {
        match self {
            Self::Own => Some(value.as_bytes().to_vec()),
            Self::Base64 => BASE64.decode(value).ok(),
            Self::Hex => decode_hex(value),
        }
    }

    /// The octets of a value whose own form is base64.
    pub(super) fn decode_octets(self, value: &str) -> Option<Vec<u8>> {
        match self {
            Self::Own | Self::Base64 => BASE64.decode(value).ok(),
            Self::Hex => decode_hex(value),
        }
    }
}

pub(super) fn encode_base64(octets: &[u8]) -> String {
    BASE64.encode(octets)
}

pub(super) fn encode_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

pub(super) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
