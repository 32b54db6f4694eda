//! The doors of the relay: who may come in, and who is counted.

use net::Network;
use ports::{Peer, Protocol};
use relay::{Gate, Guest};
use smtp_proto::{Dialect, Refusal};
use std::sync::Arc;

/// Who may come in to the relay.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) dialect: Dialect,
    /// Beside this machine.
    pub(super) trusted: Arc<[Network]>,
    pub(super) gate: Arc<Gate>,
}

impl Door {
    pub(super) fn protocol(&self) -> Protocol {
        match self.dialect {
            Dialect::Smtp => Protocol::Smtp,
            Dialect::Lmtp => Protocol::Lmtp,
        }
    }

    /// By SMTP everybody may come in, and is counted unless he is trusted; by LMTP nobody else may.
    pub(super) fn admit(&self, peer: &Peer) -> Result<Option<Guest>, Refusal> {
        let address = peer.address.ip().to_canonical();
        let is_trusted = address.is_loopback() || self.trusted.iter().any(|network| network.contains(address));
        match self.dialect {
            Dialect::Smtp | Dialect::Lmtp if is_trusted => Ok(None),
            Dialect::Smtp => self.gate.admit(address).map(Some),
            Dialect::Lmtp => {
                tracing::warn!(listener = "lmtp", peer = %peer.address, "refused: not in lmtp_from");
                Err(NOT_TRUSTED)
            }
        }
    }
}

/// RFC 5321 §3.1: 554 in the place of the greeting.
const NOT_TRUSTED: Refusal = Refusal::of(554, (5, 7, 1), "LMTP is not for you");
