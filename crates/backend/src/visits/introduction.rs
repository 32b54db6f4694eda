//! Where a visitor comes from, in the words that Dovecot's login processes have for it.

use crate::foreign::{Introducing, Protocol};
use ports::{Clock, Peer};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a back-end is told.
#[derive(Clone, Debug)]
pub(super) struct Introduction {
    how: Introducing,
    peer: Peer,
    session: String,
    ttl: u8,
}

/// Names visits, for the back-end's log and ours.
#[derive(Default)]
pub(super) struct SessionIds(AtomicU64);

impl SessionIds {
    /// One that was not given before, nor by a process that ran before.
    pub(super) fn next(&self, clock: &dyn Clock) -> String {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        format!("{:x}-{number:x}", clock.now().secs())
    }
}

impl Introduction {
    pub(super) fn new(how: Introducing, peer: Peer, session: String, ttl: u8) -> Self {
        Self { how, peer, session, ttl }
    }

    /// The fields of IMAP's ID; none where the back-end is not told.
    pub(super) fn id(&self) -> Vec<(&'static str, String)> {
        let Peer { address: client, local, .. } = self.peer;
        match self.how {
            Introducing::Nobody | Introducing::ByXclient => Vec::new(),
            Introducing::ById => vec![
                ("x-originating-ip", client.ip().to_canonical().to_string()),
                ("x-originating-port", client.port().to_string()),
                ("x-connected-ip", local.ip().to_canonical().to_string()),
                ("x-connected-port", local.port().to_string()),
                ("x-session-id", self.session.clone()),
                ("x-proxy-ttl", self.ttl.to_string()),
            ],
        }
    }

    /// The name of the session, where the back-end is told it by this protocol (by IMAP unless it does not have ID).
    pub(super) fn session(&self, protocol: Protocol) -> Option<String> {
        let is_told = match (self.how, protocol) {
            (Introducing::ById, Protocol::Imap) | (Introducing::ById | Introducing::ByXclient, Protocol::Pop3) => true,
            (Introducing::ById | Introducing::ByXclient | Introducing::Nobody, _) => false,
        };
        is_told.then(|| self.session.clone())
    }

    /// The arguments of POP3's XCLIENT.
    pub(super) fn xclient(&self) -> Option<String> {
        let Self { how, peer, session, ttl } = self;
        let (client, port) = (peer.address.ip().to_canonical(), peer.address.port());
        match how {
            Introducing::Nobody => None,
            Introducing::ById | Introducing::ByXclient => {
                Some(format!("ADDR={client} PORT={port} SESSION={session} TTL={ttl}"))
            }
        }
    }
}
