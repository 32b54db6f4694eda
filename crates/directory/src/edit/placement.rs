//! The per-user map. A placement with mail behind it changes by a move only.

use super::account::placement_key;
use super::{EditError, Editor, Shown, put_over};
use crate::engine::{BoxFuture, Revision, Transaction, ready};
use crate::record::{PlacementRecord, Record};
use mail_types::{Address, StoreName};

/// Knows whether a store holds mail of an address: the world asks the store, this crate only refuses.
pub trait MailBehind: Send + Sync {
    /// Whether `store` holds mail of `address`.
    fn mail_behind<'a>(&'a self, address: &'a Address, store: &'a StoreName) -> BoxFuture<'a, Behind>;
}

/// What a store said about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// It holds nothing of it.
    Nothing,
    /// It holds mail.
    Mail,
    /// It did not answer.
    Unknown,
}

/// Says that there is never mail behind a placement: for a site that is being set up, and for the last step of a move.
#[derive(Clone, Copy, Debug)]
pub struct AssumeEmpty;

impl MailBehind for AssumeEmpty {
    fn mail_behind<'a>(&'a self, _address: &'a Address, _store: &'a StoreName) -> BoxFuture<'a, Behind> {
        ready(Behind::Nothing)
    }
}

/// What is seen of an address's placement.
pub(crate) enum Seen {
    /// The directory has it.
    Kept(Shown<PlacementRecord>),
    /// A map that is read live says it, and the directory has none.
    Live(Shown<PlacementRecord>),
    /// There is none.
    Nothing,
}

impl Editor<'_> {
    /// The placement of an address, and whose it is.
    pub(crate) async fn placement_of(&self, address: &Address) -> Result<Seen, EditError> {
        let key = placement_key(address);
        let beneath = self.engine.beneath(&key)?;
        Ok(match (self.read::<PlacementRecord>(&key).await?, beneath) {
            (Some(shown), Some(beneath)) if beneath.revision == shown.revision => Seen::Live(shown),
            (Some(shown), _) => Seen::Kept(shown),
            (None, _) => Seen::Nothing,
        })
    }

    /// Whether what was read of a key at this revision is what a map says that is read live.
    pub(crate) fn is_live(&self, key: &str, seen: Revision) -> Result<bool, EditError> {
        Ok(self.engine.beneath(key)?.is_some_and(|beneath| beneath.revision == seen))
    }

    /// Places an address that has no placement of the directory's.
    pub async fn add_placement(
        &self,
        placement: &PlacementRecord,
        mail: &dyn MailBehind,
    ) -> Result<Revision, EditError> {
        let address = &placement.address;
        let seen = match self.placement_of(address).await? {
            Seen::Kept(shown) => {
                let name = format!("{address} at store {}", shown.record.store);
                return Err(EditError::Taken { kind: PlacementRecord::KIND, name });
            }
            Seen::Live(shown) => shown.revision,
            Seen::Nothing => Revision::ZERO,
        };
        let (domain, domain_revision) = self.open_domain(address.domain()).await?;
        self.refuse_re_homing(address, &placement.store, mail).await?;
        let commit = Transaction::default().expect(domain, domain_revision);
        let commit = self.expect_stores(commit, [&placement.store]).await?;
        self.commit(put_over(commit, placement, seen)?).await
    }

    /// Changes a placement that was read at revision `seen`.
    pub async fn set_placement(
        &self,
        placement: &PlacementRecord,
        seen: Revision,
        mail: &dyn MailBehind,
    ) -> Result<Revision, EditError> {
        self.refuse_re_homing(&placement.address, &placement.store, mail).await?;
        let commit = self.expect_stores(Transaction::default(), [&placement.store]).await?;
        self.commit(put_over(commit, placement, seen)?).await
    }

    /// Removes a placement: what a map says that is read live, else the rules hold for the address again.
    pub async fn remove_placement(&self, address: &Address, mail: &dyn MailBehind) -> Result<Revision, EditError> {
        let shown = self.show::<PlacementRecord>(&address.to_string()).await?;
        let key = placement_key(address);
        let mut without = self.rules_and_stores().await?;
        if let Some(beneath) = self.engine.beneath(&key)? {
            without.put(&beneath);
        }
        if without.place_new_account(address, &mut crate::Silent).as_ref() != Ok(&shown.record.store) {
            self.refuse_mail(address, &shown.record.store, mail).await?;
        }
        self.commit(Transaction::default().expect(&key, shown.revision).delete(key)).await
    }

    /// Refuses a store that is not the one where the address is now, if there is mail.
    async fn refuse_re_homing(
        &self,
        address: &Address,
        store: &StoreName,
        mail: &dyn MailBehind,
    ) -> Result<(), EditError> {
        match self.home(address).await {
            Ok((now, _)) if now != *store => self.refuse_mail(address, &now, mail).await,
            // Nowhere by the rules, or at a store that is gone: there is nothing to lose sight of.
            Ok(_) | Err(EditError::NoStore { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn refuse_mail(&self, address: &Address, store: &StoreName, mail: &dyn MailBehind) -> Result<(), EditError> {
        match mail.mail_behind(address, store).await {
            Behind::Nothing => Ok(()),
            Behind::Mail => Err(EditError::MailBehind { address: address.clone(), store: store.clone() }),
            Behind::Unknown => Err(EditError::StoreSilent { address: address.clone(), store: store.clone() }),
        }
    }
}
