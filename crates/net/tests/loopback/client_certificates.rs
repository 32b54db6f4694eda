//! What a server learns of clients that show a certificate, and which it refuses.

use crate::tls::Certificate;
use crate::toy::pair;
use net::{CertificateFiles, ClientAuthority, ClientTls, ClusterTls, HandshakeError, ServerTls, Stream, TlsError};
use ports::TlsFacts;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

/// Who vouches for clients: its certificate is in a file beside that of a server.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    server: Certificate,
}

/// A client's certificate, with its key.
struct Shown {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        Self::named("the authority of the site")
    }

    fn named(name: &str) -> Self {
        let mut made = CertificateParams::default();
        made.distinguished_name.push(DnType::CommonName, name);
        made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        made.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(made, KeyPair::generate().expect("a key")).expect("an authority");
        let server = Certificate::new("mail.example");
        std::fs::write(server.certificate().with_file_name("clients.pem"), issuer.pem()).expect("written");
        Self { issuer, server }
    }

    fn files(&self) -> ClientAuthority {
        let authority = self.server.certificate().with_file_name("clients.pem");
        ClientAuthority { authority, revocations: None }
    }

    fn server(&self) -> ServerTls {
        ServerTls::asking(&self.server.files(), &[], Some(&self.files())).expect("a server")
    }

    fn issue(&self, params: &CertificateParams) -> Shown {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").der().clone();
        Shown { certificate, key }
    }

    /// A list with these numbers that is good until then.
    fn revoke(&self, numbers: &[u64], until: i32) -> PathBuf {
        let revoked = |number: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*number),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.server.certificate().with_file_name("crl.pem");
        std::fs::write(&path, list.signed_by(&self.issuer).expect("a list").pem().expect("PEM")).expect("written");
        path
    }

    fn client(&self, shown: Option<&Shown>, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut trusted = RootCertStore::empty();
        let server = CertificateDer::from_pem_file(self.server.certificate()).expect("the server's");
        trusted.add(server).expect("a certificate");
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).expect("known");
        let config = config.with_root_certificates(trusted);
        Arc::new(match shown {
            Some(Shown { certificate, key }) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
                let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).expect("a key");
                // Nobody looks here whether the two belong together.
                let shown = CertifiedKey::new(vec![certificate.clone()], key);
                config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
            }
            None => config.with_no_client_auth(),
        })
    }
}

/// For those who have these addresses.
fn holder_of(addresses: &[&str]) -> CertificateParams {
    let mut made = CertificateParams::default();
    made.subject_alt_names =
        addresses.iter().map(|address| SanType::Rfc822Name((*address).try_into().expect("ASCII"))).collect();
    made
}

/// What the server learns, and how the client came in, if it did.
async fn meet(
    tls: &ServerTls,
    client: &Arc<ClientConfig>,
) -> (Result<TlsFacts, HandshakeError>, Option<HandshakeKind>) {
    let (server, socket) = pair().await;
    let serving = async {
        let mut stream = Stream::plain(server).accept_tls(tls).await?;
        // Behind the tickets, so that who has read it can come back by them.
        stream.write_all(b"x").await.expect("written");
        Ok(stream.tls_facts())
    };
    let calling = async {
        let name = "mail.example".try_into().expect("a name");
        let mut stream = TlsConnector::from(Arc::clone(client)).connect(name, socket).await.ok()?;
        // Under TLS 1.3 a refusal comes only now (RFC 8446 §4.4.2.4).
        stream.read_u8().await.ok()?;
        stream.get_ref().1.handshake_kind()
    };
    tokio::join!(serving, calling)
}

/// The addresses of who came in, if it showed a certificate.
fn addresses(facts: TlsFacts) -> Option<Vec<String>> {
    facts.certificate.map(|certificate| certificate.addresses.to_vec())
}

#[tokio::test]
async fn a_server_learns_whose_certificate_it_is_shown() {
    let authority = Authority::new();
    let tls = authority.server();
    for version in [&TLS12, &TLS13] {
        for names in [&["anna@site.test"][..], &["anna@site.test", "info@site.test"], &[]] {
            let client = authority.client(Some(&authority.issue(&holder_of(names))), version);
            let (facts, kind) = meet(&tls, &client).await;
            assert_eq!(addresses(facts.expect("it verifies")).as_deref(), Some(&names.map_owned()[..]));
            assert_eq!(kind, Some(HandshakeKind::Full));
        }
        let (facts, kind) = meet(&tls, &authority.client(None, version)).await;
        assert_eq!(addresses(facts.expect("it need not show one")), None);
        assert_eq!(kind, Some(HandshakeKind::Full));
    }
}

#[tokio::test]
async fn who_comes_back_by_a_ticket_is_who_it_was() {
    let authority = Authority::new();
    let tls = authority.server();
    for version in [&TLS12, &TLS13] {
        let [anna, bert] = ["anna@site.test", "bert@site.test"].map(|name| Some(authority.issue(&holder_of(&[name]))));
        let clients = [&anna, &bert, &None].map(|shown| authority.client(shown.as_ref(), version));
        let known = [Some(vec!["anna@site.test".to_owned()]), Some(vec!["bert@site.test".to_owned()]), None];
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
            for (client, known) in clients.iter().zip(&known) {
                let (facts, came) = meet(&tls, client).await;
                assert_eq!(&addresses(facts.expect("it verifies")), known, "{version:?}");
                assert_eq!(came, Some(kind), "{version:?}");
            }
        }
    }
}

#[tokio::test]
async fn whoever_shows_what_does_not_verify_is_refused() {
    let authority = Authority::new();
    let (foreign, impostor) = (Authority::named("another"), Authority::new());
    let tls = authority.server();
    let params = holder_of(&["anna@site.test"]);
    let mut expired = params.clone();
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut of_a_server = params.clone();
    of_a_server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let stolen = Shown { certificate: authority.issue(&params).certificate, ..authority.issue(&expired) };
    for (shown, why) in [
        (foreign.issue(&params), "UnknownIssuer"),
        (impostor.issue(&params), "BadSignature"),
        (authority.issue(&expired), "expired"),
        (authority.issue(&of_a_server), "extended key usage"),
    ] {
        for version in [&TLS12, &TLS13] {
            let (facts, came) = meet(&tls, &authority.client(Some(&shown), version)).await;
            let error = facts.expect_err("it does not verify");
            let told = error.refused_certificate().expect("it is the certificate");
            assert!(told.contains(why), "{told}");
            assert_eq!(came, None);
        }
    }
    // Somebody else's certificate, without its key.
    for version in [&TLS12, &TLS13] {
        let (facts, came) = meet(&tls, &authority.client(Some(&stolen), version)).await;
        let error = facts.expect_err("it has not the key");
        assert!(error.refused_certificate().expect("it is the certificate").contains("BadSignature"), "{error:?}");
        assert_eq!(came, None);
    }
}

#[tokio::test]
async fn what_was_revoked_is_refused_and_so_is_a_list_that_is_out_of_date() {
    let authority = Authority::new();
    let with_number = |number: u64| {
        let mut params = holder_of(&["anna@site.test"]);
        params.serial_number = Some(SerialNumber::from(number));
        authority.client(Some(&authority.issue(&params)), &TLS13)
    };
    let (good, bad) = (with_number(7), with_number(8));
    let files = ClientAuthority { revocations: Some(authority.revoke(&[], 4000)), ..authority.files() };
    let tls = ServerTls::asking(&authority.server.files(), &[], Some(&files)).expect("a server");
    assert!(meet(&tls, &bad).await.0.is_ok(), "not yet");

    authority.revoke(&[8], 4000);
    tls.reload(&authority.server.files(), &[], Some(&files)).expect("reloaded");
    assert!(meet(&tls, &good).await.0.is_ok());
    // It comes with a ticket from before, which says nothing any more.
    let error = meet(&tls, &bad).await.0.expect_err("it was revoked");
    assert!(error.refused_certificate().is_some_and(|why| why.contains("Revoked")), "{error:?}");
    // Whoever shows none need not be on any list.
    assert!(meet(&tls, &authority.client(None, &TLS13)).await.0.is_ok());

    authority.revoke(&[8], 2025);
    tls.reload(&authority.server.files(), &[], Some(&files)).expect("reloaded");
    assert!(meet(&tls, &with_number(9)).await.0.is_err(), "nobody knows what is revoked now");
}

#[tokio::test]
async fn another_authority_holds_from_the_next_handshake_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let tls = old.server();
    let client = old.client(Some(&old.issue(&holder_of(&["anna@site.test"]))), &TLS13);
    let reload = |clients: Option<&ClientAuthority>| tls.reload(&old.server.files(), &[], clients);
    assert_eq!(addresses(meet(&tls, &client).await.0.expect("it verifies")), Some(vec!["anna@site.test".to_owned()]));
    let missing = ClientAuthority { authority: "/nonexistent".into(), revocations: None };
    assert!(reload(Some(&missing)).is_err_and(|error| error.path() == Some("/nonexistent".as_ref())));
    assert!(meet(&tls, &client).await.0.is_ok(), "all stays as it was");
    reload(Some(&new.files())).expect("reloaded");
    assert!(meet(&tls, &client).await.0.is_err());
    reload(None).expect("reloaded");
    let (facts, kind) = meet(&tls, &client).await;
    assert_eq!(addresses(facts.expect("it is not asked")), None);
    assert_eq!(kind, Some(HandshakeKind::Full));
}

/// A door for nodes asks for certificates too; that somebody is of the cluster makes nobody a user.
#[tokio::test]
async fn a_node_is_no_user_whatever_its_certificate_says() {
    let authority = Authority::new();
    let mut params = CertificateParams::new(["node.example".to_owned()]).expect("a name");
    params.subject_alt_names.push(SanType::Rfc822Name("anna@site.test".try_into().expect("ASCII")));
    let node = authority.issue(&params);
    let (certificate, key) = (authority.server.certificate().with_file_name("node.pem"), authority.server.key());
    let pem = params.signed_by(&node.key, &authority.issuer).expect("a certificate").pem();
    std::fs::write(&certificate, pem).expect("written");
    std::fs::write(&key, node.key.serialize_pem()).expect("written");
    let cluster = ClusterTls::from_pem_files(&certificate, &key, &authority.files().authority).expect("a node");
    let (server, socket) = pair().await;
    let (called, client): (ServerTls, ClientTls) = (cluster.server(), cluster.client());
    let (accepted, called) = tokio::join!(
        Stream::plain(server).accept_tls(&called),
        Stream::plain(socket).connect_tls(&client, "node.example")
    );
    called.expect("one cluster");
    assert_eq!(accepted.expect("one cluster").tls_facts().certificate, None);
}

#[test]
fn errors_name_the_file() {
    let authority = Authority::new();
    let files = authority.files();
    files.check().expect("it is good");
    // Any certificate will do for an authority, but not a key.
    let wrong = ClientAuthority { authority: authority.server.key(), ..files.clone() };
    assert!(matches!(wrong.check(), Err(TlsError::NoCertificate { path }) if path == authority.server.key()));
    let no_list = ClientAuthority { revocations: Some(files.authority.clone()), ..files.clone() };
    let Err(error) = no_list.check() else { panic!("a certificate is no list") };
    assert_eq!(error.path(), Some(&*files.authority));
    assert!(error.to_string().contains("holds no list of revoked certificates"), "{error}");
    let broken = authority.server.certificate().with_file_name("broken.pem");
    std::fs::write(&broken, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n").expect("written");
    let broken = ClientAuthority { revocations: Some(broken), ..files };
    assert!(
        matches!(broken.check(), Err(TlsError::NoRevocations { path, source: Some(_) }) if path.ends_with("broken.pem"))
    );
    let none: &[CertificateFiles] = &[];
    assert!(ServerTls::asking(&authority.server.files(), none, Some(&broken)).is_err());
}

trait Owned {
    fn map_owned(&self) -> Vec<String>;
}

impl Owned for [&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(ToString::to_string).collect()
    }
}
