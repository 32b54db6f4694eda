//! A Dovecot of our own: a folder, a free port, any user with one password.

use crate::power::run;
use crate::programs::Program;
use anyhow::{Context, Result, bail};
use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A Dovecot that runs; it ends with this value.
#[derive(Debug)]
pub struct Dovecot {
    address: SocketAddr,
    folder: PathBuf,
    child: Child,
}

/// Everybody's password.
pub const PASSWORD: &str = "pass";

impl Dovecot {
    /// Why it cannot be started here, where it cannot.
    pub fn obstacle() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("Dovecot's processes change users, for which it must be started by root".to_owned());
        }
        Program::Dovecot.obstacle()
    }

    /// Starts it in a folder, which others must be able to enter, and waits until it greets.
    pub fn start(folder: &Path) -> Result<Self> {
        let home = folder.join("home");
        std::fs::create_dir_all(&home)?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        run(Command::new("chown").arg("nobody:nogroup").arg(&home))?;
        // Held until Dovecot is about to take it.
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = held.local_addr()?;
        let file = folder.join("dovecot.conf");
        std::fs::write(&file, configuration(folder, address.port()))?;
        drop(held);
        let child = spawn(&file)?;
        let mut dovecot = Self { address, folder: folder.to_owned(), child };
        dovecot.wait_until_ready()?;
        Ok(dovecot)
    }

    /// Where it speaks IMAP in plain text.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let ready = wait_until_it_listens(&mut self.child, self.address);
        ready.map_err(|error| error.context(self.log()))
    }

    /// What it complained of.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let complaints = log.lines().filter(|line| ["Error", "Fatal", "Panic"].iter().any(|word| line.contains(word)));
        complaints.map(|line| format!("{line}\n")).collect()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        if let Err(error) = end(&mut self.child) {
            eprintln!("dovecot was left running in {}: {error:#}", self.folder.display());
        }
    }
}

/// Starts one with this configuration.
pub(crate) fn spawn(file: &Path) -> Result<Child> {
    let mut dovecot = Program::Dovecot.command();
    dovecot.arg("-F").arg("-c").arg(file);
    // INTERNALDATE is told in the zone of the process; ours is always told in UTC.
    dovecot.env("TZ", "UTC").stdout(Stdio::null()).stderr(Stdio::null());
    dovecot.spawn().context("cannot start dovecot")
}

pub(crate) fn wait_until_it_listens(child: &mut Child, address: SocketAddr) -> Result<()> {
    let until = Instant::now() + START_MAX;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            bail!("the server ended with {status}");
        }
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        thread::park_timeout(LOOK_INTERVAL);
    }
    bail!("the server does not listen at {address} within {START_MAX:?}");
}

/// SIGTERM, so that its processes end with it.
pub(crate) fn end(child: &mut Child) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).context("it has no pid")?;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    child.wait()?;
    Ok(())
}

/// Mailboxes, separator and special uses are as Posthouse's new accounts have them.
fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    let special: String =
        [("Archive", "Archive"), ("Drafts", "Drafts"), ("Junk", "Junk"), ("Sent", "Sent"), ("Trash", "Trash")]
            .iter()
            .map(|(name, special)| format!("  mailbox {name} {{\n    special_use = \\{special}\n  }}\n"))
            .collect();
    format!(
        "base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
mail_location = sdbox:~/mail
mail_home = {folder}/home/%u
mail_max_userip_connections = 1000
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup
}}
namespace inbox {{
  inbox = yes
  separator = /
{special}}}
protocol imap {{
  mail_plugins = imap_zlib
}}
service imap-login {{
  chroot =
  process_min_avail = 1
  service_count = 0
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service imap {{
  service_count = 100
}}
service anvil {{
  chroot =
}}
"
    )
}

const START_MAX: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
