//! Postfix in front of two Dovecots, as operators tune it: enough processes, no DNS, no filters, no limits for clients; its
//! queue's fsync discipline left on. An instance of its own: configuration, queue and log in one folder.

use super::dovecot::{open_to_others, user_id};
use super::process::{Process, Sign};
use super::{DOMAIN, free_port, loopback, user};
use anyhow::{Context, Result, bail};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

/// Says what of it is missing here.
pub(super) fn find() -> Result<()> {
    match [MASTER, POSTFIX, POSTMAP].into_iter().find(|program| !Path::new(program).exists()) {
        Some(missing) => bail!("{missing} is not there (Debian: postfix)"),
        None => Ok(()),
    }
}

/// Starts it; mail for account n goes to the n-th of the stores by LMTP, in turns. Its log is `log` in the folder.
pub(super) fn start(folder: &Path, stores: &[SocketAddr], accounts: usize) -> Result<(Process, SocketAddr)> {
    let smtp = loopback(free_port()?);
    let (etc, data) = (folder.join("etc"), folder.join("data"));
    for dir in [&etc, &data, &folder.join("queue")] {
        fs::create_dir_all(dir).context("making Postfix's folders")?;
    }
    open_to_others(folder, 1)?;
    chown(&data, Some(user_id(OWNER)?), None).context("giving away Postfix's folder")?;
    fs::write(etc.join("main.cf"), main_cf(folder)).context("writing main.cf")?;
    fs::write(etc.join("master.cf"), master_cf(smtp)).context("writing master.cf")?;
    fs::write(etc.join("mailboxes"), map(accounts, |_| "yes".to_owned())).context("writing a map")?;
    let transport = |number: usize| match stores.get(number % stores.len().max(1)) {
        Some(store) => format!("lmtp:inet:{}:{}", store.ip(), store.port()),
        None => "error:nowhere".to_owned(),
    };
    fs::write(etc.join("transport"), map(accounts, transport)).context("writing a map")?;
    for name in ["mailboxes", "transport"] {
        let table = format!("hash:{}", etc.join(name).display());
        must(Command::new(POSTMAP).arg("-c").arg(&etc).arg(table))?;
    }
    // It makes the queue's folders.
    must(Command::new(POSTFIX).arg("-c").arg(&etc).arg("check"))?;
    // Without the script around it: then the process that is ended is the one that was started.
    let mut command = Command::new(MASTER);
    command.env("MAIL_CONFIG", &etc).arg("-s").arg("-c").arg(&etc);
    let mut process = Process::spawn("Postfix", &mut command, &folder.join("log"))?;
    process.wait_for(smtp, Sign::Greeting)?;
    Ok((process, smtp))
}

fn must(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn map(accounts: usize, value: impl Fn(usize) -> String) -> String {
    (0..accounts).map(|number| format!("{} {}\n", user(number), value(number))).collect()
}

fn main_cf(folder: &Path) -> String {
    let dir = folder.display();
    format!(
        "compatibility_level = 3.6\nqueue_directory = {dir}/queue\ndata_directory = {dir}/data\n\
         command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = {OWNER}\n\
         setgid_group = postdrop\nmaillog_file = {dir}/log\nmaillog_file_prefixes = {dir}\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8\nmyhostname = mx.{DOMAIN}\n\
         mydestination =\nlocal_recipient_maps =\nalias_maps =\nalias_database =\n\
         virtual_mailbox_domains = {DOMAIN}\nvirtual_mailbox_maps = hash:{dir}/etc/mailboxes\n\
         transport_maps = hash:{dir}/etc/transport\n{TUNING}"
    )
}

/// No chroot, nothing that asks elsewhere.
fn master_cf(smtp: SocketAddr) -> String {
    let services = "cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\nrewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n\
         retry unix - - n - - error\nerror unix - - n - - error\nlmtp unix - - n - - lmtp\n\
         proxymap unix - - n - - proxymap\nscache unix - - n - 1 scache\nshowq unix n - n - - showq\n\
         anvil unix - - n - 1 anvil\npostlog unix-dgram n - n - 1 postlogd\n";
    format!("{smtp} inet n - n - - smtpd\n{services}")
}

const TUNING: &str = "\
default_process_limit = 200
max_use = 1000
in_flow_delay = 0
disable_dns_lookups = yes
smtpd_peername_lookup = no
lmtp_host_lookup = native
lmtp_destination_concurrency_limit = 20
lmtp_initial_destination_concurrency = 20
lmtp_tls_security_level = none
smtpd_tls_security_level = none
smtpd_recipient_restrictions = reject_unauth_destination
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
queue_minfree = 0
";
const OWNER: &str = "postfix";
const MASTER: &str = "/usr/lib/postfix/sbin/master";
const POSTFIX: &str = "/usr/sbin/postfix";
const POSTMAP: &str = "/usr/sbin/postmap";
