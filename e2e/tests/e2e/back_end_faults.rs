//! A back-end that dies, freezes and comes back while people log in: those of the other one notice nothing, and nothing is
//! left behind.

use crate::world::{World, trial};
use anyhow::{Context, Result, ensure};
use e2e::cluster::node;
use e2e::daemon::Daemon;
use e2e::imap;
use e2e::ports::Block;
use e2e::programs::output;
use e2e::site::binary;
use libtest_mimic::Trial;
use rustix::process::Signal;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![trial(world, "back_end_dies_and_freezes_under_load", &[], |_| dies_and_freezes())]
}

fn dies_and_freezes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut site = Site::start(folder.path())?;
    let ran = site.run();
    ran.map_err(|error| error.context(site.front.log_tail()))
}

/// A proxy without stores, and two servers that it takes for any.
struct Site<'a> {
    folder: &'a Path,
    front: Daemon,
    well: Daemon,
    ill: Daemon,
    ports: Block,
}

/// What became of logins: of somebody at the server that is well, and of somebody at the other.
#[derive(Default)]
struct Tally {
    well: AtomicU64,
    ill: AtomicU64,
    /// The ill one was away, and its user was told so.
    told: AtomicU64,
    stop: AtomicBool,
}

impl<'a> Site<'a> {
    fn start(folder: &'a Path) -> Result<Self> {
        let ports = Block::take()?;
        let at = |offset| ports.loopback(offset);
        let server = |name: &str, offset| {
            let roles = format!(
                "[directory]\ndefault_store = '{name}'\n[[store]]\nname = '{name}'\n[proxy]\nimap = '{}'\n",
                at(offset)
            );
            node(folder, name, &roles)
        };
        let front = format!("[proxy]\nimap = '{}'\n[admin]\nmetrics = '{}'\n", at(FRONT), at(METRICS));
        let mut site = Self {
            folder,
            front: node(folder, "front", &front)?,
            well: server("well", WELL)?,
            ill: server("ill", ILL)?,
            ports,
        };
        let answers = |at: SocketAddr| move || TcpStream::connect(at).map(drop).context("it does not listen");
        site.front.start(answers(site.ports.loopback(FRONT)))?;
        site.well.start(answers(site.ports.loopback(WELL)))?;
        site.ill.start(answers(site.ports.loopback(ILL)))?;
        site.fill()?;
        Ok(site)
    }

    fn say(&self, node: &str, arguments: &[&str]) -> Result<Vec<u8>> {
        let file = self.folder.join(format!("{node}.toml"));
        output(Command::new(binary()?).args(arguments).arg("--config").arg(file))
    }

    fn fill(&self) -> Result<()> {
        for (store, offset) in [("well", WELL), ("ill", ILL)] {
            let domain = format!("{store}.example");
            self.say(store, &["domain", "add", &domain])?;
            self.say(store, &["account", "add", &user(store), "--password-hash", &format!("{{PLAIN}}{PASSWORD}")])?;
            let port = format!("imap={}", self.ports.loopback(offset).port());
            self.say("front", &["store", "add", store, "--host", "127.0.0.1", "--port", &port])?;
            self.say("front", &["domain", "add", &domain, "--accounts", "unchecked", "--default-store", store])?;
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        // Warm: what a session needs once is there.
        self.load(|_, tally| {
            until(|| tally.well.load(Ordering::Relaxed) > 50 && tally.ill.load(Ordering::Relaxed) > 50)
        })?;
        self.until_nobody_is_left()?;
        let before = (self.open_files()?, self.front.resident_octets()?);

        self.load(|site, tally| {
            let more = |count: &AtomicU64, by| {
                let now = count.load(Ordering::Relaxed);
                move |count: &AtomicU64| count.load(Ordering::Relaxed) >= now + by
            };
            // Dead, then back.
            site.ill.kill()?;
            let (well, told) = (more(&tally.well, 200), more(&tally.told, 5));
            until(|| well(&tally.well) && told(&tally.told))?;
            let at = site.ports.loopback(ILL);
            site.ill.start(|| TcpStream::connect(at).map(drop).context("it does not listen"))?;
            let ill = more(&tally.ill, 50);
            until(|| ill(&tally.ill))?;
            // Frozen: it accepts, and says nothing. Each of its users may still hear of its death.
            site.ill.signal(Signal::STOP)?;
            let (well, told) = (more(&tally.well, 200), more(&tally.told, PEOPLE + 2));
            let frozen = until(|| well(&tally.well) && told(&tally.told));
            site.ill.signal(Signal::CONT)?;
            frozen?;
            let ill = more(&tally.ill, 50);
            until(|| ill(&tally.ill))
        })?;
        self.until_nobody_is_left()?;
        let after = (self.open_files()?, self.front.resident_octets()?);
        ensure!(after.0 <= before.0 + FILES_MORE, "files and sockets stay open: {before:?}, then {after:?}");
        ensure!(after.1 <= before.1 * 3 / 2, "memory stays: {before:?}, then {after:?}");
        self.the_log_tells_each_change()
    }

    /// Twice the host went, and came back: hundreds of logins met it meanwhile, none of which says so again.
    fn the_log_tells_each_change(&self) -> Result<()> {
        let log = std::fs::read_to_string(self.folder.join("front.log"))?;
        let count = |text: &str| log.matches(text).count();
        let (went, came) = (count("a host does not answer: it is left alone"), count("a host answers again"));
        ensure!((2..=8).contains(&went) && (2..=8).contains(&came), "the host went {went} times and came {came} times");
        Ok(())
    }

    /// Does something while people log in and out.
    fn load(&mut self, act: impl FnOnce(&mut Self, &Tally) -> Result<()>) -> Result<()> {
        let (tally, at) = (Tally::default(), self.ports.loopback(FRONT));
        thread::scope(|scope| {
            let people: Vec<_> = (0..2 * PEOPLE)
                .map(|number| {
                    let tally = &tally;
                    let store = if number % 2 == 0 { "well" } else { "ill" };
                    scope.spawn(move || log_in_again_and_again(at, store, tally))
                })
                .collect();
            let acted = act(self, &tally);
            tally.stop.store(true, Ordering::Relaxed);
            for person in people {
                person.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            }
            acted
        })
    }

    fn until_nobody_is_left(&self) -> Result<()> {
        until(|| self.say("front", &["who", "--json"]).is_ok_and(|who| who.trim_ascii() == b"[]"))
    }

    fn open_files(&self) -> Result<u64> {
        let url = format!("http://{}/metrics", self.ports.loopback(METRICS));
        let mut stream = TcpStream::connect(self.ports.loopback(METRICS)).context(url)?;
        std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.0\r\n\r\n")?;
        let mut said = String::new();
        std::io::Read::read_to_string(&mut stream, &mut said)?;
        let line = said.lines().find_map(|line| line.strip_prefix("process_open_fds ")).context("no metric")?;
        Ok(line.trim().parse()?)
    }
}

fn log_in_again_and_again(at: SocketAddr, store: &str, tally: &Tally) -> Result<()> {
    while !tally.stop.load(Ordering::Relaxed) {
        let mut client = imap::Client::connect(at)?;
        let login = client.command(&format!("LOGIN {} {PASSWORD}", user(store)))?;
        let is_in = login.is_ok() && client.select("INBOX").is_ok() && client.must("LOGOUT").is_ok();
        match (store, is_in) {
            ("well", true) => tally.well.fetch_add(1, Ordering::Relaxed),
            ("well", false) => anyhow::bail!("a user of the other server was hindered: {login:?}"),
            (_, true) => tally.ill.fetch_add(1, Ordering::Relaxed),
            (_, false) => {
                // Never "wrong password"; and who was in when it died was told, or his connection ended.
                ensure!(login.is_ok() || login.text.contains("[UNAVAILABLE]"), "{login:?}");
                tally.told.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
    Ok(())
}

fn user(store: &str) -> String {
    format!("carol@{store}.example")
}

fn until(is_so: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + WAIT_MAX;
    while !is_so() {
        ensure!(Instant::now() < end, "it does not happen within {WAIT_MAX:?}");
        thread::park_timeout(LOOK_INTERVAL);
    }
    Ok(())
}

const PASSWORD: &str = "sea-shell-7";
/// At each server.
const PEOPLE: u64 = 8;
const FRONT: u16 = 1;
const METRICS: u16 = 2;
const WELL: u16 = 3;
const ILL: u16 = 4;
/// Files and sockets that a node may have more of at one time than at another: calls that it still tries.
const FILES_MORE: u64 = 8;
const WAIT_MAX: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
