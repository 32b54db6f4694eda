//! Sessions at back-ends of another make: a call, a login that the back-end judges, and from then on octets pass.

mod common;
mod cuts;
mod door;
mod guest;
mod introduction;
mod ledger;
mod offers;
/// How often hosts are looked at that failed, or never answered: whoever watches them sees about so soon that one is back, also
/// where no user comes.
pub(crate) const LOOK_ROUND_SPAN: Duration = Duration::from_secs(60);
/// After so many such rounds all are.
const ROUNDS_TO_LOOK_AGAIN: u32 = 10;
/// From one host to the next: with hundreds, not all at once.
const LOOK_PACE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;

pub use door::GREETING_MAX;
pub(crate) use ledger::Ledger;
pub use ledger::{HostReport, HostState, VisitOutcome};
pub use offers::{OFFERS_ANSWER_MAX, OFFERS_ASKED_MAX};

use crate::foreign::{BackEnd, Foreign, Protocol, Said, Telling};
use common::Kept;
use cuts::Cuts;
use door::{Answer, Caught, Door, unavailable};
use guest::{Guest, Verdict};
use imap_proto::client as imap;
use introduction::{Introduction, SessionIds};
use mail_types::{Domain, StoreName};
use managesieve_proto::Offer;
use offers::Asked;
use pop3_proto::Mode;
use ports::{
    Admission, BackEnds, BoxFuture, Callee, Caller, Clock, Credential, Elsewhere, Passage, Pop3Common,
    SHOWN_TEXT_OCTETS_MAX, Spawn, Standing, SubmissionCommon, Unavailable, Visitor,
};
use smtp_proto::client::LoginClient;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Logs visitors in at back-ends.
pub struct Visits {
    foreign: Arc<dyn Foreign>,
    imap: Arc<Door<imap::Client>>,
    pop3: Arc<Door<pop3_proto::Client>>,
    submission: Arc<Door<LoginClient>>,
    sieve: Arc<Door<managesieve_proto::Client>>,
    asked: Asked,
    cuts: Cuts,
    clock: Arc<dyn Clock>,
    ids: SessionIds,
    pop3_common: Kept<Option<Pop3Common>>,
    submission_common: Kept<Option<SubmissionCommon>>,
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
        let sieve = Door::new(sieve, Arc::clone(&clock), Arc::clone(&spawn), host);
        let cuts = Cuts::new(Arc::clone(&clock), spawn);
        let (asked, ids) = (Asked::default(), SessionIds::default());
        let (pop3_common, submission_common) = (Kept::default(), Kept::default());
        Self { foreign, imap, pop3, submission, sieve, asked, cuts, clock, ids, pop3_common, submission_common }
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
        let outcome = self.admit(door, store, who, mode).await;
        door.ledger.note(
            store,
            match &outcome {
                Ok(Admission::Welcome(_)) => VisitOutcome::Success,
                Ok(Admission::Refused { .. }) => VisitOutcome::Failure,
                Ok(Admission::InUse { .. }) => VisitOutcome::InUse,
                Err(_) => VisitOutcome::Unavailable,
            },
        );
        outcome
    }

    async fn admit<M: Guest>(
        &self,
        door: &Arc<Door<M>>,
        store: &StoreName,
        who: Visitor,
        mode: Mode,
    ) -> Result<Admission, Unavailable> {
        // Else it may be the visitor whom it does not know.
        let is_about_us = matches!(who.credential, Credential::Word) && who.standing == Standing::Known;
        let (hosts, caught, telling) = self.find::<M>(store, who, mode)?;
        let Answer { verdict, call, callee } = tokio::select! {
            answer = door.enter(&hosts, &caught) => answer?,
            () = self.clock.sleep(VISIT_LOGIN_MAX) => return Err(nowhere(store, "it took too long to let us in")),
        };
        match verdict {
            Verdict::Welcome(welcome) => {
                let (wire, mut guest) = call.into_parts();
                let unsaid = guest.take_unread();
                let track = self.cuts.watch(store, M::PROTOCOL, callee, guest.track());
                let passage = Passage { wire, unsent: bytes::Bytes::new(), unsaid, track };
                Ok(Admission::Welcome(Elsewhere {
                    welcome,
                    session: caught.introduction.session(M::PROTOCOL),
                    passage,
                }))
            }
            Verdict::Refused(text) if is_about_us => {
                Err(unavailable(&callee, format!("it refuses our master: {text}")))
            }
            Verdict::Refused(text) => {
                let shown = (telling == Telling::ForClients).then(|| for_client(&text)).filter(|text| !text.is_empty());
                Ok(Admission::Refused { text, shown })
            }
            Verdict::InUse(text) => Ok(Admission::InUse { text: text.chars().take(SHOWN_TEXT_OCTETS_MAX).collect() }),
            Verdict::Unavailable(why) | Verdict::Unsayable(why) => Err(unavailable(&callee, why)),
            Verdict::Offered => Err(unavailable(&callee, "it was asked for nothing")),
        }
    }

    /// Looks at every host of every back-end: once at the start, then at those that failed or never answered, and again at all
    /// now and then. Never ends.
    pub async fn tend(&self) {
        for round in (0..ROUNDS_TO_LOOK_AGAIN).cycle() {
            self.look_round(&self.imap, round == 0).await;
            self.look_round(&self.pop3, round == 0).await;
            self.look_round(&self.submission, round == 0).await;
            self.look_round(&self.sieve, round == 0).await;
            self.clock.sleep(LOOK_ROUND_SPAN).await;
        }
    }

    async fn look_round<M: Guest>(&self, door: &Arc<Door<M>>, at_all: bool) {
        // Many stores may be at one host.
        let hosts: BTreeSet<Callee> = self.hosts_by(M::PROTOCOL).into_iter().flat_map(|(_, hosts)| hosts).collect();
        for callee in hosts {
            if at_all || door.needs_a_look(&callee) {
                door.look_at(&callee);
                self.clock.sleep(LOOK_PACE).await;
            }
        }
    }

    /// How every host of every back-end is.
    pub fn hosts(&self) -> Vec<HostReport> {
        let mut reports = Vec::new();
        self.report(&self.imap, &mut reports);
        self.report(&self.pop3, &mut reports);
        self.report(&self.submission, &mut reports);
        self.report(&self.sieve, &mut reports);
        reports
    }

    fn report<M: Guest>(&self, door: &Arc<Door<M>>, reports: &mut Vec<HostReport>) {
        for store in self.foreign.all(M::PROTOCOL) {
            match self.foreign.find(&store, M::PROTOCOL) {
                BackEnd::At { hosts, .. } => reports.extend(hosts.iter().map(|callee| door.report(&store, callee))),
                // Every login fails, and no host can be blamed for it.
                BackEnd::Nowhere(why) => reports.push(HostReport {
                    store,
                    protocol: M::PROTOCOL,
                    host: String::new(),
                    state: HostState::LeftAlone,
                    failures: 0,
                    last_failure: Some((self.clock.now(), why)),
                }),
            }
        }
    }

    /// The back-ends that are reached by a protocol, with their hosts.
    fn hosts_by(&self, protocol: Protocol) -> Vec<(StoreName, Vec<Callee>)> {
        let stores = self.foreign.all(protocol).into_iter();
        let reached = stores.filter_map(|store| match self.foreign.find(&store, protocol) {
            BackEnd::At { hosts, .. } => Some((store, hosts)),
            BackEnd::Nowhere(_) => None,
        });
        reached.collect()
    }

    /// How many logins ended how, by back-end and protocol.
    pub fn logins(&self) -> Vec<(StoreName, Protocol, VisitOutcome, u64)> {
        let of = |protocol, logins: Vec<(StoreName, VisitOutcome, u64)>| {
            logins.into_iter().map(move |(store, outcome, count)| (store, protocol, outcome, count))
        };
        of(Protocol::Imap, self.imap.ledger.logins())
            .chain(of(Protocol::Pop3, self.pop3.ledger.logins()))
            .chain(of(Protocol::Submission, self.submission.ledger.logins()))
            .chain(of(Protocol::Sieve, self.sieve.ledger.logins()))
            .collect()
    }

    /// Where the store is now, and what is said there.
    fn find<M: Guest>(
        &self,
        store: &StoreName,
        who: Visitor,
        mode: Mode,
    ) -> Result<(Vec<Callee>, Caught, Telling), Unavailable> {
        match self.foreign.find(store, M::PROTOCOL) {
            BackEnd::At { hosts, master, introducing, telling } => {
                let said = match (who.credential, master) {
                    (Credential::Password(password), None) => {
                        Said::Password { authorization: None, authentication: who.user, password }
                    }
                    (Credential::Token(token), None) => Said::token(&who.user, &token)
                        .ok_or_else(|| nowhere(store, "the user's name there cannot be said beside a token"))?,
                    (Credential::Word, Some(master)) => master.says(who.user),
                    // Whoever was decided to show one must not show the other.
                    (Credential::Password(_) | Credential::Token(_), Some(_)) | (Credential::Word, None) => {
                        return Err(nowhere(store, "its record has just changed"));
                    }
                };
                let introduction = Introduction::new(introducing, who.peer, self.ids.next(&*self.clock), who.ttl);
                Ok((hosts, Caught { said, mode, peer: who.peer, introduction }, telling))
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

    fn pop3_common(&self) -> Option<Pop3Common> {
        self.pop3_common.get(self.clock.instant(), || self.find_pop3_common())
    }

    fn submission_common(&self) -> Option<SubmissionCommon> {
        self.submission_common.get(self.clock.instant(), || self.find_submission_common())
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

/// As much as fits, of what every client can show. A `[` that begins it would begin a code of its own (RFC 2449 §6.4).
fn for_client(text: &str) -> String {
    let readable = text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' });
    let text: String = readable.take(SHOWN_TEXT_OCTETS_MAX).collect();
    text.trim_start_matches(['[', ' ']).to_owned()
}

fn nowhere(store: &StoreName, why: &str) -> Unavailable {
    Unavailable { what: format!("the store {store}"), why: why.to_owned() }
}
