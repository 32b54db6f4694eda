//! The addresses of hosts, asked of the system's resolver.
//!
//! The resolver holds a thread of the pool for as long as it likes: nobody can take it back. So few are asked at once,
//! and what they said is remembered for a while; where they say nothing any more, what they said before goes on.

use super::{ADDRESSES_MAX, Failure, LOOKUP_SPAN_MAX};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// What is known of hosts. Clones share it.
#[derive(Clone)]
pub struct Names {
    known: Arc<Mutex<BTreeMap<Box<str>, Known>>>,
    lookups: Arc<Semaphore>,
    resolver: Arc<dyn Resolver>,
}

/// Who is asked, on a thread that may wait.
trait Resolver: Send + Sync {
    fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

impl<F: Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync> Resolver for F {
    fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self(host)
    }
}

/// What was said of a host; no addresses if nothing ever was.
struct Known {
    addresses: Vec<IpAddr>,
    until: Instant,
}

impl Default for Names {
    fn default() -> Self {
        Self::asking(|host| Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Names {
    fn asking(resolver: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        let lookups = Arc::new(Semaphore::new(LOOKUP_COUNT_MAX));
        Self { known: Arc::default(), lookups, resolver: Arc::new(resolver) }
    }

    /// The addresses of a host, for a driver that connects by itself.
    pub async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.resolve(host, port).await.map_err(io::Error::other)
    }

    /// The addresses of a host: itself, if it is one.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let addresses = match self.fresh(host) {
            Some(addresses) => addresses?,
            None => match tokio::time::timeout(LOOKUP_SPAN_MAX, self.look_up(host)).await {
                Ok(found) => self.remember(host, found)?,
                Err(_) => self.remember(host, Err(Failure::SlowLookup))?,
            },
        };
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }

    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
        let Ok(turn) = Arc::clone(&self.lookups).acquire_owned().await else { return Err(Failure::NoAddress) };
        // Somebody else may have asked while we waited.
        if let Some(addresses) = self.fresh(host) {
            return addresses;
        }
        let (resolver, host) = (Arc::clone(&self.resolver), host.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            // Given back when the resolver answers, also where nobody waits for it any more.
            let _turn = turn;
            resolver.addresses(&host)
        });
        // The task ends early only with the program.
        let mut addresses = asked.await.map_err(|_| Failure::SlowLookup)?.map_err(Failure::Lookup)?;
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        if addresses.is_empty() { Err(Failure::NoAddress) } else { Ok(addresses) }
    }

    /// What was said not long ago; an error if that was nothing.
    fn fresh(&self, host: &str) -> Option<Result<Vec<IpAddr>, Failure>> {
        let known = self.known();
        let known = known.get(host).filter(|known| Instant::now() < known.until)?;
        Some(if known.addresses.is_empty() { Err(Failure::UnknownOfLate) } else { Ok(known.addresses.clone()) })
    }

    fn remember(&self, host: &str, found: Result<Vec<IpAddr>, Failure>) -> Result<Vec<IpAddr>, Failure> {
        let now = Instant::now();
        let mut known = self.known();
        if known.len() >= HOST_COUNT_MAX {
            known.retain(|_, known| now < known.until);
        }
        let before = known.entry(host.into()).or_insert(Known { addresses: Vec::new(), until: now });
        match found {
            Ok(addresses) => {
                *before = Known { addresses: addresses.clone(), until: now + FOUND_SPAN };
                Ok(addresses)
            }
            Err(failure) => {
                before.until = now + FAILED_SPAN;
                if before.addresses.is_empty() { Err(failure) } else { Ok(before.addresses.clone()) }
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Known>> {
        // No holder of this lock can panic half-way through a change.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Questions to the resolver at once: each may hold a thread of the pool for half a minute.
const LOOKUP_COUNT_MAX: usize = 4;
/// How long an answer holds.
const FOUND_SPAN: Duration = Duration::from_secs(30);
/// How long none holds.
const FAILED_SPAN: Duration = Duration::from_secs(2);
/// Hosts that are remembered.
const HOST_COUNT_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    #[tokio::test]
    async fn an_answer_is_remembered_and_goes_on_where_none_comes() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let names = Names::asking(move |_| match count.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(vec![IpAddr::from([192, 0, 2, 1])]),
            _ => Err(io::Error::other("the resolver is away")),
        });
        for _ in 0..3 {
            let found = names.resolve("mail.test", 143).await.expect("found");
            assert_eq!(found, ["192.0.2.1:143".parse().expect("an address")]);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        names.known().get_mut("mail.test").expect("known").until = Instant::now();
        assert!(names.resolve("mail.test", 143).await.is_ok(), "the old answer");
        assert!(names.resolve("mail.test", 143).await.is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 2, "and nobody asks at once again");
        assert!(names.resolve("other.test", 143).await.is_err());
        assert!(matches!(names.resolve("other.test", 143).await, Err(Failure::UnknownOfLate)));
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    /// Whoever gives up gives back no thread, so only a few are ever held.
    #[tokio::test]
    async fn a_resolver_that_hangs_holds_few_threads() {
        let asked = Arc::new(AtomicUsize::new(0));
        let (release, held) = mpsc::channel::<()>();
        let (count, held) = (Arc::clone(&asked), Mutex::new(held));
        let names = Names::asking(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            // Until the test ends.
            let _ended = held.lock().unwrap_or_else(PoisonError::into_inner).recv();
            Err(io::Error::other("too late"))
        });
        let hosts: Vec<String> = (0..40).map(|number| format!("h{number}.test")).collect();
        for host in &hosts {
            let mut asking = Box::pin(names.resolve(host, 143));
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(asking.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
        }
        while asked.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(names.lookups.available_permits(), 0);
        assert!(asked.load(Ordering::Relaxed) <= LOOKUP_COUNT_MAX);
        drop(release);
    }
}
