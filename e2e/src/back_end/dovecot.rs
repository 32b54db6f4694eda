//! The Dovecot of a back-end: its files, and its process.

use super::{IMAP, IMAPS, LMTP, LMTPS, MASTER_PASSWORD, PASSWORD, POP3, POP3S, SIEVE, SIEVES, TRUSTED, addresses};
use crate::differ::dovecot;
use crate::ports::Block;
use crate::power::run;
use crate::programs::Program;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// What a test adds to its configuration.
const MORE: &str = "more.conf";

/// Has it judge access tokens by asking about them at this URL, in which the name and the secret of the client stand that asks.
/// To be said before it is laid out.
pub(super) fn judge_tokens(folder: &Path, introspection: &str) -> Result<()> {
    let asks = format!(
        "introspection_mode = post
introspection_url = {introspection}
username_attribute = username
active_attribute = active
active_value = true
scope = mail
"
    );
    let file = folder.join("oauth2.conf.ext");
    std::fs::write(&file, asks)?;
    let judges = format!(
        "auth_mechanisms = plain login oauthbearer xoauth2
passdb {{
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = {}
}}
",
        file.display()
    );
    Ok(std::fs::write(folder.join(MORE), judges)?)
}

/// What the proxy calls the master.
pub(super) const MASTER: &str = "proxy";

pub(super) fn lay_out(folder: &Path, ports: &Block) -> Result<()> {
    let users: String = addresses().map(|address| format!("{address}:{{PLAIN}}{PASSWORD}\n")).collect();
    std::fs::write(folder.join("users"), users)?;
    std::fs::write(folder.join("masters"), format!("{MASTER}:{{PLAIN}}{MASTER_PASSWORD}\n"))?;
    let home = folder.join("home");
    std::fs::create_dir_all(&home)?;
    run(Command::new("chown").arg("nobody:nogroup").arg(&home))?;
    Ok(std::fs::write(file(folder), configuration(folder, ports))?)
}

pub(super) fn spawn(folder: &Path) -> Result<Child> {
    dovecot::spawn(&file(folder))
}

fn file(folder: &Path) -> PathBuf {
    folder.join("dovecot.conf")
}

fn configuration(folder: &Path, ports: &Block) -> String {
    let folder = folder.display();
    let port = |offset| ports.loopback(offset).port();
    let (imap, imaps, pop3, pop3s) = (port(IMAP), port(IMAPS), port(POP3), port(POP3S));
    let scripts = Program::Pigeonhole.obstacle().is_none();
    let (sieve, scripts) = if scripts { ("sieve", scripts_of(port(SIEVE), port(SIEVES))) } else { ("", String::new()) };
    let takes_mail = Program::DovecotLmtp.obstacle().is_none();
    let (lmtp, mail) = if takes_mail { ("lmtp", mail_of(port(LMTP), port(LMTPS))) } else { ("", String::new()) };
    format!(
        "base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/back.log
protocols = imap pop3 {sieve} {lmtp}
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
{scripts}{mail}!include_try {folder}/{MORE}
"
    )
}

fn mail_of(lmtp: u16, lmtps: u16) -> String {
    format!(
        "postmaster_address = postmaster@back.example
lmtp_save_to_detail_mailbox = yes
lda_mailbox_autocreate = yes
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
  inet_listener lmtps {{
    port = {lmtps}
    ssl = yes
  }}
}}
"
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
