//! The client's two messages (RFC 5802 §7).

use super::Identity;
use super::keys::KEY_OCTETS;
use crate::Failure;
use crate::gs2::saslname;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A client's half of a nonce. RFC 5802 names no limit; clients send about 24 octets.
pub const SCRAM_NONCE_OCTETS_MAX: usize = 256;

/// Whether the client binds the exchange to the channel (`gs2-cbind-flag`).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flag {
    /// `n`: it cannot.
    NotSupported,
    /// `y`: it could, and thinks that we cannot.
    NotOffered,
    /// `p=`: by this kind of binding.
    Used(String),
}

#[derive(Debug)]
pub(super) struct ClientFirst {
    pub(super) flag: Flag,
    /// With the comma at its end.
    pub(super) gs2_header: String,
    /// What follows it.
    pub(super) bare: String,
    pub(super) nonce: String,
}

pub(super) struct ClientFinal<'m> {
    /// In base64, as it was sent.
    pub(super) binding: &'m str,
    pub(super) nonce: &'m str,
    pub(super) without_proof: &'m str,
    pub(super) proof: [u8; KEY_OCTETS],
}

impl ClientFirst {
    /// `gs2-cbind-flag "," [ authzid ] "," username "," nonce ["," extensions]`
    pub(super) fn parse(message: &[u8]) -> Result<(Self, Identity), Failure> {
        let text = std::str::from_utf8(message).map_err(|_| Failure::Malformed)?;
        let mut fields = text.splitn(3, ',');
        let (Some(flag), Some(authzid), Some(bare)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(Failure::Malformed);
        };
        let flag = match flag.strip_prefix("p=") {
            Some(kind) if !kind.is_empty() => Flag::Used(kind.to_owned()),
            None if flag == "n" => Flag::NotSupported,
            None if flag == "y" => Flag::NotOffered,
            Some(_) | None => return Err(Failure::Malformed),
        };
        let authorization = match authzid.strip_prefix("a=") {
            Some(name) => Some(saslname(name)?),
            None if authzid.is_empty() => None,
            None => return Err(Failure::Malformed),
        };
        // RFC 5802 §5.1: `m=` in the place of the name is an extension that we do not know, and must refuse.
        let mut fields = bare.split(',');
        let name = fields.next().and_then(|field| field.strip_prefix("n=")).ok_or(Failure::Malformed)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(Failure::Malformed)?;
        if nonce.is_empty() || nonce.len() > SCRAM_NONCE_OCTETS_MAX || !nonce.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(Failure::Malformed);
        }
        let identity = Identity { authorization, authentication: saslname(name)? };
        let gs2_header = text.strip_suffix(bare).unwrap_or_default().to_owned();
        Ok((Self { flag, gs2_header, bare: bare.to_owned(), nonce: nonce.to_owned() }, identity))
    }
}

impl<'m> ClientFinal<'m> {
    /// `channel-binding "," nonce ["," extensions] "," proof`
    pub(super) fn parse(message: &'m [u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| Failure::Malformed)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Failure::Malformed)?;
        let proof = BASE64.decode(proof).ok().and_then(|proof| proof.try_into().ok()).ok_or(Failure::Malformed)?;
        let mut fields = without_proof.split(',');
        let binding = fields.next().and_then(|field| field.strip_prefix("c=")).ok_or(Failure::Malformed)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(Failure::Malformed)?;
        Ok(Self { binding, nonce, without_proof, proof })
    }
}
