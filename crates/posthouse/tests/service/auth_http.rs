//! Logins that an HTTP server decides, as it decides them for nginx.

use crate::node::{ANNA, PASSWORD, Served};
use net::{CertificateFiles, ServerTls, Stream};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

pub(crate) fn decides() {
    let back_end = serve(back_end);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let http = serve(move |stream| answer(stream, back_end, &seen));
    let tail = format!(
        "[proxy.auth_http]\nurl = 'http://{http}/auth?site=1'\nheaders = ['X-Auth-Key: k7']\ntimeout_seconds = 2\n\
         stores = ['gone.test:143=away', 'gone.test:144=ingrid']\n"
    );
    let node = Served::start("", &tail, &[]);
    let port = format!("imap={}", back_end.port());
    node.say(&["store", "add", "old", "--host", "127.0.0.1", "--port", &port, "--tls", "none"], "");
    node.say(&["domain", "add", "old.test", "--accounts", "unchecked"], "");
    let log_in = |user: &str, password: &str| {
        let mut imap = node.connect("imap");
        let heard = imap.ask(&format!("a LOGIN \"{user}\" \"{password}\""), "a ");
        (heard, imap)
    };

    // Where it says, by the name and the password that it says.
    let (heard, mut imap) = log_in("anna b@old.test", "right");
    assert!(heard.starts_with("a OK"), "{heard}");
    imap.ask("b NOOP", "b OK passed");
    let question = asked.lock().expect("not poisoned").last().cloned().expect("it was asked");
    for line in [
        "get /auth?site=1 http/1.1",
        "auth-method: plain",
        "auth-user: anna%20b@old.test",
        "auth-pass: right",
        "auth-protocol: imap",
        "auth-login-attempt: 1",
        "client-ip: 127.0.0.1",
        "x-auth-key: k7",
    ] {
        assert!(question.iter().any(|heard| heard.to_lowercase() == line), "{line}: {question:?}");
    }
    assert!(log_in("anna b@old.test", "wrong").0.starts_with("a NO [AUTHENTICATIONFAILED]"));
    node.log_line("reason=origin");

    // Whatever is no verdict is none of the user's fault.
    for (user, why) in [
        ("broken", "status 500"),
        ("mute", "connection closed"),
        ("silent", "no answer within 2 s"),
        ("stray", "no store is at 192.0.2.1:143 for this protocol"),
        ("partly", "the answer has no usable Auth-Port"),
        ("strange", "the answer has no usable Auth-Status"),
        ("away", "is no back-end"),
        ("ours", "is no back-end"),
    ] {
        let (heard, _) = log_in(&format!("{user}@old.test"), "right");
        assert!(heard.starts_with("a NO [UNAVAILABLE]"), "{user}: {heard}");
        node.log_line(why);
        node.log_line("login undecided");
    }

    // Whom the directory knows it is not asked about, nor about a domain that is not the site's.
    let count = || asked.lock().expect("not poisoned").len();
    let before = count();
    assert!(log_in(ANNA, PASSWORD).0.starts_with("a OK"));
    assert!(log_in(ANNA, "right").0.starts_with("a NO [AUTHENTICATIONFAILED]"));
    assert!(log_in("anna@else.test", "right").0.starts_with("a NO [AUTHENTICATIONFAILED]"));
    assert_eq!(count(), before);
}

/// Over TLS, with whoever shows a certificate from the authority that is named, and nobody else.
pub(crate) fn decides_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let back_end = serve(back_end);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let http = serve(move |stream| answer(stream, back_end, &seen));
    let https = in_tls(http, folder.path(), "right");
    let impostor = in_tls(http, folder.path(), "wrong");
    let told = |address: SocketAddr| {
        format!("[proxy.auth_http]\nurl = 'https://{address}/auth?key=k7'\nauthority = 'right.pem'\n")
    };
    let prepare = |node: &Served| {
        let port = format!("imap={}", back_end.port());
        node.say(&["store", "add", "old", "--host", "127.0.0.1", "--port", &port, "--tls", "none"], "");
        node.say(&["domain", "add", "old.test", "--accounts", "unchecked"], "");
    };
    let certificate = std::fs::read(folder.path().join("right.pem")).expect("it was made");
    let node = Served::start_in(folder, "", &told(https), &[]);
    prepare(&node);
    for (password, answer) in [("right", "a OK"), ("wrong", "a NO [AUTHENTICATIONFAILED]")] {
        let heard = node.connect("imap").ask(&format!("a LOGIN \"anna b@old.test\" {password}"), "a ");
        assert!(heard.starts_with(answer), "{heard}");
    }
    assert_eq!(asked.lock().expect("not poisoned").len(), 2);

    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("right.pem"), certificate).expect("written");
    let node = Served::start_in(folder, "", &told(impostor), &[]);
    prepare(&node);
    let heard = node.connect("imap").ask("a LOGIN \"anna b@old.test\" right", "a ");
    assert!(heard.starts_with("a NO [UNAVAILABLE]"), "{heard}");
    let why = node.log_line(&format!("https://{impostor}/auth: no TLS with {impostor}"));
    assert!(!why.contains("k7"), "{why}");
    assert_eq!(asked.lock().expect("not poisoned").len(), 2, "an impostor hears no password");
}

/// TLS in front of a server, with a certificate of its own: `NAME.pem` in that folder.
fn in_tls(server: SocketAddr, folder: &Path, name: &str) -> SocketAddr {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let tls = ServerTls::from_pem_files(&CertificateFiles { certificate, key }, &[]).expect("a server");
    serve(move |stream| {
        stream.set_nonblocking(true).expect("a socket");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let stream = Stream::plain(tokio::net::TcpStream::from_std(stream).expect("a socket"));
            // Who does not like the certificate goes.
            let Ok(mut stream) = stream.accept_tls(&tls).await else { return };
            let mut server = tokio::net::TcpStream::connect(server).await.expect("it listens");
            let _ended = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
        });
    })
}

/// Serves each connection on a thread of its own, for as long as the tests run.
pub(crate) fn serve(each: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let each = each.clone();
            std::thread::spawn(move || each(stream));
        }
    });
    address
}

/// The HTTP server.
fn answer(mut stream: TcpStream, back_end: SocketAddr, asked: &Mutex<Vec<Vec<String>>>) {
    let lines = BufReader::new(stream.try_clone().expect("a copy")).lines();
    let lines: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let value = |name: &str| {
        let found =
            lines.iter().filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let (user, password) = (value("Auth-User"), value("Auth-Pass"));
    asked.lock().expect("not poisoned").push(lines.clone());
    let at = |host: &str, port: u16| format!("Auth-Status: OK\r\nAuth-Server: {host}\r\nAuth-Port: {port}\r\n");
    let (status, headers) = match user.split('@').next().unwrap_or_default() {
        "anna%20b" if password == "right" => {
            ("200 OK", at("127.0.0.1", back_end.port()) + "Auth-User: a17\r\nAuth-Pass: other\r\n")
        }
        "anna%20b" => ("200 OK", "Auth-Status: Invalid login or password\r\nAuth-Wait: 1\r\n".to_owned()),
        "broken" => ("500 Oh", String::new()),
        "mute" => return,
        "silent" => {
            // Until the other side has had enough.
            let _gone = stream.read(&mut [0]);
            return;
        }
        "stray" => ("200 OK", at("192.0.2.1", 143)),
        "partly" => ("200 OK", "Auth-Status: OK\r\nAuth-Server: 127.0.0.1\r\n".to_owned()),
        "away" => ("200 OK", at("gone.test", 143)),
        "ours" => ("200 OK", at("gone.test", 144)),
        _ => ("200 OK", String::new()),
    };
    let whole = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\n\r\n");
    stream.write_all(whole.as_bytes()).expect("the node waits for it");
}

/// A server of IMAP that lets `a17` in by the password `other`.
fn back_end(stream: TcpStream) {
    let mut out = stream.try_clone().expect("a copy");
    let mut say = move |text: String| out.write_all(format!("{text}\r\n").as_bytes()).is_ok();
    say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello".to_owned());
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match command {
            // Base64 of NUL a17 NUL other.
            "AUTHENTICATE PLAIN AGExNwBvdGhlcg==" => "OK [CAPABILITY IMAP4rev1] welcome",
            command if command.starts_with("AUTHENTICATE") => "NO [AUTHENTICATIONFAILED] no",
            _ => "OK passed",
        };
        if !say(format!("{tag} {answer}")) {
            return;
        }
    }
}
