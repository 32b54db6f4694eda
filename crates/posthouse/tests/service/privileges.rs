//! From root to somebody else.

use crate::node::{ANNA, Served};
use libtest_mimic::{Completion, Failed};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};

pub(crate) fn given_up() -> Result<Completion, Failed> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Completion::ignored_with("only root has something to give up"));
    }
    let Some((uid, gid)) = nobody() else { return Ok(Completion::ignored_with("there is no user nobody")) };
    let low = (512..1024).rev().find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let Some(low) = low else { return Ok(Completion::ignored_with("no port below 1024 is free")) };
    let folder = tempfile::tempdir()?;
    chown(folder.path(), Some(uid), Some(gid))?;
    let relay = format!("[relay]\nlisten = '127.0.0.1:{low}'");
    let mut node = Served::start_in(folder, "user = 'nobody'", &relay, &[]);

    let mut threads = 0;
    for thread in std::fs::read_dir(format!("/proc/{}/task", node.pid()))? {
        let status = std::fs::read_to_string(thread?.path().join("status"))?;
        let ids = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(ids("Uid:"), vec![uid.to_string(); 4], "real, effective, saved, of files");
        assert_eq!(ids("Gid:"), vec![gid.to_string(); 4]);
        assert_eq!((ids("Groups:"), ids("CapEff:")), (vec![], vec!["0000000000000000".to_owned()]));
        threads += 1;
    }
    assert!(threads > 3, "all threads, of which there are many");
    for made in ["data", "data/admin.sock", "data/directory/directory.redb", "data/stores/ingrid"] {
        assert_eq!(std::fs::metadata(node.folder().join(made))?.uid(), uid, "{made}");
    }
    assert_eq!(node.address("smtp").port(), low);
    let mut smtp = node.connect("smtp");
    smtp.ask("EHLO far.example", "250 ");
    smtp.ask("MAIL FROM:<>", "250 ");
    smtp.ask(&format!("RCPT TO:<{ANNA}>"), "250 ");
    assert!(!node.has_ended());
    Ok(Completion::Completed)
}

/// Its ids, from passwd(5).
fn nobody() -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let user = users.lines().find_map(|line| line.strip_prefix("nobody:"))?;
    let mut fields = user.split(':').skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// A user that the machine does not know: nothing is opened.
pub(crate) fn unknown() {
    let (success, log) = Served::refused("user = 'nobody-of-that-name'");
    assert!(!success && log.contains("this machine knows no such user"), "{log}");
}
