//! What operators do to the records: each operation reads, checks, and writes in one compare-and-swap transaction.
//!
//! Whoever changes a record says which revision of it he saw ([`Shown`]); if it is another by now, he gets
//! [`EditError::Conflict`] and looks again. References are kept whole: an account names the domain that it was checked
//! against and a placement its store, by revision, so that neither can vanish between the check and the write.

mod account;
mod leads;
mod placement;
mod rules;
mod store;

pub use account::{NewAccount, Placed};
pub(crate) use placement::Seen;
pub use placement::{AssumeEmpty, Behind, MailBehind};
pub use rules::RuleChange;

use crate::engine::{Commit, Engine, EngineError, Entry, Range, Revision, Transaction};
use crate::key::ROUTING_PREFIX;
use crate::nearest::nearest;
use crate::overlay::UNREAD_PREFIX;
use crate::record::{AliasRecord, DomainRecord, NodeRecord, Record, RecordError, RuleRecord, SiteRecord, StoreRecord};
use crate::routing::Routing;
use mail_types::{Address, Domain, StoreName};

/// The operations of an operator, over any engine.
#[derive(Clone, Copy)]
pub struct Editor<'e> {
    engine: &'e dyn Engine,
}

/// A record with the revision it was read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown<R> {
    /// The record.
    pub record: R,
    /// Which commit wrote it last: what a change of it must name.
    pub revision: Revision,
}

/// A page of records.
#[derive(Debug)]
pub struct Listing<R> {
    /// The records, in the order of their keys.
    pub records: Vec<Shown<R>>,
    /// Keys whose values cannot be read, and why.
    pub unreadable: Vec<(String, RecordError)>,
    /// Where the next page starts.
    pub next: Option<String>,
}

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is no such record.
    #[error("there is no {kind} {name}{}", meant(nearest))]
    NotFound {
        /// What was looked for.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The name that was probably meant.
        nearest: Option<String>,
    },
    /// There is one already; of an address, also one that differs in case or Unicode form only.
    #[error("there is already {kind} {name}")]
    Taken {
        /// What is there.
        kind: &'static str,
        /// Its name as it was written.
        name: String,
    },
    /// It is being removed, so nothing new may refer to it.
    #[error("{kind} {name} is being removed")]
    Closing {
        /// What is being removed.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Something refers to it.
    #[error("{kind} {name} is in use by {by}")]
    InUse {
        /// What was to be removed.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Who refers to it.
        by: String,
    },
    /// Mail for it would go round until it bounces.
    #[error("this makes a loop: {way}")]
    Loop {
        /// The names, each leading to the next, the first at the end again.
        way: String,
    },
    /// A placement would lose the mail behind it: that takes a move.
    #[error("{address} has mail at store {store} and cannot be placed elsewhere")]
    MailBehind {
        /// The address.
        address: Address,
        /// Where its mail is.
        store: StoreName,
    },
    /// A new account shall be elsewhere than its placement says.
    #[error("{address} is placed at store {store}; leave --store out, or change or remove the placement first")]
    PlacedElsewhere {
        /// The address.
        address: Address,
        /// Where its placement says.
        store: StoreName,
    },
    /// Nobody can say whether there is mail behind a placement.
    #[error("store {store} does not answer whether {address} has mail there")]
    StoreSilent {
        /// The address.
        address: Address,
        /// The store that was asked.
        store: StoreName,
    },
    /// No rule gives the account a store.
    #[error("no placement, rule or default gives {address} a store")]
    NoStore {
        /// The address.
        address: Address,
    },
    /// A record holds what it may not.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Somebody else changed this key since it was read: look again.
    #[error("{key} was changed meanwhile; look again")]
    Conflict {
        /// The key.
        key: String,
    },
    /// The engine could not do its work.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

fn meant(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

impl<'e> Editor<'e> {
    /// Edits what `engine` keeps.
    pub fn new(engine: &'e dyn Engine) -> Self {
        Self { engine }
    }

    /// The record of that name (an address, a domain, a store …; of the site, any text).
    pub async fn show<R: Record>(&self, name: &str) -> Result<Shown<R>, EditError> {
        match self.read(&R::key_for(name)?).await? {
            Some(shown) => Ok(shown),
            None => {
                Err(EditError::NotFound { kind: R::KIND, name: name.to_owned(), nearest: self.meant::<R>(name).await? })
            }
        }
    }

    /// What the directory has under that name itself, whatever maps say of it that are read live.
    pub(crate) async fn own<R: Record>(&self, name: &str) -> Result<Option<R>, EditError> {
        let Some(entry) = self.engine.own(&R::key_for(name)?).await? else { return Ok(None) };
        Ok(Some(R::decode(&entry.value)?))
    }

    /// The record of that name, if there is one.
    pub async fn find<R: Record>(&self, name: &str) -> Result<Option<Shown<R>>, EditError> {
        self.read(&R::key_for(name)?).await
    }

    /// A page of records of one kind; `within` keeps to the addresses of a domain. `after` is [`Listing::next`] of
    /// the page before.
    pub async fn list<R: Record>(
        &self,
        within: Option<&Domain>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing<R>, EditError> {
        let prefix = within.map_or_else(|| R::PREFIX.to_owned(), |domain| format!("{}{domain}/", R::PREFIX));
        let page = self.engine.range(Range { prefix: &prefix, after, limit }).await?;
        let next = page.entries.last().filter(|_| page.more).map(|entry| entry.key.clone());
        let mut listing = Listing { records: Vec::with_capacity(page.entries.len()), unreadable: Vec::new(), next };
        for entry in page.entries {
            match R::decode(&entry.value) {
                Ok(record) => listing.records.push(Shown { record, revision: entry.revision }),
                Err(error) => listing.unreadable.push((entry.key, error)),
            }
        }
        Ok(listing)
    }

    /// Makes an alias.
    pub async fn add_alias(&self, alias: &AliasRecord) -> Result<Revision, EditError> {
        let (domain, domain_revision) = self.open_domain(alias.address.domain()).await?;
        self.refuse_taken(&alias.address).await?;
        let commit = Transaction::default()
            .expect(domain, domain_revision)
            .expect(account::key_of(&alias.address), Revision::ZERO);
        self.commit(put_new(commit, alias)?).await
    }

    /// Changes an alias that was read at revision `seen`.
    pub async fn set_alias(&self, alias: &AliasRecord, seen: Revision) -> Result<Revision, EditError> {
        self.commit(put_over(Transaction::default(), alias, seen)?).await
    }

    /// Removes an alias.
    pub async fn remove_alias(&self, address: &Address) -> Result<Revision, EditError> {
        let shown = self.show::<AliasRecord>(&address.to_string()).await?;
        let key = shown.record.key();
        self.commit(Transaction::default().expect(&key, shown.revision).delete(key)).await
    }

    /// Everything that routing holds, as the engine has it now.
    pub async fn routing(&self) -> Result<Routing, EditError> {
        let mut routing = Routing::default();
        let revision = self.each(ROUTING_PREFIX, |entry| routing.put(entry)).await?;
        routing.loaded(revision);
        Ok(routing)
    }

    /// What rules need: everything but names.
    pub async fn rules_and_stores(&self) -> Result<Routing, EditError> {
        let mut routing = Routing::default();
        let mut first = None;
        let records = [SiteRecord::PREFIX, DomainRecord::PREFIX, RuleRecord::PREFIX, StoreRecord::PREFIX];
        for prefix in records.into_iter().chain([UNREAD_PREFIX]) {
            let revision = self.each(prefix, |entry| routing.put(entry)).await?;
            first.get_or_insert(revision);
        }
        routing.loaded(first.unwrap_or_default());
        Ok(routing)
    }

    /// Gives every entry of a prefix to `take`; gives the revision of the first page.
    async fn each(&self, prefix: &str, mut take: impl FnMut(&Entry)) -> Result<Revision, EditError> {
        let (mut after, mut first) = (None::<String>, None);
        loop {
            let page = self.engine.range(Range { prefix, after: after.as_deref(), limit: PAGE_ENTRIES }).await?;
            first.get_or_insert(page.revision);
            page.entries.iter().for_each(&mut take);
            match page.entries.last() {
                Some(last) if page.more => after = Some(last.key.clone()),
                Some(_) | None => return Ok(first.unwrap_or_default()),
            }
        }
    }

    async fn read<R: Record>(&self, key: &str) -> Result<Option<Shown<R>>, EditError> {
        let Some(entry) = self.engine.get(key).await? else { return Ok(None) };
        Ok(Some(Shown { record: R::decode(&entry.value)?, revision: entry.revision }))
    }

    /// The revision of a key, [`Revision::ZERO`] where there is none.
    async fn revision_of(&self, key: &str) -> Result<Revision, EditError> {
        Ok(self.engine.get(key).await?.map_or(Revision::ZERO, |entry| entry.revision))
    }

    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<Revision, EditError> {
        match self.engine.commit(transaction).await? {
            Commit::Done(revision) => Ok(revision),
            Commit::Conflict { key } => Err(EditError::Conflict { key }),
        }
    }

    /// Whether a commit would be refused, whatever else it meets.
    pub(crate) async fn may_commit(&self, transaction: &Transaction) -> Result<(), EditError> {
        Ok(self.engine.may_commit(transaction).await?)
    }

    /// Adds a record whose key is new.
    async fn add<R: Record>(&self, record: &R, commit: Transaction) -> Result<Revision, EditError> {
        if self.revision_of(&record.key()).await? != Revision::ZERO {
            return Err(EditError::Taken { kind: R::KIND, name: name_of::<R>(&record.key()) });
        }
        self.commit(put_new(commit, record)?).await
    }

    /// A domain of ours that takes new addresses: its key and revision.
    pub(crate) async fn open_domain(&self, name: &Domain) -> Result<(String, Revision), EditError> {
        let shown = self.show::<DomainRecord>(name.as_str()).await?;
        if shown.record.closed {
            return Err(EditError::Closing { kind: DomainRecord::KIND, name: name.to_string() });
        }
        Ok((shown.record.key(), shown.revision))
    }

    /// A store that takes new accounts: its key and revision.
    pub(crate) async fn open_store(&self, name: &StoreName) -> Result<(String, Revision), EditError> {
        let shown = self.show::<StoreRecord>(name.as_str()).await?;
        if shown.record.closed {
            return Err(EditError::Closing { kind: StoreRecord::KIND, name: name.to_string() });
        }
        Ok((shown.record.key(), shown.revision))
    }

    /// Expects each of these stores to stay as it is, and to be open.
    async fn expect_stores<'s>(
        &self,
        mut commit: Transaction,
        stores: impl IntoIterator<Item = &'s StoreName>,
    ) -> Result<Transaction, EditError> {
        for store in stores {
            let (key, revision) = self.open_store(store).await?;
            // A rule may name more stores than a transaction has room for; the first hundred are held.
            if commit.expected.len() < STORES_HELD_MAX {
                commit = commit.expect(key, revision);
            }
        }
        Ok(commit)
    }

    /// The known name of a kind that was probably meant. Addresses are too many to compare.
    async fn meant<R: Record>(&self, name: &str) -> Result<Option<String>, EditError> {
        let few = [DomainRecord::KIND, StoreRecord::KIND, RuleRecord::KIND, NodeRecord::KIND];
        if !few.contains(&R::KIND) {
            return Ok(None);
        }
        let mut names = Vec::new();
        self.each(R::PREFIX, |entry| names.push(name_of::<R>(&entry.key))).await?;
        Ok(nearest(name, names.iter().map(String::as_str)).map(str::to_owned))
    }
}

/// What a key calls its record.
fn name_of<R: Record>(key: &str) -> String {
    key.strip_prefix(R::PREFIX).unwrap_or(key).to_owned()
}

/// Writes a record that must be new.
fn put_new<R: Record>(commit: Transaction, record: &R) -> Result<Transaction, EditError> {
    put_over(commit, record, Revision::ZERO)
}

/// Writes a record over the one of revision `seen`.
fn put_over<R: Record>(commit: Transaction, record: &R, seen: Revision) -> Result<Transaction, EditError> {
    record.check()?;
    let key = record.key();
    Ok(commit.expect(key.clone(), seen).put(key, record.encode()))
}

/// Entries read at once.
const PAGE_ENTRIES: usize = 5_000;
/// Leaves room for the other expectations of a transaction.
const STORES_HELD_MAX: usize = 100;
