//! Certificates of a server, and which of them a client is shown.
//!
//! ```text
//!   ClientHello: server_name ─▶ the certificates that hold it ─▶ those for `*.` and the rest of it ─▶ the first of all
//!                               and of these the first whose key the client can check (ECDSA beside RSA)
//! ```

use super::{TlsError, provider, read};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, SignatureScheme};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A certificate in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM: the chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// PEM: its key, not encrypted.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// The names for which a client is shown it; none where it holds addresses only, or is of the old days.
    pub fn names(&self) -> Result<Vec<Box<str>>, TlsError> {
        Ok(names(&self.read()?))
    }

    /// Reads both.
    pub(super) fn read(&self) -> Result<CertifiedKey, TlsError> {
        let Self { certificate, key } = self;
        let misfit = |source| TlsError::of_pair(certificate, key, source);
        CertifiedKey::from_der(certificates(certificate)?, private_key(key)?, &provider()).map_err(misfit)
    }
}

/// Chooses by the name that a client asks for (RFC 6066 §3).
#[derive(Debug)]
pub(super) struct ByName {
    /// For who asks for no name, or for one that none holds: a client that insists finds out by itself.
    first: Arc<CertifiedKey>,
    /// By the names that they hold, in lower case.
    named: BTreeMap<Box<str>, Vec<Arc<CertifiedKey>>>,
}

impl ByName {
    /// The first of them is for all others.
    pub(super) fn of(first: CertifiedKey, others: Vec<CertifiedKey>) -> Self {
        let first = Arc::new(first);
        let mut named: BTreeMap<Box<str>, Vec<Arc<CertifiedKey>>> = BTreeMap::new();
        for shown in std::iter::once(Arc::clone(&first)).chain(others.into_iter().map(Arc::new)) {
            for name in names(&shown) {
                named.entry(name).or_default().push(Arc::clone(&shown));
            }
        }
        Self { first, named }
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Arc<CertifiedKey> {
        let fitting = |name: &str| {
            let shown = self.named.get(name)?.iter();
            shown.clone().find(|shown| shown.key.choose_scheme(schemes).is_some()).cloned()
        };
        let name = name.map(str::to_ascii_lowercase);
        let by_name = name.and_then(|name| fitting(&name).or_else(|| fitting(&wildcard(&name)?)));
        by_name.unwrap_or_else(|| Arc::clone(&self.first))
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(hello.server_name(), hello.signature_schemes()))
    }
}

/// The names in a certificate, in lower case. One that cannot be read whole was refused before.
fn names(shown: &CertifiedKey) -> Vec<Box<str>> {
    let read = shown.cert.first().and_then(|own| webpki::EndEntityCert::try_from(own).ok());
    let names = read.iter().flat_map(|certificate| certificate.valid_dns_names());
    names.map(|name| name.to_ascii_lowercase().into()).collect()
}

/// RFC 6125 §6.4.3: a star stands for the first label, whole.
fn wildcard(name: &str) -> Option<String> {
    name.split_once('.').map(|(_, rest)| format!("*.{rest}"))
}

/// The certificates of a file, of which there is at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|source| TlsError::NotPem { path: path.to_owned(), source })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}

/// The authorities of a file, all of them: unlike in a bundle of the world's, none may be one that we cannot read.
pub(super) fn roots(authority: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority)? {
        let refused = |source| TlsError::NoAuthority { path: authority.to_owned(), source };
        roots.add(certificate).map_err(refused)?;
    }
    Ok(roots)
}

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|source| {
        let path = path.to_owned();
        if matches!(source, pem::Error::NoItemsFound) {
            TlsError::NoKey { path }
        } else {
            TlsError::NotPem { path, source }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

    fn made(names: &[&str], kind: &'static rcgen::SignatureAlgorithm) -> CertifiedKey {
        let key = KeyPair::generate_for(kind).unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        CertifiedKey::from_der(vec![certificate.der().clone()], secret, &provider()).unwrap()
    }

    fn shown(by_name: &ByName, name: Option<&str>, schemes: &[SignatureScheme]) -> (Vec<Box<str>>, bool) {
        let shown = by_name.choose(name, schemes);
        (names(&shown), shown.key.choose_scheme(&[SignatureScheme::ED25519]).is_some())
    }

    #[test]
    fn the_name_decides_and_the_first_is_for_all_others() {
        let by_name = ByName::of(
            made(&["mail.one.example"], &PKCS_ECDSA_P256_SHA256),
            vec![
                made(&["imap.two.example", "pop.two.example"], &PKCS_ECDSA_P256_SHA256),
                made(&["*.three.example"], &PKCS_ECDSA_P256_SHA256),
            ],
        );
        let all = [SignatureScheme::ECDSA_NISTP256_SHA256];
        let first = |name: Option<&str>| shown(&by_name, name, &all).0.first().unwrap().to_string();
        for (asked, held) in [
            (None, "mail.one.example"),
            (Some("mail.one.example"), "mail.one.example"),
            (Some("POP.two.example"), "imap.two.example"),
            (Some("imap.three.example"), "*.three.example"),
            (Some("three.example"), "mail.one.example"),
            (Some("a.b.three.example"), "mail.one.example"),
            (Some("unknown.example"), "mail.one.example"),
            (Some("localhost"), "mail.one.example"),
        ] {
            assert_eq!(first(asked), held, "{asked:?}");
        }
    }

    /// The values of DER that stand one behind the other, each with its head, and what is inside of it.
    fn values(mut octets: &[u8]) -> Vec<(&[u8], &[u8])> {
        let mut values = Vec::new();
        while let [_, short, ..] = octets {
            let long = if *short < 0x80 { 0 } else { usize::from(short & 0x7f) };
            let length = octets[2..2 + long].iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
            let length = if long == 0 { usize::from(*short) } else { length };
            let (value, rest) = octets.split_at(2 + long + length);
            values.push((value, &value[2 + long..]));
            octets = rest;
        }
        values
    }

    fn sequence(values: &[&[u8]]) -> Vec<u8> {
        let inside = values.concat();
        let length = u16::try_from(inside.len()).unwrap().to_be_bytes();
        let head: &[u8] = match length {
            // In as few octets as will do, or it is not DER.
            [0, short] => &[0x30, 0x81, short],
            [long, short] => &[0x30, 0x82, long, short],
        };
        [head, inside.as_slice()].concat()
    }

    /// RFC 5280 §4.1: of version 1 there is neither the field of the version nor any extension.
    #[test]
    fn a_certificate_of_version_1_is_told_as_that() {
        let key = KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec!["one.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        let whole = values(values(made.der())[0].1);
        let is_old = |value: &&(&[u8], &[u8])| !matches!(value.0.first(), Some(0xa0 | 0xa3));
        let old: Vec<&[u8]> = values(whole[0].1).iter().filter(is_old).map(|(value, _)| *value).collect();
        let old = sequence(&[&sequence(&old), whole[1].0, whole[2].0]);
        let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let refused = CertifiedKey::from_der(vec![old.into()], secret, &provider()).unwrap_err();
        let error = TlsError::of_pair(Path::new("cert.pem"), Path::new("key.pem"), refused);
        assert_eq!(error.path(), Some(Path::new("cert.pem")));
        let said = error.to_string();
        assert!(said.starts_with("the certificate in cert.pem cannot be used: it is of version 1"), "{said}");
    }

    #[test]
    fn two_keys_for_one_name_serve_old_and_new_clients() {
        let names = ["mail.one.example"];
        let by_name = ByName::of(
            made(&["other.example"], &PKCS_ECDSA_P256_SHA256),
            vec![made(&names, &PKCS_ED25519), made(&names, &PKCS_ECDSA_P256_SHA256)],
        );
        let old = [SignatureScheme::ECDSA_NISTP256_SHA256];
        let new = [SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519];
        assert_eq!(shown(&by_name, Some("mail.one.example"), &old), (vec!["mail.one.example".into()], false));
        assert_eq!(shown(&by_name, Some("mail.one.example"), &new), (vec!["mail.one.example".into()], true));
    }
}
