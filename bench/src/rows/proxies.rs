//! Proxies side by side, in front of a back-end that does next to nothing.

mod idle;
mod share;

pub(crate) use share::{Share, serve as serve_share};

use super::per_thousand;
use crate::args::Args;
use crate::imap::Client;
use crate::procs::own_cpu;
use crate::server::Kind;
use crate::server::proxies::{Front, Proxy, hashed_name, name};
use crate::stats::{as_f64, median};
use crate::stub::Stub;
use crate::table::{Better, Cell, contest, contest_title};
use anyhow::{Context, Result, bail, ensure};
use net::ClientTls;
use std::cell::Cell as Shared;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

pub(crate) async fn run(args: &Args, kinds: &[Kind], base: &Path) -> Result<()> {
    let proxies = proxies(kinds);
    let stub = Stub::start(MESSAGE_OCTETS)?;
    let peers = proxies.iter().filter(|proxy| !matches!(proxy, Proxy::Posthouse(_) | Proxy::Direct)).count();
    let names: Vec<&str> = proxies.iter().map(Proxy::name).collect();
    let title = "Proxies for IMAP, in front of a stub";
    contest_title(title, "what the row says (CPU s for each 1,000 logins, or for each GB; kB alone)", &names);
    let bench = Bench { args, proxies, peers, stub, base, tls: ClientTls::unverified() };
    let mut fronts = bench.start_all().await;
    bench.work(&mut fronts, "logins and logouts, 32 clients, /s", Work::Logins, Leg::Plain).await;
    bench.hashed(&fronts).await;
    bench.work(&mut fronts, "FETCH of 8 MB, 2 clients, MB/s", Work::Fetches, Leg::Plain).await;
    bench.work(&mut fronts, "the same, TLS to the clients", Work::Fetches, Leg::Tls).await;
    stop(fronts)?;
    bench.idle(&IDLE, Leg::Plain).await?;
    bench.idle(&IDLE, Leg::Tls).await?;
    if let Some(sessions) = args.idle {
        bench.many_idle(sessions, Leg::Plain).await?;
        bench.many_idle(sessions, Leg::Tls).await?;
    }
    Ok(())
}

/// Those that can run here; ours is the first, and the back-end alone the last.
fn proxies(kinds: &[Kind]) -> Vec<Proxy> {
    let ours = kinds.iter().filter_map(|kind| match kind {
        Kind::Posthouse(program) => Some(Proxy::Posthouse(program.clone())),
        Kind::Dovecot => None,
    });
    // `--only posthouse` leaves out all others.
    let wants_peers = kinds.iter().any(|kind| matches!(kind, Kind::Dovecot));
    let peers = [Proxy::Nginx, Proxy::DovecotReused, Proxy::DovecotEach, Proxy::Perdition];
    let peers = peers.into_iter().filter(|proxy| wants_peers && is_there(proxy));
    ours.chain(peers).chain([Proxy::Direct]).collect()
}

fn is_there(proxy: &Proxy) -> bool {
    let available = proxy.available();
    if let Err(error) = &available {
        eprintln!("without {} in the row proxies: {error:#}", proxy.name());
    }
    available.is_ok()
}

struct Bench<'a> {
    args: &'a Args,
    proxies: Vec<Proxy>,
    /// How many of them are neither ours nor none.
    peers: usize,
    stub: Stub,
    base: &'a Path,
    tls: ClientTls,
}

/// What is between the client and the proxy; between the proxy and the stub nothing ever is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leg {
    Plain,
    Tls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Logins,
    /// Where the proxy has the password, as argon2id.
    HashedLogins,
    Fetches,
}

impl Work {
    fn clients(self) -> usize {
        match self {
            Self::Logins => 32,
            Self::HashedLogins => 4,
            Self::Fetches => 2,
        }
    }
}

impl Bench<'_> {
    /// One that does not start is told of, and its column stays empty.
    async fn start(&self, proxy: &Proxy) -> Option<Front> {
        let started = proxy.start(self.base, &self.stub).await;
        started.inspect_err(|error| eprintln!("without {}: {error:#}", proxy.name())).ok()
    }

    async fn start_all(&self) -> Vec<Option<Front>> {
        let mut fronts = Vec::new();
        for proxy in &self.proxies {
            fronts.push(self.start(proxy).await);
        }
        fronts
    }

    /// A row: what each did, measured in turns. One that fails is told of, and is not asked again.
    async fn work(&self, fronts: &mut [Option<Front>], title: &str, work: Work, leg: Leg) {
        let mut runs: Vec<Vec<Run>> = fronts.iter().map(|_| Vec::new()).collect();
        for _ in 0..self.args.rounds() {
            for (place, runs) in fronts.iter_mut().zip(&mut runs) {
                let Some(front) = place.as_ref().filter(|front| leg == Leg::Plain || front.tls.is_some()) else {
                    continue;
                };
                match self.one(front, work, leg).await {
                    Ok(run) => runs.push(run),
                    Err(error) => {
                        eprintln!("{} from here on left out: {error:#}", front.proxy.name());
                        *place = None;
                    }
                }
            }
        }
        let cells: Vec<Option<Cell>> = runs.iter().map(|runs| cell(runs, work)).collect();
        contest(title, &cells, self.peers, Better::Higher);
        let own = runs.iter().filter(|runs| !runs.is_empty()).map(|runs| format!("{:.2}", own_cost(runs, work)));
        let own: Vec<String> = own.collect();
        println!("      CPU of the load and the stub together, in the same units: {}", own.join(", "));
    }

    /// A row of Posthouse alone: of the others none is set up to know a password and to log in as somebody else.
    async fn hashed(&self, fronts: &[Option<Front>]) {
        let mut cells: Vec<Option<Cell>> = fronts.iter().map(|_| None).collect();
        let (Some(Some(ours)), Some(cell)) = (fronts.first(), cells.first_mut()) else { return };
        if !matches!(ours.proxy, Proxy::Posthouse(_)) {
            return;
        }
        let mut runs = Vec::new();
        for _ in 0..self.args.rounds() {
            match self.one(ours, Work::HashedLogins, Leg::Plain).await {
                Ok(run) => runs.push(run),
                Err(error) => eprintln!("{} with hashes: {error:#}", ours.proxy.name()),
            }
        }
        *cell = self::cell(&runs, Work::HashedLogins);
        contest("logins that the proxy checks by argon2id, 4 clients, /s", &cells, self.peers, Better::Higher);
    }

    async fn one(&self, front: &Front, work: Work, leg: Leg) -> Result<Run> {
        let (before, own, start) = (front.cpu()?, own_cpu()?, Instant::now());
        let done = Rc::new(Shared::new(0));
        let (at, tls) = way(front, leg, &self.tls)?;
        let span = self.args.span();
        let tasks = async {
            let mut tasks = Vec::new();
            for number in 0..work.clients() {
                let (done, tls) = (Rc::clone(&done), tls.cloned());
                tasks.push(tokio::task::spawn_local(async move {
                    match work {
                        Work::Logins | Work::HashedLogins => {
                            let user = if work == Work::Logins { name(number) } else { hashed_name(number) };
                            while start.elapsed() < span {
                                let mut client = Client::login_from(None, at, tls.as_ref(), &user).await?;
                                client.command("LOGOUT").await?;
                                done.set(done.get() + 1);
                            }
                        }
                        Work::Fetches => {
                            let mut client = Client::login_from(None, at, tls.as_ref(), &name(number)).await?;
                            client.command("SELECT INBOX").await?;
                            while start.elapsed() < span {
                                let octets = client.command("FETCH 1 BODY.PEEK[]").await?;
                                ensure!(octets > MESSAGE_OCTETS, "a message of {octets} octets arrived");
                                done.set(done.get() + octets);
                            }
                        }
                    }
                    Ok::<(), anyhow::Error>(())
                }));
            }
            for task in tasks {
                task.await.context("a client")??;
            }
            Ok::<(), anyhow::Error>(())
        };
        LocalSet::new().run_until(tasks).await?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Run { done: done.get(), seconds, server: front.cpu()? - before, own: own_cpu()? - own })
    }
}

/// Where a proxy takes such sessions.
fn way<'a>(front: &Front, leg: Leg, tls: &'a ClientTls) -> Result<(SocketAddr, Option<&'a ClientTls>)> {
    match (leg, front.tls) {
        (Leg::Plain, _) => Ok((front.plain, None)),
        (Leg::Tls, Some(at)) => Ok((at, Some(tls))),
        (Leg::Tls, None) => bail!("{} has no TLS", front.proxy.name()),
    }
}

impl Leg {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "TLS",
        }
    }
}

struct Run {
    /// Logins, or octets.
    done: usize,
    seconds: f64,
    server: Duration,
    own: Duration,
}

fn cell(runs: &[Run], work: Work) -> Option<Cell> {
    if runs.is_empty() {
        return None;
    }
    let value = median(runs.iter().map(|run| units(run.done, work) / run.seconds).collect());
    let server = runs.iter().map(|run| run.server).sum();
    Some(Cell { value, cost: Some(cost(server, runs, work)), note: String::new() })
}

fn own_cost(runs: &[Run], work: Work) -> f64 {
    cost(runs.iter().map(|run| run.own).sum(), runs, work)
}

/// CPU seconds for a thousand logins, or for a GB.
fn cost(cpu: Duration, runs: &[Run], work: Work) -> f64 {
    let done: usize = runs.iter().map(|run| run.done).sum();
    match work {
        Work::Logins | Work::HashedLogins => per_thousand(cpu, done),
        Work::Fetches => cpu.as_secs_f64() * 1000.0 / units(done, work),
    }
}

/// Logins, or MB.
fn units(done: usize, work: Work) -> f64 {
    match work {
        Work::Logins | Work::HashedLogins => as_f64(done),
        Work::Fetches => as_f64(done) / 1e6,
    }
}

fn stop(fronts: Vec<Option<Front>>) -> Result<()> {
    fronts.into_iter().flatten().try_for_each(Front::stop)
}

const MESSAGE_OCTETS: usize = 8 << 20;
/// Sessions that idle, at which memory is looked at.
const IDLE: [usize; 2] = [500, 2_000];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_of_all_runs() {
        let run =
            |done, seconds| Run { done, seconds, server: Duration::from_millis(500), own: Duration::from_millis(250) };
        let logins = [run(1_000, 1.0), run(1_000, 2.0), run(2_000, 1.0)];
        let cell = super::cell(&logins, Work::Logins).expect("it ran");
        assert!((cell.value - 1_000.0).abs() < 1e-9 && cell.cost.is_some_and(|cost| (cost - 0.375).abs() < 1e-9));
        let cell = super::cell(&[run(2_000_000_000, 2.0)], Work::Fetches).expect("it ran");
        assert!((cell.value - 1_000.0).abs() < 1e-9 && cell.cost.is_some_and(|cost| (cost - 0.25).abs() < 1e-9));
        assert!((own_cost(&logins, Work::Logins) - 0.1875).abs() < 1e-9);
        assert!(super::cell(&[], Work::Logins).is_none());
    }
}
