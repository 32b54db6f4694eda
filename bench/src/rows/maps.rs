//! Live maps of a million lines: how soon they serve, what they hold, and what logins feel while one is read again.

use super::megabytes;
use crate::args::Args;
use crate::pop3;
use crate::procs;
use crate::server::{DOMAIN, Hash, Kind, PASSWORD, Server, user};
use crate::stats::percentile;
use crate::table::{self, Cell};
use anyhow::{Context, Result, bail};
use std::cell::RefCell;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

pub(crate) async fn run(args: &Args, kinds: &[Kind], base: &Path) -> Result<()> {
    // Nobody else follows such files while it serves.
    let Some(ours) = kinds.iter().find(|kind| matches!(kind, Kind::Posthouse(_))) else { return Ok(()) };
    let sizes: &[usize] = if args.quick { &[100_000] } else { &[1_000_000, 5_000_000] };
    let ours = std::slice::from_ref(ours);
    table::title("Logins while a live map is read again, 100 a second", "ms, p99 (p99 before)", ours);
    for lines in sizes {
        for format in ["popmap", "user-map", "passwd-file"] {
            LocalSet::new().run_until(of_map(ours, base, format, *lines)).await?;
        }
    }
    Ok(())
}

async fn of_map(ours: &[Kind], base: &Path, format: &'static str, lines: usize) -> Result<()> {
    let kind = ours.first().context("a server")?;
    let mut server = kind.start(base, ACCOUNTS, Hash::Plain).await?;
    let map = server.folder().join("map");
    write(&map, format, lines, |_| Reading::First)?;
    server.configure(&format!("\n[[directory.map]]\nkind = \"{format}\"\npath = \"map\"\n"))?;
    let began = Instant::now();
    server.restart()?;
    let loaded = began.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let note = format!("{:.1} s from the start to the first greeting, {:.0} MB", loaded.as_secs_f64(), held(&server)?);

    let before = logins(&server, || false, BASELINE).await?;
    for (name, differs) in [("1 % differs", 100), ("all differs", 1)] {
        let new = server.folder().join("map.new");
        let of_line = |line| if line % differs == 0 { Reading::Second } else { Reading::First };
        write(&new, format, lines, of_line)?;
        // What differed before differs again.
        let (seen, log) = (readings(&server)?, server.folder().join("log"));
        let began = Instant::now();
        std::fs::rename(&new, &map).context("replacing the map")?;
        let mut ended = None;
        let is_read = || {
            if ended.is_none() && readings_in(&log).is_ok_and(|now| now > seen) {
                ended = Some(began.elapsed());
            }
            ended.is_some_and(|ended| began.elapsed() > ended + SETTLE)
        };
        let during = logins(&server, is_read, READ_WAIT).await?;
        let Some(ended) = ended else { bail!("{format} of {lines} lines was not read again") };
        let ms = |spans: &[Duration], share| percentile(spans, share).as_secs_f64() * 1000.0;
        let note = format!(
            "{note}; read again within {:.1} s; longest login {:.0} ms ({:.0} before); then {:.0} MB",
            ended.as_secs_f64(),
            ms(&during, 1.0),
            ms(&before, 1.0),
            held(&server)?
        );
        let cell = Cell { value: ms(&during, 0.99), cost: Some(ms(&before, 0.99)), note };
        table::row(&format!("{format}, {lines} lines, {name}"), ours, &[cell]);
    }
    server.stop()
}

/// Which of two readings a line is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    First,
    Second,
}

fn write(path: &Path, format: &str, lines: usize, reading: impl Fn(usize) -> Reading) -> Result<()> {
    let mut file = BufWriter::new(File::create(path).context("making a map")?);
    for line in 0..lines {
        let name = match reading(line) {
            Reading::First => "m",
            Reading::Second => "n",
        };
        match format {
            "popmap" => writeln!(file, "m{line}@{DOMAIN}: {name}{line}@one"),
            "user-map" => writeln!(file, "m{line}@{DOMAIN} {name}{line}@one"),
            "passwd-file" => writeln!(file, "m{line}@{DOMAIN}:{{PLAIN}}{PASSWORD}{name}::::::"),
            other => bail!("no lines are written for {other}"),
        }
        .context("writing a map")?;
    }
    file.flush().context("writing a map")
}

/// How long logins took, the shortest first: each has its turn, and whoever is late makes those behind him late, too.
async fn logins(server: &Server, mut is_done: impl FnMut() -> bool, at_most: Duration) -> Result<Vec<Duration>> {
    let (began, spans) = (Instant::now(), Rc::new(RefCell::new(Vec::new())));
    let mut tasks = Vec::new();
    for turn in 0_u32.. {
        let due = began + EVERY * turn;
        if due > began + at_most || (turn % LOOK_EVERY == 0 && is_done()) {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        let (pop3, spans) = (server.pop3, Rc::clone(&spans));
        let name = user(usize::try_from(turn).unwrap_or(0) % ACCOUNTS);
        tasks.push(tokio::task::spawn_local(async move {
            pop3::session(pop3, &name, 0).await?;
            spans.borrow_mut().push(due.elapsed());
            Ok::<(), anyhow::Error>(())
        }));
    }
    for task in tasks {
        task.await.context("a login")??;
    }
    let mut spans = spans.take();
    spans.sort_unstable();
    Ok(spans)
}

fn readings(server: &Server) -> Result<usize> {
    readings_in(&server.folder().join("log"))
}

/// How often the server says that it has read a map.
fn readings_in(log: &Path) -> Result<usize> {
    let text = std::fs::read(log).context("reading a server's log")?;
    Ok(String::from_utf8_lossy(&text).lines().filter(|line| line.contains("the map was read")).count())
}

fn held(server: &Server) -> Result<f64> {
    Ok(megabytes(procs::pss(server.pid())?))
}

const ACCOUNTS: usize = 100;
const EVERY: Duration = Duration::from_millis(10);
/// Turns between two looks at the log.
const LOOK_EVERY: u32 = 20;
const BASELINE: Duration = Duration::from_secs(5);
/// Logins go on for so long after the map was read: its copies follow, and what it replaced is dropped.
const SETTLE: Duration = Duration::from_secs(3);
/// A map that is not read by then never will be.
const READ_WAIT: Duration = Duration::from_secs(180);
