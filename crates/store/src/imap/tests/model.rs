//! Several clients of one mailbox, each of which believes what it is told and nothing else. In the end all of them
//! must believe what is true.

use super::{Client, Site};
use mail_types::MailboxId;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
enum Step {
    Put,
    Store {
        client: usize,
        first: usize,
        last: usize,
        sign: &'static str,
        flag: &'static str,
        silent: bool,
    },
    UidStore {
        client: usize,
        uid: u32,
        sign: &'static str,
        flag: &'static str,
    },
    Expunge(usize),
    Noop(usize),
    Fetch {
        client: usize,
        first: usize,
        last: usize,
        item: &'static str,
    },
    UidFetch {
        client: usize,
        item: &'static str,
    },
    Search(usize),
    Move {
        client: usize,
        at: usize,
    },
    Idle(usize),
    /// The client with QRESYNC closes the mailbox and opens it with what it remembers.
    ComeBack,
}

/// What a client believes of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    uid: Option<u32>,
    flags: Option<BTreeSet<String>>,
}

struct Believer {
    client: Client,
    messages: Vec<Known>,
    idle: bool,
    /// What the last SELECT said.
    modseq: u64,
}

impl Believer {
    fn new(site: &Site, enable: &str) -> Self {
        let mut believer = Self { client: site.client(), messages: Vec::new(), idle: false, modseq: 1 };
        believer.ask(site, enable);
        believer.ask(site, "SELECT INBOX");
        believer
    }

    /// Gives a command and believes the answer.
    fn ask(&mut self, site: &Site, command: &str) {
        self.end_idle(site);
        let answer = self.client.send(site, format!("t {command}\r\n").as_bytes());
        let moves = !["FETCH", "STORE", "SEARCH"].iter().any(|name| command.starts_with(name));
        self.believe(&answer, moves);
    }

    fn end_idle(&mut self, site: &Site) {
        if std::mem::take(&mut self.idle) {
            let answer = self.client.send(site, b"DONE\r\n");
            self.believe(&answer, true);
        }
    }

    fn believe(&mut self, answer: &[u8], may_expunge: bool) {
        let text = String::from_utf8(answer.to_vec()).expect("text");
        for line in text.lines() {
            assert!(!line.contains("BAD") && !line.contains("BYE"), "{line}");
            if let Some(uids) = line.strip_prefix("* VANISHED ") {
                assert!(may_expunge, "{line}");
                self.vanish(uids);
                continue;
            }
            let Some((number, news)) = line.strip_prefix("* ").and_then(|line| line.split_once(' ')) else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            match news {
                "EXISTS" => {
                    assert!(number >= self.messages.len(), "EXISTS never takes messages away");
                    self.messages.resize(number, Known::default());
                }
                "EXPUNGE" => {
                    assert!(may_expunge && number <= self.messages.len(), "{line}");
                    self.messages.remove(number - 1);
                }
                "RECENT" => assert_eq!(number, 0),
                news => {
                    assert!(news.starts_with("FETCH ") && number <= self.messages.len(), "{line}");
                    learn(&mut self.messages[number - 1], news);
                }
            }
        }
    }

    /// Takes out the messages it knows by their UID. One that it only knows to be there is among those between the next
    /// ones that it does know, for UIDs are in order; which of them it was, it cannot tell.
    fn vanish(&mut self, uids: &str) {
        for uid in numbers(uids) {
            if let Some(at) = self.messages.iter().position(|known| known.uid == Some(uid)) {
                self.messages.remove(at);
                continue;
            }
            let is_beyond = |known: &Known| known.uid.is_some_and(|other| other > uid);
            let is_before = |known: &Known| known.uid.is_some_and(|other| other < uid);
            let end = self.messages.iter().position(is_beyond).unwrap_or(self.messages.len());
            let start = self.messages.iter().rposition(is_before).map_or(0, |at| at + 1);
            assert!(start < end, "what vanished was never told of");
            self.messages.remove(end - 1);
            self.messages[start..end - 1].fill(Known::default());
        }
    }

    /// Opens the mailbox with QRESYNC, and fills what it is told into what it remembers (RFC 7162 §3.2.5).
    fn come_back(&mut self, site: &Site) {
        self.ask(site, "UNSELECT");
        let known = std::mem::take(&mut self.messages).into_iter();
        let mut old: BTreeMap<u32, Known> = known.filter_map(|known| Some((known.uid?, known))).collect();
        let command = format!("t SELECT INBOX (QRESYNC (1 {}))\r\n", self.modseq);
        let answer = String::from_utf8(self.client.send(site, command.as_bytes())).expect("text");
        let (earlier, news): (Vec<&str>, Vec<&str>) = answer.lines().partition(|line| line.contains("(EARLIER)"));
        for line in earlier {
            for uid in numbers(line.trim_start_matches("* VANISHED (EARLIER) ")) {
                old.remove(&uid);
            }
        }
        let (_, modseq) = answer.split_once("[HIGHESTMODSEQ ").expect("told with SELECT");
        self.modseq = modseq.split(']').next().and_then(|modseq| modseq.parse().ok()).expect("a number");
        self.believe(news.join("\r\n").as_bytes(), false);
        for told in &self.messages {
            old.remove(&told.uid.unwrap_or(0));
        }
        let mut old = old.into_values();
        for message in self.messages.iter_mut().filter(|message| message.uid.is_none()) {
            *message = old.next().expect("a message that the client does not know was told of");
        }
        assert_eq!(old.next(), None, "a message that is gone was told of");
    }

    fn len(&self) -> usize {
        self.messages.len()
    }
}

/// `1:3,5`
fn numbers(set: &str) -> Vec<u32> {
    let ends = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        (first.parse().expect("a number"), last.parse().expect("a number"))
    };
    set.split(',').map(ends).flat_map(|(first, last): (u32, u32)| first..=last).collect()
}

fn learn(known: &mut Known, news: &str) {
    if let Some((_, rest)) = news.split_once("UID ") {
        let uid = rest.split([' ', ')']).next().and_then(|uid| uid.parse().ok());
        assert!(uid.is_some() && (known.uid.is_none() || known.uid == uid), "{known:?} {news}");
        known.uid = uid;
    }
    if let Some((_, rest)) = news.split_once("FLAGS (") {
        let flags = rest.split(')').next().expect("a list");
        known.flags = Some(flags.split_whitespace().map(str::to_owned).collect());
    }
}

fn play(steps: &[Step]) {
    let site = Site::new();
    for _ in 0..4 {
        site.put(MailboxId::INBOX, b"Subject: a\r\n\r\nb");
    }
    let mut clients: Vec<Believer> = ENABLE.iter().map(|enable| Believer::new(&site, enable)).collect();
    for client in &mut clients {
        client.ask(&site, "FETCH 1:* (UID FLAGS)");
    }
    for step in steps {
        take(&site, &mut clients, step);
    }
    clients[RESYNCS].come_back(&site);
    for client in &mut clients {
        client.ask(&site, "NOOP");
        let believed = client.messages.clone();
        client.ask(&site, "UID FETCH 1:* (UID FLAGS)");
        for (believed, told) in believed.iter().zip(&client.messages) {
            assert!(believed.uid.is_none_or(|uid| told.uid == Some(uid)), "{believed:?} is {told:?}");
            assert!(believed.flags.is_none() || believed.flags == told.flags, "{believed:?} is {told:?}");
        }
    }
    let row = site.store.mailbox(site.account, MailboxId::INBOX).expect("rows").expect("INBOX");
    for client in &clients {
        assert_eq!(client.messages, clients[0].messages);
        assert_eq!(client.len(), row.messages as usize);
    }
}

fn take(site: &Site, clients: &mut [Believer], step: &Step) {
    match step {
        Step::Put => {
            site.put(MailboxId::INBOX, b"Subject: a\r\n\r\nb");
        }
        Step::Store { client, first, last, sign, flag, silent } => {
            let client = &mut clients[*client];
            client.end_idle(site);
            if client.len() == 0 {
                return;
            }
            let (first, last) = ends(client.len(), *first, *last);
            let how = if *silent { ".SILENT" } else { "" };
            if *silent {
                // What the client knows changes by its own hand; it hears of it only where it would be wrong.
                for known in &mut client.messages[first - 1..last] {
                    match (&mut known.flags, *sign) {
                        (Some(flags), "+") => drop(flags.insert((*flag).into())),
                        (Some(flags), _) => drop(flags.remove(*flag)),
                        (None, _) => {}
                    }
                }
            }
            client.ask(site, &format!("STORE {first}:{last} {sign}FLAGS{how} ({flag})"));
        }
        Step::UidStore { client, uid, sign, flag } => {
            clients[*client].ask(site, &format!("UID STORE {uid} {sign}FLAGS ({flag})"));
        }
        Step::Expunge(client) => clients[*client].ask(site, "EXPUNGE"),
        Step::Noop(client) => clients[*client].ask(site, "NOOP"),
        Step::Fetch { client, first, last, item } => {
            let client = &mut clients[*client];
            client.end_idle(site);
            if client.len() > 0 {
                let (first, last) = ends(client.len(), *first, *last);
                client.ask(site, &format!("FETCH {first}:{last} {item}"));
            }
        }
        Step::UidFetch { client, item } => clients[*client].ask(site, &format!("UID FETCH 1:* {item}")),
        Step::Search(client) => clients[*client].ask(site, "SEARCH UNDELETED"),
        Step::Move { client, at } => {
            let client = &mut clients[*client];
            client.end_idle(site);
            if client.len() > 0 {
                let (at, _) = ends(client.len(), *at, *at);
                client.ask(site, &format!("MOVE {at} Trash"));
            }
        }
        Step::ComeBack => clients[RESYNCS].come_back(site),
        Step::Idle(client) => {
            let client = &mut clients[*client];
            if !client.idle {
                client.ask(site, "IDLE");
                client.idle = true;
            }
            let heard = client.client.hear(site);
            client.believe(&heard, true);
        }
    }
}

fn ends(len: usize, first: usize, last: usize) -> (usize, usize) {
    let (a, b) = (first % len + 1, last % len + 1);
    (a.min(b), a.max(b))
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..ENABLE.len();
    let at = 0..8usize;
    let sign = prop_oneof![Just("+"), Just("-")];
    let flag = prop_oneof![Just("\\Deleted"), Just("\\Seen"), Just("\\Flagged"), Just("Work"), Just("$Later")];
    let item = prop_oneof![Just("FLAGS"), Just("UID"), Just("BODY[TEXT]"), Just("(UID MODSEQ)")];
    prop_oneof![
        2 => Just(Step::Put),
        4 => (client.clone(), at.clone(), at.clone(), sign.clone(), flag.clone(), any::<bool>()).prop_map(
            |(client, first, last, sign, flag, silent)| Step::Store { client, first, last, sign, flag, silent }
        ),
        1 => (client.clone(), 1..9u32, sign, flag).prop_map(|(client, uid, sign, flag)| Step::UidStore {
            client, uid, sign, flag
        }),
        2 => client.clone().prop_map(Step::Expunge),
        1 => client.clone().prop_map(Step::Noop),
        2 => (client.clone(), at.clone(), at.clone(), item.clone()).prop_map(|(client, first, last, item)| Step::Fetch {
            client, first, last, item
        }),
        1 => (client.clone(), item).prop_map(|(client, item)| Step::UidFetch { client, item }),
        1 => client.clone().prop_map(Step::Search),
        1 => (client.clone(), at).prop_map(|(client, at)| Step::Move { client, at }),
        2 => client.prop_map(Step::Idle),
        1 => Just(Step::ComeBack),
    ]
}

/// What each client enables.
const ENABLE: [&str; 4] = ["NOOP", "ENABLE CONDSTORE", "ENABLE IMAP4rev2", "ENABLE QRESYNC"];
/// The one with QRESYNC.
const RESYNCS: usize = 3;

/// One message between two that the client knows is unknown to it when another one vanishes.
#[test]
fn what_is_not_known_keeps_its_place() {
    let deleted = |client, first, sign| Step::Store { client, first, last: 0, sign, flag: "\\Deleted", silent: false };
    play(&[
        Step::Put,
        Step::Put,
        Step::Move { client: RESYNCS, at: 1 },
        Step::Put,
        deleted(2, 4, "+"),
        Step::Move { client: 0, at: 2 },
        Step::UidStore { client: RESYNCS, uid: 6, sign: "+", flag: "\\Deleted" },
    ]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn clients_believe_what_is_true(steps in proptest::collection::vec(step(), 1..30)) {
        play(&steps);
    }
}
