//! Stores and nodes.

use super::{EditError, Editor, name_of, put_over};
use crate::engine::{Revision, Transaction};
use crate::nearest::nearest;
use crate::record::{NodeRecord, PlacementRecord, Record, StoreKind, StoreRecord};
use mail_types::{NodeName, StoreName};

impl Editor<'_> {
    /// Makes a store.
    pub async fn add_store(&self, store: &StoreRecord) -> Result<Revision, EditError> {
        self.add(store, Transaction::default()).await
    }

    /// Refuses a store of a node that nobody knows: neither a record nor another store names it, and it is not `own`, the
    /// node that is asked. A node that runs alone has no record, and enters its stores itself when it starts.
    pub async fn refuse_unknown_node(&self, store: &StoreRecord, own: &str) -> Result<(), EditError> {
        let StoreKind::Posthouse { node: wanted } = &store.kind else { return Ok(()) };
        let mut known = vec![own.to_owned()];
        self.each(NodeRecord::PREFIX, |entry| known.push(name_of::<NodeRecord>(&entry.key))).await?;
        let routing = self.rules_and_stores().await?;
        known.extend(routing.stores().filter_map(|store| match &store.kind {
            StoreKind::Posthouse { node } => Some(node.to_string()),
            StoreKind::Foreign { .. } => None,
        }));
        if known.iter().any(|name| name == wanted.as_str()) {
            return Ok(());
        }
        let nearest = nearest(wanted.as_str(), known.iter().map(String::as_str)).map(str::to_owned);
        Err(EditError::NotFound { kind: NodeRecord::KIND, name: wanted.to_string(), nearest })
    }

    /// Changes a store that was read at revision `seen`.
    pub async fn set_store(&self, store: &StoreRecord, seen: Revision) -> Result<Revision, EditError> {
        self.commit(put_over(Transaction::default(), store, seen)?).await
    }

    /// Removes a store that no placement, rule or default names.
    pub async fn remove_store(&self, name: &StoreName) -> Result<Revision, EditError> {
        let shown = self.show::<StoreRecord>(name.as_str()).await?;
        let closed = StoreRecord { closed: true, ..shown.record };
        // From here on nothing new can refer to it, so what is found now is all there is.
        let revision = self.commit(put_over(Transaction::default(), &closed, shown.revision)?).await?;
        match self.user_of_store(name).await? {
            None => self.commit(Transaction::default().expect(closed.key(), revision).delete(closed.key())).await,
            Some(by) => {
                let open = StoreRecord { closed: false, ..closed };
                self.commit(put_over(Transaction::default(), &open, revision)?).await?;
                Err(EditError::InUse { kind: StoreRecord::KIND, name: name.to_string(), by })
            }
        }
    }

    /// Makes a node known.
    pub async fn add_node(&self, node: &NodeRecord) -> Result<Revision, EditError> {
        self.add(node, Transaction::default()).await
    }

    /// Changes a node that was read at revision `seen`.
    pub async fn set_node(&self, node: &NodeRecord, seen: Revision) -> Result<Revision, EditError> {
        self.commit(put_over(Transaction::default(), node, seen)?).await
    }

    /// Makes or replaces a node's record: a node writes its own when it starts.
    pub async fn put_node(&self, node: &NodeRecord) -> Result<Revision, EditError> {
        let seen = self.revision_of(&node.key()).await?;
        self.commit(put_over(Transaction::default(), node, seen)?).await
    }

    /// Removes a node that serves no store.
    pub async fn remove_node(&self, name: &NodeName) -> Result<Revision, EditError> {
        let shown = self.show::<NodeRecord>(name.as_str()).await?;
        let routing = self.rules_and_stores().await?;
        let serves = |store: &&StoreRecord| match &store.kind {
            StoreKind::Posthouse { node } => node == name,
            StoreKind::Foreign { .. } => false,
        };
        if let Some(store) = routing.stores().find(serves) {
            let by = format!("store {}", store.name);
            return Err(EditError::InUse { kind: NodeRecord::KIND, name: name.to_string(), by });
        }
        let key = shown.record.key();
        self.commit(Transaction::default().expect(&key, shown.revision).delete(key)).await
    }

    async fn user_of_store(&self, name: &StoreName) -> Result<Option<String>, EditError> {
        let routing = self.rules_and_stores().await?;
        if let Some(rule) = routing.rules().find(|rule| rule.stores().contains(&name)) {
            return Ok(Some(format!("rule {}", rule.name)));
        }
        if let Some(domain) = routing.domains().find(|domain| domain.default_store.as_ref() == Some(name)) {
            return Ok(Some(format!("domain {}", domain.name)));
        }
        if routing.site().default_store.as_ref() == Some(name) {
            return Ok(Some("the site, as its default".to_owned()));
        }
        let (mut first, mut count) = (None, 0usize);
        self.each(PlacementRecord::PREFIX, |entry| match PlacementRecord::decode(&entry.value) {
            Ok(placement) if placement.store != *name => {}
            // A placement that cannot be read might be one of this store.
            Ok(_) | Err(_) => {
                count += 1;
                first.get_or_insert_with(|| entry.key.trim_start_matches(PlacementRecord::PREFIX).to_owned());
            }
        })
        .await?;
        Ok(first.map(|first| match count {
            1 => format!("placement {first}"),
            more => format!("{more} placements, the first {first}"),
        }))
    }
}
