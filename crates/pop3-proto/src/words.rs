//! The nouns of RFC 1939.

use crate::limits::UNIQUE_ID_OCTETS_MAX;
use std::fmt;
use std::num::NonZeroU32;

/// The number of a message in this session's maildrop (RFC 1939 §4): from 1, never reused in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageNumber(NonZeroU32);

/// What UIDL tells (RFC 1939 §7): 1 to 70 octets of `!` to `~`, the same in every session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueId(Box<str>);

/// Why a text is no unique-id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UniqueIdError;

/// A password or a message of a SASL mechanism: printed by nobody, overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl MessageNumber {
    /// From its number; there is no message 0.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Its number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for MessageNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl UniqueId {
    /// Checks the text.
    pub fn parse(text: &str) -> Result<Self, UniqueIdError> {
        let fits = !text.is_empty() && text.len() <= UNIQUE_ID_OCTETS_MAX && text.bytes().all(|c| c.is_ascii_graphic());
        if fits { Ok(Self(text.into())) } else { Err(UniqueIdError) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for UniqueIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a unique-id has 1 to {UNIQUE_ID_OCTETS_MAX} visible ASCII characters")
    }
}

impl std::error::Error for UniqueIdError {}

impl Secret {
    /// Takes the octets over.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Hands the octets over, and with them the duty to overwrite them.
    pub fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
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
