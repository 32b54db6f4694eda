//! The load: everything that is told to a site until it dies.

use super::keeper::{Change, Model};
use super::receipts::Receipts;
use super::uids::Uids;
use crate::imap;
use crate::letter::{Letter, id_of};
use crate::random::Random;
use crate::site::{Account, Site};
use crate::smtp::{self, Kind};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What all threads share, over all rounds.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) receipts: Receipts,
    pub(super) uids: Uids,
    /// Accounts that get mail and have it moved about.
    pub(super) receivers: Vec<Account>,
    /// Accounts that one client changes, with what he knows.
    pub(super) keepers: Vec<(Account, Mutex<Model>)>,
    /// What went wrong, by whoever saw it.
    faults: Mutex<Vec<String>>,
    /// Whether the site is being ended: only then may connections break.
    is_ending: AtomicBool,
    serial: AtomicU64,
    /// Commands that keepers and movers had answered with OK.
    changes: AtomicU64,
    run: u64,
}

/// Where a site listens.
#[derive(Debug, Clone)]
pub(super) struct Doors {
    pub(super) imap: SocketAddr,
    pub(super) smtp: SocketAddr,
    /// Of stores that speak it to anybody on this machine.
    pub(super) lmtp: Vec<(String, SocketAddr)>,
    pub(super) has_tls: bool,
}

impl Books {
    /// Empty books; the first account of each store becomes a keeper's, the others get mail.
    pub(super) fn open(accounts: &[Account], run: u64) -> Result<Self> {
        let mut stores = BTreeSet::new();
        let (keepers, receivers): (Vec<_>, Vec<_>) =
            accounts.iter().cloned().partition(|account| stores.insert(account.store.clone()));
        let served: BTreeSet<_> = receivers.iter().map(|account| account.store.clone()).collect();
        ensure!(served == stores, "a store without a second account: {accounts:?}");
        Ok(Self {
            receipts: Receipts::default(),
            uids: Uids::default(),
            receivers,
            keepers: keepers.into_iter().map(|account| (account, Mutex::default())).collect(),
            faults: Mutex::default(),
            is_ending: AtomicBool::new(false),
            serial: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            run,
        })
    }

    /// From here on connections break.
    pub(super) fn end(&self) {
        self.is_ending.store(true, Ordering::SeqCst);
    }

    /// A site runs again.
    pub(super) fn begin(&self) {
        self.is_ending.store(false, Ordering::SeqCst);
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
    }

    /// How many changes over IMAP were acknowledged.
    pub(super) fn change_count(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Something is wrong.
    pub(super) fn blame(&self, faults: impl IntoIterator<Item = String>) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// What was wrong until now.
    pub(super) fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn letter(&self, random: &mut Random) -> Letter {
        let serial = self.serial.fetch_add(1, Ordering::SeqCst);
        let octets = match random.below(20) {
            0 => 300_000 + random.below(200_000),
            1..=6 => 8_000 + random.below(40_000),
            _most => 500 + random.below(4_000),
        };
        Letter::new(&format!("{:x}.{serial}@ledger.example", self.run), usize::try_from(octets).unwrap_or(0))
    }
}

impl Doors {
    /// Those of a site.
    pub(super) fn of(site: &Site) -> Result<Self> {
        let stores: BTreeSet<_> = site.description().accounts.iter().map(|account| account.store.clone()).collect();
        let mut lmtp = Vec::new();
        for store in stores {
            let door = site.store_address("lmtp", &store)?;
            lmtp.push((store, door));
        }
        Ok(Self { imap: site.address("imap")?, smtp: site.address("smtp")?, lmtp, has_tls: true })
    }

    /// A session of an account.
    pub(super) fn log_in(&self, account: &Account) -> Result<imap::Client> {
        let mut client = imap::Client::connect(self.imap)?;
        if self.has_tls {
            client = client.start_tls()?;
        }
        client.login(&account.address, &account.password)?;
        Ok(client)
    }
}

/// Starts every thread of the load; they end when the site does.
pub(super) fn start<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    books: &'scope Books,
    doors: &'scope Doors,
    random: &mut Random,
) {
    for (store, door) in &doors.lmtp {
        let to: Vec<&Account> = books.receivers.iter().filter(|account| account.store == *store).collect();
        for _ in 0..LMTP_SENDERS {
            let (to, random) = (to.clone(), random.fork());
            scope.spawn(move || until_the_end(books, "LMTP", || send(books, *door, Kind::Lmtp, &to, random.clone())));
        }
    }
    for _ in 0..SMTP_SENDERS {
        let to: Vec<&Account> = books.receivers.iter().collect();
        let random = random.fork();
        scope.spawn(move || until_the_end(books, "SMTP", || send(books, doors.smtp, Kind::Smtp, &to, random.clone())));
    }
    for account in &books.receivers {
        let random = random.fork();
        scope.spawn(move || until_the_end(books, "mover", || shift(books, doors, account, random.clone())));
    }
    for (account, model) in &books.keepers {
        let random = random.fork();
        scope.spawn(move || until_the_end(books, "keeper", || keep(books, doors, account, model, random.clone())));
    }
}

/// A task ends when the site does; before that, its error is a fault.
fn until_the_end(books: &Books, who: &str, task: impl FnOnce() -> Result<()>) {
    if let Err(error) = task()
        && !books.is_ending()
    {
        books.blame([format!("{who}, while the site was running: {error:#}")]);
    }
}

/// Delivers, one transaction after the other, to one to three accounts each.
fn send(books: &Books, door: SocketAddr, kind: Kind, accounts: &[&Account], mut random: Random) -> Result<()> {
    let mut client = smtp::Client::connect(door, kind)?;
    while !books.is_ending() {
        let letter = books.letter(&mut random);
        let count = 1 + random.below(3);
        let to: BTreeSet<&str> =
            (0..count).filter_map(|_| random.pick(accounts)).map(|account| account.address.as_str()).collect();
        let to: Vec<&str> = to.into_iter().collect();
        for account in &to {
            books.receipts.attempt(account, &letter.id);
        }
        let replies = client.deliver("sender@far.example", &to, &letter.bytes)?;
        for (account, reply) in to.iter().zip(replies) {
            match reply.code {
                250 => books.receipts.acknowledge(account, &letter.id),
                400..500 => {}
                _refused => books.blame([format!("{kind:?}: {account} was refused for good: {reply:?}")]),
            }
        }
    }
    Ok(())
}

/// Moves messages out of an account's INBOX and back. The receipts do not care where they are.
fn shift(books: &Books, doors: &Doors, account: &Account, mut random: Random) -> Result<()> {
    let mut client = doors.log_in(account)?;
    let address = account.address.as_str();
    make_mailbox(&mut client, "Archive")?;
    while !books.is_ending() {
        let (from, to) = if random.below(4) == 0 { ("Archive", "INBOX") } else { ("INBOX", "Archive") };
        let selected = client.select(from)?;
        books.blame(books.uids.select(address, from, selected));
        if selected.exists == 0 {
            continue;
        }
        let first = 1 + random.below(u64::from(selected.exists));
        let last = u64::from(selected.exists).min(first + random.below(5));
        let messages = overview(&mut client, &format!("{first}:{last}"))?;
        let (uids, ids): (BTreeSet<u32>, Vec<String>) = messages.into_iter().unzip();
        let moved = client.must(&format!("UID MOVE {} {to}", set(&uids)))?;
        let told = moved.assigned()?.context("MOVE without COPYUID")?;
        books.blame(books.uids.assign(address, to, &told, &ids));
        books.changes.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

/// UIDs and Message-IDs of some messages of the selected mailbox, by UID.
fn overview(client: &mut imap::Client, sequence: &str) -> Result<Vec<(u32, String)>> {
    let fetched = client.must(&format!("FETCH {sequence} (UID FLAGS RFC822.SIZE BODY.PEEK[HEADER])"))?;
    let mut messages = Vec::new();
    for message in fetched.fetched()? {
        messages.push((message.uid, id_of(&message.body).context("a message without Message-ID")?));
    }
    messages.sort();
    Ok(messages)
}

/// Changes an account of its own, one command at a time.
fn keep(books: &Books, doors: &Doors, account: &Account, model: &Mutex<Model>, mut random: Random) -> Result<()> {
    let mut client = doors.log_in(account)?;
    make_mailbox(&mut client, "Other")?;
    while !books.is_ending() {
        let mut model = model.lock().unwrap_or_else(PoisonError::into_inner);
        let (mailbox, other) = if random.below(2) == 0 { ("INBOX", "Other") } else { ("Other", "INBOX") };
        let selected = client.select(mailbox)?;
        books.blame(books.uids.select(&account.address, mailbox, selected));
        let present: Vec<u32> = model.mailboxes.get(mailbox).into_iter().flatten().map(|(uid, _)| *uid).collect();
        let uids: BTreeSet<u32> = (0..4).filter_map(|_| random.pick(&present).copied()).collect();
        let (mailbox, other) = (mailbox.to_owned(), other.to_owned());
        let grows = present.len() < KEPT_MAX;
        match random.below(5) {
            0 if !uids.is_empty() && grows => {
                let change = Change::Copy { from: mailbox, uids: uids.clone(), to: other };
                change_by(books, &mut client, account, &mut model, change)?;
            }
            1 if !uids.is_empty() => {
                let change = Change::Move { from: mailbox, uids, to: other };
                change_by(books, &mut client, account, &mut model, change)?;
            }
            2 if !uids.is_empty() => {
                change_by(books, &mut client, account, &mut model, Change::Flag { mailbox, uids })?;
            }
            3 if !uids.is_empty() || !grows => {
                let change = Change::Expunge { mailbox, uids };
                change_by(books, &mut client, account, &mut model, change)?;
            }
            _append if grows => {
                let letter = books.letter(&mut random);
                append(books, &mut client, account, &mut model, &mailbox, &letter)?;
            }
            _full => {}
        }
    }
    Ok(())
}

fn append(
    books: &Books,
    client: &mut imap::Client,
    account: &Account,
    model: &mut Model,
    mailbox: &str,
    letter: &Letter,
) -> Result<()> {
    model.in_flight = Some(Change::Append { to: mailbox.to_owned(), id: letter.id.clone() });
    let response = client.append(mailbox, "", &letter.bytes)?;
    ensure!(response.is_ok(), "APPEND was answered {} {}", response.status, response.text);
    let told = response.assigned()?.context("APPEND without APPENDUID")?;
    books.blame(books.uids.assign(&account.address, mailbox, &told, std::slice::from_ref(&letter.id)));
    model.settle(&told.uids);
    books.changes.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// Sends the command of a change, and takes it into the model when it is answered with OK.
fn change_by(
    books: &Books,
    client: &mut imap::Client,
    account: &Account,
    model: &mut Model,
    change: Change,
) -> Result<()> {
    let (command, target) = match &change {
        Change::Copy { from, uids, to } => (format!("UID COPY {} {to}", set(uids)), Some((from, uids, to))),
        Change::Move { from, uids, to } => (format!("UID MOVE {} {to}", set(uids)), Some((from, uids, to))),
        Change::Flag { uids, .. } => (format!("UID STORE {} +FLAGS.SILENT (\\Flagged)", set(uids)), None),
        Change::Expunge { uids, .. } => {
            // Being marked is not in the model: a mark that survives alone is put on again, or does no harm.
            client.must(&format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", set(uids)))?;
            (format!("UID EXPUNGE {}", set(uids)), None)
        }
        Change::Append { .. } => anyhow::bail!("APPEND has a literal and a way of its own"),
    };
    let ids = target.map(|(from, uids, to)| (to.clone(), model.ids(from, uids)));
    model.in_flight = Some(change);
    let response = client.must(&command)?;
    let mut assigned = Vec::new();
    if let Some((to, ids)) = ids {
        let told = response.assigned()?.with_context(|| format!("{command} without COPYUID"))?;
        books.blame(books.uids.assign(&account.address, &to, &told, &ids));
        assigned = told.uids;
    }
    model.settle(&assigned);
    books.changes.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// CREATE, where it is not there yet.
fn make_mailbox(client: &mut imap::Client, name: &str) -> Result<()> {
    if !client.mailboxes()?.iter().any(|found| found == name) {
        client.must(&format!("CREATE {name}"))?;
    }
    Ok(())
}

/// UIDs as a sequence set.
pub(super) fn set(uids: &BTreeSet<u32>) -> String {
    uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// How long the load may take to reach what a round wants.
pub(super) const LOAD_MAX: Duration = Duration::from_secs(60);

const LMTP_SENDERS: usize = 3;
const SMTP_SENDERS: usize = 3;
/// A keeper's mailbox stops growing here.
const KEPT_MAX: usize = 60;
