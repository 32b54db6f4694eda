//! curl, which has a client of its own for each protocol.

use crate::world::{Lease, World, trial};
use anyhow::{Context, Result, ensure};
use e2e::letter::Letter;
use e2e::programs::{Program, output};
use libtest_mimic::Trial;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    const CURL: &[Program] = &[Program::Curl];
    vec![
        trial(world, "curl_smtp", CURL, |world| sends(world, &[])),
        trial(world, "curl_smtp_starttls", CURL, |world| sends(world, &["--ssl-reqd"])),
        trial(world, "curl_imap", CURL, |world| reads_imap(world, "imap", &[])),
        trial(world, "curl_imap_starttls", CURL, |world| reads_imap(world, "imap", &["--ssl-reqd"])),
        trial(world, "curl_imaps", CURL, |world| reads_imap(world, "imaps", &[])),
        trial(world, "curl_pop3", CURL, |world| reads_pop3(world, "pop3", &[])),
        trial(world, "curl_pop3_stls", CURL, |world| reads_pop3(world, "pop3", &["--ssl-reqd"])),
        trial(world, "curl_pop3s", CURL, |world| reads_pop3(world, "pop3s", &[])),
        trial(world, "curl_wrong_password", CURL, wrong_password),
    ]
}

fn sends(world: &World, options: &[&str]) -> Result<()> {
    for lease in world.borrow_from_each()? {
        let letter = Letter::new("curl-smtp@e2e.example", 3_000);
        let from_to = ["--mail-from", "sender@far.example", "--mail-rcpt", lease.address()];
        let file = upload(world, &letter)?;
        output(curl(world, "smtp", "")?.args(options).args(from_to).args(["-T", &file]))?;
        let mut client = lease.log_in()?;
        client.select("INBOX")?;
        is_one_whole(&client.fetch_all()?.into_iter().map(|message| message.body).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// LIST, APPEND, SEARCH and FETCH.
fn reads_imap(world: &World, listener: &str, options: &[&str]) -> Result<()> {
    for lease in world.borrow_from_each()? {
        let ask = |path: &str, more: &[&str]| -> Result<Vec<u8>> {
            output(curl(world, listener, path)?.args(options).args(["--user", &user(&lease)]).args(more))
        };
        let letter = Letter::new("curl-imap@e2e.example", 3_000);
        ask("INBOX", &["-T", &upload(world, &letter)?])?;
        let listed = ask("", &[])?;
        ensure!(String::from_utf8_lossy(&listed).contains("INBOX"), "{}", String::from_utf8_lossy(&listed));
        let found = ask("INBOX", &["-X", "SEARCH SUBJECT curl-imap"])?;
        ensure!(String::from_utf8_lossy(&found).trim() == "* SEARCH 1", "{}", String::from_utf8_lossy(&found));
        let message = ask("INBOX;MAILINDEX=1", &[])?;
        is_one_whole(&[message])?;
        let header = ask("INBOX;MAILINDEX=1;SECTION=HEADER.FIELDS%20(SUBJECT)", &[])?;
        ensure!(header.starts_with(b"Subject: curl-imap@"), "{}", String::from_utf8_lossy(&header));
    }
    Ok(())
}

/// LIST, RETR and DELE.
fn reads_pop3(world: &World, listener: &str, options: &[&str]) -> Result<()> {
    for lease in world.borrow_from_each()? {
        let ask = |path: &str, more: &[&str]| -> Result<Vec<u8>> {
            output(curl(world, listener, path)?.args(options).args(["--user", &user(&lease)]).args(more))
        };
        let letter = Letter::new("curl-pop3@e2e.example", 3_000);
        lease.log_in()?.append("INBOX", "", &letter.bytes)?;
        let listed = ask("", &[])?;
        ensure!(listed.starts_with(b"1 "), "{}", String::from_utf8_lossy(&listed));
        is_one_whole(&[ask("1", &[])?])?;
        ask("1", &["-X", "DELE", "--list-only"])?;
        // curl does not wait for the answer to its QUIT, so the deletion may come a moment after its end.
        let until = Instant::now() + QUIT_MAX;
        while !ask("", &[])?.trim_ascii().is_empty() {
            ensure!(Instant::now() < until, "DELE left the message");
        }
    }
    Ok(())
}

fn wrong_password(world: &World) -> Result<()> {
    let leases = world.borrow_from_each()?;
    let lease = leases.first().context("a site without stores")?;
    for listener in ["imaps", "pop3s"] {
        let refused = curl(world, listener, "")?.args(["--user", &format!("{}:wrong", lease.address())]).output()?;
        // curl: 67 says that the login was refused.
        ensure!(refused.status.code() == Some(67), "{listener}: curl ended with {}", refused.status);
    }
    Ok(())
}

fn curl(world: &World, listener: &str, path: &str) -> Result<Command> {
    let address = world.address(listener)?;
    let mut command = Program::Curl.command();
    let url = format!("{listener}://{address}/{path}");
    command.args(["--silent", "--show-error", "--insecure", "--max-time", "60", &url]);
    Ok(command)
}

fn user(lease: &Lease<'_>) -> String {
    format!("{}:{}", lease.address(), lease.password())
}

fn upload(world: &World, letter: &Letter) -> Result<String> {
    let file = world.scratch()?.join(&letter.id);
    std::fs::write(&file, &letter.bytes)?;
    Ok(file.display().to_string())
}

fn is_one_whole(messages: &[Vec<u8>]) -> Result<()> {
    let [message] = messages else { anyhow::bail!("{} messages", messages.len()) };
    match Letter::fault_in(message) {
        None => Ok(()),
        Some(fault) => anyhow::bail!("{fault}"),
    }
}

const QUIT_MAX: Duration = Duration::from_secs(10);
