//! Rules of maps: their order, their names, and whom another reading would have looked for elsewhere.

use super::*;
use crate::Silent;

fn regex_map(path: &str, text: &str) -> LiveMap {
    read(path, MapKind::RegexMap, text).expect(text)
}

fn rule(name: &str, order: u32, pattern: &str, store: &str) -> RuleRecord {
    record(json!({"name": name, "order": order, "kind": "regex", "pattern": pattern, "store": store}))
}

fn rules(engine: &dyn Engine) -> Vec<String> {
    let routing = finish(Editor::new(engine).routing()).expect("answers");
    routing.rules().map(|rule| format!("{} {}", rule.order, rule.name)).collect()
}

fn home(engine: &dyn Engine, name: &str) -> String {
    let routing = finish(Editor::new(engine).routing()).expect("answers");
    routing.place_new_account(&Address::parse(name).expect(name), &mut Silent).expect("a home").to_string()
}

#[test]
fn maps_follow_one_another_and_the_base_stands_around_them() {
    let base = site();
    for (name, order) in [("first", 999), ("between", 1001), ("last", 3000)] {
        put(&base, &rule(name, order, "^never$", "fritz"));
    }
    let maps =
        vec![regex_map("/etc/Regex Map", "# a\n^a: fritz\n\n^b: ingrid\n"), regex_map("/etc/other.map", ".: fritz\n")];
    let overlay = Overlay::new(Arc::new(base.clone()), maps);
    assert_eq!(
        rules(&overlay),
        [
            "999 first",
            "1000 live-1-regex-map-2",
            "1001 between",
            "1001 live-1-regex-map-4",
            "2000 live-2-other.map-1",
            "3000 last",
        ]
    );
    assert_eq!(["a", "b", "c"].map(|user| home(&overlay, &format!("{user}@site.test"))), ["fritz", "ingrid", "fritz"]);
    assert_eq!(home(&overlay, "a@two.test"), "ingrid", "the names that have no domain are those of site.test");
    account(&base, "bert@site.test");
    let name = crate::RuleName::parse("live-2-other.map-1").expect("a name");
    let refused = finish(Editor::new(&overlay).change_rules(&RuleChange::RemoveRule(name))).expect_err("a map has it");
    assert_eq!(
        refused.to_string(),
        "routing/rule/live-2-other.map-1 is read live from /etc/other.map:1: change it there"
    );
    let all = finish(MapNames::of(&base, Vec::new())).expect("names");
    assert_ne!(all, names(&base), "a map is read again where its names mean something else");
    let everywhere = LiveMap::read("/etc/other.map", MapKind::RegexMap, b"^x: fritz", &all).expect("good");
    replace(&overlay, 1, everywhere);
    assert_eq!(home(&overlay, "x@two.test"), "fritz");
}

#[test]
fn a_refused_change_pins_nobody() {
    let base = site();
    account(&base, "anna@site.test");
    let overlay = Overlay::new(Arc::new(base.clone()), vec![regex_map("/etc/map", "^a: fritz\n")]);
    let name = crate::RuleName::parse("live-1-map-1").expect("a name");
    let change = RuleChange::RemoveRule(name);
    let editor = Editor::new(&overlay);
    assert_eq!(finish(editor.pins(&change)).expect("answers").len(), 1);
    assert!(finish(editor.change_rules(&change)).is_err());
    assert!(finish(editor.find::<PlacementRecord>("anna@site.test")).expect("answers").is_none());
}

#[test]
fn another_reading_of_rules_moves_nobody() {
    let base = site();
    for name in ["anna@site.test", "bert@site.test", "carl@site.test"] {
        account(&base, name);
    }
    put(&base, &record::<PlacementRecord>(json!({"address": "carl@site.test", "store": "fritz"})));
    let overlay = Overlay::new(Arc::new(base.clone()), vec![regex_map("/etc/map", "^a: fritz\n^[bc]: ingrid\n")]);
    let renumbered = replace(&overlay, 0, regex_map("/etc/map", "# a comment\n^a: fritz\n^[bc]: ingrid\n"));
    assert_eq!((renumbered.changes, renumbered.pinned), (3, vec![]), "one line is gone and two are new");
    let taken = replace(&overlay, 0, regex_map("/etc/map", "^[abc]: ingrid\n"));
    let pinned: Vec<_> = taken.pinned.iter().map(|pin| format!("{} at {}", pin.address, pin.store)).collect();
    assert_eq!(pinned, ["anna@site.test at fritz"]);
    assert_eq!(
        ["anna", "bert", "carl"].map(|user| home(&overlay, &format!("{user}@site.test"))),
        ["fritz", "ingrid", "fritz"]
    );
    assert_eq!(home(&overlay, "andrea@site.test"), "ingrid");
}
