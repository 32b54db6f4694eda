//! Entries of maps that change more than one kind of record.

use super::{Import, ImportOptions, ImportReport, Planned, Reference, ReportLine};
use crate::edit::{EditError, Editor, MailBehind, Shown};
use crate::engine::{Entry as Kept, Revision, Transaction, Write};
use crate::import::{Entry, Parsed, regex_map};
use crate::record::{DomainRecord, PlacementRecord, Record, RuleRecord, address_key};
use mail_types::{Address, Domain, StoreName};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

impl Editor<'_> {
    /// Imports entries of any kind. New rules move nobody: whoever they would look for elsewhere is pinned first.
    pub async fn import_entries(
        &self,
        parsed: &Parsed<Entry>,
        options: ImportOptions,
        mail: &dyn MailBehind,
    ) -> Result<ImportReport, EditError> {
        let mut import = Import::new(*self, parsed).await?;
        let (mut aliases, mut domains) = (Aliases::new(), Domains::new());
        for line in &parsed.items {
            let planned = match &line.item {
                Entry::Rule(rule) => import.rule(line.number, rule).await?,
                Entry::Placement(placement) => import.placement(line.number, placement, mail).await?,
                Entry::Alias(alias) => import.alias(line.number, alias, &mut aliases).await?,
                Entry::CatchAll { domain, reader } => {
                    import.catch_all(line.number, domain, reader, &mut domains).await?;
                    None
                }
                Entry::DomainStore { domain, store } => {
                    import.domain_store(line.number, domain, store, &mut domains).await?;
                    None
                }
            };
            import.plan.extend(planned);
        }
        import.name_stale_rules(parsed);
        import.find_pins(&domains);
        // Last: whatever names a domain expects it as it was read.
        import.plan.extend(domains.into_values().filter_map(Pending::into_transaction));
        import.finish(options).await
    }
}

/// Aliases that the plan makes or changes, by their keys.
pub(super) type Aliases = BTreeMap<crate::AddressKey, Vec<Address>>;

/// Domains that lines are about.
type Domains = BTreeMap<Domain, Pending>;

/// A domain, as it was read and as it shall be.
struct Pending {
    /// Expects the stores that it names.
    holds: Transaction,
    seen: Revision,
    /// What the directory has itself.
    own: DomainRecord,
    /// What it shall have.
    record: DomainRecord,
    /// What shall be seen: with the fields of maps that are read live.
    shown: DomainRecord,
}

/// What a line does to a field of a domain.
enum Field<T> {
    Added,
    Unchanged,
    /// Only a map had it that is read live.
    TakenOver,
    /// From this.
    Changed(T),
    /// The directory has it, and a map that is read live says this.
    Hidden(T),
}

impl<T: Clone + PartialEq> Field<T> {
    /// Sets what the directory has, and what is seen of it.
    fn set(own: &mut Option<T>, shown: &mut Option<T>, wanted: &T) -> Self {
        let is_own = own.replace(wanted.clone()).is_some_and(|own| own == *wanted);
        match shown.clone() {
            Some(seen) if seen == *wanted && is_own => return Self::Unchanged,
            Some(seen) if seen == *wanted => return Self::TakenOver,
            // It stays to be seen.
            Some(seen) if is_own => return Self::Hidden(seen),
            Some(_) | None => {}
        }
        shown.replace(wanted.clone()).map_or(Self::Added, Self::Changed)
    }
}

impl Pending {
    fn into_transaction(self) -> Option<Transaction> {
        let Self { holds, seen, own, record, .. } = self;
        (own != record).then(|| holds.expect(record.key(), seen).put(record.key(), record.encode()))
    }
}

impl Import<'_> {
    async fn rule(&mut self, line: usize, rule: &RuleRecord) -> Result<Planned, EditError> {
        let mut commit = Transaction::default();
        let domain = rule.domain.iter().map(Reference::Domain);
        for reference in domain.chain(rule.stores().into_iter().map(Reference::Store)) {
            let Some(held) = self.hold(line, commit, reference).await? else { return Ok(None) };
            commit = held;
        }
        let seen = match self.editor.find::<RuleRecord>(rule.name.as_str()).await? {
            Some(held) if held.record == *rule => {
                self.report.unchanged += 1;
                return Ok(None);
            }
            Some(held) => {
                self.changes(line, format!("rule {}", rule.name));
                held.revision
            }
            None => {
                self.report.added += 1;
                Revision::ZERO
            }
        };
        Ok(Some(commit.expect(rule.key(), seen).put(rule.key(), rule.encode())))
    }

    /// Rules of an earlier import that this file has no line for: they go on matching until somebody removes them.
    fn name_stale_rules(&mut self, parsed: &Parsed<Entry>) {
        let mut last = None;
        let mut named = BTreeSet::new();
        for line in &parsed.items {
            if let Entry::Rule(rule) = &line.item {
                named.insert(&rule.name);
                last = Some(line.number);
            }
        }
        let Some(line) = last else { return };
        let is_stale = |rule: &&RuleRecord| regex_map::is_imported(&rule.name) && !named.contains(&rule.name);
        let stale = self.routing.rules().filter(is_stale);
        let stale = stale.map(|rule| format!("rule {} of an earlier import stays", rule.name));
        self.report.notes.extend(stale.map(|text| ReportLine { line, text }));
    }

    async fn catch_all(
        &mut self,
        line: usize,
        domain: &Domain,
        reader: &Address,
        domains: &mut Domains,
    ) -> Result<(), EditError> {
        let Some(pending) = self.pending(line, domain, domains).await? else { return Ok(()) };
        let field = Field::set(&mut pending.record.catch_all, &mut pending.shown.catch_all, reader);
        self.field(line, domain, "catch-all", field, reader);
        self.note_remote(line, std::slice::from_ref(reader));
        Ok(())
    }

    async fn domain_store(
        &mut self,
        line: usize,
        domain: &Domain,
        store: &StoreName,
        domains: &mut Domains,
    ) -> Result<(), EditError> {
        let store_held = self.hold(line, Transaction::default(), Reference::Store(store)).await?;
        let Some(holds) = store_held else { return Ok(()) };
        let Some(pending) = self.pending(line, domain, domains).await? else { return Ok(()) };
        pending.holds.expected.extend(holds.expected);
        let field = Field::set(&mut pending.record.default_store, &mut pending.shown.default_store, store);
        self.field(line, domain, "default store", field, store);
        Ok(())
    }

    fn field<T: fmt::Display>(&mut self, line: usize, domain: &Domain, name: &str, field: Field<T>, wanted: &T) {
        match field {
            Field::Added => self.report.added += 1,
            Field::Unchanged => self.report.unchanged += 1,
            Field::TakenOver => self.takes_over(line, format!("domain {domain}: {name} {wanted}")),
            Field::Changed(from) => self.changes(line, format!("domain {domain}: {name} from {from} to {wanted}")),
            Field::Hidden(live) => {
                let text = format!("domain {domain}: a map that is read live has the {name}, {live}: change it there");
                self.collides(line, text);
            }
        }
    }

    /// A domain that shall change, or `None` and a collision.
    async fn pending<'d>(
        &mut self,
        line: usize,
        domain: &Domain,
        domains: &'d mut Domains,
    ) -> Result<Option<&'d mut Pending>, EditError> {
        if self.hold(line, Transaction::default(), Reference::Domain(domain)).await?.is_none() {
            return Ok(None);
        }
        if !domains.contains_key(domain) {
            let Shown { record: shown, revision: seen } = self.editor.show::<DomainRecord>(domain.as_str()).await?;
            let own = self.editor.own::<DomainRecord>(domain.as_str()).await?.unwrap_or_else(|| shown.clone());
            let pending = Pending { holds: Transaction::default(), seen, record: own.clone(), own, shown };
            domains.insert(domain.clone(), pending);
        }
        Ok(domains.get_mut(domain))
    }

    /// Whom the plan's rules and domains would look for elsewhere, unless the plan places him.
    fn find_pins(&mut self, domains: &Domains) {
        let (mut changed, mut placed) = (self.routing.clone(), BTreeSet::new());
        let kept = |key: String, value: Vec<u8>| Kept { key, value, revision: Revision::ZERO };
        for write in self.plan.iter().flat_map(|commit| &commit.writes) {
            let Write::Put { key, value, .. } = write else { continue };
            if key.starts_with(PlacementRecord::PREFIX) {
                placed.insert(key.as_str());
            } else if key.starts_with(RuleRecord::PREFIX) {
                changed.put(&kept(key.clone(), value.clone()));
            }
        }
        for Pending { shown, .. } in domains.values() {
            changed.put(&kept(shown.key(), shown.encode()));
        }
        self.pins = self.routing.pins(&changed);
        self.pins.retain(|pin| !placed.contains(address_key(PlacementRecord::PREFIX, &pin.address).as_str()));
        self.report.pinned = self.pins.len();
    }
}
