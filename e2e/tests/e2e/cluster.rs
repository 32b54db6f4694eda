//! A relay and proxy in front of two stores, each a process of its own: like one good server, whatever a store does.

use crate::world::{World, trial};
use anyhow::{Context, Result, ensure};
use e2e::cluster::Cluster;
use e2e::fault::Fault;
use e2e::imap;
use e2e::letter::{Letter, id_of};
use e2e::pop3;
use e2e::site::Account;
use e2e::smtp::{self, Kind};
use libtest_mimic::Trial;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        trial(world, "nodes_look_like_one_server", &[], |_| with_cluster(look_like_one)),
        trial(world, "nodes_outlive_a_dead_store", &[], |_| with_cluster(outlive_dead)),
        trial(world, "nodes_outlive_a_store_that_dies_before_its_reply", &[], |_| with_cluster(outlive_mute)),
        trial(world, "nodes_outlive_a_frozen_store", &[], |_| with_cluster(outlive_frozen)),
        trial(world, "nodes_outlive_a_slow_way", &[], |_| with_cluster(outlive_slow)),
    ]
}

fn with_cluster(run: fn(&mut Cluster) -> Result<()>) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("posthouse-nodes").tempdir()?;
    let mut cluster = Cluster::start(folder.path())?;
    run(&mut cluster).map_err(|error| error.context(cluster.log_tail()))
}

fn look_like_one(cluster: &mut Cluster) -> Result<()> {
    // Small, and larger than what the relay keeps in memory.
    let letters = [Letter::new("one@nodes.example", 2_000), Letter::new("two@nodes.example", 3 << 20)];
    let mut sender = smtp::Client::connect(cluster.address("smtp")?, Kind::Smtp)?;
    let everybody: Vec<&str> = cluster.accounts().iter().map(|account| account.address.as_str()).collect();
    for letter in &letters {
        let replies = sender.deliver("sender@far.example", &everybody, &letter.bytes)?;
        ensure!(replies.iter().all(smtp::Reply::is_good), "{replies:?}");
    }
    let unknown = format!("nobody@{}", cluster.domain());
    let refused = sender.deliver("sender@far.example", &[&unknown], b"x\r\n")?;
    ensure!(refused.iter().all(|reply| reply.begins("550 5.1.1")), "{refused:?}");
    for account in cluster.accounts() {
        has(cluster, account, &["one@nodes.example", "two@nodes.example"])?;
        let mut client = pop3::Client::connect(cluster.address("pop3")?)?;
        client.login(&account.address, &account.password)?;
        let message = client.retrieve(1)?;
        ensure!(Letter::fault_in(&message).is_none(), "POP3: {:?}", Letter::fault_in(&message));
    }
    for name in ["anna", "xara"] {
        let account = cluster.account(name)?.clone();
        a_failed_login_keeps_the_client(cluster, &account)?;
        what_is_pipelined_is_answered(cluster, &account)?;
        idle_tells_of_new_mail(cluster, &account)?;
    }
    Ok(())
}

fn a_failed_login_keeps_the_client(cluster: &Cluster, account: &Account) -> Result<()> {
    let mut client = imap::Client::connect(cluster.address("imap")?)?;
    let wrong = client.command(&format!("LOGIN {} wrong", account.address))?;
    ensure!(wrong.status == "NO" && wrong.text.contains("[AUTHENTICATIONFAILED]"), "{wrong:?}");
    client.login(&account.address, &account.password)?;
    ensure!(client.select("INBOX")?.exists >= 2, "no mail behind a second login");
    Ok(())
}

/// LOGIN, SELECT and NOOP in one segment; the second and third are the store's to answer.
fn what_is_pipelined_is_answered(cluster: &Cluster, account: &Account) -> Result<()> {
    let mut client = imap::Client::connect(cluster.address("imap")?)?;
    let login = format!("LOGIN {} \"{}\"", account.address, account.password);
    let tags = client.send_all(&[&login, "SELECT INBOX", "NOOP", "LOGOUT"])?;
    for tag in tags {
        let response = client.finish(&tag)?;
        ensure!(response.is_ok(), "{tag}: {response:?}");
    }
    Ok(())
}

fn idle_tells_of_new_mail(cluster: &Cluster, account: &Account) -> Result<()> {
    let mut client = log_in(cluster, account)?;
    let exists = client.select("INBOX")?.exists;
    client.idle_until(
        || send(cluster, &[account], &format!("idle.{}", account.address)),
        &format!("* {} EXISTS", exists + 1),
    )
}

/// Mail for a store that is down waits in the queue; the other store has its copy at once; nobody hears 550.
fn outlive_dead(cluster: &mut Cluster) -> Result<()> {
    let (anna, xara) = (cluster.account("anna")?.clone(), cluster.account("xara")?.clone());
    let mut open = log_in(cluster, &xara)?;
    cluster.store("fritz")?.daemon().kill()?;
    ensure!(open.command("NOOP").is_err() || open.command("NOOP").is_err(), "a session goes on without its store");
    let refused = imap::Client::connect(cluster.address("imap")?)?
        .command(&format!("LOGIN {} \"{}\"", xara.address, xara.password))?;
    ensure!(refused.status == "NO" && refused.text.contains("[UNAVAILABLE]"), "{refused:?}");
    send(cluster, &[&anna, &xara], "both")?;
    send(cluster, &[&xara], "dead-only")?;
    has(cluster, &anna, &["both"])?;
    cluster.start_store("fritz")?;
    cluster.empty_the_queue()?;
    has(cluster, &xara, &["both", "dead-only"])?;
    has(cluster, &anna, &["both"])
}

/// The store has the message, and its reply is lost: the sender hears 250, and there is one copy.
fn outlive_mute(cluster: &mut Cluster) -> Result<()> {
    let (anna, xara) = (cluster.account("anna")?.clone(), cluster.account("xara")?.clone());
    // A connection is there, so that the fault comes behind the dot.
    send(cluster, &[&anna, &xara], "first")?;
    let mut sender = smtp::Client::connect(cluster.address("smtp")?, Kind::Smtp)?;
    ensure!(sender.command("MAIL FROM:<sender@far.example>")?.is_good(), "MAIL");
    for account in [&anna, &xara] {
        ensure!(sender.command(&format!("RCPT TO:<{}>", account.address))?.is_good(), "RCPT");
    }
    ensure!(sender.command("DATA")?.code == 354, "DATA");
    let letter = Letter::new("mute", 100_000);
    let stuffed = smtp::stuffed(&letter.bytes);
    let (head, tail) = stuffed.split_at(60_000);
    sender.wire().send(head)?;
    cluster.store("fritz")?.fail(Fault::Mute);
    sender.wire().send(tail)?;
    let reply = sender.reply()?;
    ensure!(reply.is_good(), "{reply:?}");
    cluster.store("fritz")?.cut();
    cluster.store("fritz")?.fail(Fault::None);
    cluster.empty_the_queue()?;
    has(cluster, &anna, &["first", "mute"])?;
    has(cluster, &xara, &["first", "mute"])
}

/// A store that hangs holds up nobody else, and loses nothing.
fn outlive_frozen(cluster: &mut Cluster) -> Result<()> {
    let (anna, xara) = (cluster.account("anna")?.clone(), cluster.account("xara")?.clone());
    cluster.store("fritz")?.daemon().signal(Signal::STOP)?;
    let waiting = {
        let (smtp, imap) = (cluster.address("smtp")?, cluster.address("imap")?);
        let (to, login) = (xara.address.clone(), format!("LOGIN {} \"{}\"", xara.address, xara.password));
        thread::spawn(move || -> Result<()> {
            let refused = imap::Client::connect(imap)?.command(&login)?;
            ensure!(refused.status == "NO" && refused.text.contains("[UNAVAILABLE]"), "{refused:?}");
            smtp::Client::connect(smtp, Kind::Smtp)?.must_deliver(&to, &Letter::new("frozen", 500).bytes)
        })
    };
    for number in 0..20 {
        send(cluster, &[&anna], &format!("beside.{number}"))?;
        log_in(cluster, &anna)?.must("SELECT INBOX")?;
    }
    ensure!(!waiting.is_finished(), "whoever wants the frozen store was not waiting: the others prove nothing");
    waiting.join().map_err(|_| anyhow::anyhow!("the other thread panicked"))??;
    cluster.store("fritz")?.daemon().signal(Signal::CONT)?;
    cluster.empty_the_queue()?;
    has(cluster, &xara, &["frozen"])
}

/// A way that is slow, and cut in the middle again and again.
fn outlive_slow(cluster: &mut Cluster) -> Result<()> {
    let (anna, xara) = (cluster.account("anna")?.clone(), cluster.account("xara")?.clone());
    cluster.store("fritz")?.fail(Fault::Delay(Duration::from_millis(20)));
    let mut sent = Vec::new();
    for number in 0..10 {
        let id = format!("slow.{number}");
        send(cluster, &[&anna, &xara], &id)?;
        sent.push(id);
        cluster.store("fritz")?.cut();
    }
    cluster.store("fritz")?.fail(Fault::None);
    cluster.empty_the_queue()?;
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    has(cluster, &anna, &sent)?;
    has(cluster, &xara, &sent)
}

fn send(cluster: &Cluster, to: &[&Account], id: &str) -> Result<()> {
    let to: Vec<&str> = to.iter().map(|account| account.address.as_str()).collect();
    let mut sender = smtp::Client::connect(cluster.address("smtp")?, Kind::Smtp)?;
    let replies = sender.deliver("sender@far.example", &to, &Letter::new(id, 800).bytes)?;
    ensure!(replies.iter().all(smtp::Reply::is_good), "{id}: {replies:?}");
    Ok(())
}

fn log_in(cluster: &Cluster, account: &Account) -> Result<imap::Client> {
    let mut client = imap::Client::connect(cluster.address("imap")?)?;
    client.login(&account.address, &account.password)?;
    Ok(client)
}

/// The account has each of these messages once, whole, and no other. What comes from the queue may take a moment.
fn has(cluster: &Cluster, account: &Account, ids: &[&str]) -> Result<()> {
    let until = Instant::now() + ARRIVAL_MAX;
    let wanted: BTreeMap<String, usize> = ids.iter().map(|id| ((*id).to_owned(), 1)).collect();
    loop {
        let mut client = log_in(cluster, account)?;
        let messages = if client.select("INBOX")?.exists == 0 { Vec::new() } else { client.fetch_all()? };
        let mut found = BTreeMap::new();
        for message in &messages {
            ensure!(Letter::fault_in(&message.body).is_none(), "{:?}", Letter::fault_in(&message.body));
            *found.entry(id_of(&message.body).context("no Message-ID")?).or_insert(0) += 1;
        }
        if found == wanted {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{} has {found:?}, not {wanted:?}", account.address);
        thread::park_timeout(Duration::from_millis(50));
    }
}

const ARRIVAL_MAX: Duration = Duration::from_secs(20);
