//! Temporary.
use crate::Transaction;
use crate::engine::Store;
use mail_types::StoreName;
use ports::*;
use smtp_proto::Refusal;
use std::{collections::BTreeMap, sync::Arc};
/// x
pub struct LocalStores(BTreeMap<StoreName, Arc<Store>>);
impl LocalStores {
    /// x
    pub fn new(s: impl IntoIterator<Item = Arc<Store>>) -> Self {
        Self(s.into_iter().map(|s| (s.name().clone(), s)).collect())
    }
}
impl Delivery for LocalStores {
    fn open<'a>(
        &'a self,
        store: &'a StoreName,
        envelope: Envelope,
    ) -> BoxFuture<'a, Result<Box<dyn DeliveryTransaction>, Refusal>> {
        Box::pin(async move {
            match self.0.get(store) {
                Some(s) => Ok(Box::new(Transaction::new(s.clone(), envelope)) as _),
                None => Err(Refusal::TRY_LATER),
            }
        })
    }
}
impl SessionHandover for LocalStores {
    fn imap<'a>(
        &'a self,
        _: &'a StoreName,
        _: LoggedIn,
    ) -> BoxFuture<'a, Result<Box<dyn Handler<imap_proto::server::Server>>, Unavailable>> {
        Box::pin(async { Err(Unavailable { what: "".into(), why: "".into() }) })
    }
    fn pop3<'a>(
        &'a self,
        _: &'a StoreName,
        _: LoggedIn,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Handler<pop3_proto::Server>>>, Unavailable>> {
        Box::pin(async { Err(Unavailable { what: "".into(), why: "".into() }) })
    }
}
/// x
pub fn imap_support() -> imap_proto::capability::Support {
    Default::default()
}
