//! A node whose directory is a file: it serves as before, takes the file that is brought, and keeps to the last good one.

use crate::world::{World, trial};
use anyhow::{Context, Result, ensure};
use e2e::imap;
use e2e::letter::Letter;
use e2e::site::Site;
use e2e::smtp::{Client, Kind};
use libtest_mimic::Trial;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![trial(world, "directory_in_a_file", &[], serves_from_a_file)]
}

fn serves_from_a_file(world: &World) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = world.log("directory-file");
    let mut site = Site::start(&folder.path().join("site"), &log)?;
    let accounts = site.description().accounts.clone();
    let file = folder.path().join("directory");
    said(&site, &["export", "directory", &file.to_string_lossy()])?;
    let routes = routes(&site)?;
    site.stop()?;
    let drop_ins = site.folder().join("conf.d");
    std::fs::create_dir(&drop_ins)?;
    let section = format!("[directory]\nengine = \"file\"\npath = {:?}\n", file.to_string_lossy());
    std::fs::write(drop_ins.join("directory.toml"), section)?;

    site.start_again()?;
    ensure!(self::routes(&site)? == routes, "the file routes otherwise");
    for account in &accounts {
        Client::connect(site.address("smtp")?, Kind::Smtp)?
            .must_deliver(&account.address, &Letter::new("sent@file", 1_000).bytes)?;
        let mut client = imap::Client::connect_tls(site.address("imaps")?)?;
        client.login(&account.address, &account.password)?;
        ensure!(client.select("INBOX")?.exists == 1, "{} got no mail", account.address);
    }
    let first = accounts.first().context("a site has accounts")?;
    let refused = site.command(&["account", "set", &first.address, "--state", "disabled"])?;
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && why.contains(&*file.to_string_lossy()), "edited: {why}");

    let before = std::fs::read_to_string(&file)?;
    let line = before.lines().find(|line| line.contains(&format!("\"address\":\"{}\"", first.address)));
    let line = line.context("the account has a line")?;
    let after = before.replace(line, &line.replace("\"state\":\"active\"", "\"state\":\"disabled\""));
    ensure!(after != before, "the account was not active: {line}");
    // Half of it changes nothing, and is told.
    std::fs::write(&file, after.get(..after.len() / 2).context("ASCII")?)?;
    wait_until("the half file is told", || Ok(std::fs::read_to_string(&log)?.contains("is not taken")))?;
    ensure!(self::routes(&site)? == routes, "half a file was taken");
    replace(&file, &after)?;
    wait_until("the account is disabled", || Ok(self::routes(&site)?.contains("550 5.2.1")))?;
    let mut sender = Client::connect(site.address("smtp")?, Kind::Smtp)?;
    ensure!(sender.command("MAIL FROM:<>")?.is_good(), "MAIL");
    let reply = sender.command(&format!("RCPT TO:<{}>", first.address))?;
    ensure!(reply.begins("550 5.2.1"), "{reply:?}");
    replace(&file, &before)?;
    wait_until("all is as it was", || Ok(self::routes(&site)? == routes))?;
    site.stop()
}

/// Where mail for every account goes, and for nobody.
fn routes(site: &Site) -> Result<String> {
    let nobody = format!("nobody@{}", site.description().domain);
    let accounts = site.description().accounts.iter().map(|account| account.address.as_str());
    let line: Vec<&str> = ["route", "--json"].into_iter().chain(accounts).chain([nobody.as_str()]).collect();
    Ok(String::from_utf8(site.command(&line)?.stdout)?)
}

fn said(site: &Site, line: &[&str]) -> Result<String> {
    let output = site.command(line)?;
    ensure!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// As configuration management does it.
fn replace(file: &Path, text: &str) -> Result<()> {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text)?;
    std::fs::rename(beside, file)?;
    Ok(())
}

fn wait_until(what: &str, mut is: impl FnMut() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + TAKEN_MAX;
    while !is()? {
        ensure!(Instant::now() < until, "not within {TAKEN_MAX:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    Ok(())
}

/// A node looks every second.
const TAKEN_MAX: Duration = Duration::from_secs(30);
