//! An issuer's public keys (RFC 7517), and what they have signed (RFC 7518 §3).

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, EcdsaVerificationAlgorithm, RsaParameters, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

/// A key that signs tokens.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) id: Option<String>,
    /// The one way in which it signs, where it has only one.
    algorithm: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    Curve { name: &'static str, point: Vec<u8> },
}

/// How a token is signed: by a key that only its issuer has. With what a secret of both signs (`HS256`), and with nothing at
/// all (`none`), anybody could who knows no more than we do.
#[derive(Clone, Copy)]
pub(super) struct Algorithm {
    name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Rsa(&'static RsaParameters),
    Ecdsa(&'static str, &'static EcdsaVerificationAlgorithm),
    Edwards,
}

/// A key as an issuer writes it.
#[derive(Deserialize)]
struct Written {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct WrittenSet {
    keys: Vec<Value>,
}

/// The keys of a set that sign in a way that we know (RFC 7517 §5: "ignore" the others); nothing where it is no set.
pub(super) fn keys(set: &[u8]) -> Option<Vec<Key>> {
    let set: WrittenSet = serde_json::from_slice(set).ok()?;
    let read = |written| serde_json::from_value(written).ok().and_then(key);
    Some(set.keys.into_iter().filter_map(read).take(KEY_COUNT_MAX).collect())
}

fn key(written: Written) -> Option<Key> {
    let is_for_signatures = written.usage.as_deref().is_none_or(|usage| usage == "sig");
    let verifies = written.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|one| one == "verify"));
    if !is_for_signatures || !verifies {
        return None;
    }
    let material = match written.kty.as_str() {
        "RSA" => Material::Rsa { modulus: number(written.n.as_deref()?)?, exponent: number(written.e.as_deref()?)? },
        "EC" => {
            let (name, octets) = CURVES.into_iter().find(|(name, _)| written.crv.as_deref() == Some(name))?;
            let (x, y) = (decoded(written.x.as_deref()?)?, decoded(written.y.as_deref()?)?);
            // RFC 7518 §6.2.1.2: with its leading zeros.
            if x.len() != octets || y.len() != octets {
                return None;
            }
            // SEC 1 §2.3.3: both coordinates, as they are.
            Material::Curve { name, point: [&[4], &x[..], &y[..]].concat() }
        }
        "OKP" if written.crv.as_deref() == Some(ED25519) => {
            let point = decoded(written.x.as_deref()?)?;
            Material::Curve { name: ED25519, point }
        }
        _ => return None,
    };
    Some(Key { id: written.kid, algorithm: written.alg, material })
}

impl Key {
    /// Whether it signs in this way.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        let is_told = self.algorithm.as_ref().is_none_or(|own| own == algorithm.name);
        is_told
            && match (&self.material, algorithm.kind) {
                (Material::Rsa { .. }, Kind::Rsa(_)) => true,
                (Material::Curve { name, .. }, Kind::Ecdsa(curve, _)) => *name == curve,
                (Material::Curve { name, .. }, Kind::Edwards) => *name == ED25519,
                (Material::Rsa { .. }, Kind::Ecdsa(..) | Kind::Edwards) | (Material::Curve { .. }, Kind::Rsa(_)) => {
                    false
                }
            }
    }

    /// Whether it has made this signature. Keys that are too weak have made none: of RSA less than 2048 bits.
    pub(super) fn has_signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let verified = match (&self.material, algorithm.kind) {
            (Material::Rsa { modulus, exponent }, Kind::Rsa(parameters)) => {
                PublicKeyComponents { n: modulus, e: exponent }.verify(parameters, message, signature)
            }
            (Material::Curve { point, .. }, Kind::Ecdsa(_, how)) => {
                UnparsedPublicKey::new(how, point).verify(message, signature)
            }
            (Material::Curve { point, .. }, Kind::Edwards) => {
                UnparsedPublicKey::new(&signature::ED25519, point).verify(message, signature)
            }
            (Material::Rsa { .. }, Kind::Ecdsa(..) | Kind::Edwards) | (Material::Curve { .. }, Kind::Rsa(_)) => {
                return false;
            }
        };
        verified.is_ok()
    }
}

impl Algorithm {
    /// By the name that a token gives it (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2).
    pub(super) fn named(name: &str) -> Option<Self> {
        ALGORITHMS.into_iter().find(|algorithm| algorithm.name == name)
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// RFC 7518 §2, Base64urlUInt. It has no leading zeros; some issuers wrote one.
fn number(text: &str) -> Option<Vec<u8>> {
    let octets = decoded(text)?;
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    octets.get(zeros..).map(<[u8]>::to_vec)
}

const P256: &str = "P-256";
const P384: &str = "P-384";
const P521: &str = "P-521";
const ED25519: &str = "Ed25519";
/// Curves of ECDSA, and the octets of a coordinate.
const CURVES: [(&str, usize); 3] = [(P256, 32), (P384, 48), (P521, 66)];
const ALGORITHMS: [Algorithm; 11] = [
    Algorithm { name: "RS256", kind: Kind::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256) },
    Algorithm { name: "RS384", kind: Kind::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384) },
    Algorithm { name: "RS512", kind: Kind::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512) },
    Algorithm { name: "PS256", kind: Kind::Rsa(&signature::RSA_PSS_2048_8192_SHA256) },
    Algorithm { name: "PS384", kind: Kind::Rsa(&signature::RSA_PSS_2048_8192_SHA384) },
    Algorithm { name: "PS512", kind: Kind::Rsa(&signature::RSA_PSS_2048_8192_SHA512) },
    Algorithm { name: "ES256", kind: Kind::Ecdsa(P256, &signature::ECDSA_P256_SHA256_FIXED) },
    Algorithm { name: "ES384", kind: Kind::Ecdsa(P384, &signature::ECDSA_P384_SHA384_FIXED) },
    Algorithm { name: "ES512", kind: Kind::Ecdsa(P521, &signature::ECDSA_P521_SHA512_FIXED) },
    Algorithm { name: "EdDSA", kind: Kind::Edwards },
    Algorithm { name: "Ed25519", kind: Kind::Edwards },
];
/// Of one set: two or three are usual, some issuers have twenty.
const KEY_COUNT_MAX: usize = 100;
