//! The ledger across nodes: each of them in turn is killed under load, and the others go on.

use super::check;
use super::load::{self, Books, Doors, LOAD_MAX};
use super::rounds::{Report, shown};
use crate::cluster::Cluster;
use crate::random::Random;
use crate::smtp::{Client, Kind};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::thread;
use std::time::Instant;

/// Which node dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Front,
    Store(&'static str),
}

/// Runs so many rounds in a folder, where the logs go too.
pub fn run_nodes(rounds: u32, seed: u64, folder: &Path, tell: &mut dyn FnMut(&str)) -> Result<Report> {
    let mut random = Random::new(seed);
    let mut cluster = Cluster::start(folder)?;
    let books = Books::open(cluster.accounts(), seed)?;
    let doors =
        Doors { imap: cluster.address("imap")?, smtp: cluster.address("smtp")?, lmtp: Vec::new(), has_tls: false };
    let victims = [Victim::Store("fritz"), Victim::Front, Victim::Store("ingrid")];
    for (round, victim) in (1..=rounds).zip(victims.into_iter().cycle()) {
        let place = format!("round {round} of seed {seed:#x}, in which {victim:?} died");
        let start = Instant::now();
        let survived = live(&books, &mut cluster, &doors, victim, &mut random)
            .and_then(|()| check::check(&books, &doors))
            .and_then(|()| check::bury(&books, &doors, &mut random));
        let faults = books.faults();
        survived.with_context(|| format!("{place}: {}\n{}", shown(&faults), cluster.log_tail()))?;
        ensure!(faults.is_empty(), "{place}: {} faults\n{}\n{}", faults.len(), shown(&faults), cluster.log_tail());
        let (deliveries, changes, seconds) =
            (books.receipts.count(), books.change_count(), start.elapsed().as_secs_f64());
        tell(&format!("round {round}: {victim:?}, {seconds:.1} s; {deliveries} deliveries, {changes} changes"));
    }
    Ok(Report { deliveries: books.receipts.count(), changes: books.change_count(), deaths: rounds })
}

/// Load, death in the middle of it, mail while the node is away, and its return.
fn live(books: &Books, cluster: &mut Cluster, doors: &Doors, victim: Victim, random: &mut Random) -> Result<()> {
    let target = books.receipts.count() + 50 + usize::try_from(random.below(200))?;
    thread::scope(|scope| {
        load::start(scope, books, doors, random);
        let reached = books.receipts.wait_for(target, LOAD_MAX);
        // From here to the end of the scope nothing may return early: the threads end only when the load does.
        books.end();
        let died = match victim {
            Victim::Front => cluster.front().kill(),
            Victim::Store(store) => cluster.store(store).and_then(|node| node.daemon().kill()),
        };
        died?;
        ensure!(reached, "less than {target} deliveries within {LOAD_MAX:?}");
        Ok(())
    })?;
    books.begin();
    match victim {
        Victim::Front => cluster.start_front()?,
        Victim::Store(store) => {
            send_meanwhile(books, doors, random)?;
            cluster.start_store(store)?;
        }
    }
    cluster.empty_the_queue()
}

/// Everybody gets mail while a store is away: it waits in the queue, and nobody hears that he does not exist.
fn send_meanwhile(books: &Books, doors: &Doors, random: &mut Random) -> Result<()> {
    let mut client = Client::connect(doors.smtp, Kind::Smtp)?;
    let to: Vec<&str> = books.receivers.iter().map(|account| account.address.as_str()).collect();
    for _ in 0..MESSAGES_MEANWHILE {
        let letter = books.letter(random);
        for account in &to {
            books.receipts.attempt(account, &letter.id);
        }
        for (account, reply) in to.iter().zip(client.deliver("sender@far.example", &to, &letter.bytes)?) {
            match reply.code {
                250 => books.receipts.acknowledge(account, &letter.id),
                _refused => books.blame([format!("{account} was refused while a store was away: {reply:?}")]),
            }
        }
    }
    Ok(())
}

const MESSAGES_MEANWHILE: u32 = 10;
