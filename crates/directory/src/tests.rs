//! Routing as a whole: tables of cases over small sites, and properties over random ones.

mod edit;
mod properties;
mod record;
mod routing;

use crate::conformance::{self, finish};
use crate::engine::{Entry, MemoryEngine, Revision};
use crate::record::Record;
use crate::routing::Routing;
use mail_types::Address;
use serde_json::{Value, json};
use std::sync::Arc;

#[test]
fn the_memory_engine_conforms() {
    finish(conformance::run(&mut || Arc::new(MemoryEngine::new())));
}

fn address(text: &str) -> Address {
    Address::parse(text).expect(text)
}

fn entry<R: Record>(value: Value) -> Entry {
    let record = R::from_operator(value).expect("a record");
    Entry { key: record.key(), value: record.encode(), revision: Revision::new(1) }
}

fn load(entries: &[Entry]) -> Routing {
    let routing = Routing::load(entries, Revision::new(1));
    assert_eq!(routing.flaws().count(), 0, "{:?}", routing.flaws().collect::<Vec<_>>());
    routing
}

fn id(number: u64) -> String {
    format!("{number:032x}")
}

fn account(number: u64, address: &str) -> Entry {
    entry::<crate::AccountRecord>(json!({"address": address, "id": id(number)}))
}

fn alias(address: &str, targets: &[&str]) -> Entry {
    entry::<crate::AliasRecord>(json!({"address": address, "targets": targets}))
}

fn placement(address: &str, store: &str) -> Entry {
    entry::<crate::PlacementRecord>(json!({"address": address, "store": store}))
}

fn store(name: &str) -> Entry {
    entry::<crate::StoreRecord>(json!({"name": name, "kind": "posthouse", "node": "n1"}))
}

fn domain(value: Value) -> Entry {
    entry::<crate::DomainRecord>(value)
}

fn rule(value: Value) -> Entry {
    entry::<crate::RuleRecord>(value)
}
