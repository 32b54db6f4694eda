//! Mail that waits at the relay while a store has no room, over a death of the program.

use crate::world::{World, trial_unless};
use anyhow::{Context, Result, ensure};
use e2e::imap;
use e2e::letter::{Letter, id_of};
use e2e::limited::SmallDisk;
use e2e::site::{Account, Site};
use e2e::smtp::{Client, Kind};
use libtest_mimic::Trial;
use serde_json::Value;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![trial_unless(world, "queue_survives_a_kill", SmallDisk::obstacle, survives_a_kill)]
}

fn survives_a_kill(world: &World) -> Result<()> {
    let folder = tempfile::tempdir()?;
    // ingrid has a disk of its own, which gets full; fritz and the queue have room.
    let disk = SmallDisk::create(folder.path(), DISK_OCTETS)?;
    let home = folder.path().join("site");
    std::fs::create_dir_all(home.join("data/stores"))?;
    std::fs::create_dir(disk.path().join("ingrid"))?;
    std::os::unix::fs::symlink(disk.path().join("ingrid"), home.join("data/stores/ingrid"))?;
    let mut site = Site::start(&home, &world.log("queue"))?;
    let account = |store: &str| site.accounts_on(store).into_iter().next().context("a store without accounts");
    let (full, free) = (account("ingrid")?, account("fritz")?);

    disk.load_ballast(LEFT_OCTETS)?;
    let mut sent = Vec::new();
    for serial in 0..ATTEMPTS_MAX {
        let letter = Letter::new(&format!("{serial}@queue"), 300_000);
        let to = [full.address.as_str(), free.address.as_str()];
        let mut client = Client::connect(site.address("smtp")?, Kind::Smtp)?;
        let replies = client.deliver("sender@far.example", &to, &letter.bytes)?;
        ensure!(replies.iter().all(|reply| reply.is_good()), "one store has room: {replies:?}");
        sent.push(letter.id);
        if waiting(&site)?.len() >= WAITING_MIN {
            break;
        }
    }
    let before = waiting(&site)?;
    ensure!(before.len() >= WAITING_MIN, "{} messages wait of {}", before.len(), sent.len());
    let [held, ..] = before.as_slice() else { anyhow::bail!("nobody waits") };
    told(&site, &["queue", "hold", held])?;

    site.kill()?;
    disk.drop_ballast()?;
    site.start_again()?;
    ensure!(waiting(&site)? == before, "other messages wait after the kill: {before:?}");
    told(&site, &["queue", "retry", "--all"])?;
    until(|| Ok(waiting(&site)? == [held.clone()])).context("all but the held one are delivered")?;
    ensure!(told(&site, &["queue", "show", held])?.contains("held"), "it is held no longer");
    told(&site, &["queue", "release", held])?;
    until(|| Ok(waiting(&site)?.is_empty())).context("the held one is delivered once it is released")?;
    sent.sort();
    for account in [&full, &free] {
        let found = inbox(&site, account)?;
        ensure!(found == sent, "{} has {found:?} instead of {sent:?}", account.address);
    }
    site.stop()
}

/// The delivery ids of what waits.
fn waiting(site: &Site) -> Result<Vec<String>> {
    let list: Value = serde_json::from_str(&told(site, &["queue", "list", "--json"])?)?;
    let ids = list.as_array().context("a list")?.iter().map(|message| message["id"].as_str().map(str::to_owned));
    ids.collect::<Option<_>>().context("a message without id")
}

fn told(site: &Site, command: &[&str]) -> Result<String> {
    let output = site.command(command)?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The Message-IDs in an INBOX, sorted; every message is whole.
fn inbox(site: &Site, account: &Account) -> Result<Vec<String>> {
    let mut client = imap::Client::connect_tls(site.address("imaps")?)?;
    client.login(&account.address, &account.password)?;
    client.select("INBOX")?;
    let mut found = Vec::new();
    for message in client.fetch_all()? {
        if let Some(fault) = Letter::fault_in(&message.body) {
            anyhow::bail!("{}: {fault}", account.address);
        }
        found.push(id_of(&message.body).unwrap_or_default());
    }
    found.sort();
    Ok(found)
}

fn until(mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + WAIT_MAX;
    while !is_so()? {
        ensure!(Instant::now() < end, "not within {WAIT_MAX:?}");
        thread::park_timeout(Duration::from_millis(200));
    }
    Ok(())
}

/// Room for the preallocated journal of a store and what it keeps free.
const DISK_OCTETS: u64 = 512 << 20;
/// Below the low-water marks, with something left for what a full store must still write.
const LEFT_OCTETS: u64 = 48 << 20;
/// How many shall wait before the program dies.
const WAITING_MIN: usize = 4;
const ATTEMPTS_MAX: u32 = 300;
/// The relay looks every ten seconds for what is due.
const WAIT_MAX: Duration = Duration::from_secs(60);
