//! What decides for many accounts at once: rules, domains, the site. A change of these moves nobody.

use super::account::key_of;
use super::{EditError, Editor, Shown, put_new, put_over};
use crate::engine::{Entry, Revision, Transaction};
use crate::record::{
    AccountRecord, AliasRecord, DomainRecord, PlacementRecord, Record, RuleName, RuleRecord, SiteRecord,
};
use crate::routing::Pin;
use mail_types::Domain;

/// A change that may look for accounts elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleChange {
    /// A new rule.
    AddRule(RuleRecord),
    /// Another rule of the same name, which was read at this revision.
    SetRule(RuleRecord, Revision),
    /// A rule goes.
    RemoveRule(RuleName),
    /// Another record of a domain, which was read at this revision.
    SetDomain(DomainRecord, Revision),
    /// Another record of the site, which was read at this revision ([`Revision::ZERO`]: there was none).
    SetSite(SiteRecord, Revision),
}

impl Editor<'_> {
    /// The accounts that have no placement and that a change would look for elsewhere: a dry run.
    pub async fn pins(&self, change: &RuleChange) -> Result<Vec<Pin>, EditError> {
        let now = self.routing().await?;
        let mut changed = now.clone();
        match change.value() {
            Some(value) => changed.put(&Entry { key: change.key(), value, revision: Revision::ZERO }),
            None => changed.delete(&change.key()),
        }
        Ok(now.pins(&changed))
    }

    /// Pins those accounts where they are, then makes the change. Gives the pins.
    ///
    /// A crash in between leaves pins that say what was true before; doing it again goes on.
    pub async fn change_rules(&self, change: &RuleChange) -> Result<Vec<Pin>, EditError> {
        let commit = self.prepare(change).await?;
        self.may_commit(&commit).await?;
        let pins = self.pins(change).await?;
        self.pin_all(&pins).await?;
        self.commit(commit).await?;
        Ok(pins)
    }

    /// Pins accounts where they are.
    pub(crate) async fn pin_all(&self, pins: &[Pin]) -> Result<(), EditError> {
        for batch in pins.chunks(PINS_AT_ONCE) {
            self.pin(batch).await?;
        }
        Ok(())
    }

    /// Makes a domain.
    pub async fn add_domain(&self, domain: &DomainRecord) -> Result<Revision, EditError> {
        let commit = self.expect_stores(Transaction::default(), &domain.default_store).await?;
        self.add(domain, commit).await
    }

    /// Removes a domain that has no account, alias, placement or rule.
    pub async fn remove_domain(&self, name: &Domain) -> Result<Revision, EditError> {
        let shown = self.show::<DomainRecord>(name.as_str()).await?;
        let closed = DomainRecord { closed: true, ..shown.record.clone() };
        // From here on nothing new can refer to it, so what is found now is all there is.
        let revision = self.commit(put_over(Transaction::default(), &closed, shown.revision)?).await?;
        match self.user_of_domain(name).await? {
            None => self.commit(Transaction::default().expect(closed.key(), revision).delete(closed.key())).await,
            Some(by) => {
                let open = DomainRecord { closed: false, ..closed };
                self.commit(put_over(Transaction::default(), &open, revision)?).await?;
                Err(EditError::InUse { kind: DomainRecord::KIND, name: name.to_string(), by })
            }
        }
    }

    async fn prepare(&self, change: &RuleChange) -> Result<Transaction, EditError> {
        let commit = Transaction::default();
        match change {
            RuleChange::AddRule(rule) => {
                if self.revision_of(&rule.key()).await? != Revision::ZERO {
                    return Err(EditError::Taken { kind: RuleRecord::KIND, name: rule.name.to_string() });
                }
                put_new(self.hold_rule(commit, rule).await?, rule)
            }
            RuleChange::SetRule(rule, seen) => put_over(self.hold_rule(commit, rule).await?, rule, *seen),
            RuleChange::RemoveRule(name) => {
                let shown = self.show::<RuleRecord>(name.as_str()).await?;
                let key = shown.record.key();
                Ok(commit.expect(&key, shown.revision).delete(key))
            }
            RuleChange::SetDomain(domain, seen) => {
                put_over(self.expect_stores(commit, &domain.default_store).await?, domain, *seen)
            }
            RuleChange::SetSite(site, seen) => {
                put_over(self.expect_stores(commit, &site.default_store).await?, site, *seen)
            }
        }
    }

    async fn hold_rule(&self, mut commit: Transaction, rule: &RuleRecord) -> Result<Transaction, EditError> {
        if let Some(domain) = &rule.domain {
            let (key, revision) = self.open_domain(domain).await?;
            commit = commit.expect(key, revision);
        }
        self.expect_stores(commit, rule.stores()).await
    }

    async fn pin(&self, pins: &[Pin]) -> Result<(), EditError> {
        let mut commit = Transaction::default();
        for Pin { address, store, user, .. } in pins {
            let account = self.revision_of(&key_of(address)).await?;
            // An account that went meanwhile needs no pin.
            if account != Revision::ZERO {
                commit = commit.expect(key_of(address), account);
                let pin = PlacementRecord { address: address.clone(), store: store.clone(), user: user.clone() };
                commit = put_new(commit, &pin)?;
            }
        }
        self.commit(commit).await.map(|_| ())
    }

    async fn user_of_domain(&self, name: &Domain) -> Result<Option<String>, EditError> {
        if let Some(Shown { record, .. }) = self.list::<AccountRecord>(Some(name), None, 1).await?.records.pop() {
            return Ok(Some(format!("account {}", record.address)));
        }
        if let Some(Shown { record, .. }) = self.list::<AliasRecord>(Some(name), None, 1).await?.records.pop() {
            return Ok(Some(format!("alias {}", record.address)));
        }
        if let Some(Shown { record, .. }) = self.list::<PlacementRecord>(Some(name), None, 1).await?.records.pop() {
            return Ok(Some(format!("placement {}", record.address)));
        }
        let routing = self.rules_and_stores().await?;
        let rule = routing.rules().find(|rule| rule.domain.as_ref() == Some(name));
        Ok(rule.map(|rule| format!("rule {}", rule.name)))
    }
}

impl RuleChange {
    fn key(&self) -> String {
        match self {
            Self::AddRule(rule) | Self::SetRule(rule, _) => rule.key(),
            Self::RemoveRule(name) => format!("{}{name}", RuleRecord::PREFIX),
            Self::SetDomain(domain, _) => domain.key(),
            Self::SetSite(site, _) => site.key(),
        }
    }

    fn value(&self) -> Option<Vec<u8>> {
        match self {
            Self::AddRule(rule) | Self::SetRule(rule, _) => Some(rule.encode()),
            Self::RemoveRule(_) => None,
            Self::SetDomain(domain, _) => Some(domain.encode()),
            Self::SetSite(site, _) => Some(site.encode()),
        }
    }
}

/// A pin takes two expectations of a transaction, which has room for 128.
const PINS_AT_ONCE: usize = 60;
