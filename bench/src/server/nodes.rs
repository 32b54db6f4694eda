//! Posthouse with a relay and two stores: three nodes as in `examples/three-nodes`, or all in one process. What is not a folder,
//! a port or a limit of connections is the default.

use super::posthouse::{CONFIG, launch};
use super::process::{Process, Sign};
use super::records::Records;
use super::{DOMAIN, free_port, loopback};
use anyhow::{Context, Result};
use directory::{Host, NodeRecord, NodeRole, Protocol, StoreRecord};
use mail_types::{NodeName, StoreName};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// What runs: SMTP and IMAP are in front.
pub(super) struct Nodes {
    pub(super) processes: Vec<Process>,
    pub(super) smtp: SocketAddr,
    pub(super) imap: SocketAddr,
}

/// One process that is the relay, the proxy and both stores.
pub(super) async fn one_process(program: &Path, base: &Path, accounts: usize, stored: &str) -> Result<Nodes> {
    let (smtp, imap) = (loopback(free_port()?), loopback(free_port()?));
    let folder = base.join("all");
    let sections: String = STORES.map(|store| format!("[[store]]\nname = \"{store}\"\n")).concat();
    lay_out(&folder, "all", &format!("{}{sections}", front(&folder, smtp, imap)))?;
    let stores = STORES.map(|store| record(store, "all"));
    let stores: Vec<StoreRecord> = stores.into_iter().collect::<Result<_>>()?;
    drop(Records::make(&folder.join("data/directory"), &[], &stores, accounts, stored).await?);
    Ok(Nodes {
        processes: vec![start(program, &folder, &[(smtp, Sign::Greeting), (imap, Sign::Greeting)])?],
        smtp,
        imap,
    })
}

/// A relay and proxy, and two nodes with a store each, which share a secret and read the directory from a file.
pub(super) async fn three_nodes(program: &Path, base: &Path, accounts: usize, stored: &str) -> Result<Nodes> {
    fs::write(base.join("secret"), "forty letters and more for nodes to know").context("writing the secret")?;
    let (smtp, imap) = (loopback(free_port()?), loopback(free_port()?));
    let folder = base.join("front");
    let secret = base.join("secret");
    let cluster = format!("[cluster]\nsecret = \"{}\"\n", secret.display());
    lay_out(&folder, "front", &format!("{}{cluster}source = \"127.0.0.1\"\n", front(&folder, smtp, imap)))?;
    let (mut nodes, mut stores, mut listeners) = (Vec::new(), Vec::new(), Vec::new());
    for store in STORES {
        let (node, lmtp, imap) = (format!("n-{store}"), free_port()?, free_port()?);
        let file = base.join(FILE);
        let text = format!(
            "[directory]\nengine = \"file\"\npath = \"{}\"\n{cluster}from = [\"127.0.0.1\"]\n\
             lmtp = \"127.0.0.1:{lmtp}\"\nimap = \"127.0.0.1:{imap}\"\n[[store]]\nname = \"{store}\"\n",
            file.display()
        );
        lay_out(&base.join(&node), &node, &text)?;
        nodes.push(NodeRecord {
            name: NodeName::parse(&node)?,
            roles: [NodeRole::Store].into(),
            addresses: vec![Host::parse("127.0.0.1")?],
            ports: BTreeMap::from([(Protocol::Lmtp, lmtp), (Protocol::Imap, imap)]),
        });
        stores.push(record(store, &node)?);
        listeners.push((node, [lmtp, imap].map(|port| (loopback(port), Sign::Connection))));
    }
    let records = Records::make(&folder.join("data/directory"), &nodes, &stores, accounts, stored).await?;
    records.export(&base.join(FILE)).await?;
    // The node opens the directory now.
    drop(records);
    let mut processes = Vec::new();
    for (node, listeners) in listeners {
        processes.push(start(program, &base.join(node), &listeners)?);
    }
    processes.push(start(program, &folder, &[(smtp, Sign::Greeting), (imap, Sign::Greeting)])?);
    Ok(Nodes { processes, smtp, imap })
}

fn front(folder: &Path, smtp: SocketAddr, imap: SocketAddr) -> String {
    format!(
        "[directory]\ndefault_store = \"{}\"\n[relay]\nlisten = \"{smtp}\"\nqueue = \"{}\"\n[proxy]\nimap = \"{imap}\"\n",
        STORES[0],
        folder.join("queue").display()
    )
}

fn lay_out(folder: &Path, name: &str, sections: &str) -> Result<()> {
    fs::create_dir_all(folder).context("making the folder of a node")?;
    let text = format!(
        "[node]\nname = \"{name}\"\nhostname = \"{name}.{DOMAIN}\"\ndata = \"{}\"\nstop_seconds = 5\n\
         [limits]\nconnections = 10000\nconnections_per_address = 10000\n{sections}",
        folder.join("data").display()
    );
    fs::write(folder.join(CONFIG), text).context("writing a node's configuration")
}

fn start(program: &Path, folder: &Path, listeners: &[(SocketAddr, Sign)]) -> Result<Process> {
    let mut process = launch(program, folder)?;
    listeners.iter().try_for_each(|(address, sign)| process.wait_for(*address, *sign))?;
    Ok(process)
}

fn record(store: &str, node: &str) -> Result<StoreRecord> {
    Ok(StoreRecord::posthouse(StoreName::parse(store)?, NodeName::parse(node)?))
}

const STORES: [&str; 2] = ["one", "two"];
const FILE: &str = "directory.posthouse";
