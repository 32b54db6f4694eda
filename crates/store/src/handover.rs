//! The stores of this process, for a proxy and a relay that run beside them: a hand-over is a function call.

use crate::delivery::Transaction;
use crate::engine::{Refusal, Store};
use crate::imap::ImapSession;
use crate::pop3::{Maildrops, Pop3Session};
use imap_proto::capability::Support;
use mail_types::StoreName;
use pop3_proto::Mode;
use ports::{
    BoxFuture, Delivery, DeliveryTransaction, Envelope, Handover, ImapHandover, LoggedIn, Pop3Handover,
    SessionHandover, Unavailable,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

/// Stores by name. One that is not among them is not available here, which says nothing about its accounts.
pub struct LocalStores {
    stores: BTreeMap<StoreName, Local>,
    /// Whether a store is ours to serve, as the directory has it now.
    owns: Owns,
}

/// Says whether a store is ours to serve. Clones share it.
#[derive(Clone)]
pub(crate) struct Owns(Arc<dyn Fn(&StoreName) -> bool + Send + Sync>);

impl Owns {
    pub(crate) fn says(&self, store: &StoreName) -> bool {
        (self.0)(store)
    }
}

/// One store, and who holds which of its maildrops.
struct Local {
    store: Arc<Store>,
    maildrops: Arc<Maildrops>,
}

/// What IMAP sessions of these stores can do, for who tells it before the login. SASL mechanisms are not theirs.
pub fn imap_support() -> Support {
    ImapSession::support()
}

impl LocalStores {
    /// These stores.
    pub fn new(stores: impl IntoIterator<Item = Arc<Store>>) -> Self {
        let local = |store: Arc<Store>| (store.name().clone(), Local { store, maildrops: Arc::default() });
        Self { stores: stores.into_iter().map(local).collect(), owns: Owns(Arc::new(|_| true)) }
    }

    /// Of these, only the ones for which `owns` holds are served: a store that the directory has given to another node may
    /// be open here still, but whoever wrote into it would write into a second copy.
    #[must_use]
    pub fn owned_where(self, owns: impl Fn(&StoreName) -> bool + Send + Sync + 'static) -> Self {
        Self { owns: Owns(Arc::new(owns)), ..self }
    }

    /// Whether a store is served here now.
    pub fn serves(&self, name: &StoreName) -> bool {
        self.local(name).is_ok()
    }

    /// A store of this process, whether it is served or not.
    pub fn store(&self, name: &StoreName) -> Option<&Arc<Store>> {
        self.stores.get(name).map(|local| &local.store)
    }

    fn local(&self, name: &StoreName) -> Result<&Local, Unavailable> {
        let unavailable = |why: &str| Unavailable { what: format!("store {name}"), why: why.to_owned() };
        let local = self.stores.get(name).ok_or_else(|| unavailable("it is not served here"))?;
        match self.owns.says(name) {
            true => Ok(local),
            false => Err(unavailable("the directory says that another node serves it")),
        }
    }
}

impl Local {
    /// Sees to it that the account is here: its user may come before its first message does.
    async fn welcome(&self, who: &LoggedIn) -> Result<(), Unavailable> {
        let made = async {
            let lsn = self.store.ensure_account(who.account, &who.address)?;
            self.store.applied_to(lsn).await.map(drop)
        };
        made.await.map_err(|refusal| self.unavailable(&refusal))
    }

    fn unavailable(&self, refusal: &Refusal) -> Unavailable {
        let mut why = refusal.to_string();
        let mut cause = refusal.source();
        while let Some(error) = cause {
            why.push_str(": ");
            why.push_str(&error.to_string());
            cause = error.source();
        }
        Unavailable { what: format!("store {}", self.store.name()), why }
    }
}

impl SessionHandover for LocalStores {
    fn imap<'a>(&'a self, store: &'a StoreName, who: LoggedIn) -> BoxFuture<'a, Result<ImapHandover, Unavailable>> {
        Box::pin(async move {
            let local = self.local(store)?;
            local.welcome(&who).await?;
            Ok(Handover::Here(Box::new(ImapSession::new(Arc::clone(&local.store), who))))
        })
    }

    fn pop3<'a>(
        &'a self,
        store: &'a StoreName,
        who: LoggedIn,
        _mode: Mode,
    ) -> BoxFuture<'a, Result<Option<Pop3Handover>, Unavailable>> {
        // The session asks its machine, to which the client said it.
        Box::pin(async move {
            let local = self.local(store)?;
            let Some(lock) = local.maildrops.lock(who.account) else { return Ok(None) };
            local.welcome(&who).await?;
            let session = Pop3Session::open(Arc::clone(&local.store), who, lock).await;
            let session = session.map_err(|refusal| local.unavailable(&refusal))?;
            Ok(Some(Handover::Here(Box::new(session))))
        })
    }
}

impl Delivery for LocalStores {
    fn open<'a>(
        &'a self,
        store: &'a StoreName,
        envelope: Envelope,
    ) -> BoxFuture<'a, Result<Box<dyn DeliveryTransaction>, smtp_proto::Refusal>> {
        Box::pin(async move {
            let local = self.local(store).map_err(|why| {
                tracing::warn!(%why, "a delivery is put off");
                smtp_proto::Refusal::TRY_LATER
            })?;
            let transaction = Transaction::new(Arc::clone(&local.store), envelope);
            Ok(Box::new(transaction.owned_where(self.owns.clone())) as Box<dyn DeliveryTransaction>)
        })
    }
}
