//! What is there after a crash, against the books.

use super::keeper::{Kept, Mailboxes};
use super::load::{Books, Doors};
use crate::imap;
use crate::letter::{Letter, id_of};
use crate::random::Random;
use crate::site::Account;
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

/// Looks at every account; faults go into the books, an error means that it could not be looked at.
pub(super) fn check(books: &Books, doors: &Doors) -> Result<()> {
    for account in &books.receivers {
        check_receiver(books, doors, account)?;
    }
    for (account, model) in &books.keepers {
        let real = look(books, doors, account)?;
        let mut model = model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(faults) = model.reconcile(&real) {
            books.blame(faults.into_iter().map(|fault| format!("{}: {fault}", account.address)));
        }
    }
    Ok(())
}

/// Everything acknowledged is there once. What went into a relay's queue may come a little later.
fn check_receiver(books: &Books, doors: &Doors, account: &Account) -> Result<()> {
    let until = Instant::now() + QUEUE_MAX;
    loop {
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for kept in look(books, doors, account)?.values().flat_map(BTreeMap::values) {
            *found.entry(kept.id.clone()).or_default() += 1;
        }
        let missing = books.receipts.missing(&account.address, &found);
        if missing.is_empty() || Instant::now() >= until {
            let lost = missing.iter().map(|id| format!("{}: {id} was acknowledged and is lost", account.address));
            books.blame(lost);
            books.blame(books.receipts.faults(&account.address, &found));
            return Ok(());
        }
        thread::park_timeout(QUEUE_INTERVAL);
    }
}

/// Fetches every mailbox of an account completely.
fn look(books: &Books, doors: &Doors, account: &Account) -> Result<Mailboxes> {
    let mut client = doors.log_in(account)?;
    let mut mailboxes = Mailboxes::new();
    for name in client.mailboxes()? {
        let selected = client.select(&name)?;
        books.blame(books.uids.select(&account.address, &name, selected));
        let fetched = if selected.exists == 0 { Vec::new() } else { client.fetch_all()? };
        let place = format!("{} {name}", account.address);
        // Queued mail may arrive between SELECT and FETCH, so there may be more.
        if u64::from(selected.exists) > fetched.len() as u64 {
            books.blame([format!("{place}: {} messages, but {} could be fetched", selected.exists, fetched.len())]);
        }
        let mut messages = BTreeMap::new();
        for message in &fetched {
            books.blame(faults_of(message).into_iter().map(|fault| format!("{place} UID {}: {fault}", message.uid)));
            let Some(id) = id_of(&message.body) else { continue };
            books.blame(books.uids.see(&account.address, &name, message.uid, &id));
            let is_flagged = message.flags.contains("\\Flagged");
            if messages.insert(message.uid, Kept { id, is_flagged }).is_some() {
                books.blame([format!("{place}: UID {} is there twice", message.uid)]);
            }
        }
        mailboxes.insert(name, messages);
    }
    Ok(mailboxes)
}

fn faults_of(message: &imap::Fetched) -> Vec<String> {
    let mut faults = Vec::new();
    if message.size != message.body.len() {
        faults.push(format!("RFC822.SIZE {} for {} octets", message.size, message.body.len()));
    }
    faults.extend(Letter::fault_in(&message.body));
    faults
}

/// Expunges what has piled up in some of the receivers' accounts, as users do; it must never come back.
pub(super) fn bury(books: &Books, doors: &Doors, random: &mut Random) -> Result<()> {
    for account in &books.receivers {
        if random.below(3) > 0 {
            continue;
        }
        let mut client = doors.log_in(account)?;
        for name in client.mailboxes()? {
            let selected = client.select(&name)?;
            books.blame(books.uids.select(&account.address, &name, selected));
            if selected.exists == 0 {
                continue;
            }
            let ids: Vec<String> = client.fetch_all()?.iter().filter_map(|message| id_of(&message.body)).collect();
            client.must(&format!("STORE 1:{} +FLAGS.SILENT (\\Deleted)", ids.len()))?;
            let response = client.must("EXPUNGE")?;
            let expunged = response.untagged.iter().filter(|line| line.text.ends_with(" EXPUNGE")).count();
            ensure!(expunged == ids.len(), "{expunged} of {} messages were expunged", ids.len());
            books.receipts.bury(&account.address, ids.iter());
        }
    }
    Ok(())
}

/// How long mail that was acknowledged into a queue may take after a restart.
const QUEUE_MAX: Duration = Duration::from_secs(90);

const QUEUE_INTERVAL: Duration = Duration::from_millis(200);
