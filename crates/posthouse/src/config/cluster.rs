//! `[cluster]`: how the nodes of a site know each other, and where this one listens for the others.

use super::ExpiringKind;
use super::check::Check;
use super::material::is_private;
use super::problem::Problems;
use super::section::{At, Section};
use net::{ClusterTls, Network};
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// `[cluster]`
#[derive(Clone, Debug)]
pub struct Cluster {
    /// What a node proves its membership with.
    pub proof: Proof,
    /// The same, read.
    pub tls: ClusterTls,
    /// Where other nodes deliver to the stores of this one.
    pub lmtp: Vec<SocketAddr>,
    /// Where other nodes' proxies hand IMAP sessions over.
    pub imap: Vec<SocketAddr>,
    /// Where other nodes' proxies hand POP3 sessions over.
    pub pop3: Vec<SocketAddr>,
    /// From where nodes call.
    pub from: Arc<[Network]>,
    /// The addresses from which this node calls others, one for each family; the system's choice where there is none.
    pub sources: Vec<IpAddr>,
}

/// What a node proves its membership with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A file that all nodes have.
    Secret(PathBuf),
    /// A certificate of the site's own authority.
    Certificate {
        /// The node's chain.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
        /// The authority.
        authority: PathBuf,
    },
}

/// What the file says.
pub(super) struct RawCluster {
    whole: At<()>,
    secret: Option<At<PathBuf>>,
    certificate: Option<At<PathBuf>>,
    key: Option<At<PathBuf>>,
    authority: Option<At<PathBuf>>,
    lmtp: Vec<At<SocketAddr>>,
    imap: Vec<At<SocketAddr>>,
    pop3: Vec<At<SocketAddr>>,
    from: Vec<At<Network>>,
    sources: Vec<At<IpAddr>>,
}

impl RawCluster {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            whole: section.at(),
            secret: section.path("secret"),
            certificate: section.path("certificate"),
            key: section.path("key"),
            authority: section.path("authority"),
            lmtp: section.addresses("lmtp"),
            imap: section.addresses("imap"),
            pop3: section.addresses("pop3"),
            from: section.trusted("from", "may try to be another node"),
            sources: section.parsed_list("source", |text| {
                text.parse().map_err(|_| "is not an address without a port, such as 192.0.2.1")
            }),
        }
    }

    /// Checks it; `stores` says whether this node has any.
    pub(super) fn check(self, check: &mut Check<'_>, stores: bool) -> Option<Cluster> {
        let first = self.lmtp.first().or(self.imap.first()).or(self.pop3.first());
        if let (Some(first), false) = (first, stores) {
            let idle = first.problem("other nodes call here for stores, but this node has none");
            check.problems.add(idle.help("add a [[store]], or leave it out"));
        }
        if let (Some(first), true) = (first, self.from.is_empty()) {
            let open = first.problem("nobody may call here: cluster.from is empty");
            check.problems.add(open.help("add from with the addresses or networks of the other nodes"));
        }
        let proof = self.proof(check.problems);
        self.secret.iter().chain(&self.key).for_each(|file| is_private(file, check.problems));
        if let Some(certificate) = &self.certificate {
            check.expires(certificate, ExpiringKind::Certificate);
        }
        let tls = proof.as_ref().and_then(|(proof, place)| read(proof, place, check.problems));
        Some(Cluster {
            lmtp: check.listeners(self.lmtp),
            imap: check.listeners(self.imap),
            pop3: check.listeners(self.pop3),
            from: self.from.iter().map(|at| at.value).collect(),
            sources: self.sources.into_iter().map(|at| at.value).collect(),
            proof: proof?.0,
            tls: tls?,
        })
    }

    /// Either a secret, or a certificate with key and authority; with where it stands.
    fn proof(&self, problems: &Problems) -> Option<(Proof, At<()>)> {
        let of_a_certificate = [("certificate", &self.certificate), ("key", &self.key), ("authority", &self.authority)];
        let given = of_a_certificate.iter().find_map(|(_, at)| at.as_ref());
        match (&self.secret, given) {
            (Some(secret), Some(other)) => {
                let both = other.problem("a node proves itself in one way, and there is cluster.secret too");
                problems.add(both.help(format!("leave out {} or {}", secret.key, other.key)));
                None
            }
            (Some(secret), None) => Some((Proof::Secret(secret.value.clone()), secret.with(()))),
            (None, Some(_)) => {
                for (name, _) in of_a_certificate.iter().filter(|(_, at)| at.is_none()) {
                    problems.add(
                        self.whole
                            .problem(format!("{name} is missing beside the others of certificate, key, authority")),
                    );
                }
                let (certificate, key, authority) =
                    (self.certificate.as_ref()?, self.key.as_ref()?, self.authority.as_ref()?);
                let proof = Proof::Certificate {
                    certificate: certificate.value.clone(),
                    key: key.value.clone(),
                    authority: authority.value.clone(),
                };
                Some((proof, certificate.with(())))
            }
            (None, None) => {
                let open = self.whole.problem("says nothing by which nodes know each other");
                problems.add(open.help("add secret, or certificate, key and authority"));
                None
            }
        }
    }
}

impl Proof {
    /// Reads the files.
    pub fn read(&self) -> Result<ClusterTls, net::TlsError> {
        match self {
            Self::Secret(path) => ClusterTls::from_secret_file(path),
            Self::Certificate { certificate, key, authority } => {
                ClusterTls::from_pem_files(certificate, key, authority)
            }
        }
    }
}

fn read(proof: &Proof, place: &At<()>, problems: &Problems) -> Option<ClusterTls> {
    match proof.read() {
        Ok(tls) => Some(tls),
        Err(error) => {
            let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
            problems.add(place.problem(format!("{error}{cause}")));
            None
        }
    }
}
