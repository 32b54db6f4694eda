//! Proxies in front of the stub: Posthouse, nginx, Dovecot's login processes in both modes, Perdition, and no proxy at all.
//! All lead everybody to the same back-end and show it the user's own password, so that none has a hash to compute; Posthouse has
//! a domain besides whose passwords it knows, as argon2id, and whose users its master logs in.

use super::posthouse::CONFIG;
use super::process::{Process, Sign};
use super::records::Records;
use super::{DOMAIN, Hash, free_port, loopback};
use crate::stub::{self, Stub};
use anyhow::{Context, Result, bail};
use directory::{BackendLogin, Host, Protocol, StoreKind, StoreRecord};
use mail_types::{Address, Domain, StoreName};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Which proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proxy {
    /// Ours; the program.
    Posthouse(PathBuf),
    Nginx,
    /// `service_count = 0`: login processes serve many connections.
    DovecotReused,
    /// `service_count = 1`: a login process for each, its default.
    DovecotEach,
    Perdition,
    /// The stub itself.
    Direct,
}

/// One that runs.
pub(crate) struct Front {
    pub(crate) proxy: Proxy,
    processes: Vec<Process>,
    pub(crate) plain: SocketAddr,
    /// TLS from the first octet; the stub has none.
    pub(crate) tls: Option<SocketAddr>,
    folder: PathBuf,
}

/// Domains of Posthouse's directory, each with a store of its own at another address: one address has ports for some 28,000
/// connections.
pub(crate) const DOMAINS: u8 = 8;

/// The name of a user, in one of the domains.
pub(crate) fn name(number: usize) -> String {
    format!("u{number}@{}", domain(u8::try_from(number % usize::from(DOMAINS)).unwrap_or(0)))
}

/// The name of a user whose password Posthouse checks, one of [`HASHED`].
pub(crate) fn hashed_name(number: usize) -> String {
    format!("u{}@hashed.{DOMAIN}", number % HASHED)
}

/// Users whose password Posthouse checks.
const HASHED: usize = 4;

fn domain(number: u8) -> String {
    format!("d{number}.{DOMAIN}")
}

impl Proxy {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Posthouse(_) => "Posthouse",
            Self::Nginx => "nginx",
            Self::DovecotReused => "Dovecot reused",
            Self::DovecotEach => "Dovecot each",
            Self::Perdition => "Perdition",
            Self::Direct => "direct",
        }
    }

    /// Whether it is installed.
    pub(crate) fn available(&self) -> Result<()> {
        let needed: &[&str] = match self {
            Self::Posthouse(_) | Self::Direct => &[],
            Self::Nginx => &[NGINX, NGINX_MAIL],
            Self::DovecotReused | Self::DovecotEach => &[DOVECOT, "/usr/lib/dovecot/imap-login"],
            Self::Perdition => &[PERDITION],
        };
        if let Some(missing) = needed.iter().find(|file| !Path::new(file).exists()) {
            bail!("{missing} is not there (Debian: nginx-light, libnginx-mod-mail, dovecot-imapd, perdition)");
        }
        if !needed.is_empty() && !rustix::process::geteuid().is_root() {
            bail!("it is started as root, so that its processes run as their own users");
        }
        Ok(())
    }

    /// Starts it in a folder of its own, in front of the stub, and waits until it answers.
    pub(crate) async fn start(&self, base: &Path, stub: &Stub) -> Result<Front> {
        let folder = base.join(format!("proxy-{}", self.name().to_lowercase().replace(' ', "-")));
        fs::create_dir_all(&folder).context("making the folder of a proxy")?;
        super::dovecot::open_to_others(&folder, 2)?;
        let mut front = Front {
            proxy: self.clone(),
            processes: Vec::new(),
            plain: loopback(free_port()?),
            tls: Some(loopback(free_port()?)),
            folder,
        };
        front.launch(stub).await.with_context(|| format!("starting {}", self.name()))?;
        Ok(front)
    }
}

impl Front {
    async fn launch(&mut self, stub: &Stub) -> Result<()> {
        let ports = (self.plain.port(), self.tls.map_or(0, |tls| tls.port()));
        write_certificate(&self.folder)?;
        let folder = &self.folder;
        self.processes = match &self.proxy {
            Proxy::Direct => {
                (self.plain, self.tls) = (stub::direct(stub), None);
                return Ok(());
            }
            Proxy::Posthouse(program) => {
                fs::write(folder.join(CONFIG), posthouse(folder, ports)).context("a configuration")?;
                fs::write(folder.join(MASTER_PASSWORD), "secret of the master").context("a password")?;
                let records = Records::fronting(&folder.join("data/directory"), back_ends(stub)?).await?;
                let accounts: Result<Vec<Address>, _> =
                    (0..HASHED).map(|number| Address::parse(&hashed_name(number))).collect();
                records.checking(hashed(stub)?, &accounts?, &Hash::Argon2id.of_password()?).await?;
                drop(records);
                vec![super::posthouse::launch(program, folder)?]
            }
            Proxy::Nginx => {
                fs::write(folder.join(NGINX_CONFIG), nginx(folder, ports, stub)).context("a configuration")?;
                let mut command = Command::new(NGINX);
                command.arg("-c").arg(folder.join(NGINX_CONFIG)).arg("-p").arg(folder);
                vec![Process::spawn("nginx", &mut command, &folder.join("log"))?]
            }
            Proxy::DovecotReused => vec![start_dovecot(folder, ports, stub, REUSED)?],
            Proxy::DovecotEach => vec![start_dovecot(folder, ports, stub, EACH)?],
            Proxy::Perdition => {
                vec![perdition(folder, "none", ports.0, stub)?, perdition(folder, "ssl_listen", ports.1, stub)?]
            }
        };
        let [plain, tls] = [self.plain, self.tls.unwrap_or(self.plain)];
        for process in &mut self.processes {
            process.wait_for(plain, Sign::Greeting)?;
            process.wait_for(tls, Sign::Connection)?;
        }
        Ok(())
    }

    /// CPU time used so far, by all its processes.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.processes.iter().map(Process::cpu).sum()
    }

    /// Memory of all its processes, in octets.
    pub(crate) fn pss(&self) -> Result<u64> {
        self.processes.iter().map(|process| crate::procs::pss(process.pid())).sum()
    }

    /// Ends it and removes its folder.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.processes.iter_mut().try_for_each(Process::end)?;
        fs::remove_dir_all(&self.folder).context("removing the folder of a proxy")
    }
}

fn write_certificate(folder: &Path) -> Result<()> {
    let made = rcgen::generate_simple_self_signed([DOMAIN.to_owned()]).context("making a certificate")?;
    fs::write(folder.join("cert.pem"), made.cert.pem()).context("writing a certificate")?;
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).context("writing a key")
}

/// Where a master logs in those whose password is known here.
fn hashed(stub: &Stub) -> Result<StoreRecord> {
    let mut store = back_end(HASHED_STORE, DOMAINS, stub)?;
    if let StoreKind::Foreign { login, .. } = &mut store.kind {
        *login = BackendLogin::Master;
    }
    Ok(store)
}

fn back_end(name: &str, number: u8, stub: &Stub) -> Result<StoreRecord> {
    let host = Host::parse(&stub::address_of_store(number).to_string())?;
    let ports = BTreeMap::from([(Protocol::Imap, stub.imap)]);
    Ok(StoreRecord::foreign(StoreName::parse(name)?, host, ports))
}

fn back_ends(stub: &Stub) -> Result<Vec<(Domain, StoreRecord)>> {
    let with_domain = |number| Ok((Domain::parse(&domain(number))?, back_end(&format!("s{number}"), number, stub)?));
    (0..DOMAINS).map(with_domain).collect()
}

fn posthouse(folder: &Path, (plain, tls): (u16, u16)) -> String {
    let dir = folder.display();
    format!(
        "[node]\nname = \"front\"\nhostname = \"mx.{DOMAIN}\"\ndata = \"{dir}/data\"\nstop_seconds = 1\n\n\
         [tls]\ncertificate = \"{dir}/cert.pem\"\nkey = \"{dir}/key.pem\"\n\n\
         [proxy]\nimap = \"127.0.0.1:{plain}\"\nimaps = \"127.0.0.1:{tls}\"\n\n\
         [limits]\nconnections = 200000\nconnections_per_address = 200000\n\n\
         [[backend]]\nstore = \"{HASHED_STORE}\"\nmaster_user = \"master\"\nmaster_password = \"{dir}/{MASTER_PASSWORD}\"\n"
    )
}

fn nginx(folder: &Path, (plain, tls): (u16, u16), stub: &Stub) -> String {
    let (dir, auth) = (folder.display(), stub.auth);
    format!(
        "load_module {NGINX_MAIL};\ndaemon off;\nworker_processes auto;\npid {dir}/pid;\nerror_log {dir}/log warn;\n\
         events {{ worker_connections 20000; }}\n\
         mail {{\n  auth_http 127.0.0.1:{auth}/;\n  imap_capabilities IMAP4rev1 IDLE;\n  imap_auth plain;\n\
         ssl_certificate {dir}/cert.pem;\n  ssl_certificate_key {dir}/key.pem;\n\
         server {{ listen 127.0.0.1:{plain}; protocol imap; }}\n\
         server {{ listen 127.0.0.1:{tls} ssl; protocol imap; }}\n}}\n"
    )
}

fn start_dovecot(folder: &Path, (plain, tls): (u16, u16), stub: &Stub, mode: &str) -> Result<Process> {
    let (dir, port) = (folder.display(), stub.imap);
    let text = format!(
        "base_dir = {dir}/run\nstate_dir = {dir}/state\nlog_path = {dir}/log\ninstance_name = bench-proxy\n\
         protocols = imap\nlisten = 127.0.0.1\nssl = yes\nssl_cert = <{dir}/cert.pem\nssl_key = <{dir}/key.pem\n\
         disable_plaintext_auth = no\nauth_mechanisms = plain\nlogin_proxy_max_disconnect_delay = 0\n\
         default_process_limit = 3000\ndefault_client_limit = 20000\nmail_max_userip_connections = 50000\n\
         passdb {{\n  driver = static\n  args = nopassword=y proxy=y host=127.0.0.1 port={port}\n}}\n\
         userdb {{\n  driver = static\n  args = uid=nobody gid=nogroup home=/nonexistent\n}}\n\
         service imap-login {{\n{mode}\n  inet_listener imap {{\n    port = {plain}\n  }}\n\
         inet_listener imaps {{\n    port = {tls}\n    ssl = yes\n  }}\n}}\n"
    );
    fs::write(folder.join(DOVECOT_CONFIG), text).context("a configuration")?;
    let mut command = Command::new(DOVECOT);
    command.args(["-F", "-c"]).arg(folder.join(DOVECOT_CONFIG));
    Process::spawn("Dovecot", &mut command, &folder.join("log"))
}

/// One process serves one port.
fn perdition(folder: &Path, ssl_mode: &str, port: u16, stub: &Stub) -> Result<Process> {
    let mut command = Command::new(PERDITION);
    command.args(["--no_daemon", "-f", "/dev/null", "-M", "", "-F", "-", "-b", "127.0.0.1", "-u", "nobody"]);
    command.args(["-P", "IMAP4", "--ssl_mode", ssl_mode, "-l", &port.to_string()]);
    command.args(["-s", "127.0.0.1", "-p", &stub.imap.to_string()]);
    command.arg("--pid_file").arg(folder.join(format!("{ssl_mode}.pid")));
    command.arg("--ssl_cert_file").arg(folder.join("cert.pem")).arg("--ssl_key_file").arg(folder.join("key.pem"));
    Process::spawn("Perdition", &mut command, &folder.join("log"))
}

const HASHED_STORE: &str = "hashed";
const MASTER_PASSWORD: &str = "master";
const REUSED: &str = "  service_count = 0\n  process_min_avail = 2\n  client_limit = 20000";
const EACH: &str = "  service_count = 1\n  process_min_avail = 8\n  process_limit = 3000";
const NGINX: &str = "/usr/sbin/nginx";
const NGINX_MAIL: &str = "/usr/lib/nginx/modules/ngx_mail_module.so";
const NGINX_CONFIG: &str = "nginx.conf";
const DOVECOT: &str = "/usr/sbin/dovecot";
const DOVECOT_CONFIG: &str = "dovecot.conf";
const PERDITION: &str = "/usr/sbin/perdition.imap4";
