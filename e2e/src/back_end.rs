//! A Dovecot as back-end, and a Posthouse without stores in front of it: users see one name.

use crate::cluster::{certify, listen, node};
use crate::daemon::Daemon;
use crate::differ::dovecot;
use crate::ports::Block;
use crate::programs::Program;
use crate::site::{Account, binary};
use anyhow::{Context, Result, ensure};
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// A proxy and the Dovecot behind it; both end with this value.
#[derive(Debug)]
pub struct Fronted {
    folder: PathBuf,
    front: Daemon,
    back_end: BackEnd,
    ports: Block,
}

/// The Dovecot.
#[derive(Debug)]
pub struct BackEnd {
    file: PathBuf,
    first: SocketAddr,
    child: Option<Child>,
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
    /// Why it cannot be had here, where it cannot.
    pub fn obstacle() -> Option<String> {
        dovecot::Dovecot::obstacle().or_else(|| Program::Openssl.obstacle())
    }

    /// The same for scripts.
    pub fn obstacle_to_scripts() -> Option<String> {
        Self::obstacle().or_else(|| Program::Pigeonhole.obstacle())
    }

    /// Lays both out in a folder, which others must be able to enter, and starts them.
    pub fn start(folder: &Path, security: Security, entrance: Entrance) -> Result<Self> {
        Self::start_with(folder, security, entrance, "")
    }

    /// The same, with these lines for the proxy's `[[backend]]`.
    pub fn start_with(folder: &Path, security: Security, entrance: Entrance, more: &str) -> Result<Self> {
        std::fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        let ports = Block::take()?;
        certify(folder, "authority.pem", "authority.key", &[])?;
        let signed =
            ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", "authority.pem", "-CAkey", "authority.key"];
        certify(folder, "back.pem", "back.key", &signed)?;
        std::fs::write(folder.join("master.password"), format!("{MASTER_PASSWORD}\n"))?;
        let back_end = BackEnd::start(folder, &ports)?;
        let front = node(folder, "front", &format!("{}{more}", front_file(&ports, entrance)))?;
        let mut fronted = Self { folder: folder.to_owned(), front, back_end, ports };
        let listeners = [FRONT_IMAP, FRONT_POP3, FRONT_SIEVE].map(|offset| fronted.ports.loopback(offset));
        fronted.front.start(|| listen(&listeners))?;
        fronted.fill_directory(security, entrance)?;
        Ok(fronted)
    }

    /// Somebody whom the back-end knows.
    pub fn account(name: &str) -> Account {
        Account { address: format!("{name}@{DOMAIN}"), password: PASSWORD.to_owned(), store: STORE.to_owned() }
    }

    /// The proxy's listener: imap, pop3, submission or sieve.
    pub fn address(&self, name: &str) -> SocketAddr {
        self.ports.loopback(match name {
            "pop3" => FRONT_POP3,
            "submission" => FRONT_SUBMISSION,
            "sieve" => FRONT_SIEVE,
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
        self.must(&["store", "set", STORE, "--port", &imap, "--port", &port("submission", at.port())]).map(drop)
    }

    /// The back-end's process.
    pub fn back_end(&mut self) -> &mut BackEnd {
        &mut self.back_end
    }

    /// What the proxy logged, and what Dovecot complained of.
    pub fn log_tail(&self) -> String {
        let dovecot = std::fs::read_to_string(self.folder.join("dovecot.log")).unwrap_or_default();
        format!("{}\n--- dovecot\n{dovecot}", self.front.log_tail())
    }

    /// What Dovecot logged.
    pub fn back_end_log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.join("dovecot.log"))?)
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
            Security::Tls => ("tls", IMAPS, POP3S, SIEVES),
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

impl BackEnd {
    fn start(folder: &Path, ports: &Block) -> Result<Self> {
        let users: String = PEOPLE.iter().map(|name| format!("{name}@{DOMAIN}:{{PLAIN}}{PASSWORD}\n")).collect();
        std::fs::write(folder.join("users"), users)?;
        std::fs::write(folder.join("masters"), format!("proxy:{{PLAIN}}{MASTER_PASSWORD}\n"))?;
        let home = folder.join("home");
        std::fs::create_dir_all(&home)?;
        crate::power::run(Command::new("chown").arg("nobody:nogroup").arg(&home))?;
        let file = folder.join("dovecot.conf");
        std::fs::write(&file, configuration(folder, ports))?;
        let mut back_end = Self { file, first: ports.loopback(IMAP), child: None };
        back_end.start_again()?;
        Ok(back_end)
    }

    /// Starts it, and waits until it listens.
    pub fn start_again(&mut self) -> Result<()> {
        let child = dovecot::spawn(&self.file)?;
        self.child = Some(child);
        dovecot::wait_until_it_listens(self.child.as_mut().context("it was just started")?, self.first)
    }

    /// Ends it with all its processes.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        dovecot::end(&mut child)
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
            eprintln!("dovecot was left running: {error:#}");
        }
    }
}

fn front_file(ports: &Block, entrance: Entrance) -> String {
    let (imap, pop3) = (ports.loopback(FRONT_IMAP), ports.loopback(FRONT_POP3));
    let submission = ports.loopback(FRONT_SUBMISSION);
    let sieve = ports.loopback(FRONT_SIEVE);
    let master = match entrance {
        Entrance::Password => "",
        Entrance::Master => "master_user = \"proxy\"\nmaster_password = \"master.password\"\n",
        Entrance::Joined => {
            "master_user = \"proxy\"\nmaster_password = \"master.password\"\nmaster_separator = \"*\"\n"
        }
    };
    format!(
        "[proxy]\nimap = \"{imap}\"\npop3 = \"{pop3}\"\nsubmission = \"{submission}\"\nsieve = \"{sieve}\"\n\
         [tls]\ncertificate = \"back.pem\"\nkey = \"back.key\"\n\
         [[backend]]\nstore = \"{STORE}\"\nauthority = \"authority.pem\"\n{master}"
    )
}

fn configuration(folder: &Path, ports: &Block) -> String {
    let folder = folder.display();
    let port = |offset| ports.loopback(offset).port();
    let (imap, imaps, pop3, pop3s) = (port(IMAP), port(IMAPS), port(POP3), port(POP3S));
    let scripts = Program::Pigeonhole.obstacle().is_none();
    let (sieve, scripts) = if scripts { ("sieve", scripts_of(port(SIEVE), port(SIEVES))) } else { ("", String::new()) };
    format!(
        "base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap pop3 {sieve}
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/back.pem
ssl_key = <{folder}/back.key
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_master_user_separator = *
auth_failure_delay = 0
# Who calls from there may say for whom.
login_trusted_networks = {TRUSTED}
mail_location = maildir:~/Maildir
mail_home = {folder}/home/%u
passdb {{
  driver = passwd-file
  args = {folder}/masters
  master = yes
}}
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service auth {{
  unix_listener {folder}/passwords {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
  # Wrong passwords come from one address here, and would be answered later and later.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
{scripts}"
    )
}

fn scripts_of(sieve: u16, sieves: u16) -> String {
    format!(
        "service managesieve-login {{
  chroot =
  inet_listener sieve {{
    port = {sieve}
  }}
  inet_listener sieves {{
    port = {sieves}
    ssl = yes
  }}
}}
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
}}
"
    )
}

/// From where the back-end believes who says where a client comes from.
pub const TRUSTED: &str = "127.0.0.8";
/// The domain.
pub const DOMAIN: &str = "back.example";
const STORE: &str = "dovecot";
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
