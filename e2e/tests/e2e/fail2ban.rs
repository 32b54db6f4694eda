//! fail2ban itself, with the filter that we ship, on logs that our program wrote.

use crate::world::{World, trial};
use anyhow::{Result, ensure};
use e2e::imap;
use e2e::pop3;
use e2e::programs::{Program, output};
use e2e::site::Site;
use libtest_mimic::Trial;
use std::path::Path;
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![trial(world, "fail2ban_finds_failed_logins", &[Program::Fail2ban], finds_failed_logins)]
}

fn finds_failed_logins(_world: &World) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("posthouse.log");
    let mut site = Site::start(&folder.path().join("site"), &log)?;
    fail(&site)?;
    // The same in the other format, behind it in the same file.
    site.stop()?;
    site.configure("log", "[log]\nformat = \"json\"\n")?;
    site.start_again()?;
    fail(&site)?;
    site.stop()?;

    let logged = std::fs::read_to_string(&log)?;
    let formats = ["msg=\"127.0.0.1 failed login ", "\"message\":\"127.0.0.1 failed login "];
    for format in formats {
        let count = logged.lines().filter(|line| line.contains(format)).count();
        ensure!(count == GUESSES, "{count} lines with {format}");
    }
    let filter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating/fail2ban/posthouse.conf");
    let mut command = Program::Fail2ban.command();
    // Of each match the address, and nothing else.
    let said = output(command.args(["--out", "ip"]).arg(&log).arg(&filter))?;
    let banned = String::from_utf8_lossy(&said).into_owned();
    let banned: Vec<&str> = banned.lines().filter(|line| !line.is_empty()).collect();
    ensure!(banned == ["127.0.0.1"; 2 * GUESSES], "{banned:?}\n{logged}");
    Ok(())
}

/// Fails as often as is guessed, and once logs in.
fn fail(site: &Site) -> Result<()> {
    let account =
        site.description().accounts.first().map(|account| (account.address.clone(), account.password.clone()));
    let Some((address, password)) = account else { anyhow::bail!("a site without accounts") };
    let mut client = imap::Client::connect_tls(site.address("imaps")?)?;
    for user in [address.as_str(), "192.0.2.66 failed login protocol=imap user=x reason=y"] {
        ensure!(client.command(&format!("LOGIN {} wrong", imap::quoted(user)))?.status == "NO", "{user}");
    }
    client.login(&address, &password)?;
    let mut pop3 = pop3::Client::connect(site.address("pop3")?)?;
    ensure!(pop3.login("nobody@nowhere.test", "wrong").is_err(), "a wrong password");
    Ok(())
}

/// In each format.
const GUESSES: usize = 3;
