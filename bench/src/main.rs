//! Posthouse beside its peers, in one run.
//!
//! What this is: one program that starts Posthouse and, where they are installed, its peers on one disk, drives them in turns with
//! the same load, and prints what each did, at what cost, and the ratio. `bench/README.md` says what each row means.
//!
//! What it is not: a test. Nothing fails because a number is bad; it fails when a server does not do its work.
//!
//! ```text
//!   args ─▶ server/ starts each one in a folder of its own ─▶ rows/ drives them in turns ─▶ table
//!                     │ pid                                      │ load.rs, imap.rs: one thread
//!                     │   (proxies in front of stub.rs, another)  │
//!                     └─▶ procs.rs: CPU and memory from /proc ◀──┘
//! ```
//!
//! Invariants:
//! 1. Everything is on loopback, on free ports, in one temporary folder; servers are ended by their pid.
//! 2. Every run is bounded in time and in octets.
//! 3. A delivery counts when its `250` was read, or in `smtp` when the mail is in the mailbox; the load generator's own CPU is told beside the server's.
//!
//! RFCs: 5321 (SMTP), 2033 (LMTP), 2920 (pipelining), 9051 (IMAP), 2177 (IDLE): as a client, as little as the load needs.
#![allow(clippy::disallowed_methods, reason = "a world: it has clocks, sockets, files and processes")]

mod args;
mod imap;
mod load;
mod message;
mod pop3;
mod procs;
mod rows;
mod server;
mod stats;
mod stub;
mod table;

use anyhow::{Context, Result};
use args::{Args, Row};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server::Kind;
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    let Some(args) = Args::parse(std::env::args().skip(1))? else {
        println!("{}", args::USAGE);
        return Ok(());
    };
    raise_file_limit();
    let base = match &args.dir {
        Some(dir) => tempfile::Builder::new().prefix("bench-").tempdir_in(dir),
        None => tempfile::Builder::new().prefix("bench-").tempdir(),
    };
    let base = base.context("making the folder of the servers")?;
    // One thread is enough, and leaves the other cores to the server.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    if let Some(share) = &args.share {
        return runtime.block_on(rows::proxies::serve_share(share, args.posthouse.clone(), base.path()));
    }
    let kinds = Kind::available(&args)?;
    rows::disk(base.path())?;
    for row in Row::ALL.into_iter().filter(|row| args.wants(*row)) {
        let run = async {
            match row {
                Row::Lmtp => rows::lmtp::run(&args, &kinds, base.path()).await,
                Row::Smtp => rows::smtp::run(&args, &kinds, base.path()).await,
                Row::Fetch => rows::fetch::run(&args, &kinds, base.path()).await,
                Row::Sessions => rows::sessions::run(&args, &kinds, base.path()).await,
                Row::Idle => rows::idle::run(&args, &kinds, base.path()).await,
                Row::Large => rows::large::run(&args, &kinds, base.path()).await,
                Row::Exists => rows::exists::run(&args, &kinds, base.path()).await,
                Row::Tail => rows::tail::run(&args, &kinds, base.path()).await,
                Row::Maps => rows::maps::run(&args, &kinds, base.path()).await,
                Row::Proxies => rows::proxies::run(&args, &kinds, base.path()).await,
            }
        };
        let ran = runtime.block_on(run).with_context(|| format!("in the row {}", row.name()));
        ran.inspect_err(|_| show_logs(base.path()))?;
    }
    Ok(())
}

/// The ends of the servers' logs, which go away with their folders; a site has its servers a level deeper.
fn show_logs(base: &Path) {
    let inside = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect()
    };
    let folders = inside(base);
    let deeper: Vec<PathBuf> = folders.iter().flat_map(|folder| inside(folder)).collect();
    for log in folders.iter().chain(&deeper).map(|folder| folder.join("log")).filter(|log| log.is_file()) {
        eprintln!("{}:\n{}", log.display(), server::end_of(&log));
    }
}

/// A thousand sessions are two thousand sockets in the server, which inherits our limit.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        eprintln!("the limit of open files stays as it is: {error}");
    }
}
