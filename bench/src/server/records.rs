//! What Posthouse's directory holds: written before the server starts, since how quickly accounts are made is not what is measured.

use super::{DOMAIN, user};
use crate::message::Chance;
use anyhow::{Context, Result, bail};
use directory::engine::{Commit, Engine, Transaction};
use directory::file::{Secrets, collect, encode};
use directory::{
    AccountRecord, AccountsPolicy, DomainRecord, NodeRecord, PasswordHash, PlacementRecord, Record, SecretRecord,
    SiteRecord, StoreRecord,
};
use kv::EmbeddedEngine;
use mail_types::{AccountId, Address, Domain};
use std::fs;
use std::path::Path;

/// A directory that is made.
pub(super) struct Records {
    engine: EmbeddedEngine,
}

impl Records {
    /// Makes it with accounts that take the stores in turns; the first store is the default.
    pub(super) async fn make(
        folder: &Path,
        nodes: &[NodeRecord],
        stores: &[StoreRecord],
        accounts: usize,
        stored: &str,
    ) -> Result<Self> {
        fs::create_dir_all(folder).context("making the directory's folder")?;
        let records = Self { engine: EmbeddedEngine::open(&folder.join("directory.redb"))? };
        let default_store = stores.first().map(|store| store.name.clone());
        let mut first = put(Transaction::default(), &SiteRecord { default_store, ..SiteRecord::default() });
        first = nodes.iter().fold(first, put);
        first = stores.iter().fold(first, put);
        records.commit(put(first, &DomainRecord::new(Domain::parse(DOMAIN)?))).await?;
        let mut chance = Chance::new(3);
        for from in (0..accounts).step_by(ACCOUNTS_AT_ONCE) {
            let mut batch = Transaction::default();
            for number in from..accounts.min(from + ACCOUNTS_AT_ONCE) {
                batch = account(batch, number, stores, stored, &mut chance)?;
            }
            records.commit(batch).await?;
        }
        Ok(records)
    }

    /// Makes it without accounts: each domain has a back-end of another make, which decides who there is.
    pub(super) async fn fronting(folder: &Path, domains: Vec<(Domain, StoreRecord)>) -> Result<Self> {
        fs::create_dir_all(folder).context("making the directory's folder")?;
        let records = Self { engine: EmbeddedEngine::open(&folder.join("directory.redb"))? };
        let mut batch = put(Transaction::default(), &SiteRecord::default());
        for (name, store) in domains {
            let default_store = Some(store.name.clone());
            let domain = DomainRecord { accounts: AccountsPolicy::Unchecked, default_store, ..DomainRecord::new(name) };
            batch = put(put(batch, &store), &domain);
        }
        records.commit(batch).await?;
        Ok(records)
    }

    /// Adds a domain whose accounts' passwords it has itself, with a back-end of another make.
    pub(super) async fn checking(&self, store: StoreRecord, accounts: &[Address], stored: &str) -> Result<()> {
        let mut batch = put(Transaction::default(), &store);
        let mut chance = Chance::new(4);
        if let Some(first) = accounts.first() {
            let default_store = Some(store.name.clone());
            batch = put(batch, &DomainRecord { default_store, ..DomainRecord::new(first.domain().clone()) });
        }
        for address in accounts {
            batch = with_password(batch, address, stored, &mut chance)?;
        }
        self.commit(batch).await
    }

    /// Writes them to a file that other nodes read.
    pub(super) async fn export(&self, file: &Path) -> Result<()> {
        let entries = collect(&self.engine, Secrets::Included).await?;
        fs::write(file, encode(&entries, Secrets::Included)?).context("writing the directory's file")
    }

    async fn commit(&self, transaction: Transaction) -> Result<()> {
        match self.engine.commit(transaction).await? {
            Commit::Done(_) => Ok(()),
            Commit::Conflict { key } => bail!("{key} was there already"),
        }
    }
}

fn account(
    batch: Transaction,
    number: usize,
    stores: &[StoreRecord],
    stored: &str,
    chance: &mut Chance,
) -> Result<Transaction> {
    let address = Address::parse(&user(number))?;
    let batch = with_password(batch, &address, stored, chance)?;
    // The default store needs no placement.
    let store = stores.get(number % stores.len().max(1)).filter(|_| stores.len() > 1);
    Ok(match store {
        Some(store) => put(batch, &PlacementRecord { address, store: store.name.clone(), user: None }),
        None => batch,
    })
}

/// An account and its password.
fn with_password(batch: Transaction, address: &Address, stored: &str, chance: &mut Chance) -> Result<Transaction> {
    let id = u128::from(chance.next()) << 64 | u128::from(chance.next());
    let passwords = vec![PasswordHash::parse(stored)?];
    let batch = put(batch, &AccountRecord::new(address.clone(), AccountId::from_bytes(id.to_be_bytes())));
    Ok(put(batch, &SecretRecord { address: address.clone(), passwords }))
}

fn put(transaction: Transaction, record: &impl Record) -> Transaction {
    transaction.put(record.key(), record.encode())
}

/// Three records each at most, in a transaction of at most 128.
const ACCOUNTS_AT_ONCE: usize = 40;
