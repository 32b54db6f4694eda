//! The Courier of a back-end: Maildirs, and users in a file of its own. Its programs look for their files below /etc/courier and
//! /run/courier, which in its mount namespace are ours.

use super::unpacked::Unpacked;
use super::{IMAP, IMAPS, PASSWORD, POP3, POP3S, addresses};
use crate::ports::Block;
use crate::power::run;
use crate::programs::{Program, output};
use anyhow::{Context, Result, ensure};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(super) fn lay_out(folder: &Path, ports: &Block) -> Result<()> {
    let home = folder.join("courier");
    let etc = home.join("etc");
    for part in ["etc/courier", "run/courier/authdaemon", "mail"] {
        std::fs::create_dir_all(home.join(part))?;
    }
    copy_system_files(&etc)?;
    std::fs::write(etc.join("courier/authdaemonrc"), "authmodulelist=\"authuserdb\"\ndaemons=2\n")?;
    // Both in one file.
    let certified = [std::fs::read(folder.join("back.pem"))?, std::fs::read(folder.join("back.key"))?].concat();
    std::fs::write(etc.join("courier/server.pem"), certified)?;
    write_users(&home, &etc.join("courier"))?;
    std::fs::write(folder.join("courier.sh"), commands(ports))?;
    Ok(())
}

pub(super) fn spawn(folder: &Path) -> Result<Child> {
    Unpacked::Courier.spawn(
        folder,
        "mount --bind \"$1/courier/etc\" /etc\nmount --bind \"$1/courier/run\" /run\n. \"$1/courier.sh\"\n",
    )
}

/// What programs of any kind read there. couriertls becomes the user `courier`, who comes with an installed package.
fn copy_system_files(etc: &Path) -> Result<()> {
    for name in ["group", "nsswitch.conf", "ld.so.cache", "hosts"] {
        let file = Path::new("/etc").join(name);
        if file.exists() {
            std::fs::copy(file, etc.join(name))?;
        }
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let courier = "courier:x:65534:65534::/nonexistent:/usr/sbin/nologin\n";
    Ok(std::fs::write(etc.join("passwd"), format!("{users}{courier}"))?)
}

fn write_users(home: &Path, into: &Path) -> Result<()> {
    let mut openssl = Program::Openssl.command();
    let hash = String::from_utf8(output(openssl.args(["passwd", "-6", PASSWORD]))?)?;
    let (mut users, mut passwords) = (String::new(), String::new());
    for address in addresses() {
        let folder = home.join("mail").join(&address);
        std::fs::create_dir_all(&folder)?;
        run(Unpacked::Courier.command("usr/bin/maildirmake.courier")?.arg(folder.join("Maildir")))?;
        let folder = folder.display();
        users.push_str(&format!("{address}\tuid=65534|gid=65534|home={folder}|mail={folder}/Maildir\n"));
        passwords.push_str(&format!("{address}\tsystempw={}\n", hash.trim()));
    }
    run(Command::new("chown").args(["-R", "nobody:nogroup"]).arg(home.join("mail")))?;
    make_database(&users, &into.join("userdb.dat"))?;
    make_database(&passwords, &into.join("userdbshadow.dat"))
}

/// What Courier's `makeuserdb` does, whose paths are fixed.
fn make_database(lines: &str, file: &Path) -> Result<()> {
    let mut command = Unpacked::Courier.command("usr/lib/courier/courier-authlib/makedatprog")?;
    command.arg("-").arg(file.with_extension("new")).arg(file);
    let mut child = command.stdin(Stdio::piped()).spawn().context("cannot run makedatprog")?;
    let mut stdin = child.stdin.take().context("no way to tell it the lines")?;
    stdin.write_all(format!("{lines}.\n").as_bytes())?;
    drop(stdin);
    ensure!(child.wait()?.success(), "makedatprog does not take {lines:?}");
    Ok(())
}

/// As the files that Debian installs would have it started, without waiting after a wrong password of POP3.
fn commands(ports: &Block) -> String {
    let mut script = ENVIRONMENT.to_owned();
    for (offset, before, service) in [
        (IMAP, "", "\"$own/imaplogin\" \"$usr/bin/imapd\""),
        (IMAPS, "IMAP_TLS=1", "\"$COURIERTLS\" -server -tcpd \"$own/imaplogin\" \"$usr/bin/imapd\""),
        (POP3, "", "\"$own/courierpop3login\" \"$own/courierpop3d\""),
        (POP3S, "POP3_TLS=1", "\"$COURIERTLS\" -server -tcpd \"$own/courierpop3login\" \"$own/courierpop3d\""),
    ] {
        let port = ports.loopback(offset).port();
        script.push_str(&format!(
            "{before} \"$usr/sbin/couriertcpd\" -address=127.0.0.1 -maxprocs=40 -maxperip=40 -nodnslookup \
             -noidentlookup {port} {service} Maildir &\n"
        ));
    }
    script.push_str("wait\n");
    script
}

const ENVIRONMENT: &str = r#"set -a
usr="$1/programs/usr"
own="$usr/lib/courier/courier"
offered="IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"
IMAP_CAPABILITY="$offered"
IMAP_CAPABILITY_TLS="$offered AUTH=PLAIN"
IMAP_KEYWORDS=1
IMAP_ACL=1
IMAP_USELOCKS=1
IMAP_IDLE_TIMEOUT=60
IMAP_ENHANCEDIDLE=0
IMAP_CHECK_ALL_FOLDERS=0
IMAP_OBSOLETE_CLIENT=0
IMAP_DISABLETHREADSORT=0
IMAP_MAILBOX_SANITY_CHECK=1
IMAP_PROXY=0
IMAP_TRASHFOLDERNAME=Trash
IMAP_EMPTYTRASH=Trash:7
IMAP_MOVE_EXPUNGE_TO_TRASH=0
IMAP_STARTTLS=YES
IMAP_TLS_REQUIRED=0
POP3AUTH=
POP3AUTH_TLS="PLAIN LOGIN"
POP3_STARTTLS=YES
POP3_TLS_REQUIRED=0
COURIERTLS="$usr/bin/couriertls"
TLS_CERTFILE=/etc/courier/server.pem
TLS_TRUSTCERTS=/dev/null
TLS_VERIFYPEER=NONE
authmodulelist=authuserdb
daemons=2
authdaemonvar=/run/courier/authdaemon
"$usr/lib/courier/courier-authlib/authdaemond" &
"#;
