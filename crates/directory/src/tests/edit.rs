//! What operators do, over the reference engine.

use super::*;
use crate::edit::{AssumeEmpty, Behind, EditError, Editor, MailBehind, NewAccount, RuleChange};
use crate::engine::{BoxFuture, Engine, EngineError, Range, ready};
use crate::explain::Silent;
use crate::record::{AccountRecord, AccountState, AliasRecord, DomainRecord, PasswordHash, PlacementRecord};
use crate::{NodeRecord, Origin, RuleName, RuleRecord, SecretRecord, SiteRecord, StoreRecord, read_secret};
use mail_types::{AccountId, Domain, NodeName, StoreName};

/// A store that has mail of everybody, or does not answer.
struct Says(Behind);

impl MailBehind for Says {
    fn mail_behind<'a>(&'a self, _address: &'a Address, _store: &'a StoreName) -> BoxFuture<'a, Behind> {
        ready(self.0)
    }
}

fn of<R: Record>(value: Value) -> R {
    R::from_operator(value).expect("a record")
}

/// a–k at ingrid, the rest at fritz.
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

fn new(address: &str) -> NewAccount {
    let passwords = vec![PasswordHash::parse("{PLAIN}geheim").expect("a hash")];
    let account = AccountRecord::new(super::address(address), AccountId::from_bytes([7; 16]));
    NewAccount { account, passwords, store: None }
}

fn said<T: std::fmt::Debug>(result: Result<T, EditError>) -> String {
    result.expect_err("refused").to_string()
}

fn everything(engine: &MemoryEngine) -> Vec<(String, Vec<u8>)> {
    let page = finish(engine.range(Range { prefix: "", after: None, limit: 10_000 })).expect("a page");
    page.entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

#[test]
fn rules_place_new_accounts() {
    let engine = site();
    let edit = Editor::new(&engine);
    finish(async {
        let placed = edit.add_account(&new("Anna@site.test")).await.expect("made");
        assert_eq!(placed.store.as_str(), "ingrid");
        assert_eq!(placed.steps.sentences(), ["no placement", "rule a-to-k matches: store ingrid"]);
        let placement = edit.show::<PlacementRecord>("anna@site.test").await.expect("written");
        assert_eq!(placement.record.store.as_str(), "ingrid");
        // The map comes first, also where it was filled before there were accounts.
        let map = of(json!({"address": "john@site.test", "store": "fritz"}));
        edit.add_placement(&map, &AssumeEmpty).await.expect("placed");
        assert_eq!(edit.add_account(&new("John@site.test")).await.expect("made").store.as_str(), "fritz");
        let wanted = StoreName::parse("ingrid").ok();
        edit.add_account(&NewAccount { store: wanted.clone(), ..new("zoe@site.test") }).await.expect("made");
        let secret = read_secret(&engine, &address("ZOE@site.test")).await;
        assert!(matches!(secret, Origin::Found(SecretRecord { passwords, .. }) if passwords.len() == 1));
        assert_eq!(read_secret(&engine, &address("no@site.test")).await, Origin::NotFound);
        let refused =
            edit.add_account(&NewAccount { store: StoreName::parse("ingird").ok(), ..new("x@site.test") }).await;
        assert_eq!(said(refused), "there is no store ingird; did you mean ingrid?");
        assert_eq!(
            said(edit.add_account(&new("x@sitf.test")).await),
            "there is no domain sitf.test; did you mean site.test?"
        );
    });
    let routing = finish(Editor::new(&engine).routing()).expect("routing");
    assert_eq!(routing.flaws().count(), 0);
    assert!(matches!(routing.delivery(&address("zoe@site.test"), &mut Silent), crate::Delivery::Deliver(_)));
    assert!(matches!(
        finish(read_secret(
            &{
                engine.go_away();
                engine
            },
            &address("zoe@site.test")
        )),
        Origin::Unavailable
    ));
}

#[test]
fn collisions_name_what_is_there() {
    let engine = site();
    let edit = Editor::new(&engine);
    finish(async {
        edit.add_account(&new("Jörg@site.test")).await.expect("made");
        let info: AliasRecord = of(json!({"address": "Info@site.test", "targets": ["jörg@site.test"]}));
        edit.add_alias(&info).await.expect("made");
        assert_eq!(
            said(edit.add_account(&new("jo\u{308}RG@site.test")).await),
            "there is already account Jörg@site.test"
        );
        assert_eq!(said(edit.add_account(&new("info@site.test")).await), "there is already alias Info@site.test");
        assert_eq!(said(edit.add_alias(&info).await), "there is already alias Info@site.test");
        let over = of(json!({"address": "JÖRG@site.test", "targets": ["x@far.test"]}));
        assert_eq!(said(edit.add_alias(&over).await), "there is already account Jörg@site.test");
        let store = of(json!({"name": "Fritz", "kind": "posthouse", "node": "n1"}));
        assert_eq!(said(edit.add_store(&store).await), "there is already store fritz");
        assert_eq!(said(edit.add_domain(&of(json!({"name": "SITE.test"}))).await), "there is already domain site.test");
        let map: PlacementRecord = of(json!({"address": "jörg@site.test", "store": "fritz"}));
        assert_eq!(
            said(edit.add_placement(&map, &AssumeEmpty).await),
            "there is already placement jörg@site.test at store ingrid"
        );
    });
}

#[test]
fn nothing_is_overwritten_unseen() {
    let engine = site();
    let edit = Editor::new(&engine);
    finish(async {
        edit.add_account(&new("anna@site.test")).await.expect("made");
        let seen = edit.show::<AccountRecord>("anna@site.test").await.expect("there");
        let locked = AccountRecord { state: AccountState::NoLogin, ..seen.record.clone() };
        edit.set_account(&locked, seen.revision).await.expect("changed");
        let late = AccountRecord { quota_bytes: Some(1), ..seen.record.clone() };
        assert!(matches!(edit.set_account(&late, seen.revision).await, Err(EditError::Conflict { .. })));
        assert_eq!(edit.show::<AccountRecord>("anna@site.test").await.expect("there").record, locked);
        let other = AccountRecord { id: AccountId::from_bytes([8; 16]), ..locked };
        assert!(said(edit.set_account(&other, seen.revision).await).contains("keeps its id"));
        let nobody = AccountRecord::new(address("no@site.test"), AccountId::from_bytes([1; 16]));
        assert_eq!(said(edit.set_account(&nobody, seen.revision).await), "there is no account no@site.test");
    });
}

#[test]
fn a_renamed_account_keeps_all_that_is_its_own() {
    let engine = site();
    let edit = Editor::new(&engine);
    finish(async {
        edit.add_account(&new("anna@site.test")).await.expect("made");
        edit.rename_account(&address("anna@site.test"), &address("Zoe@site.test")).await.expect("renamed");
        let routing = edit.routing().await.expect("routing");
        assert_eq!(routing.account(&address("anna@site.test")), Origin::NotFound);
        let Origin::Found(view) = routing.account(&address("zoe@site.test")) else { panic!("gone") };
        assert_eq!((view.id, view.address.to_string().as_str()), (AccountId::from_bytes([7; 16]), "Zoe@site.test"));
        // Zoe would be fritz's by the rules; the mail is ingrid's.
        assert_eq!(edit.show::<PlacementRecord>("zoe@site.test").await.expect("there").record.store.as_str(), "ingrid");
        assert!(matches!(read_secret(&engine, &address("zoe@site.test")).await, Origin::Found(_)));
        assert_eq!(read_secret(&engine, &address("anna@site.test")).await, Origin::NotFound);
        edit.rename_account(&address("zoe@site.test"), &address("ZOE@site.test")).await.expect("respelled");
        edit.add_account(&new("ben@site.test")).await.expect("made");
        let onto = edit.rename_account(&address("ben@site.test"), &address("zoe@site.test")).await;
        assert_eq!(said(onto), "there is already account ZOE@site.test");
        edit.remove_account(&address("zoe@site.test")).await.expect("removed");
        edit.remove_account(&address("ben@site.test")).await.expect("removed");
    });
    assert!(
        everything(&engine).iter().all(|(key, _)| !key.contains("zoe") && !key.contains("ben")),
        "something is left"
    );
}

#[test]
fn mail_is_never_lost_sight_of() {
    let engine = site();
    let edit = Editor::new(&engine);
    finish(async {
        edit.add_account(&new("anna@site.test")).await.expect("made");
        let seen = edit.show::<PlacementRecord>("anna@site.test").await.expect("there");
        let away = PlacementRecord { store: StoreName::parse("fritz").expect("a name"), ..seen.record.clone() };
        let full = Says(Behind::Mail);
        assert_eq!(
            said(edit.set_placement(&away, seen.revision, &full).await),
            "anna@site.test has mail at store ingrid and cannot be placed elsewhere"
        );
        let silent = edit.set_placement(&away, seen.revision, &Says(Behind::Unknown)).await;
        assert!(matches!(silent, Err(EditError::StoreSilent { .. })));
        // Staying where it is, and going back to rules that say the same, lose nothing.
        edit.set_placement(&seen.record, seen.revision, &full).await.expect("the same");
        edit.remove_placement(&address("anna@site.test"), &full).await.expect("rules say the same");
        let refused = edit.add_placement(&away, &full).await;
        assert!(matches!(refused, Err(EditError::MailBehind { .. })), "rules are as good as a placement");
        edit.add_placement(&away, &Says(Behind::Nothing)).await.expect("empty");
        let refused = edit.remove_placement(&address("anna@site.test"), &full).await;
        assert!(matches!(refused, Err(EditError::MailBehind { .. })), "rules say another store");
    });
}

#[test]
fn changed_rules_pin_whom_they_would_re_home() {
    let engine = site();
    let edit = Editor::new(&engine);
    finish(async {
        for n in 0..150 {
            let address = format!("anna{n}@site.test");
            edit.add_account(&new(&address)).await.expect("made");
            edit.remove_placement(&super::address(&address), &AssumeEmpty).await.expect("left to the rules");
        }
        let rule = json!({"name": "a-to-k", "order": 1, "kind": "prefix", "from": "b", "to": "k", "store": "ingrid"});
        let seen = edit.show::<RuleRecord>("a-to-k").await.expect("there");
        let change = RuleChange::SetRule(of(rule), seen.revision);
        assert_eq!(edit.pins(&change).await.expect("listed").len(), 150);
        assert!(edit.find::<PlacementRecord>("anna7@site.test").await.expect("read").is_none(), "a dry run wrote");
        let before = edit.routing().await.expect("routing");
        assert_eq!(edit.change_rules(&change).await.expect("changed").len(), 150);
        let after = edit.routing().await.expect("routing");
        for n in 0..150 {
            let address = super::address(&format!("anna{n}@site.test"));
            assert_eq!(before.delivery(&address, &mut Silent), after.delivery(&address, &mut Silent));
        }
        assert_eq!(edit.add_account(&new("annette@site.test")).await.expect("made").store.as_str(), "fritz");
        assert!(matches!(edit.change_rules(&change).await, Err(EditError::Conflict { .. })), "seen too long ago");
        // The same for a rule that goes, a domain's default and the site's.
        let remove = RuleChange::RemoveRule(RuleName::parse("a-to-k").expect("a name"));
        assert!(edit.change_rules(&remove).await.expect("removed").is_empty());
        assert_eq!(said(edit.change_rules(&remove).await), "there is no rule a-to-k");
    });
}

#[test]
fn nothing_in_use_is_removed() {
    let engine = site();
    let edit = Editor::new(&engine);
    let (ingrid, fritz) = (StoreName::parse("ingrid").expect("a name"), StoreName::parse("fritz").expect("a name"));
    let (site, empty) = (Domain::parse("site.test").expect("a domain"), Domain::parse("empty.test").expect("a domain"));
    finish(async {
        assert_eq!(said(edit.remove_store(&ingrid).await), "store ingrid is in use by rule a-to-k");
        assert_eq!(said(edit.remove_store(&fritz).await), "store fritz is in use by domain site.test");
        edit.add_account(&new("anna@site.test")).await.expect("made");
        assert_eq!(said(edit.remove_domain(&site).await), "domain site.test is in use by account anna@site.test");
        edit.change_rules(&RuleChange::RemoveRule(RuleName::parse("a-to-k").expect("a name"))).await.expect("removed");
        assert_eq!(said(edit.remove_store(&ingrid).await), "store ingrid is in use by placement site.test/anna");
        assert!(!edit.show::<StoreRecord>("ingrid").await.expect("there").record.closed, "it is open again");
        edit.add_account(&new("anton@site.test")).await.expect("the domain is open again");
        edit.add_domain(&DomainRecord::new(empty.clone())).await.expect("made");
        edit.remove_domain(&empty).await.expect("removed");
        assert_eq!(said(edit.remove_domain(&empty).await), "there is no domain empty.test");
        edit.remove_account(&address("anna@site.test")).await.expect("removed");
        edit.remove_store(&ingrid).await.expect("unused");
        let node: NodeRecord = of(json!({"name": "n1", "roles": ["store"]}));
        edit.put_node(&node).await.expect("written");
        edit.put_node(&node).await.expect("written again");
        let n1 = NodeName::parse("n1").expect("a name");
        assert_eq!(said(edit.remove_node(&n1).await), "node n1 is in use by store fritz");
    });
}

#[test]
fn what_is_being_removed_takes_nothing_new() {
    let engine = site();
    let edit = Editor::new(&engine);
    finish(async {
        let shown = edit.show::<StoreRecord>("ingrid").await.expect("there");
        edit.set_store(&StoreRecord { closed: true, ..shown.record }, shown.revision).await.expect("closed");
        assert_eq!(said(edit.add_account(&new("anna@site.test")).await), "store ingrid is being removed");
        let shown = edit.show::<DomainRecord>("site.test").await.expect("there");
        let closed = DomainRecord { closed: true, ..shown.record };
        edit.change_rules(&RuleChange::SetDomain(closed, shown.revision)).await.expect("closed");
        assert_eq!(said(edit.add_account(&new("zoe@site.test")).await), "domain site.test is being removed");
        let alias = of(json!({"address": "i@site.test", "targets": ["x@far.test"]}));
        assert_eq!(said(edit.add_alias(&alias).await), "domain site.test is being removed");
    });
}

#[test]
fn listings_come_in_pages_and_by_domain() {
    let engine = site();
    let edit = Editor::new(&engine);
    finish(async {
        edit.add_domain(&of(json!({"name": "site.test.example", "default_store": "fritz"}))).await.expect("made");
        for n in 0..5 {
            edit.add_account(&new(&format!("a{n}@site.test"))).await.expect("made");
        }
        edit.add_account(&new("x@site.test.example")).await.expect("made");
        let site = Domain::parse("site.test").expect("a domain");
        let first = edit.list::<AccountRecord>(Some(&site), None, 3).await.expect("a page");
        let second = edit.list::<AccountRecord>(Some(&site), first.next.as_deref(), 3).await.expect("a page");
        assert_eq!((first.records.len(), second.records.len(), second.next), (3, 2, None));
        assert_eq!(edit.list::<AccountRecord>(None, None, 100).await.expect("a page").records.len(), 6);
    });
    engine.go_away();
    let away = finish(Editor::new(&engine).show::<SiteRecord>(""));
    assert!(matches!(away, Err(EditError::Engine(EngineError::Unavailable { .. }))));
}
