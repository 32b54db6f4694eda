//! Whatever is edited on both sides: who follows has what a fresh load has, and nobody is looked for elsewhere.

use super::*;
use crate::Silent;
use crate::routing::Routing;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The maps of the test, the strongest first.
const KINDS: [MapKind; 7] = [
    MapKind::UserMap,
    MapKind::RegexMap,
    MapKind::Virtual,
    MapKind::Transport,
    MapKind::Popmap,
    MapKind::RegexMap,
    MapKind::Transport,
];

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
    CatchAll(String),
    DomainStore(String),
    Rule(String, String),
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
        local().prop_map(Says::CatchAll),
        store().prop_map(Says::DomainStore),
        (local(), store()).prop_map(|(key, store)| Says::Rule(key, store)),
    ]
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let lines = vec(says(), 0..6).prop_map(|lines| {
        // One line for each key, as a map has it.
        let keyed: BTreeMap<_, _> = lines.into_iter().map(|says| (says.key(), says)).collect();
        keyed.into_values().collect()
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
    fn key(&self) -> String {
        match self {
            Self::Alias(key, _) | Self::Placed(key, _) => key.clone(),
            Self::CatchAll(_) => "@".to_owned(),
            Self::DomainStore(_) => "site.test".to_owned(),
            Self::Rule(pattern, _) => format!("^{pattern}"),
        }
    }

    /// The line of a map, where one of that kind can say it.
    fn line(&self, kind: MapKind) -> Option<String> {
        match (self, kind) {
            (Self::Alias(key, to), MapKind::UserMap | MapKind::Virtual) => Some(format!("{key} {to}\n")),
            (Self::Placed(key, store), MapKind::UserMap | MapKind::Virtual) => Some(format!("{key} {key}@{store}\n")),
            (Self::Placed(key, store), MapKind::Popmap) => Some(format!("{key}: {store}\n")),
            (Self::Placed(key, store), MapKind::Transport) => Some(format!("{key}@site.test lmtp:{store}\n")),
            (Self::CatchAll(to), MapKind::UserMap | MapKind::Virtual) => Some(format!("@site.test {to}\n")),
            (Self::Rule(pattern, store), MapKind::RegexMap) => Some(format!("^{pattern}: {store}\n")),
            (Self::DomainStore(store), MapKind::Transport) => Some(format!("site.test lmtp:{store}\n")),
            _ => None,
        }
    }

    /// The base's record.
    fn record(&self) -> (String, Vec<u8>) {
        match self {
            Self::Alias(key, to) => keyed(&alias(&format!("{key}@site.test"), &format!("{to}@site.test"))),
            Self::Placed(key, store) => placed(key, store, None),
            Self::CatchAll(to) => of_domain(json!({"name": "site.test", "catch_all": format!("{to}@site.test")})),
            Self::DomainStore(store) => of_domain(json!({"name": "site.test", "default_store": store})),
            Self::Rule(pattern, store) => rule(&format!("r-{pattern}"), 2001, pattern, None, store),
        }
    }

    fn is_of_domain(&self) -> bool {
        matches!(self, Self::CatchAll(_) | Self::DomainStore(_))
    }
}

fn keyed<R: Record>(record: &R) -> (String, Vec<u8>) {
    (record.key(), record.encode())
}

fn placed(key: &str, store: &str, user: Option<&str>) -> (String, Vec<u8>) {
    let address = format!("{key}@site.test");
    keyed(&super::record::<PlacementRecord>(json!({"address": address, "store": store, "user": user})))
}

fn rule(name: &str, order: usize, pattern: &str, domain: Option<&str>, store: &str) -> (String, Vec<u8>) {
    let pattern = format!("^{pattern}");
    let value =
        json!({"name": name, "order": order, "kind": "regex", "pattern": pattern, "domain": domain, "store": store});
    keyed(&super::record::<RuleRecord>(value))
}

fn of_domain(value: serde_json::Value) -> (String, Vec<u8>) {
    keyed(&super::record::<DomainRecord>(value))
}

/// What the site has, as it should be.
#[derive(Clone, Default)]
struct Model {
    below: BTreeMap<String, Vec<u8>>,
    maps: [Vec<Says>; KINDS.len()],
    read: BTreeSet<usize>,
}

impl Model {
    fn expected(&self) -> Vec<Entry> {
        let mut seen = self.below.clone();
        // The strongest last.
        for (nth, map) in self.maps.iter().enumerate().rev() {
            map.iter().enumerate().for_each(|(line, says)| self.lay(&mut seen, nth, line, says));
        }
        seen.into_iter().map(|(key, value)| Entry { key, value, revision: Revision::ZERO }).collect()
    }

    fn lay(&self, seen: &mut BTreeMap<String, Vec<u8>>, nth: usize, line: usize, says: &Says) {
        let (key, value) = match says {
            Says::Placed(key, store) => {
                let user = Some(key.as_str()).filter(|_| KINDS[nth] != MapKind::Transport);
                placed(key, store, user)
            }
            Says::Rule(pattern, store) => {
                let (name, order) = (format!("live-{}-map-{}", nth + 1, line + 1), 1000 * (nth + 1) + line);
                rule(&name, order, pattern, Some("site.test"), store)
            }
            Says::Alias(..) | Says::CatchAll(_) | Says::DomainStore(_) => says.record(),
        };
        if says.is_of_domain() {
            let Some(value) = seen.get_mut(&key) else { return };
            let mut record = DomainRecord::decode(value).expect("a record");
            match says {
                Says::CatchAll(to) => record.catch_all = Address::parse(&format!("{to}@site.test")).ok(),
                Says::DomainStore(store) => record.default_store = mail_types::StoreName::parse(store).ok(),
                Says::Alias(..) | Says::Placed(..) | Says::Rule(..) => {}
            }
            *value = record.encode();
        } else if !matches!(says, Says::Placed(..)) || !self.below.contains_key(&key) {
            seen.insert(key, value);
        }
    }

    fn routing(&self) -> Routing {
        Routing::load(&self.expected(), Revision::ZERO)
    }

    /// Where each account is that the base does not place.
    fn homes(&self) -> Vec<(String, String)> {
        let routing = self.routing();
        let unplaced = ["a", "b"].into_iter().filter(|key| {
            let (placement, _) = placed(key, "ingrid", None);
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
        self.maps[nth] = lines.iter().filter(|says| says.line(kind).is_some()).cloned().collect();
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
                    let (key, value) = says.record();
                    let write = Transaction::default().put(key.clone(), value.clone());
                    prop_assert!(finish(base.commit(write)).is_ok());
                    model.below.insert(key, value);
                }
                Edit::Delete(says) => {
                    let (key, _) = says.record();
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
