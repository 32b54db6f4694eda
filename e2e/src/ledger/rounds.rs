//! Rounds of load, death and examination.

use super::check;
use super::load::{self, Books, Doors, LOAD_MAX};
use crate::power::Image;
use crate::random::Random;
use crate::site::Site;
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How often the site dies.
    pub rounds: u32,
    /// Decides messages, order and the times of death.
    pub seed: u64,
    /// The deaths that it may die.
    pub deaths: Vec<Death>,
    /// How many deliveries a round waits for, at most.
    pub deliveries_max: u64,
}

/// How a site dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// SIGKILL: what was written stays.
    Kill,
    /// The power goes while it runs: what was not made durable is gone.
    PowerCut,
    /// SIGKILL, and the power goes before anything else is written.
    KillThenPowerCut,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Acknowledged (Message-ID, recipient), all of them found again.
    pub deliveries: usize,
    /// Acknowledged changes over IMAP, all of them found again.
    pub changes: u64,
    /// Deaths, those during recovery included.
    pub deaths: u32,
}

/// Runs a plan in a folder; the site's log goes there too. An image is needed for deaths by power cut.
pub fn run(plan: &Plan, folder: &Path, mut image: Option<Image>, tell: &mut dyn FnMut(&str)) -> Result<Report> {
    let place = image.as_ref().map_or(folder, Image::path).join("site");
    let mut random = Random::new(plan.seed);
    let mut site = Site::start(&place, &folder.join("posthouse.log"))?;
    let books = Books::open(&site.description().accounts, plan.seed)?;
    let mut deaths = 0;
    for round in 1..=plan.rounds {
        let death = *random.pick(&plan.deaths).context("a plan without a death")?;
        live(&books, &mut site, image.as_ref(), death, plan, &mut random)?;
        deaths += 1;
        revive(death, image.as_mut())?;
        if random.below(2) == 0 && die_in_recovery(&mut site, &mut random)? {
            deaths += 1;
        }
        let start = Instant::now();
        site.start_again().with_context(|| format!("round {round} of seed {:#x}, after {death:?}", plan.seed))?;
        let started = start.elapsed();
        books.begin();
        let doors = Doors::of(&site)?;
        let checked = check::check(&books, &doors).and_then(|()| check::bury(&books, &doors, &mut random));
        judge(&books, round, death, plan, &site, checked)?;
        let (deliveries, changes) = (books.receipts.count(), books.change_count());
        tell(&format!(
            "round {round}: {death:?}, back in {:.1} s, checked in {:.1} s; {deliveries} deliveries, {changes} changes",
            started.as_secs_f64(),
            start.elapsed().saturating_sub(started).as_secs_f64()
        ));
    }
    site.stop()?;
    if let Some(image) = &mut image {
        image.unmount()?;
    }
    Ok(Report { deliveries: books.receipts.count(), changes: books.change_count(), deaths })
}

/// Load until enough is acknowledged, then death in the middle of it.
fn live(
    books: &Books,
    site: &mut Site,
    image: Option<&Image>,
    death: Death,
    plan: &Plan,
    random: &mut Random,
) -> Result<()> {
    let wanted = 20 + random.below(plan.deliveries_max.saturating_sub(20).max(1));
    let target = books.receipts.count().saturating_add(usize::try_from(wanted)?);
    let doors = Doors::of(site)?;
    thread::scope(|scope| {
        load::start(scope, books, &doors, random);
        let reached = books.receipts.wait_for(target, LOAD_MAX);
        let was_running = site.is_running();
        // From here to the end of the scope nothing may return early: the threads end only when the site has.
        books.end();
        let died = match death {
            Death::Kill => site.kill(),
            Death::PowerCut => cut(image).and(site.kill()),
            Death::KillThenPowerCut => site.kill().and(cut(image)),
        };
        died?;
        ensure!(was_running?, "it ended by itself\n{}", site.log_tail());
        ensure!(
            reached,
            "less than {wanted} deliveries within {LOAD_MAX:?}: {:#?}\n{}",
            books.faults(),
            site.log_tail()
        );
        Ok(())
    })
}

fn cut(image: Option<&Image>) -> Result<()> {
    image.context("a power cut without an image")?.cut()
}

/// The power comes back.
fn revive(death: Death, image: Option<&mut Image>) -> Result<()> {
    match (death, image) {
        (Death::Kill, _) => Ok(()),
        (Death::PowerCut | Death::KillThenPowerCut, Some(image)) => {
            image.unmount()?;
            image.mount()
        }
        (Death::PowerCut | Death::KillThenPowerCut, None) => bail!("a power cut without an image"),
    }
}

/// A second crash while it recovers from the first; whether it was early enough for that.
fn die_in_recovery(site: &mut Site, random: &mut Random) -> Result<bool> {
    site.start_and_kill(Duration::from_millis(random.below(400)))
}

fn judge(books: &Books, round: u32, death: Death, plan: &Plan, site: &Site, checked: Result<()>) -> Result<()> {
    let faults = books.faults();
    let shown = shown(&faults);
    let place = format!("round {round} of seed {:#x}, after {death:?}", plan.seed);
    checked.with_context(|| format!("{place}: {}\n{}", shown, site.log_tail()))?;
    ensure!(faults.is_empty(), "{place}: {} faults\n{}\n{}", faults.len(), shown, site.log_tail());
    Ok(())
}

/// The first faults, a line each.
pub(super) fn shown(faults: &[String]) -> String {
    let shown: Vec<&str> = faults.iter().map(String::as_str).take(FAULTS_SHOWN_MAX).collect();
    shown.join("\n")
}

const FAULTS_SHOWN_MAX: usize = 20;
