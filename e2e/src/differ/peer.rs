//! One client of one server: what it sends, what it hears, and what it knows of its mailbox by now.

use super::facts::{Facts, Heard, flag_words};
use super::memory::Kept;
use super::value::Value;
use crate::wire::Wire;
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// Where a client logs in.
#[derive(Debug, Clone)]
pub struct Door {
    /// The server.
    pub address: SocketAddr,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: String,
}

/// A client that has logged in.
#[derive(Debug)]
pub struct Peer {
    wire: Wire,
    tag: u32,
    /// The UID of every message of the open mailbox, where it is known; none without a mailbox.
    pub(super) view: Option<Vec<Option<u32>>>,
    /// The flags of each UID, as far as they were told.
    pub(super) flags: BTreeMap<u32, BTreeSet<String>>,
    /// The highest MODSEQ that a SELECT or a FETCH of all told: what `%M` stands for in commands.
    pub(super) modseq: u64,
    /// The highest MODSEQ of the open mailbox that was told in any way.
    pub(super) highest: u64,
    /// UIDVALIDITY of the mailbox that was opened last.
    pub(super) validity: u32,
    /// The open mailbox.
    pub(super) opened: Option<String>,
    /// Whether it may change the open mailbox.
    pub(super) writes: bool,
    /// What it keeps of mailboxes.
    pub(super) kept: BTreeMap<String, Kept>,
    /// Ranges of UIDs of which VANISHED (EARLIER) told.
    pub(super) earlier: Vec<(u32, u32)>,
    /// Whether VANISHED takes the place of EXPUNGE.
    pub(super) qresync: bool,
    /// Whether EXISTS was told since somebody last asked.
    pub(super) heard_exists: bool,
    pub(super) closed: bool,
}

impl Peer {
    /// Connects and logs in.
    pub fn log_in(door: &Door) -> Result<Self> {
        let mut wire = Wire::connect(door.address)?;
        wire.set_wait(ANSWER_MAX)?;
        let greeting = wire.text()?;
        ensure!(greeting.starts_with("* OK"), "greeted with {greeting}");
        let mut peer = Self {
            wire,
            tag: 0,
            view: None,
            flags: BTreeMap::new(),
            modseq: 1,
            highest: 0,
            validity: 0,
            opened: None,
            writes: false,
            kept: BTreeMap::new(),
            earlier: Vec::new(),
            qresync: false,
            heard_exists: false,
            closed: false,
        };
        let heard = peer.exchange(format!("LOGIN \"{}\" \"{}\"", door.user, door.password).as_bytes())?;
        ensure!(heard.status == "OK", "LOGIN was answered {}", heard.status);
        // So that Dovecot, too, counts MODSEQs from the start.
        peer.exchange(b"ENABLE CONDSTORE")?;
        Ok(peer)
    }

    /// Sends a command, whose literals must be of the kind that waits for nothing, and reads all of the answer.
    pub fn exchange(&mut self, command: &[u8]) -> Result<Heard> {
        if self.closed {
            return Ok(Heard::closed());
        }
        let command = self.filled_in(command);
        let mut facts = Facts::of(&command);
        self.before(&facts);
        let tag = self.send_tagged(&command);
        let status = self.until_tagged(&tag, &mut facts)?;
        self.after(&command, &facts, &status);
        Ok(facts.heard(status))
    }

    /// Sends a command; gives its tag. That it cannot be sent is met again by who reads the answer.
    pub(super) fn send_tagged(&mut self, command: &[u8]) -> String {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.send_line(&[tag.as_bytes(), b" ", command].concat());
        tag
    }

    pub(super) fn send_line(&mut self, line: &[u8]) -> bool {
        self.closed |= self.wire.send(&[line, b"\r\n"].concat()).is_err();
        !self.closed
    }

    /// Reads up to the tagged reply; gives OK, NO, BAD, or `closed`.
    pub(super) fn until_tagged(&mut self, tag: &str, facts: &mut Facts) -> Result<String> {
        while !self.closed {
            match self.response()? {
                None => self.closed = true,
                Some(response) => {
                    if let Some(status) = self.take(tag, &response, facts) {
                        return Ok(status);
                    }
                }
            }
        }
        Ok("closed".to_owned())
    }

    /// Takes a response; gives the status of the tagged reply.
    pub(super) fn take(&mut self, tag: &str, response: &[u8], facts: &mut Facts) -> Option<String> {
        if let Some(rest) = response.strip_prefix(b"* ") {
            facts.untagged(self, rest);
        } else if let Some(rest) = response.strip_prefix(format!("{tag} ").as_bytes()) {
            return Some(facts.tagged(self, rest));
        } else if !response.starts_with(b"+") {
            facts.violation(format!("neither untagged nor {tag}: {}", response.escape_ascii()));
        }
        None
    }

    /// Hears the news, and learns the UIDs of what is new.
    pub fn sync(&mut self) -> Result<Heard> {
        let mut heard = self.exchange(b"NOOP")?;
        if self.view.as_ref().is_some_and(|view| view.iter().any(Option::is_none)) {
            let found = self.exchange(b"UID SEARCH ALL")?;
            let uids: Vec<u32> = found.numbers("SEARCH");
            let view = self.view.get_or_insert_default();
            if uids.len() == view.len() {
                *view = uids.into_iter().map(Some).collect();
            } else {
                heard.say("VIOLATION", format!("{} messages, but UID SEARCH ALL gives {uids:?}", view.len()));
            }
        }
        let view = self.view.as_ref().map(|view| view.iter().copied().flatten().collect::<Vec<u32>>());
        heard.say("view", format!("{view:?}"));
        Ok(heard)
    }

    /// The UID of a sequence number.
    pub(super) fn uid_of(&self, number: usize) -> Option<u32> {
        self.view.as_ref()?.get(number.checked_sub(1)?).copied().flatten()
    }

    /// A response, literals in their places; none at the end of the connection.
    pub(super) fn response(&mut self) -> Result<Option<Vec<u8>>> {
        // The end of the connection, or no answer in time: both are compared.
        let Ok(mut response) = self.wire.line() else { return Ok(None) };
        while let Some(octets) = literal_at_end(&response) {
            response.extend_from_slice(b"\r\n");
            response.extend(self.wire.exactly(octets).context("a literal")?);
            response.extend(self.wire.line()?);
        }
        Ok(Some(response))
    }

    fn filled_in(&self, command: &[u8]) -> Vec<u8> {
        match String::from_utf8(command.to_vec()) {
            Ok(text) if text.contains("%M") || text.contains("%N") => text
                .replace("%M", &self.modseq.to_string())
                .replace("%N", &self.modseq.saturating_add(1).to_string())
                .into_bytes(),
            Ok(_) | Err(_) => command.to_vec(),
        }
    }

    /// A command that opens a mailbox closes the one before, whatever becomes of it.
    fn before(&mut self, facts: &Facts) {
        if facts.opens() {
            self.view = None;
            self.flags.clear();
        }
        // What a client changed silently it knows by itself; a server need not tell it.
        if facts.stores_silently() {
            self.flags.clear();
        }
    }

    fn after(&mut self, command: &[u8], facts: &Facts, status: &str) {
        let fails_to_open = facts.opens() && status != "OK";
        if fails_to_open || (facts.closes() && status == "OK") {
            self.view = None;
            self.opened = None;
            self.flags.clear();
        } else if facts.opens() {
            self.opened = mailbox_named(command);
            self.writes = facts.opens_to_write();
        }
        if status == "OK" && facts.compresses() {
            self.wire.compress();
        }
        self.qresync |= status == "OK" && facts.enables_qresync();
    }

    pub(super) fn exists(&mut self, count: usize, facts: &mut Facts) {
        self.heard_exists = true;
        if facts.opens() || self.view.is_some() {
            let view = self.view.get_or_insert_default();
            if count < view.len() {
                facts.violation(format!("{count} EXISTS after {} without EXPUNGE", view.len()));
            }
            view.resize(count, None);
        } else {
            facts.violation("EXISTS without a mailbox".to_owned());
        }
    }

    pub(super) fn expunged(&mut self, number: usize, facts: &mut Facts) {
        // RFC 9051 §7.5.1: not during FETCH, STORE or SEARCH by number.
        if facts.keeps_numbers() {
            facts.violation("EXPUNGE during a command by number".to_owned());
        }
        // RFC 7162 §3.2.10.
        if self.qresync {
            facts.violation("EXPUNGE in place of VANISHED".to_owned());
        }
        let uid = self.uid_of(number);
        match &mut self.view {
            Some(view) if (1..=view.len()).contains(&number) => {
                view.remove(number - 1);
            }
            Some(_) | None => facts.violation(format!("{number} EXPUNGE of no message")),
        }
        if let Some(uid) = uid {
            self.flags.remove(&uid);
        }
    }

    /// VANISHED, of messages of the view (RFC 7162 §3.2.10.2).
    pub(super) fn vanished(&mut self, ranges: &[(u32, u32)], facts: &mut Facts) {
        if facts.keeps_numbers() {
            facts.violation("VANISHED during a command by number".to_owned());
        }
        if !self.qresync {
            facts.violation("VANISHED without QRESYNC".to_owned());
        }
        for uid in ranges.iter().flat_map(|(first, last)| *first..=*last) {
            let place = self.view.as_ref().and_then(|view| place_of(view, uid));
            match (&mut self.view, place) {
                (Some(view), Some(place)) => {
                    view.remove(place);
                }
                (Some(_) | None, _) => facts.violation(format!("VANISHED {uid}, which is no message")),
            }
            self.flags.remove(&uid);
        }
    }

    /// Takes the flags and the UID of a FETCH response; gives the UID.
    pub(super) fn fetched(&mut self, number: usize, items: &[Value], facts: &mut Facts) -> Option<u32> {
        let told = pairs(items).find(|(key, _)| key == "UID").and_then(|(_, value)| value.text().parse().ok());
        let known = self.uid_of(number);
        match self.view.as_mut().and_then(|view| view.get_mut(number.checked_sub(1)?)) {
            None => facts.violation(format!("FETCH of {number}, which is no message")),
            Some(uid @ None) => *uid = told,
            Some(Some(uid)) if told.is_some_and(|told| told != *uid) => {
                facts.violation(format!("message {number} was {uid} and is {told:?}"));
            }
            Some(Some(_)) => {}
        }
        let uid = known.or(told)?;
        if let Some((_, flags)) = pairs(items).find(|(key, _)| key == "FLAGS") {
            self.flags.insert(uid, flag_words(flags));
        }
        Some(uid)
    }
}

/// Where a UID stands; if it was never told, the place of an unknown one that may have it.
fn place_of(view: &[Option<u32>], uid: u32) -> Option<usize> {
    let known = view.iter().position(|other| *other == Some(uid));
    known.or_else(|| {
        let after = view.iter().position(|other| other.is_some_and(|other| other > uid)).unwrap_or(view.len());
        view.get(..after)?.iter().rposition(Option::is_none)
    })
}

/// The mailbox of SELECT or EXAMINE; INBOX in one case.
fn mailbox_named(command: &[u8]) -> Option<String> {
    let name = Value::parse(command).get(1)?.text();
    Some(if name.eq_ignore_ascii_case("INBOX") { "INBOX".to_owned() } else { name })
}

/// The items of a FETCH response; names in upper case.
pub(super) fn pairs(items: &[Value]) -> impl Iterator<Item = (String, &Value)> {
    items.chunks(2).filter_map(|pair| match pair {
        [key, value] => Some((key.text().to_uppercase().replace('"', ""), value)),
        _others => None,
    })
}

fn literal_at_end(line: &[u8]) -> Option<usize> {
    let inside = line.strip_suffix(b"}")?;
    let start = inside.iter().rposition(|&octet| octet == b'{')?;
    std::str::from_utf8(inside.get(start + 1..)?).ok()?.parse().ok()
}

/// A small account answers much faster, also on a machine that compiles beside the tests.
const ANSWER_MAX: Duration = Duration::from_secs(20);
