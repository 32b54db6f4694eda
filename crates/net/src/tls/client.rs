//! The caller's end of TLS.

use super::{HandshakeError, TlsError, certificates, private_key, provider, verify};
use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_pki_types::{CertificateDer, ServerName};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsConnector;

/// What a client demands of its servers, and shows them. Clones share it, and the sessions that may be resumed.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<RwLock<Arc<ClientConfig>>>,
    /// The server's name, whatever host is called.
    name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// The certificate must come from an authority in this PEM file, and name the server: the host that is called, or its
    /// address where it is called by that.
    ///
    /// A server may also show exactly one of these certificates, whatever its names and dates, if it has the key: a server of
    /// one's own with a certificate that it has signed itself.
    pub fn verified_by(roots: &Path) -> Result<Self, TlsError> {
        let known = certificates(roots)?;
        let store = Arc::new(store(roots, &known)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(store, provider()).build();
        let verifier = verifier.map_err(|_| TlsError::NoCertificate { path: roots.to_owned() })?;
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verify::Known::new(known, verifier));
        Ok(Self::of(builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
    }

    /// As [`ClientTls::verified_by`], with the authorities that this machine trusts.
    pub fn verified() -> Result<Self, TlsError> {
        let bundle = SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists()).ok_or(TlsError::NoRoots)?;
        let store = store(bundle, &certificates(bundle)?)?;
        Ok(Self::of(builder().with_root_certificates(store).with_no_client_auth()))
    }

    /// Any certificate will do: encryption against listeners, none against impostors. The opportunistic TLS of
    /// RFC 3207 §4.1 between mail servers, and back-ends on a network of one's own.
    pub fn unverified() -> Self {
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verify::Anybody::new(provider()));
        Self::of(builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    }

    /// The same, with a certificate for servers that ask for one: a chain, our own first, and its key.
    pub fn with_certificate(self, certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let misfit = |source| TlsError::of_pair(certificate, key, source);
        let shown = CertifiedKey::from_der(chain, private_key(key)?, &provider()).map_err(misfit)?;
        let mut config = ClientConfig::clone(&self.current());
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(shown));
        // What was agreed on as nobody is not resumed as somebody.
        config.resumption = Resumption::default();
        Ok(Self { name: self.name, ..Self::of(config) })
    }

    /// The same, but the certificate must hold this name, or address, whatever host is called; a name is also told to the
    /// server (RFC 6066 §3).
    pub fn with_server_name(self, name: &str) -> Result<Self, TlsError> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))?;
        Ok(Self { name: Some(name), ..self })
    }

    /// From now on demands and shows what the other does: files were read again. So do all clones, each under the name that it
    /// has; nobody resumes what was agreed on before.
    pub fn follow(&self, fresh: &Self) {
        let mut config = ClientConfig::clone(&fresh.current());
        config.resumption = Resumption::default();
        self.exchange(config);
    }

    pub(super) fn of(config: ClientConfig) -> Self {
        Self { config: Arc::new(RwLock::new(Arc::new(config))), name: None }
    }

    pub(super) fn exchange(&self, fresh: ClientConfig) {
        // A holder cannot panic, so a poisoned lock holds a whole value.
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
    }

    fn current(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.current())
    }

    /// The name that the certificate of this host must hold.
    pub(crate) fn server_name(&self, host: &str) -> Result<ServerName<'static>, HandshakeError> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        ServerName::try_from(host.to_owned()).map_err(|_| HandshakeError::ServerName(host.to_owned()))
    }
}

/// Nothing of the keys, nor of sessions that may be resumed.
impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The authorities of a file. A bundle may hold what this library refuses; the others count.
fn store(path: &Path, known: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let (added, _refused) = store.add_parsable_certificates(known.iter().cloned());
    if added == 0 {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(store)
}

fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    let versions = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    versions.expect("aws-lc-rs has cipher suites for TLS 1.2 and 1.3")
}

/// Where Debian, Red Hat, Alpine and FreeBSD keep the authorities that are trusted.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];
