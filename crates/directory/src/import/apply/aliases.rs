//! Addresses that lead to others: aliases, and forwards of accounts. None of them leads back to itself.

use super::entries::Aliases;
use super::{Import, Planned, Reference, ReportLine};
use crate::edit::EditError;
use crate::engine::{EngineError, Revision, Transaction};
use crate::key::AddressKey;
use crate::record::{AccountRecord, AliasRecord, Record, address_key};
use crate::routing::{AccountView, Origin};
use mail_types::Address;
use std::collections::{BTreeMap, VecDeque};

impl Import<'_> {
    pub(super) async fn alias(
        &mut self,
        line: usize,
        alias: &AliasRecord,
        aliases: &mut Aliases,
    ) -> Result<Planned, EditError> {
        let AliasRecord { address, targets } = alias;
        match self.routing.account(address) {
            Origin::Found(view) => return self.forward(line, &view, targets).await,
            Origin::NotFound => {}
            Origin::Unavailable => return Ok(self.collides(line, format!("the record of {address} cannot be read"))),
        }
        let key = AddressKey::of(address);
        if let Some(way) = self.way_back(&key, targets, aliases) {
            let way: Vec<String> = way.iter().map(AddressKey::to_string).collect();
            return Ok(self.collides(line, format!("{address} leads back to itself: {}", way.join(" → "))));
        }
        let domain = Reference::Domain(address.domain());
        let Some(commit) = self.hold(line, Transaction::default(), domain).await? else { return Ok(None) };
        aliases.insert(key, targets.clone());
        self.note_remote(line, targets);
        let name = address.to_string();
        let (seen, value) = match self.editor.find::<AliasRecord>(&name).await? {
            Some(held) if held.record.targets == *targets => {
                let own = self.editor.own::<AliasRecord>(&name).await?;
                if own.is_some_and(|own| own.targets == *targets) {
                    self.report.unchanged += 1;
                    return Ok(None);
                }
                self.takes_over(line, format!("alias {address}"));
                // As the map spells it.
                (held.revision, held.record.encode())
            }
            Some(held) => {
                let commit = Transaction::default().expect(alias.key(), held.revision).put(alias.key(), alias.encode());
                match self.editor.may_commit(&commit.taking_over()).await {
                    Ok(()) => {}
                    Err(live @ EditError::Engine(EngineError::Live { .. })) => {
                        return Ok(self.collides(line, live.to_string()));
                    }
                    Err(error) => return Err(error),
                }
                self.changes(line, format!("alias {address}"));
                (held.revision, alias.encode())
            }
            None => {
                self.report.added += 1;
                (Revision::ZERO, alias.encode())
            }
        };
        let commit = commit.expect(address_key(AccountRecord::PREFIX, address), Revision::ZERO);
        Ok(Some(commit.expect(alias.key(), seen).put(alias.key(), value)))
    }

    /// An account that leads to others forwards to them, and keeps a copy if it is one of them.
    async fn forward(&mut self, line: usize, account: &AccountView, targets: &[Address]) -> Result<Planned, EditError> {
        let shown = self.editor.show::<AccountRecord>(&account.address.to_string()).await?;
        let own = AddressKey::of(&account.address);
        let forward = match targets.iter().all(|target| AddressKey::of(target) == own) {
            true => Vec::new(),
            false => targets.to_vec(),
        };
        self.note_remote(line, &forward);
        if shown.record.forward == forward {
            self.report.unchanged += 1;
            return Ok(None);
        }
        self.changes(line, format!("{}: forward", account.address));
        let record = AccountRecord { forward, ..shown.record };
        Ok(Some(Transaction::default().expect(record.key(), shown.revision).put(record.key(), record.encode())))
    }

    /// Says whose mail waits, since there is nobody yet who sends it on.
    pub(super) fn note_remote(&mut self, line: usize, targets: &[Address]) {
        let is_remote = |target: &&Address| matches!(self.routing.domain(target.domain()), Origin::NotFound);
        if let Some(target) = targets.iter().find(is_remote) {
            let text = format!("{target} is elsewhere: its mail is deferred as long as there is no outbound mail");
            self.report.notes.push(ReportLine { line, text });
        }
    }

    /// The way from an alias over its targets back to itself. An account ends a way: it takes what comes back to it.
    fn way_back(&self, from: &AddressKey, targets: &[Address], aliases: &Aliases) -> Option<Vec<AddressKey>> {
        let mut before = BTreeMap::<AddressKey, AddressKey>::new();
        let mut next: VecDeque<_> = targets.iter().map(|target| (from.clone(), target.clone())).collect();
        while let Some((via, target)) = next.pop_front() {
            let Some(key) = self.alias_of(from, &target, aliases) else { continue };
            if key == *from {
                return Some(way(from, &via, &before));
            }
            if before.len() >= VISITS_MAX || before.contains_key(&key) {
                continue;
            }
            let targets = aliases.get(&key).cloned().or_else(|| self.routing.alias_targets(&key));
            next.extend(targets.into_iter().flatten().map(|target| (key.clone(), target)));
            before.insert(key, via);
        }
        None
    }

    /// The alias that mail for an address meets: of the whole local part, else of the part before the delimiter.
    fn alias_of(&self, from: &AddressKey, address: &Address, aliases: &Aliases) -> Option<AddressKey> {
        let is_alias = |key: &AddressKey| key == from || aliases.contains_key(key) || self.routing.has_alias(key);
        let exact = AddressKey::of(address);
        if is_alias(&exact) {
            return Some(exact);
        }
        let Origin::Found(domain) = self.routing.domain(address.domain()) else { return None };
        if !matches!(self.routing.account(address), Origin::NotFound) {
            return None;
        }
        let (user, _) = address.local().split_detail(domain.delimiter?)?;
        Some(AddressKey::join(address.domain(), &user)).filter(is_alias)
    }
}

fn way(from: &AddressKey, via: &AddressKey, before: &BTreeMap<AddressKey, AddressKey>) -> Vec<AddressKey> {
    let mut way = vec![from.clone()];
    let mut at = Some(via).filter(|via| *via != from);
    while let Some(key) = at {
        way.push(key.clone());
        at = before.get(key).filter(|key| *key != from);
    }
    way.push(from.clone());
    way.reverse();
    way
}

/// Addresses followed for one alias: routing follows no more.
const VISITS_MAX: usize = 1000;
