//! What the trials share: one site, its accounts one borrower at a time, and the programs.
//!
//! There are two such worlds, one around a site of a single process, one around a site of several nodes, whose clients
//! come through the proxy. Most trials do not mind in which they are.

use anyhow::{Context, Result, bail, ensure};
use e2e::cluster::Cluster;
use e2e::imap;
use e2e::programs::{Program, output};
use e2e::site::{Account, Site};
use libtest_mimic::{Completion, Trial};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use tempfile::TempDir;

/// Lives as long as the trials.
pub(crate) struct World {
    kind: Kind,
    /// Started by the first trial that asks.
    shared: OnceLock<Result<Shared, String>>,
    /// Logs stay here when something failed.
    logs: TempDir,
}

/// What the site of a world is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One process: `posthouse quickstart`.
    One,
    /// A front and two store nodes.
    Nodes,
}

enum Place {
    One(Site),
    Nodes(Cluster),
}

struct Shared {
    place: Place,
    borrowed: Mutex<BTreeSet<String>>,
    returned: Condvar,
    _folder: TempDir,
}

/// An account that nobody else uses, empty at first.
pub(crate) struct Lease<'a> {
    account: Account,
    shared: &'a Shared,
}

impl World {
    pub(crate) fn new(kind: Kind) -> Result<Arc<Self>> {
        let logs = tempfile::Builder::new().prefix("posthouse-e2e").tempdir()?;
        Ok(Arc::new(Self { kind, shared: OnceLock::new(), logs }))
    }

    /// The one process that trials share. Who stops, kills or fills a site starts his own.
    pub(crate) fn site(&self) -> Result<&Site> {
        match &self.shared()?.place {
            Place::One(site) => Ok(site),
            Place::Nodes(_) => bail!("this trial is not for a site of several nodes"),
        }
    }

    /// The shared site's listener of a name.
    pub(crate) fn address(&self, name: &str) -> Result<SocketAddr> {
        self.shared()?.place.address(name)
    }

    /// The shared site's mail domain.
    pub(crate) fn domain(&self) -> Result<&str> {
        Ok(self.shared()?.place.domain())
    }

    /// Everybody on the shared site.
    pub(crate) fn accounts(&self) -> Result<&[Account]> {
        Ok(self.shared()?.place.accounts())
    }

    /// An account of a store, for as long as the lease lives.
    pub(crate) fn borrow(&self, store: &str) -> Result<Lease<'_>> {
        let shared = self.shared()?;
        let accounts = shared.place.accounts().iter();
        let of_store: Vec<Account> = accounts.filter(|account| account.store == store).cloned().collect();
        ensure!(!of_store.is_empty(), "nobody lives on {store}");
        let account = shared.take(&of_store);
        let lease = Lease { account, shared };
        lease.clear()?;
        Ok(lease)
    }

    /// One account of each store. All trials take them in this order, so that none waits for another in a circle.
    pub(crate) fn borrow_from_each(&self) -> Result<Vec<Lease<'_>>> {
        let stores: BTreeSet<String> = self.accounts()?.iter().map(|account| account.store.clone()).collect();
        ensure!(stores.len() >= 2, "a site of one store: {stores:?}");
        stores.iter().map(|store| self.borrow(store)).collect()
    }

    /// Where a site's log goes.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs.path().join(format!("{name}.log"))
    }

    /// A folder of a trial's own for files that programs read; it is gone after the run.
    pub(crate) fn scratch(&self) -> Result<PathBuf> {
        Ok(tempfile::Builder::new().prefix("scratch").tempdir_in(self.logs.path())?.keep())
    }

    fn shared(&self) -> Result<&Shared> {
        let shared = self.shared.get_or_init(|| self.start().map_err(|error| format!("{error:#}")));
        shared.as_ref().map_err(|error| anyhow::anyhow!("the shared site did not start: {error}"))
    }

    fn start(&self) -> Result<Shared> {
        let folder = tempfile::tempdir()?;
        let place = match self.kind {
            Kind::One => Place::One(Site::start(&folder.path().join("site"), &self.log("shared"))?),
            Kind::Nodes => Place::Nodes(Cluster::start_with_tls(folder.path())?),
        };
        Ok(Shared { place, borrowed: Mutex::default(), returned: Condvar::new(), _folder: folder })
    }

    /// Ends it all; the faults that no single trial would see.
    pub(crate) fn close(self: Arc<Self>, is_failed: bool) -> Vec<String> {
        let Ok(mut world) = Arc::try_unwrap(self).map_err(|_| ()) else { return vec!["a trial is still there".into()] };
        let mut faults = Vec::new();
        if let Some(Ok(shared)) = world.shared.get_mut()
            && let Err(error) = shared.place.stop(world.logs.path())
        {
            faults.push(format!("the shared site: {error:#}"));
        }
        faults.extend(panics(world.logs.path()).unwrap_or_else(|error| vec![format!("the logs: {error:#}")]));
        if is_failed || !faults.is_empty() {
            eprintln!("logs are kept in {}", world.logs.keep().display());
        }
        faults
    }
}

/// A panic in a task may go unseen by clients; it is in the log.
fn panics(logs: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in logs.read_dir()? {
        let path = entry?.path();
        if path.is_dir() {
            continue;
        }
        let log = std::fs::read(path)?;
        let log = String::from_utf8_lossy(&log);
        found.extend(log.lines().filter(|line| line.contains("panicked at")).map(|line| format!("a panic: {line}")));
    }
    Ok(found)
}

impl Place {
    fn address(&self, name: &str) -> Result<SocketAddr> {
        match self {
            Self::One(site) => site.address(name),
            Self::Nodes(cluster) => cluster.address(name),
        }
    }

    fn domain(&self) -> &str {
        match self {
            Self::One(site) => &site.description().domain,
            Self::Nodes(cluster) => cluster.domain(),
        }
    }

    fn accounts(&self) -> &[Account] {
        match self {
            Self::One(site) => &site.description().accounts,
            Self::Nodes(cluster) => cluster.accounts(),
        }
    }

    /// How much everybody may hold, where that has an end.
    fn quota_octets(&self) -> Option<u64> {
        match self {
            Self::One(_) => None,
            Self::Nodes(cluster) => Some(cluster.quota_octets()),
        }
    }

    fn log_tail(&self) -> String {
        match self {
            Self::One(site) => site.log_tail(),
            Self::Nodes(cluster) => cluster.log_tail(),
        }
    }

    /// Ends it; the logs of nodes, which lie in their folder, go where the others are.
    fn stop(&mut self, logs: &Path) -> Result<()> {
        match self {
            Self::One(site) => site.stop(),
            Self::Nodes(cluster) => {
                let stopped = cluster.stop();
                for log in cluster.logs() {
                    std::fs::copy(&log, logs.join(log.file_name().context("a log without a name")?))?;
                }
                stopped
            }
        }
    }
}

impl Shared {
    fn take(&self, wanted: &[Account]) -> Account {
        let free =
            |borrowed: &BTreeSet<String>| wanted.iter().find(|account| !borrowed.contains(&account.address)).cloned();
        let mut borrowed = self.borrowed.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(account) = free(&borrowed) {
                borrowed.insert(account.address.clone());
                return account;
            }
            borrowed = self.returned.wait(borrowed).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.shared.borrowed.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.account.address);
        self.shared.returned.notify_all();
    }
}

impl Lease<'_> {
    pub(crate) fn address(&self) -> &str {
        &self.account.address
    }

    pub(crate) fn password(&self) -> &str {
        &self.account.password
    }

    pub(crate) fn store(&self) -> &str {
        &self.account.store
    }

    /// A session over TLS.
    pub(crate) fn log_in(&self) -> Result<imap::Client> {
        let mut client = imap::Client::connect_tls(self.shared.place.address("imaps")?)?;
        client.login(self.address(), self.password())?;
        Ok(client)
    }

    fn clear(&self) -> Result<()> {
        self.log_in()?.clear().with_context(|| format!("cannot empty {}", self.address()))
    }

    /// Runs one of our scripts on this account; `more` is merged into what it is told.
    pub(crate) fn run_script(&self, name: &str, more: serde_json::Value) -> Result<()> {
        let mut python = Program::Python.command();
        // -B: leaves no __pycache__ beside the sources.
        python.arg("-B");
        self.run_script_by(python, name, more)
    }

    /// The same with an interpreter.
    pub(crate) fn run_script_by(&self, mut by: Command, name: &str, more: serde_json::Value) -> Result<()> {
        let place = &self.shared.place;
        let account = json!({ "address": self.address(), "password": self.password(), "store": self.store() });
        let mut told = json!({ "domain": place.domain(), "account": account, "quota": place.quota_octets() });
        for listener in ["smtp", "lmtp", "imap", "imaps", "pop3", "pop3s"] {
            merge(&mut told, json!({ listener: place.address(listener)?.port() }));
        }
        merge(&mut told, more);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name);
        output(by.arg(&script).arg(told.to_string())).map(drop)
    }
}

fn merge(into: &mut serde_json::Value, more: serde_json::Value) {
    if let (Some(into), serde_json::Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}

/// A trial that is skipped by name where a program cannot be had.
pub(crate) fn trial(world: &Arc<World>, name: &str, needs: &'static [Program], run: fn(&World) -> Result<()>) -> Trial {
    trial_unless(world, name, move || needs.iter().find_map(|program| program.obstacle()), run)
}

/// A trial that is skipped by name where something stands in its way.
pub(crate) fn trial_unless(
    world: &Arc<World>,
    name: &str,
    obstacle: impl FnOnce() -> Option<String> + Send + 'static,
    run: fn(&World) -> Result<()>,
) -> Trial {
    trial_of(world, name, obstacle, run)
}

/// The same, for one of many trials that are made alike.
pub(crate) fn trial_of(
    world: &Arc<World>,
    name: &str,
    obstacle: impl FnOnce() -> Option<String> + Send + 'static,
    run: impl FnOnce(&World) -> Result<()> + Send + 'static,
) -> Trial {
    let world = Arc::clone(world);
    let name = match world.kind {
        Kind::One => name.to_owned(),
        Kind::Nodes => format!("through_the_proxy::{name}"),
    };
    Trial::ignorable_test(name, move || {
        let of_world = || if world.kind == Kind::Nodes { Program::Openssl.obstacle() } else { None };
        if let Some(obstacle) = of_world().or_else(obstacle) {
            return Ok(Completion::ignored_with(obstacle));
        }
        run(&world).map_err(|error| report(&world, &error))?;
        Ok(Completion::Completed)
    })
}

fn report(world: &World, error: &anyhow::Error) -> libtest_mimic::Failed {
    let log = match world.shared.get() {
        Some(Ok(shared)) => shared.place.log_tail(),
        Some(Err(_)) | None => String::new(),
    };
    format!("{error:#}\n{log}").into()
}
