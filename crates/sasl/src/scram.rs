//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the server's side (RFC 5802, RFC 7677): a password is proved, and never said.
//!
//! ```text
//!  C: n,,n=user,r=nonce            ─▶ Claim ── whose keys? ─▶ the role looks them up (nobody's, where there are none)
//!  S: r=nonce+ours,s=salt,i=rounds ◀─ Claim::challenge(keys, our nonce) ─▶ Proof
//!  C: c=binding,r=nonce,p=proof    ─▶ wrong: the end, and nobody learns why
//!  S: v=signature                  ◀─ right: Farewell
//!  C: (empty)                      ─▶ who it is
//! ```
//! With -PLUS the client's proof covers octets that only the two ends of this TLS connection know (RFC 9266): whoever stands
//! between them with a certificate of his own gets nowhere.

mod keys;
mod message;
mod saslprep;

pub use keys::{SCRAM_ITERATIONS, SCRAM_ITERATIONS_MAX, SCRAM_SALT_OCTETS_MAX, ScramKeys, fake_salt};
pub use message::SCRAM_NONCE_OCTETS_MAX;

use crate::{Exchange, Failure, Step};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use message::{ClientFinal, ClientFirst, Flag};
use std::fmt;

/// Octets that only the two ends of one TLS connection know: `tls-exporter` of RFC 9266 §2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChannelBinding([u8; Self::OCTETS]);

/// Who an exchange says that the client is, without a password to show for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whom to act as, where the client named somebody.
    pub authorization: Option<String>,
    /// Who it is.
    pub authentication: String,
}

/// Which of the two mechanisms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    Bare,
    Plus,
}

/// A client has said who it wants to be. Its keys are to be looked up.
#[derive(Debug)]
pub struct Claim {
    identity: Identity,
    first: ClientFirst,
    binding: Option<ChannelBinding>,
}

/// Waits for the client's proof.
#[derive(Debug)]
pub struct Proof {
    identity: Identity,
    keys: ScramKeys,
    /// `client-first-message-bare "," server-first-message ","`, the beginning of what both ends sign.
    signed: String,
    nonce: String,
    /// What `c=` must be.
    binding: String,
}

/// The proof was right; waits for the client to have seen ours.
#[derive(Debug)]
pub struct Farewell(Identity);

/// Our half of a nonce, drawn for one exchange alone (RFC 5802 §5.1).
pub type ServerNonce = [u8; 18];

impl ChannelBinding {
    /// RFC 9266 §4.
    pub const OCTETS: usize = 32;
    /// RFC 9266 §2: what is exported, with an empty context.
    pub const EXPORTER_LABEL: &'static [u8] = b"EXPORTER-Channel-Binding";

    /// These were exported.
    pub const fn of_exporter(octets: [u8; Self::OCTETS]) -> Self {
        Self(octets)
    }
}

impl fmt::Debug for ChannelBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelBinding(…)")
    }
}

/// The client's first message. `binding` is there where -PLUS is offered.
pub(crate) fn first(variant: Variant, binding: Option<ChannelBinding>, message: &[u8]) -> Step {
    match claim(variant, binding, message) {
        Ok(claim) => Step::Scram(claim),
        Err(failure) => Step::Failed(failure),
    }
}

fn claim(variant: Variant, binding: Option<ChannelBinding>, message: &[u8]) -> Result<Claim, Failure> {
    let (first, identity) = ClientFirst::parse(message)?;
    let binding = match (&first.flag, variant, binding) {
        (Flag::NotSupported, Variant::Bare, _) | (Flag::NotOffered, Variant::Bare, None) => None,
        // RFC 5802 §6: we offered it, and the client did not see that. Somebody took it out of our list.
        (Flag::NotOffered, Variant::Bare, Some(_)) => return Err(Failure::Binding),
        (Flag::Used(kind), Variant::Plus, Some(binding)) if kind == "tls-exporter" => Some(binding),
        (Flag::Used(_), Variant::Plus, _) => return Err(Failure::Binding),
        (Flag::Used(_), Variant::Bare, _) | (Flag::NotSupported | Flag::NotOffered, Variant::Plus, _) => {
            return Err(Failure::Malformed);
        }
    };
    Ok(Claim { identity, first, binding })
}

impl Claim {
    /// Who the client wants to be.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Asks for the proof that the client has the password of these keys.
    pub fn challenge(self, keys: ScramKeys, nonce: &ServerNonce) -> Step {
        let Self { identity, first, binding } = self;
        // RFC 5802 §7: printable, without comma; so is base64.
        let nonce = format!("{}{}", first.nonce, BASE64.encode(nonce));
        let ours = format!("r={nonce},s={},i={}", BASE64.encode(keys.salt()), keys.iterations());
        let mut cbind_input = first.gs2_header.into_bytes();
        cbind_input.extend(binding.iter().flat_map(|binding| binding.0));
        let proof = Proof {
            identity,
            keys,
            signed: format!("{},{ours},", first.bare),
            nonce,
            binding: BASE64.encode(&cbind_input),
        };
        Step::Challenge { challenge: ours.into_bytes(), exchange: Exchange::ScramProof(Box::new(proof)) }
    }
}

impl Proof {
    pub(crate) fn step(self, message: &[u8]) -> Step {
        let last = match ClientFinal::parse(message) {
            Ok(last) => last,
            Err(failure) => return Step::Failed(failure),
        };
        let exchange = format!("{}{}", self.signed, last.without_proof);
        // RFC 5802 §5.1: all of it is checked, and nobody is told what was wrong.
        let whole = last.binding == self.binding && last.nonce == self.nonce;
        if !self.keys.prove(exchange.as_bytes(), &last.proof) || !whole {
            return Step::Unproved(self.identity);
        }
        let signature = self.keys.sign(exchange.as_bytes());
        let challenge = format!("v={}", BASE64.encode(signature.as_bytes())).into_bytes();
        Step::Challenge { challenge, exchange: Exchange::ScramFarewell(Farewell(self.identity)) }
    }
}

impl Farewell {
    pub(crate) fn step(self, message: &[u8]) -> Step {
        match message {
            [] => Step::Proved(self.0),
            _ => Step::Failed(Failure::Malformed),
        }
    }
}

#[cfg(test)]
mod tests;
