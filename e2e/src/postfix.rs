//! A Postfix of our own: folders, a free port and a next hop; the system's Postfix is neither read nor started.

use crate::daemon::tail;
use crate::ports::Block;
use crate::programs::{Program, output};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use std::fs::Permissions;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A Postfix that runs, and takes mail from this machine for everybody; it ends with this value.
#[derive(Debug)]
pub struct Postfix {
    folder: PathBuf,
    ports: Block,
    master: Child,
}

/// How, and where to, it sends all that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextHop {
    /// By SMTP with STARTTLS, without which it sends nothing.
    Smtp(SocketAddr),
    /// By LMTP.
    Lmtp(SocketAddr),
    /// Nowhere: what it took is thrown away.
    Nowhere,
}

/// Whom a Postfix takes mail from, if not from everybody on this machine: users of a Dovecot who log in under TLS.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// The socket on which Dovecot answers about passwords.
    pub passwords: &'a Path,
    /// The server's certificate.
    pub certificate: &'a Path,
    /// And its key.
    pub key: &'a Path,
}

impl Postfix {
    /// Why it cannot be started here, where it cannot.
    pub fn obstacle() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("Postfix's processes change users, for which it must be started by root".to_owned());
        }
        let missing = || Some(format!("no {MASTER}")).filter(|_| !Path::new(MASTER).is_file());
        Program::Postfix.obstacle().or_else(missing)
    }

    /// Starts it in a folder, which others must be able to enter, and waits until it greets.
    pub fn start(folder: &Path, to: NextHop) -> Result<Self> {
        Self::start_with(folder, to, None)
    }

    /// Starts a submission server, which sends nowhere.
    pub fn start_submission(folder: &Path, from: Submission<'_>) -> Result<Self> {
        Self::start_with(folder, NextHop::Nowhere, Some(from))
    }

    fn start_with(folder: &Path, to: NextHop, from: Option<Submission<'_>>) -> Result<Self> {
        let ports = Block::take()?;
        let (configuration, data) = (folder.join("conf"), folder.join("data"));
        std::fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        for made in [&configuration, &data, &folder.join("queue")] {
            std::fs::create_dir(made)?;
        }
        output(Command::new("chown").arg("postfix").arg(&data))?;
        std::fs::write(configuration.join("main.cf"), main_file(folder, to, from))?;
        std::fs::write(configuration.join("master.cf"), services(ports.loopback(PORT)))?;
        // Makes the folders of the queue, too.
        output(Program::Postfix.command().arg("-c").arg(&configuration).arg("check"))?;
        let master = Command::new(MASTER)
            // In the foreground. Its processes end as a group, which its own id names.
            .arg("-d")
            .arg("-c")
            .arg(&configuration)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start Postfix")?;
        let mut postfix = Self { folder: folder.to_owned(), ports, master };
        postfix.wait_until_ready()?;
        Ok(postfix)
    }

    /// Where it takes mail by SMTP.
    pub fn address(&self) -> SocketAddr {
        self.ports.loopback(PORT)
    }

    /// Waits until nothing is in its queue.
    pub fn wait_until_empty(&self) -> Result<()> {
        let until = Instant::now() + EMPTY_MAX;
        loop {
            let mut list = Program::Postfix.companion("postqueue");
            let waiting = String::from_utf8(output(list.arg("-c").arg(self.folder.join("conf")).arg("-j"))?)?;
            if waiting.trim().is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < until, "after {EMPTY_MAX:?} Postfix still holds {waiting}");
            thread::park_timeout(LOOK_INTERVAL);
        }
    }

    /// The lines of its log about recipients that met this fate: `sent`, `bounced`, `deferred`.
    pub fn fates(&self, fate: &str) -> Result<Vec<String>> {
        let log = std::fs::read(self.log())?;
        let wanted = format!("status={fate}");
        let log = String::from_utf8_lossy(&log).into_owned();
        Ok(log.lines().filter(|line| line.contains(&wanted)).map(str::to_owned).collect())
    }

    /// Whether its log has this text.
    pub fn has_logged(&self, text: &str) -> Result<bool> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.log())?).contains(text))
    }

    /// The end of its log, for the report of a failure.
    pub fn log_tail(&self) -> String {
        let text = tail(&self.log()).unwrap_or_else(|error| format!("no log: {error:#}"));
        format!("--- end of Postfix's log\n{text}---")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let until = Instant::now() + START_MAX;
        while Instant::now() < until {
            if let Some(status) = self.master.try_wait()? {
                bail!("Postfix ended with {status}\n{}", self.log_tail());
            }
            if TcpStream::connect(self.address()).is_ok() {
                return Ok(());
            }
            thread::park_timeout(LOOK_INTERVAL);
        }
        bail!("Postfix does not listen within {START_MAX:?}\n{}", self.log_tail());
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let group = i32::try_from(self.master.id()).ok().and_then(Pid::from_raw);
        let killed = group.map(|group| rustix::process::kill_process_group(group, Signal::KILL));
        if !matches!(killed, Some(Ok(()))) || self.master.wait().is_err() {
            eprintln!("Postfix was left running: {}", self.folder.display());
        }
    }
}

/// Everything goes to the next hop, and what cannot go now soon comes again.
fn main_file(folder: &Path, to: NextHop, from: Option<Submission<'_>>) -> String {
    let folder = folder.display();
    let road = match to {
        NextHop::Smtp(at) => {
            format!("relayhost = [{}]:{}\nsmtp_tls_security_level = encrypt\n", at.ip(), at.port())
        }
        NextHop::Lmtp(at) => format!("default_transport = lmtp:inet:{}:{}\n", at.ip(), at.port()),
        NextHop::Nowhere => "default_transport = discard:\n".to_owned(),
    };
    let trust = from.map_or_else(
        || "mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n".to_owned(),
        submission,
    );
    format!(
        "compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = postfix.example
mydestination =
inet_protocols = ipv4
inet_interfaces = 127.0.0.1
alias_maps =
alias_database =
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
{road}{trust}"
    )
}

/// Passwords come under TLS only.
fn submission(from: Submission<'_>) -> String {
    let Submission { passwords, certificate, key } = from;
    let (passwords, certificate, key) = (passwords.display(), certificate.display(), key.display());
    format!(
        "mynetworks =
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {passwords}
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
"
    )
}

/// No process is in a chroot, which would need files that only the system's instance has.
fn services(listener: SocketAddr) -> String {
    format!(
        "{listener} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
scache unix - - n - 1 scache
discard unix - - n - - discard
anvil unix - - n - 1 anvil
showq unix n - n - - showq
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"
    )
}

/// Where Debian has it.
const MASTER: &str = "/usr/lib/postfix/sbin/master";
/// In its block.
const PORT: u16 = 25;
const START_MAX: Duration = Duration::from_secs(30);
const EMPTY_MAX: Duration = Duration::from_secs(90);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
