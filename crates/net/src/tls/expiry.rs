//! Until when files hold what is valid: whoever renews them late is to hear of it before clients do.

use super::TlsError;
use super::certificates::certificates;
use super::clients::revocations;
use mail_types::UnixTime;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use std::path::Path;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

/// Until when the first certificate of a PEM file is valid, which is the one that its holder is known by (RFC 5280 §4.1.2.5).
/// Nothing where it cannot be read; whoever shows it has refused such a one.
pub fn certificate_expiry(path: &Path) -> Result<Option<UnixTime>, TlsError> {
    Ok(of_chain(&certificates(path)?))
}

/// When the first of the lists of a PEM file is to be followed by the next (RFC 5280 §5.1.2.5).
pub fn revocations_expiry(path: &Path) -> Result<Option<UnixTime>, TlsError> {
    Ok(of_lists(&revocations(path)?))
}

fn of_chain(chain: &[CertificateDer<'_>]) -> Option<UnixTime> {
    let (_, own) = X509Certificate::from_der(chain.first()?).ok()?;
    Some(time(own.validity().not_after))
}

fn of_lists(lists: &[CertificateRevocationListDer<'_>]) -> Option<UnixTime> {
    let ends = lists.iter().filter_map(|list| {
        let (_, list) = CertificateRevocationList::from_der(list).ok()?;
        list.next_update().map(time)
    });
    ends.min()
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

    fn list(issuer: &CertifiedIssuer<'static, KeyPair>, year: i32) -> CertificateRevocationListDer<'static> {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(issuer).unwrap().der().clone()
    }

    #[test]
    fn the_first_certificate_and_the_first_list_to_end_count() {
        let (early, late) = (authority(2021), authority(2022));
        let (new_year_2021, new_year_2022) = (UnixTime::from_secs(1_609_459_200), UnixTime::from_secs(1_640_995_200));
        let chain = [late.der().clone(), early.der().clone()];
        assert_eq!(of_chain(&chain), Some(new_year_2022));
        assert_eq!(of_chain(&chain[1..]), Some(new_year_2021));
        assert_eq!(of_lists(&[list(&late, 2022), list(&early, 2021)]), Some(new_year_2021));
        assert_eq!(of_lists(&[]), None);
    }
}
