//! Memory of sessions that wait.

use super::{megabytes, start_all, stop_all};
use crate::args::Args;
use crate::imap::Client;
use crate::procs;
use crate::server::{Kind, Server, user};
use crate::stats::as_f64;
use crate::table::{self, Cell};
use anyhow::{Context, Result};
use std::path::Path;
use std::time::Duration;

pub(crate) async fn run(args: &Args, kinds: &[Kind], base: &Path) -> Result<()> {
    let sessions = if args.quick { 200 } else { 1_000 };
    let title = format!("Memory with {sessions} sessions in IDLE, each of an account of its own");
    table::title(&title, "MB of PSS (kB a session beyond what the server had before)", kinds);
    let servers = start_all(kinds, base, sessions).await?;
    let mut cells = Vec::new();
    for server in &servers {
        cells.push(measure(server, sessions).await?);
    }
    table::row("PSS", kinds, &cells);
    stop_all(servers)
}

async fn measure(server: &Server, sessions: usize) -> Result<Cell> {
    let before = procs::pss(server.pid())?;
    let mut clients = Vec::with_capacity(sessions);
    for number in 0..sessions {
        let mut client =
            Client::login(server.imap, &user(number)).await.with_context(|| format!("session {number}"))?;
        client.command("SELECT INBOX").await?;
        client.idle().await?;
        client.rest();
        clients.push(client);
    }
    // Servers tidy up after a moment.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = procs::pss(server.pid())?;
    let each = megabytes(after.saturating_sub(before)) * 1000.0 / as_f64(sessions);
    let note = format!("{:.0} MB before, {} processes with them", megabytes(before), procs::count(server.pid())?);
    drop(clients);
    Ok(Cell { value: megabytes(after), cost: Some(each), note })
}
