//! Nodes that share a secret: all have one key, and take none but that.

use super::{Configs, SECRET_OCTETS_MIN};
use crate::tls::{TlsError, provider, read, tickets};
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use std::path::Path;
use std::sync::Arc;

pub(super) fn configs(path: &Path) -> Result<Configs, TlsError> {
    let secret = read(path)?;
    let secret = secret.trim_ascii_end();
    if secret.len() < SECRET_OCTETS_MIN {
        return Err(TlsError::ShortSecret { path: path.to_owned() });
    }
    Ok(of_secret(secret))
}

/// Everything follows from the secret; only randomness and time are added to it.
fn of_secret(secret: &[u8]) -> Configs {
    let key = derive(secret);
    let pair = KeyPair::try_from(&key).expect("any 32 octets are a key of Ed25519 (RFC 8032 §5.1.5)");
    let certificate = CertificateParams::new(vec![NAME.to_owned()]).and_then(|params| params.self_signed(&pair));
    let chain = vec![certificate.expect("a name and a key make a certificate").der().clone()];
    let member = Arc::new(Member::with_key_of(chain.first().expect("the one above")));

    let server = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]);
    let server = server.expect("aws-lc-rs has cipher suites for TLS 1.3");
    let server = server.with_client_cert_verifier(Arc::clone(&member) as Arc<dyn ClientCertVerifier>);
    let server = server.with_single_cert(chain.clone(), PrivateKeyDer::Pkcs8(key.clone_key()));
    let mut server = server.expect("the certificate is of this key");
    tickets(&mut server);

    let client = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]);
    let client = client.expect("aws-lc-rs has cipher suites for TLS 1.3");
    let client = client.dangerous().with_custom_certificate_verifier(member);
    let client =
        client.with_client_auth_cert(chain, PrivateKeyDer::Pkcs8(key)).expect("the certificate is of this key");
    Configs { server, client }
}

/// HKDF with SHA-256 (RFC 5869) gives the 32 octets of an Ed25519 key, here in its form of RFC 8410 §7.
fn derive(secret: &[u8]) -> PrivatePkcs8KeyDer<'static> {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().expect("it is one of TLS 1.3");
    let expander = suite.hkdf_provider.extract_from_secret(Some(SALT), secret);
    let mut seed = [0; 32];
    expander.expand_slice(&[INFO], &mut seed).expect("HKDF gives up to 255 times as much");
    PrivatePkcs8KeyDer::from([PKCS8_OF_ED25519, &seed].concat())
}

/// Takes a peer that has the cluster's key. What else its certificate says is of no interest: with the key, anything can be
/// said. The key that is compared is public, so the time that it takes tells nothing.
#[derive(Debug)]
struct Member {
    key: SubjectPublicKeyInfoDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Member {
    fn with_key_of(certificate: &CertificateDer<'_>) -> Self {
        let parsed = ParsedCertificate::try_from(certificate).expect("we have just made it");
        Self { key: parsed.subject_public_key_info(), algorithms: provider().signature_verification_algorithms }
    }

    fn verify_key(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        if ParsedCertificate::try_from(certificate)?.subject_public_key_info() == self.key {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    /// With our own copy of the key, whatever was shown.
    fn verify_signature(
        &self,
        message: &[u8],
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(message, &self.key, signed, &self.algorithms)
    }
}

/// Never asked: only TLS 1.3 is offered.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
}

impl ServerCertVerifier for Member {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify_key(certificate).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for Member {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify_key(certificate).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// HKDF's salt: what the secret is used for.
const SALT: &[u8] = b"posthouse cluster-tls 1";
/// HKDF's info: what comes of it.
const INFO: &[u8] = b"ed25519 key";
/// PKCS #8 around the 32 octets of a private key of Ed25519 (RFC 8410 §7).
const PKCS8_OF_ED25519: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// The name in the certificate, which nobody reads.
const NAME: &str = "posthouse.invalid";

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::PublicKeyData;

    /// The way from secret to key is a format: nodes of two versions must come to the same. The figures are those of
    /// another implementation of HKDF and Ed25519.
    #[test]
    fn a_secret_gives_a_known_key() {
        let key = derive(b"0123456789abcdef0123456789abcdef");
        let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
        assert_eq!(
            hex(key.secret_pkcs8_der().get(16..).unwrap()),
            "0dd7c256c5f231c1d5ed6596c3f2e1cbb1c522602e293bae379087f5255debee"
        );
        let pair = KeyPair::try_from(&key).unwrap();
        assert_eq!(hex(pair.der_bytes()), "403975c058e9f1a31f9495b13c63ae7d35513c326e8c8961afecff80bfc23e83");
    }
}
