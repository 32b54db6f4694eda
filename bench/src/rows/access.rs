//! Clients that do the same over and over, in turns against each server.

use super::per_thousand;
use crate::args::Args;
use crate::imap::Client;
use crate::pop3;
use crate::procs::own_cpu;
use crate::server::{Kind, Server, user};
use crate::stats::{as_f64, median};
use crate::table::{self, Cell};
use anyhow::{Context, Result};
use bytes::Bytes;
use std::cell::Cell as Shared;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

/// What a client does, over and over.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    act: Act,
    /// Whether it stays logged in.
    again: bool,
    accounts: usize,
}

#[derive(Clone, Debug)]
enum Act {
    /// Commands of IMAP.
    Imap(&'static [&'static str]),
    /// APPEND of one message to INBOX.
    Append(Bytes),
    /// POP3: STAT, UIDL, and so many messages.
    Pop3 { retrieved: u32 },
}

impl Session {
    /// Logs in, says these, logs out.
    pub(crate) fn imap(commands: &'static [&'static str], accounts: usize) -> Self {
        Self { act: Act::Imap(commands), again: false, accounts }
    }

    /// Appends a message, logged in once.
    pub(crate) fn append(message: Bytes, accounts: usize) -> Self {
        Self { act: Act::Append(message), again: true, accounts }
    }

    /// Logs in, looks at the list, reads so many, quits.
    pub(crate) fn pop3(retrieved: u32, accounts: usize) -> Self {
        Self { act: Act::Pop3 { retrieved }, again: false, accounts }
    }

    /// The same without logging out.
    pub(crate) fn again(mut self) -> Self {
        self.again = true;
        self
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Rounds,
    Megabytes,
}

pub(crate) async fn measure(
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
            let (session, imap, pop3) = (session.clone(), server.imap, server.pop3);
            let (rounds, octets) = (Rc::clone(&rounds), Rc::clone(&octets));
            tasks.push(tokio::task::spawn_local(async move {
                let name = user(number % session.accounts);
                let mut kept = None;
                while start.elapsed() < span {
                    let (answers, client) = match &session.act {
                        Act::Pop3 { retrieved } => (pop3::session(pop3, &name, *retrieved).await?, None),
                        Act::Imap(_) | Act::Append(_) => round(&session, imap, &name, kept.take()).await?,
                    };
                    octets.set(octets.get() + answers);
                    rounds.set(rounds.get() + 1);
                    kept = client;
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

/// One round over IMAP: how much was answered, and the client, if it stays.
async fn round(
    session: &Session,
    imap: SocketAddr,
    name: &str,
    kept: Option<Client>,
) -> Result<(usize, Option<Client>)> {
    let mut client = match kept {
        Some(client) => client,
        None => Client::login(imap, name).await?,
    };
    let mut octets = 0;
    match &session.act {
        Act::Imap(commands) => {
            for command in *commands {
                octets += client.command(command).await?;
            }
        }
        Act::Append(message) => octets += client.append(message).await?,
        Act::Pop3 { .. } => {}
    }
    if session.again {
        return Ok((octets, Some(client)));
    }
    client.command("LOGOUT").await?;
    Ok((octets, None))
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
