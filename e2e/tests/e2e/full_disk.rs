//! A disk that gets full under a site, and has room again.

use crate::world::{World, trial_unless};
use anyhow::{Context, Result, ensure};
use e2e::imap;
use e2e::letter::{Letter, id_of};
use e2e::limited::SmallDisk;
use e2e::site::{Account, Site};
use e2e::smtp::{Client, Kind, Reply};
use libtest_mimic::Trial;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![trial_unless(world, "full_disk", SmallDisk::obstacle, full_disk)]
}

fn full_disk(world: &World) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let disk = SmallDisk::create(folder.path(), DISK_OCTETS)?;
    let mut site = Site::start(&disk.path().join("site"), &world.log("full-disk"))?;
    let doors = Door::all(&site)?;
    let mut books = Books::default();
    for door in &doors {
        for _ in 0..5 {
            let reply = books.send(door)?;
            ensure!(reply.is_good(), "{door:?} while there is room: {reply:?}");
        }
    }

    disk.load_ballast(LEFT_OCTETS)?;
    for door in &doors {
        refuses(&mut books, door)?;
    }
    for account in accounts(&doors) {
        changes_while_full(&site, account, &mut books)?;
    }

    disk.drop_ballast()?;
    for door in &doors {
        flows_again(&mut books, door)?;
    }
    for account in accounts(&doors) {
        books.check(&site, account)?;
    }
    site.stop()?;
    site.start_again()?;
    for account in accounts(&doors) {
        books.check(&site, account)?;
    }
    site.stop()
}

/// A way for mail into an account.
#[derive(Debug)]
struct Door {
    kind: Kind,
    address: std::net::SocketAddr,
    account: Account,
}

impl Door {
    /// LMTP and SMTP, to one account of each store.
    fn all(site: &Site) -> Result<Vec<Self>> {
        let mut doors = Vec::new();
        for store in ["fritz", "ingrid"] {
            let account = site.accounts_on(store).into_iter().next().context("a store without accounts")?;
            let lmtp = site.store_address("lmtp", store)?;
            doors.push(Self { kind: Kind::Lmtp, address: lmtp, account: account.clone() });
            doors.push(Self { kind: Kind::Smtp, address: site.address("smtp")?, account });
        }
        Ok(doors)
    }
}

fn accounts(doors: &[Door]) -> impl Iterator<Item = &Account> {
    doors.iter().filter(|door| door.kind == Kind::Lmtp).map(|door| &door.account)
}

/// What was promised.
#[derive(Debug, Default)]
struct Books {
    serial: u32,
    acknowledged: BTreeSet<(String, String)>,
    expunged: BTreeSet<(String, String)>,
}

impl Books {
    fn send(&mut self, door: &Door) -> Result<Reply> {
        self.serial += 1;
        let letter = Letter::new(&format!("{}@full", self.serial), 100_000);
        let mut client = Client::connect(door.address, door.kind)?;
        let to = door.account.address.as_str();
        let reply = client.deliver("sender@far.example", &[to], &letter.bytes)?.pop().context("no reply")?;
        if reply.is_good() {
            self.acknowledged.insert((to.to_owned(), letter.id));
        }
        Ok(reply)
    }

    /// Everything acknowledged is in INBOX, whole; nothing expunged is.
    fn check(&self, site: &Site, account: &Account) -> Result<()> {
        let mut client = log_in(site, account)?;
        client.select("INBOX")?;
        let mut found = BTreeSet::new();
        for message in client.fetch_all()? {
            if let Some(fault) = Letter::fault_in(&message.body) {
                anyhow::bail!("{}: {fault}", account.address);
            }
            found.insert((account.address.clone(), id_of(&message.body).unwrap_or_default()));
        }
        let of_account = |pair: &&(String, String)| pair.0 == account.address;
        let lost: Vec<_> = self.acknowledged.difference(&found).filter(of_account).collect();
        let back: Vec<_> = self.expunged.intersection(&found).collect();
        ensure!(lost.is_empty() && back.is_empty(), "{}: lost {lost:?}, back {back:?}", account.address);
        Ok(())
    }
}

/// Sooner or later it is 452 4.3.1 (RFC 3463 §3.4), and before that every acknowledgement counts.
fn refuses(books: &mut Books, door: &Door) -> Result<()> {
    for _ in 0..ATTEMPTS_MAX {
        let reply = books.send(door)?;
        if !reply.is_good() {
            ensure!(reply.begins("452 4.3.1"), "{door:?} of a full disk says {reply:?}");
            return Ok(());
        }
    }
    anyhow::bail!("{door:?} took {ATTEMPTS_MAX} messages and never got full")
}

/// Reading and expunging go on, APPEND does not.
fn changes_while_full(site: &Site, account: &Account, books: &mut Books) -> Result<()> {
    let mut client = log_in(site, account)?;
    client.select("INBOX")?;
    let messages = client.fetch_all()?;
    let first = messages.first().context("an empty INBOX")?;
    client.must(&format!("UID STORE {} +FLAGS (\\Deleted)", first.uid))?;
    client.must(&format!("UID EXPUNGE {}", first.uid))?;
    let pair = (account.address.clone(), id_of(&first.body).unwrap_or_default());
    books.acknowledged.remove(&pair);
    books.expunged.insert(pair);
    let appended = client.append("INBOX", "", &Letter::new("appended@full", 200_000).bytes)?;
    ensure!(appended.status == "NO", "APPEND on a full disk was answered {} {}", appended.status, appended.text);
    Ok(())
}

/// Mail flows again, as soon as the site has seen that there is room.
fn flows_again(books: &mut Books, door: &Door) -> Result<()> {
    let until = Instant::now() + RECOVERY_MAX;
    loop {
        let reply = books.send(door)?;
        if reply.is_good() {
            return Ok(());
        }
        ensure!(reply.begins("452 4.3.1"), "{door:?} after there was room: {reply:?}");
        ensure!(Instant::now() < until, "{door:?} still refuses {RECOVERY_MAX:?} after there was room: {reply:?}");
        thread::park_timeout(Duration::from_millis(100));
    }
}

fn log_in(site: &Site, account: &Account) -> Result<imap::Client> {
    let mut client = imap::Client::connect_tls(site.address("imaps")?)?;
    client.login(&account.address, &account.password)?;
    Ok(client)
}

/// Room for the preallocated journals of two stores and what they keep free.
const DISK_OCTETS: u64 = 1 << 30;
/// Below the low-water marks, with something left for what a full site must still write.
const LEFT_OCTETS: u64 = 48 << 20;
const ATTEMPTS_MAX: u32 = 1000;
const RECOVERY_MAX: Duration = Duration::from_secs(30);
