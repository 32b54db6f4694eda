//! Until when files hold what is valid: whoever renews them late is to hear of it before clients do.

use super::TlsError;
use super::certificates::certificates;
use super::clients::revocations;
use mail_types::UnixTime;
use std::path::Path;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

/// Until when the first certificate of a PEM file is valid, which is the one that its holder is known by (RFC 5280 §4.1.2.5).
/// Nothing where it cannot be read; whoever shows it has refused such a one.
pub fn certificate_expiry(path: &Path) -> Result<Option<UnixTime>, TlsError> {
    let chain = certificates(path)?;
    Ok(chain.first().and_then(|own| {
        let (_, own) = X509Certificate::from_der(own).ok()?;
        Some(time(own.validity().not_after))
    }))
}

/// When the first of the lists of a PEM file is to be followed by the next (RFC 5280 §5.1.2.5).
pub fn revocations_expiry(path: &Path) -> Result<Option<UnixTime>, TlsError> {
    let lists = revocations(path)?;
    let ends = lists.iter().filter_map(|list| {
        let (_, list) = CertificateRevocationList::from_der(list).ok()?;
        list.next_update().map(time)
    });
    Ok(ends.min())
}

fn time(time: ASN1Time) -> UnixTime {
    UnixTime::from_secs(time.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, KeyIdMethod,
        KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
    };

    fn authority(until: i32) -> CertifiedIssuer<'static, KeyPair> {
        let mut made = CertificateParams::default();
        made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        made.key_usages = vec![KeyUsagePurpose::CrlSign];
        (made.not_before, made.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
        CertifiedIssuer::self_signed(made, KeyPair::generate().unwrap()).unwrap()
    }

    fn list(issuer: &CertifiedIssuer<'static, KeyPair>, year: i32) -> String {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(issuer).unwrap().pem().unwrap()
    }

    #[test]
    fn the_first_certificate_and_the_first_list_to_end_count() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.pem");
        let (early, late) = (authority(2021), authority(2022));
        for (chain, until) in [(format!("{}{}", late.pem(), early.pem()), 1_640_995_200), (early.pem(), 1_609_459_200)]
        {
            std::fs::write(&file, chain).unwrap();
            assert_eq!(certificate_expiry(&file).unwrap(), Some(UnixTime::from_secs(until)));
        }
        assert!(matches!(revocations_expiry(&file), Err(TlsError::NoRevocations { .. })));
        std::fs::write(&file, format!("{}{}", list(&late, 2022), list(&early, 2021))).unwrap();
        assert_eq!(revocations_expiry(&file).unwrap(), Some(UnixTime::from_secs(1_609_459_200)));
    }
}
