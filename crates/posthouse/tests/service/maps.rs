//! Maps that operators edit while the node serves.

use crate::node::{ANNA, RELAY, Served};
use rustix::process::Signal;

/// A node that reads its aliases from this file, beside its configuration; it has no domain yet.
fn serve(aliases: &str, domains: &str) -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("aliases"), aliases).expect("written");
    let map = format!("[[directory.map]]\nkind = 'aliases'\npath = 'aliases'\n{domains}\n");
    Served::serve_in(folder, "", &format!("{RELAY}{map}"), &[])
}

fn write(node: &Served, aliases: &str) {
    std::fs::write(node.folder().join("aliases"), aliases).expect("written");
}

/// What a sender hears for a recipient.
fn rcpt(node: &Served, address: &str) -> String {
    let mut smtp = node.connect("smtp");
    smtp.ask("EHLO far.example", "250 ");
    smtp.ask("MAIL FROM:<sender@far.example>", "250 ");
    let answer = smtp.ask(&format!("RCPT TO:<{address}>"), "");
    smtp.ask("QUIT", "221 ");
    answer
}

/// The value of a metric that has one sample.
fn metric(node: &Served, name: &str) -> Option<f64> {
    let page = crate::metrics::scrape(node);
    page.iter().find(|(sample, _)| sample.split('{').next() == Some(name)).map(|(_, value)| *value)
}

pub(crate) fn followed() {
    let node = serve("webmaster: anna\n", "domains = 'site.test'");
    let line = node.log_line("mail waits for it");
    assert!(line.contains("site.test is no domain of this site"), "{line}");
    node.say(&["domain", "add", "site.test"], "");
    let line = node.log_line("the map was read");
    assert!(line.contains("entries=1"), "{line}");
    node.say(&["account", "add", ANNA, "--generate-password"], "");
    while !rcpt(&node, ANNA).starts_with("250 ") {}
    assert!(rcpt(&node, "webmaster@site.test").starts_with("250 "));
    assert!(rcpt(&node, "hostmaster@site.test").starts_with("550 5.1.1"));

    write(&node, "webmaster: anna\nhostmaster: anna, bert\n");
    let line = node.log_line("the map was read");
    assert!(line.contains("entries=2 changes=1"), "{line}");
    while !rcpt(&node, "hostmaster@site.test").starts_with("250 ") {}

    // A bad line changes nothing, and is told.
    write(&node, "webmaster: anna\nhostmaster anna\n");
    let line = node.log_line("the map is not taken; what was read before stays in service");
    assert!(line.contains("aliases:2: "), "{line}");
    assert!(rcpt(&node, "hostmaster@site.test").starts_with("250 "));
    let status = node.say(&["status"], "");
    assert!(status.contains("entries 2; ") && status.contains("aliases:2: "), "{status}");
    assert_eq!(metric(&node, "posthouse_map_entries"), Some(2.0));
    assert_eq!(metric(&node, "posthouse_map_trouble"), Some(1.0));

    // At once, on a signal; and what is taken out of the map is gone.
    write(&node, "webmaster: anna\n");
    node.signal(Signal::HUP);
    node.log_line("the map was read");
    while !rcpt(&node, "hostmaster@site.test").starts_with("550 5.1.1") {}
    let status = node.json(&["status", "--json"]);
    assert_eq!(status["maps"][0]["entries"], 1);
    assert_eq!(metric(&node, "posthouse_map_trouble"), Some(0.0));
    assert_eq!(status["maps"][0]["kind"], "aliases");
    assert!(status["maps"][0].get("trouble").is_none(), "{status}");

    // What the map has is changed there.
    let refused = node.fail(&["alias", "remove", "webmaster@site.test"]);
    assert!(refused.contains("aliases:1: change it there"), "{refused}");
}

pub(crate) fn awaited() {
    // Whose aliases these are is not known before there is a domain.
    let node = serve("webmaster: anna\n", "");
    node.log_line("mail waits for it");
    let status = node.say(&["status"], "");
    assert!(status.contains("until it is read, mail waits"), "{status}");
    assert_eq!(metric(&node, "posthouse_map_entries"), None);
    write(&node, "no line of aliases\n");
    node.say(&["domain", "add", "site.test"], "");
    node.log_line("mail waits for it");
    assert!(rcpt(&node, ANNA).starts_with("451 4.4.3"), "the map may have it");
    let refused = node.fail(&["account", "add", ANNA, "--generate-password"]);
    assert!(refused.contains("could not be read yet"), "the map may say where it is: {refused}");
    write(&node, "webmaster: anna\n");
    node.log_line("the map was read");
    while !rcpt(&node, ANNA).starts_with("550 5.1.1") {}
    node.say(&["account", "add", ANNA, "--generate-password"], "");
    while !rcpt(&node, "webmaster@site.test").starts_with("250 ") {}
}

/// A user map places those who have no place yet, and moves nobody.
pub(crate) fn places() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("users"), "# nobody\n").expect("written");
    let map = "[[directory.map]]\nkind = 'user-map'\npath = 'users'\ndomains = 'site.test'\n";
    let node = Served::serve_in(folder, "", &format!("{RELAY}{map}[[store]]\nname = 'fritz'\n"), &[]);
    node.say(&["domain", "add", "site.test"], "");
    node.log_line("the map was read");
    node.say(&["account", "add", ANNA, "--generate-password"], "");
    std::fs::write(node.folder().join("users"), "anna anna@fritz\n").expect("written");
    let store = |address: &str| {
        let route = node.json(&["route", "--json", address]);
        route["outcome"]["targets"][0]["store"].as_str().or(route["outcome"]["store"].as_str()).map(str::to_owned)
    };
    assert_eq!(store(ANNA).as_deref(), Some("ingrid"), "she had a place before the map was read");
    let told = node.log_line("a map does not move anybody");
    assert!(told.contains("anna@site.test is at ingrid") && told.contains("users:1 says fritz"), "{told}");
    let status = node.json(&["status", "--json"]);
    assert_eq!(status["map_difference_count"], 1, "{status}");

    std::fs::write(node.folder().join("users"), "bert bert@fritz\n").expect("written");
    node.log_line("the map was read");
    let added = node.say(&["account", "add", "bert@site.test", "--generate-password"], "");
    assert!(added.contains("at store fritz"), "the map comes before the rules: {added}");
    assert_eq!(store("bert@site.test").as_deref(), Some("fritz"));
    assert_eq!(node.json(&["status", "--json"])["map_difference_count"], 0);

    // A line that is taken out takes nobody along.
    std::fs::write(node.folder().join("users"), "carl carl@fritz\n").expect("written");
    node.log_line("the map was read");
    assert_eq!(store("bert@site.test").as_deref(), Some("fritz"));
    // The last one goes by a signal only: `command > map` empties it first, too.
    std::fs::write(node.folder().join("users"), "# nobody\n").expect("written");
    node.log_line("has nothing in it any more");
    node.signal(Signal::HUP);
    let line = node.log_line("the map was read");
    assert!(line.contains("entries=0"), "{line}");
}

/// What maps say goes over to the directory while they are read: imported, then taken out of the configuration.
pub(crate) fn taken_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        ("popmap", "anna:imap1\nbert:bert7@imap1\n"),
        ("aliases", "info: anna, bert\n"),
        ("virtual", "sales@site.test bert@site.test\n@site.test anna@site.test\n"),
    ];
    let mut maps = String::new();
    for (kind, text) in files {
        std::fs::write(folder.path().join(kind), text).expect("written");
        let names = if kind == "popmap" { "names = 'address'\n" } else { "" };
        maps += &format!("[[directory.map]]\nkind = '{kind}'\npath = '{kind}'\ndomains = 'site.test'\n{names}");
    }
    let node = Served::serve_in(folder, "", &format!("{RELAY}{maps}"), &[]);
    for store in ["imap1", "imap2"] {
        let host = format!("{store}.site.test");
        node.say(&["store", "add", store, "--host", &host, "--port", "imap", "--port", "lmtp", "--tls", "none"], "");
    }
    node.say(&["domain", "add", "site.test", "--accounts", "unchecked", "--default-store", "imap2"], "");
    for _ in files {
        node.log_line("the map was read");
    }
    let routes = |node: &Served| {
        let logins = ["anna", "bert", "carl"].map(|user| format!("{user}@site.test"));
        let login = |name: &String| node.json(&["route", "--json", "--login", name])["outcome"].clone();
        let mail = ["anna@site.test", "info@site.test", "sales@site.test"];
        let mail = mail.iter().map(|name| node.json(&["route", "--json", name])["outcome"].clone());
        logins.iter().map(login).chain(mail).collect::<Vec<_>>()
    };
    let live = routes(&node);
    assert_eq!(
        (&live[0]["store"], &live[1]["store"], &live[2]["store"]),
        (&"imap1".into(), &"imap1".into(), &"imap2".into())
    );
    let import = |node: &Served, kind: &str| {
        let file = node.folder().join(kind);
        let names: &[&str] = if kind == "popmap" { &["--names", "address"] } else { &[] };
        node.say(&[&["import", kind, file.to_str().expect("UTF-8"), "--domain", "site.test"], names].concat(), "")
    };
    for (kind, changed) in [("popmap", 2), ("aliases", 1), ("virtual", 2)] {
        let report = import(&node, kind);
        assert!(report.contains(&format!("imported: 0 added, {changed} changed, 0 unchanged")), "{kind}: {report}");
        assert!(report.contains("from the map that is read live to the directory"), "{kind}: {report}");
    }
    let again = import(&node, "popmap");
    assert!(again.contains("imported: 0 added, 0 changed, 2 unchanged"), "{again}");

    let node = node.start_again("", RELAY);
    assert!(node.json(&["status", "--json"])["maps"].as_array().is_none_or(Vec::is_empty));
    assert_eq!(routes(&node), live);
    let user = |name: &str| node.json(&["placement", "show", name, "--json"])["user"].clone();
    assert_eq!((user(ANNA), user("bert@site.test")), (serde_json::Value::Null, "bert7".into()));
}

/// Accounts of a Dovecot: with what `doveadm pw -s SCHEME -p geheim` of Dovecot 2.3.19 printed.
pub(crate) fn accounts() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("users"), USERS).expect("written");
    let map = "[[directory.map]]\nkind = 'passwd-file'\npath = 'users'\ndomains = 'site.test'\n";
    let node = Served::serve_in(folder, "", &format!("{RELAY}{map}"), &[]);
    let log_in = |user: &str, password: &str| {
        let mut imap = node.connect("imap");
        imap.ask(&format!("a LOGIN {user} {password}"), "a ")
    };
    node.say(&["domain", "add", "site.test"], "");
    let line = node.log_line("the map was read");
    assert!(line.contains("entries=8"), "four accounts with their passwords: {line}");
    while !rcpt(&node, ANNA).starts_with("250 ") {}
    for user in ["anna", "bert@site.test", "carl", "dora"] {
        assert!(log_in(user, "geheim").starts_with("a OK"), "{user}");
    }
    assert!(log_in("anna", "falsch").starts_with("a NO [AUTHENTICATIONFAILED]"));
    assert!(log_in("emil", "geheim").starts_with("a NO [AUTHENTICATIONFAILED]"));
    let refused = node.fail(&["account", "remove", ANNA]);
    assert!(refused.contains("users:2: change it there"), "{refused}");

    // A mailbox is the same one after the file was written anew, and after an import has made her the directory's own.
    let mut imap = node.connect("imap");
    imap.ask("a LOGIN anna geheim", "a OK");
    imap.ask("b CREATE kept", "b OK");
    std::fs::write(node.folder().join("users"), USERS.replace("{PLAIN}geheim", "{PLAIN}neu")).expect("written");
    node.log_line("the map was read");
    while !log_in("dora", "neu").starts_with("a OK") {}
    assert!(log_in("dora", "geheim").starts_with("a NO [AUTHENTICATIONFAILED]"));
    let file = node.folder().join("users");
    let report = node.say(&["import", "passwd-file", file.to_str().expect("UTF-8")], "");
    assert!(report.contains("imported: 0 added, 4 changed, 0 unchanged"), "{report}");
    std::fs::write(file, "# nobody\n").expect("written");
    node.signal(Signal::HUP);
    node.log_line("entries=0");
    let mut imap = node.connect("imap");
    imap.ask("a LOGIN anna geheim", "a OK");
    imap.ask("b SELECT kept", "b OK");
}

const USERS: &str = "# made by hand
anna:{SHA512-CRYPT}$6$7lKthDvcRlbaV4iF$BvS4/tHoaw6HVFn5.T/R6ax.wlr0YF9Qe/Ettpst81Ot51xBP9UsW.c5BKqEnOTMxAjawRAtQAoSD/ATvoS5g1:1000:1000:Anna:/home/anna:/bin/false:userdb_quota_rule=*:storage=1G
bert@site.test:{SSHA256}ksNR40+HXkCKD5X9n7w1cS+alh6b0nNzJlBy7ChpI5X7ea45::::::
carl:{BLF-CRYPT}$2y$05$D.MrerAYQiAKscNVIzxzz.cInRRL2PXqCbDrKlKP/rV1IRhhQ8uFi
dora:{PLAIN}geheim::::::
";
