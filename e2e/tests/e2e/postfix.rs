//! Postfix in front of the nodes of two stores: what it took arrives once, whatever dies behind it meanwhile.

use crate::world::{World, trial_unless};
use anyhow::{Context, Result, ensure};
use e2e::cluster::Cluster;
use e2e::imap;
use e2e::letter::{Letter, id_of};
use e2e::postfix::{NextHop, Postfix};
use e2e::programs::Program;
use e2e::smtp::{self, Kind};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        trial_unless(world, "postfix_sends_by_smtp", obstacle, |_| {
            outlives_a_store(|cluster| Ok(NextHop::Smtp(cluster.address("smtp")?)))
        }),
        trial_unless(world, "postfix_sends_by_lmtp", obstacle, |_| {
            outlives_a_store(|cluster| Ok(NextHop::Lmtp(cluster.address("lmtp")?)))
        }),
    ]
}

fn obstacle() -> Option<String> {
    Postfix::obstacle().or_else(|| Program::Openssl.obstacle())
}

/// Address → Message-ID → how often.
type Inboxes = BTreeMap<String, BTreeMap<String, usize>>;

fn outlives_a_store(next: fn(&Cluster) -> Result<NextHop>) -> Result<()> {
    let (nodes, home) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut cluster = Cluster::start_with_tls(nodes.path())?;
    let postfix = Postfix::start(home.path(), next(&cluster)?)?;
    let ran = one_store_dies(&mut cluster, &postfix).and_then(|sent| {
        an_unknown_recipient_bounces(&cluster, &postfix)?;
        let (arrived, bounced) = (postfix.fates("sent")?, postfix.fates("bounced")?);
        ensure!(matches!(bounced.as_slice(), [one] if one.contains("<nobody@")), "Postfix bounced {bounced:#?}");
        // And the bounce.
        let wanted = sent.values().map(BTreeMap::len).sum::<usize>() + 1;
        ensure!(arrived.len() == wanted, "Postfix sent {} recipients' copies, not {wanted}", arrived.len());
        Ok(())
    });
    ran.map_err(|error| error.context(format!("{}\n{}", postfix.log_tail(), cluster.log_tail())))
}

/// A store is killed while Postfix sends, stays away for a third of the mail, and comes back.
fn one_store_dies(cluster: &mut Cluster, postfix: &Postfix) -> Result<Inboxes> {
    let mut sent = Inboxes::new();
    hand_over(cluster, postfix, "before", &mut sent)?;
    cluster.store("fritz")?.daemon().kill()?;
    hand_over(cluster, postfix, "meanwhile", &mut sent)?;
    arrives(cluster, &sent, &["ingrid"]).context("while the other store is dead")?;
    cluster.start_store("fritz")?;
    hand_over(cluster, postfix, "after", &mut sent)?;
    postfix.wait_until_empty()?;
    cluster.empty_the_queue()?;
    arrives(cluster, &sent, &["ingrid", "fritz"])?;
    Ok(sent)
}

/// Messages for somebody on the one store, on the other, and for two on both, in turn.
fn hand_over(cluster: &Cluster, postfix: &Postfix, when: &str, sent: &mut Inboxes) -> Result<()> {
    let mut client = smtp::Client::connect(postfix.address(), Kind::Smtp)?;
    let people = INGRIDS_PEOPLE.into_iter().zip(FRITZ_PEOPLE).cycle();
    for (number, (one, other)) in people.take(MESSAGES).enumerate() {
        let names = match number % 4 {
            0 => vec![one],
            1 => vec![other],
            _ => vec![one, other],
        };
        let letter = Letter::new(&format!("{when}.{number}@postfix"), 1_500);
        let mut to = Vec::new();
        for name in names {
            let address = cluster.account(name)?.address.as_str();
            sent.entry(address.to_owned()).or_default().insert(letter.id.clone(), 1);
            to.push(address);
        }
        let replies = client.deliver("sender@far.example", &to, &letter.bytes)?;
        ensure!(replies.iter().all(smtp::Reply::is_good), "Postfix does not take {}: {replies:?}", letter.id);
    }
    Ok(())
}

/// Waits until everybody on these stores has what was sent, once.
fn arrives(cluster: &Cluster, sent: &Inboxes, stores: &[&str]) -> Result<()> {
    let until = Instant::now() + ARRIVAL_MAX;
    for account in cluster.accounts().iter().filter(|account| stores.contains(&account.store.as_str())) {
        let wanted = sent.get(&account.address).cloned().unwrap_or_default();
        loop {
            let found = inbox(cluster, &account.address, &account.password)?;
            if found == wanted {
                break;
            }
            ensure!(Instant::now() < until, "{} has {found:?}, not {wanted:?}", account.address);
            thread::park_timeout(LOOK_INTERVAL);
        }
    }
    Ok(())
}

fn inbox(cluster: &Cluster, address: &str, password: &str) -> Result<BTreeMap<String, usize>> {
    let mut found = BTreeMap::new();
    for message in messages(cluster, address, password)? {
        ensure!(Letter::fault_in(&message).is_none(), "{address}: {:?}", Letter::fault_in(&message));
        *found.entry(id_of(&message).context("no Message-ID")?).or_insert(0) += 1;
    }
    Ok(found)
}

fn messages(cluster: &Cluster, address: &str, password: &str) -> Result<Vec<Vec<u8>>> {
    let mut client = imap::Client::connect_tls(cluster.address("imaps")?)?;
    client.login(address, password)?;
    let messages = if client.select("INBOX")?.exists == 0 { Vec::new() } else { client.fetch_all()? };
    Ok(messages.into_iter().map(|message| message.body).collect())
}

/// Its sender, who is one of ours, gets Postfix's message about it.
fn an_unknown_recipient_bounces(cluster: &Cluster, postfix: &Postfix) -> Result<()> {
    let sender = cluster.account(SENDER)?;
    let nobody = format!("nobody@{}", cluster.domain());
    let letter = Letter::new("unknown@postfix", 1_500);
    let mut client = smtp::Client::connect(postfix.address(), Kind::Smtp)?;
    let replies = client.deliver(&sender.address, &[&nobody], &letter.bytes)?;
    ensure!(replies.iter().all(smtp::Reply::is_good), "Postfix asks nobody before it takes mail: {replies:?}");
    let until = Instant::now() + ARRIVAL_MAX;
    let bounce = loop {
        if let Some(first) = messages(cluster, &sender.address, &sender.password)?.into_iter().next() {
            break String::from_utf8(first)?;
        }
        ensure!(Instant::now() < until, "no bounce comes");
        thread::park_timeout(LOOK_INTERVAL);
    };
    for told in ["Final-Recipient: rfc822; nobody@", "550 5.1.1"] {
        ensure!(bounce.contains(told), "no {told:?} in the bounce\n{bounce}");
    }
    postfix.wait_until_empty()
}

const INGRIDS_PEOPLE: [&str; 3] = ["anna", "bert", "cleo"];
const FRITZ_PEOPLE: [&str; 3] = ["xara", "york", "zeno"];
/// Gets nothing but a bounce.
const SENDER: &str = "will";
/// Before, during and after a death.
const MESSAGES: usize = 20;
const ARRIVAL_MAX: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
