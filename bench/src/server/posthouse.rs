//! Posthouse: one node with one store and a proxy. What is not a folder, a port or a limit of connections is the default,
//! the log line for every message included; Dovecot writes one too.

use super::{DOMAIN, Kind, user};
use crate::args::Args;
use crate::message::Chance;
use anyhow::{Context, Result, bail};
use directory::engine::{Commit, Engine, Transaction};
use directory::{AccountRecord, DomainRecord, PasswordHash, Record, SecretRecord, SiteRecord, StoreRecord};
use kv::EmbeddedEngine;
use mail_types::{AccountId, Address, Domain, NodeName, StoreName};
use std::fs::{self, File};
use std::path::Path;
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

pub(super) async fn start(
    program: &Path,
    folder: &Path,
    ports: [u16; 3],
    accounts: usize,
    stored: &str,
) -> Result<Child> {
    let config = folder.join("posthouse.toml");
    fs::write(&config, configuration(folder, ports)).context("writing Posthouse's configuration")?;
    fill_directory(&folder.join("data/directory"), accounts, stored).await.context("filling the directory")?;
    let log = File::create(folder.join("log")).context("making Posthouse's log")?;
    Command::new(program)
        .args(["serve", "--config"])
        .arg(&config)
        .stdout(log.try_clone().context("sharing Posthouse's log")?)
        .stderr(log)
        .spawn()
        .context("starting posthouse")
}

/// Writes the records before the server starts: how quickly accounts are made is not what is measured.
async fn fill_directory(folder: &Path, accounts: usize, stored: &str) -> Result<()> {
    fs::create_dir_all(folder).context("making the directory's folder")?;
    let engine = EmbeddedEngine::open(&folder.join("directory.redb"))?;
    let store = StoreName::parse(STORE)?;
    let site = SiteRecord { default_store: Some(store.clone()), ..SiteRecord::default() };
    let store = StoreRecord::posthouse(store, NodeName::parse(NODE)?);
    let domain = DomainRecord::new(Domain::parse(DOMAIN)?);
    let first = put(put(put(Transaction::default(), &site), &store), &domain);
    commit(&engine, first).await?;
    let mut chance = Chance::new(3);
    for from in (0..accounts).step_by(ACCOUNTS_AT_ONCE) {
        let mut batch = Transaction::default();
        for number in from..accounts.min(from + ACCOUNTS_AT_ONCE) {
            let address = Address::parse(&user(number))?;
            let id = u128::from(chance.next()) << 64 | u128::from(chance.next());
            let passwords = vec![PasswordHash::parse(stored)?];
            batch = put(batch, &AccountRecord::new(address.clone(), AccountId::from_bytes(id.to_be_bytes())));
            batch = put(batch, &SecretRecord { address, passwords });
        }
        commit(&engine, batch).await?;
    }
    Ok(())
}

fn put(transaction: Transaction, record: &impl Record) -> Transaction {
    transaction.put(record.key(), record.encode())
}

async fn commit(engine: &EmbeddedEngine, transaction: Transaction) -> Result<()> {
    match engine.commit(transaction).await? {
        Commit::Done(_) => Ok(()),
        Commit::Conflict { key } => bail!("{key} was there already"),
    }
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

const NODE: &str = "bench";
const STORE: &str = "one";
/// Two records each, in a transaction of at most 128.
const ACCOUNTS_AT_ONCE: usize = 64;
