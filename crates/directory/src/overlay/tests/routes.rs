//! Addresses on their way through maps of each kind, step by step.

use super::*;

/// The steps of an address through one map, and the stores that it ends at.
fn route(kind: MapKind, text: &str, name: &str) -> (Vec<String>, Vec<String>) {
    let base = site();
    ["anna@site.test", "bert@site.test"].into_iter().for_each(|address| account(&base, address));
    let overlay = Overlay::new(Arc::new(base), vec![read("/etc/map", kind, text).expect(text)]);
    let (live, _follower) = followed(&overlay);
    let mut steps = Steps::new();
    let Delivery::Deliver(found) = live.routing().delivery(&Address::parse(name).expect(name), &mut steps) else {
        panic!("{name} by {kind}: {:?}", steps.sentences())
    };
    let stores = found.targets.iter().map(|target| format!("{} at {}", target.address, target.store)).collect();
    // Looking up, and that an account is there, is the same for all.
    let said = |sentence: &String| !sentence.starts_with("looked up") && !sentence.contains("exists");
    (steps.sentences().into_iter().filter(said).collect(), stores)
}

#[test]
fn each_kind_of_map_decides() {
    let placed = ["placement of anna@site.test: store fritz"].as_slice();
    let info = ["alias info@site.test leads to anna@site.test", "no placement", "default of the site: store ingrid"];
    let catch_all = [
        "nobody of that name; the domain's catch-all is anna@site.test",
        "no placement",
        "default of the site: store ingrid",
    ];
    let (anna, elsewhere) = ("anna@site.test at ingrid", "anna@site.test at fritz");
    for (kind, text, name, steps, store) in [
        (MapKind::Aliases, "info: anna\n", "info@site.test", info.as_slice(), anna),
        (MapKind::Aliases, "anna: anna@fritz\n", "anna@site.test", placed, elsewhere),
        (MapKind::Virtual, "info@site.test anna\n", "info@site.test", &info, anna),
        (MapKind::Virtual, "anna@site.test x@fritz\n", "anna@site.test", placed, elsewhere),
        (MapKind::Virtual, "@site.test anna\n", "nobody@site.test", &catch_all, anna),
        (MapKind::UserMap, "info anna\n", "info@site.test", &info, anna),
        (MapKind::UserMap, "anna anna@fritz\n", "anna@site.test", placed, elsewhere),
        (MapKind::Virtusertable, "@site.test anna\n", "nobody@site.test", &catch_all, anna),
        (MapKind::Popmap, "anna: fritz\n", "anna@site.test", placed, elsewhere),
        (MapKind::Transport, "anna@site.test lmtp:fritz\n", "anna@site.test", placed, elsewhere),
        (
            MapKind::Transport,
            "site.test lmtp:fritz\n",
            "anna@site.test",
            &["no placement", "default of the domain: store fritz"],
            elsewhere,
        ),
        (
            MapKind::RegexMap,
            "^b: ingrid\n^a: fritz\n",
            "anna@site.test",
            &["no placement", "rule live-1-map-1 does not match", "rule live-1-map-2 matches: store fritz"],
            elsewhere,
        ),
    ] {
        let (said, stores) = route(kind, text, name);
        assert_eq!(said, steps, "{kind}: {text}");
        assert_eq!(stores, [store], "{kind}: {text}");
    }
}
