//! Certificates of an hour.

use crate::toy::{Role, Toy, expect, pair, say, strings};
use net::{CertificateFiles, ClientTls, ServerTls, Stream, TlsError, serve};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use std::error::Error;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A folder with `cert.pem` and `key.pem` for that name; removed at the end.
pub(crate) struct Certificate(PathBuf);

impl Certificate {
    pub(crate) fn new(name: &str) -> Self {
        Self::made(CertificateParams::new([name.to_owned()]).expect("a name"))
    }

    fn of_an_authority(name: &str) -> Self {
        let mut made = CertificateParams::new([name.to_owned()]).expect("a name");
        made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self::made(made)
    }

    fn made(certificate: CertificateParams) -> Self {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("net-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let made = certificate.self_signed(&key).expect("a certificate");
        std::fs::write(folder.join("cert.pem"), made.pem()).expect("written");
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).expect("written");
        Self(folder)
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.0.join("cert.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.0.join("key.pem")
    }

    pub(crate) fn files(&self) -> CertificateFiles {
        CertificateFiles { certificate: self.certificate(), key: self.key() }
    }

    pub(crate) fn server(&self) -> ServerTls {
        ServerTls::from_pem_files(&self.files(), &[]).expect("a server")
    }

    pub(crate) fn client(&self) -> ClientTls {
        ClientTls::verified_by(&self.certificate()).expect("a client")
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_session_turns_to_tls() {
    let certificate = Certificate::new("mail.example");
    let (strings, mut events) = strings();
    let (server, mut client) = pair().await;
    tokio::spawn(serve(Stream::plain(server), Toy::default(), Role::new(&strings), Some(certificate.server())));
    say(&mut client, "echo plain\r\nstarttls\r\n").await;
    expect(&mut client, "plain\r\ngo\r\n").await;
    let mut client =
        Stream::plain(client).connect_tls(&certificate.client(), "mail.example").await.expect("a handshake");
    say(&mut client, "echo secret\r\n").await;
    expect(&mut client, "secret\r\n").await;
    assert_eq!(events.recv().await, Some("tls"));
}

/// The first octets of the handshake must not be taken for the next command, however early they come.
#[tokio::test]
async fn a_hello_on_the_heels_of_starttls_is_not_read_as_text() {
    let certificate = Certificate::new("mail.example");
    let (strings, _events) = strings();
    let (server, mut client) = pair().await;
    say(&mut client, "starttls\r\n").await;
    tokio::spawn(serve(Stream::plain(server), Toy::default(), Role::new(&strings), Some(certificate.server())));
    expect(&mut client, "go\r\n").await;
    let mut client = Stream::plain(client).connect_tls(&ClientTls::unverified(), "x").await.expect("a handshake");
    say(&mut client, "quit\r\n").await;
    expect(&mut client, "bye\r\n").await;
}

#[tokio::test]
async fn two_full_buffers_do_not_wait_for_each_other_in_tls() {
    let certificate = Certificate::new("mail.example");
    let (strings, _events) = strings();
    let (server, client) = pair().await;
    let (tls, anybody) = (certificate.server(), ClientTls::unverified());
    let (accepted, connected) = tokio::join!(
        Stream::plain(server).accept_tls(&tls),
        Stream::plain(client).connect_tls(&anybody, "mail.example")
    );
    let (accepted, mut client) = (accepted.expect("a handshake"), connected.expect("a handshake"));
    let session = tokio::spawn(serve(accepted, Toy::default(), Role::new(&strings), None));
    say(&mut client, &format!("sinkbig {TEN_MB}\r\n")).await;
    client.write_all(&vec![b'y'; TEN_MB]).await.expect("written");
    client.shutdown().await.expect("half closed");
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.expect("an orderly end");
    assert_eq!(all.len(), TEN_MB);
    session.await.expect("no panic").expect("a polite end");
}

#[tokio::test]
async fn impostors_are_found_out() {
    let (ours, theirs) = (Certificate::new("mail.example"), Certificate::new("mail.example"));
    let (server, socket) = pair().await;
    let serving = async { Stream::plain(server).accept_tls(&theirs.server()).await };
    let client = ours.client();
    let (_, connected) = tokio::join!(serving, Stream::plain(socket).connect_tls(&client, "mail.example"));
    assert!(connected.is_err());
}

/// What `openssl req -x509` makes: an authority's certificate, with a name that is none of the host's.
#[tokio::test]
async fn a_certificate_that_is_known_by_sight_is_taken_as_it_is() {
    let certificate = Certificate::of_an_authority("whatever.example");
    let (server, socket) = pair().await;
    let serving = async { Stream::plain(server).accept_tls(&certificate.server()).await };
    let client = certificate.client();
    let (accepted, connected) = tokio::join!(serving, Stream::plain(socket).connect_tls(&client, "mail.example"));
    accepted.and(connected).expect("it has the key");
}

#[tokio::test]
async fn a_certificate_is_exchanged_while_the_server_runs() {
    let (old, new) = (Certificate::new("mail.example"), Certificate::new("mail.example"));
    let tls = old.server();
    let missing = CertificateFiles { key: "/nonexistent/key.pem".into(), ..new.files() };
    assert!(tls.reload(&missing, &[], None).is_err());
    assert!(tls.reload(&new.files(), &[missing], None).is_err(), "all of them, or none");
    for (client, reload) in [(old.client(), true), (new.client(), false)] {
        let (server, socket) = pair().await;
        let (accepted, connected) = tokio::join!(
            Stream::plain(server).accept_tls(&tls),
            Stream::plain(socket).connect_tls(&client, "mail.example")
        );
        accepted.and(connected).expect("the certificate of the time");
        if reload {
            tls.reload(&new.files(), &[], None).expect("reloaded");
        }
    }
}

/// RFC 6066 §3.
#[tokio::test]
async fn a_client_is_shown_the_certificate_of_the_name_that_it_asks_for() {
    let (one, two) = (Certificate::new("mail.one.example"), Certificate::new("mail.two.example"));
    let tls = ServerTls::from_pem_files(&one.files(), &[two.files()]).expect("a server");
    for (client, name) in [(one.client(), "mail.one.example"), (two.client(), "mail.two.example")] {
        let (server, socket) = pair().await;
        let (accepted, connected) =
            tokio::join!(Stream::plain(server).accept_tls(&tls), Stream::plain(socket).connect_tls(&client, name));
        accepted.and(connected).expect("its own certificate");
    }
}

#[test]
fn errors_name_the_file_and_the_reason() {
    let (one, other) = (Certificate::new("a.example"), Certificate::new("b.example"));
    let empty = one.0.join("empty.pem");
    std::fs::write(&empty, "").expect("written");
    let broken = one.0.join("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").expect("written");
    let error = |certificate: &Path, key: &Path| {
        let files = CertificateFiles { certificate: certificate.to_owned(), key: key.to_owned() };
        ServerTls::from_pem_files(&files, &[]).expect_err("no server")
    };

    let unreadable = error(Path::new("/nonexistent/cert.pem"), &one.key());
    assert_eq!(unreadable.to_string(), "cannot read /nonexistent/cert.pem");
    assert!(unreadable.source().expect("a cause").to_string().contains("No such file"));
    assert!(matches!(error(&empty, &one.key()), TlsError::NoCertificate { path } if path == empty));
    assert!(matches!(error(&one.certificate(), &empty), TlsError::NoKey { path } if path == empty));
    assert!(matches!(error(&broken, &one.key()), TlsError::NotPem { path, .. } if path == broken));
    assert!(matches!(error(&one.certificate(), &other.key()), TlsError::Misfit { key, .. } if key == other.key()));
}

const TEN_MB: usize = 10_000_000;
