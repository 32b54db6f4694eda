//! Another server as back-end, and a Posthouse without stores in front of it: users see one name, and mail comes through it.

mod courier;
mod cyrus;
mod dovecot;
mod unpacked;

use crate::cluster::{certify, listen, node};
use crate::daemon::Daemon;
use crate::differ::dovecot::{Dovecot, end, wait_until_it_listens};
use crate::ports::Block;
use crate::programs::Program;
use crate::site::{Account, binary};
use anyhow::{Context, Result, ensure};
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};
use unpacked::Unpacked;

/// A proxy and the server behind it; both end with this value.
#[derive(Debug)]
pub struct Fronted {
    folder: PathBuf,
    front: Daemon,
    back_end: BackEnd,
    ports: Block,
}

/// The server behind the proxy.
#[derive(Debug)]
pub struct BackEnd {
    server: Server,
    folder: PathBuf,
    listeners: [SocketAddr; 4],
    child: Option<Child>,
}

/// Which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Debian's Dovecot, installed.
    Dovecot,
    /// Debian's Cyrus IMAP, unpacked.
    Cyrus,
    /// Debian's Courier, unpacked.
    Courier,
}

/// How the proxy reaches the back-end, as `store add --tls` calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    None,
    /// STARTTLS and STLS.
    StartTls,
    /// From the first octet.
    Tls,
}

/// What is in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    Proxy,
    /// And a relay with a queue.
    ProxyAndRelay,
}

/// Who logs in at the back-end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// The user, with his own password.
    Password,
    /// A master user for him, as authorization identity of SASL.
    Master,
    /// A master user behind the user's name and an asterisk.
    Joined,
}

impl Fronted {
    /// Why it cannot be had with a Dovecot here, where it cannot.
    pub fn obstacle() -> Option<String> {
        Server::Dovecot.obstacle()
    }

    /// The same for scripts.
    pub fn obstacle_to_scripts() -> Option<String> {
        Self::obstacle().or_else(|| Program::Pigeonhole.obstacle())
    }

    /// The same for mail.
    pub fn obstacle_to_mail(server: Server) -> Option<String> {
        let dovecot = || Program::DovecotLmtp.obstacle().filter(|_| server == Server::Dovecot);
        server.obstacle().or_else(dovecot)
    }

    /// Lays out a Dovecot and a proxy in a folder, which others must be able to enter, and starts them.
    pub fn start(folder: &Path, security: Security, entrance: Entrance) -> Result<Self> {
        Self::start_server(Server::Dovecot, folder, security, entrance, "")
    }

    /// The same, with these lines for the proxy's `[[backend]]`.
    pub fn start_with(folder: &Path, security: Security, entrance: Entrance, more: &str) -> Result<Self> {
        Self::start_server(Server::Dovecot, folder, security, entrance, more)
    }

    /// The same with a Dovecot that judges access tokens by asking at this URL about them, and is shown them.
    pub fn start_judging_tokens(folder: &Path, introspection: &str, more: &str) -> Result<Self> {
        dovecot::judge_tokens(folder, introspection)?;
        let fronted = Self::start_with(folder, Security::StartTls, Entrance::Password, more)?;
        fronted.must(&["store", "set", STORE, "--tokens", "true"])?;
        Ok(fronted)
    }

    /// The same with another server.
    pub fn start_server(
        server: Server,
        folder: &Path,
        security: Security,
        entrance: Entrance,
        more: &str,
    ) -> Result<Self> {
        Self::start_behind(Front::Proxy, server, folder, security, entrance, more)
    }

    /// The same with a relay beside the proxy, which brings it mail by LMTP. Who has passwords at the back-end only is unchecked;
    /// accounts in the directory are those for whom a master logs in.
    pub fn start_with_mail(server: Server, folder: &Path, security: Security, entrance: Entrance) -> Result<Self> {
        let fronted = Self::start_behind(Front::ProxyAndRelay, server, folder, security, entrance, "")?;
        let (offset, tls) = match security {
            Security::None => (LMTP, "none"),
            Security::StartTls => (LMTP, "starttls"),
            Security::Tls => (LMTPS, "tls"),
        };
        fronted.bring_mail_by("lmtp", fronted.ports.loopback(offset), tls)?;
        Ok(fronted)
    }

    fn start_behind(
        front: Front,
        server: Server,
        folder: &Path,
        security: Security,
        entrance: Entrance,
        more: &str,
    ) -> Result<Self> {
        std::fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        let ports = Block::take()?;
        certify(folder, "authority.pem", "authority.key", &[])?;
        let signed =
            ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", "authority.pem", "-CAkey", "authority.key"];
        certify(folder, "back.pem", "back.key", &signed)?;
        std::fs::write(folder.join("master.password"), format!("{MASTER_PASSWORD}\n"))?;
        let back_end = BackEnd::start(server, folder, &ports)?;
        let (mut listeners, mut relay) = (vec![FRONT_IMAP, FRONT_POP3, FRONT_SIEVE], String::new());
        if front == Front::ProxyAndRelay {
            listeners.push(FRONT_SMTP);
            relay = format!("[relay]\nlisten = \"{}\"\nqueue = \"front/queue\"\n", ports.loopback(FRONT_SMTP));
        }
        let file = front_file(&ports, server.master(), entrance);
        let front = node(folder, "front", &format!("{relay}{file}{more}"))?;
        let mut fronted = Self { folder: folder.to_owned(), front, back_end, ports };
        let listeners: Vec<_> = listeners.into_iter().map(|offset| fronted.ports.loopback(offset)).collect();
        fronted.front.start(|| listen(&listeners))?;
        fronted.fill_directory(security, entrance)?;
        Ok(fronted)
    }

    /// Somebody whom the back-end knows.
    pub fn account(name: &str) -> Account {
        Account { address: format!("{name}@{DOMAIN}"), password: PASSWORD.to_owned(), store: STORE.to_owned() }
    }

    /// The listener in front: smtp, imap, pop3, submission or sieve.
    pub fn address(&self, name: &str) -> SocketAddr {
        self.ports.loopback(match name {
            "pop3" => FRONT_POP3,
            "submission" => FRONT_SUBMISSION,
            "sieve" => FRONT_SIEVE,
            "smtp" => FRONT_SMTP,
            _ => FRONT_IMAP,
        })
    }

    /// A file of the site: `back.pem`, `back.key`, and `passwords`, the socket on which Dovecot answers about them.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes the proxy know a submission server in front of the same users.
    pub fn add_submission(&self, at: SocketAddr) -> Result<()> {
        let port = |name: &str, port: u16| format!("{name}={port}");
        let imap = port("imap", self.ports.loopback(IMAP).port());
        let (pop3, submission) = (port("pop3", self.ports.loopback(POP3).port()), port("submission", at.port()));
        self.must(&["store", "set", STORE, "--port", &imap, "--port", &pop3, "--port", &submission]).map(drop)
    }

    /// Makes the relay bring mail to another port, by `lmtp` or `smtp`; sessions are led by IMAP in the clear then.
    pub fn bring_mail_by(&self, protocol: &str, at: SocketAddr, tls: &str) -> Result<()> {
        let imap = format!("imap={}/none", self.ports.loopback(IMAP).port());
        let mail = format!("{protocol}={}/{tls}", at.port());
        self.must(&["store", "set", STORE, "--port", &imap, "--port", &mail]).map(drop)
    }

    /// Where the back-end speaks LMTP in the clear.
    pub fn lmtp(&self) -> SocketAddr {
        self.ports.loopback(LMTP)
    }

    /// Has the queue try again until nothing waits in it.
    pub fn empty_the_queue(&self) -> Result<()> {
        let until = Instant::now() + QUEUE_MAX;
        while self.waiting()? > 0 {
            ensure!(Instant::now() < until, "the queue still holds mail\n{}", self.log_tail());
            self.must(&["queue", "retry", "--all"])?;
            thread::park_timeout(QUEUE_INTERVAL);
        }
        Ok(())
    }

    /// How many messages wait in the queue.
    pub fn waiting(&self) -> Result<usize> {
        let list = self.must(&["queue", "list", "--json"])?;
        let list: serde_json::Value = serde_json::from_str(list.trim()).context("a list")?;
        Ok(list.as_array().context("a list")?.len())
    }

    /// The back-end's process.
    pub fn back_end(&mut self) -> &mut BackEnd {
        &mut self.back_end
    }

    /// What the proxy logged, and what the other server complained of.
    pub fn log_tail(&self) -> String {
        let back = std::fs::read(self.folder.join("back.log")).unwrap_or_default();
        let back = String::from_utf8_lossy(&back);
        format!("{}\n--- {:?}\n{back}", self.front.log_tail(), self.back_end.server)
    }

    /// All that the proxy logged.
    pub fn log(&self) -> Result<String> {
        self.front.log()
    }

    /// What Dovecot logged.
    pub fn back_end_log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.join("back.log"))?)
    }

    /// Runs a command of ours that must succeed.
    pub fn must(&self, arguments: &[&str]) -> Result<String> {
        let output =
            Command::new(binary()?).args(arguments).arg("--config").arg(self.folder.join("front.toml")).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        Ok(said)
    }

    fn fill_directory(&self, security: Security, entrance: Entrance) -> Result<()> {
        let (tls, imap, pop3, sieve) = match security {
            Security::None => ("none", IMAP, POP3, SIEVE),
            Security::StartTls => ("starttls", IMAP, POP3, SIEVE),
            // ManageSieve has STARTTLS, also beside ports that begin with TLS.
            Security::Tls => ("tls", IMAPS, POP3S, SIEVE),
        };
        let login = if entrance == Entrance::Password { "password" } else { "master" };
        let port = |name: &str, offset| format!("{name}={}", self.ports.loopback(offset).port());
        let (imap, pop3, sieve) = (port("imap", imap), port("pop3", pop3), port("sieve", sieve));
        self.must(&[
            "store",
            "add",
            STORE,
            "--host",
            "127.0.0.1",
            "--port",
            &imap,
            "--port",
            &pop3,
            "--port",
            &sieve,
            "--tls",
            tls,
            "--login",
            login,
        ])?;
        if entrance == Entrance::Password {
            return self
                .must(&["domain", "add", DOMAIN, "--accounts", "unchecked", "--default-store", STORE])
                .map(drop);
        }
        // A master acts for those only whose password was found to be right here.
        self.must(&["domain", "add", DOMAIN, "--default-store", STORE])?;
        for name in PEOPLE {
            let account = Self::account(name);
            let hash = format!("{{PLAIN}}{}", account.password);
            self.must(&["account", "add", &account.address, "--password-hash", &hash])?;
        }
        Ok(())
    }
}

impl Server {
    /// Why it cannot be had here, where it cannot.
    pub fn obstacle(self) -> Option<String> {
        let obstacle = match self {
            Self::Dovecot => Dovecot::obstacle(),
            Self::Cyrus => Unpacked::Cyrus.obstacle(),
            Self::Courier => Unpacked::Courier.obstacle(),
        };
        obstacle.or_else(|| Program::Openssl.obstacle())
    }

    /// Who may act for others there.
    fn master(self) -> &'static str {
        match self {
            Self::Cyrus => cyrus::MASTER,
            // Courier has no such user.
            Self::Dovecot | Self::Courier => dovecot::MASTER,
        }
    }

    fn lay_out(self, folder: &Path, ports: &Block) -> Result<()> {
        match self {
            Self::Dovecot => dovecot::lay_out(folder, ports),
            Self::Cyrus => cyrus::lay_out(folder, ports),
            Self::Courier => courier::lay_out(folder, ports),
        }
    }

    fn spawn(self, folder: &Path) -> Result<Child> {
        match self {
            Self::Dovecot => dovecot::spawn(folder),
            Self::Cyrus => cyrus::spawn(folder),
            Self::Courier => courier::spawn(folder),
        }
    }
}

impl BackEnd {
    fn start(server: Server, folder: &Path, ports: &Block) -> Result<Self> {
        server.lay_out(folder, ports)?;
        let listeners = [IMAP, IMAPS, POP3, POP3S].map(|offset| ports.loopback(offset));
        let mut back_end = Self { server, folder: folder.to_owned(), listeners, child: None };
        back_end.start_again()?;
        Ok(back_end)
    }

    /// Starts it, and waits until it listens everywhere.
    pub fn start_again(&mut self) -> Result<()> {
        self.child = Some(self.server.spawn(&self.folder)?);
        let child = self.child.as_mut().context("it was just started")?;
        self.listeners.into_iter().try_for_each(|listener| wait_until_it_listens(child, listener))
    }

    /// Ends it with all its processes.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        match self.server {
            Server::Dovecot => end(&mut child),
            Server::Cyrus | Server::Courier => unpacked::end(&mut child, self.listeners),
        }
    }

    /// Kills the processes of this name that it has started, as a machine would that loses them: without a good-bye.
    pub fn kill_children(&self, name: &str) -> Result<()> {
        let own = self.child.as_ref().context("it does not run")?.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
        let mut count = 0;
        for child in children.split_whitespace() {
            if std::fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|found| found.trim_end() == name) {
                let pid = rustix::process::Pid::from_raw(child.parse()?).context("it has no pid")?;
                rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
                count += 1;
            }
        }
        ensure!(count > 0, "it has no process {name}");
        Ok(())
    }
}

impl Drop for BackEnd {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{:?} was left running: {error:#}", self.server);
        }
    }
}

fn front_file(ports: &Block, master: &str, entrance: Entrance) -> String {
    let (imap, pop3) = (ports.loopback(FRONT_IMAP), ports.loopback(FRONT_POP3));
    let submission = ports.loopback(FRONT_SUBMISSION);
    let sieve = ports.loopback(FRONT_SIEVE);
    let named = format!("master_user = \"{master}\"\nmaster_password = \"master.password\"\n");
    let master = match entrance {
        Entrance::Password => String::new(),
        Entrance::Master => named,
        Entrance::Joined => format!("{named}master_separator = \"*\"\n"),
    };
    format!(
        "[proxy]\nimap = \"{imap}\"\npop3 = \"{pop3}\"\nsubmission = \"{submission}\"\nsieve = \"{sieve}\"\n\
         [tls]\ncertificate = \"back.pem\"\nkey = \"back.key\"\n\
         [[backend]]\nstore = \"{STORE}\"\nauthority = \"authority.pem\"\n{master}"
    )
}

/// Everybody's addresses.
fn addresses() -> impl Iterator<Item = String> {
    PEOPLE.iter().map(|name| format!("{name}@{DOMAIN}"))
}

/// From where the back-end believes who says where a client comes from.
pub const TRUSTED: &str = "127.0.0.8";
/// The domain.
pub const DOMAIN: &str = "back.example";
/// What the directory calls the back-end.
pub const STORE: &str = "old";
/// Whom the back-end knows.
const PEOPLE: [&str; 2] = ["carol", "dora"];
/// Everybody's password; not one that fits into a quoted string of ASCII.
pub const PASSWORD: &str = "pass \"wörd\\";
const MASTER_PASSWORD: &str = "a master's";
const FRONT_IMAP: u16 = 1;
const FRONT_POP3: u16 = 2;
const IMAP: u16 = 3;
const IMAPS: u16 = 4;
const POP3: u16 = 5;
const POP3S: u16 = 6;
const FRONT_SUBMISSION: u16 = 7;
const FRONT_SIEVE: u16 = 24;
const SIEVE: u16 = 25;
const SIEVES: u16 = 26;
const LMTP: u16 = 27;
const LMTPS: u16 = 80;
const FRONT_SMTP: u16 = 110;
const QUEUE_MAX: Duration = Duration::from_secs(60);
const QUEUE_INTERVAL: Duration = Duration::from_millis(300);
