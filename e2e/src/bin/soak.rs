//! The long runs: the ledger (load, death, examination, again and again), sessions compared with Dovecot's, ImapTest.
//!
//! `cargo xtask soak --rounds 300 --seed 0x51`, `cargo xtask soak --dovecot 500`, `cargo xtask soak --imaptest 600`
#![expect(clippy::disallowed_methods, reason = "a world: it asks the time for a seed")]

use anyhow::{Context, Result, bail};
use e2e::differ::dovecot::Dovecot;
use e2e::differ::run::{Explained, Pair};
use e2e::ledger::{self, Death, Plan};
use e2e::power::Image;
use e2e::programs::Program;
use e2e::site::Site;
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
    match arguments.what {
        What::Ledger => ledger(&arguments),
        What::Nodes => across_nodes(&arguments),
        What::ImapTest { seconds } => imaptest(arguments.seed, seconds),
        What::Dovecot { sessions } => against_dovecot(arguments.seed, sessions),
    }
}

/// Sessions with consecutive seeds. Every difference is told; one is enough to fail.
fn against_dovecot(seed: u64, sessions: u64) -> Result<()> {
    if let Some(obstacle) = Dovecot::obstacle() {
        bail!("{obstacle}");
    }
    let folder = tempfile::Builder::new().prefix("posthouse-soak").tempdir()?;
    let dovecot = Dovecot::start(&folder.path().join("dovecot"))?;
    let site = Site::start(&folder.path().join("site"), &folder.path().join("site.log"))?;
    let pair = Pair { site: &site, dovecot: &dovecot };
    let (mut explained, mut differing) = (Explained::new(), 0);
    for seed in seed..seed + sessions {
        if let Some(report) = pair.play_seed(seed, SESSION_COMMANDS, &mut explained)? {
            println!("{report}");
            differing += 1;
        }
    }
    for (rule, times) in &explained {
        println!("allowed {times} times: {rule}");
    }
    if differing > 0 {
        bail!("{differing} of {sessions} sessions differ");
    }
    println!("{sessions} sessions of {SESSION_COMMANDS} commands are alike");
    Ok(())
}

/// ImapTest's many clients of one account.
fn imaptest(seed: u64, seconds: u64) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("posthouse-soak").tempdir()?;
    let site = Site::start(&folder.path().join("site"), &folder.path().join("site.log"))?;
    let account = site.description().accounts.first().context("a site without accounts")?;
    let report = e2e::imaptest::run(&site, account, folder.path(), seconds, seed)?;
    for fault in &report.faults {
        println!("{fault}");
    }
    println!("commands of each kind: {}; {} named messages that were just expunged", report.summary, report.expunged);
    if !report.faults.is_empty() {
        bail!("ImapTest complained {} times", report.faults.len());
    }
    Ok(())
}

/// The ledger on a site of three nodes, of which each in turn is killed.
fn across_nodes(arguments: &Arguments) -> Result<()> {
    println!("seed {:#x}", arguments.seed);
    let folder = tempfile::Builder::new().prefix("posthouse-soak").tempdir()?;
    match ledger::run_nodes(arguments.rounds, arguments.seed, folder.path(), &mut |line| println!("{line}")) {
        Ok(report) => {
            let ledger::Report { deliveries, changes, deaths } = report;
            println!("{deaths} deaths; all of {deliveries} deliveries and {changes} changes were found again");
            Ok(())
        }
        Err(error) => {
            let kept = folder.keep();
            Err(error.context(format!("the nodes are kept in {}", kept.display())))
        }
    }
}

fn ledger(arguments: &Arguments) -> Result<()> {
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
    what: What,
}

enum What {
    Ledger,
    Nodes,
    Dovecot { sessions: u64 },
    ImapTest { seconds: u64 },
}

impl Arguments {
    /// None where help is asked for.
    fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut arguments = Self { rounds: 30, seed: now, without_power_cuts: false, what: What::Ledger };
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--rounds" => arguments.rounds = value()?.parse().context("--rounds")?,
                "--seed" => arguments.seed = number(&value()?).context("--seed")?,
                "--dovecot" => arguments.what = What::Dovecot { sessions: value()?.parse().context("--dovecot")? },
                "--imaptest" => arguments.what = What::ImapTest { seconds: value()?.parse().context("--imaptest")? },
                "--nodes" => arguments.what = What::Nodes,
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
soak --nodes [--rounds N] [--seed S]
  the same to a relay and proxy in front of two stores: each node in turn is killed, the others go on
soak --dovecot N [--seed S]
  plays N IMAP sessions with Posthouse and with Dovecot, and tells where they differ
soak --imaptest SECONDS [--seed S]
  lets ImapTest (POSTHOUSE_IMAPTEST, else imaptest on PATH) loose on one account
";

/// Room for a few hundred rounds.
const IMAGE_OCTETS: u64 = 16 << 30;
const DELIVERIES_MAX: u64 = 1500;

/// Commands of one session with both servers.
const SESSION_COMMANDS: usize = 120;
