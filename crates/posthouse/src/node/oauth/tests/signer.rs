//! Issuers' keys, made for the moment.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Gives a signature.
type Sign = dyn Fn(&[u8]) -> Vec<u8>;

pub(super) struct Signer {
    pub(super) algorithm: &'static str,
    /// As the issuer publishes it.
    pub(super) public: Value,
    id: &'static str,
    sign: Box<Sign>,
}

impl Signer {
    pub(super) fn rsa(id: &'static str, algorithm: &'static str, encoding: &'static dyn RsaEncoding) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
        let (n, e) = (encoded(n.big_endian_without_leading_zero()), encoded(e.big_endian_without_leading_zero()));
        let public = json!({"kty": "RSA", "kid": id, "use": "sig", "n": n, "e": e});
        let sign = move |message: &[u8]| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), message, &mut signature).expect("signed");
            signature
        };
        Self { algorithm, public, id, sign: Box::new(sign) }
    }

    pub(super) fn ecdsa(
        id: &'static str,
        algorithm: &'static str,
        curve: &str,
        how: &'static EcdsaSigningAlgorithm,
    ) -> Self {
        let pair = EcdsaKeyPair::generate(how).expect("a key");
        let point = &pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        let public = json!({"kty": "EC", "crv": curve, "kid": id, "alg": algorithm, "x": encoded(x), "y": encoded(y)});
        let sign = move |message: &[u8]| pair.sign(&SystemRandom::new(), message).expect("signed").as_ref().to_vec();
        Self { algorithm, public, id, sign: Box::new(sign) }
    }

    pub(super) fn ed25519(id: &'static str, algorithm: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key");
        let x = encoded(pair.public_key().as_ref());
        let public = json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "key_ops": ["verify"], "x": x});
        Self { algorithm, public, id, sign: Box::new(move |message| pair.sign(message).as_ref().to_vec()) }
    }

    /// The same, published with another field.
    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        self.public[name] = value;
        self
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({"alg": self.algorithm, "kid": self.id, "typ": "at+jwt"}), claims)
    }

    pub(super) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        format!("{message}.{}", encoded((self.sign)(message.as_bytes())))
    }
}

/// Signed with what everybody knows, as if it were a secret.
pub(super) fn hmac(secret: &str, header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message.as_bytes());
    format!("{message}.{}", encoded(tag))
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()))
}

fn encoded(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}
