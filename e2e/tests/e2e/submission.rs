//! A proxy in front of a Postfix that takes mail from users of a Dovecot: one name for reading and sending.

use crate::world::{World, trial_unless};
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::back_end::{Entrance, Fronted, PASSWORD, Security};
use e2e::letter::Letter;
use e2e::postfix::{Postfix, Submission};
use e2e::programs::Program;
use e2e::smtp::{self, Kind};
use libtest_mimic::Trial;
use std::process::Command;
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let obstacle = || Fronted::obstacle().or_else(Postfix::obstacle);
    let swaks = || Fronted::obstacle().or_else(Postfix::obstacle).or_else(|| Program::Swaks.obstacle());
    vec![
        trial_unless(world, "submission_through_a_proxy", obstacle, |_| with(Entrance::Password, takes_mail)),
        trial_unless(world, "submission_by_a_master", obstacle, |_| with(Entrance::Master, takes_mail)),
        trial_unless(world, "submission_when_the_server_goes", obstacle, |_| with(Entrance::Password, outlives_it)),
        trial_unless(world, "submission_by_swaks", swaks, |_| with(Entrance::Password, by_swaks)),
    ]
}

fn with(entrance: Entrance, run: fn(&Fronted, Postfix) -> Result<()>) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("posthouse-submission").tempdir()?;
    let home = tempfile::tempdir()?;
    let fronted = Fronted::start(folder.path(), Security::StartTls, entrance)?;
    let (passwords, certificate, key) = (fronted.file("passwords"), fronted.file("back.pem"), fronted.file("back.key"));
    let from = Submission { passwords: &passwords, certificate: &certificate, key: &key };
    let postfix = Postfix::start_submission(home.path(), from)?;
    fronted.add_submission(postfix.address())?;
    run(&fronted, postfix).map_err(|error| {
        let log = std::fs::read_to_string(home.path().join("log")).unwrap_or_default();
        error.context(format!("{}\n--- Postfix\n{log}", fronted.log_tail()))
    })
}

fn plain(user: &str, password: &str) -> String {
    format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{user}\0{password}")))
}

fn takes_mail(fronted: &Fronted, postfix: Postfix) -> Result<()> {
    let carol = Fronted::account("carol");
    let mut client = smtp::Client::connect(fronted.address("submission"), Kind::Smtp)?;
    let offered = &client.extensions;
    ensure!(offered.iter().any(|line| line.starts_with("AUTH ") && line.contains("PLAIN")), "{offered:?}");
    ensure!(offered.iter().any(|line| line == "8BITMIME"), "{offered:?}");
    let early = client.command("MAIL FROM:<carol@back.example>")?;
    ensure!(early.begins("530 5.7.0"), "before the login: {early:?}");
    let wrong = client.command(&plain(&carol.address, "wrong"))?;
    ensure!(wrong.begins("535 5.7.8"), "a wrong password: {wrong:?}");
    // The client stays. What it says behind its login in the same packet is the back-end's.
    let login = plain(&carol.address, PASSWORD);
    client.wire().send(format!("{login}\r\nNOOP\r\nMAIL FROM:<carol@back.example>\r\nRSET\r\n").as_bytes())?;
    let replies = (0..4).map(|_| client.reply()).collect::<Result<Vec<_>>>()?;
    let codes: Vec<u16> = replies.iter().map(|reply| reply.code).collect();
    ensure!(codes == [235, 250, 250, 250], "{replies:?}");
    let who = fronted.must(&["who", "submission"])?;
    ensure!(who.contains(&carol.address), "{who}");
    client.must_deliver("somebody@far.example", &Letter::new("one@back.example", 300_000).bytes)?;
    postfix.wait_until_empty()?;
    ensure!(postfix.fates("sent")?.len() == 1, "one message");
    ensure!(postfix.has_logged(&format!("sasl_username={}", carol.address))?, "Postfix knows who it was");
    Ok(())
}

/// A Postfix that goes is told, and one that is away is nobody's wrong password.
fn outlives_it(fronted: &Fronted, postfix: Postfix) -> Result<()> {
    let carol = Fronted::account("carol");
    let mut open = smtp::Client::connect(fronted.address("submission"), Kind::Smtp)?;
    let login = open.command(&plain(&carol.address, PASSWORD))?;
    ensure!(login.code == 235, "{login:?}");
    drop(postfix);
    let farewell = open.reply().context("a client whose back-end went hears so")?;
    ensure!(farewell.begins("421 4.4.2"), "{farewell:?}");
    let mut client = smtp::Client::connect(fronted.address("submission"), Kind::Smtp)?;
    let refused = client.command(&plain(&carol.address, PASSWORD))?;
    ensure!(refused.begins("454 4.7.0"), "{refused:?}");
    Ok(())
}

fn by_swaks(fronted: &Fronted, postfix: Postfix) -> Result<()> {
    let carol = Fronted::account("carol");
    for mechanism in ["LOGIN", "PLAIN"] {
        let mut command: Command = Program::Swaks.command();
        command.args(["--to", "somebody@far.example", "--from", &carol.address, "--timeout", "60"]);
        command.args(["--server", &fronted.address("submission").to_string()]);
        command.args(["--auth", mechanism, "--auth-user", &carol.address, "--auth-password", PASSWORD]);
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{mechanism}: {said}{}", String::from_utf8_lossy(&output.stderr));
    }
    postfix.wait_until_empty()?;
    ensure!(postfix.fates("sent")?.len() == 2, "two messages");
    Ok(())
}
