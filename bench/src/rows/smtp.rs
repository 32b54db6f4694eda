//! SMTP to the mailbox: a relay in front of two stores.

use super::per_thousand;
use crate::args::Args;
use crate::load::{Load, Protocol, run as send};
use crate::message;
use crate::procs::own_cpu;
use crate::server::Kind;
use crate::server::site::{Shape, Site};
use crate::stats::{as_f64, median};
use crate::table::{self, Cell};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) async fn run(args: &Args, kinds: &[Kind], base: &Path) -> Result<()> {
    let mut able = Vec::new();
    for kind in kinds {
        match Site::available(kind) {
            Ok(()) => able.push(kind.clone()),
            Err(error) => eprintln!("without {} in the row smtp: {error:#}", kind.name()),
        }
    }
    let title = format!(
        "SMTP to the mailbox: {CONNECTIONS} connections, 4 kB, a relay and two stores with {ACCOUNTS} accounts"
    );
    table::title(&format!("{title} (Dovecot: behind Postfix)"), "messages/s (CPU s per 1,000 messages)", &able);
    let mut sites = start(&able, Shape::ThreeNodes, base).await?;
    let one = measure(args, &mut sites, 1).await?;
    table::row("a process each", &able, &one);
    let two = measure(args, &mut sites, 2).await?;
    table::row("the same, to one on each store", &able, &two);
    sites.into_iter().try_for_each(Counted::stop)?;
    // Only ours has another shape; beside it, again, what the peer did.
    let (ours, peers): (Vec<_>, Vec<_>) =
        able.iter().cloned().zip(one).partition(|(kind, _)| matches!(kind, Kind::Posthouse(_)));
    let mut sites = start(&ours.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>(), Shape::OneProcess, base).await?;
    let mut cells = measure(args, &mut sites, 1).await?;
    sites.into_iter().try_for_each(Counted::stop)?;
    if !cells.is_empty() {
        cells.extend(peers.into_iter().map(|(_, cell)| Cell { note: String::new(), ..cell }));
        table::row("relay and stores in one process", &able, &cells);
    }
    Ok(())
}

/// A site, and the deliveries that it must have in its mailboxes.
struct Counted {
    site: Site,
    deliveries: usize,
}

impl Counted {
    fn stop(self) -> Result<()> {
        self.site.stop()
    }
}

async fn start(kinds: &[Kind], shape: Shape, base: &Path) -> Result<Vec<Counted>> {
    let mut sites = Vec::new();
    for kind in kinds {
        let site = Site::start(kind, shape, base, ACCOUNTS).await?;
        sites.push(Counted { site, deliveries: 0 });
    }
    Ok(sites)
}

/// A cell for each site, measured in turns. Afterwards the stores are asked whether they have it all.
async fn measure(args: &Args, sites: &mut [Counted], recipients: usize) -> Result<Vec<Cell>> {
    let mut runs: Vec<Vec<Run>> = sites.iter().map(|_| Vec::new()).collect();
    for round in 0..args.rounds() {
        for (site, runs) in sites.iter_mut().zip(&mut runs) {
            runs.push(one(args, site, recipients, round).await?);
        }
    }
    for counted in sites {
        let (stored, deliveries) = (counted.site.stored(ACCOUNTS).await?, counted.deliveries);
        ensure!(stored == deliveries, "{stored} of {deliveries} deliveries are in the mailboxes");
    }
    Ok(runs.iter().map(|runs| cell(runs)).collect())
}

struct Run {
    count: usize,
    /// Until the last `250`.
    accepted: f64,
    /// Until the last message was in its mailbox.
    seconds: f64,
    server: Duration,
    own: Duration,
}

async fn one(args: &Args, counted: &mut Counted, recipients: usize, round: usize) -> Result<Run> {
    let site = &mut counted.site;
    let load = Load {
        connections: CONNECTIONS,
        message: message::wire(4 << 10),
        accounts: ACCOUNTS,
        recipients,
        span: args.span(),
        octets_max: RUN_OCTETS_MAX,
        pace: None,
        seed: u64::try_from(round + recipients).expect("a count fits 64 bits"),
    };
    let (before, own, start) = (site.cpu()?, own_cpu()?, Instant::now());
    let count = send(site.smtp, Protocol::Smtp, &load).await.context("sending")?.len();
    let accepted = start.elapsed().as_secs_f64();
    counted.deliveries += count * recipients;
    site.settle(counted.deliveries).await?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Run { count, accepted, seconds, server: site.cpu()? - before, own: own_cpu()? - own })
}

fn cell(runs: &[Run]) -> Cell {
    let rate = |seconds: fn(&Run) -> f64| median(runs.iter().map(|run| as_f64(run.count) / seconds(run)).collect());
    let count = runs.iter().map(|run| run.count).sum();
    let server: Duration = runs.iter().map(|run| run.server).sum();
    let own: Duration = runs.iter().map(|run| run.own).sum();
    let late = median(runs.iter().map(|run| run.seconds - run.accepted).collect());
    let note = format!(
        "{count} messages; {:.0} 250s/s, the last in its mailbox {late:.2} s after the last 250; the load's own CPU {:.2}",
        rate(|run| run.accepted),
        per_thousand(own, count)
    );
    Cell { value: rate(|run| run.seconds), cost: Some(per_thousand(server, count)), note }
}

const CONNECTIONS: usize = 64;
/// Of both stores together.
const ACCOUNTS: usize = 1_000;
/// One run sends no more than this.
const RUN_OCTETS_MAX: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_when_it_is_in_the_mailbox() {
        let run = |seconds| Run {
            count: 1_000,
            accepted: 1.0,
            seconds,
            server: Duration::from_millis(500),
            own: Duration::from_millis(100),
        };
        let cell = cell(&[run(2.0), run(4.0), run(5.0)]);
        assert!(
            (cell.value - 250.0).abs() < 1e-9 && cell.cost.is_some_and(|cost| (cost - 0.5).abs() < 1e-9),
            "{cell:?}"
        );
        assert!(cell.note.starts_with("3000 messages; 1000 250s/s, the last in its mailbox 3.00 s"), "{}", cell.note);
    }
}
