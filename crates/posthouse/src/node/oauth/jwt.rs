//! Tokens that speak for themselves: a header, claims and a signature over both (RFC 7515 §7.1, RFC 7519, RFC 9068).

use super::Refusal;
use super::jwk::{Algorithm, Key};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sasl::Secret;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;

/// A token whose header was read. It has proved nothing yet.
pub(super) struct Jwt<'t> {
    pub(super) algorithm: Algorithm,
    /// The key that it says to be signed with.
    pub(super) key_id: Option<String>,
    /// What the signature is over.
    signed: &'t [u8],
    claims: &'t [u8],
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

impl<'t> Jwt<'t> {
    pub(super) fn parse(token: &'t Secret) -> Result<Self, Refusal> {
        let refused = |why: String| Refusal(why);
        let foreign = || refused("it is no signed JWT".to_owned());
        let token = token.as_bytes();
        let mut parts = token.split(|octet| *octet == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(foreign());
        };
        let signed = token.get(..header.len() + 1 + claims.len()).ok_or_else(foreign)?;
        let header = decoded(header).and_then(|json| serde_json::from_slice::<Header>(&json).ok());
        let Header { alg, kid, typ, crit } = header.ok_or_else(foreign)?;
        let signature = decoded(signature).ok_or_else(foreign)?;
        // RFC 7515 §4.1.11: what must be understood, we do not.
        if crit.is_some() {
            return Err(refused("its header has crit".to_owned()));
        }
        // RFC 8725 §3.11: what is signed for another purpose is no access token. Many issuers say no more than JWT.
        let typ = typ.map(|typ| typ.to_ascii_lowercase());
        if typ.as_ref().is_some_and(|typ| !TYPES.contains(&typ.as_str())) {
            return Err(refused("its typ is not that of an access token".to_owned()));
        }
        let algorithm = Algorithm::named(&alg).ok_or_else(|| {
            refused(format!("its alg is not taken: {}", alg.escape_debug().take(ALG_SHOWN_MAX).collect::<String>()))
        })?;
        Ok(Self { algorithm, key_id: kid, signed, claims, signature })
    }

    /// What it says, if one of these keys has signed it.
    pub(super) fn claims(&self, keys: &[Arc<Key>]) -> Result<Map<String, Value>, Refusal> {
        if !keys.iter().any(|key| key.has_signed(self.algorithm, self.signed, &self.signature)) {
            return Err(Refusal("its signature is not its issuer's".to_owned()));
        }
        let claims = decoded(self.claims).and_then(|json| serde_json::from_slice(&json).ok());
        claims.ok_or_else(|| Refusal("its claims are no JSON object".to_owned()))
    }
}

fn decoded(part: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

/// RFC 9068 §2.1, with its long form, and what came before it.
const TYPES: [&str; 3] = ["at+jwt", "application/at+jwt", "jwt"];
/// Of an algorithm that nobody knows, in the log.
const ALG_SHOWN_MAX: usize = 20;
