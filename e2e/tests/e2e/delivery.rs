//! swaks sends; what arrives is read back octet for octet by imaplib and poplib.

use crate::world::{Lease, World, trial};
use anyhow::{Context, Result, ensure};
use e2e::letter::Letter;
use e2e::programs::{Program, output};
use libtest_mimic::Trial;
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    const BOTH: &[Program] = &[Program::Swaks, Program::Python];
    vec![
        trial(world, "swaks_to_both_stores", BOTH, |world| arrives(world, &[], 2_000)),
        trial(world, "swaks_starttls", BOTH, |world| arrives(world, &["-tls"], 2_000)),
        trial(world, "swaks_pipelined", BOTH, |world| arrives(world, &["--pipeline"], 2_000)),
        trial(world, "swaks_large", BOTH, |world| arrives(world, &["--suppress-data"], 10 << 20)),
        trial(world, "swaks_unknown_user", &[Program::Swaks], |world| {
            let domain = world.domain()?;
            is_refused(world, &format!("nobody@{domain}"), "550 5.1.1")
        }),
        trial(world, "swaks_foreign_domain", &[Program::Swaks], |world| {
            is_refused(world, "somebody@elsewhere.example", "550 5.7.1")
        }),
        trial(world, "swaks_one_of_two_recipients", BOTH, one_of_two),
    ]
}

/// One message to an account of each store, in one transaction. The text has octets above 127 and lines with dots.
fn arrives(world: &World, options: &[&str], octets: usize) -> Result<()> {
    let leases = world.borrow_from_each()?;
    let letter = Letter::new(&format!("swaks-{octets}-{}@e2e.example", options.join("")), octets);
    let to: Vec<&str> = leases.iter().map(Lease::address).collect();
    output(swaks(world)?.args(["--to", &to.join(",")]).args(options).args(data(&letter, world)?))?;
    read_back(&leases, &[letter])
}

fn one_of_two(world: &World) -> Result<()> {
    let leases = world.borrow_from_each()?;
    let lease = leases.first().context("a site without stores")?;
    let letter = Letter::new("one-of-two@e2e.example", 500);
    let to = format!("nobody@{},{}", world.domain()?, lease.address());
    output(swaks(world)?.args(["--to", &to]).args(data(&letter, world)?))?;
    read_back(std::slice::from_ref(lease), &[letter])
}

fn is_refused(world: &World, to: &str, with: &str) -> Result<()> {
    let refused = swaks(world)?.args(["--to", to]).output()?;
    let dialogue = String::from_utf8_lossy(&refused.stdout);
    // swaks: 24 says that no recipient was accepted.
    ensure!(refused.status.code() == Some(24), "swaks ended with {}\n{dialogue}", refused.status);
    ensure!(dialogue.contains(&format!("<** {with}")), "no {with} in\n{dialogue}");
    Ok(())
}

fn swaks(world: &World) -> Result<Command> {
    let smtp = world.address("smtp")?;
    let mut command = Program::Swaks.command();
    let (host, port) = (smtp.ip().to_string(), smtp.port().to_string());
    command.args(["--server", &host, "--port", &port, "--from", "sender@far.example", "--timeout", "60"]);
    Ok(command)
}

/// swaks puts a line end behind the data, so the last one of ours stays away.
fn data(letter: &Letter, world: &World) -> Result<[String; 2]> {
    let file = world.scratch()?.join(&letter.id);
    std::fs::write(&file, letter.bytes.strip_suffix(b"\r\n").unwrap_or(&letter.bytes))?;
    Ok(["--data".to_owned(), format!("@{}", file.display())])
}

/// The accounts have these messages and no others.
fn read_back(leases: &[Lease<'_>], letters: &[Letter]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    for letter in letters {
        std::fs::write(Path::new(folder.path()).join(&letter.id), &letter.bytes)?;
    }
    for lease in leases {
        lease.run_script("readback.py", json!({ "messages": folder.path() }))?;
    }
    Ok(())
}
