//! What an answer says, in a form in which two servers that mean the same say the same.
//!
//! Left out: texts for people, UIDVALIDITYs and MODSEQs (their values are each server's own), `\Recent`, capabilities, the
//! order of untagged responses, and when news is told (it is compared when a client asks for it).

use super::peer::{Peer, pairs};
use super::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// An answer, reduced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// OK, NO, BAD, or `closed`.
    pub status: String,
    /// Each fact by its name.
    pub facts: BTreeMap<String, String>,
}

impl Heard {
    pub(super) fn closed() -> Self {
        Self { status: "closed".to_owned(), facts: BTreeMap::new() }
    }

    /// Adds a fact; two of one name are both kept.
    pub fn say(&mut self, name: &str, value: String) {
        say(&mut self.facts, name, value);
    }

    pub(super) fn numbers(&self, name: &str) -> Vec<u32> {
        let text = self.facts.get(name).map(String::as_str).unwrap_or_default();
        text.split(' ').filter_map(|number| number.parse().ok()).collect()
    }
}

/// The facts of an answer that is being read.
#[derive(Debug)]
pub struct Facts {
    /// The command in upper case, without the octets of literals.
    command: String,
    facts: BTreeMap<String, String>,
}

impl Facts {
    pub(super) fn of(command: &[u8]) -> Self {
        let line = command.split(|&octet| octet == b'\r').next().unwrap_or_default();
        Self { command: String::from_utf8_lossy(line).to_uppercase(), facts: BTreeMap::new() }
    }

    pub(super) fn heard(self, status: String) -> Heard {
        Heard { status, facts: self.facts }
    }

    pub(super) fn violation(&mut self, what: String) {
        say(&mut self.facts, "VIOLATION", what);
    }

    pub(super) fn opens(&self) -> bool {
        self.is(&["SELECT ", "EXAMINE "])
    }

    /// Whether what was opened may be changed, as the tagged reply told.
    pub(super) fn opens_to_write(&self) -> bool {
        self.facts.contains_key("code READ-WRITE")
    }

    pub(super) fn closes(&self) -> bool {
        self.command == "CLOSE" || self.command == "UNSELECT"
    }

    pub(super) fn keeps_numbers(&self) -> bool {
        self.is(&["FETCH ", "STORE ", "SEARCH "])
    }

    pub(super) fn enables_qresync(&self) -> bool {
        self.command == "ENABLE QRESYNC"
    }

    pub(super) fn compresses(&self) -> bool {
        self.command == "COMPRESS DEFLATE"
    }

    pub(super) fn stores_silently(&self) -> bool {
        self.is(&["STORE ", "UID STORE "]) && self.command.contains(".SILENT")
    }

    fn is(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.command.starts_with(word))
    }

    fn asks_flags(&self) -> bool {
        let fetches = self.is(&["FETCH ", "UID FETCH "]);
        let stores = self.is(&["STORE ", "UID STORE "]) && !self.command.contains(".SILENT");
        stores || (fetches && [" ALL", " FAST", " FULL", "FLAGS"].iter().any(|word| self.command.contains(word)))
    }

    /// An untagged response, without `* `.
    pub(super) fn untagged(&mut self, peer: &mut Peer, response: &[u8]) {
        let values = Value::parse(response);
        let number = values.first().and_then(|first| first.atom()?.parse::<usize>().ok());
        let name = |at: usize| values.get(at).map(|value| value.text().to_uppercase()).unwrap_or_default();
        match (number, name(0).as_str(), name(1).as_str()) {
            (Some(count), _, "EXISTS") => peer.exists(count, self),
            (Some(_), _, "RECENT") => {}
            (Some(number), _, "EXPUNGE") => peer.expunged(number, self),
            (None, "VANISHED", _) => self.vanished(peer, values.get(1..).unwrap_or_default()),
            (Some(number), _, "FETCH") => {
                let items = values.get(2).map(Value::items).unwrap_or_default();
                self.fetched(peer, number, items);
            }
            // A new keyword makes a server tell them at any time, and which keywords there are is its own affair.
            (None, "FLAGS", _) if !self.opens() => {}
            (None, "FLAGS", _) => {
                let known = values.get(1).map(flag_words).unwrap_or_default();
                self.say("FLAGS", words(known.iter().filter(|flag| flag.starts_with('\\'))));
            }
            (None, "OK" | "NO" | "BAD", _) => {
                let text = String::from_utf8_lossy(response).into_owned();
                let (status, text) = text.split_once(' ').unwrap_or((&text, ""));
                self.code(peer, text);
                if status != "OK" {
                    self.say("untagged", status.to_owned());
                }
            }
            (None, "BYE", _) => self.say("BYE", String::new()),
            (None, "CAPABILITY" | "ID", _) => {}
            // RFC 5161 §3.2: a server may say that nothing was enabled, or keep silent.
            (None, "ENABLED", _) if values.len() < 2 => {}
            (None, "SEARCH", _) => self.search(values.get(1..).unwrap_or_default()),
            (None, "ESEARCH", _) => self.esearch(values.get(1..).unwrap_or_default()),
            (None, kind @ ("LIST" | "LSUB"), _) => self.listed(kind, &values),
            (None, "STATUS", _) => self.mailbox_status(&values),
            (_, name, _) => self.say(name, words(values.iter().skip(1).map(ToString::to_string))),
        }
    }

    /// The tagged reply, without its tag; gives OK, NO or BAD.
    pub(super) fn tagged(&mut self, peer: &mut Peer, reply: &[u8]) -> String {
        let text = String::from_utf8_lossy(reply).into_owned();
        let (status, text) = text.split_once(' ').unwrap_or((&text, ""));
        if status == "OK" || text.starts_with("[TRYCREATE]") {
            self.code(peer, text);
        }
        status.to_owned()
    }

    fn fetched(&mut self, peer: &mut Peer, number: usize, items: &[Value]) {
        let uid = peer.fetched(number, items, self);
        let message = uid.map_or_else(|| format!("number {number}"), |uid| format!("uid {uid}"));
        for (key, value) in pairs(items) {
            let text = match key.as_str() {
                "FLAGS" if self.asks_flags() => words(flag_words(value)),
                "UID" if self.command.contains("UID") => value.text(),
                "FLAGS" | "UID" => continue,
                "MODSEQ" => {
                    let told = value.items().first().and_then(|number| number.text().parse().ok());
                    peer.highest = peer.highest.max(told.unwrap_or(0));
                    if self.command.contains("FETCH 1:* (MODSEQ)") {
                        peer.modseq = peer.modseq.max(told.unwrap_or(0));
                    }
                    if !self.command.contains("MODSEQ") {
                        continue;
                    }
                    String::new()
                }
                "BODY" | "BODYSTRUCTURE" => structure(value),
                // RFC 9051 §9 `date-day-fixed`: a digit may have a space or a zero before it.
                "INTERNALDATE" => value.text().trim_start_matches([' ', '0']).to_owned(),
                "ENVELOPE" => envelope(value),
                _others => value.to_string(),
            };
            // What is told twice is told last.
            self.facts.insert(format!("{message} {key}"), text);
        }
    }

    /// RFC 7162 §3.2.10: of messages that are in the view, or were there earlier.
    fn vanished(&mut self, peer: &mut Peer, values: &[Value]) {
        let (earlier, set) = match values {
            [Value::List(_), set] => (true, set.text()),
            [set] => (false, set.text()),
            others => return self.violation(format!("VANISHED {others:?}")),
        };
        match (ranges(&set), earlier) {
            (None, _) => self.violation(format!("VANISHED {set}")),
            (Some(ranges), true) => peer.earlier.extend(ranges),
            (Some(ranges), false) => peer.vanished(&ranges, self),
        }
    }

    fn search(&mut self, found: &[Value]) {
        let mut numbers: Vec<u32> = found.iter().filter_map(|number| number.text().parse().ok()).collect();
        numbers.sort_unstable();
        self.say("SEARCH", words(numbers));
        if found.iter().any(|value| matches!(value, Value::List(_))) {
            self.say("SEARCH MODSEQ", String::new());
        }
    }

    fn esearch(&mut self, found: &[Value]) {
        let mut data = found.iter().filter(|value| !matches!(value, Value::List(_))).peekable();
        let is_uid = data.next_if(|value| value.text().eq_ignore_ascii_case("UID")).is_some();
        self.say("ESEARCH UID", is_uid.to_string());
        while let (Some(key), Some(value)) = (data.next(), data.next()) {
            let key = key.text().to_uppercase();
            let value = match key.as_str() {
                "ALL" => expanded(&value.text()),
                "MODSEQ" => String::new(),
                _others => value.text(),
            };
            self.say(&format!("ESEARCH {key}"), value);
        }
    }

    fn listed(&mut self, kind: &str, values: &[Value]) {
        let mut attributes = values.get(1).map(flag_words).unwrap_or_default();
        // RFC 9051 §7.3.1: told by who knows.
        attributes.retain(|attribute| attribute != "\\marked" && attribute != "\\unmarked");
        if kind == "LSUB" {
            // RFC 3501 §6.3.9: flags may differ from those of LIST, but \Noselect means something here.
            attributes.retain(|attribute| attribute == "\\noselect");
        }
        let rest = values.get(2..).unwrap_or_default();
        let name = mailbox(rest.get(1));
        let separator = rest.first().map(Value::text).unwrap_or_default();
        let more = words(rest.iter().skip(2).map(|value| value.lowered().to_string()));
        self.say(&format!("{kind} {name}"), format!("{} {separator} {more}", words(attributes)));
    }

    fn mailbox_status(&mut self, values: &[Value]) {
        let name = mailbox(values.get(1));
        for (key, value) in pairs(values.get(2).map(Value::items).unwrap_or_default()) {
            let value = match key.as_str() {
                "UIDVALIDITY" | "HIGHESTMODSEQ" | "RECENT" => String::new(),
                _others => value.text(),
            };
            self.say(&format!("STATUS {name} {key}"), value);
        }
    }

    /// The response code at the start of a text.
    fn code(&mut self, peer: &mut Peer, text: &str) {
        let Some((code, _)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) else { return };
        let (name, rest) = code.split_once(' ').unwrap_or((code, ""));
        let name = name.to_uppercase();
        let value = match name.as_str() {
            "HIGHESTMODSEQ" => {
                let told = rest.parse().unwrap_or(0);
                peer.highest = peer.highest.max(told);
                if self.opens() {
                    (peer.modseq, peer.highest) = (told, told);
                    self.say("code HIGHESTMODSEQ", String::new());
                }
                return;
            }
            "UIDVALIDITY" => {
                peer.validity = rest.parse().unwrap_or(0);
                String::new()
            }
            "PERMANENTFLAGS" if !self.opens() => return,
            "PERMANENTFLAGS" => {
                let known = Value::parse(rest.as_bytes()).first().map(flag_words).unwrap_or_default();
                words(known.iter().filter(|flag| flag.starts_with('\\')))
            }
            "COPYUID" | "APPENDUID" => words(rest.split(' ').skip(1).map(expanded)),
            "MODIFIED" => expanded(rest),
            "CLOSED" | "CAPABILITY" | "CLIENTBUG" => return,
            _others => rest.to_owned(),
        };
        self.say(&format!("code {name}"), value);
    }

    fn say(&mut self, name: &str, value: String) {
        say(&mut self.facts, name, value);
    }
}

/// An envelope. Dovecot writes `MISSING_DOMAIN` where there is none, and folds are told with or without their white space
/// (RFC 5322 §2.2.3 keeps it).
fn envelope(value: &Value) -> String {
    let text = value.to_string().replace("MISSING_DOMAIN", "").replace("MISSING_MAILBOX", "").replace("\\t", " ");
    text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A structure in lower case. RFC 2045 §5.2: without a parameter, the charset of text is US-ASCII; a server may say so.
fn structure(value: &Value) -> String {
    let text = value.lowered().to_string();
    text.replace("(\"charset\" \"us-ascii\")", "NIL")
        .replace(" \"charset\" \"us-ascii\"", "")
        .replace("\"charset\" \"us-ascii\" ", "")
}

/// INBOX may be written in any case (RFC 9051 §5.1).
fn mailbox(name: Option<&Value>) -> String {
    let name = name.map(Value::text).unwrap_or_default();
    if name.eq_ignore_ascii_case("INBOX") { "INBOX".to_owned() } else { name }
}

/// Flags or attributes: in lower case, sorted, without `\Recent`.
pub(super) fn flag_words(list: &Value) -> BTreeSet<String> {
    let all = list.items().iter().map(|flag| flag.text().to_lowercase());
    all.filter(|flag| flag != "\\recent").collect()
}

fn say(facts: &mut BTreeMap<String, String>, name: &str, value: String) {
    let mut name = name.to_owned();
    // The same told twice is a fact of its own.
    while facts.contains_key(&name) {
        name.push_str(" again");
    }
    facts.insert(name, value);
}

fn words<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

/// The ranges of a set without `*`.
fn ranges(set: &str) -> Option<Vec<(u32, u32)>> {
    let range = |part: &str| {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        Some((first.min(last), first.max(last)))
    };
    set.split(',').map(range).collect()
}

/// A set as its numbers; one that is too large stays as it is.
fn expanded(set: &str) -> String {
    match crate::imap::sequence(set) {
        Ok(mut numbers) => {
            numbers.sort_unstable();
            words(numbers)
        }
        Err(_) => set.to_owned(),
    }
}
