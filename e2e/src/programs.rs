//! The programs that people use: found on PATH, else installed from Debian's packages, else named as missing.
//!
//! As root on Debian, apt-get installs them. As another user on Debian, packages are unpacked into
//! `target/e2e-programs`, and what runs from there is used. `POSTHOUSE_E2E_INSTALL=no` forbids both.

use crate::power::run;
use crate::site::target_folder;
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// A program that a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Sends mail.
    Swaks,
    /// Speaks SMTP, IMAP and POP3, each in its own way.
    Curl,
    /// Synchronises a Maildir over IMAP; Debian's package is called isync.
    Mbsync,
    /// Fetches mail over IMAP and POP3.
    Fetchmail,
    /// imaplib and poplib.
    Python,
    /// Shows certificates.
    Openssl,
    /// Makes and stops XFS.
    Xfs,
    /// Another IMAP server, whose answers ours are compared with.
    Dovecot,
    /// Its part for scripts.
    Pigeonhole,
    /// Its part that takes mail.
    DovecotLmtp,
    /// Synchronises a Maildir over IMAP, in its own way.
    OfflineImap,
    /// Reads mail in a terminal.
    Mutt,
    /// Fetches mail over IMAP.
    Getmail,
    /// Fetches Python's libraries.
    Pip,
    /// A mail server, which sends to ours.
    Postfix,
    /// Logs in by any mechanism of SASL.
    Gsasl,
    /// Tries a filter of fail2ban on a log.
    Fail2ban,
    /// Moves an address to a machine that lives.
    Keepalived,
}

impl Program {
    const ALL: [Program; 18] = [
        Program::Swaks,
        Program::Curl,
        Program::Mbsync,
        Program::Fetchmail,
        Program::Python,
        Program::Openssl,
        Program::Xfs,
        Program::Dovecot,
        Program::Pigeonhole,
        Program::DovecotLmtp,
        Program::OfflineImap,
        Program::Mutt,
        Program::Getmail,
        Program::Pip,
        Program::Postfix,
        Program::Fail2ban,
        Program::Keepalived,
        Program::Gsasl,
    ];

    /// What is typed.
    pub fn name(self) -> &'static str {
        match self {
            Program::Swaks => "swaks",
            Program::Curl => "curl",
            Program::Mbsync => "mbsync",
            Program::Fetchmail => "fetchmail",
            Program::Python => "python3",
            Program::Openssl => "openssl",
            Program::Xfs => "xfs_io",
            Program::Dovecot | Program::Pigeonhole | Program::DovecotLmtp => "dovecot",
            Program::OfflineImap => "offlineimap",
            Program::Mutt => "mutt",
            Program::Getmail => "getmail",
            Program::Pip => "pip3",
            Program::Postfix => "postfix",
            Program::Fail2ban => "fail2ban-regex",
            Program::Keepalived => "keepalived",
            Program::Gsasl => "gsasl",
        }
    }

    /// Debian's packages: swaks needs Net::SSLeay for TLS, which it only suggests.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Program::Swaks => &["swaks", "libnet-ssleay-perl", "perl"],
            Program::Curl => &["curl"],
            Program::Mbsync => &["isync"],
            Program::Fetchmail => &["fetchmail"],
            Program::Python => &["python3"],
            Program::Openssl => &["openssl"],
            Program::Xfs => &["xfsprogs"],
            Program::Dovecot => &["dovecot-imapd", "dovecot-pop3d"],
            Program::Pigeonhole => &["dovecot-managesieved", "dovecot-sieve"],
            Program::DovecotLmtp => &["dovecot-lmtpd"],
            Program::OfflineImap => &["offlineimap3"],
            Program::Mutt => &["mutt"],
            Program::Getmail => &["getmail6"],
            Program::Pip => &["python3-pip"],
            Program::Postfix => &["postfix"],
            Program::Fail2ban => &["fail2ban"],
            Program::Keepalived => &["keepalived"],
            Program::Gsasl => &["gsasl"],
        }
    }

    /// A call that shows that it runs.
    fn probe(self) -> Command {
        // postfix itself does nothing without a configuration.
        let mut command = Command::new(if self == Program::Postfix { "postconf" } else { self.name() });
        command.env("PATH", path()).arg(match self {
            Program::Postfix => "-d",
            Program::Xfs | Program::Fetchmail => "-V",
            Program::Openssl => "version",
            Program::Mutt => "-v",
            Program::Swaks
            | Program::Curl
            | Program::Mbsync
            | Program::Python
            | Program::Dovecot
            | Program::Pigeonhole
            | Program::DovecotLmtp
            | Program::OfflineImap
            | Program::Getmail
            | Program::Fail2ban
            | Program::Keepalived
            | Program::Gsasl
            | Program::Pip => "--version",
        });
        // fetchmail -V reads a configuration and fails without one.
        if self == Program::Fetchmail {
            command.args(["-f", "/dev/null"]);
        }
        command
    }

    /// Why it cannot be used here, where it cannot. The first who asks installs what is missing.
    pub fn obstacle(self) -> Option<String> {
        static ASKING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
        if self.runs() {
            return None;
        }
        let installed = install_missing();
        if self.runs() {
            return None;
        }
        let why = installed.err().unwrap_or_else(|| "it does not run after its installation".to_owned());
        Some(format!("no {}: {why}", self.name()))
    }

    fn runs(self) -> bool {
        let probe = self.probe().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        // fetchmail's exit code tells whether there was mail, not whether it runs.
        probe.is_ok_and(|status| status.success() || self == Program::Fetchmail) && self.has_what_it_suggests()
    }

    /// swaks runs without Net::SSLeay, which its package only suggests, and then knows no TLS. Dovecot has a package for each
    /// protocol.
    fn has_what_it_suggests(self) -> bool {
        if self == Program::Dovecot {
            return Path::new("/usr/lib/dovecot/pop3-login").exists();
        }
        if self == Program::Pigeonhole {
            return Path::new("/usr/lib/dovecot/managesieve-login").exists();
        }
        if self == Program::DovecotLmtp {
            return Path::new("/usr/lib/dovecot/lmtp").exists();
        }
        if self != Program::Swaks {
            return true;
        }
        let mut perl = Command::new("perl");
        perl.env("PATH", path()).args(["-MNet::SSLeay", "-e", "1"]);
        let status = perl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// A call of it, to which arguments are added.
    pub fn command(self) -> Command {
        let mut command = Command::new(self.name());
        command.env("PATH", path()).stdin(Stdio::null());
        command
    }

    /// A call of a program that comes with it.
    pub(crate) fn companion(self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("PATH", path()).stdin(Stdio::null());
        command
    }

    /// The same as what another program, which is `around` it, is told to call.
    pub(crate) fn command_within(self, mut around: Command) -> Command {
        around.env("PATH", path()).stdin(Stdio::null()).arg(self.name());
        around
    }
}

/// PATH, our own folder of unpacked packages and the system's administration programs behind it.
fn path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = cache_folder().ok().map(|folder| folder.join("usr/bin"));
    for folder in unpacked.iter().map(PathBuf::as_path).chain([Path::new("/usr/sbin"), Path::new("/sbin")]) {
        path.push(":");
        path.push(folder);
    }
    path
}

/// Once in the life of this process: everything that is missing, in one go.
fn install_missing() -> Result<(), String> {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    INSTALLED.get_or_init(|| install().map_err(|error| format!("{error:#}"))).clone()
}

/// Fails where nothing may be installed.
pub(crate) fn ensure_may_install() -> Result<()> {
    let is_allowed = std::env::var_os("POSTHOUSE_E2E_INSTALL").is_none_or(|word| word != "no");
    ensure!(is_allowed, "installing is forbidden");
    Ok(())
}

fn install() -> Result<()> {
    ensure_may_install()?;
    ensure!(Path::new("/etc/debian_version").exists(), "this is not Debian");
    let missing: Vec<Program> = Program::ALL.into_iter().filter(|program| !program.runs()).collect();
    let packages: Vec<&str> = missing.iter().flat_map(|program| program.packages().iter().copied()).collect();
    if !rustix::process::geteuid().is_root() {
        return unpack(&packages);
    }
    run(apt_get().args(["-q", "update"]))?;
    answer_postfix()?;
    if install_packages(&packages).is_ok() {
        return Ok(());
    }
    // One that cannot be had must not keep away the others.
    let failures = missing.iter().filter_map(|program| install_packages(program.packages()).err());
    let failures: Vec<String> = failures.map(|error| format!("{error:#}")).collect();
    ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(())
}

/// Nothing that is there goes away for it: another mail server would, for Postfix.
fn install_packages(packages: &[&str]) -> Result<()> {
    run(apt_get().args(["-q", "install", "-y", "--no-install-recommends", "--no-remove"]).args(packages))
}

/// The package of Postfix asks what kind of mail server this machine shall be: none, so that it never starts by itself.
fn answer_postfix() -> Result<()> {
    if Program::Postfix.runs() {
        return Ok(());
    }
    let answer = "echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections";
    run(Command::new("sh").args(["-c", answer]))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // RUNLEVEL: a package that brings a service must not start it.
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").stdin(Stdio::null());
    command
}

/// Downloads packages and unpacks them into our own folder.
fn unpack(packages: &[&str]) -> Result<()> {
    let folder = cache_folder()?;
    std::fs::create_dir_all(&folder)?;
    run(apt_get().args(["-q", "download"]).args(packages).current_dir(&folder))?;
    for entry in folder.read_dir()? {
        let archive = entry?.path();
        if archive.extension().is_some_and(|ending| ending == "deb") {
            run(Command::new("dpkg").arg("-x").arg(&archive).arg(&folder))?;
        }
    }
    Ok(())
}

/// Where what was fetched is kept from one run to the next.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    Ok(target_folder()?.join("e2e-programs"))
}

/// Runs a program that must succeed and gives what it printed; what it complained about is in the error.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{program} ended with {}\n{}\n{}", output.status, last(&told), last(&complaint));
    }
    Ok(output.stdout)
}

/// The end of a long text.
fn last(text: &str) -> &str {
    let start = text.len().saturating_sub(TAIL_OCTETS);
    let start = (start..text.len()).find(|&place| text.is_char_boundary(place)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default().trim()
}

const TAIL_OCTETS: usize = 6000;
