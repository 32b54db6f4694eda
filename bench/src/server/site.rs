//! A relay in front of two stores.
//!
//! ```text
//!   SMTP ─▶ Posthouse: front ── cluster LMTP (TLS) ─▶ n-one, n-two     or all three in one process
//!   SMTP ─▶ Postfix: its queue ── LMTP ─▶ two Dovecots
//! ```

use super::nodes::{one_process, three_nodes};
use super::process::Process;
use super::{Hash, Kind, dovecot, postfix, user};
use crate::imap::Client;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One that runs. Account n has its mailbox in store n modulo two.
pub(crate) struct Site {
    processes: Vec<Process>,
    /// Where the relay takes mail.
    pub(crate) smtp: SocketAddr,
    /// Where the accounts of each store log in.
    imaps: Vec<SocketAddr>,
    /// The relay's log, where the relay's `250` is not the end.
    log: Option<Sent<File>>,
    folder: PathBuf,
}

/// How Posthouse is spread; its peer always has processes of its own for everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    ThreeNodes,
    OneProcess,
}

impl Site {
    /// Whether one can run here.
    pub(crate) fn available(kind: &Kind) -> Result<()> {
        match kind {
            Kind::Posthouse(_) => Ok(()),
            Kind::Dovecot => postfix::find(),
        }
    }

    /// Starts it and waits until it answers.
    pub(crate) async fn start(kind: &Kind, shape: Shape, base: &Path, accounts: usize) -> Result<Self> {
        let folder = base.join(format!("site-{shape:?}-{}", kind.name()).to_lowercase());
        std::fs::create_dir_all(&folder).context("making the folder of a site")?;
        match kind {
            Kind::Posthouse(program) => {
                let stored = Hash::Plain.of_password()?;
                let nodes = match shape {
                    Shape::ThreeNodes => three_nodes(program, &folder, accounts, &stored).await?,
                    Shape::OneProcess => one_process(program, &folder, accounts, &stored).await?,
                };
                Ok(Self { processes: nodes.processes, smtp: nodes.smtp, imaps: vec![nodes.imap], log: None, folder })
            }
            Kind::Dovecot => Self::peers(kind, folder, accounts).await,
        }
    }

    async fn peers(kind: &Kind, folder: PathBuf, accounts: usize) -> Result<Self> {
        dovecot::open_to_others(&folder, 2)?;
        let (mut processes, mut lmtps, mut imaps) = (Vec::new(), Vec::new(), Vec::new());
        for store in ["one", "two"] {
            let server = kind.start_in(folder.join(store), accounts, Hash::Plain).await?;
            lmtps.push(server.lmtp);
            imaps.push(server.imap);
            processes.push(server.process);
        }
        let relay = folder.join("postfix");
        std::fs::create_dir_all(&relay).context("making Postfix's folder")?;
        let (process, smtp) = postfix::start(&relay, &lmtps, accounts)?;
        // It is ended first: its queue is then not for nobody.
        processes.insert(0, process);
        let log = File::open(relay.join("log")).context("opening Postfix's log")?;
        Ok(Self { processes, smtp, imaps, log: Some(Sent::of(log)), folder })
    }

    /// CPU time used so far, by all its processes.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut sum = Duration::ZERO;
        for process in &self.processes {
            sum += process.cpu()?;
        }
        Ok(sum)
    }

    /// Waits until so many deliveries since the start are in their mailboxes. Where the relay's `250` says that, it has been.
    pub(crate) async fn settle(&mut self, deliveries: usize) -> Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let deadline = Instant::now() + SETTLE_WAIT;
        while log.read()? < deliveries {
            if Instant::now() > deadline {
                bail!("{} of {deliveries} deliveries came to a mailbox", log.count);
            }
            tokio::time::sleep(SETTLE_INTERVAL).await;
        }
        Ok(())
    }

    /// How many messages are in the mailboxes, asked of the stores themselves.
    pub(crate) async fn stored(&self, accounts: usize) -> Result<usize> {
        let mut sum = 0;
        for number in 0..accounts {
            let imap = self.imaps.get(number % self.imaps.len().max(1)).context("a site has stores")?;
            sum += Client::login(*imap, &user(number)).await?.messages().await?;
        }
        Ok(sum)
    }

    /// Ends it and removes its mail.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.processes.iter_mut().try_for_each(Process::end)?;
        std::fs::remove_dir_all(&self.folder).context("removing the folder of a site")
    }
}

/// The deliveries in Postfix's log: it writes a line for each recipient when it has the store's `250`.
struct Sent<L> {
    log: L,
    /// The last, unfinished line.
    rest: Vec<u8>,
    count: usize,
}

impl<L: Read> Sent<L> {
    fn of(log: L) -> Self {
        Self { log, rest: Vec::new(), count: 0 }
    }

    /// Reads what was written since; how many there were from the beginning.
    fn read(&mut self) -> Result<usize> {
        self.log.read_to_end(&mut self.rest).context("reading Postfix's log")?;
        let whole = self.rest.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
        let text: Vec<u8> = self.rest.drain(..whole).collect();
        for line in String::from_utf8_lossy(&text).lines().filter(|line| line.contains(" status=")) {
            if !line.contains(" status=sent ") {
                bail!("Postfix did not deliver: {line}");
            }
            self.count += 1;
        }
        Ok(self.count)
    }
}

/// How long a queue may take to empty.
const SETTLE_WAIT: Duration = Duration::from_secs(120);
const SETTLE_INTERVAL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn a_delivery_counts_when_its_line_is_whole() {
        let mut sent = Sent::of(VecDeque::new());
        let line =
            "Nov 27 20:05:07 mx postfix/lmtp[7]: 4B1: to=<u1@bench.example>, dsn=2.0.0, status=sent (250 2.0.0 Saved)";
        sent.log.extend(b"Nov 27 20:05:07 mx postfix/qmgr[8]: 4B1: from=<load@far.example>, nrcpt=1\n");
        sent.log.extend(format!("{line}\n{line}").as_bytes());
        assert_eq!(sent.read().expect("lines"), 1);
        sent.log.extend(b"\n");
        assert_eq!(sent.read().expect("lines"), 2);
        assert_eq!(sent.read().expect("nothing"), 2);
        sent.log.extend(line.replace("sent", "deferred").as_bytes());
        sent.log.extend(b"\n");
        assert!(sent.read().expect_err("put off").to_string().contains("status=deferred"));
    }
}
