//! Certificates of clients: who vouches for them, and what they say of their holders.
//!
//! A certificate is asked for and need not be shown. One that is shown must verify, or the handshake fails: the library's
//! verifier cannot take it for none. Of one that has, only mail addresses count, and those in the SubjectAltName alone: a name of
//! an organisation's choosing (the CN) is no promise that somebody may read the mail of whoever is called so here.

use super::certificates::roots;
use super::{TlsError, provider, read};
use mail_types::Address;
use ports::ClientCertificate;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

/// Who vouches for clients, in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuthority {
    /// PEM: the authorities. Whoever has a certificate of theirs is the holder of the addresses that are in it.
    pub authority: PathBuf,
    /// PEM: what they have revoked. There must be a valid list of every authority between a certificate and those above.
    pub revocations: Option<PathBuf>,
}

impl ClientAuthority {
    /// Whether it can be used as it is now.
    pub fn check(&self) -> Result<(), TlsError> {
        self.verifier().map(drop)
    }

    pub(super) fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let roots = Arc::new(roots(&self.authority)?);
        let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).allow_unauthenticated();
        if let Some(path) = &self.revocations {
            // RFC 5280 §6.3.3: a list that is out of date does not say what is revoked now.
            verifier = verifier.with_crls(revocations(path)?).enforce_revocation_expiration();
        }
        verifier.build().map_err(|source| {
            // The authorities were read one by one, and there is one at least.
            let path = self.revocations.as_ref().unwrap_or(&self.authority).clone();
            TlsError::NoRevocations { path, source: Some(source) }
        })
    }
}

/// The lists of a file, of which there is at least one.
pub(super) fn revocations(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let text = read(path)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&text).collect();
    let lists = lists.map_err(|source| TlsError::NotPem { path: path.to_owned(), source })?;
    if lists.is_empty() {
        return Err(TlsError::NoRevocations { path: path.to_owned(), source: None });
    }
    Ok(lists)
}

/// What a certificate says that was verified, by this handshake or by the one that it resumes.
pub(crate) fn holder(certificate: &CertificateDer<'_>) -> Option<ClientCertificate> {
    holder_at(certificate, ASN1Time::now())
}

fn holder_at(certificate: &[u8], now: ASN1Time) -> Option<ClientCertificate> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    // Who comes back with a ticket was looked at hours ago.
    certificate.validity().is_valid_at(now).then(|| ClientCertificate { addresses: addresses(&certificate).into() })
}

/// RFC 5280 §4.2.1.6: the names of the kind rfc822Name. One that is no address (a NUL in it, a host without a user) says nothing.
fn addresses(certificate: &X509Certificate<'_>) -> Vec<String> {
    // There is at most one such extension (RFC 5280 §4.2); of two neither counts.
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let addresses = names
        .value
        .general_names
        .iter()
        .filter_map(|name| if let GeneralName::RFC822Name(address) = name { Some(*address) } else { None });
    let fitting = addresses.filter(|text| text.len() <= CERTIFICATE_ADDRESS_OCTETS_MAX && Address::parse(text).is_ok());
    fitting.take(CERTIFICATE_ADDRESSES_MAX).map(str::to_owned).collect()
}

/// Addresses of a certificate that count; further ones say nothing.
pub const CERTIFICATE_ADDRESSES_MAX: usize = 32;
/// RFC 5321 §4.5.3.1.3: a path has at most 256 octets, its brackets included; a longer one says nothing.
pub const CERTIFICATE_ADDRESS_OCTETS_MAX: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType, date_time_ymd};

    fn named(names: Vec<SanType>) -> CertificateParams {
        let mut made = CertificateParams::default();
        made.subject_alt_names = names;
        made
    }

    fn mail(address: &str) -> SanType {
        SanType::Rfc822Name(address.try_into().unwrap())
    }

    fn der(made: &CertificateParams) -> Vec<u8> {
        made.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn read(made: &CertificateParams) -> Vec<String> {
        holder_at(&der(made), ASN1Time::now()).unwrap().addresses.to_vec()
    }

    #[test]
    fn addresses_of_the_subject_alt_name_count_and_nothing_else() {
        let mut made = named(vec![
            SanType::DnsName("site.test".try_into().unwrap()),
            mail("Anna@Site.test"),
            SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 9], "max@site.test".into())),
            mail("bert@site.test"),
        ]);
        made.distinguished_name.push(rcgen::DnType::CommonName, "carl@site.test");
        // PKCS #9 emailAddress, which RFC 5280 §4.1.2.6 calls deprecated.
        made.distinguished_name.push(rcgen::DnType::CustomDnType(vec![1, 2, 840, 113549, 1, 9, 1]), "dora@site.test");
        assert_eq!(read(&made), ["Anna@Site.test", "bert@site.test"]);
        assert_eq!(read(&named(Vec::new())), [""; 0]);
    }

    #[test]
    fn what_is_no_address_says_nothing_and_there_are_not_many() {
        let long = format!("{}@site.test", "a".repeat(CERTIFICATE_ADDRESS_OCTETS_MAX));
        let odd =
            ["site.test", "@site.test", "anna@", "anna@site.test\0.example", " anna@site.test", "anna\r\n@site.test"];
        let odd = odd.iter().copied().chain([long.as_str()]).map(mail);
        assert_eq!(read(&named(odd.chain([mail("anna@site.test")]).collect())), ["anna@site.test"]);
        let many = (0..2 * CERTIFICATE_ADDRESSES_MAX).map(|number| mail(&format!("u{number}@site.test")));
        assert_eq!(read(&named(many.collect())).len(), CERTIFICATE_ADDRESSES_MAX);
    }

    #[test]
    fn two_lists_of_names_are_none() {
        let mut made = named(vec![mail("anna@site.test")]);
        let again = [&[0x30, 16, 0x81, 14][..], b"bert@site.test"].concat();
        made.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 17], again));
        assert_eq!(read(&made), [""; 0]);
    }

    #[test]
    fn what_has_expired_since_says_nothing() {
        let mut made = named(vec![mail("anna@site.test")]);
        (made.not_before, made.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        let der = der(&made);
        let at = |seconds| holder_at(&der, ASN1Time::from_timestamp(seconds).unwrap()).is_some();
        assert_eq!([1_577_836_799, 1_577_836_800, 1_609_459_200, 1_609_459_201].map(at), [false, true, true, false]);
    }

    /// Whatever octets there are: no panic. A length that lies, a tag that is another, an end too early.
    #[test]
    fn a_certificate_that_is_broken_anywhere_is_read_or_not() {
        let whole = der(&named(vec![mail("anna@site.test"), mail("bert@site.test")]));
        for at in 0..whole.len() {
            let _ = holder_at(&whole[..at], ASN1Time::now());
            for octet in [0x00, 0x30, 0x7f, 0x80, 0x84, 0xa3, 0xff] {
                let mut broken = whole.clone();
                broken[at] = octet;
                let _ = holder_at(&broken, ASN1Time::now());
            }
        }
    }
}
