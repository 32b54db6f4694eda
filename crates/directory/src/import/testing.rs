//! What the tests of parsers share.

use super::{Entry, Line, Parsed, StoreMap};
use mail_types::{Address, Domain, StoreName};

/// Domain site.test.
pub(super) fn own() -> Vec<Domain> {
    vec![Domain::parse("site.test").expect("a domain")]
}

/// Stores ingrid and fritz, and some hosts of theirs.
pub(super) fn stores() -> StoreMap {
    let names = ["ingrid", "fritz"].map(|name| StoreName::parse(name).expect("a name"));
    let [ingrid, fritz] = names.clone();
    StoreMap::new(names).with("mail1.old.test", ingrid.clone()).with("multi.test:1143", ingrid).with("::1", fritz)
}

pub(super) fn bad<T>(parsed: &Parsed<T>) -> Vec<String> {
    parsed.bad.iter().map(|line| format!("{}: {}", line.number, line.error)).collect()
}

pub(super) fn ignored<T>(parsed: &Parsed<T>) -> Vec<String> {
    parsed.ignored.iter().map(|line| format!("{}: {}", line.number, line.item)).collect()
}

/// Each entry as a sentence.
pub(super) fn shown(parsed: &Parsed<Entry>) -> Vec<String> {
    let says = |entry: &Entry| match entry {
        Entry::Rule(rule) => format!("rule {}", rule.name),
        Entry::Placement(placed) => match &placed.user {
            Some(user) => format!("{} is at {} as {user}", placed.address, placed.store),
            None => format!("{} is at {}", placed.address, placed.store),
        },
        Entry::Alias(alias) => {
            let targets: Vec<String> = alias.targets.iter().map(Address::to_string).collect();
            format!("{} leads to {}", alias.address, targets.join(" and "))
        }
        Entry::CatchAll { domain, reader } => format!("@{domain} leads to {reader}"),
        Entry::DomainStore { domain, store } => format!("{domain} is at {store}"),
    };
    let show = |line: &Line<Entry>| format!("{} {}", line.number, says(&line.item));
    parsed.items.iter().map(show).collect()
}
