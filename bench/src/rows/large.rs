//! Memory of sessions on a very large mailbox.

use super::{fill, megabytes, stop_all};
use crate::args::Args;
use crate::imap::Client;
use crate::procs;
use crate::server::{Hash, Kind, Server, user};
use crate::stats::as_f64;
use crate::table::{self, Cell};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) async fn run(args: &Args, kinds: &[Kind], base: &Path) -> Result<()> {
    let mut servers = Vec::new();
    for kind in kinds {
        servers.push(kind.start(base, 1, Hash::Plain).await?);
    }
    let wanted = if args.quick { FIRST << 7 } else { FIRST << 10 };
    let count = fill_all(&servers, wanted).await?;
    let fewer = if count < wanted { format!(" (not {wanted}: filling took too long)") } else { String::new() };
    let title = format!("Memory of {SESSIONS} sessions on one mailbox of {count} messages{fewer}");
    table::title(
        &title,
        "MB of PSS that the first session adds to what all had logged in with (MB that each further one adds)",
        kinds,
    );
    let mut cells: Vec<Vec<Cell>> = STEPS.iter().map(|_| Vec::new()).collect();
    for server in &mut servers {
        // What the filling left in memory, free or not, would hide what the sessions need.
        server.restart()?;
        for (cells, cell) in cells.iter_mut().zip(measure(server, count).await?) {
            cells.push(cell);
        }
    }
    for ((name, _), cells) in STEPS.iter().zip(&cells) {
        table::row(name, kinds, cells);
    }
    stop_all(servers)
}

/// Puts so many messages into the mailbox of the first account by copying them all to where they are; in lockstep, so that all
/// have the same number when one is slow. How many they are.
async fn fill_all(servers: &[Server], wanted: usize) -> Result<usize> {
    let mut clients = Vec::new();
    for server in servers {
        fill(server, 1, FIRST, 500).await?;
        let mut client = Client::login(server.imap, &user(0)).await?;
        client.wait_for(COPY_WAIT);
        client.command("SELECT INBOX").await?;
        clients.push((client, Duration::ZERO));
    }
    let mut count = FIRST;
    while count < wanted && clients.iter().all(|(_, spent)| another_fits(*spent)) {
        for (client, spent) in &mut clients {
            let start = Instant::now();
            client.command("COPY 1:* INBOX").await.context("filling a mailbox")?;
            *spent += start.elapsed();
        }
        count *= 2;
    }
    for (client, _) in &mut clients {
        let held = client.messages().await?;
        ensure!(held == count, "{held} messages are in a mailbox that was filled with {count}");
    }
    Ok(count)
}

/// Doubling once more takes about as long as all that came before.
fn another_fits(spent: Duration) -> bool {
    spent * 2 < FILL_MAX
}

/// A cell for each step.
async fn measure(server: &Server, count: usize) -> Result<Vec<Cell>> {
    let mut clients = Vec::with_capacity(SESSIONS);
    for _ in 0..SESSIONS {
        let mut client = Client::login(server.imap, &user(0)).await?;
        client.wait_for(COPY_WAIT);
        client.rest();
        clients.push(client);
    }
    let before = settled(server).await?;
    let mut cells = Vec::new();
    for (_, commands) in STEPS {
        let cpu = server.cpu()?;
        let mut first = None;
        let mut octets = 0;
        for client in &mut clients {
            for command in commands {
                octets += client.command(command).await?;
            }
            client.rest();
            if first.is_none() {
                first = Some(settled(server).await?);
            }
        }
        let after = settled(server).await?;
        let used = (server.cpu()? - cpu).as_secs_f64() / as_f64(SESSIONS);
        let note = format!(
            "{used:.2} CPU s and {:.0} octets a message for each session; the server had {:.0} MB before",
            as_f64(octets / SESSIONS) / as_f64(count),
            megabytes(before)
        );
        cells.push(cell([before, first.unwrap_or(before), after], note));
    }
    Ok(cells)
}

/// From the octets before, with one session and with all.
fn cell([before, first, all]: [u64; 3], note: String) -> Cell {
    let further = megabytes(all.saturating_sub(first)) / as_f64(SESSIONS - 1);
    Cell { value: megabytes(first.saturating_sub(before)), cost: Some(further), note }
}

/// The memory of a server that has had a moment to tidy up.
async fn settled(server: &Server) -> Result<u64> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    procs::pss(server.pid())
}

/// What a mail program does that comes back to a mailbox it knows: it looks whether the flags changed.
const STEPS: [(&str, &[&str]); 2] =
    [("after SELECT", &["SELECT INBOX"]), ("and UID FETCH 1:* (FLAGS), NOOP", &["UID FETCH 1:* (FLAGS)", "NOOP"])];
const SESSIONS: usize = 10;
/// So many come by LMTP; then they double.
const FIRST: usize = 1 << 10;
/// One server's filling takes no longer.
const FILL_MAX: Duration = Duration::from_secs(300);
const COPY_WAIT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_session_is_told_apart() {
        let cell = cell([5_000_000, 7_000_000, 16_000_000], String::new());
        assert!((cell.value - 2.0).abs() < 1e-9 && cell.cost.is_some_and(|cost| (cost - 1.0).abs() < 1e-9), "{cell:?}");
    }

    #[test]
    fn filling_ends_in_time() {
        assert!(another_fits(Duration::from_secs(149)));
        assert!(!another_fits(Duration::from_secs(150)));
    }
}
