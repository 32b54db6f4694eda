//! TLS 1.2 and 1.3 from rustls, with aws-lc-rs.

mod certificates;
mod client;
mod clients;
mod cluster;
mod expiry;
mod verify;

pub use certificates::CertificateFiles;
pub use client::ClientTls;
pub use clients::{CERTIFICATE_ADDRESS_OCTETS_MAX, CERTIFICATE_ADDRESSES_MAX, ClientAuthority};
pub use cluster::{ClusterTls, SECRET_OCTETS_MIN};
pub use expiry::{certificate_expiry, revocations_expiry};

use certificates::{ByName, certificates, private_key};
pub(crate) use clients::holder;
use cluster::Identity;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls_pki_types::pem;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// Why a certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The file is not PEM.
    #[error("{} is not PEM", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        #[source]
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("{} holds no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no private key.
    #[error("{} holds no private key that is not encrypted", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The certificate can be shown to nobody, whatever its key.
    #[error("the certificate in {} cannot be used{}", path.display(), old_version(source))]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        #[source]
        source: rustls::Error,
    },
    /// The two do not belong together, or are of a kind that TLS does not know.
    #[error("the key in {} does not fit the certificate in {}", key.display(), certificate.display())]
    Misfit {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What rustls says.
        #[source]
        source: rustls::Error,
    },
    /// A certificate in the file is none of an authority.
    #[error("{} holds a certificate that is none of an authority", path.display())]
    NoAuthority {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        #[source]
        source: rustls::Error,
    },
    /// The file holds no list of revoked certificates, or one that cannot be read.
    #[error("{} holds no list of revoked certificates that can be read", path.display())]
    NoRevocations {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        #[source]
        source: Option<VerifierBuilderError>,
    },
    /// A secret that could be guessed.
    #[error("the secret in {} is shorter than {SECRET_OCTETS_MIN} octets", path.display())]
    ShortSecret {
        /// The file.
        path: PathBuf,
    },
    /// What should be the name of a server is none that a certificate could hold.
    #[error("{0:?} is not the name of a server")]
    ServerName(String),
    /// No file of this machine holds the authorities that are trusted.
    #[error("no trusted authorities in any of the usual places")]
    NoRoots,
}

impl TlsError {
    /// Why a pair of files cannot be used.
    fn of_pair(certificate: &Path, key: &Path, source: rustls::Error) -> Self {
        if matches!(source, rustls::Error::InvalidCertificate(_)) {
            return Self::Unusable { path: certificate.to_owned(), source };
        }
        Self::Misfit { certificate: certificate.to_owned(), key: key.to_owned(), source }
    }

    /// The file that is to blame: of two that do not fit, the key's.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Unreadable { path, .. }
            | Self::NotPem { path, .. }
            | Self::NoCertificate { path }
            | Self::Unusable { path, .. }
            | Self::NoKey { path }
            | Self::NoAuthority { path, .. }
            | Self::NoRevocations { path, .. }
            | Self::ShortSecret { path }
            | Self::Misfit { key: path, .. } => Some(path),
            Self::NoRoots | Self::ServerName(_) => None,
        }
    }
}

/// Why TLS was not agreed on.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peers did not agree, or the connection broke.
    #[error("the handshake failed")]
    Failed(#[from] io::Error),
    /// It took too long.
    #[error("the handshake took over {} s", span.as_secs())]
    TooSlow {
        /// The time that it was given.
        span: Duration,
    },
    /// The connection has TLS already.
    #[error("TLS inside TLS")]
    Twice,
    /// We have no certificate to offer, or were not told what to demand of one.
    #[error("TLS was asked for where there is none")]
    NotOffered,
    /// The name of the server is none that a certificate could hold.
    #[error("{0:?} is not the name of a server")]
    ServerName(String),
    /// The peer said something in clear behind the line in which it agreed to TLS.
    #[error("something was said in clear behind the agreement on TLS")]
    ClearText,
}

impl HandshakeError {
    /// What an operator can do about the peer's certificate, where that is the trouble.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        let Self::Failed(error) = self else { return None };
        let cause = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        if let rustls::Error::InvalidCertificate(why) = cause {
            return certificate_advice(why);
        }
        matches!(cause, rustls::Error::AlertReceived(_))
            .then_some("it refuses ours: does it ask for a certificate, and trust whom ours is from?")
    }

    /// Why the peer's certificate was refused, where one was.
    pub fn refused_certificate(&self) -> Option<String> {
        let Self::Failed(error) = self else { return None };
        let cause = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        if let rustls::Error::InvalidCertificate(why) = cause { Some(why.to_string()) } else { None }
    }

    /// Whether one of the two did not take the other's certificate, or missed it.
    pub(crate) fn is_about_trust(&self) -> bool {
        let Self::Failed(error) = self else { return false };
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        cause.is_some_and(|cause| {
            matches!(
                cause,
                rustls::Error::InvalidCertificate(_)
                    | rustls::Error::NoCertificatesPresented
                    | rustls::Error::AlertReceived(_)
            )
        })
    }
}

fn certificate_advice(why: &rustls::CertificateError) -> Option<&'static str> {
    use rustls::CertificateError as Why;
    if matches!(why, Why::Expired | Why::ExpiredContext { .. }) {
        return Some("its certificate has expired and is to be renewed there");
    }
    if matches!(why, Why::NotValidYet | Why::NotValidYetContext { .. }) {
        return Some("its certificate is not valid yet: is the clock right, here and there?");
    }
    if matches!(why, Why::UnknownIssuer) {
        return Some(
            "its certificate is from nobody whom we trust: `authority` in its section ([[backend]] or another) names a file with its authority",
        );
    }
    if matches!(why, Why::Revoked) {
        return Some("its certificate has been revoked");
    }
    matches!(why, Why::NotValidForName | Why::NotValidForNameContext { .. }).then_some(
        "its certificate is for another name: call it by that, or say in `server_name` of [[backend]] what to expect",
    )
}

/// RFC 5280 §4.1.2.1: version 1 knows no names of hosts, and is made by old commands with great ease.
fn old_version(source: &rustls::Error) -> &'static str {
    let rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) = source else { return "" };
    match other.0.downcast_ref::<webpki::Error>() {
        Some(webpki::Error::UnsupportedCertVersion) => {
            ": it is of version 1; make one of version 3, with its names in a subjectAltName"
        }
        Some(_) | None => "",
    }
}

/// The provider of all cryptography in TLS; also made the default for libraries that bring rustls themselves.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let make = || {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let _was_set_before = provider.clone().install_default();
        Arc::new(provider)
    };
    Arc::clone(PROVIDER.get_or_init(make))
}

/// What a server shows its clients. Clones share its certificates, which may be exchanged while the server runs.
#[derive(Clone, Debug)]
pub struct ServerTls {
    current: Arc<RwLock<Arc<ServerConfig>>>,
    /// Of a cluster: callers must belong to it.
    cluster: Option<Arc<Identity>>,
}

impl ServerTls {
    /// Shows the certificate of the name that a client asks for (RFC 6066 §3), and the first to all others.
    pub fn from_pem_files(first: &CertificateFiles, others: &[CertificateFiles]) -> Result<Self, TlsError> {
        Self::asking(first, others, None)
    }

    /// The same, and asks clients for a certificate of this authority, if there is one. Who has none goes on without; one that
    /// does not verify ends the handshake.
    pub fn asking(
        first: &CertificateFiles,
        others: &[CertificateFiles],
        clients: Option<&ClientAuthority>,
    ) -> Result<Self, TlsError> {
        Ok(Self::of(server_config(first, others, clients)?, None))
    }

    /// For callers of a cluster.
    fn of_cluster(config: ServerConfig, identity: Arc<Identity>) -> Self {
        Self::of(config, Some(identity))
    }

    fn of(config: ServerConfig, cluster: Option<Arc<Identity>>) -> Self {
        Self { current: Arc::new(RwLock::new(Arc::new(config))), cluster }
    }

    /// Reads the files again. New connections get what they hold now, and nobody resumes what was agreed on before; on an
    /// error all stays as it was. Of a cluster its own files are read again, whatever is named here: it never turns into a
    /// server for everybody.
    pub fn reload(
        &self,
        first: &CertificateFiles,
        others: &[CertificateFiles],
        clients: Option<&ClientAuthority>,
    ) -> Result<(), TlsError> {
        let fresh = match &self.cluster {
            Some(identity) => identity.server()?,
            None => server_config(first, others, clients)?,
        };
        self.exchange(fresh);
        Ok(())
    }

    fn exchange(&self, fresh: ServerConfig) {
        // A holder cannot panic, so a poisoned lock holds a whole value.
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
    }

    /// Whether only nodes of a cluster are let in.
    pub(crate) fn is_of_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }
}

/// Gives a handshake its time.
pub(crate) async fn handshake<T>(
    span: Duration,
    shaking: impl Future<Output = io::Result<T>>,
) -> Result<T, HandshakeError> {
    let done = tokio::time::timeout(span, shaking).await;
    Ok(done.map_err(|_| HandshakeError::TooSlow { span })??)
}

fn server_config(
    first: &CertificateFiles,
    others: &[CertificateFiles],
    clients: Option<&ClientAuthority>,
) -> Result<ServerConfig, TlsError> {
    let verifier = clients.map_or_else(|| Ok(WebPkiClientVerifier::no_client_auth()), ClientAuthority::verifier)?;
    let others: Result<Vec<_>, _> = others.iter().map(CertificateFiles::read).collect();
    let by_name = ByName::of(first.read()?, others?);
    let versions = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let versions = versions.expect("aws-lc-rs has cipher suites for TLS 1.2 and 1.3");
    let mut config = versions.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(by_name));
    tickets(&mut config);
    Ok(config)
}

/// Tickets let a client come back with one round trip and cost us no memory (RFC 8446 §2.2). Their key is of this server
/// alone: what another one, or this one with other certificates, let in must prove itself anew.
fn tickets(config: &mut ServerConfig) {
    if let Ok(ticketer) = rustls::crypto::aws_lc_rs::Ticketer::new() {
        config.ticketer = ticketer;
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

/// How long a client may take to agree on TLS.
pub const HANDSHAKE_SPAN_MAX: Duration = Duration::from_secs(30);
/// How long a server that we call may take to agree on TLS: somebody waits for us meanwhile, and another may answer.
pub const CALL_HANDSHAKE_SPAN_MAX: Duration = Duration::from_secs(10);
