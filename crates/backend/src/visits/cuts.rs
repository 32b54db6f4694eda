//! Sessions that a back-end dropped while they passed: the log hears how many, host by host.
//!
//! A line for each session would be as many as there are logins, but all within one second when a server with ten thousand of
//! them dies. So they are counted for a moment, and a host has one line in that time.

use crate::foreign::Protocol;
use bytes::Bytes;
use mail_types::StoreName;
use ports::{Callee, Clock, Spawn, Track};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// What all sessions at all hosts need to be counted.
#[derive(Clone)]
pub(super) struct Cuts(Arc<Shared>);

struct Shared {
    /// At most one for each host of a store and protocol that dropped somebody a moment ago.
    counts: Mutex<Vec<Count>>,
    places: Mutex<Places>,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
}

/// Where sessions are, by store and protocol: at most one for each host. Who has none is left out when another comes.
type Places = BTreeMap<(StoreName, Protocol), Vec<Weak<Place>>>;

/// Where sessions pass to, which they have in common: there may be tens of thousands.
struct Place {
    store: StoreName,
    protocol: Protocol,
    callee: Callee,
}

/// The sessions that one host dropped.
struct Count {
    place: Arc<Place>,
    sessions: u64,
    /// Of the first.
    why: String,
}

/// How long sessions are counted before the log hears of them.
const COUNT_SPAN: Duration = Duration::from_secs(5);
/// Why, where a host has just ended the connection: that is how a process dies.
const ENDED: &str = "it ended the connection";

impl Cuts {
    pub(super) fn new(clock: Arc<dyn Clock>, spawn: Arc<dyn Spawn>) -> Self {
        Self(Arc::new(Shared { counts: Mutex::default(), places: Mutex::default(), clock, spawn }))
    }

    /// Follows a session at that host as `track` does, and counts it if it is dropped.
    pub(super) fn watch(
        &self,
        store: &StoreName,
        protocol: Protocol,
        callee: Callee,
        track: Box<dyn Track>,
    ) -> Box<dyn Track> {
        let place = self.0.place(store, protocol, callee);
        Box::new(Watched { track, place, cuts: self.clone(), is_over: false })
    }

    fn note(&self, place: &Arc<Place>, why: &str) {
        let mut counts = self.0.counts();
        let is_same = |count: &&mut Count| count.place.is_same(place);
        if let Some(count) = counts.iter_mut().find(is_same) {
            count.sessions += 1;
            return;
        }
        counts.push(Count { place: Arc::clone(place), sessions: 1, why: why.to_owned() });
        drop(counts);
        let (shared, place) = (Arc::clone(&self.0), Arc::clone(place));
        self.0.spawn.task(Box::pin(async move {
            shared.clock.sleep(COUNT_SPAN).await;
            shared.tell(&place);
        }));
    }
}

impl Shared {
    fn place(&self, store: &StoreName, protocol: Protocol, callee: Callee) -> Arc<Place> {
        // As below.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (store.clone(), protocol);
        let held = places.get(&key).into_iter().flatten();
        if let Some(place) = held.filter_map(Weak::upgrade).find(|place| place.callee == callee) {
            return place;
        }
        places.retain(|_, held| {
            held.retain(|place| place.strong_count() > 0);
            !held.is_empty()
        });
        let place = Arc::new(Place { store: store.clone(), protocol, callee });
        places.entry(key).or_default().push(Arc::downgrade(&place));
        place
    }

    fn tell(&self, place: &Place) {
        let mut counts = self.counts();
        let Some(at) = counts.iter().position(|count| count.place.is_same(place)) else { return };
        let Count { sessions, why, .. } = counts.swap_remove(at);
        drop(counts);
        let Place { store, protocol, callee } = place;
        tracing::warn!(%store, protocol = protocol.name(), host = %callee, sessions, why, "sessions were cut: the back-end dropped them");
    }

    fn counts(&self) -> MutexGuard<'_, Vec<Count>> {
        // No holder of this lock can panic half-way through a change.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn is_same(&self, other: &Self) -> bool {
        self.protocol == other.protocol && self.store == other.store && self.callee == other.callee
    }
}

/// Follows a session that may be dropped.
struct Watched {
    track: Box<dyn Track>,
    place: Arc<Place>,
    cuts: Cuts,
    /// The client has said that it goes, or the back-end that it does: an end now is none that came unasked.
    is_over: bool,
}

impl Track for Watched {
    fn from_client(&mut self, octets: &[u8]) {
        self.is_over = says_goodbye(octets);
        self.track.from_client(octets);
    }

    fn from_backend(&mut self, octets: &[u8]) {
        // The answer to a client that goes may be any.
        self.is_over |= is_dismissal(octets);
        self.track.from_backend(octets);
    }

    fn opaque(&self) -> u64 {
        self.track.opaque()
    }

    fn skipped(&mut self, octets: u64) {
        self.track.skipped(octets);
    }

    fn may_speak(&self) -> bool {
        self.track.may_speak()
    }

    fn farewell(&self) -> Bytes {
        self.track.farewell()
    }

    fn lost(&mut self, why: Option<&str>) {
        // What nobody can follow (COMPRESS) may have ended politely.
        let may_be_polite = why.is_none() && self.track.opaque() == u64::MAX;
        if !self.is_over && !may_be_polite {
            self.cuts.note(&self.place, why.unwrap_or(ENDED));
        }
    }
}

/// Whether a client's last line is `QUIT`, or a `LOGOUT` with or without a tag before it. What comes in pieces is overlooked.
fn says_goodbye(octets: &[u8]) -> bool {
    let last = last_line(octets).rsplit(|octet| *octet == b' ').next().unwrap_or_default();
    last.eq_ignore_ascii_case(b"QUIT") || last.eq_ignore_ascii_case(b"LOGOUT")
}

/// Whether a back-end's last line says that it goes: `* BYE`, `421`, `BYE`, or POP3's `-ERR` to who has been idle too long.
fn is_dismissal(octets: &[u8]) -> bool {
    let last = last_line(octets);
    let begins = |word: &[u8]| last.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    [&b"* BYE"[..], b"BYE", b"421", b"-ERR"].into_iter().any(begins)
}

fn last_line(octets: &[u8]) -> &[u8] {
    let line = octets.trim_ascii_end();
    line.rsplit(|octet| *octet == b'\n').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::track::{ImapTrack, Pop3Track};
    use crate::testing::{Logged, Shared as SharedClock, Tasks, Turning};
    use ports::{CallSecurity, Introduction};

    fn watch(cuts: &Cuts, protocol: Protocol, track: Box<dyn Track>) -> Box<dyn Track> {
        watch_at("old", cuts, protocol, track)
    }

    fn watch_at(store: &str, cuts: &Cuts, protocol: Protocol, track: Box<dyn Track>) -> Box<dyn Track> {
        let callee = Callee {
            hosts: Arc::from(["one".into()]),
            port: 143,
            security: CallSecurity::Plain,
            introduction: Introduction::Nobody,
            sources: Arc::default(),
        };
        cuts.watch(&StoreName::parse(store).unwrap(), protocol, callee, track)
    }

    #[test]
    fn sessions_have_their_place_in_common() {
        logged(|cuts| {
            let sessions: Vec<_> =
                (0..3).map(|_| watch(cuts, Protocol::Imap, Box::new(ImapTrack::default()))).collect();
            let places = cuts.0.places.lock().unwrap().clone();
            let held: Vec<usize> = places.values().flatten().map(Weak::strong_count).collect();
            assert_eq!(held, [3]);
            drop(sessions);
            let _other = watch_at("other", cuts, Protocol::Imap, Box::new(ImapTrack::default()));
            let places = cuts.0.places.lock().unwrap();
            assert_eq!(places.keys().map(|(store, _)| store.as_str()).collect::<Vec<_>>(), ["other"]);
        });
    }

    /// What is logged of sessions.
    fn logged(of: impl FnOnce(&Cuts)) -> Vec<String> {
        let (clock, tasks) = (Turning::new(), Arc::new(Tasks::default()));
        let cuts = Cuts::new(Arc::new(SharedClock(Arc::clone(&clock))), tasks.clone());
        of(&cuts);
        let waiting = std::mem::take(&mut *tasks.0.lock().unwrap());
        Logged::by(|| waiting.into_iter().for_each(|task| clock.finish(task))).1
    }

    #[test]
    fn a_back_end_that_dies_under_many_sessions_has_one_line() {
        let lines = logged(|cuts| {
            for number in 0..10_000 {
                let mut track = watch(cuts, Protocol::Imap, Box::new(ImapTrack::default()));
                track.lost((number == 0).then_some("reset by peer"));
            }
            watch(cuts, Protocol::Pop3, Box::new(Pop3Track::default())).lost(None);
        });
        let end = "message=sessions were cut: the back-end dropped them store=old protocol=";
        let imap = format!("WARN {end}\"imap\" host=one:143 sessions=10000 why=\"reset by peer\"");
        let pop3 = format!("WARN {end}\"pop3\" host=one:143 sessions=1 why=\"it ended the connection\"");
        assert_eq!(lines, [imap, pop3]);
    }

    #[test]
    fn who_goes_or_is_sent_away_was_not_cut() {
        for (client, backend, is_cut) in [
            ("a LOGOUT\r\n", "", false),
            ("a logout\r\n", "* BYE\r\na OK\r\n", false),
            ("a IDLE\r\n", "* BYE Too long\r\n", false),
            ("a IDLE\r\n", "+ idling\r\n", true),
            ("a LOGOUT\r\nb NOOP\r\n", "", true),
            ("", "", true),
        ] {
            let lines = logged(|cuts| {
                let mut track = watch(cuts, Protocol::Imap, Box::new(ImapTrack::default()));
                track.from_client(client.as_bytes());
                track.from_backend(backend.as_bytes());
                track.lost(None);
            });
            assert_eq!(lines.len(), usize::from(is_cut), "{client:?} {backend:?}");
        }
        for (client, backend) in
            [("QUIT\r\n", "+OK\r\n"), ("", "-ERR Disconnected for inactivity\r\n"), ("", "421 4.4.2 bye\r\n")]
        {
            assert_eq!(
                (says_goodbye(client.as_bytes()), is_dismissal(backend.as_bytes())),
                (!client.is_empty(), client.is_empty())
            );
        }
    }
}
