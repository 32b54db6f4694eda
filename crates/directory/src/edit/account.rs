//! Accounts: made where the rules say, renamed with everything that is theirs.

use super::placement::Seen;
use super::{EditError, Editor, Shown, put_new, put_over};
use crate::engine::{EngineError, Revision, Transaction};
use crate::explain::Steps;
use crate::key::AddressKey;
use crate::record::{AccountRecord, AliasRecord, PasswordHash, PlacementRecord, Record, SecretRecord, address_key};
use crate::reply::Reply;
use mail_types::{Address, StoreName};

/// An account to make.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its record; the id is drawn by the caller.
    pub account: AccountRecord,
    /// Its password hashes.
    pub passwords: Vec<PasswordHash>,
    /// Where it shall be; `None` leaves it to its placement if it has one, and to the rules.
    pub store: Option<StoreName>,
}

/// An account that was made.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Where it is; written as its placement.
    pub store: StoreName,
    /// Why there.
    pub steps: Steps,
    /// The commit that made it.
    pub revision: Revision,
}

impl Editor<'_> {
    /// Makes an account, with its password hashes and its placement.
    pub async fn add_account(&self, new: &NewAccount) -> Result<Placed, EditError> {
        let address = &new.account.address;
        let (domain, domain_revision) = self.open_domain(address.domain()).await?;
        self.refuse_taken(address).await?;
        let placement = self.placement_of(address).await?;
        let (store, steps) = self.choose_store(new, &placement).await?;
        let secret = SecretRecord { address: address.clone(), passwords: new.passwords.clone() };
        let mut commit = Transaction::default()
            .expect(domain, domain_revision)
            .expect(address_key(AliasRecord::PREFIX, address), Revision::ZERO);
        commit = self.expect_stores(commit, [&store]).await?;
        commit = put_new(put_new(commit, &new.account)?, &secret)?;
        commit = match placement {
            // What the map already says stays, with the name that a back-end knows its user by.
            Seen::Kept(Shown { record, revision }) => commit.expect(record.key(), revision),
            Seen::Live(Shown { record, revision }) => put_over(commit, &record, revision)?,
            Seen::Nothing => {
                put_new(commit, &PlacementRecord { address: address.clone(), store: store.clone(), user: None })?
            }
        };
        let revision = self.commit(commit).await?;
        Ok(Placed { store, steps, revision })
    }

    /// Changes an account that was read at revision `seen`. Its address and id stay; see
    /// [`Editor::rename_account`].
    pub async fn set_account(&self, account: &AccountRecord, seen: Revision) -> Result<Revision, EditError> {
        let shown = self.show::<AccountRecord>(&account.address.to_string()).await?;
        if shown.record.id != account.id {
            return Err(crate::RecordError::field("id", "an account keeps its id").into());
        }
        self.commit(put_over(Transaction::default(), account, seen)?).await
    }

    /// Replaces the password hashes of an account.
    pub async fn set_passwords(&self, address: &Address, passwords: Vec<PasswordHash>) -> Result<Revision, EditError> {
        let account = self.show::<AccountRecord>(&address.to_string()).await?;
        let secret = SecretRecord { address: account.record.address.clone(), passwords };
        let seen = self.revision_of(&secret.key()).await?;
        // The account is held: hashes never outlive it.
        let commit = Transaction::default().expect(account.record.key(), account.revision);
        self.commit(put_over(commit, &secret, seen)?).await
    }

    /// Gives an account another address, also in another domain. Its id, its passwords and its store stay.
    pub async fn rename_account(&self, from: &Address, to: &Address) -> Result<Revision, EditError> {
        let old = self.show::<AccountRecord>(&from.to_string()).await?;
        let (domain, domain_revision) = self.open_domain(to.domain()).await?;
        let (placement, other) = (self.placement_of(from).await?, self.placement_of(to).await?);
        let secret = self.read::<SecretRecord>(&address_key(SecretRecord::PREFIX, from)).await?;
        let renamed = AccountRecord { address: to.clone(), ..old.record };
        if AddressKey::of(from) == AddressKey::of(to) {
            // Only the spelling changes.
            return self.commit(put_over(Transaction::default(), &renamed, old.revision)?).await;
        }
        self.refuse_taken(to).await?;
        let mut commit = Transaction::default()
            .expect(domain, domain_revision)
            .expect(address_key(AliasRecord::PREFIX, to), Revision::ZERO);
        commit = put_new(commit, &renamed)?;
        commit = commit.expect(key_of(from), old.revision).delete(key_of(from));
        // The account stays where it is, whatever the rules say of its new name.
        let (store, user) = match &placement {
            Seen::Kept(shown) | Seen::Live(shown) => (shown.record.store.clone(), shown.record.user.clone()),
            Seen::Nothing => (self.home(from).await?.0, None),
        };
        let placed = PlacementRecord { address: to.clone(), store, user };
        commit = match other {
            Seen::Live(shown) => put_over(commit, &placed, shown.revision)?,
            Seen::Kept(_) | Seen::Nothing => put_new(commit, &placed)?,
        };
        commit = match placement {
            Seen::Kept(shown) => commit.expect(shown.record.key(), shown.revision).delete(shown.record.key()),
            // The line stays, for an address that nobody has.
            Seen::Live(shown) => commit.expect(shown.record.key(), shown.revision),
            Seen::Nothing => commit,
        };
        if let Some(shown) = secret {
            commit = commit.expect(shown.record.key(), shown.revision).delete(shown.record.key());
            commit = put_new(commit, &SecretRecord { address: to.clone(), ..shown.record })?;
        }
        self.commit(commit).await
    }

    /// Removes an account, its password hashes and its placement. What its store holds is the store's to remove.
    pub async fn remove_account(&self, address: &Address) -> Result<Revision, EditError> {
        let account = self.show::<AccountRecord>(&address.to_string()).await?;
        let mut commit = Transaction::default().expect(account.record.key(), account.revision);
        for key in [account.record.key(), placement_key(address), address_key(SecretRecord::PREFIX, address)] {
            commit = commit.delete(key);
        }
        self.commit(commit).await
    }

    /// Refuses an address that an account or alias has, in whatever spelling.
    pub(super) async fn refuse_taken(&self, address: &Address) -> Result<(), EditError> {
        if let Some(shown) = self.read::<AccountRecord>(&key_of(address)).await? {
            let name = shown.record.address.to_string();
            return Err(EditError::Taken { kind: AccountRecord::KIND, name });
        }
        if let Some(shown) = self.read::<AliasRecord>(&address_key(AliasRecord::PREFIX, address)).await? {
            let name = shown.record.address.to_string();
            return Err(EditError::Taken { kind: AliasRecord::KIND, name });
        }
        Ok(())
    }

    async fn choose_store(&self, new: &NewAccount, placement: &Seen) -> Result<(StoreName, Steps), EditError> {
        let address = &new.account.address;
        match (&new.store, placement) {
            (Some(wanted), Seen::Kept(Shown { record, .. }) | Seen::Live(Shown { record, .. }))
                if *wanted != record.store =>
            {
                Err(EditError::PlacedElsewhere { address: address.clone(), store: record.store.clone() })
            }
            (Some(wanted), _) => Ok((wanted.clone(), Steps::new())),
            (None, _) => self.home(address).await,
        }
    }

    /// Where an address is by its placement, else by the rules, and why.
    pub(super) async fn home(&self, address: &Address) -> Result<(StoreName, Steps), EditError> {
        let mut routing = self.rules_and_stores().await?;
        if let Some(entry) = self.engine.get(&placement_key(address)).await? {
            routing.put(&entry);
        }
        let mut steps = Steps::new();
        match routing.place_new_account(address, &mut steps) {
            Ok(store) => Ok((store, steps)),
            Err(Reply::DIRECTORY_UNAVAILABLE) if routing.unread_map().is_some() => {
                let why = "a map that is read live, and may place this account, could not be read yet; see status";
                Err(EngineError::Unavailable { why: why.to_owned(), source: None }.into())
            }
            Err(Reply::DIRECTORY_UNAVAILABLE) => {
                let why = format!("a rule or a record of {address} cannot be read");
                Err(EngineError::Damaged { why }.into())
            }
            Err(_) => Err(EditError::NoStore { address: address.clone() }),
        }
    }
}

pub(super) fn key_of(address: &Address) -> String {
    address_key(AccountRecord::PREFIX, address)
}

pub(super) fn placement_key(address: &Address) -> String {
    address_key(PlacementRecord::PREFIX, address)
}
