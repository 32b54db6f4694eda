//! Both servers, step by step; and the shortest session that shows a difference.

use super::act::Act;
use super::allowed::{Difference, Rule};
use super::dovecot::{Dovecot, PASSWORD};
use super::facts::Heard;
use super::peer::{Door, Peer};
use super::script::{CLIENTS, Step, write};
use crate::site::Site;
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::atomic::{AtomicU32, Ordering};

/// Both servers.
#[derive(Debug)]
pub struct Pair<'a> {
    /// Ours.
    pub site: &'a Site,
    /// Theirs.
    pub dovecot: &'a Dovecot,
}

/// How often each rule explained a difference.
pub type Explained = BTreeMap<&'static str, u32>;

/// Each client, at both servers.
type Clients = [Option<(Peer, Peer)>; CLIENTS];

/// Where a session went apart.
struct Fork {
    at: usize,
    differences: Vec<Difference>,
}

impl Pair<'_> {
    /// Plays the session of a seed. A report when the servers differ in what no rule explains.
    pub fn play_seed(&self, seed: u64, length: usize, explained: &mut Explained) -> Result<Option<String>> {
        let steps = write(seed, length);
        let Some(fork) = self.play(&steps, explained)? else { return Ok(None) };
        let (steps, fork) = self.shorten(steps, fork)?;
        Ok(Some(report(seed, &steps, &fork)))
    }

    /// Plays steps on two new accounts until the servers differ.
    fn play(&self, steps: &[Step], explained: &mut Explained) -> Result<Option<Fork>> {
        let (ours, theirs) = (self.our_door()?, self.their_door());
        // Dovecot makes these when they are first looked at, and refuses to rename them before.
        let mut first = Peer::log_in(&theirs)?;
        for mailbox in MADE_WITH_AN_ACCOUNT {
            first.exchange(format!("CREATE {mailbox}").as_bytes())?;
        }
        let mut clients: Clients = [const { None }; CLIENTS];
        for (at, step) in steps.iter().enumerate() {
            for client in step.takes_part() {
                let place = clients.get_mut(client).context("a client")?;
                if place.as_ref().is_none_or(|(our, their)| our.closed && their.closed) {
                    *place = Some((Peer::log_in(&ours)?, Peer::log_in(&theirs)?));
                }
                let Some((our, their)) = place.as_mut().filter(|_| step.fresh) else { continue };
                let mut differences = compare(&our.sync()?, &their.sync()?);
                differences.extend(compare_flags(our, their));
                if explain("NOOP", &mut differences, explained) {
                    return Ok(Some(Fork { at, differences }));
                }
            }
            let mut differences = act(&mut clients, step)?;
            if !step.fresh {
                // What may differ for a client that has not heard the news.
                differences.retain(|difference| difference.fact.starts_with("VIOLATION"));
            }
            if explain(&step.act.command(), &mut differences, explained) {
                return Ok(Some(Fork { at, differences }));
            }
        }
        Ok(None)
    }

    /// Leaves steps out while the same facts still differ at the end.
    fn shorten(&self, mut steps: Vec<Step>, mut fork: Fork) -> Result<(Vec<Step>, Fork)> {
        steps.truncate(fork.at + 1);
        let facts =
            |fork: &Fork| fork.differences.iter().map(|difference| kind(&difference.fact)).collect::<BTreeSet<_>>();
        let wanted = facts(&fork);
        let mut size = steps.len() / 2;
        let mut plays = 0;
        while size > 0 && plays < PLAYS_MAX {
            let mut start = 0;
            let mut shortened = false;
            while start + size < steps.len() && plays < PLAYS_MAX {
                let mut fewer = steps.clone();
                fewer.drain(start..start + size);
                plays += 1;
                match self.play(&fewer, &mut Explained::new())? {
                    Some(found) if found.at + 1 == fewer.len() && facts(&found) == wanted => {
                        (steps, fork, shortened) = (fewer, found, true);
                    }
                    Some(_) | None => start += size,
                }
            }
            if !shortened || size > 1 {
                size /= 2;
            }
        }
        Ok((steps, fork))
    }

    fn our_door(&self) -> Result<Door> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let user = format!("diff{}@{}", COUNT.fetch_add(1, Ordering::Relaxed), self.site.description().domain);
        let added =
            self.site.command(&["account", "add", &user, "--password-hash", &format!("{{PLAIN}}{PASSWORD}")])?;
        ensure!(added.status.success(), "account add: {}", String::from_utf8_lossy(&added.stderr));
        Ok(Door { address: self.site.address("imap")?, user, password: PASSWORD.to_owned() })
    }

    fn their_door(&self) -> Door {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let user = format!("diff{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Door { address: self.dovecot.address(), user, password: PASSWORD.to_owned() }
    }
}

/// Takes out what rules explain; whether something is left.
fn explain(command: &str, differences: &mut Vec<Difference>, explained: &mut Explained) -> bool {
    differences.retain(|difference| match Rule::find(command, difference) {
        Some(rule) => {
            *explained.entry(rule.name).or_default() += 1;
            false
        }
        None => true,
    });
    !differences.is_empty()
}

fn compare(ours: &Heard, theirs: &Heard) -> Vec<Difference> {
    let mut differences = Vec::new();
    if ours.status != theirs.status {
        let (ours, theirs) = (Some(ours.status.clone()), Some(theirs.status.clone()));
        differences.push(Difference { fact: "status".to_owned(), ours, theirs });
    }
    let names: BTreeSet<&String> = ours.facts.keys().chain(theirs.facts.keys()).collect();
    for fact in names {
        let (ours, theirs) = (ours.facts.get(fact).cloned(), theirs.facts.get(fact).cloned());
        if ours != theirs {
            differences.push(Difference { fact: fact.clone(), ours, theirs });
        }
    }
    differences
}

/// Both servers hear what a step says; what they answer differently.
fn act(clients: &mut Clients, step: &Step) -> Result<Vec<Difference>> {
    let Some(Some((our, their))) = clients.get_mut(step.client) else { return Ok(Vec::new()) };
    let heard = match &step.act {
        Act::Say(command) => (our.exchange(command)?, their.exchange(command)?),
        Act::Remember => (our.remember()?, their.remember()?),
        Act::Leave => (our.leave()?, their.leave()?),
        Act::Return { mailbox, way } => (our.come_back(mailbox, *way)?, their.come_back(mailbox, *way)?),
        Act::IdleWhile { other, commands } => return idle_while(clients, step.client, *other, commands),
    };
    Ok(compare(&heard.0, &heard.1))
}

fn idle_while(clients: &mut Clients, idle: usize, other: usize, commands: &[Vec<u8>]) -> Result<Vec<Difference>> {
    let Ok([Some((our, their)), Some((our_other, their_other))]) = clients.get_disjoint_mut([idle, other]) else {
        return Ok(Vec::new());
    };
    let idling = (our.begin_idle()?, their.begin_idle()?);
    let mut differences = Vec::new();
    let mut is_new = (false, false);
    for command in commands {
        let heard = (our_other.exchange(command)?, their_other.exchange(command)?);
        let mut between = compare(&heard.0, &heard.1);
        let said = Act::Say(command.clone()).command();
        explain(&said, &mut between, &mut Explained::new());
        differences.extend(between);
        let appends = |peer: &Peer| peer.opened.as_ref().is_some_and(|name| said.starts_with(&append_to(name)));
        is_new = (heard.0.status == "OK" && appends(our), heard.1.status == "OK" && appends(their));
    }
    let heard = (our.end_idle(idling.0, is_new.0)?, their.end_idle(idling.1, is_new.1)?);
    differences.extend(compare(&heard.0, &heard.1));
    Ok(differences)
}

/// How an APPEND to a mailbox begins, in upper case.
fn append_to(mailbox: &str) -> String {
    let name = mailbox.to_uppercase();
    if name.contains(' ') { format!("APPEND \"{name}\" ") } else { format!("APPEND {name} ") }
}

/// What both told of a message's flags.
fn compare_flags(ours: &Peer, theirs: &Peer) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (uid, flags) in &ours.flags {
        if let Some(other) = theirs.flags.get(uid).filter(|other| *other != flags) {
            let (ours, theirs) = (Some(format!("{flags:?}")), Some(format!("{other:?}")));
            differences.push(Difference { fact: format!("uid {uid} flags known"), ours, theirs });
        }
    }
    differences
}

/// A fact without the numbers in it.
fn kind(fact: &str) -> String {
    fact.chars().filter(|c| !c.is_ascii_digit()).collect()
}

fn report(seed: u64, steps: &[Step], fork: &Fork) -> String {
    let mut text = format!("seed {seed}: Posthouse and Dovecot differ\n");
    for step in steps {
        let news = if step.fresh { "" } else { " (without NOOP)" };
        writeln!(text, "  C{}{news}: {}", step.client, step.act).ok();
    }
    for Difference { fact, ours, theirs } in &fork.differences {
        let or_nothing = |said: &Option<String>| said.clone().unwrap_or_else(|| "nothing".to_owned());
        writeln!(text, "  {fact}\n    ours:   {}\n    theirs: {}", or_nothing(ours), or_nothing(theirs)).ok();
    }
    text
}

/// What a new account of Posthouse has.
const MADE_WITH_AN_ACCOUNT: [&str; 6] = ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"];

/// Plays for one shortening.
const PLAYS_MAX: u32 = 80;
