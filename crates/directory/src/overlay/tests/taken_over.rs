//! What only a map has, and an import makes the directory's own.

use super::*;
use crate::edit::{Behind, MailBehind};
use crate::import::{self, Entry as Item, ImportReport, Parsed, StoreMap};
use crate::{Login, Silent};
use mail_types::{AccountId, StoreName};

fn own() -> [Domain; 1] {
    [Domain::parse("site.test").expect("a domain")]
}

/// The lines of a file of that kind, as an import reads them.
fn parsed(engine: &dyn Engine, kind: MapKind, text: &str) -> Parsed<Item> {
    let routing = finish(Editor::new(engine).routing()).expect("answers");
    let ours: Vec<Domain> = routing.domains().map(|domain| domain.name.clone()).collect();
    let (octets, own, stores) = (text.as_bytes(), own(), StoreMap::of(&routing));
    match kind {
        MapKind::Aliases => import::aliases(octets, &own, &stores),
        MapKind::Transport => import::transport(octets, &own, &stores),
        MapKind::UserMap | MapKind::Virtusertable => import::user_map(octets, &own, &stores),
        MapKind::Virtual => import::postfix_virtual(octets, &own, &ours, &stores),
        MapKind::Popmap => {
            let Parsed { items, bad, ignored } = import::popmap(octets, &own, &stores);
            let entry = |line: import::Line<_>| import::Line { number: line.number, item: Item::Placement(line.item) };
            Parsed { items: items.into_iter().map(entry).collect(), bad, ignored }
        }
        MapKind::PasswdFile | MapKind::RegexMap => unreachable!("these are imported otherwise"),
    }
}

/// Says that there is mail, whoever asks.
struct Full;

impl MailBehind for Full {
    fn mail_behind<'a>(&'a self, _: &'a Address, _: &'a StoreName) -> BoxFuture<'a, Behind> {
        crate::engine::ready(Behind::Mail)
    }
}

fn take_over(engine: &dyn Engine, kind: MapKind, text: &str) -> Result<ImportReport, EditError> {
    let options = ImportOptions { mode: Mode::Write, bad_lines: BadLines::Refuse };
    finish(Editor::new(engine).import_entries(&parsed(engine, kind, text), options, &Full))
}

fn import_users(engine: &dyn Engine, text: &str) -> ImportReport {
    let stores = StoreMap::of(&finish(Editor::new(engine).routing()).expect("answers"));
    let parsed = import::passwd_file(text.as_bytes(), &own(), &stores);
    let options = ImportOptions { mode: Mode::Write, bad_lines: BadLines::Refuse };
    let mut drawn = || AccountId::from_bytes([9; 16]);
    finish(Editor::new(engine).import_accounts(&parsed, options, 0, &mut drawn)).expect("an import")
}

fn texts(lines: &[import::ReportLine]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

/// What becomes of mail and of logins, and where an address is.
fn routed(engine: &dyn Engine) -> Vec<String> {
    let routing = finish(Editor::new(engine).routing()).expect("answers");
    let names = ["anna@site.test", "BERT@site.test", "info@site.test", "nobody@site.test", "x@two.test"];
    let of = |name: &str| {
        let address = Address::parse(name).expect(name);
        let login = match routing.login(name, &mut Silent) {
            Login::Account(target) => format!("{} as {:?}", target.store, target.user),
            other @ (Login::Unknown | Login::Refused { .. } | Login::Unavailable) => format!("{other:?}"),
        };
        let home = routing.place_new_account(&address, &mut Silent);
        format!("{name}: {:?}; {login}; {home:?}", routing.delivery(&address, &mut Silent))
    };
    names.map(of).to_vec()
}

/// A site whose users are the back-ends' own.
fn proxied() -> MemoryEngine {
    let base = site();
    for name in ["site.test", "two.test"] {
        put(&base, &record::<DomainRecord>(json!({"name": name, "accounts": "unchecked"})));
    }
    base
}

#[test]
fn every_kind_is_taken_over_and_routes_on_without_the_map() {
    for (kind, text) in [
        (MapKind::Popmap, "anna:fritz\nbert:bert7@fritz\ninfo@site.test:ingrid\n"),
        (MapKind::Aliases, "Info: anna, bert\nbert: bert@fritz\n"),
        (MapKind::Virtual, "info@site.test x@two.test\n@site.test anna@site.test\nbert@site.test bert@fritz\n"),
        (MapKind::UserMap, "anna anna@fritz\ninfo anna@site.test\n@two.test info@site.test\n"),
        (MapKind::Virtusertable, "bert@site.test b7@fritz\n@site.test anna@site.test\n"),
        (MapKind::Transport, "two.test lmtp:fritz\nanna@site.test lmtp:fritz\n"),
    ] {
        let base = proxied();
        let without = routed(&base);
        let overlay = Overlay::new(Arc::new(base.clone()), vec![read("/etc/map", kind, text).expect(text)]);
        let live = routed(&overlay);
        assert_ne!(live, without, "{kind} says something");
        let first = take_over(&overlay, kind, text).expect(text);
        let lines = text.lines().count();
        assert_eq!((first.added, first.unchanged, first.changed.len()), (0, 0, lines), "{kind}: {first:?}");
        for changed in texts(&first.changed) {
            assert!(changed.ends_with(": from the map that is read live to the directory"), "{kind}: {changed}");
        }
        assert_eq!(routed(&overlay), live, "{kind}: while the map is there nothing changes");
        let second = take_over(&overlay, kind, text).expect(text);
        assert_eq!((second.added, second.unchanged, second.changed.len()), (0, lines, 0), "{kind}: {second:?}");
        assert_eq!(routed(&base), live, "{kind}: without the map");
    }
}

#[test]
fn what_a_map_says_otherwise_is_refused_and_nothing_is_written() {
    let base = site();
    let overlay = Overlay::new(Arc::new(base.clone()), vec![aliases("/etc/aliases", "root: anna\n")]);
    // More lines than one transaction takes: all but the last could be written.
    let text: String = (0..200).map(|n| format!("a{n}: b\n")).chain(["root: bert\n".to_owned()]).collect();
    let refused = take_over(&overlay, MapKind::Aliases, &text).expect("a map has the last");
    let [collision] = refused.collisions.as_slice() else { panic!("{refused:?}") };
    assert!(collision.line == 201 && collision.text.contains("is read live from /etc/aliases:1"), "{collision:?}");
    assert!(!refused.written);
    assert_eq!(targets(&overlay, "a0@site.test"), Vec::<String>::new());

    // What the directory has beneath becomes what is seen.
    put(&base, &alias("root@site.test", "old@site.test"));
    let report = take_over(&overlay, MapKind::Aliases, "ROOT: anna\n").expect("the same");
    let told = "alias ROOT@site.test: from the map that is read live to the directory";
    assert_eq!(texts(&report.changed), [told]);
    assert_eq!(targets(&base, "root@site.test"), ["anna@site.test"]);
}

#[test]
fn accounts_of_one_map_and_aliases_of_another_are_taken_over_one_after_the_other() {
    let users = "anna:{PLAIN}a::::::\nbert:{PLAIN}b::::::\n";
    let names = "anna: anna, bert\nroot: anna\n";
    let base = site();
    let maps = vec![
        read("/etc/users", MapKind::PasswdFile, users).expect("users"),
        read("/etc/aliases", MapKind::Aliases, names).expect("aliases"),
    ];
    let overlay = Overlay::new(Arc::new(base.clone()), maps);
    let live = routed(&overlay);
    let first = import_users(&overlay, users);
    assert!(first.written && first.changed.len() == 2, "{first:?}");
    let second = take_over(&overlay, MapKind::Aliases, names).expect("aliases");
    assert!(second.written && second.changed.len() == 2, "{second:?}");
    assert_eq!((routed(&overlay), routed(&base)), (live.clone(), live));
    assert_eq!(import_users(&overlay, users).unchanged, 2);
}

#[test]
fn where_maps_contradict_one_another_nobody_is_moved_by_an_import() {
    let base = proxied();
    let [strong, weak] = ["anna:fritz\n", "anna:ingrid\nbert:bert7@fritz\n"];
    let maps = [strong, weak].map(|text| read("/etc/map", MapKind::Popmap, text).expect(text));
    let overlay = Overlay::new(Arc::new(base), maps.into());
    let live = routed(&overlay);
    for _ in 0..2 {
        let refused = take_over(&overlay, MapKind::Popmap, weak).expect("a report");
        let told = "a map that is read live has anna@site.test at fritz as anna: change it there";
        assert!(!refused.written && texts(&refused.collisions) == [told], "{refused:?}");
        assert_eq!(routed(&overlay), live);
    }
    // Nor does another name for a user come with it.
    let refused = take_over(&overlay, MapKind::Popmap, "bert:b8@fritz\n").expect("a report");
    let told = "a map that is read live has bert@site.test at fritz as bert7: change it there";
    assert_eq!((refused.written, texts(&refused.collisions)), (false, vec![told]));
    // An account is placed as the stronger map has it, or not at all.
    let text = "anna:{PLAIN}a::::::proxy=y host=ingrid\n";
    let users = read("/etc/users", MapKind::PasswdFile, text).expect(text);
    let overlay =
        Overlay::new(Arc::new(proxied()), vec![read("/etc/map", MapKind::Popmap, strong).expect(strong), users]);
    let refused = import_users(&overlay, text);
    let told = "a map that is read live has anna@site.test at fritz as anna: change it there";
    assert_eq!((refused.written, texts(&refused.collisions)), (false, vec![told]));
}

#[test]
fn only_who_takes_over_writes_what_a_map_has() {
    let base = site();
    let overlay = Overlay::new(Arc::new(base.clone()), vec![aliases("/etc/aliases", "root: anna\n")]);
    let key = alias("root@site.test", "x@site.test").key();
    let seen = finish(overlay.get(&key)).expect("answers").expect("is there");
    let same = Transaction::default().expect(&key, seen.revision).put(&key, seen.value.clone());
    let refused = |commit: Transaction| matches!(finish(overlay.commit(commit)), Err(EngineError::Live { .. }));
    assert!(refused(same.clone()));
    let other = Transaction::default().put(&key, alias("root@site.test", "x@site.test").encode());
    assert!(refused(other.taking_over()));
    assert!(refused(Transaction::default().delete(&key).taking_over()));
    assert_eq!(finish(base.get(&key)).expect("answers"), None);
    // What was read of the map must be what it says now.
    replace(&overlay, 0, aliases("/etc/aliases", "root: anna\nx: y\n"));
    replace(&overlay, 0, aliases("/etc/aliases", "root: bert\n"));
    replace(&overlay, 0, aliases("/etc/aliases", "root: anna\n"));
    assert_eq!(
        finish(overlay.commit(same.clone().taking_over())).expect("answers"),
        Commit::Conflict { key: key.clone() }
    );
    let now = finish(overlay.get(&key)).expect("answers").expect("is there").revision;
    let same = Transaction { expected: vec![(key.clone(), now)], ..same.taking_over() };
    assert!(matches!(finish(overlay.commit(same)), Ok(Commit::Done(_))));
    assert_eq!(targets(&base, "root@site.test"), ["anna@site.test"]);
}

#[test]
fn of_a_domain_only_what_the_file_says_is_taken_over() {
    let base = site();
    let of = |name: &str| {
        let record = finish(Editor::new(&base).show::<DomainRecord>(name)).expect("a domain").record;
        (record.catch_all.map(|reader| reader.to_string()), record.default_store.map(|store| store.to_string()))
    };
    account(&base, "anna@two.test");
    let maps = vec![
        read("/etc/virtual", MapKind::Virtual, "@two.test anna@two.test\n").expect("good"),
        read("/etc/transport", MapKind::Transport, "two.test lmtp:fritz\n").expect("good"),
    ];
    let overlay = Overlay::new(Arc::new(base.clone()), maps);
    let report = take_over(&overlay, MapKind::Transport, "two.test lmtp:fritz\n").expect("the same");
    let told = "domain two.test: default store fritz: from the map that is read live to the directory";
    assert_eq!((texts(&report.changed), report.pinned), (vec![told], 0));
    assert_eq!(
        of("two.test"),
        (None, Some("fritz".to_owned())),
        "the catch-all is another map's, and was not asked for"
    );

    let refused = take_over(&overlay, MapKind::Virtual, "@two.test bert@two.test\n").expect_err("the map has another");
    assert!(refused.to_string().contains("(catch_all) is read live from /etc/virtual:1"), "{refused}");
    // Another value that the directory has already is no way round the map either.
    put(&base, &record::<DomainRecord>(json!({"name": "two.test", "catch_all": "bert@two.test"})));
    let report = take_over(&overlay, MapKind::Virtual, "@two.test bert@two.test\n").expect("answers");
    let told = "domain two.test: a map that is read live has the catch-all, anna@two.test: change it there";
    assert_eq!((texts(&report.collisions), report.written), (vec![told], false));
    take_over(&overlay, MapKind::Virtual, "@two.test anna@two.test\n").expect("the same");
    assert_eq!(of("two.test"), (Some("anna@two.test".to_owned()), None));
}
