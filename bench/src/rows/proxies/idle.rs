//! Sessions that idle: what each holds of its proxy, and of the kernel.

use super::share::{self, Share};
use super::{Bench, Leg, way};
use crate::imap::Client;
use crate::procs::kernel;
use crate::rows::megabytes;
use crate::server::proxies::{Front, Proxy, name};
use crate::stats::as_f64;
use crate::table::{Better, Cell, contest};
use anyhow::{Context, Result};
use net::ClientTls;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

impl Bench<'_> {
    /// Rows: what a session in IDLE takes of each proxy, each fresh, at these counts.
    pub(super) async fn idle(&self, counts: &[usize], leg: Leg) -> Result<()> {
        let mut columns = Vec::new();
        for proxy in &self.proxies {
            columns.push(match proxy {
                Proxy::Direct => Vec::new(),
                Proxy::Posthouse(_) | Proxy::Nginx | Proxy::DovecotReused | Proxy::DovecotEach | Proxy::Perdition => {
                    self.idle_sizes(proxy, counts, leg).await?
                }
            });
        }
        for (row, count) in counts.iter().enumerate() {
            let cells: Vec<_> = columns.iter().map(|sizes| sizes.get(row).map(|held| bare(held.user))).collect();
            contest(&format!("{count} idle sessions, {}, kB each", leg.name()), &cells, self.peers, Better::Lower);
        }
        Ok(())
    }

    /// Rows: many sessions, and the kernel's part apart.
    pub(super) async fn many_idle(&self, sessions: usize, leg: Leg) -> Result<()> {
        let mut columns = Vec::new();
        for proxy in &self.proxies {
            columns.push(match proxy {
                // Thousands of processes say nothing new.
                Proxy::Direct | Proxy::DovecotEach | Proxy::Perdition => None,
                Proxy::Posthouse(_) | Proxy::Nginx | Proxy::DovecotReused => self.many(proxy, sessions, leg).await?,
            });
        }
        let row = |what: &str, size: fn(&Held) -> f64| {
            let cells: Vec<_> = columns.iter().map(|held| held.as_ref().map(size).map(bare)).collect();
            contest(&format!("{sessions} idle, {}, {what}", leg.name()), &cells, self.peers, Better::Lower);
        };
        row("user-space kB each", |held| held.user);
        row("kernel kB each", |held| held.kernel);
        Ok(())
    }

    /// In so many proxies as the files of a process make necessary.
    async fn many(&self, proxy: &Proxy, sessions: usize, leg: Leg) -> Result<Option<Held>> {
        let shares = Share::of(proxy, leg, sessions);
        if shares.len() == 1 {
            return Ok(self.idle_sizes(proxy, &[sessions], leg).await?.pop());
        }
        let held = share::hold(&shares, proxy, self.base);
        Ok(held.inspect_err(|error| eprintln!("{} with {sessions} sessions: {error:#}", proxy.name())).ok())
    }

    /// One that fails on the way has the sizes that it came to.
    async fn idle_sizes(&self, proxy: &Proxy, counts: &[usize], leg: Leg) -> Result<Vec<Held>> {
        let Some(front) = self.start(proxy).await else { return Ok(Vec::new()) };
        let mut sizes = Vec::new();
        if let Err(error) = self.fill(&front, counts, leg, &mut sizes).await {
            eprintln!("{} with {} sessions or more: {error:#}", proxy.name(), counts.get(sizes.len()).unwrap_or(&0));
        }
        front.stop()?;
        Ok(sizes)
    }

    async fn fill(&self, front: &Front, counts: &[usize], leg: Leg, sizes: &mut Vec<Held>) -> Result<()> {
        let mut sessions = Sessions::none(front, leg, &self.tls, 0).await?;
        let (user, system) = (front.pss()?, kernel()?);
        for count in counts {
            sessions.grow(*count).await?;
            sizes.push(Held::of(*count, front.pss()?.saturating_sub(user), kernel()?.saturating_sub(system)));
        }
        Ok(())
    }
}

/// Sessions through one proxy.
pub(super) struct Sessions<'a> {
    at: SocketAddr,
    tls: Option<&'a ClientTls>,
    /// The number of the first, where other processes have sessions too.
    first: usize,
    clients: Vec<Client>,
}

impl<'a> Sessions<'a> {
    /// None that stays: what the first sessions load or learn is not any one's.
    pub(super) async fn none(front: &Front, leg: Leg, tls: &'a ClientTls, first: usize) -> Result<Self> {
        let (at, tls) = way(front, leg, tls)?;
        for number in 0..WARMING {
            Client::login_from(None, at, tls, &name(number)).await?.command("LOGOUT").await?;
        }
        tokio::time::sleep(SETTLE).await;
        Ok(Self { at, tls, first, clients: Vec::new() })
    }

    /// Until there are so many, in IDLE.
    pub(super) async fn grow(&mut self, count: usize) -> Result<()> {
        while self.clients.len() < count {
            let number = self.first + self.clients.len();
            let client = self.enter(number).await.with_context(|| format!("session {number}"))?;
            self.clients.push(client);
        }
        tokio::time::sleep(SETTLE).await;
        Ok(())
    }

    async fn enter(&self, number: usize) -> Result<Client> {
        let mut client = Client::login_from(Some(source(number)), self.at, self.tls, &name(number)).await?;
        client.command("SELECT INBOX").await?;
        client.idle().await?;
        client.rest();
        Ok(client)
    }
}

/// What an idle session holds, in kB.
pub(super) struct Held {
    user: f64,
    kernel: f64,
}

impl Held {
    /// By what so many sessions have added, in octets, to the proxy and to the whole machine's kernel.
    pub(super) fn of(sessions: usize, user: u64, kernel: u64) -> Self {
        let each = |octets: u64| megabytes(octets) * 1000.0 / as_f64(sessions);
        // Of the four sockets of a session two are the proxy's.
        Self { user: each(user), kernel: each(kernel) / 2.0 }
    }
}

fn bare(value: f64) -> Cell {
    Cell { value, cost: None, note: String::new() }
}

/// An address for each 2,000 sessions: a port of one is given away once, whoever is called, and finding one of the last free
/// ones of 28,000 takes long.
fn source(number: usize) -> IpAddr {
    let block = u8::try_from(number / 2_000).unwrap_or(u8::MAX).saturating_add(1);
    Ipv4Addr::new(127, 0, 1, block).into()
}

/// Sessions that come and go before memory is looked at first.
const WARMING: usize = 50;
/// Servers tidy up after a moment.
const SETTLE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_out() {
        let held = Held::of(1_000, 3_500_000, 16_000_000);
        assert!((held.user - 3.5).abs() < 1e-9 && (held.kernel - 8.0).abs() < 1e-9);
    }

    #[test]
    fn no_address_has_many_sessions() {
        assert_eq!((source(0), source(2_000)), (source(1_999), source(3_999)));
        assert_ne!(source(1_999), source(2_000));
    }
}
