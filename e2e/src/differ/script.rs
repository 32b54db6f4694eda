//! Sessions from a seed: which client sends what, one command at a time.
//!
//! The writer keeps a rough idea of which mailboxes are there and who has opened one, so that most commands mean
//! something; it never looks at answers, so that a session can be shortened and played again.

use super::letters;
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
    /// The command without its tag; `%M` is a MODSEQ that the server told.
    pub command: Vec<u8>,
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
            self.open("SELECT", "A");
        }
    }

    fn step(&mut self) {
        let open = self.open.get(self.client).cloned().flatten();
        match (open, self.below(100)) {
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
            (None, _) => self.select(),
            (Some(_), 34..55) => self.fetch(),
            (Some(_), 55..70) => self.store(),
            (Some(_), 70..88) => self.search(),
            (Some(open), 88..94) => self.transfer(&open),
            (Some(_), _) => self.expunge(),
        }
    }

    fn say(&mut self, command: String) {
        self.say_bytes(command.into_bytes());
    }

    fn say_bytes(&mut self, command: Vec<u8>) {
        self.steps.push(Step { client: self.client, fresh: true, command });
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
        let date = self.pick(&[
            "",
            "\"05-Nov-2020 13:14:15 +0100\" ",
            "\" 7-Feb-1994 21:52:25 -0800\" ",
            "\"01-Jan-2021 00:00:00 +0000\" ",
            "\"29-Feb-2000 23:59:59 +1400\" ",
        ]);
        // No second may pass between two servers: a date of its own, or one that no FETCH asks for.
        let date = if date.is_empty() { "\"02-Mar-2022 03:04:05 +0000\" " } else { date };
        let mut command = format!("APPEND {} {flags}{date}{{{}+}}\r\n", astring(mailbox), letter.len()).into_bytes();
        command.extend(letter);
        self.say_bytes(command);
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
                    "SUBSCRIBED CHILDREN",
                    "",
                ]);
                format!("LIST {reference} {pattern} RETURN ({returns})")
            }
            3 => format!("LIST {reference} ({pattern} D) RETURN (CHILDREN)"),
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
        self.steps.push(Step { client: self.client, fresh, command });
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

fn astring(name: &str) -> String {
    if name.contains(' ') { format!("\"{name}\"") } else { name.to_owned() }
}

/// Commands that a server refuses, each in the way that its state asks for.
const MALFORMED: &[&str] = &[
    "FETCH",
    "FETCH 1",
    "FETCH 0 FLAGS",
    "FETCH 1 (FLAGS",
    "FETCH 1:0 UID",
    "FETCH 1 BODY[1.]",
    "FETCH 1 BODY[HEADER.FIELDS]",
    "FETCH 1 BODY[MIME]",
    "FETCH 1 (ALL)",
    "FETCH 1 BOGUS",
    "FETCH a FLAGS",
    "FETCH 1,,2 FLAGS",
    "FETCH 1: FLAGS",
    "FETCH 4294967296 FLAGS",
    "FETCH 1 ()",
    "STORE 1 +FLAGS (\\Bogus)",
    "STORE 1 FLAGS (\\Recent)",
    "STORE 1 FLAGS (a",
    "STORE 1 BOGUS (\\Seen)",
    "STORE 0 FLAGS ()",
    "STORE 1 (UNCHANGEDSINCE x) FLAGS ()",
    "SEARCH",
    "SEARCH BOGUS",
    "SEARCH OR SEEN",
    "SEARCH NOT",
    "SEARCH BEFORE tomorrow",
    "SEARCH ON 1-Jan-20",
    "SEARCH LARGER x",
    "SEARCH (SEEN",
    "SEARCH RETURN (BOGUS) ALL",
    "SEARCH CHARSET x-bogus TEXT a",
    "SEARCH UID",
    "SEARCH HEADER Subject",
    "SEARCH ()",
    "CREATE",
    "CREATE \"\"",
    "RENAME A",
    "COPY 1",
    "UID",
    "UID BOGUS 1",
    "UID FETCH 0 FLAGS",
    "UID FETCH 1",
    "UID EXPUNGE",
    "UID EXPUNGE x",
    "STATUS A",
    "STATUS A ()",
    "STATUS A (BOGUS)",
    "STATUS nowhere (MESSAGES)",
    "LIST",
    "LIST \"\"",
    "LIST \"\" * RETURN (BOGUS)",
    "LIST (BOGUS) \"\" *",
    "LOGIN a b",
    "STARTTLS",
    "XYZZY",
    "APPEND A",
    "APPEND A (\\Seen)",
    "APPEND nowhere {1+}\r\nx",
    "ENABLE BOGUS",
    "DELETE nowhere",
    "DELETE INBOX",
    "RENAME nowhere other",
    "CREATE A",
    "RENAME A INBOX",
    "RENAME A D",
    "COPY 1 nowhere",
    "UID COPY 999 nowhere",
    "UID COPY 999 D",
    "UID MOVE 999 D",
    "UID STORE 999 +FLAGS (x)",
    "UID FETCH 999 FLAGS",
    "SUBSCRIBE",
    "UNSUBSCRIBE nowhere",
    "SELECT nowhere",
    "EXPUNGE",
    "CHECK",
    "NAMESPACE",
    "CAPABILITY",
    "SEARCH ALL",
    "FETCH 1:* FLAGS",
    "GETQUOTA",
    "CREATE &bad",
    "SELECT &bad",
    "DELETE \"\"",
    "RENAME A A",
    "CREATE A/",
    "CREATE /x",
    "CREATE a//b",
];
