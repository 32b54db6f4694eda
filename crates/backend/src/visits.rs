//! Sessions at back-ends of another make: a call, a login that the back-end judges, and from then on octets pass.

mod guest;
#[cfg(test)]
mod tests;

use crate::breakers::{Breakers, LEFT_ALONE};
use crate::foreign::{BackEnd, Foreign, Said};
use guest::{Guest, Manner, Turn, Verdict};
use imap_proto::client as imap;
use mail_types::{Domain, StoreName};
use pop3_proto::Mode;
use ports::{
    Admission, BackEnds, BoxFuture, Call, CallSecurity, Callee, Caller, Clock, Elsewhere, Passage, Unavailable, Visitor,
};
use smtp_proto::client::LoginClient;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Logs visitors in at back-ends.
pub struct Visits {
    foreign: Arc<dyn Foreign>,
    imap: Door<imap::Client>,
    pop3: Door<pop3_proto::Client>,
    submission: Door<LoginClient>,
    /// Our name in EHLO.
    host: Domain,
    clock: Arc<dyn Clock>,
    breakers: Breakers,
}

/// The way in by one protocol.
struct Door<M: Guest> {
    caller: Arc<dyn Caller<M>>,
    /// What back-ends offer before a login: whoever knows it saves a round trip. As many as there are stores.
    known: Mutex<BTreeMap<StoreName, M::Known>>,
}

/// How long a back-end may take from the call to its answer to the login. Some answer a wrong password after many
/// seconds, and longer where several came from one address, which here is ours.
pub const VISIT_LOGIN_MAX: Duration = Duration::from_secs(30);

impl Visits {
    /// Calls with these; `host` is our name.
    pub fn new(
        foreign: Arc<dyn Foreign>,
        imap: Arc<dyn Caller<imap::Client>>,
        pop3: Arc<dyn Caller<pop3_proto::Client>>,
        submission: Arc<dyn Caller<LoginClient>>,
        clock: Arc<dyn Clock>,
        host: Domain,
    ) -> Self {
        let breakers = Breakers::new(Arc::clone(&clock));
        let (imap, pop3, submission) = (Door::new(imap), Door::new(pop3), Door::new(submission));
        Self { foreign, imap, pop3, submission, host, clock, breakers }
    }

    async fn enter<M: Guest>(
        &self,
        door: &Door<M>,
        store: &StoreName,
        who: Visitor,
        mode: Mode,
    ) -> Result<Admission, Unavailable> {
        let (callee, said, by_master) = match self.foreign.find(store, M::PROTOCOL) {
            BackEnd::At { callee, master } => {
                let by_master = who.password.is_none();
                let said = match (who.password, master) {
                    (Some(password), None) => Said { authorization: None, authentication: who.user, password },
                    (None, Some(master)) => master.says(who.user),
                    // Whoever was decided to show one must not show the other.
                    (Some(_), Some(_)) | (None, None) => return Err(nowhere(store, "its record has just changed")),
                };
                (callee, said, by_master)
            }
            BackEnd::Nowhere(why) => return Err(nowhere(store, &why)),
        };
        let Some(attempt) = self.breakers.attempt(&callee) else { return Err(unavailable(&callee, LEFT_ALONE)) };
        let asked = async {
            let guest = door.guest(store, Manner { said, mode, host: &self.host, now: self.clock.instant() }, &callee);
            let mut call = match door.caller.call(&callee, Some(who.peer), guest).await {
                Ok(call) => call,
                Err(why) => {
                    attempt.failed();
                    return Err(why);
                }
            };
            // What comes now may be the matter of one user, whom it takes long to look up: others are not to hear of it.
            attempt.succeeded();
            let verdict = self.converse(&mut *call).await.map_err(|why| unavailable(&callee, why))?;
            door.learn(store, call.machine(), &verdict);
            Ok((verdict, call))
        };
        let (verdict, call) = tokio::select! {
            answer = asked => answer?,
            () = self.clock.sleep(VISIT_LOGIN_MAX) => return Err(unavailable(&callee, "it took too long to let us in")),
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
        }
    }

    /// To the verdict, over the handshake of TLS if there is to be one.
    async fn converse<M: Guest>(&self, call: &mut dyn Call<M>) -> Result<Verdict, String> {
        loop {
            let event = call.next().await.map_err(|broken| broken.to_string())?;
            match event.map(M::turn) {
                Some(Turn::StartTls) => {
                    call.start_tls().await.map_err(|broken| broken.to_string())?;
                    call.machine().tls_started(self.clock.instant());
                }
                Some(Turn::Verdict(verdict)) => return Ok(verdict),
                None => return Err("it ended the conversation".to_owned()),
            }
        }
    }
}

impl<M: Guest> Door<M> {
    fn new(caller: Arc<dyn Caller<M>>) -> Self {
        Self { caller, known: Mutex::default() }
    }

    fn guest(&self, store: &StoreName, manner: Manner<'_>, callee: &Callee) -> M {
        let guest = M::new(manner);
        let guest = match callee.security {
            CallSecurity::StartTls(_) => guest.with_starttls(),
            CallSecurity::Plain | CallSecurity::Cluster | CallSecurity::Tls(_) => guest,
        };
        match self.known().get(store) {
            Some(known) => guest.knowing(known.clone()),
            None => guest,
        }
    }

    /// What a back-end offers is believed until it says no, which may come of our being wrong.
    fn learn(&self, store: &StoreName, guest: &M, verdict: &Verdict) {
        let mut known = self.known();
        match (verdict, guest.learnt()) {
            (Verdict::Welcome(_) | Verdict::InUse, Some(learnt)) => {
                if known.get(store) != Some(&learnt) {
                    known.insert(store.clone(), learnt);
                }
            }
            (Verdict::Refused(_) | Verdict::Unavailable(_), _) | (_, None) => {
                known.remove(store);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<StoreName, M::Known>> {
        // No holder of this lock can panic half-way through a change.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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
}

fn nowhere(store: &StoreName, why: &str) -> Unavailable {
    Unavailable { what: format!("the store {store}"), why: why.to_owned() }
}

fn unavailable(callee: &Callee, why: impl ToString) -> Unavailable {
    Unavailable { what: format!("the back-end at {callee}"), why: why.to_string() }
}
