//! TLS between the nodes of one cluster: each end proves that it belongs to it.
//!
//! docs/format/cluster-tls.md has it for operators.

mod authority;
mod secret;
#[cfg(test)]
mod tests;

use super::{ClientTls, ServerTls, TlsError};
use rustls::{ClientConfig, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a node shows others of its cluster, and demands of them. Clones share one identity, which may be read again while
/// the program runs.
#[derive(Clone, Debug)]
pub struct ClusterTls {
    identity: Arc<Identity>,
    server: ServerTls,
    client: ClientTls,
}

/// Where the identity comes from.
#[derive(Clone, Debug)]
pub(super) enum Identity {
    /// From an authority of the cluster's own.
    Authority { certificate: PathBuf, key: PathBuf, authority: PathBuf },
    /// From a secret that all nodes share.
    Secret(PathBuf),
}

/// Both ends of it.
struct Configs {
    server: ServerConfig,
    client: ClientConfig,
}

impl ClusterTls {
    /// From a chain of certificates, the node's own first, its key, and the authority that every node's certificate comes
    /// from. A caller demands also that the certificate names the host that it called; who answers takes any.
    pub fn from_pem_files(certificate: &Path, key: &Path, authority: &Path) -> Result<Self, TlsError> {
        Self::new(Identity::Authority {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            authority: authority.to_owned(),
        })
    }

    /// From a secret of at least [`SECRET_OCTETS_MIN`] octets, white space at its end apart. Who has it belongs to the
    /// cluster, under whatever name.
    pub fn from_secret_file(path: &Path) -> Result<Self, TlsError> {
        Self::new(Identity::Secret(path.to_owned()))
    }

    fn new(identity: Identity) -> Result<Self, TlsError> {
        let Configs { server, client } = identity.configs()?;
        let identity = Arc::new(identity);
        Ok(Self {
            server: ServerTls::of_cluster(server, Arc::clone(&identity)),
            client: ClientTls::of(client),
            identity,
        })
    }

    /// Reads the files again. New connections get what they hold now, and nobody resumes what was agreed on before; on an
    /// error all stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Configs { server, client } = self.identity.configs()?;
        self.server.exchange(server);
        self.client.exchange(client);
        Ok(())
    }

    /// For who is called: no octet is taken from a caller that is not of the cluster.
    pub fn server(&self) -> ServerTls {
        self.server.clone()
    }

    /// For who calls.
    pub fn client(&self) -> ClientTls {
        self.client.clone()
    }
}

impl Identity {
    fn configs(&self) -> Result<Configs, TlsError> {
        match self {
            Self::Authority { certificate, key, authority } => authority::configs(certificate, key, authority),
            Self::Secret(path) => secret::configs(path),
        }
    }

    /// The server's end of it, read again.
    pub(super) fn server(&self) -> Result<ServerConfig, TlsError> {
        Ok(self.configs()?.server)
    }
}

/// The shortest secret that a cluster may share: as many octets as its key has.
pub const SECRET_OCTETS_MIN: usize = 32;
