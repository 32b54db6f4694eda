//! A session whose state nobody knows.

use bytes::Bytes;
use ports::Track;

/// Follows nothing, so nothing is ever said into the session.
pub(super) struct Unwatched;

impl Track for Unwatched {
    fn from_client(&mut self, _octets: &[u8]) {}

    fn from_backend(&mut self, _octets: &[u8]) {}

    fn may_speak(&self) -> bool {
        false
    }

    fn farewell(&self) -> Bytes {
        Bytes::new()
    }
}
