//! Records as operators write them and as engines keep them.

use super::*;
use crate::record::{AccountRecord, PasswordHash, RecordError, RuleRecord, SecretRecord, StoreRecord};
use crate::{DomainRecord, NodeRecord, PlacementRecord};

fn refusal<R: Record + std::fmt::Debug>(value: Value) -> String {
    R::from_operator(value).expect_err("refused").to_string()
}

#[test]
fn values_have_a_version_and_come_back() {
    for (entry, expected) in [
        (
            account(1, "A@b.test"),
            r#"{"v":1,"address":"A@b.test","id":"00000000000000000000000000000001","state":"active","created":0}"#,
        ),
        (alias("i@b.test", &["A@b.test"]), r#"{"v":1,"address":"i@b.test","targets":["A@b.test"]}"#),
        (placement("a@b.test", "S"), r#"{"v":1,"address":"a@b.test","store":"s"}"#),
        (store("s"), r#"{"v":1,"name":"s","kind":"posthouse","node":"n1"}"#),
        (
            domain(json!({"name": "B.test"})),
            r#"{"v":1,"name":"b.test","delimiter":"+","accounts":"checked","local":true}"#,
        ),
        (
            rule(json!({"name": "R", "order": 1, "kind": "hash", "weights": {"S": 2}})),
            r#"{"v":1,"name":"r","order":1,"kind":"hash","weights":{"s":2}}"#,
        ),
        (
            rule(json!({"name": "r", "order": 1, "kind": "prefix", "from": "A", "to": "K", "store": "s"})),
            r#"{"v":1,"name":"r","order":1,"kind":"prefix","from":"a","to":"k","store":"s"}"#,
        ),
    ] {
        assert_eq!(String::from_utf8_lossy(&entry.value), expected);
    }
    let rule = RuleRecord::decode(&rule(json!({"name": "r", "order": 1, "kind": "all", "store": "s"})).value);
    assert_eq!(rule.expect("comes back").order, 1);
}

#[test]
fn engines_ignore_fields_of_later_releases_and_refuse_later_versions() {
    let later = br#"{"v":1,"address":"a@b.test","store":"s","shade":"green"}"#;
    assert!(PlacementRecord::decode(later).is_ok());
    let later = br#"{"v":2,"address":"a@b.test","store":"s"}"#;
    assert!(matches!(PlacementRecord::decode(later), Err(RecordError::Newer { found: 2 })));
    assert!(PlacementRecord::decode(br#"{"address":"a@b.test","store":"s"}"#).is_err(), "a value names its version");
}

#[test]
fn operators_hear_what_is_wrong() {
    let typo = json!({"name": "b.test", "defaultstore": "s"});
    assert_eq!(refusal::<DomainRecord>(typo), "unknown field `defaultstore`; did you mean `default_store`?");
    for (value, said) in [
        (json!({"name": "r", "order": 1, "kind": "all"}), "store"),
        (json!({"name": "r", "order": 1, "kind": "all", "store": "s", "from": "a"}), "from"),
        (json!({"name": "r", "order": 1, "kind": "regex", "pattern": "(", "store": "s"}), "pattern"),
        (json!({"name": "r", "order": 1, "kind": "prefix", "from": "k", "to": "a", "store": "s"}), "lower bound"),
        (json!({"name": "r", "order": 1, "kind": "hash", "weights": {}}), "at least one"),
        (json!({"name": "r", "order": 1, "kind": "hash", "weights": {"s": 0}}), "weight"),
        (json!({"name": "r", "order": 1, "kind": "hash", "weights": {"s": 70000}}), "u16"),
        (json!({"name": "r", "order": 1, "kind": "site", "store": "s"}), "unknown variant"),
        (json!({"name": "r r", "order": 1, "kind": "all", "store": "s"}), "a name has"),
    ] {
        let found = refusal::<RuleRecord>(value.clone());
        assert!(found.contains(said), "{value}: {found}");
    }
    for (value, said) in [
        (json!({"name": "s", "kind": "posthouse"}), "node"),
        (json!({"name": "s", "kind": "foreign", "host": "h"}), "ports"),
        (json!({"name": "s", "kind": "foreign", "host": "h", "ports": {}}), "at least one protocol"),
        (json!({"name": "s", "kind": "foreign", "host": "h", "ports": {"imap": 0}}), "a port is"),
        (json!({"name": "s", "kind": "foreign", "host": "h h", "ports": {"imap": 1}}), "host"),
        (json!({"name": "s", "kind": "posthouse", "node": "n", "host": "h"}), "host"),
        (json!({"name": "s", "kind": "posthouse", "node": "n", "hosts": ["h"]}), "hosts"),
        (json!({"name": "s", "kind": "foreign", "ports": {"imap": 1}}), "or hosts"),
        (
            json!({"name": "s", "kind": "foreign", "host": "h", "hosts": ["i"], "ports": {"imap": 1}}),
            "hosts says it too",
        ),
        (json!({"name": "s", "kind": "foreign", "hosts": ["h", "h"], "ports": {"imap": 1}}), "twice"),
        (json!({"name": "s", "kind": "foreign", "hosts": ["h,pop3=1"], "ports": {"imap": 1}}), "do not name"),
        (json!({"name": "s", "kind": "foreign", "hosts": ["h,imap=0"], "ports": {"imap": 1}}), "a port is"),
        (
            json!({"name": "s", "kind": "foreign", "host": "h", "ports": {"imap": 1}, "port_tls": {"pop3": "tls"}}),
            "port_tls",
        ),
        (json!({"name": "s", "kind": "posthouse", "node": "n", "port_tls": {"imap": "tls"}}), "port_tls"),
        (json!({"name": "s", "kind": "posthouse", "node": "n", "tokens": true}), "tokens"),
        (
            json!({"name": "s", "kind": "foreign", "host": "h", "ports": {"imap": 1}, "login": "master", "tokens": true}),
            "is shown none",
        ),
        (json!({"name": "s", "kind": "foreign", "hosts": ["h,imap"], "ports": {"imap": 1}}), "imap=1143"),
        (json!({"name": "s", "kind": "foreign", "hosts": vec!["h"; 17], "ports": {"imap": 1}}), "1 to 16"),
    ] {
        let found = refusal::<StoreRecord>(value.clone());
        assert!(found.contains(said), "{value}: {found}");
    }
    for delimiter in ["a", "@", "++", ""] {
        assert!(!refusal::<DomainRecord>(json!({"name": "b.test", "delimiter": delimiter})).is_empty());
    }
    assert!(refusal::<NodeRecord>(json!({"name": "n", "addresses": ["[::1]"]})).contains("host name"));
    NodeRecord::from_operator(json!({"name": "n", "addresses": ["::1", "n.test"], "roles": ["relay"]})).expect("fine");
}

#[test]
fn a_back_end_has_one_host_as_ever_or_several() {
    let one = json!({"name": "s", "kind": "foreign", "host": "h.test", "ports": {"imap": 143}, "tls": "tls", "login": "password"});
    let read = StoreRecord::from_operator(one.clone()).expect("a store");
    assert_eq!(serde_json::to_value(&read).expect("a value"), one, "older releases read what they wrote");
    let list = json!(["h.test", "2001:db8::2,imap=1143"]);
    let two = json!({"name": "s", "kind": "foreign", "hosts": list, "ports": {"imap": 143}});
    let read = StoreRecord::from_operator(two).expect("a store");
    assert_eq!(serde_json::to_value(&read).expect("a value").get("hosts"), Some(&list));
    let crate::StoreKind::Foreign { hosts, .. } = read.kind else { panic!("foreign") };
    let ports: Vec<u16> = hosts.iter().map(|at| at.port(crate::Protocol::Imap, 143)).collect();
    assert_eq!(ports, [143, 1143]);
    // A port of its own is written, also where it is the only host.
    let own = json!({"name": "s", "kind": "foreign", "hosts": ["h.test,imap=1143"], "ports": {"imap": 143}});
    let read = StoreRecord::from_operator(own).expect("a store");
    assert_eq!(serde_json::to_value(&read).expect("a value").get("hosts"), Some(&json!(["h.test,imap=1143"])));
}

#[test]
fn a_port_is_protected_as_its_store_is_or_says_how() {
    use crate::{Protocol, TlsMode};
    let written = json!({
        "name": "s", "kind": "foreign", "host": "h.test", "ports": {"imap": 993, "sieve": 4190, "submission": 587},
        "tls": "tls", "port_tls": {"submission": "starttls"}, "login": "password",
    });
    let read = StoreRecord::from_operator(written.clone()).expect("a store");
    assert_eq!(serde_json::to_value(&read).expect("a value"), written);
    let crate::StoreKind::Foreign { tls, port_tls, .. } = read.kind else { panic!("foreign") };
    assert_eq!(tls.at_port(Protocol::Imap, &port_tls), TlsMode::Tls);
    assert_eq!(tls.at_port(Protocol::Submission, &port_tls), TlsMode::Starttls);
    assert_eq!(tls.at_port(Protocol::Sieve, &port_tls), TlsMode::Starttls, "nobody has it from the first octet");
    let own = [(Protocol::Sieve, TlsMode::Tls)].into();
    assert_eq!(tls.at_port(Protocol::Sieve, &own), TlsMode::Tls, "but for who says so");
    assert_eq!(TlsMode::None.at_port(Protocol::Sieve, &port_tls), TlsMode::None);
}

#[test]
fn who_takes_tokens_says_so_and_who_does_not_is_written_as_ever() {
    let before = json!({"name": "s", "kind": "foreign", "host": "h.test", "ports": {"imap": 143}, "tls": "tls", "login": "password"});
    let tokens = |written: &serde_json::Value| {
        let read = StoreRecord::from_operator(written.clone()).expect("a store");
        let again = serde_json::to_value(&read).expect("a value");
        let crate::StoreKind::Foreign { tokens, .. } = read.kind else { panic!("foreign") };
        (tokens, again)
    };
    assert_eq!(tokens(&before), (false, before.clone()));
    let mut taking = before.clone();
    taking["tokens"] = true.into();
    assert_eq!(tokens(&taking), (true, taking.clone()));
    taking["tokens"] = false.into();
    assert_eq!(tokens(&taking), (false, before));
}

#[test]
fn hashes_are_not_shown() {
    let hash = "{ARGON2ID}$argon2id$v=19$m=65536$c2FsdA$aGFzaA";
    let secret = SecretRecord::from_operator(json!({"address": "a@b.test", "passwords": [hash]})).expect("a secret");
    let shown = format!("{secret:?}");
    assert!(shown.contains("ARGON2ID") && !shown.contains("aGFzaA") && !shown.contains("c2FsdA"), "{shown}");
    assert_eq!(secret.passwords.first().map(PasswordHash::expose), Some(hash));
    let wrong = SecretRecord::from_operator(json!({"address": "a@b.test", "passwords": ["geheim"]}));
    assert!(!wrong.expect_err("no scheme").to_string().contains("geheim"), "an error shows a password");
    assert!(!crate::SECRET_PREFIX.starts_with(crate::ROUTING_PREFIX), "copies would hold hashes");
}

#[test]
fn a_value_under_another_key_is_a_flaw() {
    let mut moved = account(1, "a@b.test");
    moved.key = AccountRecord::key_for("z@b.test").expect("a key");
    let routing = Routing::load(&[moved], Revision::new(1));
    assert_eq!(routing.flaws().count(), 1);
}
