//! Posthouse: one node with one store and a proxy. What is not a folder, a port or a limit of connections is the default,
//! the log line for every message included; Dovecot writes one too.

use super::process::Process;
use super::records::Records;
use super::{DOMAIN, Kind};
use crate::args::Args;
use anyhow::{Context, Result, bail};
use directory::StoreRecord;
use mail_types::{NodeName, StoreName};
use std::fs;
use std::path::Path;
use std::process::Command;

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

/// Lays it out in a folder.
pub(super) async fn prepare(folder: &Path, ports: [u16; 3], accounts: usize, stored: &str) -> Result<()> {
    fs::write(folder.join(CONFIG), configuration(folder, ports)).context("writing Posthouse's configuration")?;
    let store = StoreRecord::posthouse(StoreName::parse(STORE)?, NodeName::parse(NODE)?);
    Records::make(&folder.join("data/directory"), &[], &[store], accounts, stored)
        .await
        .context("filling the directory")?;
    Ok(())
}

/// Adds to its configuration.
pub(super) fn configure(folder: &Path, more: &str) -> Result<()> {
    let path = folder.join(CONFIG);
    let text = fs::read_to_string(&path).context("reading Posthouse's configuration")?;
    fs::write(path, text + more).context("writing Posthouse's configuration")
}

/// Starts what is laid out there.
pub(super) fn launch(program: &Path, folder: &Path) -> Result<Process> {
    let mut command = Command::new(program);
    command.args(["serve", "--config"]).arg(folder.join(CONFIG));
    Process::spawn("Posthouse", &mut command, &folder.join("log"))
}

fn configuration(folder: &Path, [lmtp, imap, pop3]: [u16; 3]) -> String {
    let data = folder.join("data");
    format!(
        "[node]\nname = \"{NODE}\"\nhostname = \"mx.{DOMAIN}\"\ndata = \"{}\"\nstop_seconds = 5\n\n\
         [directory]\ndefault_store = \"{STORE}\"\n\n\
         [[store]]\nname = \"{STORE}\"\nlmtp = \"127.0.0.1:{lmtp}\"\n\n\
         [proxy]\nimap = \"127.0.0.1:{imap}\"\npop3 = \"127.0.0.1:{pop3}\"\n\n\
         [limits]\nconnections = 10000\nconnections_per_address = 10000\n",
        data.display()
    )
}

pub(super) const CONFIG: &str = "posthouse.toml";
const NODE: &str = "bench";
const STORE: &str = "one";
