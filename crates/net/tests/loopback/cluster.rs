//! Clusters: who belongs to one, and who only says so.

use crate::dialer::{call, callee};
use crate::listener::{Inn, open, options};
use crate::toy::{Strings, strings};
use net::{CertificateFiles, ClusterTls, Dialer, ListenerOptions, SECRET_OCTETS_MIN, Security, TlsError};
use ports::{CallSecurity, Callee};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder of files; removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("net-cluster-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("written");
        path
    }

    fn secret(&self, content: &str) -> ClusterTls {
        ClusterTls::from_secret_file(&self.file("secret", content)).expect("a secret")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An authority of a cluster's, or a back-end's, own.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: Folder,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = Folder::new();
        // Nodes find their authority by its name.
        params.distinguished_name.push(DnType::CommonName, folder.0.display().to_string());
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        folder.file("authority.pem", &issuer.pem());
        Self { issuer, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    /// Writes certificate and key of a node.
    pub(crate) fn issue(&self, node: &str) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![node.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.folder.file(&format!("{node}.pem"), &certificate.pem());
        self.folder.file(&format!("{node}.key"), &key.serialize_pem());
    }

    pub(crate) fn node(&self, node: &str) -> ClusterTls {
        self.issue(node);
        let (certificate, key) = (self.path(&format!("{node}.pem")), self.path(&format!("{node}.key")));
        ClusterTls::from_pem_files(&certificate, &key, &self.path("authority.pem")).expect("a node")
    }
}

/// A node that others of the cluster can call.
fn inn(cluster: &ClusterTls, strings: &Strings) -> (Inn, Callee) {
    // Between nodes a header says for whom a call is, also where it is for nobody.
    let proxy_from = Some(Arc::new(["127.0.0.1".parse().expect("a network")]) as Arc<[_]>);
    let inn = open(ListenerOptions { proxy_from, ..options(Security::Tls(cluster.server())) }, strings);
    let to = callee(&["127.0.0.1"], inn.address.port(), CallSecurity::Cluster);
    (inn, to)
}

fn dialer(cluster: &ClusterTls) -> Dialer {
    Dialer::new().with_cluster(cluster.client())
}

/// Whether a call is answered; if not, which word of why it is not.
pub(crate) async fn answered(dialer: &Dialer, to: &Callee) -> Result<(), String> {
    let mut conversation = call(dialer, to, None).await.map_err(|unavailable| unavailable.why)?;
    conversation.machine().say("echo in\r\n");
    // In TLS 1.3 who calls has finished before it is known whether its certificate will do.
    let answer = conversation.next().await.map_err(|broken| broken.0)?;
    assert_eq!(answer.as_deref(), Some("in"));
    conversation.close().await;
    Ok(())
}

#[tokio::test]
async fn who_shares_the_secret_comes_in() {
    let (strings, _events) = strings();
    let folder = Folder::new();
    let cluster = folder.secret(SECRET);
    let (mut inn, to) = inn(&cluster, &strings);
    // Another node read it from another file, which ends in another way.
    let other = folder.secret(&format!("{SECRET}\r\n \n"));
    for _ in 0..3 {
        answered(&dialer(&other), &to).await.expect("in");
        assert!(inn.peers.recv().await.expect("a guest").tls);
    }
}

#[tokio::test]
async fn clusters_of_different_secrets_refuse_each_other() {
    let (strings, _events) = strings();
    let folder = Folder::new();
    let (ours, theirs) = (folder.secret(SECRET), folder.secret(&SECRET.to_uppercase()));
    for (called, calling) in [(&ours, &theirs), (&theirs, &ours)] {
        let (mut inn, to) = inn(called, &strings);
        let why = answered(&dialer(calling), &to).await.expect_err("another cluster");
        assert!(why.contains("both nodes must have the same cluster.secret"), "{why}");
        assert!(why.contains("the handshake failed: invalid peer certificate"), "{why}");
        assert!(inn.peers.try_recv().is_err(), "no session began");
    }
}

/// The server's own check, by callers that would take any server.
#[tokio::test]
async fn without_a_certificate_of_the_cluster_no_session_begins() {
    let (strings, _events) = strings();
    let (folder, authority) = (Folder::new(), Authority::new());
    for cluster in [folder.secret(SECRET), authority.node("127.0.0.1")] {
        let (mut inn, to) = inn(&cluster, &strings);
        let anybody = Dialer::new().with_cluster(net::ClientTls::unverified());
        answered(&anybody, &to).await.expect_err("no certificate");
        // Also when it is told to read its files again as if it were any server.
        authority.issue("public.example");
        let (certificate, key) = (authority.path("public.example.pem"), authority.path("public.example.key"));
        cluster.server().reload(&CertificateFiles { certificate, key }, &[], None).expect("reloaded");
        answered(&anybody, &to).await.expect_err("no certificate");
        answered(&dialer(&cluster), &to).await.expect("a member");
        assert!(inn.peers.recv().await.is_some());
        assert!(inn.peers.try_recv().is_err(), "one session in all");
    }
}

#[tokio::test]
async fn certificates_must_come_from_the_authority_and_name_the_host() {
    let (strings, _events) = strings();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let called = ours.node("127.0.0.1");
    let (mut inn, to) = inn(&called, &strings);
    answered(&dialer(&ours.node("other.example")), &to).await.expect("any name may call");
    assert!(inn.peers.recv().await.is_some());

    let why = answered(&dialer(&theirs.node("127.0.0.1")), &to).await.expect_err("another authority");
    assert!(why.contains("UnknownIssuer"), "{why}");
    let localhost = Callee { hosts: [Box::from("localhost")].into(), ..to.clone() };
    let why = answered(&dialer(&ours.node("other.example")), &localhost).await.expect_err("another name");
    assert!(why.contains("not valid for name"), "{why}");

    // One that trusts us, but has its certificate from elsewhere.
    let foreign = theirs.node("foreign.example");
    drop(foreign);
    let (certificate, key) = (theirs.path("foreign.example.pem"), theirs.path("foreign.example.key"));
    let foreign = ClusterTls::from_pem_files(&certificate, &key, &ours.path("authority.pem")).expect("a node");
    answered(&dialer(&foreign), &to).await.expect_err("a certificate of another authority");
    assert!(inn.peers.try_recv().is_err(), "no session began");
}

/// What was agreed on with a member is not resumed once the cluster has changed.
#[tokio::test]
async fn a_new_secret_ends_the_old_one() {
    let (strings, _events) = strings();
    let folder = Folder::new();
    let called = folder.secret(SECRET);
    let (_inn, to) = inn(&called, &strings);
    let old = dialer(&called);
    let fresh = ClusterTls::from_secret_file(&folder.0.join("secret")).expect("a secret");
    let newer = dialer(&fresh);
    for _ in 0..2 {
        answered(&old, &to).await.expect("in");
        answered(&newer, &to).await.expect("in");
    }
    folder.file("secret", "short");
    called.reload().expect_err("too short");
    answered(&newer, &to).await.expect("all stays as it was");

    folder.file("secret", &SECRET.to_uppercase());
    called.reload().expect("reloaded");
    answered(&newer, &to).await.expect_err("of the old secret");
    answered(&old, &to).await.expect("its own client is read again too");
    fresh.reload().expect("reloaded");
    answered(&newer, &to).await.expect("in again");
}

#[test]
fn errors_name_the_file() {
    let folder = Folder::new();
    let path = folder.file("secret", &format!("{}   \n", &"x".repeat(SECRET_OCTETS_MIN - 1)));
    let error = ClusterTls::from_secret_file(&path).expect_err("too short");
    assert_eq!(error.to_string(), format!("the secret in {} is shorter than 32 octets", path.display()));
    assert_eq!(error.path(), Some(&*path));
    let missing = Path::new("/nonexistent/secret");
    assert!(matches!(ClusterTls::from_secret_file(missing), Err(TlsError::Unreadable { path, .. }) if path == missing));
    let authority = Authority::new();
    authority.issue("a.example");
    let (certificate, key) = (authority.path("a.example.pem"), authority.path("a.example.key"));
    let empty = folder.file("empty.pem", "");
    let error = ClusterTls::from_pem_files(&certificate, &key, &empty).expect_err("no authority");
    assert!(matches!(error, TlsError::NoCertificate { path } if path == empty));
}

const SECRET: &str = "correct horse battery staple, and so on";
