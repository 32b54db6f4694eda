//! Nodes with certificates from an authority of the cluster's own.

use super::Configs;
use crate::tls::certificates::roots;
use crate::tls::{TlsError, certificates, private_key, provider, tickets};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;

pub(super) fn configs(certificate: &Path, key: &Path, authority: &Path) -> Result<Configs, TlsError> {
    let chain = certificates(certificate)?;
    let roots = Arc::new(roots(authority)?);
    let misfit = |source| TlsError::of_pair(certificate, key, source);

    let server = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]);
    let server = server.expect("aws-lc-rs has cipher suites for TLS 1.3");
    let server = server.with_client_cert_verifier(callers(&roots, authority)?);
    let mut server = server.with_single_cert(chain.clone(), private_key(key)?).map_err(misfit)?;
    tickets(&mut server);

    let client = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]);
    let client = client.expect("aws-lc-rs has cipher suites for TLS 1.3").with_root_certificates(roots);
    let client = client.with_client_auth_cert(chain, private_key(key)?).map_err(misfit)?;
    Ok(Configs { server, client })
}

/// Who calls must show a certificate of the authority. Its names say nothing about who calls from where.
fn callers(roots: &Arc<RootCertStore>, authority: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider());
    verifier.build().map_err(|_| TlsError::NoCertificate { path: authority.to_owned() })
}
