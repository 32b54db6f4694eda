//! The overlay as an engine, and the copies that follow it.

use super::*;
use crate::conformance::{self, Pen, Readable, finish};
use crate::engine::{MemoryEngine, Write};
use crate::record::{AliasRecord, DomainRecord, Record, StoreRecord};
use crate::routing::Routing;
use crate::{Delivery, Editor, Follower, Live, Steps};
use mail_types::{Address, Domain};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use std::task::{Context, Poll, Waker};

#[test]
fn without_maps_it_is_the_engine_below() {
    finish(conformance::run(&mut || Arc::new(Overlay::new(Arc::new(MemoryEngine::new()), Vec::new()))));
}

/// Writes into the only map.
struct IntoMap {
    overlay: Overlay,
    held: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Pen for IntoMap {
    fn write(&self, transaction: Transaction) -> BoxFuture<'_, Revision> {
        let mut held = lock(&self.held);
        for write in transaction.writes {
            match write {
                Write::Put { key, value, .. } => held.insert(key, value),
                Write::Delete { key } => held.remove(&key),
            };
        }
        replace(&self.overlay, 0, LiveMap::holding(&held));
        let page = finish(self.overlay.range(Range { prefix: "", after: None, limit: 1 }));
        crate::engine::ready(page.expect("answers").revision)
    }
}

#[test]
fn what_maps_hold_is_read_as_from_any_engine() {
    finish(conformance::run_reading(&mut || {
        let overlay = Overlay::new(Arc::new(MemoryEngine::new()), vec![LiveMap::default()]);
        Readable {
            pen: Box::new(IntoMap { overlay: overlay.clone(), held: Mutex::default() }),
            engine: Arc::new(overlay),
        }
    }));
}

fn site() -> MemoryEngine {
    let engine = MemoryEngine::new();
    let domain = DomainRecord::new(Domain::parse("site.test").expect("a domain"));
    let store = StoreRecord::from_operator(json!({"name": "ingrid", "kind": "posthouse", "node": "one"}));
    let store = store.expect("a store");
    let both = Transaction::default().put(domain.key(), domain.encode()).put(store.key(), store.encode());
    finish(engine.commit(both)).expect("written");
    engine
}

fn names(engine: &dyn Engine) -> MapNames {
    finish(MapNames::of(engine, vec![Domain::parse("site.test").expect("a domain")])).expect("names")
}

fn read(path: &str, kind: MapKind, text: &str) -> Result<LiveMap, MapError> {
    LiveMap::read(path, kind, text.as_bytes(), &names(&site()))
}

fn aliases(path: &str, text: &str) -> LiveMap {
    read(path, MapKind::Aliases, text).expect(text)
}

fn alias(address: &str, target: &str) -> AliasRecord {
    let parse = |text: &str| Address::parse(text).expect(text);
    AliasRecord { address: parse(address), targets: vec![parse(target)] }
}

/// Another reading of a map, as a driver takes it.
fn replace(overlay: &Overlay, nth: usize, map: LiveMap) -> Taken {
    finish(overlay.take(overlay.draft(nth, map))).expect("taken")
}

fn targets(engine: &dyn Engine, name: &str) -> Vec<String> {
    match finish(Editor::new(engine).find::<AliasRecord>(name)).expect("answers") {
        Some(shown) => shown.record.targets.iter().map(Address::to_string).collect(),
        None => Vec::new(),
    }
}

#[test]
fn the_first_map_has_a_key_and_says_where_it_stands() {
    let base = site();
    let overlay = Overlay::new(
        Arc::new(base.clone()),
        vec![
            aliases("/etc/aliases", "root: anna\n\nAbuse: root\n"),
            read("/etc/virtual", MapKind::Virtual, "site.test x\nabuse@site.test carl\ninfo@site.test dora\n")
                .expect("good"),
        ],
    );
    assert_eq!(targets(&overlay, "abuse@site.test"), ["root@site.test"]);
    assert_eq!(targets(&overlay, "info@site.test"), ["dora@site.test"]);
    let editor = Editor::new(&overlay);
    let refused = finish(editor.remove_alias(&Address::parse("ABUSE@site.test").expect("an address")));
    assert_eq!(
        refused.expect_err("a map has it").to_string(),
        "routing/alias/site.test/abuse is read live from /etc/aliases:3: change it there"
    );
    finish(editor.add_alias(&alias("sales@site.test", "info@site.test"))).expect("the base takes it");
    assert_eq!(targets(&base, "sales@site.test"), ["info@site.test"]);
    assert_eq!(targets(&base, "abuse@site.test"), Vec::<String>::new(), "nothing of a map is written");
    replace(&overlay, 0, aliases("/etc/aliases", "sales: zoe\n"));
    assert_eq!(targets(&overlay, "abuse@site.test"), ["carl@site.test"]);
    assert_eq!(targets(&overlay, "sales@site.test"), ["zoe@site.test"]);
    replace(&overlay, 0, LiveMap::default());
    assert_eq!(targets(&overlay, "sales@site.test"), ["info@site.test"]);
}

#[test]
fn what_was_read_of_a_map_is_not_expected_of_the_base() {
    let overlay = Overlay::new(Arc::new(site()), vec![aliases("/etc/aliases", "root: anna\n")]);
    let key = alias("root@site.test", "x@site.test").key();
    let seen = finish(overlay.get(&key)).expect("answers").expect("is there").revision;
    let writes = |revision| Transaction::default().expect(key.clone(), revision).put("other", b"1".to_vec());
    assert!(matches!(finish(overlay.commit(writes(seen))), Ok(Commit::Done(_))));
    let conflict = Ok::<_, ()>(Commit::Conflict { key: key.clone() });
    let answer = |revision| finish(overlay.commit(writes(revision))).map_err(|_| ());
    assert_eq!(answer(Revision::ZERO), conflict);
    replace(&overlay, 0, aliases("/etc/aliases", "root: bert\n"));
    assert_eq!(answer(seen), conflict);
    replace(&overlay, 0, LiveMap::default());
    assert_eq!(answer(seen), conflict);
    assert!(matches!(answer(Revision::ZERO), Ok(Commit::Done(_))));
}

#[test]
fn a_map_is_taken_whole_or_not() {
    for (kind, text, line, why) in [
        (
            MapKind::Aliases,
            "a: b\nc: |/bin/x\nd: /dev/null\n",
            2,
            "it is a program, and mail is not handed to programs (and 1 more bad lines)",
        ),
        (
            MapKind::Aliases,
            "a: b\nd: dora@ingrid\n",
            2,
            "d@site.test: a map that is read live holds aliases, and this is a user at a store; import it",
        ),
        (
            MapKind::Virtual,
            "@site.test anna\n",
            1,
            "@site.test: a map that is read live holds aliases; a catch-all belongs to its domain, import it",
        ),
        (MapKind::UserMap, "a b\nA c\n", 2, "\"A@site.test\" is the same address as a@site.test on line 1"),
    ] {
        let error = read("/etc/map", kind, text).expect_err(text);
        assert_eq!(error.line, line, "{text}");
        assert!(error.to_string().ends_with(why), "{error}");
    }
}

#[test]
fn a_draft_is_made_anew_where_another_map_was_taken_since() {
    let overlay = Overlay::new(Arc::new(site()), vec![aliases("/a", "x: one\n"), aliases("/b", "x: two\n")]);
    let draft = overlay.draft(0, LiveMap::default());
    replace(&overlay, 1, aliases("/b", "x: three\n"));
    assert_eq!(finish(overlay.take(draft)).expect("taken"), Taken { changes: 1, pinned: Vec::new() });
    assert_eq!(targets(&overlay, "x@site.test"), ["three@site.test"]);
}

#[test]
fn loops_between_maps_and_the_directory_are_found() {
    let base = site();
    let record = alias("b@site.test", "a@site.test");
    finish(base.commit(Transaction::default().put(record.key(), record.encode()))).expect("written");
    let (live, _follower) = followed(&Overlay::new(Arc::new(base), vec![aliases("/etc/aliases", "a: b\n")]));
    let mut steps = Steps::new();
    let answer = live.routing().delivery(&Address::parse("a@site.test").expect("an address"), &mut steps);
    assert_eq!(answer, Delivery::TempFail(crate::Reply::ALIAS_LOOP));
}

fn followed(overlay: &Overlay) -> (Arc<Live>, Follower) {
    let live = Arc::new(Live::new());
    let mut follower = Follower::new(Arc::new(overlay.clone()), live.clone());
    finish(follower.step()).expect("loads");
    (live, follower)
}

/// Takes what there is, until there is nothing left to wait for.
fn catch_up(follower: &mut Follower) {
    loop {
        let mut step = std::pin::pin!(follower.step());
        match step.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(step) => step.map(|_| ()).expect("answers"),
            // A page lets others run first: then it is ready.
            Poll::Pending => match step.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(step) => step.map(|_| ()).expect("answers"),
                Poll::Pending => return,
            },
        }
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Put(String, String),
    Delete(String),
    Read(usize, Vec<(String, String)>),
    Forget,
    Follow,
}

fn local() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["a", "b", "c", "d", "e"]).prop_map(str::to_owned)
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let pairs = proptest::collection::btree_map(local(), local(), 0..5).prop_map(|pairs| pairs.into_iter().collect());
    let edit = prop_oneof![
        3 => (local(), local()).prop_map(|(key, to)| Edit::Put(key, to)),
        2 => local().prop_map(Edit::Delete),
        3 => (0usize..2, pairs).prop_map(|(nth, pairs)| Edit::Read(nth, pairs)),
        1 => Just(Edit::Forget),
        3 => Just(Edit::Follow),
    ];
    vec(edit, 0..40)
}

fn at_site(key: &str, to: &str) -> AliasRecord {
    alias(&format!("{key}@site.test"), &format!("{to}@site.test"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whoever follows, from whenever on, has what a fresh load has: the first map's, else the second's, else the base's.
    #[test]
    fn any_edits_followed_are_a_load_from_scratch(edits in edits()) {
        let base = MemoryEngine::new();
        let overlay = Overlay::new(Arc::new(base.clone()), vec![LiveMap::default(), LiveMap::default()]);
        let (mut below, mut maps) = (BTreeMap::new(), [BTreeMap::new(), BTreeMap::new()]);
        let (live, mut follower) = followed(&overlay);
        for edit in edits {
            match edit {
                Edit::Put(key, to) => {
                    let record = at_site(&key, &to);
                    let write = Transaction::default().put(record.key(), record.encode());
                    prop_assert!(finish(base.commit(write)).is_ok());
                    below.insert(record.key(), record.encode());
                }
                Edit::Delete(key) => {
                    let key = at_site(&key, "x").key();
                    prop_assert!(finish(base.commit(Transaction::default().delete(key.clone()))).is_ok());
                    below.remove(&key);
                }
                Edit::Read(nth, pairs) => {
                    let text: String = pairs.iter().map(|(key, to)| format!("{key}: {to}\n")).collect();
                    replace(&overlay, nth, aliases("/etc/aliases", &text));
                    let records = pairs.iter().map(|(key, to)| at_site(key, to));
                    maps[nth] = records.map(|record| (record.key(), record.encode())).collect();
                }
                Edit::Forget => base.compact(),
                Edit::Follow => catch_up(&mut follower),
            }
        }
        catch_up(&mut follower);
        let [first, second] = maps;
        below.extend(second);
        below.extend(first);
        let entries: Vec<Entry> =
            below.into_iter().map(|(key, value)| Entry { key, value, revision: Revision::ZERO }).collect();
        let expected = Routing::load(&entries, Revision::ZERO);
        prop_assert!(live.routing().same_records(&expected), "followed: {:#?}", live.routing());
        prop_assert!(followed(&overlay).0.routing().same_records(&expected), "loaded");
        // In pages as small as can be, nothing is missed either.
        let (mut paged, mut after) = (Vec::new(), None::<String>);
        loop {
            let range = Range { prefix: "routing/", after: after.as_deref(), limit: 1 };
            let page = finish(overlay.range(range)).expect("answers");
            prop_assert!(page.entries.len() <= 1 && (page.entries.len() == 1 || !page.more));
            after = page.entries.last().filter(|_| page.more).map(|last| last.key.clone());
            paged.extend(page.entries.into_iter().map(|entry| (entry.key, entry.value)));
            if after.is_none() {
                break;
            }
        }
        let expected: Vec<_> = entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
        prop_assert_eq!(paged, expected);
    }
}
