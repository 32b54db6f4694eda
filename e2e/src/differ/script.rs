//! Sessions from a seed: which client sends what, one command at a time.
//!
//! The writer keeps a rough idea of which mailboxes are there and who has opened one, so that most commands mean
//! something; it never looks at answers, so that a session can be shortened and played again.

use super::act::{Act, Way};
use super::letters;
use super::malformed::MALFORMED;
use super::search;
use crate::random::Random;
use std::collections::BTreeSet;

/// One command of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which client.
    pub client: usize,
    /// Whether the client hears the news first. A command that does not wait for them changes nothing.
    pub fresh: bool,
    /// What it does.
    pub act: Act,
}

impl Step {
    /// The clients that it needs.
    pub(super) fn takes_part(&self) -> impl Iterator<Item = usize> + use<> {
        let other = match &self.act {
            Act::IdleWhile { other, .. } => Some(*other),
            Act::Say(_) | Act::Remember | Act::Leave | Act::Return { .. } => None,
        };
        std::iter::once(self.client).chain(other)
    }
}

/// How many clients take part.
pub const CLIENTS: usize = 3;

/// A session of about so many commands.
pub fn write(seed: u64, length: usize) -> Vec<Step> {
    let mut writer = Writer {
        random: Random::new(seed),
        steps: Vec::new(),
        mailboxes: ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"].map(str::to_owned).into(),
        open: [const { None }; CLIENTS],
        client: 0,
    };
    writer.begin();
    while writer.steps.len() < length {
        let client = usize::try_from(writer.random.below(CLIENTS as u64)).unwrap_or(0);
        writer.client = client;
        writer.step();
    }
    writer.steps
}

struct Writer {
    random: Random,
    steps: Vec<Step>,
    mailboxes: BTreeSet<String>,
    open: [Option<Open>; CLIENTS],
    client: usize,
}

#[derive(Clone)]
struct Open {
    mailbox: String,
    writes: bool,
}

impl Writer {
    /// Two mailboxes, a few messages, everybody looking at them.
    fn begin(&mut self) {
        for mailbox in ["A", "D"] {
            self.say(format!("CREATE {mailbox}"));
            self.mailboxes.insert(mailbox.to_owned());
        }
        for _ in 0..4 + self.below(8) {
            self.append("A");
        }
        for client in 0..CLIENTS {
            self.client = client;
            if self.one_in(4) {
                self.say("COMPRESS DEFLATE".to_owned());
            }
            if self.one_in(3) {
                self.say("ENABLE QRESYNC".to_owned());
            }
            self.open("SELECT", "A");
        }
    }

    fn step(&mut self) {
        let open = self.open.get(self.client).cloned().flatten();
        match (open, self.below(108)) {
            (_, 0..4) => self.select(),
            (_, 4..12) => {
                let mailbox = self.mailbox();
                self.append(&mailbox);
            }
            (_, 12..16) => self.change_mailboxes(),
            (_, 16..22) => self.list(),
            (_, 22..25) => self.status(),
            (_, 25..31) => self.malformed(),
            (_, 31..34) => self.subscribe(),
            (None, 34..60) => self.come_back("A"),
            (None, _) => self.select(),
            (Some(_), 34..55) => self.fetch(),
            (Some(_), 55..70) => self.store(),
            (Some(_), 70..88) => self.search(),
            (Some(open), 88..94) => self.transfer(&open),
            (Some(_), 94..100) => self.expunge(),
            (Some(open), 100..102) => self.idle(&open),
            (Some(open), _) => self.go_and_return(&open),
        }
    }

    fn say(&mut self, command: String) {
        self.say_bytes(command.into_bytes());
    }

    fn say_bytes(&mut self, command: Vec<u8>) {
        self.act(Act::Say(command));
    }

    fn act(&mut self, act: Act) {
        self.steps.push(Step { client: self.client, fresh: true, act });
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn pick(&mut self, of: &[&'static str]) -> &'static str {
        self.random.pick(of).copied().unwrap_or_default()
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Mostly one that is there.
    fn mailbox(&mut self) -> String {
        if self.one_in(12) {
            return self.pick(&["nowhere", "A/none", "inbox", "INBOX/none"]).to_owned();
        }
        if self.one_in(2) {
            return "A".to_owned();
        }
        let all: Vec<String> = self.mailboxes.iter().cloned().collect();
        self.random.pick(&all).cloned().unwrap_or_default()
    }

    fn open(&mut self, command: &str, mailbox: &str) {
        self.say(format!("{command} {}", astring(mailbox)));
        let is_there = self.mailboxes.contains(mailbox) || mailbox == "inbox";
        let open = is_there.then(|| Open { mailbox: mailbox.to_owned(), writes: command == "SELECT" });
        if let Some(place) = self.open.get_mut(self.client) {
            *place = open;
        }
    }

    fn select(&mut self) {
        let mailbox = self.mailbox();
        let command = self.pick(&["SELECT", "SELECT", "SELECT", "EXAMINE"]);
        self.open(command, &mailbox);
    }

    fn append(&mut self, mailbox: &str) {
        let command = self.append_command(mailbox);
        self.say_bytes(command);
    }

    fn append_command(&mut self, mailbox: &str) -> Vec<u8> {
        let mut command = format!("APPEND {}", astring(mailbox)).into_bytes();
        command.extend(self.message());
        // RFC 3502: several, of which one may be wrong; then none is kept.
        if self.one_in(6) {
            for _ in 0..=self.below(2) {
                let bad = self.pick(BAD_MESSAGES).as_bytes();
                command.extend(if self.one_in(4) { bad.to_vec() } else { self.message() });
            }
        }
        command
    }

    /// Flags, date and text of a message for APPEND.
    fn message(&mut self) -> Vec<u8> {
        let number = self.below(letters::COUNT as u64);
        let letter = letters::letter(usize::try_from(number).unwrap_or(0));
        let flags = self.pick(&[
            "",
            "",
            "(\\Seen) ",
            "(\\Flagged \\Deleted) ",
            "() ",
            "(\\Draft $Forwarded) ",
            "(work \\Answered) ",
            "(\\Deleted) ",
        ]);
        // No second may pass between two servers: a date of its own, or one that no FETCH asks for.
        let date = self.pick(&[
            "02-Mar-2022 03:04:05 +0000",
            "05-Nov-2020 13:14:15 +0100",
            " 7-Feb-1994 21:52:25 -0800",
            "01-Jan-2021 00:00:00 +0000",
            "29-Feb-2000 23:59:59 +1400",
        ]);
        let mut message = format!(" {flags}\"{date}\" {{{}+}}\r\n", letter.len()).into_bytes();
        message.extend(letter);
        message
    }

    /// IDLE, while another client appends, and may expunge before.
    fn idle(&mut self, open: &Open) {
        let other = (self.client + 1 + usize::from(self.one_in(2))) % CLIENTS;
        let mut commands = Vec::new();
        let changes = self.open.get(other).and_then(Option::as_ref).is_some_and(|other| other.writes);
        if changes && self.one_in(2) {
            commands.push(format!("UID STORE {} +FLAGS (\\Deleted)", self.set("UID ")).into_bytes());
            if self.one_in(2) {
                commands.push(b"EXPUNGE".to_vec());
            }
        }
        commands.push(self.append_command(&open.mailbox));
        self.act(Act::IdleWhile { other, commands });
    }

    /// Keeps what is there, or comes back to a mailbox where it did.
    fn go_and_return(&mut self, open: &Open) {
        match self.below(5) {
            0 | 1 => self.act(Act::Remember),
            2 => {
                self.act(Act::Leave);
                if let Some(place) = self.open.get_mut(self.client) {
                    *place = None;
                }
            }
            _ => self.come_back(&open.mailbox.clone()),
        }
    }

    fn come_back(&mut self, mailbox: &str) {
        let way = self.random.pick(&Way::ALL).copied().unwrap_or(Way::Resync);
        self.act(Act::Return { mailbox: mailbox.to_owned(), way });
        let is_there = self.mailboxes.contains(mailbox);
        if let Some(place) = self.open.get_mut(self.client) {
            *place = is_there.then(|| Open { mailbox: mailbox.to_owned(), writes: true });
        }
    }

    fn change_mailboxes(&mut self) {
        match self.below(4) {
            0 | 1 => {
                let mailbox =
                    self.pick(&["A/B", "D/E", "b&AOQ-r", "x y", "F", "INBOX/sub", "A", "\"quo\\\"te\"", "inbox"]);
                self.say(format!("CREATE {}", astring(mailbox)));
                self.mailboxes.insert(if mailbox == "inbox" { "INBOX" } else { mailbox }.to_owned());
            }
            2 => {
                let mailbox = self.leaf();
                self.say(format!("DELETE {}", astring(&mailbox)));
                self.forget(&mailbox);
            }
            _ => {
                let (from, to) = (self.leaf(), self.pick(&["G", "D/H", "A/I", "A", "F"]).to_owned());
                self.say(format!("RENAME {} {}", astring(&from), astring(&to)));
                if !self.mailboxes.contains(&to) && self.mailboxes.contains(&from) {
                    self.forget(&from);
                    self.mailboxes.insert(to);
                }
            }
        }
    }

    /// A mailbox without any below it, that nobody has open (Dovecot ends such a session, RFC 2180 §3 lets it) and not
    /// everybody needs.
    fn leaf(&mut self) -> String {
        if self.one_in(8) {
            return "nowhere".to_owned();
        }
        let has_children = |name: &str| self.mailboxes.iter().any(|other| other.starts_with(&format!("{name}/")));
        let is_open = |name: &str| self.open.iter().flatten().any(|open| open.mailbox == name);
        let is_needed = |name: &str| ["INBOX", "A", "D"].contains(&name);
        let leaves = self.mailboxes.iter().filter(|name| !has_children(name) && !is_open(name) && !is_needed(name));
        let leaves: Vec<String> = leaves.cloned().collect();
        self.random.pick(&leaves).cloned().unwrap_or_else(|| "nowhere".to_owned())
    }

    fn forget(&mut self, mailbox: &str) {
        self.mailboxes.remove(mailbox);
        for place in &mut self.open {
            if place.as_ref().is_some_and(|open| open.mailbox == mailbox) {
                *place = None;
            }
        }
    }

    fn list(&mut self) {
        let pattern = self.pick(&[
            "*", "%", "A*", "A/%", "%/%", "INBOX", "inbox", "I*", "D/*", "*B", "x*", "nowhere", "%/*", "/*", "A/",
        ]);
        let reference = self.pick(&["\"\"", "\"\"", "\"\"", "A/", "A", "D"]);
        let command = match self.below(5) {
            0 => format!("LSUB {reference} {pattern}"),
            1 => {
                let selection = self.pick(&[
                    "SUBSCRIBED",
                    "",
                    "SUBSCRIBED RECURSIVEMATCH",
                    "SPECIAL-USE",
                    "REMOTE",
                    "RECURSIVEMATCH",
                ]);
                format!("LIST ({selection}) {reference} {pattern}")
            }
            2 => {
                let returns = self.pick(&[
                    "CHILDREN",
                    "SUBSCRIBED",
                    "SPECIAL-USE",
                    "STATUS (MESSAGES UNSEEN)",
                    "STATUS (UIDNEXT UIDVALIDITY SIZE)",
                    "STATUS (HIGHESTMODSEQ)",
                    "SUBSCRIBED STATUS (MESSAGES RECENT)",
                    "STATUS (MESSAGES) CHILDREN",
                    "SPECIAL-USE STATUS (UNSEEN)",
                    "SUBSCRIBED CHILDREN",
                    "",
                ]);
                format!("LIST {reference} {pattern} RETURN ({returns})")
            }
            3 => {
                let selection = self.pick(&["", "(SUBSCRIBED) ", "() ", "(SPECIAL-USE) "]);
                let returns = self.pick(&["CHILDREN", "CHILDREN", "STATUS (MESSAGES)", "STATUS (UNSEEN) CHILDREN"]);
                format!("LIST {selection}{reference} ({pattern} D) RETURN ({returns})")
            }
            _ => format!("LIST {reference} {pattern}"),
        };
        self.say(command);
    }

    fn status(&mut self) {
        let mailbox = self.mailbox();
        let items = self.pick(&[
            "MESSAGES",
            "MESSAGES UIDNEXT UNSEEN",
            "RECENT UIDVALIDITY",
            "HIGHESTMODSEQ",
            "SIZE MESSAGES",
            "UNSEEN UNSEEN",
            "MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN SIZE HIGHESTMODSEQ",
            "uidnext size",
            "UNSEEN HIGHESTMODSEQ",
        ]);
        self.say(format!("STATUS {} ({items})", astring(&mailbox)));
    }

    fn subscribe(&mut self) {
        let mailbox = self.mailbox();
        let command = self.pick(&["SUBSCRIBE", "UNSUBSCRIBE"]);
        // A subscription of what is not there is refused by one and taken by the other.
        if command == "UNSUBSCRIBE" || self.mailboxes.contains(&mailbox) {
            self.say(format!("{command} {}", astring(&mailbox)));
        }
    }

    fn malformed(&mut self) {
        let command = self.pick(MALFORMED);
        self.say(command.to_owned());
        if command.starts_with("SELECT ") || command.starts_with("EXAMINE ") {
            // Whether a refused SELECT closes what was open is told apart in the grammar; it is opened again.
            let mailbox = self.mailbox();
            self.open("SELECT", &mailbox);
        }
    }

    fn set(&mut self, prefix: &str) -> &'static str {
        match prefix {
            "" => self.pick(&[
                "1",
                "2",
                "3",
                "1:3",
                "*",
                "1:*",
                "2:*",
                "*:1",
                "1,3",
                "3:1",
                "2,2",
                "1:2,2:4",
                "5",
                "4:9",
                "$",
                "1:*",
                "9:*",
                "4294967295",
            ]),
            _uid => self.pick(&[
                "1",
                "2",
                "3",
                "1:3",
                "*",
                "1:*",
                "2:*",
                "*:1",
                "1,3",
                "3:1",
                "4:6",
                "50:60",
                "100:*",
                "1:4294967295",
                "$",
                "7",
                "8",
                "9,10,12",
            ]),
        }
    }

    fn prefix(&mut self) -> &'static str {
        self.pick(&["", "UID "])
    }

    fn fetch(&mut self) {
        let prefix = self.prefix();
        let set = self.set(prefix);
        let item = match self.below(6) {
            0 => self
                .pick(&[
                    "FLAGS",
                    "UID",
                    "INTERNALDATE",
                    "RFC822.SIZE",
                    "(UID FLAGS)",
                    "FAST",
                    "ALL",
                    "FULL",
                    "(FLAGS FLAGS)",
                ])
                .to_owned(),
            1 => self.pick(&["ENVELOPE", "BODY", "BODYSTRUCTURE", "(ENVELOPE BODYSTRUCTURE)"]).to_owned(),
            2 | 3 => self.section(),
            4 => self.pick(&["RFC822.HEADER", "RFC822", "RFC822.TEXT", "BODY[]", "BODY[TEXT]"]).to_owned(),
            _ => match self.below(3) {
                0 => {
                    self.say("FETCH 1:* (MODSEQ)".to_owned());
                    return;
                }
                1 => "(UID MODSEQ)".to_owned(),
                _ => "(FLAGS) (CHANGEDSINCE %M)".to_owned(),
            },
        };
        let reads = !item.contains("BODY[") && !item.contains("RFC822");
        let fresh = !(reads || item.contains("PEEK")) || !self.one_in(10);
        let command = format!("{prefix}FETCH {set} {item}").into_bytes();
        self.steps.push(Step { client: self.client, fresh, act: Act::Say(command) });
    }

    fn section(&mut self) -> String {
        let part =
            self.pick(&["", "", "", "1.", "1.", "2.", "3.", "1.1.", "2.1.", "2.2.", "1.2.", "2.1.1.", "4.", "1.1.1."]);
        let text = self.pick(&[
            "HEADER",
            "TEXT",
            "MIME",
            "HEADER.FIELDS (Subject From)",
            "HEADER.FIELDS (to x-none)",
            "HEADER.FIELDS.NOT (Subject)",
            "HEADER.FIELDS (\"Date\")",
            "",
        ]);
        let inside = match (part, text) {
            ("", "MIME") => "HEADER".to_owned(),
            (part, "") => part.trim_end_matches('.').to_owned(),
            (part, text) => format!("{part}{text}"),
        };
        let partial = self.pick(&["", "", "", "<0.10>", "<5.20>", "<100000.5>", "<0.1>"]);
        if !part.is_empty() && self.one_in(12) {
            let kind = self.pick(&["BINARY.PEEK", "BINARY.SIZE"]);
            return format!("{kind}[{}]", part.trim_end_matches('.'));
        }
        let peek = self.pick(&[".PEEK", ".PEEK", ""]);
        format!("BODY{peek}[{inside}]{partial}")
    }

    fn store(&mut self) {
        let prefix = self.prefix();
        let set = self.set(prefix);
        let since = self.pick(&["", "", "", "", "(UNCHANGEDSINCE %M) ", "(UNCHANGEDSINCE 1) "]);
        let kind =
            self.pick(&["FLAGS", "+FLAGS", "-FLAGS", "+FLAGS", "FLAGS.SILENT", "+FLAGS.SILENT", "-FLAGS.SILENT"]);
        let flags = self.pick(&[
            "(\\Seen)",
            "(\\Deleted)",
            "\\Flagged",
            "(\\Answered work)",
            "()",
            "(\\Seen \\Draft)",
            "$Junk",
            "($Junk Work \\flagged)",
            "(\\Deleted \\Seen)",
        ]);
        self.say(format!("{prefix}STORE {set} {since}{kind} {flags}"));
    }

    fn search(&mut self) {
        let prefix = self.prefix();
        let returns = self.pick(&[
            "",
            "",
            "",
            "",
            "RETURN () ",
            "RETURN (ALL) ",
            "RETURN (MIN MAX) ",
            "RETURN (COUNT) ",
            "RETURN (MIN COUNT ALL) ",
            "RETURN (SAVE) ",
            "RETURN (SAVE ALL) ",
            "RETURN (SAVE MIN) ",
            "RETURN (SAVE MAX) ",
            "RETURN (SAVE COUNT) ",
            "RETURN (SAVE MIN MAX) ",
            "RETURN (SAVE MIN MAX COUNT) ",
            "RETURN (SAVE MIN ALL) ",
            "RETURN (ALL COUNT MIN MAX) ",
            "RETURN (MIN MIN) ",
            "return (count) ",
            "RETURN (MIN) ",
            "RETURN (MAX) ",
        ]);
        let key = search::keys(&mut self.random);
        self.say(format!("{prefix}SEARCH {returns}{key}"));
    }

    fn transfer(&mut self, open: &Open) {
        let prefix = self.prefix();
        let set = self.set(prefix);
        let command = if open.writes { self.pick(&["COPY", "MOVE", "COPY"]) } else { "COPY" };
        let to = self.mailbox();
        self.say(format!("{prefix}{command} {set} {}", astring(&to)));
    }

    fn expunge(&mut self) {
        match self.below(6) {
            0 | 1 => {
                let command = self.pick(&["CLOSE", "UNSELECT"]);
                self.say(command.to_owned());
                if let Some(place) = self.open.get_mut(self.client) {
                    *place = None;
                }
            }
            2 | 3 => {
                let set = self.set("UID ");
                self.say(format!("UID EXPUNGE {set}"));
            }
            _ => self.say("EXPUNGE".to_owned()),
        }
    }
}

pub(super) fn astring(name: &str) -> String {
    if name.contains(' ') { format!("\"{name}\"") } else { name.to_owned() }
}

/// What is no message for APPEND: one that says "never mind" (RFC 3502 §3), and malformed ones.
const BAD_MESSAGES: &[&str] = &[
    " {0+}\r\n",
    " (\\Seen) {0+}\r\n",
    " (\\Bogus) {1+}\r\nx",
    " \"yesterday\" {1+}\r\nx",
    " (\\Seen {1+}\r\nx",
    " x",
];
