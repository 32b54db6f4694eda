//! A proxy in front of a Dovecot that stays as it is: in every way to log in, and while it is away.

use crate::world::{World, trial_unless};
use anyhow::{Context, Result, ensure};
use e2e::back_end::{Entrance, Fronted, STORE, Security, TRUSTED};
use e2e::imap::{self, quoted};
use e2e::letter::Letter;
use e2e::pop3;
use e2e::sieve;
use libtest_mimic::Trial;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let trial = |name, run| trial_unless(world, name, Fronted::obstacle, run);
    let scripts = |name, run| trial_unless(world, name, Fronted::obstacle_to_scripts, run);
    vec![
        trial("back_end_in_clear", |_| with(Security::None, Entrance::Password, looks_like_one)),
        trial("back_end_by_starttls", |_| with(Security::StartTls, Entrance::Password, looks_like_one)),
        trial("back_end_by_tls_and_a_master", |_| with(Security::Tls, Entrance::Master, looks_like_one)),
        trial("back_end_by_a_name_joined_to_a_master", |_| with(Security::StartTls, Entrance::Joined, looks_like_one)),
        trial("back_end_whose_first_host_is_frozen", |_| {
            with(Security::StartTls, Entrance::Password, goes_to_the_next)
        }),
        trial("back_end_is_told_whose_login_it_is", |_| hears_where_a_client_comes_from()),
        trial("back_end_that_is_away_is_unavailable", |_| with(Security::StartTls, Entrance::Password, goes_and_comes)),
        scripts("back_end_scripts_in_clear", |_| with(Security::None, Entrance::Password, edits_scripts)),
        scripts("back_end_scripts_by_starttls", |_| with(Security::StartTls, Entrance::Password, edits_scripts)),
        scripts("back_end_scripts_by_tls_and_a_master", |_| with(Security::Tls, Entrance::Master, edits_scripts)),
        scripts("back_end_scripts_lose_their_server", |_| with(Security::None, Entrance::Joined, loses_its_server)),
    ]
}

fn with(security: Security, entrance: Entrance, run: fn(&mut Fronted) -> Result<()>) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("posthouse-back-end").tempdir()?;
    let mut fronted = Fronted::start(folder.path(), security, entrance)?;
    run(&mut fronted).map_err(|error| error.context(fronted.log_tail()))
}

pub(crate) fn looks_like_one(fronted: &mut Fronted) -> Result<()> {
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
    let status = fronted.must(&["status"])?;
    ensure!(status.contains("back-end old") && status.matches(" answers").count() == 2, "{status}");
    Ok(())
}

pub(crate) fn goes_and_comes(fronted: &mut Fronted) -> Result<()> {
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

/// By ID and XCLIENT, from an address of ours that Dovecot trusts: what it logs is the client's.
fn hears_where_a_client_comes_from() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("posthouse-back-end").tempdir()?;
    let more = format!("introduce = \"id\"\nsource_addresses = [\"{TRUSTED}\"]\n");
    let fronted = Fronted::start_with(folder.path(), Security::StartTls, Entrance::Password, &more)?;
    let carol = Fronted::account("carol");
    // Twice: the second time it is known what Dovecot offers.
    for _ in 0..2 {
        imap::Client::connect(fronted.address("imap"))?.login(&carol.address, &carol.password)?;
        pop3::Client::connect(fronted.address("pop3"))?.login(&carol.address, &carol.password)?;
    }
    let until = Instant::now() + LOG_MAX;
    loop {
        let log = fronted.back_end_log()?;
        // Dovecot was called from the address that it trusts, and tells the client's.
        let is_login = |line: &&str| line.contains("-login: Info: Login: ");
        let logins: Vec<&str> = log.lines().filter(is_login).collect();
        if logins.len() == 4 {
            ensure!(logins.iter().all(|line| line.contains("rip=127.0.0.1,")), "{log}");
            return Ok(());
        }
        ensure!(Instant::now() < until, "{}", fronted.log_tail());
    }
}

/// The first host accepts and says nothing: one login waits for its greeting, and the others do not.
fn goes_to_the_next(fronted: &mut Fronted) -> Result<()> {
    let frozen = TcpListener::bind("127.0.0.1:0")?;
    let port = frozen.local_addr()?.port();
    let first = format!("127.0.0.1,imap={port},pop3={port}");
    fronted.must(&["store", "set", STORE, "--host", &first, "--host", "127.0.0.1"])?;
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

fn edits_scripts(fronted: &mut Fronted) -> Result<()> {
    let carol = Fronted::account("carol");
    let client = sieve::Client::connect(fronted.address("sieve"))?;
    ensure!(client.capability("STARTTLS").is_some(), "{client:?}");
    let mut client = client.start_tls()?;
    // Before the login it is told what the back-end can do, and not that TLS can be started again.
    let extensions = client.capability("SIEVE").unwrap_or_default();
    ensure!(extensions.contains("fileinto") && extensions.contains("vacation"), "{extensions}");
    ensure!(client.capability("STARTTLS").is_none() && client.capability("VERSION") == Some("\"1.0\""), "{client:?}");
    for (user, password) in [(carol.address.as_str(), "wrong"), ("nobody@back.example", carol.password.as_str())] {
        let refused = client.command(&sieve::Client::plain(user, password))?;
        ensure!(refused.last.starts_with("NO \""), "{user}: {refused:?}");
    }
    // The client stays; what it says behind its login is the back-end's.
    client.send(&[&sieve::Client::plain(&carol.address, &carol.password), "LISTSCRIPTS", "HAVESPACE \"mine\" 100"])?;
    for command in ["AUTHENTICATE", "LISTSCRIPTS", "HAVESPACE"] {
        let answer = client.response()?;
        ensure!(answer.is_ok() && answer.lines.is_empty(), "{command}: {answer:?}");
    }
    let put = |name: &str, script: &str| format!("PUTSCRIPT \"{name}\" {{{}+}}\r\n{script}", script.len());
    let answer = client.command(&put("mine", SCRIPT))?;
    ensure!(answer.is_ok(), "{answer:?}");
    let answer = client.command(&put("broken", "this is no sieve\r\n"))?;
    ensure!(answer.last.starts_with("NO"), "{answer:?}");
    let answer = client.command("SETACTIVE \"mine\"")?;
    ensure!(answer.is_ok(), "{answer:?}");
    let answer = client.command("LISTSCRIPTS")?;
    ensure!(answer.is_ok() && answer.lines == [b"\"mine\" ACTIVE"], "{answer:?}");
    let answer = client.command("GETSCRIPT \"mine\"")?;
    ensure!(sieve::script(&answer)? == SCRIPT.as_bytes(), "{answer:?}");
    // Nobody sees another's, whoever logs in for them.
    let dora = Fronted::account("dora");
    let mut other = sieve::Client::connect(fronted.address("sieve"))?;
    other.log_in(&dora.address, &dora.password)?;
    let answer = other.command("LISTSCRIPTS")?;
    ensure!(answer.is_ok() && answer.lines.is_empty(), "{answer:?}");
    let who = fronted.must(&["who", "sieve"])?;
    ensure!(who.contains(&carol.address) && who.contains(&dora.address), "{who}");
    fronted.must(&["kick", &carol.address])?;
    let answer = client.response()?;
    ensure!(answer.last == "BYE \"An operator ends this session\"" && client.is_closed()?, "{answer:?}");
    let answer = other.command("LOGOUT")?;
    ensure!(answer.is_ok() && other.is_closed()?, "{answer:?}");
    Ok(())
}

fn loses_its_server(fronted: &mut Fronted) -> Result<()> {
    let carol = Fronted::account("carol");
    let mut open = sieve::Client::connect(fronted.address("sieve"))?;
    open.log_in(&carol.address, &carol.password)?;
    fronted.back_end().kill_children("managesieve")?;
    // The back-end says nothing: this is ours.
    let answer = open.response().context("a client whose back-end went hears so")?;
    ensure!(answer.last.starts_with("BYE (TRYLATER)") && open.is_closed()?, "{answer:?}");
    fronted.back_end().stop()?;
    let mut client = sieve::Client::connect(fronted.address("sieve"))?;
    let refused = client.command(&sieve::Client::plain(&carol.address, &carol.password))?;
    ensure!(refused.last.starts_with("NO (TRYLATER)"), "{refused:?}");
    fronted.back_end().start_again()?;
    let until = Instant::now() + BACK_MAX;
    while !client.command(&sieve::Client::plain(&carol.address, &carol.password))?.is_ok() {
        ensure!(Instant::now() < until, "it is back, and nobody is let in");
    }
    let answer = client.command("LISTSCRIPTS")?;
    ensure!(answer.is_ok(), "{answer:?}");
    Ok(())
}

/// With what must not be taken for an answer, nor for a command.
const SCRIPT: &str =
    "require \"fileinto\";\r\n# OK\r\nif header :contains \"subject\" \"LOGOUT\" {\r\n  fileinto \"spam\";\r\n}\r\n";

/// Dovecot's log comes by a process of its own.
const LOG_MAX: Duration = Duration::from_secs(20);
/// A proxy asks an address again a while after it did not answer.
const BACK_MAX: Duration = Duration::from_secs(60);
