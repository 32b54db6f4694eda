//! A site stopped and started again in the same folder.

use crate::world::{World, trial};
use anyhow::{Result, ensure};
use e2e::imap;
use e2e::letter::{Letter, id_of};
use e2e::site::Site;
use e2e::smtp::{Client, Kind};
use libtest_mimic::Trial;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        trial(world, "restart_keeps_everything", &[], |world| keeps_everything(world, "stop", Site::stop)),
        trial(world, "kill_keeps_everything", &[], |world| keeps_everything(world, "kill", Site::kill)),
    ]
}

/// Address → mailbox → (UIDVALIDITY, UID, flags, Message-ID).
type State = BTreeMap<String, BTreeMap<String, BTreeSet<(u32, u32, String, String)>>>;

fn keeps_everything(world: &World, name: &str, end: fn(&mut Site) -> Result<()>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut site = Site::start(&folder.path().join("site"), &world.log(&format!("restart-{name}")))?;
    let accounts = site.description().accounts.clone();
    for account in &accounts {
        let mut client = imap::Client::connect_tls(site.address("imaps")?)?;
        client.login(&account.address, &account.password)?;
        client.must("CREATE Kept")?;
        client.must("SUBSCRIBE Kept")?;
        let answer = client.append("Kept", "\\Flagged $Mine", &Letter::new("appended@restart", 5_000).bytes)?;
        ensure!(answer.is_ok(), "APPEND was answered {} {}", answer.status, answer.text);
        Client::connect(site.address("smtp")?, Kind::Smtp)?
            .must_deliver(&account.address, &Letter::new("sent@restart", 400_000).bytes)?;
    }
    let before = state(&site)?;
    let told = std::fs::read(site.folder().join("site.json"))?;

    end(&mut site)?;
    site.start_again()?;
    ensure!(std::fs::read(site.folder().join("site.json"))? == told, "site.json changed");
    let after = state(&site)?;
    ensure!(before == after, "before: {before:?}\nafter: {after:?}");
    ensure!(after.values().all(|mailboxes| mailboxes.values().map(BTreeSet::len).sum::<usize>() == 2), "{after:?}");

    for account in &accounts {
        let mut sender = Client::connect(site.address("smtp")?, Kind::Smtp)?;
        sender.must_deliver(&account.address, &Letter::new("later@restart", 1_000).bytes)?;
        let mut client = imap::Client::connect_tls(site.address("imaps")?)?;
        client.login(&account.address, &account.password)?;
        ensure!(client.select("INBOX")?.exists == 2, "no new mail after the restart");
        let subscribed = client.must("LSUB \"\" \"*\"")?;
        ensure!(subscribed.untagged.iter().any(|line| line.text.contains("Kept")), "a subscription is lost");
    }
    site.stop()
}

fn state(site: &Site) -> Result<State> {
    let mut state = State::new();
    for account in &site.description().accounts {
        let mut client = imap::Client::connect_tls(site.address("imaps")?)?;
        client.login(&account.address, &account.password)?;
        let mailboxes = state.entry(account.address.clone()).or_default();
        for mailbox in client.mailboxes()? {
            let selected = client.select(&mailbox)?;
            let messages = mailboxes.entry(mailbox).or_default();
            let fetched = if selected.exists == 0 { Vec::new() } else { client.fetch_all()? };
            for message in fetched {
                if let Some(fault) = Letter::fault_in(&message.body) {
                    anyhow::bail!("{}: {fault}", account.address);
                }
                let flags = message.flags.iter().filter(|flag| *flag != "\\Recent").cloned().collect::<Vec<_>>();
                let id = id_of(&message.body).unwrap_or_default();
                messages.insert((selected.uid_validity, message.uid, flags.join(" "), id));
            }
        }
    }
    Ok(state)
}
