//! Users at stores: the base's placement is seen before a map's, and nobody moves because somebody edits a line.

use super::*;
use crate::edit::{Behind, MailBehind, NewAccount};
use crate::file::FileEngine;
use mail_types::StoreName;

fn popmap(text: &str) -> LiveMap {
    read("/etc/popmap", MapKind::Popmap, text).expect(text)
}

fn over(base: &MemoryEngine, text: &str) -> Overlay {
    Overlay::new(Arc::new(base.clone()), vec![popmap(text)])
}

fn address(text: &str) -> Address {
    Address::parse(text).expect(text)
}

fn placement(address: &str, store: &str) -> PlacementRecord {
    record(json!({"address": address, "store": store}))
}

/// Where an address is, and the user's name there.
fn placed(engine: &dyn Engine, name: &str) -> Option<String> {
    let shown = finish(Editor::new(engine).find::<PlacementRecord>(name)).expect("answers")?;
    Some(match shown.record.user {
        Some(user) => format!("{} as {user}", shown.record.store),
        None => shown.record.store.to_string(),
    })
}

fn at(store: &str) -> Option<String> {
    Some(store.to_owned())
}

fn pinned(taken: &Taken) -> Vec<String> {
    let pin =
        |pin: &crate::Pin| format!("{} at {} as {}", pin.address, pin.store, pin.user.as_deref().unwrap_or("himself"));
    taken.pinned.iter().map(pin).collect()
}

/// Says that there is mail, whoever asks.
struct Full;

impl MailBehind for Full {
    fn mail_behind<'a>(&'a self, _: &'a Address, _: &'a StoreName) -> BoxFuture<'a, Behind> {
        crate::engine::ready(Behind::Mail)
    }
}

#[test]
fn the_base_places_before_a_map_and_gives_way_to_it() {
    let base = site();
    let overlay = over(&base, "anna: fritz\n");
    let (live, mut follower) = followed(&overlay);
    let home = |live: &Live| {
        live.routing().place_new_account(&address("anna@site.test"), &mut crate::Silent).expect("a home").to_string()
    };
    assert_eq!(home(&live), "fritz", "a map places before the rules");
    let editor = Editor::new(&overlay);
    finish(editor.add_placement(&placement("anna@site.test", "ingrid"), &AssumeEmpty)).expect("a placement is written");
    assert_eq!((placed(&overlay, "anna@site.test"), placed(&base, "anna@site.test")), (at("ingrid"), at("ingrid")));
    catch_up(&mut follower);
    assert_eq!(home(&live), "ingrid");
    let refused = finish(editor.remove_placement(&address("anna@site.test"), &Full));
    assert!(matches!(refused, Err(EditError::MailBehind { .. })), "the map has it looked for elsewhere");
    finish(editor.remove_placement(&address("anna@site.test"), &AssumeEmpty)).expect("removed");
    catch_up(&mut follower);
    assert_eq!((home(&live).as_str(), placed(&overlay, "anna@site.test")), ("fritz", at("fritz as anna")));
    let refused = finish(editor.remove_placement(&address("anna@site.test"), &AssumeEmpty));
    assert_eq!(
        refused.expect_err("a map has it").to_string(),
        "routing/placement/site.test/anna is read live from /etc/popmap:1: change it there"
    );
    let shown = finish(editor.show::<PlacementRecord>("anna@site.test")).expect("is there");
    let other = placement("anna@site.test", "ingrid");
    finish(editor.set_placement(&other, shown.revision, &AssumeEmpty))
        .expect("what was read of a map may be written over");
    assert_eq!(placed(&base, "anna@site.test"), at("ingrid"));
}

#[test]
fn accounts_are_made_where_a_map_says_and_stay_there() {
    let base = site();
    let overlay = over(&base, "anna: anna1@fritz\nbert: fritz\n");
    let editor = Editor::new(&overlay);
    let new = |name: &str| NewAccount {
        account: record(json!({"address": name, "id": format!("{:032x}", 7)})),
        passwords: Vec::new(),
        store: None,
    };
    let made = finish(editor.add_account(&new("anna@site.test"))).expect("made");
    assert_eq!(made.store.as_str(), "fritz");
    assert_eq!(placed(&base, "anna@site.test"), at("fritz as anna1"));
    assert_eq!(replace(&overlay, 0, popmap("anna: ingrid\nbert: fritz\n")).pinned, []);
    assert_eq!(placed(&overlay, "anna@site.test"), at("fritz as anna1"));
    // A new name that a map has at another store, and an old one that a map has, too.
    finish(editor.rename_account(&address("anna@site.test"), &address("bert@site.test"))).expect("renamed");
    assert_eq!(placed(&overlay, "bert@site.test"), at("fritz as anna1"));
    assert_eq!((placed(&base, "anna@site.test"), placed(&overlay, "anna@site.test")), (None, at("ingrid as anna")));
    account(&base, "anna@site.test");
    finish(editor.rename_account(&address("anna@site.test"), &address("carl@site.test"))).expect("renamed");
    assert_eq!(placed(&base, "carl@site.test"), at("ingrid as anna"));
    finish(editor.remove_account(&address("carl@site.test"))).expect("removed");
}

#[test]
fn what_a_map_wants_elsewhere_is_told() {
    let base = site();
    for name in ["anna@site.test", "bert@site.test", "carl@site.test"] {
        put(&base, &placement(name, "ingrid"));
    }
    let overlay = over(&base, "bert: x@ingrid\n\ncarl: fritz\ndora: fritz\nanna: fritz\n");
    let found = finish(overlay.differences()).expect("answers");
    let told: Vec<_> = found.first.iter().map(Difference::to_string).collect();
    assert_eq!(
        told,
        [
            "anna@site.test is at ingrid; /etc/popmap:5 says fritz: move it or take the line out",
            "carl@site.test is at ingrid; /etc/popmap:3 says fritz: move it or take the line out",
        ]
    );
    assert_eq!(found.count, 2);
    replace(&overlay, 0, popmap("anna: ingrid\n"));
    assert_eq!(finish(overlay.differences()).expect("answers"), Differences::default());
}

#[test]
fn who_has_no_placement_is_pinned_before_a_line_changes() {
    let base = site();
    ["anna@site.test", "bert@site.test", "carl@site.test"].into_iter().for_each(|name| account(&base, name));
    put(&base, &placement("carl@site.test", "fritz"));
    let overlay = Overlay::new(Arc::new(base.clone()), vec![LiveMap::default()]);
    let first = replace(&overlay, 0, popmap("anna: anna1@fritz\ncarl: fritz\nnobody: fritz\n"));
    assert_eq!((first.changes, pinned(&first)), (3, vec![]), "nobody knows what was before");
    let next = replace(&overlay, 0, popmap("anna: ingrid\nbert: fritz\ncarl: ingrid\nnobody: ingrid\n"));
    assert_eq!(pinned(&next), ["anna@site.test at fritz as anna1", "bert@site.test at ingrid as himself"]);
    assert_eq!(placed(&base, "anna@site.test"), at("fritz as anna1"));
    assert_eq!(placed(&overlay, "bert@site.test"), at("ingrid"));
    assert_eq!(placed(&overlay, "nobody@site.test"), at("ingrid as nobody"));
    assert_eq!(finish(overlay.differences()).expect("answers").count, 3);
    assert_eq!(pinned(&replace(&overlay, 0, popmap(""))), Vec::<String>::new());
}

#[test]
fn many_changed_lines_pin_the_same_accounts() {
    let base = site();
    let lines = |store: &str| (0..1200).map(|n| format!("u{n}: {store}\n")).collect::<String>();
    let overlay = over(&base, &lines("fritz"));
    (0..40).map(|n| format!("u{}@site.test", n * 31)).for_each(|name| account(&base, &name));
    put(&base, &placement("u31@site.test", "fritz"));
    let taken = replace(&overlay, 0, popmap(&lines("ingrid")));
    assert_eq!((taken.changes, taken.pinned.len()), (1200, 38), "39 of them are lines, and one is placed");
    assert_eq!(placed(&base, "u62@site.test"), at("fritz as u62"));
}

#[test]
fn a_base_that_takes_no_pins_refuses_the_map() {
    let base = site();
    ["anna@site.test", "bert@site.test"].into_iter().for_each(|name| account(&base, name));
    let entries = finish(crate::file::collect(&base, crate::file::Secrets::LeftOut)).expect("collected");
    let held = entries.into_iter().map(|Entry { key, value, revision }| crate::file::Held {
        key: key.into(),
        value: value.into(),
        revision,
        line: 1,
    });
    let base = FileEngine::new("a file", crate::file::Records::of(held.collect()));
    let overlay = Overlay::new(Arc::new(base), vec![popmap("anna: fritz\n")]);
    let refused = finish(overlay.take(overlay.draft(0, popmap("bert: fritz\n")))).expect_err("two would be lost");
    assert_eq!(
        refused.to_string(),
        "anna@site.test and one more account would be looked for elsewhere, and the directory takes no placements: \
         place them where it is made"
    );
    assert_eq!(placed(&overlay, "anna@site.test"), at("fritz as anna"));
    assert_eq!(placed(&overlay, "bert@site.test"), None);
    assert_eq!(replace(&overlay, 0, popmap("anna: fritz\nnobody: fritz\n")).changes, 1);
}
