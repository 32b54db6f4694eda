//! Who stays where he is when a map is read again: accounts that only rules and maps place.
//!
//! ```text
//!   a draft ─▶ other rules?   ─▶ all accounts without a placement of the base's ─┐
//!           └▶ other placements ─▶ those of them that have the base's account    ─┴▶ home before ≠ home after: a pin
//! ```
//! An account that only a map has is where maps say, so whoever edits its line has moved its mail; it is pinned where rules
//! alone place it, before and after.

use super::moment::Moment;
use super::seen::seen;
use super::{Draft, Overlay, let_others_run, lock};
use crate::edit::{EditError, Editor};
use crate::engine::{Engine, EngineError, Entry, Range, Revision};
use crate::file::Differing;
use crate::record::{AccountRecord, DomainRecord, PlacementRecord, Record, RuleRecord};
use crate::routing::{Pin, Routing};
use std::collections::VecDeque;

/// What decides for many accounts at once, before and after; no names.
#[derive(Clone)]
struct Deciding {
    now: Routing,
    changed: Routing,
}

impl Overlay {
    /// The accounts that a draft would have looked for elsewhere, and that have no placement of the base's to keep them
    /// where they are.
    ///
    /// None for a map that was never read before: nobody knows where its accounts were looked for before the start.
    pub(super) async fn pins(&self, draft: &Draft) -> Result<Vec<Pin>, EditError> {
        let is_first = lock(&self.maps).list.get(draft.nth).is_none_or(|map| !map.is_read());
        let changes = draft.compared.changes();
        let of_placements = of_prefix(changes, PlacementRecord::PREFIX);
        if is_first
            || (of_placements.is_empty() && DECIDE_FOR_MANY.iter().all(|kind| of_prefix(changes, kind).is_empty()))
        {
            return Ok(Vec::new());
        }
        let deciding = self.deciding(changes).await?;
        let (mut pins, mut batch) = (Vec::new(), Vec::new());
        if deciding.now.decides_as(&deciding.changed) && of_placements.len() <= LOOK_UPS_MAX {
            for path in of_placements.iter().filter_map(|change| change.key().strip_prefix(PlacementRecord::PREFIX)) {
                batch.extend(self.unplaced(path).await?);
            }
        } else {
            let mut all = Unplaced::of(self, &*self.base).await?;
            while let Some(account) = all.next().await? {
                if !self.is_where_maps_say(&account, draft)? {
                    batch.push(account);
                }
                if batch.len() >= BATCH_ACCOUNTS {
                    pins.extend(self.pins_among(&batch, &deciding, draft)?);
                    batch.clear();
                    let_others_run().await;
                }
            }
        }
        pins.extend(self.pins_among(&batch, &deciding, draft)?);
        Ok(pins)
    }

    async fn deciding(&self, changes: &[Differing]) -> Result<Deciding, EditError> {
        let now = Editor::new(self).rules_and_stores().await?;
        let mut changed = now.clone();
        for change in DECIDE_FOR_MANY.iter().flat_map(|kind| of_prefix(changes, kind)) {
            let key = change.key();
            match seen(key, self.base.get(key).await?, change.entry())? {
                Some(entry) => changed.put(&entry),
                None => changed.delete(key),
            }
        }
        Ok(Deciding { now, changed })
    }

    /// The account of a path (`domain/local`), if the base has it and does not place it.
    async fn unplaced(&self, path: &str) -> Result<Option<Entry>, EngineError> {
        let Some(account) = self.base.get(&format!("{}{path}", AccountRecord::PREFIX)).await? else { return Ok(None) };
        let placed = self.base.get(&format!("{}{path}", PlacementRecord::PREFIX)).await?;
        Ok(placed.is_none().then_some(account))
    }

    /// Whether only a map has an account, and a map places it or has it no longer.
    fn is_where_maps_say(&self, account: &Entry, draft: &Draft) -> Result<bool, EngineError> {
        if Moment::of(account.revision).base > Revision::ZERO {
            return Ok(false);
        }
        let placement = format!("{}{}", PlacementRecord::PREFIX, path_of(account, AccountRecord::PREFIX));
        let is_placed = self.layer.read(&placement)?.is_some() || draft.compared.read(&placement).is_some();
        Ok(is_placed || draft.compared.read(&account.key).is_none())
    }

    /// Whom of these accounts, which the base does not place, a draft would have looked for elsewhere.
    fn pins_among(&self, accounts: &[Entry], deciding: &Deciding, draft: &Draft) -> Result<Vec<Pin>, EngineError> {
        let Deciding { mut now, mut changed } = deciding.clone();
        for account in accounts {
            now.put(account);
            changed.put(account);
            let key = format!("{}{}", PlacementRecord::PREFIX, path_of(account, AccountRecord::PREFIX));
            if let Some(held) = self.layer.read(&key)? {
                now.put(&held);
            }
            if let Some(held) = draft.compared.read(&key) {
                changed.put(&held);
            }
        }
        Ok(now.pins_of_all(&changed))
    }
}

/// The accounts that are seen and that the base does not place, in the order of their keys: both kinds are read side by
/// side.
struct Unplaced<'e> {
    accounts: Entries<'e>,
    placements: Entries<'e>,
    placed: Option<Entry>,
}

impl<'e> Unplaced<'e> {
    async fn of(seen: &'e dyn Engine, base: &'e dyn Engine) -> Result<Self, EngineError> {
        let mut placements = Entries::of(base, PlacementRecord::PREFIX);
        let placed = placements.next().await?;
        Ok(Self { accounts: Entries::of(seen, AccountRecord::PREFIX), placements, placed })
    }

    async fn next(&mut self) -> Result<Option<Entry>, EngineError> {
        while let Some(account) = self.accounts.next().await? {
            let path = path_of(&account, AccountRecord::PREFIX);
            while self.placed.as_ref().is_some_and(|placed| path_of(placed, PlacementRecord::PREFIX) < path) {
                self.placed = self.placements.next().await?;
            }
            if self.placed.as_ref().is_none_or(|placed| path_of(placed, PlacementRecord::PREFIX) != path) {
                return Ok(Some(account));
            }
        }
        Ok(None)
    }
}

/// The entries of a prefix, page by page.
struct Entries<'e> {
    engine: &'e dyn Engine,
    prefix: &'static str,
    page: VecDeque<Entry>,
    /// The last key of the page, where there are more.
    after: Option<String>,
    is_begun: bool,
}

impl<'e> Entries<'e> {
    fn of(engine: &'e dyn Engine, prefix: &'static str) -> Self {
        Self { engine, prefix, page: VecDeque::new(), after: None, is_begun: false }
    }

    async fn next(&mut self) -> Result<Option<Entry>, EngineError> {
        while self.page.is_empty() && (self.after.is_some() || !self.is_begun) {
            let range = Range { prefix: self.prefix, after: self.after.as_deref(), limit: PAGE_ENTRIES };
            let page = self.engine.range(range).await?;
            self.after = page.entries.last().filter(|_| page.more).map(|last| last.key.clone());
            (self.page, self.is_begun) = (page.entries.into(), true);
            let_others_run().await;
        }
        Ok(self.page.pop_front())
    }
}

fn path_of<'k>(entry: &'k Entry, prefix: &str) -> &'k str {
    entry.key.strip_prefix(prefix).unwrap_or(&entry.key)
}

/// The changes of keys with that prefix: there may be millions, in the order of keys, and nobody looks at all of them here.
fn of_prefix<'c>(changes: &'c [Differing], prefix: &str) -> &'c [Differing] {
    let first = changes.partition_point(|change| change.key() < prefix);
    let rest = changes.get(first..).unwrap_or_default();
    let count = rest.partition_point(|change| change.key().starts_with(prefix));
    rest.get(..count).unwrap_or_default()
}

/// Records that decide where many accounts are.
const DECIDE_FOR_MANY: [&str; 2] = [RuleRecord::PREFIX, DomainRecord::PREFIX];
/// Changed placements that are looked at one by one; of more, reading everything is less work.
const LOOK_UPS_MAX: usize = 1_000;
/// Accounts compared at once.
const BATCH_ACCOUNTS: usize = 5_000;
/// Entries read at once.
const PAGE_ENTRIES: usize = 5_000;
