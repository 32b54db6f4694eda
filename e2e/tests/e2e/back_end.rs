//! A proxy in front of a Dovecot that stays as it is: in every way to log in, and while it is away.

use crate::world::{World, trial_unless};
use anyhow::{Context, Result, ensure};
use e2e::back_end::{Entrance, Fronted, Security};
use e2e::imap::{self, quoted};
use e2e::letter::Letter;
use e2e::pop3;
use libtest_mimic::Trial;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let trial = |name, run| trial_unless(world, name, Fronted::obstacle, run);
    vec![
        trial("back_end_in_clear", |_| with(Security::None, Entrance::Password, looks_like_one)),
        trial("back_end_by_starttls", |_| with(Security::StartTls, Entrance::Password, looks_like_one)),
        trial("back_end_by_tls_and_a_master", |_| with(Security::Tls, Entrance::Master, looks_like_one)),
        trial("back_end_by_a_name_joined_to_a_master", |_| with(Security::StartTls, Entrance::Joined, looks_like_one)),
        trial("back_end_whose_first_host_is_frozen", |_| {
            with(Security::StartTls, Entrance::Password, goes_to_the_next)
        }),
        trial("back_end_that_is_away_is_unavailable", |_| with(Security::StartTls, Entrance::Password, goes_and_comes)),
    ]
}

fn with(security: Security, entrance: Entrance, run: fn(&mut Fronted) -> Result<()>) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("posthouse-back-end").tempdir()?;
    let mut fronted = Fronted::start(folder.path(), security, entrance)?;
    run(&mut fronted).map_err(|error| error.context(fronted.log_tail()))
}

fn looks_like_one(fronted: &mut Fronted) -> Result<()> {
    let carol = Fronted::account("carol");
    let letter = Letter::new("one@back.example", 20_000);
    let mut client = imap::Client::connect(fronted.address("imap"))?;
    for (user, password) in [(carol.address.as_str(), "wrong"), ("nobody@back.example", carol.password.as_str())] {
        let refused = client.command(&format!("LOGIN {user} {}", quoted(password)))?;
        ensure!(refused.status == "NO" && refused.text.contains("[AUTHENTICATIONFAILED]"), "{user}: {refused:?}");
    }
    // The client stays; what it says behind its login is the back-end's.
    let login = format!("LOGIN {} {}", carol.address, quoted(&carol.password));
    for tag in client.send_all(&[&login, "SELECT INBOX", "NOOP"])? {
        let response = client.finish(&tag)?;
        ensure!(response.is_ok(), "{response:?}");
        if tag.ends_with('1') {
            ensure!(response.text.contains("[CAPABILITY "), "capabilities are those of the back-end: {response:?}");
        }
    }
    client.append("INBOX", "", &letter.bytes)?;
    let mut pop3 = pop3::Client::connect(fronted.address("pop3"))?;
    ensure!(pop3.login(&carol.address, "wrong").is_err(), "a wrong password");
    pop3.login(&carol.address, &carol.password)?;
    let message = pop3.retrieve(1)?;
    ensure!(Letter::fault_in(&message).is_none(), "POP3: {:?}", Letter::fault_in(&message));
    // Nobody reads another's mail, whoever logs in for them.
    let dora = Fronted::account("dora");
    let mut other = imap::Client::connect(fronted.address("imap"))?;
    other.login(&dora.address, &dora.password)?;
    ensure!(other.select("INBOX")?.exists == 0, "another's mail");
    let who = fronted.must(&["who"])?;
    ensure!(who.contains(&carol.address) && who.contains(&dora.address), "{who}");
    Ok(())
}

fn goes_and_comes(fronted: &mut Fronted) -> Result<()> {
    let carol = Fronted::account("carol");
    let mut open = imap::Client::connect(fronted.address("imap"))?;
    open.login(&carol.address, &carol.password)?;
    fronted.back_end().stop()?;
    // Told as what it is, and never as a wrong password.
    let line = open.read().context("a client whose back-end went hears so")?;
    ensure!(format!("{line:?}").contains("BYE"), "{line:?}");
    let mut client = imap::Client::connect(fronted.address("imap"))?;
    let login = format!("LOGIN {} {}", carol.address, quoted(&carol.password));
    let refused = client.command(&login)?;
    ensure!(refused.status == "NO" && refused.text.contains("[UNAVAILABLE]"), "{refused:?}");
    let mut pop3 = pop3::Client::connect(fronted.address("pop3"))?;
    pop3.command(&format!("USER {}", carol.address))?;
    let refused = pop3.command(&format!("PASS {}", carol.password));
    let said = refused.unwrap_or_else(|error| format!("{error:#}"));
    ensure!(said.contains("[SYS/TEMP]"), "{said}");
    fronted.back_end().start_again()?;
    let until = Instant::now() + BACK_MAX;
    while !client.command(&login)?.is_ok() {
        ensure!(Instant::now() < until, "it is back, and nobody is let in");
    }
    ensure!(client.select("INBOX")?.exists == 0, "not its mailbox");
    Ok(())
}

/// The first host accepts and says nothing: one login waits for its greeting, and the others do not.
fn goes_to_the_next(fronted: &mut Fronted) -> Result<()> {
    let frozen = TcpListener::bind("127.0.0.1:0")?;
    let port = frozen.local_addr()?.port();
    let first = format!("127.0.0.1,imap={port},pop3={port}");
    fronted.must(&["store", "set", "dovecot", "--host", &first, "--host", "127.0.0.1"])?;
    let carol = Fronted::account("carol");
    let mut spans = Vec::new();
    for _ in 0..3 {
        let mut client = imap::Client::connect(fronted.address("imap"))?;
        let began = Instant::now();
        client.login(&carol.address, &carol.password)?;
        spans.push(began.elapsed());
    }
    let [first, rest @ ..] = spans.as_slice() else { unreachable!("three logins") };
    ensure!(*first < Duration::from_secs(15), "the first login took {first:?}");
    ensure!(rest.iter().all(|span| *span < Duration::from_secs(4)), "who comes later waits, too: {spans:?}");
    // A wrong password is final, and by POP3 it is another server.
    let mut client = imap::Client::connect(fronted.address("imap"))?;
    let refused = client.command(&format!("LOGIN {} wrong", carol.address))?;
    ensure!(refused.status == "NO" && refused.text.contains("[AUTHENTICATIONFAILED]"), "{refused:?}");
    let mut pop3 = pop3::Client::connect(fronted.address("pop3"))?;
    pop3.login(&carol.address, &carol.password)?;
    // Without the frozen one, nothing listens there.
    drop(frozen);
    let mut client = imap::Client::connect(fronted.address("imap"))?;
    client.login(&carol.address, &carol.password)?;
    Ok(())
}

/// A proxy asks an address again a while after it did not answer.
const BACK_MAX: Duration = Duration::from_secs(60);
