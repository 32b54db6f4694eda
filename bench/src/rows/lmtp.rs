//! Durable deliveries over LMTP.

use super::{per_thousand, start_all, stop_all};
use crate::args::Args;
use crate::load::{Delivered, Load, deliver};
use crate::message;
use crate::server::Kind;
use crate::stats::{as_f64, median, percentile};
use crate::table::{self, Cell};
use anyhow::{Context, Result};
use bytes::Bytes;
use std::path::Path;
use std::time::Duration;

pub(crate) async fn run(args: &Args, kinds: &[Kind], base: &Path) -> Result<()> {
    for accounts in [1_000, 100_000] {
        let servers = start_all(kinds, base, accounts).await?;
        let title = format!("Durable deliveries over LMTP into {accounts} accounts");
        table::title(&title, "messages/s (CPU s per 1,000 messages)", kinds);
        for (size, octets) in [("4 kB", 4 << 10), ("50 kB", 50 << 10)] {
            let message = message::wire(octets);
            for connections in [1, 16, 64] {
                let mut runs: Vec<Vec<Delivered>> = servers.iter().map(|_| Vec::new()).collect();
                for round in 0..args.rounds() {
                    for (server, runs) in servers.iter().zip(&mut runs) {
                        let load = load(args, connections, &message, accounts, round);
                        runs.push(deliver(server, &load).await.context("delivering")?);
                    }
                }
                let cells: Vec<Cell> = runs.iter().map(|runs| cell(runs)).collect();
                table::row(&format!("{size}, {connections} connections"), kinds, &cells);
            }
        }
        stop_all(servers)?;
    }
    Ok(())
}

fn load(args: &Args, connections: usize, message: &Bytes, accounts: usize, round: usize) -> Load {
    Load {
        connections,
        message: message.clone(),
        accounts,
        recipients: 1,
        span: args.span(),
        octets_max: RUN_OCTETS_MAX,
        pace: None,
        seed: u64::try_from(round + connections).expect("a count fits 64 bits"),
    }
}

fn cell(runs: &[Delivered]) -> Cell {
    let rate = median(runs.iter().map(|run| as_f64(run.count()) / run.seconds).collect());
    let count = runs.iter().map(Delivered::count).sum();
    let server: Duration = runs.iter().map(|run| run.server_cpu).sum();
    let own: Duration = runs.iter().map(|run| run.own_cpu).sum();
    let mut latencies: Vec<Duration> = runs.iter().flat_map(|run| run.latencies.iter().copied()).collect();
    latencies.sort_unstable();
    let ms = |share| percentile(&latencies, share).as_secs_f64() * 1000.0;
    let note = format!(
        "{count} messages; to the 250: median {:.1} ms, p99 {:.1} ms; the load's own CPU {:.2}",
        ms(0.5),
        ms(0.99),
        per_thousand(own, count)
    );
    Cell { value: rate, cost: Some(per_thousand(server, count)), note }
}

/// One run writes no more than this, twice in a server that keeps a journal.
const RUN_OCTETS_MAX: usize = 256 << 20;
