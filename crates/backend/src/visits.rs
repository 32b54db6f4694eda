//! Sessions at back-ends of another make: a call, a login that the back-end judges, and from then on octets pass.

mod door;
mod guest;
mod introduction;
mod offers;
#[cfg(test)]
mod tests;

pub use door::GREETING_MAX;
pub use offers::{OFFERS_ANSWER_MAX, OFFERS_ASKED_MAX};

use crate::foreign::{BackEnd, Foreign, Said};
use door::{Answer, Caught, Door, unavailable};
use guest::{Guest, Verdict};
use imap_proto::client as imap;
use introduction::{Introduction, SessionIds};
use mail_types::{Domain, StoreName};
use managesieve_proto::Offer;
use offers::Offers;
use pop3_proto::Mode;
use ports::{Admission, BackEnds, BoxFuture, Callee, Caller, Clock, Elsewhere, Passage, Spawn, Unavailable, Visitor};
use smtp_proto::client::LoginClient;
use std::sync::Arc;
use std::time::Duration;

/// Logs visitors in at back-ends.
pub struct Visits {
    foreign: Arc<dyn Foreign>,
    imap: Arc<Door<imap::Client>>,
    pop3: Arc<Door<pop3_proto::Client>>,
    submission: Arc<Door<LoginClient>>,
    sieve: Arc<Door<managesieve_proto::Client>>,
    offers: Offers,
    clock: Arc<dyn Clock>,
    ids: SessionIds,
}

/// How long a back-end may take from the call of its first host to the answer to the login. Some answer a wrong password
/// after many seconds, and longer where several came from one address, which here is ours.
pub const VISIT_LOGIN_MAX: Duration = Duration::from_secs(30);

/// Who calls, by protocol.
pub struct Callers {
    imap: Arc<dyn Caller<imap::Client>>,
    pop3: Arc<dyn Caller<pop3_proto::Client>>,
    submission: Arc<dyn Caller<LoginClient>>,
    sieve: Arc<dyn Caller<managesieve_proto::Client>>,
}

impl Callers {
    /// One for all.
    pub fn all<C>(caller: Arc<C>) -> Self
    where
        C: Caller<imap::Client>
            + Caller<pop3_proto::Client>
            + Caller<LoginClient>
            + Caller<managesieve_proto::Client>
            + 'static,
    {
        Self { imap: caller.clone(), pop3: caller.clone(), submission: caller.clone(), sieve: caller }
    }
}

impl Visits {
    /// Calls with these; `host` is our name.
    pub fn new(
        foreign: Arc<dyn Foreign>,
        callers: Callers,
        clock: Arc<dyn Clock>,
        spawn: Arc<dyn Spawn>,
        host: Domain,
    ) -> Self {
        let Callers { imap, pop3, submission, sieve } = callers;
        let imap = Door::new(imap, Arc::clone(&clock), Arc::clone(&spawn), host.clone());
        let pop3 = Door::new(pop3, Arc::clone(&clock), Arc::clone(&spawn), host.clone());
        let submission = Door::new(submission, Arc::clone(&clock), Arc::clone(&spawn), host.clone());
        let sieve = Door::new(sieve, Arc::clone(&clock), spawn, host);
        Self { foreign, imap, pop3, submission, sieve, offers: Offers::default(), clock, ids: SessionIds::default() }
    }

    async fn enter<M: Guest>(
        &self,
        door: &Arc<Door<M>>,
        store: &StoreName,
        who: Visitor,
        mode: Mode,
    ) -> Result<Admission, Unavailable> {
        if who.ttl == 0 {
            return Err(nowhere(store, "the login has passed too many proxies: their records lead round in a circle"));
        }
        let by_master = who.password.is_none();
        let (hosts, caught) = self.find::<M>(store, who, mode)?;
        let Answer { verdict, call, callee } = tokio::select! {
            answer = door.enter(&hosts, &caught) => answer?,
            () = self.clock.sleep(VISIT_LOGIN_MAX) => return Err(nowhere(store, "it took too long to let us in")),
        };
        match verdict {
            Verdict::Welcome(welcome) => {
                let (wire, mut guest) = call.into_parts();
                let unsaid = guest.take_unread();
                let passage = Passage { wire, unsent: bytes::Bytes::new(), unsaid, track: guest.track() };
                Ok(Admission::Welcome(Elsewhere { welcome, passage }))
            }
            // The user's password was right: it is not he who was refused.
            Verdict::Refused(text) if by_master => Err(unavailable(&callee, format!("it refuses our master: {text}"))),
            Verdict::Refused(text) => Ok(Admission::Refused { text }),
            Verdict::InUse => Ok(Admission::InUse),
            Verdict::Unavailable(why) => Err(unavailable(&callee, why)),
            Verdict::Offered => Err(unavailable(&callee, "it was asked for nothing")),
        }
    }

    /// Where the store is now, and what is said there.
    fn find<M: Guest>(
        &self,
        store: &StoreName,
        who: Visitor,
        mode: Mode,
    ) -> Result<(Vec<Callee>, Caught), Unavailable> {
        match self.foreign.find(store, M::PROTOCOL) {
            BackEnd::At { hosts, master, introducing } => {
                let said = match (who.password, master) {
                    (Some(password), None) => Said { authorization: None, authentication: who.user, password },
                    (None, Some(master)) => master.says(who.user),
                    // Whoever was decided to show one must not show the other.
                    (Some(_), Some(_)) | (None, None) => return Err(nowhere(store, "its record has just changed")),
                };
                let introduction = Introduction::new(introducing, who.peer, self.ids.next(&*self.clock), who.ttl);
                Ok((hosts, Caught { said, mode, peer: who.peer, introduction }))
            }
            BackEnd::Nowhere(why) => Err(nowhere(store, &why)),
        }
    }
}

impl BackEnds for Visits {
    fn imap<'a>(&'a self, store: &'a StoreName, who: Visitor) -> BoxFuture<'a, Result<Admission, Unavailable>> {
        Box::pin(self.enter(&self.imap, store, who, Mode::default()))
    }

    fn pop3<'a>(
        &'a self,
        store: &'a StoreName,
        who: Visitor,
        mode: Mode,
    ) -> BoxFuture<'a, Result<Admission, Unavailable>> {
        Box::pin(self.enter(&self.pop3, store, who, mode))
    }

    fn submission<'a>(&'a self, store: &'a StoreName, who: Visitor) -> BoxFuture<'a, Result<Admission, Unavailable>> {
        Box::pin(self.enter(&self.submission, store, who, Mode::default()))
    }

    fn sieve<'a>(&'a self, store: &'a StoreName, who: Visitor) -> BoxFuture<'a, Result<Admission, Unavailable>> {
        Box::pin(self.enter(&self.sieve, store, who, Mode::default()))
    }

    fn sieve_offer(&self) -> BoxFuture<'_, Arc<Offer>> {
        Box::pin(self.offer())
    }
}

fn nowhere(store: &StoreName, why: &str) -> Unavailable {
    Unavailable { what: format!("the store {store}"), why: why.to_owned() }
}
