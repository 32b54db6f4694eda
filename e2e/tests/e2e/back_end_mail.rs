//! A relay that brings mail to servers of another make, whose users then read it through the proxy.

use crate::world::{World, trial_unless};
use anyhow::{Result, ensure};
use e2e::back_end::{Entrance, Fronted, Security, Server};
use e2e::imap;
use e2e::letter::{Letter, id_of};
use e2e::postfix::{NextHop, Postfix};
use e2e::smtp::{self, Kind, Reply};
use libtest_mimic::Trial;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let dovecot = || Fronted::obstacle_to_mail(Server::Dovecot);
    let cyrus = || Fronted::obstacle_to_mail(Server::Cyrus);
    let postfix = || Fronted::obstacle_to_mail(Server::Dovecot).or_else(Postfix::obstacle);
    let trial = |name, run| trial_unless(world, name, dovecot, run);
    vec![
        trial("back_end_takes_mail_by_lmtp", |_| with(Security::None, Entrance::Password, takes_mail)),
        trial("back_end_takes_mail_by_starttls", |_| with(Security::StartTls, Entrance::Password, takes_mail)),
        trial("back_end_takes_mail_by_tls", |_| with(Security::Tls, Entrance::Password, takes_mail)),
        trial("back_end_knows_who_is_unchecked", |_| with(Security::None, Entrance::Password, knows_its_users)),
        trial("back_end_away_its_mail_waits", |_| with(Security::StartTls, Entrance::Master, mail_waits)),
        trial("back_end_dies_while_mail_comes", |_| with(Security::None, Entrance::Master, loses_nothing)),
        trial_unless(world, "back_end_takes_mail_by_smtp", postfix, |_| {
            with(Security::None, Entrance::Master, takes_mail_by_smtp)
        }),
        trial_unless(world, "back_end_cyrus_takes_mail_by_lmtp", cyrus, |_| {
            with_server(Server::Cyrus, Security::None, Entrance::Password, one_message_each)
        }),
    ]
}

fn with(security: Security, entrance: Entrance, run: fn(&mut Fronted) -> Result<()>) -> Result<()> {
    with_server(Server::Dovecot, security, entrance, run)
}

fn with_server(
    server: Server,
    security: Security,
    entrance: Entrance,
    run: fn(&mut Fronted) -> Result<()>,
) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("posthouse-back-end-mail").tempdir()?;
    let mut fronted = Fronted::start_with_mail(server, folder.path(), security, entrance)?;
    run(&mut fronted).map_err(|error| error.context(fronted.log_tail()))
}

/// The last word about each of them, users of the domain.
fn send(fronted: &Fronted, letter: &Letter, to: &[&str]) -> Result<Vec<Reply>> {
    let addresses: Vec<String> = to.iter().map(|name| Fronted::account(name).address).collect();
    let to: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut client = smtp::Client::connect(fronted.address("smtp"), Kind::Smtp)?;
    client.deliver("sender@far.example", &to, &letter.bytes)
}

fn must_send(fronted: &Fronted, letter: &Letter, to: &[&str]) -> Result<()> {
    let replies = send(fronted, letter, to)?;
    ensure!(replies.iter().all(Reply::is_good), "{to:?}: {replies:?}");
    Ok(())
}

/// The Message-IDs in a mailbox of somebody's, through the proxy; every message is whole.
fn mailbox(fronted: &Fronted, name: &str, mailbox: &str) -> Result<Vec<String>> {
    let account = Fronted::account(name);
    let mut client = imap::Client::connect(fronted.address("imap"))?;
    client.login(&account.address, &account.password)?;
    client.select(mailbox)?;
    let messages = client.fetch_all()?;
    for imap::Fetched { body, .. } in &messages {
        ensure!(Letter::fault_in(body).is_none(), "{name}: {:?}", Letter::fault_in(body));
        let text = String::from_utf8_lossy(body);
        ensure!(text.contains("Return-Path: <sender@far.example>"), "the last server says where it came from: {text}");
    }
    Ok(messages.iter().filter_map(|message| id_of(&message.body)).collect())
}

fn one_message_each(fronted: &mut Fronted) -> Result<()> {
    let letter = Letter::new("one@back.example", 300_000);
    must_send(fronted, &letter, &["carol", "dora"])?;
    for name in ["carol", "dora"] {
        ensure!(mailbox(fronted, name, "INBOX")? == ["one@back.example"], "{name}'s mail");
    }
    Ok(())
}

fn takes_mail(fronted: &mut Fronted) -> Result<()> {
    one_message_each(fronted)?;
    // What a detail means, Dovecot knows.
    must_send(fronted, &Letter::new("two@back.example", 1_000), &["carol+lists"])?;
    ensure!(mailbox(fronted, "carol", "lists")? == ["two@back.example"], "in the mailbox of the detail");
    ensure!(fronted.waiting()? == 0, "nothing waits");
    let status = fronted.must(&["status"])?;
    ensure!(status.lines().any(|line| line.contains("lmtp") && line.contains("answers")), "{status}");
    let route = fronted.must(&["route", &Fronted::account("carol").address])?;
    ensure!(route.contains("takes mail by lmtp at 127.0.0.1:"), "{route}");
    Ok(())
}

/// Nobody here knows who is there: the back-end says so at RCPT, and while it is away nobody is taken or refused for good.
fn knows_its_users(fronted: &mut Fronted) -> Result<()> {
    let letter = |serial: &str| Letter::new(&format!("{serial}@back.example"), 1_000);
    let mut client = smtp::Client::connect(fronted.address("smtp"), Kind::Smtp)?;
    client.command("MAIL FROM:<sender@far.example>")?;
    for _ in 0..2 {
        let nobody = client.command("RCPT TO:<nobody@back.example>")?;
        ensure!(nobody.begins("550 5.1.1"), "{nobody:?}");
    }
    let carol = client.command("RCPT TO:<carol@back.example>")?;
    ensure!(carol.is_good(), "{carol:?}");
    drop(client);
    fronted.back_end().stop()?;
    // Of dora nothing was ever heard.
    let replies = send(fronted, &letter("waits"), &["dora", "carol"])?;
    let [dora, carol] = replies.as_slice() else { anyhow::bail!("two answers: {replies:?}") };
    ensure!(dora.begins("451 4.4.1"), "{dora:?}");
    ensure!(carol.is_good(), "who was there a moment ago waits: {carol:?}");
    fronted.back_end().start_again()?;
    fronted.empty_the_queue()?;
    ensure!(mailbox(fronted, "carol", "INBOX")? == ["waits@back.example"], "carol's mail");
    let until = Instant::now() + BACK_MAX;
    while !send(fronted, &letter("later"), &["dora"])?.iter().all(Reply::is_good) {
        ensure!(Instant::now() < until, "it is back, and nobody is taken");
    }
    ensure!(mailbox(fronted, "dora", "INBOX")? == ["later@back.example"], "dora's mail");
    Ok(())
}

/// The directory knows who is there: their mail waits, once.
fn mail_waits(fronted: &mut Fronted) -> Result<()> {
    must_send(fronted, &Letter::new("one@back.example", 1_000), &["carol"])?;
    fronted.back_end().stop()?;
    let mut ids = vec!["one@back.example".to_owned()];
    for serial in 0..3 {
        let letter = Letter::new(&format!("waits-{serial}@back.example"), 300_000);
        must_send(fronted, &letter, &["carol", "dora"])?;
        ids.push(letter.id);
    }
    let nobody = send(fronted, &Letter::new("no@back.example", 10), &["nobody"])?;
    ensure!(nobody.iter().all(|reply| reply.begins("550 5.1.1")), "{nobody:?}");
    ensure!(fronted.waiting()? == 3, "three messages wait");
    let status = fronted.must(&["status"])?;
    ensure!(status.lines().any(|line| line.contains("lmtp") && !line.contains("answers")), "{status}");
    fronted.back_end().start_again()?;
    fronted.empty_the_queue()?;
    let (mut carol, mut dora) = (mailbox(fronted, "carol", "INBOX")?, mailbox(fronted, "dora", "INBOX")?);
    carol.sort();
    dora.sort();
    ensure!(carol == ids && ids.get(1..) == Some(&dora[..]), "{ids:?}: carol has {carol:?}, dora {dora:?}");
    Ok(())
}

/// Its processes are killed in the middle of messages, again and again: everything that was acknowledged is there. Some may be there
/// twice, for no other server knows our delivery ids.
fn loses_nothing(fronted: &mut Fronted) -> Result<()> {
    let front = fronted.address("smtp");
    let back_end = fronted.back_end();
    let kills = thread::scope(|scope| -> Result<usize> {
        let senders: Vec<_> = (0..SENDERS).map(|sender| scope.spawn(move || send_many(front, sender))).collect();
        let mut kills = 0;
        while senders.iter().any(|sender| !sender.is_finished()) {
            // None may be there at the moment.
            if kills < KILLS {
                kills += usize::from(back_end.kill_children("lmtp").is_ok());
            }
            thread::park_timeout(KILL_INTERVAL);
        }
        for sender in senders {
            sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
        }
        Ok(kills)
    })?;
    ensure!(kills > 0, "nothing was killed");
    fronted.empty_the_queue()?;
    let found = mailbox(fronted, "carol", "INBOX")?;
    for sender in 0..SENDERS {
        for serial in 0..LETTERS {
            ensure!(found.contains(&id(sender, serial)), "{} is lost; {} are there", id(sender, serial), found.len());
        }
    }
    Ok(())
}

fn send_many(smtp: SocketAddr, sender: usize) -> Result<()> {
    let carol = Fronted::account("carol").address;
    for serial in 0..LETTERS {
        let letter = Letter::new(&id(sender, serial), 100_000);
        smtp::Client::connect(smtp, Kind::Smtp)?.must_deliver(&carol, &letter.bytes)?;
    }
    Ok(())
}

fn id(sender: usize, serial: usize) -> String {
    format!("{sender}.{serial}@back.example")
}

/// A Postfix stands before the mailboxes; it is the back-end's, and we bring it mail as anybody would.
fn takes_mail_by_smtp(fronted: &mut Fronted) -> Result<()> {
    let home = tempfile::tempdir()?;
    let postfix = Postfix::start(home.path(), NextHop::Lmtp(fronted.lmtp()))?;
    fronted.bring_mail_by("smtp", postfix.address(), "none")?;
    let letter = Letter::new("one@back.example", 300_000);
    must_send(fronted, &letter, &["carol", "dora"])?;
    postfix.wait_until_empty()?;
    for name in ["carol", "dora"] {
        ensure!(mailbox(fronted, name, "INBOX")? == ["one@back.example"], "{name}'s mail\n{}", postfix.log_tail());
    }
    drop(postfix);
    must_send(fronted, &Letter::new("two@back.example", 1_000), &["carol"])?;
    ensure!(fronted.waiting()? == 1, "it waits");
    Ok(())
}

const BACK_MAX: Duration = Duration::from_secs(20);
const SENDERS: usize = 4;
const LETTERS: usize = 25;
/// Dovecot begins to wait before it starts processes that die, twice as long each time.
const KILLS: usize = 3;
const KILL_INTERVAL: Duration = Duration::from_millis(300);
