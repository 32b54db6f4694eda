//! The ledger for as long as one likes: load, death, examination, again and again.
//!
//! `cargo xtask soak --rounds 300 --seed 0x51`
#![expect(clippy::disallowed_methods, reason = "a world: it asks the time for a seed")]

use anyhow::{Context, Result, bail};
use e2e::ledger::{self, Death, Plan};
use e2e::power::Image;
use e2e::programs::Program;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    match soak() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn soak() -> Result<()> {
    let Some(arguments) = Arguments::read(std::env::args().skip(1))? else {
        print!("{USAGE}");
        return Ok(());
    };
    let folder = tempfile::Builder::new().prefix("posthouse-soak").tempdir()?;
    let obstacle = Program::Xfs.obstacle().or_else(Image::obstacle);
    let (image, deaths) = match (arguments.without_power_cuts, obstacle) {
        (false, None) => {
            let image = Image::create(folder.path(), IMAGE_OCTETS)?;
            (Some(image), vec![Death::Kill, Death::PowerCut, Death::KillThenPowerCut])
        }
        (false, Some(obstacle)) => {
            println!("without power cuts: {obstacle}");
            (None, vec![Death::Kill])
        }
        (true, _) => (None, vec![Death::Kill]),
    };
    println!("seed {:#x}", arguments.seed);
    let plan = Plan { rounds: arguments.rounds, seed: arguments.seed, deaths, deliveries_max: DELIVERIES_MAX };
    match ledger::run(&plan, folder.path(), image, &mut |line| println!("{line}")) {
        Ok(report) => {
            let ledger::Report { deliveries, changes, deaths } = report;
            println!("{deaths} deaths; all of {deliveries} deliveries and {changes} changes were found again");
            Ok(())
        }
        Err(error) => {
            let kept = folder.keep();
            Err(error.context(format!("the site is kept in {}", kept.display())))
        }
    }
}

struct Arguments {
    rounds: u32,
    seed: u64,
    without_power_cuts: bool,
}

impl Arguments {
    /// None where help is asked for.
    fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut arguments = Self { rounds: 30, seed: now, without_power_cuts: false };
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--rounds" => arguments.rounds = value()?.parse().context("--rounds")?,
                "--seed" => arguments.seed = number(&value()?).context("--seed")?,
                "--no-power-cuts" => arguments.without_power_cuts = true,
                "--help" | "-h" => return Ok(None),
                unknown => bail!("unknown argument {unknown}\n{USAGE}"),
            }
        }
        Ok(Some(arguments))
    }
}

fn number(text: &str) -> Result<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => Ok(u64::from_str_radix(digits, 16)?),
        None => Ok(text.parse()?),
    }
}

const USAGE: &str = "\
soak [--rounds N] [--seed S] [--no-power-cuts]
  kills a site N times (30) under load and checks after each time that nothing acknowledged is lost
";

/// Room for a few hundred rounds.
const IMAGE_OCTETS: u64 = 16 << 30;
const DELIVERIES_MAX: u64 = 1500;
