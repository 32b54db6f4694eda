//! `posthouse selftest`: a message all the way through a running site, each hop printed.
//!
//! It speaks the protocols over plain sockets, as a stranger would, and shares nothing with the server but the words.

use crate::quickstart::{Site, SiteAccount, SiteListener};
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// `posthouse selftest`
#[derive(Debug, clap::Args)]
pub struct Selftest {
    /// The folder of a quickstart site that is running.
    #[arg(long, default_value = "posthouse-quickstart")]
    dir: PathBuf,
}

impl Selftest {
    /// Tests one account of every store, and says what happened.
    pub fn run(self) -> Result<()> {
        let file = self.dir.join("site.json");
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}; is there a quickstart site?", file.display()))?;
        let site: Site = serde_json::from_str(&text).with_context(|| format!("{} is not a site", file.display()))?;
        let mut stores: Vec<&str> = Vec::new();
        for account in &site.accounts {
            if !stores.contains(&account.store.as_str()) {
                stores.push(&account.store);
                test(&site, account).with_context(|| format!("selftest of {}", account.address))?;
            }
        }
        ensure!(!stores.is_empty(), "the site has no accounts");
        println!("all is well: {} stores", stores.len());
        Ok(())
    }
}

fn test(site: &Site, account: &SiteAccount) -> Result<()> {
    println!("{} on {}", account.address, account.store);
    let started = Instant::now();
    let id = format!("<selftest-{}-{}@{}>", std::process::id(), now_nanos(), site.domain);
    let body = format!(
        "From: selftest@{}\r\nTo: {}\r\nMessage-ID: {id}\r\nSubject: selftest\r\n\r\n.a line with a dot\r\nGr\u{fc}\u{df}e\r\n",
        site.domain, account.address
    );
    // Before a message is on its way that nobody could take out again.
    log_in(listener(site, "imap")?, account)?.say("l LOGOUT")?;
    let accepted = send(listener(site, "smtp")?, account, &body)?;
    hop("SMTP accepted", &accepted, started);
    follow(site, account, &id, &body, started).with_context(|| tidied(site, account, &id))
}

/// The message that was accepted, through all doors and out again.
fn follow(site: &Site, account: &SiteAccount, id: &str, body: &str, started: Instant) -> Result<()> {
    let read = read_by_imap(listener(site, "imap")?, account, id, body)?;
    hop("IMAP found and fetched", &read, started);
    let read = read_by_pop3(listener(site, "pop3")?, account, id, body)?;
    hop("POP3 retrieved", &read, started);
    let gone = remove_by_imap(listener(site, "imap")?, account, id)?;
    hop("IMAP expunged", &gone, started);
    Ok(())
}

/// What became of the message of a test that failed: it is taken out, or whoever reads this knows where it is.
fn tidied(site: &Site, account: &SiteAccount, id: &str) -> String {
    let removed = listener(site, "imap").and_then(|imap| remove_by_imap(imap, account, id));
    match removed {
        Ok(_) => "its message was removed again".to_owned(),
        Err(_) => format!("its message {id} stays in the INBOX of {}, or is on its way there", account.address),
    }
}

fn hop(what: &str, detail: &str, started: Instant) {
    println!("  {:>6} ms  {what}: {detail}", started.elapsed().as_millis());
}

fn listener<'s>(site: &'s Site, name: &str) -> Result<&'s SiteListener> {
    site.listeners.iter().find(|listener| listener.name == name).with_context(|| format!("the site has no {name}"))
}

fn send(at: &SiteListener, account: &SiteAccount, body: &str) -> Result<String> {
    let mut smtp = Line::connect(at)?;
    smtp.expect("220")?;
    smtp.say("EHLO selftest.invalid")?;
    smtp.last_reply("250")?;
    smtp.say("MAIL FROM:<>")?;
    smtp.last_reply("250")?;
    smtp.say(&format!("RCPT TO:<{}>", account.address))?;
    smtp.last_reply("250")?;
    smtp.say("DATA")?;
    smtp.last_reply("354")?;
    let stuffed = body.replace("\r\n.", "\r\n..");
    smtp.say(&format!("{stuffed}."))?;
    let accepted = smtp.last_reply("250")?;
    smtp.say("QUIT")?;
    Ok(accepted)
}

fn read_by_imap(at: &SiteListener, account: &SiteAccount, id: &str, body: &str) -> Result<String> {
    let (mut imap, uid) = find_by_imap(at, account, id)?;
    imap.say(&format!("f UID FETCH {uid} (RFC822.SIZE BODY.PEEK[])"))?;
    let content = imap.literal()?;
    ensure!(content.ends_with(body), "what IMAP gave is not what was sent");
    imap.tagged("f")?;
    imap.say("l LOGOUT")?;
    Ok(format!("UID {uid}, {} octets", content.len()))
}

fn remove_by_imap(at: &SiteListener, account: &SiteAccount, id: &str) -> Result<String> {
    let (mut imap, uid) = find_by_imap(at, account, id)?;
    imap.say(&format!("d UID STORE {uid} +FLAGS.SILENT (\\Deleted)"))?;
    imap.tagged("d")?;
    imap.say("e EXPUNGE")?;
    imap.tagged("e")?;
    imap.say("l LOGOUT")?;
    Ok(format!("UID {uid}"))
}

fn find_by_imap(at: &SiteListener, account: &SiteAccount, id: &str) -> Result<(Line, u32)> {
    let mut imap = log_in(at, account)?;
    imap.say("s SELECT INBOX")?;
    imap.tagged("s")?;
    imap.say(&format!("u UID SEARCH HEADER Message-ID \"{id}\""))?;
    let found = imap.tagged("u")?;
    let numbers = found.iter().find_map(|line| line.strip_prefix("* SEARCH "));
    let uid =
        numbers.and_then(|numbers| numbers.trim().parse().ok()).context("IMAP did not find exactly one message")?;
    Ok((imap, uid))
}

fn log_in(at: &SiteListener, account: &SiteAccount) -> Result<Line> {
    let SiteAccount { address, password, .. } = account;
    let mut imap = Line::connect(at)?;
    imap.expect("* OK")?;
    imap.say(&format!("a LOGIN \"{address}\" \"{password}\""))?;
    imap.tagged("a").map_err(|error| match error.to_string().contains("[AUTHENTICATIONFAILED]") {
        true => error.context(format!(
            "the password of {address} in site.json is not the account's any more: write the one it has there, or set \
             this one again by `posthouse account set {address} --password-stdin`"
        )),
        false => error,
    })?;
    Ok(imap)
}

fn read_by_pop3(at: &SiteListener, account: &SiteAccount, id: &str, body: &str) -> Result<String> {
    let mut pop3 = Line::connect(at)?;
    pop3.expect("+OK")?;
    pop3.say(&format!("USER {}", account.address))?;
    pop3.expect("+OK")?;
    pop3.say(&format!("PASS {}", account.password))?;
    pop3.expect("+OK")?;
    pop3.say("STAT")?;
    let stat = pop3.expect("+OK")?;
    let count: u32 = stat.split(' ').nth(1).and_then(|count| count.parse().ok()).context("STAT has no count")?;
    // The message is among the last: others may have come meanwhile.
    for number in (1..=count).rev().take(MESSAGES_LOOKED_AT_MAX) {
        pop3.say(&format!("RETR {number}"))?;
        pop3.expect("+OK")?;
        let content = pop3.dotted()?;
        if content.contains(id) {
            ensure!(content.ends_with(body), "what POP3 gave is not what was sent");
            pop3.say("QUIT")?;
            pop3.expect("+OK")?;
            return Ok(format!("message {number} of {count}, {} octets", content.len()));
        }
    }
    bail!("POP3 did not show the message")
}

/// A conversation in lines.
struct Line {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Line {
    fn connect(at: &SiteListener) -> Result<Self> {
        let failed = || format!("cannot connect to {} at {}:{}; is the site running?", at.name, at.host, at.port);
        let writer = TcpStream::connect((at.host.as_str(), at.port)).with_context(failed)?;
        writer.set_read_timeout(Some(WAIT))?;
        writer.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(writer.try_clone()?), writer })
    }

    fn say(&mut self, line: &str) -> Result<()> {
        self.writer.write_all(format!("{line}\r\n").as_bytes()).context("the server closed the connection")
    }

    fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        let octets = self.reader.by_ref().take(LINE_OCTETS_MAX).read_line(&mut line).context("no answer")?;
        ensure!(octets > 0, "the server closed the connection");
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn expect(&mut self, start: &str) -> Result<String> {
        let line = self.hear()?;
        ensure!(line.starts_with(start), "the server said: {line}");
        Ok(line)
    }

    /// The last line of an SMTP reply.
    fn last_reply(&mut self, code: &str) -> Result<String> {
        loop {
            let line = self.expect(code)?;
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }

    /// The untagged lines of an IMAP command that succeeds.
    fn tagged(&mut self, tag: &str) -> Result<Vec<String>> {
        let mut untagged = Vec::new();
        loop {
            let line = self.hear()?;
            if let Some(status) = line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
                ensure!(status.starts_with("OK"), "the server said: {line}");
                return Ok(untagged);
            }
            untagged.push(line);
        }
    }

    /// The literal at the end of the next line.
    fn literal(&mut self) -> Result<String> {
        let line = self.hear()?;
        let octets = line.rsplit_once('{').and_then(|(_, rest)| rest.strip_suffix('}')?.parse::<usize>().ok());
        let octets = octets.filter(|octets| *octets < 1 << 20).with_context(|| format!("no content in: {line}"))?;
        let mut content = vec![0; octets];
        self.reader.read_exact(&mut content).context("the content was cut short")?;
        Ok(String::from_utf8_lossy(&content).into_owned())
    }

    /// A multi-line answer of POP3, without its dots.
    fn dotted(&mut self) -> Result<String> {
        let mut content = String::new();
        loop {
            let line = self.hear()?;
            match line.strip_prefix('.') {
                Some("") => return Ok(content),
                Some(stuffed) => content.push_str(stuffed),
                None => content.push_str(&line),
            }
            content.push_str("\r\n");
        }
    }
}

fn now_nanos() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos())
}

/// How long the server may take to answer.
const WAIT: Duration = Duration::from_secs(20);
const LINE_OCTETS_MAX: u64 = 1 << 16;
/// From the newest on.
const MESSAGES_LOOKED_AT_MAX: usize = 20;
