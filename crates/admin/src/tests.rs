//! The API over an engine in memory: words, status codes, and what must not be said.

mod support;

use serde_json::json;
use support::Site;

#[tokio::test]
async fn an_account_is_made_shown_changed_and_removed() {
    let site = Site::new().await;
    let made = site.post("accounts", json!({"address": "Anna@site.test", "password": "s3cret"})).await;
    assert_eq!((made.status, made.text("store").as_str()), (201, "ingrid"), "{}", made.body);
    let shown = site.get("accounts/anna%40site.test").await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.text("address"), "Anna@site.test");
    assert_eq!(shown.body["passwords"], json!(["ARGON2ID", "SCRAM-SHA-256"]));
    assert!(!shown.body.to_string().contains("$argon2"), "a hash is never answered: {}", shown.body);

    let set = site.patch("accounts/anna@site.test", json!({"quota_bytes": 1024, "state": "no-login"})).await;
    assert_eq!((set.status, &set.body["quota_bytes"]), (200, &json!(1024)));
    let back = site.patch("accounts/anna@site.test", json!({"quota_bytes": null})).await;
    assert_eq!((back.status, &back.body["quota_bytes"], back.text("state").as_str()), (200, &json!(null), "no-login"));

    let renamed = site.patch("accounts/anna@site.test", json!({"address": "zoe@site.test"})).await;
    assert_eq!((renamed.status, renamed.text("store").as_str()), (200, "ingrid"), "a rename moves nobody");
    assert_eq!(site.get("accounts/anna@site.test").await.status, 404);
    let removed = site.delete("accounts/zoe@site.test").await;
    assert_eq!((removed.status, removed.text("store").as_str()), (200, "ingrid"));
    assert_eq!(site.get("accounts/zoe@site.test").await.status, 404);
}

#[tokio::test]
async fn what_was_answered_is_what_this_node_routes_by() {
    let site = Site::new().await;
    for local in ["error", "root", "a/b", "100%", "postmaster"] {
        let address = format!("{local}@site.test");
        let made = site.post("accounts", json!({ "address": address })).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let routed = site.post("route", json!({ "addresses": [address] })).await;
        let outcome = &routed.body["routes"][0]["outcome"];
        assert_eq!((&outcome["kind"], &outcome["account"]), (&json!("store"), &json!(address)));
        let path = format!("accounts/{}%40site.test", local.replace('%', "%25").replace('/', "%2F"));
        assert_eq!(site.get(&path).await.text("address"), address);
    }
    let login = site.post("route", json!({"addresses": ["error", "nobody"], "login": true})).await;
    assert_eq!(login.body["routes"][0]["outcome"]["kind"], "store");
    assert_eq!(login.body["routes"][1]["outcome"]["kind"], "reject");
    assert!(login.body["routes"][0]["steps"][0].as_str().expect("a step").contains("error@site.test"));
}

#[tokio::test]
async fn a_login_is_explained_as_it_is_where_the_client_connects_to() {
    let site = Site::new().await;
    site.account("anna").await;
    for (local, kind) in [("192.0.2.5", "reject"), ("192.0.2.6", "store")] {
        let login = site.post("route", json!({"addresses": ["anna"], "login": true, "local": local})).await;
        let route = &login.body["routes"][0];
        assert_eq!((&route["address"], &route["outcome"]["kind"]), (&json!("anna"), &json!(kind)), "{local}");
        let first = route["steps"][0].as_str().expect("a step");
        assert_eq!(first.contains("adds other.test"), local == "192.0.2.5", "{first}");
    }
}

#[tokio::test]
async fn refusals_say_what_is_wrong_and_where() {
    let site = Site::new().await;
    site.account("anna").await;
    let cases = [
        (
            json!({"address": "x@site.test", "store": "ingird"}),
            422,
            "there is no store ingird; did you mean ingrid?",
            "store",
        ),
        (json!({"address": "x@other.test"}), 422, "there is no domain other.test", "domain"),
        (json!({"address": "x@site.test", "pasword": "p"}), 422, "did you mean `password`?", "pasword"),
        (json!({"address": "x@site.test", "password": ""}), 422, "an empty password is refused", "password"),
        (json!({"address": "x@site.test", "password": 7}), 422, "a text is expected", "password"),
        (json!({"address": "x@site.test", "password": "p", "password_hashes": []}), 422, "one of the two", "password"),
        (
            json!({"address": "x@site.test", "password_hashes": ["{MD5}x"]}),
            422,
            "unknown password scheme",
            "password_hashes",
        ),
        (json!({"address": "ANNA@site.test"}), 409, "there is already account anna@site.test", ""),
        (json!({"address": "no address"}), 422, "local-part@domain", ""),
        (json!(["not", "an object"]), 400, "not a JSON object", ""),
    ];
    for (body, status, sentence, field) in cases {
        let refused = site.post("accounts", body.clone()).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.body);
        assert!(refused.text("error").contains(sentence), "{body}: {}", refused.body);
        assert_eq!(refused.text("field"), field, "{body}: {}", refused.body);
    }
    assert_eq!(site.get("accounts/nobody@site.test").await.status, 404);
    assert_eq!(site.get("nothing").await.text("error"), "there is no /v1/nothing");
    assert_eq!(site.delete("accounts").await.status, 405);
    let near = site.get("domains/sight.test").await;
    assert_eq!(
        (near.status, near.text("error").as_str()),
        (404, "there is no domain sight.test; did you mean site.test?")
    );
}

#[tokio::test]
async fn nobody_overwrites_unseen() {
    let site = Site::new().await;
    site.account("anna").await;
    let seen = site.get("accounts/anna@site.test").await.body["revision"].clone();
    let first = site.patch("accounts/anna@site.test", json!({"quota_bytes": 1, "revision": seen})).await;
    assert_eq!(first.status, 200);
    let second = site.patch("accounts/anna@site.test", json!({"quota_bytes": 2, "revision": seen})).await;
    assert_eq!(
        (second.status, second.text("error").as_str()),
        (409, "account anna@site.test was changed meanwhile; look again")
    );
    let renamed = site.patch("accounts/anna@site.test", json!({"address": "b@site.test", "quota_bytes": 3})).await;
    assert_eq!((renamed.status, renamed.text("field").as_str()), (422, "address"));
}

#[tokio::test]
async fn a_directory_that_is_away_is_temporary() {
    let site = Site::new().await;
    site.account("anna").await;
    site.engine.go_away();
    for refused in [
        site.get("accounts/anna@site.test").await,
        site.get("accounts").await,
        site.post("accounts", json!({"address": "b@site.test"})).await,
        site.import("popmap", "anna:fritz\n").await,
    ] {
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert!(refused.text("error").contains("this is temporary, try again later"), "{}", refused.body);
        assert_eq!(refused.body["temporary"], true);
    }
    let routed = site.post("route", json!({"addresses": ["anna@site.test"]})).await;
    assert_eq!(routed.body["routes"][0]["outcome"]["kind"], "store", "the copy goes on");
    let status = site.get("status").await;
    assert_eq!((status.status, &status.body["directory"]["reachable"]), (200, &json!(false)));
    site.engine.come_back();
    assert_eq!(site.get("accounts/anna@site.test").await.status, 200);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let site = Site::new().await;
    for n in 0..7 {
        site.account(&format!("user{n}")).await;
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = site.get(&format!("accounts?domain=site.test&limit=3{after}")).await;
        let items = page.body["items"].as_array().expect("items").clone();
        assert!(items.len() <= 3);
        seen.extend(items.iter().map(|item| item["address"].as_str().expect("an address").to_owned()));
        match page.body["next"].as_str() {
            Some(next) => after = format!("&after={}", next.replace('/', "%2F")),
            None => break,
        }
    }
    assert_eq!(seen, (0..7).map(|n| format!("user{n}@site.test")).collect::<Vec<_>>());
    assert_eq!(site.get("accounts?after=secret/").await.body["items"], json!([]), "no way out of the kind");
    assert_eq!(site.get("rules?domain=site.test").await.status, 422);
    assert_eq!(site.get("accounts?limt=3").await.status, 400);
}

#[tokio::test]
async fn a_changed_rule_pins_and_a_dry_run_only_says_so() {
    let site = Site::new().await;
    // Only an unplaced account can be pinned: one whose placement was taken back.
    site.account("kate").await;
    assert_eq!(site.delete("placements/kate@site.test").await.status, 200);
    let change = json!({"kind": "all", "store": "fritz"});
    let dry = site.patch("rules/early?dry_run=true", change.clone()).await;
    assert_eq!((dry.status, &dry.body["pinned"], &dry.body["dry_run"]), (200, &json!(1), &json!(true)), "{}", dry.body);
    assert_eq!(site.get("rules/early").await.text("kind"), "prefix", "nothing was written");
    let done = site.patch("rules/early", change).await;
    assert_eq!(done.body["first"], json!(["kate@site.test stays at store ingrid (the change says fritz)"]));
    assert_eq!(site.get("placements/kate@site.test").await.text("store"), "ingrid");
    assert_eq!(site.get("rules/early").await.text("kind"), "all");
    assert_eq!(site.delete("stores/ingrid").await.status, 409, "it is in use");
    let bad = site.post("rules", json!({"name": "r", "order": 1, "kind": "all", "store": "frits"})).await;
    assert_eq!((bad.status, bad.text("error").as_str()), (422, "there is no store frits; did you mean fritz?"));
}

#[tokio::test]
async fn a_placement_with_mail_behind_it_stays() {
    let site = Site::new().await;
    site.account("anna").await;
    site.mail.says(directory::Behind::Mail);
    let refused = site.patch("placements/anna@site.test", json!({"store": "fritz"})).await;
    assert_eq!(
        (refused.status, refused.text("error").as_str()),
        (409, "anna@site.test has mail at store ingrid and cannot be placed elsewhere")
    );
    site.mail.says(directory::Behind::Unknown);
    assert_eq!(site.patch("placements/anna@site.test", json!({"store": "fritz"})).await.status, 503);
    site.mail.says(directory::Behind::Nothing);
    assert_eq!(site.patch("placements/anna@site.test", json!({"store": "fritz"})).await.status, 200);
}

#[tokio::test]
async fn domains_aliases_stores_and_the_site() {
    let site = Site::new().await;
    assert_eq!(site.post("domains", json!({"name": "second.test", "delimiter": null})).await.status, 201);
    assert_eq!(site.get("domains/second.test").await.body["delimiter"], json!(null));
    assert_eq!(site.patch("domains/second.test", json!({"catch_all": "anna@site.test"})).await.status, 200);
    let renamed = site.patch("domains/second.test", json!({"name": "third.test"})).await;
    assert_eq!((renamed.status, renamed.text("error").as_str()), (422, "a domain keeps its name"));
    assert_eq!(site.delete("domains/second.test").await.status, 200);
    site.account("anna").await;
    assert_eq!(
        site.post("aliases", json!({"address": "info@site.test", "targets": ["anna@site.test"]})).await.status,
        201
    );
    assert_eq!(site.post("aliases", json!({"address": "Anna@site.test", "targets": ["b@c.test"]})).await.status, 409);
    assert_eq!(site.patch("aliases/info@site.test", json!({"targets": []})).await.text("field"), "targets");
    assert_eq!(site.delete("aliases/info@site.test").await.status, 200);
    let foreign = json!({"name": "old", "kind": "foreign", "host": "old.test", "ports": {"imap": 143}});
    assert_eq!(site.post("stores", foreign).await.status, 201);
    let ours = site.patch("stores/old", json!({"kind": "posthouse", "node": "n1"})).await;
    assert_eq!((ours.status, &ours.body["host"]), (200, &json!(null)), "the fields of the other kind are gone");
    assert_eq!(site.delete("stores/old").await.status, 200);
    assert_eq!(site.patch("site", json!({"login_domain": "site.test"})).await.status, 200);
    assert_eq!(site.get("site").await.text("login_domain"), "site.test");
}

#[tokio::test]
async fn imports_are_whole_or_not_at_all() {
    let site = Site::new().await;
    let users = "anna:{PLAIN}x::::::\nno separator\nError:{PLAIN}y::::::\nANNA@site.test:{PLAIN}z::::::\n";
    let refused = site.import("passwd-file", users).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert_eq!(
        (refused.body["bad"][0]["line"].clone(), refused.body["collisions"][0]["line"].clone()),
        (json!(2), json!(4))
    );
    assert_eq!(refused.text("error"), "nothing was imported: 1 bad lines, 1 collisions");
    assert_eq!(site.get("accounts").await.body["items"], json!([]));
    let dry = site.import("passwd-file?dry_run=true", users).await;
    assert_eq!((dry.status, &dry.body["written"], &dry.body["added"]), (200, &json!(false), &json!(2)));
    let taken = site.import("passwd-file?skip_bad=true", users).await;
    assert_eq!((taken.status, &taken.body["written"], &taken.body["added"]), (200, &json!(true), &json!(2)));
    assert!(!taken.body.to_string().contains("PLAIN"), "{}", taken.body);
    let routed = site.post("route", json!({"addresses": ["error@site.test"]})).await;
    assert_eq!(routed.body["routes"][0]["outcome"]["kind"], "store");

    let map = "anna:mail7.old.test\n";
    let unknown = site.import("popmap", map).await;
    assert!(
        unknown.body["bad"][0]["text"].as_str().expect("a text").contains("no store is called"),
        "{}",
        unknown.body
    );
    let mapped = site.import("popmap?stores=mail7.old.test=fritz", map).await;
    assert_eq!((mapped.status, mapped.body["changed"].as_array().map(Vec::len)), (200, Some(1)), "{}", mapped.body);
    assert_eq!(site.get("placements/anna@site.test").await.text("store"), "fritz");
    let typo = site.import("popmap?stores=mail7.old.test=frits", map).await;
    assert_eq!(
        (typo.status, typo.text("error").as_str()),
        (422, "stores: there is no store frits; did you mean fritz?")
    );
    assert_eq!(site.get("import").await.body["running"], false);
}

#[tokio::test]
async fn questions_have_limits() {
    let site = Site::new().await;
    let many = vec!["a@site.test"; crate::ROUTE_ADDRESSES_MAX + 1];
    assert_eq!(site.post("route", json!({ "addresses": many })).await.status, 422);
    let large = json!({"address": "a@site.test", "forward": ["x".repeat(1 << 20)]});
    let refused = site.post("accounts", large).await;
    assert_eq!(refused.status, 413);
    assert!(!refused.text("error").is_empty());
}

#[tokio::test]
async fn who_is_connected() {
    let site = Site::new().await;
    let all = site.get("sessions").await;
    assert_eq!(
        all.body["items"][0],
        json!({
            "id": 1, "protocol": "imap", "client": "192.0.2.7:40000", "tls": true, "account": "anna@site.test",
            "store": "ingrid", "since": 1_800_000_000, "state": "idle",
        })
    );
    assert_eq!((&all.body["items"][1]["state"], &all.body["items"][2]["messages"]), (&json!("login"), &json!(1)));
    assert_eq!(all.body["next"], json!(null));
    for (query, ids) in [
        ("account=Anna@site.test", vec![1]),
        ("protocol=imap", vec![1, 2]),
        ("client=192.0.2.7", vec![1, 3]),
        ("client=[2001:db8::7]:40001", vec![2]),
        ("protocol=smtp&client=192.0.2.7", vec![3]),
        ("id=2", vec![2]),
        ("protocol=pop3", vec![]),
    ] {
        let seen = site.get(&format!("sessions?{query}")).await;
        let items = seen.body["items"].as_array().expect("a list");
        let seen: Vec<u64> = items.iter().filter_map(|item| item["id"].as_u64()).collect();
        assert_eq!(seen, ids, "{query}");
    }
    let first = site.get("sessions?limit=2").await;
    assert_eq!((first.body["items"].as_array().map(Vec::len), &first.body["next"]), (Some(2), &json!(2)));
    let last = site.get("sessions?limit=2&after=2").await;
    assert_eq!((last.body["items"].as_array().map(Vec::len), &last.body["next"]), (Some(1), &json!(null)));
    for wrong in ["protocol=http", "client=ingrid", "account=anna"] {
        assert_eq!(site.get(&format!("sessions?{wrong}")).await.status, 422, "{wrong}");
    }
}

#[tokio::test]
async fn kicking() {
    let site = Site::new().await;
    assert_eq!(site.post("kick", json!({})).await.status, 422, "nobody kicks everybody by a slip");
    assert_eq!(site.post("kick", json!({"protocol": "imap"})).await.status, 422);
    assert_eq!(site.post("kick", json!({"acount": "anna@site.test"})).await.status, 400);
    let anna = site.post("kick", json!({"account": "anna@site.test"})).await;
    assert_eq!((anna.status, &anna.body), (200, &json!({"kicked": 1})));
    let client = site.post("kick", json!({"client": "192.0.2.7"})).await;
    assert_eq!(client.body, json!({"kicked": 1}), "anna is leaving already");
    let leaving: Vec<bool> = site.sessions.0.iter().map(ports::Badge::is_leaving).collect();
    assert_eq!(leaving, [true, false, true]);
}

#[tokio::test]
async fn a_node_without_a_queue_says_so() {
    let site = Site::new().await;
    let asked = site.get("queue").await;
    assert_eq!(asked.status, 404);
    assert!(asked.text("error").contains("no retry queue"), "{}", asked.body);
    let asked = site.delete("queue/xyz").await;
    assert_eq!((asked.status, asked.text("field").as_str()), (422, "id"), "{}", asked.body);
}
