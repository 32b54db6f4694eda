//! Importers on good files, bad lines and noise.

use super::testing::{bad, own, stores};
use super::*;
use crate::conformance::finish;
use crate::edit::{AssumeEmpty, Behind, Editor, MailBehind, NewAccount, RuleChange};
use crate::engine::Engine;
use crate::engine::{BoxFuture, MemoryEngine, Range, ready};
use crate::record::{AccountRecord, AccountState, PasswordHash, PlacementRecord, Record, RuleName, SecretRecord};
use mail_types::{AccountId, Address, StoreName};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn a_key_without_a_domain_is_told_as_it_stands_or_as_the_address() {
    let own = [Domain::parse("site.test").expect("a domain")];
    let host = |names| StoreMap::new([StoreName::parse("fritz").expect("a name")]).with_names(names);
    let file = b"anna:fritz\nbert:bert7@fritz\ncarl@site.test:fritz\n";
    let popmap =
        |names| -> Vec<_> { popmap(file, &own, &host(names)).items.into_iter().map(|line| line.item.user).collect() };
    let key = |user: &str| Some(user.to_owned());
    assert_eq!(popmap(Names::Key), [key("anna"), key("bert7"), None]);
    assert_eq!(popmap(Names::Address), [None, key("bert7"), None]);
    let file = b"anna:::::::proxy host=fritz\nbert:::::::proxy host=fritz destuser=bert7\n";
    let passwd = |names| -> Vec<_> {
        let items = passwd_file(file, &own, &host(names)).items;
        items.into_iter().map(|line| line.item.placement.and_then(|placed| placed.user)).collect()
    };
    assert_eq!(passwd(Names::Key), [key("anna"), key("bert7")]);
    assert_eq!(passwd(Names::Address), [None, key("bert7")]);
}

#[test]
fn passwd_files_are_read_as_dovecot_reads_them() {
    let file = b"# comment\r\n\
        \n\
        Anna@site.test:{SSHA}abc=:1000:1000:Anna A:/home/anna:/bin/sh:userdb_quota_rule=*:storage=1G:messages=20 nologin\n\
        john:$6$salt$hash\n\
        carl:{PLAIN}pa ss::::::allow_nets=10.0.0.0/8 host=mail1.old.test\n\
        empty::1:2::\n\
        \"a b\":{PLAIN}x:::\n\
        error:{CRYPT}x";
    let parsed = passwd_file(file, &own(), &stores());
    assert_eq!(bad(&parsed), Vec::<String>::new());
    let shown: Vec<_> = parsed
        .items
        .iter()
        .map(|line| {
            format!(
                "{} {} {}",
                line.number,
                line.item.address,
                line.item.password.as_ref().map_or("", PasswordHash::expose)
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "3 Anna@site.test {SSHA}abc=",
            "4 john@site.test {CRYPT}$6$salt$hash",
            "5 carl@site.test {PLAIN}pa ss",
            "6 empty@site.test ",
            "7 \"a b\"@site.test {PLAIN}x",
            "8 error@site.test {CRYPT}x",
        ]
    );
    let anna = &parsed.items[0].item;
    assert_eq!((anna.quota_bytes, anna.quota_messages, anna.state), (Some(1 << 30), Some(20), AccountState::NoLogin));
    assert_eq!(parsed.items[2].item.ignored, ["allow_nets", "host"]);
}

#[test]
fn dovecots_proxy_fields_are_placements() {
    let file = b"anna::::::: proxy=y host=mail1.old.test nopassword=y\n\
        bert@two.test:{PLAIN}x::::::proxy host=multi.test port=1143 destuser=b7 ssl=yes pass=secret\n\
        carl:{PLAIN}x::::::proxy=no host=fritz\n\
        dora:{PLAIN}x::::::proxy_maybe=y host=::1 destuser=dora@old.test\n\
        emil:{PLAIN}x::::::proxy=y nopassword\n\
        otto:{PLAIN}x::::::proxy=y host=mail9.old.test\n";
    let parsed = passwd_file(file, &own(), &stores());
    assert_eq!(bad(&parsed), ["6: no store is called \"mail9.old.test\" or mapped to it"]);
    let shown = parsed.items.iter().map(|line| {
        let PasswdUser { address, placement, ignored, .. } = &line.item;
        let place =
            placement.as_ref().map(|placed| format!("{} as {}", placed.store, placed.user.as_deref().unwrap_or("-")));
        format!("{address} {} [{}]", place.unwrap_or_default(), ignored.join(" "))
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "anna@site.test ingrid as anna []",
            "bert@two.test ingrid as b7 [ssl pass]",
            "carl@site.test  [host]",
            "dora@site.test fritz as dora@old.test []",
            "emil@site.test  [nopassword proxy]",
        ]
    );
    assert!(!bad(&parsed).join("").contains("secret"));
}

#[test]
fn bad_passwd_lines_are_named_and_show_no_password() {
    let long = format!("long:{{PLAIN}}{}", "x".repeat(9000));
    let lines: Vec<&[u8]> = vec![
        b"ok:{PLAIN}geheim",
        b"OK@site.test:{PLAIN}geheim",
        b"nothing",
        b":{PLAIN}geheim",
        b"bro ken@-:{PLAIN}geheim",
        b"utf8\xff:{PLAIN}geheim",
        long.as_bytes(),
        b"noscheme:{PLAINgeheim",
        b"quota:{PLAIN}geheim::::::userdb_quota_rule=*:storage=lots",
        b"fine@two.test:{PLAIN}geheim",
    ];
    let parsed = passwd_file(&lines.join(&b'\n'), &own(), &stores());
    assert_eq!(
        bad(&parsed),
        [
            "2: \"OK@site.test\" is the same address as ok@site.test on line 1",
            "3: there is no ':' after the key",
            "4: there is nothing before the ':'",
            "5: \"bro ken@-\" is not an address or the local part of one",
            "6: the line is not UTF-8",
            "7: the line is longer than 8192 octets",
            "8: the password of \"noscheme\" is not of the form {SCHEME}hash or a crypt hash",
            "9: the field userdb_quota_rule cannot be read",
        ]
    );
    assert!(!bad(&parsed).join("").contains("geheim"));
    assert_eq!(parsed.items.len(), 2, "all good lines are there");
    assert_eq!(
        bad(&passwd_file(b"x:{A}b", &[], &stores())),
        ["1: \"x\" has no domain, and no domain was named for such keys"]
    );
}

#[test]
fn popmaps_are_read_as_perdition_reads_them() {
    let file = b"# map\n\
        john: fritz\n\
        alison@site.test:Fritz:143\n\
        \tanna\t:\tanna1@mail1.old.test:110\n\
        x@two.test:user@site.test@ingrid\n\
        six@two.test:[::1]:143\n\
        port@two.test:multi.test:1143\n";
    let parsed = popmap(file, &own(), &stores());
    assert_eq!(bad(&parsed), Vec::<String>::new());
    let shown: Vec<_> = parsed
        .items
        .iter()
        .map(|line| {
            let PlacementRecord { address, store, user } = &line.item;
            format!("{} {address} {store} {}", line.number, user.as_deref().unwrap_or("-"))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "2 john@site.test fritz john",
            "3 alison@site.test fritz -",
            "4 anna@site.test ingrid anna1",
            "5 x@two.test ingrid user@site.test",
            "6 six@two.test fritz -",
            "7 port@two.test ingrid -",
        ]
    );
    let twice = [own(), vec![Domain::parse("two.test").expect("a domain")]].concat();
    let both: Vec<_> =
        popmap(b"john:fritz", &twice, &stores()).items.into_iter().map(|l| l.item.address.to_string()).collect();
    assert_eq!(both, ["john@site.test", "john@two.test"]);
}

#[test]
fn bad_popmap_lines_are_named() {
    let file = b"a:ingird\nb:fritz.site.test\nc\nd:\ne:fritz:0\nf:fritz:99999\ng:fritz\nG:ingrid\n:fritz\nh:multi.test:1\ni:u@\n";
    assert_eq!(
        bad(&popmap(file, &own(), &stores())),
        [
            "1: no store is called \"ingird\" or mapped to it; did you mean ingrid?",
            "2: no store is called \"fritz.site.test\" or mapped to it; did you mean fritz?",
            "3: there is no ':' after the key",
            "4: there is no host after the ':'",
            "5: \"0\" is not a port",
            "6: \"99999\" is not a port",
            "8: \"G@site.test\" is the same address as g@site.test on line 7",
            "9: there is nothing before the ':'",
            "10: no store is called \"multi.test\" or mapped to it",
            "11: there is no host after the ':'",
        ]
    );
}

fn of<R: Record>(value: Value) -> R {
    R::from_operator(value).expect("a record")
}

fn site() -> MemoryEngine {
    let engine = MemoryEngine::new();
    let edit = Editor::new(&engine);
    finish(async {
        for name in ["ingrid", "fritz"] {
            edit.add_store(&of(json!({"name": name, "kind": "posthouse", "node": "n1"}))).await?;
        }
        edit.add_domain(&of(json!({"name": "site.test", "default_store": "fritz"}))).await?;
        let rule = json!({"name": "a-to-k", "order": 1, "kind": "prefix", "from": "a", "to": "k", "store": "ingrid"});
        edit.change_rules(&RuleChange::AddRule(of(rule))).await
    })
    .expect("a site");
    engine
}

fn options(mode: Mode, bad_lines: BadLines) -> ImportOptions {
    ImportOptions { mode, bad_lines }
}

fn import(engine: &MemoryEngine, file: &[u8], options: ImportOptions) -> ImportReport {
    let mut last = 0u128;
    let mut fresh = move || {
        last += 1;
        AccountId::from_bytes(last.to_be_bytes())
    };
    let parsed = passwd_file(file, &own(), &stores());
    finish(Editor::new(engine).import_accounts(&parsed, options, 1_700_000_000, &mut fresh)).expect("an import")
}

fn size(engine: &MemoryEngine) -> usize {
    finish(engine.range(Range { prefix: "", after: None, limit: 100_000 })).expect("a page").entries.len()
}

#[test]
fn accounts_are_imported_once_and_changes_reported() {
    let engine = site();
    let before = size(&engine);
    let file: String =
        (0..100).map(|n| format!("{}{n}:{{PLAIN}}p{n}\n", if n % 2 == 0 { "anna" } else { "zoe" })).collect();
    let dry = import(&engine, file.as_bytes(), options(Mode::DryRun, BadLines::Refuse));
    assert_eq!((dry.added, dry.written, size(&engine)), (100, false, before));
    let real = import(&engine, file.as_bytes(), options(Mode::Write, BadLines::Refuse));
    assert_eq!((real.added, real.written, size(&engine)), (100, true, before + 300));
    let again = import(&engine, file.as_bytes(), options(Mode::Write, BadLines::Refuse));
    assert_eq!((again.added, again.unchanged, again.changed), (0, 100, vec![]));
    let edit = Editor::new(&engine);
    let anna = finish(edit.show::<PlacementRecord>("anna0@site.test")).expect("placed");
    let zoe = finish(edit.show::<PlacementRecord>("zoe1@site.test")).expect("placed");
    assert_eq!((anna.record.store.as_str(), zoe.record.store.as_str()), ("ingrid", "fritz"));
    let id = finish(edit.show::<AccountRecord>("anna0@site.test")).expect("there").record.id;
    let other = "ANNA0:{PLAIN}new::::::nologin\nzoe1:{PLAIN}p1::::::userdb_quota_rule=*:bytes=5";
    let report = import(&engine, other.as_bytes(), options(Mode::Write, BadLines::Refuse));
    let texts: Vec<_> = report.changed.iter().map(|line| format!("{} {}", line.line, line.text)).collect();
    assert_eq!(texts, ["1 anna0@site.test: password, state", "2 zoe1@site.test: quota"]);
    let account = finish(edit.show::<AccountRecord>("anna0@site.test")).expect("there").record;
    assert_eq!((account.id, account.state), (id, AccountState::NoLogin));
    let secret = finish(edit.show::<SecretRecord>("anna0@site.test")).expect("there").record;
    assert_eq!(secret.passwords.iter().map(PasswordHash::expose).collect::<Vec<_>>(), ["{PLAIN}new"]);
}

#[test]
fn bad_lines_hold_an_import_unless_they_are_skipped() {
    let engine = site();
    let edit = Editor::new(&engine);
    finish(edit.add_alias(&of(json!({"address": "info@site.test", "targets": ["x@far.test"]})))).expect("made");
    let before = size(&engine);
    let file =
        b"anna:{PLAIN}x\nANNA:{PLAIN}y\nbroken\ninfo:{PLAIN}x\nx@other.test:{PLAIN}x\nzoe:{PLAIN}x::::::host=h\n";
    let report = import(&engine, file, options(Mode::Write, BadLines::Refuse));
    assert_eq!((report.written, size(&engine)), (false, before));
    let report = import(&engine, file, options(Mode::Write, BadLines::Skip));
    let texts =
        |lines: &[ReportLine]| lines.iter().map(|line| format!("{}: {}", line.line, line.text)).collect::<Vec<_>>();
    assert_eq!(texts(&report.bad), ["3: there is no ':' after the key"]);
    assert_eq!(
        texts(&report.collisions),
        [
            "2: \"ANNA@site.test\" is the same address as anna@site.test on line 1",
            "4: there is already alias info@site.test",
            "5: there is no domain other.test",
        ]
    );
    assert_eq!(texts(&report.ignored), ["6: host"]);
    assert_eq!((report.added, report.written, size(&engine)), (2, true, before + 6));
}

struct Full;

impl MailBehind for Full {
    fn mail_behind<'a>(&'a self, _address: &'a Address, _store: &'a StoreName) -> BoxFuture<'a, Behind> {
        ready(Behind::Mail)
    }
}

#[test]
fn an_imported_map_re_homes_nobody_with_mail() {
    let engine = site();
    let edit = Editor::new(&engine);
    let account =
        AccountRecord::new(Address::parse("anna@site.test").expect("an address"), AccountId::from_bytes([1; 16]));
    finish(edit.add_account(&NewAccount { account, passwords: Vec::new(), store: None })).expect("made");
    let parsed = popmap(b"anna:fritz\nzoe:fritz\njohn:fritz\n", &own(), &stores());
    let skip = options(Mode::Write, BadLines::Skip);
    let report = finish(edit.import_placements(&parsed, skip, &Full)).expect("an import");
    let texts: Vec<_> = report.collisions.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "anna@site.test has mail at store ingrid and cannot be placed elsewhere",
            "john@site.test has mail at store ingrid and cannot be placed elsewhere"
        ]
    );
    assert_eq!((report.added, report.written), (1, true));
    let report = finish(edit.import_placements(&parsed, skip, &AssumeEmpty)).expect("an import");
    assert_eq!((report.added, report.unchanged, report.changed.len()), (1, 1, 1));
    let routing = finish(edit.routing()).expect("routing");
    assert_eq!(routing.pins(&routing), []);
    let again = finish(edit.import_placements(&parsed, skip, &Full)).expect("an import");
    assert_eq!(again.unchanged, 3);
}

#[test]
fn imported_rules_come_in_order_and_move_nobody() {
    let engine = site();
    let edit = Editor::new(&engine);
    // An account whose placement was taken away is where the rules say.
    let address = Address::parse("anna@site.test").expect("an address");
    let account = AccountRecord::new(address.clone(), AccountId::from_bytes([1; 16]));
    finish(edit.add_account(&NewAccount { account, passwords: Vec::new(), store: None })).expect("made");
    finish(edit.remove_placement(&address, &AssumeEmpty)).expect("removed");
    finish(edit.change_rules(&RuleChange::RemoveRule(RuleName::parse("a-to-k").expect("a name")))).expect("removed");
    finish(edit.remove_placement(&address, &AssumeEmpty)).expect("removed");
    let (write, before) = (options(Mode::Write, BadLines::Refuse), size(&engine));
    let file = b"nn: ingrid\n^an: fritz\n.: ingrid\n";
    let dry = finish(edit.import_entries(
        &regex_map(file, &[], &stores()),
        options(Mode::DryRun, BadLines::Refuse),
        &AssumeEmpty,
    ));
    assert_eq!(dry.map(|report| (report.added, report.pinned, report.written)).expect("an import"), (3, 1, false));
    assert_eq!(size(&engine), before);
    let report = finish(edit.import_entries(&regex_map(file, &[], &stores()), write, &AssumeEmpty)).expect("an import");
    assert_eq!((report.added, report.pinned, report.written), (3, 1, true));
    let routing = finish(edit.routing()).expect("routing");
    let home = |name: &str| {
        let address = Address::parse(name).expect("an address");
        routing.place_new_account(&address, &mut crate::Silent).expect("a store").to_string()
    };
    assert_eq!(
        ["anna@site.test", "hanna@site.test", "anton@site.test", "zoe@site.test"].map(home),
        ["fritz", "ingrid", "fritz", "ingrid"],
        "anna is pinned; of all others, the first line that matches counts"
    );
    let again = finish(edit.import_entries(&regex_map(file, &[], &stores()), write, &AssumeEmpty)).expect("an import");
    assert_eq!((again.added, again.unchanged, again.pinned), (0, 3, 0));
    let less = finish(edit.import_entries(&regex_map(b"nn: fritz\n", &[], &stores()), write, &AssumeEmpty))
        .expect("an import");
    let texts = |lines: &[ReportLine]| lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&less.changed), ["rule regex-map-1"]);
    assert_eq!(
        texts(&less.notes),
        ["rule regex-map-2 of an earlier import stays", "rule regex-map-3 of an earlier import stays"]
    );
    let elsewhere = regex_map(b"x: fritz\n", &[Domain::parse("two.test").expect("a domain")], &stores());
    let refused = finish(edit.import_entries(&elsewhere, write, &AssumeEmpty)).expect("an import");
    assert_eq!((texts(&refused.collisions), refused.written), (vec!["there is no domain two.test".to_owned()], false));
}

fn import_map(engine: &MemoryEngine, file: &[u8], mail: &dyn MailBehind) -> ImportReport {
    let parsed = user_map(file, &own(), &stores());
    finish(Editor::new(engine).import_entries(&parsed, options(Mode::Write, BadLines::Skip), mail)).expect("an import")
}

fn texts(lines: &[ReportLine]) -> Vec<String> {
    lines.iter().map(|line| format!("{}: {}", line.line, line.text)).collect()
}

/// The accounts and the remote addresses that get mail for an address.
fn reached(routing: &crate::Routing, name: &str) -> Vec<String> {
    let address = Address::parse(name).expect("an address");
    let crate::Delivery::Deliver(to) = routing.delivery(&address, &mut crate::Silent) else { panic!("nobody gets it") };
    to.targets.iter().map(|to| &to.address).chain(&to.remote).map(Address::to_string).collect()
}

#[test]
fn a_user_map_makes_placements_aliases_forwards_and_catch_alls() {
    let engine = site();
    import(&engine, b"anna:{PLAIN}x\nzoe:{PLAIN}x\n", options(Mode::Write, BadLines::Refuse));
    let file = b"bert bert@ingrid\ninfo zoe\nanna zoe@far.test\n@site.test info\n@two.test info\nx@two.test zoe\n";
    let report = import_map(&engine, file, &AssumeEmpty);
    assert_eq!((report.added, report.unchanged, report.written), (3, 0, true));
    assert_eq!(texts(&report.changed), ["3: anna@site.test: forward"]);
    assert_eq!(
        texts(&report.notes),
        ["3: zoe@far.test is elsewhere: its mail is deferred as long as there is no outbound mail"]
    );
    assert_eq!(texts(&report.collisions), ["5: there is no domain two.test", "6: there is no domain two.test"]);
    let routing = finish(Editor::new(&engine).routing()).expect("routing");
    let goes = |name: &str| reached(&routing, name).join(" ");
    assert_eq!(
        ["info@site.test", "nobody@site.test", "anna@site.test"].map(goes),
        ["zoe@site.test", "zoe@site.test", "zoe@far.test"]
    );
    let bert = Address::parse("bert@site.test").expect("an address");
    assert_eq!(routing.place_new_account(&bert, &mut crate::Silent).expect("a store").as_str(), "ingrid");
    let again = import_map(&engine, file, &AssumeEmpty);
    assert_eq!((again.added, again.unchanged, again.changed), (0, 4, vec![]));
    let other = import_map(&engine, b"info anna\n@site.test anna\nbert bert@fritz\nanna anna\n", &Full);
    assert_eq!(
        texts(&other.changed),
        [
            "1: alias info@site.test",
            "2: domain site.test: catch-all from info@site.test to anna@site.test",
            "4: anna@site.test: forward"
        ]
    );
    assert_eq!(texts(&other.collisions), ["3: bert@site.test has mail at store ingrid and cannot be placed elsewhere"]);
}

#[test]
fn loops_of_aliases_are_named_and_accounts_end_them() {
    let engine = site();
    import(&engine, b"anna:{PLAIN}x\n", options(Mode::Write, BadLines::Refuse));
    let file = b"self SELF\na b\nb c+x\nc a\nanna d\nd anna\nlist c\n";
    let report = import_map(&engine, file, &AssumeEmpty);
    assert_eq!(
        texts(&report.collisions),
        [
            "1: self@site.test leads back to itself: self@site.test → self@site.test",
            "4: c@site.test leads back to itself: c@site.test → a@site.test → b@site.test → c@site.test",
        ]
    );
    // What is there already counts too.
    let report = import_map(&engine, b"c list\n", &AssumeEmpty);
    assert_eq!(
        texts(&report.collisions),
        ["1: c@site.test leads back to itself: c@site.test → list@site.test → c@site.test"]
    );
}

#[test]
fn aliases_of_a_machine_become_aliases_and_forwards() {
    let engine = site();
    import(&engine, b"anna:{PLAIN}x\nzoe:{PLAIN}x\n", options(Mode::Write, BadLines::Refuse));
    let file = b"postmaster: root\nroot: anna,\n zoe\nanna: \\anna, anna@far.test\nx: y\ny: x\nv: |/bin/v\n";
    let parsed = aliases(file, &own(), &stores());
    let edit = Editor::new(&engine);
    let import = |how| finish(edit.import_entries(&parsed, how, &AssumeEmpty)).expect("an import");
    let refused = import(options(Mode::Write, BadLines::Refuse));
    assert_eq!((refused.written, refused.bad.len(), refused.collisions.len()), (false, 1, 1));
    let report = import(options(Mode::Write, BadLines::Skip));
    assert_eq!((report.added, report.written), (3, true));
    assert_eq!(texts(&report.changed), ["4: anna@site.test: forward"]);
    assert_eq!(
        texts(&report.collisions),
        ["6: y@site.test leads back to itself: y@site.test → x@site.test → y@site.test"]
    );
    let routing = finish(edit.routing()).expect("routing");
    let reached = reached(&routing, "postmaster@site.test");
    assert_eq!(reached, ["anna@site.test", "zoe@site.test", "anna@far.test"], "anna keeps a copy");
}

#[test]
fn a_default_store_from_a_transport_table_moves_nobody() {
    let engine = site();
    let edit = Editor::new(&engine);
    import(&engine, b"zoe:{PLAIN}x\n", options(Mode::Write, BadLines::Refuse));
    let zoe = Address::parse("zoe@site.test").expect("an address");
    finish(edit.remove_placement(&zoe, &AssumeEmpty)).expect("removed");
    let parsed =
        transport(b"site.test lmtp:ingrid\nyan@site.test smtp:[fritz]\nx.test lmtp:ingrid\n", &own(), &stores());
    let import =
        |mode| finish(edit.import_entries(&parsed, options(mode, BadLines::Skip), &AssumeEmpty)).expect("an import");
    let report = import(Mode::Write);
    assert_eq!((report.added, report.pinned), (1, 1));
    assert_eq!(texts(&report.changed), ["1: domain site.test: default store from fritz to ingrid"]);
    assert_eq!(texts(&report.collisions), ["3: there is no domain x.test"]);
    let routing = finish(edit.routing()).expect("routing");
    let home = |name: &str| {
        let address = Address::parse(name).expect("an address");
        routing.place_new_account(&address, &mut crate::Silent).expect("a store").to_string()
    };
    assert_eq!(["zoe@site.test", "yan@site.test", "xenia@site.test"].map(home), ["fritz", "fritz", "ingrid"]);
    let again = import(Mode::Write);
    assert_eq!((again.added, again.unchanged, again.changed, again.pinned), (0, 2, vec![], 0));
}

proptest! {
    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for own in [own(), Vec::new()] {
            passwd_file(&bytes, &own, &stores());
            popmap(&bytes, &own, &stores());
            regex_map(&bytes, &own, &stores());
            user_map(&bytes, &own, &stores());
            aliases(&bytes, &own, &stores());
            postfix_virtual(&bytes, &own, &own, &stores());
            transport(&bytes, &own, &stores());
        }
    }

    #[test]
    fn near_misses_never_panic(text in "([a-z@:\\[\\]{}$%\"\\\\ =*0-9\n#ü]{0,12}(userdb_quota_rule=\\*:storage=[0-9kKgTx]{0,25})?){0,8}") {
        let passwd = passwd_file(text.as_bytes(), &own(), &stores());
        let map = popmap(text.as_bytes(), &own(), &stores());
        let rules = regex_map(text.as_bytes(), &own(), &stores());
        let users = user_map(text.as_bytes(), &own(), &stores());
        // Each line is an item, a bad line, or nothing to read.
        let lines = text.split('\n').filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#')).count();
        prop_assert_eq!(passwd.items.len() + passwd.bad.len(), lines);
        prop_assert_eq!(map.items.len() + map.bad.len(), lines);
        prop_assert_eq!(rules.items.len() + rules.bad.len(), lines);
        aliases(text.as_bytes(), &own(), &stores());
        postfix_virtual(text.as_bytes(), &own(), &own(), &stores());
        transport(text.as_bytes(), &own(), &stores());
        prop_assert!(users.items.len() + users.bad.len() + users.ignored.len() == lines);
    }
}

/// Dovecot hands on whom it proxies, whatever `nologin` says.
#[test]
fn nologin_bars_nobody_who_is_handed_on() {
    let stores = StoreMap::new([StoreName::parse("fritz").unwrap()]);
    let own = [Domain::parse("site.test").unwrap()];
    let file = "anna:::::::nologin proxy host=fritz\nbert:{PLAIN}b::::::nologin\ncarl:{PLAIN}c::::::nologin proxy=n host=fritz\n";
    let parsed = passwd_file(file.as_bytes(), &own, &stores);
    let states: Vec<_> = parsed.items.iter().map(|line| line.item.state).collect();
    assert_eq!(states, [AccountState::Active, AccountState::NoLogin, AccountState::NoLogin]);
    assert_eq!(parsed.items.first().unwrap().item.ignored, ["nologin"]);
}
