//! Catch-alls and default stores: fields of a domain's record, which stays the base's.

use super::*;
use crate::Silent;

fn virtuals(text: &str) -> LiveMap {
    read("/etc/virtual", MapKind::Virtual, text).expect(text)
}

fn transport(text: &str) -> LiveMap {
    read("/etc/transport", MapKind::Transport, text).expect(text)
}

fn domain(engine: &dyn Engine, name: &str) -> crate::edit::Shown<DomainRecord> {
    finish(Editor::new(engine).show(name)).expect("a domain")
}

fn catch_all(engine: &dyn Engine, name: &str) -> Option<String> {
    domain(engine, name).record.catch_all.map(|reader| reader.to_string())
}

fn at(address: &str) -> Option<String> {
    Some(address.to_owned())
}

fn change(engine: &dyn Engine, name: &str, change: impl FnOnce(&mut DomainRecord)) -> Result<(), EditError> {
    let mut shown = domain(engine, name);
    change(&mut shown.record);
    finish(Editor::new(engine).change_rules(&crate::RuleChange::SetDomain(shown.record, shown.revision))).map(|_| ())
}

#[test]
fn a_map_has_the_catch_all_and_the_base_the_rest() {
    let base = site();
    change(&base, "site.test", |record| record.catch_all = Address::parse("own@site.test").ok()).expect("written");
    let maps = vec![LiveMap::default(), virtuals("a@two.test b\n@site.test anna\n")];
    let overlay = Overlay::new(Arc::new(base.clone()), maps);
    let (live, mut follower) = followed(&overlay);
    let of_copy = |live: &Live, name: &str| {
        let routing = live.routing();
        let domain = routing.domains().find(|domain| domain.name.as_str() == name).expect("a domain").clone();
        (domain.catch_all.map(|reader| reader.to_string()), domain.delimiter)
    };
    assert_eq!(of_copy(&live, "site.test"), (at("anna@site.test"), Some('+')));
    assert_eq!(catch_all(&overlay, "site.test"), at("anna@site.test"));

    change(&overlay, "site.test", |record| record.delimiter = Some('-')).expect("another field");
    assert_eq!(catch_all(&base, "site.test"), at("own@site.test"), "nothing of a map is written");
    catch_up(&mut follower);
    assert_eq!(of_copy(&live, "site.test"), (at("anna@site.test"), Some('-')));
    let refused = change(&overlay, "site.test", |record| record.catch_all = None).expect_err("a map has it");
    assert_eq!(
        refused.to_string(),
        "routing/domain/site.test (catch_all) is read live from /etc/virtual:2: change it there"
    );

    replace(&overlay, 0, virtuals("@two.test carl@two.test\n@site.test bert\n"));
    catch_up(&mut follower);
    assert_eq!(of_copy(&live, "two.test"), (at("carl@two.test"), Some('+')));
    assert_eq!(of_copy(&live, "site.test"), (at("bert@site.test"), Some('-')));
    replace(&overlay, 0, virtuals(""));
    replace(&overlay, 1, virtuals(""));
    catch_up(&mut follower);
    assert_eq!(of_copy(&live, "two.test"), (None, Some('+')));
    assert_eq!(of_copy(&live, "site.test"), (at("own@site.test"), Some('-')));
    change(&overlay, "site.test", |record| record.catch_all = None).expect("the base has it again");
    assert_eq!(catch_all(&base, "site.test"), None);
}

#[test]
fn what_was_read_of_a_domain_is_compared_with_both() {
    let base = site();
    let overlay = Overlay::new(Arc::new(base.clone()), vec![virtuals("@two.test anna@two.test\n")]);
    let Shown { record, revision: seen } = domain(&overlay, "two.test");
    let holds = |seen| Transaction::default().expect(record.key(), seen).put("other", b"1".to_vec());
    let answer = |seen| finish(overlay.commit(holds(seen))).expect("answers");
    assert!(matches!(answer(seen), Commit::Done(_)));
    replace(&overlay, 0, virtuals("@two.test bert@two.test\n"));
    assert_eq!(answer(seen), Commit::Conflict { key: record.key() }, "the map's field changed");
    let seen = domain(&overlay, "two.test").revision;
    change(&base, "two.test", |record| record.delimiter = None).expect("written");
    assert_eq!(answer(seen), Commit::Conflict { key: record.key() }, "the base's field changed");
    let seen = domain(&overlay, "two.test").revision;
    replace(&overlay, 0, virtuals(""));
    assert_eq!(answer(seen), Commit::Conflict { key: record.key() }, "the map gave it back");
    // A domain is removed under the catch-all that a map has, and made again.
    replace(&overlay, 0, virtuals("@two.test anna@two.test\n"));
    let editor = Editor::new(&overlay);
    finish(editor.remove_domain(&record.name)).expect("removed");
    assert!(matches!(finish(editor.show::<DomainRecord>("two.test")), Err(EditError::NotFound { .. })));
    finish(editor.add_domain(&DomainRecord::new(record.name.clone()))).expect("made again");
    assert_eq!((catch_all(&overlay, "two.test"), catch_all(&base, "two.test")), (at("anna@two.test"), None));
}

#[test]
fn a_domain_that_is_not_there_is_a_bad_line() {
    for (kind, text) in [
        (MapKind::Virtual, "a b\n@gone.test a@site.test\n"),
        (MapKind::Transport, "a@two.test lmtp:fritz\ngone.test lmtp:fritz\n"),
    ] {
        let error = read("/etc/map", kind, text).expect_err(text);
        assert_eq!((error.line, error.to_string().as_str()), (2, "there is no domain gone.test"));
    }
}

#[test]
fn the_store_of_a_domain_is_read_live_and_moves_nobody() {
    let base = site();
    account(&base, "anna@two.test");
    let overlay = Overlay::new(Arc::new(base.clone()), vec![transport("site.test lmtp:fritz\n")]);
    let home = |name: &str| {
        let routing = finish(Editor::new(&overlay).routing()).expect("answers");
        routing.place_new_account(&Address::parse(name).expect(name), &mut Silent).expect("a home").to_string()
    };
    assert_eq!((home("x@site.test"), home("x@two.test")), ("fritz".to_owned(), "ingrid".to_owned()));
    let taken = replace(&overlay, 0, transport("two.test lmtp:fritz\n"));
    let pinned: Vec<_> = taken.pinned.iter().map(|pin| format!("{} at {}", pin.address, pin.store)).collect();
    assert_eq!(pinned, ["anna@two.test at ingrid"]);
    assert_eq!((home("x@site.test"), home("x@two.test")), ("ingrid".to_owned(), "fritz".to_owned()));
    assert_eq!(home("anna@two.test"), "ingrid");
    let refused = change(&overlay, "two.test", |record| record.default_store = None).expect_err("a map has it");
    assert!(refused.to_string().contains("(default_store) is read live from /etc/transport:1"), "{refused}");
}
