//! How soon a waiting client hears of a delivery.

use super::{start_all, stop_all};
use crate::args::Args;
use crate::load::{self, Protocol};
use crate::server::{Kind, Server, user};
use crate::stats::percentile;
use crate::table::{self, Cell};
use crate::{imap, message};
use anyhow::{Context, Result};
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) async fn run(args: &Args, kinds: &[Kind], base: &Path) -> Result<()> {
    let deliveries = if args.quick { 20 } else { 100 };
    let title = format!("From a delivery's 250 to EXISTS in a session that idles, {deliveries} deliveries");
    table::title(&title, "ms", kinds);
    let servers = start_all(kinds, base, 1).await?;
    let mut delays = Vec::new();
    for server in &servers {
        delays.push(measure(server, deliveries).await?);
    }
    for (name, share) in [("median", 0.5), ("p99", 0.99)] {
        let cell = |delays: &Vec<Duration>| {
            let value = percentile(delays, share).as_secs_f64() * 1000.0;
            Cell { value, cost: None, note: String::new() }
        };
        table::row(name, kinds, &delays.iter().map(cell).collect::<Vec<_>>());
    }
    stop_all(servers)
}

async fn measure(server: &Server, deliveries: usize) -> Result<Vec<Duration>> {
    let mut sender = load::Client::connect(server.lmtp, Protocol::Lmtp).await?;
    let message = message::wire(4 << 10);
    // The first delivery makes the mailbox.
    sender.deliver(&[user(0)], &message).await?;
    let mut reader = imap::Client::login(server.imap, &user(0)).await?;
    reader.command("SELECT INBOX").await?;
    reader.idle().await?;
    let mut delays = Vec::new();
    for _ in 0..deliveries {
        let to = [user(0)];
        let sent = async {
            sender.deliver(&to, &message).await?;
            Ok::<Instant, anyhow::Error>(Instant::now())
        };
        let heard = async {
            tokio::time::timeout(HEARD_WAIT, reader.exists()).await.context("EXISTS never came")??;
            Ok(Instant::now())
        };
        let (sent, heard) = tokio::try_join!(sent, heard)?;
        // Nothing, where the session heard of it before the sender had its 250.
        delays.push(heard.saturating_duration_since(sent));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    delays.sort_unstable();
    Ok(delays)
}

/// A server that has not said it by then never will.
const HEARD_WAIT: Duration = Duration::from_secs(10);
