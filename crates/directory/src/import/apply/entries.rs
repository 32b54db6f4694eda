//! Entries of maps that change more than one kind of record.

use super::{Import, ImportOptions, ImportReport, Planned, Reference, ReportLine};
use crate::edit::{EditError, Editor};
use crate::engine::{Entry as Kept, Revision, Transaction, Write};
use crate::import::{Entry, Parsed, regex_map};
use crate::record::{PlacementRecord, Record, RuleRecord};
use std::collections::BTreeSet;

impl Editor<'_> {
    /// Imports entries of any kind. New rules move nobody: whoever they would look for elsewhere is pinned first.
    pub async fn import_entries(
        &self,
        parsed: &Parsed<Entry>,
        options: ImportOptions,
    ) -> Result<ImportReport, EditError> {
        let mut import = Import::new(*self, parsed).await?;
        for line in &parsed.items {
            let planned = match &line.item {
                Entry::Rule(rule) => import.rule(line.number, rule).await?,
            };
            import.plan.extend(planned);
        }
        import.name_stale_rules(parsed);
        import.find_pins();
        import.finish(options).await
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
            let Entry::Rule(rule) = &line.item;
            named.insert(&rule.name);
            last = Some(line.number);
        }
        let Some(line) = last else { return };
        let stale =
            self.routing.rules().filter(|rule| regex_map::is_imported(&rule.name) && !named.contains(&rule.name));
        let stale = stale.map(|rule| format!("rule {} of an earlier import stays", rule.name));
        self.report.ignored.extend(stale.map(|text| ReportLine { line, text }));
    }

    /// Whom the plan's rules would look for elsewhere, unless the plan places him.
    fn find_pins(&mut self) {
        let (mut changed, mut placed) = (self.routing.clone(), BTreeSet::new());
        for write in self.plan.iter().flat_map(|commit| &commit.writes) {
            let Write::Put { key, value, .. } = write else { continue };
            if key.starts_with(PlacementRecord::PREFIX) {
                placed.insert(key.as_str());
            } else if key.starts_with(RuleRecord::PREFIX) {
                changed.put(&Kept { key: key.clone(), value: value.clone(), revision: Revision::ZERO });
            }
        }
        self.pins = self.routing.pins(&changed);
        self.pins
            .retain(|pin| !placed.contains(crate::record::address_key(PlacementRecord::PREFIX, &pin.address).as_str()));
        self.report.pinned = self.pins.len();
    }
}
