//! Runs `transcripts/login/*.txt` against the client that logs in, the server's lines whole and octet by octet.
//!
//! ```text
//! # purpose              comment
//! ! password ann secret  a password: whose, and which
//! ! master ann root pw   a master user's: as whom, whose, and which
//! ! token ann mF_9       an access token: of whom, and which
//! ! asking               nobody wants in
//! ! starttls             TLS must be started (these lines stand before the greeting)
//! ! tls                  the handshake is done
//! S: text                the server says this and CRLF
//! C: text                the client says just this and CRLF
//! = LoggedIn             this event comes
//! ```
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use machine::Machine;
use mail_types::Domain;
use smtp_proto::Dialect;
use smtp_proto::client::{Config, Login, LoginClient, LoginEvent};
use std::path::Path;
use std::time::Instant;

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/login");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        for chunk in [usize::MAX, 1] {
            run(&lines, chunk, &path.display().to_string());
        }
        count += 1;
    }
    assert!(count >= 9, "the transcripts were found");
}

fn client(who: &str) -> LoginClient {
    let config = Config::new(Dialect::Smtp, Domain::parse("proxy.example").unwrap());
    if who == "! asking" {
        return LoginClient::asking(config, Instant::now());
    }
    let password = |authorization: Option<&str>, authentication: &str, password: &str| Login::Password {
        authorization: authorization.map(str::to_owned),
        authentication: authentication.to_owned(),
        password: Bytes::copy_from_slice(password.as_bytes()),
    };
    let token = |user: &str, token: &str| Login::Token {
        oauthbearer: Bytes::from(format!("n,a={user},\x01auth=Bearer {token}\x01\x01").into_bytes()),
        xoauth2: Bytes::from(format!("user={user}\x01auth=Bearer {token}\x01\x01").into_bytes()),
    };
    let words: Vec<&str> = who.split(' ').collect();
    let login = match words[..] {
        ["!", "password", user, secret] => password(None, user, secret),
        ["!", "master", user, master, secret] => password(Some(user), master, secret),
        ["!", "token", user, shown] => token(user, shown),
        _ => panic!("{who}: who logs in?"),
    };
    LoginClient::new(config, login, Instant::now())
}

fn run(lines: &[&str], chunk: usize, name: &str) {
    let mut client = client(lines.first().unwrap());
    for line in lines.iter().skip(1) {
        match line.split_at(2) {
            ("! ", "starttls") => client = client.with_starttls(),
            ("! ", "tls") => client.tls_started(),
            ("S:", text) => {
                let said = format!("{}\r\n", text.trim_start());
                said.as_bytes().chunks(chunk).for_each(|piece| client.handle_input(Instant::now(), piece));
            }
            ("C:", text) => assert_eq!(said(&mut client), format!("{}\r\n", text.trim_start()), "{name}: {line}"),
            ("= ", event) => assert_eq!(client.poll_event().map(show).as_deref(), Some(event), "{name}"),
            _ => panic!("{name}: {line}"),
        }
    }
    assert_eq!((said(&mut client).as_str(), client.poll_event()), ("", None), "{name}");
}

fn said(client: &mut LoginClient) -> String {
    let mut said = Vec::new();
    while let Some(octets) = client.poll_output() {
        said.extend_from_slice(&octets);
    }
    String::from_utf8(said).unwrap()
}

fn show(event: LoginEvent) -> String {
    match event {
        LoginEvent::StartTls => "StartTls".to_owned(),
        LoginEvent::Offered => "Offered".to_owned(),
        LoginEvent::LoggedIn => "LoggedIn".to_owned(),
        LoginEvent::NoLogin => "NoLogin".to_owned(),
        LoginEvent::Unsayable => "Unsayable".to_owned(),
        LoginEvent::Refused(reply) => format!("Refused {reply}"),
        LoginEvent::NoStartTls(reply) => format!("NoStartTls {reply}"),
        LoginEvent::Closed(closing) => format!("Closed {closing:?}"),
    }
}
