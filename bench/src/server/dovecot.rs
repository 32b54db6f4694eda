//! Dovecot 2.3 as its operators tune it: mdbox, processes reused, its own fsync discipline left on.

use super::process::Process;
use super::{Kind, user};
use crate::args::Args;
use anyhow::{Context, Result, bail};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

/// Dovecot, if it is installed and we may start it.
pub(super) fn find(_args: &Args) -> Result<Kind> {
    let missing = [PROGRAM, "/usr/lib/dovecot/lmtp", "/usr/lib/dovecot/imap", "/usr/lib/dovecot/pop3"]
        .into_iter()
        .find(|p| !Path::new(p).exists());
    if let Some(missing) = missing {
        bail!("{missing} is not there (Debian: dovecot-lmtpd, dovecot-imapd and dovecot-pop3d)");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("Dovecot is started as root, so that its processes run as their own users");
    }
    Ok(Kind::Dovecot)
}

/// Lays it out in a folder.
pub(super) fn prepare(folder: &Path, ports: [u16; 3], accounts: usize, stored: &str) -> Result<()> {
    let (uid, gid) = (user_id("nobody")?, NOGROUP);
    let mail = folder.join("mail");
    fs::create_dir_all(&mail).context("making Dovecot's mail folder")?;
    chown(&mail, Some(uid), Some(gid)).context("giving away Dovecot's mail folder")?;
    open_to_others(folder, 2)?;
    // Spread over folders, as sites do: a single one with 100,000 entries would be slow.
    let line = |number: usize| {
        let home = format!("{}/{:03}/{number}", mail.display(), number % 1000);
        format!("{}:{stored}:{uid}:{gid}::{home}::\n", user(number))
    };
    let users: String = (0..accounts).map(line).collect();
    fs::write(folder.join("users"), users).context("writing Dovecot's users")?;
    fs::write(folder.join(CONFIG), configuration(folder, ports)).context("writing Dovecot's configuration")?;
    Ok(())
}

/// Starts what is laid out there.
pub(super) fn launch(folder: &Path) -> Result<Process> {
    let mut command = Command::new(PROGRAM);
    command.args(["-F", "-c"]).arg(folder.join(CONFIG));
    Process::spawn("Dovecot", &mut command, &folder.join("log"))
}

fn configuration(folder: &Path, [lmtp, imap, pop3]: [u16; 3]) -> String {
    let mut text = String::new();
    let dir = folder.display();
    let mut add = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a string takes everything");
    add(format_args!("base_dir = {dir}/run\nstate_dir = {dir}/state\nlog_path = {dir}/log\ninstance_name = bench"));
    add(format_args!("protocols = imap pop3 lmtp\nlisten = 127.0.0.1\nssl = no\ndisable_plaintext_auth = no"));
    add(format_args!("mail_location = mdbox:~/mdbox\nfirst_valid_uid = 1\nfirst_valid_gid = 1"));
    // What is known of an account stays known.
    add(format_args!("auth_mechanisms = plain\nauth_cache_size = 100 M\nauth_verbose = no"));
    add(format_args!("default_process_limit = 3000\ndefault_client_limit = 20000\nmail_max_userip_connections = 5000"));
    for database in ["passdb", "userdb"] {
        add(format_args!("{database} {{\n  driver = passwd-file\n  args = username_format=%u {dir}/users\n}}"));
    }
    // Processes are used again for the next connection, and some wait for the first.
    add(format_args!("service lmtp {{\n  service_count = 0\n  process_min_avail = 4"));
    add(format_args!("  inet_listener lmtp {{\n    address = 127.0.0.1\n    port = {lmtp}\n  }}\n}}"));
    add(format_args!("service imap-login {{\n  service_count = 0\n  process_min_avail = 2"));
    add(format_args!(
        "  inet_listener imap {{\n    port = {imap}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}"
    ));
    add(format_args!("service pop3-login {{\n  service_count = 0\n  process_min_avail = 2"));
    add(format_args!(
        "  inet_listener pop3 {{\n    port = {pop3}\n  }}\n  inet_listener pop3s {{\n    port = 0\n  }}\n}}"
    ));
    add(format_args!("service pop3 {{\n  service_count = 0\n  process_min_avail = 4\n}}"));
    add(format_args!("service imap {{\n  service_count = 0\n  process_min_avail = 4\n}}"));
    text
}

/// Processes of other users must reach it through so many of the folders that lead to it and are ours.
pub(super) fn open_to_others(folder: &Path, ours: usize) -> Result<()> {
    for dir in folder.ancestors().take(ours) {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).context("opening the folder")?;
    }
    Ok(())
}

pub(super) fn user_id(name: &str) -> Result<u32> {
    let users = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let line = lines.find(|fields| fields.first() == Some(&name)).with_context(|| format!("no user {name}"))?;
    line.get(2).and_then(|id| id.parse().ok()).with_context(|| format!("no id of {name}"))
}

const PROGRAM: &str = "/usr/sbin/dovecot";
const CONFIG: &str = "dovecot.conf";
const NOGROUP: u32 = 65_534;
