//! Accounts that only a passwd-file has: found with their passwords, changed in the file, taken over whole.

use super::*;
use crate::edit::NewAccount;
use crate::import::{ImportReport, StoreMap, passwd_file};
use crate::login::read_secret;
use crate::{Login, Origin, Silent};
use mail_types::AccountId;

fn users(text: &str) -> LiveMap {
    read("/etc/users", MapKind::PasswdFile, text).expect(text)
}

fn over(base: &MemoryEngine, text: &str) -> Overlay {
    Overlay::new(Arc::new(base.clone()), vec![users(text)])
}

fn address(text: &str) -> Address {
    Address::parse(text).expect(text)
}

fn hashes(engine: &dyn Engine, name: &str) -> Option<Vec<String>> {
    match finish(read_secret(engine, &address(name))) {
        Origin::Found(secret) => Some(secret.passwords.iter().map(|hash| hash.expose().to_owned()).collect()),
        Origin::NotFound => None,
        Origin::Unavailable => panic!("the engine answers"),
    }
}

/// Store, user's name there and id of who logs in.
fn login(live: &Live, name: &str) -> Option<(String, Option<String>, Option<AccountId>)> {
    match live.routing().login(&format!("{name}@site.test"), &mut Silent) {
        Login::Account(target) => Some((target.store.to_string(), target.user, target.account)),
        Login::Unknown | Login::Refused { .. } => None,
        Login::Unavailable => panic!("the copy is loaded"),
    }
}

fn id(overlay: &Overlay, name: &str) -> AccountId {
    finish(Editor::new(overlay).show::<AccountRecord>(name)).expect("is there").record.id
}

fn import(engine: &dyn Engine, text: &str) -> ImportReport {
    let stores = StoreMap::of(&finish(Editor::new(engine).routing()).expect("answers"));
    let own = [Domain::parse("site.test").expect("a domain")];
    let parsed = passwd_file(text.as_bytes(), &own, &stores);
    let options = ImportOptions { mode: Mode::Write, bad_lines: BadLines::Refuse };
    let mut drawn = || AccountId::from_bytes([9; 16]);
    finish(Editor::new(engine).import_accounts(&parsed, options, 0, &mut drawn)).expect("an import")
}

#[test]
fn who_stands_in_the_file_logs_in_by_it() {
    let base = site();
    let overlay = over(&base, "anna:{PLAIN}a::::::\nbert:{PLAIN}b::::::nologin\nempty:::::::\n");
    let (live, mut follower) = followed(&overlay);
    let first = login(&live, "anna").expect("she is there");
    assert_eq!((first.0.as_str(), first.2), ("ingrid", Some(id(&overlay, "anna@site.test"))));
    assert_eq!(hashes(&overlay, "Anna@site.test"), Some(vec!["{PLAIN}a".to_owned()]));
    assert_eq!(hashes(&overlay, "empty@site.test"), Some(vec![]), "nobody is let in without a password");
    assert_eq!((login(&live, "bert"), login(&live, "carl")), (None, None));
    assert_eq!(hashes(&base, "anna@site.test"), None, "nothing of a map is written");

    // Another password, and carl is new: nobody else changes.
    let taken =
        replace(&overlay, 0, users("carl:{PLAIN}c::::::\n\nANNA:{PLAIN}new::::::\nbert:{PLAIN}b::::::nologin\n"));
    catch_up(&mut follower);
    assert_eq!(login(&live, "anna"), Some(first), "the account is the same, however it is spelt");
    assert_eq!(hashes(&overlay, "anna@site.test"), Some(vec!["{PLAIN}new".to_owned()]));
    assert!(login(&live, "carl").is_some());
    assert_eq!((login(&live, "empty"), hashes(&overlay, "empty@site.test")), (None, None));
    assert_eq!(taken.pinned, []);
}

#[test]
fn what_only_a_map_has_is_changed_there() {
    let base = site();
    let overlay = over(&base, "anna:{PLAIN}a::::::\n");
    let editor = Editor::new(&overlay);
    let shown = finish(editor.show::<AccountRecord>("anna@site.test")).expect("is there");
    let told = |refused: Result<Revision, EditError>| refused.expect_err("a map has it").to_string();
    let there = "is read live from /etc/users:1: change it there";
    let anna = address("anna@site.test");
    for refused in [
        told(finish(editor.set_account(&AccountRecord { quota_bytes: Some(1), ..shown.record }, shown.revision))),
        told(finish(editor.set_passwords(&anna, Vec::new()))),
        told(finish(editor.remove_account(&anna))),
        told(finish(editor.rename_account(&anna, &address("zoe@site.test")))),
    ] {
        assert!(refused.ends_with(there), "{refused}");
    }
    let new = NewAccount {
        account: AccountRecord::new(anna, AccountId::from_bytes([1; 16])),
        passwords: Vec::new(),
        store: None,
    };
    assert!(matches!(finish(editor.add_account(&new)), Err(EditError::Taken { .. })));
    assert_eq!(finish(base.get("routing/account/site.test/anna")).expect("answers"), None);
}

#[test]
fn the_bases_account_stands_before_a_map_s() {
    let base = site();
    let own = finish(Editor::new(&base).add_account(&NewAccount {
        account: AccountRecord::new(address("anna@site.test"), AccountId::from_bytes([1; 16])),
        passwords: Vec::new(),
        store: None,
    }));
    own.expect("made");
    let overlay = over(&base, "anna:{PLAIN}a::::::\n");
    assert_eq!(id(&overlay, "anna@site.test"), AccountId::from_bytes([1; 16]));
    assert_eq!(hashes(&overlay, "anna@site.test"), Some(vec![]));
    let none = finish(Editor::new(&overlay).set_passwords(&address("anna@site.test"), Vec::new()));
    none.expect("the base's is changed as ever");
}

#[test]
fn an_import_takes_accounts_over_with_their_ids() {
    let base = site();
    let file = "anna:{PLAIN}a::::::\nbert:{PLAIN}b::::::proxy host=fritz\n";
    let overlay = over(&base, file);
    let before = id(&overlay, "anna@site.test");
    let report = import(&overlay, file);
    assert_eq!((report.changed.len(), report.added, report.collisions), (2, 0, vec![]));
    assert_eq!(id(&overlay, "anna@site.test"), before);
    // A new name is for when the file has the old one no longer: two accounts would have one mailbox.
    let rename = || finish(Editor::new(&overlay).rename_account(&address("anna@site.test"), &address("zoe@site.test")));
    let refused = rename().expect_err("the map has her").to_string();
    assert!(refused.ends_with("is read live from /etc/users:1: change it there"), "{refused}");
    // Nor is she removed: the file's would be there again, with its password.
    let removed = finish(Editor::new(&overlay).remove_account(&address("anna@site.test")));
    let refused = removed.expect_err("the map has her").to_string();
    assert!(refused.ends_with("is read live from /etc/users:1: change it there"), "{refused}");
    replace(&overlay, 0, LiveMap::default());
    assert_eq!(
        (id(&overlay, "anna@site.test"), hashes(&base, "anna@site.test")),
        (before, Some(vec!["{PLAIN}a".into()]))
    );
    let (live, _follower) = followed(&overlay);
    assert_eq!(login(&live, "bert").map(|(store, user, _)| (store, user)), Some(("fritz".to_owned(), None)));
    rename().expect("nobody else has the name");
    assert_eq!(import(&base, "new:{PLAIN}n::::::\n").added, 1);
    assert_eq!(id(&over(&base, ""), "new@site.test"), AccountId::from_bytes([9; 16]));
}

#[test]
fn rules_of_a_map_move_nobody_whom_only_a_map_has() {
    let base = site();
    let maps = vec![
        users("anna:{PLAIN}a::::::\nbert:{PLAIN}b::::::proxy host=ingrid\n"),
        read("/etc/regex", MapKind::RegexMap, "^carl: fritz\n").expect("good"),
    ];
    let overlay = Overlay::new(Arc::new(base.clone()), maps);
    let pinned =
        |taken: Taken| taken.pinned.iter().map(|pin| format!("{} at {}", pin.address, pin.store)).collect::<Vec<_>>();
    let rules = read("/etc/regex", MapKind::RegexMap, "^(anna|bert): fritz\n").expect("good");
    assert_eq!(pinned(replace(&overlay, 1, rules)), ["anna@site.test at ingrid"]);
    // Who edits where a user of the file is handed on to has moved the mail.
    let moved = users("anna:{PLAIN}a::::::\nbert:{PLAIN}b::::::proxy host=fritz\n");
    assert_eq!(pinned(replace(&overlay, 0, moved)), Vec::<String>::new());
    let (live, _follower) = followed(&overlay);
    assert_eq!(login(&live, "bert").map(|found| found.0).as_deref(), Some("fritz"));
    assert_eq!(login(&live, "anna").map(|found| found.0).as_deref(), Some("ingrid"));
}

#[test]
fn nobody_is_unknown_while_the_file_is_unread() {
    let overlay = Overlay::new(Arc::new(site()), vec![LiveMap::unread("/etc/users", MapKind::PasswdFile)]);
    let (live, mut follower) = followed(&overlay);
    assert_eq!(live.routing().login("anna@site.test", &mut Silent), Login::Unavailable);
    replace(&overlay, 0, users("bert:{PLAIN}b::::::\n"));
    catch_up(&mut follower);
    assert_eq!(live.routing().login("anna@site.test", &mut Silent), Login::Unknown);
    assert!(login(&live, "bert").is_some());
}

#[test]
fn what_has_no_place_is_told_by_line() {
    let map = users("anna:{PLAIN}a::::::allow_nets=10.0.0.0/8 ssl=yes\nx@gone.test:{PLAIN}x::::::\nbert:{PLAIN}b\n");
    let told = [(1, "without a meaning here: allow_nets ssl"), (2, "there is no domain gone.test")];
    assert_eq!(map.ignored(), told.map(|(line, text)| (line, text.to_owned())));
    let error = read("/etc/users", MapKind::PasswdFile, "anna:{PLAIN}a\nno separator\n").expect_err("a bad line");
    assert_eq!((error.line, error.why.as_str()), (2, "there is no ':' after the key"));
}
