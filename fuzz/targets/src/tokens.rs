//! Access tokens, and the keys that they are signed with.

/// The program's own files, which are private there.
#[path = "../../../crates/posthouse/src/node/oauth/jwk.rs"]
mod jwk;
#[path = "../../../crates/posthouse/src/node/oauth/jwt.rs"]
mod jwt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwk::Key;
use jwt::Jwt;
use sasl::Secret;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Why a token is refused; what those files expect around them.
struct Refusal(String);

/// A line with a set of keys, a line with a header, and claims; or a whole token in place of those two. A token is worth
/// something by a signature over all of it alone, and what we sign as an issuer would is read as it was written.
pub fn access_token(data: &[u8]) {
    let (set, token) = split(data);
    let keys: Vec<Arc<Key>> = jwk::keys(set).unwrap_or_default().into_iter().map(Arc::new).collect();
    judge(token, &keys);

    let (header, claims) = split(token);
    let Ok(issuer) = Ed25519KeyPair::from_seed_unchecked(&[7; 32]) else { panic!("a seed is 32 octets") };
    let own =
        json!({"keys": [{"kid": "one", "kty": "OKP", "crv": "Ed25519", "x": coded(issuer.public_key().as_ref())}]});
    let Some(own) = jwk::keys(own.to_string().as_bytes()) else { panic!("a set of keys") };
    let own: Vec<Arc<Key>> = own.into_iter().map(Arc::new).collect();
    let signed = format!("{}.{}", coded(header), coded(claims));
    let token = format!("{signed}.{}", coded(issuer.sign(signed.as_bytes()).as_ref()));
    if let Some((signs, read)) = judge(token.as_bytes(), &own) {
        let written = serde_json::from_slice::<Map<String, Value>>(claims).ok();
        assert_eq!(read, written.filter(|_| signs), "{token}");
    }
}

/// Whether one of the keys signs in this way, and what the token says; nothing where its header is not taken.
fn judge(token: &[u8], keys: &[Arc<Key>]) -> Option<(bool, Option<Map<String, Value>>)> {
    let secret = Secret::new(token.to_vec());
    let jwt = match Jwt::parse(&secret) {
        Ok(jwt) => jwt,
        Err(Refusal(why)) => {
            assert!(why.len() <= WHY_MAX, "{why}");
            return None;
        }
    };
    assert!(jwt.key_id.as_ref().is_none_or(|id| id.len() <= token.len()));
    assert!(jwt.claims(&[]).is_err(), "nobody has signed it");
    let is_named = |key: &&Arc<Key>| jwt.key_id.is_none() || key.id == jwt.key_id;
    let fitting: Vec<Arc<Key>> = keys.iter().filter(is_named).filter(|key| key.fits(jwt.algorithm)).cloned().collect();
    let claims = jwt.claims(&fitting).ok();
    if claims.is_some() {
        assert!(!fitting.is_empty());
        // Of the claims or of the signature, whichever the last letter is of; its lowest bits may say nothing.
        for at in [token.len() / 2, token.len() - 2] {
            let mut forged = token.to_vec();
            let Some(letter) = forged.get_mut(at).filter(|letter| **letter != b'.') else { continue };
            *letter = if *letter == b'A' { b'B' } else { b'A' };
            let forged = Secret::new(forged);
            assert!(Jwt::parse(&forged).map_or(true, |forged| forged.claims(&fitting).is_err()), "a forgery");
        }
    }
    Some((!fitting.is_empty(), claims))
}

/// At the first line feed.
fn split(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.iter().position(|octet| *octet == b'\n').unwrap_or(data.len());
    let (line, rest) = data.split_at(at);
    (line, rest.get(1..).unwrap_or_default())
}

fn coded(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// It goes into the log, whatever a stranger has sent.
const WHY_MAX: usize = 300;
