//! The trackers of the protocols, in the driver's words.

use bytes::Bytes;
use ports::Track;

/// An IMAP session.
#[derive(Default)]
pub(crate) struct ImapTrack(imap_proto::track::Track);

/// A POP3 session.
#[derive(Default)]
pub(crate) struct Pop3Track(pop3_proto::Track);

/// A ManageSieve session.
#[derive(Default)]
pub(crate) struct SieveTrack(managesieve_proto::Track);

/// A submission session.
#[derive(Default)]
pub(crate) struct SubmissionTrack(smtp_proto::track::Track);

impl Track for SubmissionTrack {
    fn from_client(&mut self, octets: &[u8]) {
        self.0.client_said(octets);
    }

    fn from_backend(&mut self, octets: &[u8]) {
        self.0.server_said(octets);
    }

    fn may_speak(&self) -> bool {
        self.0.may_speak()
    }

    fn farewell(&self) -> Bytes {
        Bytes::from_static(self.0.farewell())
    }
}

impl Track for ImapTrack {
    fn from_client(&mut self, octets: &[u8]) {
        self.0.client_said(octets);
    }

    fn from_backend(&mut self, octets: &[u8]) {
        self.0.backend_said(octets);
    }

    fn opaque(&self) -> u64 {
        self.0.backend_opaque()
    }

    fn skipped(&mut self, octets: u64) {
        self.0.backend_skipped(octets);
    }

    fn may_speak(&self) -> bool {
        self.0.may_speak()
    }

    fn farewell(&self) -> Bytes {
        Bytes::from_static(self.0.farewell())
    }
}

impl Track for Pop3Track {
    fn from_client(&mut self, octets: &[u8]) {
        self.0.client_said(octets);
    }

    fn from_backend(&mut self, octets: &[u8]) {
        self.0.backend_said(octets);
    }

    fn may_speak(&self) -> bool {
        self.0.may_speak()
    }

    /// RFC 1939 has no word that comes unasked.
    fn farewell(&self) -> Bytes {
        Bytes::new()
    }
}

impl Track for SieveTrack {
    fn from_client(&mut self, octets: &[u8]) {
        self.0.client_said(octets);
    }

    fn from_backend(&mut self, octets: &[u8]) {
        self.0.backend_said(octets);
    }

    fn may_speak(&self) -> bool {
        self.0.may_speak()
    }

    /// RFC 5804 §1.2: also in place of the answer to a command that waits.
    fn farewell(&self) -> Bytes {
        if self.0.may_be_told() { managesieve_proto::Refusal::LOST.encode_bye().into() } else { Bytes::new() }
    }
}
