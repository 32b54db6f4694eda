//! A client for IMAP, as small as the tests allow.

use crate::wire::Wire;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// A client after the greeting.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    tag: u32,
}

/// How a command ended, and what was said before.
#[derive(Debug, Clone)]
pub struct Response {
    /// OK, NO or BAD.
    pub status: String,
    /// What follows the status.
    pub text: String,
    /// The untagged responses, without `* `.
    pub untagged: Vec<Line>,
}

/// A response whose literals were taken out: each stands as `{octets}` in the text.
#[derive(Debug, Clone)]
pub struct Line {
    /// The response without its literals.
    pub text: String,
    /// The literals in their order.
    pub literals: Vec<Vec<u8>>,
}

/// A selected mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selected {
    /// How many messages it has.
    pub exists: u32,
    /// Its UIDVALIDITY.
    pub uid_validity: u32,
    /// The lowest UID that a next message may get; 0 where it is not told (RFC 3501 §6.3.1: Courier).
    pub uid_next: u32,
}

/// A message as FETCH gave it.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its UID.
    pub uid: u32,
    /// Its RFC822.SIZE.
    pub size: usize,
    /// Its flags.
    pub flags: BTreeSet<String>,
    /// All of its octets.
    pub body: Vec<u8>,
}

/// COPYUID or APPENDUID (RFC 4315 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The UIDVALIDITY of the target.
    pub uid_validity: u32,
    /// The UIDs that the copies got.
    pub uids: Vec<u32>,
}

impl Client {
    /// Connects in plain text.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        Self::greeted(Wire::connect(address)?)
    }

    /// Connects with TLS from the first octet.
    pub fn connect_tls(address: SocketAddr) -> Result<Self> {
        Self::greeted(Wire::connect(address)?.start_tls()?)
    }

    fn greeted(mut wire: Wire) -> Result<Self> {
        let greeting = wire.text()?;
        ensure!(greeting.starts_with("* OK"), "greeted with {greeting}");
        Ok(Self { wire, tag: 0 })
    }

    /// STARTTLS and the handshake.
    pub fn start_tls(mut self) -> Result<Self> {
        self.must("STARTTLS")?;
        self.resume_tls()
    }

    /// The handshake after a go-ahead that was read already.
    pub fn resume_tls(self) -> Result<Self> {
        Ok(Self { wire: self.wire.start_tls()?, tag: self.tag })
    }

    /// LOGIN.
    pub fn login(&mut self, address: &str, password: &str) -> Result<Response> {
        self.must(&format!("LOGIN {} {}", quoted(address), quoted(password)))
    }

    /// Sends a command and reads until its end.
    pub fn command(&mut self, line: &str) -> Result<Response> {
        let tag = self.send(line)?;
        self.finish(&tag)
    }

    /// A command that must end with OK.
    pub fn must(&mut self, line: &str) -> Result<Response> {
        let response = self.command(line)?;
        ensure!(response.is_ok(), "{line} was answered {} {}", response.status, response.text);
        Ok(response)
    }

    /// Sends commands in one segment; their tags.
    pub fn send_all(&mut self, lines: &[&str]) -> Result<Vec<String>> {
        let first = self.tag + 1;
        let tagged = lines.iter().map(|line| {
            self.tag += 1;
            format!("t{} {line}\r\n", self.tag)
        });
        let segment: String = tagged.collect();
        self.wire.send(segment.as_bytes())?;
        Ok((first..=self.tag).map(|tag| format!("t{tag}")).collect())
    }

    /// Goes into IDLE, does something, and waits until the server tells of it.
    pub fn idle_until(&mut self, act: impl FnOnce() -> Result<()>, told: &str) -> Result<()> {
        let tag = self.send("IDLE")?;
        let accepted = self.wire.text()?;
        ensure!(accepted.starts_with('+'), "IDLE was answered {accepted}");
        act()?;
        while self.read()?.text != told {}
        self.wire.send(b"DONE\r\n")?;
        let response = self.finish(&tag)?;
        ensure!(response.is_ok(), "IDLE ended with {} {}", response.status, response.text);
        Ok(())
    }

    /// Sends a command under a new tag, which is returned.
    pub fn send(&mut self, line: &str) -> Result<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.wire.send(format!("{tag} {line}\r\n").as_bytes())?;
        Ok(tag)
    }

    /// Reads until a tag's end.
    pub fn finish(&mut self, tag: &str) -> Result<Response> {
        let mut untagged = Vec::new();
        loop {
            let line = self.read()?;
            if let Some(text) = line.text.strip_prefix("* ") {
                untagged.push(Line { text: text.to_owned(), literals: line.literals });
            } else if let Some(end) = line.text.strip_prefix(tag) {
                let (status, text) = end.trim_start().split_once(' ').unwrap_or((end, ""));
                return Ok(Response { status: status.to_owned(), text: text.to_owned(), untagged });
            } else {
                bail!("neither untagged nor {tag}: {}", line.text);
            }
        }
    }

    /// The next response of any kind.
    pub fn read(&mut self) -> Result<Line> {
        let mut line = Line { text: self.wire.text()?, literals: Vec::new() };
        while let Some(octets) = literal_at_end(&line.text) {
            line.literals.push(self.wire.exactly(octets)?);
            line.text.push_str(&self.wire.text()?);
        }
        Ok(line)
    }

    /// The connection itself, for what a well-behaved client does not do.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// APPEND with a synchronising literal.
    pub fn append(&mut self, mailbox: &str, flags: &str, message: &[u8]) -> Result<Response> {
        let tag = self.send(&format!("APPEND {} ({flags}) {{{}}}", quoted(mailbox), message.len()))?;
        let go_ahead = self.read()?;
        if let Some(end) = go_ahead.text.strip_prefix(&tag) {
            let (status, text) = end.trim_start().split_once(' ').unwrap_or((end, ""));
            return Ok(Response { status: status.to_owned(), text: text.to_owned(), untagged: Vec::new() });
        }
        ensure!(go_ahead.text.starts_with('+'), "APPEND was answered {}", go_ahead.text);
        self.wire.send(message)?;
        self.wire.send(b"\r\n")?;
        self.finish(&tag)
    }

    /// SELECT.
    pub fn select(&mut self, mailbox: &str) -> Result<Selected> {
        self.must(&format!("SELECT {}", quoted(mailbox)))?.selected()
    }

    /// The names of all mailboxes that can be selected.
    pub fn mailboxes(&mut self) -> Result<Vec<String>> {
        let listed = self.must("LIST \"\" \"*\"")?;
        let mut names = Vec::new();
        for line in listed.untagged {
            let Some(rest) = line.text.strip_prefix("LIST ") else { continue };
            if rest.contains("\\Noselect") || rest.contains("\\NonExistent") {
                continue;
            }
            let name = match line.literals.first() {
                Some(literal) => String::from_utf8_lossy(literal).into_owned(),
                None => last_word(rest),
            };
            names.push(name);
        }
        Ok(names)
    }

    /// Every message of the selected mailbox, whole.
    pub fn fetch_all(&mut self) -> Result<Vec<Fetched>> {
        self.must("UID FETCH 1:* (UID FLAGS RFC822.SIZE BODY.PEEK[])")?.fetched()
    }

    /// Deletes every message and every mailbox but INBOX.
    pub fn clear(&mut self) -> Result<()> {
        let mut mailboxes = self.mailboxes()?;
        // The longer names first: a mailbox with others below it may not be deleted.
        mailboxes.sort_by_key(|name| std::cmp::Reverse(name.len()));
        for mailbox in mailboxes {
            let selected = self.select(&mailbox)?;
            if selected.exists > 0 {
                self.must("STORE 1:* +FLAGS.SILENT (\\Deleted)")?;
            }
            self.must("CLOSE")?;
            if !mailbox.eq_ignore_ascii_case("INBOX") {
                self.must(&format!("DELETE {}", quoted(&mailbox)))?;
            }
        }
        Ok(())
    }
}

impl Response {
    /// Whether it ended with OK.
    pub fn is_ok(&self) -> bool {
        self.status == "OK"
    }

    /// What SELECT or EXAMINE told.
    pub fn selected(&self) -> Result<Selected> {
        let number = |key: &str| self.untagged.iter().find_map(|line| number_after(&line.text, key));
        let exists = self.untagged.iter().find_map(|line| line.text.strip_suffix(" EXISTS")?.parse().ok());
        Ok(Selected {
            exists: exists.context("no EXISTS")?,
            uid_validity: number("[UIDVALIDITY ").context("no UIDVALIDITY")?,
            uid_next: number("[UIDNEXT ").unwrap_or(0),
        })
    }

    /// The messages that a FETCH with UID, FLAGS, RFC822.SIZE and one BODY gave.
    pub fn fetched(self) -> Result<Vec<Fetched>> {
        let fetched = self.untagged.into_iter().filter(|line| line.is("FETCH") && line.text.contains("RFC822.SIZE "));
        fetched.map(Fetched::read).collect()
    }

    /// The response code about assigned UIDs: in the tagged OK, or untagged, as MOVE sends it (RFC 6851 §4.3).
    pub fn assigned(&self) -> Result<Option<Assigned>> {
        let texts = self.untagged.iter().map(|line| line.text.as_str()).chain([self.text.as_str()]);
        for text in texts {
            if let Some(code) = text.split_once("[COPYUID ").or_else(|| text.split_once("[APPENDUID ")) {
                let code = code.1.split(']').next().unwrap_or_default();
                let mut words = code.split(' ');
                let uid_validity = words.next().unwrap_or_default().parse().context("a UIDVALIDITY")?;
                let uids = sequence(words.next_back().context("no UIDs in a response code")?)?;
                return Ok(Some(Assigned { uid_validity, uids }));
            }
        }
        Ok(None)
    }
}

impl Line {
    /// Whether it is `N NAME …`.
    fn is(&self, name: &str) -> bool {
        self.text.split(' ').nth(1) == Some(name)
    }
}

impl Fetched {
    fn read(line: Line) -> Result<Self> {
        let Line { text, literals } = line;
        let uid = number_after(&text, "UID ").with_context(|| format!("no UID in {text}"))?;
        let size = number_after(&text, "RFC822.SIZE ").with_context(|| format!("no RFC822.SIZE in {text}"))?;
        let flags =
            text.split_once("FLAGS (").and_then(|(_, rest)| rest.split_once(')')).map_or("", |(flags, _)| flags);
        let flags = flags.split_whitespace().map(str::to_owned).collect();
        let body = literals.into_iter().next().with_context(|| format!("no literal in {text}"))?;
        Ok(Self { uid, size: usize::try_from(size)?, flags, body })
    }
}

/// `1:3,7` as numbers.
pub fn sequence(text: &str) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse()?, last.parse()?);
        numbers.extend(first.min(last)..=first.max(last));
    }
    Ok(numbers)
}

/// A quoted string (RFC 9051 §4.3).
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn number_after(text: &str, key: &str) -> Option<u32> {
    let (_, rest) = text.split_once(key)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

fn literal_at_end(text: &str) -> Option<usize> {
    let (_, octets) = text.strip_suffix('}')?.rsplit_once('{')?;
    octets.parse().ok()
}

fn last_word(text: &str) -> String {
    match text.strip_suffix('"').and_then(|rest| rest.rsplit_once(" \"")) {
        Some((_, name)) => name.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => text.rsplit(' ').next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read() {
        let line = |text: &str| Line { text: text.to_owned(), literals: Vec::new() };
        let moved = Response {
            status: "OK".into(),
            text: "done".into(),
            untagged: vec![line("OK [COPYUID 7 1:2,9 4:5,6] moved"), line("1 EXPUNGE")],
        };
        assert_eq!(moved.assigned().unwrap(), Some(Assigned { uid_validity: 7, uids: vec![4, 5, 6] }));
        assert_eq!(last_word(r#"(\HasNoChildren) "/" "a b""#), "a b");
        assert_eq!(last_word(r#"() "/" INBOX"#), "INBOX");
        assert_eq!(literal_at_end("* 1 FETCH (BODY[] {12}"), Some(12));
        let fetched = Line {
            text: "1 FETCH (UID 5 FLAGS (\\Seen a) RFC822.SIZE 2 BODY[] {2})".into(),
            literals: vec![b"ab".to_vec()],
        };
        let fetched = Fetched::read(fetched).unwrap();
        assert_eq!((fetched.uid, fetched.size, fetched.flags.len(), fetched.body.len()), (5, 2, 2, 2));
    }
}
