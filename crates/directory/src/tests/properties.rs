//! An update equals a rebuild; random records and questions always end in an answer.

use super::*;
use crate::engine::{Change, Changes};
use crate::explain::{Silent, Steps};
use crate::file;
use proptest::collection::vec;
use proptest::prelude::*;

/// A record that is put (`Some`) or deleted.
type Move = (String, Option<Vec<u8>>);

fn name() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["a", "b", "B", "a+x", "jörg", "postmaster", "error"]).prop_flat_map(|local| {
        proptest::sample::select(vec!["one.test", "two.test", "far.test"])
            .prop_map(move |domain| format!("{local}@{domain}"))
    })
}

fn record() -> impl Strategy<Value = Entry> {
    let stores = proptest::sample::select(vec!["s", "t", "u"]);
    prop_oneof![
        (name(), vec(name(), 0..3), 0u64..9).prop_map(|(address, forward, n)| {
            entry::<crate::AccountRecord>(json!({"address": address, "id": id(n), "forward": forward}))
        }),
        (name(), vec(name(), 1..4)).prop_map(|(address, targets)| entry::<crate::AliasRecord>(
            json!({"address": address, "targets": targets})
        )),
        (name(), stores.clone()).prop_map(|(address, store)| placement(&address, store)),
        (0u32..3, 0u32..9, stores.clone()).prop_map(|(n, order, to)| {
            rule(
                json!({"name": format!("r{n}"), "order": order, "kind": "prefix", "from": "a", "to": "b", "store": to}),
            )
        }),
        stores.prop_map(store),
        (proptest::sample::select(vec!["one.test", "two.test"]), proptest::option::of(name()), any::<bool>()).prop_map(
            |(name, catch_all, unchecked)| {
                let accounts = if unchecked { "unchecked" } else { "checked" };
                domain(json!({"name": name, "catch_all": catch_all, "accounts": accounts}))
            }
        ),
        proptest::option::of(name())
            .prop_map(|postmaster| entry::<crate::SiteRecord>(json!({"default_store": "s", "postmaster": postmaster}))),
        (name(), "[{}v:1\"]{0,6}").prop_map(|(address, junk)| Entry {
            key: crate::AccountRecord::key_for(&address).expect("a key"),
            value: junk.into_bytes(),
            revision: Revision::ZERO,
        }),
    ]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = (record(), 0u8..4).prop_map(|(entry, kind)| (entry.key, (kind > 0).then_some(entry.value)));
    vec(one, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_update_equals_a_rebuild(moves in moves(), chunk in 1usize..9) {
        let mut updated = Routing::empty(Revision::ZERO);
        let mut kept = std::collections::BTreeMap::new();
        let mut revision = Revision::ZERO;
        for batch in moves.chunks(chunk) {
            revision = revision.next();
            let before = updated.clone();
            let reference = before.clone();
            let changes = batch.iter().map(|(key, value)| match value {
                Some(value) => Change::Put(Entry { key: key.clone(), value: value.clone(), revision }),
                None => Change::Delete { key: key.clone(), revision },
            });
            updated.apply(&Changes { changes: changes.collect(), revision });
            prop_assert!(before.same_records(&reference), "a change was seen in an older copy");
            for (key, value) in batch {
                match value {
                    Some(value) => kept.insert(key.clone(), value.clone()),
                    None => kept.remove(key),
                };
            }
        }
        let entries: Vec<Entry> =
            kept.into_iter().map(|(key, value)| Entry { key, value, revision }).collect();
        let rebuilt = Routing::load(&entries, revision);
        prop_assert!(updated.same_records(&rebuilt), "{updated:#?}\n{rebuilt:#?}");
        // A watch that starts before the load repeats changes: taking one twice changes nothing.
        let mut repeated = updated.clone();
        let again = entries.into_iter().map(Change::Put).collect();
        repeated.apply(&Changes { changes: again, revision });
        prop_assert!(repeated.same_records(&updated));
    }

    /// A site that went through a file answers as before. What the engine cannot read is not written.
    #[test]
    fn a_site_survives_a_file(records in vec(record(), 0..40)) {
        let kept: std::collections::BTreeMap<String, Entry> =
            records.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        let before = Routing::load(kept.values(), Revision::new(1));
        let Ok(text) = file::encode(kept.values(), file::Secrets::Included) else {
            prop_assert!(before.flaws().count() > 0, "refused for nothing");
            return Ok(());
        };
        let mut reader = file::Reader::new();
        for line in text.split_inclusive(|octet| *octet == b'\n') {
            prop_assert_eq!(reader.line(line), Ok(()));
        }
        let engine = file::FileEngine::new("a test", reader.finish().expect("whole"));
        let live = Arc::new(crate::Live::new());
        let mut follower = crate::Follower::new(Arc::new(engine), live.clone());
        prop_assert!(finish(follower.step()).is_ok());
        prop_assert!(live.routing().same_records(&before));
    }

    #[test]
    fn every_question_ends_in_one_answer(moves in moves(), asked in name(), login in "\\PC{0,12}") {
        let mut routing = Routing::empty(Revision::ZERO);
        for (key, value) in moves {
            routing.put(&Entry { key, value: value.unwrap_or_default(), revision: Revision::ZERO });
        }
        let asked = address(&asked);
        let delivery = routing.delivery(&asked, &mut Steps::new());
        prop_assert_eq!(&delivery, &routing.delivery(&asked, &mut Silent));
        if let crate::Delivery::Deliver(deliver) = delivery {
            prop_assert!(!deliver.targets.is_empty() || !deliver.remote.is_empty());
            let mut reached: Vec<String> = deliver.targets.iter().map(|target| target.address.key()).collect();
            reached.extend(deliver.remote.iter().map(Address::key));
            let count = reached.len();
            reached.sort();
            reached.dedup();
            prop_assert_eq!(reached.len(), count, "somebody gets it twice");
        }
        routing.login(&login, &mut Steps::new());
    }
}

#[test]
fn a_change_copies_one_shard_of_many() {
    let entries: Vec<Entry> = (0..20_000)
        .map(|n| Entry {
            key: format!("routing/placement/site.test/user{n}"),
            value: format!(r#"{{"v":1,"address":"user{n}@site.test","store":"s{}"}}"#, n % 7).into_bytes(),
            revision: Revision::new(1),
        })
        .collect();
    let routing = load(&entries);
    let mut changed = routing.clone();
    changed.put(&placement("user5@site.test", "other"));
    assert_eq!(changed.shared_shards(&routing), 4095);
}
