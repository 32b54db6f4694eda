//! Two proxies behind one address: keepalived moves it to the second when the first one's machine dies.

use crate::world::{World, trial_unless};
use anyhow::{Context, Result, ensure};
use e2e::cluster::node;
use e2e::daemon::Daemon;
use e2e::imap;
use e2e::namespaces::Namespaces;
use e2e::programs::{Program, output};
use e2e::site::binary;
use libtest_mimic::Trial;
use rustix::process::{Pid, Signal};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let obstacle = || Namespaces::obstacle().or_else(|| Program::Keepalived.obstacle());
    vec![trial_unless(world, "a_second_proxy_takes_over", obstacle, |_| takes_over())]
}

fn takes_over() -> Result<()> {
    let net = network()?;
    let folder = tempfile::Builder::new().prefix("posthouse-takeover").tempdir()?;
    let daemon = |name: &str, place: &str, roles: &str| -> Result<Daemon> {
        Ok(node(folder.path(), name, roles)?.within(net.full(place)))
    };
    let mut back = daemon("back", "hub", BACK)?;
    let (mut one, mut two) = (daemon("one", "one", FRONT)?, daemon("two", "two", FRONT)?);
    let loopback = |name| net.run_in(name, || answers("127.0.0.1:143".parse()?));
    back.start(|| net.run_in("hub", || answers(BACK_END.parse()?)))?;
    one.start(|| loopback("one"))?;
    two.start(|| loopback("two"))?;
    fill(folder.path())?;
    let first = Keepalived::start(folder.path(), &net, "one", 250)?;
    let logs = ["one", "two"].map(|name| folder.path().join(format!("{name}.keepalived.log")));
    let report = |error: anyhow::Error, node: &Daemon| {
        let said = logs.iter().map(|log| std::fs::read_to_string(log).unwrap_or_default());
        error.context(format!("{}\n{}", node.log_tail(), said.collect::<Vec<_>>().join("\n")))
    };
    net.run_in("hub", || log_in_within(START_MAX).map(drop)).map_err(|error| report(error, &one))?;
    let second = Keepalived::start(folder.path(), &net, "two", 240)?;
    net.run_in("hub", || {
        let _session = logged_in()?;
        ensure!(sessions(folder.path(), "one")? == 1, "it is not at the first proxy");
        Ok(())
    })?;

    // The machine dies: its programs, and its link.
    one.kill()?;
    first.kill()?;
    net.configure("one", &["link", "set", "mail", "down"])?;
    let span = net.run_in("hub", || log_in_within(TAKEOVER_MAX)).map_err(|error| report(error, &two))?;
    println!("a new session after {} ms", span.as_millis());
    // A session of the second proxy, which goes on.
    net.run_in("hub", || {
        let mut client = logged_in()?;
        client.select("INBOX")?;
        ensure!(sessions(folder.path(), "two")? == 1, "it is not at the second proxy");
        client.must("LOGOUT").map(drop)
    })?;
    second.kill()?;
    two.stop()?;
    back.stop()
}

/// One switch, to which the back-end, with the clients, and both proxies are plugged.
fn network() -> Result<Namespaces> {
    let net = Namespaces::create("pht", &["hub", "one", "two"])?;
    net.configure("hub", &["link", "add", "switch", "type", "bridge"])?;
    net.configure("hub", &["address", "add", "10.98.0.1/24", "dev", "switch"])?;
    net.configure("hub", &["link", "set", "switch", "up"])?;
    for (name, address) in [("one", "10.98.0.11/24"), ("two", "10.98.0.12/24")] {
        net.cable((name, "mail"), ("hub", name))?;
        net.configure(name, &["address", "add", address, "dev", "mail"])?;
        net.configure("hub", &["link", "set", name, "master", "switch"])?;
    }
    Ok(net)
}

fn fill(folder: &Path) -> Result<()> {
    let say = |node: &str, arguments: &[&str]| -> Result<()> {
        let file = folder.join(format!("{node}.toml"));
        output(Command::new(binary()?).args(arguments).arg("--config").arg(file)).map(drop)
    };
    say("back", &["domain", "add", DOMAIN])?;
    say("back", &["account", "add", USER, "--password-hash", &format!("{{PLAIN}}{PASSWORD}")])?;
    for front in ["one", "two"] {
        say(front, &["store", "add", "back", "--host", "10.98.0.1", "--port", "imap=143"])?;
        say(front, &["domain", "add", DOMAIN, "--accounts", "unchecked", "--default-store", "back"])?;
    }
    Ok(())
}

fn sessions(folder: &Path, node: &str) -> Result<usize> {
    let file = folder.join(format!("{node}.toml"));
    let said = output(Command::new(binary()?).args(["who", USER, "--json", "--config"]).arg(file))?;
    let who: serde_json::Value = serde_json::from_slice(&said)?;
    Ok(who.as_array().map_or(0, Vec::len))
}

fn answers(address: SocketAddr) -> Result<()> {
    TcpStream::connect_timeout(&address, TRY_MAX).map(drop).with_context(|| format!("{address} does not answer"))
}

/// A session at the shared address.
fn logged_in() -> Result<imap::Client> {
    let mut client = imap::Client::connect(SHARED.parse()?)?;
    client.login(USER, PASSWORD)?;
    Ok(client)
}

/// How long it takes until somebody can log in at the shared address; each try is soon given up.
fn log_in_within(bound: Duration) -> Result<Duration> {
    let began = Instant::now();
    let address: SocketAddr = SHARED.parse()?;
    loop {
        let tried = answers(address).and_then(|()| {
            let mut client = imap::Client::connect(address)?;
            client.wire().set_wait(bound)?;
            client.login(USER, PASSWORD).map(drop)
        });
        match tried {
            Ok(()) => return Ok(began.elapsed()),
            Err(error) if began.elapsed() > bound => return Err(error.context(format!("nobody within {bound:?}"))),
            Err(_) => {}
        }
    }
}

/// keepalived in a namespace; it and its processes end with this value.
struct Keepalived {
    master: Child,
}

impl Keepalived {
    /// The one with the higher priority has the address while it lives.
    fn start(folder: &Path, net: &Namespaces, name: &str, priority: u8) -> Result<Self> {
        let at = |what: &str| folder.join(format!("{name}.keepalived.{what}"));
        std::fs::write(at("conf"), keepalived_file(priority))?;
        let log = std::fs::File::create(at("log"))?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &net.full(name), Program::Keepalived.name()]);
        // In the foreground, VRRP alone, its words on its standard error.
        command.args(["--dont-fork", "--vrrp", "--log-console", "--dump-conf", "--use-file"]).arg(at("conf"));
        command.arg("--pid").arg(at("pid")).arg("--vrrp_pid").arg(at("vrrp"));
        let master = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start keepalived")?;
        Ok(Self { master })
    }

    fn kill(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if self.master.try_wait()?.is_none() {
            let group = i32::try_from(self.master.id()).ok().and_then(Pid::from_raw).context("a pid")?;
            rustix::process::kill_process_group(group, Signal::KILL)?;
            self.master.wait()?;
        }
        Ok(())
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("keepalived was left running: {error:#}");
        }
    }
}

/// As docs/operating/takeover.md has it.
fn keepalived_file(priority: u8) -> String {
    format!(
        "global_defs {{
  vrrp_version 3
  vrrp_rt_priority 50
}}
vrrp_instance mail {{
  state BACKUP
  interface mail
  virtual_router_id 51
  priority {priority}
  advert_int 0.1
  virtual_ipaddress {{
    10.98.0.100/24
  }}
}}
"
    )
}

const DOMAIN: &str = "away.example";
const USER: &str = "carol@away.example";
const PASSWORD: &str = "sea-shell-7";
const BACK_END: &str = "10.98.0.1:143";
const SHARED: &str = "10.98.0.100:143";
const BACK: &str = "[directory]\ndefault_store = 'mail'\n[[store]]\nname = 'mail'\n\
                    [proxy]\nimap = '10.98.0.1:143'\nclear_from = '10.98.0.0/24'\n";
const FRONT: &str = "[proxy]\nimap = '0.0.0.0:143'\nclear_from = '10.98.0.0/24'\n";
const TRY_MAX: Duration = Duration::from_millis(30);
const START_MAX: Duration = Duration::from_secs(60);
/// Far more than it takes: a test that measures would fail on a busy machine.
const TAKEOVER_MAX: Duration = Duration::from_secs(60);
