//! Whatever is edited on both sides: who follows has what a fresh load has, and nobody is looked for elsewhere.

use super::*;
use crate::Silent;
use crate::routing::Routing;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The maps of the test, the strongest first.
const KINDS: [MapKind; 4] = [MapKind::UserMap, MapKind::Aliases, MapKind::Popmap, MapKind::Transport];

#[derive(Clone, Debug)]
enum Edit {
    Put(Says),
    Delete(Says),
    Read(usize, Vec<Says>),
    Forget,
    Follow,
}

/// What a line of a map says, or a record of the base.
#[derive(Clone, Debug)]
enum Says {
    Alias(String, String),
    Placed(String, String),
}

fn local() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["a", "b", "c", "d", "e"]).prop_map(str::to_owned)
}

fn store() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["ingrid", "fritz"]).prop_map(str::to_owned)
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        (local(), local()).prop_map(|(key, to)| Says::Alias(key, to)),
        (local(), store()).prop_map(|(key, store)| Says::Placed(key, store)),
    ]
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    // One line for each name, as a map has it.
    let lines = btree_map(local(), says(), 0..5).prop_map(|lines| {
        let named = lines.into_iter().map(|(key, says)| match says {
            Says::Alias(_, to) => Says::Alias(key, to),
            Says::Placed(_, store) => Says::Placed(key, store),
        });
        named.collect()
    });
    let edit = prop_oneof![
        4 => says().prop_map(Edit::Put),
        3 => says().prop_map(Edit::Delete),
        4 => (0..KINDS.len(), lines).prop_map(|(nth, lines)| Edit::Read(nth, lines)),
        1 => Just(Edit::Forget),
        3 => Just(Edit::Follow),
    ];
    vec(edit, 0..40)
}

impl Says {
    /// The line of a map, where one of that kind can say it.
    fn line(&self, kind: MapKind) -> Option<String> {
        match (self, kind) {
            (Self::Alias(key, to), MapKind::UserMap) => Some(format!("{key} {to}\n")),
            (Self::Alias(key, to), MapKind::Aliases) => Some(format!("{key}: {to}\n")),
            (Self::Placed(key, store), MapKind::UserMap) => Some(format!("{key} {key}@{store}\n")),
            (Self::Placed(key, store), MapKind::Aliases) => Some(format!("{key}: {key}@{store}\n")),
            (Self::Placed(key, store), MapKind::Popmap) => Some(format!("{key}: {store}\n")),
            (Self::Placed(key, store), MapKind::Transport) => Some(format!("{key}@site.test lmtp:{store}\n")),
            _ => None,
        }
    }

    fn key_value(&self, user: Option<&str>) -> (String, Vec<u8>) {
        match self {
            Self::Alias(key, to) => {
                let record = alias(&format!("{key}@site.test"), &format!("{to}@site.test"));
                (record.key(), record.encode())
            }
            Self::Placed(key, store) => {
                let value = json!({"address": format!("{key}@site.test"), "store": store, "user": user});
                let record: PlacementRecord = super::record(value);
                (record.key(), record.encode())
            }
        }
    }

    /// The record that a map of that kind makes of it.
    fn read_from(&self, kind: MapKind) -> Option<(String, Vec<u8>)> {
        self.line(kind)?;
        Some(match self {
            Self::Placed(key, _) if kind != MapKind::Transport => self.key_value(Some(key)),
            Self::Placed(..) | Self::Alias(..) => self.key_value(None),
        })
    }
}

/// What the site has, as it should be.
#[derive(Clone, Default)]
struct Model {
    below: BTreeMap<String, Vec<u8>>,
    maps: [BTreeMap<String, Vec<u8>>; KINDS.len()],
    read: BTreeSet<usize>,
}

impl Model {
    fn expected(&self) -> Vec<Entry> {
        let mut all = BTreeMap::new();
        for map in self.maps.iter().rev() {
            all.extend(map.clone());
        }
        let mut seen = self.below.clone();
        for (key, value) in all {
            match key.starts_with(PlacementRecord::PREFIX) {
                true => seen.entry(key).or_insert(value),
                false => seen.entry(key).insert_entry(value).into_mut(),
            };
        }
        seen.into_iter().map(|(key, value)| Entry { key, value, revision: Revision::ZERO }).collect()
    }

    fn routing(&self) -> Routing {
        Routing::load(&self.expected(), Revision::ZERO)
    }

    /// Where each account is that the base does not place.
    fn homes(&self) -> Vec<(String, String)> {
        let routing = self.routing();
        let unplaced = ["a", "b"].into_iter().filter(|key| {
            let (placement, _) = Says::Placed((*key).to_owned(), "ingrid".to_owned()).key_value(None);
            !self.below.contains_key(&placement)
        });
        let home = |key: &str| {
            let address = Address::parse(&format!("{key}@site.test")).expect("an address");
            let home = routing.place_new_account(&address, &mut Silent).map(|store| store.to_string());
            (key.to_owned(), home.expect("a home"))
        };
        unplaced.map(home).collect()
    }

    fn take(&mut self, overlay: &Overlay, nth: usize, lines: &[Says]) {
        let kind = KINDS[nth];
        let text: String = lines.iter().filter_map(|says| says.line(kind)).collect();
        let homes = self.homes();
        let taken = replace(overlay, nth, read("/etc/map", kind, &text).expect(&text));
        self.maps[nth] = lines.iter().filter_map(|says| says.read_from(kind)).collect();
        for pin in taken.pinned {
            let record = PlacementRecord { address: pin.address, store: pin.store, user: pin.user };
            assert!(self.below.insert(record.key(), record.encode()).is_none(), "a pin over a placement");
        }
        if !self.read.insert(nth) {
            self.stay(&homes);
        }
    }

    fn stay(&self, homes: &[(String, String)]) {
        let routing = self.routing();
        for (key, home) in homes {
            let address = Address::parse(&format!("{key}@site.test")).expect("an address");
            let now = routing.place_new_account(&address, &mut Silent).map(|store| store.to_string());
            assert_eq!(now.as_ref(), Ok(home), "{key} is looked for elsewhere");
        }
    }
}

fn everything(engine: &dyn Engine) -> BTreeMap<String, Vec<u8>> {
    let page = finish(engine.range(Range { prefix: "", after: None, limit: 1000 })).expect("answers");
    page.entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

/// All entries, in pages as small as can be.
fn paged(overlay: &Overlay) -> Vec<(String, Vec<u8>)> {
    let (mut paged, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = finish(overlay.range(Range { prefix: "routing/", after: after.as_deref(), limit: 1 }));
        let page = page.expect("answers");
        assert!(page.entries.len() <= 1 && (page.entries.len() == 1 || !page.more));
        after = page.entries.last().filter(|_| page.more).map(|last| last.key.clone());
        paged.extend(page.entries.into_iter().map(|entry| (entry.key, entry.value)));
        if after.is_none() {
            return paged;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whoever follows, from whenever on, has what a fresh load has; and a map that is read again moves nobody.
    #[test]
    fn any_edits_followed_are_a_load_from_scratch(edits in edits()) {
        let base = site();
        ["a@site.test", "b@site.test"].into_iter().for_each(|address| account(&base, address));
        let overlay = Overlay::new(Arc::new(base.clone()), KINDS.map(|_| LiveMap::default()).into());
        let mut model = Model { below: everything(&base), ..Model::default() };
        let (live, mut follower) = followed(&overlay);
        for edit in edits {
            match edit {
                Edit::Put(says) => {
                    let (key, value) = says.key_value(None);
                    let write = Transaction::default().put(key.clone(), value.clone());
                    prop_assert!(finish(base.commit(write)).is_ok());
                    model.below.insert(key, value);
                }
                Edit::Delete(says) => {
                    let (key, _) = says.key_value(None);
                    prop_assert!(finish(base.commit(Transaction::default().delete(key.clone()))).is_ok());
                    model.below.remove(&key);
                }
                Edit::Read(nth, lines) => model.take(&overlay, nth, &lines),
                Edit::Forget => base.compact(),
                Edit::Follow => catch_up(&mut follower),
            }
        }
        catch_up(&mut follower);
        prop_assert_eq!(everything(&base), model.below.clone());
        let entries = model.expected();
        let expected = Routing::load(&entries, Revision::ZERO);
        prop_assert!(live.routing().same_records(&expected), "followed: {:#?}", live.routing());
        prop_assert!(followed(&overlay).0.routing().same_records(&expected), "loaded");
        for entry in &entries {
            let seen = finish(overlay.get(&entry.key)).expect("answers");
            prop_assert_eq!(seen.map(|seen| seen.value), Some(entry.value.clone()), "{}", entry.key);
        }
        let expected: Vec<_> = entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
        prop_assert_eq!(paged(&overlay), expected);
    }
}
