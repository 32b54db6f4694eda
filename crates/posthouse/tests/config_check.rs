//! `posthouse config check`, as an operator sees it.
#![expect(clippy::disallowed_methods, reason = "tests are worlds: they lay out files")]

use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A folder with these files.
fn site(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    folder
}

/// What `config check` says of `posthouse.toml` in that folder, and whether it is content.
fn check(folder: &Path) -> (bool, String) {
    let file = folder.join("posthouse.toml");
    let program = Command::new(env!("CARGO_BIN_EXE_posthouse")).args(["config", "check"]).arg(file).output();
    let output = program.expect("the program runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("UTF-8").replace(&format!("{}/", folder.display()), "");
    assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}: {said}", output.status);
    (output.status.success(), said)
}

const NODE: &str = "[node]\nname = 'one'\nhostname = 'one.example'\ndata = 'data'\n";

#[test]
fn a_good_file_says_what_the_node_will_do() {
    let text = format!("{NODE}[[store]]\nname = 'ingrid'\n[relay]\nlisten = ['127.0.0.1:2525']\n");
    let site = site(&[("posthouse.toml", &text)]);
    insta::assert_snapshot!(check(site.path()).1, @"posthouse.toml: no mistakes; node one runs relay, store ingrid");
    assert!(check(site.path()).0);
}

#[test]
fn the_queue_has_a_folder_of_its_own() {
    let relay = "[relay]\nlisten = ['127.0.0.1:2525']\ncommit_wait_seconds = 0\nqueue = 'data/stores/ingrid'\n";
    let text = format!("{NODE}[[store]]\nname = 'ingrid'\n{relay}");
    let site = site(&[("posthouse.toml", &text)]);
    insta::assert_snapshot!(check(site.path()).1, @r"
    posthouse.toml:9:23: relay.commit_wait_seconds: must be from 1 to 240
    posthouse.toml:10:9: relay.queue: data/stores/ingrid is taken by store (posthouse.toml:5)
    ");
    assert!(!check(site.path()).0);
    let apart = text.replace("stores/ingrid", "queue").replace("= 0", "= 5");
    std::fs::write(site.path().join("posthouse.toml"), apart).expect("written");
    assert!(check(site.path()).0);
}

#[test]
fn lmtp_beyond_this_machine_needs_names() {
    let open = format!("{NODE}[relay]\nlmtp = ['127.0.0.1:24', '192.0.2.1:24']\n");
    let site = site(&[("posthouse.toml", &open)]);
    insta::assert_snapshot!(check(site.path()).1, @"posthouse.toml:6:25: relay.lmtp: 192.0.2.1:24 is not on loopback, and lmtp_from names nobody to trust (add lmtp_from with the addresses of your mail servers, or use 127.0.0.1)");
    let named = format!("{open}lmtp_from = ['192.0.2.0/24']\n");
    std::fs::write(site.path().join("posthouse.toml"), &named).expect("written");
    assert!(check(site.path()).0);
    std::fs::write(site.path().join("posthouse.toml"), named.replace(", '192.0.2.1:24'", "")).expect("written");
    insta::assert_snapshot!(check(site.path()).1, @"posthouse.toml:7:14: relay.lmtp_from: names peers, but no lmtp listener is beyond loopback (add lmtp with an address of this machine that they can reach)");
    std::fs::write(site.path().join("posthouse.toml"), format!("{NODE}[relay]\n")).expect("written");
    insta::assert_snapshot!(check(site.path()).1, @"posthouse.toml:5:2: relay: listens nowhere (give it one of listen, lmtp)");
}

#[test]
fn a_login_form_is_for_one_address() {
    let proxy = "[proxy]\nimap = '127.0.0.1:1143'\n";
    let form = |local: &str, domain: &str| format!("[[proxy.login_form]]\nlocal = '{local}'\ndomain = '{domain}'\n");
    let backend = "[[backend]]\nstore = 'cyrus'\nlocal_part_of = 'a.test'\n";
    let (one, two) = (form("192.0.2.5", "a.test"), form("2001:db8::5", "b.test"));
    let site = site(&[("posthouse.toml", &format!("{NODE}{proxy}{one}{two}{backend}"))]);
    let (is_content, said) = check(site.path());
    assert!(is_content, "{said}");
    for (wrong, why) in [
        (form("0.0.0.0", "b.test"), "is an address that no client connects to"),
        (form("192.0.2.6:143", "b.test"), "a form holds for all ports of one"),
        (form("::ffff:192.0.2.5", "b.test"), "192.0.2.5 has a form already, with the domain a.test"),
        (form("192.0.2.6", "not a domain"), "proxy.login_form.domain"),
        ("[[proxy.login_form]]\nlocal = '192.0.2.6'\n".to_owned(), "domain"),
    ] {
        std::fs::write(site.path().join("posthouse.toml"), format!("{NODE}{proxy}{one}{wrong}")).expect("written");
        let (is_content, said) = check(site.path());
        assert!(!is_content && said.contains(why), "{wrong}: {said}");
    }
}

#[test]
fn limits_of_client_networks_have_bounds() {
    let clients = "[relay.clients]\nipv4_prefix = 33\nipv6_prefix = 48\nconnections = 0\nmessage_per_minute = 5\n";
    let relay = format!("[relay]\nlisten = '127.0.0.1:2525'\ntrusted = ['10.0.0.1/8']\n{clients}");
    let site = site(&[("posthouse.toml", &format!("{NODE}{relay}"))]);
    insta::assert_snapshot!(check(site.path()).1, @r#"
    posthouse.toml:7:12: relay.trusted: "10.0.0.1/8": has bits set behind its prefix
    posthouse.toml:9:15: relay.clients.ipv4_prefix: must be from 8 to 32
    posthouse.toml:12:1: relay.clients.message_per_minute: unknown key (did you mean messages_per_minute?)
    "#);
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let text = "\
[node]
name = 'not a name'
hostnme = 'one.example'
data = 7
colour = 'red'

[log]
format = 'xml'
level = 'loud=maybe'

[[store]]
name = 'ingrid'
shards = 0
lmtp = ['192.0.2.1:24', 'nowhere']
journal.keep_days = '7'
journal.segment = '10 PB'

[[store]]
name = 'ingrid'
path = 'data/mail'
journal.path = 'data/mail'

[directory]
default_store = 'hedda'

[relay]
listen = ['127.0.0.1:2525', '127.0.0.1:2525']

[proxy]

[tls]
certificate = 'missing.pem'
key = 'key.pem'

[[tls.also]]
certificate = 'other.pem'
kee = 'other.key'
";
    let site = site(&[("posthouse.toml", text)]);
    let (good, said) = check(site.path());
    assert!(!good);
    insta::assert_snapshot!(said, @r#"
    posthouse.toml:1:2: node.hostname: is missing
    posthouse.toml:2:8: node.name: "not a name": a name has 1 to 63 letters, digits, '-', '_' or '.', and starts with a letter or digit
    posthouse.toml:3:1: node.hostnme: unknown key (did you mean hostname?)
    posthouse.toml:4:8: node.data: is a number, must be text
    posthouse.toml:5:1: node.colour: unknown key (known here: data, group, hostname, name, stop_seconds, user)
    posthouse.toml:8:10: log.format: "xml": is none of logfmt, json
    posthouse.toml:9:9: log.level: "loud=maybe": error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
    posthouse.toml:13:10: store.shards: must be from 1 to 64
    posthouse.toml:14:9: store.lmtp: 192.0.2.1:24 is not on loopback: LMTP trusts whoever speaks it (use 127.0.0.1 or [::1])
    posthouse.toml:14:25: store.lmtp: "nowhere": is not an address with a port, such as 192.0.2.1:25 or [::]:25
    posthouse.toml:15:21: store.journal.keep_days: is text, must be a number
    posthouse.toml:16:19: store.journal.segment: "10 PB" is no size (a whole number, alone or with kB, MB, GB, KiB, MiB or GiB)
    posthouse.toml:19:8: store.name: ingrid is taken by store.name (posthouse.toml:12)
    posthouse.toml:21:16: store.journal.path: data/mail is taken by store.path (posthouse.toml:20)
    posthouse.toml:24:17: directory.default_store: there is no [[store]] named hedda (there is: ingrid, ingrid)
    posthouse.toml:27:29: relay.listen: 127.0.0.1:2525 is taken by relay.listen (posthouse.toml:27)
    posthouse.toml:29:2: proxy: listens nowhere (give it one of imap, imaps, pop3, pop3s, submission, submissions, sieve, sieves)
    posthouse.toml:32:15: tls.certificate: cannot read missing.pem: No such file or directory (os error 2)
    posthouse.toml:33:7: tls.key: cannot read key.pem: No such file or directory (os error 2)
    posthouse.toml:35:1: tls.also.key: is missing
    posthouse.toml:37:1: tls.also.kee: unknown key (did you mean key?)
    "#);
}

#[test]
fn a_node_without_stores_has_a_directory_all_the_same() {
    let relay = "[relay]\nlisten = ['127.0.0.1:2525']\n";
    // One of another node: the directory knows it.
    let embedded = format!("{NODE}{relay}[directory]\nengine = 'embedded'\ndefault_store = 'hedda'\n");
    assert!(check(site(&[("posthouse.toml", &embedded)]).path()).0);
    let file = format!("{NODE}{relay}[directory]\nengine = 'file'\npath = 'records'\n");
    assert!(check(site(&[("posthouse.toml", &file), ("records", "")]).path()).0);
    let mistakes = |text: &str, files: &[(&str, &str)]| {
        let text = format!("{NODE}{relay}[directory]\n{text}\n");
        let (good, said) = check(site(&[&[("posthouse.toml", text.as_str())], files].concat()).path());
        assert!(!good, "{text}");
        said
    };
    insta::assert_snapshot!(mistakes("engine = 'file'", &[]), @"posthouse.toml:7:2: directory.path: is missing");
    insta::assert_snapshot!(mistakes("engine = 'redb'", &[]), @r#"posthouse.toml:8:10: directory.engine: "redb": is none of embedded, file"#);
    insta::assert_snapshot!(mistakes("engine = 'file'\npath = 'records'\ndefault_store = 'hedda'", &[]), @r#"
    posthouse.toml:9:8: directory.path: cannot read records: No such file or directory (os error 2) (`posthouse export directory` makes one)
    posthouse.toml:10:17: directory.default_store: is in the directory's file, if engine is "file" (take it out; in the file it is a field of the record routing/site)
    "#);
    insta::assert_snapshot!(mistakes("engine = 'file'\npath = 'records'", &[("records/x", "")]), @r#"posthouse.toml:9:8: directory.path: records is no file (`posthouse export directory` makes one; a folder is for engine = "embedded")"#);
    insta::assert_snapshot!(mistakes("path = 'records'", &[("records", "")]), @r#"posthouse.toml:8:8: directory.path: records is a file, not a folder (a node that reads its directory from a file has engine = "file")"#);
}

#[test]
fn a_group_needs_a_user() {
    let text = format!("{NODE}group = 'mail'\n[relay]\nlisten = '127.0.0.1:2525'\n");
    let site = site(&[("posthouse.toml", &text)]);
    insta::assert_snapshot!(check(site.path()).1, @"posthouse.toml:5:9: node.group: names a group, but there is no user (add node.user)");
    std::fs::write(site.path().join("posthouse.toml"), text.replace("[relay]", "user = 'mail'\n[relay]"))
        .expect("written");
    assert!(check(site.path()).0);
}

#[test]
fn a_user_whom_this_machine_does_not_know_is_worth_a_word() {
    let text = format!("{NODE}user = 'nosuch-user'\ngroup = 'nosuch-group'\n[relay]\nlisten = ['127.0.0.1:2525']\n");
    insta::assert_snapshot!(check(site(&[("posthouse.toml", &text)]).path()).1, @r#"
    posthouse.toml: no mistakes; node one runs relay
    warning: posthouse.toml:5:8: node.user: this machine knows no user "nosuch-user": a node does not start with it
    warning: posthouse.toml:6:9: node.group: this machine knows no group "nosuch-group": a node does not start with it
    "#);
}

#[test]
fn a_word_that_is_no_level_does_not_turn_the_log_off() {
    let text = format!("{NODE}[relay]\nlisten = '127.0.0.1:2525'\n[log]\nlevel = 'info,loud'\n");
    let (good, said) = check(site(&[("posthouse.toml", &text)]).path());
    assert!(!good && said.contains("loud is no level: off, error, warn, info, debug or trace"), "{said}");
}

#[test]
fn without_a_certificate_nothing_begins_with_tls() {
    let text = format!("{NODE}[proxy]\nimaps = ['127.0.0.1:9933']\n");
    insta::assert_snapshot!(check(site(&[("posthouse.toml", &text)]).path()).1, @r"
    posthouse.toml:6:10: proxy.imaps: begins with TLS, but there is no certificate (add [tls] with certificate and key)
    ");
}

#[test]
fn who_vouches_for_users_can_be_read() {
    let made = rcgen::generate_simple_self_signed(vec!["one.example".to_owned()]).expect("a certificate");
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let said = |tls: &str, clients: &str| {
        let text = format!("{NODE}[proxy]\nimap = ['127.0.0.1:1143']\n{clients}\n{tls}");
        check(site(&[("posthouse.toml", &text), ("c.pem", &certificate), ("k.pem", &key)]).path())
    };
    let tls = "[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'\n";
    assert!(said(tls, "client_authority = 'c.pem'").0);
    insta::assert_snapshot!(said("", "client_authority = 'c.pem'").1, @"posthouse.toml:7:20: proxy.client_authority: vouches for users under TLS, but there is no certificate of ours (add [tls] with certificate and key)");
    insta::assert_snapshot!(said(tls, "client_authority = 'none.pem'").1, @"posthouse.toml:7:20: proxy.client_authority: cannot read none.pem: No such file or directory (os error 2)");
    insta::assert_snapshot!(said(tls, "client_authority = 'k.pem'").1, @"posthouse.toml:7:20: proxy.client_authority: k.pem holds no certificate");
    insta::assert_snapshot!(said(tls, "client_revocations = 'c.pem'").1, @"posthouse.toml:7:22: proxy.client_revocations: revokes certificates that nobody is asked for (add client_authority)");
    insta::assert_snapshot!(said(tls, "client_authority = 'c.pem'\nclient_revocations = 'k.pem'").1, @"posthouse.toml:8:22: proxy.client_revocations: k.pem holds no list of revoked certificates that can be read");
}

#[test]
fn what_time_and_others_may_spoil_is_worth_a_word() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let issued = |year: i32| {
        let mut made = rcgen::CertificateParams::new(vec!["one.example".to_owned()]).expect("a name");
        (made.not_before, made.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(year, 1, 1));
        made.self_signed(&key).expect("a certificate").pem()
    };
    let text = format!("{NODE}[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'\n[proxy]\nimaps = '127.0.0.1:1993'\n");
    let folder = site(&[("posthouse.toml", &text), ("c.pem", &issued(2021)), ("k.pem", &key.serialize_pem())]);
    let allow = |mode: u32| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(folder.path().join("k.pem"), mode).expect("allowed");
    };
    allow(0o644);
    insta::assert_snapshot!(check(folder.path()).1, @"
    posthouse.toml: no mistakes; node one runs proxy
    warning: posthouse.toml:6:15: tls.certificate: c.pem has expired at 2021-01-01T00:00:00Z (renew it, and reload)
    warning: posthouse.toml:7:7: tls.key: everybody on this machine can read k.pem (chmod o= k.pem)
    ");
    allow(0o640);
    std::fs::write(folder.path().join("c.pem"), issued(4000)).expect("written");
    insta::assert_snapshot!(check(folder.path()).1, @"posthouse.toml: no mistakes; node one runs proxy");
}

#[test]
fn balancers_and_their_header_belong_together() {
    let good = format!(
        "{NODE}[relay]\nlisten = '127.0.0.1:2525'\nproxy_protocol = true\nproxy_from = ['127.0.0.1', '10.0.0.0/8', '::1']\n\
         [proxy]\nimap = '127.0.0.1:1143'\nproxy_protocol = false\n"
    );
    assert!(check(site(&[("posthouse.toml", &good)]).path()).0);

    let bad = format!(
        "{NODE}[relay]\nlisten = '127.0.0.1:2525'\nproxy_protocol = true\n\
         [proxy]\nimap = '127.0.0.1:1143'\nproxy_from = '10.0.0.0/8'\n"
    );
    insta::assert_snapshot!(check(site(&[("posthouse.toml", &bad)]).path()).1, @r"
    posthouse.toml:7:18: relay.proxy_protocol: requires a header of every client, but proxy_from names nobody to believe (add proxy_from with the addresses of the balancers)
    posthouse.toml:10:14: proxy.proxy_from: names balancers, but proxy_protocol is not true (add proxy_protocol = true: each connection must then begin with a header)
    ");

    let wrong = format!(
        "{NODE}[relay]\nlisten = '127.0.0.1:2525'\nproxy_protocol = 'yes'\nproxy_from = ['10.0.0.1/8', 'balancer.example']\n\
         [proxy]\nimap = '127.0.0.1:1143'\nproxy_protocol = true\nproxy_from = []\n"
    );
    insta::assert_snapshot!(check(site(&[("posthouse.toml", &wrong)]).path()).1, @r#"
    posthouse.toml:7:18: relay.proxy_protocol: is text, must be true or false
    posthouse.toml:8:15: relay.proxy_from: "10.0.0.1/8": has bits set behind its prefix
    posthouse.toml:8:29: relay.proxy_from: "balancer.example": is neither an address nor a network, such as 10.0.0.0/8
    posthouse.toml:11:18: proxy.proxy_protocol: requires a header of every client, but proxy_from names nobody to believe (add proxy_from with the addresses of the balancers)
    "#);
}

#[test]
fn an_empty_file_says_what_is_missing() {
    insta::assert_snapshot!(check(site(&[("posthouse.toml", "")]).path()).1, @r"
    posthouse.toml:1:1: node: is missing
    posthouse.toml:1:1: the node has nothing to do (it needs a [relay], a [proxy] or a [[store]])
    ");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (good, said) = check(site(&[]).path());
    assert!(!good);
    assert!(said.starts_with("posthouse.toml:1:1: cannot be read: No such file"), "{said}");
}

#[test]
fn syntax_does_not_hide_what_follows() {
    let text = format!("{NODE}[relay]\nlisten = \n[limits]\nrecipient = 200\n");
    insta::assert_snapshot!(check(site(&[("posthouse.toml", &text)]).path()).1, @r"
    posthouse.toml:6:10: string values must be quoted, expected literal string
    posthouse.toml:8:1: limits.recipient: unknown key (did you mean recipients?)
    ");
}

#[test]
fn drop_ins_are_merged_in_order() {
    let main = format!("{NODE}[[store]]\nname = 'ingrid'\n[limits]\nrecipients = 1\n");
    let files = [
        ("posthouse.toml", main.as_str()),
        ("conf.d/20-more.toml", "[limits]\nrecipients = 200\n[[store]]\nname = 'hedda'\n"),
        ("conf.d/10-first.toml", "[limits]\nrecipients = 2\n"),
        ("conf.d/.hidden.toml", "nonsense"),
        ("conf.d/30-notes.txt", "nonsense"),
    ];
    let (_, said) = check(site(&files).path());
    insta::assert_snapshot!(said, @"posthouse.toml: no mistakes; node one runs store ingrid, store hedda");

    let bad = [files[0], ("conf.d/50-wrong.toml", "[node]\nnam = 'two'\n")];
    insta::assert_snapshot!(check(site(&bad).path()).1, @r"
    conf.d/50-wrong.toml:2:1: node.nam: unknown key (did you mean name?)
    posthouse.toml:8:14: limits.recipients: must be from 100 to 10000
    ");
}

/// The examples of the reference are good, and it names every key there is.
#[test]
fn the_reference_holds() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating/configuration.md");
    let page = std::fs::read_to_string(page).expect("the reference");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    // The example's certificate and key are nowhere; all else must hold.
    let (_, said) = check(site(&[("posthouse.toml", example)]).path());
    let others = said.lines().filter(|line| !line.contains("tls.certificate: ") && !line.contains("tls.key: "));
    assert_eq!(others.collect::<Vec<_>>(), [""; 0]);

    // A section with one wrong key lists those that are known there.
    for section in [
        "node",
        "log",
        "tls",
        "directory",
        "relay",
        "relay.clients",
        "proxy",
        "admin",
        "limits",
        "store",
        "store.journal",
    ] {
        let text = match section {
            "store" => "[[store]]\nzzzzzzzz = 1\n".to_owned(),
            "store.journal" => "[[store]]\nname = 'x'\njournal.zzzzzzzz = 1\n".to_owned(),
            section => format!("[{section}]\nzzzzzzzz = 1\n"),
        };
        let (_, said) = check(site(&[("posthouse.toml", &text)]).path());
        let known = said.lines().find_map(|line| line.split_once("unknown key (known here: ")).expect("a list").1;
        for key in known.trim_end_matches(')').split(", ") {
            let named = if section == "store" && key == "journal" { "`journal.path`" } else { &format!("`{key}`") };
            let full = format!("`{}.{key}`", section.trim_start_matches("store."));
            assert!(page.contains(named) || page.contains(&full), "{section}.{key} is not in the reference");
        }
    }
}

#[test]
fn maps_that_are_read_live_are_checked() {
    let node = format!("{NODE}[relay]\nlisten = ['127.0.0.1:2525']\n");
    let map = |text: &str| {
        let text = format!("{node}[[directory.map]]\n{text}\n");
        check(site(&[("posthouse.toml", &text), ("aliases", ""), ("folder/x", "")]).path())
    };
    assert!(
        map("kind = 'aliases'\npath = 'aliases'\ndomains = 'one.example'\nstores = ['mail7.old.example=ingrid']").0
    );
    let (good, said) = map("kind = 'aliases'\npath = 'it comes later'");
    assert!(good && said.contains("directory.map.path: cannot read it comes later"), "{said}");
    assert!(said.contains("all mail would wait until it is there"), "{said}");
    let mistakes = |text: &str| {
        let (good, said) = map(text);
        assert!(!good, "{text}");
        said
    };
    insta::assert_snapshot!(mistakes("kind = 'alias'\npath = 'folder'\ndomain = 'one.example'"), @r#"
    posthouse.toml:8:8: directory.map.kind: "alias": is none of aliases, passwd-file, popmap, regex-map, transport, user-map, virtual, virtusertable
    posthouse.toml:9:8: directory.map.path: folder is no file
    posthouse.toml:10:1: directory.map.domain: unknown key (did you mean domains?)
    "#);
    insta::assert_snapshot!(mistakes("stores = ['mail7', 'mail7=not a name', '=ingrid']\ndomains = '-'"), @r#"
    posthouse.toml:7:1: directory.map.kind: is missing
    posthouse.toml:7:1: directory.map.path: is missing
    posthouse.toml:8:11: directory.map.stores: "mail7": is not of the form host=store
    posthouse.toml:8:20: directory.map.stores: "mail7=not a name": a name has 1 to 63 letters, digits, '-', '_' or '.', and starts with a letter or digit
    posthouse.toml:8:40: directory.map.stores: "=ingrid": is not of the form host=store
    posthouse.toml:9:11: directory.map.domains: "-": the domain is not a host name or an address literal (or is over 255 octets)
    "#);
    assert!(map("kind = 'popmap'\npath = 'aliases'\nnames = 'address'").0);
    insta::assert_snapshot!(mistakes("kind = 'popmap'\npath = 'aliases'\nnames = 'adress'"), @r#"posthouse.toml:10:9: directory.map.names: "adress": is neither key nor address"#);
    insta::assert_snapshot!(mistakes("kind = 'virtual'\npath = 'aliases'\nnames = 'key'"), @r#"posthouse.toml:10:9: directory.map.names: "key": is for a popmap or a passwd-file, and this map is of kind virtual"#);
    let twice = "kind = 'aliases'\npath = 'aliases'\n[[directory.map]]\nkind = 'virtual'\npath = 'aliases'";
    insta::assert_snapshot!(mistakes(twice), @r#"posthouse.toml:12:8: directory.map.path: aliases is taken by directory.map.path (posthouse.toml:9)"#);
}

#[test]
fn a_text_that_is_no_size_is_told_as_that() {
    let text = format!("{NODE}[[store]]\nname = 'ingrid'\n[limits]\nmessage = '10 hourz'\n");
    let site = site(&[("posthouse.toml", &text)]);
    insta::assert_snapshot!(check(site.path()).1, @r#"posthouse.toml:8:11: limits.message: "10 hourz" is no size (a whole number, alone or with kB, MB, GB, KiB, MiB or GiB)"#);
}

#[test]
fn a_section_that_is_not_closed_is_one_mistake() {
    let text = format!("{NODE}[[store]]\nname = 'ingrid'\n").replace("[node]", "[node");
    let site = site(&[("posthouse.toml", &text)]);
    insta::assert_snapshot!(check(site.path()).1, @"posthouse.toml:1:6: unclosed table, expected `]`");
}

#[test]
fn a_certificate_that_is_away_does_not_hide_the_key() {
    let text = format!("{NODE}[[store]]\nname = 'ingrid'\n[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'\n");
    let site = site(&[("posthouse.toml", &text)]);
    insta::assert_snapshot!(check(site.path()).1, @"
    posthouse.toml:8:15: tls.certificate: cannot read c.pem: No such file or directory (os error 2)
    posthouse.toml:9:7: tls.key: cannot read k.pem: No such file or directory (os error 2)
    ");
}

#[test]
fn trust_in_everybody_is_worth_a_word() {
    let relay = "[relay]\nlmtp = ['192.0.2.1:24']\nlmtp_from = ['192.0.2.0/24', '0.0.0.0/0']\n";
    let proxy = "proxy_protocol = true\nproxy_from = '::/0'\n";
    let text = format!("{NODE}[[store]]\nname = 'ingrid'\n{relay}{proxy}");
    let site = site(&[("posthouse.toml", &text)]);
    insta::assert_snapshot!(check(site.path()).1, @"
    posthouse.toml: no mistakes; node one runs relay, store ingrid
    warning: posthouse.toml:9:30: relay.lmtp_from: anybody may bring mail by LMTP, which knows no password: it names every address there is (name those who are meant)
    warning: posthouse.toml:11:14: relay.proxy_from: anybody may say in a PROXY header who he is: it names every address there is (name those who are meant)
    ");
    assert!(check(site.path()).0, "it may be meant");
}

/// The keys of the reference that hold networks are all of those that there are: whoever adds one adds it to both.
#[test]
fn every_list_of_networks_is_warned_of() {
    let cluster = "[cluster]\nsecret = 'secret'\nlmtp = '127.0.0.1:2424'\nfrom = '::/0'\n";
    let relay = "[relay]\nlmtp = '192.0.2.1:24'\nlmtp_from = '0.0.0.0/0'\ntrusted = '0.0.0.0/0'\nproxy_protocol = true\n\
                 proxy_from = '::/0'\n";
    let proxy =
        "[proxy]\nimap = '127.0.0.1:1143'\nclear_from = '::/0'\nproxy_protocol = true\nproxy_from = '0.0.0.0/0'\n";
    let text = format!("{NODE}{cluster}[[store]]\nname = 'ingrid'\n{relay}{proxy}");
    let (fine, said) =
        check(site(&[("posthouse.toml", &text), ("secret", "a secret of thirty-two octets at the least")]).path());
    assert!(fine, "{said}");
    let keys = [
        "cluster.from",
        "relay.lmtp_from",
        "relay.trusted",
        "relay.proxy_from",
        "proxy.clear_from",
        "proxy.proxy_from",
    ];
    let warned: Vec<_> = said.lines().filter(|line| line.contains("it names every address there is")).collect();
    assert_eq!(warned.len(), keys.len(), "{said}");
    for (line, key) in warned.iter().zip(keys) {
        assert!(line.contains(&format!(" {key}: anybody may ")), "{key}: {line}");
    }
    let (_, narrow) = check(
        site(&[
            ("posthouse.toml", &text.replace("0.0.0.0/0", "10.0.0.0/8").replace("::/0", "2001:db8::/32")),
            ("secret", "a secret of thirty-two octets at the least"),
        ])
        .path(),
    );
    assert!(!narrow.contains("every address"), "{narrow}");
}

#[test]
fn what_is_told_of_a_back_end_is_checked() {
    let node = format!("{NODE}[proxy]\nimap = ['127.0.0.1:1143']\n");
    let backend = |text: &str| {
        let text = format!("{node}[[backend]]\n{text}\n");
        check(site(&[("posthouse.toml", &text), ("secret", "a master's\n"), ("empty", "\n")]).path())
    };
    assert!(
        backend("store = 'cyrus'\nverify = false\nintroduce = 'proxy-v2'\nsource_addresses = ['127.0.0.7', '::1']").0
    );
    for (line, said) in [
        ("proxy_protocol = true", "is said by introduce (write introduce = \"proxy-v2\")"),
        ("introduce = 'xforward'", "introduce"),
        (
            "introduce_submission = 'xclient'",
            "backend.introduce_submission: \"xclient\": is none of none, proxy-v1, proxy-v2",
        ),
        ("introduce_deliveries = 'id'", "backend.introduce_deliveries: \"id\": is none of none, proxy-v1, proxy-v2"),
        ("source_addresses = ['eth0']", "is not an address of this machine"),
    ] {
        let (fine, output) = backend(&format!("store = 'cyrus'\n{line}"));
        assert!(!fine && output.contains(said), "{line}: {output}");
    }
    let master = "store = 'cyrus'\nmaster_user = 'proxy'\nmaster_password = 'secret'\nmaster_separator = '*'";
    assert!(backend(master).0, "{}", backend(master).1);
    let mistakes = |text: &str| {
        let (good, said) = backend(text);
        assert!(!good, "{text}");
        said
    };
    insta::assert_snapshot!(mistakes("master_user = 'proxy'\nkey = 'key.pem'\nmaster = 'x'"), @r#"
    posthouse.toml:7:1: backend.store: is missing
    posthouse.toml:8:15: backend.master_user: has no password (add master_password, the path of a file)
    posthouse.toml:9:7: backend.key: has no certificate (add certificate)
    posthouse.toml:10:1: backend.master: unknown key (known here: authority, back_end_text, certificate, introduce, introduce_deliveries, introduce_submission, key, local_part_of, master_password, master_separator, master_user, proxy_protocol, server_name, source_addresses, store, verify)
    "#);
    insta::assert_snapshot!(mistakes("store = 'a'\nmaster_separator = '**'\nmaster_password = 'empty'\nauthority = 'none.pem'\nverify = false"), @r#"
    posthouse.toml:9:20: backend.master_separator: "**": is not one mark such as "*"
    posthouse.toml:10:19: backend.master_password: belongs to nobody (add master_user)
    posthouse.toml:12:10: backend.verify: is false, so that authority and server_name say nothing
    "#);
    insta::assert_snapshot!(mistakes("store = 'a'\nmaster_user = 'm'\nmaster_password = 'empty'\nauthority = 'none.pem'\n[[backend]]\nstore = 'a'"), @r#"
    posthouse.toml:10:19: backend.master_password: empty: an empty password is refused
    posthouse.toml:11:13: backend.authority: cannot read none.pem: No such file or directory (os error 2)
    posthouse.toml:13:9: backend.store: a is taken by backend.store (posthouse.toml:8)
    "#);
}

#[test]
fn a_server_that_is_asked_over_http_has_a_url_and_an_authority() {
    let asked = |lines: &str| {
        let text = format!("{NODE}[proxy]\nimap = ['127.0.0.1:1143']\n[proxy.auth_http]\n{lines}\n");
        check(site(&[("posthouse.toml", &text), ("none.pem", "nothing")]).path()).1
    };
    insta::assert_snapshot!(asked("url = 'ftp://127.0.0.1/'"), @r#"posthouse.toml:8:7: proxy.auth_http.url: "ftp://127.0.0.1/": is not of the form https://host:port/path or http://host:port/path"#);
    insta::assert_snapshot!(asked("url = 'https://a:b@x.test/'"), @r#"posthouse.toml:8:7: proxy.auth_http.url: "https://a:b@x.test/": has a user in it, which nobody would be told"#);
    insta::assert_snapshot!(asked("url = 'http://x.test/'\nauthority = 'none.pem'"), @"posthouse.toml:9:13: proxy.auth_http.authority: vouches for nobody: the URL begins with http (write https)");
    insta::assert_snapshot!(asked("url = 'https://x.test/'\nauthority = 'none.pem'"), @"posthouse.toml:9:13: proxy.auth_http.authority: none.pem holds no certificate");
    insta::assert_snapshot!(asked("url = 'https://x.test/'\nauthority = 'gone.pem'"), @"posthouse.toml:9:13: proxy.auth_http.authority: cannot read gone.pem: No such file or directory (os error 2)");
}

#[test]
fn tokens_are_judged_by_somebody_in_one_way() {
    let told = |lines: &str| {
        let text = format!("{NODE}[proxy]\nimap = ['127.0.0.1:1143']\n[proxy.oauth]\n{lines}\n");
        let files = [("posthouse.toml", text.as_str()), ("secret", "s 1\nmore"), ("empty", "\n"), ("foreign", "é\n")];
        check(site(&files).path()).1
    };
    let asked = "introspection = 'http://127.0.0.1:1/'";
    insta::assert_snapshot!(told(""), @"posthouse.toml:7:8: proxy.oauth: nobody says what a token is worth (give it introspection or jwks)");
    insta::assert_snapshot!(told("jwks = 'http://idp.test/'"), @r#"posthouse.toml:8:8: proxy.oauth.jwks: "http://idp.test/": is asked over TLS only, unless it is on this machine: write https"#);
    insta::assert_snapshot!(told(&format!("{asked}\njwks = 'http://[::1]/'")), @"posthouse.toml:9:8: proxy.oauth.jwks: and introspection: a token is judged in one way (take one of them out)");
    insta::assert_snapshot!(told(asked), @"posthouse.toml:8:17: proxy.oauth.introspection: is told by nobody who asks (add client_id and client_secret, or bearer_file)");
    insta::assert_snapshot!(told(&format!("{asked}\nclient_id = 'we'")), @"posthouse.toml:9:13: proxy.oauth.client_id: has no secret (add client_secret, the path of a file)");
    insta::assert_snapshot!(told(&format!("{asked}\nclient_secret = 'secret'")), @"posthouse.toml:9:17: proxy.oauth.client_secret: belongs to nobody (add client_id)");
    insta::assert_snapshot!(told(&format!("{asked}\nbearer_file = 'gone'")), @"posthouse.toml:9:15: proxy.oauth.bearer_file: cannot read gone: No such file or directory (os error 2)");
    insta::assert_snapshot!(told(&format!("{asked}\nbearer_file = 'empty'")), @"posthouse.toml:9:15: proxy.oauth.bearer_file: empty: its first line is no secret: it has letters that are not of ASCII, or none");
    insta::assert_snapshot!(told(&format!("{asked}\nbearer_file = 'foreign'")), @"posthouse.toml:9:15: proxy.oauth.bearer_file: foreign: its first line is no secret: it has letters that are not of ASCII, or none");
    insta::assert_snapshot!(told(&format!("{asked}\nclient_id = 'we'\nbearer_file = 'secret'")), @"posthouse.toml:10:15: proxy.oauth.bearer_file: and client_id or client_secret: we are known in one way");
    insta::assert_snapshot!(told("jwks = 'http://localhost/'"), @"posthouse.toml:8:8: proxy.oauth.jwks: says nothing of who issues the tokens (add issuer, as the tokens have it in iss)");
    insta::assert_snapshot!(told("jwks = 'http://localhost/'\nissuer = 'x'\ncache_seconds = 5"), @"posthouse.toml:10:17: proxy.oauth.cache_seconds: is for introspection: with jwks nobody is asked about a token");
    insta::assert_snapshot!(told("jwks = 'http://localhost/'\nissuer = 'x'\nscopes = ['a b']"), @r#"posthouse.toml:10:11: proxy.oauth.scopes: "a b": is not one scope"#);
    let whole = format!(
        "{asked}\nclient_id = 'we'\nclient_secret = 'secret'\naudience = ['a', 'b']\nscopes = 'mail'\nissuer = 'x'\n\
                         cache_seconds = 0\ntimeout_seconds = 1\nusername_claim = 'sub'\nscope = 'mail offline_access'\ndiscovery = 'https://x.test/'"
    );
    assert!(told(&whole).contains("no mistakes"), "{}", told(&whole));
    assert!(!told(&whole).contains("any token"), "{}", told(&whole));
    insta::assert_snapshot!(told("jwks = 'http://127.9.9.9/'\nissuer = 'x'"), @"
    posthouse.toml: no mistakes; node one runs proxy
    warning: posthouse.toml:7:8: proxy.oauth: any token of the issuer opens a mailbox, for whichever service it was made (add audience, scopes or both)
    ");
    for enough in ["audience = 'mail'", "scopes = 'mail'"] {
        let said = told(&format!("jwks = 'http://127.9.9.9/'\nissuer = 'x'\n{enough}"));
        assert!(!said.contains("warning"), "{said}");
    }
    let beside =
        "jwks = 'http://127.9.9.9/'\nissuer = 'x'\nscopes = 'm'\n[proxy.auth_http]\nurl = 'http://127.0.0.1:1/'";
    assert!(told(beside).contains("proxy.oauth: no token is taken beside proxy.auth_http"), "{}", told(beside));
}
