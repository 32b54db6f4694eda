//! The rows of the table.

pub(crate) mod access;
pub(crate) mod exists;
pub(crate) mod fetch;
pub(crate) mod idle;
pub(crate) mod large;
pub(crate) mod lmtp;
pub(crate) mod maps;
pub(crate) mod proxies;
pub(crate) mod sessions;
pub(crate) mod smtp;
pub(crate) mod tail;

use crate::load::{Load, deliver};
use crate::message;
use crate::server::{Hash, Kind, Server};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the disk does without a server: the frame for all that is durable.
pub(crate) fn disk(base: &Path) -> Result<()> {
    println!("The disk under {}: appends with fdatasync after each, one at a time", base.display());
    for octets in [4 << 10, 256 << 10] {
        let mut file = File::create(base.join("disk")).context("making a file on the disk")?;
        let (piece, start, mut count) = (vec![b'x'; octets], Instant::now(), 0_usize);
        while start.elapsed() < Duration::from_millis(500) {
            file.write_all(&piece).context("writing to the disk")?;
            file.sync_data().context("syncing the disk")?;
            count += 1;
        }
        let rate = crate::stats::as_f64(count) / start.elapsed().as_secs_f64();
        println!("  {:>3} kB: {rate:.0}/s, {:.2} ms each", octets >> 10, 1000.0 / rate);
    }
    std::fs::remove_file(base.join("disk")).context("removing a file from the disk")
}

/// Starts every server with accounts.
async fn start_all(kinds: &[Kind], base: &Path, accounts: usize) -> Result<Vec<Server>> {
    start_hashed(kinds, base, accounts, Hash::Plain).await
}

/// The same, with passwords kept in that way.
async fn start_hashed(kinds: &[Kind], base: &Path, accounts: usize, hash: Hash) -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    for kind in kinds {
        servers.push(kind.start(base, accounts, hash).await?);
    }
    Ok(servers)
}

fn stop_all(servers: Vec<Server>) -> Result<()> {
    servers.into_iter().try_for_each(Server::stop)
}

/// Puts so many messages into the mailboxes of the first `accounts`, evenly enough.
async fn fill(server: &Server, accounts: usize, count: usize, octets: usize) -> Result<()> {
    let message = message::wire(octets);
    let load = Load {
        connections: 16,
        octets_max: count * message.len(),
        message,
        accounts,
        recipients: 1,
        span: Duration::from_secs(120),
        pace: None,
        seed: 99,
    };
    let delivered = deliver(server, &load).await.context("filling mailboxes")?;
    anyhow::ensure!(delivered.count() == count, "{} of {count} messages were stored", delivered.count());
    Ok(())
}

/// For numbers a thousand: CPU seconds for each 1,000 operations.
fn per_thousand(cpu: Duration, count: usize) -> f64 {
    cpu.as_secs_f64() * 1000.0 / crate::stats::as_f64(count.max(1))
}

/// For people.
fn megabytes(octets: u64) -> f64 {
    crate::stats::as_f64(usize::try_from(octets).unwrap_or(usize::MAX)) / 1e6
}
