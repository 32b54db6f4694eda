//! The overlay as an engine, and the copies that follow it.

mod accounts;
mod domains;
mod pieces;
mod placements;
mod property;
mod routes;
mod rules;
mod taken_over;

use super::*;
use crate::conformance::{self, Pen, Readable, finish};
use crate::edit::{AssumeEmpty, Shown};
use crate::engine::{MemoryEngine, Write};
use crate::import::{BadLines, ImportOptions, Mode};
use crate::record::{
    AccountRecord, AliasRecord, DomainRecord, PlacementRecord, Record, RuleRecord, SiteRecord, StoreRecord,
};
use crate::{Delivery, EditError, Editor, Follower, Live, RuleChange, Steps};
use mail_types::{Address, Domain};
use serde_json::json;
use std::collections::BTreeMap;
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

/// Two domains, two stores, the first of which everybody is at.
fn site() -> MemoryEngine {
    let engine = MemoryEngine::new();
    for name in ["site.test", "two.test"] {
        put(&engine, &DomainRecord::new(Domain::parse(name).expect("a domain")));
    }
    for name in ["ingrid", "fritz"] {
        put(&engine, &record::<StoreRecord>(json!({"name": name, "kind": "posthouse", "node": "one"})));
    }
    put(&engine, &record::<SiteRecord>(json!({"default_store": "ingrid"})));
    engine
}

fn record<R: Record>(value: serde_json::Value) -> R {
    R::from_operator(value).expect("a record")
}

fn put<R: Record>(engine: &dyn Engine, record: &R) {
    let commit = finish(engine.commit(Transaction::default().put(record.key(), record.encode())));
    assert!(matches!(commit, Ok(Commit::Done(_))));
}

fn account(engine: &dyn Engine, address: &str) {
    put(engine, &record::<AccountRecord>(json!({"address": address, "id": format!("{:032x}", address.len())})));
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

#[test]
fn while_a_map_is_unread_nobody_is_unknown() {
    let base = site();
    let account = crate::record::AccountRecord::from_operator(json!({
        "address": "anna@site.test", "id": "00000000000000000000000000000001", "created": 0
    }));
    let account = account.expect("an account");
    let placed = crate::record::PlacementRecord {
        address: account.address.clone(),
        store: mail_types::StoreName::parse("ingrid").expect("a name"),
        user: None,
    };
    let both = Transaction::default().put(account.key(), account.encode()).put(placed.key(), placed.encode());
    finish(base.commit(both)).expect("written");
    let overlay = Overlay::new(Arc::new(base), vec![LiveMap::unread("/etc/aliases", MapKind::Aliases)]);
    let live = Arc::new(Live::new());
    let mut follower = Follower::new(Arc::new(overlay.clone()), Arc::clone(&live));
    finish(follower.step()).expect("loads");
    let asked = |name: &str| {
        let mut steps = Steps::default();
        let address = Address::parse(name).expect(name);
        (live.routing().delivery(&address, &mut steps), steps.sentences())
    };
    let unavailable = Delivery::TempFail(crate::Reply::DIRECTORY_UNAVAILABLE);
    let (delivery, steps) = asked("nobody@site.test");
    assert_eq!(delivery, unavailable);
    let why = "the record routing/unread/aliases//etc/aliases cannot be read: nothing is decided without it";
    assert_eq!(steps, [why]);
    assert_eq!(asked("anna@site.test").0, unavailable, "the map may forward her mail");
    assert!(matches!(live.routing().login("anna@site.test", &mut crate::Silent), crate::Login::Account(_)));
    finish(overlay.take(overlay.draft(0, aliases("/etc/aliases", "root: anna\n")))).expect("taken");
    finish(follower.step()).expect("follows");
    assert!(matches!(asked("nobody@site.test").0, Delivery::Reject(_)));
    assert!(matches!(asked("root@site.test").0, Delivery::Deliver(_)));
    assert_eq!(live.routing().flaws().count(), 0);
}

#[test]
fn an_unread_map_keeps_rules_from_placing() {
    let overlay = Overlay::new(Arc::new(site()), vec![LiveMap::unread("/etc/users", MapKind::UserMap)]);
    let routing = finish(Editor::new(&overlay).routing()).expect("loads");
    let address = Address::parse("anna@site.test").expect("an address");
    let placed = routing.place_new_account(&address, &mut crate::Silent);
    assert_eq!(placed, Err(crate::Reply::DIRECTORY_UNAVAILABLE), "the map may say where");
}
