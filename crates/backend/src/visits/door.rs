//! The way in by one protocol: host by host, until one has greeted and hears the login.
//!
//! ```text
//!   a host left alone ──▶ the next           no greeting, no TLS, BYE, -ERR before the login ──▶ the next
//!   the same where it heard first for whom we come ──▶ the next, and a probe for nobody, which alone counts against it
//!   one that was ──▶ a probe of its own, beside us, where another stands by           the login is said ──▶ its word is final
//! ```

use super::guest::{Guest, Manner, Turn, Verdict};
use super::introduction::Introduction;
use super::ledger::{Failures, HostReport, HostState, Ledger};
use crate::breakers::{Attempt, Breakers, LEFT_ALONE};
use crate::foreign::Said;
use mail_types::{Domain, StoreName};
use pop3_proto::Mode;
use ports::{Call, CallSecurity, Callee, Caller, Clock, Introduction as Introduced, Peer, Spawn, Unavailable};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The way in by one protocol.
pub(super) struct Door<M: Guest> {
    caller: Arc<dyn Caller<M>>,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    breakers: Arc<Breakers>,
    /// Our name, where it is said.
    host: Domain,
    /// What hosts offer before a login: whoever knows it saves a round trip. At most [`KNOWN_MAX`].
    known: Mutex<BTreeMap<Callee, Learnt<M::Known>>>,
    /// Hosts that failed one visitor of whom they were told first, and are being asked whether they fail us all.
    suspects: Mutex<BTreeSet<Callee>>,
    pub(super) ledger: Ledger,
}

/// What a host offers.
struct Learnt<K> {
    offers: K,
    /// Nothing went wrong since it said so.
    is_sure: bool,
}

/// Somebody at the door.
pub(super) struct Caught {
    pub(super) said: Said,
    pub(super) mode: Mode,
    pub(super) peer: Peer,
    pub(super) introduction: Introduction,
}

/// A host's word about a login, and the connection over which it came.
pub(super) struct Answer<M: Guest> {
    pub(super) verdict: Verdict,
    pub(super) call: Box<dyn Call<M>>,
    pub(super) callee: Callee,
}

/// Why a host gave no word.
enum Stop {
    /// It heard no login: the next may be asked.
    Before(Unavailable),
    /// Nor here, but it had been told who the visitor is, and may have failed him alone.
    Doubtful(Unavailable),
    /// It may have heard one: another would count a second.
    Behind(Unavailable),
}

/// How long a host may take to greet, and again behind the handshake of TLS to be ready for a login. Whoever accepts and says
/// nothing does not live; RFC 9051 and RFC 1939 name no time.
pub const GREETING_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether the login was said.
const LOOK_SPAN: Duration = Duration::from_millis(250);
/// How long a probe may take. It looks up a name, connects, agrees on TLS and hears a greeting.
const PROBE_MAX: Duration = Duration::from_secs(20);
/// Hosts of which it is remembered what they offer.
const KNOWN_MAX: usize = 4096;

impl<M: Guest> Door<M> {
    pub(super) fn new(
        caller: Arc<dyn Caller<M>>,
        clock: Arc<dyn Clock>,
        spawn: Arc<dyn Spawn>,
        host: Domain,
    ) -> Arc<Self> {
        let breakers = Breakers::new(Arc::clone(&clock));
        let (known, suspects, ledger) = (Mutex::default(), Mutex::default(), Ledger::default());
        Arc::new(Self { caller, clock, spawn, breakers, host, known, suspects, ledger })
    }

    /// Logs in at the first host that is ready to hear it.
    pub(super) async fn enter(self: &Arc<Self>, hosts: &[Callee], who: &Caught) -> Result<Answer<M>, Unavailable> {
        let mut failures = Vec::new();
        let mut left = hosts;
        while let [callee, rest @ ..] = left {
            left = rest;
            match self.try_host(callee, rest, who).await {
                Ok(answer) => return Ok(answer),
                Err(Stop::Behind(why)) => return Err(why),
                Err(Stop::Before(why) | Stop::Doubtful(why)) => failures.push(why),
            }
        }
        Err(together(failures))
    }

    /// Hears from the first host that answers what it offers. Whoever asks may be cut short, which says nothing of the host.
    pub(super) async fn ask(&self, hosts: &[Callee]) {
        for callee in hosts {
            let attempt = self.breakers.attempt(callee).map(Attempt::for_one);
            if let Some(attempt) = attempt
                && self.look(callee, attempt).await
            {
                return;
            }
        }
    }

    async fn try_host(self: &Arc<Self>, callee: &Callee, rest: &[Callee], who: &Caught) -> Result<Answer<M>, Stop> {
        let left_alone = || Stop::Before(unavailable(callee, LEFT_ALONE));
        let mut attempt = self.breakers.attempt(callee).ok_or_else(left_alone)?;
        if attempt.is_probe() && rest.iter().any(|next| self.breakers.is_well(next)) {
            // Nobody has to wait for it while another answers.
            self.probe(callee.clone(), attempt);
            return Err(left_alone());
        }
        let (said, mode, now) = (who.said.clone(), who.mode, self.clock.instant());
        let guest = M::new(Manner { said, mode, host: &self.host, now }).introducing(&who.introduction);
        let guest = match self.known().get(callee).filter(|learnt| learnt.is_sure) {
            Some(learnt) => guest.knowing(learnt.offers.clone()),
            None => guest,
        };
        if callee.introduction != Introduced::Nobody {
            attempt = attempt.for_one();
        }
        let mut answer = self.converse(callee, guest, Some(who.peer), attempt).await.inspect_err(|stop| {
            if let Stop::Doubtful(_) = stop {
                self.suspect(callee);
            }
        })?;
        self.learn(&mut answer);
        Ok(answer)
    }

    /// A host that heard first for whom a call is may have failed him alone: it is asked for nobody, and that counts.
    fn suspect(self: &Arc<Self>, callee: &Callee) {
        if !self.suspects().insert(callee.clone()) {
            return;
        }
        let Some(attempt) = self.breakers.attempt(callee) else {
            self.suspects().remove(callee);
            return;
        };
        self.probe(callee.clone(), attempt);
    }

    /// Looks at a host, unless it is left alone or somebody else does.
    pub(super) fn look_at(self: &Arc<Self>, callee: &Callee) {
        if let Some(attempt) = self.breakers.attempt(callee) {
            self.probe(callee.clone(), attempt);
        }
    }

    /// Whether it failed when it was last called, whatever it had said before, or never said what it offers.
    pub(super) fn needs_a_look(&self, callee: &Callee) -> bool {
        !self.breakers.is_well(callee) || self.offers(callee).is_none()
    }

    /// What a host is known to offer.
    pub(super) fn offers(&self, callee: &Callee) -> Option<M::Known> {
        self.known().get(callee).map(|learnt| learnt.offers.clone())
    }

    pub(super) fn report(&self, store: &StoreName, callee: &Callee) -> HostReport {
        let state = match (self.breakers.is_well(callee), self.offers(callee)) {
            (false, _) => HostState::LeftAlone,
            (true, Some(_)) => HostState::Up,
            (true, None) => HostState::Unknown,
        };
        let Failures { count, last } = self.ledger.failures(callee);
        let (store, host) = (store.clone(), callee.to_string());
        HostReport { store, protocol: M::PROTOCOL, host, state, failures: count, last_failure: last }
    }

    /// Asks a host how it is, and what it offers.
    fn probe(self: &Arc<Self>, callee: Callee, attempt: Attempt) {
        let door = Arc::clone(self);
        self.spawn.task(Box::pin(async move {
            tokio::select! {
                _ = door.look(&callee, attempt) => {}
                () = door.clock.sleep(PROBE_MAX) => {}
            }
            door.suspects().remove(&callee);
        }));
    }

    /// Whether it answered. Whoever needs it hears what is wrong with it.
    async fn look(&self, callee: &Callee, attempt: Attempt) -> bool {
        let guest = M::asking(&self.host, self.clock.instant());
        let Ok(mut answer) = self.converse(callee, guest, None, attempt).await else { return false };
        self.learn(&mut answer);
        answer.call.close().await;
        true
    }

    /// To the verdict, over the handshake of TLS if there is to be one.
    async fn converse(
        &self,
        callee: &Callee,
        guest: M,
        peer: Option<Peer>,
        attempt: Attempt,
    ) -> Result<Answer<M>, Stop> {
        let guest = match callee.security {
            CallSecurity::StartTls(_) => guest.with_starttls(),
            CallSecurity::Plain | CallSecurity::Cluster | CallSecurity::Tls(_) => guest,
        };
        let call = match self.caller.call(callee, peer, guest).await {
            Ok(call) => call,
            Err(why) => {
                self.ledger.failed(callee, self.clock.now(), &why.why);
                // Under TLS from the first octet the host had heard for whom it is, unless nobody answered.
                if matches!(callee.security, CallSecurity::Tls(_)) && attempt.undecided() {
                    return Err(Stop::Doubtful(why));
                }
                attempt.failed(&why.why);
                return Err(Stop::Before(why));
            }
        };
        let mut visit = Visit { call, attempt: Some(attempt), clock: &*self.clock };
        match visit.verdict().await {
            Ok(Verdict::Unsayable(why)) => {
                self.doubt(callee);
                visit.is_well();
                Err(Stop::Before(unavailable(callee, why)))
            }
            Ok(Verdict::Unavailable(why)) | Err(why) => {
                self.doubt(callee);
                self.ledger.failed(callee, self.clock.now(), &why);
                Err(visit.stop(unavailable(callee, why)))
            }
            Ok(verdict) => {
                visit.is_well();
                Ok(Answer { verdict, call: visit.call, callee: callee.clone() })
            }
        }
    }

    /// What a host offers is believed until it says no, which may come of our being wrong.
    fn learn(&self, answer: &mut Answer<M>) {
        let learnt = answer.call.machine().learnt();
        match (&answer.verdict, learnt) {
            (Verdict::Welcome(_) | Verdict::InUse(_) | Verdict::Offered, Some(offers)) => {
                let mut known = self.known();
                if known.len() >= KNOWN_MAX && !known.contains_key(&answer.callee) {
                    known.clear();
                }
                known.insert(answer.callee.clone(), Learnt { offers, is_sure: true });
            }
            (Verdict::Refused(_) | Verdict::Unavailable(_) | Verdict::Unsayable(_), _) | (_, None) => {
                self.doubt(&answer.callee)
            }
        }
    }

    /// It may be what is remembered that was wrong: the next asks again.
    fn doubt(&self, callee: &Callee) {
        if let Some(learnt) = self.known().get_mut(callee) {
            learnt.is_sure = false;
        }
    }

    fn suspects(&self) -> MutexGuard<'_, BTreeSet<Callee>> {
        // The same holds of this one.
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Callee, Learnt<M::Known>>> {
        // No holder of this lock can panic half-way through a change.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A conversation, and whether its host is known to be well.
struct Visit<'d, M: Guest> {
    call: Box<dyn Call<M>>,
    /// Until the host has heard anything of this visitor.
    attempt: Option<Attempt>,
    clock: &'d dyn Clock,
}

impl<M: Guest> Visit<'_, M> {
    async fn verdict(&mut self) -> Result<Verdict, String> {
        let (mut waited, mut has_said_login) = (Duration::ZERO, false);
        loop {
            let turn = tokio::select! {
                biased;
                event = self.call.next() => Some(event.map_err(|broken| broken.to_string())?),
                () = self.clock.sleep(LOOK_SPAN), if !has_said_login => None,
            };
            has_said_login = self.call.machine().has_said_login();
            if self.call.machine().is_personal() {
                // What comes now may be the matter of one user, whom it takes long to look up: others are not to hear of it.
                self.is_well();
            }
            match turn {
                Some(Some(event)) => match M::turn(event) {
                    Turn::Verdict(verdict) => return Ok(verdict),
                    Turn::StartTls => {
                        self.call.start_tls().await.map_err(|broken| broken.to_string())?;
                        self.call.machine().tls_started(self.clock.instant());
                        waited = Duration::ZERO;
                    }
                },
                Some(None) => return Err("it ended the conversation".to_owned()),
                None if has_said_login => {}
                None if waited >= GREETING_MAX => {
                    return Err(format!("it accepted, and said nothing within {} s", GREETING_MAX.as_secs()));
                }
                None => waited += LOOK_SPAN,
            }
        }
    }

    /// It answers.
    fn is_well(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            attempt.succeeded();
        }
    }

    /// It came to nothing.
    fn stop(&mut self, why: Unavailable) -> Stop {
        let has_said_login = self.call.machine().has_said_login();
        if self.call.machine().is_personal() {
            self.is_well();
        }
        match self.attempt.take() {
            Some(attempt) if attempt.undecided() => Stop::Doubtful(why),
            Some(attempt) => {
                attempt.failed(&why.why);
                Stop::Before(why)
            }
            None if has_said_login => Stop::Behind(why),
            None => Stop::Before(why),
        }
    }
}

pub(super) fn unavailable(callee: &Callee, why: impl ToString) -> Unavailable {
    Unavailable { what: format!("the back-end at {callee}"), why: why.to_string() }
}

/// Of all hosts.
fn together(mut failures: Vec<Unavailable>) -> Unavailable {
    match (failures.pop(), failures.as_slice()) {
        (None, _) => Unavailable { what: "the back-end".to_owned(), why: "it has no host".to_owned() },
        (Some(only), []) => only,
        (Some(last), _) => {
            failures.push(last);
            let each = failures.iter().map(|failure| format!("{}: {}", failure.what, failure.why));
            Unavailable { what: "each of its hosts".to_owned(), why: each.collect::<Vec<_>>().join("; ") }
        }
    }
}
