//! The slowest deliveries: while the server writes its index out, and while large messages arrive.

use super::{start_all, stop_all};
use crate::args::Args;
use crate::load::{Delivered, Load, deliver};
use crate::message;
use crate::server::{Kind, Server};
use crate::stats::percentile;
use crate::table::{self, Cell};
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

pub(crate) async fn run(args: &Args, kinds: &[Kind], base: &Path) -> Result<()> {
    let servers = start_all(kinds, base, 1_000).await?;
    let title = format!("The slowest of {PACE:.0} deliveries/s of 4 kB on 16 connections");
    table::title(&title, "ms from a message's turn to its 250: p99 (p50)", kinds);
    // Long enough for checkpoints, which come once a minute at least.
    let long = Duration::from_secs(if args.quick { 10 } else { 75 });
    let mut cells = Vec::new();
    for server in &servers {
        cells.push(cell(&deliver(server, &small(long)).await?));
    }
    table::row(&format!("{} s, checkpoints included", long.as_secs()), kinds, &cells);
    let short = Duration::from_secs(if args.quick { 5 } else { 15 });
    let mut cells = Vec::new();
    for server in &servers {
        cells.push(with_large(server, short).await?);
    }
    table::row("while 49 MB messages arrive", kinds, &cells);
    stop_all(servers)
}

async fn with_large(server: &Server, span: Duration) -> Result<Cell> {
    let message = message::wire(LARGE_OCTETS);
    let octets_max = LARGE_COUNT_MAX * message.len();
    let large = Load { connections: 2, message, accounts: 1_000, recipients: 1, span, octets_max, pace: None, seed: 2 };
    let (small, large) = tokio::try_join!(deliver_small(server, span), deliver(server, &large))?;
    let mut cell = cell(&small);
    cell.note = format!("{}; {} large ones", cell.note, large.count());
    Ok(cell)
}

async fn deliver_small(server: &Server, span: Duration) -> Result<Delivered> {
    deliver(server, &small(span)).await
}

fn small(span: Duration) -> Load {
    Load {
        connections: 16,
        message: message::wire(4 << 10),
        accounts: 1_000,
        recipients: 1,
        span,
        octets_max: usize::MAX,
        pace: Some(PACE),
        seed: 1,
    }
}

fn cell(delivered: &Delivered) -> Cell {
    let ms = |share| percentile(&delivered.latencies, share).as_secs_f64() * 1000.0;
    let note = format!("{} messages, the slowest {:.1} ms", delivered.count(), ms(1.0));
    Cell { value: ms(0.99), cost: Some(ms(0.5)), note }
}

/// A third of what the slower server can do.
const PACE: f64 = 250.0;
/// Posthouse's default limit is 50 MB.
const LARGE_OCTETS: usize = 49_000_000;
const LARGE_COUNT_MAX: usize = 20;
