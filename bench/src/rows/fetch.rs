//! Reading over IMAP.

use super::{fill, per_thousand, stop_all};
use crate::args::Args;
use crate::imap::Client;
use crate::procs::own_cpu;
use crate::server::{Hash, Kind, Server, user};
use crate::stats::{as_f64, median};
use crate::table::{self, Cell};
use anyhow::{Context, Result};
use std::cell::Cell as Shared;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

pub(crate) async fn run(args: &Args, kinds: &[Kind], base: &Path) -> Result<()> {
    table::title("Reading over IMAP", "what the row says (CPU s for each 1,000 of it; for MB/s, for each GB)", kinds);
    // Account 0 alone has the large mailbox; then 16 accounts with small ones, on fresh servers.
    let servers = super::start_all(kinds, base, 1).await?;
    for server in &servers {
        fill(server, 1, 1_000, 50 << 10).await?;
    }
    let whole = Session { commands: &["SELECT INBOX", "FETCH 1:* (FLAGS BODY.PEEK[])"], again: true, accounts: 1 };
    measure(args, kinds, &servers, "1,000 x 50 kB, 2 clients, MB/s", 2, &whole, Unit::Megabytes).await?;
    let list = Session {
        commands: &["SELECT INBOX", "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)"],
        again: true,
        accounts: 1,
    };
    measure(args, kinds, &servers, "list of 1,000, 2 clients, lists/s", 2, &list, Unit::Rounds).await?;
    stop_all(servers)?;
    let servers = super::start_all(kinds, base, 16).await?;
    for server in &servers {
        fill(server, 16, 16 * 60, 8 << 10).await?;
    }
    let session = Session { commands: &["SELECT INBOX", "FETCH 1:* (FLAGS BODY.PEEK[])"], again: false, accounts: 16 };
    measure(args, kinds, &servers, "login, 60 x 8 kB, 16 clients, /s", 16, &session, Unit::Rounds).await?;
    let login = Session { commands: &["NOOP"], again: false, accounts: 16 };
    measure(args, kinds, &servers, "login and logout, 16 clients, /s", 16, &login, Unit::Rounds).await?;
    stop_all(servers)?;
    let servers = super::start_hashed(kinds, base, 4, Hash::Argon2id).await?;
    let login = Session { commands: &["NOOP"], again: false, accounts: 4 };
    measure(args, kinds, &servers, "the same with argon2id, 4 clients, /s", 4, &login, Unit::Rounds).await?;
    stop_all(servers)
}

/// What a client does, over and over.
#[derive(Clone, Debug)]
struct Session {
    commands: &'static [&'static str],
    /// Whether it stays logged in.
    again: bool,
    accounts: usize,
}

#[derive(Clone, Copy)]
enum Unit {
    Rounds,
    Megabytes,
}

async fn measure(
    args: &Args,
    kinds: &[Kind],
    servers: &[Server],
    name: &str,
    clients: usize,
    session: &Session,
    unit: Unit,
) -> Result<()> {
    let mut runs: Vec<Vec<Run>> = servers.iter().map(|_| Vec::new()).collect();
    for _ in 0..args.rounds() {
        for (server, runs) in servers.iter().zip(&mut runs) {
            runs.push(one(args.span(), server, clients, session).await?);
        }
    }
    let cells: Vec<Cell> = runs.iter().map(|runs| cell(runs, unit)).collect();
    table::row(name, kinds, &cells);
    Ok(())
}

struct Run {
    rounds: usize,
    octets: usize,
    seconds: f64,
    server: Duration,
    own: Duration,
}

async fn one(span: Duration, server: &Server, clients: usize, session: &Session) -> Result<Run> {
    let (before, own, start) = (server.cpu()?, own_cpu()?, Instant::now());
    let (rounds, octets) = (Rc::new(Shared::new(0)), Rc::new(Shared::new(0)));
    let tasks = async {
        let mut tasks = Vec::new();
        for number in 0..clients {
            let (session, imap) = (session.clone(), server.imap);
            let (rounds, octets) = (Rc::clone(&rounds), Rc::clone(&octets));
            tasks.push(tokio::task::spawn_local(async move {
                let name = user(number % session.accounts);
                let mut kept = None;
                while start.elapsed() < span {
                    let mut client = match kept.take() {
                        Some(client) => client,
                        None => Client::login(imap, &name).await?,
                    };
                    for command in session.commands {
                        let answer = client.command(command).await?;
                        octets.set(octets.get() + answer);
                    }
                    rounds.set(rounds.get() + 1);
                    if session.again {
                        kept = Some(client);
                    } else {
                        client.command("LOGOUT").await?;
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
    Ok(Run {
        rounds: rounds.get(),
        octets: octets.get(),
        seconds,
        server: server.cpu()? - before,
        own: own_cpu()? - own,
    })
}

fn cell(runs: &[Run], unit: Unit) -> Cell {
    let rounds: usize = runs.iter().map(|run| run.rounds).sum();
    let octets: usize = runs.iter().map(|run| run.octets).sum();
    let server: Duration = runs.iter().map(|run| run.server).sum();
    let own: Duration = runs.iter().map(|run| run.own).sum();
    let megabytes = |octets: usize| as_f64(octets) / 1e6;
    let (value, cost, own) = match unit {
        Unit::Rounds => (
            median(runs.iter().map(|run| as_f64(run.rounds) / run.seconds).collect()),
            per_thousand(server, rounds),
            per_thousand(own, rounds),
        ),
        Unit::Megabytes => (
            median(runs.iter().map(|run| megabytes(run.octets) / run.seconds).collect()),
            server.as_secs_f64() * 1000.0 / megabytes(octets),
            own.as_secs_f64() * 1000.0 / megabytes(octets),
        ),
    };
    let note = format!("{rounds} rounds, {:.0} MB; the load's own CPU {own:.2}", megabytes(octets));
    Cell { value, cost: Some(cost), note }
}
