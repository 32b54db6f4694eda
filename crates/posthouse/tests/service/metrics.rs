//! A monitor's view.

use crate::node::{RELAY, Served, Talk};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

pub(crate) fn counters_move() {
    let node = Served::start("", RELAY, &[]);
    let before = scrape(&node);
    node.mail(2_000);
    drop(node.log_in());
    let after = scrape(&node);
    let grown = |name: &str| after.get(name).expect(name) - before.get(name).expect(name);
    for name in [
        "posthouse_relay_messages_total{outcome=\"stored\"}",
        "posthouse_relay_recipients_total{outcome=\"accepted\"}",
        "posthouse_store_deliveries_total{store=\"ingrid\",outcome=\"stored\"}",
        "posthouse_sessions_total{protocol=\"smtp\"}",
        "posthouse_logins_total{protocol=\"imap\",outcome=\"success\"}",
    ] {
        assert!((grown(name) - 1.0).abs() < f64::EPSILON, "{name}: {}", grown(name));
    }
    for name in [
        "posthouse_relay_message_bytes_total{outcome=\"stored\"}",
        "posthouse_store_commit_groups_total{store=\"ingrid\"}",
        "posthouse_store_commit_records_total{store=\"ingrid\"}",
        "posthouse_store_commit_seconds_count{store=\"ingrid\"}",
        "posthouse_store_commit_seconds_sum{store=\"ingrid\"}",
    ] {
        assert!(grown(name) > 0.0, "{name}");
    }
    for name in [
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "posthouse_store_journal_bytes{store=\"ingrid\"}",
    ] {
        assert!(after.get(name).is_some_and(|value| *value > 0.0), "{name}");
    }
    for name in ["posthouse_queue_messages", "posthouse_queue_oldest_age_seconds", "posthouse_directory_stale_seconds"]
    {
        assert_eq!(after.get(name), Some(&0.0), "{name}");
    }
    let mut other = Talk::open(node.address("metrics"));
    other.send("POST /metrics HTTP/1.1\r\nHost: n\r\n\r\n");
    assert_eq!(other.hear(), "HTTP/1.1 405 Method Not Allowed");
    // The same over the socket of commands.
    let mut socket = UnixStream::connect(node.folder().join("data/admin.sock")).expect("it listens");
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("text");
    assert!(answer.contains("text/plain; version=0.0.4") && answer.contains("\nposthouse_info{"), "{answer}");
}

pub(crate) fn scrape(node: &Served) -> BTreeMap<String, f64> {
    let mut talk = Talk::open(node.address("metrics"));
    talk.send("GET /metrics HTTP/1.1\r\nHost: n\r\nAccept: text/plain\r\n\r\n");
    let answer = talk.rest();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a header and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("version=0.0.4"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    parse(body)
}

/// Every line, by the rules of the text format.
fn parse(body: &str) -> BTreeMap<String, f64> {
    assert!(body.ends_with('\n'));
    let (mut samples, mut kinds, mut family) = (BTreeMap::new(), BTreeSet::new(), ("", ""));
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(
                help.split_once(' ')
                    .is_some_and(|(name, text)| is_name(name) && text.ends_with('.') || text.contains("else 0")),
                "{line}"
            );
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            family = kind.split_once(' ').expect("a kind");
            assert!(kinds.insert(family.0.to_owned()), "{line}: twice");
            assert!(["counter", "gauge", "histogram"].contains(&family.1), "{line}");
            assert_eq!(family.1 == "counter", family.0.ends_with("_total"), "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect(line);
        let (name, labels) = series.split_once('{').map_or((series, ""), |(name, labels)| (name, labels));
        let suffix = name.strip_prefix(family.0).expect(line);
        let allowed: &[&str] = if family.1 == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(is_name(name) && allowed.contains(&suffix), "{line}");
        if !labels.is_empty() {
            let labels = labels.strip_suffix("\"}").expect(line).split("\",");
            assert!(
                labels.clone().all(|label| label.split_once("=\"").is_some_and(|(name, _)| is_name(name))),
                "{line}"
            );
        }
        let value: f64 = value.parse().expect(line);
        assert!(samples.insert(series.to_owned(), value).is_none(), "{line}: twice");
    }
    samples
}

fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c == '_';
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}
