//! `examples/three-nodes` as it stands: on machines with cables between them where root can make such, else on loopback.

use crate::world::{World, trial, trial_unless};
use anyhow::{Context, Result, ensure};
use e2e::daemon::Daemon;
use e2e::imap;
use e2e::letter::{Letter, id_of};
use e2e::namespaces::Namespaces;
use e2e::ports::Block;
use e2e::programs::output;
use e2e::site::binary;
use e2e::smtp::{self, Kind};
use libtest_mimic::Trial;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        trial_unless(world, "three_nodes_with_cables", Namespaces::obstacle, |_| with_cables()),
        trial(world, "three_nodes_on_loopback", &[], |_| on_loopback()),
    ]
}

/// A cable is pulled while everything runs, and put back: the store behind it is away, its mail waits.
fn with_cables() -> Result<()> {
    let net = Namespaces::create("ph", &["client", "front", "ingrid", "fritz"])?;
    net.connect(("client", "world", "192.0.2.9/24"), ("front", "world", "192.0.2.1/24"))?;
    net.configure("front", &["link", "add", "inside", "type", "bridge"])?;
    net.configure("front", &["address", "add", "10.77.0.1/24", "dev", "inside"])?;
    net.configure("front", &["link", "set", "inside", "up"])?;
    for (store, address) in [("ingrid", "10.77.0.2/24"), ("fritz", "10.77.0.3/24")] {
        net.cable((store, "inside"), ("front", store))?;
        net.configure(store, &["address", "add", address, "dev", "inside"])?;
        net.configure("front", &["link", "set", store, "master", "inside"])?;
    }
    let folder = tempfile::Builder::new().prefix("posthouse-example").tempdir()?;
    lay_out(folder.path(), |text| text.replace("[proxy]", "[proxy]\nclear_from = \"192.0.2.9\""))?;
    let daemon = |name: &str| node(folder.path(), name).within(net.full(name));
    let mut nodes = Nodes { front: daemon("front"), ingrid: daemon("ingrid"), fritz: daemon("fritz") };
    let run = |work: &mut (dyn FnMut() -> Result<()> + Send)| net.run_in("client", work);
    let doors = Doors { smtp: "192.0.2.1:25".parse()?, imap: "192.0.2.1:143".parse()? };
    let trial = || -> Result<()> {
        nodes.front.start(|| net.run_in("client", || answers(doors.imap)))?;
        fill(folder.path())?;
        for (node, name) in [(&mut nodes.ingrid, "ingrid"), (&mut nodes.fritz, "fritz")] {
            node.start(|| net.run_in(name, || answers(inside(name)?)))?;
        }
        run(&mut || serves_both(doors))?;
        net.configure("front", &["link", "set", "fritz", "down"])?;
        run(&mut || goes_on_without_fritz(doors))?;
        net.configure("front", &["link", "set", "fritz", "up"])?;
        run(&mut || send(doors, &["york"], "third"))?;
        retry(folder.path())?;
        run(&mut || has(doors, "york", &["first", "second", "third"]))
    };
    let mut trial = trial;
    let ended = trial();
    ended.map_err(|error| error.context(nodes.log_tail()))
}

/// The same without cables: the store dies instead.
fn on_loopback() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("posthouse-example").tempdir()?;
    let block = Block::take()?;
    let doors = Doors { smtp: block.loopback(25), imap: block.loopback(143) };
    let port = |offset: u16| block.loopback(offset).port().to_string();
    let changes = [
        ("192.0.2.1:25", doors.smtp.to_string()),
        ("192.0.2.1:143", doors.imap.to_string()),
        ("192.0.2.1:110", block.loopback(110).to_string()),
        ("10.77.0.2:2424", block.loopback(1).to_string()),
        ("10.77.0.2:2143", block.loopback(2).to_string()),
        ("10.77.0.2:2110", block.loopback(3).to_string()),
        ("10.77.0.3:2424", block.loopback(4).to_string()),
        ("10.77.0.3:2143", block.loopback(5).to_string()),
        ("10.77.0.3:2110", block.loopback(6).to_string()),
        ("10.77.0.1", "127.0.0.1".to_owned()),
        // What directory.sh says is the same for both stores: which ports, it takes from the environment of the loop.
        (
            "for store in ingrid:10.77.0.2 fritz:10.77.0.3; do",
            format!(
                "set_ports() {{ lmtp=$1 imap=$2 pop3=$3; }}\nfor store in ingrid:127.0.0.1 fritz:127.0.0.1; do\n\
             case $store in ingrid*) set_ports {} {} {} ;; *) set_ports {} {} {} ;; esac",
                port(1),
                port(2),
                port(3),
                port(4),
                port(5),
                port(6)
            ),
        ),
        ("lmtp=2424", "lmtp=$lmtp".to_owned()),
        ("imap=2143", "imap=$imap".to_owned()),
        ("pop3=2110", "pop3=$pop3".to_owned()),
    ];
    lay_out(folder.path(), |text| changes.iter().fold(text, |text, (from, to)| text.replace(from, to)))?;
    let daemon = |name: &str| node(folder.path(), name);
    let mut nodes = Nodes { front: daemon("front"), ingrid: daemon("ingrid"), fritz: daemon("fritz") };
    let mut trial = || -> Result<()> {
        nodes.front.start(|| answers(doors.imap))?;
        fill(folder.path())?;
        nodes.ingrid.start(|| answers(block.loopback(2)))?;
        nodes.fritz.start(|| answers(block.loopback(5)))?;
        serves_both(doors)?;
        nodes.fritz.kill()?;
        goes_on_without_fritz(doors)?;
        nodes.fritz.start(|| answers(block.loopback(5)))?;
        // Whether the store is called for it at once, or it joins the others in the queue.
        send(doors, &["york"], "third")?;
        retry(folder.path())?;
        has(doors, "york", &["first", "second", "third"])
    };
    let ended = trial();
    ended.map_err(|error| error.context(nodes.log_tail()))
}

struct Nodes {
    front: Daemon,
    ingrid: Daemon,
    fritz: Daemon,
}

impl Nodes {
    fn log_tail(&self) -> String {
        [&self.front, &self.ingrid, &self.fritz].map(Daemon::log_tail).join("\n")
    }
}

#[derive(Clone, Copy)]
struct Doors {
    smtp: SocketAddr,
    imap: SocketAddr,
}

/// The example's files, changed as a machine wants them, and a secret.
fn lay_out(folder: &Path, change: impl Fn(String) -> String) -> Result<()> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/three-nodes");
    for name in ["front.toml", "ingrid.toml", "fritz.toml", "directory.sh"] {
        let text = std::fs::read_to_string(example.join(name)).with_context(|| format!("cannot read {name}"))?;
        std::fs::write(folder.join(name), change(text))?;
    }
    std::fs::write(folder.join("secret"), "what the three nodes of the example know")?;
    Ok(())
}

fn node(folder: &Path, name: &str) -> Daemon {
    let file = folder.join(format!("{name}.toml"));
    Daemon::new(vec!["serve".into(), "--config".into(), file.into()], &folder.join(format!("{name}.log")))
}

/// directory.sh, and the file that the stores read.
fn fill(folder: &Path) -> Result<()> {
    let mut script = Command::new("sh");
    script.env("POSTHOUSE", binary()?).arg("directory.sh").arg("front.toml").current_dir(folder);
    output(&mut script)?;
    command(folder, &["export", "directory", "directory.posthouse"])
}

/// Until nothing waits: the front leaves a node alone for a second that did not answer.
fn retry(folder: &Path) -> Result<()> {
    let until = Instant::now() + ARRIVAL_MAX;
    loop {
        let mut list = Command::new(binary()?);
        list.current_dir(folder).args(["queue", "list", "--json", "--config", "front.toml"]);
        let waiting = String::from_utf8(output(&mut list)?)?;
        if waiting.trim().is_empty() || waiting.trim() == "[]" {
            return Ok(());
        }
        ensure!(Instant::now() < until, "the queue still holds {waiting}");
        command(folder, &["queue", "retry", "--all"])?;
        thread::park_timeout(Duration::from_millis(300));
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(binary()?);
    output(command.current_dir(folder).args(arguments).args(["--config", "front.toml"])).map(drop)
}

fn inside(name: &str) -> Result<SocketAddr> {
    Ok(match name {
        "ingrid" => "10.77.0.2:2143".parse()?,
        _fritz => "10.77.0.3:2143".parse()?,
    })
}

fn answers(address: SocketAddr) -> Result<()> {
    TcpStream::connect_timeout(&address, Duration::from_secs(2))
        .with_context(|| format!("{address} does not answer"))?;
    Ok(())
}

fn serves_both(doors: Doors) -> Result<()> {
    send(doors, &["anna", "york"], "first")?;
    has(doors, "anna", &["first"])?;
    has(doors, "york", &["first"])
}

fn goes_on_without_fritz(doors: Doors) -> Result<()> {
    send(doors, &["anna", "york"], "second")?;
    has(doors, "anna", &["first", "second"])?;
    let refused = imap::Client::connect(doors.imap)?.command(&login("york"))?;
    ensure!(refused.status == "NO" && refused.text.contains("[UNAVAILABLE]"), "{refused:?}");
    Ok(())
}

fn send(doors: Doors, to: &[&str], id: &str) -> Result<()> {
    let to: Vec<String> = to.iter().map(|name| format!("{name}@example.org")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let mut sender = smtp::Client::connect(doors.smtp, Kind::Smtp)?;
    let replies = sender.deliver("sender@far.example", &to, &Letter::new(id, 2_000).bytes)?;
    ensure!(replies.iter().all(smtp::Reply::is_good), "{id}: {replies:?}");
    Ok(())
}

fn login(name: &str) -> String {
    format!("LOGIN {name}@example.org \"{name} has a password\"")
}

/// The account has these messages once each, and no other; what comes from the queue may take a moment.
fn has(doors: Doors, name: &str, ids: &[&str]) -> Result<()> {
    let until = Instant::now() + ARRIVAL_MAX;
    loop {
        let found = messages(doors, name);
        let seen = match &found {
            Ok(found) if found.iter().eq(ids) => return Ok(()),
            Ok(found) => format!("{found:?}"),
            Err(error) => format!("{error:#}"),
        };
        ensure!(Instant::now() < until, "{name} has {seen}, not {ids:?}");
        thread::park_timeout(Duration::from_millis(100));
    }
}

fn messages(doors: Doors, name: &str) -> Result<Vec<String>> {
    let mut client = imap::Client::connect(doors.imap)?;
    client.must(&login(name))?;
    let fetched = if client.select("INBOX")?.exists == 0 { Vec::new() } else { client.fetch_all()? };
    let mut ids: Vec<String> = fetched.iter().filter_map(|message| id_of(&message.body)).collect();
    ids.sort();
    Ok(ids)
}

const ARRIVAL_MAX: Duration = Duration::from_secs(30);
