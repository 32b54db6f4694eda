//! A store of this process is a function call; every other one is asked over the net.

use mail_types::StoreName;
use pop3_proto::Mode;
use ports::{
    BoxFuture, Delivery, DeliveryTransaction, Envelope, ImapHandover, LoggedIn, Pop3Handover, SessionHandover,
    Unavailable,
};
use smtp_proto::Refusal;
use std::sync::Arc;

/// Two ways to a store, and which of them it is. Cloning it copies pointers.
pub struct HereOrThere<T: ?Sized> {
    is_here: Arc<dyn Fn(&StoreName) -> bool + Send + Sync>,
    here: Arc<T>,
    there: Arc<T>,
}

impl<T: ?Sized> HereOrThere<T> {
    /// `here` for the stores for which `is_here` holds, `there` for all others. It is asked each time, so that a store may
    /// come and go while the program runs.
    pub fn new(is_here: impl Fn(&StoreName) -> bool + Send + Sync + 'static, here: Arc<T>, there: Arc<T>) -> Self {
        Self { is_here: Arc::new(is_here), here, there }
    }

    fn at(&self, store: &StoreName) -> &T {
        if (self.is_here)(store) { &self.here } else { &self.there }
    }
}

impl<T: ?Sized> Clone for HereOrThere<T> {
    fn clone(&self) -> Self {
        let Self { is_here, here, there } = self;
        Self { is_here: Arc::clone(is_here), here: Arc::clone(here), there: Arc::clone(there) }
    }
}

impl SessionHandover for HereOrThere<dyn SessionHandover> {
    fn imap<'a>(&'a self, store: &'a StoreName, who: LoggedIn) -> BoxFuture<'a, Result<ImapHandover, Unavailable>> {
        self.at(store).imap(store, who)
    }

    fn pop3<'a>(
        &'a self,
        store: &'a StoreName,
        who: LoggedIn,
        mode: Mode,
    ) -> BoxFuture<'a, Result<Option<Pop3Handover>, Unavailable>> {
        self.at(store).pop3(store, who, mode)
    }
}

impl Delivery for HereOrThere<dyn Delivery> {
    fn open<'a>(
        &'a self,
        store: &'a StoreName,
        envelope: Envelope,
    ) -> BoxFuture<'a, Result<Box<dyn DeliveryTransaction>, Refusal>> {
        self.at(store).open(store, envelope)
    }

    fn trouble(&self, store: &StoreName) -> Option<String> {
        self.at(store).trouble(store)
    }
}
