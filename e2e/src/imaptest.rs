//! ImapTest against Posthouse: many clients of one account, each of which checks what it is told.
//!
//! The program is not Debian's; `docs/imap-differences.md` says how it is built. It is looked for in
//! `POSTHOUSE_IMAPTEST`, else on PATH.

use crate::letter::Letter;
use crate::site::{Account, Site};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

/// What it had to say.
#[derive(Debug)]
pub struct Report {
    /// Complaints that are no liberty of ours.
    pub faults: Vec<String>,
    /// How often a command that named expunged messages was answered NO, as RFC 2180 §4 lets us.
    pub expunged: usize,
    /// How many commands of each kind there were, as it prints it last.
    pub summary: String,
}

/// Runs it for so many seconds.
pub fn run(site: &Site, account: &Account, folder: &Path, seconds: u64, seed: u64) -> Result<Report> {
    let mbox = folder.join("letters.mbox");
    std::fs::write(&mbox, letters())?;
    let address = site.address("imap")?;
    let program = std::env::var_os("POSTHOUSE_IMAPTEST").unwrap_or_else(|| "imaptest".into());
    let output = Command::new(&program)
        .arg(format!("host={}", address.ip()))
        .arg(format!("port={}", address.port()))
        .arg(format!("user={}", account.address))
        .arg(format!("pass={}", account.password))
        .arg(format!("mbox={}", mbox.display()))
        .arg(format!("secs={seconds}"))
        .arg(format!("seed={seed}"))
        .args(["clients=20", "msgs=40"])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    ensure!(text.contains("Logi"), "imaptest did not begin: {text}");
    let (expunged, faults): (Vec<&str>, Vec<&str>) =
        text.lines().filter(|line| is_complaint(line)).partition(|line| line.contains("NO [EXPUNGEISSUED]"));
    let is_count = |line: &&str| !line.is_empty() && line.split_whitespace().all(|word| word.parse::<u64>().is_ok());
    let summary = text.lines().rfind(is_count);
    Ok(Report {
        faults: faults.into_iter().map(str::to_owned).collect(),
        expunged: expunged.len(),
        summary: summary.unwrap_or_default().to_owned(),
    })
}

fn is_complaint(line: &str) -> bool {
    ["Error: ", "Panic: ", "Fatal: "].iter().any(|word| line.starts_with(word))
}

/// What its clients append.
fn letters() -> Vec<u8> {
    let mut mbox = Vec::new();
    for number in 0..8_usize {
        mbox.extend_from_slice(b"From sender@far.example Mon Feb  7 21:52:25 1994\n");
        let letter = Letter::new(&format!("{number}@imaptest"), 300 << number).bytes;
        mbox.extend(letter.into_iter().filter(|&octet| octet != b'\r'));
        mbox.push(b'\n');
    }
    mbox
}
