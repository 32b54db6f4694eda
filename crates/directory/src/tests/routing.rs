//! Tables of cases.

use super::*;
use crate::delivery::{Delivery, Existence};
use crate::explain::{Silent, Steps};
use crate::login::Login;
use crate::reply::Reply;
use crate::route_json::RouteJson;
use mail_types::{ForwardPath, StoreName};

/// The articles' site: a–k at ingrid, the rest at fritz; john and alison are at fritz by the per-user map.
fn hybrid() -> Vec<Entry> {
    vec![
        store("ingrid"),
        store("fritz"),
        domain(json!({"name": "site.test", "postmaster": "Alison@site.test"})),
        rule(json!({"name": "a-to-k", "order": 10, "kind": "prefix", "from": "a", "to": "k", "store": "ingrid"})),
        rule(json!({"name": "rest", "order": 20, "kind": "regex", "pattern": "^[^a-k]", "store": "fritz"})),
        account(1, "Anna@site.test"),
        account(2, "john@site.test"),
        account(3, "alison@site.test"),
        account(4, "zoe@site.test"),
        account(5, "error@site.test"),
        account(6, "9lives@site.test"),
        account(7, "jörg@site.test"),
        account(8, "ärger@site.test"),
        account(9, "a+b@site.test"),
        account(10, "error.log@site.test"),
        placement("john@site.test", "fritz"),
        placement("alison@site.test", "fritz"),
        alias("info@site.test", &["anna@site.test", "zoe@site.test", "info@far.test"]),
        alias("sales@site.test", &["info@site.test", "Anna@site.test", "john+sales@site.test"]),
        alias("one@site.test", &["two@site.test"]),
        alias("two@site.test", &["one@site.test"]),
        alias("partly@site.test", &["partly@site.test", "zoe@site.test", "nobody@site.test"]),
        alias("dangling@site.test", &["nobody@site.test"]),
        alias("away@site.test", &["me@far.test"]),
        alias("abuse@site.test", &["postmaster@site.test"]),
    ]
}

/// `store:account[+detail]` of each target, then the remote addresses; or the reply.
fn show(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Deliver(deliver) => {
            let targets = deliver.targets.iter().map(|target| {
                let detail = target.detail.as_ref().map(|detail| format!("[{detail}]")).unwrap_or_default();
                let ask = if target.existence == Existence::AskStore { "?" } else { "" };
                format!("{}:{}{detail}{ask}", target.store, target.address)
            });
            targets.chain(deliver.remote.iter().map(Address::to_string)).collect::<Vec<_>>().join(" ")
        }
        Delivery::NotOurs(reply) => format!("not ours: {reply}"),
        Delivery::Reject(reply) | Delivery::TempFail(reply) => reply.to_string(),
    }
}

fn check(routing: &Routing, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let mut steps = Steps::new();
        let explained = routing.delivery(&address(text), &mut steps);
        assert_eq!(show(&explained), *expected, "{text}: {:#?}", steps.sentences());
        assert_eq!(explained, routing.delivery(&address(text), &mut Silent), "explaining changed the answer");
    }
}

#[test]
fn the_hybrid_of_the_articles() {
    check(
        &load(&hybrid()),
        &[
            ("anna@site.test", "ingrid:Anna@site.test"),
            ("ANNA@SITE.test", "ingrid:Anna@site.test"),
            ("john@site.test", "fritz:john@site.test"),
            ("alison@site.test", "fritz:alison@site.test"),
            ("zoe@site.test", "fritz:zoe@site.test"),
            ("9lives@site.test", "fritz:9lives@site.test"),
            ("ärger@site.test", "fritz:ärger@site.test"),
            ("JÖRG@site.test", "ingrid:jörg@site.test"),
            ("jo\u{308}rg@site.test", "ingrid:jörg@site.test"),
            ("error@site.test", "ingrid:error@site.test"),
            ("Error+x@site.test", "ingrid:error@site.test[x]"),
            ("error.log@site.test", "ingrid:error.log@site.test"),
            ("anna+news+x@site.test", "ingrid:Anna@site.test[news+x]"),
            ("anna+@site.test", "ingrid:Anna@site.test[]"),
            ("a+b@site.test", "ingrid:a+b@site.test"),
            ("a+c@site.test", "550 5.1.1 no such account here"),
            ("nobody@site.test", "550 5.1.1 no such account here"),
            ("nobody+x@site.test", "550 5.1.1 no such account here"),
            ("anna@far.test", "not ours: 550 5.7.1 relaying denied"),
            ("anna@sub.site.test", "not ours: 550 5.7.1 relaying denied"),
            ("postmaster@site.test", "fritz:alison@site.test"),
            ("PostMaster@site.test", "fritz:alison@site.test"),
            ("abuse@site.test", "fritz:alison@site.test"),
        ],
    );
}

#[test]
fn aliases_reach_each_account_once_and_end() {
    check(
        &load(&hybrid()),
        &[
            ("info@site.test", "ingrid:Anna@site.test fritz:zoe@site.test info@far.test"),
            ("info+x@site.test", "ingrid:Anna@site.test fritz:zoe@site.test info@far.test"),
            ("sales@site.test", "ingrid:Anna@site.test fritz:zoe@site.test fritz:john@site.test[sales] info@far.test"),
            ("one@site.test", "451 4.4.6 aliases of this address form a loop, try again later"),
            ("partly@site.test", "fritz:zoe@site.test"),
            ("dangling@site.test", "550 5.1.1 no such account here"),
            ("away@site.test", "me@far.test"),
        ],
    );
    let mut steps = Steps::new();
    load(&hybrid()).delivery(&address("one@site.test"), &mut steps);
    let last = steps.sentences().pop().expect("a step");
    assert_eq!(last, "loop: one@site.test leads to two@site.test leads to one@site.test");
    let Delivery::Deliver(partly) = load(&hybrid()).delivery(&address("partly@site.test"), &mut Silent) else {
        panic!("not delivered")
    };
    assert_eq!(partly.dropped, [(address("nobody@site.test"), Reply::NO_SUCH_ACCOUNT)]);
}

#[test]
fn recipients_keep_the_local_part_as_received() {
    let Delivery::Deliver(found) = load(&hybrid()).delivery(&address("AnnA+News@site.test"), &mut Silent) else {
        panic!("not delivered")
    };
    let [target] = found.targets.as_slice() else { panic!("one target") };
    assert_eq!(target.recipient.to_string(), "AnnA+News@site.test");
    assert_eq!(target.address.to_string(), "Anna@site.test");
    assert_eq!(target.account.map(|id| id.to_string()), Some(id(1)));
}

#[test]
fn expansion_has_limits() {
    let mut entries = hybrid();
    for n in 0..30 {
        entries.push(alias(&format!("deep{n}@site.test"), &[&format!("deep{}@site.test", n + 1)]));
    }
    entries.push(account(99, "deep30@site.test"));
    let many: Vec<String> = (0..1000).map(|n| format!("x{n}@far.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    entries.push(alias("wide@site.test", &many[..999]));
    entries.push(alias("wider@site.test", &many));
    let routing = load(&entries);
    check(
        &routing,
        &[
            ("deep14@site.test", "ingrid:deep30@site.test"),
            ("deep13@site.test", "451 4.3.5 this address is not set up correctly, try again later"),
            ("wider@site.test", "451 4.3.5 this address is not set up correctly, try again later"),
        ],
    );
    let Delivery::Deliver(wide) = routing.delivery(&address("wide@site.test"), &mut Silent) else { panic!("too wide") };
    assert_eq!(wide.remote.len(), 999);
}

#[test]
fn forwards_leave_no_copy_unless_they_name_themselves() {
    let mut entries = hybrid();
    for (n, name, forward) in [
        (20, "gone", vec!["me@far.test"]),
        (21, "both", vec!["both@site.test", "me@far.test"]),
        (22, "chain", vec!["gone@site.test", "both+x@site.test"]),
        (23, "ping", vec!["pong@site.test"]),
        (24, "pong", vec!["ping@site.test"]),
    ] {
        let address = format!("{name}@site.test");
        entries.push(entry::<crate::AccountRecord>(json!({"address": address, "id": id(n), "forward": forward})));
    }
    let off = json!({"address": "off@site.test", "id": id(30), "state": "disabled", "forward": ["me@far.test"]});
    entries.push(entry::<crate::AccountRecord>(off));
    entries.push(alias("list@site.test", &["off@site.test", "zoe@site.test"]));
    check(
        &load(&entries),
        &[
            ("gone@site.test", "me@far.test"),
            ("both@site.test", "ingrid:both@site.test me@far.test"),
            ("chain@site.test", "ingrid:both@site.test me@far.test"),
            // Two accounts that forward to each other: the mail stays with the first.
            ("ping@site.test", "fritz:ping@site.test"),
            ("off@site.test", "550 5.2.1 account disabled"),
            ("list@site.test", "fritz:zoe@site.test"),
        ],
    );
}

#[test]
fn postmaster_is_always_delivered_to() {
    let base = |site: Value, domain_record: Value| {
        load(&[
            store("s"),
            entry::<crate::SiteRecord>(site),
            domain(domain_record),
            domain(json!({"name": "b.test", "catch_all": "Bea@b.test"})),
            account(1, "root@a.test"),
            account(2, "bea@b.test"),
        ])
    };
    let site = json!({"default_store": "s", "postmaster": "root@a.test", "login_domain": "a.test"});
    let routing = base(site, json!({"name": "a.test"}));
    check(
        &routing,
        &[("postmaster@a.test", "s:root@a.test"), ("Postmaster@b.test", "s:root@a.test"), ("x@b.test", "s:bea@b.test")],
    );
    assert_eq!(show(&routing.delivery_path(&ForwardPath::Postmaster, &mut Silent)), "s:root@a.test");
    // Without a site's postmaster: the domain's, else its catch-all; with nobody, the mail waits.
    let routing = base(json!({"default_store": "s"}), json!({"name": "a.test"}));
    check(
        &routing,
        &[
            ("postmaster@a.test", "451 4.3.5 this address is not set up correctly, try again later"),
            ("postmaster@b.test", "s:bea@b.test"),
        ],
    );
    let misconfigured = Delivery::TempFail(Reply::MISCONFIGURED);
    assert_eq!(routing.delivery_path(&ForwardPath::Postmaster, &mut Silent), misconfigured);
    // A postmaster who is gone himself does not make mail bounce while somebody else reads it.
    let site = json!({"default_store": "s", "postmaster": "root@a.test"});
    let routing = base(site, json!({"name": "a.test", "postmaster": "gone@a.test"}));
    check(&routing, &[("postmaster@a.test", "s:root@a.test")]);
    // The domain's own, before the site's.
    let site = json!({"default_store": "s", "postmaster": "root@a.test"});
    let routing = base(site, json!({"name": "a.test", "postmaster": "bea@b.test"}));
    check(&routing, &[("postmaster@a.test", "s:bea@b.test")]);
    // A loop of postmasters and catch-alls ends.
    let site = json!({"default_store": "s", "postmaster": "postmaster@a.test"});
    let routing = base(site, json!({"name": "a.test", "catch_all": "nobody@a.test"}));
    check(
        &routing,
        &[
            ("postmaster@a.test", "451 4.3.5 this address is not set up correctly, try again later"),
            ("x@a.test", "451 4.4.6 aliases of this address form a loop, try again later"),
        ],
    );
}

#[test]
fn an_alias_for_an_account_that_already_gets_it_is_no_loss() {
    let routing = load(&[
        store("s"),
        entry::<crate::SiteRecord>(json!({"default_store": "s", "postmaster": "root@a.test"})),
        domain(json!({"name": "a.test"})),
        account(1, "root@a.test"),
        alias("all@a.test", &["root@a.test", "postmaster@a.test"]),
    ]);
    check(&routing, &[("all@a.test", "s:root@a.test")]);
    let routing = load(&[
        store("s"),
        entry::<crate::SiteRecord>(json!({"default_store": "s", "postmaster": "admin@a.test"})),
        domain(json!({"name": "a.test"})),
        account(1, "root@a.test"),
        alias("admin@a.test", &["root@a.test"]),
        alias("all@a.test", &["root@a.test", "postmaster@a.test"]),
    ]);
    check(&routing, &[("all@a.test", "s:root@a.test")]);
}

#[test]
fn unchecked_domains_ask_the_store() {
    let routing = load(&[
        store("new"),
        store("old"),
        domain(json!({"name": "old.test", "accounts": "unchecked", "default_store": "old", "delimiter": "-"})),
        domain(json!({"name": "off.test", "local": false})),
        domain(json!({"name": "none.test", "accounts": "unchecked"})),
        placement("anna@old.test", "new"),
        alias("info@old.test", &["anna@old.test", "carl@old.test"]),
    ]);
    check(
        &routing,
        &[
            ("anyone@old.test", "old:anyone@old.test?"),
            ("Anna@old.test", "new:Anna@old.test?"),
            ("Anna-News@old.test", "new:Anna@old.test[News]?"),
            ("any+one@old.test", "old:any+one@old.test?"),
            ("info@old.test", "new:anna@old.test? old:carl@old.test?"),
            ("postmaster@old.test", "old:postmaster@old.test?"),
            ("x@off.test", "not ours: 550 5.7.1 relaying denied"),
            ("x@none.test", "451 4.3.5 this address is not set up correctly, try again later"),
        ],
    );
    assert!(matches!(routing.login("any@old.test", &mut Silent), Login::Account(_)));
}

#[test]
fn sub_addresses_can_be_off() {
    let routing = load(&[
        store("s"),
        domain(json!({"name": "a.test", "delimiter": null, "default_store": "s"})),
        account(1, "x@a.test"),
    ]);
    check(&routing, &[("x+y@a.test", "550 5.1.1 no such account here"), ("x@a.test", "s:x@a.test")]);
}

#[test]
fn the_defaults_come_last() {
    let mut entries = vec![
        store("s"),
        store("d"),
        entry::<crate::SiteRecord>(json!({"default_store": "s"})),
        domain(json!({"name": "a.test"})),
        domain(json!({"name": "b.test", "default_store": "d"})),
        account(1, "x@a.test"),
        account(2, "x@b.test"),
        account(3, "lost@b.test"),
        placement("lost@b.test", "gone"),
    ];
    check(
        &load(&entries),
        &[
            ("x@a.test", "s:x@a.test"),
            ("x@b.test", "d:x@b.test"),
            ("lost@b.test", "451 4.3.5 this address is not set up correctly, try again later"),
        ],
    );
    // Rules in order, by name where the order is the same, each for its domain.
    entries.push(rule(json!({"name": "z", "order": 1, "domain": "b.test", "kind": "all", "store": "s"})));
    entries.push(rule(json!({"name": "y", "order": 1, "domain": "b.test", "kind": "all", "store": "d"})));
    entries.push(rule(json!({"name": "late", "order": 2, "kind": "hash", "weights": {"d": 1}})));
    check(&load(&entries), &[("x@a.test", "d:x@a.test"), ("x@b.test", "d:x@b.test")]);
}

#[test]
fn a_login_is_an_account_and_nothing_else() {
    let mut entries = hybrid();
    entries.push(domain(json!({"name": "two.test", "catch_all": "zoe@site.test"})));
    entries.push(entry::<crate::SiteRecord>(json!({"login_domain": "site.test"})));
    for (n, name, state) in [(40, "locked", "no-login"), (41, "off", "disabled")] {
        let record = json!({"address": format!("{name}@site.test"), "id": id(n), "state": state});
        entries.push(entry::<crate::AccountRecord>(record));
    }
    let forward = json!({"address": "fwd@site.test", "id": id(42), "forward": ["me@far.test"]});
    entries.push(entry::<crate::AccountRecord>(forward));
    let routing = load(&entries);
    for (name, expected) in [
        ("anna@site.test", Some("ingrid")),
        ("ANNA@Site.Test", Some("ingrid")),
        ("anna", Some("ingrid")),
        ("john", Some("fritz")),
        ("zoe%site.test", Some("fritz")),
        ("error", Some("ingrid")),
        ("fwd", Some("ingrid")),
        ("a+b", Some("ingrid")),
        ("anna+x", None),
        ("info@site.test", None),
        ("postmaster@site.test", None),
        ("anyone@two.test", None),
        ("anna@far.test", None),
        ("", None),
        ("@", None),
        ("an na\r\n", None),
        ("zoe%far.test", None),
    ] {
        match (routing.login(name, &mut Steps::new()), expected) {
            (Login::Account(found), Some(store)) => assert_eq!(found.store.as_str(), store, "{name}"),
            (Login::Unknown, None) => {}
            (other, _) => panic!("{name:?}: {other:?}"),
        }
    }
    for name in ["locked", "off"] {
        assert!(matches!(routing.login(name, &mut Silent), Login::Refused { .. }), "{name}");
    }
}

#[test]
fn a_back_end_may_know_its_user_by_another_name() {
    let foreign = json!({"name": "old", "kind": "foreign", "host": "imap.old.test", "ports": {"imap": 143}});
    let mapped = json!({"address": "x@a.test", "store": "old", "user": "x123"});
    let routing = load(&[
        entry::<crate::StoreRecord>(foreign),
        domain(json!({"name": "a.test"})),
        account(1, "x@a.test"),
        entry::<crate::PlacementRecord>(mapped),
    ]);
    // With a single domain, a name without one is complete.
    let Login::Account(found) = routing.login("X", &mut Silent) else { panic!("not found") };
    assert_eq!(found.user.as_deref(), Some("x123"));
    let old = StoreName::parse("old").expect("a name");
    assert!(matches!(routing.store_at(&old), Some(crate::StoreAt::Foreign { .. })));
}

#[test]
fn what_nobody_can_say_is_never_no_such_account() {
    let unavailable = Delivery::TempFail(Reply::DIRECTORY_UNAVAILABLE);
    let fresh = Routing::default();
    assert_eq!(fresh.delivery(&address("x@a.test"), &mut Silent), unavailable);
    assert_eq!(fresh.delivery_path(&ForwardPath::Postmaster, &mut Silent), unavailable);
    assert_eq!(fresh.login("x", &mut Silent), Login::Unavailable);
    assert_eq!(fresh.account(&address("x@a.test")), crate::Origin::Unavailable);
    for key in ["routing/account/site.test/anna", "routing/placement/site.test/anna", "routing/alias/site.test/anna"] {
        for value in ["", "{", "{\"v\":2}", "{\"v\":1}", "\u{0}"] {
            let mut entries = hybrid();
            entries.push(Entry { key: key.into(), value: value.into(), revision: Revision::new(2) });
            let mut routing = Routing::load(&entries, Revision::new(2));
            assert_eq!(routing.flaws().map(|(key, _)| key).collect::<Vec<_>>(), [key]);
            assert_eq!(routing.delivery(&address("anna@site.test"), &mut Silent), unavailable, "{key} = {value:?}");
            assert_eq!(routing.login("anna@site.test", &mut Silent), Login::Unavailable);
            assert_ne!(routing.delivery(&address("zoe@site.test"), &mut Silent), unavailable, "others go on");
            routing.delete(key);
            assert_eq!(routing.flaws().count(), 0, "mended");
        }
    }
    for key in ["routing/domain/site.test", "routing/rule/a-to-k"] {
        let mut entries = hybrid();
        entries.push(Entry { key: key.into(), value: b"{}".to_vec(), revision: Revision::new(2) });
        let routing = Routing::load(&entries, Revision::new(2));
        assert_eq!(routing.delivery(&address("anna@site.test"), &mut Silent), unavailable, "{key}");
    }
}

#[test]
fn mail_for_a_store_of_another_make_goes_by_its_port() {
    let foreign = |name: &str, ports: serde_json::Value| {
        let hosts = json!(["fd00::1", "10.0.0.2,smtp=2525"]);
        entry::<crate::StoreRecord>(json!({"name": name, "kind": "foreign", "hosts": hosts, "ports": ports}))
    };
    let unchecked = |name: &str, store: &str| {
        domain(json!({"name": name, "accounts": "unchecked", "delimiter": "+", "default_store": store}))
    };
    let routing = load(&[
        foreign("both", json!({"lmtp": 24, "smtp": 2500})),
        foreign("late", json!({"smtp": 25})),
        store("ours"),
        unchecked("both.test", "both"),
        unchecked("late.test", "late"),
        unchecked("ours.test", "ours"),
    ]);
    for (text, way) in [
        ("x+y@both.test", "store both is of another make, and takes mail by lmtp at [fd00::1]:24, 10.0.0.2:24"),
        ("x@late.test", "store late is of another make, and takes mail by smtp at [fd00::1]:25, 10.0.0.2:2525"),
    ] {
        let route = RouteJson::delivery(&routing, text);
        assert_eq!(route.steps.last().map(String::as_str), Some(way));
        assert!(matches!(route.outcome, crate::RouteOutcome::Store { .. }), "{route:?}");
    }
    let found = |text: &str| {
        let Delivery::Deliver(deliver) = routing.delivery(&address(text), &mut Silent) else { panic!("{text}") };
        deliver
    };
    let waits = |text: &str| found(text).waits(&routing).map(|reply| reply.to_string());
    assert_eq!(waits("x@both.test"), None);
    let reply = "451 4.3.5 this address cannot be checked here, try again later";
    assert_eq!(waits("x@ours.test").as_deref(), Some(reply));
    // Whoever is asked for has an id of his own, always the same, that is no account's.
    let id = |text: &str| found(text).targets[0].id().to_string();
    // printf 'posthouse/recipient/1\\0x+y@both.test' | sha256sum
    assert_eq!(id("x+y@both.test"), STAND_IN);
    assert_ne!(id("x+y@both.test"), id("x@both.test"));
}

const STAND_IN: &str = "d1a96cd0aa32f3b20c487b8db54ac507";

#[test]
fn the_json_of_route_has_its_documented_shape() {
    let routing = load(&hybrid());
    let outcome = |text: &str| {
        let json = serde_json::to_value(RouteJson::delivery(&routing, text)).expect("JSON");
        assert_eq!(json["address"], text);
        json["outcome"].clone()
    };
    assert_eq!(outcome("Anna+x@site.test"), json!({"kind": "store", "store": "ingrid", "account": "Anna@site.test"}));
    // What the relay answers while nobody sends mail to other sites.
    for waits in ["info@site.test", "away@site.test"] {
        let reply = "451 4.3.5 this address leads to another site, try again later";
        assert_eq!(outcome(waits), json!({"kind": "tempfail", "reply": reply}), "{waits}");
        let why = RouteJson::delivery(&routing, waits).steps.pop().expect("steps");
        assert!(why.starts_with("mail cannot be sent to other sites yet: because of "), "{why}");
    }
    assert_eq!(outcome("nobody@site.test"), json!({"kind": "reject", "reply": "550 5.1.1 no such account here"}));
    assert_eq!(outcome("a@far.test"), json!({"kind": "reject", "reply": "550 5.7.1 relaying denied"}));
    assert_eq!(outcome("one@site.test")["kind"], "tempfail");
    assert_eq!(outcome("not an address")["kind"], "reject");
    let explained = RouteJson::delivery(&routing, "john@site.test");
    assert_eq!(
        explained.steps,
        [
            "looked up as john@site.test",
            &format!("account john@site.test exists (id {})", id(2)),
            "placement of john@site.test: store fritz",
        ]
    );
    let explained = RouteJson::login(&routing, "zoe");
    assert_eq!(
        explained.steps,
        [
            "login \"zoe\" means zoe@site.test",
            &format!("account zoe@site.test exists (id {})", id(4)),
            "no placement",
            "rule a-to-k does not match",
            "rule rest matches: store fritz",
        ]
    );
}

#[test]
fn a_login_form_adds_its_domain_to_bare_names_only() {
    let routing = load(&hybrid());
    let other = mail_types::Domain::parse("other.test").unwrap();
    for (name, whole) in [
        ("zoe", "zoe@other.test"),
        ("zoe%nowhere.test", "zoe%nowhere.test@other.test"),
        ("zoe@site.test", "zoe@site.test"),
        ("zoe%site.test", "zoe%site.test"),
        ("zoe@nowhere.test", "zoe@nowhere.test"),
        ("zoe@", "zoe@"),
    ] {
        assert_eq!(routing.login_name_in(name, &other), whole, "{name}");
    }
    let explained = RouteJson::login_in(&routing, "zoe", &other);
    assert_eq!(explained.address, "zoe");
    assert_eq!(
        explained.steps,
        [
            "the address that the client connected to adds other.test",
            "login \"zoe@other.test\" means zoe@other.test",
            "other.test is not a domain of ours",
        ]
    );
    let unchanged = RouteJson::login_in(&routing, "zoe@site.test", &other);
    assert_eq!(unchanged, RouteJson::login(&routing, "zoe@site.test"));
}

#[test]
fn changed_rules_name_whom_they_would_re_home() {
    let now = load(&hybrid());
    let mut entries = hybrid();
    entries.push(rule(
        json!({"name": "a-to-k", "order": 10, "kind": "prefix", "from": "a", "to": "d", "store": "ingrid"}),
    ));
    entries.push(rule(json!({"name": "rest", "order": 20, "kind": "regex", "pattern": "^[^a-d]", "store": "fritz"})));
    let pins = now.pins(&load(&entries));
    let pinned: Vec<_> = pins.iter().map(|pin| format!("{} {}", pin.address, pin.store)).collect();
    assert_eq!(pinned, ["error@site.test ingrid", "error.log@site.test ingrid", "jörg@site.test ingrid"]);
    assert!(now.pins(&now).is_empty());
}

#[test]
fn logins_are_judged_here_unless_a_back_end_that_has_any_wants_passwords() {
    let node = entry::<crate::StoreRecord>(json!({"name": "ours", "kind": "posthouse", "node": "n"}));
    let judged = |login: &str, ports: Value| {
        let kept = json!({"name": "old", "kind": "foreign", "host": "h.test", "ports": ports, "login": login});
        crate::Routing::load(&[node.clone(), entry::<crate::StoreRecord>(kept)], Revision::new(1)).judges_every_login()
    };
    assert!(judged("master", json!({"imap": 143, "lmtp": 24})));
    assert!(!judged("password", json!({"imap": 143})) && !judged("password", json!({"submission": 587, "lmtp": 24})));
    assert!(judged("password", json!({"lmtp": 24})) && judged("password", json!({"smtp": 25})));
}

#[test]
fn tokens_are_taken_where_somebody_judges_every_one() {
    use crate::TokenJudge::{BackEnds, Issuer};
    let ours = json!({"name": "ours", "kind": "posthouse", "node": "n"});
    let foreign = |name: &str, login: &str, tokens: bool| json!({"name": name, "kind": "foreign", "host": "h.test", "ports": {"imap": 143}, "login": login, "tokens": tokens});
    let (theirs, masters) = (foreign("theirs", "password", true), foreign("masters", "master", false));
    let (plain, mail) = (
        foreign("plain", "password", false),
        json!({"name": "mail", "kind": "foreign", "host": "h.test", "ports": {"lmtp": 24}}),
    );
    let judged = |stores: &[&Value]| {
        let entries: Vec<_> = stores.iter().map(|store| entry::<crate::StoreRecord>((*store).clone())).collect();
        let routing = crate::Routing::load(&entries, Revision::new(1));
        assert_eq!(routing.judges_every_login(), stores.iter().all(|store| ![&theirs, &plain].contains(store)));
        [Issuer, BackEnds].map(|judge| routing.takes_tokens(judge))
    };
    assert_eq!(judged(&[&theirs]), [true, true]);
    assert_eq!(judged(&[&theirs, &mail]), [true, true], "nobody logs in there");
    assert_eq!(judged(&[&theirs, &ours]), [true, false]);
    assert_eq!(judged(&[&theirs, &masters]), [true, false]);
    assert_eq!(judged(&[&ours, &masters, &mail]), [true, false]);
    assert_eq!(judged(&[&theirs, &plain]), [false, false]);
    assert_eq!(judged(&[]), [true, false]);
    assert_eq!(judged(&[&mail]), [true, false]);
    assert!(!crate::Routing::default().takes_tokens(BackEnds));
}
