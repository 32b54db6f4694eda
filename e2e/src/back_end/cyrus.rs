//! The Cyrus IMAP of a back-end: mailboxes come by themselves, passwords are in a file of Cyrus SASL, and a proxy may act for
//! everybody.

use super::unpacked::Unpacked;
use super::{DOMAIN, IMAP, IMAPS, LMTP, MASTER_PASSWORD, PASSWORD, POP3, POP3S, addresses};
use crate::ports::Block;
use crate::power::run;
use anyhow::{Context, Result, ensure};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What the proxy calls the master: a name of Cyrus SASL has a realm.
pub(super) const MASTER: &str = "proxy@back.example";

pub(super) fn lay_out(folder: &Path, ports: &Block) -> Result<()> {
    let home = folder.join("cyrus");
    for part in ["conf/socket", "spool"] {
        std::fs::create_dir_all(home.join(part))?;
    }
    for file in ["back.pem", "back.key"] {
        std::fs::copy(folder.join(file), home.join(file))?;
    }
    for address in addresses() {
        give_password(&home, &address, PASSWORD)?;
    }
    give_password(&home, MASTER, MASTER_PASSWORD)?;
    std::fs::write(home.join("imapd.conf"), imapd_conf(&home))?;
    std::fs::write(home.join("cyrus.conf"), cyrus_conf(folder, ports))?;
    run(Command::new("chown").args(["-R", "mail:mail"]).arg(&home))
}

pub(super) fn spawn(folder: &Path) -> Result<Child> {
    Unpacked::Cyrus.spawn(
        folder,
        "\"$1/programs/usr/lib/cyrus/bin/master\" -D -C \"$1/cyrus/imapd.conf\" -M \"$1/cyrus/cyrus.conf\" \
         -p \"$1/cyrus/pid\" &\nwait\n",
    )
}

fn give_password(home: &Path, address: &str, password: &str) -> Result<()> {
    let (name, realm) = address.split_once('@').context("an address without a domain")?;
    let mut command = Unpacked::Cyrus.command("usr/sbin/saslpasswd2")?;
    command.args(["-c", "-p", "-f"]).arg(home.join("sasldb2")).args(["-u", realm, name]);
    let mut child = command.stdin(Stdio::piped()).spawn().context("cannot run saslpasswd2")?;
    child.stdin.take().context("no way to tell it the password")?.write_all(password.as_bytes())?;
    ensure!(child.wait()?.success(), "saslpasswd2 does not take {address}");
    Ok(())
}

/// Debian's user `cyrus` comes with an installed package; `mail` is always there.
fn imapd_conf(home: &Path) -> String {
    let home = home.display();
    format!(
        "configdirectory: {home}/conf
defaultpartition: default
partition-default: {home}/spool
temp_path: {home}/spool
cyrus_user: mail
cyrus_group: mail
servername: cyrus.{DOMAIN}
virtdomains: userid
defaultdomain: other.example
autocreate_quota: 0
autocreate_post: yes
popminpoll: 0
failedloginpause: 0
allowplaintext: yes
proxyservers: {MASTER}
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {home}/sasldb2
sasl_mech_list: PLAIN LOGIN
tls_server_cert: {home}/back.pem
tls_server_key: {home}/back.key
"
    )
}

fn cyrus_conf(folder: &Path, ports: &Block) -> String {
    let folder = folder.display();
    let program = |name: &str| format!("{folder}/programs/usr/lib/cyrus/bin/{name} -C {folder}/cyrus/imapd.conf");
    let (imapd, pop3d, database) = (program("imapd"), program("pop3d"), program("ctl_cyrusdb"));
    let service = |name: &str, call: String, offset| {
        format!("  {name} cmd=\"{call}\" listen=\"{}\" prefork=0\n", ports.loopback(offset))
    };
    let services = [
        service("imap", imapd.clone(), IMAP),
        service("imaps", format!("{imapd} -s"), IMAPS),
        service("pop3", pop3d.clone(), POP3),
        service("pop3s", format!("{pop3d} -s"), POP3S),
        // Whoever reaches it may bring mail.
        service("lmtp", format!("{} -a", program("lmtpd")), LMTP),
    ];
    format!("START {{\n  recover cmd=\"{database} -r\"\n}}\nSERVICES {{\n{}}}\nEVENTS {{\n}}\n", services.concat())
}
