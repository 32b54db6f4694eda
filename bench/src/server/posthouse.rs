//! Posthouse: one node with one store and a proxy. What is not a folder, a port or a limit of connections is the default,
//! the log line for every message included; Dovecot writes one too.

use super::{DOMAIN, Kind, WhenReady, passwd_file, run};
use crate::args::Args;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// The program of this tree, built the way this one was, unless another is named.
pub(super) fn find(args: &Args) -> Result<Kind> {
    if let Some(program) = &args.posthouse {
        return Ok(Kind::Posthouse(program.clone()));
    }
    let own = std::env::current_exe().context("looking for the program")?;
    let program = own.parent().context("a program is in a folder")?.join("posthouse");
    // `cargo run` says where cargo is.
    if let Some(cargo) = std::env::var_os("CARGO") {
        let release: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let status =
            Command::new(cargo).current_dir(root).args(["build", "-q", "-p", "posthouse"]).args(release).status();
        if !status.context("building posthouse")?.success() {
            bail!("posthouse does not build");
        }
    }
    if !program.exists() {
        bail!("{} is not there: cargo build --release", program.display());
    }
    if cfg!(debug_assertions) {
        eprintln!("this is the unoptimised program: its figures say nothing");
    }
    Ok(Kind::Posthouse(program))
}

pub(super) fn start(
    program: &Path,
    folder: &Path,
    [lmtp, imap]: [u16; 2],
    accounts: usize,
) -> Result<(Child, WhenReady)> {
    let config = folder.join("posthouse.toml");
    fs::write(&config, configuration(folder, lmtp, imap)).context("writing Posthouse's configuration")?;
    let users = folder.join("users");
    fs::write(&users, passwd_file(accounts, |_| "::::".to_owned())).context("writing the accounts")?;
    let log = File::create(folder.join("log")).context("making Posthouse's log")?;
    let child = Command::new(program)
        .args(["serve", "--config"])
        .arg(&config)
        .stdout(log.try_clone().context("sharing Posthouse's log")?)
        .stderr(log)
        .spawn()
        .context("starting posthouse")?;
    let program = program.to_owned();
    Ok((child, Box::new(move || make_accounts(&program, &config, &users))))
}

/// As an operator would: the domain, then everybody from the file that Dovecot reads.
fn make_accounts(program: &PathBuf, config: &Path, users: &Path) -> Result<()> {
    run(Command::new(program).args(["domain", "add", DOMAIN, "--config"]).arg(config))?;
    run(Command::new(program).args(["import", "passwd-file"]).arg(users).arg("--config").arg(config))
}

fn configuration(folder: &Path, lmtp: u16, imap: u16) -> String {
    let data = folder.join("data");
    format!(
        "[node]\nname = \"bench\"\nhostname = \"mx.{DOMAIN}\"\ndata = \"{}\"\nstop_seconds = 5\n\n\
         [directory]\ndefault_store = \"one\"\n\n\
         [[store]]\nname = \"one\"\nlmtp = \"127.0.0.1:{lmtp}\"\n\n\
         [proxy]\nimap = \"127.0.0.1:{imap}\"\n\n\
         [limits]\nconnections = 10000\nconnections_per_address = 10000\n",
        data.display()
    )
}
