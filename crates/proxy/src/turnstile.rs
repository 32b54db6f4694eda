//! How much logging in there may be: who is at the door, how often who tries, how many sessions an account has.
//!
//! ```text
//!   connection ─▶ Stranger ─────── login ───────▶ Seat ─────▶ session's end
//!                 given back by the login         one of its account's
//! ```
//! What is over a limit is refused at once and by name; all others go on. Of too many strangers the one leaves that has been
//! there longest: a login takes a moment, so whoever holds places and says nothing keeps nobody out. Each node counts for itself.

use directory::AddressKey;
use mail_types::Address;
use ports::host_of;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What there may be. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginLimits {
    /// Connections on which nobody is logged in.
    pub strangers: u32,
    /// Logins in a second, those of all clients together.
    pub per_second: u32,
    /// Logins in a minute from one host.
    pub per_host_and_minute: u32,
    /// Sessions of one account at a time, in all protocols.
    pub sessions_per_account: u32,
}

/// Keeps count. Limits that shrink send nobody away.
#[derive(Debug, Default)]
pub struct Turnstile(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    limits: LoginLimits,
    /// In the order in which they came; who is told that it must leave is no more among them.
    strangers: BTreeMap<u64, Arc<Notify>>,
    last_stranger: u64,
    /// When it was last told that strangers had to leave.
    told: Option<Instant>,
    sessions: BTreeMap<AddressKey, u32>,
    /// When all logins that there were have been made up for.
    paid: Option<Instant>,
    /// The same of each host that has logged in of late.
    hosts: BTreeMap<IpAddr, Instant>,
}

/// A place among those who are not logged in; given back when dropped.
#[derive(Debug)]
pub(crate) struct Stranger {
    turnstile: Arc<Turnstile>,
    number: u64,
    displaced: Arc<Notify>,
}

/// One of an account's sessions; given back when dropped.
#[derive(Debug)]
pub struct Seat {
    turnstile: Arc<Turnstile>,
    account: AddressKey,
}

impl Turnstile {
    /// With these limits.
    pub fn new(limits: LoginLimits) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Counts { limits, ..Counts::default() })))
    }

    /// With these from now on.
    pub fn set(&self, limits: LoginLimits) {
        self.lock().limits = limits;
    }

    /// Somebody has connected. Where there were enough already, the one that has been there longest is told to leave.
    pub(crate) fn stranger(self: &Arc<Self>, now: Instant) -> Stranger {
        let counts = &mut *self.lock();
        let limit = counts.limits.strangers;
        let there = u32::try_from(counts.strangers.len()).unwrap_or(u32::MAX);
        if is_reached(limit, there)
            && let Some((_, oldest)) = counts.strangers.pop_first()
        {
            oldest.notify_one();
            if counts.told.is_none_or(|told| now.saturating_duration_since(told) >= TOLD_EVERY) {
                counts.told = Some(now);
                tracing::warn!(target: "login", limit, "too many connections without a login: the oldest of them end, for a minute told only here");
            }
        }
        counts.last_stranger += 1;
        let (number, displaced) = (counts.last_stranger, Arc::new(Notify::new()));
        counts.strangers.insert(number, Arc::clone(&displaced));
        Stranger { turnstile: Arc::clone(self), number, displaced }
    }

    /// Whether a client may log in now. Whoever may has used up one of its logins, right or wrong; they come back steadily.
    pub(crate) fn may_log_in(&self, client: IpAddr, now: Instant) -> bool {
        let counts = &mut *self.lock();
        let LoginLimits { per_second, per_host_and_minute, .. } = counts.limits;
        let all = Bucket { span: SECOND, count: per_second };
        let one = Bucket { span: MINUTE, count: per_host_and_minute };
        let host = host_of(client);
        let of_host = one.pay(counts.hosts.get(&host).copied(), now);
        let of_all = all.pay(counts.paid, now);
        let (Ok(of_host), Ok(of_all)) = (of_host, of_all) else { return false };
        counts.paid = of_all;
        if let Some(paid) = of_host {
            counts.make_room(now);
            counts.hosts.insert(host, paid);
        }
        true
    }

    /// An account has one session more; nothing where it has too many already.
    pub(crate) fn seat(self: &Arc<Self>, account: &Address) -> Option<Seat> {
        let account = AddressKey::of(account);
        let counts = &mut *self.lock();
        let sessions = counts.sessions.entry(account.clone()).or_default();
        // A limit that nobody reaches leaves no entry behind: it is at least 1.
        if is_reached(counts.limits.sessions_per_account, *sessions) {
            return None;
        }
        *sessions += 1;
        Some(Seat { turnstile: Arc::clone(self), account })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // No holder of this lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Forgets hosts that have been quiet; all of them where that is not enough, which gives each a minute's worth anew.
    fn make_room(&mut self, now: Instant) {
        if self.hosts.len() >= HOSTS_MAX {
            self.hosts.retain(|_, paid| *paid > now);
            if self.hosts.len() >= HOSTS_MAX {
                self.hosts.clear();
            }
        }
    }
}

impl Stranger {
    /// Completes once it must leave.
    pub(crate) async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.turnstile.lock().strangers.remove(&self.number);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.turnstile.lock();
        if let Some(sessions) = counts.sessions.get_mut(&self.account) {
            *sessions -= 1;
            if *sessions == 0 {
                counts.sessions.remove(&self.account);
            }
        }
    }
}

fn is_reached(limit: u32, count: u32) -> bool {
    limit != 0 && count >= limit
}

/// So many in a span, all at once or one by one (the generic cell rate algorithm).
struct Bucket {
    span: Duration,
    count: u32,
}

impl Bucket {
    /// When one more will have been made up for, if that is within the span: nothing where there is no limit.
    fn pay(&self, paid: Option<Instant>, now: Instant) -> Result<Option<Instant>, ()> {
        let Some(cost) = self.span.checked_div(self.count) else { return Ok(None) };
        let next = paid.map_or(now, |paid| paid.max(now)) + cost;
        if next > now + self.span { Err(()) } else { Ok(Some(next)) }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// How often the same is worth a line in the log.
const TOLD_EVERY: Duration = MINUTE;
/// Hosts that are remembered: some 10 MB.
const HOSTS_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Waker};

    #[allow(clippy::disallowed_methods, reason = "an Instant can be had from the clock alone; tests only add to it")]
    fn start() -> Instant {
        Instant::now()
    }

    fn limits() -> LoginLimits {
        LoginLimits { strangers: 2, per_second: 3, per_host_and_minute: 2, sessions_per_account: 2 }
    }

    fn host(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    fn must_leave(stranger: &Stranger) -> bool {
        let mut displaced = std::pin::pin!(stranger.displaced());
        displaced.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn of_too_many_strangers_the_oldest_leaves() {
        let (turnstile, t) = (Turnstile::new(limits()), start());
        let (one, two) = (turnstile.stranger(t), turnstile.stranger(t));
        assert!(!must_leave(&one) && !must_leave(&two));
        let three = turnstile.stranger(t);
        assert!(must_leave(&one) && !must_leave(&two) && !must_leave(&three));
        // Who has gone, logged in or told to, has no place that another would have to leave for.
        drop((one, two));
        let four = turnstile.stranger(t);
        assert!(!must_leave(&three) && !must_leave(&four));
        turnstile.set(LoginLimits { strangers: 0, ..limits() });
        let five = turnstile.stranger(t);
        assert!(![&three, &four, &five].into_iter().any(must_leave), "0 is no limit");
        drop((three, four, five));
        assert!(turnstile.lock().strangers.is_empty());
    }

    #[test]
    fn sessions_are_counted_by_account_and_forgotten() {
        let turnstile = Turnstile::new(limits());
        let account = |name: &str| Address::parse(name).unwrap();
        let (anna, bert) = (account("anna@a.test"), account("bert@a.test"));
        let seats = [turnstile.seat(&anna), turnstile.seat(&anna)];
        assert!(seats.iter().all(Option::is_some));
        assert!(turnstile.seat(&account("Anna@A.test")).is_none(), "however it is written");
        assert!(turnstile.seat(&bert).is_some());
        drop(seats);
        assert!(turnstile.seat(&anna).is_some());
        assert!(turnstile.lock().sessions.is_empty());
    }

    #[test]
    fn one_host_has_its_logins_a_minute_and_others_theirs() {
        let (turnstile, t) = (Turnstile::new(LoginLimits { per_second: 0, ..limits() }), start());
        assert!(turnstile.may_log_in(host(1), t) && turnstile.may_log_in(host(1), t));
        assert!(!turnstile.may_log_in(host(1), t));
        assert!(turnstile.may_log_in(host(2), t));
        assert!(!turnstile.may_log_in(host(1), t + MINUTE / 2 - Duration::from_millis(1)));
        assert!(turnstile.may_log_in(host(1), t + MINUTE / 2), "one has come back");
        assert!(!turnstile.may_log_in(host(1), t + MINUTE / 2));
    }

    #[test]
    fn all_together_have_so_many_a_second() {
        let (turnstile, t) = (Turnstile::new(limits()), start());
        assert!((1..=3).all(|number| turnstile.may_log_in(host(number), t)));
        assert!(!turnstile.may_log_in(host(4), t));
        assert!(turnstile.may_log_in(host(4), t + SECOND / 3));
        // Who was refused has used up none of its own.
        assert!(turnstile.may_log_in(host(4), t + SECOND));
    }

    #[test]
    fn the_memory_of_hosts_is_bounded() {
        let (turnstile, t) = (Turnstile::new(LoginLimits { per_second: 0, ..limits() }), start());
        for number in 0..HOSTS_MAX + 10 {
            let address = std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap());
            assert!(turnstile.may_log_in(address.into(), t));
        }
        assert!(turnstile.lock().hosts.len() <= HOSTS_MAX);
    }

    #[test]
    fn without_limits_nobody_is_remembered() {
        let (turnstile, t) = (Turnstile::new(LoginLimits::default()), start());
        assert!((0..1_000).all(|_| turnstile.may_log_in(host(1), t)));
        assert!(turnstile.lock().hosts.is_empty());
    }
}
