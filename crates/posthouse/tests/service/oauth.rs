//! Logins by bearer tokens, about which their issuer is asked.

use crate::auth_http::serve;
use crate::node::{ANNA, PASSWORD, Served};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

pub(crate) fn judges() {
    let issuer = serve(answer);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), "s: %&+\n").expect("written");
    let tail = format!(
        "[proxy.oauth]\nintrospection = 'http://{issuer}/introspect'\nclient_id = 'post house'\nclient_secret = 'secret'\n\
         audience = 'mail'\nscopes = 'imap'\ndiscovery = 'https://idp.test/.well-known/openid-configuration'\n[[backend]]\nstore = 'odl'\n"
    );
    let node = Served::start_in(folder, "", &tail, &[]);
    let offered = node.connect("imap").ask("a CAPABILITY", "* CAPABILITY");
    assert!(offered.contains(" AUTH=OAUTHBEARER") && offered.contains(" AUTH=XOAUTH2"), "{offered}");

    one_store_takes_them_from_everybody(&node);

    let bearer = |token: &str| STANDARD.encode(format!("n,a={ANNA},\x01auth=Bearer {token}\x01\x01"));
    let xoauth2 = |token: &str| STANDARD.encode(format!("user={ANNA}\x01auth=Bearer {token}\x01\x01"));
    let mut imap = node.connect("imap");
    imap.ask(&format!("a AUTHENTICATE OAUTHBEARER {}", bearer("good")), "a OK");
    imap.ask("b SELECT INBOX", "b OK");
    node.connect("imap").ask(&format!("a AUTHENTICATE XOAUTH2 {}", xoauth2("good")), "a OK");
    let mut pop3 = node.connect("pop3");
    pop3.ask(&format!("AUTH OAUTHBEARER {}", bearer("good")), "+OK");
    pop3.ask("STAT", "+OK 0 0");

    // Refused, and told where to get a better one; then a password does.
    let mut imap = node.connect("imap");
    let advice = imap.ask(&format!("a AUTHENTICATE OAUTHBEARER {}", bearer("forged")), "+ ");
    let advice = STANDARD.decode(advice.trim_start_matches("+ ")).expect("base64");
    let advice: serde_json::Value = serde_json::from_slice(&advice).expect("JSON");
    assert_eq!(advice["status"], "invalid_token");
    assert_eq!(advice["scope"], "imap");
    assert_eq!(advice["openid-configuration"], "https://idp.test/.well-known/openid-configuration");
    imap.ask("AQ==", "a NO [AUTHENTICATIONFAILED]");
    node.log_line("reason=bad-token");
    imap.ask(&format!("b LOGIN {ANNA} {PASSWORD}"), "b OK");

    // A good token of somebody who has no account looks no different; one of which nothing is known does.
    let mut imap = node.connect("imap");
    let stranger = STANDARD.encode("n,,\x01auth=Bearer stranger\x01\x01");
    imap.ask(&format!("a AUTHENTICATE OAUTHBEARER {stranger}"), "+ ");
    imap.ask("AQ==", "a NO [AUTHENTICATIONFAILED]");
    node.log_line("reason=unknown-user");
    imap.ask(&format!("b AUTHENTICATE OAUTHBEARER {}", bearer("broken")), "b NO [UNAVAILABLE]");
    let why = node.log_line("nobody says what a token is worth");
    assert!(why.contains(&format!("http://{issuer}/introspect: the answer has status 500")), "{why}");
}

/// What follows from a store that takes no tokens is said, and so is that it is over.
fn one_store_takes_them_from_everybody(node: &Served) {
    let offered = || node.connect("imap").ask("a CAPABILITY", "* CAPABILITY");
    node.log_line("msg=offered mechanism=\"OAUTHBEARER, XOAUTH2\"");
    node.log_line("scram=true");
    node.say(&["store", "add", "old", "--host", "127.0.0.1", "--port", "imap=1"], "");
    let lines = [node.log_line("OAUTHBEARER"), node.log_line("scram=false")];
    assert!(lines.iter().all(|line| line.contains(": old\"")), "{lines:?}");
    assert!(!offered().contains("AUTH=OAUTHBEARER") && !offered().contains("AUTH=SCRAM"), "{}", offered());
    let status = node.say(&["status"], "");
    assert!(status.contains("not offered: OAUTHBEARER, XOAUTH2  stores taking no tokens: old"), "{status}");
    assert!(status.contains("[[backend]] odl"), "{status}");
    node.say(&["store", "remove", "old"], "");
    node.log_line("msg=offered mechanism=\"OAUTHBEARER, XOAUTH2\"");
    assert!(offered().contains("AUTH=OAUTHBEARER"), "{}", offered());
}

/// The issuer.
fn answer(stream: TcpStream) {
    let mut out = stream.try_clone().expect("a copy");
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => break,
                Ok(_) => lines.push(line.trim().to_ascii_lowercase()),
            }
        }
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")).expect("a form");
        let mut body = vec![0; length.parse().expect("a number")];
        reader.read_exact(&mut body).expect("a body");
        let body = String::from_utf8(body).expect("a form");
        // RFC 6749 §2.3.1: both are encoded before they are joined.
        let knows_us = STANDARD.encode("post+house:s%3A+%25%26%2B").to_ascii_lowercase();
        let is_known = lines.contains(&format!("authorization: basic {knows_us}"));
        let named =
            |user: &str| format!("{{\"active\":true,\"username\":\"{user}\",\"aud\":\"mail\",\"scope\":\"imap pop\"}}");
        let (status, json) = match body.split(['=', '&']).nth(1) {
            _ if !is_known => ("401 Unauthorized", String::new()),
            Some("good") => ("200 OK", named(ANNA)),
            Some("stranger") => ("200 OK", named("nobody@site.test")),
            Some("broken") => ("500 Oh", String::new()),
            _ => ("200 OK", "{\"active\":false}".to_owned()),
        };
        let whole = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{json}", json.len());
        out.write_all(whole.as_bytes()).expect("the node waits for it");
    }
}
