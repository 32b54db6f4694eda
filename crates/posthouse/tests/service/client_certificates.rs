//! Clients that show who they are by a certificate, at every door for users and at no other.

use crate::node::{RELAY, Served};
use net::{ClientTls, Stream};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustix::process::Signal;
use std::path::Path;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// What a protocol says.
struct Door {
    name: &'static str,
    /// With TLS from the first octet.
    secure: &'static str,
    greeting: &'static str,
    /// Commands that lead to TLS, with their answers.
    start: &'static [(&'static str, &'static str)],
    /// What asks for mechanisms, where they are not told unasked, and how the answer ends.
    ask: Option<&'static str>,
    end: &'static str,
}

/// Under TLS, after what was said first.
struct Talk {
    runtime: Runtime,
    stream: BufReader<Stream>,
    /// What is offered.
    offer: String,
}

pub(crate) fn let_their_holders_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = Authority::new(folder.path(), "ours");
    let foreign = Authority::new(folder.path(), "foreign");
    ours.issue("anna", &["anna@site.test"]);
    ours.issue("nameless", &[]);
    foreign.issue("stranger", &["anna@site.test"]);
    let made = rcgen::generate_simple_self_signed(vec!["one.example".to_owned()]).expect("a certificate");
    std::fs::write(folder.path().join("one.pem"), made.cert.pem()).expect("written");
    std::fs::write(folder.path().join("one.key"), made.signing_key.serialize_pem()).expect("written");
    std::fs::create_dir(folder.path().join("conf.d")).expect("a folder");
    std::fs::write(folder.path().join("conf.d/doors.toml"), DOORS).expect("written");
    let node = Served::start_in(folder, "", &format!("{RELAY}{TLS}"), &[]);

    for door in [&IMAP, &POP3, &SUBMISSION, &SIEVE] {
        for secure in [true, false] {
            for (name, offered) in [(Some("anna"), true), (Some("nameless"), false), (None, false)] {
                let talk = door.enter(&node, secure, name).expect("it verifies, or is not needed");
                assert_eq!(talk.offer.contains("EXTERNAL"), offered, "{} {name:?}: {}", door.name, talk.offer);
            }
        }
    }
    by_its_addresses(&node);

    for secure in [true, false] {
        assert!(IMAP.enter(&node, secure, Some("stranger")).is_none(), "of another authority");
        let line = node.log_line("a client's certificate is refused");
        assert!(line.contains("UnknownIssuer"), "{line}");
    }
    // Other mail servers are not asked: what they would show is nobody's matter.
    let smtp = Door { name: "smtp", ..SUBMISSION };
    let talk = smtp.enter(&node, false, Some("stranger")).expect("it is not asked for one");
    assert!(!talk.offer.contains("AUTH"), "{}", talk.offer);

    // From the next connection on.
    reload(&node, &DOORS.replace("../ours.pem", "../foreign.pem"));
    assert!(IMAP.enter(&node, true, Some("anna")).is_none());
    let mut talk = IMAP.enter(&node, true, Some("stranger")).expect("it verifies now");
    assert!(talk.ask("a AUTHENTICATE EXTERNAL =", "a ").starts_with("a OK"));
    reload(&node, &DOORS.replace("client_authority", "# "));
    let talk = IMAP.enter(&node, true, Some("stranger")).expect("nobody is asked");
    assert!(!talk.offer.contains("EXTERNAL"), "{}", talk.offer);
}

fn by_its_addresses(node: &Served) {
    let mut talk = IMAP.enter(node, true, Some("anna")).expect("it verifies");
    // RFC 4422 App. A.2: it says nothing of others. This is bert@site.test.
    let refused = talk.ask("a AUTHENTICATE EXTERNAL YmVydEBzaXRlLnRlc3Q=", "a ");
    assert!(refused.starts_with("a NO [AUTHORIZATIONFAILED]"), "{refused}");
    let taken = talk.ask("b AUTHENTICATE EXTERNAL =", "b ");
    assert!(taken.starts_with("b OK"), "{taken}");
    node.log_line("account=anna@site.test");
    // anna@site.test
    let mut talk = POP3.enter(node, false, Some("anna")).expect("it verifies");
    let taken = talk.ask("AUTH EXTERNAL YW5uYUBzaXRlLnRlc3Q=", "");
    assert!(taken.starts_with("+OK"), "{taken}");
    node.log_line("account=anna@site.test");
    // What is not offered is not there.
    let mut talk = IMAP.enter(node, true, None).expect("it need not show one");
    let refused = talk.ask("a AUTHENTICATE EXTERNAL =", "a ");
    assert!(!refused.starts_with("a OK"), "{refused}");
}

fn reload(node: &Served, doors: &str) {
    std::fs::write(node.folder().join("conf.d/doors.toml"), doors).expect("written");
    node.signal(Signal::HUP);
    let line = node.log_line("the configuration was read again");
    assert!(line.contains("changed=proxy.client_authority"), "{line}");
}

impl Door {
    /// Shows the certificate of that name, or none; nothing where it is refused.
    fn enter(&self, node: &Served, secure: bool, name: Option<&str>) -> Option<Talk> {
        let file = |kind: &str| node.folder().join(format!("{}.{kind}", name.unwrap_or_default()));
        let client = match name {
            Some(_) => ClientTls::unverified().with_certificate(&file("pem"), &file("key")).expect("they fit"),
            None => ClientTls::unverified(),
        };
        let at = node.address(if secure { self.secure } else { self.name });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (stream, offer) = runtime.block_on(async {
            let mut socket = BufReader::new(TcpStream::connect(at).await.expect("somebody listens"));
            if !secure {
                hear(&mut socket, self.greeting).await.expect("a greeting");
                for (command, answer) in self.start {
                    socket.write_all(format!("{command}\r\n").as_bytes()).await.expect("sent");
                    hear(&mut socket, answer).await.expect("an answer");
                }
            }
            assert!(socket.buffer().is_empty(), "nothing more is said in clear");
            let stream = Stream::plain(socket.into_inner()).connect_tls(&client, "one.example").await.ok()?;
            let mut stream = BufReader::new(stream);
            // Under TLS 1.3 a refusal comes only now.
            let mut said = String::new();
            if secure || self.ask.is_none() {
                said = hear(&mut stream, self.greeting).await?;
            }
            if let Some(ask) = self.ask {
                stream.write_all(format!("{ask}\r\n").as_bytes()).await.ok()?;
                said = hear(&mut stream, self.end).await?;
            }
            Some((stream, said))
        })?;
        Some(Talk { runtime, stream, offer })
    }
}

impl Talk {
    /// Sends a line; what is said until a line begins so.
    fn ask(&mut self, line: &str, until: &str) -> String {
        let Self { runtime, stream, .. } = self;
        let said = runtime.block_on(async {
            stream.write_all(format!("{line}\r\n").as_bytes()).await.expect("sent");
            hear(stream, until).await
        });
        said.expect("an answer")
    }
}

/// Lines until one begins so, that one too; nothing if none does before the end.
async fn hear(from: &mut (impl AsyncBufRead + Unpin), until: &str) -> Option<String> {
    let mut said = String::new();
    loop {
        let before = said.len();
        if !matches!(from.read_line(&mut said).await, Ok(1..)) {
            return None;
        }
        if said[before..].starts_with(until) {
            return Some(said);
        }
    }
}

struct Authority<'a> {
    folder: &'a Path,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl<'a> Authority<'a> {
    fn new(folder: &'a Path, name: &str) -> Self {
        let mut made = CertificateParams::default();
        made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        made.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(made, KeyPair::generate().expect("a key")).expect("an authority");
        std::fs::write(folder.join(format!("{name}.pem")), issuer.pem()).expect("written");
        Self { folder, issuer }
    }

    fn issue(&self, name: &str, addresses: &[&str]) {
        let mut made = CertificateParams::default();
        let names = addresses.iter().map(|address| SanType::Rfc822Name((*address).try_into().expect("ASCII")));
        made.subject_alt_names = names.collect();
        let key = KeyPair::generate().expect("a key");
        let certificate = made.signed_by(&key, &self.issuer).expect("a certificate");
        std::fs::write(self.folder.join(format!("{name}.pem")), certificate.pem()).expect("written");
        std::fs::write(self.folder.join(format!("{name}.key")), key.serialize_pem()).expect("written");
    }
}

const IMAP: Door = Door {
    name: "imap",
    secure: "imaps",
    greeting: "* OK",
    start: &[("s STARTTLS", "s OK")],
    ask: Some("c CAPABILITY"),
    end: "c OK",
};
const POP3: Door =
    Door { name: "pop3", secure: "pop3s", greeting: "+OK", start: &[("STLS", "+OK")], ask: Some("CAPA"), end: "." };
const SUBMISSION: Door = Door {
    name: "submission",
    secure: "submissions",
    greeting: "220",
    start: &[("EHLO far.example", "250 "), ("STARTTLS", "220")],
    ask: Some("EHLO far.example"),
    end: "250 ",
};
const SIEVE: Door =
    Door { name: "sieve", secure: "sieves", greeting: "OK", start: &[("STARTTLS", "OK")], ask: None, end: "" };
const DOORS: &str = "[proxy]
imaps = '127.0.0.1:0'
pop3s = '127.0.0.1:0'
submission = '127.0.0.1:0'
submissions = '127.0.0.1:0'
sieve = '127.0.0.1:0'
sieves = '127.0.0.1:0'
client_authority = '../ours.pem'
";
const TLS: &str = "[tls]
certificate = 'one.pem'
key = 'one.key'
";
